//! Runs the init program of the storm firmware file.
//!
//! The program is walked once for each phase: engine, port, function (PF), and the function's part of the
//! queue manager. What the driver computes goes into a [`RuntimeArray`] first; the program's *runtime*
//! operations carry the values to their registers, each value once.
//!
//! | phase | who runs it | id |
//! |---|---|---|
//! | engine | the first function of an engine | none |
//! | port | the first function of a port | port |
//! | PF, then QM_PF | every function | number of the PF inside its engine |
//!
//! Writes go through the movable window until the program says that the DMA engine works; from then on bulk
//! data, and whatever a memory takes only as whole lines, goes by DMA.
//!
//! Known by: source reading (Linux 6.12); decoding of the files 8.42.2.0 and 8.59.1.0.

mod report;
mod run;
mod runtime;
mod scratch;

pub use report::{FailedPoll, FailedPolls, InitError, MAX_REPORTED_POLLS, PhaseReport};
pub use run::{MAX_DELAY_US, MAX_FAILED_POLLS, MAX_PHASE_DWORDS, run_phase};
pub use runtime::{RUNTIME_ENTRIES, RuntimeArray, RuntimeError, RuntimeWriter};
pub use scratch::{SCRATCH_SIZE, Scratch};

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
