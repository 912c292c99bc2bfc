//! The DMA engine for registers (DMAE): bulk copies between host memory and the chip.
//!
//! Memories whose lines are wider than 32 bits take a line only as a whole, which no window access can do;
//! and one command moves what would be thousands of window accesses. Each PF uses the channel of its number.
//!
//! Known by: source reading (Linux 6.12, DPDK).

use core::fmt;

use embedded_hal::delay::DelayNs;
use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::hsi::{DmaeCommand, dmae_command as field};
use fastlinq_pac::registers::dmae;
use fastlinq_pac::words::DmaeCompletionWord;
use fastlinq_pac::{BusAddress, GrcAddress};
use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, IntoBytes};

use super::{FunctionIdentity, Patience, Windows, poll};
use crate::dma::{DmaBuffer, DmaRegion};
use crate::host::{AllocationError, Bar, DmaAllocator};
use crate::log::{debug, warning};

/// Most dwords that one command moves; longer jobs are cut.
pub const MAX_COMMAND_DWORDS: u32 = 0x2000;

const BOUNCE_BYTES: usize = MAX_COMMAND_DWORDS as usize * 4;
const COMPLETION_BYTES: usize = 64;
const COMMAND_DWORDS: u32 = 14;
const TEST_BYTES: usize = 0x800;

/// 100 ms, five times what the known drivers wait.
const PATIENCE: Patience = Patience::new(50_000, 2);

const ENDIANITY: u32 = 2;
const NO_VF: u16 = 0xff;

/// What is at one end of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Host(BusAddress),
    Chip(GrcAddress),
}

impl End {
    /// Low and high dword as a command has them: dwords inside the chip, bytes in host memory.
    fn words(self) -> (u32, u32) {
        match self {
            Self::Host(address) => (address.low(), address.high()),
            Self::Chip(address) => (address.dword(), 0),
        }
    }

    fn offset(self, dwords: u32) -> Self {
        match self {
            Self::Host(address) => Self::Host(address.offset(u64::from(dwords) * 4)),
            Self::Chip(address) => Self::Chip(address.offset(dwords.wrapping_mul(4))),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => write!(f, "host memory at {address}"),
            Self::Chip(address) => write!(f, "the chip at {address}"),
        }
    }
}

/// Why a DMAE operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DmaeError {
    /// The function answers every read with all ones.
    DeviceGone,
    /// The engine did not write its completion word in time. It may still do so: the engine is poisoned.
    TimedOut {
        /// Opcode word of the command.
        opcode: u32,
        /// Source: byte address in host memory, or byte address in the chip.
        source: u64,
        /// Destination, likewise.
        destination: u64,
        /// Dwords of the command.
        dwords: u32,
    },
    /// An earlier command timed out; its late completion or data could be taken for those of a new one.
    Poisoned,
    /// No DMAE has been allocated yet.
    Absent,
    /// Source or destination is address 0.
    NullAddress,
    /// More dwords than the internal space or the caller's buffer has.
    TooLong {
        /// Dwords asked for.
        dwords: u32,
    },
    /// The self-test copied wrong bytes.
    WrongData {
        /// First byte that differs.
        offset: usize,
        /// Dword that should be there.
        expected: u32,
        /// Dword that is there.
        found: u32,
    },
}

impl fmt::Display for DmaeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DeviceGone => f.write_str("the function answers every read with all ones"),
            Self::TimedOut {
                opcode,
                source,
                destination,
                dwords,
            } => write!(
                f,
                "DMAE did not complete {dwords} dwords from {source:#x} to {destination:#x} \
                 (opcode {opcode:#010x}) in {} ms",
                PATIENCE.total_us() / 1000
            ),
            Self::Poisoned => f.write_str("DMAE is out of use since an earlier command timed out"),
            Self::Absent => f.write_str("DMAE has no memory yet"),
            Self::NullAddress => f.write_str("a DMAE address is 0"),
            Self::TooLong { dwords } => write!(f, "{dwords} dwords are more than DMAE can move"),
            Self::WrongData {
                offset,
                expected,
                found,
            } => write!(
                f,
                "DMAE copied {found:#010x} instead of {expected:#010x} at byte {offset}"
            ),
        }
    }
}

impl core::error::Error for DmaeError {}

/// In whose name a DMAE command acts; by default in that of the function itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DmaeOptions {
    /// PF that the destination belongs to.
    pub destination_pf: Option<u8>,
    /// VF that the destination belongs to.
    pub destination_vf: Option<u8>,
    /// Port of the engine.
    pub port: Option<u8>,
    /// Report the completion through the destination's function instead of the source's.
    pub completion_by_destination: bool,
}

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
            return Ok(());
        }
        self.poisoned = true;
        if windows.check().is_err() {
            return Err(DmaeError::DeviceGone);
        }
        Err(DmaeError::TimedOut {
            opcode,
            source: plain(from),
            destination: plain(to),
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

fn build(
    from: End,
    to: End,
    dwords: u32,
    completion: BusAddress,
    (pf, port): (u8, u8),
    options: DmaeOptions,
) -> DmaeCommand {
    let source = u32::from(matches!(from, End::Chip(_)));
    let destination = match to {
        End::Host(_) => 1,
        End::Chip(_) => 2,
    };
    let opcode = field::SRC.val(source)
        + field::DST.val(destination)
        + field::SRC_ADDR_RESET.val(1)
        + field::DST_ADDR_RESET.val(1)
        + field::COMP_FUNC.val(u32::from(options.completion_by_destination))
        + field::COMP_WORD_EN.val(1)
        + field::ENDIANITY_MODE.val(ENDIANITY)
        + field::PORT_ID.val(u32::from(options.port.unwrap_or(port)))
        + field::SRC_PF_ID.val(u32::from(pf))
        + field::DST_PF_ID.val(u32::from(options.destination_pf.unwrap_or(pf)))
        + field::DST_VF_ID_VALID.val(u32::from(options.destination_vf.is_some()));
    let vf = options.destination_vf.map_or(NO_VF, u16::from);
    let mut command = DmaeCommand::new_zeroed();
    command.opcode.set(opcode.value);
    let (low, high) = from.words();
    command.src_addr_lo.set(low);
    command.src_addr_hi.set(high);
    let (low, high) = to.words();
    command.dst_addr_lo.set(low);
    command.dst_addr_hi.set(high);
    command.length_dw.set(dwords as u16);
    command.opcode_b.set(NO_VF | vf << 8);
    command.comp_addr_lo.set(completion.low());
    command.comp_addr_hi.set(completion.high());
    command.comp_val.set(DmaeCompletionWord::DONE);
    command
}

fn plain(end: End) -> u64 {
    match end {
        End::Host(address) => address.value(),
        End::Chip(address) => u64::from(address.value()),
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
