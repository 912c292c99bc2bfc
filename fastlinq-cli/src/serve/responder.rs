//! A host at the other end of the cable that needs no privileges: ARP, ping, UDP echo, TCP services.
//!
//! The stack is smoltcp with software checksums on both sides, so every checksum that the adapter inserts
//! is verified here, and every one that it verifies was computed here.

use std::collections::VecDeque;
use std::time::Instant as HostInstant;

use fastlinq_model::Wire;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv6Address};

/// Ports of the services, those that the classic services have.
const ECHO: u16 = 7;
const DISCARD: u16 = 9;
const CHARGEN: u16 = 19;

const MAC: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x02]);
const IPV4: IpAddress = IpAddress::v4(10, 0, 0, 2);
const IPV6: IpAddress = IpAddress::Ipv6(Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
const LINK_LOCAL: IpAddress = IpAddress::Ipv6(Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 2));
/// Largest IP packet.
const MTU: usize = 9600;
const ETHERNET_HEADER: usize = 14;
/// Frames kept in either direction; what comes on top is dropped, as a switch would.
const QUEUE: usize = 1024;
const SOCKET_BUFFER: usize = 256 << 10;
/// Connections that each TCP service can hold at a time.
const BACKLOG: usize = 4;

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

/// The other end of the cable: 10.0.0.2/24, fd00::2/64 and fe80::2/64.
pub(crate) struct Responder {
    queues: Queues,
    interface: Interface,
    sockets: SocketSet<'static>,
    udp: SocketHandle,
    tcp: Vec<(Service, SocketHandle)>,
    started: HostInstant,
}

impl Responder {
    pub(crate) fn new() -> Self {
        let mut queues = Queues::default();
        let mut config = Config::new(HardwareAddress::Ethernet(MAC));
        config.random_seed = 0x5eed;
        let mut interface = Interface::new(config, &mut queues, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            for (address, prefix) in [(IPV4, 24), (IPV6, 64), (LINK_LOCAL, 64)] {
                // Three addresses always fit: smoltcp is built with room for more.
                let _ = addresses.push(IpCidr::new(address, prefix));
            }
        });
        let mut sockets = SocketSet::new(Vec::new());
        let udp = sockets.add(udp_echo());
        let tcp = Service::ALL
            .into_iter()
            .flat_map(|service| std::iter::repeat_n(service, BACKLOG))
            .map(|service| (service, sockets.add(tcp_socket())))
            .collect();
        Self {
            queues,
            interface,
            sockets,
            udp,
            tcp,
            started: HostInstant::now(),
        }
    }

    fn poll(&mut self) {
        let now = Instant::from_micros(self.started.elapsed().as_micros() as i64);
        self.interface
            .poll(now, &mut self.queues, &mut self.sockets);
        self.serve_udp();
        for index in 0..self.tcp.len() {
            let (service, handle) = self.tcp[index];
            serve_tcp(service, self.sockets.get_mut(handle));
        }
        self.interface
            .poll(now, &mut self.queues, &mut self.sockets);
    }

    fn serve_udp(&mut self) {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
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
}

impl Wire for Responder {
    fn transmit(&mut self, frame: &[u8]) {
        if self.queues.to_stack.len() < QUEUE {
            self.queues.to_stack.push_back(frame.to_vec());
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        if self.queues.to_adapter.is_empty() {
            self.poll();
        }
        self.queues.to_adapter.pop_front()
    }
}

fn udp_echo() -> udp::Socket<'static> {
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
    tcp::Socket::new(buffer(), buffer())
}

fn serve_tcp(service: Service, socket: &mut tcp::Socket<'static>) {
    if !socket.is_open() && socket.listen(service.port()).is_err() {
        return;
    }
    match service {
        Service::Echo => echo(socket),
        Service::Discard => {
            while matches!(socket.recv(|data| (data.len(), data.len())), Ok(1..)) {}
        }
        Service::Source => source(socket),
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
fn source(socket: &mut tcp::Socket<'static>) {
    while socket.can_send() {
        let sent = socket.send(|buffer| {
            for (index, byte) in buffer.iter_mut().enumerate() {
                *byte = index as u8;
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
        assert_eq!(responder.queues.to_stack.len(), QUEUE);
    }
}
