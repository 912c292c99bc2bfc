//! Typestate hardware abstraction layer for QLogic/Marvell FastLinQ 4xxxx Ethernet adapters.
#![no_std]
#![deny(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod log;

pub mod dma;
pub mod host;
