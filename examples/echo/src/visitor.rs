//! Somebody who sends datagrams and compares what comes back.

use anyhow::{Result, ensure};
use example_support::{AdapterArgs, AnyHost, Visitor};
use fastlinq_net::QueueConfig;
use fastlinq_net::stack::Phy;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint, Ipv4Address, Ipv4Cidr};

use crate::ECHO;

/// Datagrams on their way at a time.
const WINDOW: u32 = 8;

pub(crate) struct EchoVisitor {
    visitor: Visitor,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    to: IpEndpoint,
    sent: u32,
    back: u32,
    wanted: u32,
    last: Instant,
}

impl EchoVisitor {
    /// Joins a visitor to the software adapter; `None` on others.
    pub(crate) fn join(
        args: &AdapterArgs,
        host: &AnyHost,
        server: Ipv4Cidr,
        wanted: u32,
    ) -> Result<Option<Self>> {
        let Some(mut visitor) = Visitor::join(args, host)? else {
            return Ok(None);
        };
        let address = EthernetAddress(visitor.mac());
        let mut phy = Phy::new(visitor.queue_mut(), &QueueConfig::default());
        let mut interface = Interface::new(Config::new(address.into()), &mut phy, Instant::ZERO);
        // The neighbour of the server's address.
        let mut bytes = server.address().octets();
        bytes[3] ^= 2;
        let own = Ipv4Cidr::new(Ipv4Address::from(bytes), server.prefix_len());
        interface.update_ip_addrs(|addresses| {
            // There is room for two.
            let _ = addresses.push(IpCidr::Ipv4(own));
        });
        let room =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 1 << 17]);
        let mut socket = udp::Socket::new(room(), room());
        ensure!(socket.bind(40_000).is_ok(), "the visitor's port");
        let mut sockets = SocketSet::new(vec![]);
        let handle = sockets.add(socket);
        Ok(Some(Self {
            visitor,
            interface,
            sockets,
            handle,
            to: (server.address(), ECHO).into(),
            sent: 0,
            back: 0,
            wanted,
            last: Instant::ZERO,
        }))
    }

    pub(crate) fn ready(&mut self) -> Result<()> {
        self.visitor.ready()
    }

    /// Sends and compares; `true` when everything is back.
    pub(crate) fn poll(&mut self, now: Instant) -> Result<bool> {
        let mut phy = Phy::new(self.visitor.queue_mut(), &QueueConfig::default());
        self.interface.poll(now, &mut phy, &mut self.sockets);
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.handle);
        while self.sent < self.wanted && self.sent < self.back + WINDOW && socket.can_send() {
            socket.send_slice(&datagram(self.sent), self.to)?;
            self.sent += 1;
        }
        while socket.can_recv() {
            let (data, _) = socket.recv()?;
            ensure!(
                data == datagram(self.back),
                "answer {} is not what was sent",
                self.back
            );
            self.back += 1;
            self.last = now;
        }
        self.visitor.pass();
        let waited = now - self.last;
        ensure!(waited.secs() < 20, "answer {} did not come", self.back);
        Ok(self.back == self.wanted)
    }

    pub(crate) fn leave(self) -> Result<()> {
        println!(
            "the visitor got {} of {} datagrams back, unchanged",
            self.back, self.wanted
        );
        self.visitor.leave()
    }
}

/// Datagram `number`: sizes from 4 to 1,400 bytes.
fn datagram(number: u32) -> Vec<u8> {
    let mut data = number.to_be_bytes().to_vec();
    data.resize(4 + number as usize * 37 % 1_397, number as u8);
    data
}
