//! Large-send offload, verified by an independent parser.

use super::frames::{assert_checksums, ipv4_id, tcp_of, tcp4, tcp6, vxlan};
use super::harness::{Bd, Bench, Driver, TxRing, set_first, vport_data};
use crate::fabric::{Fabric, Function};

const LSO: u8 = 1 | 1 << 2 | 1 << 3 | 1 << 5;
const MSS: usize = 1400;

fn ready(bench: &mut Bench) -> (Driver, TxRing) {
    let mut driver = Driver::started(bench, 0);
    driver.start_vport_with(bench, vport_data(0));
    let ring = driver.start_tx(bench, 40, 0, 3);
    (driver, ring)
}

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index ^ index >> 8) as u8).collect()
}

/// One header BD, the payload in pieces of 4,000 bytes, parameters in the third.
fn bds(header: &[u8], payload: &[u8], flags: u8, tunnel: bool) -> Vec<Bd> {
    let mut bds = vec![Bd {
        data: header.to_vec(),
        parameters: [0; 6],
    }];
    bds.extend(payload.chunks(4000).map(|chunk| Bd {
        data: chunk.to_vec(),
        parameters: [0; 6],
    }));
    while bds.len() < 3 {
        bds.push(Bd {
            data: Vec::new(),
            parameters: [0; 6],
        });
    }
    let [low, high] = (MSS as u16).to_le_bytes();
    bds[2].parameters = [low, high, 1 << 4, 0, 0, 0];
    set_first(&mut bds, 0, flags, 0, tunnel);
    bds
}

#[test]
fn ipv4_segments() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    for bytes in [1, MSS, MSS + 1, 10 * MSS, 45_000] {
        let data = payload(bytes);
        let mut header = tcp4(0xffff_ff00, "PF", 0);
        header[47] |= 0x80;
        header[18..20].copy_from_slice(&0xfffeu16.to_be_bytes());
        let bds = bds(&header, &data, LSO, false);
        bench.scratch(|bench| ring.send(bench, &driver, &bds));
        let frames: Vec<Vec<u8>> = bench
            .fabric
            .wire
            .drain(..)
            .map(|(_, frame)| frame)
            .collect();
        assert_eq!(frames.len(), bytes.div_ceil(MSS));
        let mut collected = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            assert_checksums(frame);
            let (tcp, part) = tcp_of(frame);
            let last = index == frames.len() - 1;
            assert_eq!(
                tcp.sequence_number,
                0xffff_ff00u32.wrapping_add((index * MSS) as u32)
            );
            assert_eq!((tcp.fin, tcp.psh, tcp.cwr), (last, last, index == 0));
            assert_eq!(ipv4_id(frame), 0xfffeu16.wrapping_add(index as u16));
            collected.extend_from_slice(&part);
        }
        assert_eq!(collected, data);
        assert_eq!(ring.consumer(&bench), ring.producer);
    }
    bench.assert_quiet();
}

#[test]
fn ipv6_segments_with_a_tag() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    let data = payload(5000);
    let mut bds = bds(&tcp6(7, 0), &data, LSO, false);
    set_first(&mut bds, 12, LSO | 1 << 4, 0, false);
    ring.send(&mut bench, &driver, &bds);
    let mut collected = Vec::new();
    for (index, (_, frame)) in bench.fabric.wire.iter().enumerate() {
        assert_eq!(frame[12..16], [0x81, 0, 0, 12]);
        assert_checksums(frame);
        let (tcp, part) = tcp_of(frame);
        assert_eq!(tcp.sequence_number, 7 + (index * MSS) as u32);
        collected.extend_from_slice(&part);
    }
    assert_eq!(collected, data);
    bench.assert_quiet();
}

#[test]
fn segments_in_a_tunnel() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    bench.fabric.set_register(Function::pf(0), 0xd8_0518, 4789);
    let data = payload(5000);
    let header = vxlan(3, &tcp4(1, "P", 0));
    for outer_checksum in [false, true] {
        let flags = LSO | 1 << 6 | u8::from(outer_checksum) << 7;
        ring.send(&mut bench, &driver, &bds(&header, &data, flags, true));
        let mut collected = Vec::new();
        for (index, (_, frame)) in bench.fabric.wire.drain(..).enumerate() {
            let udp_length = u16::from_be_bytes([frame[38], frame[39]]);
            assert_eq!(usize::from(udp_length), frame.len() - 34);
            assert_eq!(
                usize::from(u16::from_be_bytes([frame[16], frame[17]])),
                frame.len() - 14
            );
            assert_eq!(ipv4_id(&frame), index as u16);
            if outer_checksum {
                assert_checksums(&frame);
            } else {
                assert_eq!(frame[40..42], [0, 0]);
            }
            assert_checksums(&frame[50..]);
            assert_eq!(ipv4_id(&frame[50..]), index as u16);
            collected.extend_from_slice(&tcp_of(&frame[50..]).1);
        }
        assert_eq!(collected, data);
    }
    bench.assert_quiet();
}

#[test]
fn header_in_two_descriptors_and_sliding_window() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    let header = tcp4(1, "", 0);
    let data = payload(3000);
    let mut list = vec![
        Bd {
            data: header[..14].to_vec(),
            parameters: [0; 6],
        },
        Bd {
            data: header[14..].to_vec(),
            parameters: [0; 6],
        },
        Bd {
            data: data.clone(),
            parameters: [0x78, 5, 2 << 4, 0, 0, 0],
        },
    ];
    set_first(&mut list, 0, LSO, 0, false);
    ring.send(&mut bench, &driver, &list);
    assert_eq!(bench.fabric.wire.drain(..).count(), 3);
    bench.assert_quiet();
    let mut many = bds(&header, &payload(400), LSO, false);
    many.truncate(1);
    many.extend(payload(400).chunks(20).map(|chunk| Bd {
        data: chunk.to_vec(),
        parameters: [0; 6],
    }));
    many[2].parameters = [0x78, 5, 1 << 4, 0, 0, 0];
    set_first(&mut many, 0, LSO, 0, false);
    ring.send(&mut bench, &driver, &many);
    assert!(bench.fabric.violations[0].contains("9,700"));
    assert_eq!(bench.fabric.wire.len(), 1, "and sent all the same");
}
