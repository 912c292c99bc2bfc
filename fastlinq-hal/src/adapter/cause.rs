//! Why something did not happen: layer, command, raw answer, and one sentence.

use core::fmt;

use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

use crate::access::{AccessError, DmaeError};
use crate::config::ConfigError;
pub use crate::error::Layer;
use crate::firmware::FirmwareError;
use crate::host::AllocationError;
use crate::init::InitError;
use crate::mfw::bist::ImagesRefused;
use crate::mfw::load::LoadError;
use crate::mfw::resources::ResourceError;
use crate::mfw::{AttachError, MailboxError, SectionError, response_name};
use crate::queue::QueuePairId;
use crate::slowpath::{Ramrod, RamrodError};
use crate::vport::VportId;

/// Why something did not happen.
///
/// Its [`Display`](fmt::Display) is one sentence that names the layer at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The host has no DMA memory.
    Memory(AllocationError),
    /// The host gave less DMA memory than it was asked for, or not aligned as asked for.
    ShortMemory,
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
    /// The device did not confirm that it starts no more DMA.
    NotQuiet,
    /// A ramrod failed.
    Ramrod(RamrodError),
    /// The caller asked for something that cannot be.
    Misuse(Misuse),
}

/// What the management firmware answered, undecoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawReply {
    /// The command.
    pub command: DriverCommand,
    /// Response code.
    pub code: FirmwareResponse,
    /// Response parameter.
    pub param: u32,
}

impl fmt::Display for RawReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} with {} ({:#06x}), parameter {:#x}",
            self.command.name().unwrap_or("a command"),
            response_name(self.command, self.code),
            self.code.0,
            self.param
        )
    }
}

/// What was sent to the device when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// A command to the management firmware.
    Mfw(DriverCommand),
    /// A ramrod to the storm firmware.
    Ramrod(Ramrod),
}

/// Something that the caller asked for and that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// The adapter is not up.
    NotUp,
    /// All vports of the function are started.
    NoFreeVport,
    /// The vport is not started.
    NoSuchVport(VportId),
    /// The vport has open queue pairs.
    VportInUse(VportId),
    /// All queue pairs of the function are open.
    NoFreeQueuePair,
    /// The queue pair is not open, not on this vport, or of an earlier bring-up.
    NoSuchQueuePair(QueuePairId),
    /// The MTU is out of range.
    Mtu(u16),
    /// The VLAN is out of range.
    Vlan(u16),
    /// The address is a multicast address or zero.
    NotUnicast([u8; 6]),
    /// The coalescing time in microseconds is out of range.
    Coalescing(u16),
    /// A ring of the request has no pages, or its buffers have no bytes.
    EmptyRing,
    /// The function has no RSS engine.
    NoRssEngine,
    /// The table of receive-side scaling has no queue pair.
    EmptyRssTable,
    /// Interrupts are wanted and the host has no vectors for them.
    NoInterruptVectors,
    /// The function has fewer status blocks, queues or connections than one queue pair needs.
    NoResources,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUp => f.write_str("the adapter is not up"),
            Self::NoFreeVport => f.write_str("all vports of the function are started"),
            Self::NoSuchVport(vport) => write!(f, "vport {} is not started", vport.index()),
            Self::VportInUse(vport) => {
                write!(f, "vport {} has open queue pairs", vport.index())
            }
            Self::NoFreeQueuePair => f.write_str("all queue pairs of the function are open"),
            Self::NoSuchQueuePair(queue) => {
                write!(f, "queue pair {} is not open here", queue.index())
            }
            Self::Mtu(mtu) => write!(f, "an MTU of {mtu} bytes is out of range"),
            Self::Vlan(vlan) => write!(f, "VLAN {vlan} is out of range"),
            Self::NotUnicast(address) => {
                write!(f, "{address:02x?} is not the address of a station")
            }
            Self::Coalescing(us) => write!(f, "a coalescing time of {us} µs is out of range"),
            Self::EmptyRing => f.write_str("a ring of the queue pair has no memory"),
            Self::NoRssEngine => f.write_str("the function has no RSS engine"),
            Self::EmptyRssTable => f.write_str("the RSS table has no queue pair"),
            Self::NoInterruptVectors => f.write_str("the host has no interrupt vectors"),
            Self::NoResources => {
                f.write_str("the function has too few resources for one queue pair")
            }
        }
    }
}

impl core::error::Error for Misuse {}

impl Cause {
    /// The layer at fault.
    #[must_use]
    pub fn layer(&self) -> Layer {
        match self {
            Self::Memory(_) | Self::ShortMemory => Layer::Platform,
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
            Self::NoMastership(_) | Self::NotQuiet => Layer::Chip,
            Self::Ramrod(RamrodError::Memory { .. }) => Layer::Platform,
            Self::Ramrod(_) => Layer::StormFirmware,
            Self::Misuse(Misuse::NoResources) => Layer::ManagementFirmware,
            Self::Misuse(Misuse::NoInterruptVectors) => Layer::Platform,
            Self::Misuse(_) => Layer::Driver,
        }
    }

    /// The command that failed, where it was one.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        match self {
            Self::Mailbox(error)
            | Self::Load(LoadError::Mailbox(error))
            | Self::Resources(ResourceError::Mailbox(error)) => Some(Command::Mfw(error.command())),
            Self::Load(_) => Some(Command::Mfw(DriverCommand::LOAD_REQ)),
            Self::Resources(ResourceError::LockBusy(_) | ResourceError::LockRefused { .. }) => {
                Some(Command::Mfw(DriverCommand::RESOURCE_CMD))
            }
            Self::Resources(ResourceError::BeyondChip { .. }) => {
                Some(Command::Mfw(DriverCommand::GET_RESOURCE_ALLOC))
            }
            Self::Images(_) => Some(Command::Mfw(DriverCommand::BIST_TEST)),
            Self::Unsupported(reply) | Self::Refused(reply) => Some(Command::Mfw(reply.command)),
            Self::Ramrod(error) => Some(Command::Ramrod(error.ramrod())),
            _ => None,
        }
    }

    /// What the management firmware answered, where it did.
    #[must_use]
    pub fn raw_reply(&self) -> Option<RawReply> {
        match self {
            Self::Unsupported(reply) | Self::Refused(reply) => Some(*reply),
            Self::Load(
                LoadError::Refused { code, param } | LoadError::AlreadyLoaded { code, param, .. },
            ) => Some(RawReply {
                command: DriverCommand::LOAD_REQ,
                code: *code,
                param: *param,
            }),
            Self::Load(LoadError::ForceNeeded { param, .. }) => Some(RawReply {
                command: DriverCommand::LOAD_REQ,
                code: FirmwareResponse::DRV_LOAD_REFUSED_REQUIRES_FORCE,
                param: *param,
            }),
            Self::Resources(ResourceError::LockRefused { code, param }) => Some(RawReply {
                command: DriverCommand::RESOURCE_CMD,
                code: *code,
                param: *param,
            }),
            Self::Images(refused) => {
                let (code, param) = match *refused {
                    ImagesRefused::Code { code, param }
                    | ImagesRefused::Image { code, param, .. } => (code, param),
                    ImagesRefused::AbsurdCount { count } => (FirmwareResponse::OK, count),
                };
                Some(RawReply {
                    command: DriverCommand::BIST_TEST,
                    code,
                    param,
                })
            }
            _ => None,
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
            _ => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.layer())?;
        match self {
            Self::Memory(error) => error.fmt(f),
            Self::ShortMemory => f.write_str(
                "the host gave less DMA memory than it was asked for, or not aligned so",
            ),
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
                    "the function did not become a master on PCI (register reads {value:#x})"
                )
            }
            Self::NotQuiet => f.write_str("the device did not confirm that it starts no more DMA"),
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
            ConfigError::ShortMemory => Self::ShortMemory,
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
