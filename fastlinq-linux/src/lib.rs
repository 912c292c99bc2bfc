#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod address;
pub use address::{BadPciAddress, PciAddress};

#[cfg(target_os = "linux")]
mod config_space;
#[cfg(target_os = "linux")]
mod glue;
#[cfg(target_os = "linux")]
mod interrupts;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod mmio;
#[cfg(target_os = "linux")]
pub mod readonly;
#[cfg(target_os = "linux")]
pub mod sysfs;
#[cfg(target_os = "linux")]
mod time;
#[cfg(target_os = "linux")]
pub mod vfio;
#[cfg(target_os = "linux")]
pub mod vfio_user;

#[cfg(target_os = "linux")]
pub use fastlinq_hal::host::Caching;
#[cfg(target_os = "linux")]
pub use interrupts::{Vector, VectorSet};
#[cfg(target_os = "linux")]
pub use memory::{MemoryReport, PageSize, Region};
#[cfg(target_os = "linux")]
pub use mmio::MappedBar;

#[cfg(not(target_os = "linux"))]
compile_error!(
    "fastlinq-linux reaches adapters through VFIO, sysfs and eventfds, which only Linux has; \
     on other systems implement fastlinq_hal::host::Host"
);
