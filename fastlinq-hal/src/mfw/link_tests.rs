use std::string::ToString;
use std::vec;

use super::super::extended_link::{ExtendedFec, ExtendedSpeed, ExtendedSpeedSet};
use super::*;
use crate::access::fake::{Act, FUNCTION, PORT, Request, agreeable, attached};
use crate::mfw::features;

#[test]
fn every_speed_is_decoded() {
    for (code, speed) in [
        (1, Speed::G1),
        (2, Speed::G1),
        (3, Speed::G10),
        (4, Speed::G20),
        (5, Speed::G40),
        (6, Speed::G50),
        (7, Speed::G100),
        (8, Speed::G25),
    ] {
        let state = LinkState::decode(1 | code << 1, None, true);
        assert!(state.up && state.physical);
        assert_eq!(state.speed, Some(speed), "code {code}");
        assert_eq!(state.full_duplex, code != 1);
    }
    for code in [0, 9, 15] {
        let state = LinkState::decode(1 | code << 1, None, true);
        assert!(!state.up && !state.physical);
        assert_eq!(state.to_string(), "down");
    }
}

#[test]
fn the_bits_are_those_of_the_reference() {
    let state = LinkState::decode(1 | 3 << 1 | 1 << 5 | 1 << 6 | 1 << 8, None, true);
    assert!(state.autonegotiation && state.autonegotiation_complete);
    assert!(state.priority_flow_control && !state.parallel_detection);
    let partner = LinkState::decode(1 << 9 | 1 << 10 | 1 << 16 | 2 << 18, None, true).partner;
    assert_eq!(
        partner.speeds,
        SpeedSet::default().with(Speed::G1).with(Speed::G25)
    );
    assert!(partner.half_duplex && partner.asymmetric_pause && !partner.symmetric_pause);
    let faults = LinkState::decode(1 << 20 | 1 << 24 | 1 << 25 | 1 << 26, None, true).faults;
    assert!(faults.module_transmitter && faults.local && faults.remote);
    assert!(faults.unsupported_speed && faults.no_signal);
    assert!(!LinkState::decode(1 << 23, None, true).faults.no_signal);
    let pause = LinkState::decode(1 << 21, None, true).pause;
    assert!(pause.transmit && !pause.receive);
    for (bits, fec) in [
        (0, Fec::None),
        (1, Fec::FireCode),
        (2, Fec::ReedSolomon),
        (5, Fec::Unknown(5)),
    ] {
        assert_eq!(LinkState::decode(bits << 27, None, true).fec, fec);
    }
}

#[test]
fn a_link_that_nobody_asked_for_is_not_up() {
    let mut core = attached(agreeable);
    core.card().set(PORT + 4, 1 | 8 << 1);
    let state = read(&core).expect("read");
    assert!(!state.up && state.physical);
    assert_eq!(
        bring_up(&mut core, &LinkSettings::default()),
        Ok(Answer::Done(()))
    );
    assert!(read(&core).expect("read").up);
    assert_eq!(
        take_down(&mut core, &LinkSettings::default()),
        Ok(Answer::Done(()))
    );
    assert!(!read(&core).expect("read").up);
}

#[test]
fn a_virtual_link_decides() {
    let mut core = attached(|_| Act::Answer(0x16, 1 << 16, vec![]));
    assert!(features::query(&mut core).is_ok());
    core.mfw.link_wanted = true;
    core.card().set(PORT + 4, 1 | 8 << 1);
    assert!(!read(&core).expect("read").up);
    core.card().set(FUNCTION + 0x2c, 1);
    assert!(read(&core).expect("read").up);
}

#[test]
fn a_lost_device_is_no_link_state() {
    let core = attached(agreeable);
    core.card().gone = true;
    assert_eq!(read(&core), Err(SectionError::DeviceGone));
}

#[test]
fn wishes_go_where_the_firmware_takes_them() {
    let settings = LinkSettings {
        speed: Some(Speed::G25),
        advertise: SpeedSet(0xa),
        pause: Pause {
            autonegotiate: false,
            receive: true,
            transmit: false,
        },
        loopback: Loopback::Mac,
        fec: Some(Fec::ReedSolomon),
        energy: Some(EnergyEfficiency {
            enable: true,
            transmit_idle: true,
            advertise_1g: false,
            advertise_10g: true,
            timer_us: 0xa00,
        }),
        extended: None,
    };
    for (feature, energy, fec) in [(0, 0, 0), (0x22, 0xa00b, 2), (0x20, 0, 2)] {
        let mut core = attached(move |request: &Request| {
            assert_eq!(request.command, DriverCommand::INIT_PHY);
            assert_eq!(request.union, [25_000, 2, 0xa, 4, energy, 0, fec, 0]);
            Act::Answer(0x2120, 0, vec![])
        });
        core.mfw.features = features::Features(feature);
        assert_eq!(bring_up(&mut core, &settings), Ok(Answer::Done(())));
    }
}

#[test]
fn refused_settings_are_told() {
    let mut core = attached(|_| Act::Answer(0x2130, 0, vec![]));
    assert_eq!(
        bring_up(&mut core, &LinkSettings::default()),
        Ok(Answer::Refused {
            command: DriverCommand::INIT_PHY,
            code: FirmwareResponse::INIT_PHY_ERR_INVALID_ARGS,
            param: 0
        })
    );
}

#[test]
fn the_extended_form_is_two_words_for_a_firmware_that_announces_it() {
    let force = ExtendedLink {
        speed: Some(ExtendedSpeed::G100P4),
        advertise: ExtendedSpeedSet::default(),
        fec: ExtendedFec::G100_RS528 | ExtendedFec::G25_NONE,
    };
    let negotiate = ExtendedLink {
        speed: None,
        advertise: ExtendedSpeedSet::default()
            .with(ExtendedSpeed::G1)
            .with(ExtendedSpeed::G50R2)
            .with(ExtendedSpeed::G100P4),
        fec: ExtendedFec::empty(),
    };
    for (extended, feature, words) in [
        (force, 0x60, [0x20_0402, 0x200]),
        (negotiate, 0x60, [2, 0x0121_0001]),
        (force, 0x20, [2, 0]),
        (force, 0x40, [0x20_0400, 0x200]),
    ] {
        let settings = LinkSettings {
            fec: Some(Fec::ReedSolomon),
            extended: Some(extended),
            ..LinkSettings::default()
        };
        let mut core = attached(move |request: &Request| {
            assert_eq!(request.union[6..8], words, "{extended:?} {feature:#x}");
            Act::Answer(0x2120, 0, vec![])
        });
        core.mfw.features = features::Features(feature);
        assert_eq!(bring_up(&mut core, &settings), Ok(Answer::Done(())));
    }
    for (bit, speed) in ExtendedSpeed::ALL.into_iter().enumerate() {
        let one = ExtendedSpeedSet(1 << bit);
        assert!(one.iter().eq([speed]));
        let word = ExtendedLink {
            speed: Some(speed),
            advertise: one,
            fec: ExtendedFec::empty(),
        };
        // Forced speeds begin at bit 1, behind "negotiate"; advertised ones at bit 16.
        assert_eq!(word.speed_word(), 2 << bit | 0x1_0000 << bit, "{speed:?}");
    }
}
