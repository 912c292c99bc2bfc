//! Why a function could not be planned or programmed.

use core::fmt;

use fastlinq_pac::registers::miscs;
use fastlinq_pac::versions::IroId;
use fastlinq_pac::{Bar0Offset, BusAddress};

use crate::access::{AccessError, DmaeError};
use crate::dma::OutOfBuffer;
use crate::error::Layer;
use crate::firmware::FirmwareError;
use crate::host::AllocationError;
use crate::init::{InitError, RuntimeError};
use crate::mfw::resources::Resource;

/// Why a function could not be planned or programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A register cannot be reached.
    Access(AccessError),
    /// The DMA engine failed.
    Dma(DmaeError),
    /// A phase of the init program failed.
    Init(InitError),
    /// The firmware file cannot be used.
    Firmware(FirmwareError),
    /// The host has no DMA memory.
    Memory(AllocationError),
    /// The host gave less DMA memory than it was asked for.
    ShortMemory {
        /// Bytes that it gave.
        bytes: usize,
        /// Bytes that were asked for.
        needed: usize,
    },
    /// The host gave DMA memory whose bus address is not aligned as it was asked for.
    Misaligned {
        /// The bus address.
        address: BusAddress,
        /// Alignment that was asked for, in bytes.
        align: usize,
    },
    /// One PCI function drives both engines of a BB chip (100G), which this driver does not do.
    TwoEngines {
        /// The register that says so: bit n is set for function n.
        pairs: u32,
    },
    /// A BB chip of a revision that no firmware supports.
    ChipRevision {
        /// The chip's revision; 1 is supported.
        revision: u8,
    },
    /// Not 1, 2 or 4 ports, or more than the chip has.
    Ports {
        /// Ports of the engine.
        ports: u8,
    },
    /// The function has fewer of a resource than it needs.
    TooFew {
        /// The resource.
        resource: Resource,
        /// How many it has.
        count: u32,
        /// How many it needs.
        needed: u32,
    },
    /// A share lies behind the last of the chip.
    BeyondChip {
        /// The resource.
        resource: Resource,
        /// First number of the share.
        start: u32,
        /// How many.
        count: u32,
    },
    /// The IGU has no status block for the function.
    NoStatusBlock {
        /// Its first line, as it reads.
        first_line: u32,
    },
    /// The doorbell BAR has no room for all connections.
    DoorbellBarTooSmall {
        /// Bytes of the BAR.
        bytes: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// A value has no place in the runtime array.
    Runtime(RuntimeError),
    /// This firmware version lacks a variable that the driver needs.
    NoVariable(IroId),
    /// An overlay of the firmware file is larger than any storm could use.
    OverlayTooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// The storm firmware did not acknowledge the final cleanup.
    CleanupTimedOut {
        /// The function that was to be forgotten.
        function: u8,
        /// Where the acknowledgement was waited for; it stayed 0.
        at: Bar0Offset,
    },
    /// All MAC filters of the function are in use.
    FiltersFull,
}

impl ConfigError {
    /// The part of the system at fault.
    #[must_use]
    pub const fn layer(&self) -> Layer {
        match self {
            Self::Access(AccessError::DeviceGone) | Self::Dma(DmaeError::DeviceGone) => Layer::Pci,
            Self::Init(error) => error.layer(),
            Self::Access(AccessError::RegisterBarTooSmall { .. })
            | Self::Memory(_)
            | Self::ShortMemory { .. }
            | Self::Misaligned { .. }
            | Self::DoorbellBarTooSmall { .. } => Layer::Platform,
            Self::Access(_)
            | Self::Dma(_)
            | Self::ChipRevision { .. }
            | Self::Ports { .. }
            | Self::TwoEngines { .. }
            | Self::NoStatusBlock { .. } => Layer::Chip,
            Self::Firmware(_)
            | Self::NoVariable(_)
            | Self::OverlayTooLarge { .. }
            | Self::CleanupTimedOut { .. } => Layer::StormFirmware,
            Self::TooFew { .. } | Self::BeyondChip { .. } => Layer::ManagementFirmware,
            Self::Runtime(_) | Self::FiltersFull => Layer::Driver,
        }
    }

    /// Whether the function is gone from the bus.
    #[must_use]
    pub const fn is_device_gone(&self) -> bool {
        matches!(self.layer(), Layer::Pci)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(error) => error.fmt(f),
            Self::Dma(error) => error.fmt(f),
            Self::Init(error) => error.fmt(f),
            Self::Firmware(error) => error.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::ShortMemory { bytes, needed } => write!(
                f,
                "the host gave {bytes} bytes of DMA memory where {needed} are needed"
            ),
            Self::Misaligned { address, align } => write!(
                f,
                "the host gave DMA memory at {address} where it is to be aligned to {align} bytes"
            ),
            Self::TwoEngines { pairs } => write!(
                f,
                "the function drives both engines of the chip (register {} reads {pairs:#x}), \
                 which this driver does not do",
                miscs::CMT_ENABLED_FOR_PAIR.address()
            ),
            Self::ChipRevision { revision } => write!(
                f,
                "the chip is of revision {revision}, firmware exists for revision 1"
            ),
            Self::Ports { ports } => write!(f, "the engine says that it has {ports} ports"),
            Self::TooFew {
                resource,
                count,
                needed,
            } => write!(
                f,
                "the function has {count} of {resource:?} and needs {needed}"
            ),
            Self::BeyondChip {
                resource,
                start,
                count,
            } => write!(
                f,
                "{count} of {resource:?} from {start} are more than the chip has"
            ),
            Self::NoStatusBlock { first_line } => write!(
                f,
                "none of the IGU's status blocks belongs to the function (the first line reads {first_line:#x})"
            ),
            Self::DoorbellBarTooSmall { bytes, needed } => write!(
                f,
                "the doorbell BAR has {bytes} bytes and {needed} are needed"
            ),
            Self::Runtime(error) => error.fmt(f),
            Self::NoVariable(id) => {
                write!(f, "this firmware version has no variable {}", id.name())
            }
            Self::OverlayTooLarge { bytes } => {
                write!(f, "an overlay of the firmware file has {bytes} bytes")
            }
            Self::CleanupTimedOut { function, at } => write!(
                f,
                "the storm firmware did not acknowledge the cleanup of function {function} in a second \
                 (BAR0 offset {:#07x} stayed 0)",
                at.value()
            ),
            Self::FiltersFull => f.write_str("all MAC filters of the function are in use"),
        }
    }
}

impl core::error::Error for ConfigError {}

macro_rules! from {
    ($($error:ty => $variant:ident,)*) => {
        $(impl From<$error> for ConfigError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from! {
    AccessError => Access,
    DmaeError => Dma,
    InitError => Init,
    FirmwareError => Firmware,
    AllocationError => Memory,
    RuntimeError => Runtime,
}

impl From<OutOfBuffer> for ConfigError {
    fn from(outside: OutOfBuffer) -> Self {
        Self::ShortMemory {
            bytes: outside.buffer,
            needed: outside.offset.saturating_add(outside.length),
        }
    }
}
