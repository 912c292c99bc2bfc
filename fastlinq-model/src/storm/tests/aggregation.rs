//! Aggregation of received TCP segments.

use fastlinq_pac::hsi::VportStartRamrodData;

use super::frames::{OURS, tcp4};
use super::harness::{Bench, Driver, RxRing, vport_data};
use crate::fabric::{Fabric, StormId};

fn ready(bench: &mut Bench) -> (Driver, RxRing) {
    let mut driver = Driver::started(bench, 0);
    let mut data: VportStartRamrodData = vport_data(0);
    let tpa = &mut data.tpa_param;
    (
        tpa.tpa_ipv4_en_flg,
        tpa.tpa_ipv6_en_flg,
        tpa.tpa_pkt_split_flg,
        tpa.tpa_gro_consistent_flg,
    ) = (1, 1, 1, 1);
    (tpa.tpa_max_aggs_num, tpa.max_buff_num) = (64, 16);
    tpa.tpa_max_size = 0xffff.into();
    tpa.tpa_min_size_to_start = 750.into();
    tpa.tpa_min_size_to_cont = 750.into();
    driver.start_vport_with(bench, data);
    driver.add_mac(bench, 0, OURS);
    let mut ring = driver.start_rx(bench, 0, 0, 1536, 1, 2);
    ring.fill(bench, 200);
    (driver, ring)
}

fn word(cqe: &[u8; 32], at: usize) -> u16 {
    u16::from_le_bytes([cqe[at], cqe[at + 1]])
}

/// Collects completions up to an end: (end reason, packet length, payload bytes, updated header).
fn aggregate(bench: &Bench, ring: &mut RxRing) -> (u8, usize, Vec<u8>, Vec<u8>) {
    let start = ring.completion(bench).expect("a start");
    assert_eq!((start[0], start[16]), (3, 0));
    let header = usize::from(start[17]);
    let first = ring.take_buffer() + u64::from(start[14]);
    let length = usize::from(word(&start, 12));
    let mut payload = bench
        .fabric
        .read(first + header as u64, length - header)
        .to_vec();
    let mut buffers = 1;
    loop {
        let cqe = ring.completion(bench).expect("a continuation or an end");
        match cqe[0] {
            4 => {
                let bytes = usize::from(word(&cqe, 2));
                let buffer = ring.take_buffer();
                payload.extend_from_slice(bench.fabric.read(buffer, bytes));
                buffers += 1;
            }
            5 => {
                assert_eq!(cqe[4], buffers);
                let total = usize::from(word(&cqe, 2));
                assert_eq!(total, header + payload.len());
                return (
                    cqe[5],
                    total,
                    payload,
                    bench.fabric.read(first, header).to_vec(),
                );
            }
            other => panic!("completion of type {other}"),
        }
    }
}

#[test]
fn a_push_ends_an_aggregation() {
    let mut bench = Bench::new();
    let (_driver, mut ring) = ready(&mut bench);
    let mut expected = Vec::new();
    for index in 0..5u32 {
        let frame = tcp4(1000 + index * 1000, if index == 4 { "P" } else { "" }, 1000);
        expected.extend_from_slice(&frame[54..]);
        bench.receive(&frame);
    }
    let (reason, total, payload, header) = aggregate(&bench, &mut ring);
    assert_eq!((reason, total), (3, 5054));
    assert_eq!(payload, expected);
    let ip = etherparse::Ipv4HeaderSlice::from_slice(&header[14..])
        .unwrap()
        .to_header();
    assert_eq!(
        (ip.total_len, ip.header_checksum),
        (5040, ip.calc_header_checksum())
    );
    assert_eq!(header[47] & 8, 8, "PSH of the last segment");
    assert_eq!(bench.counter(StormId::M, 0x3d20 + 32), 5);
    assert_eq!(bench.counter(StormId::M, 0x3d20 + 40), 1);
    assert!(ring.completion(&bench).is_none());
    bench.assert_quiet();
}

#[test]
fn a_gap_a_timeout_and_an_update_end_aggregations() {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench);
    bench.receive(&tcp4(1000, "", 1000));
    bench.receive(&tcp4(9000, "", 1000));
    assert_eq!(aggregate(&bench, &mut ring).0, 6, "out of order");
    bench.storm.advance(&mut bench.fabric);
    assert!(bench.fabric.protocol_index(1, 0) == 3, "still open");
    bench.fabric.now_ns += 1_000_000;
    bench.storm.advance(&mut bench.fabric);
    assert_eq!(aggregate(&bench, &mut ring).0, 4, "timeout");
    bench.receive(&tcp4(1000, "", 1000));
    bench.receive(&tcp4(2000, "", 0));
    assert_eq!(aggregate(&bench, &mut ring).0, 7, "an acknowledgment");
    assert!(ring.packet(&bench).is_some());
    bench.receive(&tcp4(2000, "", 1000));
    assert_eq!(driver.stop_rx(&mut bench, &ring, false), 0);
    assert_eq!(aggregate(&bench, &mut ring).0, 1, "slow path");
    bench.assert_quiet();
}

#[test]
fn an_open_aggregation_is_due_at_its_timeout() {
    let mut bench = Bench::new();
    let (_driver, mut ring) = ready(&mut bench);
    assert_eq!(bench.storm.next_due_ns(), None);
    let start = bench.fabric.now_ns;
    bench.receive(&tcp4(1000, "", 1000));
    assert_eq!(bench.storm.next_due_ns(), Some(start + 100_000));
    bench.fabric.now_ns += 40_000;
    bench.receive(&tcp4(2000, "", 1000));
    assert_eq!(bench.storm.next_due_ns(), Some(start + 100_000));
    bench.fabric.now_ns = start + 99_999;
    bench.storm.advance(&mut bench.fabric);
    assert_eq!(bench.storm.next_due_ns(), Some(start + 100_000));
    bench.fabric.now_ns = start + 100_000;
    bench.storm.advance(&mut bench.fabric);
    assert_eq!(aggregate(&bench, &mut ring).0, 4, "timeout");
    assert_eq!(bench.storm.next_due_ns(), None);
    // As the driver set it.
    bench.fabric.set_ram32(StormId::M, 0xbf60, 7);
    bench.receive(&tcp4(9000, "", 1000));
    assert_eq!(bench.storm.next_due_ns(), Some(start + 107_000));
    bench.assert_quiet();
}

#[test]
fn buffers_limit_an_aggregation() {
    let mut bench = Bench::new();
    let (_driver, mut ring) = ready(&mut bench);
    for index in 0..17u32 {
        bench.receive(&tcp4(index * 1000, "", 1000));
    }
    let (reason, total, ..) = aggregate(&bench, &mut ring);
    assert_eq!((reason, total), (2, 54 + 16_000));
    bench.receive(&tcp4(17_000, "P", 100));
    assert_eq!(aggregate(&bench, &mut ring).0, 3);
    bench.receive(&tcp4(50_000, "", 100));
    assert!(ring.packet(&bench).is_some(), "too small to start with");
    bench.assert_quiet();
}
