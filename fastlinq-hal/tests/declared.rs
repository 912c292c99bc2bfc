//! Filters as a declared set: what the device receives is what was said, with as few ramrods as it takes.

mod rig;

use fastlinq_hal::adapter::{Cause, Misuse};
use fastlinq_hal::filters::{FilterSet, WhenFull};
use fastlinq_hal::slowpath::{EthReturnCode, FilterCommand, FirmwareReturnCode, RamrodError};
use fastlinq_hal::vport::{ReceiveMode, VportConfig, VportId};
use fastlinq_model_host::model::Chip;
use rig::frames::{ethernet, tagged};
use rig::{Rig, Setup};

const OTHER: [u8; 6] = [2, 0, 0, 0, 9, 9];
const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 7];
const BROADCAST: [u8; 6] = [0xff; 6];

fn one_queue(chip: Chip) -> Rig {
    Rig::new(Setup {
        chip,
        queues: 1,
        ..Setup::default()
    })
}

fn frame(to: [u8; 6]) -> Vec<u8> {
    ethernet(to, 0x88b5, &[5; 60])
}

fn received(rig: &mut Rig, frame: &[u8]) -> bool {
    rig.arrival(frame).is_some()
}

fn numbered(number: u16) -> [u8; 6] {
    let [high, low] = number.to_be_bytes();
    [2, 0, 0, 1, high, low]
}

#[test]
fn what_is_declared_is_received_and_nothing_else() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = one_queue(chip);
        let mut applied = rig.adapter.claim_filters(rig.vport).unwrap();
        let mac = rig.mac;
        let mut set = FilterSet::new(ReceiveMode::NORMAL);
        set.add_mac(mac).unwrap();
        set.add_multicast(GROUP).unwrap();
        let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
        // The tables are emptied, then filled; then the modes.
        assert_eq!((report.ramrods, report.added, report.removed), (3, 1, 0));
        let again = rig.adapter.apply_filters(&mut applied, &set).unwrap();
        assert_eq!(again.ramrods, 0);
        for (to, expected) in [
            (mac, true),
            (OTHER, false),
            (GROUP, true),
            ([1, 0, 0x5e, 0, 0, 8], false),
            (BROADCAST, true),
        ] {
            assert_eq!(received(&mut rig, &frame(to)), expected, "{to:02x?}");
        }

        // One address for another is one ramrod.
        assert!(set.remove_mac(mac));
        set.add_mac(OTHER).unwrap();
        let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
        assert_eq!((report.ramrods, report.added, report.removed), (1, 1, 1));
        assert!(!received(&mut rig, &frame(mac)));
        assert!(received(&mut rig, &frame(OTHER)));

        // Modes alone are one ramrod, too.
        set.mode = ReceiveMode::PROMISCUOUS;
        let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
        assert_eq!((report.ramrods, report.added, report.removed), (1, 0, 0));
        for to in [mac, OTHER, GROUP, [1, 0, 0x5e, 0, 0, 8]] {
            assert!(received(&mut rig, &frame(to)));
        }
        set.mode = ReceiveMode::NOTHING;
        rig.adapter.apply_filters(&mut applied, &set).unwrap();
        for to in [mac, OTHER, GROUP, BROADCAST] {
            assert!(!received(&mut rig, &frame(to)), "{to:02x?}");
        }
        rig.finish();
    }
}

#[test]
fn vlans_are_filtered_from_the_first_one_on() {
    let mut rig = one_queue(Chip::K2);
    let mut applied = rig.adapter.claim_filters(rig.vport).unwrap();
    let mut set = FilterSet::new(ReceiveMode::NORMAL);
    set.add_mac(rig.mac).unwrap();
    rig.adapter.apply_filters(&mut applied, &set).unwrap();
    let plain = frame(rig.mac);
    let vlan = |vlan| tagged(&plain, vlan);
    assert!(received(&mut rig, &plain) && received(&mut rig, &vlan(5)));

    // 25 of them take three ramrods, and one for "any VLAN".
    for id in 100..125 {
        set.add_vlan(id).unwrap();
    }
    let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
    assert_eq!((report.ramrods, report.added), (4, 25));
    assert!(received(&mut rig, &vlan(100)) && received(&mut rig, &vlan(124)));
    assert!(!received(&mut rig, &vlan(125)) && !received(&mut rig, &plain));
    set.add_vlan(0).unwrap();
    rig.adapter.apply_filters(&mut applied, &set).unwrap();
    assert!(received(&mut rig, &plain));

    // Without any, all pass again.
    for id in (100..125).chain([0]) {
        assert!(set.remove_vlan(id));
    }
    let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
    assert_eq!((report.ramrods, report.removed), (4, 26));
    assert!(received(&mut rig, &vlan(125)) && received(&mut rig, &plain));
    assert!(applied.vlans().is_empty());
    rig.finish();
}

/// Fills the engine's table of addresses but for `left` places.
fn fill(rig: &mut Rig, other: VportId, left: u16) {
    let total = 512 - left;
    // One place is the address of the rig's vport.
    for number in 1..total {
        rig.adapter.add_mac_filter(other, numbered(number)).unwrap();
    }
}

#[test]
fn a_full_table_is_named_and_the_state_stays_exact() {
    let mut rig = one_queue(Chip::K2);
    let other = rig.adapter.start_vport(VportConfig::default()).unwrap();
    fill(&mut rig, other, 4);
    let mut applied = rig.adapter.claim_filters(rig.vport).unwrap();
    let mut set = FilterSet::new(ReceiveMode::NORMAL);
    // Five places: four free ones, and that of the vport's address, which the set does not name.
    for number in 1000..1008 {
        set.add_mac(numbered(number)).unwrap();
    }
    let failed = rig.adapter.apply_filters(&mut applied, &set).unwrap_err();
    let at = FilterCommand::AddMac(numbered(1005));
    assert_eq!(failed.at, Some(at));
    assert!(matches!(
        failed.cause,
        Cause::Ramrod(RamrodError::Refused {
            code: FirmwareReturnCode::Eth {
                code: EthReturnCode::MacAddCamFull,
                ..
            },
            ..
        })
    ));
    assert!(failed.to_string().contains("full"), "{failed}");
    assert!(applied.is_certain());
    let there: Vec<_> = (1000..1005).map(numbered).collect();
    assert_eq!(applied.macs(), there);
    // The modes are still those that the rig set; the device has what is written down, no more and no less.
    for number in 1000..1008 {
        let expected = number < 1005;
        assert_eq!(received(&mut rig, &frame(numbered(number))), expected);
    }

    // With room made, the same set goes on where it stopped.
    for number in 1..4 {
        rig.adapter
            .remove_mac_filter(other, numbered(number))
            .unwrap();
    }
    let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
    assert_eq!((report.added, report.removed), (3, 0));
    for number in 1000..1008 {
        assert!(received(&mut rig, &frame(numbered(number))));
    }
    rig.adapter.stop_vport(other).unwrap();
    rig.finish();
}

#[test]
fn a_full_table_may_widen_what_is_received() {
    let mut rig = one_queue(Chip::K2);
    let other = rig.adapter.start_vport(VportConfig::default()).unwrap();
    fill(&mut rig, other, 2);
    let mut applied = rig.adapter.claim_filters(rig.vport).unwrap();
    let mut set = FilterSet::new(ReceiveMode::NORMAL);
    set.when_full = WhenFull::Widen;
    for number in 1000..1010 {
        set.add_mac(numbered(number)).unwrap();
    }
    let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
    assert!(report.widened.macs && !report.widened.vlans);
    assert_eq!(applied.macs().len(), 3);
    for number in 1000..1010 {
        assert!(received(&mut rig, &frame(numbered(number))));
    }
    rig.adapter.stop_vport(other).unwrap();
    // The other vport's filters are gone with it, so the set fits now.
    let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
    assert_eq!((report.added, report.widened.macs), (7, false));
    assert!(!received(&mut rig, &frame(numbered(1010))));
    rig.finish();
}

#[test]
fn more_vlans_than_the_function_may_have_are_refused_or_widen() {
    let mut rig = one_queue(Chip::K2);
    let mut applied = rig.adapter.claim_filters(rig.vport).unwrap();
    let mut set = FilterSet::new(ReceiveMode::NORMAL);
    set.add_mac(rig.mac).unwrap();
    for vlan in 0..600 {
        set.add_vlan(vlan).unwrap();
    }
    let failed = rig.adapter.apply_filters(&mut applied, &set).unwrap_err();
    assert!(matches!(
        failed.cause,
        Cause::Misuse(Misuse::TooManyFilters { share: 512 })
    ));
    set.when_full = WhenFull::Widen;
    let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
    assert!(report.widened.vlans);
    let vlan = tagged(&frame(rig.mac), 3000);
    assert!(received(&mut rig, &vlan));
    rig.finish();
}

#[test]
fn changes_past_the_set_and_lost_answers_begin_anew() {
    let mut rig = one_queue(Chip::K2);
    let mut applied = rig.adapter.claim_filters(rig.vport).unwrap();
    let mut set = FilterSet::new(ReceiveMode::NORMAL);
    set.add_mac(rig.mac).unwrap();
    rig.adapter.apply_filters(&mut applied, &set).unwrap();

    // Somebody adds an address past the set: the set wins.
    rig.adapter.add_mac_filter(rig.vport, OTHER).unwrap();
    assert!(received(&mut rig, &frame(OTHER)));
    let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
    assert!(report.ramrods > 0);
    assert!(!received(&mut rig, &frame(OTHER)));

    // The device is away for the time of a call.
    set.add_mac(OTHER).unwrap();
    rig.host.faults().vanish();
    let failed = rig.adapter.apply_filters(&mut applied, &set).unwrap_err();
    assert!(
        matches!(failed.cause, Cause::Ramrod(RamrodError::DeviceGone { .. })),
        "{failed}"
    );
    assert!(!applied.is_certain());
    rig.host.faults().clear();
    rig.adapter.apply_filters(&mut applied, &set).unwrap();
    assert!(applied.is_certain());
    let mac = rig.mac;
    assert!(received(&mut rig, &frame(OTHER)) && received(&mut rig, &frame(mac)));

    // What was claimed before a restart of the vport is of no use afterwards, and harmless.
    rig.close(0);
    rig.adapter.stop_vport(rig.vport).unwrap();
    let failed = rig.adapter.apply_filters(&mut applied, &set).unwrap_err();
    assert!(matches!(
        failed.cause,
        Cause::Misuse(Misuse::NoSuchVport(_))
    ));
    rig.vport = rig.adapter.start_vport(VportConfig::default()).unwrap();
    let report = rig.adapter.apply_filters(&mut applied, &set).unwrap();
    assert_eq!(report.added, 2);
    rig.finish();
}
