#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod client;
mod connection;
mod device;
mod interrupts;
mod memory;
pub mod message;
mod server;

pub use client::{Client, ClientError, DeviceFeatures, Mapping, Region};
pub use connection::{Connection, TransportError};
pub use device::{Device, DeviceShape, Errno, RegionShape};
pub use interrupts::InterruptLines;
pub use memory::{DmaError, GuestMemory};
pub use server::{ServeError, Server, StopFlag};
