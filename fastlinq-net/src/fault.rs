//! What makes a queue unusable: a device that says what cannot be.

use core::fmt;

use crate::completion::Aggregation;

/// Why a queue stopped working for good.
///
/// The device said something after which nobody can tell which buffers it has. The direction that is hit stays down
/// until the queue pair is closed; no buffer is lost: all of them are returned with the queue pair's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// The receive index moved back, or further than there are completion slots.
    ReceiveIndex {
        /// Where it was expected to continue.
        from: u16,
        /// What it became.
        to: u16,
    },
    /// A completion of a type that does not exist.
    CompletionType {
        /// Index of the completion.
        index: u16,
        /// Its type byte.
        kind: u8,
    },
    /// A completion of a hardware aggregation, which is not switched on.
    Aggregation {
        /// Index of the completion.
        index: u16,
        /// What it says.
        step: Aggregation,
    },
    /// A frame in an impossible number of buffers, or in more than the device has.
    BufferCount {
        /// Index of the completion.
        index: u16,
        /// Buffers that it claims.
        claimed: u8,
        /// Buffers that the device had.
        posted: u16,
    },
    /// The transmit index moved back, or beyond what was sent.
    TransmitIndex {
        /// Where it was expected to continue.
        from: u16,
        /// What it became.
        to: u16,
        /// Descriptors that were on their way.
        in_flight: u16,
    },
    /// The transmit index stopped in the middle of a packet.
    TransmitBoundary {
        /// What it became.
        to: u16,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReceiveIndex { from, to } => {
                write!(f, "the device moved the receive index from {from} to {to}")
            }
            Self::CompletionType { index, kind } => {
                write!(f, "completion {index} has the unknown type {kind}")
            }
            Self::Aggregation { index, .. } => write!(
                f,
                "completion {index} belongs to an aggregation, which is not switched on"
            ),
            Self::BufferCount {
                index,
                claimed,
                posted,
            } => write!(
                f,
                "completion {index} claims {claimed} buffers of {posted} that the device had"
            ),
            Self::TransmitIndex {
                from,
                to,
                in_flight,
            } => write!(
                f,
                "the device moved the transmit index from {from} to {to} with {in_flight} descriptors on their way"
            ),
            Self::TransmitBoundary { to } => {
                write!(f, "the device stopped at {to}, in the middle of a packet")
            }
        }
    }
}

impl core::error::Error for Fault {}
