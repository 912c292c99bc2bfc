//! What real silicon cannot tell a user: the broken rules of a driver, each with its cause.

use crate::fabric::Function;

/// The register, descriptor or context that made the device do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaCause {
    /// What it is, in words: `"DMAE command"`, `"Rx BD"`, `"SPQ element"`.
    pub what: &'static str,
    /// GRC address of the register, bus address or index of the descriptor; 0 when there is none.
    pub place: u64,
    /// The value found there.
    pub value: u64,
}

impl DmaCause {
    /// A cause that is the register at GRC byte address `address`.
    pub const fn register(what: &'static str, address: u32, value: u64) -> Self {
        Self {
            what,
            place: address as u64,
            value,
        }
    }

    /// A cause that is a descriptor: its bus address (or index, as `what` says) and its content.
    pub const fn descriptor(what: &'static str, place: u64, value: u64) -> Self {
        Self { what, place, value }
    }
}

impl core::fmt::Display for DmaCause {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{} at {:#x} (value {:#x})",
            self.what, self.place, self.value
        )
    }
}

/// The rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// The device read host memory that is not mapped for it.
    UnmappedRead {
        /// Bus address of the access.
        address: u64,
        /// Bytes of the access.
        len: usize,
    },
    /// The device wrote host memory that is not mapped for it.
    UnmappedWrite {
        /// Bus address of the access.
        address: u64,
        /// Bytes of the access.
        len: usize,
    },
    /// The device was to access host memory while the function may not master the bus.
    BlockedDma {
        /// Bus address of the access.
        address: u64,
        /// Bytes of the access.
        len: usize,
        /// True for a write.
        write: bool,
    },
    /// A write to an address in a block of the chip where nothing is documented.
    UndocumentedWrite {
        /// GRC byte address.
        address: u32,
        /// The value.
        value: u32,
    },
    /// An access to an address that no block answers.
    NoCompleter {
        /// GRC byte address.
        address: u32,
        /// True for a write.
        write: bool,
    },
    /// An access of a width or alignment that the target does not take.
    BadAccess {
        /// BAR number (0, 2, 4).
        bar: u8,
        /// Offset in the BAR.
        offset: u64,
        /// Bytes of the access.
        len: usize,
        /// True for a write.
        write: bool,
    },
    /// A doorbell that was dropped.
    Doorbell(&'static str),
    /// An interrupt command that was dropped.
    Interrupt(&'static str),
    /// A DMAE command that cannot be carried out.
    Dmae(&'static str),
    /// A context that cannot be found by ILT and CDU parameters.
    Context(&'static str),
    /// A ramrod, descriptor or ring that breaks the rules of the storm firmware.
    Firmware(&'static str),
    /// The storm firmware stopped with an assertion.
    Assertion(&'static str),
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Model time in nanoseconds.
    pub at_ns: u64,
    /// The function on whose behalf it happened, when known.
    pub function: Option<Function>,
    /// What happened.
    pub kind: ViolationKind,
    /// What led to it.
    pub cause: DmaCause,
}

impl core::fmt::Display for Violation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.function {
            Some(function) => write!(f, "[{} ns] {function}: ", self.at_ns)?,
            None => write!(f, "[{} ns] ", self.at_ns)?,
        }
        match &self.kind {
            ViolationKind::UnmappedRead { address, len } => {
                write!(f, "device read of {len} bytes at unmapped {address:#x}")?
            }
            ViolationKind::UnmappedWrite { address, len } => {
                write!(f, "device write of {len} bytes at unmapped {address:#x}")?
            }
            ViolationKind::BlockedDma {
                address,
                len,
                write,
            } => {
                let verb = if *write { "write" } else { "read" };
                write!(f, "blocked device {verb} of {len} bytes at {address:#x}")?;
            }
            ViolationKind::UndocumentedWrite { address, value } => {
                write!(f, "write of {value:#x} to undocumented {address:#x}")?
            }
            ViolationKind::NoCompleter { address, write } => {
                let verb = if *write { "write" } else { "read" };
                write!(f, "{verb} of {address:#x}, where no block answers")?;
            }
            ViolationKind::BadAccess {
                bar,
                offset,
                len,
                write,
            } => {
                let verb = if *write { "write" } else { "read" };
                write!(f, "{verb} of {len} bytes at offset {offset:#x} of BAR{bar}")?;
            }
            ViolationKind::Doorbell(why) => write!(f, "doorbell dropped, {why}")?,
            ViolationKind::Interrupt(why) => write!(f, "interrupt command dropped, {why}")?,
            ViolationKind::Dmae(why) => write!(f, "DMAE command refused, {why}")?,
            ViolationKind::Context(why) => write!(f, "no context, {why}")?,
            ViolationKind::Firmware(why) => write!(f, "{why}")?,
            ViolationKind::Assertion(why) => write!(f, "storm firmware assertion, {why}")?,
        }
        write!(f, "; caused by {}", self.cause)
    }
}
