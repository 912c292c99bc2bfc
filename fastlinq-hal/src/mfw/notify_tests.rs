use std::vec;
use std::vec::Vec;

use super::*;
use crate::access::fake::{Act, Request, attached};
use crate::mfw::board;

#[test]
fn a_done_code_equals_the_command() {
    let mut core = attached(|request: &Request| Act::Answer(request.command.0, 0, vec![]));
    assert_eq!(
        driver_state(&mut core, DriverState::Active),
        Ok(Answer::Done(()))
    );
    assert_eq!(mtu(&mut core, 9000), Ok(Answer::Done(())));
    assert_eq!(
        switch_mode(&mut core, SwitchMode::Veb),
        Ok(Answer::Done(()))
    );
    assert_eq!(
        storm_firmware(&mut core, FirmwareVersion::new(8, 59, 1, 0)),
        Ok(Answer::Done(()))
    );
    assert_eq!(data_center_bridging(&mut core), Ok(Answer::Done(())));
    assert_eq!(
        core.card().requests,
        vec![
            (DriverCommand::OV_UPDATE_DRIVER_STATE, 5),
            (DriverCommand::OV_UPDATE_MTU, 9000),
            (DriverCommand::OV_UPDATE_ESWITCH_MODE, 1),
            (DriverCommand::OV_UPDATE_STORM_FW_VER, 0x083b_0100),
            (DriverCommand::SET_DCBX, 8)
        ]
    );
}

#[test]
fn strings_and_addresses_have_their_byte_order() {
    let mut core = attached(|request: &Request| {
        match request.command {
            DriverCommand::SET_VERSION => {
                assert_eq!(
                    request.union[..4],
                    [0x0001_0203, 0x6661_7374, 0x6c69_6e71, 0]
                );
            }
            DriverCommand::SET_VMAC => {
                assert_eq!(request.union[..2], [0x000e_1e01, 0x0203_0000]);
                assert_eq!(request.param, 1 << 4);
            }
            DriverCommand::OV_UPDATE_CURR_CFG => assert_eq!(request.param, 1),
            other => panic!("{other:?}"),
        }
        Act::Answer(0x16, 0, vec![])
    });
    assert!(driver_version(&mut core, [0, 1, 2, 3], "fastlinq").is_ok());
    assert!(mac_address(&mut core, [0, 0x0e, 0x1e, 1, 2, 3]).is_ok());
    assert_eq!(core.card().requests.len(), 3);
}

#[test]
fn sensors_are_as_many_as_fit() {
    let mut core = attached(|_| Act::Answer(0x16, 0, vec![1000, 0x2d_69_5a_01, 0, 0, 0, 0, 0, 9]));
    let sensors = board::temperatures(&mut core)
        .expect("answered")
        .done()
        .expect("sensors");
    assert_eq!(sensors.len(), board::MAX_SENSORS);
    assert_eq!(
        sensors.first(),
        Some(&board::Sensor {
            place: board::SensorPlace::Internal,
            high: 0x5a,
            critical: 0x69,
            current: 0x2d
        })
    );
    assert_eq!(
        sensors.last().map(|sensor| sensor.place),
        Some(board::SensorPlace::Unknown(9))
    );
}

#[test]
fn a_drain_takes_its_second() {
    let mut core = attached(|_| Act::Answer(0x3000, 0, vec![]));
    let before = core.card().time_us;
    assert_eq!(board::drain(&mut core), Ok(Answer::Done(())));
    assert!(core.card().time_us - before >= 1_020_000);
}

#[test]
fn pins_and_light() {
    let mut core = attached(|request: &Request| Act::Answer(0x16, request.param ^ 1, vec![]));
    assert_eq!(board::read_pin(&mut core, 6), Ok(Answer::Done(7)));
    assert_eq!(board::write_pin(&mut core, 6, 1), Ok(Answer::Done(())));
    assert_eq!(
        board::set_led(&mut core, board::Led::On),
        Ok(Answer::Done(()))
    );
    let params: Vec<_> = core.card().requests.iter().map(|sent| sent.1).collect();
    assert_eq!(params, vec![6, 0x0001_0006, 1]);
}
