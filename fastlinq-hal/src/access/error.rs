//! What can go wrong on the way to a register.

use core::fmt;

/// Why the chip cannot be reached, or is not one that this driver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AccessError {
    /// The function answers every read with all ones: it fell off the bus, or its memory space is off.
    DeviceGone,
    /// BAR0 does not show all windows that the driver needs.
    RegisterBarTooSmall {
        /// Bytes that the host mapped.
        bytes: usize,
        /// Bytes that the driver needs.
        needed: usize,
    },
    /// The PCI ids are not those of a physical function of the family.
    NotThisFamily {
        /// PCI vendor id.
        vendor: u16,
        /// PCI device id.
        device: u16,
    },
    /// The identity register names a function that the chip cannot have.
    ImpossibleFunction {
        /// Value of the identity register (concrete function id).
        concrete: u32,
    },
    /// All windows of the pool are in use.
    NoFreeWindow,
    /// An offset lies outside of BAR0.
    OutsideBar {
        /// Offset of the access.
        offset: u32,
        /// Bytes of the BAR.
        bytes: usize,
    },
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DeviceGone => f.write_str("the function answers every read with all ones"),
            Self::RegisterBarTooSmall { bytes, needed } => {
                write!(f, "BAR0 has {bytes} bytes, {needed} are needed")
            }
            Self::NotThisFamily { vendor, device } => write!(
                f,
                "PCI id {vendor:04x}:{device:04x} is not a function of this family"
            ),
            Self::ImpossibleFunction { concrete } => {
                write!(
                    f,
                    "the identity register says {concrete:#010x}, a function that the chip cannot have"
                )
            }
            Self::NoFreeWindow => f.write_str("all windows of the pool are in use"),
            Self::OutsideBar { offset, bytes } => {
                write!(
                    f,
                    "offset {offset:#x} is outside of a BAR0 of {bytes} bytes"
                )
            }
        }
    }
}

impl core::error::Error for AccessError {}
