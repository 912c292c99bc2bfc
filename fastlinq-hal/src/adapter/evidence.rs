//! What a cause rests on: what was asked of whom, and what came back, undecoded.

use core::fmt;

use fastlinq_pac::bar::{ME_CONCRETE, ME_OPAQUE};
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};
use fastlinq_pac::registers::{igu, misc, miscs, pglue_b};
use fastlinq_pac::{Bar0Offset, GrcAddress};

use super::cause::Cause;
use crate::access::{AccessError, DmaeError};
use crate::config::ConfigError;
use crate::init::InitError;
use crate::mfw::bist::ImagesRefused;
use crate::mfw::load::LoadError;
use crate::mfw::resources::ResourceError;
use crate::mfw::{AttachError, SectionError, response_name};
use crate::slowpath::{Ramrod, RamrodError};

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

/// What was asked of whom when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// A command to the management firmware.
    Mfw(DriverCommand),
    /// A ramrod to the storm firmware.
    Ramrod(Ramrod),
    /// A read of a register, or of a word of the management firmware's shared memory.
    Read(GrcAddress),
    /// A read in BAR0 that goes through no movable window.
    ReadBar0(Bar0Offset),
    /// A read of PCI configuration space.
    ReadConfiguration,
    /// A copy by the DMA engine for registers.
    Dmae,
    /// A request for DMA memory to the host.
    Allocate,
    /// A BAR, as the host maps it.
    MapBar,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Mfw(command) => write!(
                f,
                "{} ({:#06x}) to the management firmware",
                command.name().unwrap_or("a command"),
                command.0
            ),
            Self::Ramrod(ramrod) => write!(f, "{ramrod} to the storm firmware"),
            Self::Read(address) => write!(f, "read of {address}"),
            Self::ReadBar0(offset) => write!(f, "read of BAR0 offset {:#07x}", offset.value()),
            Self::ReadConfiguration => f.write_str("read of PCI configuration space"),
            Self::Dmae => f.write_str("copy by the DMA engine for registers"),
            Self::Allocate => f.write_str("request for DMA memory"),
            Self::MapBar => f.write_str("mapping of a BAR"),
        }
    }
}

/// What a device that is gone was asked last: the register that always has an answer.
const ALIVE: Command = Command::ReadBar0(ME_OPAQUE);

/// A command, and the raw value; what [`Cause`] gives one by one.
type Evidence = (Option<Command>, Option<u32>);

const NONE: Evidence = (None, None);
const GONE: Evidence = (Some(ALIVE), Some(u32::MAX));

fn read(address: GrcAddress, value: u32) -> Evidence {
    (Some(Command::Read(address)), Some(value))
}

fn mfw(command: DriverCommand, value: Option<u32>) -> Evidence {
    (Some(Command::Mfw(command)), value)
}

fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn bytes(value: usize) -> u32 {
    low(value as u64)
}

impl Cause {
    /// What was asked of whom when it failed; `None` where the device and the host were not asked: the firmware file is
    /// of no use, or the caller wants what cannot be.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        self.evidence().0
    }

    /// What the device or the host gave instead of the right answer, undecoded; `None` where nothing came.
    ///
    /// For an answer of the management firmware it is what is wrong with it: the response code, or the parameter where
    /// the code was good. See [`raw_reply`](Self::raw_reply) for both.
    #[must_use]
    pub fn raw_value(&self) -> Option<u32> {
        self.evidence().1
    }

    fn evidence(&self) -> Evidence {
        match *self {
            Self::Memory(error) => (Some(Command::Allocate), Some(bytes(error.size))),
            Self::ShortMemory { bytes: given, .. } => (Some(Command::Allocate), Some(bytes(given))),
            Self::Misaligned { address, .. } => (Some(Command::Allocate), Some(address.low())),
            Self::Access(error) => access(error),
            Self::Dmae(error) => dmae(error),
            Self::Attach(error) => attach(error),
            Self::Section(error) => section(error),
            Self::Mailbox(error)
            | Self::Load(LoadError::Mailbox(error))
            | Self::Resources(ResourceError::Mailbox(error)) => {
                mfw(error.command(), error.raw_value())
            }
            Self::Unsupported(reply) | Self::Refused(reply) => {
                mfw(reply.command, Some(reply.code.0.into()))
            }
            Self::Load(LoadError::Refused { code, .. } | LoadError::AlreadyLoaded { code, .. }) => {
                mfw(DriverCommand::LOAD_REQ, Some(code.0.into()))
            }
            Self::Load(LoadError::ForceNeeded { .. }) => {
                let code = FirmwareResponse::DRV_LOAD_REFUSED_REQUIRES_FORCE;
                mfw(DriverCommand::LOAD_REQ, Some(code.0.into()))
            }
            Self::Resources(ResourceError::LockBusy { param, .. }) => {
                mfw(DriverCommand::RESOURCE_CMD, Some(param))
            }
            Self::Resources(ResourceError::LockRefused { code, .. }) => {
                mfw(DriverCommand::RESOURCE_CMD, Some(code.0.into()))
            }
            Self::Resources(ResourceError::BeyondChip { start, .. }) => {
                mfw(DriverCommand::GET_RESOURCE_ALLOC, Some(start))
            }
            Self::Images(refused) => {
                let value = match refused {
                    ImagesRefused::Code { code, .. } | ImagesRefused::Image { code, .. } => {
                        code.0.into()
                    }
                    ImagesRefused::AbsurdCount { count } => count,
                };
                mfw(DriverCommand::BIST_TEST, Some(value))
            }
            Self::Firmware(_) | Self::Misuse(_) => NONE,
            Self::Init(error) => init(error),
            Self::Config(error) => config(error),
            Self::NoMastership(value) | Self::NotQuiet(value) => {
                read(pglue_b::INTERNAL_PFID_ENABLE_MASTER.address(), value)
            }
            Self::Ramrod(error) => {
                let value = match error {
                    RamrodError::Refused { code, .. } => Some(code.raw().into()),
                    RamrodError::TimedOut { .. }
                    | RamrodError::DeviceGone { .. }
                    | RamrodError::Stuck { .. }
                    | RamrodError::Memory { .. } => None,
                };
                (Some(Command::Ramrod(error.ramrod())), value)
            }
        }
    }

    /// What the management firmware answered, where it did.
    #[must_use]
    pub fn raw_reply(&self) -> Option<RawReply> {
        let (command, code, param) = match *self {
            Self::Unsupported(reply) | Self::Refused(reply) => return Some(reply),
            Self::Load(
                LoadError::Refused { code, param } | LoadError::AlreadyLoaded { code, param, .. },
            ) => (DriverCommand::LOAD_REQ, code, param),
            Self::Load(LoadError::ForceNeeded { param, .. }) => (
                DriverCommand::LOAD_REQ,
                FirmwareResponse::DRV_LOAD_REFUSED_REQUIRES_FORCE,
                param,
            ),
            Self::Resources(ResourceError::LockBusy { param, .. }) => {
                (DriverCommand::RESOURCE_CMD, FirmwareResponse::OK, param)
            }
            Self::Resources(ResourceError::LockRefused { code, param }) => {
                (DriverCommand::RESOURCE_CMD, code, param)
            }
            Self::Resources(ResourceError::BeyondChip { code, param, .. }) => {
                (DriverCommand::GET_RESOURCE_ALLOC, code, param)
            }
            Self::Images(
                ImagesRefused::Code { code, param } | ImagesRefused::Image { code, param, .. },
            ) => (DriverCommand::BIST_TEST, code, param),
            Self::Images(ImagesRefused::AbsurdCount { count }) => {
                (DriverCommand::BIST_TEST, FirmwareResponse::OK, count)
            }
            _ => return None,
        };
        Some(RawReply {
            command,
            code,
            param,
        })
    }
}

fn access(error: AccessError) -> Evidence {
    match error {
        AccessError::DeviceGone => GONE,
        AccessError::RegisterBarTooSmall { bytes: mapped, .. } => {
            (Some(Command::MapBar), Some(bytes(mapped)))
        }
        AccessError::NotThisFamily { vendor, device } => (
            Some(Command::ReadConfiguration),
            Some(u32::from(device) << 16 | u32::from(vendor)),
        ),
        AccessError::ImpossibleFunction { concrete } => {
            (Some(Command::ReadBar0(ME_CONCRETE)), Some(concrete))
        }
        AccessError::OutsideBar { offset, .. } => (None, Some(offset)),
        AccessError::NoFreeWindow => NONE,
    }
}

fn dmae(error: DmaeError) -> Evidence {
    let value = match error {
        DmaeError::DeviceGone => return GONE,
        DmaeError::TimedOut { opcode, .. } => Some(opcode),
        DmaeError::WrongData { found, .. } => Some(found),
        DmaeError::TooLong { dwords } => Some(dwords),
        DmaeError::Poisoned | DmaeError::Absent | DmaeError::NullAddress => None,
    };
    (Some(Command::Dmae), value)
}

fn attach(error: AttachError) -> Evidence {
    match error.register() {
        Some(register) => read(register, error.raw_value()),
        None => GONE,
    }
}

fn section(error: SectionError) -> Evidence {
    match error {
        SectionError::DeviceGone => GONE,
        SectionError::Detached => NONE,
        SectionError::NoSuchField { at, bytes, .. } => read(at, bytes),
    }
}

fn init(error: InitError) -> Evidence {
    match error {
        InitError::DeviceGone { .. } => GONE,
        InitError::PollFailed { poll, .. } | InitError::TooManyFailedPolls { poll, .. } => {
            read(poll.address, poll.last)
        }
        InitError::Dma { error, .. } => dmae(error),
        InitError::Firmware(_)
        | InitError::WideBeforeDma { .. }
        | InitError::UnknownCallback { .. }
        | InitError::DelayTooLong { .. }
        | InitError::TooManyWrites { .. } => NONE,
    }
}

fn config(error: ConfigError) -> Evidence {
    match error {
        ConfigError::Access(error) => access(error),
        ConfigError::Dma(error) => dmae(error),
        ConfigError::Init(error) => init(error),
        ConfigError::Memory(error) => (Some(Command::Allocate), Some(bytes(error.size))),
        ConfigError::ShortMemory { bytes: given, .. } => {
            (Some(Command::Allocate), Some(bytes(given)))
        }
        ConfigError::Misaligned { address, .. } => (Some(Command::Allocate), Some(address.low())),
        ConfigError::TwoEngines { pairs } => read(miscs::CMT_ENABLED_FOR_PAIR.address(), pairs),
        ConfigError::ChipRevision { revision } => read(miscs::CHIP_REV.address(), revision.into()),
        ConfigError::Ports { ports } => read(misc::PORT_MODE.address(), ports.into()),
        ConfigError::TooFew { count, .. } => mfw(DriverCommand::GET_RESOURCE_ALLOC, Some(count)),
        ConfigError::BeyondChip { start, .. } => {
            mfw(DriverCommand::GET_RESOURCE_ALLOC, Some(start))
        }
        ConfigError::NoStatusBlock { first_line } => {
            read(igu::MAPPING_MEMORY.address(), first_line)
        }
        ConfigError::DoorbellBarTooSmall { bytes, .. } => (Some(Command::MapBar), Some(low(bytes))),
        ConfigError::CleanupTimedOut { at, .. } => (Some(Command::ReadBar0(at)), Some(0)),
        ConfigError::Firmware(_)
        | ConfigError::Runtime(_)
        | ConfigError::NoVariable(_)
        | ConfigError::OverlayTooLarge { .. }
        | ConfigError::FiltersFull => NONE,
    }
}
