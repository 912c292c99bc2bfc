//! smoltcp on both ends.

use fastlinq_model_host::ModelHost;
use fastlinq_net::middleware::{Direction, FaultInjector, FaultState, Observer, Rates, Tap};
use fastlinq_net::stack::{Phy, RxChecksums, TxChecksums, Verdict, verify};
use fastlinq_net::{QueueConfig, Ring};
use smoltcp_0_12::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp_0_12::socket::{tcp, udp};
use smoltcp_0_12::time::Instant;
use smoltcp_0_12::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint};

use crate::station::{Station, pair, pass};

/// Time of a step, longer than the device may hold interrupts back.
const STEP_US: i64 = 100;

struct End<R: Ring> {
    phy: Phy<R>,
    interface: Interface,
    sockets: SocketSet<'static>,
    host: ModelHost,
}

impl<R: Ring> End<R> {
    fn new(station: &Station, mut phy: Phy<R>, address: [IpAddress; 2]) -> Self {
        let mut config = Config::new(EthernetAddress(station.mac).into());
        config.random_seed = u64::from(station.mac[4]);
        let mut interface = Interface::new(config, &mut phy, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            for address in address {
                let prefix = if address.version() == smoltcp_0_12::wire::IpVersion::Ipv4 {
                    24
                } else {
                    64
                };
                addresses.push(IpCidr::new(address, prefix)).unwrap();
            }
        });
        Self {
            phy,
            interface,
            sockets: SocketSet::new(Vec::new()),
            host: station.host.clone(),
        }
    }

    fn tcp(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 32_768]);
        self.sockets.add(tcp::Socket::new(buffer(), buffer()))
    }
}

fn address(last: u8) -> [IpAddress; 2] {
    [
        IpAddress::v4(10, 0, 0, last),
        IpAddress::v6(0xfd00, 0, 0, 0, 0, 0, 0, last.into()),
    ]
}

fn poll<A: Ring, B: Ring>(a: &mut End<A>, b: &mut End<B>, now: &mut i64) {
    pass([&a.host, &b.host], STEP_US as u64 * 1_000);
    *now += STEP_US;
    let at = Instant::from_micros(*now);
    a.interface.poll(at, &mut a.phy, &mut a.sockets);
    b.interface.poll(at, &mut b.phy, &mut b.sockets);
}

/// Sends bytes over TCP from `a` to `b` and an answer of as many back; gives the steps that it took.
fn transfer<A: Ring, B: Ring>(a: &mut End<A>, b: &mut End<B>, to: IpAddress, bytes: usize) -> u32 {
    let data: Vec<u8> = (0..bytes as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let (client, server) = (a.tcp(), b.tcp());
    b.sockets.get_mut::<tcp::Socket>(server).listen(80).unwrap();
    let socket = a.sockets.get_mut::<tcp::Socket>(client);
    socket
        .connect(a.interface.context(), (to, 80), 50_000)
        .unwrap();
    let (mut sent, mut echoed, mut arrived, mut back) = (0, 0, Vec::new(), Vec::new());
    let mut now = 0;
    for step in 0..400_000 {
        poll(a, b, &mut now);
        let socket = b.sockets.get_mut::<tcp::Socket>(server);
        while socket.can_recv() {
            socket
                .recv(|bytes| {
                    arrived.extend_from_slice(bytes);
                    (bytes.len(), ())
                })
                .unwrap();
        }
        if socket.can_send() && echoed < arrived.len() {
            echoed += socket.send_slice(&arrived[echoed..]).unwrap();
        }
        let socket = a.sockets.get_mut::<tcp::Socket>(client);
        if socket.can_send() && sent < bytes {
            sent += socket.send_slice(&data[sent..]).unwrap();
        }
        while socket.can_recv() {
            socket
                .recv(|bytes| {
                    back.extend_from_slice(bytes);
                    (bytes.len(), ())
                })
                .unwrap();
        }
        if back.len() >= bytes {
            assert!(arrived == data && back == data, "bytes arrived changed");
            return step;
        }
    }
    panic!(
        "{} of {bytes} bytes arrived, {} came back",
        arrived.len(),
        back.len()
    );
}

#[test]
fn tcp_over_ipv4_and_ipv6_arrives() {
    for checksums in [RxChecksums::Stack, RxChecksums::Device] {
        for (to, mtu) in [
            (address(2)[0], 1500),
            (address(2)[1], 1500),
            (address(2)[0], 9000),
        ] {
            let config = QueueConfig {
                mtu,
                buffer_bytes: if mtu > 1500 { 9600 } else { 2048 },
                ..QueueConfig::default()
            };
            let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
            let phy = Phy::new(left_queue, &config).with_checksums(checksums);
            assert_eq!(phy.frame_bytes(), usize::from(mtu) + 14);
            let mut a = End::new(&left, phy, address(1));
            let phy = Phy::new(right_queue, &config).with_checksums(checksums);
            let mut b = End::new(&right, phy, address(2));
            transfer(&mut a, &mut b, to, 400_000);
            let counters = [a.phy.counters(), b.phy.counters()];
            assert!(counters[0].sent >= 400_000 / u64::from(mtu), "{counters:?}");
            assert_eq!(counters[0].sent, counters[1].received);
            assert_eq!(counters[1].sent, counters[0].received);
            for counters in counters {
                assert_eq!((counters.refused, counters.bad_checksum), (0, 0));
            }
            left.close(a.phy.into_ring());
            right.close(b.phy.into_ring());
        }
    }
}

#[test]
fn tcp_arrives_intact_in_spite_of_faults() {
    for (checksums, seed) in [
        (RxChecksums::Stack, 1),
        (RxChecksums::Device, 2),
        (RxChecksums::Device, 3),
    ] {
        let config = QueueConfig::default();
        let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
        let rates = Rates {
            drop: 20,
            duplicate: 20,
            corrupt: 20,
            delay: 30,
            delay_calls: 9,
        };
        let faulty = FaultInjector::new(left_queue, FaultState::new(seed, rates, rates));
        let phy = Phy::new(faulty, &config).with_checksums(checksums);
        let mut a = End::new(&left, phy, address(1));
        let faulty = FaultInjector::new(right_queue, FaultState::new(seed + 100, rates, rates));
        let phy = Phy::new(faulty, &config).with_checksums(checksums);
        let mut b = End::new(&right, phy, address(2));
        transfer(&mut a, &mut b, address(2)[0], 400_000);
        let bad = a.phy.counters().bad_checksum + b.phy.counters().bad_checksum;
        let mut faults = 0;
        for (station, end) in [(left, a), (right, b)] {
            let (queue, state) = end.phy.into_ring().into_parts();
            let counters = state.counters();
            for side in [counters.received, counters.sent] {
                assert!(side.frames > 300, "{side:?}");
                assert!(
                    side.dropped > 0
                        && side.duplicated > 0
                        && side.corrupted > 0
                        && side.delayed > 0,
                    "{side:?}"
                );
                faults += side.corrupted;
            }
            station.close(queue);
        }
        assert!(
            bad > 0 && bad <= faults,
            "{bad} of {faults} wrong frames were noticed"
        );
    }
}

#[test]
fn udp_of_every_size_comes_back() {
    let config = QueueConfig::default();
    let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
    let mut a = End::new(&left, Phy::new(left_queue, &config), address(1));
    let mut b = End::new(&right, Phy::new(right_queue, &config), address(2));
    let socket = || {
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 16_384]);
        udp::Socket::new(buffer(), buffer())
    };
    let (client, server) = (a.sockets.add(socket()), b.sockets.add(socket()));
    a.sockets
        .get_mut::<udp::Socket>(client)
        .bind(9_000)
        .unwrap();
    b.sockets.get_mut::<udp::Socket>(server).bind(7).unwrap();
    let to = IpEndpoint::new(address(2)[0], 7);
    let mut now = 0;
    for size in (0..=1472).step_by(8) {
        let data = vec![size as u8; size];
        a.sockets
            .get_mut::<udp::Socket>(client)
            .send_slice(&data, to)
            .unwrap();
        let mut steps = 0;
        loop {
            poll(&mut a, &mut b, &mut now);
            let server = b.sockets.get_mut::<udp::Socket>(server);
            if let Ok((data, from)) = server.recv() {
                let data = data.to_vec();
                server.send_slice(&data, from.endpoint).unwrap();
            }
            if let Ok((back, _)) = a.sockets.get_mut::<udp::Socket>(client).recv() {
                assert_eq!(back, data);
                break;
            }
            steps += 1;
            assert!(steps < 1_000, "{size} bytes did not come back");
        }
    }
    // A datagram that the sender refuses for its size must not reach the ring.
    let sent = a.phy.counters().sent;
    let _ = a
        .sockets
        .get_mut::<udp::Socket>(client)
        .send_slice(&[0; 1473], to);
    poll(&mut a, &mut b, &mut now);
    assert_eq!(a.phy.counters().sent, sent);
    left.close(a.phy.into_ring());
    right.close(b.phy.into_ring());
}

/// Looks at the transport checksum of TCP frames that the stack sends over IPv4.
#[derive(Default)]
struct Checksums {
    frames: u32,
    right: u32,
}

impl Observer for Checksums {
    fn frame(&mut self, direction: Direction, _: usize, pieces: &mut dyn Iterator<Item = &[u8]>) {
        let frame = pieces.collect::<Vec<_>>().concat();
        if direction == Direction::Sent && frame[12..14] == [8, 0] && frame[23] == 6 {
            self.frames += 1;
            self.right += u32::from(verify(&frame) == Verdict::Good);
        }
    }
}

#[test]
fn the_device_fills_in_the_checksums_that_the_stack_left_out() {
    for (to, receive) in [
        (address(2)[0], RxChecksums::Stack),
        (address(2)[1], RxChecksums::Stack),
        (address(2)[0], RxChecksums::Device),
    ] {
        let config = QueueConfig::default();
        let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
        let phy = |queue| {
            Phy::new(Tap::new(queue, Checksums::default()), &config)
                .with_checksums(receive)
                .with_sent_checksums(TxChecksums::Device)
        };
        let mut a = End::new(&left, phy(left_queue), address(1));
        let mut b = End::new(&right, phy(right_queue), address(2));
        transfer(&mut a, &mut b, to, 200_000);
        for (station, end) in [(left, a), (right, b)] {
            let counters = end.phy.counters();
            assert_eq!(
                (counters.bad_checksum, counters.refused),
                (0, 0),
                "{counters:?}"
            );
            let (queue, seen) = end.phy.into_ring().into_parts();
            if matches!(to, IpAddress::Ipv4(_)) {
                assert!(seen.frames > 100, "{}", seen.frames);
                assert_eq!(seen.right, 0, "the stack computes none");
            }
            station.close(queue);
        }
    }
}

#[test]
fn faults_and_offloads_go_together() {
    let config = QueueConfig::default();
    let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
    let rates = Rates {
        drop: 20,
        duplicate: 20,
        corrupt: 20,
        delay: 30,
        delay_calls: 9,
    };
    let phy = |queue, seed| {
        Phy::new(
            FaultInjector::new(queue, FaultState::new(seed, rates, rates)),
            &config,
        )
        .with_checksums(RxChecksums::Device)
        .with_sent_checksums(TxChecksums::Device)
    };
    let mut a = End::new(&left, phy(left_queue, 5), address(1));
    let mut b = End::new(&right, phy(right_queue, 6), address(2));
    transfer(&mut a, &mut b, address(2)[0], 200_000);
    for (station, end) in [(left, a), (right, b)] {
        let (queue, state) = end.phy.into_ring().into_parts();
        let sent = state.counters().sent;
        assert!(sent.duplicated > 0 && sent.delayed > 0, "{sent:?}");
        station.close(queue);
    }
}
