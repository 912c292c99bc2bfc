//! Pins of the board.

use core::fmt;

use embedded_hal::digital;
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

use super::Peripherals;
use crate::host::Host;
use crate::mfw::{Answer, MailboxError, board};

pub use crate::mfw::board::PinInfo;

/// Why an access to a pin failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinError {
    /// The management firmware refuses: no such pin, or not one that can be set.
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
    /// A level that is neither 0 nor 1.
    Level {
        /// The level.
        value: u32,
    },
    /// A command has no answer.
    Mailbox(MailboxError),
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused {
                command,
                code,
                param,
            } => super::refused(f, *command, *code, *param),
            Self::Unsupported { command, param } => super::unknown(f, *command, *param),
            Self::Level { value } => write!(f, "a pin's level of {value:#x} is neither 0 nor 1"),
            Self::Mailbox(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PinError {}

impl digital::Error for PinError {
    /// Always `Other`, which is all that there is.
    fn kind(&self) -> digital::ErrorKind {
        digital::ErrorKind::Other
    }
}

impl From<MailboxError> for PinError {
    fn from(error: MailboxError) -> Self {
        Self::Mailbox(error)
    }
}

fn judge<T>(command: DriverCommand, answer: Answer<T>) -> Result<T, PinError> {
    match answer {
        Answer::Done(value) => Ok(value),
        Answer::Unsupported { param } => Err(PinError::Unsupported { command, param }),
        Answer::Refused {
            command,
            code,
            param,
        } => Err(PinError::Refused {
            command,
            code,
            param,
        }),
    }
}

/// A pin of the board, for reading (GPIO_READ).
///
/// What a pin is connected to is the board's secret: nothing public says it.
pub struct Pin<'p, 'a, H: Host> {
    peripherals: &'p Peripherals<'a, H>,
    number: u16,
}

impl<'p, 'a, H: Host> Pin<'p, 'a, H> {
    pub(super) const fn new(peripherals: &'p Peripherals<'a, H>, number: u16) -> Self {
        Self {
            peripherals,
            number,
        }
    }

    /// The pin's number.
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// How the pin is set up (GPIO_INFO).
    ///
    /// # Errors
    ///
    /// [`PinError`].
    pub fn info(&self) -> Result<PinInfo, PinError> {
        let answer = self
            .peripherals
            .with(|core| board::pin_info(core, self.number))?;
        judge(DriverCommand::GPIO_INFO, answer)
    }

    /// The same pin for writing. On a wrong pin this can stop a fan or cut the power of a module: know your board.
    pub fn into_output(self) -> OutputPin<'p, 'a, H> {
        OutputPin(self)
    }

    fn level(&self) -> Result<bool, PinError> {
        let answer = self
            .peripherals
            .with(|core| board::read_pin(core, self.number))?;
        match judge(DriverCommand::GPIO_READ, answer)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(PinError::Level { value }),
        }
    }

    fn set(&self, high: bool) -> Result<(), PinError> {
        let answer = self
            .peripherals
            .with(|core| board::write_pin(core, self.number, high.into()))?;
        judge(DriverCommand::GPIO_WRITE, answer)
    }
}

impl<H: Host> digital::ErrorType for Pin<'_, '_, H> {
    type Error = PinError;
}

impl<H: Host> digital::InputPin for Pin<'_, '_, H> {
    fn is_high(&mut self) -> Result<bool, PinError> {
        self.level()
    }

    fn is_low(&mut self) -> Result<bool, PinError> {
        self.level().map(|high| !high)
    }
}

impl<H: Host> fmt::Debug for Pin<'_, '_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pin").field(&self.number).finish()
    }
}

/// A pin of the board, for reading and writing (GPIO_READ, GPIO_WRITE).
#[derive(Debug)]
pub struct OutputPin<'p, 'a, H: Host>(Pin<'p, 'a, H>);

impl<'p, 'a, H: Host> OutputPin<'p, 'a, H> {
    /// The same pin for reading; its level stays.
    pub fn into_input(self) -> Pin<'p, 'a, H> {
        self.0
    }
}

impl<H: Host> digital::ErrorType for OutputPin<'_, '_, H> {
    type Error = PinError;
}

impl<H: Host> digital::OutputPin for OutputPin<'_, '_, H> {
    fn set_low(&mut self) -> Result<(), PinError> {
        self.0.set(false)
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        self.0.set(true)
    }
}

impl<H: Host> digital::StatefulOutputPin for OutputPin<'_, '_, H> {
    fn is_set_high(&mut self) -> Result<bool, PinError> {
        self.0.level()
    }

    fn is_set_low(&mut self) -> Result<bool, PinError> {
        self.0.level().map(|high| !high)
    }
}
