//! Work that the device does on frames to send: checksums, tags, segmentation, tunnels.

use fastlinq_pac::hsi::flags::FirstBdFlags;

use crate::rule::TxRule;

/// Which checksums the device fills in: of the only headers, or of the inner ones in a tunnel.
///
/// The device parses Ethernet, 802.1Q, IPv4, IPv6 without extension headers, TCP and UDP by itself. The checksum fields may
/// hold anything; behind [`Ipv6Extensions`] it is otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Checksums {
    /// That of the IPv4 header.
    Ip,
    /// That of TCP or UDP.
    Transport,
    /// Both.
    IpAndTransport,
}

/// IPv6 extension headers, behind which the device cannot look by itself.
///
/// It makes no pseudo header there either. The transport checksum field of the frame must hold the pseudo header's sum, from
/// the addresses, the protocol and the length of transport header and payload: folded to 16 bits, not complemented.
/// (L4_PSEUDO_CSUM_MODE 0, "with length"; known by source reading.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ipv6Extensions {
    transport_words: u16,
    tcp_dwords: Option<u8>,
}

impl Ipv6Extensions {
    /// The TCP header is at byte `offset` of the frame and takes `header_bytes`.
    ///
    /// # Errors
    ///
    /// [`TxRule::ExtensionHeaders`] when the offset is odd, below 62 (Ethernet, IPv6, one extension) or above 510, or when
    /// the header is not 20 to 60 bytes in steps of 4.
    pub const fn before_tcp(offset: u16, header_bytes: u8) -> Result<Self, TxRule> {
        if header_bytes < 20 || header_bytes > 60 || header_bytes % 4 != 0 {
            return Err(TxRule::ExtensionHeaders);
        }
        match Self::before_udp(offset) {
            Ok(extensions) => Ok(Self {
                tcp_dwords: Some(header_bytes / 4),
                ..extensions
            }),
            error => error,
        }
    }

    /// The UDP header is at byte `offset` of the frame.
    ///
    /// # Errors
    ///
    /// [`TxRule::ExtensionHeaders`] when the offset is odd, below 62 or above 510.
    pub const fn before_udp(offset: u16) -> Result<Self, TxRule> {
        if offset % 2 != 0 || offset < 62 || offset > MAX_SEGMENT_HEADER_BYTES {
            return Err(TxRule::ExtensionHeaders);
        }
        Ok(Self {
            transport_words: offset / 2,
            tcp_dwords: None,
        })
    }
}

/// Most bytes of headers in front of a payload that the device cuts into segments.
pub const MAX_SEGMENT_HEADER_BYTES: u16 = 510;
/// Most bytes of TCP payload in a segment.
pub const MAX_SEGMENT_PAYLOAD: u16 = 9672;

/// TCP segmentation (TSO): the device sends the payload as many segments, and gives each its own headers with lengths, IPv4
/// identification, sequence number, flags and checksums of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Segmentation {
    header_bytes: u16,
    payload: u16,
}

impl Segmentation {
    /// The first `header_bytes` of the frame are headers, up to the end of TCP's (the inner one's in a tunnel); what
    /// follows is sent `payload` bytes at a time.
    ///
    /// # Errors
    ///
    /// [`TxRule::SegmentHeaders`] unless the headers are 54 to [`MAX_SEGMENT_HEADER_BYTES`] bytes;
    /// [`TxRule::SegmentPayload`] unless the payload is 1 to [`MAX_SEGMENT_PAYLOAD`].
    pub const fn new(header_bytes: u16, payload: u16) -> Result<Self, TxRule> {
        if header_bytes < 54 || header_bytes > MAX_SEGMENT_HEADER_BYTES {
            return Err(TxRule::SegmentHeaders);
        }
        if payload == 0 || payload > MAX_SEGMENT_PAYLOAD {
            return Err(TxRule::SegmentPayload);
        }
        Ok(Self {
            header_bytes,
            payload,
        })
    }
}

/// Most bytes of a tunnel's own headers with which the device can do work on what is inside: UDP, GENEVE and 32 bytes of
/// options.
pub const MAX_TUNNEL_HEADER_BYTES: u16 = 48;

/// A tunnel that the frame is in already; the device finds it by the ports that it was told of.
///
/// [`Checksums`] and [`Segmentation`] then mean the inner headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tunnel {
    /// Byte of the frame at which the inner IP header starts. With segmentation at most 253 (IPv4) or 251 (IPv6); the
    /// smaller bound is checked.
    pub inner_ip_offset: u16,
    /// Bytes of the tunnel's own headers: from the outer UDP or GRE header, this one included, to the inner Ethernet header,
    /// or to the inner IP header where there is none. 16 for VXLAN, 16 and the options for GENEVE, 4 to 16 for GRE; at most
    /// [`MAX_TUNNEL_HEADER_BYTES`].
    pub header_bytes: u16,
    /// Fill in the checksum of the outer IPv4 header.
    pub outer_ip_checksum: bool,
    /// Fill in the outer checksum of UDP, or of GRE, in which it then must be present.
    pub outer_transport_checksum: bool,
}

/// What the device is to do to a frame.
///
/// Built from parts that fit each other; what the chip has no way to do cannot be written down or is refused by name.
///
/// | part | descriptor bits |
/// |---|---|
/// | [`Checksums`] | IP_CSUM, L4_CSUM of the first |
/// | [`Ipv6Extensions`] | L4_CSUM; IPV6_EXT, L4_UDP and the offset in the second; TCP header length in the third |
/// | [`Segmentation`] | LSO, IP_CSUM, L4_CSUM; segment size and number of header descriptors in the third |
/// | [`Tunnel`] | TUNN_FLAG, TUNN_IP_CSUM, TUNN_L4_CSUM |
/// | VLAN tag | VLAN_INSERTION and the tag |
///
/// Known by: source reading; the model.
///
/// # Examples
///
/// ```
/// use fastlinq_net::{Checksums, Ipv6Extensions, Offload, Segmentation, Tunnel, TxRule};
///
/// // A UDP datagram whose checksums the device computes, in VLAN 7.
/// let udp = Offload::checksums(Checksums::IpAndTransport).with_vlan(7);
/// assert_ne!(udp, Offload::NONE);
///
/// // 54 bytes of headers, then a payload that goes out in segments of 1,460 bytes.
/// let _ = Offload::segmentation(Segmentation::new(54, 1460)?);
///
/// // No part of a card can do this.
/// let tunnel = Tunnel {
///     inner_ip_offset: 64,
///     header_bytes: 16,
///     outer_ip_checksum: true,
///     outer_transport_checksum: false,
/// };
/// let extensions = Ipv6Extensions::before_udp(62)?;
/// let both = Offload::behind_extensions(extensions).in_tunnel(tunnel);
/// assert_eq!(both, Err(TxRule::ExtensionsInTunnel));
/// assert_eq!(Segmentation::new(600, 1460), Err(TxRule::SegmentHeaders));
/// # Ok::<(), TxRule>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Offload {
    /// VLAN tag (15:0), flags of the first descriptor (23:16), TUNN_FLAG (24).
    first: u32,
    /// The two bit fields of the second descriptor.
    second: u32,
    /// Payload of a segment.
    payload: u16,
    /// Bytes of headers; 0 without segmentation.
    header_bytes: u16,
    /// Bit field of the third descriptor.
    third: u8,
    /// Fewest descriptors.
    descriptors: u8,
}

const TUNNEL: u32 = 1 << 24;
const IPV6_EXTENSIONS: u32 = 1 << 12;
const UDP: u32 = 1 << 14;

impl Offload {
    /// Nothing: the frame is sent as it is.
    pub const NONE: Self = Self {
        first: 0,
        second: 0,
        payload: 0,
        header_bytes: 0,
        third: 0,
        descriptors: 1,
    };

    const fn flag(self, flag: FirstBdFlags) -> Self {
        Self {
            first: self.first | (flag.bits() as u32) << 16,
            ..self
        }
    }

    /// Fills in checksums.
    #[must_use]
    pub const fn checksums(checksums: Checksums) -> Self {
        use FirstBdFlags as Flag;
        match checksums {
            Checksums::Ip => Self::NONE.flag(Flag::IP_CSUM),
            Checksums::Transport => Self::NONE.flag(Flag::L4_CSUM),
            Checksums::IpAndTransport => Self::NONE.flag(Flag::IP_CSUM).flag(Flag::L4_CSUM),
        }
    }

    /// Fills in the transport checksum behind IPv6 extension headers.
    #[must_use]
    pub const fn behind_extensions(extensions: Ipv6Extensions) -> Self {
        Self::NONE.flag(FirstBdFlags::L4_CSUM).extended(extensions)
    }

    /// Cuts the payload into TCP segments, with all checksums.
    #[must_use]
    pub const fn segmentation(segmentation: Segmentation) -> Self {
        use FirstBdFlags as Flag;
        Self {
            header_bytes: segmentation.header_bytes,
            payload: segmentation.payload,
            descriptors: 3,
            ..Self::NONE
        }
        .flag(Flag::LSO)
        .flag(Flag::IP_CSUM)
        .flag(Flag::L4_CSUM)
    }

    /// Cuts the payload behind IPv6 extension headers into TCP segments.
    ///
    /// # Errors
    ///
    /// [`TxRule::ExtensionHeaders`] when the extensions are in front of UDP, or TCP's header does not end where the headers
    /// end.
    pub const fn segmentation_behind_extensions(
        segmentation: Segmentation,
        extensions: Ipv6Extensions,
    ) -> Result<Self, TxRule> {
        let Some(dwords) = extensions.tcp_dwords else {
            return Err(TxRule::ExtensionHeaders);
        };
        let end = 2 * extensions.transport_words + 4 * dwords as u16;
        if end != segmentation.header_bytes {
            return Err(TxRule::ExtensionHeaders);
        }
        Ok(Self::segmentation(segmentation).extended(extensions))
    }

    const fn extended(self, extensions: Ipv6Extensions) -> Self {
        let (kind, dwords) = match extensions.tcp_dwords {
            Some(dwords) => (0, dwords),
            None => (UDP, 0),
        };
        Self {
            second: IPV6_EXTENSIONS | kind | (extensions.transport_words as u32) << 16,
            third: dwords,
            descriptors: 3,
            ..self
        }
    }

    /// Also inserts a VLAN tag behind the source address, in a tunnel the outer one.
    #[must_use]
    pub const fn with_vlan(self, tag_control_information: u16) -> Self {
        Self {
            first: self.first & !0xffff | tag_control_information as u32,
            ..self
        }
        .flag(FirstBdFlags::VLAN_INSERTION)
    }

    /// Says that the frame is in a tunnel.
    ///
    /// # Errors
    ///
    /// [`TxRule::ExtensionsInTunnel`] together with IPv6 extension headers; [`TxRule::TunnelHeaders`] when segmentation is
    /// asked for and the inner IP header is behind byte 251 or not inside the headers; [`TxRule::TunnelHeaderBytes`] when
    /// the tunnel's own headers have more than [`MAX_TUNNEL_HEADER_BYTES`].
    pub const fn in_tunnel(self, tunnel: Tunnel) -> Result<Self, TxRule> {
        use FirstBdFlags as Flag;
        if self.second != 0 {
            return Err(TxRule::ExtensionsInTunnel);
        }
        if tunnel.header_bytes > MAX_TUNNEL_HEADER_BYTES {
            return Err(TxRule::TunnelHeaderBytes);
        }
        let behind =
            tunnel.inner_ip_offset > 251 || tunnel.inner_ip_offset + 40 > self.header_bytes;
        if self.is_segmentation() && behind {
            return Err(TxRule::TunnelHeaders);
        }
        let mut offload = Self {
            first: self.first | TUNNEL,
            ..self
        };
        if tunnel.outer_ip_checksum {
            offload = offload.flag(Flag::TUNN_IP_CSUM);
        }
        if tunnel.outer_transport_checksum {
            offload = offload.flag(Flag::TUNN_L4_CSUM);
        }
        Ok(offload)
    }

    /// Whether frames are cut into segments.
    pub const fn is_segmentation(&self) -> bool {
        self.header_bytes != 0
    }

    /// Whether one descriptor is enough to ask for it.
    #[inline]
    pub(crate) const fn is_simple(&self) -> bool {
        self.descriptors == 1
    }

    /// Fewest descriptors of a frame with it.
    pub(crate) const fn descriptors(&self) -> u8 {
        self.descriptors
    }

    /// Bytes of headers that have descriptors of their own; 0 without segmentation.
    pub(crate) const fn header_bytes(&self) -> u16 {
        self.header_bytes
    }

    /// Bytes of payload in a segment.
    pub(crate) const fn payload(&self) -> u16 {
        self.payload
    }

    /// Dwords 2 and 3 of a frame's first descriptor, given its bytes, the frame's descriptors and the frame's bytes.
    #[inline]
    pub(crate) const fn first_words(&self, bytes: u16, count: u8, total: u32) -> [u32; 2] {
        let start = (FirstBdFlags::START_BD.bits() as u32) << 8;
        let total = if self.header_bytes == 0 { total } else { 0 };
        let tag = self.first << 16;
        let flags = self.first >> 16 << 8;
        [
            bytes as u32 | tag,
            count as u32 | start | flags | total << 18,
        ]
    }

    /// Dwords 2 and 3 of a frame's descriptor `position`, counted from 0, that is not the first, given its bytes and the
    /// number of descriptors that the headers take.
    pub(crate) const fn later_words(&self, position: usize, bytes: u16, headers: u8) -> [u32; 2] {
        let bytes = bytes as u32;
        match position {
            1 => [bytes, self.second],
            2 => {
                let field = self.third as u32 | (headers as u32) << 4;
                [bytes | (self.payload as u32) << 16, field]
            }
            _ => [bytes, 0],
        }
    }
}

impl Default for Offload {
    fn default() -> Self {
        Self::NONE
    }
}
