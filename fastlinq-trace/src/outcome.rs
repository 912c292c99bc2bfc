//! What a bring-up amounts to: the contents that the driver left behind, what it asked of the firmwares, and how much
//! it took.

use std::collections::BTreeMap;
use std::io::Read;

use fastlinq_model::Function;
use fastlinq_model::observer::Path;
use fastlinq_pac::Chip;
use fastlinq_pac::mfw::DriverCommand;

use crate::file::{Header, Reader};
use crate::follow::{Call, Exchange, Follower, SCRATCHPAD, Whole};
use crate::names::registers::{Split, split};
use crate::names::{self, canonical};
use crate::record::{Record, Timed, Words, digest};
use crate::{Malformed, ReadError};

/// Commands of the DMA engine: they are compared by what they move.
const DMAE: core::ops::Range<u32> = 0xc000..0xd000;
/// Interrupt commands: they pass, and leave nothing behind.
const IGU_COMMANDS: core::ops::Range<u32> = 0x1c0_0000..0x1c1_0000;

/// Cells of one bring-up: more than the chip has dwords of registers and memories.
const MAX_CELLS: usize = 1 << 22;
/// Mailbox commands, ramrods and broken rules of one bring-up.
const MAX_REQUESTS: usize = 1 << 16;

/// A register or dword of a memory, in one of its banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Internal byte address.
    pub address: u32,
    /// The function whose bank it is; `None` where all share one.
    pub bank: Option<Function>,
}

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The value.
    Value(u32),
    /// The digest of a value that the trace does not carry.
    Digest(u16),
}

impl Content {
    /// Whether both may be the same value.
    pub fn agrees(self, other: Self) -> bool {
        match (self, other) {
            (Self::Value(a), Self::Value(b)) => a == b,
            _ => self.digest() == other.digest(),
        }
    }

    /// True for the value 0.
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Value(0) | Self::Digest(0))
    }

    fn digest(self) -> u16 {
        match self {
            Self::Value(value) => digest(value),
            Self::Digest(digest) => digest,
        }
    }
}

impl core::fmt::Display for Content {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value:#x}"),
            Self::Digest(0) => f.write_str("0x0"),
            Self::Digest(digest) => write!(f, "#{digest:04x}"),
        }
    }
}

/// How far a bring-up is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before LOAD_REQ.
    Probe,
    /// From LOAD_REQ to LOAD_DONE.
    Load,
    /// After LOAD_DONE: ports, vports, queues.
    Run,
}

impl Phase {
    /// In order.
    pub const ALL: [Self; 3] = [Self::Probe, Self::Load, Self::Run];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Load => "load",
            Self::Run => "run",
        }
    }
}

/// How often the driver did things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Dwords written to registers and memories through windows, by the CPU.
    pub register_writes: u64,
    /// Dwords read through windows, by the CPU.
    pub register_reads: u64,
    /// Writes to the window settings of BAR0.
    pub window_writes: u64,
    /// Dwords that the DMA engine wrote to registers and memories.
    pub dma_dwords: u64,
    /// Commands to the DMA engine.
    pub dma_commands: u64,
    /// Stores to the doorbell BAR.
    pub doorbells: u64,
}

impl Effort {
    /// Every store of the CPU to the adapter.
    pub fn stores(&self) -> u64 {
        self.register_writes + self.window_writes + self.doorbells
    }
}

impl core::ops::AddAssign for Effort {
    fn add_assign(&mut self, other: Self) {
        self.register_writes += other.register_writes;
        self.register_reads += other.register_reads;
        self.window_writes += other.window_writes;
        self.dma_dwords += other.dma_dwords;
        self.dma_commands += other.dma_commands;
        self.doorbells += other.doorbells;
    }
}

/// A bring-up, from power-up to the moment before the driver unloads (or the end of the trace).
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the file says of itself.
    pub header: Header,
    /// Final contents of everything that the driver wrote. Not in it: the mailbox, commands of the DMA engine and
    /// interrupt commands.
    pub contents: BTreeMap<Cell, Content>,
    /// Mailbox commands in order.
    pub exchanges: Vec<Exchange>,
    /// Ramrods in order.
    pub calls: Vec<Call>,
    /// By [`Phase::ALL`].
    pub effort: [Effort; 3],
    /// Rules that were broken.
    pub violations: Vec<String>,
}

impl Outcome {
    /// Reads a trace. Of several power-ups the last one counts in which a driver loaded.
    ///
    /// # Errors
    ///
    /// Those of the reader; [`Malformed::TooLong`] when there is more than any bring-up has.
    pub fn read(input: impl Read) -> Result<Self, ReadError> {
        let reader = Reader::new(input)?;
        let header = reader.header().clone();
        let mut gathering = Gathering::new(&header);
        let mut best: Option<Self> = None;
        for timed in reader {
            let timed = timed?;
            if matches!(&timed.record, Record::Mark(mark) if mark == "power-up") {
                let done = core::mem::replace(&mut gathering, Gathering::new(&header)).end();
                keep_better(&mut best, done);
                continue;
            }
            gathering.take(&timed);
            gathering.check()?;
        }
        keep_better(&mut best, gathering.end());
        Ok(best.unwrap_or_else(|| Gathering::new(&header).end()))
    }

    /// What all phases took together.
    pub fn total_effort(&self) -> Effort {
        let mut total = Effort::default();
        self.effort.iter().for_each(|&effort| total += effort);
        total
    }

    fn loaded(&self) -> bool {
        self.exchanges
            .iter()
            .any(|exchange| exchange.command == DriverCommand::LOAD_DONE.value())
    }
}

fn keep_better(best: &mut Option<Outcome>, candidate: Outcome) {
    let better = match best {
        None => true,
        Some(best) => candidate.loaded() || !best.loaded() && !candidate.contents.is_empty(),
    };
    if better {
        *best = Some(candidate);
    }
}

struct Gathering {
    follower: Follower,
    phase: Phase,
    over: bool,
    outcome: Outcome,
}

impl Gathering {
    fn new(header: &Header) -> Self {
        Self {
            follower: Follower::new(header.chip),
            phase: Phase::Probe,
            over: false,
            outcome: Outcome {
                header: header.clone(),
                contents: BTreeMap::new(),
                exchanges: Vec::new(),
                calls: Vec::new(),
                effort: [Effort::default(); 3],
                violations: Vec::new(),
            },
        }
    }

    fn end(mut self) -> Outcome {
        if !self.over {
            if let Some(whole) = self.follower.finish() {
                self.keep(whole);
            }
        }
        self.outcome
    }

    /// Nobody's bring-up is as large as this: a trace may not take all memory.
    fn check(&self) -> Result<(), Malformed> {
        let requests = self.outcome.exchanges.len() + self.outcome.calls.len();
        let texts = self.outcome.violations.len();
        if self.outcome.contents.len() > MAX_CELLS || requests + texts > MAX_REQUESTS {
            return Err(Malformed::TooLong);
        }
        Ok(())
    }

    fn keep(&mut self, whole: Whole) {
        match whole {
            Whole::Exchange(exchange) => self.outcome.exchanges.push(exchange),
            Whole::Call(call) => self.outcome.calls.push(call),
        }
    }

    fn take(&mut self, timed: &Timed) {
        if self.over {
            return;
        }
        if let Record::Mailbox { header, .. } = timed.record {
            match DriverCommand((header >> 16) as u16) {
                DriverCommand::LOAD_REQ => self.phase = Phase::Load,
                DriverCommand::UNLOAD_REQ if self.phase == Phase::Run => self.over = true,
                _ => {}
            }
        }
        if let Some(whole) = self.follower.take(timed) {
            let load_done = matches!(&whole, Whole::Exchange(exchange)
                if exchange.command == DriverCommand::LOAD_DONE.value());
            self.keep(whole);
            if load_done {
                self.phase = Phase::Run;
            }
        }
        let effort = &mut self.outcome.effort[self.phase as usize];
        match &timed.record {
            Record::Burst {
                function,
                path,
                address,
                words,
                write,
            } => {
                let count = words.len() as u64;
                match (path, write) {
                    (Path::Dmae(_), true) => effort.dma_dwords += count,
                    (Path::Dmae(_), false) => {}
                    (_, true) => effort.register_writes += count,
                    (_, false) => effort.register_reads += count,
                }
                if *write {
                    if DMAE_GO.contains(address) {
                        effort.dma_commands += count;
                    }
                    self.write(*function, *address, words);
                }
            }
            Record::Access {
                bar: 0,
                write: true,
                ..
            } => effort.window_writes += 1,
            Record::Access {
                bar: 2,
                write: true,
                ..
            } => effort.doorbells += 1,
            Record::Violation(text) => self.outcome.violations.push(text.clone()),
            _ => {}
        }
    }

    fn write(&mut self, function: Function, address: u32, words: &Words) {
        let chip = self.outcome.header.chip;
        for index in 0..words.len() {
            let address = canonical(address.wrapping_add(4 * index as u32));
            if [SCRATCHPAD, DMAE, IGU_COMMANDS]
                .iter()
                .any(|range| range.contains(&address))
            {
                continue;
            }
            let content = match words {
                Words::Values(values) => Content::Value(normalised(chip, address, values[index])),
                Words::Digests(digests) => Content::Digest(digests[index]),
            };
            let cell = Cell {
                address,
                bank: bank(chip, function, address),
            };
            self.outcome.contents.insert(cell, content);
        }
    }
}

/// The registers that start the channels of the DMA engine.
const DMAE_GO: core::ops::Range<u32> = 0xc048..0xc0c8;

fn bank(chip: Chip, function: Function, address: u32) -> Option<Function> {
    match split(chip, address) {
        Split::None | Split::Port => None,
        Split::Pf | Split::PortPf => Some(Function::pf(function.pf)),
        Split::Vf => Some(function),
    }
}

/// A value without the host addresses in it: only whether there is one.
fn normalised(chip: Chip, address: u32, value: u32) -> u32 {
    /// Bit 52 of an ILT entry, in its upper dword.
    const VALID: u32 = 1 << 20;
    let present = u32::from(value != 0);
    match address {
        0x26_0000..0x27_8000 if address & 4 != 0 => value & VALID,
        0x26_0000..0x27_8000 => 0,
        // SRC: first and last element of the searcher's free list.
        0x23_8500..0x23_8540 if address & 4 == 0 => present,
        0x23_8500..0x23_8540 => 0,
        0x18_0820 => present,
        0x18_0824 => 0,
        0x1c_8000..0x1d_0000 if address & 4 == 0 => present,
        0x1c_8000..0x1d_0000 => 0,
        0x1c8_0000.. => {
            let place = names::place(chip, address);
            match (place.name.contains("OVERLAY_BUF_ADDR"), place.dword) {
                (true, Some(0) | None) => present,
                (true, _) => 0,
                _ => value,
            }
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(records: &[Record]) -> Vec<u8> {
        let header = Header {
            chip: Chip::K2,
            origin: String::new(),
        };
        let mut out = Vec::new();
        let mut writer = crate::Writer::new(&mut out, &header).unwrap();
        for record in records {
            writer.record(0, record).unwrap();
        }
        writer.flush().unwrap();
        out
    }

    fn write(pf: u8, path: Path, address: u32, words: Words) -> Record {
        Record::Burst {
            function: Function::pf(pf),
            path,
            address,
            words,
            write: true,
        }
    }

    #[test]
    fn the_last_write_counts_in_each_bank() {
        let values = |value| Words::Values(vec![value]);
        let window = Path::Movable(2);
        let file = trace(&[
            write(0, window, 0x18_0800, values(1)),
            write(1, window, 0x18_0800, values(9)),
            write(0, window, 0x18_0800, values(0xb)),
            write(1, window, 0x18_4000, values(3)),
            write(0, Path::Dmae(0), 0x18_4000, values(4)),
        ]);
        let outcome = Outcome::read(&file[..]).unwrap();
        let contents: Vec<_> = outcome.contents.into_iter().collect();
        let cell = |address, bank: Option<u8>| Cell {
            address,
            bank: bank.map(Function::pf),
        };
        assert_eq!(
            contents,
            [
                (cell(0x18_0800, Some(0)), Content::Value(0xb)),
                (cell(0x18_0800, Some(1)), Content::Value(9)),
                (cell(0x18_4000, None), Content::Value(4)),
            ]
        );
        assert_eq!(outcome.effort[0].register_writes, 4);
        assert_eq!(outcome.effort[0].dma_dwords, 1);
    }

    #[test]
    fn host_addresses_and_passing_commands_leave_no_trace() {
        let file = trace(&[
            write(
                0,
                Path::Dmae(0),
                0x26_0000,
                Words::Values(vec![0x1_2345, 0x10_0001]),
            ),
            write(0, Path::Movable(2), 0xc048, Words::Values(vec![1])),
            write(0, Path::Movable(2), 0xe2_0000, Words::Values(vec![1])),
        ]);
        let outcome = Outcome::read(&file[..]).unwrap();
        let values: Vec<_> = outcome.contents.values().copied().collect();
        assert_eq!(values, [Content::Value(0), Content::Value(1 << 20)]);
        assert_eq!(outcome.effort[0].dma_commands, 1);
    }

    #[test]
    fn storm_ram_is_one_memory_however_it_is_reached() {
        let file = trace(&[
            write(0, Path::Movable(2), 0x146_0010, Words::Values(vec![1])),
            write(0, Path::Dmae(0), 0x1e0_0010, Words::Digests(vec![7])),
        ]);
        let outcome = Outcome::read(&file[..]).unwrap();
        assert_eq!(outcome.contents.len(), 1);
        assert!(outcome.contents.values().all(|c| *c == Content::Digest(7)));
    }

    #[test]
    fn contents_agree_by_digest_when_a_value_is_not_known() {
        assert!(Content::Value(77).agrees(Content::Digest(digest(77))));
        assert!(!Content::Value(77).agrees(Content::Digest(digest(78))));
        assert!(Content::Value(0).agrees(Content::Digest(0)));
    }

    #[test]
    fn a_trace_without_end_is_refused() {
        let ring = Record::Mailbox {
            function: 0,
            header: 0x0031_0001,
        };
        let file = trace(&vec![ring; MAX_REQUESTS + 2]);
        assert!(matches!(
            Outcome::read(&file[..]),
            Err(ReadError::Malformed(Malformed::TooLong))
        ));
    }

    #[test]
    fn what_follows_the_unloading_does_not_count() {
        let mailbox = |command: DriverCommand| Record::Mailbox {
            function: 0,
            header: u32::from(command.value()) << 16 | 1,
        };
        let file = trace(&[
            mailbox(DriverCommand::LOAD_REQ),
            mailbox(DriverCommand::LOAD_DONE),
            mailbox(DriverCommand::GET_OEM_UPDATES),
            mailbox(DriverCommand::UNLOAD_REQ),
            write(0, Path::Movable(2), 0x18_4000, Words::Values(vec![1])),
        ]);
        let outcome = Outcome::read(&file[..]).unwrap();
        assert!(outcome.contents.is_empty());
        assert!(outcome.loaded());
    }
}
