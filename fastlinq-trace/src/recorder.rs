//! Records what an adapter sees.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastlinq_model::observer::{Event, Observer, Path};
use fastlinq_model::{Bar, Function};
use fastlinq_pac::bar::WINDOW_SIZE;

use crate::crc32;
use crate::file::{Header, Writer};
use crate::record::{MAX_BURST, MAX_QUOTE, Record, Words, digest};

/// From this many consecutive dwords on a write is bulk data, of which only digests are kept.
const BULK: usize = 16;
/// Blocks whose memories the driver computes, by address: they are kept in full however much is written.
const KEPT_IN_FULL: [core::ops::Range<u32>; 5] = [
    0x10_0000..0x10_2000, // DORQ
    0x18_0000..0x18_8000, // IGU
    0x1c_0000..0x20_0000, // CAU
    0x24_0000..0x27_8000, // PSWRQ2 with the ILT
    0x2f_0000..0x30_0000, // QM
];
/// Host pages that get a number of their own.
const MAX_PAGES: usize = 1 << 20;
/// Causes of DMA whose bytes are kept: what a driver lays out for the firmware's slow path.
const QUOTED: [&str; 3] = ["slow-path queue element", "ramrod ", "context of "];

/// Writes a trace of everything that an adapter tells its observers.
///
/// Clones are handles to the same trace: give one to [`Card::set_observer`](fastlinq_model::Card::set_observer), keep
/// one for [`mark`](Self::mark) and [`finish`](Self::finish). An error of the output ends the recording; `finish`
/// reports it. Dropping the last handle writes out what there is.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Mutex<Tape>>,
}

impl Recorder {
    /// Begins a trace.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn new(out: impl Write + Send + 'static, header: &Header) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = Box::new(out);
        Ok(Self {
            shared: Arc::new(Mutex::new(Tape {
                writer: Writer::new(Output(out), header)?,
                pending: None,
                pages: HashMap::new(),
                at_ns: 0,
                failed: None,
            })),
        })
    }

    /// An observer that records into this trace.
    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(self.clone())
    }

    /// Marks the beginning of a phase.
    pub fn mark(&self, phase: &str) {
        let mut tape = self.tape();
        tape.flush_pending();
        tape.put(&Record::Mark(phase.to_owned()));
    }

    /// Writes out everything so far.
    ///
    /// # Errors
    ///
    /// The first error of the output since the beginning.
    pub fn finish(&self) -> io::Result<()> {
        self.tape().finish()
    }

    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Recorder {
    fn event(&mut self, at_ns: u64, event: &Event<'_>) {
        self.tape().event(at_ns, event);
    }
}

struct Output(Box<dyn Write + Send>);

impl core::fmt::Debug for Output {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Output")
    }
}

impl Write for Output {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Accesses to consecutive dwords that are still growing.
#[derive(Debug)]
struct Pending {
    at_ns: u64,
    function: Function,
    path: Path,
    address: u32,
    values: Vec<u32>,
    write: bool,
}

impl Pending {
    fn continues(&self, function: Function, path: Path, address: u32, write: bool) -> bool {
        self.function == function
            && self.path == path
            && self.write == write
            && self.values.len() < MAX_BURST
            && self.address.wrapping_add(4 * self.values.len() as u32) == address
    }

    fn into_record(self) -> Record {
        let in_full = KEPT_IN_FULL
            .iter()
            .any(|range| range.contains(&self.address));
        let words = if self.write && self.values.len() >= BULK && !in_full {
            Words::Digests(self.values.iter().map(|&value| digest(value)).collect())
        } else {
            Words::Values(self.values)
        };
        Record::Burst {
            function: self.function,
            path: self.path,
            address: self.address,
            words,
            write: self.write,
        }
    }
}

#[derive(Debug)]
struct Tape {
    writer: Writer<Output>,
    pending: Option<Pending>,
    /// Page of a bus address -> order of its first use.
    pages: HashMap<u64, u64>,
    at_ns: u64,
    failed: Option<io::Error>,
}

impl Tape {
    fn put_at(&mut self, at_ns: u64, record: &Record) {
        if self.failed.is_none() {
            self.failed = self.writer.record(at_ns, record).err();
        }
    }

    fn put(&mut self, record: &Record) {
        self.put_at(self.at_ns, record);
    }

    fn flush_pending(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.put_at(pending.at_ns, &pending.into_record());
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush_pending();
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.writer.flush(),
        }
    }

    fn normalised(&mut self, address: u64) -> u64 {
        let (page, offset) = (address >> 12, address & 0xfff);
        let next = self.pages.len() as u64;
        let number = if self.pages.len() < MAX_PAGES {
            *self.pages.entry(page).or_insert(next)
        } else {
            self.pages.get(&page).copied().unwrap_or(next)
        };
        number << 12 | offset
    }

    fn event(&mut self, at_ns: u64, event: &Event<'_>) {
        self.at_ns = at_ns;
        if let Event::Register {
            function,
            path,
            address,
            value,
            write,
        } = *event
        {
            match &mut self.pending {
                Some(pending) if pending.continues(function, path, address, write) => {
                    pending.values.push(value);
                }
                _ => {
                    self.flush_pending();
                    self.pending = Some(Pending {
                        at_ns,
                        function,
                        path,
                        address,
                        values: vec![value],
                        write,
                    });
                }
            }
            return;
        }
        let Some(record) = self.record_of(event) else {
            return;
        };
        self.flush_pending();
        self.put(&record);
    }

    fn record_of(&mut self, event: &Event<'_>) -> Option<Record> {
        Some(match *event {
            // What goes through a window is recorded as the register that it reaches.
            Event::Bar {
                bar: Bar::Registers,
                offset,
                ..
            } if offset >= u64::from(WINDOW_SIZE) => return None,
            Event::Bar {
                function,
                bar,
                offset,
                value,
                len,
                write,
            } => Record::Access {
                function,
                bar: bar.index(),
                offset,
                len: len as u8,
                value,
                write,
            },
            Event::Dma {
                function,
                address,
                data,
                write,
                cause,
            } => {
                let quoted = !write
                    && data.len() <= MAX_QUOTE
                    && QUOTED.iter().any(|start| cause.what.starts_with(start));
                Record::Dma {
                    function,
                    address: self.normalised(address),
                    len: data.len() as u64,
                    crc: crc32(data),
                    write,
                    cause: cause.what.to_owned(),
                    quote: if quoted { data.to_vec() } else { Vec::new() },
                }
            }
            Event::Doorbell(doorbell) => Record::Doorbell {
                function: doorbell.function,
                cid: doorbell.cid,
                data: doorbell.data,
            },
            Event::MailboxCommand { function, header } => Record::Mailbox { function, header },
            Event::Ramrod {
                function,
                protocol,
                command,
                cid,
                return_code,
            } => Record::Ramrod {
                function,
                protocol,
                command,
                cid,
                return_code,
            },
            Event::Interrupt { function, vector } => Record::Interrupt { function, vector },
            Event::Frame {
                port,
                frame,
                transmit,
            } => Record::Frame {
                port,
                len: frame.len() as u32,
                transmit,
            },
            Event::Violation(violation) => Record::Violation(violation.to_string()),
            _ => return None,
        })
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        // Whoever wants to know of an error calls `finish`.
        let _ = self.finish();
    }
}
