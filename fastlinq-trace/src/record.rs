//! What a trace is made of, and the bytes of each record.
//!
//! A record is a tag byte and numbers of variable length (seven bits a byte, least significant first). Model time and
//! register addresses are stored as differences to the record before.

use fastlinq_model::Function;
use fastlinq_model::observer::Path;

use crate::Malformed;

/// Longest text of a record, in bytes.
const MAX_TEXT: u64 = 4096;
/// Most dwords of a burst.
pub const MAX_BURST: usize = 16_384;
/// Most bytes of host memory that a record quotes.
pub const MAX_QUOTE: usize = 4096;

/// The dwords of a burst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// The values themselves.
    Values(Vec<u32>),
    /// A [`digest`] of each value, for bulk data that a trace does not carry.
    Digests(Vec<u16>),
}

impl Words {
    /// Number of dwords.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Digests(digests) => digests.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Sixteen bits that differ for most values that differ; 0 has the digest 0.
pub const fn digest(value: u32) -> u16 {
    let mixed = (value ^ (value >> 16)).wrapping_mul(0x7feb_352d);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x846c_a68b);
    (mixed ^ (mixed >> 16)) as u16
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A phase begins; what the recorder was told.
    Mark(String),
    /// An access to a BAR that leads to no register: admin page, doorbells, MSI-X table.
    Access {
        /// PCI function.
        function: u8,
        /// 0, 2 or 4.
        bar: u8,
        /// Bytes from the start of the BAR.
        offset: u64,
        /// Bytes of the access.
        len: u8,
        /// The value.
        value: u64,
        /// True for a write.
        write: bool,
    },
    /// Accesses to consecutive dwords of the internal address space.
    Burst {
        /// The identity that selects the bank: the requester, or whom it pretends to be.
        function: Function,
        /// How the accesses came in.
        path: Path,
        /// Internal byte address of the first.
        address: u32,
        /// What was read or written.
        words: Words,
        /// True for writes.
        write: bool,
    },
    /// The device accessed host memory.
    Dma {
        /// The requester.
        function: Function,
        /// Bus address with its page number replaced by the order in which pages were first touched.
        address: u64,
        /// Bytes of the access.
        len: u64,
        /// CRC-32 of the bytes.
        crc: u32,
        /// True when the device wrote.
        write: bool,
        /// What made it do so.
        cause: String,
        /// The bytes, of small structures that drivers lay out; otherwise empty.
        quote: Vec<u8>,
    },
    /// The chip accepted a doorbell.
    Doorbell {
        /// Who rang.
        function: Function,
        /// Connection.
        cid: u32,
        /// The store.
        data: u32,
    },
    /// A driver rang the mailbox.
    Mailbox {
        /// Absolute PF id.
        function: u8,
        /// Command 31:16, sequence 15:0.
        header: u32,
    },
    /// The storm firmware executed a ramrod.
    Ramrod {
        /// For whom.
        function: Function,
        /// Protocol id.
        protocol: u8,
        /// Command id.
        command: u8,
        /// Connection.
        cid: u32,
        /// Return code of the firmware.
        return_code: u8,
    },
    /// A message interrupt.
    Interrupt {
        /// PCI function.
        function: u8,
        /// Vector.
        vector: u16,
    },
    /// A frame passed a port; its bytes are not kept.
    Frame {
        /// Port of the card.
        port: u8,
        /// Bytes without FCS.
        len: u32,
        /// True when the adapter sent it.
        transmit: bool,
    },
    /// A rule was broken.
    Violation(String),
}

/// A record and the model time of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Nanoseconds since power-up.
    pub at_ns: u64,
    /// What happened.
    pub record: Record,
}

/// What records refer to: the values of the record before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    at_ns: u64,
    address: u32,
    /// Texts so far; a text is written out once.
    texts: Vec<String>,
}

/// Texts that are remembered.
const MAX_TEXTS: usize = 1024;

const MARK: u8 = 1;
const ACCESS: u8 = 2;
const BURST: u8 = 3;
const DIGESTS: u8 = 4;
const DMA: u8 = 5;
const DOORBELL: u8 = 6;
const MAILBOX: u8 = 7;
const RAMROD: u8 = 8;
const INTERRUPT: u8 = 9;
const FRAME: u8 = 10;
const VIOLATION: u8 = 11;
/// Set in the tag of a write (or of a frame that was sent).
const WRITE: u8 = 0x80;

fn tag(kind: u8, write: bool) -> u8 {
    if write { kind | WRITE } else { kind }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_difference(out: &mut Vec<u8>, from: u32, to: u32) {
    let difference = to.wrapping_sub(from) as i32;
    put(out, u64::from((difference << 1 ^ difference >> 31) as u32));
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(MAX_TEXT as usize);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    put(out, end as u64);
    out.extend_from_slice(&text.as_bytes()[..end]);
}

fn put_function(out: &mut Vec<u8>, function: Function) {
    let vf = function.vf.map_or(0, |vf| u64::from(vf) + 1);
    put(out, vf << 4 | u64::from(function.pf & 0xf));
}

fn put_path(out: &mut Vec<u8>, path: Path) {
    let (kind, number) = match path {
        Path::Movable(number) => (0, number),
        Path::Global(number) => (1, number),
        Path::Dmae(number) => (2, number),
    };
    out.push(kind << 5 | number & 0x1f);
}

impl Memory {
    /// Appends a record.
    pub(crate) fn encode(&mut self, out: &mut Vec<u8>, at_ns: u64, record: &Record) {
        let kind = match record {
            Record::Mark(_) => MARK,
            Record::Access { write, .. } => tag(ACCESS, *write),
            Record::Burst { write, words, .. } => match words {
                Words::Values(_) => tag(BURST, *write),
                Words::Digests(_) => tag(DIGESTS, *write),
            },
            Record::Dma { write, .. } => tag(DMA, *write),
            Record::Doorbell { .. } => DOORBELL,
            Record::Mailbox { .. } => MAILBOX,
            Record::Ramrod { .. } => RAMROD,
            Record::Interrupt { .. } => INTERRUPT,
            Record::Frame { transmit, .. } => tag(FRAME, *transmit),
            Record::Violation(_) => VIOLATION,
        };
        out.push(kind);
        put(out, at_ns.saturating_sub(self.at_ns));
        self.at_ns = self.at_ns.max(at_ns);
        match record {
            Record::Mark(text) | Record::Violation(text) => put_text(out, text),
            Record::Access {
                function,
                bar,
                offset,
                len,
                value,
                ..
            } => {
                out.extend_from_slice(&[*function, *bar, *len]);
                put(out, *offset);
                put(out, *value);
            }
            Record::Burst {
                function,
                path,
                address,
                words,
                ..
            } => {
                put_function(out, *function);
                put_path(out, *path);
                put_difference(out, self.address, *address);
                self.address = address.wrapping_add(4 * words.len() as u32);
                put(out, words.len() as u64);
                match words {
                    Words::Values(values) => {
                        values.iter().for_each(|&value| put(out, value.into()));
                    }
                    Words::Digests(digests) => {
                        for digest in digests {
                            out.extend_from_slice(&digest.to_le_bytes());
                        }
                    }
                }
            }
            Record::Dma {
                function,
                address,
                len,
                crc,
                cause,
                quote,
                ..
            } => {
                put_function(out, *function);
                put(out, *address);
                put(out, *len);
                out.extend_from_slice(&crc.to_le_bytes());
                self.encode_known_text(out, cause);
                put(out, quote.len() as u64);
                out.extend_from_slice(quote);
            }
            Record::Doorbell {
                function,
                cid,
                data,
            } => {
                put_function(out, *function);
                put(out, (*cid).into());
                put(out, (*data).into());
            }
            Record::Mailbox { function, header } => {
                out.push(*function);
                put(out, (*header).into());
            }
            Record::Ramrod {
                function,
                protocol,
                command,
                cid,
                return_code,
            } => {
                put_function(out, *function);
                out.extend_from_slice(&[*protocol, *command, *return_code]);
                put(out, (*cid).into());
            }
            Record::Interrupt { function, vector } => {
                out.push(*function);
                put(out, (*vector).into());
            }
            Record::Frame { port, len, .. } => {
                out.push(*port);
                put(out, (*len).into());
            }
        }
    }

    fn encode_known_text(&mut self, out: &mut Vec<u8>, text: &str) {
        match self.texts.iter().position(|known| known == text) {
            Some(index) => put(out, index as u64 + 1),
            None => {
                put(out, 0);
                put_text(out, text);
                if self.texts.len() < MAX_TEXTS {
                    self.texts.push(text.to_owned());
                }
            }
        }
    }

    /// Takes the next record off the front of `bytes`.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<Timed, Malformed> {
        let kind = byte(bytes)?;
        let write = kind & WRITE != 0;
        self.at_ns = self.at_ns.saturating_add(number(bytes)?);
        let record = match kind & !WRITE {
            MARK => Record::Mark(text(bytes)?),
            VIOLATION => Record::Violation(text(bytes)?),
            ACCESS => {
                let (function, bar, len) = (byte(bytes)?, byte(bytes)?, byte(bytes)?);
                let (offset, value) = (number(bytes)?, number(bytes)?);
                Record::Access {
                    function,
                    bar,
                    offset,
                    len,
                    value,
                    write,
                }
            }
            kind @ (BURST | DIGESTS) => {
                let (function, path) = (function(bytes)?, path(bytes)?);
                let address = difference(bytes, self.address)?;
                let words = words(bytes, kind == DIGESTS)?;
                self.address = address.wrapping_add(4 * words.len() as u32);
                Record::Burst {
                    function,
                    path,
                    address,
                    words,
                    write,
                }
            }
            DMA => {
                let function = function(bytes)?;
                let (address, len) = (number(bytes)?, number(bytes)?);
                let crc = take(bytes, 4)?;
                let crc = u32::from_le_bytes([crc[0], crc[1], crc[2], crc[3]]);
                let cause = self.decode_known_text(bytes)?;
                let quoted = number(bytes)?;
                if quoted > MAX_QUOTE as u64 {
                    return Err(Malformed::TooLong);
                }
                let quote = take(bytes, quoted as usize)?.to_vec();
                Record::Dma {
                    function,
                    address,
                    len,
                    crc,
                    write,
                    cause,
                    quote,
                }
            }
            DOORBELL => Record::Doorbell {
                function: function(bytes)?,
                cid: number32(bytes)?,
                data: number32(bytes)?,
            },
            MAILBOX => Record::Mailbox {
                function: byte(bytes)?,
                header: number32(bytes)?,
            },
            RAMROD => {
                let function = function(bytes)?;
                let (protocol, command, return_code) = (byte(bytes)?, byte(bytes)?, byte(bytes)?);
                Record::Ramrod {
                    function,
                    protocol,
                    command,
                    cid: number32(bytes)?,
                    return_code,
                }
            }
            INTERRUPT => Record::Interrupt {
                function: byte(bytes)?,
                vector: u16::try_from(number(bytes)?).map_err(|_| Malformed::Number)?,
            },
            FRAME => Record::Frame {
                port: byte(bytes)?,
                len: number32(bytes)?,
                transmit: write,
            },
            other => return Err(Malformed::Kind(other)),
        };
        Ok(Timed {
            at_ns: self.at_ns,
            record,
        })
    }

    fn decode_known_text(&mut self, bytes: &mut &[u8]) -> Result<String, Malformed> {
        let index = number(bytes)?;
        if index == 0 {
            let text = text(bytes)?;
            if self.texts.len() < MAX_TEXTS {
                self.texts.push(text.clone());
            }
            return Ok(text);
        }
        let index = usize::try_from(index - 1).map_err(|_| Malformed::Number)?;
        self.texts.get(index).cloned().ok_or(Malformed::Number)
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (front, rest) = bytes.split_at_checked(count).ok_or(Malformed::CutOff)?;
    *bytes = rest;
    Ok(front)
}

fn byte(bytes: &mut &[u8]) -> Result<u8, Malformed> {
    take(bytes, 1).map(|front| front[0])
}

fn number(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let next = byte(bytes)?;
        let bits = u64::from(next & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(Malformed::Number);
        }
        value |= bits << shift;
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed::Number)
}

fn number32(bytes: &mut &[u8]) -> Result<u32, Malformed> {
    u32::try_from(number(bytes)?).map_err(|_| Malformed::Number)
}

fn difference(bytes: &mut &[u8], from: u32) -> Result<u32, Malformed> {
    let folded = number32(bytes)?;
    Ok(from.wrapping_add(folded >> 1 ^ (folded & 1).wrapping_neg()))
}

fn text(bytes: &mut &[u8]) -> Result<String, Malformed> {
    let len = number(bytes)?;
    if len > MAX_TEXT {
        return Err(Malformed::TooLong);
    }
    let text = core::str::from_utf8(take(bytes, len as usize)?).map_err(|_| Malformed::Text)?;
    Ok(text.to_owned())
}

fn function(bytes: &mut &[u8]) -> Result<Function, Malformed> {
    let word = number(bytes)?;
    let pf = (word & 0xf) as u8;
    match word >> 4 {
        0 => Ok(Function::pf(pf)),
        vf @ 1..=256 => Ok(Function::vf(pf, (vf - 1) as u8)),
        _ => Err(Malformed::Number),
    }
}

fn path(bytes: &mut &[u8]) -> Result<Path, Malformed> {
    let word = byte(bytes)?;
    let number = word & 0x1f;
    match word >> 5 {
        0 => Ok(Path::Movable(number)),
        1 => Ok(Path::Global(number)),
        2 => Ok(Path::Dmae(number)),
        _ => Err(Malformed::Number),
    }
}

fn words(bytes: &mut &[u8], digests: bool) -> Result<Words, Malformed> {
    let len = number(bytes)?;
    if len > MAX_BURST as u64 {
        return Err(Malformed::TooLong);
    }
    let len = len as usize;
    if digests {
        let raw = take(bytes, 2 * len)?;
        let digests = raw
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        return Ok(Words::Digests(digests));
    }
    // Every value takes a byte at least.
    if len > bytes.len() {
        return Err(Malformed::CutOff);
    }
    (0..len)
        .map(|_| number32(bytes))
        .collect::<Result<_, _>>()
        .map(Words::Values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<Record> {
        vec![
            Record::Mark("connected".into()),
            Record::Access {
                function: 1,
                bar: 2,
                offset: 0x7f_fff8,
                len: 4,
                value: 0xffff_ffff_ffff_ffff,
                write: true,
            },
            Record::Burst {
                function: Function::vf(15, 255),
                path: Path::Dmae(31),
                address: 0xffff_fffc,
                words: Words::Values(vec![0, 1, u32::MAX]),
                write: true,
            },
            Record::Burst {
                function: Function::pf(0),
                path: Path::Global(18),
                address: 0,
                words: Words::Digests(vec![0, 1, u16::MAX]),
                write: false,
            },
            Record::Dma {
                function: Function::pf(3),
                address: 0x1_2345,
                len: 16,
                crc: 0xdead_beef,
                write: false,
                cause: "SPQ element".into(),
                quote: vec![1, 2, 3],
            },
            Record::Doorbell {
                function: Function::pf(3),
                cid: 7,
                data: 0x1234_5678,
            },
            Record::Mailbox {
                function: 9,
                header: 0x1000_0001,
            },
            Record::Ramrod {
                function: Function::pf(2),
                protocol: 4,
                command: 14,
                cid: 0x10,
                return_code: 1,
            },
            Record::Interrupt {
                function: 0,
                vector: 128,
            },
            Record::Frame {
                port: 3,
                len: 1514,
                transmit: true,
            },
            Record::Violation("a rule".into()),
        ]
    }

    #[test]
    fn records_come_back_as_they_were() {
        let (mut out, mut writer) = (Vec::new(), Memory::default());
        let records: Vec<_> = examples().into_iter().chain(examples()).collect();
        for (index, record) in records.iter().enumerate() {
            writer.encode(&mut out, 1000 * index as u64, record);
        }
        let (mut bytes, mut reader) = (&out[..], Memory::default());
        for (index, record) in records.into_iter().enumerate() {
            let timed = reader.decode(&mut bytes).unwrap();
            assert_eq!(timed.at_ns, 1000 * index as u64);
            assert_eq!(timed.record, record);
        }
        assert!(bytes.is_empty());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_allocate_beyond_them() {
        let mut out = Vec::new();
        let mut writer = Memory::default();
        for record in examples() {
            writer.encode(&mut out, 5, &record);
        }
        for position in 0..out.len() {
            for change in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut changed = out.clone();
                changed[position] = change;
                let (mut bytes, mut reader) = (&changed[..], Memory::default());
                while !bytes.is_empty() && reader.decode(&mut bytes).is_ok() {}
            }
            let (mut bytes, mut reader) = (&out[..position], Memory::default());
            while !bytes.is_empty() && reader.decode(&mut bytes).is_ok() {}
        }
    }

    #[test]
    fn lengths_beyond_the_limits_are_refused() {
        let mut text = vec![MARK, 0];
        put(&mut text, MAX_TEXT + 1);
        assert_eq!(
            Memory::default().decode(&mut &text[..]),
            Err(Malformed::TooLong)
        );
        let mut burst = vec![DIGESTS, 0, 0, 0, 0];
        put(&mut burst, u64::MAX);
        assert_eq!(
            Memory::default().decode(&mut &burst[..]),
            Err(Malformed::TooLong)
        );
    }

    #[test]
    fn digests_tell_values_apart() {
        assert_eq!(digest(0), 0);
        let different: std::collections::BTreeSet<u16> = (0..4096).map(digest).collect();
        assert!(different.len() > 3800, "{}", different.len());
    }
}
