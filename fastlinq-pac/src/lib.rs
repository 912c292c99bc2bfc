#![doc = include_str!("../README.md")]
#![no_std]
#![deny(missing_docs)]

pub mod access;
mod address;
pub mod bar;
mod chip;
pub mod doorbell;
mod generated;
pub mod init_file;
mod layout;
pub mod mfw;
pub mod versions;
pub mod words;

pub use address::{Bar0Offset, BusAddress, GrcAddress};
pub use chip::{Chip, Limits, VENDOR_ID};
pub use generated::{hsi, nvm, registers};
