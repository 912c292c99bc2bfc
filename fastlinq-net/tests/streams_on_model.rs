//! Streams of TCP with options, large frames, tunnels, and several receive queues: from the rings of one software adapter over
//! a cable into the rings of another. What arrives is judged by a library that knows nothing of this project.

mod looping;
mod wired;

use std::collections::BTreeMap;

use fastlinq_hal::adapter::TunnelConfig;
use fastlinq_hal::vport::{Aggregation, HashedHeaders, RssConfig, VportConfig};
use fastlinq_net::{
    Checksum, Checksums, Network, Offload, Segmentation, Transport, Tunnel as InTunnel, TunnelKind,
};
use fastlinq_pac::hsi::flags::TunnelParsingFlags;
use wired::judge::{
    Around, OUTER_IDENTIFICATION, Segment, Stream, TcpSum, Tunnel, hashed, longest, segment,
    timestamp, toeplitz,
};
use wired::{CHIPS, Taken, Wired, bytes};

/// Both vports with an MTU.
fn with_mtu(chip: fastlinq_model_host::model::Chip, mtu: u16) -> Wired {
    let vport = VportConfig {
        mtu: Some(mtu),
        ..VportConfig::default()
    };
    Wired::several(chip, vport, vport, 1)
}

/// Holds the segments that a frame became against it.
fn check_cut(stream: &Stream, payload: &[u8], most: usize, parts: &[Segment]) {
    assert_eq!(parts.len(), payload.len().div_ceil(most));
    let mut together: Vec<u8> = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let last = number + 1 == parts.len();
        let offset = (number * most) as u32;
        let tcp = &part.tcp;
        assert_eq!(tcp.sequence_number, stream.sequence.wrapping_add(offset));
        assert_eq!((tcp.ack, tcp.psh), (true, last && stream.push));
        let options: Vec<_> = tcp.options_iterator().map(Result::unwrap).collect();
        assert_eq!(options, stream.options, "each segment has the options");
        let id = stream.identification.wrapping_add(number as u16);
        assert_eq!(part.identification, (!stream.v6).then_some(id));
        if !last {
            assert_eq!(part.payload.len(), most);
        }
        together.extend(&part.payload);
    }
    assert!(together == payload);
}

fn check_record(taken: &Taken, v6: bool) {
    let kind = taken.packet.kind();
    let network = if v6 { Network::Ipv6 } else { Network::Ipv4 };
    assert_eq!((kind.network, kind.transport), (network, Transport::Tcp));
    assert_eq!(taken.packet.checksum(), Checksum::Good);
}

#[test]
fn streams_with_tcp_options_are_cut_at_both_mtus() {
    for chip in CHIPS {
        for mtu in [1500, 9000] {
            let mut wired = with_mtu(chip, mtu);
            let mac = wired.far.mac;
            for v6 in [false, true] {
                for options in [vec![], timestamp(9), longest()] {
                    let stream = Stream::new(v6, options);
                    let header = stream.header_bytes();
                    let most = usize::from(mtu) + 14 - header;
                    for length in [1, most, most + 1, 3 * most + 7, 60_000, 200_000] {
                        let payload = bytes(length);
                        let frame = stream.to_segment(mac, &payload);
                        let segmentation = Segmentation::new(header as u16, most as u16).unwrap();
                        let offload = Offload::segmentation(segmentation);
                        wired.near.send(&frame, 1984, offload);
                        let taken = wired.arrivals();
                        let mut parts = Vec::new();
                        for taken in &taken {
                            check_record(taken, v6);
                            assert!(taken.bytes.len() <= usize::from(mtu) + 14);
                            let buffers = (taken.bytes.len() + 2).div_ceil(1984);
                            assert_eq!(usize::from(taken.packet.segments()), buffers);
                            parts.push(segment(&taken.bytes, TcpSum::Right));
                        }
                        check_cut(&stream, &payload, most, &parts);
                    }
                }
            }
            wired.close();
        }
    }
}

/// Every tunnel that there is, over both versions of IP, with and without a checksum outside where that may be.
fn tunnels() -> Vec<Around> {
    let mut all = Vec::new();
    for tunnel in [Tunnel::Vxlan, Tunnel::Geneve(0), Tunnel::Geneve(8)] {
        for (v6, checksum) in [(false, false), (false, true), (true, true)] {
            all.push(Around {
                tunnel,
                v6,
                checksum,
            });
        }
    }
    for (key, ethernet) in [(false, false), (false, true), (true, false), (true, true)] {
        for (v6, checksum) in [(false, false), (false, true), (true, false), (true, true)] {
            all.push(Around {
                tunnel: Tunnel::Gre { key, ethernet },
                v6,
                checksum,
            });
        }
    }
    all
}

fn in_tunnel(around: &Around) -> InTunnel {
    let ethernet = if around.carries_ethernet() { 14 } else { 0 };
    InTunnel {
        inner_ip_offset: (around.bytes() + ethernet) as u16,
        header_bytes: around.header_bytes() as u16,
        outer_ip_checksum: true,
        outer_transport_checksum: around.checksum,
    }
}

/// What the device says of a frame in a tunnel.
fn check_tunnel_record(taken: &Taken, around: &Around, inner_v6: bool) {
    check_record(taken, inner_v6);
    let packet = &taken.packet;
    let (kind, outer, tenant) = match around.tunnel {
        Tunnel::Vxlan => (TunnelKind::Vxlan, around.checksum, true),
        Tunnel::Geneve(_) => (TunnelKind::Geneve, around.checksum, true),
        // The device does not report on GRE's checksum.
        Tunnel::Gre { key, .. } => (TunnelKind::Gre, false, key),
    };
    assert_eq!(packet.kind().tunnel, Some(kind));
    let verdict = if outer {
        Checksum::Good
    } else {
        Checksum::Unknown
    };
    assert_eq!(packet.outer_checksum(), Some(verdict));
    let flags = packet.tunnel_flags();
    assert_eq!(flags.contains(TunnelParsingFlags::TENNANT_ID_EXIST), tenant);
    let next = match (around.carries_ethernet(), inner_v6) {
        (true, _) => 1,
        (false, false) => 2,
        (false, true) => 3,
    };
    assert_eq!(flags.bits() >> 3 & 3, next, "what the tunnel carries");
    let odd = TunnelParsingFlags::IPV4_FRAGMENT | TunnelParsingFlags::IPV4_OPTIONS;
    assert!(!flags.intersects(odd));
}

#[test]
fn every_tunnel_carries_single_frames_and_streams_with_options_at_both_mtus() {
    const INSIDE: [u8; 6] = [2, 0, 0, 0, 7, 7];
    for (chip, mtu) in CHIPS.into_iter().zip([1500, 9000]) {
        let mut wired = with_mtu(chip, mtu);
        wired.open_tunnels();
        let mac = wired.far.mac;
        let mut frames = [0; 3];
        for around in tunnels() {
            for v6 in [false, true] {
                let stream = Stream::new(v6, timestamp(3));
                // One frame: all checksums inside and outside are wrong, and are put right.
                let mut single = stream.frame(INSIDE, &bytes(700));
                let tcp = 14 + stream.ip_bytes();
                single[tcp + 16] ^= 0x55;
                if !v6 {
                    single[24] ^= 0x55;
                }
                let offload = Offload::checksums(Checksums::IpAndTransport);
                let offload = offload.in_tunnel(in_tunnel(&around)).unwrap();
                wired.near.send(&around.wrap(mac, &single), 1984, offload);
                let taken = wired.arrival();
                check_tunnel_record(&taken, &around, v6);
                let (id, part) = around.unwrap(&taken.bytes);
                assert_eq!(id, (!around.v6).then_some(OUTER_IDENTIFICATION));
                check_cut(&stream, &bytes(700), 700, &[part]);
                // A stream.
                let inner = if around.carries_ethernet() { 14 } else { 0 };
                let header = around.bytes() + stream.header_bytes() - 14 + inner;
                let most = usize::from(mtu) + 14 - header;
                let mut count = 1;
                for length in [most, 5 * most + 3, 100_000] {
                    let payload = bytes(length);
                    let frame = around.wrap(mac, &stream.to_segment(INSIDE, &payload));
                    let segmentation = Segmentation::new(header as u16, most as u16).unwrap();
                    let offload = Offload::segmentation(segmentation);
                    let offload = offload.in_tunnel(in_tunnel(&around)).unwrap();
                    wired.near.send(&frame, 1984, offload);
                    let taken = wired.arrivals();
                    let mut parts = Vec::new();
                    for (number, taken) in taken.iter().enumerate() {
                        check_tunnel_record(taken, &around, v6);
                        let (id, part) = around.unwrap(&taken.bytes);
                        let expected = OUTER_IDENTIFICATION.wrapping_add(number as u16);
                        assert_eq!(id, (!around.v6).then_some(expected));
                        parts.push(part);
                    }
                    check_cut(&stream, &payload, most, &parts);
                    count += taken.len() as u64;
                }
                frames[match around.tunnel {
                    Tunnel::Vxlan => 0,
                    Tunnel::Geneve(_) => 1,
                    Tunnel::Gre { .. } => 2,
                }] += count;
            }
        }
        let sent = wired.near.adapter.function_statistics().unwrap();
        let received = wired.far.adapter.function_statistics().unwrap();
        for counted in [
            [
                sent.transmitted_vxlan,
                sent.transmitted_geneve,
                sent.transmitted_gre,
            ],
            [
                received.received_vxlan,
                received.received_geneve,
                received.received_gre,
            ],
        ] {
            assert_eq!(counted.map(|traffic| traffic.frames), frames);
        }
        wired.close();
    }
}

#[test]
fn gre_is_seen_through_only_where_it_is_opened_and_its_outer_header_is_judged() {
    for chip in CHIPS {
        let mut wired = with_mtu(chip, 1500);
        wired.near.adapter.set_tunnels(TunnelConfig::all()).unwrap();
        let mac = wired.far.mac;
        let around = Around {
            tunnel: Tunnel::Gre {
                key: true,
                ethernet: true,
            },
            v6: false,
            checksum: true,
        };
        let stream = Stream::new(false, timestamp(3));
        let frame = around.wrap(mac, &stream.frame([2, 0, 0, 0, 7, 7], &bytes(500)));
        let offload = Offload::checksums(Checksums::IpAndTransport);
        let offload = offload.in_tunnel(in_tunnel(&around)).unwrap();
        wired.near.send(&frame, 1984, offload);
        let taken = wired.arrival();
        around.unwrap(&taken.bytes);
        let kind = taken.packet.kind();
        assert_eq!(
            (kind.tunnel, kind.network, kind.transport),
            (None, Network::Ipv4, Transport::Other)
        );
        assert_eq!(taken.packet.checksum(), Checksum::Unknown);

        wired.far.adapter.set_tunnels(TunnelConfig::all()).unwrap();
        wired.near.send(&frame, 1984, offload);
        check_tunnel_record(&wired.arrival(), &around, false);
        // The outer IP checksum stays wrong when nobody asks for it; the inner headers are judged all the same.
        wired.near.send(&frame, 1984, Offload::NONE);
        let packet = wired.arrival().packet;
        assert_eq!(packet.kind().tunnel, Some(TunnelKind::Gre));
        assert_eq!(packet.outer_checksum(), Some(Checksum::Bad));
        assert_eq!(packet.checksum(), Checksum::Bad);
        wired.close();
    }
}

/// Both vports with an MTU; the far one joins.
fn joining(
    chip: fastlinq_model_host::model::Chip,
    mtu: u16,
    consistent: bool,
    queues: u16,
) -> Wired {
    let near = VportConfig {
        mtu: Some(mtu),
        ..VportConfig::default()
    };
    let far = VportConfig {
        aggregation: Some(Aggregation {
            consistent,
            ..Aggregation::for_mtu(mtu)
        }),
        ..near
    };
    Wired::several(chip, near, far, queues)
}

/// Sends a payload of a flow, and moves the flow on.
fn send_stream(wired: &mut Wired, stream: &mut Stream, payload: &[u8], most: usize) {
    let frame = stream.to_segment(wired.far.mac, payload);
    let header = stream.header_bytes() as u16;
    let segmentation = Segmentation::new(header, most as u16).unwrap();
    wired
        .near
        .send(&frame, 1984, Offload::segmentation(segmentation));
    stream.sequence = stream.sequence.wrapping_add(payload.len() as u32);
}

#[test]
fn streams_with_timestamps_are_joined_at_both_mtus() {
    for (chip, mtu) in CHIPS.into_iter().zip([9000, 1500]) {
        let mut wired = joining(chip, mtu, true, 1);
        let mut joins = 0;
        for v6 in [false, true] {
            let mut stream = Stream::new(v6, timestamp(1));
            let header = stream.header_bytes();
            let most = usize::from(mtu) + 14 - header;
            // As many segments as buffers or bytes allow, and parts of that.
            let at_most = (usize::from(u16::MAX) - header) / most;
            let at_most = at_most.min(16);
            for count in [at_most, at_most + 1, 2, 3 * at_most] {
                let payload = bytes(count * most);
                let first = stream.sequence;
                send_stream(&mut wired, &mut stream, &payload, most);
                let mut together = Vec::new();
                for taken in wired.arrivals() {
                    check_record(&taken, v6);
                    let part = segment(&taken.bytes, TcpSum::OfTheFirst);
                    let expected = first.wrapping_add(together.len() as u32);
                    assert_eq!(part.tcp.sequence_number, expected);
                    let options: Vec<_> = part.tcp.options_iterator().map(Result::unwrap).collect();
                    assert_eq!(options, stream.options);
                    let segments = part.payload.len().div_ceil(most);
                    assert_eq!(usize::from(taken.packet.segments()), segments);
                    if let Some(aggregate) = taken.packet.aggregate() {
                        assert_eq!(usize::from(aggregate.header_bytes), header);
                        assert_eq!(usize::from(aggregate.segment_payload), most);
                        assert!(segments <= at_most);
                        joins += 1;
                    } else {
                        assert_eq!(segments, 1, "PSH starts nothing");
                    }
                    together.extend(part.payload);
                }
                assert!(together == payload, "{count} segments of {most}");
            }
        }
        // 1, 1 and one segment alone, 1, and 3: PSH ends each.
        assert_eq!(joins, 12);
        wired.close();
    }
}

#[test]
fn options_decide_what_is_joined() {
    for chip in CHIPS {
        for consistent in [true, false] {
            let mut wired = joining(chip, 1500, consistent, 1);
            let mut stream = Stream {
                push: false,
                ..Stream::new(false, timestamp(1))
            };
            let header = stream.header_bytes();
            let most = 1514 - header;
            // Time goes on in the middle.
            let payload = bytes(4 * most);
            send_stream(&mut wired, &mut stream, &payload[..2 * most], most);
            stream.options = timestamp(2);
            send_stream(&mut wired, &mut stream, &payload[2 * most..], most);
            let taken = wired.arrivals();
            let segments: Vec<_> = taken.iter().map(|taken| taken.packet.segments()).collect();
            let expected: &[u8] = if consistent { &[2, 2] } else { &[4] };
            assert_eq!(segments, expected);
            let together: Vec<u8> = taken
                .iter()
                .flat_map(|taken| segment(&taken.bytes, TcpSum::OfTheFirst).payload)
                .collect();
            assert!(together == payload);
            // What acknowledges selectively stays as it is.
            stream.options = longest();
            let most = 1514 - stream.header_bytes();
            send_stream(&mut wired, &mut stream, &payload[..3 * most], most);
            let taken = wired.arrivals();
            assert_eq!(taken.len(), 3);
            for (part, expected) in taken.iter().zip(payload.chunks(most)) {
                assert!(part.packet.aggregate().is_none());
                assert!(segment(&part.bytes, TcpSum::Right).payload == expected);
            }
            let counted = wired.far.adapter.vport_statistics(wired.far.vport).unwrap();
            assert_eq!(counted.aggregation_aborts, u64::from(consistent));
            wired.close();
        }
    }
}

const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

#[test]
fn joined_streams_are_spread_over_queues_and_nothing_is_missing() {
    // The published vector, so that the judge is judged, too.
    let published = [66, 9, 149, 187, 161, 142, 100, 80, 10, 234, 6, 230];
    assert_eq!(toeplitz(&KEY, &published), 0x51cc_c178);
    const QUEUES: u16 = 4;
    const FLOWS: u16 = 24;
    for (chip, mtu) in CHIPS.into_iter().zip([1500, 9000]) {
        let mut wired = joining(chip, mtu, true, QUEUES);
        let ids: Vec<_> = wired.far.queues().map(|queue| queue.id()).collect();
        let rss = RssConfig {
            queues: &ids,
            hashed: HashedHeaders::default(),
            key: &KEY,
        };
        let vport = wired.far.vport;
        wired.far.adapter.set_rss(vport, &rss).unwrap();
        let mut flows: Vec<Stream> = (0..FLOWS)
            .map(|number| Stream {
                source_port: 20_000 + 7 * number,
                sequence: u32::from(number) << 27,
                push: number % 3 == 0,
                ..Stream::new(number % 2 == 1, timestamp(number.into()))
            })
            .collect();
        let starts: BTreeMap<u16, u32> = flows
            .iter()
            .map(|flow| (flow.source_port, flow.sequence))
            .collect();
        let mut sent: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
        let mut got: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
        let mut used: BTreeMap<usize, usize> = BTreeMap::new();
        let (mut segments, mut records, mut joins) = (0, 0, 0);
        for round in 0..6 {
            for (number, flow) in flows.iter_mut().enumerate() {
                let most = usize::from(mtu) + 14 - flow.header_bytes();
                let payload = bytes((round + number) % 7 * most + 900 + number);
                sent.entry(flow.source_port).or_default().extend(&payload);
                segments += payload.len().div_ceil(most);
                send_stream(&mut wired, flow, &payload, most);
            }
            for taken in wired.arrivals() {
                let part = segment(&taken.bytes, TcpSum::OfTheFirst);
                let hash = taken.packet.hash().expect("a hash");
                assert_eq!(hash.value, toeplitz(&KEY, &hashed(&taken.bytes)));
                let expected = hash.value as usize % 128 % usize::from(QUEUES);
                assert_eq!(taken.queue, expected, "the queue that the table says");
                assert_eq!(taken.packet.checksum(), Checksum::Good);
                let port = part.tcp.source_port;
                let so_far = got.entry(port).or_default();
                let next = starts[&port].wrapping_add(so_far.len() as u32);
                assert_eq!(part.tcp.sequence_number, next, "in order");
                so_far.extend(&part.payload);
                records += 1;
                joins += u64::from(taken.packet.aggregate().is_some());
                *used.entry(taken.queue).or_default() +=
                    usize::from(if taken.packet.aggregate().is_some() {
                        taken.packet.segments()
                    } else {
                        1
                    });
            }
        }
        assert!(got == sent, "every byte of every flow");
        assert_eq!(used.len(), usize::from(QUEUES), "each queue had work");
        assert_eq!(used.values().sum::<usize>(), segments);
        assert!(joins > 0 && records < segments as u64);
        let counters: Vec<_> = wired
            .far
            .queues()
            .map(|queue| queue.counters().receive)
            .collect();
        let sum =
            |of: fn(&fastlinq_net::ReceiveCounters) -> u64| counters.iter().map(of).sum::<u64>();
        assert_eq!(
            (sum(|c| c.packets), sum(|c| c.aggregated)),
            (records, joins)
        );
        let counted = wired.far.adapter.vport_statistics(vport).unwrap();
        assert_eq!(counted.received.frames(), segments as u64);
        assert_eq!(counted.aggregations, joins);
        wired.close();
    }
}
