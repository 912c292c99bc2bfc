//! Frames with good checksums.

use std::net::IpAddr;

pub const ETHERNET: usize = 14;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

pub fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)))
        .sum()
}

pub fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// What a frame of TCP or UDP is made of.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub to: [u8; 6],
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ports: (u16, u16),
    pub protocol: u8,
    pub sequence: u32,
    pub tcp_flags: u8,
}

impl Flow {
    pub fn new(to: [u8; 6], source: &str, destination: &str, ports: (u16, u16)) -> Self {
        Self {
            to,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            ports,
            protocol: TCP,
            sequence: 1000,
            tcp_flags: 0x10,
        }
    }

    pub fn udp(self) -> Self {
        Self {
            protocol: UDP,
            ..self
        }
    }

    /// The IP datagram.
    pub fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        let (source, destination) = self.ports;
        let mut segment = Vec::new();
        segment.extend(source.to_be_bytes());
        segment.extend(destination.to_be_bytes());
        let checksum_at = if self.protocol == TCP {
            segment.extend(self.sequence.to_be_bytes());
            segment.extend([0, 0, 0, 1, 0x50, self.tcp_flags, 0x20, 0, 0, 0, 0, 0]);
            16
        } else {
            segment.extend(((payload.len() + 8) as u16).to_be_bytes());
            segment.extend([0, 0]);
            6
        };
        segment.extend(payload);
        let (mut packet, addresses) = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total = (20 + segment.len()) as u16;
                let mut header = vec![0x45, 0];
                header.extend(total.to_be_bytes());
                header.extend([0, 1, 0x40, 0, 64, self.protocol, 0, 0]);
                header.extend(source.octets());
                header.extend(destination.octets());
                let checksum = fold(sum(&header)).to_be_bytes();
                header[10..12].copy_from_slice(&checksum);
                let addresses = header[12..].to_vec();
                (header, addresses)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut header = vec![0x60, 0, 0, 0];
                header.extend((segment.len() as u16).to_be_bytes());
                header.extend([self.protocol, 64]);
                header.extend(source.octets());
                header.extend(destination.octets());
                let addresses = header[8..].to_vec();
                (header, addresses)
            }
            _ => panic!("two versions of IP in one packet"),
        };
        let pseudo = sum(&addresses) + u32::from(self.protocol) + segment.len() as u32;
        let checksum = fold(pseudo + sum(&segment)).to_be_bytes();
        segment[checksum_at..checksum_at + 2].copy_from_slice(&checksum);
        packet.extend(segment);
        packet
    }

    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let ether_type = if self.source.is_ipv4() {
            0x0800u16
        } else {
            0x86dd
        };
        ethernet(self.to, ether_type, &self.datagram(payload))
    }
}

pub fn ethernet(to: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = to.to_vec();
    frame.extend([2, 0, 0, 0, 0, 0xfe]);
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A frame with an 802.1Q tag behind the addresses.
pub fn tagged(frame: &[u8], tci: u16) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    tagged.extend([0x81, 0]);
    tagged.extend(tci.to_be_bytes());
    tagged.extend(&frame[12..]);
    tagged
}

/// A frame in VXLAN or GENEVE over IPv4 and UDP, without an outer UDP checksum.
pub fn in_udp_tunnel(to: [u8; 6], port: u16, header: [u8; 8], inner: &[u8]) -> Vec<u8> {
    let outer = Flow::new(to, "10.0.0.1", "10.0.0.2", (50_000, port)).udp();
    let mut payload = header.to_vec();
    payload.extend(inner);
    let mut frame = outer.frame(&payload);
    frame[40..42].copy_from_slice(&[0, 0]);
    frame
}

pub fn in_vxlan(to: [u8; 6], port: u16, tenant: u32, inner: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = tenant.to_be_bytes();
    in_udp_tunnel(to, port, [8, 0, 0, 0, a, b, c, 0], inner)
}

pub fn in_geneve(to: [u8; 6], port: u16, tenant: u32, inner: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = tenant.to_be_bytes();
    in_udp_tunnel(to, port, [0, 0, 0x65, 0x58, a, b, c, 0], inner)
}

/// A frame in GRE over IPv4, with a key.
pub fn in_gre(to: [u8; 6], key: u32, inner: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x20, 0, 0x65, 0x58];
    payload.extend(key.to_be_bytes());
    payload.extend(inner);
    let mut header = vec![0x45, 0];
    header.extend(((20 + payload.len()) as u16).to_be_bytes());
    header.extend([0, 1, 0x40, 0, 64, 47, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    let checksum = fold(sum(&header)).to_be_bytes();
    header[10..12].copy_from_slice(&checksum);
    header.extend(payload);
    ethernet(to, 0x0800, &header)
}

/// Whether IPv4 header and TCP or UDP checksum of an IP datagram are good.
pub fn good_checksums(datagram: &[u8]) -> bool {
    let (header, protocol, addresses) = match datagram[0] >> 4 {
        4 => (
            usize::from(datagram[0] & 15) * 4,
            datagram[9],
            &datagram[12..20],
        ),
        6 => (40, datagram[6], &datagram[8..40]),
        other => panic!("IP version {other}"),
    };
    let total = if datagram[0] >> 4 == 4 {
        if fold(sum(&datagram[..header])) != 0 {
            return false;
        }
        usize::from(u16::from_be_bytes([datagram[2], datagram[3]]))
    } else {
        40 + usize::from(u16::from_be_bytes([datagram[4], datagram[5]]))
    };
    let segment = &datagram[header..total];
    let pseudo = sum(addresses) + u32::from(protocol) + segment.len() as u32;
    fold(pseudo + sum(segment)) == 0
}
