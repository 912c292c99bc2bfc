//! Transmit offloads on one frame: checksums and tags.

use super::checksum::{Sum, fill, pseudo_header};
use super::explicit::{ExplicitTransport, PseudoHeader};
use super::parse::{
    IpVersion, Layer, MAC_ADDRESSES, Network, Parsed, TransportKind, Tunnel, TunnelConfig,
    TunnelKind,
};

/// The checksums that the descriptors ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offloads {
    pub(super) ip: bool,
    pub(super) transport: bool,
    pub(super) tunnel: bool,
    pub(super) tunnel_ip: bool,
    pub(super) tunnel_transport: bool,
    /// Where the transport header is behind extension headers, behind which the device does not look by itself.
    pub(super) explicit: Option<ExplicitTransport>,
}

/// Puts a tag behind the source address.
pub(super) fn insert_tag(frame: &mut Vec<u8>, ether_type: u16, tci: u16) {
    let [a, b] = ether_type.to_be_bytes();
    let [c, d] = tci.to_be_bytes();
    let at = MAC_ADDRESSES.min(frame.len());
    frame.splice(at..at, [a, b, c, d]);
}

/// Fills in the checksums that were asked for; inner before outer, since the outer ones cover the inner.
pub(super) fn insert_checksums(frame: &mut [u8], offloads: &Offloads, tunnels: &TunnelConfig) {
    let Some(parsed) = Parsed::new(frame, tunnels) else {
        return;
    };
    let innermost = *parsed.innermost();
    if offloads.ip {
        fill_ip(frame, &innermost);
    }
    if offloads.transport {
        match offloads.explicit {
            Some(explicit) => {
                let base = parsed.tunnel.map_or(0, |tunnel| tunnel.inner);
                fill_explicit(frame, &innermost, &explicit, base);
            }
            None if has_extensions(&innermost) => {}
            None => fill_transport(frame, &innermost),
        }
    }
    let Some(tunnel) = parsed.tunnel else { return };
    if offloads.tunnel_transport {
        match tunnel.kind {
            TunnelKind::Gre => fill_gre(frame, &parsed.outer, &tunnel),
            TunnelKind::Vxlan | TunnelKind::Geneve => fill_transport(frame, &parsed.outer),
        }
    }
    if offloads.tunnel_ip {
        fill_ip(frame, &parsed.outer);
    }
}

fn has_extensions(layer: &Layer) -> bool {
    layer.network.is_some_and(|network| network.extensions)
}

fn fill_ip(frame: &mut [u8], layer: &Layer) {
    let Some(network) = layer
        .network
        .filter(|network| network.version == IpVersion::V4)
    else {
        return;
    };
    if let Some(header) = frame.get_mut(network.offset..network.offset + network.length) {
        fill(header, 10, Sum::default());
    }
}

fn fill_transport(frame: &mut [u8], layer: &Layer) {
    let (Some(network), Some(transport)) = (layer.network, layer.transport) else {
        return;
    };
    let end = transport_end(frame, &network, transport.kind, transport.offset);
    let length = end.saturating_sub(transport.offset) as u32;
    let pseudo = pseudo_header(network.addresses(frame), transport.kind.protocol(), length);
    fill_segment(frame, transport.offset..end, transport.kind, pseudo);
}

fn fill_explicit(frame: &mut [u8], layer: &Layer, explicit: &ExplicitTransport, base: usize) {
    let kind = if explicit.udp {
        TransportKind::Udp
    } else {
        TransportKind::Tcp
    };
    let offset = base + explicit.offset;
    let end = layer.network.map_or(frame.len(), |network| network.end);
    let at = offset + kind.checksum_offset();
    let Some(partial) = frame.get(at..at + 2) else {
        return;
    };
    let length = end.saturating_sub(offset) as u32;
    let start = match (explicit.pseudo, layer.network) {
        (PseudoHeader::Given, _) => Sum::default().bytes(partial),
        (PseudoHeader::GivenWithoutLength, _) => Sum::default().bytes(partial).dword(length),
        (PseudoHeader::Computed, Some(network)) => {
            pseudo_header(network.addresses(frame), kind.protocol(), length)
        }
        (PseudoHeader::Computed, None) => return,
    };
    fill_segment(frame, offset..end, kind, start);
}

fn transport_end(frame: &[u8], network: &Network, kind: TransportKind, offset: usize) -> usize {
    match (kind, frame.get(offset + 4..offset + 6)) {
        (TransportKind::Udp, Some(length)) => {
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            if length < 8 {
                network.end
            } else {
                network.end.min(offset + length)
            }
        }
        _ => network.end,
    }
}

fn fill_segment(frame: &mut [u8], range: core::ops::Range<usize>, kind: TransportKind, start: Sum) {
    let at = kind.checksum_offset();
    let Some(segment) = frame.get_mut(range) else {
        return;
    };
    if fill(segment, at, start) == Some(0) && kind == TransportKind::Udp {
        if let Some(field) = segment.get_mut(at..at + 2) {
            field.fill(0xff);
        }
    }
}

fn fill_gre(frame: &mut [u8], outer: &Layer, tunnel: &Tunnel) {
    let Some(network) = outer.network else { return };
    if frame
        .get(tunnel.offset)
        .is_some_and(|flags| flags & 0x80 != 0)
    {
        if let Some(bytes) = frame.get_mut(tunnel.offset..network.end) {
            fill(bytes, 4, Sum::default());
        }
    }
}
