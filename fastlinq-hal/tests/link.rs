//! The link: what is asked for, what becomes of it, and who is the reason.

mod rig;

use fastlinq_hal::adapter::{Cause, Misuse};
use fastlinq_hal::mfw::board::Led;
use fastlinq_hal::mfw::extended_link::{
    ExtendedFec, ExtendedLink, ExtendedSpeed, ExtendedSpeedSet,
};
use fastlinq_hal::mfw::link::{EnergyEfficiency, Fec, LinkSettings, Pause, Speed, SpeedSet};
use fastlinq_hal::mfw::link_report::{LinkFinding, ModuleState, Party};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::mfw::{Module, Partner, Persona, speed};
use rig::{Rig, Setup};

fn rig() -> Rig {
    Rig::new(Setup {
        queues: 1,
        ..Setup::default()
    })
}

/// Sets the link and waits; gives the findings.
fn findings(rig: &mut Rig, settings: &LinkSettings) -> Vec<LinkFinding> {
    rig.adapter.set_link(settings).unwrap();
    rig.host.advance(10_000_000_000);
    rig.adapter.link_report().unwrap().findings.to_vec()
}

fn partner(rig: &Rig, partner: Partner) {
    rig.host.with_card(|card| {
        card.with_mfw(|mfw, effects| mfw.set_partner(0, Some(partner), effects));
    });
}

fn module(rig: &Rig, module: Module) {
    rig.host.with_card(|card| {
        card.with_mfw(|mfw, effects| mfw.set_module(0, module, effects));
    });
}

#[test]
fn speeds_are_forced_negotiated_and_refused_by_name() {
    let mut rig = rig();
    let flash = rig.adapter.flash_link_settings();
    assert_eq!(findings(&mut rig, &flash), []);
    for (wanted, refused) in [
        (Speed::G10, false),
        (Speed::G25, false),
        (Speed::G100, true),
    ] {
        let force = LinkSettings {
            speed: Some(wanted),
            ..flash
        };
        let found = findings(&mut rig, &force);
        let link = rig.adapter.link().unwrap();
        if refused {
            assert!(!link.up);
            assert!(
                found.contains(&LinkFinding::SpeedNotInFlash(wanted)),
                "{found:?}"
            );
            assert!(found.contains(&LinkFinding::SpeedRefused), "{found:?}");
            assert!(
                found.contains(&LinkFinding::ModuleTooSlow {
                    fastest: Speed::G25,
                    wanted
                }),
                "{found:?}"
            );
        } else {
            assert_eq!(link.speed, Some(wanted));
            assert_eq!(found, []);
        }
    }
    // A partner that is slower, and one with which there is nothing in common.
    partner(
        &rig,
        Partner {
            speeds: speed::G10,
            ..Partner::default()
        },
    );
    let found = findings(
        &mut rig,
        &LinkSettings {
            speed: None,
            ..flash
        },
    );
    let slower = LinkFinding::Slower {
        speed: Speed::G10,
        wanted: Speed::G25,
    };
    assert_eq!(found, [slower]);
    assert_eq!(slower.party(), Party::Partner);
    assert!(slower.to_string().contains("10 Gb/s instead of 25 Gb/s"));
    let only = LinkSettings {
        speed: None,
        advertise: SpeedSet::default().with(Speed::G25),
        ..flash
    };
    let found = findings(&mut rig, &only);
    assert!(!rig.adapter.link().unwrap().up);
    assert!(found.contains(&LinkFinding::Negotiating), "{found:?}");
    rig.finish();
}

#[test]
fn cable_and_module_are_told_apart() {
    let mut rig = rig();
    let flash = rig.adapter.flash_link_settings();
    rig.host.set_link(0, false);
    let found = findings(&mut rig, &flash);
    assert!(found.contains(&LinkFinding::NoSignal), "{found:?}");
    assert!(!found.contains(&LinkFinding::NoModule));
    module(&rig, Module::Absent);
    let report = rig.adapter.link_report().unwrap();
    assert_eq!(report.module.state, ModuleState::Absent);
    assert!(report.findings.contains(&LinkFinding::NoModule));
    module(&rig, Module::Sfp28Copper);
    rig.host.set_link(0, true);
    assert_eq!(findings(&mut rig, &flash), []);
    // Nobody asks any more.
    rig.adapter.link_down().unwrap();
    let report = rig.adapter.link_report().unwrap();
    assert_eq!(report.findings, [LinkFinding::NotRequested]);
    assert!(!report.state.up);
    rig.finish();
}

#[test]
fn pause_error_correction_and_energy_are_set_and_explained() {
    let mut rig = rig();
    let flash = rig.adapter.flash_link_settings();
    let both = Pause {
        autonegotiate: true,
        receive: true,
        transmit: true,
    };
    let wish = LinkSettings {
        speed: None,
        pause: both,
        fec: Some(Fec::ReedSolomon),
        energy: Some(EnergyEfficiency {
            enable: true,
            transmit_idle: true,
            advertise_1g: true,
            advertise_10g: true,
            timer_us: 0x100,
        }),
        ..flash
    };
    // At 10 Gb/s energy-efficient Ethernet works.
    let slow = LinkSettings {
        advertise: SpeedSet::default().with(Speed::G10),
        fec: None,
        ..wish
    };
    assert_eq!(findings(&mut rig, &slow), []);
    let energy = rig.adapter.link_report().unwrap().energy.unwrap();
    assert!(energy.active);
    assert!(energy.advertised.contains(Speed::G10) && energy.partner.contains(Speed::G10));
    let config = rig.host.with_card(|card| card.mfw().phy_config(0));
    assert_eq!(config.eee, 0x100 << 4 | 0b1111);
    partner(
        &rig,
        Partner {
            eee: 0,
            ..Partner::default()
        },
    );
    let found = findings(&mut rig, &slow);
    assert_eq!(found, [LinkFinding::EnergyNotActive]);

    // At 25 Gb/s there is error correction, unless the partner knows none.
    let fast = LinkSettings {
        energy: None,
        ..wish
    };
    partner(&rig, Partner::default());
    assert_eq!(findings(&mut rig, &fast), []);
    let state = rig.adapter.link().unwrap();
    assert_eq!((state.fec, state.pause.receive), (Fec::ReedSolomon, true));
    partner(
        &rig,
        Partner {
            pause: 0,
            ..Partner::default()
        },
    );
    let found = findings(&mut rig, &fast);
    let no_pause = LinkFinding::NoPause {
        receive: true,
        transmit: true,
    };
    assert_eq!(found, [no_pause]);

    let late = LinkSettings {
        energy: Some(EnergyEfficiency {
            timer_us: 1 << 28,
            ..wish.energy.unwrap()
        }),
        ..wish
    };
    assert!(matches!(
        rig.adapter.set_link(&late),
        Err(Cause::Misuse(Misuse::IdleTimer(_)))
    ));
    rig.finish();
}

#[test]
fn negotiation_restarts_and_the_light_obeys() {
    let mut rig = rig();
    rig.adapter.poll_events(|_| {}).unwrap();
    let before = rig.adapter.port_statistics().unwrap().link_changes;
    rig.adapter.restart_negotiation().unwrap();
    rig.host.advance(10_000_000_000);
    assert!(rig.adapter.link().unwrap().up);
    let after = rig.adapter.port_statistics().unwrap().link_changes;
    assert!(after >= before + 2, "{before} then {after}");
    for led in [Led::On, Led::Off, Led::Operational] {
        assert!(rig.adapter.set_led(led).unwrap());
    }
    rig.adapter.link_down().unwrap();
    assert!(matches!(
        rig.adapter.restart_negotiation(),
        Err(Cause::Misuse(Misuse::NoLink))
    ));
    rig.finish();
}

#[test]
fn the_extended_form_is_for_a_firmware_that_announces_it() {
    let wish = |speed, fec| LinkSettings {
        extended: Some(ExtendedLink {
            speed,
            advertise: ExtendedSpeedSet::default().with(ExtendedSpeed::G10),
            fec,
        }),
        advertise: SpeedSet::default(),
        fec: None,
        ..LinkSettings::default()
    };
    let mut plain = rig();
    let before = plain.adapter.link().unwrap();
    assert_eq!(
        plain.adapter.set_link(&wish(None, ExtendedFec::empty())),
        Err(Cause::Misuse(Misuse::NoExtendedLink))
    );
    assert_eq!(plain.adapter.link().unwrap(), before, "nothing was sent");
    plain.finish();

    let persona = Persona::by_name("modern").unwrap();
    let features = persona.features | 1 << 6;
    let host = ModelHost::builder()
        .seed(11)
        .persona(persona.features(features));
    let mut rig = Rig::on(
        host,
        Setup {
            queues: 1,
            ..Setup::default()
        },
    );
    for (speed, fec, expected) in [
        (
            Some(ExtendedSpeed::G25),
            ExtendedFec::G25_RS528,
            (Speed::G25, Fec::ReedSolomon),
        ),
        (
            Some(ExtendedSpeed::G25),
            ExtendedFec::G25_FIRE_CODE,
            (Speed::G25, Fec::FireCode),
        ),
        (None, ExtendedFec::G10_NONE, (Speed::G10, Fec::None)),
        (
            None,
            ExtendedFec::G10_FIRE_CODE,
            (Speed::G10, Fec::FireCode),
        ),
    ] {
        let settings = wish(speed, fec);
        let found = findings(&mut rig, &settings);
        let link = rig.adapter.link().unwrap();
        assert_eq!((link.speed, link.fec), (Some(expected.0), expected.1));
        assert_eq!(link.autonegotiation, speed.is_none());
        assert_eq!(found, []);
    }
    // Four lanes of this port there are not.
    let found = findings(
        &mut rig,
        &wish(Some(ExtendedSpeed::G100R4), ExtendedFec::G100_RS528),
    );
    assert!(!rig.adapter.link().unwrap().up);
    assert!(
        found.contains(&LinkFinding::SpeedNotInFlash(Speed::G100)),
        "{found:?}"
    );
    rig.finish();
}
