//! Settings of a vport that change while it has traffic: MTU, VLAN tags, aggregation, switching, tunnels.

mod rig;

use fastlinq_hal::adapter::{Cause, Misuse, TunnelConfig};
use fastlinq_hal::config::{TunnelPorts, Tunnels};
use fastlinq_hal::mfw::link::{LinkSettings, Loopback};
use fastlinq_hal::vport::{Aggregation, HashedHeaders, VportConfig};
use fastlinq_model_host::model::Chip;
use rig::frames::{
    ETHERNET, Flow, ethernet, good_checksums, in_geneve, in_gre, in_udp_tunnel, in_vxlan, tagged,
};
use rig::{Offload, Rig, Setup};

const PSH: u8 = 8;
const L4_VERIFIED: u16 = 1 << 6;
const IP_ERROR: u16 = 1 << 9;
const L4_ERROR: u16 = 1 << 10;
const TUNNEL: u16 = 1 << 11;

#[test]
fn the_mtu_changes_while_queue_pairs_are_open() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = Rig::new(Setup {
            chip,
            queues: 2,
            ..Setup::default()
        });
        let frame = |mac, bytes: usize| ethernet(mac, 0x88b5, &vec![4; bytes]);
        let mac = rig.mac;
        assert!(rig.arrival(&frame(mac, 1500)).is_some());
        assert!(rig.arrival(&frame(mac, 1501)).is_none());
        rig.adapter.set_mtu(rig.vport, 9000).unwrap();
        let (_, packet) = rig.arrival(&frame(mac, 9000)).unwrap();
        assert_eq!(packet.frame, frame(mac, 9000));
        assert!(rig.arrival(&frame(mac, 9001)).is_none());
        rig.queues[1].send(&frame(mac, 9000));
        rig.settle();
        assert_eq!(rig.sent(), [frame(mac, 9000)]);
        rig.adapter.set_mtu(rig.vport, 576).unwrap();
        assert!(rig.arrival(&frame(mac, 577)).is_none());
        let statistics = rig.adapter.vport_statistics(rig.vport).unwrap();
        assert_eq!(statistics.dropped_too_big, 3);
        rig.finish();
    }
}

#[test]
fn an_mtu_that_open_queue_pairs_cannot_receive_is_refused() {
    let mut rig = Rig::new(Setup {
        queues: 1,
        buffer_bytes: 1024,
        ..Setup::default()
    });
    let id = rig.queues[0].port.id();
    assert!(matches!(
        rig.adapter.set_mtu(rig.vport, 9000),
        Err(Cause::Misuse(Misuse::SmallBuffers { queue, mtu: 9000 })) if queue == id
    ));
    assert!(matches!(
        rig.adapter.set_mtu(rig.vport, 9601),
        Err(Cause::Misuse(Misuse::Mtu(9601)))
    ));
    rig.adapter.set_mtu(rig.vport, 5096).unwrap();
    rig.finish();
}

#[test]
fn tags_are_taken_off_and_left_in_as_told() {
    let mut rig = Rig::new(Setup {
        queues: 1,
        ..Setup::default()
    });
    let plain = Flow::new(rig.mac, "10.0.0.1", "10.0.0.2", (1, 2)).frame(&[6; 90]);
    let tag = tagged(&plain, 0x6123);
    let (_, packet) = rig.arrival(&tag).unwrap();
    assert_eq!((packet.vlan(), &packet.frame), (0, &tag));
    rig.adapter.set_vlan_stripping(rig.vport, true).unwrap();
    let (_, packet) = rig.arrival(&tag).unwrap();
    assert_eq!((packet.vlan(), &packet.frame), (0x6123, &plain));
    let (_, packet) = rig.arrival(&plain).unwrap();
    assert_eq!((packet.vlan(), &packet.frame), (0, &plain));
    rig.adapter.set_vlan_stripping(rig.vport, false).unwrap();
    let (_, packet) = rig.arrival(&tag).unwrap();
    assert_eq!((packet.vlan(), &packet.frame), (0, &tag));
    // And put in on the way out.
    let vlan = Offload {
        vlan: Some(0x6123),
        ..Offload::default()
    };
    rig.queues[0].send_with(&plain, vlan);
    rig.settle();
    assert_eq!(rig.sent(), [tag]);
    rig.finish();
}

/// Segments of a flow, `count` of `bytes` each, the last one with PSH where `push`.
fn segments(flow: Flow, count: u32, bytes: usize, push: bool) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let last = push && number + 1 == count;
            let segment = Flow {
                sequence: flow.sequence + number * bytes as u32,
                tcp_flags: 0x10 | if last { PSH } else { 0 },
                ..flow
            };
            segment.frame(&vec![number as u8; bytes])
        })
        .collect()
}

#[test]
fn segments_are_aggregated_over_several_queues() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = Rig::new(Setup {
            chip,
            vport: VportConfig {
                aggregation: Some(Aggregation::for_mtu(1500)),
                ..VportConfig::default()
            },
            ..Setup::default()
        });
        rig.scale(HashedHeaders::default());
        // Flows of both versions, their segments mixed on the line.
        let flows: Vec<_> = (0..12u16)
            .map(|port| {
                let (source, destination) = if port % 2 == 0 {
                    ("10.0.0.1", "10.0.0.2")
                } else {
                    ("fe80::1", "fe80::2")
                };
                segments(
                    Flow::new(rig.mac, source, destination, (5000 + port, 80)),
                    6,
                    1000 + usize::from(port),
                    port % 3 != 0,
                )
            })
            .collect();
        let mixed: Vec<_> = (0..6)
            .flat_map(|number| flows.iter().map(move |flow| flow[number].clone()))
            .collect();
        let arrived = rig.arrive(&mixed);
        let packets: Vec<_> = arrived.iter().flatten().collect();
        assert_eq!(packets.len(), 12);
        assert!(arrived.iter().filter(|queue| !queue.is_empty()).count() > 1);
        for packet in packets {
            let (coalesced, reason) = packet.aggregated().unwrap();
            assert_eq!(coalesced, 6);
            let datagram = &packet.frame[ETHERNET..];
            let v4 = datagram[0] >> 4 == 4;
            let header = if v4 { 40 } else { 60 };
            let port = datagram[if v4 { 21 } else { 41 }];
            let port = usize::from(port.wrapping_sub((5000u16 & 0xff) as u8));
            let bytes = 1000 + port;
            assert_eq!(datagram.len(), header + 6 * bytes);
            for (number, part) in datagram[header..].chunks(bytes).enumerate() {
                assert!(part.iter().all(|byte| usize::from(*byte) == number));
            }
            // By the last segment, or by time.
            assert_eq!(reason, if port % 3 == 0 { 4 } else { 3 });
        }
        let statistics = rig.adapter.vport_statistics(rig.vport).unwrap();
        assert_eq!(statistics.aggregated_packets, 72);
        assert_eq!(statistics.aggregations, 12);
        assert_eq!(statistics.received.frames(), 72);
        rig.finish();
    }
}

#[test]
fn aggregation_starts_changes_and_ends_at_run_time() {
    let mut rig = Rig::new(Setup {
        queues: 1,
        ..Setup::default()
    });
    let flow = Flow::new(rig.mac, "10.0.0.1", "10.0.0.2", (5000, 80));
    let train = segments(flow, 8, 1000, true);
    let counts = |rig: &mut Rig| -> Vec<u16> {
        let arrived = rig.arrive(&train).remove(0);
        arrived
            .iter()
            .map(|packet| packet.aggregated().map_or(1, |(segments, _)| segments))
            .collect()
    };
    assert_eq!(counts(&mut rig), [1; 8]);
    let all = Aggregation::for_mtu(1500);
    rig.adapter.set_aggregation(rig.vport, Some(all)).unwrap();
    assert_eq!(counts(&mut rig), [8]);
    // With four buffers each, the train takes two.
    let four = Aggregation { buffers: 4, ..all };
    rig.adapter.set_aggregation(rig.vport, Some(four)).unwrap();
    assert_eq!(counts(&mut rig), [4, 4]);
    let bytes = Aggregation {
        max_bytes: 3200,
        ..all
    };
    rig.adapter.set_aggregation(rig.vport, Some(bytes)).unwrap();
    let counted = counts(&mut rig);
    assert_eq!(counted.iter().sum::<u16>(), 8);
    assert!(counted.iter().all(|segments| *segments <= 3), "{counted:?}");
    rig.adapter.set_aggregation(rig.vport, None).unwrap();
    assert_eq!(counts(&mut rig), [1; 8]);

    let none = Aggregation {
        aggregations: 0,
        ..all
    };
    assert!(matches!(
        rig.adapter.set_aggregation(rig.vport, Some(none)),
        Err(Cause::Misuse(Misuse::Aggregation))
    ));
    // A jumbo frame does not fit into one buffer.
    rig.adapter.set_mtu(rig.vport, 9000).unwrap();
    assert!(matches!(
        rig.adapter
            .set_aggregation(rig.vport, Some(Aggregation::for_mtu(9000))),
        Err(Cause::Misuse(Misuse::SmallBuffers { mtu: 9000, .. }))
    ));
    rig.finish();
}

#[test]
fn frames_between_vports_stay_inside_only_while_switching_is_on() {
    let mut rig = Rig::new(Setup {
        queues: 2,
        ..Setup::default()
    });
    // The second queue pair moves to a vport of its own.
    rig.close(1);
    let first = rig.vport;
    let second = rig.adapter.start_vport(VportConfig::default()).unwrap();
    rig.vport = second;
    rig.open(2048);
    rig.vport = first;
    let other = [2, 0, 0, 0, 0, 0x22];
    rig.adapter.activate_vport(second).unwrap();
    rig.adapter.set_mac_filter(second, other).unwrap();
    let normal = fastlinq_hal::vport::ReceiveMode::NORMAL;
    rig.adapter.set_receive_mode(second, normal).unwrap();
    let frame = ethernet(other, 0x88b5, &[8; 60]);
    for switching in [false, true, false] {
        rig.adapter
            .set_transmit_switching(first, switching)
            .unwrap();
        rig.queues[0].send(&frame);
        rig.settle();
        let inside = rig.queues[1].receive().len();
        assert_eq!(
            (rig.sent().len(), inside),
            if switching { (0, 1) } else { (1, 0) }
        );
    }
    rig.close(1);
    rig.adapter.stop_vport(second).unwrap();
    rig.finish();
}

#[test]
fn a_loop_in_the_mac_brings_frames_back_and_ends() {
    let mut rig = Rig::new(Setup {
        queues: 1,
        ..Setup::default()
    });
    let frame = ethernet(rig.mac, 0x88b5, &[8; 100]);
    for loopback in [Loopback::Mac, Loopback::InternalPhy, Loopback::None] {
        let settings = LinkSettings {
            loopback,
            ..rig.adapter.flash_link_settings()
        };
        rig.adapter.set_link(&settings).unwrap();
        rig.host.advance(10_000_000_000);
        assert!(rig.adapter.link().unwrap().up);
        rig.queues[0].send(&frame);
        rig.settle();
        let (back, out) = (rig.queues[0].receive().len(), rig.sent().len());
        let expected = if loopback == Loopback::None {
            (0, 1)
        } else {
            (1, 0)
        };
        assert_eq!((back, out), expected, "{loopback:?}");
    }
    rig.finish();
}

#[test]
fn tunnels_are_looked_into_while_they_are_open() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = Rig::new(Setup {
            chip,
            ..Setup::default()
        });
        rig.scale(HashedHeaders::default());
        let inner_mac = [2, 0, 0, 0, 7, 7];
        let inner = Flow::new(inner_mac, "192.168.0.1", "192.168.0.2", (40_000, 443));
        let bare = Flow {
            to: rig.mac,
            ..inner
        }
        .frame(&[1; 200]);
        let inner = inner.frame(&[1; 200]);
        let (_, packet) = rig.arrival(&bare).unwrap();
        let inner_hash = packet.hash();

        let ports = TunnelPorts {
            vxlan: Some(4790),
            geneve: Some(6082),
        };
        let mac = rig.mac;
        let frames = [
            (in_vxlan(mac, 4790, 77, &inner), 3, Tunnels::VXLAN),
            (in_geneve(mac, 6082, 78, &inner), 1, Tunnels::ETH_GENEVE),
            (in_gre(mac, 79, &inner), 2, Tunnels::ETH_GRE),
        ];
        let open = |rig: &mut Rig, kinds| {
            let config = TunnelConfig { kinds, ports };
            rig.adapter.set_tunnels(config).unwrap();
            assert_eq!(rig.adapter.tunnels().kinds, kinds);
        };
        open(&mut rig, Tunnels::all());
        for (frame, kind, _) in &frames {
            let (_, packet) = rig.arrival(frame).unwrap();
            assert_eq!(packet.frame, *frame);
            assert_ne!(packet.flags() & TUNNEL, 0, "tunnel {kind}");
            assert_eq!(packet.tunnel_flags() & 7, kind | 4, "type and tenant");
            assert_eq!(packet.hash(), inner_hash);
            assert_eq!(
                packet.flags() & (L4_VERIFIED | L4_ERROR | IP_ERROR),
                L4_VERIFIED
            );
            // A bad inner checksum is seen.
            let mut bad = frame.clone();
            *bad.last_mut().unwrap() ^= 1;
            let (_, packet) = rig.arrival(&bad).unwrap();
            assert_ne!(packet.flags() & L4_ERROR, 0);
        }
        // IP without Ethernet in GENEVE.
        let naked = in_udp_tunnel(mac, 6082, [0, 0, 8, 0, 0, 0, 5, 0], &inner[ETHERNET..]);
        let (_, packet) = rig.arrival(&naked).unwrap();
        assert_eq!((packet.tunnel_flags() & 3, packet.hash()), (1, inner_hash));
        // One kind at a time.
        for (_, _, kinds) in &frames {
            open(&mut rig, *kinds);
            for (frame, kind, own) in &frames {
                let (_, packet) = rig.arrival(frame).unwrap();
                let seen = packet.flags() & TUNNEL != 0;
                assert_eq!(seen, own == kinds, "tunnel {kind}");
            }
        }
        open(&mut rig, Tunnels::empty());
        for (frame, ..) in &frames {
            let (_, packet) = rig.arrival(frame).unwrap();
            assert_eq!(packet.flags() & TUNNEL, 0);
        }
        let same = TunnelConfig {
            ports: TunnelPorts {
                vxlan: Some(5000),
                geneve: Some(5000),
            },
            ..TunnelConfig::all()
        };
        assert!(matches!(
            rig.adapter.set_tunnels(same),
            Err(Cause::Misuse(Misuse::TunnelPorts))
        ));
        rig.finish();
    }
}

/// Puts a frame into a tunnel.
type Wrap<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

#[test]
fn checksums_and_segments_inside_tunnels_are_made_by_the_chip() {
    let mut rig = Rig::new(Setup {
        queues: 2,
        ..Setup::default()
    });
    rig.adapter.set_tunnels(TunnelConfig::all()).unwrap();
    let far = [2, 0, 0, 0, 8, 8];
    for (source, destination) in [("10.1.0.1", "10.1.0.2"), ("fe80::1", "fe80::2")] {
        let v4 = source.starts_with('1');
        let inner = Flow::new(far, source, destination, (40_000, 443));
        let payload: Vec<u8> = (0..3500u32).map(|byte| byte as u8).collect();
        let wrap: [Wrap<'_>; 3] = [
            &|inner| in_vxlan(far, 4789, 1, inner),
            &|inner| in_geneve(far, 6081, 1, inner),
            &|inner| in_gre(far, 1, inner),
        ];
        for (kind, wrap) in wrap.iter().enumerate() {
            // A checksum.
            let good = wrap(&inner.frame(&payload[..500]));
            let inner_at = good.len() - inner.frame(&payload[..500]).len();
            let l4_at = inner_at + ETHERNET + if v4 { 20 } else { 40 };
            let mut bad = good.clone();
            bad[l4_at + 16..l4_at + 18].copy_from_slice(&[0xde, 0xad]);
            let offload = Offload {
                l4_checksum: true,
                ip_checksum: v4,
                tunnel: true,
                ..Offload::default()
            };
            rig.queues[1].send_with(&bad, offload);
            rig.settle();
            assert_eq!(rig.sent(), [good], "tunnel {kind}");
            // Segments.
            let big = wrap(&inner.frame(&payload));
            let header = big.len() - payload.len();
            let offload = Offload {
                l4_checksum: true,
                ip_checksum: true,
                tunnel: true,
                outer_ip_checksum: true,
                segment: Some((header, 1000)),
                ..Offload::default()
            };
            rig.queues[0].send_with(&big, offload);
            rig.settle();
            let sent = rig.sent();
            assert_eq!(sent.len(), 4);
            let mut together = Vec::<u8>::new();
            for (number, frame) in sent.iter().enumerate() {
                assert!(
                    good_checksums(&frame[inner_at + ETHERNET..]),
                    "inner {kind}"
                );
                let outer = &frame[ETHERNET..ETHERNET + 20];
                assert_eq!(
                    rig::frames::fold(rig::frames::sum(outer)),
                    0,
                    "outer {kind}"
                );
                let total = usize::from(u16::from_be_bytes([outer[2], outer[3]]));
                assert_eq!(total, frame.len() - ETHERNET);
                let sequence = frame[l4_at + 4..l4_at + 8].try_into().unwrap();
                let expected = inner.sequence + 1000 * number as u32;
                assert_eq!(u32::from_be_bytes(sequence), expected);
                together.extend(&frame[header..]);
            }
            assert_eq!(together, payload);
        }
    }
    assert!(rig.queues.iter().all(rig::Queue::all_sent));
    // One frame and four segments, over two versions of IP.
    let counted = rig.adapter.function_statistics().unwrap();
    for tunnel in [
        counted.transmitted_gre,
        counted.transmitted_vxlan,
        counted.transmitted_geneve,
    ] {
        assert_eq!(tunnel.frames, 10);
        assert!(tunnel.bytes > 8000);
    }
    rig.finish();
}
