//! Module, pins and light on the software adapter, through embedded-hal.

use embedded_hal::digital::{InputPin, OutputPin, StatefulOutputPin};
use embedded_hal::i2c::{Error, ErrorKind, I2c, NoAcknowledgeSource};
use fastlinq_hal::adapter::{Adapter, AdapterConfig, McpReadyAdapter};
use fastlinq_hal::peripherals::{ALL_WRITES, ModuleError, PAGE_SELECT, PinError};
use fastlinq_model::mfw::{Module, Persona, Rule, codes};
use fastlinq_model_host::ModelHost;

#[allow(unused, reason = "shared with other tests")]
mod common;

fn connected(host: &ModelHost) -> McpReadyAdapter<ModelHost> {
    let adapter = Adapter::new(host.clone(), AdapterConfig::default());
    adapter.connect().map_err(|failed| failed.cause).unwrap()
}

fn plug(host: &ModelHost, module: Module) {
    host.with_card(|card| card.with_mfw(|mfw, effects| mfw.set_module(0, module, effects)));
}

/// Reads a whole memory the way a generic driver does, without any knowledge of chunks.
fn dump(bus: &mut impl I2c, address: u8) -> [u8; 256] {
    let mut bytes = [0; 256];
    bus.write_read(address, &[0], &mut bytes).unwrap();
    bytes
}

#[test]
fn whole_memories_of_every_module_are_what_was_plugged() {
    let host = ModelHost::builder().build();
    let mut adapter = connected(&host);
    for module in [
        Module::Sfp28Optical,
        Module::Sfp28Copper,
        Module::Qsfp28Optical,
        Module::Qsfp28Paged,
    ] {
        plug(&host, module);
        let peripherals = adapter.peripherals();
        let mut bus = peripherals.module();
        assert_eq!(
            dump(&mut bus, 0x50),
            module.identification_page().unwrap(),
            "{module:?}"
        );
        match module.diagnostics_page() {
            Some(page) => assert_eq!(dump(&mut bus, 0x51), page, "{module:?}"),
            None => {
                let error = bus.write(0x51, &[]).unwrap_err();
                assert!(
                    matches!(error.kind(), ErrorKind::NoAcknowledge(_)),
                    "{module:?}"
                );
            }
        }
    }
    for module in [Module::Absent, Module::BaseT] {
        plug(&host, module);
        let peripherals = adapter.peripherals();
        let error = peripherals.module().read(0x50, &mut [0]).unwrap_err();
        assert_eq!(error, ModuleError::NotPresent);
        assert_eq!(
            error.kind(),
            ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)
        );
    }
    assert_eq!(host.violations(), []);
}

#[test]
fn pages_are_selected_and_the_users_page_keeps_what_is_written() {
    let host = ModelHost::builder().build();
    let mut adapter = connected(&host);
    plug(&host, Module::Qsfp28Paged);
    let peripherals = adapter.peripherals();
    let mut bus = peripherals.module_with(PAGE_SELECT);
    bus.write(0x50, &[127, 3]).unwrap();
    let page = dump(&mut bus, 0x50);
    assert_eq!(page[127], 3);
    assert_eq!(page[128..], Module::Qsfp28Paged.upper_page(3).unwrap());
    let forbidden = bus.write(0x50, &[128, 1]).unwrap_err();
    assert_eq!(forbidden, ModuleError::WriteForbidden { offset: 128 });

    let mut bus = peripherals.module_with(ALL_WRITES);
    bus.write(0x50, &[127, 2]).unwrap();
    let mut note = [0; 41];
    note[0] = 150;
    note[1..].copy_from_slice(b"forty bytes that belong to nobody but me");
    bus.write(0x50, &note).unwrap();
    bus.write(0x50, &[127, 0]).unwrap();
    assert_eq!(
        dump(&mut bus, 0x50),
        Module::Qsfp28Paged.identification_page().unwrap()
    );
    bus.write(0x50, &[127, 2]).unwrap();
    let mut back = [0; 40];
    bus.write_read(0x50, &[150], &mut back).unwrap();
    assert_eq!(back, note[1..]);
}

#[test]
fn pins_have_a_direction_and_the_light_a_mode() {
    let host = ModelHost::builder().build();
    let mut adapter = connected(&host);
    let peripherals = adapter.peripherals();
    let mut output = peripherals.pin(20).into_output();
    output.set_high().unwrap();
    assert_eq!(output.is_set_high(), Ok(true));
    assert_eq!(peripherals.pin(20).is_high(), Ok(true));
    output.set_low().unwrap();
    assert_eq!(peripherals.pin(20).is_low(), Ok(true));
    assert_ne!(
        peripherals.pin(20).info().unwrap().direction,
        peripherals.pin(3).info().unwrap().direction
    );
    let input = peripherals.pin(3).into_output().set_high().unwrap_err();
    assert!(matches!(input, PinError::Refused { .. }), "{input}");
    assert!(input.to_string().contains("GPIO_DIRECTION_ERR"), "{input}");
    let nowhere = peripherals.pin(99).is_high().unwrap_err();
    assert!(nowhere.to_string().contains("GPIO_INVALID"), "{nowhere}");

    let mut light = peripherals.light();
    let mode = |host: &ModelHost| host.with_card(|card| card.mfw().led_mode(0));
    light.set_high().unwrap();
    assert_eq!(mode(&host), 1);
    light.set_low().unwrap();
    assert_eq!(mode(&host), 2);
    light.operational().unwrap();
    assert_eq!(mode(&host), 0);
}

#[test]
fn refusals_of_the_management_firmware_are_told_apart() {
    let persona = |rule: Rule| Persona::custom("test", "one command differs").rule(rule);
    let error = |rule: Rule| {
        let host = ModelHost::builder().persona(persona(rule)).build();
        let mut adapter = connected(&host);
        let peripherals = adapter.peripherals();
        let mut bus = peripherals.module_with(ALL_WRITES);
        let read = bus.read(0x50, &mut [0]).err();
        let write = bus.write(0x51, &[128, 1]).err();
        let pin = peripherals.pin(20).is_high().err();
        let light = peripherals.light().set_high().err();
        let texts = [
            read.map(|error| (Some(error.kind()), error.to_string())),
            write.map(|error| (Some(error.kind()), error.to_string())),
            pin.map(|error| (None, error.to_string())),
            light.map(|error| (None, error.to_string())),
        ];
        texts.into_iter().flatten().collect::<Vec<_>>()
    };
    use codes::command as c;
    let other = Some(ErrorKind::Other);
    let unknown = Some(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown));
    let cases = [
        (
            Rule::on(c::TRANSCEIVER_READ).unsupported(),
            other,
            "does not know TRANSCEIVER_READ",
        ),
        (
            Rule::on(c::TRANSCEIVER_READ).answer(0x17, 9),
            unknown,
            "TRANSCEIVER_DIAG_ERROR 0x0017, parameter 0x9",
        ),
        (
            Rule::on(c::TRANSCEIVER_WRITE).unsupported(),
            other,
            "does not know TRANSCEIVER_WRITE",
        ),
        (
            Rule::on(c::TRANSCEIVER_WRITE).answer(0xf, 0),
            unknown,
            "TRANSCEIVER_WRITE: TRANSCEIVER_BAD_BUFFER_SIZE 0x000f",
        ),
        (
            Rule::on(c::TRANSCEIVER_READ).silent(),
            other,
            "TRANSCEIVER_READ",
        ),
        (
            Rule::on(c::GPIO_READ).unsupported(),
            None,
            "does not know GPIO_READ",
        ),
        (
            Rule::on(c::GPIO_READ).answer(0x16, 7),
            None,
            "neither 0 nor 1",
        ),
        (
            Rule::on(c::SET_LED_MODE).unsupported(),
            None,
            "does not know SET_LED_MODE",
        ),
        (
            Rule::on(c::SET_LED_MODE).answer(0x17, 1),
            None,
            "refuses SET_LED_MODE",
        ),
    ];
    for (rule, kind, words) in cases {
        let errors = error(rule);
        let (first_kind, first) = &errors[0];
        assert_eq!(*first_kind, kind, "{errors:?}");
        assert!(first.contains(words), "{words}: {errors:?}");
        // A silent management firmware answers nothing afterwards; all others fail this one command only.
        assert!(errors.len() == 1 || first.contains("answer"), "{errors:?}");
    }
}
