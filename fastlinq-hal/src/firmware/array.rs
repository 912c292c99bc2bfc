//! Arrays of the value section.

use fastlinq_pac::init_file::ArrayHeader;

/// Little-endian dwords in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dwords<'a> {
    bytes: &'a [u8],
}

impl<'a> Dwords<'a> {
    /// Takes bytes; what is left of a dword at their end is ignored.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Number of dwords.
    pub const fn len(self) -> usize {
        self.bytes.len() / 4
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Dword `index`.
    pub fn get(self, index: usize) -> Option<u32> {
        let start = index.checked_mul(4)?;
        let bytes = self.bytes.get(start..start.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The dwords in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = u32> + Clone + 'a {
        self.bytes
            .chunks_exact(4)
            .map(|bytes| bytes.try_into().map_or(0, u32::from_le_bytes))
    }

    pub(super) fn slice(self, start: usize, length: usize) -> Option<Self> {
        let first = start.checked_mul(4)?;
        let end = start.checked_add(length)?.checked_mul(4)?;
        self.bytes.get(first..end).map(Self::new)
    }

    pub(crate) const fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

/// An array as the file stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Array<'a> {
    /// As it is.
    Standard(Dwords<'a>),
    /// Compressed.
    Zipped {
        /// A zlib stream that inflates to at most 32 KiB.
        stream: &'a [u8],
        /// Dword of the array in the value section, for errors.
        offset: u32,
    },
    /// A few dwords, repeated.
    Pattern {
        /// What is repeated.
        pattern: Dwords<'a>,
        /// How many times.
        repetitions: u32,
    },
}

impl<'a> Array<'a> {
    /// Finds the array whose header is dword `offset`; `None` when it is broken.
    pub(super) fn at(values: Dwords<'a>, offset: u32) -> Option<Self> {
        let header = values.get(offset as usize)?;
        let start = (offset as usize).checked_add(1)?;
        match ArrayHeader::decode(header) {
            ArrayHeader::Standard { dwords } => {
                values.slice(start, dwords as usize).map(Self::Standard)
            }
            ArrayHeader::Zipped { bytes } => {
                let dwords = (bytes as usize).div_ceil(4);
                let stream = values.slice(start, dwords)?.bytes().get(..bytes as usize)?;
                Some(Self::Zipped { stream, offset })
            }
            ArrayHeader::Pattern { dwords: 0, .. } => None,
            ArrayHeader::Pattern {
                dwords,
                repetitions,
            } => Some(Self::Pattern {
                pattern: values.slice(start, dwords as usize)?,
                repetitions,
            }),
            ArrayHeader::Unknown { .. } => None,
        }
    }

    /// Dwords that are written, as far as that is known without inflating.
    pub fn stored_dwords(&self) -> Option<u64> {
        match self {
            Self::Standard(dwords) => Some(dwords.len() as u64),
            Self::Pattern {
                pattern,
                repetitions,
            } => Some(pattern.len() as u64 * u64::from(*repetitions)),
            Self::Zipped { .. } => None,
        }
    }
}
