//! A host at the other end of the cable that needs no privileges: ARP, ping, UDP echo, TCP services.
//!
//! The stack is smoltcp with software checksums on both sides, so every checksum that the adapter inserts
//! is verified here, and every one that it verifies was computed here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant as HostInstant;

use fastlinq_model::Wire;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv6Address,
};

/// Ports of the services, those that the classic services have.
const ECHO: u16 = 7;
const DISCARD: u16 = 9;
const CHARGEN: u16 = 19;
/// A datagram with a group's address and a port (network order) is sent on to that group.
const MULTICAST: u16 = 20;

const MAC: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x02]);
const LINK_LOCAL: IpAddress = IpAddress::Ipv6(Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 2));
/// Largest IP packet.
const MTU: usize = 9600;
const ETHERNET_HEADER: usize = 14;
/// Frames kept in either direction; what comes on top is dropped, as a switch would.
const QUEUE: usize = 1024;
const SOCKET_BUFFER: usize = 256 << 10;
/// Connections that each TCP service can hold at a time.
const BACKLOG: usize = 4;
/// A connection whose other end says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// VLANs that get an answer at a time.
const VLANS: usize = 8;

/// Frames between the adapter and the stack.
#[derive(Debug, Default)]
struct Queues {
    to_stack: VecDeque<Vec<u8>>,
    to_adapter: VecDeque<Vec<u8>>,
}

impl Device for Queues {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Transmit<'_>)> {
        let frame = self.to_stack.pop_front()?;
        Some((Received(frame), Transmit(&mut self.to_adapter)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Transmit<'_>> {
        (self.to_adapter.len() < QUEUE).then_some(Transmit(&mut self.to_adapter))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MTU + ETHERNET_HEADER;
        capabilities
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Transmit<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        if self.0.len() < QUEUE {
            self.0.push_back(frame);
        }
        result
    }
}

/// What a TCP service does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Echo,
    Discard,
    Source,
}

impl Service {
    const ALL: [Self; 3] = [Self::Echo, Self::Discard, Self::Source];

    const fn port(self) -> u16 {
        match self {
            Self::Echo => ECHO,
            Self::Discard => DISCARD,
            Self::Source => CHARGEN,
        }
    }
}

/// A TCP socket with its service and, for a source, the place in the stream.
struct Server {
    service: Service,
    socket: SocketHandle,
    position: u8,
}

/// A host in one network: the untagged one, or a VLAN.
struct Host {
    queues: Queues,
    interface: Interface,
    sockets: SocketSet<'static>,
    echo: SocketHandle,
    multicast: SocketHandle,
    tcp: Vec<Server>,
    started: HostInstant,
}

impl Host {
    /// Addresses 10.n.0.2/24, fd00:n::2/64 and fe80::2/64, n being the low byte of the VLAN id.
    fn new(vlan: u16) -> Self {
        let mut queues = Queues::default();
        let mut config = Config::new(HardwareAddress::Ethernet(MAC));
        config.random_seed = 0x5eed;
        let mut interface = Interface::new(config, &mut queues, Instant::ZERO);
        let network = vlan & 0xff;
        let ipv4 = IpAddress::v4(10, network as u8, 0, 2);
        let ipv6 = IpAddress::Ipv6(Ipv6Address::new(0xfd00, network, 0, 0, 0, 0, 0, 2));
        interface.update_ip_addrs(|addresses| {
            for (address, prefix) in [(ipv4, 24), (ipv6, 64), (LINK_LOCAL, 64)] {
                // Three addresses always fit: smoltcp is built with room for more.
                let _ = addresses.push(IpCidr::new(address, prefix));
            }
        });
        // Multicast goes out without a route; smoltcp asks for one all the same.
        let _ = interface
            .routes_mut()
            .add_default_ipv4_route(Ipv4Address::new(10, network as u8, 0, 1));
        let mut sockets = SocketSet::new(Vec::new());
        let echo = sockets.add(udp_socket());
        let multicast = sockets.add(udp_socket());
        let tcp = Service::ALL
            .into_iter()
            .flat_map(|service| std::iter::repeat_n(service, BACKLOG))
            .map(|service| Server {
                service,
                socket: sockets.add(tcp_socket()),
                position: 0,
            })
            .collect();
        Self {
            queues,
            interface,
            sockets,
            echo,
            multicast,
            tcp,
            started: HostInstant::now(),
        }
    }

    fn poll(&mut self) {
        let now = Instant::from_micros(self.started.elapsed().as_micros() as i64);
        self.interface
            .poll(now, &mut self.queues, &mut self.sockets);
        serve_echo(self.sockets.get_mut(self.echo));
        serve_multicast(self.sockets.get_mut(self.multicast));
        for server in &mut self.tcp {
            serve_tcp(server, self.sockets.get_mut(server.socket));
        }
        self.interface
            .poll(now, &mut self.queues, &mut self.sockets);
    }

    fn take(&mut self, frame: Vec<u8>) {
        if self.queues.to_stack.len() < QUEUE {
            self.queues.to_stack.push_back(frame);
        }
    }

    fn give(&mut self) -> Option<Vec<u8>> {
        if self.queues.to_adapter.is_empty() {
            self.poll();
        }
        self.queues.to_adapter.pop_front()
    }
}

fn serve_echo(socket: &mut udp::Socket<'static>) {
    if !socket.is_open() && socket.bind(ECHO).is_err() {
        return;
    }
    while socket.can_send() {
        let Ok((data, from)) = socket.recv().map(|(data, from)| (data.to_vec(), from)) else {
            return;
        };
        if socket.send_slice(&data, from.endpoint).is_err() {
            return;
        }
    }
}

fn serve_multicast(socket: &mut udp::Socket<'static>) {
    if !socket.is_open() && socket.bind(MULTICAST).is_err() {
        return;
    }
    while socket.can_send() {
        let Ok(data) = socket.recv().map(|(data, _)| data.to_vec()) else {
            return;
        };
        if let [a, b, c, d, high, low] = data[..] {
            let group = IpAddress::v4(a, b, c, d);
            if group.is_multicast() {
                // A port of 0 is refused, which is answer enough.
                let _ = socket.send_slice(&data, (group, u16::from_be_bytes([high, low])));
            }
        }
    }
}

/// The other end of the cable: a host in the untagged network and one in each VLAN from which a frame comes.
pub(crate) struct Responder {
    untagged: Host,
    vlans: BTreeMap<u16, Host>,
}

const TAG: [u8; 2] = [0x81, 0x00];
const ADDRESSES: usize = 12;

/// Takes the 802.1Q tag out of a frame: VLAN id and the frame without it. Priority tags count as none.
fn untag(frame: &[u8]) -> (u16, Vec<u8>) {
    match frame.get(ADDRESSES..ADDRESSES + 4) {
        Some(&[high, low, priority, id]) if [high, low] == TAG => {
            let mut plain = frame[..ADDRESSES].to_vec();
            plain.extend_from_slice(&frame[ADDRESSES + 4..]);
            (u16::from_be_bytes([priority & 0x0f, id]), plain)
        }
        _ => (0, frame.to_vec()),
    }
}

fn tag(vlan: u16, mut frame: Vec<u8>) -> Vec<u8> {
    let at = ADDRESSES.min(frame.len());
    let [priority, id] = vlan.to_be_bytes();
    frame.splice(at..at, [TAG[0], TAG[1], priority, id]);
    frame
}

impl Responder {
    pub(crate) fn new() -> Self {
        Self {
            untagged: Host::new(0),
            vlans: BTreeMap::new(),
        }
    }
}

impl Wire for Responder {
    fn transmit(&mut self, frame: &[u8]) {
        let (vlan, frame) = untag(frame);
        if vlan == 0 {
            self.untagged.take(frame);
        } else if self.vlans.len() < VLANS || self.vlans.contains_key(&vlan) {
            let host = self.vlans.entry(vlan).or_insert_with(|| Host::new(vlan));
            host.take(frame);
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        self.untagged.give().or_else(|| {
            self.vlans
                .iter_mut()
                .find_map(|(&vlan, host)| host.give().map(|frame| tag(vlan, frame)))
        })
    }
}

fn udp_socket() -> udp::Socket<'static> {
    let buffer = || {
        udp::PacketBuffer::new(
            vec![udp::PacketMetadata::EMPTY; 256],
            vec![0; SOCKET_BUFFER],
        )
    };
    udp::Socket::new(buffer(), buffer())
}

fn tcp_socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; SOCKET_BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_timeout(Some(PATIENCE));
    socket.set_keep_alive(Some(PATIENCE / 4));
    socket
}

fn serve_tcp(server: &mut Server, socket: &mut tcp::Socket<'static>) {
    if !socket.is_open() {
        server.position = 0;
        if socket.listen(server.service.port()).is_err() {
            return;
        }
    }
    match server.service {
        Service::Echo => echo(socket),
        Service::Discard => {
            while matches!(socket.recv(|data| (data.len(), data.len())), Ok(1..)) {}
        }
        Service::Source => source(socket, &mut server.position),
    }
    if socket.may_send() && !socket.may_recv() && socket.recv_queue() == 0 {
        socket.close();
    }
}

fn echo(socket: &mut tcp::Socket<'static>) {
    while socket.can_recv() && socket.can_send() {
        let room = socket.send_capacity() - socket.send_queue();
        let Ok(data) = socket.recv(|data| {
            let length = data.len().min(room);
            (length, data[..length].to_vec())
        }) else {
            return;
        };
        if data.is_empty() || socket.send_slice(&data).is_err() {
            return;
        }
    }
}

/// Sends an endless counting pattern, so that the receiver can check every byte.
fn source(socket: &mut tcp::Socket<'static>, position: &mut u8) {
    while socket.can_send() {
        let sent = socket.send(|buffer| {
            for byte in buffer.iter_mut() {
                *byte = *position;
                *position = position.wrapping_add(1);
            }
            (buffer.len(), buffer.len())
        });
        if !matches!(sent, Ok(1..)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arp_requests_for_the_responder_are_answered() {
        let mut responder = Responder::new();
        let mut request = vec![0xff; 6];
        request.extend_from_slice(&[0x02, 0, 0, 0, 0, 1, 0x08, 0x06]);
        request.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        request.extend_from_slice(&[0x02, 0, 0, 0, 0, 1, 10, 0, 0, 1]);
        request.extend_from_slice(&[0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
        responder.transmit(&request);
        let answer = responder.receive().expect("an answer");
        assert_eq!(answer[..6], [0x02, 0, 0, 0, 0, 1]);
        assert_eq!(answer[20..22], [0, 2], "a reply");
        assert_eq!(answer[22..28], MAC.0);
    }

    #[test]
    fn a_flood_is_dropped_and_not_stored() {
        let mut responder = Responder::new();
        for _ in 0..QUEUE * 2 {
            responder.transmit(&[0; 60]);
        }
        assert_eq!(responder.untagged.queues.to_stack.len(), QUEUE);
    }

    #[test]
    fn a_tagged_request_gets_a_tagged_answer_and_vlans_are_bounded() {
        let mut responder = Responder::new();
        let mut request = vec![0xff; 6];
        request.extend_from_slice(&[0x02, 0, 0, 0, 0, 1, 0x81, 0, 0xe0, 5, 0x08, 0x06]);
        request.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        request.extend_from_slice(&[0x02, 0, 0, 0, 0, 1, 10, 5, 0, 1]);
        request.extend_from_slice(&[0, 0, 0, 0, 0, 0, 10, 5, 0, 2]);
        responder.transmit(&request);
        let answer = responder.receive().expect("an answer");
        assert_eq!(answer[12..18], [0x81, 0, 0, 5, 0x08, 0x06]);
        for vlan in 0..200 {
            request[15] = vlan;
            responder.transmit(&request);
        }
        assert_eq!(responder.vlans.len(), VLANS);
    }

    /// A UDP datagram from 10.0.0.1 with the checksum left out.
    fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
        let mut header = vec![
            0x45,
            0,
            0,
            28 + payload.len() as u8,
            0,
            1,
            0,
            0,
            64,
            17,
            0,
            0,
        ];
        header.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let sum: u32 = header
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
            .sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut frame = MAC.0.to_vec();
        frame.extend_from_slice(&[0x02, 0, 0, 0, 0, 1, 0x08, 0]);
        frame.extend_from_slice(&header);
        frame.extend_from_slice(&1000u16.to_be_bytes());
        frame.extend_from_slice(&port.to_be_bytes());
        frame.extend_from_slice(&[0, 8 + payload.len() as u8, 0, 0]);
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn a_group_gets_the_datagram_that_was_asked_for() {
        let mut responder = Responder::new();
        let mut request = vec![0xff; 6];
        request.extend_from_slice(&[0x02, 0, 0, 0, 0, 1, 0x08, 0x06]);
        request.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        request.extend_from_slice(&[0x02, 0, 0, 0, 0, 1, 10, 0, 0, 1]);
        request.extend_from_slice(&[0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
        responder.transmit(&request);
        assert!(responder.receive().is_some());
        responder.transmit(&datagram(MULTICAST, &[239, 1, 2, 3, 0x12, 0x34]));
        let frame = responder.receive().expect("a frame");
        assert_eq!(frame[..6], [0x01, 0, 0x5e, 1, 2, 3]);
        assert_eq!(frame[30..34], [239, 1, 2, 3]);
        assert_eq!(frame[36..38], [0x12, 0x34]);
    }
}
