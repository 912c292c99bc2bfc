//! What a phase did, and why it failed.

use core::fmt;

use fastlinq_pac::GrcAddress;
use fastlinq_pac::init_file::{Phase, PollType, Read};
use heapless::Vec;

use crate::access::DmaeError;
use crate::error::Layer;
use crate::firmware::FirmwareError;

/// Polls that a [`PhaseReport`] describes; further ones are only counted.
pub const MAX_REPORTED_POLLS: usize = 8;

/// What to do when a register does not reach the value that the program waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FailedPolls {
    /// Put it into the [`PhaseReport`] and go on, as known drivers do.
    #[default]
    Report,
    /// End the phase with [`InitError::PollFailed`].
    Fatal,
}

/// A register that did not reach the value that the program waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedPoll {
    /// The register.
    pub address: GrcAddress,
    /// How it was compared.
    pub poll: PollType,
    /// What it was compared with.
    pub expected: u32,
    /// What it was in the end.
    pub last: u32,
}

impl FailedPoll {
    pub(super) const fn new(read: Read, last: u32) -> Self {
        Self {
            address: read.address,
            poll: read.poll,
            expected: read.expected,
            last,
        }
    }
}

impl fmt::Display for FailedPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            expected,
            last,
            ..
        } = self;
        write!(
            f,
            "register {address} stayed at {last:#x} where the firmware waits for {expected:#x}"
        )
    }
}

/// What a phase did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseReport {
    /// The phase.
    pub phase: Phase,
    /// Operations that ran.
    pub operations: u32,
    /// Dwords written through a window.
    pub window_dwords: u32,
    /// Dwords written by DMA.
    pub dma_dwords: u32,
    /// Runtime values written, by either way.
    pub runtime_dwords: u32,
    /// Reads and polls.
    pub reads: u32,
    /// Polls that failed.
    pub failed_polls: u32,
    /// The first of them.
    pub failures: Vec<FailedPoll, MAX_REPORTED_POLLS>,
    /// Microseconds that the phase took by the host's clock.
    pub duration_us: u64,
}

impl PhaseReport {
    pub(super) const fn new(phase: Phase) -> Self {
        Self {
            phase,
            operations: 0,
            window_dwords: 0,
            dma_dwords: 0,
            runtime_dwords: 0,
            reads: 0,
            failed_polls: 0,
            failures: Vec::new(),
            duration_us: 0,
        }
    }

    /// Whether every register that the program waited for came to its value.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.failed_polls == 0
    }

    pub(super) const fn dwords(&self) -> u32 {
        self.window_dwords.saturating_add(self.dma_dwords)
    }
}

/// Why a phase did not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// The function answers every read with all ones.
    DeviceGone {
        /// The phase that was running.
        phase: Phase,
    },
    /// A register did not reach its value, and [`FailedPolls::Fatal`] was asked for.
    PollFailed {
        /// The phase that was running.
        phase: Phase,
        /// The register.
        poll: FailedPoll,
    },
    /// So many polls failed that the chip cannot be in order.
    TooManyFailedPolls {
        /// The phase that was running.
        phase: Phase,
        /// The last of them.
        poll: FailedPoll,
    },
    /// DMA failed.
    Dma {
        /// The phase that was running.
        phase: Phase,
        /// First register of the write; `None` in the self-test.
        address: Option<GrcAddress>,
        /// What happened.
        error: DmaeError,
    },
    /// A compressed array of the file does not inflate.
    Firmware(FirmwareError),
    /// The program writes whole lines of a memory before DMA works.
    WideBeforeDma {
        /// First register of the write.
        address: GrcAddress,
    },
    /// The program calls for something that this driver does not know.
    UnknownCallback {
        /// Number of the call.
        id: u16,
        /// Block that it is about.
        block: u16,
    },
    /// The program wants to wait longer than anything in the chip takes.
    DelayTooLong {
        /// Microseconds.
        us: u32,
    },
    /// The program writes more than the chip has room for.
    TooManyWrites {
        /// The phase that was running.
        phase: Phase,
    },
}

impl InitError {
    /// The part of the system at fault.
    #[must_use]
    pub const fn layer(&self) -> Layer {
        match self {
            Self::DeviceGone { .. }
            | Self::Dma {
                error: DmaeError::DeviceGone,
                ..
            } => Layer::Pci,
            Self::PollFailed { .. } | Self::TooManyFailedPolls { .. } | Self::Dma { .. } => {
                Layer::Chip
            }
            Self::Firmware(_)
            | Self::WideBeforeDma { .. }
            | Self::UnknownCallback { .. }
            | Self::DelayTooLong { .. }
            | Self::TooManyWrites { .. } => Layer::StormFirmware,
        }
    }
}

impl From<FirmwareError> for InitError {
    fn from(error: FirmwareError) -> Self {
        Self::Firmware(error)
    }
}

/// The phase's name for messages.
pub(super) const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::ENGINE => "engine",
        Phase::PORT => "port",
        Phase::PF => "PF",
        Phase::VF => "VF",
        Phase::QM_PF => "queue manager",
        _ => "unknown",
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DeviceGone { phase } => {
                write!(f, "the adapter disappeared in the {} phase", name(phase))
            }
            Self::PollFailed { phase, poll } => write!(f, "{} phase: {poll}", name(phase)),
            Self::TooManyFailedPolls { phase, poll } => write!(
                f,
                "{} phase: more than {} registers did not reach their values, the last: {poll}",
                name(phase),
                super::MAX_FAILED_POLLS
            ),
            Self::Dma {
                phase,
                address: Some(address),
                error,
            } => write!(f, "{} phase, write to {address}: {error}", name(phase)),
            Self::Dma {
                phase,
                address: None,
                error,
            } => write!(f, "{} phase, DMA self-test: {error}", name(phase)),
            Self::Firmware(error) => error.fmt(f),
            Self::WideBeforeDma { address } => write!(
                f,
                "the firmware writes whole lines at {address} before DMA works"
            ),
            Self::UnknownCallback { id, block } => {
                write!(
                    f,
                    "the firmware calls unknown function {id} of block {block}"
                )
            }
            Self::DelayTooLong { us } => {
                write!(f, "the firmware wants to wait {us} us")
            }
            Self::TooManyWrites { phase } => write!(
                f,
                "the {} phase of the firmware writes more than {} dwords",
                name(phase),
                super::MAX_PHASE_DWORDS
            ),
        }
    }
}

impl core::error::Error for InitError {}
