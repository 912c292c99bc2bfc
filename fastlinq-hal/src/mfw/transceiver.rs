//! The memory of the module in the port, over I2C.

use core::fmt;

use fastlinq_pac::mfw::constants::param;
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

use super::{Answer, MailboxError};
use crate::core_state::Core;
use crate::host::Host;

/// Most bytes of one command.
const CHUNK: usize = 16;

/// I2C address of a module's first memory.
pub const MODULE_MEMORY: u8 = 0xa0;

/// I2C address of an SFP's diagnostics.
pub const MODULE_DIAGNOSTICS: u8 = 0xa2;

/// Why an access to a module ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransceiverError {
    /// A command has no answer.
    Mailbox(MailboxError),
    /// The management firmware said success and moved no bytes.
    NoProgress {
        /// Byte of the module's memory.
        offset: u16,
    },
    /// The range leaves the 64 KiB that a command can name.
    OutsideModule {
        /// First byte asked for.
        offset: u16,
        /// Bytes asked for.
        bytes: usize,
    },
}

impl fmt::Display for TransceiverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox(error) => error.fmt(f),
            Self::NoProgress { offset } => write!(
                f,
                "the management firmware moved no bytes of the module at {offset:#x}"
            ),
            Self::OutsideModule { offset, bytes } => {
                write!(f, "{bytes} bytes at {offset:#x} are not in a module")
            }
        }
    }
}

impl core::error::Error for TransceiverError {}

impl From<MailboxError> for TransceiverError {
    fn from(error: MailboxError) -> Self {
        Self::Mailbox(error)
    }
}

/// Fills `to` from byte `offset` of the memory at I2C address `i2c` (TRANSCEIVER_READ), 16 bytes a command.
///
/// [`FirmwareResponse::TRANSCEIVER_NOT_PRESENT`] when there is no module.
///
/// # Errors
///
/// [`TransceiverError`]. More bytes than asked for are ignored, none at all is an error.
pub fn read<H: Host>(
    core: &mut Core<H>,
    i2c: u8,
    offset: u16,
    to: &mut [u8],
) -> Result<Answer<()>, TransceiverError> {
    check(offset, to.len())?;
    let mut done = 0;
    while done < to.len() {
        let at = offset.wrapping_add(done as u16);
        let asked = (to.len() - done).min(CHUNK);
        let word = parameter(core, i2c, at, asked);
        let reply = core.command(DriverCommand::TRANSCEIVER_READ, word, &[])?;
        let moved = match reply.judge_ok(|reply| reply.param as usize) {
            Answer::Done(moved) => moved.min(asked),
            other => return Ok(other.map(|_| ())),
        };
        if moved == 0 {
            return Err(TransceiverError::NoProgress { offset: at });
        }
        for (target, source) in to.iter_mut().skip(done).zip(reply.union).take(moved) {
            *target = source;
        }
        done += moved;
    }
    Ok(Answer::Done(()))
}

/// Writes `data` from byte `offset` of the memory at I2C address `i2c` on (TRANSCEIVER_WRITE).
///
/// # Errors
///
/// [`TransceiverError`].
pub fn write<H: Host>(
    core: &mut Core<H>,
    i2c: u8,
    offset: u16,
    data: &[u8],
) -> Result<Answer<()>, TransceiverError> {
    check(offset, data.len())?;
    let mut at = offset;
    for chunk in data.chunks(CHUNK) {
        let word = parameter(core, i2c, at, chunk.len());
        let reply = core.command(DriverCommand::TRANSCEIVER_WRITE, word, chunk)?;
        let answer = reply.judge(&[FirmwareResponse::TRANSCEIVER_DIAG_OK], |_| ());
        if answer != Answer::Done(()) {
            return Ok(answer);
        }
        at = at.wrapping_add(chunk.len() as u16);
    }
    Ok(Answer::Done(()))
}

fn check(offset: u16, bytes: usize) -> Result<(), TransceiverError> {
    match usize::from(offset).checked_add(bytes) {
        Some(end) if end <= 1 << 16 => Ok(()),
        _ => Err(TransceiverError::OutsideModule { offset, bytes }),
    }
}

fn parameter<H: Host>(core: &Core<H>, i2c: u8, offset: u16, bytes: usize) -> u32 {
    let ports = core.mailbox.ports().unwrap_or(1).max(1);
    let port = if core.identity.coupled {
        0
    } else {
        u32::from(core.identity.abs_pf % ports)
    };
    port & param::TRANSCEIVER_PORT_MASK
        | (bytes as u32) << param::TRANSCEIVER_SIZE_OFFSET & param::TRANSCEIVER_SIZE_MASK
        | u32::from(i2c) << param::TRANSCEIVER_I2C_ADDRESS_OFFSET
        | u32::from(offset) << param::TRANSCEIVER_OFFSET_OFFSET
}

#[cfg(test)]
#[path = "transceiver_tests.rs"]
mod tests;
