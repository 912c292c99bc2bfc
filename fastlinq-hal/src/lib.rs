#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

#[cfg(test)]
extern crate std;

mod log;

pub mod access;
pub mod adapter;
pub mod config;
pub mod core_state;
pub mod dma;
pub mod error;
pub mod filters;
pub mod firmware;
pub mod host;
pub mod init;
pub mod mfw;
pub mod moderation;
pub mod peripherals;
pub mod queue;
pub mod slowpath;
pub mod steering;
pub mod vport;
