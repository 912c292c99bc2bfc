//! Things on the board: sensors, light, pins; and draining the network interface.

use fastlinq_pac::mfw::DriverCommand;
use fastlinq_pac::mfw::constants::param;
use heapless::Vec;

use super::{Answer, MailboxError};
use crate::core_state::Core;
use crate::host::Host;

/// Most temperature sensors.
pub const MAX_SENSORS: usize = 7;

/// Milliseconds for which the network interface is drained, and the margin of the driver.
const DRAIN_MS: u32 = 1000;
const DRAIN_MARGIN_MS: u32 = 20;

/// Where a temperature sensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SensorPlace {
    /// In the chip.
    Internal,
    /// On the board.
    External,
    /// In the module.
    Module,
    /// A value that no source documents.
    Unknown(u8),
}

/// A temperature sensor; degrees Celsius.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sensor {
    /// Where it is.
    pub place: SensorPlace,
    /// Temperature at which it warns.
    pub high: u8,
    /// Temperature that is critical.
    pub critical: u8,
    /// Temperature now.
    pub current: u8,
}

/// Reads the temperature sensors (GET_TEMPERATURE).
///
/// # Errors
///
/// [`MailboxError`].
pub fn temperatures<H: Host>(
    core: &mut Core<H>,
) -> Result<Answer<Vec<Sensor, MAX_SENSORS>>, MailboxError> {
    let reply = core.command(DriverCommand::GET_TEMPERATURE, 0, &[])?;
    Ok(reply.judge_ok(|reply| {
        let status = reply.data().temp_info();
        let count = status.num_of_sensors.get() as usize;
        status
            .sensor
            .iter()
            .take(count)
            .map(|word| {
                let [place, high, critical, current] = word.get().to_le_bytes();
                Sensor {
                    place: match place {
                        1 => SensorPlace::Internal,
                        2 => SensorPlace::External,
                        3 => SensorPlace::Module,
                        other => SensorPlace::Unknown(other),
                    },
                    high,
                    critical,
                    current,
                }
            })
            .collect()
    }))
}

/// What the port's light does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Led {
    /// What it does by itself.
    Operational,
    /// On.
    On,
    /// Off.
    Off,
}

/// Sets the port's light (SET_LED_MODE).
///
/// # Errors
///
/// [`MailboxError`].
pub fn set_led<H: Host>(core: &mut Core<H>, led: Led) -> Result<Answer<()>, MailboxError> {
    let mode = match led {
        Led::Operational => param::SET_LED_MODE_OPER,
        Led::On => param::SET_LED_MODE_ON,
        Led::Off => param::SET_LED_MODE_OFF,
    };
    let reply = core.command(DriverCommand::SET_LED_MODE, mode, &[])?;
    Ok(reply.judge_ok(|_| ()))
}

/// Reads a pin of the board (GPIO_READ).
///
/// # Errors
///
/// [`MailboxError`].
pub fn read_pin<H: Host>(core: &mut Core<H>, pin: u16) -> Result<Answer<u32>, MailboxError> {
    let reply = core.command(DriverCommand::GPIO_READ, u32::from(pin), &[])?;
    Ok(reply.judge_ok(|reply| reply.param))
}

/// How a pin of the board is set up.
///
/// What the values mean is not documented anywhere public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PinInfo {
    /// Direction.
    pub direction: u8,
    /// Control.
    pub control: u8,
}

/// Asks how a pin of the board is set up (GPIO_INFO).
///
/// # Errors
///
/// [`MailboxError`].
pub fn pin_info<H: Host>(core: &mut Core<H>, pin: u16) -> Result<Answer<PinInfo>, MailboxError> {
    let reply = core.command(DriverCommand::GPIO_INFO, u32::from(pin), &[])?;
    Ok(reply.judge_ok(|reply| PinInfo {
        direction: ((reply.param & param::GPIO_DIRECTION_MASK) >> param::GPIO_DIRECTION_OFFSET)
            as u8,
        control: ((reply.param & param::GPIO_CTRL_MASK) >> param::GPIO_CTRL_OFFSET) as u8,
    }))
}

/// Sets a pin of the board (GPIO_WRITE). The pins belong to the board's design: wrong ones can stop fans or
/// cut power.
///
/// # Errors
///
/// [`MailboxError`].
pub fn write_pin<H: Host>(
    core: &mut Core<H>,
    pin: u16,
    value: u16,
) -> Result<Answer<()>, MailboxError> {
    let word = u32::from(pin) | u32::from(value) << param::GPIO_VALUE_OFFSET;
    let reply = core.command(DriverCommand::GPIO_WRITE, word, &[])?;
    Ok(reply.judge_ok(|_| ()))
}

/// Lets the network interface drain for a second (NIG_DRAIN), as when a ramrod is overdue; waits for it.
///
/// # Errors
///
/// [`MailboxError`].
pub fn drain<H: Host>(core: &mut Core<H>) -> Result<Answer<()>, MailboxError> {
    let reply = core.command(DriverCommand::NIG_DRAIN, DRAIN_MS, &[])?;
    core.host.delay_ms(DRAIN_MS + DRAIN_MARGIN_MS);
    Ok(super::notify::judge(&reply))
}
