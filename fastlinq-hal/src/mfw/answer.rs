//! What came back from the management firmware.

use core::fmt;

use fastlinq_pac::mfw::{DriverCommand, DrvUnionData, FirmwareResponse, UNION_SIZE};

use super::response_name;

/// A complete answer, not yet judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The command that was answered.
    pub command: DriverCommand,
    /// The response code; what it means depends on the command.
    pub code: FirmwareResponse,
    /// The response parameter.
    pub param: u32,
    /// The union as the answer left it.
    pub union: [u8; UNION_SIZE],
}

impl Reply {
    /// The union, to be viewed as one of its members.
    #[must_use]
    pub const fn data(&self) -> DrvUnionData {
        DrvUnionData { bytes: self.union }
    }

    /// Whether the management firmware does not know the command (response 0).
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.code == FirmwareResponse::UNSUPPORTED
    }

    /// Judges the answer: one of `good` is success, 0 is unsupported, anything else a refusal.
    pub fn judge<T>(&self, good: &[FirmwareResponse], value: impl FnOnce(&Self) -> T) -> Answer<T> {
        if good.contains(&self.code) {
            Answer::Done(value(self))
        } else if self.is_unsupported() {
            Answer::Unsupported { param: self.param }
        } else {
            Answer::Refused {
                command: self.command,
                code: self.code,
                param: self.param,
            }
        }
    }

    /// Judges the answer, [`FirmwareResponse::OK`] alone being success.
    pub fn judge_ok<T>(&self, value: impl FnOnce(&Self) -> T) -> Answer<T> {
        self.judge(&[FirmwareResponse::OK], value)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:#06x}, parameter {:#x}",
            response_name(self.command, self.code),
            self.code.0,
            self.param
        )
    }
}

/// What the management firmware said to a request.
///
/// Deliberately not a `Result`: `Unsupported` cannot travel through `?`, so that no missing feature of an old
/// firmware fails a bring-up by accident.
///
/// ```compile_fail,E0277
/// # use fastlinq_hal::{core_state::Core, host::Host, mfw::{MailboxError, features}};
/// fn f<H: Host>(core: &mut Core<H>) -> Result<(), MailboxError> {
///     // The first `?` is for the way there and back; a second one does not exist.
///     features::wake_on_lan(core)??;
///     Ok(())
/// }
/// ```
#[must_use = "a refusal is an answer too"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// It did what it was asked.
    Done(T),
    /// It does not know the command: response code 0, with whatever parameter.
    Unsupported {
        /// The response parameter; firmware in the field has been seen to leave it non-zero.
        param: u32,
    },
    /// It knows the command and said no.
    Refused {
        /// The command.
        command: DriverCommand,
        /// The response code.
        code: FirmwareResponse,
        /// The response parameter.
        param: u32,
    },
}

impl<T> Answer<T> {
    /// The value, if there is one.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the management firmware does not know the command.
    pub const fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }

    /// The same answer with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Done(value) => Answer::Done(change(value)),
            Self::Unsupported { param } => Answer::Unsupported { param },
            Self::Refused {
                command,
                code,
                param,
            } => Answer::Refused {
                command,
                code,
                param,
            },
        }
    }

    /// The value, or `other` where there is none.
    pub fn done_or(self, other: T) -> T {
        self.done().unwrap_or(other)
    }
}

impl<T> fmt::Display for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(_) => f.write_str("done"),
            Self::Unsupported { param } => {
                write!(f, "unsupported (response 0x0000, parameter {param:#x})")
            }
            Self::Refused {
                command,
                code,
                param,
            } => write!(
                f,
                "refused: {} {:#06x}, parameter {param:#x}",
                response_name(*command, *code),
                code.0
            ),
        }
    }
}
