use std::cell::Cell;
use std::format;
use std::rc::Rc;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use embedded_hal::digital::{InputPin, OutputPin as _, StatefulOutputPin};
use embedded_hal::i2c::{Error, ErrorKind, I2c, NoAcknowledgeSource, Operation};
use fastlinq_pac::mfw::DriverCommand;

use super::*;
use crate::access::fake::{Act, Request, attached};

const READ: DriverCommand = DriverCommand::TRANSCEIVER_READ;
const WRITE: DriverCommand = DriverCommand::TRANSCEIVER_WRITE;

/// A command as the management firmware sees it: command, I2C address, offset, size.
type Seen = (DriverCommand, u32, u32, u32);

fn seen(&(command, param): &(DriverCommand, u32)) -> Seen {
    (command, param >> 8 & 0xff, param >> 16, param >> 2 & 0x3f)
}

/// An EEPROM whose byte at `n` is `n`, at 0xa0 and 0xa2.
fn eeprom(request: &Request) -> Act {
    let (command, address, offset, size) = seen(&(request.command, request.param));
    assert!(
        (1..=16).contains(&size) && offset + size <= 256,
        "{offset}+{size}"
    );
    if !matches!(address, 0xa0 | 0xa2) {
        return Act::Answer(0x17, 0, vec![]);
    }
    if command == WRITE {
        return Act::Answer(0x16, size, vec![]);
    }
    let dword =
        |index: u32| u32::from_le_bytes([0, 1, 2, 3].map(|at| (offset + index * 4 + at) as u8));
    Act::Answer(0x16, size, (0..4).map(dword).collect())
}

fn counting(from: u8, length: usize) -> Vec<u8> {
    (0..length).map(|n| from.wrapping_add(n as u8)).collect()
}

#[test]
fn a_write_sets_the_counter_and_reads_go_on_from_it() {
    let mut core = attached(eeprom);
    let peripherals = Peripherals::new(&mut core);
    let mut module = peripherals.module();
    let mut bytes = [0; 40];
    module.write_read(0x50, &[20], &mut bytes).unwrap();
    assert_eq!(bytes[..], counting(20, 40));
    // A current-address read.
    module.read(0x50, &mut bytes[..3]).unwrap();
    assert_eq!(bytes[..3], [60, 61, 62]);
    // The other device has a counter of its own.
    module.read(0x51, &mut bytes[..2]).unwrap();
    assert_eq!(bytes[..2], [0, 1]);
    module.read(0x50, &mut bytes[..1]).unwrap();
    assert_eq!(bytes[0], 63);
    let requests: Vec<_> = core.card().requests.iter().map(seen).collect();
    assert_eq!(
        requests[..3],
        [
            (READ, 0xa0, 20, 16),
            (READ, 0xa0, 36, 16),
            (READ, 0xa0, 52, 8)
        ]
    );
    assert_eq!(
        requests[3..],
        [(READ, 0xa0, 60, 3), (READ, 0xa2, 0, 2), (READ, 0xa0, 63, 1)]
    );
}

#[test]
fn the_counter_rolls_over_and_no_command_crosses_the_end() {
    let mut core = attached(eeprom);
    let peripherals = Peripherals::new(&mut core);
    let mut module = peripherals.module();
    let mut bytes = [0; 300];
    module.write_read(0x50, &[250], &mut bytes).unwrap();
    assert_eq!(bytes[..], counting(250, 300));
    module.read(0x50, &mut bytes[..1]).unwrap();
    assert_eq!(bytes[0], (250 + 300_u32) as u8);
}

#[test]
fn operations_of_one_kind_are_one_piece() {
    let mut core = attached(eeprom);
    let peripherals = Peripherals::new(&mut core);
    let mut module = peripherals.module_with(ALL_WRITES);
    let (mut one, mut two, mut three) = ([0; 2], [0; 2], [0; 2]);
    // Only the first byte behind a start condition is the counter.
    let mut operations = [
        Operation::Write(&[]),
        Operation::Write(&[128]),
        Operation::Write(&[1, 2]),
        Operation::Write(&[3]),
        Operation::Read(&mut one),
        Operation::Read(&mut two),
        Operation::Write(&[7]),
        Operation::Read(&mut three),
    ];
    module.transaction(0x51, &mut operations).unwrap();
    assert_eq!((one, two, three), ([131, 132], [133, 134], [7, 8]));
    let requests: Vec<_> = core.card().requests.iter().map(seen).collect();
    let expected = [
        (WRITE, 0xa2, 128, 2),
        (WRITE, 0xa2, 130, 1),
        (READ, 0xa2, 131, 2),
        (READ, 0xa2, 133, 2),
        (READ, 0xa2, 7, 2),
    ];
    assert_eq!(requests, expected);
}

#[test]
fn a_transaction_without_data_asks_whether_the_device_answers() {
    let mut core = attached(eeprom);
    let peripherals = Peripherals::new(&mut core);
    let mut module = peripherals.module();
    module.transaction(0x50, &mut []).unwrap();
    module.write(0x50, &[]).unwrap();
    module.read(0x51, &mut []).unwrap();
    module.write(0x51, &[9]).unwrap();
    let error = module.write(0x20, &[]).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown)
    );
    let error = module.write(0x21, &[9]).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown)
    );
    let error = module.write(0x80, &[]).unwrap_err();
    assert_eq!(error, ModuleError::Address(0x80));
    assert_eq!(
        error.kind(),
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)
    );
    let requests: Vec<_> = core.card().requests.iter().map(seen).collect();
    let expected = [(0xa0, 0), (0xa2, 0), (0xa2, 9), (0x40, 0), (0x42, 9)];
    assert_eq!(
        requests,
        expected.map(|(address, at)| (READ, address, at, 1))
    );
}

#[test]
fn nothing_is_written_without_permission() {
    let mut core = attached(eeprom);
    let peripherals = Peripherals::new(&mut core);
    let forbidden = |offset| Err(ModuleError::WriteForbidden { offset });
    let mut module = peripherals.module();
    assert_eq!(module.write(0x50, &[127, 3]), forbidden(127));
    assert_eq!(module.write(0x51, &[128, 1, 2]), forbidden(128));
    let kind = module.write(0x50, &[0, 1]).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data));
    let mut module = peripherals.module_with(PAGE_SELECT);
    assert_eq!(module.write(0x50, &[126, 1]), forbidden(126));
    assert_eq!(module.write(0x50, &[127, 3, 4]), forbidden(127));
    assert_eq!(module.write(0x50, &[126, 1, 3]), forbidden(126));
    module.write(0x50, &[127, 3]).unwrap();
    let requests: Vec<_> = core.card().requests.iter().map(seen).collect();
    assert_eq!(requests, [(WRITE, 0xa0, 127, 1)]);
}

#[test]
fn long_writes_are_cut_and_roll_over() {
    let mut core = attached(eeprom);
    let peripherals = Peripherals::new(&mut core);
    let mut module = peripherals.module_with(ALL_WRITES);
    let mut data = vec![240];
    data.extend_from_slice(&[5; 40]);
    module.write(0x51, &data).unwrap();
    let requests: Vec<_> = core.card().requests.iter().map(seen).collect();
    assert_eq!(
        requests,
        [
            (WRITE, 0xa2, 240, 16),
            (WRITE, 0xa2, 0, 16),
            (WRITE, 0xa2, 16, 8)
        ]
    );
}

#[test]
fn every_failure_has_a_kind_and_says_what_was_answered() {
    let cases = [
        (
            0x2,
            ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            "no module",
        ),
        (
            0x17,
            ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            "0x0017",
        ),
        (
            0xf,
            ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            "TRANSCEIVER_BAD_BUFFER_SIZE 0x000f",
        ),
        (0x0, ErrorKind::Other, "does not know"),
    ];
    for (code, kind, words) in cases {
        let mut core = attached(move |_: &Request| Act::Answer(code, 5, vec![]));
        let peripherals = Peripherals::new(&mut core);
        let mut module = peripherals.module_with(ALL_WRITES);
        for error in [
            module.read(0x50, &mut [0]).unwrap_err(),
            module.write(0x50, &[128, 1]).unwrap_err(),
        ] {
            assert_eq!(error.kind(), kind, "{code:#x}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
    let mut core = attached(|_: &Request| Act::Answer(0x16, 0, vec![]));
    let peripherals = Peripherals::new(&mut core);
    let error = peripherals.module().read(0x50, &mut [0; 4]).unwrap_err();
    assert_eq!(error, ModuleError::NoProgress { offset: 0 });
    assert_eq!(
        error.kind(),
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data)
    );
}

#[test]
fn a_transaction_ends_at_the_first_failure() {
    let left = Rc::new(Cell::new(1));
    let count = Rc::clone(&left);
    let mut core = attached(move |request: &Request| {
        count.set(count.get() - 1);
        if count.get() >= 0 {
            eeprom(request)
        } else {
            Act::Answer(0x17, 0, vec![])
        }
    });
    let peripherals = Peripherals::new(&mut core);
    let mut module = peripherals.module();
    let (mut one, mut two, mut three) = ([0; 1], [9; 1], [9; 1]);
    let mut operations = [
        Operation::Write(&[5]),
        Operation::Read(&mut one),
        Operation::Read(&mut two),
        Operation::Read(&mut three),
    ];
    assert!(module.transaction(0x50, &mut operations).is_err());
    assert_eq!((one, two, three), ([5], [9], [9]));
    assert_eq!(left.get(), -1);
}

#[test]
fn pins_and_light_answer_side_by_side_with_the_module() {
    let level = Rc::new(Cell::new(0_u32));
    let lights = Rc::new(RefCell::new(Vec::new()));
    let (state, log) = (Rc::clone(&level), Rc::clone(&lights));
    let mut core = attached(move |request: &Request| match request.command {
        DriverCommand::GPIO_READ if request.param == 7 => Act::Answer(0x16, state.get(), vec![]),
        DriverCommand::GPIO_WRITE if request.param & 0xffff == 7 => {
            state.set(request.param >> 16);
            Act::Answer(0x16, 0, vec![])
        }
        DriverCommand::GPIO_INFO => Act::Answer(0x16, 0x0201_0007, vec![]),
        DriverCommand::SET_LED_MODE => {
            log.borrow_mut().push(request.param);
            Act::Answer(0x16, 0, vec![])
        }
        DriverCommand::TRANSCEIVER_READ => eeprom(request),
        _ => Act::Answer(0xf, 0, vec![]),
    });
    let peripherals = Peripherals::new(&mut core);
    let mut module = peripherals.module();
    let mut pin = peripherals.pin(7);
    let mut light = peripherals.light();
    assert_eq!((pin.is_high(), pin.is_low()), (Ok(false), Ok(true)));
    assert_eq!(
        pin.info(),
        Ok(PinInfo {
            direction: 1,
            control: 2
        })
    );
    light.set_high().unwrap();
    module.write(0x50, &[]).unwrap();
    let mut pin = pin.into_output();
    pin.set_high().unwrap();
    assert_eq!((pin.is_set_high(), pin.is_set_low()), (Ok(true), Ok(false)));
    pin.toggle().unwrap();
    assert_eq!(pin.into_input().is_low(), Ok(true));
    light.set_low().unwrap();
    light.operational().unwrap();
    assert_eq!(*lights.borrow(), [1, 2, 0]);
    let error = peripherals.pin(8).is_high().unwrap_err();
    assert!(matches!(error, PinError::Refused { .. }));
    assert!(format!("{error}").contains("0x000f"), "{error}");
    level.set(3);
    assert_eq!(
        peripherals.pin(7).is_high(),
        Err(PinError::Level { value: 3 })
    );
}
