//! Why a wire does not take a frame, and how often that happened.

use super::{FRAME_LIMIT, FRAME_MINIMUM};
use core::fmt;

/// Why a wire refused a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Longer than [`FRAME_LIMIT`].
    TooLong {
        /// Length of the frame.
        bytes: usize,
    },
    /// Shorter than [`FRAME_MINIMUM`].
    TooShort {
        /// Length of the frame.
        bytes: usize,
    },
    /// The other side does not take its frames.
    Full {
        /// Frames that are waiting.
        frames: usize,
    },
    /// The other end of the cable is gone.
    Unplugged,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(
                    f,
                    "a frame of {bytes} bytes is longer than the {FRAME_LIMIT} that a wire carries"
                )
            }
            Self::TooShort { bytes } => {
                write!(
                    f,
                    "a frame of {bytes} bytes is shorter than an Ethernet header of {FRAME_MINIMUM}"
                )
            }
            Self::Full { frames } => write!(f, "{frames} frames are waiting and nobody takes them"),
            Self::Unplugged => f.write_str("the other end of the cable is gone"),
        }
    }
}

impl std::error::Error for WireError {}

/// What passed a wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireCounters {
    /// Frames taken from the adapter.
    pub transmitted: u64,
    /// Frames given to the adapter.
    pub received: u64,
    /// Frames refused as too long or too short.
    pub refused_length: u64,
    /// Frames refused because too many were waiting.
    pub refused_full: u64,
    /// Frames sent into a cable without another end.
    pub unplugged: u64,
}

impl WireCounters {
    pub(super) fn count(&mut self, outcome: Result<(), WireError>) {
        let counter = match outcome {
            Ok(()) => &mut self.transmitted,
            Err(WireError::TooLong { .. } | WireError::TooShort { .. }) => &mut self.refused_length,
            Err(WireError::Full { .. }) => &mut self.refused_full,
            Err(WireError::Unplugged) => &mut self.unplugged,
        };
        *counter = counter.wrapping_add(1);
    }

    pub(super) fn count_received<T>(&mut self, frame: Option<T>) -> Option<T> {
        self.received = self.received.wrapping_add(frame.is_some().into());
        frame
    }
}
