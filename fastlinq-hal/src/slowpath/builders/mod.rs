//! Builders of ramrod data: what the caller wants, laid out as firmware 8.59.1.0 reads it.
//!
//! Each function returns the finished structure; everything that the caller does not choose has the value that the
//! hardware reference gives for a physical Ethernet function. The layouts are the same on BB and K2; the limits of the
//! identifiers differ and are checked where identifiers are allocated.

mod filter;
mod flow;
mod function;
mod queue;
mod vport;

use fastlinq_pac::BusAddress;
use fastlinq_pac::hsi::Regpair;
use zerocopy::little_endian::U32;

pub use filter::*;
pub use flow::*;
pub use function::*;
pub use queue::*;
pub use vport::*;

fn regpair(address: BusAddress) -> Regpair {
    Regpair {
        lo: U32::new(address.low()),
        hi: U32::new(address.high()),
    }
}

#[cfg(test)]
#[path = "../builders_tests.rs"]
mod tests;
