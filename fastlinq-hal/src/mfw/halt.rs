//! Halting, resuming and examining the management processor.

use core::fmt;

use embedded_hal::delay::DelayNs;
use fastlinq_pac::mfw::DriverCommand;
use fastlinq_pac::registers::mcp::{CPU_MODE, CPU_PROGRAM_COUNTER, CPU_STATE, cpu_mode, cpu_state};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use super::{Answer, MailboxError};
use crate::access::{Patience, Windows, poll};
use crate::core_state::Core;
use crate::host::{Bar, Host};
use crate::log::info;

/// 10 looks, 10 ms apart, until the processor has halted.
const HALT: Patience = Patience::new(10, 10_000);
const RESUME_MS: u32 = 10;
const SAMPLE_STEP_US: u32 = 10;

/// State of the management processor when it did not answer.
///
/// A program counter that stands still says that it hangs or is halted; one that moves says that it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HangReport {
    /// CPU mode; bit 10 asks for a soft halt.
    pub mode: u32,
    /// CPU state; bit 10 says that it is soft halted.
    pub state: u32,
    /// Program counter, three samples 10 µs apart.
    pub program_counter: [u32; 3],
}

impl HangReport {
    pub(crate) fn sample<B: Bar>(windows: &Windows<B>, delay: &mut impl DelayNs) -> Self {
        let mut sample = |first: bool| {
            if !first {
                delay.delay_us(SAMPLE_STEP_US);
            }
            CPU_PROGRAM_COUNTER.on(windows).get()
        };
        Self {
            mode: CPU_MODE.on(windows).get(),
            state: CPU_STATE.on(windows).get(),
            program_counter: [sample(true), sample(false), sample(false)],
        }
    }

    /// Whether the processor is soft halted.
    #[must_use]
    pub const fn is_halted(&self) -> bool {
        self.state >> 10 & 1 == 1
    }

    /// Whether the program counter moved between the samples.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        let [a, b, c] = self.program_counter;
        a != b || b != c
    }
}

impl fmt::Display for HangReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.is_halted(), self.is_running()) {
            (true, _) => "is halted",
            (false, true) => "runs",
            (false, false) => "stands still",
        };
        let [a, b, c] = self.program_counter;
        write!(
            f,
            "its processor {what}: mode {:#x}, state {:#x}, program counter {a:#x} {b:#x} {c:#x}",
            self.mode, self.state
        )
    }
}

/// Why the management processor was not halted or resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HaltError {
    /// The function answers every read with all ones.
    DeviceGone,
    /// The MCP_HALT command has no answer.
    Mailbox(MailboxError),
    /// The management firmware does not halt on command.
    Declined(Answer<()>),
    /// The processor did not come to the state wanted.
    WrongState {
        /// CPU state at the end.
        state: u32,
    },
}

impl fmt::Display for HaltError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceGone => f.write_str("the function answers every read with all ones"),
            Self::Mailbox(error) => error.fmt(f),
            Self::Declined(answer) => write!(f, "the halt of the management processor: {answer}"),
            Self::WrongState { state } => {
                write!(f, "the management processor stayed in state {state:#x}")
            }
        }
    }
}

impl core::error::Error for HaltError {}

impl From<MailboxError> for HaltError {
    fn from(error: MailboxError) -> Self {
        Self::Mailbox(error)
    }
}

/// Halts the management processor, as around a dump, and blocks the mailbox.
///
/// Command MCP_HALT, then up to 100 ms until CPU_STATE says so.
///
/// # Errors
///
/// [`HaltError`].
pub fn halt<H: Host>(core: &mut Core<H>) -> Result<(), HaltError> {
    let reply = core.command(DriverCommand::MCP_HALT, 0, &[])?;
    if reply.is_unsupported() {
        return Err(HaltError::Declined(reply.judge_ok(|_| ())));
    }
    let windows = &core.windows;
    let halted = poll(&mut core.host, HALT, || {
        CPU_STATE
            .on(windows)
            .is_set(cpu_state::SOFT_HALTED)
            .then_some(())
    });
    core.windows.check().map_err(|_| HaltError::DeviceGone)?;
    match halted {
        Some(()) => {
            core.mailbox.block(DriverCommand::MCP_HALT);
            info!("the management processor is halted");
            Ok(())
        }
        None => Err(HaltError::WrongState {
            state: CPU_STATE.on(&core.windows).get(),
        }),
    }
}

/// Lets the management processor run again and lifts the block of the mailbox.
///
/// # Errors
///
/// [`HaltError::WrongState`] when it stays halted; the mailbox stays blocked then.
pub fn resume<H: Host>(core: &mut Core<H>) -> Result<(), HaltError> {
    CPU_STATE.on(&core.windows).set(u32::MAX);
    CPU_MODE
        .on(&core.windows)
        .modify(cpu_mode::SOFT_HALT.val(0));
    core.host.delay_ms(RESUME_MS);
    let state = CPU_STATE.on(&core.windows).get();
    core.windows.check().map_err(|_| HaltError::DeviceGone)?;
    if state & cpu_state::SOFT_HALTED.val(1).value != 0 {
        return Err(HaltError::WrongState { state });
    }
    core.mailbox.unblock();
    info!("the management processor runs");
    Ok(())
}
