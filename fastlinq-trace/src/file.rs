//! The file: a header, then chunks of records, each compressed for itself.
//!
//! ```text
//! header   "FLQTRACE"  version u16  chip u8 (0 BB, 1 K2)  0 u8  length of origin u16  origin (UTF-8)
//! chunk    compressed length u32  length u32  zlib stream
//! ```
//!
//! All numbers are little-endian. Chunks are complete in themselves but for what records say relative to the record
//! before. A file that ends in the middle of a chunk (its writer was killed) is readable up to there.

use std::io::{self, Read, Write};

use fastlinq_pac::Chip;

use crate::record::{Memory, Record, Timed};
use crate::{Malformed, ReadError};

const MAGIC: [u8; 8] = *b"FLQTRACE";
/// The version of the format that this crate writes.
pub const VERSION: u16 = 1;
/// A chunk is written when it has grown to this many bytes.
const CHUNK: usize = 1 << 18;
/// Longest chunk that is read: a chunk overshoots by one record at most.
const MAX_CHUNK: usize = CHUNK + (1 << 17);
const MAX_COMPRESSED: usize = MAX_CHUNK + (1 << 16);
const MAX_ORIGIN: usize = 1024;
/// Compression level of zlib.
const LEVEL: u8 = 7;
/// Bytes of all chunks that a reader unpacks at most when nothing else is said: 1 GiB.
pub const DEFAULT_LIMIT: u64 = 1 << 30;

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The chip that was driven.
    pub chip: Chip,
    /// Who recorded what, in words.
    pub origin: String,
}

/// Writes a trace.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    chunk: Vec<u8>,
    memory: Memory,
}

impl<W: Write> Writer<W> {
    /// Begins a trace.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        let mut end = header.origin.len().min(MAX_ORIGIN);
        while !header.origin.is_char_boundary(end) {
            end -= 1;
        }
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&[u8::from(header.chip == Chip::K2), 0])?;
        out.write_all(&(end as u16).to_le_bytes())?;
        out.write_all(&header.origin.as_bytes()[..end])?;
        Ok(Self {
            out,
            chunk: Vec::with_capacity(CHUNK),
            memory: Memory::default(),
        })
    }

    /// Appends a record; `at_ns` is model time.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn record(&mut self, at_ns: u64, record: &Record) -> io::Result<()> {
        self.memory.encode(&mut self.chunk, at_ns, record);
        if self.chunk.len() < CHUNK {
            return Ok(());
        }
        self.write_chunk()
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(&self.chunk, LEVEL);
        self.out.write_all(&(packed.len() as u32).to_le_bytes())?;
        self.out
            .write_all(&(self.chunk.len() as u32).to_le_bytes())?;
        self.out.write_all(&packed)?;
        self.chunk.clear();
        Ok(())
    }

    /// Writes out everything so far.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_chunk()?;
        self.out.flush()
    }
}

/// Reads a trace, record by record, from a source that need not be trusted.
///
/// Memory is bounded by the size of a chunk (some hundred KiB), work by the limit of unpacked bytes.
#[derive(Debug)]
pub struct Reader<R: Read> {
    input: R,
    header: Header,
    chunk: Vec<u8>,
    at: usize,
    memory: Memory,
    left: u64,
    done: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header; unpacks [`DEFAULT_LIMIT`] bytes at most.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when it is no trace, or one of another version.
    pub fn new(input: R) -> Result<Self, ReadError> {
        Self::with_limit(input, DEFAULT_LIMIT)
    }

    /// Reads the header; unpacks `limit` bytes at most.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_limit(mut input: R, limit: u64) -> Result<Self, ReadError> {
        let mut fixed = [0; 14];
        input
            .read_exact(&mut fixed)
            .map_err(|_| ReadError::NoTrace)?;
        if fixed[..8] != MAGIC {
            return Err(ReadError::NoTrace);
        }
        let version = u16::from_le_bytes([fixed[8], fixed[9]]);
        if version != VERSION {
            return Err(ReadError::Version(version));
        }
        let chip = match fixed[10] {
            0 => Chip::Bb,
            1 => Chip::K2,
            _ => return Err(Malformed::Number.into()),
        };
        let len = usize::from(u16::from_le_bytes([fixed[12], fixed[13]]));
        if len > MAX_ORIGIN {
            return Err(Malformed::TooLong.into());
        }
        let mut origin = vec![0; len];
        input
            .read_exact(&mut origin)
            .map_err(|_| Malformed::CutOff)?;
        let origin = String::from_utf8(origin).map_err(|_| Malformed::Text)?;
        Ok(Self {
            input,
            header: Header { chip, origin },
            chunk: Vec::new(),
            at: 0,
            memory: Memory::default(),
            left: limit,
            done: false,
        })
    }

    /// What the file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Unpacks the next chunk; `false` at the end of the file.
    fn next_chunk(&mut self) -> Result<bool, ReadError> {
        let mut lengths = [0; 8];
        match read_up_to(&mut self.input, &mut lengths)? {
            0 => return Ok(false),
            8 => {}
            _ => return Err(Malformed::CutOff.into()),
        }
        let [a, b, c, d, e, f, g, h] = lengths;
        let packed_len = u32::from_le_bytes([a, b, c, d]) as usize;
        let len = u32::from_le_bytes([e, f, g, h]) as usize;
        if packed_len > MAX_COMPRESSED || len > MAX_CHUNK {
            return Err(Malformed::TooLong.into());
        }
        self.left = self
            .left
            .checked_sub(len as u64)
            .ok_or(Malformed::TooLong)?;
        let mut packed = vec![0; packed_len];
        if read_up_to(&mut self.input, &mut packed)? != packed_len {
            return Err(Malformed::CutOff.into());
        }
        let chunk = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(&packed, len)
            .map_err(|_| Malformed::Compression)?;
        if chunk.len() != len || len == 0 {
            return Err(Malformed::Compression.into());
        }
        self.chunk = chunk;
        self.at = 0;
        Ok(true)
    }

    fn next_record(&mut self) -> Result<Option<Timed>, ReadError> {
        if self.at == self.chunk.len() && !self.next_chunk()? {
            return Ok(None);
        }
        let mut rest = &self.chunk[self.at..];
        let record = self.memory.decode(&mut rest)?;
        self.at = self.chunk.len() - rest.len();
        Ok(Some(record))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Timed, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_record().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            chip: Chip::K2,
            origin: "a test".into(),
        }
    }

    fn sample(records: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, &header()).unwrap();
        for index in 0..records {
            let record = Record::Mailbox {
                function: 0,
                header: index,
            };
            writer.record(u64::from(index), &record).unwrap();
        }
        writer.flush().unwrap();
        out
    }

    #[test]
    fn many_chunks_come_back_in_order() {
        let file = sample(200_000);
        let reader = Reader::new(&file[..]).unwrap();
        assert_eq!(*reader.header(), header());
        let mut count = 0;
        for timed in reader {
            let timed = timed.unwrap();
            assert_eq!(timed.at_ns, count);
            count += 1;
        }
        assert_eq!(count, 200_000);
    }

    #[test]
    fn damaged_files_end_with_an_error_and_no_panic() {
        let file = sample(500);
        for cut in 0..file.len() {
            if let Ok(reader) = Reader::new(&file[..cut]) {
                let _ = reader.count();
            }
        }
        for position in 0..file.len() {
            let mut changed = file.clone();
            changed[position] ^= 0xff;
            if let Ok(reader) = Reader::new(&changed[..]) {
                let _ = reader.count();
            }
        }
    }

    #[test]
    fn a_small_file_cannot_unpack_to_more_than_the_limit() {
        let file = sample(200_000);
        let last = Reader::with_limit(&file[..], 300_000).unwrap().last();
        assert!(matches!(
            last,
            Some(Err(ReadError::Malformed(Malformed::TooLong)))
        ));
    }

    #[test]
    fn other_files_and_versions_are_refused_by_name() {
        assert!(matches!(
            Reader::new(&b"not a trace at all"[..]),
            Err(ReadError::NoTrace)
        ));
        let mut file = sample(1);
        file[8] = 9;
        assert!(matches!(Reader::new(&file[..]), Err(ReadError::Version(9))));
    }
}
