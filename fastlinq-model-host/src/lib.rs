#![doc = include_str!("../README.md")]

mod bar;
mod cable;
mod fault;
mod host;
mod interrupts;
mod memory;

pub use bar::ModelBar;
pub use cable::join;
pub use fastlinq_model as model;
pub use fault::{Fault, Faults};
pub use host::{Builder, ModelHost};
pub use memory::{LateAccess, MemoryReport, ModelRegion};

/// Scrambles the bits of a counter into a number that looks random.
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
