//! Temperature sensors, LEDs and GPIO pins.

use super::codes::response;
use super::reply::{Reply, payload_of};

/// GPIO pins of the card.
pub(crate) const GPIO_PINS: usize = 32;

const LOCATION_INTERNAL: u32 = 1;
const LOCATION_EXTERNAL: u32 = 2;
const LOCATION_MODULE: u32 = 3;

/// Degrees Celsius at which the sensors warn and shut down.
const THRESHOLD_C: u32 = 85;
const CRITICAL_C: u32 = 105;

#[derive(Clone, Copy, Default)]
struct Pin {
    output: bool,
    level: bool,
}

/// Sensors, LEDs and pins.
pub(crate) struct Sensors {
    pub(crate) internal_c: u32,
    pub(crate) external_c: u32,
    leds: [u32; 4],
    pins: [Pin; GPIO_PINS],
}

impl Sensors {
    pub(crate) fn new() -> Self {
        let mut pins = [Pin::default(); GPIO_PINS];
        for pin in pins.iter_mut().skip(GPIO_PINS / 2) {
            pin.output = true;
        }
        Self {
            internal_c: 56,
            external_c: 44,
            leds: [0; 4],
            pins,
        }
    }

    /// GET_TEMPERATURE; `modules` are the temperatures of the modules that have a sensor.
    pub(crate) fn temperatures(&self, modules: impl Iterator<Item = u32>) -> Reply {
        let sensor = |location: u32, current: u32| {
            location | THRESHOLD_C << 8 | CRITICAL_C << 16 | (current & 0xff) << 24
        };
        let mut words = vec![
            0,
            sensor(LOCATION_INTERNAL, self.internal_c),
            sensor(LOCATION_EXTERNAL, self.external_c),
        ];
        words.extend(
            modules
                .take(5)
                .map(|current| sensor(LOCATION_MODULE, current)),
        );
        words[0] = words.len() as u32 - 1;
        Reply::ok().with_payload(payload_of(&words))
    }

    /// SET_LED_MODE.
    pub(crate) fn set_led(&mut self, port: u8, mode: u32) -> Reply {
        match self.leds.get_mut(usize::from(port)) {
            Some(led) if mode <= 6 => {
                *led = mode;
                Reply::ok()
            }
            _ => Reply::code(response::LED_MODE_INVALID),
        }
    }

    pub(crate) fn led(&self, port: u8) -> u32 {
        self.leds.get(usize::from(port)).copied().unwrap_or(0)
    }

    fn pin(&mut self, param: u32) -> Option<&mut Pin> {
        self.pins.get_mut((param & 0xffff) as usize)
    }

    /// GPIO_READ.
    pub(crate) fn gpio_read(&mut self, param: u32) -> Reply {
        match self.pin(param) {
            Some(pin) => Reply::ok().with_param(pin.level.into()),
            None => Reply::code(response::GPIO_INVALID),
        }
    }

    /// GPIO_WRITE.
    pub(crate) fn gpio_write(&mut self, param: u32) -> Reply {
        let value = param >> 16;
        match self.pin(param) {
            None => Reply::code(response::GPIO_INVALID),
            Some(_) if value > 1 => Reply::code(response::GPIO_INVALID_VALUE),
            Some(pin) if !pin.output => Reply::code(response::GPIO_DIRECTION),
            Some(pin) => {
                pin.level = value == 1;
                Reply::ok()
            }
        }
    }

    /// GPIO_INFO.
    pub(crate) fn gpio_info(&mut self, param: u32) -> Reply {
        match self.pin(param) {
            Some(pin) => Reply::ok().with_param(param & 0xffff | u32::from(pin.output) << 16),
            None => Reply::code(response::GPIO_INVALID),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::word;
    use super::*;

    #[test]
    fn temperatures_name_their_place() {
        let reply = Sensors::new().temperatures([41].into_iter());
        let payload = reply.payload.unwrap();
        assert_eq!(word(&payload, 0), 3);
        assert_eq!(word(&payload, 1), 1 | 85 << 8 | 105 << 16 | 56 << 24);
        assert_eq!(word(&payload, 3) & 0xff, LOCATION_MODULE);
        let many = Sensors::new().temperatures([41; 40].into_iter());
        assert_eq!(word(&many.payload.unwrap(), 0), 7);
    }

    #[test]
    fn led_modes_are_kept_and_checked() {
        let mut sensors = Sensors::new();
        assert_eq!(sensors.set_led(1, 2), Reply::ok());
        assert_eq!((sensors.led(0), sensors.led(1)), (0, 2));
        assert_eq!(sensors.set_led(0, 7).response, response::LED_MODE_INVALID);
        assert_eq!(sensors.set_led(200, 0).response, response::LED_MODE_INVALID);
    }

    #[test]
    fn pins_have_a_direction() {
        let mut sensors = Sensors::new();
        assert_eq!(sensors.gpio_write(16 | 1 << 16), Reply::ok());
        assert_eq!(sensors.gpio_read(16).param, 1);
        assert_eq!(sensors.gpio_info(16).param >> 16, 1);
        assert_eq!(
            sensors.gpio_write(1 << 16).response,
            response::GPIO_DIRECTION
        );
        assert_eq!(
            sensors.gpio_write(16 | 2 << 16).response,
            response::GPIO_INVALID_VALUE
        );
        assert_eq!(sensors.gpio_read(32).response, response::GPIO_INVALID);
        assert_eq!(sensors.gpio_info(0xffff).response, response::GPIO_INVALID);
    }
}
