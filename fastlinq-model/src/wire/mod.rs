//! What a port is plugged into.
//!
//! A [`Wire`] takes the frames that the adapter sends and has frames for it, both without FCS. All wires here bound what
//! they keep, refuse frames that no Ethernet could carry, and count what they refuse (see [`Wire::counters`]). Inherent
//! `send` methods give the reason as a [`WireError`].
//!
//! ```
//! use fastlinq_model::wire::{Loopback, Wire};
//! let mut wire = Loopback::new();
//! wire.transmit(&[0x02; 60]);
//! assert_eq!(wire.receive(), Some(vec![0x02; 60]));
//! ```

mod cable;
#[cfg(feature = "pcap")]
pub mod capture;
mod discard;
mod error;
mod loopback;
mod playback;
mod queue;

pub use cable::{CableEnd, cable, cable_with_limit};
pub use discard::Discard;
pub use error::{WireCounters, WireError};
pub use loopback::Loopback;
pub use playback::Playback;

/// The longest frame that a wire carries, without FCS. Longer ones are refused.
pub const FRAME_LIMIT: usize = 16 * 1024;
/// The shortest frame: an Ethernet header.
pub const FRAME_MINIMUM: usize = 14;
/// Frames that a wire keeps when nobody takes them, unless it was made with another limit.
pub const QUEUE_LIMIT: usize = 4096;

/// The other end of a port's cable.
pub trait Wire: Send {
    /// The adapter sends a frame, without FCS. What the wire cannot carry is dropped and counted.
    fn transmit(&mut self, frame: &[u8]);

    /// A frame for the adapter, without FCS, if one is waiting.
    fn receive(&mut self) -> Option<Vec<u8>>;

    /// What passed and what was refused, seen from the adapter.
    fn counters(&self) -> WireCounters {
        WireCounters::default()
    }
}

impl<W: Wire + ?Sized> Wire for Box<W> {
    fn transmit(&mut self, frame: &[u8]) {
        (**self).transmit(frame);
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        (**self).receive()
    }

    fn counters(&self) -> WireCounters {
        (**self).counters()
    }
}

/// Refuses what is no Ethernet frame.
fn check(frame: &[u8]) -> Result<(), WireError> {
    match frame.len() {
        bytes if bytes > FRAME_LIMIT => Err(WireError::TooLong { bytes }),
        bytes if bytes < FRAME_MINIMUM => Err(WireError::TooShort { bytes }),
        _ => Ok(()),
    }
}
