//! Locks that the management firmware keeps between functions (RESOURCE_CMD).

use core::fmt;

use fastlinq_pac::mfw::DriverCommand;
use fastlinq_pac::mfw::constants::resource_lock as word;

use super::{Answer, MailboxError};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{Shown, debug};

/// A lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Lock {
    /// Debug dump.
    Dump,
    /// Precision time of a port, 0 to 3.
    PrecisionTime(u8),
    /// Resource allocation.
    ResourceAllocation,
}

impl Lock {
    const fn id(self) -> u32 {
        match self {
            Self::Dump => word::DUMP,
            Self::PrecisionTime(port) => 1 + (port & 3) as u32,
            Self::ResourceAllocation => 31,
        }
    }
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LockOwner {
    /// A PF of the chip.
    Function(u8),
    /// The management firmware.
    ManagementFirmware,
    /// The diagnostic driver.
    Diagnostics,
    /// A value that no source documents.
    Unknown(u8),
}

impl fmt::Display for LockOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(function) => write!(f, "PF {function}"),
            Self::ManagementFirmware => f.write_str("the firmware itself"),
            Self::Diagnostics => f.write_str("the diagnostic driver"),
            Self::Unknown(owner) => write!(f, "unknown owner {owner:#x}"),
        }
    }
}

impl LockOwner {
    const fn decode(param: u32) -> Self {
        match (param & word::CMD_RSP_OWNER_MASK) as u8 {
            function @ 0..=15 => Self::Function(function),
            16 => Self::ManagementFirmware,
            17 => Self::Diagnostics,
            other => Self::Unknown(other),
        }
    }
}

/// What came of asking for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LockState {
    /// The driver has it.
    Granted,
    /// Somebody else kept it over all retries.
    Busy {
        /// Who.
        owner: LockOwner,
        /// Parameter of the last answer, whose code was OK.
        param: u32,
    },
}

/// Requests for a busy lock, 10 ms apart.
const REQUESTS: u32 = 10;
const RETRY_MS: u32 = 10;

/// Asks for `lock`, retrying up to ten times when it is busy; it ages by the management firmware's default.
///
/// # Errors
///
/// [`MailboxError`].
pub fn acquire<H: Host>(core: &mut Core<H>, lock: Lock) -> Result<Answer<LockState>, MailboxError> {
    let mut request = 1;
    loop {
        let answer = send(core, lock, word::OPCODE_REQ)?;
        let Answer::Done(param) = answer else {
            return Ok(answer.map(|_| LockState::Granted));
        };
        match opcode(param) {
            word::OPCODE_GNT => return Ok(Answer::Done(LockState::Granted)),
            word::OPCODE_BUSY if request < REQUESTS => {}
            word::OPCODE_BUSY => {
                return Ok(Answer::Done(LockState::Busy {
                    owner: LockOwner::decode(param),
                    param,
                }));
            }
            _ => return Ok(refused(param)),
        }
        debug!(
            "lock {} is with {}",
            lock.id(),
            Shown(&LockOwner::decode(param))
        );
        request += 1;
        core.host.delay_ms(RETRY_MS);
    }
}

/// Releases `lock`.
///
/// # Errors
///
/// [`MailboxError`].
pub fn release<H: Host>(core: &mut Core<H>, lock: Lock) -> Result<Answer<()>, MailboxError> {
    let answer = send(core, lock, word::OPCODE_RELEASE)?;
    let Answer::Done(param) = answer else {
        return Ok(answer.map(|_| ()));
    };
    Ok(match opcode(param) {
        word::OPCODE_RELEASED | word::OPCODE_RELEASED_PREVIOUS => Answer::Done(()),
        _ => refused(param),
    })
}

fn send<H: Host>(core: &mut Core<H>, lock: Lock, opcode: u32) -> Result<Answer<u32>, MailboxError> {
    let param = lock.id() | opcode << word::CMD_REQ_OPCODE_SHIFT;
    let reply = core.command(DriverCommand::RESOURCE_CMD, param, &[])?;
    let answer = reply.judge_ok(|reply| reply.param);
    Ok(match answer {
        Answer::Done(word::OPCODE_UNKNOWN_CMD) => Answer::Unsupported {
            param: word::OPCODE_UNKNOWN_CMD,
        },
        other => other,
    })
}

const fn opcode(param: u32) -> u32 {
    (param & word::CMD_RSP_OPCODE_MASK) >> word::CMD_RSP_OPCODE_SHIFT
}

fn refused<T>(param: u32) -> Answer<T> {
    Answer::Refused {
        command: DriverCommand::RESOURCE_CMD,
        code: fastlinq_pac::mfw::FirmwareResponse::OK,
        param,
    }
}
