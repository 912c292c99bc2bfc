use super::*;

const ALL: LinkFeatures = LinkFeatures {
    eee: true,
    fec: true,
    extended: false,
};

fn port() -> PortLink {
    PortLink::new(speed::G10 | speed::G25, ALL, Some(Partner::default()))
}

fn autoneg() -> PhyConfig {
    PhyConfig {
        advertised: 0x7f,
        pause: 7,
        fec: 7,
        ..PhyConfig::default()
    }
}

fn after(port: &mut PortLink, config: PhyConfig) -> Resolved {
    port.configure(0, config).unwrap();
    port.update(0);
    port.resolved()
}

#[test]
fn the_link_waits_for_a_driver() {
    let mut port = port();
    assert_eq!(port.resolved().status, STATUS_RX_SIGNAL);
    let resolved = after(&mut port, autoneg());
    assert!(resolved.is_up());
    assert_eq!(resolved.speed_mbps, 25_000);
    assert_eq!(resolved.status >> 1 & 0xf, 8);
    assert_eq!(resolved.status >> 27 & 7, Fec::Rs as u32);
    assert_ne!(resolved.status & STATUS_AUTONEG_COMPLETE, 0);
    port.release(0);
    assert!(port.update(0).unwrap().is_up());
    assert!(!port.resolved().is_up());
}

#[test]
fn one_function_cannot_take_the_link_from_another() {
    let mut port = port();
    port.configure(1, autoneg()).unwrap();
    after(&mut port, autoneg());
    port.release(0);
    assert!(port.update(0).is_none());
    assert!(port.resolved().is_up());
}

#[test]
fn every_speed_has_its_code() {
    for (bit, mbps, code, _) in SPEEDS {
        let mut port = PortLink::new(bit, ALL, Some(Partner::default()));
        let resolved = after(
            &mut port,
            PhyConfig {
                speed: mbps,
                ..PhyConfig::default()
            },
        );
        assert_eq!(
            (resolved.speed_mbps, resolved.status >> 1 & 0xf),
            (mbps, code)
        );
        assert_eq!(resolved.status & STATUS_AUTONEG_ENABLED, 0);
    }
}

#[test]
fn impossible_speeds_are_named() {
    let mut port = port();
    assert_eq!(
        port.configure(
            0,
            PhyConfig {
                speed: 12_345,
                ..autoneg()
            }
        ),
        Err(InvalidPhyConfig)
    );
    assert_eq!(
        port.configure(
            0,
            PhyConfig {
                loopback: 10,
                ..autoneg()
            }
        ),
        Err(InvalidPhyConfig)
    );
    let resolved = after(
        &mut port,
        PhyConfig {
            speed: 100_000,
            ..autoneg()
        },
    );
    assert_ne!(resolved.status & STATUS_UNSUPPORTED_SPEED, 0);
    assert!(!resolved.is_up());
}

#[test]
fn a_partner_with_other_speeds_or_correction_gives_a_fault() {
    let mut port = port();
    port.set_partner(Some(Partner {
        speeds: speed::G100,
        ..Partner::default()
    }));
    assert_eq!(
        after(&mut port, autoneg()).status & (STATUS_UP | STATUS_MAC_LOCAL_FAULT),
        STATUS_MAC_LOCAL_FAULT
    );
    port.set_partner(Some(Partner {
        fec: 1,
        ..Partner::default()
    }));
    let forced = PhyConfig {
        fec: 2,
        ..autoneg()
    };
    assert_eq!(
        after(&mut port, forced).status & (STATUS_UP | STATUS_MAC_LOCAL_FAULT),
        STATUS_MAC_LOCAL_FAULT
    );
    assert!(after(&mut port, autoneg()).is_up());
}

#[test]
fn no_cable_no_link_unless_looped() {
    let mut port = PortLink::new(speed::G10, ALL, None);
    assert!(!after(&mut port, autoneg()).is_up());
    assert_eq!(port.resolved().status & STATUS_RX_SIGNAL, 0);
    for code in [1, 2, 4, 5, 6, 7, 9] {
        let resolved = after(
            &mut port,
            PhyConfig {
                loopback: code,
                ..autoneg()
            },
        );
        assert!(resolved.is_up() && resolved.loopback.returns_frames());
    }
    for code in [0, 3, 8] {
        assert!(
            !after(
                &mut port,
                PhyConfig {
                    loopback: code,
                    ..autoneg()
                }
            )
            .is_up()
        );
    }
}

#[test]
fn pause_follows_negotiation_or_force() {
    let flow = |pause, partner| {
        let mut port = port();
        port.set_partner(Some(Partner {
            pause: partner,
            ..Partner::default()
        }));
        after(&mut port, PhyConfig { pause, ..autoneg() }).status >> 21 & 3
    };
    assert_eq!(flow(7, 1), 3);
    assert_eq!(flow(7, 0), 0);
    assert_eq!(flow(1 | PAUSE_RX, 2), 2);
    assert_eq!(flow(1 | PAUSE_TX, 3), 1);
    assert_eq!(flow(1 | PAUSE_TX, 1), 0);
    assert_eq!(flow(PAUSE_RX, 0), 2);
    assert_eq!(flow(PAUSE_TX, 0), 1);
}

#[test]
fn energy_efficiency_is_active_only_at_agreed_speeds() {
    let eee = EEE_ENABLED | 1 << 2 | 1 << 3;
    let mut port = port();
    let at_10g = after(
        &mut port,
        PhyConfig {
            speed: 10_000,
            eee,
            ..autoneg()
        },
    );
    assert_eq!(at_10g.eee_status, 0x6661);
    let at_25g = after(
        &mut port,
        PhyConfig {
            speed: 25_000,
            eee,
            ..autoneg()
        },
    );
    assert_eq!(at_25g.eee_status & 1, 0);
    assert_eq!(
        after(
            &mut port,
            PhyConfig {
                speed: 10_000,
                ..autoneg()
            }
        )
        .eee_status
            & 0xf1,
        0
    );
}

#[test]
fn training_keeps_the_link_down_for_a_while() {
    let mut port = port();
    port.set_training(1_000);
    assert!(!after(&mut port, autoneg()).is_up());
    assert!(port.update(999).is_none());
    port.update(1_000);
    assert!(port.resolved().is_up());
}

#[test]
fn extended_speeds_count_only_when_the_feature_is_there() {
    let extended = PhyConfig {
        speed: 10_000,
        extended_speed: 0x0008,
        ..PhyConfig::default()
    };
    assert_eq!(after(&mut port(), extended).speed_mbps, 10_000);
    let features = LinkFeatures {
        extended: true,
        ..ALL
    };
    let mut port = PortLink::new(speed::G10 | speed::G25, features, Some(Partner::default()));
    assert_eq!(after(&mut port, extended).speed_mbps, 25_000);
    let offered = PhyConfig {
        extended_speed: 1 << 17,
        ..PhyConfig::default()
    };
    assert_eq!(after(&mut port, offered).speed_mbps, 10_000);
}

#[test]
fn the_extended_encoding_chooses_speed_and_correction() {
    let features = LinkFeatures {
        extended: true,
        ..ALL
    };
    let every = 0x7f;
    // Forced or offered, allowed corrections, and what comes of it: Mb/s and correction.
    let cases = [
        (0x08, 0x1000, Some((25_000, Fec::Rs))),
        (0x08, 0x0800, Some((25_000, Fec::FireCode))),
        (0x08, 0x0400, Some((25_000, Fec::None))),
        (0x08, 0x1c00, Some((25_000, Fec::Rs))),
        // Bits of another speed leave the basic field in force.
        (0x08, 0x0100 | 1, Some((25_000, Fec::FireCode))),
        (0x20, 0x4_0000, Some((50_000, Fec::Rs))),
        (0x200, 0x20_0000, Some((100_000, Fec::Rs))),
        (0x0006 << 15 | 1, 0x0200 | 2, Some((10_000, Fec::FireCode))),
        (0x0800_0000, 0, None),
    ];
    for (extended_speed, fec, expected) in cases {
        let mut port = PortLink::new(every, features, Some(Partner::default()));
        let config = PhyConfig {
            extended_speed,
            fec,
            advertised: 0,
            ..autoneg()
        };
        let resolved = after(&mut port, config);
        let found = resolved
            .is_up()
            .then_some((resolved.speed_mbps, resolved.status >> 27 & 7));
        let expected = expected.map(|(speed, fec)| (speed, fec as u32));
        assert_eq!(found, expected, "{extended_speed:#x} {fec:#x}");
    }
    // What the partner does not accept is no link, and without the capability the words do not count.
    let partner = Partner {
        fec: 0b011,
        ..Partner::default()
    };
    let config = PhyConfig {
        extended_speed: 8,
        fec: 0x1000,
        advertised: speed::G10,
        ..autoneg()
    };
    let mut port = PortLink::new(every, features, Some(partner));
    assert!(!after(&mut port, config).is_up());
    let mut port = PortLink::new(every, ALL, Some(partner));
    assert_eq!(after(&mut port, config).speed_mbps, 10_000);
}
