//! The port's light.

use core::fmt;

use embedded_hal::digital;
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

use super::Peripherals;
use crate::host::Host;
use crate::mfw::board::{self, Led};
use crate::mfw::{Answer, MailboxError};

/// Why the light was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LightError {
    /// The management firmware refuses.
    Refused {
        /// The response code.
        code: FirmwareResponse,
        /// The response parameter.
        param: u32,
    },
    /// The management firmware does not know SET_LED_MODE.
    Unsupported {
        /// The response parameter.
        param: u32,
    },
    /// The command has no answer.
    Mailbox(MailboxError),
}

impl fmt::Display for LightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, param } => {
                super::refused(f, DriverCommand::SET_LED_MODE, *code, *param)
            }
            Self::Unsupported { param } => super::unknown(f, DriverCommand::SET_LED_MODE, *param),
            Self::Mailbox(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for LightError {}

impl digital::Error for LightError {
    /// Always `Other`, which is all that there is.
    fn kind(&self) -> digital::ErrorKind {
        digital::ErrorKind::Other
    }
}

/// The port's light as an output: high is on, low is off (SET_LED_MODE).
///
/// It stays as it was set, also after this is dropped, until [`operational`](Self::operational) gives it back to the
/// management firmware, which shows link and traffic with it.
pub struct Light<'p, 'a, H: Host> {
    peripherals: &'p Peripherals<'a, H>,
}

impl<'p, 'a, H: Host> Light<'p, 'a, H> {
    pub(super) const fn new(peripherals: &'p Peripherals<'a, H>) -> Self {
        Self { peripherals }
    }

    /// Lets the light show link and traffic again.
    ///
    /// # Errors
    ///
    /// [`LightError`].
    pub fn operational(&mut self) -> Result<(), LightError> {
        self.set(Led::Operational)
    }

    fn set(&self, led: Led) -> Result<(), LightError> {
        let answer = self.peripherals.with(|core| board::set_led(core, led));
        match answer.map_err(LightError::Mailbox)? {
            Answer::Done(()) => Ok(()),
            Answer::Unsupported { param } => Err(LightError::Unsupported { param }),
            Answer::Refused { code, param, .. } => Err(LightError::Refused { code, param }),
        }
    }
}

impl<H: Host> digital::ErrorType for Light<'_, '_, H> {
    type Error = LightError;
}

impl<H: Host> digital::OutputPin for Light<'_, '_, H> {
    fn set_low(&mut self) -> Result<(), LightError> {
        self.set(Led::Off)
    }

    fn set_high(&mut self) -> Result<(), LightError> {
        self.set(Led::On)
    }
}

impl<H: Host> fmt::Debug for Light<'_, '_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Light").finish_non_exhaustive()
    }
}
