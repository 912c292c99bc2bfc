//! What the examples share: choosing an adapter, bringing it up, and somebody at the other end of its cable.
//!
//! On a card there is a network at the other end. The software adapter in the same process has nothing there, so the
//! examples join a second one to it, from which a [`Visitor`] sends.

mod adapter;
mod visitor;

pub use adapter::{AdapterArgs, Running, UpAdapter, bring_up, idle, stop_flag, storage};
pub use fastlinq_host::AnyHost;
pub use visitor::Visitor;

#[doc = include_str!("../../../docs/host-guide.md")]
pub mod host_guide {}
