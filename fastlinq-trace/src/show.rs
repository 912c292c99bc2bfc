//! A trace as lines of text.

use core::fmt::Write as _;

use crate::follow::{Call, Exchange, Follower, Whole};
use crate::names;
use crate::record::{Record, Timed, Words};

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Register accesses.
    Registers,
    /// Mailbox exchanges.
    Mailbox,
    /// Ramrods.
    Ramrods,
    /// Accesses of the device to host memory.
    Dma,
}

/// Values of a burst that are shown.
const VALUES: usize = 4;

/// Writes a trace out, record by record.
#[derive(Debug)]
pub struct Printer {
    follower: Follower,
    only: Option<Kind>,
}

impl Printer {
    /// Prints records of a trace of `chip`; `only` one kind of them, together with the marks.
    pub fn new(chip: fastlinq_pac::Chip, only: Option<Kind>) -> Self {
        Self {
            follower: Follower::new(chip),
            only,
        }
    }

    /// The lines for the next record, each with its line feed; none for most when only one kind is shown.
    pub fn lines(&mut self, timed: &Timed) -> String {
        let mut out = String::new();
        let whole = self.follower.take(timed);
        if let Some(line) = self.line(&timed.record) {
            put(&mut out, timed.at_ns, &line);
        }
        if let Some(whole) = whole {
            self.whole(&mut out, timed.at_ns, &whole);
        }
        out
    }

    /// The lines for what is open when the trace ends.
    pub fn end(&mut self) -> String {
        let mut out = String::new();
        if let Some(whole) = self.follower.finish() {
            self.whole(&mut out, 0, &whole);
        }
        out
    }

    fn wants(&self, kind: Kind) -> bool {
        self.only.is_none_or(|only| only == kind)
    }

    fn whole(&self, out: &mut String, at_ns: u64, whole: &Whole) {
        match whole {
            Whole::Exchange(exchange) if self.wants(Kind::Mailbox) => {
                put(out, at_ns, &exchange_line(exchange));
                exchange.fields().iter().for_each(|field| {
                    let _ = writeln!(out, "{:>16}{field}", "");
                });
            }
            Whole::Call(call) if self.wants(Kind::Ramrods) => {
                put(out, at_ns, &call_line(call));
                call.fields()
                    .iter()
                    .filter(|field| field.value != 0)
                    .for_each(|field| {
                        let _ = writeln!(out, "{:>16}{field}", "");
                    });
            }
            _ => {}
        }
    }

    fn line(&self, record: &Record) -> Option<String> {
        let all = self.only.is_none();
        Some(match record {
            Record::Mark(text) => format!("-- {text}"),
            Record::Burst { .. } if self.wants(Kind::Registers) => self.burst(record),
            Record::Access {
                function,
                bar,
                offset,
                len,
                value,
                write,
            } if all => format!(
                "{} BAR{bar}+{offset:#x} of function {function}, {len} bytes: {value:#x}",
                direction(*write)
            ),
            Record::Dma {
                function,
                address,
                len,
                crc,
                write,
                cause,
                ..
            } if self.wants(Kind::Dma) => format!(
                "DMA {} page {} +{:#x}, {len} bytes, CRC {crc:08x}, for {function}: {cause}",
                direction(*write),
                address >> 12,
                address & 0xfff
            ),
            Record::Doorbell {
                function,
                cid,
                data,
            } if all => format!("doorbell of {function}, connection {cid}: {data:#x}"),
            Record::Interrupt { function, vector } if all => {
                format!("interrupt of function {function}, vector {vector}")
            }
            Record::Frame {
                port,
                len,
                transmit,
            } if all => format!(
                "frame {} port {port}, {len} bytes",
                if *transmit { "out of" } else { "into" }
            ),
            Record::Violation(text) => format!("!! {text}"),
            _ => return None,
        })
    }

    fn burst(&self, record: &Record) -> String {
        let Record::Burst {
            function,
            path,
            address,
            words,
            write,
        } = record
        else {
            return String::new();
        };
        let place = names::place(self.follower.chip(), *address);
        let mut line = format!(
            "{} {address:#09x} {place} by {function}, {}:",
            direction(*write),
            names::path(*path)
        );
        let shown: Vec<String> = match words {
            Words::Values(values) => values
                .iter()
                .take(VALUES)
                .map(|value| format!(" {value:#x}"))
                .collect(),
            Words::Digests(digests) => digests
                .iter()
                .take(VALUES)
                .map(|digest| format!(" #{digest:04x}"))
                .collect(),
        };
        line.extend(shown);
        if words.len() > VALUES {
            let _ = write!(line, " ... {} dwords", words.len());
        }
        line
    }
}

fn direction(write: bool) -> &'static str {
    if write { "write" } else { "read " }
}

fn put(out: &mut String, at_ns: u64, line: &str) {
    let _ = writeln!(out, "{:>13.6} {line}", at_ns as f64 / 1e9);
}

fn exchange_line(exchange: &Exchange) -> String {
    let answer = match exchange.answer {
        Some((code, parameter)) => format!("{} {parameter:#x}", names::response(code)),
        None => "no answer seen".to_owned(),
    };
    format!(
        "MFW {} {:#x} of function {} -> {answer}",
        exchange.name(),
        exchange.parameter,
        exchange.function
    )
}

fn call_line(call: &Call) -> String {
    format!(
        "ramrod {} on connection {:#x} -> {}",
        call.name(),
        call.cid,
        call.return_code
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastlinq_model::Function;
    use fastlinq_model::observer::Path;
    use fastlinq_pac::Chip;

    fn write(address: u32, value: u32) -> Timed {
        Timed {
            at_ns: 1_500_000,
            record: Record::Burst {
                function: Function::pf(0),
                path: Path::Movable(2),
                address,
                words: Words::Values(vec![value]),
                write: true,
            },
        }
    }

    #[test]
    fn registers_are_shown_by_name() {
        let mut printer = Printer::new(Chip::K2, None);
        assert_eq!(
            printer.lines(&write(0x18_0800, 0xb)),
            "     0.001500 write 0x0180800 IGU.PF_CONFIGURATION by PF 0, ptt2: 0xb\n"
        );
        let mut printer = Printer::new(Chip::K2, Some(Kind::Ramrods));
        assert_eq!(printer.lines(&write(0x18_0800, 0xb)), "");
    }

    #[test]
    fn a_ramrod_is_shown_with_its_fields() {
        let mut printer = Printer::new(Chip::K2, Some(Kind::Ramrods));
        let dma = Record::Dma {
            function: Function::pf(0),
            address: 0x1000,
            len: 80,
            crc: 0,
            write: false,
            cause: "ramrod (cid, echo, protocol, command) with data".into(),
            quote: {
                let mut data = vec![0; 80];
                data[36] = 5;
                data
            },
        };
        let at = |record| Timed { at_ns: 0, record };
        assert_eq!(printer.lines(&at(dma)), "");
        let ramrod = Record::Ramrod {
            function: Function::pf(0),
            protocol: fastlinq_pac::hsi::ProtocolId::COMMON.value(),
            command: 1,
            cid: 0,
            return_code: 0,
        };
        let text = printer.lines(&at(ramrod));
        assert!(
            text.contains("COMMON PF_START on connection 0x0 -> 0"),
            "{text}"
        );
        assert!(text.contains("event_ring_sb_id = 0x5"), "{text}");
    }
}
