//! The services of this machine, on smoltcp: ARP and ping are the stack's own, UDP echo and the end are here.

use fastlinq_net::AdapterQueue;
use fastlinq_net::stack::Phy;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

use crate::machine::Machine;

/// Sends everything back.
const ECHO: u16 = 7;
/// The datagram [`QUIT`] ends the program.
const CONTROL: u16 = 9;
const QUIT: &[u8] = b"quit";
/// Largest payload of a datagram in one frame.
const LARGEST: usize = 1472;
const DATAGRAMS: usize = 8;
const SOCKET_BYTES: usize = 8 * 1024;

/// The queue pair, as smoltcp sees it.
pub(crate) type Port<'m> = Phy<AdapterQueue<'m, Machine>>;

/// Memory of the sockets.
pub(crate) struct SocketMemory {
    metadata: [[udp::PacketMetadata; DATAGRAMS]; 3],
    echo: [[u8; SOCKET_BYTES]; 2],
    control: [u8; 64],
    sockets: [SocketStorage<'static>; 2],
}

impl SocketMemory {
    pub(crate) const fn new() -> Self {
        Self {
            metadata: [[udp::PacketMetadata::EMPTY; DATAGRAMS]; 3],
            echo: [[0; SOCKET_BYTES]; 2],
            control: [0; 64],
            sockets: [SocketStorage::EMPTY; 2],
        }
    }
}

/// The stack with its two services.
pub(crate) struct Services {
    interface: Interface,
    sockets: SocketSet<'static>,
    echo: SocketHandle,
    control: SocketHandle,
    /// Datagrams sent back.
    pub(crate) echoed: u32,
}

impl Services {
    pub(crate) fn new(
        port: &mut Port<'_>,
        mac: [u8; 6],
        address: Ipv4Cidr,
        seed: u64,
        memory: &'static mut SocketMemory,
    ) -> Self {
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac)));
        config.random_seed = seed;
        let mut interface = Interface::new(config, port, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // One address always fits.
            let _ = addresses.push(IpCidr::Ipv4(address));
        });
        let [received, sent, told] = &mut memory.metadata;
        let [incoming, outgoing] = &mut memory.echo;
        let mut sockets = SocketSet::new(&mut memory.sockets[..]);
        let echo = sockets.add(udp::Socket::new(
            udp::PacketBuffer::new(&mut received[..], &mut incoming[..]),
            udp::PacketBuffer::new(&mut sent[..], &mut outgoing[..]),
        ));
        let control = sockets.add(udp::Socket::new(
            udp::PacketBuffer::new(&mut told[..], &mut memory.control[..]),
            udp::PacketBuffer::new(&mut [][..], &mut [][..]),
        ));
        for (handle, port) in [(echo, ECHO), (control, CONTROL)] {
            // A fresh socket can be bound.
            let _ = sockets.get_mut::<udp::Socket<'_>>(handle).bind(port);
        }
        Self {
            interface,
            sockets,
            echo,
            control,
            echoed: 0,
        }
    }

    /// Takes in what has come, answers it, and sends; tells whether the other side asked for the end.
    pub(crate) fn poll(&mut self, now_us: u64, port: &mut Port<'_>) -> bool {
        let now = Instant::from_micros(now_us as i64);
        self.interface.poll(now, port, &mut self.sockets);
        if self.serve_echo() {
            self.interface.poll(now, port, &mut self.sockets);
        }
        let control = self.sockets.get_mut::<udp::Socket<'_>>(self.control);
        let mut quit = false;
        while let Ok((datagram, _)) = control.recv() {
            quit |= datagram == QUIT;
        }
        quit
    }

    /// Sends what is due, and does not look at what has come.
    pub(crate) fn poll_timers(&mut self, now_us: u64, port: &mut Port<'_>) {
        let now = Instant::from_micros(now_us as i64);
        self.interface.poll_egress(now, port, &mut self.sockets);
    }

    fn serve_echo(&mut self) -> bool {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.echo);
        let mut served = false;
        let mut copy = [0; LARGEST];
        while socket.can_send() {
            let Ok((length, from)) = socket.recv_slice(&mut copy) else {
                break;
            };
            if socket.send_slice(&copy[..length], from.endpoint).is_ok() {
                self.echoed += 1;
            }
            served = true;
        }
        served
    }
}
