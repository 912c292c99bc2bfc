#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod capability;
pub mod card;
mod chip;
pub mod config_space;
pub mod fabric;
pub mod firmware_image;
pub mod memory;
pub mod mfw;
pub mod observer;
pub mod pci;
pub mod storm;
pub mod violation;
pub mod wire;

pub use capability::{Capability, Coverage};
pub use card::{Bar, Card, CardConfig, Counters};
pub use fabric::Function;
pub use fastlinq_pac::Chip;
pub use memory::{HostMemory, Interrupts, Unmapped};
pub use observer::{Event, Observer};
pub use violation::{DmaCause, Violation, ViolationKind};
pub use wire::Wire;
