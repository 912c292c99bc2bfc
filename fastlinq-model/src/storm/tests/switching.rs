//! Internal switching and forced destinations.

use fastlinq_pac::hsi::{PfStartRamrodData, VportStartRamrodData};

use super::frames::{BROADCAST, OURS, THEIRS, plain};
use super::harness::{Bench, Driver, RxRing, TxRing, one_bd, pf_start_data, vport_data};
use crate::fabric::StormId;

/// Two vports of one PF; the first transmits.
fn ready(bench: &mut Bench, data: VportStartRamrodData) -> (Driver, TxRing, Vec<RxRing>) {
    let mut driver = Driver::started(bench, 0);
    let rings = [0u8, 1].map(|id| {
        driver.start_vport_with(
            bench,
            VportStartRamrodData {
                vport_id: id,
                ..data
            },
        );
        let mut ring = driver.start_rx(bench, id.into(), id, 1536, 1, 1);
        ring.fill(bench, 50);
        ring
    });
    driver.add_mac(bench, 0, THEIRS);
    driver.add_mac(bench, 1, OURS);
    let tx = driver.start_tx(bench, 40, 0, 1);
    (driver, tx, rings.into())
}

#[test]
fn owned_addresses_stay_inside() {
    let mut bench = Bench::new();
    let (driver, mut tx, mut rings) = ready(
        &mut bench,
        VportStartRamrodData {
            tx_switching_en: 1,
            ..vport_data(0)
        },
    );
    let frame = plain(OURS, 80);
    tx.send(&mut bench, &driver, &one_bd(&frame, 0));
    assert_eq!(rings[1].packet(&bench).unwrap().1, frame);
    assert!(bench.fabric.wire.is_empty());
    tx.send(&mut bench, &driver, &one_bd(&plain(BROADCAST, 80), 0));
    assert!(rings[1].packet(&bench).is_some());
    assert!(rings[0].packet(&bench).is_none(), "not to its source");
    assert_eq!(bench.fabric.wire.len(), 1);
    tx.send(
        &mut bench,
        &driver,
        &one_bd(&plain([2, 9, 9, 9, 9, 9], 80), 0),
    );
    assert_eq!(bench.fabric.wire.len(), 2);
    assert!(rings[1].packet(&bench).is_none());
    assert_eq!(
        bench.counter(StormId::U, 0xe840 + 24),
        1,
        "switched unicast packets"
    );
    bench.assert_quiet();
}

#[test]
fn without_switching_everything_leaves() {
    let mut bench = Bench::new();
    let (driver, mut tx, mut rings) = ready(&mut bench, vport_data(0));
    tx.send(&mut bench, &driver, &one_bd(&plain(OURS, 80), 0));
    assert_eq!(bench.fabric.wire.len(), 1);
    assert!(rings[1].packet(&bench).is_none());
}

#[test]
fn a_vport_can_force_its_destination() {
    for (mode, on_wire, inside) in [(0, 1, false), (1, 0, true), (2, 1, true), (3, 0, false)] {
        let mut bench = Bench::new();
        let data = VportStartRamrodData {
            tx_dst_port_mode_config: 2,
            tx_dst_port_mode: mode,
            dst_vport_id: 1,
            dst_vport_id_valid: 1,
            ..vport_data(0)
        };
        let (driver, mut tx, mut rings) = ready(&mut bench, data);
        tx.send(
            &mut bench,
            &driver,
            &one_bd(&plain([2, 9, 9, 9, 9, 9], 80), 0),
        );
        assert_eq!(
            (bench.fabric.wire.len(), rings[1].packet(&bench).is_some()),
            (on_wire, inside)
        );
    }
}

#[test]
fn between_functions_only_when_allowed() {
    for allowed in [0u8, 1] {
        let mut bench = Bench::new();
        let mut first = Driver::prepare(&mut bench, 0);
        let data = PfStartRamrodData {
            allow_npar_tx_switching: allowed,
            ..pf_start_data()
        };
        assert_eq!(first.start(&mut bench, data), 0);
        first.start_vport_with(
            &mut bench,
            VportStartRamrodData {
                tx_switching_en: 1,
                ..vport_data(0)
            },
        );
        let mut tx = first.start_tx(&mut bench, 40, 0, 1);
        let mut second = Driver::started(&mut bench, 1);
        second.start_vport(&mut bench, 1);
        second.add_mac(&mut bench, 1, OURS);
        let mut ring = second.start_rx(&mut bench, 1, 1, 1536, 1, 1);
        ring.fill(&mut bench, 10);
        tx.send(&mut bench, &first, &one_bd(&plain(OURS, 80), 0));
        assert_eq!(
            (ring.packet(&bench).is_some(), bench.fabric.wire.len()),
            (allowed == 1, usize::from(allowed == 0))
        );
    }
}

#[test]
fn an_outer_tag_divides_functions() {
    let mut bench = Bench::new();
    let mut driver = Driver::prepare(&mut bench, 0);
    let mut data = PfStartRamrodData {
        mf_mode: 1,
        ..pf_start_data()
    };
    data.outer_tag_config.outer_tag.tpid = 0x8100.into();
    data.outer_tag_config.outer_tag.tci = 500.into();
    assert_eq!(driver.start(&mut bench, data), 0);
    driver.start_vport(&mut bench, 0);
    driver.add_mac(&mut bench, 0, OURS);
    let mut ring = driver.start_rx(&mut bench, 0, 0, 1536, 1, 1);
    ring.fill(&mut bench, 10);
    let mut tx = driver.start_tx(&mut bench, 40, 0, 1);
    tx.send(&mut bench, &driver, &one_bd(&plain(OURS, 80), 0));
    let (_, frame) = bench.fabric.wire.pop().unwrap();
    assert_eq!(frame[12..16], [0x81, 0, 1, 0xf4]);
    bench.receive(&frame);
    assert_eq!(ring.packet(&bench).unwrap().1, plain(OURS, 80));
    bench.receive(&plain(OURS, 80));
    assert!(ring.packet(&bench).is_none());
    assert_eq!(bench.counter(StormId::T, 0x3288 + 16), 1);
}
