//! Transmit: frames, checks and error ids.

use fastlinq_pac::hsi::{
    EthFilterAction, EthFilterType, VportStartRamrodData, VportUpdateRamrodData,
};

use super::frames::{OURS, THEIRS, assert_checksums, plain, tagged, tcp4, tcp6, udp4, vxlan};
use super::harness::{Bd, Bench, Driver, TxRing, one_bd, set_first, vport_data};
use crate::fabric::{Fabric, Function, StormId};

const P_QUEUE_STAT: u32 = 0x4698;
const IP_CSUM: u8 = 1 << 2;
const L4_CSUM: u8 = 1 << 3;
const VLAN_INSERTION: u8 = 1 << 4;
const LSO: u8 = 1 << 5;

fn ready_with(bench: &mut Bench, data: VportStartRamrodData) -> (Driver, TxRing) {
    let mut driver = Driver::started(bench, 0);
    driver.start_vport_with(bench, data);
    let ring = driver.start_tx(bench, 40, 0, 3);
    (driver, ring)
}

fn ready(bench: &mut Bench) -> (Driver, TxRing) {
    ready_with(bench, vport_data(0))
}

#[test]
fn frames_go_out_and_the_consumer_follows() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    let frame = plain(THEIRS, 200);
    ring.send(&mut bench, &driver, &one_bd(&frame, 0));
    let short = plain(THEIRS, 20);
    ring.send(&mut bench, &driver, &one_bd(&short, 0));
    assert_eq!(bench.fabric.wire[0], (0, frame));
    assert_eq!(bench.fabric.wire[1].1.len(), 60, "padded");
    assert_eq!(bench.fabric.wire[1].1[..20], short);
    assert_eq!(ring.consumer(&bench), 2);
    assert_eq!(bench.counter(StormId::P, P_QUEUE_STAT), 220);
    assert_eq!(bench.counter(StormId::P, P_QUEUE_STAT + 24), 2);
    bench.assert_quiet();
}

#[test]
fn one_doorbell_covers_many_packets_of_many_descriptors() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    let frame = plain(THEIRS, 1000);
    for parts in 1..=18 {
        let size = frame.len().div_ceil(parts);
        let mut bds: Vec<Bd> = frame
            .chunks(size)
            .map(|chunk| Bd {
                data: chunk.to_vec(),
                parameters: [0; 6],
            })
            .collect();
        set_first(&mut bds, 0, 1, frame.len(), false);
        ring.post(&mut bench, &bds);
    }
    driver.kick(&mut bench, &ring);
    assert_eq!(bench.fabric.wire.len(), 18);
    assert!(bench.fabric.wire.iter().all(|(_, sent)| *sent == frame));
    assert_eq!(ring.consumer(&bench), ring.producer);
    driver.kick(&mut bench, &ring);
    assert_eq!(
        bench.fabric.wire.len(),
        18,
        "the same doorbell again does nothing"
    );
    bench.assert_quiet();
}

#[test]
fn indices_wrap_at_65536() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    let frame = plain(THEIRS, 64);
    let mut bds: Vec<Bd> = frame
        .chunks(13)
        .map(|chunk| Bd {
            data: chunk.to_vec(),
            parameters: [0; 6],
        })
        .collect();
    set_first(&mut bds, 0, 1, frame.len(), false);
    for _ in 0..30_000 {
        bench.scratch(|bench| ring.send(bench, &driver, &bds));
        assert_eq!(bench.fabric.wire.pop().unwrap().1, frame);
        assert_eq!(ring.consumer(&bench), ring.producer);
    }
    bench.assert_quiet();
}

#[test]
fn checksums_are_filled_in() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    for frame in [udp4((1, 2), 33), tcp4(1, "P", 101), tcp6(1, 64)] {
        let mut blank = frame.clone();
        if frame[12] == 8 {
            blank[24..26].copy_from_slice(&[0xde, 0xad]);
        }
        let at = match (frame[12], frame[23]) {
            (8, 17) => 40,
            (8, _) => 50,
            _ => 70,
        };
        blank[at..at + 2].copy_from_slice(&[0xbe, 0xef]);
        ring.send(&mut bench, &driver, &one_bd(&blank, IP_CSUM | L4_CSUM));
        let (_, sent) = bench.fabric.wire.pop().unwrap();
        assert_checksums(&sent);
        assert_eq!(sent[..frame.len()], frame);
    }
    let other = plain(THEIRS, 64);
    ring.send(&mut bench, &driver, &one_bd(&other, IP_CSUM | L4_CSUM));
    assert_eq!(bench.fabric.wire.pop().unwrap().1, other, "nothing to sum");
    bench.assert_quiet();
}

#[test]
fn a_checksum_behind_extension_headers_starts_from_the_pseudo_header() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    let plain = tcp6(1, 64);
    // A destination-options header between IPv6 and TCP.
    let mut frame = plain.clone();
    frame.splice(54..54, [6, 0, 1, 4, 0, 0, 0, 0]);
    frame[20] = 60;
    let payload = (frame.len() - 54) as u16;
    frame[18..20].copy_from_slice(&payload.to_be_bytes());
    let length = payload - 8;
    let mut sum: u32 = frame[22..54]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    sum += 6 + u32::from(length);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    let right = plain[70..72].to_vec();
    frame[78..80].copy_from_slice(&(sum as u16).to_be_bytes());
    let mut bds = vec![
        Bd {
            data: frame.clone(),
            parameters: [0; 6],
        },
        Bd {
            data: Vec::new(),
            parameters: [0, 0, 0, 0x10, 62 / 2, 0],
        },
        Bd {
            data: Vec::new(),
            parameters: [0, 0, 5, 0, 0, 0],
        },
    ];
    set_first(&mut bds, 0, 1 | L4_CSUM, frame.len(), false);
    ring.send(&mut bench, &driver, &bds);
    let (_, sent) = bench.fabric.wire.pop().unwrap();
    assert_eq!(
        sent[78..80],
        right,
        "the extension header does not change the checksum"
    );
    bench.assert_quiet();
}

#[test]
fn tunnels_have_four_checksums() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    bench.fabric.set_register(Function::pf(0), 0xd8_0518, 4789);
    let inner = tcp4(1, "", 99);
    let mut blank = inner.clone();
    blank[24..26].fill(0x11);
    blank[50..52].fill(0x22);
    let mut outer = vxlan(7, &blank);
    outer[24..26].fill(0x33);
    let mut bds = vec![Bd {
        data: outer.clone(),
        parameters: [0; 6],
    }];
    set_first(
        &mut bds,
        0,
        1 | IP_CSUM | L4_CSUM | 1 << 6 | 1 << 7,
        outer.len(),
        true,
    );
    ring.send(&mut bench, &driver, &bds);
    let (_, sent) = bench.fabric.wire.pop().unwrap();
    assert_checksums(&sent);
    assert_checksums(&sent[50..]);
    assert_eq!(sent[50..], inner);
    bench.assert_quiet();
}

#[test]
fn tags_are_inserted() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    let frame = plain(THEIRS, 100);
    let mut bds = one_bd(&frame, 0);
    set_first(&mut bds, 0x2064, 1 | VLAN_INSERTION, frame.len(), false);
    ring.send(&mut bench, &driver, &bds);
    assert_eq!(bench.fabric.wire[0].1, tagged(THEIRS, 0x2064, 104));
    bench.assert_quiet();
}

#[test]
fn a_default_vlan_overrides() {
    let mut bench = Bench::new();
    let data = VportStartRamrodData {
        default_vlan: 99.into(),
        default_vlan_en: 1,
        ..vport_data(0)
    };
    let (driver, mut ring) = ready_with(&mut bench, data);
    let frame = plain(THEIRS, 100);
    let mut bds = one_bd(&frame, 0);
    set_first(&mut bds, 5, 1 | VLAN_INSERTION, frame.len(), false);
    ring.send(&mut bench, &driver, &bds);
    assert_eq!(bench.fabric.wire[0].1, tagged(THEIRS, 99, 104));
    ring.send(&mut bench, &driver, &one_bd(&tagged(THEIRS, 3, 100), 0));
    assert_eq!(
        bench.fabric.wire.len(),
        1,
        "a tag in band is dropped by policy"
    );
    assert_eq!(bench.counter(StormId::P, P_QUEUE_STAT + 48), 1);
}

/// What is sent, and the error that it must give.
fn error_of(bds: &[Bd]) -> u8 {
    let mut bench = Bench::new();
    let data = VportStartRamrodData {
        anti_spoofing_en: 1,
        ctl_frame_mac_check_en: 1,
        tx_err_behav: fastlinq_pac::hsi::EthTxErrVals {
            values: 0xff.into(),
        },
        ..vport_data(0)
    };
    let mut driver = Driver::started(&mut bench, 0);
    driver.start_vport_with(&mut bench, data);
    driver.add_mac(&mut bench, 0, THEIRS);
    let mut ring = driver.start_tx(&mut bench, 40, 0, 3);
    ring.send(&mut bench, &driver, bds);
    let Some(event) = driver.event(&mut bench) else {
        assert!(!bench.fabric.wire.is_empty());
        return 0;
    };
    assert_eq!(
        (
            event.protocol_id,
            event.opcode,
            event.flags,
            event.fw_return_code
        ),
        (8, 7, 1, 1)
    );
    assert!(bench.fabric.wire.is_empty());
    assert_eq!(ring.consumer(&bench), 0);
    ring.send(&mut bench, &driver, &one_bd(&plain(OURS, 64), 0));
    assert!(bench.fabric.wire.is_empty(), "the queue is halted");
    assert_eq!(bench.fabric.violations.len(), 1);
    let data = event.data.err_data();
    assert_eq!((data.recovery_scope, data.entity_id.get()), (5, 0));
    data.err_id
}

fn lso(header: &[&[u8]], payload: usize, mss: u16, header_bds: u8) -> Vec<Bd> {
    let mut bds: Vec<Bd> = header
        .iter()
        .map(|bytes| Bd {
            data: bytes.to_vec(),
            parameters: [0; 6],
        })
        .collect();
    while bds.len() < 2 {
        bds.push(Bd {
            data: vec![0x55; payload],
            parameters: [0; 6],
        });
    }
    while bds.len() < 3 {
        bds.push(Bd {
            data: Vec::new(),
            parameters: [0; 6],
        });
    }
    let [low, high] = mss.to_le_bytes();
    bds[2].parameters = [low, high, header_bds << 4, 0, 0, 0];
    set_first(&mut bds, 0, 1 | LSO | L4_CSUM | IP_CSUM, 0, false);
    bds
}

#[test]
fn each_broken_rule_has_its_error_id() {
    let frame = plain(OURS, 100);
    assert_eq!(error_of(&one_bd(&frame, 0)), 0, "a good packet");

    let with_first = |flags: u8, count: u8, length: u16| {
        let mut bds = one_bd(&frame, 0);
        let [low, high] = (length << 2).to_le_bytes();
        bds[0].parameters = [0, 0, count, flags, low, high];
        bds
    };
    assert_eq!(error_of(&with_first(0, 1, 100)), 10, "no START_BD");
    assert_eq!(error_of(&with_first(1, 0, 100)), 9, "no BDs");
    assert_eq!(error_of(&with_first(1, 19, 100)), 9, "too many BDs");
    assert_eq!(
        error_of(&with_first(1 | LSO, 2, 0)),
        9,
        "too few BDs for LSO"
    );
    assert_eq!(error_of(&with_first(1, 2, 100)), 11, "half a packet");
    assert_eq!(
        error_of(&with_first(1, 1, 101)),
        4,
        "shorter than announced"
    );
    assert_eq!(error_of(&with_first(1, 1, 99)), 21, "longer than announced");
    assert_eq!(
        error_of(&one_bd(&plain(OURS, 14)[..13], 0)),
        4,
        "no Ethernet header"
    );
    assert_eq!(
        error_of(&one_bd(&plain(OURS, 9673), 0)),
        21,
        "too long for any MTU"
    );
    assert_eq!(
        error_of(&one_bd(&plain(OURS, 1515), 0)),
        6,
        "larger than the MTU"
    );
    assert_eq!(error_of(&one_bd(&[], 0)), 14, "no bytes");

    let mut spoofed = frame.clone();
    spoofed[6..12].copy_from_slice(&OURS);
    assert_eq!(error_of(&one_bd(&spoofed, 0)), 20);
    assert_eq!(
        error_of(&one_bd(&plain([0x01, 0x80, 0xc2, 0, 0, 0x0e], 100), 0)),
        19
    );

    let mut both = one_bd(&tagged(OURS, 5, 100), 0);
    set_first(&mut both, 7, 1 | VLAN_INSERTION, 100, false);
    assert_eq!(error_of(&both), 8);

    let mut empty = one_bd(&frame, 0);
    empty.extend((0..3).map(|_| Bd {
        data: Vec::new(),
        parameters: [0; 6],
    }));
    set_first(&mut empty, 0, 1, 100, false);
    assert_eq!(error_of(&empty), 14, "an empty BD behind the third");

    let mut header = tcp4(1, "", 0);
    assert_eq!(
        error_of(&lso(&[&header], 100, 50, 1)),
        0,
        "a good packet to segment"
    );
    assert_eq!(error_of(&lso(&[&header], 100, 50, 0)), 12);
    assert_eq!(error_of(&lso(&[&header], 100, 50, 5)), 12);
    assert_eq!(
        error_of(&lso(&[&header[..40]], 100, 50, 1)),
        12,
        "part of the TCP header"
    );
    assert_eq!(error_of(&lso(&[&header], 100, 0, 1)), 13);
    assert_eq!(error_of(&lso(&[&header], 0, 50, 1)), 16);
    assert_eq!(
        error_of(&lso(&[&header], 3000, 1461, 1)),
        6,
        "segments larger than the MTU"
    );
    header.resize(511, 0);
    assert_eq!(error_of(&lso(&[&header], 100, 50, 1)), 15);

    let mut tunnel = one_bd(&frame, 0);
    tunnel.push(Bd {
        data: Vec::new(),
        parameters: [0, 0, 0, 0x20, 0, 0],
    });
    set_first(&mut tunnel, 0, 1, 100, false);
    assert_eq!(error_of(&tunnel), 18);
}

#[test]
fn policies_drop_and_count() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    ring.post(&mut bench, &one_bd(&plain(THEIRS, 2000), 0));
    ring.post(&mut bench, &one_bd(&plain(THEIRS, 100), 0));
    driver.kick(&mut bench, &ring);
    assert_eq!(bench.fabric.wire.len(), 1, "the next packet goes out");
    assert_eq!(bench.counter(StormId::P, P_QUEUE_STAT + 48), 1);
    assert_eq!(ring.consumer(&bench), 2);
    bench.assert_quiet();
}

#[test]
fn in_fatal_mode_the_firmware_asserts() {
    let mut bench = Bench::new();
    let mut driver = Driver::prepare(&mut bench, 0);
    let data = fastlinq_pac::hsi::PfStartRamrodData {
        pf_fp_err_mode: 0,
        ..super::harness::pf_start_data()
    };
    assert_eq!(driver.start(&mut bench, data), 0);
    driver.start_vport(&mut bench, 0);
    let mut ring = driver.start_tx(&mut bench, 40, 0, 1);
    let mut bds = one_bd(&plain(THEIRS, 100), 0);
    bds[0].parameters[3] = 0;
    ring.send(&mut bench, &driver, &bds);
    assert_eq!(
        bench.fabric.assertions,
        ["first Tx BD of a packet without START_BD"]
    );
    assert!(driver.event(&mut bench).is_none());
}

#[test]
fn doorbells_beyond_the_ring_and_to_nowhere() {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench);
    let unknown = TxRingStub(99);
    unknown.kick(&mut bench, &driver);
    assert!(bench.fabric.violations[0].contains("no transmit queue"));
    ring.producer = 769;
    driver.kick(&mut bench, &ring);
    assert_eq!(driver.event(&mut bench).unwrap().data.err_data().err_id, 11);
}

struct TxRingStub(u32);

impl TxRingStub {
    fn kick(&self, bench: &mut Bench, driver: &Driver) {
        driver.ring(
            bench,
            super::super::TYPE_ETH,
            self.0,
            fastlinq_pac::doorbell::Doorbell::transmit(1),
        );
    }
}

#[test]
fn an_unmapped_buffer_halts_the_queue() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    ring.post(&mut bench, &one_bd(&plain(THEIRS, 100), 0));
    let page = bench
        .fabric
        .memory
        .windows(4)
        .rposition(|bytes| bytes == [100, 0, 0, 0])
        .unwrap();
    bench.fabric.memory[page - 8..page].fill(0x77);
    driver.kick(&mut bench, &ring);
    assert!(bench.fabric.violations[0].contains("Tx BD (index) with buffer"));
    assert_eq!((bench.fabric.wire.len(), ring.consumer(&bench)), (0, 0));
}

#[test]
fn an_inactive_vport_swallows_packets() {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench);
    let mut update = VportUpdateRamrodData::default();
    update.common.update_tx_active_flg = 1;
    driver.update_vport(&mut bench, &update);
    ring.send(&mut bench, &driver, &one_bd(&plain(THEIRS, 100), 0));
    assert_eq!((bench.fabric.wire.len(), ring.consumer(&bench)), (0, 1));
    assert_eq!(
        driver.filter(
            &mut bench,
            0,
            EthFilterType::VLAN,
            EthFilterAction::REMOVE_ALL,
            [0; 6],
            0
        ),
        0
    );
}
