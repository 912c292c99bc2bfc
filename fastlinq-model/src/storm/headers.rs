//! The parser of one level of headers: Ethernet, IP, TCP and UDP.

use super::parse::{
    ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, ETHER_TYPE_VLAN, ETHERNET_HEADER, Ethernet, IpVersion, Layer,
    MAC_ADDRESSES, Network, PROTOCOL_TCP, PROTOCOL_UDP, Transport, TransportKind,
};

const IPV6_EXTENSION_LIMIT: usize = 8;

/// Whether the length fields of IP headers are held against the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lengths {
    Checked,
    /// The frame is only headers: lengths are not right yet, everything to its end belongs to the datagram.
    Ignored,
}

pub(super) fn word(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(
        frame.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

pub(super) fn dword(frame: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(
        frame.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

pub(super) fn parse_ethernet(frame: &[u8], offset: usize, lengths: Lengths) -> Option<Layer> {
    let mut ether_type = word(frame, offset + MAC_ADDRESSES)?;
    let mut length = ETHERNET_HEADER;
    let mut vlan = None;
    if ether_type == ETHER_TYPE_VLAN {
        if let (Some(tci), Some(inner)) = (word(frame, offset + 14), word(frame, offset + 16)) {
            vlan = Some(tci);
            ether_type = inner;
            length = ETHERNET_HEADER + 4;
        }
    }
    let ethernet = Ethernet {
        offset,
        length,
        vlan,
        ether_type,
    };
    let (network, transport) = parse_network(frame, offset + length, ether_type, lengths);
    Some(Layer {
        ethernet: Some(ethernet),
        network,
        transport,
    })
}

pub(super) fn parse_network(
    frame: &[u8],
    offset: usize,
    ether_type: u16,
    lengths: Lengths,
) -> (Option<Network>, Option<Transport>) {
    let network = match ether_type {
        ETHER_TYPE_IPV4 => parse_ipv4(frame, offset, lengths),
        ETHER_TYPE_IPV6 => parse_ipv6(frame, offset, lengths),
        _ => return (None, None),
    };
    let transport = if network.malformed || network.fragment {
        None
    } else {
        parse_transport(frame, &network)
    };
    (Some(network), transport)
}

fn parse_ipv4(frame: &[u8], offset: usize, lengths: Lengths) -> Network {
    let mut network = Network {
        version: IpVersion::V4,
        offset,
        length: 0,
        end: frame.len(),
        protocol: 0,
        fragment: false,
        options: false,
        extensions: false,
        hop_limit: 0,
        malformed: true,
    };
    let Some(header) = frame.get(offset..offset.saturating_add(20)) else {
        return network;
    };
    let length = usize::from(header[0] & 0xf) * 4;
    let total = match lengths {
        Lengths::Checked => usize::from(u16::from_be_bytes([header[2], header[3]])),
        Lengths::Ignored => frame.len() - offset,
    };
    let fragmentation = u16::from_be_bytes([header[6], header[7]]);
    network.protocol = header[9];
    network.hop_limit = header[8];
    network.fragment = fragmentation & 0x3fff != 0;
    network.options = length > 20;
    network.length = length.min(frame.len() - offset);
    if header[0] >> 4 != 4 || length < 20 || total < length || offset + total > frame.len() {
        return network;
    }
    network.end = offset + total;
    network.malformed = false;
    network
}

fn parse_ipv6(frame: &[u8], offset: usize, lengths: Lengths) -> Network {
    let mut network = Network {
        version: IpVersion::V6,
        offset,
        length: 0,
        end: frame.len(),
        protocol: 0,
        fragment: false,
        options: false,
        extensions: false,
        hop_limit: 0,
        malformed: true,
    };
    let Some(header) = frame.get(offset..offset.saturating_add(40)) else {
        return network;
    };
    let payload = match lengths {
        Lengths::Checked => usize::from(u16::from_be_bytes([header[4], header[5]])),
        Lengths::Ignored => frame.len() - offset - 40,
    };
    network.length = 40;
    network.hop_limit = header[7];
    network.protocol = header[6];
    if header[0] >> 4 != 6 || offset + 40 + payload > frame.len() {
        return network;
    }
    network.end = offset + 40 + payload;
    network.malformed = false;
    for _ in 0..IPV6_EXTENSION_LIMIT {
        let at = offset + network.length;
        let units = match network.protocol {
            0 | 43 | 60 => 8,
            44 => 0,
            51 => 4,
            _ => return network,
        };
        network.extensions = true;
        let Some(extension) = frame.get(at..at + 8).filter(|_| at + 8 <= network.end) else {
            network.malformed = true;
            return network;
        };
        let length = match network.protocol {
            44 => {
                network.fragment = true;
                8
            }
            51 => (usize::from(extension[1]) + 2) * units,
            _ => (usize::from(extension[1]) + 1) * units,
        };
        if at + length > network.end {
            network.malformed = true;
            return network;
        }
        network.protocol = extension[0];
        network.length += length;
        if network.fragment {
            return network;
        }
    }
    network
}

fn parse_transport(frame: &[u8], network: &Network) -> Option<Transport> {
    let offset = network.offset + network.length;
    let (kind, minimum) = match network.protocol {
        PROTOCOL_TCP => (TransportKind::Tcp, 20),
        PROTOCOL_UDP => (TransportKind::Udp, 8),
        _ => return None,
    };
    let header = frame
        .get(offset..offset + minimum)
        .filter(|_| offset + minimum <= network.end)?;
    let length = match kind {
        TransportKind::Tcp => usize::from(header[12] >> 4) * 4,
        TransportKind::Udp => 8,
    };
    if length < minimum || offset + length > network.end {
        return None;
    }
    Some(Transport {
        kind,
        offset,
        length,
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
    })
}
