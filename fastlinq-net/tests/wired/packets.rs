//! TCP and UDP over IPv4 and IPv6, with checksums that the tests compute by themselves, and frames in tunnels.

/// Headers of IP, TCP and UDP.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub v6: bool,
    /// A destination options header of 8 bytes in front of the transport header (IPv6).
    pub extension: bool,
    /// IPv4 identification.
    pub identification: u16,
    pub source_port: u16,
    pub sequence: u32,
    pub tcp_flags: u8,
}

pub const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;

pub fn flow(v6: bool) -> Flow {
    Flow {
        v6,
        extension: false,
        identification: 0xfffe,
        source_port: 40_000,
        sequence: 0xffff_f000,
        tcp_flags: 0x10,
    }
}

fn sum(bytes: &[u8]) -> u32 {
    let pairs = bytes.chunks(2);
    pairs
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)))
        .sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Whether an IPv4 header's checksum is right.
pub fn ip_is_good(header: &[u8]) -> bool {
    fold(sum(&header[..20])) == 0xffff
}

impl Flow {
    /// Bytes in front of the transport header, without Ethernet's.
    pub fn ip_bytes(&self) -> usize {
        match (self.v6, self.extension) {
            (false, _) => 20,
            (true, false) => 40,
            (true, true) => 48,
        }
    }

    pub fn ether_type(&self) -> u16 {
        if self.v6 { 0x86dd } else { 0x0800 }
    }

    fn addresses(&self) -> Vec<u8> {
        if self.v6 {
            let mut addresses = vec![0xfd; 16];
            addresses.extend([0xfe; 15]);
            addresses.push(9);
            addresses
        } else {
            vec![10, 1, 0, 1, 10, 1, 0, 2]
        }
    }

    /// The folded sum of the pseudo header.
    pub fn pseudo(&self, protocol: u8, length: usize) -> u16 {
        fold(sum(&self.addresses()) + u32::from(protocol) + length as u32)
    }

    fn datagram(&self, protocol: u8, mut segment: Vec<u8>, checksum_at: usize) -> Vec<u8> {
        let pseudo = u32::from(self.pseudo(protocol, segment.len()));
        let checksum = match !fold(pseudo + sum(&segment)) {
            0 if protocol == UDP => 0xffff,
            checksum => checksum,
        };
        segment[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
        let length = self.ip_bytes() + segment.len();
        let mut packet;
        if self.v6 {
            packet = vec![0x60, 0, 0, 0];
            packet.extend(((length - 40) as u16).to_be_bytes());
            packet.extend([if self.extension { 60 } else { protocol }, 64]);
            packet.extend(self.addresses());
            if self.extension {
                packet.extend([protocol, 0, 1, 4, 0, 0, 0, 0]);
            }
        } else {
            packet = vec![0x45, 0];
            packet.extend((length as u16).to_be_bytes());
            packet.extend(self.identification.to_be_bytes());
            packet.extend([0x40, 0, 64, protocol, 0, 0]);
            packet.extend(self.addresses());
            let checksum = !fold(sum(&packet));
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        packet.extend(segment);
        packet
    }

    /// A datagram of TCP.
    pub fn tcp(&self, payload: &[u8]) -> Vec<u8> {
        let mut segment = self.source_port.to_be_bytes().to_vec();
        segment.extend(443_u16.to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend([0, 0, 0, 1, 0x50, self.tcp_flags, 0x20, 0, 0, 0, 0, 0]);
        segment.extend(payload);
        self.datagram(TCP, segment, 16)
    }

    /// A datagram of UDP.
    pub fn udp(&self, port: u16, payload: &[u8]) -> Vec<u8> {
        let mut segment = self.source_port.to_be_bytes().to_vec();
        segment.extend(port.to_be_bytes());
        segment.extend(((payload.len() + 8) as u16).to_be_bytes());
        segment.extend([0, 0]);
        segment.extend(payload);
        self.datagram(UDP, segment, 6)
    }

    /// The segments that a payload becomes, each with the headers that it must have.
    pub fn segments(&self, payload: &[u8], most: usize) -> Vec<Vec<u8>> {
        let last = payload.len().div_ceil(most) - 1;
        let chunks = payload.chunks(most).enumerate();
        chunks
            .map(|(number, chunk)| {
                let mut flow = Self {
                    identification: self.identification.wrapping_add(number as u16),
                    sequence: self.sequence.wrapping_add((number * most) as u32),
                    ..*self
                };
                if number != 0 {
                    flow.tcp_flags &= !CWR;
                }
                if number != last {
                    flow.tcp_flags &= !(PSH | FIN);
                }
                flow.tcp(chunk)
            })
            .collect()
    }
}

pub const FIN: u8 = 0x01;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;
pub const CWR: u8 = 0x80;

pub fn ethernet(to: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = to.to_vec();
    frame.extend([2, 0, 0, 0, 0, 0xfe]);
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A frame with an 802.1Q tag.
pub fn tagged(frame: &[u8], tag: u16) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    out.extend([0x81, 0]);
    out.extend(tag.to_be_bytes());
    out.extend(&frame[12..]);
    out
}

/// A tunnel over UDP, with its own IP header.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    pub geneve: bool,
    pub outer: Flow,
    pub outer_checksum: bool,
}

impl Around {
    fn port(&self) -> u16 {
        if self.geneve { 6081 } else { 4789 }
    }

    fn header(&self) -> Vec<u8> {
        if self.geneve {
            // One option of 4 bytes.
            vec![1, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 0]
        } else {
            vec![8, 0, 0, 0, 0, 0, 42, 0]
        }
    }

    /// Bytes in front of the inner Ethernet header.
    pub fn bytes(&self) -> usize {
        ETHERNET + self.outer.ip_bytes() + 8 + self.header().len()
    }

    /// Bytes of the tunnel's own headers, UDP's included.
    pub fn header_bytes(&self) -> u16 {
        8 + self.header().len() as u16
    }

    /// Offset of the outer UDP checksum.
    pub fn checksum_at(&self) -> usize {
        ETHERNET + self.outer.ip_bytes() + 6
    }

    /// The `number`th frame of a packet cut into segments.
    pub fn wrap(&self, to: [u8; 6], number: u16, inner: &[u8]) -> Vec<u8> {
        let mut payload = self.header();
        payload.extend(inner);
        let outer = Flow {
            identification: self.outer.identification.wrapping_add(number),
            ..self.outer
        };
        let mut frame = ethernet(to, outer.ether_type(), &outer.udp(self.port(), &payload));
        if !self.outer_checksum {
            let at = self.checksum_at();
            frame[at..at + 2].fill(0);
        }
        frame
    }
}
