//! Things to put between a queue pair and whoever uses it.
//!
//! Each wraps a [`Ring`](crate::Ring) and is one, so they stack: a [`Tap`] around a [`FaultInjector`] shows what the user
//! sees, the other way round what the wire saw.
//!
//! | middleware | does |
//! |---|---|
//! | [`Tap`] | shows every frame to an [`Observer`], such as [`PcapWriter`], which writes a capture |
//! | [`FaultInjector`] | drops, duplicates, corrupts and delays frames, repeatably, by a seed |
//!
//! Neither allocates, and neither changes what is not said here.

mod fault_injector;
mod pcap;
mod tap;

pub use fault_injector::{FaultCounters, FaultInjector, FaultState, FaultsOf, MAX_HELD, Rates};
pub use pcap::{PcapError, PcapWriter};
pub use tap::{Direction, Observer, Tap};
