//! Why something did not happen: layer, command, raw answer, and one sentence.

use core::fmt;

use fastlinq_pac::BusAddress;
use fastlinq_pac::registers::pglue_b;

use super::evidence::RawReply;
pub use super::misuse::Misuse;
use crate::access::{AccessError, DmaeError};
use crate::config::ConfigError;
pub use crate::error::Layer;
use crate::firmware::FirmwareError;
use crate::host::AllocationError;
use crate::init::InitError;
use crate::mfw::bist::ImagesRefused;
use crate::mfw::load::LoadError;
use crate::mfw::resources::ResourceError;
use crate::mfw::{AttachError, MailboxError, SectionError};
use crate::slowpath::RamrodError;

/// Why something did not happen.
///
/// Its [`Display`](fmt::Display) is one sentence that names the layer at fault. Every cause has its [`layer`](Self::layer);
/// what was asked of whom is [`command`](Self::command), and what came instead of the right answer
/// [`raw_value`](Self::raw_value):
///
/// | layer | command | raw value |
/// |---|---|---|
/// | management firmware | the mailbox command, or the word of the shared memory that was read | response code or parameter, response header, the word |
/// | storm firmware, running | the ramrod, or the word that was waited for | the return code, the word; none when nothing came |
/// | storm firmware, file | none: the error names the place in the file | none |
/// | chip | the register that was read, or the DMA engine | what it read |
/// | PCI | the identity register or configuration space | all ones, or the ids |
/// | platform | the request to the host | bytes or address that it gave |
/// | driver | none: the device was not asked | none |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
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
    /// The chip cannot be reached, or is not of this family.
    Access(AccessError),
    /// The DMA engine for registers failed.
    Dmae(DmaeError),
    /// The management firmware's shared memory was not found.
    Attach(AttachError),
    /// The management firmware's shared memory cannot be read.
    Section(SectionError),
    /// A command to the management firmware has no answer.
    Mailbox(MailboxError),
    /// The management firmware does not know a command that cannot be done without.
    Unsupported(RawReply),
    /// The management firmware refused a command.
    Refused(RawReply),
    /// The management firmware refused the load.
    Load(LoadError),
    /// The function's resources could not be settled.
    Resources(ResourceError),
    /// The management firmware knows BIST_TEST and gave no table of flash images.
    Images(ImagesRefused),
    /// The storm-firmware file is of no use.
    Firmware(FirmwareError),
    /// The init program could not be run.
    Init(InitError),
    /// The function could not be planned or programmed.
    Config(ConfigError),
    /// The function did not become a master on PCI; the register's last value.
    NoMastership(u32),
    /// The device did not confirm that it starts no more DMA; the register's last value.
    NotQuiet(u32),
    /// A ramrod failed.
    Ramrod(RamrodError),
    /// The caller asked for something that cannot be.
    Misuse(Misuse),
}

impl Cause {
    /// The layer at fault.
    #[must_use]
    pub fn layer(&self) -> Layer {
        match self {
            Self::Memory(_) | Self::ShortMemory { .. } | Self::Misaligned { .. } => Layer::Platform,
            Self::Access(AccessError::RegisterBarTooSmall { .. }) => Layer::Platform,
            Self::Access(AccessError::NoFreeWindow | AccessError::OutsideBar { .. }) => {
                Layer::Driver
            }
            Self::Access(_) => Layer::Pci,
            Self::Dmae(DmaeError::DeviceGone) => Layer::Pci,
            Self::Dmae(_) => Layer::Chip,
            Self::Attach(AttachError::DeviceGone) => Layer::Pci,
            Self::Attach(_) => Layer::ManagementFirmware,
            Self::Section(SectionError::DeviceGone) => Layer::Pci,
            Self::Section(_) => Layer::ManagementFirmware,
            Self::Mailbox(error) if error.is_device_gone() => Layer::Pci,
            Self::Mailbox(_) | Self::Unsupported(_) | Self::Refused(_) => Layer::ManagementFirmware,
            Self::Load(LoadError::Mailbox(error))
            | Self::Resources(ResourceError::Mailbox(error)) => {
                if error.is_device_gone() {
                    Layer::Pci
                } else {
                    Layer::ManagementFirmware
                }
            }
            Self::Load(_) | Self::Resources(_) | Self::Images(_) => Layer::ManagementFirmware,
            Self::Firmware(_) => Layer::StormFirmware,
            Self::Init(error) => error.layer(),
            Self::Config(error) => error.layer(),
            Self::NoMastership(_) | Self::NotQuiet(_) => Layer::Chip,
            Self::Ramrod(RamrodError::Memory { .. }) => Layer::Platform,
            Self::Ramrod(RamrodError::DeviceGone { .. }) => Layer::Pci,
            Self::Ramrod(_) => Layer::StormFirmware,
            Self::Misuse(Misuse::NoResources) => Layer::ManagementFirmware,
            Self::Misuse(Misuse::NoInterruptVectors) => Layer::Platform,
            Self::Misuse(_) => Layer::Driver,
        }
    }

    /// Whether the function is gone from the bus.
    #[must_use]
    pub fn is_device_gone(&self) -> bool {
        match self {
            Self::Access(error) => *error == AccessError::DeviceGone,
            Self::Dmae(error) => *error == DmaeError::DeviceGone,
            Self::Attach(error) => *error == AttachError::DeviceGone,
            Self::Section(error) => *error == SectionError::DeviceGone,
            Self::Mailbox(error)
            | Self::Load(LoadError::Mailbox(error))
            | Self::Resources(ResourceError::Mailbox(error)) => error.is_device_gone(),
            Self::Init(error) => error.layer() == Layer::Pci,
            Self::Config(error) => error.is_device_gone(),
            Self::Ramrod(error) => matches!(error, RamrodError::DeviceGone { .. }),
            _ => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.layer())?;
        match *self {
            Self::Memory(error) => error.fmt(f),
            Self::ShortMemory { bytes, needed } => {
                ConfigError::ShortMemory { bytes, needed }.fmt(f)
            }
            Self::Misaligned { address, align } => {
                ConfigError::Misaligned { address, align }.fmt(f)
            }
            Self::Access(error) => error.fmt(f),
            Self::Dmae(error) => error.fmt(f),
            Self::Attach(error) => error.fmt(f),
            Self::Section(error) => error.fmt(f),
            Self::Mailbox(error) => error.fmt(f),
            Self::Unsupported(reply) => {
                write!(f, "it does not know {reply}, and nothing works without")
            }
            Self::Refused(reply) => write!(f, "it refused {reply}"),
            Self::Load(error) => error.fmt(f),
            Self::Resources(error) => error.fmt(f),
            Self::Images(refused) => refused.fmt(f),
            Self::Firmware(error) => error.fmt(f),
            Self::Init(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::NoMastership(value) => {
                write!(
                    f,
                    "the function did not become a master on PCI (register {} reads {value:#x})",
                    pglue_b::INTERNAL_PFID_ENABLE_MASTER.address()
                )
            }
            Self::NotQuiet(value) => write!(
                f,
                "the device did not confirm that it starts no more DMA (register {} reads {value:#x})",
                pglue_b::INTERNAL_PFID_ENABLE_MASTER.address()
            ),
            Self::Ramrod(error) => error.fmt(f),
            Self::Misuse(misuse) => misuse.fmt(f),
        }
    }
}

impl core::error::Error for Cause {}

#[cfg(feature = "defmt")]
impl defmt::Format for Cause {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Display2Format(self));
    }
}

impl From<ConfigError> for Cause {
    /// Keeps what other steps call by the same name.
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Access(error) => Self::Access(error),
            ConfigError::Dma(error) => Self::Dmae(error),
            ConfigError::Init(error) => Self::Init(error),
            ConfigError::Firmware(error) => Self::Firmware(error),
            ConfigError::Memory(error) => Self::Memory(error),
            ConfigError::ShortMemory { bytes, needed } => Self::ShortMemory { bytes, needed },
            ConfigError::Misaligned { address, align } => Self::Misaligned { address, align },
            other => Self::Config(other),
        }
    }
}

macro_rules! from {
    ($($error:ty => $variant:ident,)*) => {
        $(impl From<$error> for Cause {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from! {
    AllocationError => Memory,
    AccessError => Access,
    DmaeError => Dmae,
    AttachError => Attach,
    MailboxError => Mailbox,
    SectionError => Section,
    LoadError => Load,
    ResourceError => Resources,
    FirmwareError => Firmware,
    InitError => Init,
    RamrodError => Ramrod,
    Misuse => Misuse,
}

#[cfg(test)]
#[path = "cause_tests.rs"]
mod tests;
