//! Work for the device on frames to send: which bits the descriptors have, and what is refused before the ring.

mod common;

use common::{Memory, Soft, queue};
use fastlinq_net::{
    BufferNumber, Checksums, Ipv6Extensions, MAX_TUNNEL_HEADER_BYTES, Offload, QueueConfig,
    QueuePair, Segment, Segmentation, TransmitError, Tunnel, TxFrame, TxPacket, TxRule,
};
use fastlinq_pac::hsi::{EthTx1stBd, EthTx2ndBd, EthTx3rdBd};
use zerocopy::FromBytes;

fn open(memory: &Memory) -> (QueuePair<'static, Soft>, Soft) {
    let config = QueueConfig {
        receive_ring: 128,
        transmit_ring: 600,
        buffers: 800,
        buffer_bytes: 4096,
        mtu: 1500,
        ..QueueConfig::default()
    };
    let (queue, soft) = queue(memory, &config);
    soft.inner().stall = true;
    (queue, soft)
}

/// What reaches the ring.
fn descriptors(queue: &mut QueuePair<'_, Soft>, soft: &Soft, frame: TxFrame<'_>) -> Vec<[u8; 16]> {
    assert_eq!(queue.transmit_frames(&[frame]), Ok(1));
    let taken = soft.inner().take_descriptors();
    queue.reap().unwrap();
    assert_eq!(queue.usage().missing(), 0);
    taken
}

fn first(bytes: &[u8; 16]) -> EthTx1stBd {
    EthTx1stBd::read_from_bytes(bytes).unwrap()
}

fn second(bytes: &[u8; 16]) -> EthTx2ndBd {
    EthTx2ndBd::read_from_bytes(bytes).unwrap()
}

fn third(bytes: &[u8; 16]) -> EthTx3rdBd {
    EthTx3rdBd::read_from_bytes(bytes).unwrap()
}

fn pieces(queue: &mut QueuePair<'_, Soft>, lengths: &[u16]) -> Vec<Segment> {
    let lengths = lengths.iter();
    lengths
        .map(|length| Segment {
            buffer: queue.take_buffer().expect("a buffer"),
            offset: 64,
            length: *length,
        })
        .collect()
}

fn refused(queue: &mut QueuePair<'_, Soft>, segments: &[Segment], offload: Offload) -> TxRule {
    let owned = queue.usage().owned;
    let rule = match queue.transmit_frames(&[TxFrame { segments, offload }]) {
        Err(TransmitError::Refused { accepted: 0, rule }) => rule,
        other => panic!("{other:?}"),
    };
    assert_eq!(queue.usage().owned, owned, "refused frames stay");
    rule
}

#[test]
fn one_descriptor_asks_for_checksums_tags_and_tunnels() {
    let memory = Memory::default();
    let (mut queue, soft) = open(&memory);
    let tunnel = |ip, transport| Tunnel {
        inner_ip_offset: 64,
        header_bytes: 16,
        outer_ip_checksum: ip,
        outer_transport_checksum: transport,
    };
    let checksums = Offload::checksums;
    let cases = [
        (Offload::NONE, 0x01, 0, 0),
        (checksums(Checksums::Ip), 0x05, 0, 0),
        (checksums(Checksums::Transport), 0x09, 0, 0),
        (checksums(Checksums::IpAndTransport), 0x0d, 0, 0),
        (Offload::NONE.with_vlan(0xe123), 0x11, 0xe123, 0),
        (checksums(Checksums::Ip).with_vlan(7), 0x15, 7, 0),
        (
            Offload::NONE.in_tunnel(tunnel(true, false)).unwrap(),
            0x41,
            0,
            1,
        ),
        (
            checksums(Checksums::IpAndTransport)
                .with_vlan(0xfff)
                .in_tunnel(tunnel(true, true))
                .unwrap(),
            0xdd,
            0xfff,
            1,
        ),
    ];
    for (offload, flags, vlan, tunnel) in cases {
        // As a frame in pieces, and as a packet on the common way.
        let segments = pieces(&mut queue, &[100]);
        let frame = TxFrame {
            segments: &segments,
            offload,
        };
        let of_frame = descriptors(&mut queue, &soft, frame);
        let packet = TxPacket::new(queue.take_buffer().unwrap(), 64, 100).with(offload);
        assert_eq!(queue.transmit(&[packet]), Ok(1));
        let of_packet = soft.inner().take_descriptors();
        for taken in [of_frame, of_packet] {
            assert_eq!(taken.len(), 1);
            let bd = first(&taken[0]);
            assert_eq!(bd.nbytes.get(), 100);
            assert_eq!(bd.data.nbds, 1);
            assert_eq!(bd.data.bd_flags.bitfields, flags, "{offload:?}");
            assert_eq!(bd.data.vlan.get(), vlan);
            assert_eq!(bd.data.bitfields.get(), 100 << 2 | tunnel);
        }
    }
}

#[test]
fn ipv6_extension_headers_take_three_descriptors() {
    let memory = Memory::default();
    let (mut queue, soft) = open(&memory);
    let tcp = Ipv6Extensions::before_tcp(70, 32).unwrap();
    let udp = Ipv6Extensions::before_udp(62).unwrap();
    for (extensions, offset, udp_bit, dwords) in [(tcp, 35, 0, 8), (udp, 31, 1 << 14, 0)] {
        for lengths in [&[200_u16][..], &[70, 130], &[100, 50, 50], &[50; 4]] {
            let segments = pieces(&mut queue, lengths);
            let frame = TxFrame {
                segments: &segments,
                offload: Offload::behind_extensions(extensions),
            };
            let taken = descriptors(&mut queue, &soft, frame);
            assert_eq!(taken.len(), lengths.len().max(3));
            let bd = first(&taken[0]);
            assert_eq!(usize::from(bd.data.nbds), taken.len());
            assert_eq!(bd.data.bd_flags.bitfields, 0x09);
            assert_eq!(bd.data.bitfields.get(), 200 << 2);
            let bd = second(&taken[1]);
            assert_eq!(bd.data.bitfields1.get(), 1 << 12 | udp_bit);
            assert_eq!(bd.data.bitfields2.get(), offset);
            let bd = third(&taken[2]);
            assert_eq!(bd.data.lso_mss.get(), 0);
            assert_eq!(bd.data.bitfields.get(), dwords);
            for (position, bd) in taken.iter().enumerate() {
                let length = lengths.get(position).copied().unwrap_or(0);
                assert_eq!(u16::from_le_bytes([bd[8], bd[9]]), length);
                assert_eq!(bd[..8] == [0; 8], length == 0, "no bytes, no address");
            }
        }
    }
    // Packets in one buffer, too.
    let offload = Offload::behind_extensions(tcp);
    let packet = TxPacket::new(queue.take_buffer().unwrap(), 64, 100).with(offload);
    assert_eq!(queue.transmit(&[packet]), Ok(1));
    assert_eq!(soft.inner().take_descriptors().len(), 3);
    for (offset, header) in [(61, 20), (60, 20), (512, 20), (62, 16), (62, 64), (62, 21)] {
        let rule = Ipv6Extensions::before_tcp(offset, header);
        assert_eq!(rule, Err(TxRule::ExtensionHeaders), "{offset} {header}");
    }
}

#[test]
fn headers_of_segmented_frames_get_descriptors_of_their_own() {
    let memory = Memory::default();
    let (mut queue, soft) = open(&memory);
    let offload = Offload::segmentation(Segmentation::new(54, 1446).unwrap());
    // Lengths of the pieces, of the descriptors, and descriptors of headers.
    let cases: [(&[u16], &[u16], u16); 6] = [
        (&[3000], &[54, 2946, 0], 1),
        (&[54, 3000], &[54, 3000, 0], 1),
        (&[54, 1500, 1500], &[54, 1500, 1500], 1),
        (&[14, 20, 20, 3000], &[14, 20, 20, 3000], 3),
        (&[14, 20, 100, 3000], &[14, 20, 20, 80, 3000], 3),
        (&[10, 20, 14, 500, 500], &[10, 20, 14, 10, 490, 500], 4),
    ];
    for (lengths, expected, headers) in cases {
        let segments = pieces(&mut queue, lengths);
        let frame = TxFrame {
            segments: &segments,
            offload,
        };
        let taken = descriptors(&mut queue, &soft, frame);
        let bytes: Vec<_> = taken
            .iter()
            .map(|bd| u16::from_le_bytes([bd[8], bd[9]]))
            .collect();
        assert_eq!(bytes, expected);
        let bd = first(&taken[0]);
        assert_eq!(usize::from(bd.data.nbds), expected.len());
        assert_eq!(bd.data.bd_flags.bitfields, 0x2d);
        assert_eq!(bd.data.bitfields.get(), 0, "no length with segmentation");
        assert_eq!(second(&taken[1]).data.bitfields1.get(), 0);
        let bd = third(&taken[2]);
        assert_eq!(bd.data.lso_mss.get(), 1446);
        assert_eq!(bd.data.bitfields.get(), headers << 4);
        assert!(taken[3..].iter().all(|bd| bd[10..] == [0; 6]));
    }
    // The cut is in the buffer: the payload begins right behind the headers.
    let segments = pieces(&mut queue, &[300]);
    let frame = TxFrame {
        segments: &segments,
        offload,
    };
    let taken = descriptors(&mut queue, &soft, frame);
    let address = |bd: &[u8; 16]| u64::from_le_bytes(bd[..8].try_into().unwrap());
    assert_eq!(address(&taken[1]) - address(&taken[0]), 54);
    // A packet, a tunnel, a tag.
    let tunnel = Tunnel {
        inner_ip_offset: 64,
        header_bytes: 16,
        outer_ip_checksum: true,
        outer_transport_checksum: true,
    };
    let inner = Offload::segmentation(Segmentation::new(104, 1400).unwrap());
    let offload = inner.in_tunnel(tunnel).unwrap().with_vlan(5);
    let packet = TxPacket::new(queue.take_buffer().unwrap(), 64, 4000).with(offload);
    assert_eq!(queue.transmit(&[packet]), Ok(1));
    let taken = soft.inner().take_descriptors();
    let bd = first(&taken[0]);
    assert_eq!((taken.len(), bd.data.bd_flags.bitfields), (3, 0xfd));
    assert_eq!((bd.data.vlan.get(), bd.data.bitfields.get()), (5, 1));
}

#[test]
fn segmentation_behind_extension_headers_says_both() {
    let memory = Memory::default();
    let (mut queue, soft) = open(&memory);
    let extensions = Ipv6Extensions::before_tcp(62, 20).unwrap();
    let segmentation = Segmentation::new(82, 1400).unwrap();
    let offload = Offload::segmentation_behind_extensions(segmentation, extensions).unwrap();
    let segments = pieces(&mut queue, &[3000]);
    let frame = TxFrame {
        segments: &segments,
        offload,
    };
    let taken = descriptors(&mut queue, &soft, frame);
    assert_eq!(second(&taken[1]).data.bitfields2.get(), 31);
    assert_eq!(third(&taken[2]).data.bitfields.get(), 5 | 1 << 4);
    let elsewhere = Segmentation::new(86, 1400).unwrap();
    let wrong = Offload::segmentation_behind_extensions(elsewhere, extensions);
    assert_eq!(wrong, Err(TxRule::ExtensionHeaders));
    let udp = Ipv6Extensions::before_udp(62).unwrap();
    let wrong = Offload::segmentation_behind_extensions(segmentation, udp);
    assert_eq!(wrong, Err(TxRule::ExtensionHeaders));
}

#[test]
fn segmented_frames_that_break_a_rule_never_reach_the_ring() {
    let memory = Memory::default();
    let (mut queue, soft) = open(&memory);
    let offload = Offload::segmentation(Segmentation::new(54, 1460).unwrap());
    let doorbells = soft.inner().doorbells;
    let only_headers = pieces(&mut queue, &[54]);
    assert_eq!(
        refused(&mut queue, &only_headers, offload),
        TxRule::SegmentedBytes
    );
    let short = pieces(&mut queue, &[40]);
    assert_eq!(refused(&mut queue, &short, offload), TxRule::SegmentedBytes);
    let scattered = pieces(&mut queue, &[10, 10, 10, 10, 500]);
    assert_eq!(
        refused(&mut queue, &scattered, offload),
        TxRule::SegmentHeaders
    );
    let plain = pieces(&mut queue, &[54, 3000]);
    let big = Offload::segmentation(Segmentation::new(54, 1461).unwrap());
    assert_eq!(refused(&mut queue, &plain, big), TxRule::SegmentPayload);
    assert_eq!(Segmentation::new(53, 1), Err(TxRule::SegmentHeaders));
    assert_eq!(Segmentation::new(511, 1), Err(TxRule::SegmentHeaders));
    assert_eq!(Segmentation::new(54, 0), Err(TxRule::SegmentPayload));
    assert_eq!(Segmentation::new(54, 9673), Err(TxRule::SegmentPayload));
    let far = Tunnel {
        inner_ip_offset: 252,
        header_bytes: 16,
        outer_ip_checksum: false,
        outer_transport_checksum: false,
    };
    let deep = Offload::segmentation(Segmentation::new(320, 1000).unwrap());
    assert_eq!(deep.in_tunnel(far), Err(TxRule::TunnelHeaders));
    let outside = Tunnel {
        inner_ip_offset: 290,
        ..far
    };
    assert_eq!(offload.in_tunnel(outside), Err(TxRule::TunnelHeaders));
    assert!(Offload::NONE.in_tunnel(far).is_ok());
    // UDP, GENEVE, 32 bytes of options, and not one more, whatever is to be done inside.
    for work in [
        Offload::NONE,
        Offload::checksums(Checksums::Transport),
        Offload::segmentation(Segmentation::new(320, 1000).unwrap()),
    ] {
        let geneve = |options| Tunnel {
            inner_ip_offset: 14 + 20 + 16 + options + 14,
            header_bytes: 16 + options,
            ..far
        };
        assert!(work.in_tunnel(geneve(MAX_TUNNEL_HEADER_BYTES - 16)).is_ok());
        for options in [33, 36, 252] {
            let rule = work.in_tunnel(geneve(options));
            assert_eq!(rule, Err(TxRule::TunnelHeaderBytes), "{options}");
        }
    }
    assert_eq!(TxRule::TunnelHeaderBytes.firmware_error(), None);
    assert_eq!(soft.inner().doorbells, doorbells);
    // The tag in the frame makes room behind the MTU.
    queue.buffer_mut(plain[0].buffer).unwrap()[64 + 12..64 + 14].copy_from_slice(&[0x81, 0]);
    let tagged = Offload::segmentation(Segmentation::new(54, 1464).unwrap());
    let frame = TxFrame {
        segments: &plain,
        offload: tagged,
    };
    assert_eq!(queue.transmit_frames(&[frame]), Ok(1));
}

/// The rule by its words: any 17 descriptors, headers included, hold 9,700 bytes of payload, unless the frame ends there.
fn window_is_right(lengths: &[u16]) -> bool {
    let data = &lengths[1..];
    (0..data.len()).all(|start| {
        let end = start + 16;
        end >= data.len() || data[start..end].iter().map(|n| u32::from(*n)).sum::<u32>() >= 9700
    })
}

#[test]
fn long_runs_of_small_pieces_are_refused_by_the_window_rule() {
    let memory = Memory::default();
    let (mut queue, soft) = open(&memory);
    let offload = Offload::segmentation(Segmentation::new(54, 1460).unwrap());
    let mut random = common::Random(77);
    let mut seen = [0; 2];
    for round in 0..600_u64 {
        let count = 2 + random.below(254) as usize;
        let mut lengths = vec![54];
        let usual = [607, 500, 640, 1000][round as usize % 4];
        while lengths.len() < count {
            let length = match random.below(30) {
                0 => 1 + random.below(300),
                _ => usual - random.below(8),
            };
            lengths.push(length as u16);
        }
        let segments = pieces(&mut queue, &lengths);
        let right = window_is_right(&lengths);
        seen[usize::from(right)] += 1;
        if right {
            let frame = TxFrame {
                segments: &segments,
                offload,
            };
            assert_eq!(descriptors(&mut queue, &soft, frame).len(), count.max(3));
        } else {
            assert_eq!(
                refused(&mut queue, &segments, offload),
                TxRule::SegmentWindow
            );
            for segment in segments {
                assert!(queue.release_buffer(segment.buffer));
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    // 255 descriptors are the most, the cut included.
    let mut lengths = vec![1000; 255];
    let segments = pieces(&mut queue, &lengths);
    assert_eq!(
        refused(&mut queue, &segments, offload),
        TxRule::TooManySegments
    );
    lengths.pop();
    let frame = TxFrame {
        segments: &segments[..254],
        offload,
    };
    assert_eq!(descriptors(&mut queue, &soft, frame).len(), 255);
    assert!(queue.release_buffer(segments[254].buffer));
}

#[test]
fn a_frame_that_finds_no_room_is_left_with_the_program() {
    let memory = Memory::default();
    let (mut queue, _soft) = open(&memory);
    let offload = Offload::segmentation(Segmentation::new(54, 1460).unwrap());
    let mut sent = 0;
    let left = loop {
        let segments = pieces(&mut queue, &[54, 1000, 1000, 1000, 1000, 1000, 1000]);
        let frame = TxFrame {
            segments: &segments,
            offload,
        };
        match queue.transmit_frames(&[frame]) {
            Ok(1) => sent += 1,
            Ok(_) => break segments,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(sent, 600 / 7);
    assert!(
        left.iter()
            .all(|segment| queue.release_buffer(segment.buffer))
    );
    let usage = queue.usage();
    assert_eq!((usage.owned, usage.missing()), (0, 0));
    assert_eq!(usage.transmitting, 600 / 7 * 7);
}

#[test]
fn short_frames_are_filled_up_with_zeros_where_they_have_the_room() {
    let memory = Memory::default();
    let (mut queue, soft) = open(&memory);
    let fill = |queue: &mut QueuePair<'_, Soft>, buffer: BufferNumber| {
        queue.buffer_mut(buffer).unwrap().fill(0xee);
    };
    let buffer = queue.take_buffer().unwrap();
    fill(&mut queue, buffer);
    let packet = TxPacket::new(buffer, 100, 42);
    assert_eq!(queue.transmit(&[packet]), Ok(1));
    let taken = soft.inner().take_descriptors();
    assert_eq!(first(&taken[0]).nbytes.get(), 60);
    assert_eq!(first(&taken[0]).data.bitfields.get(), 60 << 2);
    let bus = u64::from_le_bytes(taken[0][..8].try_into().unwrap());
    let sent: [u8; 61] = memory.read(bus);
    assert_eq!(sent[..42], [0xee; 42]);
    assert_eq!(sent[42..60], [0; 18]);
    assert_eq!(sent[60], 0xee, "and not a byte more");
    assert_eq!(queue.counters().transmit.padded, 1);
    assert_eq!(queue.counters().transmit.bytes, 42);
    // No room: the device does it.
    let packet = TxPacket::new(queue.take_buffer().unwrap(), 4096 - 42, 42);
    assert_eq!(queue.transmit(&[packet]), Ok(1));
    let taken = soft.inner().take_descriptors();
    assert_eq!(first(&taken[0]).nbytes.get(), 42);
    // Two pieces in one buffer: what is behind the last may be the first.
    let buffer = queue.take_buffer().unwrap();
    fill(&mut queue, buffer);
    let piece = |offset| Segment {
        buffer,
        offset,
        length: 20,
    };
    assert_eq!(queue.transmit_gather(&[[piece(30), piece(0)]]), Ok(1));
    let taken = soft.inner().take_descriptors();
    assert_eq!(first(&taken[0]).data.bitfields.get(), 40 << 2);
    assert_eq!(queue.counters().transmit.padded, 1);
}
