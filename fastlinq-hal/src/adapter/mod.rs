//! The adapter and its states.
#![allow(
    clippy::result_large_err,
    clippy::large_enum_variant,
    reason = "transitions move the whole adapter, and there is no heap to put it on"
)]

mod cause;
mod config;
mod connect;
mod down;
mod events;
mod handle;
mod inner;
mod inventory;
mod leak;
mod link;
mod memory;
mod populate;
mod queues;
mod running;
mod states;
mod status_block;
mod stop;
mod up;
mod vports;

pub use cause::{Cause, Command, Layer, Misuse, RawReply};
pub use config::*;
pub use down::DownFailed;
pub use events::Event;
pub use handle::*;
pub use inventory::*;
pub use leak::LeakReport;
pub use populate::Populated;
pub use queues::{CloseFailed, OpenFailed};
pub use running::MAX_VPORTS;
pub use states::{McpReady, NvmPopulated, Reset, State, Up};
pub use vports::MULTICAST_ADDRESSES;
