//! The interpreter.

use fastlinq_pac::GrcAddress;
use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::init_file::{CALLBACK_DMAE_READY, Phase, Read};

use super::report::name;
use super::{FailedPoll, FailedPolls, InitError, PhaseReport, Scratch};
use crate::access::{DmaeError, Patience};
use crate::core_state::Core;
use crate::firmware::{Array, FirmwareImage, Inflater, Modes, Operation, Source};
use crate::host::Host;
use crate::log::{debug, warning};

/// Dwords that one phase writes at most; the genuine files write half a million.
pub const MAX_PHASE_DWORDS: u32 = 8 << 20;
/// Polls that may fail in one phase before it ends with [`InitError::TooManyFailedPolls`].
pub const MAX_FAILED_POLLS: u32 = 16;
/// Longest wait that the program may ask for, in microseconds.
pub const MAX_DELAY_US: u32 = 1_000_000;

/// 50 ms, as the known drivers wait.
const POLL: Patience = Patience::new(100, 500);
/// Dwords from which on arrays and runtime values go by DMA.
const DMA_ARRAY: usize = 16;
/// Dwords from which on zeros go by DMA.
const DMA_ZEROS: u32 = 64;
/// Window writes after which it is checked that the function still answers.
const CHECK_EVERY: u32 = 256;

/// Runs the operations of a phase.
///
/// `id` is the port for the port phase and the PF's number inside its engine for the PF and QM_PF phases;
/// `None` runs only operations that hold for any. In the engine phase DMA is used behind the program's call
/// that says that it works, which also tests it; in all other phases at once.
///
/// A register that does not reach the value that the program waits for within 50 ms is in the report, or an
/// error, as `polls` says. A dead function ends the phase within a few hundred writes or one poll.
///
/// Runtime values that the phase used are gone from `scratch` afterwards.
///
/// # Errors
///
/// [`InitError`]; the chip is then half programmed, and the function has to be reset before the next try.
pub fn run_phase<H: Host>(
    core: &mut Core<H>,
    image: &FirmwareImage<'_>,
    scratch: &mut Scratch,
    phase: Phase,
    id: Option<u16>,
    modes: Modes,
    polls: FailedPolls,
) -> Result<PhaseReport, InitError> {
    let start = core.host.now_us();
    let mut runner = Runner {
        core,
        inflater: &mut scratch.inflater,
        dma_ready: phase != Phase::ENGINE,
        unchecked: 0,
        polls,
        report: PhaseReport::new(phase),
    };
    for operation in image.operations(phase, id, modes) {
        runner.report.operations += 1;
        match operation {
            Operation::Write {
                address,
                wide,
                source: Source::Runtime { index, dwords },
            } => {
                let end = index.saturating_add(dwords);
                let mut from = index;
                while let Some((first, values)) = scratch.runtime.take_run(from, end) {
                    let place = address.offset(u32::from(first - index) * 4);
                    runner.write(place, values, wide)?;
                    runner.report.runtime_dwords += values.len() as u32;
                    from = first.saturating_add(values.len() as u16);
                }
            }
            Operation::Write {
                address,
                wide,
                source,
            } => runner.write_source(address, wide, source)?,
            Operation::Read(read) => runner.read(read)?,
            Operation::Delay { us } if us > MAX_DELAY_US => {
                return Err(InitError::DelayTooLong { us });
            }
            Operation::Delay { us } => runner.core.host.delay_us(us),
            Operation::Callback {
                id: CALLBACK_DMAE_READY,
                ..
            } => {
                let result = runner.core.dmae_self_test();
                result.map_err(|error| runner.dma_failed(None, error))?;
                runner.dma_ready = true;
            }
            Operation::Callback { id, block } => {
                return Err(InitError::UnknownCallback { id, block });
            }
        }
    }
    runner.check()?;
    let Runner {
        core, mut report, ..
    } = runner;
    report.duration_us = core.host.now_us().saturating_sub(start);
    debug!(
        "{} phase: {} operations, {} dwords by window, {} by DMA, {} failed polls",
        name(phase),
        report.operations,
        report.window_dwords,
        report.dma_dwords,
        report.failed_polls
    );
    Ok(report)
}

struct Runner<'a, H: Host> {
    core: &'a mut Core<H>,
    inflater: &'a mut Inflater,
    dma_ready: bool,
    /// Window writes since the function was last seen alive.
    unchecked: u32,
    polls: FailedPolls,
    report: PhaseReport,
}

impl<H: Host> Runner<'_, H> {
    fn write_source(
        &mut self,
        address: GrcAddress,
        wide: bool,
        source: Source<'_>,
    ) -> Result<(), InitError> {
        match source {
            Source::Inline(value) => self.write(address, &[value], wide),
            Source::Zeros { dwords } => self.fill_zeros(address, dwords, wide),
            Source::Array(Array::Standard(dwords)) => {
                self.write_words(address, dwords.iter(), wide)
            }
            Source::Array(Array::Zipped { stream, offset }) => {
                let length = self.inflater.inflate_words(stream, offset)?;
                self.write_staged(address, length, wide)
            }
            Source::Array(Array::Pattern {
                pattern,
                repetitions,
            }) => {
                let words = (0..repetitions).flat_map(move |_| pattern.iter());
                self.write_words(address, words, wide)
            }
            // Runtime values are with the caller.
            Source::Runtime { .. } => Ok(()),
        }
    }

    /// Writes words of any number, a buffer at a time.
    fn write_words(
        &mut self,
        mut address: GrcAddress,
        mut words: impl Iterator<Item = u32>,
        wide: bool,
    ) -> Result<(), InitError> {
        loop {
            let mut length = 0;
            for (place, word) in self.inflater.words_mut().iter_mut().zip(&mut words) {
                *place = word;
                length += 1;
            }
            if length == 0 {
                return Ok(());
            }
            self.write_staged(address, length, wide)?;
            address = address.offset(length as u32 * 4);
        }
    }

    /// Writes the first `length` words of the inflater's buffer.
    fn write_staged(
        &mut self,
        address: GrcAddress,
        length: usize,
        wide: bool,
    ) -> Result<(), InitError> {
        self.account(length as u64)?;
        if self.by_dma(address, length >= DMA_ARRAY, wide)? {
            let words = self.inflater.words().get(..length).unwrap_or_default();
            let result = self.core.dmae_write(address, words);
            result.map_err(|error| self.dma_failed(Some(address), error))?;
            self.report.dma_dwords += length as u32;
            return Ok(());
        }
        for index in 0..length {
            let word = self.inflater.words().get(index).copied().unwrap_or(0);
            self.write_word(address.offset(index as u32 * 4), word)?;
        }
        Ok(())
    }

    /// Writes values that lie in memory.
    fn write(&mut self, address: GrcAddress, values: &[u32], wide: bool) -> Result<(), InitError> {
        self.account(values.len() as u64)?;
        if self.by_dma(address, values.len() >= DMA_ARRAY, wide)? {
            let result = self.core.dmae_write(address, values);
            result.map_err(|error| self.dma_failed(Some(address), error))?;
            self.report.dma_dwords += values.len() as u32;
            return Ok(());
        }
        for (index, value) in values.iter().enumerate() {
            self.write_word(address.offset(index as u32 * 4), *value)?;
        }
        Ok(())
    }

    fn fill_zeros(
        &mut self,
        address: GrcAddress,
        dwords: u32,
        wide: bool,
    ) -> Result<(), InitError> {
        self.account(dwords.into())?;
        if self.by_dma(address, dwords >= DMA_ZEROS, wide)? {
            let result = self.core.dmae_fill(address, 0, dwords);
            result.map_err(|error| self.dma_failed(Some(address), error))?;
            self.report.dma_dwords += dwords;
            return Ok(());
        }
        for index in 0..dwords {
            self.write_word(address.offset(index * 4), 0)?;
        }
        Ok(())
    }

    /// Whether a write goes by DMA: it must when it is wide, and it is better when it is long.
    fn by_dma(&self, address: GrcAddress, long: bool, wide: bool) -> Result<bool, InitError> {
        match (self.dma_ready, wide) {
            (false, true) => Err(InitError::WideBeforeDma { address }),
            (ready, wide) => Ok(ready && (wide || long)),
        }
    }

    fn write_word(&mut self, address: GrcAddress, value: u32) -> Result<(), InitError> {
        self.core.windows.write32(address, value);
        self.report.window_dwords += 1;
        self.unchecked += 1;
        if self.unchecked >= CHECK_EVERY {
            self.check()?;
        }
        Ok(())
    }

    /// Sees to it that a phase writes no more than it may.
    fn account(&self, dwords: u64) -> Result<(), InitError> {
        if u64::from(self.report.dwords()) + dwords > u64::from(MAX_PHASE_DWORDS) {
            return Err(InitError::TooManyWrites {
                phase: self.report.phase,
            });
        }
        Ok(())
    }

    fn read(&mut self, read: Read) -> Result<(), InitError> {
        self.report.reads += 1;
        let polled = self
            .core
            .poll_register(read.address, POLL, |value| read.is_satisfied(value));
        let Err(last) = polled else {
            return Ok(());
        };
        let phase = self.report.phase;
        if self.core.windows.is_gone(last) {
            return Err(InitError::DeviceGone { phase });
        }
        let poll = FailedPoll::new(read, last);
        warning!(
            "{} phase: register {:#x} stayed at {:#x} instead of {:#x}",
            name(phase),
            read.address.value(),
            last,
            read.expected
        );
        self.report.failed_polls += 1;
        let _ = self.report.failures.push(poll);
        if self.polls == FailedPolls::Fatal {
            return Err(InitError::PollFailed { phase, poll });
        }
        if self.report.failed_polls > MAX_FAILED_POLLS {
            return Err(InitError::TooManyFailedPolls { phase, poll });
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), InitError> {
        self.unchecked = 0;
        self.core
            .windows
            .check()
            .map_err(|_| InitError::DeviceGone {
                phase: self.report.phase,
            })
    }

    fn dma_failed(&self, address: Option<GrcAddress>, error: DmaeError) -> InitError {
        let phase = self.report.phase;
        match error {
            DmaeError::DeviceGone => InitError::DeviceGone { phase },
            error => InitError::Dma {
                phase,
                address,
                error,
            },
        }
    }
}
