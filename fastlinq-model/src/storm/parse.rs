//! The parser: what the adapter recognises in a frame, and the parsing flags it reports.

use fastlinq_pac::hsi::flags::{ParsingAndErrorFlags, TunnelParsingFlags};
use fastlinq_pac::hsi::{EthRxTunnType, L3Type, L4Protocol, TunnelNextProtocol};

use super::checksum::{Sum, pseudo_header};
use super::headers::{Lengths, parse_ethernet, parse_network, word};
use super::tunnel::find_tunnel;

pub(super) const ETHER_TYPE_IPV4: u16 = 0x0800;
pub(super) const ETHER_TYPE_IPV6: u16 = 0x86dd;
pub(super) const ETHER_TYPE_VLAN: u16 = 0x8100;
pub(super) const PROTOCOL_TCP: u8 = 6;
pub(super) const PROTOCOL_UDP: u8 = 17;
pub(super) const PROTOCOL_GRE: u8 = 47;

/// Bytes of the two addresses of an Ethernet header.
pub(super) const MAC_ADDRESSES: usize = 12;
/// Bytes of an Ethernet header without tag.
pub(super) const ETHERNET_HEADER: usize = 14;

/// Which tunnels the parser looks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TunnelConfig {
    /// UDP port of VXLAN, when enabled.
    pub(super) vxlan: Option<u16>,
    /// UDP port of GENEVE, when Ethernet in GENEVE is enabled.
    pub(super) ethernet_geneve: Option<u16>,
    /// UDP port of GENEVE, when IP in GENEVE is enabled.
    pub(super) ip_geneve: Option<u16>,
    /// Ethernet in GRE.
    pub(super) ethernet_gre: bool,
    /// IP in GRE.
    pub(super) ip_gre: bool,
}

/// An Ethernet header with at most one 802.1Q tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ethernet {
    pub(super) offset: usize,
    /// Bytes including the tag.
    pub(super) length: usize,
    pub(super) vlan: Option<u16>,
    pub(super) ether_type: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IpVersion {
    V4,
    V6,
}

/// An IP header, extension headers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) version: IpVersion,
    pub(super) offset: usize,
    pub(super) length: usize,
    /// First byte behind the datagram; behind it is only padding.
    pub(super) end: usize,
    /// The upper-layer protocol.
    pub(super) protocol: u8,
    pub(super) fragment: bool,
    /// Options of IPv4.
    pub(super) options: bool,
    /// Extension headers of IPv6.
    pub(super) extensions: bool,
    pub(super) hop_limit: u8,
    /// The header contradicts itself or the frame; nothing behind it was parsed.
    pub(super) malformed: bool,
}

impl Network {
    /// Source and destination address, one after the other, in network order.
    pub(super) fn addresses<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let (start, length) = match self.version {
            IpVersion::V4 => (12, 8),
            IpVersion::V6 => (8, 32),
        };
        frame
            .get(self.offset + start..self.offset + start + length)
            .unwrap_or(&[])
    }

    fn checksum_good(&self, frame: &[u8]) -> bool {
        match self.version {
            IpVersion::V6 => true,
            IpVersion::V4 => frame
                .get(self.offset..self.offset + self.length)
                .is_some_and(|header| Sum::default().bytes(header).fold() == 0xffff),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransportKind {
    Tcp,
    Udp,
}

impl TransportKind {
    pub(super) const fn protocol(self) -> u8 {
        match self {
            Self::Tcp => PROTOCOL_TCP,
            Self::Udp => PROTOCOL_UDP,
        }
    }

    /// Offset of the checksum in the header.
    pub(super) const fn checksum_offset(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// A TCP or UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transport {
    pub(super) kind: TransportKind,
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
}

/// The headers of one level: the frame's own, or those inside a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layer {
    /// Absent in a tunnel that carries IP directly.
    pub(super) ethernet: Option<Ethernet>,
    pub(super) network: Option<Network>,
    pub(super) transport: Option<Transport>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TunnelKind {
    Vxlan,
    Geneve,
    Gre,
}

/// A tunnel header between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tunnel {
    pub(super) kind: TunnelKind,
    /// Tenant id: VNI of VXLAN and GENEVE, key of GRE.
    pub(super) tenant: Option<u32>,
    /// Offset of the tunnel's own header (behind UDP, or the GRE header).
    pub(super) offset: usize,
    /// Where the inner headers start.
    pub(super) inner: usize,
    /// What the tunnel carries.
    pub(super) next: TunnelNextProtocol,
}

/// What was recognised in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) outer: Layer,
    pub(super) tunnel: Option<Tunnel>,
    pub(super) inner: Option<Layer>,
}

/// What a verified transport checksum says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    NotCalculated,
    Good,
    Bad,
}

impl Parsed {
    /// Parses a frame, or returns `None` when it is shorter than an Ethernet header.
    pub(super) fn new(frame: &[u8], tunnels: &TunnelConfig) -> Option<Self> {
        Self::parse(frame, tunnels, Lengths::Checked)
    }

    /// Parses headers without payload, whose length fields are still to be filled in.
    pub(super) fn headers(headers: &[u8], tunnels: &TunnelConfig) -> Option<Self> {
        Self::parse(headers, tunnels, Lengths::Ignored)
    }

    fn parse(frame: &[u8], tunnels: &TunnelConfig, lengths: Lengths) -> Option<Self> {
        let outer = parse_ethernet(frame, 0, lengths)?;
        let tunnel = find_tunnel(frame, &outer, tunnels);
        let inner = tunnel
            .as_ref()
            .map(|tunnel| parse_inner(frame, tunnel, lengths));
        Some(Self {
            outer,
            tunnel,
            inner,
        })
    }

    /// The headers that RSS and checksum flags are about.
    pub(super) fn innermost(&self) -> &Layer {
        self.inner.as_ref().unwrap_or(&self.outer)
    }

    /// The tag of the frame itself.
    pub(super) fn vlan(&self) -> Option<u16> {
        self.outer.ethernet.and_then(|ethernet| ethernet.vlan)
    }

    /// Bytes of the frame's own Ethernet header.
    pub(super) fn l2_length(&self) -> usize {
        self.outer.ethernet.map_or(0, |ethernet| ethernet.length)
    }

    /// True when an IP header, outer or inner, has a TTL or hop limit of zero.
    pub(super) fn dead_hop_limit(&self) -> bool {
        [Some(&self.outer), self.inner.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|layer| layer.network)
            .any(|network| !network.malformed && network.hop_limit == 0)
    }

    /// The flag words of a completion, with all checksums verified.
    pub(super) fn flags(&self, frame: &[u8]) -> (ParsingAndErrorFlags, TunnelParsingFlags) {
        let layer = self.innermost();
        let mut flags = layer_flags(frame, layer);
        let mut tunnel_flags = TunnelParsingFlags::empty();
        if let Some(tunnel) = &self.tunnel {
            flags |= ParsingAndErrorFlags::TUNNELEXIST;
            if self.vlan().is_some() {
                flags |= ParsingAndErrorFlags::TUNNEL8021QTAGEXIST;
            }
            let outer = layer_flags(frame, &self.outer);
            for (of_outer, reported) in [
                (
                    ParsingAndErrorFlags::IPHDRERROR,
                    ParsingAndErrorFlags::TUNNELIPHDRERROR,
                ),
                (
                    ParsingAndErrorFlags::L4CHKSMWASCALCULATED,
                    ParsingAndErrorFlags::TUNNELL4CHKSMWASCALCULATED,
                ),
                (
                    ParsingAndErrorFlags::L4CHKSMERROR,
                    ParsingAndErrorFlags::TUNNELL4CHKSMERROR,
                ),
            ] {
                flags.set(reported, outer.contains(of_outer));
            }
            tunnel_flags = self.tunnel_flags(tunnel);
        }
        (flags, tunnel_flags)
    }

    fn tunnel_flags(&self, tunnel: &Tunnel) -> TunnelParsingFlags {
        let kind = match tunnel.kind {
            TunnelKind::Geneve => EthRxTunnType::TUNN_GENEVE,
            TunnelKind::Gre => EthRxTunnType::TUNN_GRE,
            TunnelKind::Vxlan => EthRxTunnType::TUNN_VXLAN,
        };
        let mut flags =
            TunnelParsingFlags::from_bits_retain(kind.value() | tunnel.next.value() << 3);
        flags.set(
            TunnelParsingFlags::TENNANT_ID_EXIST,
            tunnel.tenant.is_some(),
        );
        if let Some(network) = self
            .outer
            .network
            .filter(|network| network.version == IpVersion::V4)
        {
            flags.set(TunnelParsingFlags::IPV4_FRAGMENT, network.fragment);
            flags.set(TunnelParsingFlags::IPV4_OPTIONS, network.options);
        }
        flags
    }
}

fn layer_flags(frame: &[u8], layer: &Layer) -> ParsingAndErrorFlags {
    let mut flags = ParsingAndErrorFlags::empty();
    if layer
        .ethernet
        .is_some_and(|ethernet| ethernet.vlan.is_some())
    {
        flags |= ParsingAndErrorFlags::TAG8021QEXIST;
    }
    let Some(network) = layer.network else {
        return flags;
    };
    let l3 = match network.version {
        IpVersion::V4 => L3Type::IPV4,
        IpVersion::V6 => L3Type::IPV6,
    };
    flags |= ParsingAndErrorFlags::from_bits_retain(u16::from(l3.value()));
    if network.malformed || !network.checksum_good(frame) {
        flags |= ParsingAndErrorFlags::IPHDRERROR;
    }
    if network.version == IpVersion::V4 && network.fragment {
        flags |= ParsingAndErrorFlags::IPV4FRAG;
    }
    if let Some(transport) = layer.transport {
        let l4 = match transport.kind {
            TransportKind::Tcp => L4Protocol::TCP,
            TransportKind::Udp => L4Protocol::UDP,
        };
        flags |= ParsingAndErrorFlags::from_bits_retain(u16::from(l4.value()) << 2);
        match verify(frame, &network, &transport) {
            Verdict::NotCalculated => {}
            Verdict::Good => flags |= ParsingAndErrorFlags::L4CHKSMWASCALCULATED,
            Verdict::Bad => {
                flags |=
                    ParsingAndErrorFlags::L4CHKSMWASCALCULATED | ParsingAndErrorFlags::L4CHKSMERROR;
            }
        }
    }
    flags
}

fn verify(frame: &[u8], network: &Network, transport: &Transport) -> Verdict {
    let mut end = network.end;
    if transport.kind == TransportKind::Udp {
        if word(frame, transport.offset + 6) == Some(0) {
            return Verdict::NotCalculated;
        }
        let length = usize::from(word(frame, transport.offset + 4).unwrap_or(0));
        if length < 8 || transport.offset + length > end {
            return Verdict::Bad;
        }
        end = transport.offset + length;
    }
    let Some(segment) = frame.get(transport.offset..end) else {
        return Verdict::NotCalculated;
    };
    let pseudo = pseudo_header(
        network.addresses(frame),
        transport.kind.protocol(),
        segment.len() as u32,
    );
    if pseudo.bytes(segment).fold() == 0xffff {
        Verdict::Good
    } else {
        Verdict::Bad
    }
}

fn parse_inner(frame: &[u8], tunnel: &Tunnel, lengths: Lengths) -> Layer {
    let ether_type = match tunnel.next {
        TunnelNextProtocol::L2 => {
            return parse_ethernet(frame, tunnel.inner, lengths).unwrap_or_default();
        }
        TunnelNextProtocol::IPV4 => ETHER_TYPE_IPV4,
        TunnelNextProtocol::IPV6 => ETHER_TYPE_IPV6,
        _ => return Layer::default(),
    };
    let (network, transport) = parse_network(frame, tunnel.inner, ether_type, lengths);
    Layer {
        ethernet: None,
        network,
        transport,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: TunnelConfig = TunnelConfig {
        vxlan: Some(4789),
        ethernet_geneve: Some(6081),
        ip_geneve: Some(6081),
        ethernet_gre: true,
        ip_gre: true,
    };

    fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        frame.extend_from_slice(&ether_type.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let total = (20 + payload.len()) as u16;
        let [high, low] = total.to_be_bytes();
        let mut packet = vec![
            0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        packet.extend_from_slice(payload);
        packet
    }

    fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
        let [high, low] = (payload.len() as u16).to_be_bytes();
        let mut packet = vec![0x60, 0, 0, 0, high, low, next, 64];
        packet.extend_from_slice(&[0x20; 32]);
        packet.extend_from_slice(payload);
        packet
    }

    fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
        let [a, b] = port.to_be_bytes();
        let [c, d] = (8 + payload.len() as u16).to_be_bytes();
        let mut datagram = vec![0, 9, a, b, c, d, 0, 0];
        datagram.extend_from_slice(payload);
        datagram
    }

    fn tunnel_of(frame: &[u8]) -> Option<(TunnelKind, Option<u32>, u8)> {
        let tunnel = Parsed::new(frame, &ALL)?.tunnel?;
        Some((tunnel.kind, tunnel.tenant, tunnel.next.value()))
    }

    #[test]
    fn geneve_with_options() {
        let inner = ethernet(0x0800, &ipv4(17, &udp(5, &[1, 2])));
        let mut payload = vec![2, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 1, 1, 1, 2, 2, 2, 2];
        payload.extend_from_slice(&inner);
        let frame = ethernet(0x0800, &ipv4(17, &udp(6081, &payload)));
        assert_eq!(tunnel_of(&frame), Some((TunnelKind::Geneve, Some(42), 1)));
        let parsed = Parsed::new(&frame, &ALL).unwrap();
        assert_eq!(parsed.innermost().transport.unwrap().destination_port, 5);
        let none = Parsed::new(&frame, &TunnelConfig::default()).unwrap();
        assert!(
            none.tunnel.is_none() && none.innermost().transport.unwrap().destination_port == 6081
        );
        payload[0] = 63;
        let overlong = ethernet(0x0800, &ipv4(17, &udp(6081, &payload)));
        assert_eq!(tunnel_of(&overlong), None);
    }

    #[test]
    fn gre_with_key() {
        let mut payload = vec![0x20, 0, 0x08, 0x00, 0, 0, 1, 0];
        payload.extend_from_slice(&ipv4(17, &udp(5, &[])));
        let frame = ethernet(0x86dd, &ipv6(47, &payload));
        assert_eq!(tunnel_of(&frame), Some((TunnelKind::Gre, Some(256), 2)));
        payload[1] = 1;
        assert_eq!(
            tunnel_of(&ethernet(0x86dd, &ipv6(47, &payload))),
            None,
            "version 1"
        );
    }

    #[test]
    fn extension_headers() {
        let mut options = vec![17, 0, 1, 4, 0, 0, 0, 0];
        options.extend_from_slice(&udp(7, &[]));
        let parsed = Parsed::new(&ethernet(0x86dd, &ipv6(60, &options)), &ALL).unwrap();
        assert_eq!(parsed.outer.transport.unwrap().destination_port, 7);
        let mut fragment = vec![17, 0, 0, 1, 0, 0, 0, 0];
        fragment.extend_from_slice(&udp(7, &[]));
        let parsed = Parsed::new(&ethernet(0x86dd, &ipv6(44, &fragment)), &ALL).unwrap();
        assert!(parsed.outer.transport.is_none() && parsed.outer.network.unwrap().fragment);
        let parsed = Parsed::new(&ethernet(0x86dd, &ipv6(60, &options[..6])), &ALL).unwrap();
        assert!(parsed.outer.network.unwrap().malformed);
        let endless = [[0u8, 0, 1, 4, 0, 0, 0, 0]; 20].concat();
        let parsed = Parsed::new(&ethernet(0x86dd, &ipv6(0, &endless)), &ALL).unwrap();
        assert!(parsed.outer.transport.is_none());
    }

    #[test]
    fn every_truncation_parses() {
        let inner = ethernet(
            0x86dd,
            &ipv6(
                60,
                &[&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp(7, &[1; 9])].concat(),
            ),
        );
        let mut payload = vec![1, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 1, 1, 1];
        payload.extend_from_slice(&inner);
        let frame = ethernet(0x0800, &ipv4(17, &udp(6081, &payload)));
        for length in 0..=frame.len() {
            let parsed = Parsed::new(&frame[..length], &ALL);
            assert_eq!(parsed.is_some(), length >= 14);
            if let Some(parsed) = parsed {
                parsed.flags(&frame[..length]);
            }
            Parsed::headers(&frame[..length], &ALL);
        }
    }
}
