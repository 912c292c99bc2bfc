//! Reaching the chip: windows of BAR0, pretending, the DMA engine for registers, and who the function is.

mod dmae;
mod dmae_command;
mod error;
mod global;
mod identity;
mod poll;
mod windows;

pub use dmae::{Dmae, MAX_COMMAND_DWORDS};
pub use dmae_command::{DmaeError, DmaeOptions};
pub use error::AccessError;
pub use identity::FunctionIdentity;
pub use poll::{Patience, poll};
pub use windows::{MIN_BAR_BYTES, PretendAs, Window, Windows};

#[cfg(test)]
pub(crate) mod fake;
