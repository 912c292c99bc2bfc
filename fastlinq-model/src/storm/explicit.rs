//! A transport header that the descriptors point at, and what they say that the packet contradicts.
//!
//! The packet builder cannot look behind IPv6 extension headers. There it believes the second and the third descriptor, right
//! or wrong; a contradiction is carried out as told, and is a broken rule that a card could not report.

use fastlinq_pac::hsi::{EthTx2ndBd, EthTx3rdBd, eth_tx_data_2nd_bd, eth_tx_data_3rd_bd};

use super::offload::Offloads;
use super::parse::{IpVersion, Parsed, TransportKind, TunnelKind};

/// Most bytes from the outer UDP header of GENEVE to the inner headers, for the packet builder to find these.
const GENEVE_HEADER_BYTES: usize = 48;
/// Last byte at which an inner IP header may start in a tunnel that is segmented.
const LSO_INNER_IPV4: usize = 253;
const LSO_INNER_IPV6: usize = 251;

/// Where the sum over the pseudo header comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PseudoHeader {
    /// The driver left it in the checksum field.
    Given,
    /// As [`PseudoHeader::Given`], with a length of zero.
    GivenWithoutLength,
    /// From the addresses of the packet: a segment's length is not the packet's.
    Computed,
}

/// A transport header that the descriptors point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExplicitTransport {
    /// From the start of the packet, or of the inner headers.
    pub(super) offset: usize,
    /// Bytes of the TCP header, for segmentation.
    pub(super) tcp_bytes: usize,
    pub(super) udp: bool,
    pub(super) pseudo: PseudoHeader,
}

impl ExplicitTransport {
    /// What the descriptors say; nothing unless they announce extension headers.
    pub(super) fn decode(second: &EthTx2ndBd, third: Option<&EthTx3rdBd>) -> Option<Self> {
        let bits = second.data.bitfields1.get();
        if bits!(bits, eth_tx_data_2nd_bd::IPV6_EXT) == 0 {
            return None;
        }
        let words = bits!(
            second.data.bitfields2.get(),
            eth_tx_data_2nd_bd::L4_HDR_START_OFFSET_W
        );
        let tcp_dwords = third.map_or(0, |bd| {
            bits!(bd.data.bitfields.get(), eth_tx_data_3rd_bd::TCP_HDR_LEN_DW)
        });
        Some(Self {
            offset: usize::from(words) * 2,
            tcp_bytes: usize::from(tcp_dwords) * 4,
            udp: bits!(bits, eth_tx_data_2nd_bd::L4_UDP) != 0,
            pseudo: match bits!(bits, eth_tx_data_2nd_bd::L4_PSEUDO_CSUM_MODE) {
                0 => PseudoHeader::Given,
                _ => PseudoHeader::GivenWithoutLength,
            },
        })
    }
}

/// The rules that the descriptors break, held against the headers of the packet.
///
/// Where the parser sees no transport header itself (behind IPv6 in IPv6, say), nothing is held against the descriptors.
pub(super) fn broken_rules(
    parsed: &Parsed,
    offloads: &Offloads,
    lso: bool,
) -> impl Iterator<Item = &'static str> {
    let layer = parsed.innermost();
    let found = layer.transport;
    let told = offloads.explicit;
    let base = parsed.tunnel.map_or(0, |tunnel| tunnel.inner);
    let both = told.zip(found);
    let extended = layer.network.is_some_and(|network| network.extensions);
    let rule = |broken: bool, why| broken.then_some(why);
    let offset = both.is_some_and(|(told, found)| base + told.offset != found.offset);
    let protocol = both.is_some_and(|(told, found)| told.udp != (found.kind == TransportKind::Udp));
    let length = both.is_some_and(|(told, found)| lso && told.tcp_bytes != found.length);
    let udp = lso && found.is_none() && told.is_some_and(|told| told.udp);
    let unannounced = lso && extended && told.is_none();
    let geneve = parsed
        .tunnel
        .zip(parsed.outer.transport)
        .is_some_and(|(tunnel, outer)| {
            tunnel.kind == TunnelKind::Geneve && tunnel.inner - outer.offset > GENEVE_HEADER_BYTES
        });
    let deep = lso
        && parsed.tunnel.is_some()
        && layer.network.is_some_and(|network| match network.version {
            IpVersion::V4 => network.offset > LSO_INNER_IPV4,
            IpVersion::V6 => network.offset > LSO_INNER_IPV6,
        });
    [
        rule(
            offset,
            "L4 header offset in the second Tx BD is not where the packet's TCP or UDP header starts",
        ),
        rule(
            protocol || udp,
            "L4_UDP in the second Tx BD contradicts the packet",
        ),
        rule(
            length,
            "TCP header length in the third Tx BD is not that of the packet's TCP header",
        ),
        rule(
            unannounced,
            "LSO behind IPv6 extension headers that the second Tx BD does not announce",
        ),
        rule(
            geneve,
            "Tx offload in a GENEVE tunnel with a header of more than 48 bytes",
        ),
        rule(
            deep,
            "LSO in a tunnel whose inner IP header starts too far behind",
        ),
    ]
    .into_iter()
    .flatten()
}
