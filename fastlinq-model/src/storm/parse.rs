//! The parser: what the adapter recognises in a frame, and the parsing flags it reports.

use fastlinq_pac::hsi::flags::{ParsingAndErrorFlags, TunnelParsingFlags};
use fastlinq_pac::hsi::{EthRxTunnType, L3Type, L4Protocol, TunnelNextProtocol};

use super::checksum::{Sum, pseudo_header};

pub(super) const ETHER_TYPE_IPV4: u16 = 0x0800;
pub(super) const ETHER_TYPE_IPV6: u16 = 0x86dd;
pub(super) const ETHER_TYPE_VLAN: u16 = 0x8100;
const ETHER_TYPE_TRANSPARENT_BRIDGING: u16 = 0x6558;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_GRE: u8 = 47;
const IPV6_EXTENSION_LIMIT: usize = 8;

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

/// Whether the length fields of IP headers are held against the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    Checked,
    /// The frame is only headers: lengths are not right yet, everything to its end belongs to the datagram.
    Ignored,
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
    next: TunnelNextProtocol,
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

fn word(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(
        frame.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn dword(frame: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(
        frame.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn parse_ethernet(frame: &[u8], offset: usize, lengths: Lengths) -> Option<Layer> {
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

fn parse_network(
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

fn find_tunnel(frame: &[u8], outer: &Layer, config: &TunnelConfig) -> Option<Tunnel> {
    let network = outer
        .network
        .filter(|network| !network.malformed && !network.fragment)?;
    if network.protocol == PROTOCOL_GRE {
        return parse_gre(frame, network.offset + network.length, network.end, config);
    }
    let transport = outer
        .transport
        .filter(|transport| transport.kind == TransportKind::Udp)?;
    let offset = transport.offset + transport.length;
    if offset + 8 > network.end {
        return None;
    }
    let port = Some(transport.destination_port);
    if config.vxlan == port {
        let flags = *frame.get(offset)?;
        let tenant = (flags & 0x08 != 0).then_some(dword(frame, offset + 4)? >> 8);
        return Some(Tunnel {
            kind: TunnelKind::Vxlan,
            tenant,
            offset,
            inner: offset + 8,
            next: TunnelNextProtocol::L2,
        });
    }
    if config.ethernet_geneve == port || config.ip_geneve == port {
        return parse_geneve(
            frame,
            offset,
            network.end,
            config,
            transport.destination_port,
        );
    }
    None
}

fn parse_geneve(
    frame: &[u8],
    offset: usize,
    end: usize,
    config: &TunnelConfig,
    port: u16,
) -> Option<Tunnel> {
    let first = *frame.get(offset)?;
    let inner = offset + 8 + usize::from(first & 0x3f) * 4;
    let next = match word(frame, offset + 2)? {
        ETHER_TYPE_TRANSPARENT_BRIDGING if config.ethernet_geneve == Some(port) => {
            TunnelNextProtocol::L2
        }
        ETHER_TYPE_IPV4 if config.ip_geneve == Some(port) => TunnelNextProtocol::IPV4,
        ETHER_TYPE_IPV6 if config.ip_geneve == Some(port) => TunnelNextProtocol::IPV6,
        _ => return None,
    };
    if first >> 6 != 0 || inner > end {
        return None;
    }
    let tenant = Some(dword(frame, offset + 4)? >> 8);
    Some(Tunnel {
        kind: TunnelKind::Geneve,
        tenant,
        offset,
        inner,
        next,
    })
}

fn parse_gre(frame: &[u8], offset: usize, end: usize, config: &TunnelConfig) -> Option<Tunnel> {
    let flags = word(frame, offset)?;
    let next = match word(frame, offset + 2)? {
        ETHER_TYPE_TRANSPARENT_BRIDGING if config.ethernet_gre => TunnelNextProtocol::L2,
        ETHER_TYPE_IPV4 if config.ip_gre => TunnelNextProtocol::IPV4,
        ETHER_TYPE_IPV6 if config.ip_gre => TunnelNextProtocol::IPV6,
        _ => return None,
    };
    // Version 0, no routing.
    if flags & 0x4007 != 0 {
        return None;
    }
    let mut inner = offset + 4;
    if flags & 0x8000 != 0 {
        inner += 4;
    }
    let mut tenant = None;
    if flags & 0x2000 != 0 {
        tenant = Some(dword(frame, inner)?);
        inner += 4;
    }
    if flags & 0x1000 != 0 {
        inner += 4;
    }
    (inner <= end).then_some(Tunnel {
        kind: TunnelKind::Gre,
        tenant,
        offset,
        inner,
        next,
    })
}
