//! Streams of TCP segments on a cable, joined by the software adapter (TPA), taken from the rings.

mod looping;
mod wired;

use fastlinq_hal::vport::{Aggregation, VportConfig};
use fastlinq_net::{Checksum, Offload, Segmentation};
use wired::packets::{ACK, ETHERNET, Flow, PSH, ethernet, flow, ip_is_good};
use wired::{CHIPS, Taken, Wired, bytes};

/// Takes an aggregate apart: checks its headers, gives its sequence number and payload.
fn joined(taken: &Taken, flow: &Flow) -> (u32, Vec<u8>) {
    let header = ETHERNET + flow.ip_bytes() + 20;
    let tcp = header - 20;
    let ip = &taken.bytes[ETHERNET..];
    let (length, expected) = if flow.v6 {
        (u16::from_be_bytes([ip[4], ip[5]]), ip.len() - 40)
    } else {
        assert!(ip_is_good(ip));
        (u16::from_be_bytes([ip[2], ip[3]]), ip.len())
    };
    assert_eq!(usize::from(length), expected);
    if let Some(aggregate) = taken.packet.aggregate() {
        assert_eq!(usize::from(aggregate.header_bytes), header);
    }
    let sequence = taken.bytes[tcp + 4..tcp + 8].try_into().unwrap();
    (u32::from_be_bytes(sequence), taken.bytes[header..].to_vec())
}

#[test]
fn a_stream_cut_by_one_adapter_is_joined_by_the_other() {
    const MOST: usize = 1400;
    for chip in CHIPS {
        let far = VportConfig {
            strip_vlan: true,
            aggregation: Some(Aggregation::for_mtu(1500)),
            ..VportConfig::default()
        };
        let mut wired = Wired::new(chip, far);
        let mac = wired.far.mac;
        let (mut segments, mut joins, mut records, mut joined_bytes) = (0, 0, 0, 0);
        for (v6, tag) in [(false, None), (true, None), (false, Some(0x2007))] {
            let mut flow = Flow {
                tcp_flags: ACK | PSH,
                ..flow(v6)
            };
            let header = ETHERNET + flow.ip_bytes() + 20;
            let segmentation = Segmentation::new(header as u16, MOST as u16).unwrap();
            let offload = Offload::segmentation(segmentation);
            let offload = tag.map_or(offload, |tag| offload.with_vlan(tag));
            // Whole aggregations of 16 buffers, parts of one, and a single segment.
            for length in [32 * MOST, 40_000, 3 * MOST + 1000, MOST, 60_000, 1] {
                let payload = bytes(length);
                let frame = ethernet(mac, flow.ether_type(), &flow.tcp(&payload));
                wired.near.send(&frame, 1984, offload);
                let mut together = Vec::new();
                for taken in wired.arrivals() {
                    let (sequence, part) = joined_or_padded(&taken, &flow, length);
                    let expected = flow.sequence.wrapping_add(together.len() as u32);
                    assert_eq!(sequence, expected);
                    assert_eq!(taken.packet.vlan(), tag);
                    assert_eq!(taken.packet.checksum(), Checksum::Good);
                    let parts = part.len().div_ceil(MOST);
                    assert_eq!(usize::from(taken.packet.segments()), parts);
                    records += 1;
                    if taken.packet.aggregate().is_some() {
                        assert!((1..=16).contains(&parts));
                        segments += parts as u64;
                        joins += 1;
                        joined_bytes += taken.bytes.len() as u64;
                    }
                    together.extend(part);
                }
                assert!(together == payload, "{length} bytes, v6 {v6}");
                flow.sequence = flow.sequence.wrapping_add(length as u32);
            }
        }
        let counters = wired.far.queue.counters().receive;
        assert_eq!((counters.packets, counters.aggregated), (records, joins));
        // 2 + 2 + 1 + 0 + 3 + 0 for each stream; segments with PSH alone start none.
        assert_eq!(joins, 24);
        let counted = wired.far.adapter.vport_statistics(wired.far.vport).unwrap();
        assert_eq!(
            (
                counted.aggregated_packets,
                counted.aggregations,
                counted.aggregated_bytes
            ),
            (segments, joins, joined_bytes)
        );
        assert_eq!(counted.aggregation_aborts, 0);
        wired.close();
    }
}

/// As [`joined`], but a frame of one byte has padding behind it.
fn joined_or_padded(taken: &Taken, flow: &Flow, length: usize) -> (u32, Vec<u8>) {
    let header = ETHERNET + flow.ip_bytes() + 20;
    if length > 1 {
        return joined(taken, flow);
    }
    let cut = Taken {
        packet: taken.packet,
        bytes: taken.bytes[..header + length].to_vec(),
        queue: taken.queue,
    };
    joined(&cut, flow)
}

#[test]
fn streams_side_by_side_are_joined_apart_and_end_by_time_or_gap() {
    for chip in CHIPS {
        let far = VportConfig {
            aggregation: Some(Aggregation::for_mtu(1500)),
            ..VportConfig::default()
        };
        let mut wired = Wired::new(chip, far);
        let mac = wired.far.mac;
        let mut flows: Vec<Flow> = (0..6)
            .map(|number| Flow {
                source_port: 30_000 + number,
                sequence: u32::from(number) << 28,
                ..flow(number % 2 == 1)
            })
            .collect();
        let starts = flows.clone();
        // Ten segments of each, in turn; then nothing that says that they end.
        let payload = bytes(10 * 1000);
        for part in payload.chunks(1000) {
            for flow in &mut flows {
                let frame = ethernet(mac, flow.ether_type(), &flow.tcp(part));
                wired.near.send_packet(&frame, Offload::NONE);
                flow.sequence += 1000;
            }
        }
        let taken = wired.arrivals();
        assert_eq!(taken.len(), 6);
        for flow in &starts {
            let port = flow.source_port.to_be_bytes();
            let at = ETHERNET + flow.ip_bytes();
            let of_flow = |taken: &&Taken| taken.bytes[at..at + 2] == port;
            let taken = taken.iter().find(of_flow).expect("one of the flow");
            assert_eq!(taken.packet.segments(), 10);
            assert_eq!(joined(taken, flow), (flow.sequence, payload.clone()));
        }
        // A gap ends one and begins another.
        let mut flow = flows[0];
        for (part, gap) in payload.chunks(1000).zip([0, 0, 0, 5000, 0, 0]) {
            flow.sequence += gap;
            let frame = ethernet(mac, flow.ether_type(), &flow.tcp(part));
            wired.near.send_packet(&frame, Offload::NONE);
            flow.sequence += 1000;
        }
        let taken = wired.arrivals();
        let parts: Vec<_> = taken.iter().map(|taken| joined(taken, &flow)).collect();
        let first = flows[0].sequence;
        let expected = [
            (first, payload[..3000].to_vec()),
            (first + 8000, payload[3000..6000].to_vec()),
        ];
        assert!(parts == expected);
        let counted = wired.far.adapter.vport_statistics(wired.far.vport).unwrap();
        let numbers = (
            counted.aggregated_packets,
            counted.aggregations,
            counted.aggregation_aborts,
        );
        assert_eq!(numbers, (66, 8, 1));
        let counters = wired.far.queue.counters().receive;
        assert_eq!((counters.packets, counters.aggregated), (8, 8));
        wired.close();
    }
}
