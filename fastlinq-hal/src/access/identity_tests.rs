use super::*;
use crate::access::fake::{agreeable, card};

#[test]
fn functions_are_counted_as_the_reference_says() {
    // Nothing hidden.
    assert_eq!(visible_functions(Chip::K2, false, 0, 3, 3, 0), (16, 3));
    assert_eq!(visible_functions(Chip::Bb, false, 1, 3, 7, 0), (8, 3));
    // K2 with functions 0 and 1.
    assert_eq!(visible_functions(Chip::K2, false, 0, 1, 1, 0xfffd), (2, 1));
    assert_eq!(visible_functions(Chip::K2, false, 0, 0, 0, 0xfffd), (2, 0));
    // K2 where only every second function is visible: function 4 is the third.
    assert_eq!(visible_functions(Chip::K2, false, 0, 4, 4, 0xaaab), (8, 2));
    // BB, functions 0 to 3 visible: two on each path.
    assert_eq!(visible_functions(Chip::Bb, false, 0, 1, 2, 0xfff1), (2, 1));
    assert_eq!(visible_functions(Chip::Bb, false, 1, 1, 3, 0xfff1), (2, 1));
    // Everything hidden cannot be, and divides by nothing.
    assert_eq!(
        visible_functions(Chip::K2, false, 0, 15, 15, u32::MAX),
        (1, 1)
    );
}

#[test]
fn the_registers_are_read() {
    let mut core = card(agreeable);
    core.host.identity.device = 0x1656;
    {
        let mut card = core.card();
        card.opaque = 0x1234;
        // Function 5 of the chip: 2 on engine 1, port 1.
        card.concrete = 0x0005_0052;
        card.set(0x976c, 0xffff_1656);
        card.set(0x9770, 0xf1);
        card.set(0x9774, 0x1ff);
        card.set(0x9778, 0x50);
        card.set(0x2a_ae60, 4);
        card.set(0x2a_ae64, 0);
        card.set(0x8c00, 1);
    }
    core.identify().expect("identified");
    let identity = core.identity;
    assert_eq!(identity.chip, Chip::Bb);
    assert_eq!((identity.rel_pf, identity.abs_pf), (2, 5));
    assert_eq!((identity.path, identity.port), (1, 1));
    assert_eq!(identity.mcp_pf, 10);
    assert_eq!((identity.opaque_fid, identity.concrete_fid), (0x1234, 0x52));
    assert_eq!((identity.chip_number, identity.chip_revision), (0x1656, 1));
    assert_eq!((identity.chip_metal, identity.bond_id), (0xff, 5));
    assert_eq!(identity.ports_per_engine, 2);
    assert_eq!(identity.register_bar_bytes, 512 * 1024);
    assert_eq!(identity.doorbell_bar_bytes, OLD_BAR_BYTES);
    assert!(!identity.coupled);
    // Whatever an earlier driver pretended to be has ended.
    for window in [2, 4, 11] {
        assert_eq!(core.card().pretends[window], 0xe000_0002);
    }
}

#[test]
fn an_unknown_port_mode_is_one_port() {
    for (mode, ports) in [(0, 1), (1, 2), (2, 4), (3, 1), (0xdead_beaf, 1)] {
        let mut core = card(agreeable);
        core.card().set(0x8c00, mode);
        core.identify().expect("identified");
        assert_eq!(core.identity.ports_per_engine, ports);
    }
}

#[test]
fn others_are_refused() {
    let mut core = card(agreeable);
    core.host.identity.device = 0x100e;
    assert_eq!(
        core.identify(),
        Err(AccessError::NotThisFamily {
            vendor: 0x1077,
            device: 0x100e
        })
    );
    core.host.identity.vendor = 0x8086;
    core.host.identity.device = 0x8070;
    assert!(matches!(
        core.identify(),
        Err(AccessError::NotThisFamily { .. })
    ));
    assert!(core.card().raw_writes.is_empty(), "nothing was touched");
}

#[test]
fn a_lost_device_is_told() {
    let mut core = card(agreeable);
    core.host.identity.revision = 0xff;
    assert_eq!(core.identify(), Err(AccessError::DeviceGone));
    core.host.identity.revision = 2;
    core.card().gone = true;
    assert_eq!(core.identify(), Err(AccessError::DeviceGone));
    for reads in 0..12 {
        let mut core = card(agreeable);
        core.card().reads_left = Some(reads);
        assert_eq!(
            core.identify(),
            Err(AccessError::DeviceGone),
            "{reads} reads"
        );
    }
}

#[test]
fn impossible_functions_are_refused() {
    // A VF; the second engine of K2; PF 8 of an engine of BB.
    for (device, concrete) in [(0x8070, 0x180), (0x8070, 0x40), (0x1656, 0x0008_0008)] {
        let mut core = card(agreeable);
        core.host.identity.device = device;
        core.card().concrete = concrete;
        assert_eq!(
            core.identify(),
            Err(AccessError::ImpossibleFunction { concrete })
        );
    }
}

#[test]
fn a_coupled_function_has_one_port() {
    let mut core = card(agreeable);
    core.host.identity.device = 0x1644;
    core.card().set(0x971c, 1);
    core.card().set(0x8c00, 2);
    core.identify().expect("identified");
    assert!(core.identity.coupled);
    assert_eq!(core.identity.ports_per_engine, 1);
}
