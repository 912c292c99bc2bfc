//! The init-values file: a container of six sections, a program of 8-byte operations, and arrays.
//!
//! All integers are little-endian. Byte 0 is the offset of a debug part; at byte 4 begin six pairs of offset
//! and length, **offsets counted from byte 4**; after them, since overlays exist, a pair of all ones. Known
//! by: decoding of the files 8.42.2.0 and 8.59.1.0 and source reading.
//!
//! ```
//! use fastlinq_pac::init_file::{Operation, WriteSource};
//! // Writes 1 to 0x2a0000.
//! let Operation::Write(write) = Operation::decode(0x2a_0000 / 4 << 9 | 1, 1) else { panic!() };
//! assert_eq!(write.address.value(), 0x2a_0000);
//! assert_eq!((write.source, write.parameter, write.wide), (WriteSource::INLINE, 1, false));
//! ```

use crate::GrcAddress;
pub use crate::generated::init_file::*;

/// Byte offset of the section table, and the byte that section offsets count from.
pub const TABLE_OFFSET: usize = 4;
/// Sections of a file.
pub const SECTION_COUNT: usize = 6;
/// Bytes of an operation.
pub const OPERATION_SIZE: usize = 8;
/// Bytes of an IRO record.
pub const IRO_RECORD_SIZE: usize = 12;
/// The most dwords that a compressed array may expand to.
pub const ZIPPED_MAX_DWORDS: usize = 8192;
/// The phase id of a condition that holds for every id.
pub const ANY_PHASE_ID: u16 = 0xffff;
/// The callback that says that the DMA engine works from here on.
pub const CALLBACK_DMAE_READY: u16 = 0;
/// The block id that goes with [`CALLBACK_DMAE_READY`].
pub const CALLBACK_BLOCK_DMAE: u16 = 22;

/// A write operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// The first register written.
    pub address: GrcAddress,
    /// Whether the target takes only whole lines, by DMA.
    pub wide: bool,
    /// Where the values come from.
    pub source: WriteSource,
    /// Value, count, array index or runtime range, by `source`.
    pub parameter: u32,
}

impl Write {
    /// For [`WriteSource::RUNTIME`]: first entry and count.
    pub const fn runtime(self) -> (u16, u16) {
        ((self.parameter >> 16) as u16, self.parameter as u16)
    }
}

/// A read operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The register read.
    pub address: GrcAddress,
    /// What is waited for.
    pub poll: PollType,
    /// The value compared with.
    pub expected: u32,
}

impl Read {
    /// Whether `value` ends the poll.
    pub fn is_satisfied(self, value: u32) -> bool {
        match self.poll {
            PollType::EQ => value == self.expected,
            PollType::OR => value | self.expected > 0,
            PollType::AND => value & self.expected == self.expected,
            _ => true,
        }
    }
}

/// An operation, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads a register, or polls it.
    Read(Read),
    /// Writes registers.
    Write(Write),
    /// Skips operations unless a mode expression holds.
    IfMode {
        /// Byte offset of the expression in the mode tree.
        expression: u16,
        /// Operations to skip, counted behind this one.
        skip: u16,
    },
    /// Skips operations unless the phase is this one.
    IfPhase {
        /// The phase.
        phase: Phase,
        /// The phase id, or [`ANY_PHASE_ID`].
        id: u16,
        /// Operations to skip, counted behind this one.
        skip: u16,
    },
    /// Waits.
    Delay {
        /// Microseconds.
        us: u32,
    },
    /// Calls the driver.
    Callback {
        /// Which call.
        id: u16,
        /// The block it is about.
        block: u16,
    },
    /// An operation of a kind that nobody documented.
    Unknown {
        /// The kind.
        kind: u8,
    },
}

impl Operation {
    /// Decodes the two dwords of an operation.
    pub const fn decode(first: u32, second: u32) -> Self {
        let address = GrcAddress::from_dword(first >> 9);
        match first & 0xf {
            0 => Self::Read(Read {
                address,
                poll: PollType((first >> 4 & 0xf) as u8),
                expected: second,
            }),
            1 => Self::Write(Write {
                address,
                wide: first & 1 << 8 != 0,
                source: WriteSource((first >> 4 & 7) as u8),
                parameter: second,
            }),
            2 => Self::IfMode {
                expression: (second >> 16) as u16,
                skip: (first >> 16) as u16,
            },
            3 => Self::IfPhase {
                phase: Phase((second & 0xff) as u8),
                id: (second >> 16) as u16,
                skip: (first >> 16) as u16,
            },
            4 => Self::Delay { us: second },
            5 => Self::Callback {
                id: second as u16,
                block: (second >> 16) as u16,
            },
            kind => Self::Unknown { kind: kind as u8 },
        }
    }

    /// The two dwords of the operation, for building a file.
    pub const fn encode(self) -> (u32, u32) {
        match self {
            Self::Read(read) => (
                (read.poll.0 as u32 & 0xf) << 4 | read.address.dword() << 9,
                read.expected,
            ),
            Self::Write(write) => (
                1 | (write.source.0 as u32 & 7) << 4
                    | (write.wide as u32) << 8
                    | write.address.dword() << 9,
                write.parameter,
            ),
            Self::IfMode { expression, skip } => {
                (2 | (skip as u32) << 16, (expression as u32) << 16)
            }
            Self::IfPhase { phase, id, skip } => {
                (3 | (skip as u32) << 16, phase.0 as u32 | (id as u32) << 16)
            }
            Self::Delay { us } => (4, us),
            Self::Callback { id, block } => (5, id as u32 | (block as u32) << 16),
            Self::Unknown { kind } => (kind as u32 & 0xf, 0),
        }
    }
}

/// The header dword of an array in the value section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayHeader {
    /// Dwords follow.
    Standard {
        /// How many.
        dwords: u32,
    },
    /// A zlib stream follows, padded to a dword.
    Zipped {
        /// Bytes of the stream.
        bytes: u32,
    },
    /// Dwords follow, to be written several times.
    Pattern {
        /// How many follow.
        dwords: u32,
        /// How many times.
        repetitions: u32,
    },
    /// An array of a kind that nobody documented.
    Unknown {
        /// The kind.
        kind: u8,
    },
}

impl ArrayHeader {
    /// Decodes a header dword.
    pub const fn decode(word: u32) -> Self {
        match word & 0xf {
            0 => Self::Standard { dwords: word >> 4 },
            1 => Self::Zipped { bytes: word >> 4 },
            2 => Self::Pattern {
                dwords: word >> 4 & 0xf,
                repetitions: word >> 8,
            },
            kind => Self::Unknown { kind: kind as u8 },
        }
    }

    /// The header dword, for building a file.
    pub const fn encode(self) -> u32 {
        match self {
            Self::Standard { dwords } => dwords << 4,
            Self::Zipped { bytes } => 1 | bytes << 4,
            Self::Pattern {
                dwords,
                repetitions,
            } => 2 | (dwords & 0xf) << 4 | repetitions << 8,
            Self::Unknown { kind } => kind as u32 & 0xf,
        }
    }
}

/// A node of the mode tree: an expression in prefix order, one byte a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeNode {
    /// The next expression does not hold.
    Not,
    /// One of the next two expressions holds.
    Or,
    /// Both of the next two expressions hold.
    And,
    /// The mode is set.
    Bit(ModeBit),
}

impl ModeNode {
    /// Decodes a byte of the tree.
    pub const fn decode(byte: u8) -> Self {
        match byte {
            0 => Self::Not,
            1 => Self::Or,
            2 => Self::And,
            bit => Self::Bit(ModeBit(bit - 3)),
        }
    }
}

impl ModeBit {
    /// The mode's bit in a mode bitmap; 0 for a bit that no bitmap has.
    pub const fn mask(self) -> u32 {
        if self.0 < 32 { 1 << self.0 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_come_back() {
        let address = GrcAddress(0x1c_0410);
        for operation in [
            Operation::Read(Read {
                address,
                poll: PollType::AND,
                expected: 3,
            }),
            Operation::Write(Write {
                address,
                wide: true,
                source: WriteSource::RUNTIME,
                parameter: 0x0012_0003,
            }),
            Operation::IfMode {
                expression: 0x123,
                skip: 0x456,
            },
            Operation::IfPhase {
                phase: Phase::PF,
                id: ANY_PHASE_ID,
                skip: 7,
            },
            Operation::Delay { us: 100_000 },
            Operation::Callback {
                id: CALLBACK_DMAE_READY,
                block: CALLBACK_BLOCK_DMAE,
            },
            Operation::Unknown { kind: 15 },
        ] {
            let (first, second) = operation.encode();
            assert_eq!(Operation::decode(first, second), operation);
        }
        for header in [
            ArrayHeader::Standard { dwords: 0xfff_ffff },
            ArrayHeader::Zipped { bytes: 1 },
            ArrayHeader::Pattern {
                dwords: 15,
                repetitions: 0xff_ffff,
            },
            ArrayHeader::Unknown { kind: 3 },
        ] {
            assert_eq!(ArrayHeader::decode(header.encode()), header);
        }
    }

    #[test]
    fn polls() {
        let read = |poll, expected| Read {
            address: GrcAddress(0),
            poll,
            expected,
        };
        assert!(read(PollType::NONE, 1).is_satisfied(0));
        assert!(read(PollType::EQ, 1).is_satisfied(1));
        assert!(!read(PollType::EQ, 1).is_satisfied(3));
        assert!(read(PollType::AND, 1).is_satisfied(3));
        assert!(!read(PollType::AND, 3).is_satisfied(1));
        assert!(read(PollType::OR, 1).is_satisfied(0));
    }
}
