//! The parser of tunnel headers: VXLAN, GENEVE, GRE.

use fastlinq_pac::hsi::TunnelNextProtocol;

use super::headers::{dword, word};
use super::parse::{
    ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, Layer, PROTOCOL_GRE, TransportKind, Tunnel, TunnelConfig,
    TunnelKind,
};

const ETHER_TYPE_TRANSPARENT_BRIDGING: u16 = 0x6558;

pub(super) fn find_tunnel(frame: &[u8], outer: &Layer, config: &TunnelConfig) -> Option<Tunnel> {
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
