#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod any;
mod name;

pub use any::{AnyBar, AnyHost, AnyRegion};
pub use fastlinq_linux::PageSize;
pub use name::{AdapterName, BadAdapterName, OnlyLookedAt, OpenError, OpenOptions};
