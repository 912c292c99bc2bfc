//! Every cause names its layer, and everything that came from the device or the host is in it undecoded.

extern crate std;

use std::string::ToString;
use std::vec;
use std::vec::Vec;

use fastlinq_pac::init_file::{Phase, PollType};
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse, PublicSection};
use fastlinq_pac::versions::{FirmwareVersion, IroId};
use fastlinq_pac::{Bar0Offset, GrcAddress};

use super::*;
use crate::adapter::Command;
use crate::init::FailedPoll;
use crate::mfw::HangReport;
use crate::mfw::load::ExistingDriver;
use crate::mfw::lock;
use crate::mfw::resources::Resource;
use crate::queue::QueuePairId;
use crate::slowpath::{FirmwareReturnCode, Ramrod};
use crate::vport::VportId;

const AT: GrcAddress = GrcAddress(0xe2_1234);
const REPLY: RawReply = RawReply {
    command: DriverCommand::BIST_TEST,
    code: FirmwareResponse::ERROR,
    param: 7,
};
const POLL: FailedPoll = FailedPoll {
    address: AT,
    poll: PollType::EQ,
    expected: 1,
    last: 0xabc,
};
const EXISTING: ExistingDriver = ExistingDriver {
    role: 2,
    interface: 2,
    version: [0; 2],
    firmware: 0x83b_0100,
};

/// A cause, its layer, and whether it has a command and a raw value.
type Case = (Cause, Layer, Option<Command>, Option<u32>);

fn read(value: u32) -> (Option<Command>, Option<u32>) {
    (Some(Command::Read(AT)), Some(value))
}

fn mailbox_errors() -> Vec<(MailboxError, Layer, Option<u32>)> {
    let command = DriverCommand::LOAD_REQ;
    let mfw = Layer::ManagementFirmware;
    vec![
        (
            MailboxError::DeviceGone { command },
            Layer::Pci,
            Some(u32::MAX),
        ),
        (
            MailboxError::NoAnswer {
                command,
                param: 1,
                header: 0x1234,
                hang: HangReport::default(),
            },
            mfw,
            Some(0x1234),
        ),
        (
            MailboxError::Restarted {
                command,
                restarts: (3, 4),
            },
            mfw,
            Some(4),
        ),
        (
            MailboxError::Blocked {
                command,
                since: DriverCommand::OV_UPDATE_MTU,
            },
            mfw,
            None,
        ),
        (MailboxError::Detached { command }, mfw, None),
        (
            MailboxError::Lost {
                command,
                cause: AttachError::Absent,
            },
            mfw,
            Some(0),
        ),
        (
            MailboxError::Lost {
                command,
                cause: AttachError::DeviceGone,
            },
            Layer::Pci,
            Some(u32::MAX),
        ),
        (
            MailboxError::PayloadTooLong { command, bytes: 40 },
            mfw,
            None,
        ),
    ]
}

fn attach_errors() -> Vec<(AttachError, u32)> {
    vec![
        (AttachError::BadSectionCount { at: AT, count: 99 }, 99),
        (
            AttachError::BadSection {
                section: PublicSection::PORT,
                at: AT,
                word: 0x9fff,
                index: 1,
            },
            0x9fff,
        ),
        (AttachError::StillBooting { at: AT }, 0),
        (
            AttachError::BadEventCount {
                at: AT,
                messages: 65,
            },
            65,
        ),
        (AttachError::BadPortCount { at: AT, count: 5 }, 5),
    ]
}

fn management_firmware() -> Vec<Case> {
    let mfw = Layer::ManagementFirmware;
    let of = |command| Some(Command::Mfw(command));
    let mut cases = Vec::new();
    for (error, layer, value) in mailbox_errors() {
        for cause in [
            Cause::Mailbox(error),
            Cause::Load(error.into()),
            Cause::Resources(error.into()),
        ] {
            cases.push((cause, layer, of(DriverCommand::LOAD_REQ), value));
        }
    }
    for (error, value) in attach_errors() {
        let (command, value) = read(value);
        cases.push((error.into(), mfw, command, value));
    }
    let register = Some(Command::Read(GrcAddress(0x8c20)));
    let refused = FirmwareResponse::DRV_LOAD_REFUSED_REJECT;
    let load = of(DriverCommand::LOAD_REQ);
    let bist = of(DriverCommand::BIST_TEST);
    let resources = of(DriverCommand::GET_RESOURCE_ALLOC);
    cases.extend([
        (AttachError::Absent.into(), mfw, register, Some(0)),
        (
            AttachError::BadPublicBase { address: 1 }.into(),
            mfw,
            register,
            Some(1),
        ),
        (SectionError::Detached.into(), mfw, None, None),
        (
            SectionError::NoSuchField {
                at: AT,
                offset: 0x598,
                bytes: 8,
            }
            .into(),
            mfw,
            Some(Command::Read(AT)),
            Some(8),
        ),
        (Cause::Unsupported(REPLY), mfw, bist, Some(0x17)),
        (Cause::Refused(REPLY), mfw, bist, Some(0x17)),
        (
            LoadError::Refused {
                code: refused,
                param: 0,
            }
            .into(),
            mfw,
            load,
            Some(0x1031),
        ),
        (
            LoadError::ForceNeeded {
                existing: EXISTING,
                param: 0,
            }
            .into(),
            mfw,
            load,
            Some(0x1030),
        ),
        (
            LoadError::AlreadyLoaded {
                existing: EXISTING,
                code: FirmwareResponse::DRV_LOAD_ENGINE,
                param: 0,
            }
            .into(),
            mfw,
            load,
            Some(0x1010),
        ),
        (
            ResourceError::LockBusy {
                owner: lock::LockOwner::Function(3),
                param: 0x203,
            }
            .into(),
            mfw,
            of(DriverCommand::RESOURCE_CMD),
            Some(0x203),
        ),
        (
            ResourceError::LockRefused {
                code: FirmwareResponse::ERROR,
                param: 0,
            }
            .into(),
            mfw,
            of(DriverCommand::RESOURCE_CMD),
            Some(0x17),
        ),
        (
            ResourceError::BeyondChip {
                resource: Resource::Vports,
                start: 500,
                count: 1,
                total: 208,
                code: FirmwareResponse::RESOURCE_ALLOC_OK,
                param: 0,
            }
            .into(),
            mfw,
            resources,
            Some(500),
        ),
        (
            Cause::Images(ImagesRefused::AbsurdCount { count: 9999 }),
            mfw,
            bist,
            Some(9999),
        ),
        (
            Cause::Images(ImagesRefused::Code {
                code: FirmwareResponse::ERROR,
                param: 0,
            }),
            mfw,
            bist,
            Some(0x17),
        ),
        (
            Cause::Images(ImagesRefused::Image {
                index: 3,
                code: FirmwareResponse::ERROR,
                param: 0,
                return_code: 2,
            }),
            mfw,
            bist,
            Some(0x17),
        ),
        (
            ConfigError::TooFew {
                resource: Resource::Vports,
                count: 0,
                needed: 1,
            }
            .into(),
            mfw,
            resources,
            Some(0),
        ),
        (
            ConfigError::BeyondChip {
                resource: Resource::Vports,
                start: 500,
                count: 1,
            }
            .into(),
            mfw,
            resources,
            Some(500),
        ),
    ]);
    cases
}

fn chip() -> Vec<Case> {
    let chip = Layer::Chip;
    let master = Some(Command::Read(GrcAddress(0x2a_a16c)));
    let of = |address| Some(Command::Read(GrcAddress(address)));
    let dmae = Some(Command::Dmae);
    let timed_out = DmaeError::TimedOut {
        opcode: 0x11,
        source: 1,
        destination: 2,
        dwords: 3,
    };
    let wrong = DmaeError::WrongData {
        offset: 4,
        expected: 5,
        found: 6,
    };
    vec![
        (timed_out.into(), chip, dmae, Some(0x11)),
        (wrong.into(), chip, dmae, Some(6)),
        (DmaeError::Poisoned.into(), chip, dmae, None),
        (DmaeError::Absent.into(), chip, dmae, None),
        (DmaeError::NullAddress.into(), chip, dmae, None),
        (DmaeError::TooLong { dwords: 9 }.into(), chip, dmae, Some(9)),
        (
            InitError::PollFailed {
                phase: Phase::ENGINE,
                poll: POLL,
            }
            .into(),
            chip,
            Some(Command::Read(AT)),
            Some(0xabc),
        ),
        (
            InitError::TooManyFailedPolls {
                phase: Phase::ENGINE,
                poll: POLL,
            }
            .into(),
            chip,
            Some(Command::Read(AT)),
            Some(0xabc),
        ),
        (
            InitError::Dma {
                phase: Phase::ENGINE,
                address: None,
                error: wrong,
            }
            .into(),
            chip,
            dmae,
            Some(6),
        ),
        (ConfigError::Dma(wrong).into(), chip, dmae, Some(6)),
        (
            ConfigError::TwoEngines { pairs: 1 }.into(),
            chip,
            of(0x971c),
            Some(1),
        ),
        (
            ConfigError::ChipRevision { revision: 3 }.into(),
            chip,
            of(0x9770),
            Some(3),
        ),
        (
            ConfigError::Ports { ports: 3 }.into(),
            chip,
            of(0x8c00),
            Some(3),
        ),
        (
            ConfigError::NoStatusBlock { first_line: 4 }.into(),
            chip,
            of(0x18_4000),
            Some(4),
        ),
        (Cause::NoMastership(2), chip, master, Some(2)),
        (Cause::NotQuiet(1), chip, master, Some(1)),
    ]
}

fn gone() -> Vec<Case> {
    let alive = Some(Command::ReadBar0(Bar0Offset(0x1f8)));
    let ones = Some(u32::MAX);
    let phase = Phase::PORT;
    let dma = InitError::Dma {
        phase,
        address: Some(AT),
        error: DmaeError::DeviceGone,
    };
    vec![
        (AccessError::DeviceGone.into(), Layer::Pci, alive, ones),
        (DmaeError::DeviceGone.into(), Layer::Pci, alive, ones),
        (AttachError::DeviceGone.into(), Layer::Pci, alive, ones),
        (SectionError::DeviceGone.into(), Layer::Pci, alive, ones),
        (
            InitError::DeviceGone { phase }.into(),
            Layer::Pci,
            alive,
            ones,
        ),
        (dma.into(), Layer::Pci, alive, ones),
        (
            ConfigError::Access(AccessError::DeviceGone).into(),
            Layer::Pci,
            alive,
            ones,
        ),
    ]
}

fn storm_firmware() -> Vec<Case> {
    let storm = Layer::StormFirmware;
    let ramrod = Ramrod::PfStart;
    let of = Some(Command::Ramrod(ramrod));
    let version = FirmwareVersion::new(8, 10, 10, 0);
    let file = FirmwareError::UnsupportedVersion { version };
    let at = Bar0Offset(0x14a80);
    vec![
        (
            RamrodError::Refused {
                ramrod,
                code: FirmwareReturnCode::Common(1),
            }
            .into(),
            storm,
            of,
            Some(1),
        ),
        (
            RamrodError::TimedOut {
                ramrod,
                waited_ms: 10_000,
            }
            .into(),
            storm,
            of,
            None,
        ),
        (
            RamrodError::Stuck {
                ramrod,
                outstanding: 1,
            }
            .into(),
            storm,
            of,
            None,
        ),
        (
            ConfigError::CleanupTimedOut { function: 1, at }.into(),
            storm,
            Some(Command::ReadBar0(at)),
            Some(0),
        ),
        (file.into(), storm, None, None),
        (InitError::Firmware(file).into(), storm, None, None),
        (
            InitError::WideBeforeDma { address: AT }.into(),
            storm,
            None,
            None,
        ),
        (
            InitError::UnknownCallback { id: 1, block: 2 }.into(),
            storm,
            None,
            None,
        ),
        (InitError::DelayTooLong { us: 3 }.into(), storm, None, None),
        (
            InitError::TooManyWrites { phase: Phase::PF }.into(),
            storm,
            None,
            None,
        ),
        (ConfigError::Firmware(file).into(), storm, None, None),
        (
            ConfigError::NoVariable(IroId::XSTORM_PQ_INFO).into(),
            storm,
            None,
            None,
        ),
        (
            ConfigError::OverlayTooLarge { bytes: 1 }.into(),
            storm,
            None,
            None,
        ),
    ]
}

fn host_and_driver() -> Vec<Case> {
    let platform = Layer::Platform;
    let driver = Layer::Driver;
    let allocate = Some(Command::Allocate);
    let map = Some(Command::MapBar);
    let memory = AllocationError { size: 64, align: 8 };
    let short = ConfigError::ShortMemory {
        bytes: 12,
        needed: 64,
    };
    let address = BusAddress(0x123);
    let misaligned = ConfigError::Misaligned { address, align: 8 };
    let small = AccessError::RegisterBarTooSmall {
        bytes: 4096,
        needed: 8192,
    };
    let ramrod = Ramrod::PfStart;
    vec![
        (memory.into(), platform, allocate, Some(64)),
        (
            ConfigError::Memory(memory).into(),
            platform,
            allocate,
            Some(64),
        ),
        (short.into(), platform, allocate, Some(12)),
        (misaligned.into(), platform, allocate, Some(0x123)),
        (small.into(), platform, map, Some(4096)),
        (
            ConfigError::DoorbellBarTooSmall {
                bytes: 1,
                needed: 2,
            }
            .into(),
            platform,
            map,
            Some(1),
        ),
        (
            RamrodError::Memory { ramrod }.into(),
            platform,
            Some(Command::Ramrod(ramrod)),
            None,
        ),
        (
            AccessError::NotThisFamily {
                vendor: 0x8086,
                device: 0x1572,
            }
            .into(),
            Layer::Pci,
            Some(Command::ReadConfiguration),
            Some(0x1572_8086),
        ),
        (
            AccessError::ImpossibleFunction { concrete: 0x80 }.into(),
            Layer::Pci,
            Some(Command::ReadBar0(Bar0Offset(0x1fc))),
            Some(0x80),
        ),
        (AccessError::NoFreeWindow.into(), driver, None, None),
        (
            AccessError::OutsideBar {
                offset: 5,
                bytes: 4,
            }
            .into(),
            driver,
            None,
            Some(5),
        ),
        (ConfigError::FiltersFull.into(), driver, None, None),
        (
            ConfigError::Runtime(crate::init::RuntimeError::Index(1)).into(),
            driver,
            None,
            None,
        ),
        (Misuse::NoInterruptVectors.into(), platform, None, None),
        (
            Misuse::NoResources.into(),
            Layer::ManagementFirmware,
            None,
            None,
        ),
        (Misuse::NoSuchVport(VportId(1)).into(), driver, None, None),
        (
            Misuse::NoSuchQueuePair(QueuePairId(1)).into(),
            driver,
            None,
            None,
        ),
    ]
}

#[test]
fn every_cause_names_layer_command_and_raw_value() {
    let cases = [
        management_firmware(),
        chip(),
        gone(),
        storm_firmware(),
        host_and_driver(),
    ];
    for (cause, layer, command, value) in cases.into_iter().flatten() {
        assert_eq!(cause.layer(), layer, "{cause:?}");
        assert_eq!(cause.command(), command, "{cause:?}");
        assert_eq!(cause.raw_value(), value, "{cause:?}");
        assert_eq!(
            cause.is_device_gone(),
            layer == Layer::Pci && value == Some(u32::MAX)
        );
        let sentence = cause.to_string();
        assert!(
            sentence.starts_with(&std::format!("{layer}: ")),
            "{sentence}"
        );
        assert!(sentence.len() > layer.to_string().len() + 10, "{sentence}");
        assert!(
            !sentence.contains('\n') && sentence.len() < 300,
            "{sentence}"
        );
        if let Some(reply) = cause.raw_reply() {
            assert_eq!(command, Some(Command::Mfw(reply.command)), "{cause:?}");
        }
        if let Some(command) = command {
            assert!(!command.to_string().is_empty());
        }
    }
}

#[test]
fn what_was_read_is_in_the_sentence() {
    for (error, value) in attach_errors() {
        let sentence = Cause::from(error).to_string();
        let place = AT.to_string();
        let index = matches!(error, AttachError::BadSection { .. });
        assert!(index || sentence.contains(&place), "{sentence}");
        let raw = std::format!("{value:x}");
        assert!(sentence.contains(&raw), "{sentence}");
    }
    let quiet = Cause::NotQuiet(1).to_string();
    assert!(quiet.contains("2aa16c"), "{quiet}");
}
