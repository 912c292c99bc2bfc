//! The DMA engine for registers (DMAE): bulk copies between host memory and the chip.
//!
//! Memories whose lines are wider than 32 bits take a line only as a whole, which no window access can do;
//! and one command moves what would be thousands of window accesses. Each PF uses the channel of its number.
//!
//! Known by: source reading (Linux 6.12, DPDK).

use core::fmt;

use embedded_hal::delay::DelayNs;
use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::registers::dmae;
use fastlinq_pac::words::DmaeCompletionWord;
use fastlinq_pac::{BusAddress, GrcAddress};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::dmae_command::{DmaeError, DmaeOptions, End, build};
use super::{FunctionIdentity, Patience, Windows, poll};
use crate::dma::{DmaBuffer, DmaRegion, read_barrier};
use crate::host::{AllocationError, Bar, DmaAllocator};
use crate::log::{debug, warning};

/// Most dwords that one command moves; longer jobs are cut.
pub const MAX_COMMAND_DWORDS: u32 = 0x2000;

const BOUNCE_BYTES: usize = MAX_COMMAND_DWORDS as usize * 4;
const COMPLETION_BYTES: usize = 64;
const COMMAND_DWORDS: u32 = 14;
const TEST_BYTES: usize = 0x800;

/// 100 ms, five times what the known drivers wait.
pub(crate) const PATIENCE: Patience = Patience::new(50_000, 2);

/// A DMAE channel with its completion word and a bounce buffer of 32 KiB.
///
/// One command runs at a time, and an operation returns when it is complete. After a time-out the channel is
/// poisoned: the engine may still write to the completion word and to the buffer, so neither can be trusted
/// or returned to the host. All further operations fail with [`DmaeError::Poisoned`]; a function-level reset
/// and a new `Dmae` is the way out. A poisoned one leaks its memory when dropped.
pub struct Dmae<R: DmaRegion> {
    memory: Option<Memory<R>>,
    channel: u32,
    pf: u8,
    port: u8,
    poisoned: bool,
}

struct Memory<R: DmaRegion> {
    completion: DmaBuffer<R>,
    bounce: DmaBuffer<R>,
}

impl<R: DmaRegion> Dmae<R> {
    /// Takes DMA memory for the channel of this function; does not touch the device.
    ///
    /// # Errors
    ///
    /// [`AllocationError`].
    pub fn new<A: DmaAllocator<Region = R>>(
        host: &mut A,
        identity: &FunctionIdentity,
    ) -> Result<Self, AllocationError> {
        let completion = DmaBuffer::new(host.allocate(COMPLETION_BYTES, COMPLETION_BYTES)?);
        let bounce = DmaBuffer::new(host.allocate(BOUNCE_BYTES, 4096)?);
        Ok(Self {
            memory: Some(Memory { completion, bounce }),
            channel: u32::from(identity.rel_pf),
            pf: identity.rel_pf,
            port: identity.port,
            poisoned: false,
        })
    }

    /// Whether a command timed out, after which the channel is of no use.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// All DMA memory: the completion word's and the bounce buffer's.
    ///
    /// The caller must know that the engine is at no command of a poisoned one any more.
    pub(crate) fn into_memory(mut self) -> impl Iterator<Item = DmaBuffer<R>> {
        let memory = self.memory.take();
        memory
            .into_iter()
            .flat_map(|memory| [memory.completion, memory.bounce])
    }

    /// Bytes of DMA memory that stay allocated for good when this is dropped: 0 unless it is poisoned.
    pub fn kept_bytes(&self) -> usize {
        match &self.memory {
            Some(memory) if self.poisoned => memory.completion.len() + memory.bounce.len(),
            _ => 0,
        }
    }

    /// Writes `data` to the chip.
    ///
    /// # Errors
    ///
    /// [`DmaeError`].
    pub fn write<B: Bar>(
        &mut self,
        windows: &Windows<B>,
        delay: &mut impl DelayNs,
        to: GrcAddress,
        data: &[u32],
        options: DmaeOptions,
    ) -> Result<(), DmaeError> {
        let mut to = End::Chip(to);
        for chunk in data.chunks(MAX_COMMAND_DWORDS as usize) {
            let bounce = self.bounce()?;
            for (index, value) in chunk.iter().enumerate() {
                put(bounce, index * 4, *value)?;
            }
            let from = End::Host(bounce.bus_address());
            let dwords = chunk.len() as u32;
            self.command(windows, delay, from, to, dwords, options)?;
            to = to.offset(dwords);
        }
        Ok(())
    }

    /// Writes `value` to `dwords` dwords of the chip.
    ///
    /// # Errors
    ///
    /// [`DmaeError`].
    pub fn fill<B: Bar>(
        &mut self,
        windows: &Windows<B>,
        delay: &mut impl DelayNs,
        to: GrcAddress,
        value: u32,
        dwords: u32,
    ) -> Result<(), DmaeError> {
        let bounce = self.bounce()?;
        for index in 0..dwords.min(MAX_COMMAND_DWORDS) as usize {
            put(bounce, index * 4, value)?;
        }
        let from = End::Host(bounce.bus_address());
        self.job(
            windows,
            delay,
            Job {
                from,
                to: End::Chip(to),
                dwords,
                replicate: true,
                options: DmaeOptions::default(),
            },
        )
    }

    /// Reads from the chip.
    ///
    /// # Errors
    ///
    /// [`DmaeError`].
    pub fn read<B: Bar>(
        &mut self,
        windows: &Windows<B>,
        delay: &mut impl DelayNs,
        from: GrcAddress,
        data: &mut [u32],
    ) -> Result<(), DmaeError> {
        let mut from = End::Chip(from);
        for chunk in data.chunks_mut(MAX_COMMAND_DWORDS as usize) {
            let to = End::Host(self.bounce()?.bus_address());
            let dwords = chunk.len() as u32;
            self.command(windows, delay, from, to, dwords, DmaeOptions::default())?;
            let bounce = self.bounce()?;
            for (index, value) in chunk.iter_mut().enumerate() {
                *value = get(bounce, index * 4)?;
            }
            from = from.offset(dwords);
        }
        Ok(())
    }

    /// Copies from host memory to the chip. The caller vouches that the memory stays until this returns, and
    /// longer when it fails with [`DmaeError::TimedOut`].
    ///
    /// # Errors
    ///
    /// [`DmaeError`].
    pub fn copy_in<B: Bar>(
        &mut self,
        windows: &Windows<B>,
        delay: &mut impl DelayNs,
        from: BusAddress,
        to: GrcAddress,
        dwords: u32,
        options: DmaeOptions,
    ) -> Result<(), DmaeError> {
        self.job(
            windows,
            delay,
            Job {
                from: End::Host(from),
                to: End::Chip(to),
                dwords,
                replicate: false,
                options,
            },
        )
    }

    /// Copies inside host memory. The caller vouches for both ends, as for [`copy_in`](Self::copy_in).
    pub(crate) fn copy_in_host<B: Bar>(
        &mut self,
        windows: &Windows<B>,
        delay: &mut impl DelayNs,
        from: BusAddress,
        to: BusAddress,
        dwords: u32,
    ) -> Result<(), DmaeError> {
        let (from, to) = (End::Host(from), End::Host(to));
        self.command(windows, delay, from, to, dwords, DmaeOptions::default())
    }

    /// Copies half a page of host memory to its other half and compares, as drivers do before they trust the
    /// engine.
    ///
    /// # Errors
    ///
    /// [`DmaeError::WrongData`] and the errors of any operation.
    pub fn self_test<B: Bar>(
        &mut self,
        windows: &Windows<B>,
        delay: &mut impl DelayNs,
    ) -> Result<(), DmaeError> {
        let expected = |offset: usize| 0x5a5a_0000 ^ (offset as u32).wrapping_mul(0x0101_0101);
        let bounce = self.bounce()?;
        for offset in (0..TEST_BYTES).step_by(4) {
            put(bounce, offset, expected(offset))?;
            put(bounce, TEST_BYTES + offset, 0)?;
        }
        let from = End::Host(bounce.bus_address());
        let dwords = (TEST_BYTES / 4) as u32;
        let to = from.offset(dwords);
        self.command(windows, delay, from, to, dwords, DmaeOptions::default())?;
        let bounce = self.bounce()?;
        for offset in (0..TEST_BYTES).step_by(4) {
            let (expected, found) = (expected(offset), get(bounce, TEST_BYTES + offset)?);
            if expected != found {
                return Err(DmaeError::WrongData {
                    offset,
                    expected,
                    found,
                });
            }
        }
        debug!("DMAE copies correctly");
        Ok(())
    }

    fn bounce(&mut self) -> Result<&mut DmaBuffer<R>, DmaeError> {
        match &mut self.memory {
            _ if self.poisoned => Err(DmaeError::Poisoned),
            Some(memory) => Ok(&mut memory.bounce),
            None => Err(DmaeError::Absent),
        }
    }

    fn job<B: Bar>(
        &mut self,
        windows: &Windows<B>,
        delay: &mut impl DelayNs,
        job: Job,
    ) -> Result<(), DmaeError> {
        let mut done = 0;
        while done < job.dwords {
            let dwords = (job.dwords - done).min(MAX_COMMAND_DWORDS);
            let from = job.from.offset(if job.replicate { 0 } else { done });
            self.command(
                windows,
                delay,
                from,
                job.to.offset(done),
                dwords,
                job.options,
            )?;
            done += dwords;
        }
        Ok(())
    }

    /// Runs one command and waits for its completion.
    fn command<B: Bar>(
        &mut self,
        windows: &Windows<B>,
        delay: &mut impl DelayNs,
        from: End,
        to: End,
        dwords: u32,
        options: DmaeOptions,
    ) -> Result<(), DmaeError> {
        if self.poisoned {
            return Err(DmaeError::Poisoned);
        }
        if from.words() == (0, 0) || to.words() == (0, 0) {
            return Err(DmaeError::NullAddress);
        }
        if dwords > MAX_COMMAND_DWORDS {
            return Err(DmaeError::TooLong { dwords });
        }
        let Some(memory) = &mut self.memory else {
            return Err(DmaeError::Absent);
        };
        put(&mut memory.completion, 0, 0)?;
        let command = build(
            from,
            to,
            dwords,
            memory.completion.bus_address(),
            (self.pf, self.port),
            options,
        );
        let opcode = command.opcode.get();
        let slot = dmae::CMD_MEM.element_address(self.channel * COMMAND_DWORDS);
        for (index, word) in command.as_bytes().chunks_exact(4).enumerate() {
            let word = word.try_into().map_or(0, u32::from_le_bytes);
            windows.write32(slot.offset(index as u32 * 4), word);
        }
        windows.bar().write_barrier();
        windows.write32(dmae::GO_C0.element_address(self.channel), 1);

        let completion = &memory.completion;
        let done = poll(delay, PATIENCE, || {
            (completion.read::<U32>(0).map(U32::get) == Ok(DmaeCompletionWord::DONE)).then_some(())
        });
        if done.is_some() {
            read_barrier();
            return Ok(());
        }
        self.poisoned = true;
        if windows.check().is_err() {
            return Err(DmaeError::DeviceGone);
        }
        Err(DmaeError::TimedOut {
            opcode,
            source: from.plain(),
            destination: to.plain(),
            dwords,
        })
    }
}

struct Job {
    from: End,
    to: End,
    dwords: u32,
    replicate: bool,
    options: DmaeOptions,
}

impl<R: DmaRegion> Drop for Dmae<R> {
    fn drop(&mut self) {
        if let (true, Some(memory)) = (self.poisoned, self.memory.take()) {
            let bytes = memory.completion.leak() + memory.bounce.leak();
            warning!(
                "{} bytes of DMAE memory stay allocated: the engine may still write to them",
                bytes
            );
        }
    }
}

impl<R: DmaRegion> fmt::Debug for Dmae<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dmae")
            .field("channel", &self.channel)
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

/// The bounce buffer and the completion word hold little-endian dwords.
fn put<R: DmaRegion>(
    buffer: &mut DmaBuffer<R>,
    offset: usize,
    value: u32,
) -> Result<(), DmaeError> {
    buffer
        .write(offset, &U32::new(value))
        .map_err(|_| too_long(offset))
}

fn get<R: DmaRegion>(buffer: &DmaBuffer<R>, offset: usize) -> Result<u32, DmaeError> {
    buffer
        .read::<U32>(offset)
        .map(U32::get)
        .map_err(|_| too_long(offset))
}

fn too_long(offset: usize) -> DmaeError {
    DmaeError::TooLong {
        dwords: (offset / 4) as u32 + 1,
    }
}

#[cfg(test)]
#[path = "dmae_tests.rs"]
mod tests;
