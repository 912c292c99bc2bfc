//! Offloads all the way: from the rings of one software adapter over a cable into the rings of another.
//!
//! What must arrive is built and check-summed by the tests, byte for byte.

mod looping;
mod wired;

use fastlinq_hal::vport::VportConfig;
use fastlinq_net::stack::checksums_of;
use fastlinq_net::{
    Checksum, Checksums, Ipv6Extensions, Network, Offload, Segmentation, Transport, Tunnel,
    TunnelKind,
};
use wired::packets::{
    ACK, Around, CWR, ETHERNET, FIN, Flow, PSH, ethernet, flow, ip_is_good, tagged,
};
use wired::{CHIPS, Taken, Wired, bytes};

/// A frame whose checksums are all wrong; `ip_at` is where the IP header begins.
fn spoiled(mut frame: Vec<u8>, flow: &Flow, ip_at: usize, checksum: usize) -> Vec<u8> {
    if !flow.v6 {
        frame[ip_at + 10..ip_at + 12].copy_from_slice(&[0xde, 0xad]);
    }
    let at = ip_at + flow.ip_bytes() + checksum;
    frame[at..at + 2].copy_from_slice(&[0xbe, 0xef]);
    frame
}

/// A frame as it is on the wire.
fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() < 60 {
        frame.resize(60, 0);
    }
    frame
}

fn check(taken: &Taken, expected: &[u8], v6: bool, transport: Transport) {
    assert_eq!(taken.bytes.len(), expected.len());
    assert!(
        taken.bytes == expected,
        "{:x?}",
        &taken.bytes[..90.min(expected.len())]
    );
    assert_eq!(taken.packet.checksum(), Checksum::Good);
    let kind = taken.packet.kind();
    let network = if v6 { Network::Ipv6 } else { Network::Ipv4 };
    assert_eq!((kind.network, kind.transport), (network, transport));
}

#[test]
fn a_long_tcp_payload_arrives_as_segments() {
    for chip in CHIPS {
        let mut wired = Wired::new(chip, VportConfig::default());
        let mac = wired.far.mac;
        let mut frames = 0;
        // The last segment has one byte, is full, or is the only one; headers in several pieces; payloads longer than any
        // IP packet; more segments than identifications are left.
        for (length, most, piece) in [
            (14_001, 1400, 1984),
            (14_000, 1400, 1000),
            (5, 1400, 1984),
            (1400, 1400, 100),
            (500, 200, 40),
            (100_000, 1432, 1984),
            (100_000, 1432, 640),
            (700, 7, 1984),
        ] {
            for (v6, extension) in [(false, false), (true, false), (true, true)] {
                let flow = Flow {
                    extension,
                    tcp_flags: CWR | ACK | PSH | FIN,
                    ..flow(v6)
                };
                let most = if extension { most.min(1432) } else { most };
                let payload = bytes(length);
                let frame = ethernet(mac, flow.ether_type(), &flow.tcp(&payload));
                let header = ETHERNET + flow.ip_bytes() + 20;
                let segmentation = Segmentation::new(header as u16, most as u16).unwrap();
                let offload = if extension {
                    let extensions = Ipv6Extensions::before_tcp(header as u16 - 20, 20).unwrap();
                    Offload::segmentation_behind_extensions(segmentation, extensions).unwrap()
                } else {
                    Offload::segmentation(segmentation)
                };
                let frame = spoiled(frame, &flow, ETHERNET, 16);
                wired.near.send(&frame, piece, offload);
                let taken = wired.arrivals();
                let expected = flow.segments(&payload, most);
                assert_eq!(taken.len(), expected.len(), "{length} {most} {flow:?}");
                for (taken, datagram) in taken.iter().zip(expected) {
                    let frame = padded(ethernet(mac, flow.ether_type(), &datagram));
                    check(taken, &frame, v6, Transport::Tcp);
                }
                frames += taken.len() as u64;
            }
        }
        let sent = wired.near.queue.counters().transmit;
        assert_eq!(
            (sent.packets, sent.refused),
            (24, 0),
            "packets, not segments"
        );
        assert_eq!(wired.far.queue.counters().receive.packets, frames);
        let counted = wired.near.adapter.vport_statistics(wired.near.vport);
        assert_eq!(counted.unwrap().transmitted.frames(), frames);
        wired.close();
    }
}

#[test]
fn checksums_of_tcp_and_udp_are_filled_in() {
    for chip in CHIPS {
        let mut wired = Wired::new(chip, VportConfig::default());
        let mac = wired.far.mac;
        for length in [0, 1, 2, 99, 1400] {
            for v6 in [false, true] {
                let flow = flow(v6);
                for (transport, datagram, checksum_at) in [
                    (Transport::Tcp, flow.tcp(&bytes(length)), 16),
                    (Transport::Udp, flow.udp(53, &bytes(length)), 6),
                ] {
                    let good = ethernet(mac, flow.ether_type(), &datagram);
                    let bad = spoiled(good.clone(), &flow, ETHERNET, checksum_at);
                    // As it is, it is seen to be bad.
                    wired.near.send(&bad, 1984, Offload::NONE);
                    assert_eq!(wired.arrival().packet.checksum(), Checksum::Bad);
                    let all = Offload::checksums(Checksums::IpAndTransport);
                    let good = padded(good);
                    for piece in [1984, 200] {
                        wired.near.send(&bad, piece, all);
                        let taken = wired.arrival();
                        check(&taken, &good, v6, transport);
                        assert!(!taken.packet.kind().tagged);
                        assert_eq!(taken.packet.vlan(), None);
                    }
                    wired.near.send_packet(&bad, all);
                    check(&wired.arrival(), &good, v6, transport);
                    if !v6 {
                        wired
                            .near
                            .send(&bad, 1984, Offload::checksums(Checksums::Ip));
                        let taken = wired.arrival();
                        assert_eq!(taken.packet.checksum(), Checksum::Bad);
                        assert!(ip_is_good(&taken.bytes[ETHERNET..]));
                    }
                }
            }
        }
        wired.close();
    }
}

#[test]
fn checksums_behind_an_extension_header_are_filled_in() {
    for chip in CHIPS {
        let mut wired = Wired::new(chip, VportConfig::default());
        let mac = wired.far.mac;
        let flow = Flow {
            extension: true,
            ..flow(true)
        };
        for length in [0, 7, 1000] {
            let at = ETHERNET + 48;
            let udp = Ipv6Extensions::before_udp(at as u16).unwrap();
            let tcp = Ipv6Extensions::before_tcp(at as u16, 20).unwrap();
            for (transport, datagram, protocol, field, extensions) in [
                (Transport::Udp, flow.udp(53, &bytes(length)), 17, 6, udp),
                (Transport::Tcp, flow.tcp(&bytes(length)), 6, 16, tcp),
            ] {
                let good = ethernet(mac, flow.ether_type(), &datagram);
                // The device starts from the pseudo header's sum, which it leaves to the sender.
                let mut partial = good.clone();
                let sum = flow.pseudo(protocol, good.len() - at).to_be_bytes();
                partial[at + field..at + field + 2].copy_from_slice(&sum);
                let offload = Offload::behind_extensions(extensions);
                for piece in [1984, 100] {
                    wired.near.send(&partial, piece, offload);
                    check(&wired.arrival(), &good, true, transport);
                }
                wired.near.send_packet(&partial, offload);
                check(&wired.arrival(), &good, true, transport);
                // A stack leaves it out.
                let mut without = good.clone();
                without[at + field..at + field + 2].fill(0);
                let offload = checksums_of(&mut without);
                wired.near.send_packet(&without, offload);
                check(&wired.arrival(), &good, true, transport);
                // Not told of the extension header, the device does not find the transport header.
                wired
                    .near
                    .send_packet(&partial, Offload::checksums(Checksums::Transport));
                let taken = wired.arrival();
                assert!(taken.bytes == partial, "as it was");
                assert_eq!(taken.packet.checksum(), Checksum::Bad);
            }
        }
        wired.close();
    }
}

#[test]
fn tags_go_in_on_one_side_and_come_off_on_the_other() {
    let cases = CHIPS.map(|chip| [(chip, false), (chip, true)]);
    for (chip, strip_vlan) in cases.into_iter().flatten() {
        let far = VportConfig {
            strip_vlan,
            ..VportConfig::default()
        };
        let mut wired = Wired::new(chip, far);
        let mac = wired.far.mac;
        let flow = flow(false);
        let expect = |taken: &Taken, plain: Vec<u8>, tag: u16| {
            let (frame, record) = if strip_vlan {
                (plain, Some(tag))
            } else {
                (tagged(&plain, tag), None)
            };
            check(taken, &frame, false, Transport::Tcp);
            assert_eq!(taken.packet.vlan(), record);
            assert!(taken.packet.kind().tagged);
        };
        for tag in [1, 0xe123, 0x2fff] {
            let good = ethernet(mac, flow.ether_type(), &flow.tcp(&bytes(200)));
            wired.near.send(&good, 1984, Offload::NONE.with_vlan(tag));
            expect(&wired.arrival(), good.clone(), tag);
            let bad = spoiled(good.clone(), &flow, ETHERNET, 16);
            let all = Offload::checksums(Checksums::IpAndTransport).with_vlan(tag);
            wired.near.send_packet(&bad, all);
            expect(&wired.arrival(), good, tag);
            // Each segment has it.
            let payload = bytes(5000);
            let frame = ethernet(mac, flow.ether_type(), &flow.tcp(&payload));
            let segmentation = Segmentation::new(54, 1460).unwrap();
            let offload = Offload::segmentation(segmentation).with_vlan(tag);
            wired.near.send(&frame, 1984, offload);
            let taken = wired.arrivals();
            let expected = flow.segments(&payload, 1460);
            assert_eq!(taken.len(), expected.len());
            for (taken, datagram) in taken.iter().zip(expected) {
                expect(taken, ethernet(mac, flow.ether_type(), &datagram), tag);
            }
        }
        wired.close();
    }
}

/// Every tunnel, over both versions of IP, with and without a checksum outside.
fn tunnels() -> Vec<Around> {
    let mut all = Vec::new();
    for geneve in [false, true] {
        for (v6, outer_checksum) in [(false, false), (false, true), (true, true)] {
            all.push(Around {
                geneve,
                outer: Flow {
                    source_port: 50_000,
                    ..flow(v6)
                },
                outer_checksum,
            });
        }
    }
    all
}

fn check_tunnel(taken: &Taken, around: &Around, frame: &[u8], inner_v6: bool) {
    check(taken, frame, inner_v6, Transport::Tcp);
    let kind = if around.geneve {
        TunnelKind::Geneve
    } else {
        TunnelKind::Vxlan
    };
    assert_eq!(taken.packet.kind().tunnel, Some(kind));
    let outer = if around.outer_checksum {
        Checksum::Good
    } else {
        Checksum::Unknown
    };
    assert_eq!(taken.packet.outer_checksum(), Some(outer));
}

#[test]
fn frames_in_tunnels_get_their_checksums_and_are_cut_into_segments() {
    const FAR_INSIDE: [u8; 6] = [2, 0, 0, 0, 7, 7];
    for chip in CHIPS {
        let mut wired = Wired::new(chip, VportConfig::default());
        wired.open_tunnels();
        let mac = wired.far.mac;
        let mut frames = [0; 2];
        for around in tunnels() {
            for v6 in [false, true] {
                let flow = Flow {
                    tcp_flags: CWR | ACK | PSH | FIN,
                    ..flow(v6)
                };
                let inner = |datagram: &[u8]| ethernet(FAR_INSIDE, flow.ether_type(), datagram);
                let inner_ip = around.bytes() + ETHERNET;
                let tunnel = Tunnel {
                    inner_ip_offset: inner_ip as u16,
                    header_bytes: around.header_bytes(),
                    outer_ip_checksum: true,
                    outer_transport_checksum: around.outer_checksum,
                };
                let spoil = |frame: Vec<u8>| {
                    let mut frame = spoiled(frame, &flow, inner_ip, 16);
                    if !around.outer.v6 {
                        frame[ETHERNET + 10] ^= 0x55;
                    }
                    if around.outer_checksum {
                        frame[around.checksum_at()] ^= 0x55;
                    }
                    frame
                };
                // One frame.
                let good = around.wrap(mac, 0, &inner(&flow.tcp(&bytes(777))));
                let offload = Offload::checksums(Checksums::IpAndTransport);
                let offload = offload.in_tunnel(tunnel).unwrap();
                wired.near.send(&spoil(good.clone()), 1984, offload);
                check_tunnel(&wired.arrival(), &around, &good, v6);
                // Segments.
                let payload = bytes(9001);
                let whole = around.wrap(mac, 0, &inner(&flow.tcp(&payload)));
                let header = inner_ip + flow.ip_bytes() + 20;
                let segmentation = Segmentation::new(header as u16, 1300).unwrap();
                let offload = Offload::segmentation(segmentation);
                let offload = offload.in_tunnel(tunnel).unwrap();
                for piece in [1984, 900] {
                    wired.near.send(&spoil(whole.clone()), piece, offload);
                    let taken = wired.arrivals();
                    let expected = flow.segments(&payload, 1300);
                    assert_eq!(taken.len(), expected.len());
                    for (number, (taken, datagram)) in taken.iter().zip(expected).enumerate() {
                        let frame = around.wrap(mac, number as u16, &inner(&datagram));
                        check_tunnel(taken, &around, &frame, v6);
                    }
                    frames[usize::from(around.geneve)] += taken.len() as u64;
                }
                frames[usize::from(around.geneve)] += 1;
            }
        }
        let sent = wired.near.adapter.function_statistics().unwrap();
        let received = wired.far.adapter.function_statistics().unwrap();
        for counted in [
            [sent.transmitted_vxlan, sent.transmitted_geneve],
            [received.received_vxlan, received.received_geneve],
        ] {
            assert_eq!(counted.map(|traffic| traffic.frames), frames);
        }
        wired.close();
    }
}

#[test]
fn wrong_checksums_inside_and_outside_of_tunnels_are_told_apart() {
    for chip in CHIPS {
        let mut wired = Wired::new(chip, VportConfig::default());
        wired.open_tunnels();
        let mac = wired.far.mac;
        for around in tunnels() {
            let flow = flow(false);
            let inner = ethernet([2; 6], flow.ether_type(), &flow.tcp(&bytes(300)));
            let good = around.wrap(mac, 0, &inner);
            let outer = if around.outer_checksum {
                Checksum::Good
            } else {
                Checksum::Unknown
            };
            wired.near.send(&good, 1984, Offload::NONE);
            check_tunnel(&wired.arrival(), &around, &good, false);
            // The inner checksum is off, and the outer one covers it as it is.
            let mut bad = good.clone();
            let at = around.bytes() + ETHERNET + 20 + 16;
            bad[at] ^= 0x10;
            if around.outer_checksum {
                let repair = Offload::NONE.in_tunnel(Tunnel {
                    inner_ip_offset: (around.bytes() + ETHERNET) as u16,
                    header_bytes: around.header_bytes(),
                    outer_ip_checksum: false,
                    outer_transport_checksum: true,
                });
                wired.near.send(&bad, 1984, repair.unwrap());
            } else {
                wired.near.send(&bad, 1984, Offload::NONE);
            }
            let packet = wired.arrival().packet;
            assert_eq!(packet.checksum(), Checksum::Bad);
            assert_eq!(packet.outer_checksum(), Some(outer));
            if around.outer_checksum {
                let mut bad = good.clone();
                bad[around.checksum_at()] ^= 0x10;
                wired.near.send(&bad, 1984, Offload::NONE);
                let packet = wired.arrival().packet;
                assert_eq!(packet.outer_checksum(), Some(Checksum::Bad));
                assert_eq!(packet.checksum(), Checksum::Bad);
            }
        }
        wired.close();
    }
}
