//! The rules of the chip for frames to send, checked before a frame reaches the ring.

use core::fmt;

/// Most pieces of a frame.
pub const MAX_TX_SEGMENTS: usize = 18;
/// Fewest bytes of a frame.
pub const MIN_TX_BYTES: u16 = 14;
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
            Self::TooLong => Some(21),
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
            Self::OutsideBuffer => "a piece of a frame to send leaves its buffer",
            Self::NotOwned => "a buffer of a frame to send is not the program's",
        })
    }
}

impl core::error::Error for TxRule {}
