//! Frames built and taken apart by a library that knows nothing of this project.
//!
//! Each length and checksum of a frame is held against its bytes. GRE, which the library does not know, is read here.

use etherparse::{
    IpHeaders, IpNumber, Ipv4Header, Ipv6Header, NetSlice, PacketBuilder, SlicedPacket, TcpHeader,
    TcpOptionElement, TransportSlice, UdpHeader, checksum::Sum16BitWords,
};

pub const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];

/// A TCP flow to send.
#[derive(Clone, Debug)]
pub struct Stream {
    pub v6: bool,
    pub source_port: u16,
    pub sequence: u32,
    pub identification: u16,
    pub push: bool,
    pub options: Vec<TcpOptionElement>,
}

/// NOP, NOP, timestamp: the options that most stacks put into each segment.
pub fn timestamp(value: u32) -> Vec<TcpOptionElement> {
    let noop = TcpOptionElement::Noop;
    vec![noop.clone(), noop, TcpOptionElement::Timestamp(value, 77)]
}

/// The longest options: a timestamp and three blocks of a selective acknowledgement.
pub fn longest() -> Vec<TcpOptionElement> {
    let mut options = timestamp(5);
    let blocks = [Some((3, 4)), Some((5, 6))];
    options.push(TcpOptionElement::Noop);
    options.push(TcpOptionElement::Noop);
    options.push(TcpOptionElement::SelectiveAcknowledgement(
        (1, 2),
        [blocks[0], blocks[1], None],
    ));
    options
}

fn ip(v6: bool, identification: u16, hosts: [u8; 2]) -> IpHeaders {
    if v6 {
        let address = |host| {
            let mut address = [0xfd; 16];
            address[15] = host;
            address
        };
        let header = Ipv6Header {
            hop_limit: 64,
            source: address(hosts[0]),
            destination: address(hosts[1]),
            ..Ipv6Header::default()
        };
        IpHeaders::Ipv6(header, Default::default())
    } else {
        let address = |host| [10, 9, 0, host];
        let [source, destination] = hosts.map(address);
        let mut header = Ipv4Header::new(0, 64, IpNumber::TCP, source, destination).unwrap();
        header.identification = identification;
        header.dont_fragment = true;
        IpHeaders::Ipv4(header, Default::default())
    }
}

impl Stream {
    pub fn new(v6: bool, options: Vec<TcpOptionElement>) -> Self {
        Self {
            v6,
            source_port: 40_000,
            sequence: 0xffff_f000,
            identification: 0xfffe,
            push: true,
            options,
        }
    }

    /// A frame of the flow with `payload`; all of it, but lengths and checksums, is right for longer payloads, too.
    pub fn frame(&self, to: [u8; 6], payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(NEAR, to)
            .ip(ip(self.v6, self.identification, [1, 2]))
            .tcp(self.source_port, 443, self.sequence, 1000)
            .ack(7);
        let builder = if self.push { builder.psh() } else { builder };
        let builder = builder.options(&self.options).unwrap();
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).unwrap();
        frame
    }

    /// Headers of the flow, whose checksums are spoiled, in front of a payload that may be longer than any IP packet.
    pub fn to_segment(&self, to: [u8; 6], payload: &[u8]) -> Vec<u8> {
        let mut frame = self.frame(to, &[]);
        let tcp = 14 + self.ip_bytes();
        if !self.v6 {
            frame[24..26].copy_from_slice(&[0xde, 0xad]);
        }
        frame[tcp + 16..tcp + 18].copy_from_slice(&[0xbe, 0xef]);
        frame.extend(payload);
        frame
    }

    pub fn ip_bytes(&self) -> usize {
        if self.v6 { 40 } else { 20 }
    }

    /// Bytes of all headers of a frame.
    pub fn header_bytes(&self) -> usize {
        self.frame([0; 6], &[]).len()
    }
}

/// A frame of TCP, taken apart.
#[derive(Clone, Debug)]
pub struct Segment {
    pub tcp: TcpHeader,
    pub payload: Vec<u8>,
    pub identification: Option<u16>,
}

/// Whether the checksum of TCP is to be right; in a joined frame it is the first segment's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpSum {
    Right,
    OfTheFirst,
}

fn identification_of(net: &NetSlice<'_>) -> Option<u16> {
    match net {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            Some(header.identification)
        }
        NetSlice::Ipv6(_) => None,
        NetSlice::Arp(_) => panic!("ARP"),
    }
}

/// Panics unless a UDP checksum is right, or zero where that may be; says whether there is one.
fn check_udp(net: &NetSlice<'_>, header: &UdpHeader, payload: &[u8]) -> bool {
    let right = match net {
        NetSlice::Ipv4(ip) => {
            let (from, to) = (ip.header().source(), ip.header().destination());
            header.calc_checksum_ipv4_raw(from, to, payload)
        }
        NetSlice::Ipv6(ip) => {
            let (from, to) = (ip.header().source(), ip.header().destination());
            header.calc_checksum_ipv6_raw(from, to, payload)
        }
        NetSlice::Arp(_) => panic!("ARP"),
    };
    let there = header.checksum != 0;
    if there {
        assert_eq!(header.checksum, right.unwrap(), "UDP checksum");
    }
    there
}

fn segment_of(packet: &SlicedPacket<'_>, sum: TcpSum) -> Segment {
    let net = packet.net.as_ref().expect("an IP header");
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else {
        panic!("no TCP header: {packet:?}");
    };
    let (header, payload) = (tcp.to_header(), tcp.payload());
    let right = match net {
        NetSlice::Ipv4(ip) => {
            let (from, to) = (ip.header().source(), ip.header().destination());
            header.calc_checksum_ipv4_raw(from, to, payload)
        }
        NetSlice::Ipv6(ip) => {
            let (from, to) = (ip.header().source(), ip.header().destination());
            header.calc_checksum_ipv6_raw(from, to, payload)
        }
        NetSlice::Arp(_) => panic!("ARP"),
    };
    if sum == TcpSum::Right {
        assert_eq!(header.checksum, right.unwrap(), "TCP checksum");
    }
    Segment {
        identification: identification_of(net),
        payload: payload.to_vec(),
        tcp: header,
    }
}

/// Takes a frame of TCP apart.
pub fn segment(frame: &[u8], sum: TcpSum) -> Segment {
    segment_of(&SlicedPacket::from_ethernet(frame).unwrap(), sum)
}

/// A tunnel to put frames into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    Vxlan,
    /// With this many dwords of options.
    Geneve(u8),
    /// With a key or not; Ethernet inside, or IP.
    Gre {
        key: bool,
        ethernet: bool,
    },
}

/// A tunnel over one version of IP, with or without a checksum of UDP or GRE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    pub tunnel: Tunnel,
    pub v6: bool,
    pub checksum: bool,
}

pub const OUTER_IDENTIFICATION: u16 = 0xffff;

impl Around {
    /// Bytes in front of the inner Ethernet or IP header.
    pub fn bytes(&self) -> usize {
        14 + self.ip_bytes() + self.header_bytes()
    }

    /// Bytes of the tunnel's own headers, UDP's included.
    pub fn header_bytes(&self) -> usize {
        match self.tunnel {
            Tunnel::Vxlan => 16,
            Tunnel::Geneve(dwords) => 16 + 4 * usize::from(dwords),
            Tunnel::Gre { key, .. } => 4 + 4 * (usize::from(key) + usize::from(self.checksum)),
        }
    }

    fn ip_bytes(&self) -> usize {
        if self.v6 { 40 } else { 20 }
    }

    pub fn carries_ethernet(&self) -> bool {
        !matches!(
            self.tunnel,
            Tunnel::Gre {
                ethernet: false,
                ..
            }
        )
    }

    /// Puts a frame into the tunnel; checksums outside are still to be filled in.
    pub fn wrap(&self, to: [u8; 6], frame: &[u8]) -> Vec<u8> {
        let inside = if self.carries_ethernet() {
            frame
        } else {
            &frame[14..]
        };
        let mut payload = match self.tunnel {
            Tunnel::Vxlan => vec![8, 0, 0, 0, 0, 0, 42, 0],
            Tunnel::Geneve(dwords) => {
                let mut header = vec![dwords, 0, 0x65, 0x58, 0, 0, 42, 0];
                header.extend(core::iter::repeat_n(0xa5, 4 * usize::from(dwords)));
                header
            }
            Tunnel::Gre { key, ethernet } => {
                let flags = u8::from(self.checksum) << 7 | u8::from(key) << 5;
                let mut header = vec![flags, 0];
                header.extend(match (ethernet, &frame[12..14]) {
                    (true, _) => [0x65, 0x58],
                    (false, kind) => [kind[0], kind[1]],
                });
                if self.checksum {
                    header.extend([0xde, 0xad, 0, 0]);
                }
                if key {
                    header.extend([0, 1, 0xe2, 0x40]);
                }
                header
            }
        };
        let limit = payload.len() + 300.min(inside.len());
        payload.extend(inside);
        // A frame to be segmented may be longer than any IP packet: its lengths are the device's to fill in.
        let (now, later) = if payload.len() > 60_000 {
            payload.split_at(limit)
        } else {
            payload.split_at(payload.len())
        };
        let builder =
            PacketBuilder::ethernet2(NEAR, to).ip(ip(self.v6, OUTER_IDENTIFICATION, [3, 4]));
        let mut frame = Vec::new();
        match self.tunnel {
            Tunnel::Gre { .. } => builder.write(&mut frame, IpNumber::GRE, now).unwrap(),
            Tunnel::Vxlan => builder.udp(50_000, 4789).write(&mut frame, now).unwrap(),
            Tunnel::Geneve(_) => builder.udp(50_000, 6081).write(&mut frame, now).unwrap(),
        }
        frame.extend(later);
        if !matches!(self.tunnel, Tunnel::Gre { .. }) {
            let at = 14 + self.ip_bytes() + 6;
            let left = if self.checksum { [0xde, 0xad] } else { [0, 0] };
            frame[at..at + 2].copy_from_slice(&left);
        }
        if !self.v6 {
            frame[24] ^= 0x55;
        }
        frame
    }

    /// Takes a frame out of the tunnel: the outer identification, and what is inside, as a segment.
    pub fn unwrap(&self, frame: &[u8]) -> (Option<u16>, Segment) {
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let net = packet.net.as_ref().expect("an IP header");
        let identification = identification_of(net);
        let (kind, inside) = match &packet.transport {
            Some(TransportSlice::Udp(udp)) => {
                let there = check_udp(net, &udp.to_header(), udp.payload());
                assert_eq!(there, self.checksum);
                let (header, payload) = udp.payload().split_at(8);
                match self.tunnel {
                    Tunnel::Vxlan => assert_eq!(udp.destination_port(), 4789),
                    _ => assert_eq!(udp.destination_port(), 6081),
                }
                let options = match self.tunnel {
                    Tunnel::Geneve(dwords) => {
                        assert_eq!(header[..4], [dwords, 0, 0x65, 0x58]);
                        usize::from(dwords) * 4
                    }
                    _ => 0,
                };
                assert_eq!(header[6], 42);
                assert!(payload[..options].iter().all(|byte| *byte == 0xa5));
                (0x6558, &payload[options..])
            }
            _ => {
                let payload = match net {
                    NetSlice::Ipv4(ip) => ip.payload(),
                    NetSlice::Ipv6(ip) => ip.payload(),
                    NetSlice::Arp(_) => panic!("ARP"),
                };
                assert_eq!(payload.ip_number, IpNumber::GRE);
                self.inside_gre(payload.payload)
            }
        };
        let inner = if kind == 0x6558 {
            SlicedPacket::from_ethernet(inside)
        } else {
            SlicedPacket::from_ip(inside)
        };
        (identification, segment_of(&inner.unwrap(), TcpSum::Right))
    }

    /// RFC 2784 and 2890.
    fn inside_gre<'a>(&self, gre: &'a [u8]) -> (u16, &'a [u8]) {
        let Tunnel::Gre { key, ethernet } = self.tunnel else {
            panic!("GRE where there was none");
        };
        assert_eq!(
            gre[0],
            u8::from(self.checksum) << 7 | u8::from(key) << 5,
            "flags"
        );
        let mut at = 4;
        if self.checksum {
            let sum = Sum16BitWords::new().add_slice(gre);
            assert_eq!(sum.ones_complement(), 0, "GRE checksum");
            at += 4;
        }
        if key {
            assert_eq!(gre[at..at + 4], [0, 1, 0xe2, 0x40]);
            at += 4;
        }
        let kind = u16::from_be_bytes([gre[2], gre[3]]);
        assert_eq!(kind == 0x6558, ethernet);
        (kind, &gre[at..])
    }
}

/// The Toeplitz hash of a flow, from the definition: a window of 32 bits moves along the key.
pub fn toeplitz(key: &[u8; 40], input: &[u8]) -> u32 {
    let bit = |bytes: &[u8], index: usize| bytes[index / 8] >> (7 - index % 8) & 1;
    let window = |start: usize| {
        (start..start + 32).fold(0u32, |value, index| value << 1 | u32::from(bit(key, index)))
    };
    (0..input.len() * 8)
        .filter(|index| bit(input, *index) == 1)
        .fold(0, |hash, index| hash ^ window(index))
}

/// What is hashed of a frame of TCP: addresses and ports.
pub fn hashed(frame: &[u8]) -> Vec<u8> {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let mut input = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => [ip.header().source(), ip.header().destination()].concat(),
        NetSlice::Ipv6(ip) => [ip.header().source(), ip.header().destination()].concat(),
        NetSlice::Arp(_) => panic!("ARP"),
    };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
        panic!("no TCP");
    };
    input.extend(tcp.source_port().to_be_bytes());
    input.extend(tcp.destination_port().to_be_bytes());
    input
}
