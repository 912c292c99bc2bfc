//! A host at the cable's end that asks: ping, UDP echo.

use std::time::{Duration, Instant as HostInstant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{icmp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr, Ipv4Address,
};

use crate::cable::Cable;

const MAC: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x02]);
const OWN: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);
const TARGET: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
const IDENT: u16 = 0x1077;
const ECHO: u16 = 7;
const CONTROL: u16 = 9;
const OWN_PORT: u16 = 4242;
const SOCKET_BYTES: usize = 256 << 10;
/// Longest sleep while something is awaited.
const SLEEP: Duration = Duration::from_millis(1);

/// A host at the cable's end.
pub(crate) struct Host {
    pub(crate) cable: Cable,
    interface: Interface,
    sockets: SocketSet<'static>,
    icmp: SocketHandle,
    udp: SocketHandle,
    started: HostInstant,
}

impl Host {
    pub(crate) fn new(mut cable: Cable) -> Self {
        let mut config = Config::new(HardwareAddress::Ethernet(MAC));
        config.random_seed = 0x1077;
        let mut interface = Interface::new(config, &mut cable, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(IpAddress::Ipv4(OWN), 24);
            addresses.push(own).expect("room for one address");
        });
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || {
            icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 64], vec![0; SOCKET_BYTES])
        };
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket
            .bind(icmp::Endpoint::Ident(IDENT))
            .expect("a fresh socket");
        let icmp = sockets.add(socket);
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 256], vec![0; SOCKET_BYTES]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(OWN_PORT).expect("a fresh socket");
        let udp = sockets.add(socket);
        Self {
            cable,
            interface,
            sockets,
            icmp,
            udp,
            started: HostInstant::now(),
        }
    }

    fn poll(&mut self) {
        let now = Instant::from_micros(self.started.elapsed().as_micros() as i64);
        self.interface.poll(now, &mut self.cable, &mut self.sockets);
    }

    /// Polls until something is there, the time is over, or the cable is pulled.
    fn until<T>(
        &mut self,
        patience: Duration,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let begun = HostInstant::now();
        loop {
            self.poll();
            if let Some(found) = look(self) {
                return Some(found);
            }
            if begun.elapsed() >= patience || self.cable.pulled {
                return None;
            }
            self.cable.wait(SLEEP);
        }
    }

    /// Pings with a payload of `length` bytes; whether the answer came in time, and all bytes of it are right.
    pub(crate) fn ping(
        &mut self,
        number: u16,
        length: usize,
        patience: Duration,
    ) -> Result<Option<Duration>, String> {
        let payload = pattern(number, length);
        let checksums = ChecksumCapabilities::default();
        let request = Icmpv4Repr::EchoRequest {
            ident: IDENT,
            seq_no: number,
            data: &payload,
        };
        let socket = self.sockets.get_mut::<icmp::Socket<'_>>(self.icmp);
        if !socket.can_send() {
            // Earlier ones still wait for an answer to the question for the address.
            self.until(patience, |_| None::<()>);
            return Ok(None);
        }
        let space = socket
            .send(request.buffer_len(), IpAddress::Ipv4(TARGET))
            .map_err(|error| format!("ping {number} cannot be sent: {error}"))?;
        request.emit(&mut Icmpv4Packet::new_unchecked(space), &checksums);
        let sent = HostInstant::now();
        let answer = self.until(patience, |host| {
            let socket = host.sockets.get_mut::<icmp::Socket<'_>>(host.icmp);
            while let Ok((bytes, _)) = socket.recv() {
                let packet = Icmpv4Packet::new_checked(bytes).ok()?;
                match Icmpv4Repr::parse(&packet, &checksums) {
                    Ok(Icmpv4Repr::EchoReply { seq_no, data, .. }) if seq_no == number => {
                        return Some(data == payload);
                    }
                    // An answer to an earlier ping, which was given up.
                    _ => {}
                }
            }
            None
        });
        match answer {
            Some(true) => Ok(Some(sent.elapsed())),
            Some(false) => Err(format!(
                "ping {number} of {length} bytes: other bytes came back"
            )),
            None => Ok(None),
        }
    }

    /// Has datagrams of these lengths sent back, `window` of them under way at a time, and checks every byte.
    pub(crate) fn echo(
        &mut self,
        lengths: &[usize],
        window: usize,
        patience: Duration,
    ) -> Result<(), String> {
        let mut answered = 0;
        let mut sent = 0;
        while answered < lengths.len() {
            while sent < lengths.len() && sent - answered < window {
                self.send(ECHO, &pattern(sent as u16, lengths[sent]))?;
                sent += 1;
            }
            let answer = self.until(patience, |host| {
                let socket = host.sockets.get_mut::<udp::Socket<'_>>(host.udp);
                socket
                    .recv()
                    .ok()
                    .map(|(data, from)| (data.to_vec(), from.endpoint))
            });
            let (data, from) = answer.ok_or(format!("datagram {answered} did not come back"))?;
            if from.addr != IpAddress::Ipv4(TARGET) || from.port != ECHO {
                return Err(format!("a datagram from {from}"));
            }
            if data != pattern(answered as u16, lengths[answered]) {
                return Err(format!("datagram {answered}: other bytes came back"));
            }
            answered += 1;
        }
        Ok(())
    }

    /// Asks the program to end.
    pub(crate) fn quit(&mut self) -> Result<(), String> {
        self.send(CONTROL, b"quit")?;
        self.until(Duration::from_millis(50), |_| None::<()>);
        Ok(())
    }

    fn send(&mut self, port: u16, data: &[u8]) -> Result<(), String> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        let sent = socket.send_slice(data, (IpAddress::Ipv4(TARGET), port));
        sent.map_err(|error| format!("a datagram cannot be sent: {error}"))?;
        self.poll();
        Ok(())
    }
}

/// Bytes that tell which datagram they are of, and where in it.
fn pattern(number: u16, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (usize::from(number) * 31 + at * 7 + at / 256) as u8)
        .collect()
}
