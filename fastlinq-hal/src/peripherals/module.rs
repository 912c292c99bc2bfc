//! The module in the port as an I2C bus with an EEPROM on it.

use core::fmt;

use embedded_hal::i2c::{Error, ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

use super::Peripherals;
use crate::host::Host;
use crate::mfw::transceiver::{self, TransceiverError};
use crate::mfw::{Answer, MailboxError};

/// Bytes that one device address has; its address counter is a byte.
const MEMORY: usize = 256;
/// The byte that selects the upper page, in SFF-8636 and in the diagnostics of SFF-8472.
const PAGE_BYTE: u8 = 127;
const ADDRESSES: usize = 128;

/// What may be written to a module.
///
/// A module's EEPROM says what it is; one that was written wrongly is refused by switches and adapters. So nothing can be
/// written unless the program says that it wants to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WritePermission(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    None,
    PageSelect,
    All,
}

impl WritePermission {
    /// Nothing.
    pub const NONE: Self = Self(Level::None);
}

/// Permission to write the page-select byte (127) and no other. Which page shows is forgotten when the module loses power.
pub const PAGE_SELECT: WritePermission = WritePermission(Level::PageSelect);

/// Permission to write every byte, controls and EEPROM included. A wrong one can make a module useless for good.
pub const ALL_WRITES: WritePermission = WritePermission(Level::All);

/// Why an access to a module failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleError {
    /// The cage is empty.
    NotPresent,
    /// The management firmware refuses: nothing at this address, or the module does not answer.
    Refused {
        /// The command.
        command: DriverCommand,
        /// The response code.
        code: FirmwareResponse,
        /// The response parameter.
        param: u32,
    },
    /// The management firmware does not know the command.
    Unsupported {
        /// The command.
        command: DriverCommand,
        /// The response parameter.
        param: u32,
    },
    /// The management firmware said success and moved no bytes.
    NoProgress {
        /// Byte of the memory.
        offset: u8,
    },
    /// An address of more than 7 bits.
    Address(u8),
    /// The program did not ask for the permission to write this; nothing was written.
    WriteForbidden {
        /// Byte of the memory.
        offset: u8,
    },
    /// A command has no answer.
    Mailbox(MailboxError),
}

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPresent => f.write_str("there is no module in the port"),
            Self::Refused {
                command,
                code,
                param,
            } => super::refused(f, *command, *code, *param),
            Self::Unsupported { command, param } => super::unknown(f, *command, *param),
            Self::NoProgress { offset } => write!(
                f,
                "the management firmware moved no bytes of the module at {offset:#x}"
            ),
            Self::Address(address) => write!(f, "I2C address {address:#x} has more than 7 bits"),
            Self::WriteForbidden { offset } => {
                write!(f, "byte {offset:#x} of the module must not be written")
            }
            Self::Mailbox(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ModuleError {}

impl Error for ModuleError {
    /// | error | kind |
    /// |---|---|
    /// | no module in the port, an address beyond 7 bits | `NoAcknowledge(Address)` |
    /// | refused by the management firmware | `NoAcknowledge(Unknown)` |
    /// | no bytes moved, a write that is forbidden | `NoAcknowledge(Data)` |
    /// | a command that is not known, or that has no answer | `Other` |
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotPresent | Self::Address(_) => {
                ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)
            }
            Self::Refused { .. } => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            Self::NoProgress { .. } | Self::WriteForbidden { .. } => {
                ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data)
            }
            Self::Unsupported { .. } | Self::Mailbox(_) => ErrorKind::Other,
        }
    }
}

impl From<TransceiverError> for ModuleError {
    fn from(error: TransceiverError) -> Self {
        match error {
            TransceiverError::Mailbox(error) => Self::Mailbox(error),
            TransceiverError::NoProgress { offset }
            | TransceiverError::OutsideModule { offset, .. } => Self::NoProgress {
                offset: offset as u8,
            },
        }
    }
}

/// The module in the port: an I2C bus, on which an SFP answers at 0x50 and 0x51 and a QSFP at 0x50 (0xa0 and 0xa2 as the
/// standards write them).
///
/// It behaves as an EEPROM does. The first byte of a write sets the address counter of the device; bytes behind it are
/// stored from there on. A read gives bytes from the counter on. The counter goes up with each byte, from 255 to 0, and stays
/// where it is between transactions. It is kept here, from 0 on when the `Module` is made: the management firmware reads the
/// module on its own account, too, and each command names its offset.
///
/// A transaction that moves no data, such as an empty write, is a question whether the device answers: one byte is read and
/// forgotten. Operations run in order until one fails. Each command moves up to 16 bytes, so that a long operation is not one
/// transaction on the wire.
///
/// Writing needs a [permission](WritePermission).
pub struct Module<'p, 'a, H: Host> {
    peripherals: &'p Peripherals<'a, H>,
    permission: WritePermission,
    counters: [u8; ADDRESSES],
}

impl<'p, 'a, H: Host> Module<'p, 'a, H> {
    pub(super) fn new(peripherals: &'p Peripherals<'a, H>, permission: WritePermission) -> Self {
        Self {
            peripherals,
            permission,
            counters: [0; ADDRESSES],
        }
    }

    fn counter(&mut self, address: u8) -> Result<&mut u8, ModuleError> {
        let counter = self.counters.get_mut(usize::from(address));
        counter.ok_or(ModuleError::Address(address))
    }

    /// Reads from the counter on, and moves it.
    fn fetch(&mut self, address: u8, mut to: &mut [u8]) -> Result<(), ModuleError> {
        while !to.is_empty() {
            let at = *self.counter(address)?;
            let length = to.len().min(MEMORY - usize::from(at));
            let (now, later) = to.split_at_mut_checked(length).unwrap_or_default();
            self.read_at(address, at, now)?;
            *self.counter(address)? = at.wrapping_add(length as u8);
            to = later;
        }
        Ok(())
    }

    /// Writes from the counter on, and moves it.
    fn store(&mut self, address: u8, mut data: &[u8]) -> Result<(), ModuleError> {
        while !data.is_empty() {
            let at = *self.counter(address)?;
            let length = data.len().min(MEMORY - usize::from(at));
            let (now, later) = data.split_at_checked(length).unwrap_or_default();
            self.check(at, now)?;
            let answer = self
                .peripherals
                .with(|core| transceiver::write(core, address << 1, at.into(), now))?;
            judge(DriverCommand::TRANSCEIVER_WRITE, answer)?;
            *self.counter(address)? = at.wrapping_add(length as u8);
            data = later;
        }
        Ok(())
    }

    fn read_at(&self, address: u8, at: u8, to: &mut [u8]) -> Result<(), ModuleError> {
        let answer = self
            .peripherals
            .with(|core| transceiver::read(core, address << 1, at.into(), to))?;
        judge(DriverCommand::TRANSCEIVER_READ, answer)
    }

    fn check(&self, offset: u8, data: &[u8]) -> Result<(), ModuleError> {
        let allowed = match self.permission.0 {
            Level::None => false,
            Level::PageSelect => offset == PAGE_BYTE && data.len() == 1,
            Level::All => true,
        };
        if allowed {
            Ok(())
        } else {
            Err(ModuleError::WriteForbidden { offset })
        }
    }
}

fn judge(command: DriverCommand, answer: Answer<()>) -> Result<(), ModuleError> {
    match answer {
        Answer::Done(()) => Ok(()),
        Answer::Unsupported { param } => Err(ModuleError::Unsupported { command, param }),
        Answer::Refused {
            code: FirmwareResponse::TRANSCEIVER_NOT_PRESENT,
            ..
        } => Err(ModuleError::NotPresent),
        Answer::Refused {
            command,
            code,
            param,
        } => Err(ModuleError::Refused {
            command,
            code,
            param,
        }),
    }
}

impl<H: Host> ErrorType for Module<'_, '_, H> {
    type Error = ModuleError;
}

impl<H: Host> I2c for Module<'_, '_, H> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), ModuleError> {
        // Before anything moves.
        self.counter(address)?;
        let mut moved = operations.is_empty();
        // Whether the address counter was written since the last start condition.
        let mut counted = false;
        for operation in operations {
            match operation {
                Operation::Read(to) => {
                    counted = false;
                    moved |= !to.is_empty();
                    self.fetch(address, to)?;
                }
                Operation::Write(data) => {
                    let mut data: &[u8] = data;
                    if let (false, Some((first, rest))) = (counted, data.split_first()) {
                        *self.counter(address)? = *first;
                        counted = true;
                        data = rest;
                    }
                    moved |= !data.is_empty();
                    self.store(address, data)?;
                }
            }
        }
        if !moved {
            let at = *self.counter(address)?;
            self.read_at(address, at, &mut [0])?;
        }
        Ok(())
    }
}

impl<H: Host> fmt::Debug for Module<'_, '_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("permission", &self.permission)
            .finish_non_exhaustive()
    }
}
