//! The rules of the chip for frames to send, checked before a frame reaches the ring.

use core::fmt;

/// Most pieces of a frame that is sent as it is.
pub const MAX_TX_SEGMENTS: usize = 18;
/// Most descriptors of a frame that the device cuts into segments.
pub const MAX_SEGMENTED_DESCRIPTORS: usize = 255;
/// Most bytes of payload of a frame that the device cuts into segments.
pub const MAX_SEGMENTED_BYTES: u32 = 0xf_e000;
/// Fewest bytes of a frame.
pub const MIN_TX_BYTES: u16 = 14;
/// Frames are filled up to this with zeros.
pub(crate) const PADDED_BYTES: u16 = 60;
/// Most bytes of a frame.
pub const MAX_TX_BYTES: u16 = 9672;

/// A rule that a frame to send breaks. The chip would answer most of them by stopping the queue or the whole function.
///
/// Known by: source reading and the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TxRule {
    /// A frame has at least one piece.
    NoSegments,
    /// A frame has at most [`MAX_TX_SEGMENTS`] pieces.
    TooManySegments,
    /// A piece has at least one byte.
    EmptySegment,
    /// A frame has at least [`MIN_TX_BYTES`] bytes.
    TooShort,
    /// A frame has at most [`MAX_TX_BYTES`] bytes.
    TooLong,
    /// A frame carries at most the MTU behind its Ethernet header and VLAN tags.
    AboveMtu,
    /// IPv6 extension headers end at an even byte from 62 to 510, where a header of TCP or UDP starts.
    ExtensionHeaders,
    /// The chip has no way to look behind IPv6 extension headers inside a tunnel.
    ExtensionsInTunnel,
    /// In a tunnel, the inner IP header of frames to be segmented starts at byte 251 or before, inside the headers.
    TunnelHeaders,
    /// A tunnel's own headers, UDP's or GRE's included, have at most 48 bytes, which leaves 32 for the options of GENEVE.
    TunnelHeaderBytes,
    /// Headers of frames to be segmented have 54 to 510 bytes, in at most 4 pieces.
    SegmentHeaders,
    /// Segments carry 1 to 9,672 bytes, and fit into the MTU with their headers.
    SegmentPayload,
    /// There is something to segment behind the headers, at most 1,040,384 bytes.
    SegmentedBytes,
    /// Any 17 descriptors in a row that do not end a frame to be segmented, those of its headers included, have at least
    /// 9,700 bytes of payload, so that the chip finds a whole segment in them.
    SegmentWindow,
    /// A piece lies inside its buffer.
    OutsideBuffer,
    /// A buffer belongs to the program when it is sent; this one was sent, released or lent before, or is of another
    /// queue pair.
    NotOwned,
}

impl TxRule {
    /// The number that the storm firmware has for the same rule; `None` for rules that only this crate has.
    pub const fn firmware_error(self) -> Option<u8> {
        match self {
            Self::TooShort => Some(4),
            Self::AboveMtu => Some(6),
            Self::NoSegments | Self::TooManySegments => Some(9),
            Self::EmptySegment => Some(14),
            Self::SegmentPayload => Some(13),
            Self::SegmentHeaders => Some(15),
            Self::SegmentedBytes => Some(16),
            Self::ExtensionsInTunnel => Some(18),
            Self::TooLong => Some(21),
            Self::ExtensionHeaders | Self::SegmentWindow => None,
            Self::TunnelHeaders | Self::TunnelHeaderBytes => None,
            Self::OutsideBuffer | Self::NotOwned => None,
        }
    }
}

impl fmt::Display for TxRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSegments => "a frame to send has no pieces",
            Self::TooManySegments => "a frame to send has more than 18 pieces",
            Self::EmptySegment => "a piece of a frame to send is empty",
            Self::TooShort => "a frame to send is shorter than 14 bytes",
            Self::TooLong => "a frame to send is longer than 9,672 bytes",
            Self::AboveMtu => "a frame to send carries more than the MTU",
            Self::ExtensionHeaders => {
                "IPv6 extension headers end where no transport header can start"
            }
            Self::ExtensionsInTunnel => "IPv6 extension headers inside a tunnel",
            Self::TunnelHeaders => {
                "the inner IP header of a frame to be segmented is too far behind"
            }
            Self::TunnelHeaderBytes => "a tunnel's own headers have more than 48 bytes",
            Self::SegmentHeaders => {
                "headers of a frame to be segmented are not 54 to 510 bytes in 4 pieces"
            }
            Self::SegmentPayload => "segments are empty or do not fit into the MTU",
            Self::SegmentedBytes => {
                "a frame to be segmented has no payload or more than 1,040,384 bytes"
            }
            Self::SegmentWindow => {
                "17 descriptors of a frame to be segmented have less than 9,700 bytes"
            }
            Self::OutsideBuffer => "a piece of a frame to send leaves its buffer",
            Self::NotOwned => "a buffer of a frame to send is not the program's",
        })
    }
}

impl core::error::Error for TxRule {}
