//! A software FastLinQ 4xxxx adapter: chip, management firmware, storm firmware and wire.
//!
//! Written from the hardware reference alone, for drivers that nobody here wrote. It runs in the process of its user:
//! register accesses go in, DMA and interrupts come out through two small traits.

#![forbid(unsafe_code)]

pub mod card;
pub mod config_space;
pub mod fabric;
pub mod firmware_image;
pub mod memory;
pub mod mfw;
pub mod storm;
pub mod violation;
pub mod wire;

pub use card::{Bar, Card, CardConfig};
pub use memory::{HostMemory, Interrupts, Unmapped};
pub use violation::{DmaCause, Violation, ViolationKind};
pub use wire::Wire;

/// The chip family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chip {
    /// BB: 45000 series.
    Bb,
    /// K2 (also AH): 41000 series.
    K2,
}
