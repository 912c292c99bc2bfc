//! Transport headers that the descriptors point at, rightly and wrongly.

use etherparse::{NetSlice, PacketBuilder, SlicedPacket};

use super::frames::{OURS, THEIRS, assert_checksums, tcp_of, tcp4, vxlan};
use super::harness::{Bd, Bench, Driver, TxRing, set_first, vport_data};
use crate::fabric::{Fabric, Function};

const L4_CSUM: u8 = 1 << 3;
const TUNN_IP_CSUM: u8 = 1 << 6;
const LSO: u8 = 1 | 1 << 2 | L4_CSUM | 1 << 5;
const IPV6_EXT: u16 = 1 << 12;
const L4_UDP: u16 = 1 << 14;
const NO_LENGTH: u16 = 1 << 15;
/// Where TCP starts behind Ethernet, IPv6 and one extension header.
const TCP_AT: u16 = 62;
const SEGMENT: usize = 1000;

fn ready(bench: &mut Bench) -> (Driver, TxRing) {
    let mut driver = Driver::started(bench, 0);
    driver.start_vport_with(bench, vport_data(0));
    let ring = driver.start_tx(bench, 40, 0, 3);
    (driver, ring)
}

/// TCP with a timestamp behind a destination options header.
fn extended(payload: usize) -> Vec<u8> {
    let mut address = [0x20; 16];
    address[0] = 0xfd;
    let stamp = etherparse::TcpOptionElement::Timestamp(0x1111_2222, 0x3333_4444);
    let noop = etherparse::TcpOptionElement::Noop;
    let builder = PacketBuilder::ethernet2(THEIRS, OURS)
        .ipv6(address, address, 64)
        .tcp(2794, 1766, 5000, 1000)
        .ack(77)
        .options(&[noop.clone(), noop, stamp])
        .unwrap();
    let bytes: Vec<u8> = (0..payload).map(|index| (index * 7) as u8).collect();
    let mut frame = Vec::new();
    builder.write(&mut frame, &bytes).unwrap();
    frame.splice(54..54, [6, 0, 1, 4, 0, 0, 0, 0]);
    frame[20] = 60;
    let length = (frame.len() - 54) as u16;
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    frame
}

/// What the second and the third descriptor say.
struct Told {
    bits: u16,
    offset: u16,
    tcp_dwords: u8,
}

const RIGHT: Told = Told {
    bits: IPV6_EXT,
    offset: TCP_AT,
    tcp_dwords: 8,
};

fn bds(header: &[u8], payload: &[u8], told: &Told, flags: u8, tunnel: bool) -> Vec<Bd> {
    let [a, b] = told.bits.to_le_bytes();
    let [c, d] = (told.offset / 2).to_le_bytes();
    let [low, high] = (SEGMENT as u16).to_le_bytes();
    let mut bds = vec![
        Bd {
            data: header.to_vec(),
            parameters: [0; 6],
        },
        Bd {
            data: payload.to_vec(),
            parameters: [0, 0, a, b, c, d],
        },
        Bd {
            data: Vec::new(),
            parameters: [low, high, told.tcp_dwords | 1 << 4, 0, 0, 0],
        },
    ];
    let length = if flags & LSO == LSO { 0 } else { header.len() };
    set_first(&mut bds, 0, flags, length, tunnel);
    bds
}

/// Sends the headers of `frame` with a payload to segment; gives the frames and what the model complained of.
fn segmented(header: &[u8], told: &Told) -> (Vec<Vec<u8>>, Vec<String>) {
    let mut bench = Bench::new();
    let (mut driver, mut ring) = ready(&mut bench);
    let payload = vec![0x5a; 2 * SEGMENT + 1];
    ring.send(
        &mut bench,
        &driver,
        &bds(header, &payload, told, LSO, false),
    );
    if let Some(event) = driver.event(&mut bench) {
        return (Vec::new(), vec![event.data.err_data().err_id.to_string()]);
    }
    let frames = bench.fabric.wire.drain(..).map(|(_, frame)| frame);
    (frames.collect(), bench.fabric.violations)
}

#[test]
fn segments_behind_extension_headers_are_built_where_the_descriptors_say() {
    for bits in [IPV6_EXT, IPV6_EXT | NO_LENGTH] {
        let (frames, complaints) = segmented(&extended(0), &Told { bits, ..RIGHT });
        assert_eq!((frames.len(), complaints.len()), (3, 0));
        for (index, frame) in frames.iter().enumerate() {
            assert_checksums(frame);
            let (tcp, part) = tcp_of(frame);
            assert_eq!(tcp.sequence_number, 5000 + (index * SEGMENT) as u32);
            assert_eq!(tcp.options_iterator().count(), 3);
            assert_eq!(part.len(), if index == 2 { 1 } else { SEGMENT });
            let Some(NetSlice::Ipv6(ip)) = SlicedPacket::from_ethernet(frame).unwrap().net else {
                panic!("IPv6");
            };
            assert_eq!(usize::from(ip.header().payload_length()), frame.len() - 54);
        }
    }
}

#[test]
fn a_wrong_length_of_the_tcp_header_does_not_fit_the_header_descriptors() {
    let mut long = extended(0);
    long.extend([1; 4]);
    for (header, tcp_dwords) in [
        (extended(0), 0),
        (extended(0), 5),
        (extended(0), 7),
        (extended(0), 9),
        (extended(0), 15),
        (long, 8),
        // No TCP header is that short.
        (extended(0)[..78].to_vec(), 4),
    ] {
        let told = Told {
            tcp_dwords,
            ..RIGHT
        };
        let (frames, complaints) = segmented(&header, &told);
        assert!(frames.is_empty());
        assert_eq!(complaints, ["12"], "{tcp_dwords} dwords");
    }
    for offset in [TCP_AT - 2, TCP_AT + 2, 0, 0x3ffe] {
        let (frames, complaints) = segmented(&extended(0), &Told { offset, ..RIGHT });
        assert!(frames.is_empty());
        assert_eq!(complaints, ["12"], "byte {offset}");
    }
}

#[test]
fn lies_that_agree_with_each_other_are_carried_out_and_counted() {
    // Four bytes too early, and a header that much longer.
    let told = Told {
        offset: TCP_AT - 4,
        tcp_dwords: 9,
        ..RIGHT
    };
    let right = extended(0);
    let (frames, complaints) = segmented(&right, &told);
    assert_eq!(frames.len(), 3);
    let at = usize::from(TCP_AT);
    for (index, frame) in frames.iter().enumerate() {
        let ports = u32::from_be_bytes(right[at..at + 4].try_into().unwrap());
        let expected = ports.wrapping_add((index * SEGMENT) as u32);
        assert_eq!(frame[at..at + 4], expected.to_be_bytes(), "the ports count");
        assert_eq!(
            frame[at + 4..at + 8],
            right[at + 4..at + 8],
            "the sequence number does not"
        );
        assert_eq!(frame[at + 16..at + 18], right[at + 16..at + 18]);
        // A checksum stands where the data offset and the flags were, and is one over what follows the place.
        let mut sum: u64 = frame[22..54]
            .chunks(2)
            .chain(frame[at - 4..].chunks(2))
            .map(|pair| {
                u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or_default())
            })
            .sum();
        sum += 6 + (frame.len() - at + 4) as u64;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        assert_eq!(sum, 0xffff);
    }
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[0].contains("L4 header offset in the second Tx BD"));
    assert!(complaints[1].contains("TCP header length in the third Tx BD"));

    let told = Told {
        bits: IPV6_EXT | L4_UDP,
        ..RIGHT
    };
    let (frames, complaints) = segmented(&right, &told);
    assert_eq!(frames.len(), 3);
    frames.iter().for_each(|frame| assert_checksums(frame));
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].contains("L4_UDP"));
}

#[test]
fn extension_headers_that_nobody_announces_hide_the_checksum_from_the_device() {
    let told = Told { bits: 0, ..RIGHT };
    let (frames, complaints) = segmented(&extended(0), &told);
    assert_eq!(frames.len(), 3);
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].contains("does not announce"));
    let at = usize::from(TCP_AT) + 16;
    let left = extended(0)[at..at + 2].to_vec();
    assert!(frames.iter().all(|frame| frame[at..at + 2] == left));
}

#[test]
fn without_extension_headers_the_device_looks_by_itself() {
    let told = Told {
        bits: L4_UDP,
        offset: 4,
        tcp_dwords: 15,
    };
    let (frames, complaints) = segmented(&tcp4(1, "", 0), &told);
    assert_eq!((frames.len(), complaints.len()), (3, 0));
    frames.iter().for_each(|frame| assert_checksums(frame));
}

#[test]
fn a_checksum_goes_where_the_descriptors_say() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    let frame = extended(33);
    let plain = |told: &Told| {
        let mut bds = bds(&frame, &[], told, 1 | L4_CSUM, false);
        bds.truncate(2);
        set_first(&mut bds, 0, 1 | L4_CSUM, frame.len(), false);
        bds
    };
    for (told, at, why) in [
        (
            Told {
                offset: TCP_AT + 6,
                ..RIGHT
            },
            TCP_AT + 22,
            "L4 header offset",
        ),
        (
            Told {
                bits: IPV6_EXT | L4_UDP,
                ..RIGHT
            },
            TCP_AT + 6,
            "L4_UDP",
        ),
    ] {
        ring.send(&mut bench, &driver, &plain(&told));
        let (_, sent) = bench.fabric.wire.pop().unwrap();
        let at = usize::from(at);
        assert_ne!(sent[at..at + 2], frame[at..at + 2]);
        assert_eq!(sent[..at], frame[..at]);
        assert_eq!(sent[at + 2..], frame[at + 2..]);
        let complaints = core::mem::take(&mut bench.fabric.violations);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains(why));
    }
    // Behind IPv6 in IPv6 the parser sees nothing that it could hold against the descriptors.
    let mut inside = frame.clone();
    inside[20] = 41;
    let told = Told {
        offset: TCP_AT + 2,
        ..RIGHT
    };
    let mut list = plain(&told);
    list[0].data = inside;
    ring.send(&mut bench, &driver, &list);
    assert_eq!(bench.fabric.wire.len(), 1);
    bench.assert_quiet();
}

#[test]
fn inner_headers_too_far_behind_are_counted() {
    let mut bench = Bench::new();
    let (driver, mut ring) = ready(&mut bench);
    bench.fabric.set_register(Function::pf(0), 0xd8_0518, 4789);
    bench.fabric.set_register(Function::pf(0), 0xd8_051c, 6081);
    let inner = tcp4(1, "", 0);
    // GENEVE with options of 32 and of 36 bytes.
    for (options, complaints) in [(8, 0), (9, 1)] {
        let mut header = vec![options, 0, 0x65, 0x58, 0, 0, 1, 0];
        header.extend(core::iter::repeat_n(0, usize::from(options) * 4));
        let mut frame = vxlan(0, &inner);
        frame.splice(42..50, header);
        frame[36..38].copy_from_slice(&6081u16.to_be_bytes());
        let told = Told { bits: 0, ..RIGHT };
        let list = bds(&frame, &[1; 2000], &told, LSO | TUNN_IP_CSUM, true);
        ring.send(&mut bench, &driver, &list);
        assert_eq!(bench.fabric.wire.drain(..).count(), 2);
        let found = core::mem::take(&mut bench.fabric.violations);
        assert_eq!(found.len(), complaints, "{found:?}");
        assert!(found.iter().all(|why| why.contains("more than 48 bytes")));
    }
    // The inner IP header at byte 250 + 14 behind outer options is one that no field can hold.
    let mut frame = vxlan(1, &inner);
    let network_at = 64;
    let options = 256 - network_at;
    let mut outer_v6 = frame[..12].to_vec();
    outer_v6.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 60, 64]);
    outer_v6.extend([0x20; 32]);
    let extension = options - 20;
    assert_eq!(extension % 8, 4);
    let extension = extension + 4;
    outer_v6.extend([17, (extension / 8 - 1) as u8, 1, (extension - 4) as u8]);
    outer_v6.extend(vec![0; extension - 4]);
    outer_v6.extend(&frame[34..]);
    frame = outer_v6;
    let told = Told { bits: 0, ..RIGHT };
    ring.send(
        &mut bench,
        &driver,
        &bds(&frame, &[1; 2000], &told, LSO, true),
    );
    let found = core::mem::take(&mut bench.fabric.violations);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("too far behind"));
}
