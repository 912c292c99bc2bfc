//! The adapter and its states.

mod config;
mod inventory;
mod leak;
mod running;
mod states;

pub use config::*;
pub use inventory::*;
pub use leak::LeakReport;
pub use running::MAX_VPORTS;
pub use states::{McpReady, NvmPopulated, Reset, State, Up};
