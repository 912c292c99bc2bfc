//! Receive: placement, completions, flags, classification, discards.

use fastlinq_pac::hsi::{
    EthFilterAction, EthFilterType, VportStartRamrodData, VportUpdateRamrodData,
};

use super::frames::{
    BROADCAST, OURS, THEIRS, assert_checksums, plain, tagged, tcp4, tcp6, udp4, vxlan,
};
use super::harness::{Bench, Driver, RxRing, vport_data};
use crate::fabric::{Fabric, Function, StormId};

const M_QUEUE_STAT: u32 = 0x3d20;
const U_QUEUE_STAT: u32 = 0x8960;
const T_PORT_STAT: u32 = 0x3288;

/// A PF with vport 0, one receive queue, and its own address filtered.
fn ready(bench: &mut Bench, buffer_bytes: u16) -> (Driver, RxRing) {
    let mut driver = Driver::started(bench, 0);
    driver.start_vport(bench, 0);
    let ring = driver.start_rx(bench, 5, 0, buffer_bytes, 2, 2);
    driver.add_mac(bench, 0, OURS);
    (driver, ring)
}

#[test]
fn a_frame_arrives_whole() {
    let mut bench = Bench::new();
    let (_driver, mut ring) = ready(&mut bench, 1536);
    ring.fill(&mut bench, 20);
    let frame = plain(OURS, 300);
    bench.receive(&frame);
    let (cqe, bytes) = ring.packet(&bench).unwrap();
    assert_eq!(bytes, frame);
    assert_eq!(
        (
            cqe.placement_offset,
            cqe.bd_num,
            cqe.vlan_tag.get(),
            cqe.pars_flags.flags.get()
        ),
        (2, 1, 0, 0)
    );
    assert_eq!(bench.counter(StormId::U, U_QUEUE_STAT), 300);
    assert_eq!(bench.counter(StormId::U, U_QUEUE_STAT + 24), 1);
    bench.assert_quiet();
}

#[test]
fn a_frame_spreads_over_buffers() {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench, 256);
    ring.fill(&mut bench, 20);
    for length in [254, 255, 510, 511, 1278] {
        let frame = plain(OURS, length);
        bench.receive(&frame);
        let (cqe, bytes) = ring.packet(&bench).unwrap();
        assert_eq!(bytes, frame);
        assert_eq!(usize::from(cqe.bd_num), 1 + (length - 254).div_ceil(256));
    }
    bench.receive(&plain(OURS, 1279));
    assert!(ring.packet(&bench).is_none(), "more than five buffers");
    assert_eq!(bench.counter(StormId::M, M_QUEUE_STAT + 16), 1);
    assert_eq!(driver.stop_rx(&mut bench, &ring, false), 0);
    bench.assert_quiet();
}

#[test]
fn indices_wrap_and_links_are_stepped_over_lazily() {
    let mut bench = Bench::new();
    let (_driver, mut ring) = ready(&mut bench, 256);
    ring.fill(&mut bench, 510);
    assert_eq!(ring.bd_producer, 510, "the producer rests on the link");
    let frame = plain(OURS, 300);
    for _ in 0..70_000 {
        bench.receive(&frame);
        let (cqe, bytes) = ring.packet(&bench).expect("buffers are never short");
        assert_eq!(bytes, frame);
        bench.scratch(|bench| ring.fill(bench, cqe.bd_num.into()));
    }
    bench.assert_quiet();
    assert_eq!(bench.counter(StormId::U, U_QUEUE_STAT + 24), 70_000);
}

#[test]
fn all_buffers_but_no_more_are_used() {
    let mut bench = Bench::new();
    let (_driver, mut ring) = ready(&mut bench, 1536);
    ring.fill(&mut bench, 512);
    let frame = plain(OURS, 100);
    for _ in 0..520 {
        bench.receive(&frame);
    }
    let taken = core::iter::from_fn(|| ring.packet(&bench)).count();
    assert_eq!(taken, 256, "as many completions as there is room for");
    ring.publish(&mut bench);
    for _ in 0..300 {
        bench.receive(&frame);
    }
    let taken = core::iter::from_fn(|| ring.packet(&bench)).count();
    assert_eq!(taken, 256, "the rest of the buffers");
    assert_eq!(bench.counter(StormId::M, M_QUEUE_STAT + 16), 264 + 44);
    ring.fill(&mut bench, 1);
    bench.receive(&frame);
    assert!(ring.packet(&bench).is_some(), "the queue recovers");
    bench.assert_quiet();
}

#[test]
fn tags_are_stripped_reported_or_left() {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench, 1536);
    ring.fill(&mut bench, 20);
    let frame = tagged(OURS, 0x6007, 100);
    bench.receive(&frame);
    assert!(ring.packet(&bench).is_none(), "no filter for VLAN 7");
    assert_eq!(bench.counter(StormId::T, T_PORT_STAT + 24), 1);
    assert_eq!(
        driver.filter(
            &mut bench,
            0,
            EthFilterType::VLAN,
            EthFilterAction::ADD,
            [0; 6],
            7
        ),
        0
    );
    bench.receive(&frame);
    let (cqe, bytes) = ring.packet(&bench).unwrap();
    assert_eq!(
        (cqe.vlan_tag.get(), cqe.pars_flags.flags.get(), bytes.len()),
        (0x6007, 1 << 5, 96)
    );
    assert_eq!(bytes[12..14], frame[16..18]);
    let mut update = VportUpdateRamrodData::default();
    update.common.update_inner_vlan_removal_en_flg = 1;
    update.common.inner_vlan_removal_en = 1;
    update.common.silent_vlan_removal_en = 1;
    driver.update_vport(&mut bench, &update);
    bench.receive(&frame);
    let (cqe, bytes) = ring.packet(&bench).unwrap();
    assert_eq!((cqe.vlan_tag.get(), bytes.len()), (0, 96));
    update.common.inner_vlan_removal_en = 0;
    driver.update_vport(&mut bench, &update);
    bench.receive(&frame);
    let (cqe, bytes) = ring.packet(&bench).unwrap();
    assert_eq!((cqe.vlan_tag.get(), bytes), (0, frame));
}

#[test]
fn classification_by_mode() {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench, 1536);
    ring.fill(&mut bench, 60);
    let other = plain(THEIRS, 60);
    let multicast = plain([0x01, 0, 0x5e, 0, 0, 1], 60);
    let broadcast = plain(BROADCAST, 60);
    let mut got = |bench: &mut Bench, frame: &[u8]| {
        bench.receive(frame);
        ring.packet(bench).is_some()
    };
    assert_eq!(
        (
            got(&mut bench, &other),
            got(&mut bench, &multicast),
            got(&mut bench, &broadcast)
        ),
        (false, false, true)
    );
    driver.set_rx_mode(&mut bench, 0, 0x34);
    assert_eq!(
        (got(&mut bench, &other), got(&mut bench, &multicast)),
        (true, true)
    );
    driver.set_rx_mode(&mut bench, 0, 0x09);
    assert_eq!(
        (
            got(&mut bench, &plain(OURS, 60)),
            got(&mut bench, &broadcast)
        ),
        (false, false)
    );
    driver.set_rx_mode(&mut bench, 0, 0x20);
    let mut update = VportUpdateRamrodData::default();
    update.common.update_approx_mcast_flg = 1;
    update.approx_mcast.bins[212 / 32] = (1 << (212 % 32)).into();
    driver.update_vport(&mut bench, &update);
    assert!(got(&mut bench, &multicast), "its bin is set");
    assert!(
        !got(&mut bench, &plain([0x33, 0x33, 0, 0, 0, 1], 60)),
        "another bin"
    );
    assert_eq!(
        bench.counter(StormId::U, U_QUEUE_STAT + 32),
        2,
        "multicast packets"
    );
    assert_eq!(
        bench.counter(StormId::U, U_QUEUE_STAT + 40),
        1,
        "broadcast packets"
    );
}

#[test]
fn unmatched_goes_to_the_promiscuous_vport_only_when_nobody_owns_it() {
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    let mut rings = Vec::new();
    for id in [0u8, 1] {
        driver.start_vport(&mut bench, id);
        let mut ring = driver.start_rx(&mut bench, id.into(), id, 1536, 1, 1);
        ring.fill(&mut bench, 20);
        rings.push(ring);
    }
    driver.add_mac(&mut bench, 1, OURS);
    driver.set_rx_mode(&mut bench, 0, 0x34);
    bench.receive(&plain(OURS, 60));
    assert!(rings[0].packet(&bench).is_none() && rings[1].packet(&bench).is_some());
    bench.receive(&plain(THEIRS, 60));
    assert!(rings[0].packet(&bench).is_some() && rings[1].packet(&bench).is_none());
    bench.receive(&plain(BROADCAST, 60));
    assert!(
        rings[0].packet(&bench).is_some() && rings[1].packet(&bench).is_some(),
        "a copy each"
    );
}

#[test]
fn pair_filters_and_any_vlan() {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench, 1536);
    ring.fill(&mut bench, 20);
    assert_eq!(
        driver.filter(
            &mut bench,
            0,
            EthFilterType::PAIR,
            EthFilterAction::ADD,
            THEIRS,
            9
        ),
        0
    );
    bench.receive(&tagged(THEIRS, 9, 64));
    assert!(ring.packet(&bench).is_some());
    bench.receive(&tagged(THEIRS, 8, 64));
    assert!(ring.packet(&bench).is_none());
    let mut update = VportUpdateRamrodData::default();
    update.common.update_accept_any_vlan_flg = 1;
    update.common.accept_any_vlan = 1;
    driver.update_vport(&mut bench, &update);
    bench.receive(&tagged(OURS, 1234, 64));
    assert!(ring.packet(&bench).is_some());
}

#[test]
fn a_vport_without_untagged_filter_takes_any_vlan_until_it_has_one() {
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    driver.start_vport_with(
        &mut bench,
        VportStartRamrodData {
            untagged: 0,
            ..vport_data(0)
        },
    );
    let mut ring = driver.start_rx(&mut bench, 0, 0, 1536, 1, 1);
    ring.fill(&mut bench, 20);
    driver.add_mac(&mut bench, 0, OURS);
    bench.receive(&tagged(OURS, 77, 64));
    assert!(ring.packet(&bench).is_some());
    assert_eq!(
        driver.filter(
            &mut bench,
            0,
            EthFilterType::VLAN,
            EthFilterAction::ADD,
            [0; 6],
            5
        ),
        0
    );
    bench.receive(&tagged(OURS, 77, 64));
    bench.receive(&plain(OURS, 64));
    assert!(ring.packet(&bench).is_none());
    bench.receive(&tagged(OURS, 5, 64));
    assert!(ring.packet(&bench).is_some());
}

#[test]
fn discards_are_counted_and_counters_can_be_cleared() {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench, 4000);
    bench.receive(&plain(OURS, 60));
    assert_eq!(bench.counter(StormId::M, M_QUEUE_STAT + 16), 1, "no buffer");
    bench.fabric.set_ram64(StormId::M, M_QUEUE_STAT + 16, 0);
    ring.fill(&mut bench, 20);
    bench.receive(&plain(OURS, 1515));
    assert_eq!(bench.counter(StormId::M, M_QUEUE_STAT + 8), 1, "too big");
    bench.receive(&plain(OURS, 1514));
    assert!(ring.packet(&bench).is_some());
    let mut dead = udp4((1, 2), 100);
    dead[22] = 0;
    bench.receive(&dead);
    assert_eq!(bench.counter(StormId::M, M_QUEUE_STAT), 1, "TTL 0");
    let mut update = VportUpdateRamrodData::default();
    update.common.update_rx_active_flg = 1;
    driver.update_vport(&mut bench, &update);
    bench.receive(&plain(OURS, 60));
    assert_eq!(
        bench.counter(StormId::M, M_QUEUE_STAT + 24),
        1,
        "not active"
    );
    assert_eq!(
        bench.counter(StormId::M, M_QUEUE_STAT + 16),
        0,
        "stays cleared"
    );
    assert!(ring.packet(&bench).is_none());
}

#[test]
fn checksums_are_verified() {
    let mut bench = Bench::new();
    let (_driver, mut ring) = ready(&mut bench, 1536);
    ring.fill(&mut bench, 40);
    let mut flags = |bench: &mut Bench, frame: &[u8]| {
        bench.receive(frame);
        ring.packet(bench).unwrap().0.pars_flags.flags.get()
    };
    for frame in [udp4((1, 2), 33), tcp4(1, "", 100), tcp6(1, 64)] {
        assert_checksums(&frame);
    }
    const CALCULATED: u16 = 1 << 6;
    const BAD: u16 = 1 << 10;
    assert_eq!(
        flags(&mut bench, &udp4((1, 2), 33)),
        1 | 2 << 2 | CALCULATED
    );
    assert_eq!(
        flags(&mut bench, &tcp4(1, "", 100)),
        1 | 1 << 2 | CALCULATED
    );
    assert_eq!(flags(&mut bench, &tcp6(1, 64)), 2 | 1 << 2 | CALCULATED);
    let mut bad = tcp4(1, "", 100);
    *bad.last_mut().unwrap() ^= 1;
    assert_eq!(flags(&mut bench, &bad), 1 | 1 << 2 | CALCULATED | BAD);
    let mut bad = udp4((1, 2), 33);
    bad[24] ^= 1;
    assert_eq!(
        flags(&mut bench, &bad) & 1 << 9,
        1 << 9,
        "IP header checksum"
    );
    let mut none = udp4((1, 2), 33);
    none[40..42].fill(0);
    assert_eq!(flags(&mut bench, &none), 1 | 2 << 2, "no UDP checksum");
    let mut fragment = udp4((1, 2), 33);
    fragment[20] |= 0x20;
    let sum = etherparse::Ipv4HeaderSlice::from_slice(&fragment[14..])
        .unwrap()
        .to_header()
        .calc_header_checksum();
    fragment[24..26].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(flags(&mut bench, &fragment), 1 | 1 << 4);
    let mut short = udp4((1, 2), 33);
    short.truncate(50);
    assert_eq!(
        flags(&mut bench, &short) & 1 << 9,
        1 << 9,
        "total length beyond the frame"
    );
    let mut padded = udp4((1, 2), 3);
    padded.resize(60, 0xee);
    assert_eq!(
        flags(&mut bench, &padded),
        1 | 2 << 2 | CALCULATED,
        "padding is not summed"
    );
}

#[test]
fn tunnels_are_recognised_when_enabled() {
    let mut bench = Bench::new();
    let (_driver, mut ring) = ready(&mut bench, 2000);
    ring.fill(&mut bench, 20);
    let frame = vxlan(0x1234, &tcp4(1, "", 100));
    bench.receive(&frame);
    let (cqe, _) = ring.packet(&bench).unwrap();
    assert_eq!(
        (
            cqe.pars_flags.flags.get() & 1 << 11,
            cqe.tunnel_pars_flags.flags
        ),
        (0, 0),
        "not enabled"
    );
    bench
        .fabric
        .set_register(Function::pf(0), 0x1f_0730, 1 << 2);
    bench.fabric.set_register(Function::pf(0), 0x1f_0738, 4789);
    bench.receive(&frame);
    let (cqe, bytes) = ring.packet(&bench).unwrap();
    assert_eq!(cqe.pars_flags.flags.get(), 1 | 1 << 2 | 1 << 6 | 1 << 11);
    assert_eq!(cqe.tunnel_pars_flags.flags, 3 | 1 << 2 | 1 << 3);
    assert_eq!(bytes, frame);
    assert_eq!(
        bench.counter(StormId::U, 0xe840 + 80),
        1,
        "VXLAN packets of the PF"
    );
}

#[test]
fn the_queue_stops_with_a_completion_in_its_own_ring() {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench, 1536);
    ring.fill(&mut bench, 20);
    bench.receive(&plain(OURS, 60));
    driver.stop_rx(&mut bench, &ring, true);
    assert!(driver.event(&mut bench).is_none(), "no event was asked for");
    assert!(ring.packet(&bench).is_some(), "earlier packets come first");
    let cqe = ring.completion(&bench).unwrap();
    assert_eq!((cqe[0], cqe[1], cqe[2]), (2, 5, 0));
    bench.receive(&plain(OURS, 60));
    assert!(ring.completion(&bench).is_none());
    assert_eq!(
        bench.counter(StormId::M, M_QUEUE_STAT + 24),
        1,
        "no queue is not active"
    );
    bench.assert_quiet();
}

#[test]
fn broken_rings_halt_the_queue_and_nothing_else() {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench, 1536);
    ring.publish_raw(&mut bench, 20, 20_000);
    bench.receive(&plain(OURS, 60));
    assert!(bench.fabric.violations[0].contains("beyond the completion ring"));
    bench.receive(&plain(OURS, 60));
    assert_eq!(bench.fabric.violations.len(), 1, "reported once");
    assert_eq!(
        driver.stop_rx(&mut bench, &ring, false),
        0,
        "it can be stopped"
    );
    bench.fabric.violations.clear();
    let mut second = driver.start_rx(&mut bench, 6, 0, 1536, 1, 1);
    second.publish_raw(&mut bench, 10, 128);
    bench.receive(&plain(OURS, 60));
    assert!(
        bench.fabric.violations[0].contains("Rx BD (index) with buffer"),
        "a buffer at address 0"
    );
    assert!(second.completion(&bench).is_none() && ring.completion(&bench).is_none());
}

#[test]
fn a_closed_gate_lets_nothing_in() {
    let mut bench = Bench::new();
    let (_driver, mut ring) = ready(&mut bench, 1536);
    ring.fill(&mut bench, 20);
    bench.fabric.set_register(Function::pf(0), 0x50_11f4, 1);
    bench.receive(&plain(OURS, 60));
    assert!(ring.packet(&bench).is_none());
    assert_eq!(bench.counter(StormId::T, T_PORT_STAT + 24), 0, "silently");
}

#[test]
fn two_functions_of_a_port_share_by_address() {
    let mut bench = Bench::new();
    let mut rings = Vec::new();
    for (pf, mac) in [(0u8, OURS), (1, THEIRS)] {
        let mut driver = Driver::started(&mut bench, pf);
        driver.start_vport(&mut bench, pf);
        let mut ring = driver.start_rx(&mut bench, pf.into(), pf, 1536, 1, 1);
        ring.fill(&mut bench, 20);
        driver.add_mac(&mut bench, pf, mac);
        driver.set_rx_mode(&mut bench, pf, 0x34);
        rings.push(ring);
        let [a, b, c, d, e, f] = mac;
        let function = Function::pf(pf);
        bench
            .fabric
            .set_register(function, 0x50_1a00, u32::from_be_bytes([c, d, e, f]));
        bench
            .fabric
            .set_register(function, 0x50_1a04, u32::from_be_bytes([0, 0, a, b]));
        bench.fabric.set_register(function, 0x50_1a80, 1);
    }
    bench.receive(&plain(THEIRS, 60));
    assert!(rings[0].packet(&bench).is_none() && rings[1].packet(&bench).is_some());
    bench.receive(&plain([2, 9, 9, 9, 9, 9], 60));
    assert!(
        rings[0].packet(&bench).is_some() && rings[1].packet(&bench).is_none(),
        "the default function"
    );
    bench.receive(&plain(BROADCAST, 60));
    assert!(rings[0].packet(&bench).is_some() && rings[1].packet(&bench).is_some());
}

#[test]
fn coalescing_bytes_reach_the_protocol_index() {
    let mut bench = Bench::new();
    let (mut driver, ring) = ready(&mut bench, 1536);
    let _tx = driver.start_tx(&mut bench, 100, 0, 1);
    let rx_zone = 0x80 + 8 * u32::from(ring.id);
    bench
        .fabric
        .set_ram(StormId::U, rx_zone, &[0x80 | 12, 0, 0, 0]);
    bench
        .storm
        .ram_written(&mut bench.fabric, Function::pf(0), StormId::U, rx_zone, 4);
    bench
        .fabric
        .set_ram(StormId::X, 0x1f8, &[0x80 | 48, 0, 0, 0, 0, 0, 0, 0]);
    bench
        .storm
        .ram_written(&mut bench.fabric, Function::pf(0), StormId::X, 0x1f8, 8);
    assert_eq!(bench.fabric.timesets.get(&(6, 0)), Some(&12));
    assert_eq!(bench.fabric.timesets.get(&(9, 1)), Some(&48));
    bench.fabric.set_ram(StormId::U, rx_zone, &[33, 0, 0, 0]);
    bench
        .storm
        .ram_written(&mut bench.fabric, Function::pf(0), StormId::U, rx_zone, 4);
    assert_eq!(bench.fabric.timesets.get(&(6, 0)), Some(&12), "not valid");
}
