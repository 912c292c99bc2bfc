//! Reading the flash. There is no writing: the type has no method for it.

use core::fmt;

use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse, UNION_SIZE};
use fastlinq_pac::nvm::ImageType;

use super::{Answer, MailboxError};
use crate::core_state::Core;
use crate::host::Host;

/// Most bytes of one command.
const CHUNK: u32 = UNION_SIZE as u32;

/// First byte that a command cannot name.
const OFFSET_END: u32 = 1 << 24;

/// The driver pauses at each such boundary, so that the management firmware gets to its other work.
const PAUSE_BYTES: u32 = 4096;
const PAUSE_MS: u32 = 1;

/// Where a file is in the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FileAttributes {
    /// First byte.
    pub offset: u32,
    /// Bytes.
    pub bytes: u32,
}

/// Why a read of the flash ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NvmError {
    /// A command has no answer.
    Mailbox(MailboxError),
    /// The management firmware said success and gave no bytes.
    NoProgress {
        /// Byte of the flash.
        offset: u32,
    },
    /// The range leaves the 16 MiB that a command can name.
    OutsideFlash {
        /// First byte asked for.
        offset: u32,
        /// Bytes asked for.
        bytes: usize,
    },
}

impl fmt::Display for NvmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox(error) => error.fmt(f),
            Self::NoProgress { offset } => write!(
                f,
                "the management firmware gave no bytes of the flash at {offset:#x}"
            ),
            Self::OutsideFlash { offset, bytes } => {
                write!(f, "{bytes} bytes at {offset:#x} are not in the flash")
            }
        }
    }
}

impl core::error::Error for NvmError {}

impl From<MailboxError> for NvmError {
    fn from(error: MailboxError) -> Self {
        Self::Mailbox(error)
    }
}

/// Reads the flash through the management firmware.
///
/// ```compile_fail,E0599
/// # use fastlinq_hal::{core_state::Core, host::Host, mfw::nvm::NvmReader};
/// # fn f<H: Host>(core: &mut Core<H>) {
/// // There is no way to write.
/// NvmReader::new(core).write(0, &[0; 4]);
/// # }
/// ```
pub struct NvmReader<'a, H: Host> {
    core: &'a mut Core<H>,
}

impl<'a, H: Host> NvmReader<'a, H> {
    /// A reader.
    pub fn new(core: &'a mut Core<H>) -> Self {
        Self { core }
    }

    /// Asks where a file is (GET_FILE_ATT); [`FirmwareResponse::NVM_FILE_NOT_FOUND`] when there is none.
    ///
    /// # Errors
    ///
    /// [`MailboxError`].
    pub fn file(&mut self, kind: ImageType) -> Result<Answer<FileAttributes>, MailboxError> {
        let reply = self
            .core
            .command(DriverCommand::NVM_GET_FILE_ATT, kind.0, &[])?;
        Ok(reply.judge(&[FirmwareResponse::NVM_OK], |reply| {
            let file = reply.data().file_att();
            FileAttributes {
                offset: file.nvm_start_addr.get(),
                bytes: file.len.get(),
            }
        }))
    }

    /// Fills `to` from byte `offset` of the flash (READ_NVRAM), 32 bytes a command.
    ///
    /// When the management firmware refuses midway, the refusal is the answer and `to` is partly filled.
    ///
    /// # Errors
    ///
    /// [`NvmError`]. More bytes than asked for are ignored, none at all is an error: the loop always ends.
    pub fn read(&mut self, offset: u32, to: &mut [u8]) -> Result<Answer<()>, NvmError> {
        let outside = NvmError::OutsideFlash {
            offset,
            bytes: to.len(),
        };
        let bytes = u32::try_from(to.len()).map_err(|_| outside)?;
        let end = offset.checked_add(bytes).ok_or(outside)?;
        if end > OFFSET_END {
            return Err(outside);
        }
        let mut at = offset;
        while at < end {
            // The flash is read by dwords, whose first byte is the most significant.
            let first = at & !3;
            let skip = at - first;
            let asked = (end - first).next_multiple_of(4).min(CHUNK);
            let reply =
                self.core
                    .command(DriverCommand::NVM_READ_NVRAM, first | asked << 24, &[])?;
            let answer = reply.judge(&[FirmwareResponse::NVM_OK], |reply| reply.param);
            let given = match answer {
                Answer::Done(given) => given.min(asked),
                other => return Ok(other.map(|_| ())),
            };
            let useful = given.saturating_sub(skip).min(end - at);
            if useful == 0 {
                return Err(NvmError::NoProgress { offset: at });
            }
            let source = in_flash_order(&reply.union);
            let source = source.iter().skip(skip as usize);
            let target = to.iter_mut().skip((at - offset) as usize);
            for (target, source) in target.zip(source).take(useful as usize) {
                *target = *source;
            }
            if at / PAUSE_BYTES != (at + useful) / PAUSE_BYTES {
                self.core.host.delay_ms(PAUSE_MS);
            }
            at += useful;
        }
        Ok(Answer::Done(()))
    }
}

impl<H: Host> fmt::Debug for NvmReader<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NvmReader").finish_non_exhaustive()
    }
}

fn in_flash_order(union: &[u8; UNION_SIZE]) -> [u8; UNION_SIZE] {
    let mut bytes = *union;
    for dword in bytes.chunks_mut(4) {
        dword.reverse();
    }
    bytes
}

#[cfg(test)]
#[path = "nvm_tests.rs"]
mod tests;
