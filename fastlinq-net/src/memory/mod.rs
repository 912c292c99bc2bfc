//! All unsafe code of the crate: rings and buffers in memory that the device shares.
//!
//! Rings are touched with volatile accesses at indices that are masked here, so that no index of the device's can leave
//! them. Buffers are lent to the program only while the device does not have them: who owns a buffer is written down
//! here, and nothing outside this module can change that without being checked.
#![allow(unsafe_code)]

mod bursts;
mod fifo;
mod held;
mod lease;
mod owner;
mod rings;
mod shared;

pub(crate) use bursts::{Run, Simple};
pub(crate) use fifo::Fifo;
pub(crate) use held::Held;
pub(crate) use lease::Lease;
pub(crate) use owner::{Owner, take_into_use};
pub(crate) use rings::{RingLayout, RingMemory};
pub(crate) use shared::Shared;

/// Bytes of a ring page.
pub(crate) const PAGE: usize = 4096;

/// Stands for "no buffer"; real numbers are smaller.
pub(crate) const NO_BUFFER: u32 = 0x7fff_ffff;

/// Marks the notes of all descriptors of a frame to send but the last.
pub(crate) const MORE: u32 = 1 << 31;
