//! What was checked, and what came of it.

use core::fmt;

use fastlinq_pac::BusAddress;

use crate::access::{AccessError, DmaeError};
use crate::host::AllocationError;

/// One promise of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Check {
    /// The identity from configuration space is that of a function of the family.
    Identity,
    /// BAR0 shows all windows that the driver needs, in whole pages.
    RegisterBar,
    /// BAR2 has at least a page, in whole pages.
    DoorbellBar,
    /// The function answers, and the same register gives the same value.
    Answers,
    /// Values are in the CPU's byte order.
    ByteOrder,
    /// An offset leads to its own register, not to a neighbour's.
    Offsets,
    /// Reads and writes of 32 bits carry all bits and touch nothing else.
    Width32,
    /// Writes of 16 bits touch 16 bits.
    Width16,
    /// Accesses to one BAR arrive in program order.
    Order,
    /// The clock does not go back.
    ClockMonotonic,
    /// The clock counts microseconds.
    ClockUnit,
    /// Delays are at least as long as asked for.
    Delay,
    /// DMA memory is handed out, as large as asked for.
    Allocation,
    /// DMA memory is aligned as asked for, for the CPU and on the bus.
    Alignment,
    /// New DMA memory is all zero.
    Zeroed,
    /// Regions do not overlap, for the CPU or on the bus, and have a bus address that a device can name.
    Disjoint,
    /// The CPU reads what it wrote to DMA memory.
    CpuMemory,
    /// The device may master the bus: it reads host memory and writes to it at all.
    Mastership,
    /// The device reads what the CPU wrote last, at every place of a region.
    DeviceReads,
    /// The CPU reads what the device wrote last, and the device writes nowhere else.
    DeviceWrites,
    /// Memory that comes back a second time is zeroed and works.
    Reuse,
    /// More memory than there can be is refused.
    Refusal,
    /// An interrupt of the device reaches the program.
    Interrupt,
    /// A function that is gone reads as all ones in both BARs.
    AllOnes,
    /// Writes to a function that is gone are swallowed.
    LostWrites,
}

impl Check {
    /// All checks, in the order in which they run.
    pub const ALL: [Self; 25] = [
        Self::Identity,
        Self::RegisterBar,
        Self::DoorbellBar,
        Self::Answers,
        Self::ByteOrder,
        Self::Offsets,
        Self::Width32,
        Self::Width16,
        Self::Order,
        Self::ClockMonotonic,
        Self::ClockUnit,
        Self::Delay,
        Self::Allocation,
        Self::Alignment,
        Self::Zeroed,
        Self::Disjoint,
        Self::CpuMemory,
        Self::Mastership,
        Self::DeviceReads,
        Self::DeviceWrites,
        Self::Reuse,
        Self::Refusal,
        Self::Interrupt,
        Self::AllOnes,
        Self::LostWrites,
    ];

    /// The promise in a few words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity is that of the family",
            Self::RegisterBar => "BAR0 is large enough",
            Self::DoorbellBar => "BAR2 is large enough",
            Self::Answers => "the function answers",
            Self::ByteOrder => "values are in the CPU's byte order",
            Self::Offsets => "offsets lead to their own register",
            Self::Width32 => "32-bit accesses",
            Self::Width16 => "16-bit writes",
            Self::Order => "accesses arrive in program order",
            Self::ClockMonotonic => "the clock does not go back",
            Self::ClockUnit => "the clock counts microseconds",
            Self::Delay => "delays are long enough",
            Self::Allocation => "DMA memory is handed out",
            Self::Alignment => "DMA memory is aligned",
            Self::Zeroed => "DMA memory is zeroed",
            Self::Disjoint => "regions do not overlap",
            Self::CpuMemory => "the CPU reads what it wrote",
            Self::Mastership => "the device masters the bus",
            Self::DeviceReads => "the device reads what the CPU wrote",
            Self::DeviceWrites => "the CPU reads what the device wrote",
            Self::Reuse => "memory can be returned and taken again",
            Self::Refusal => "impossible amounts of memory are refused",
            Self::Interrupt => "interrupts arrive",
            Self::AllOnes => "a function that is gone reads as all ones",
            Self::LostWrites => "writes to a function that is gone are swallowed",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The chip cannot be reached, or is not of the family.
    Access(AccessError),
    /// A BAR has too few bytes, or not whole pages.
    BarBytes {
        /// Bytes of the BAR.
        bytes: usize,
        /// Bytes that it needs at least.
        needed: usize,
    },
    /// A register or a piece of memory holds something else.
    Value {
        /// BAR offset, or byte of the region.
        at: usize,
        /// What should be there.
        expected: u32,
        /// What is there.
        found: u32,
    },
    /// No memory.
    Memory(AllocationError),
    /// A region is smaller than asked for.
    Short {
        /// Bytes asked for.
        asked: usize,
        /// Bytes of the region.
        given: usize,
    },
    /// An address is not aligned.
    Unaligned {
        /// The address, the CPU's or the bus address.
        address: u64,
        /// Its alignment in bytes.
        align: usize,
    },
    /// Two regions overlap.
    Overlap {
        /// An address in both, the CPU's or the bus address.
        address: u64,
    },
    /// A bus address that the device cannot use: 0, or a region that runs over the end of the address space.
    BusAddress(BusAddress),
    /// More memory than the address space has was handed out.
    Impossible {
        /// Bytes that were given.
        bytes: usize,
    },
    /// The clock went back.
    ClockWentBack {
        /// Microseconds of the earlier look.
        from_us: u64,
        /// Microseconds of the later look.
        to_us: u64,
    },
    /// A wait took less, or very much more, than was asked for.
    Wait {
        /// Microseconds asked for.
        asked_us: u32,
        /// Microseconds that passed on the host's clock.
        passed_us: u64,
    },
    /// The DMA engine did not do its work.
    Dmae(DmaeError),
    /// The chip does not let the function master the bus.
    NoMastership {
        /// Last value of the register.
        value: u32,
    },
    /// No interrupt came.
    NoInterrupt {
        /// The vector that was waited for.
        vector: u16,
    },
    /// The adapter failed while an interrupt was provoked; its own error tells more.
    Provoking,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Access(error) => error.fmt(f),
            Self::BarBytes { bytes, needed } => {
                write!(
                    f,
                    "{bytes} bytes; whole pages and at least {needed} are needed"
                )
            }
            Self::Value {
                at,
                expected,
                found,
            } => {
                write!(f, "{found:#010x} instead of {expected:#010x} at {at:#x}")
            }
            Self::Memory(error) => error.fmt(f),
            Self::Short { asked, given } => write!(f, "{given} bytes instead of {asked}"),
            Self::Unaligned { address, align } => {
                write!(f, "address {address:#x} is not a multiple of {align}")
            }
            Self::Overlap { address } => write!(f, "address {address:#x} belongs to two regions"),
            Self::BusAddress(address) => {
                write!(
                    f,
                    "the device cannot use bus address {:#x}",
                    address.value()
                )
            }
            Self::Impossible { bytes } => write!(f, "{bytes} bytes were handed out"),
            Self::ClockWentBack { from_us, to_us } => {
                write!(f, "the clock went from {from_us} us to {to_us} us")
            }
            Self::Wait {
                asked_us,
                passed_us,
            } => {
                write!(f, "{passed_us} us passed in a wait of {asked_us} us")
            }
            Self::Dmae(error) => error.fmt(f),
            Self::NoMastership { value } => {
                write!(f, "the register that enables it stays at {value:#x}")
            }
            Self::NoInterrupt { vector } => write!(f, "vector {vector} did not fire"),
            Self::Provoking => f.write_str("the adapter failed"),
        }
    }
}

impl core::error::Error for Failure {}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        Self::Access(error)
    }
}

impl From<AllocationError> for Failure {
    fn from(error: AllocationError) -> Self {
        Self::Memory(error)
    }
}

impl From<DmaeError> for Failure {
    fn from(error: DmaeError) -> Self {
        Self::Dmae(error)
    }
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not run: it belongs to another function of this module, or an earlier check that it needs failed.
    NotRun,
    /// The host keeps the promise.
    Passed,
    /// The host breaks it.
    Failed(Failure),
}

/// What came of each check.
///
/// Prints as a table, one line a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Report {
    outcomes: [Outcome; Check::ALL.len()],
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            outcomes: [Outcome::NotRun; Check::ALL.len()],
        }
    }

    pub(super) fn set(&mut self, check: Check, result: Result<(), Failure>) -> bool {
        let passed = result.is_ok();
        if let Some(slot) = self.outcomes.get_mut(check as usize) {
            *slot = match result {
                Ok(()) => Outcome::Passed,
                Err(failure) => Outcome::Failed(failure),
            };
        }
        passed
    }

    /// Adds what another report has found; a check that both ran counts as failed when either says so.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.outcomes.iter_mut().zip(&other.outcomes) {
            match (*mine, *theirs) {
                (Outcome::Failed(_), _) | (_, Outcome::NotRun) => {}
                (_, found) => *mine = found,
            }
        }
    }

    /// What came of a check.
    #[must_use]
    pub fn outcome(&self, check: Check) -> Outcome {
        let outcome = self.outcomes.get(check as usize);
        outcome.copied().unwrap_or(Outcome::NotRun)
    }

    /// The broken promises.
    pub fn failures(&self) -> impl Iterator<Item = (Check, Failure)> + '_ {
        Check::ALL
            .into_iter()
            .filter_map(|check| match self.outcome(check) {
                Outcome::Failed(failure) => Some((check, failure)),
                _ => None,
            })
    }

    /// The checks that were not run.
    pub fn not_run(&self) -> impl Iterator<Item = Check> + '_ {
        let idle = |check: &Check| self.outcome(*check) == Outcome::NotRun;
        Check::ALL.into_iter().filter(idle)
    }

    /// Whether at least one check ran and none failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none() && self.outcomes.contains(&Outcome::Passed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in Check::ALL {
            match self.outcome(check) {
                Outcome::NotRun => writeln!(f, "not run  {check}")?,
                Outcome::Passed => writeln!(f, "passed   {check}")?,
                Outcome::Failed(failure) => writeln!(f, "FAILED   {check}: {failure}")?,
            }
        }
        Ok(())
    }
}
