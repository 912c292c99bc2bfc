//! The adapter and its states.

mod config;

pub use config::*;
