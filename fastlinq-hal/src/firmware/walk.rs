//! Walking the program.

use fastlinq_pac::GrcAddress;
use fastlinq_pac::init_file::{
    ANY_PHASE_ID, OPERATION_SIZE, Operation as Raw, Phase, PollType, Read, Write, WriteSource,
    ZIPPED_MAX_DWORDS,
};

use super::{Array, Dwords, FirmwareError, FirmwareImage, Inflater, Modes, SectionName, modes};

/// Most dwords that all writes of a program may have together; the genuine files have a few million.
///
/// A walk over any file that parses is bounded by this.
pub const MAX_PROGRAM_DWORDS: u64 = 32 << 20;

/// What a write takes its dwords from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// One dword in the operation.
    Inline(u32),
    /// Zeros.
    Zeros {
        /// How many.
        dwords: u32,
    },
    /// An array of the file.
    Array(Array<'a>),
    /// What the driver stored in its runtime array.
    Runtime {
        /// First entry.
        index: u16,
        /// Entries.
        dwords: u16,
    },
}

/// An operation that runs, with what it needs at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Writes consecutive dwords.
    Write {
        /// First register.
        address: GrcAddress,
        /// Whether the memory takes its lines only as a whole, by DMA.
        wide: bool,
        /// The dwords.
        source: Source<'a>,
    },
    /// Reads a register, perhaps until it has a value.
    Read(Read),
    /// Waits.
    Delay {
        /// Microseconds.
        us: u32,
    },
    /// Calls the driver.
    Callback {
        /// Which call; 0 says that the DMA engine works from here on.
        id: u16,
        /// Block that it is about.
        block: u16,
    },
}

impl<'a> Operation<'a> {
    /// Gives the operation as dwords in the project's canonical form, which checksums are made of.
    ///
    /// A written dword is its address and its value; a runtime write is 0xffffffff, address, index and
    /// count; a read 0xfffffffe, address, poll type and expectation; a delay 0xfffffffd and microseconds;
    /// a callback 0xfffffffc, id and block.
    ///
    /// # Errors
    ///
    /// [`FirmwareError`] when a compressed array does not inflate.
    pub fn canonical(
        &self,
        inflater: &mut Inflater,
        mut emit: impl FnMut(u32),
    ) -> Result<(), FirmwareError> {
        match *self {
            Self::Write {
                address, source, ..
            } => match source {
                Source::Inline(value) => pairs(address, core::iter::once(value), &mut emit),
                Source::Zeros { dwords } => {
                    pairs(address, (0..dwords).map(|_| 0), &mut emit);
                }
                Source::Array(Array::Standard(dwords)) => pairs(address, dwords.iter(), &mut emit),
                Source::Array(Array::Zipped { stream, offset }) => {
                    pairs(address, inflater.inflate(stream, offset)?.iter(), &mut emit);
                }
                Source::Array(Array::Pattern {
                    pattern,
                    repetitions,
                }) => {
                    let all = (0..repetitions).flat_map(|_| pattern.iter());
                    pairs(address, all, &mut emit);
                }
                Source::Runtime { index, dwords } => {
                    [u32::MAX, address.value(), index.into(), dwords.into()]
                        .into_iter()
                        .for_each(emit);
                }
            },
            Self::Read(read) => {
                [
                    0xffff_fffe,
                    read.address.value(),
                    read.poll.value().into(),
                    read.expected,
                ]
                .into_iter()
                .for_each(emit);
            }
            Self::Delay { us } => [0xffff_fffd, us].into_iter().for_each(emit),
            Self::Callback { id, block } => {
                [0xffff_fffc, id.into(), block.into()]
                    .into_iter()
                    .for_each(emit);
            }
        }
        Ok(())
    }

    fn from_raw(values: Dwords<'a>, raw: Raw) -> Option<Self> {
        Some(match raw {
            Raw::Write(write) => Self::Write {
                address: write.address,
                wide: write.wide,
                source: source(values, write)?,
            },
            Raw::Read(read) => Self::Read(read),
            Raw::Delay { us } => Self::Delay { us },
            Raw::Callback { id, block } => Self::Callback { id, block },
            Raw::IfMode { .. } | Raw::IfPhase { .. } | Raw::Unknown { .. } => return None,
        })
    }
}

fn pairs(address: GrcAddress, dwords: impl Iterator<Item = u32>, emit: &mut impl FnMut(u32)) {
    let mut at = address;
    for value in dwords {
        emit(at.value());
        emit(value);
        at = at.offset(4);
    }
}

fn source(values: Dwords<'_>, write: Write) -> Option<Source<'_>> {
    Some(match write.source {
        WriteSource::INLINE => Source::Inline(write.parameter),
        WriteSource::ZEROS => Source::Zeros {
            dwords: write.parameter,
        },
        WriteSource::ARRAY => Source::Array(Array::at(values, write.parameter)?),
        WriteSource::RUNTIME => {
            let (index, dwords) = write.runtime();
            Source::Runtime { index, dwords }
        }
        _ => return None,
    })
}

fn raw_at(program: Dwords<'_>, index: usize) -> Option<Raw> {
    let first = program.get(index.checked_mul(2)?)?;
    let second = program.get(index.checked_mul(2)?.checked_add(1)?)?;
    Some(Raw::decode(first, second))
}

/// Iterates over the operations that run in one phase.
#[derive(Clone, Debug)]
pub struct Operations<'a> {
    program: Dwords<'a>,
    values: Dwords<'a>,
    expressions: &'a [u8],
    phase: Phase,
    id: Option<u16>,
    modes: Modes,
    next: usize,
}

impl<'a> Operations<'a> {
    pub(super) fn new(
        image: &FirmwareImage<'a>,
        phase: Phase,
        id: Option<u16>,
        modes: Modes,
    ) -> Self {
        Self {
            program: Dwords::new(image.data(SectionName::Operations)),
            values: image.values(),
            expressions: image.data(SectionName::Modes),
            phase,
            id,
            modes,
            next: 0,
        }
    }

    fn phase_matches(&self, phase: Phase, id: u16) -> bool {
        phase == self.phase && (id == ANY_PHASE_ID || self.id == Some(id))
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Operation<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let raw = raw_at(self.program, self.next)?;
            self.next += 1;
            let (holds, skip) = match raw {
                Raw::IfMode { expression, skip } => {
                    let value = modes::evaluate(self.expressions, expression, self.modes);
                    (value == Some(true), skip)
                }
                Raw::IfPhase { phase, id, skip } => (self.phase_matches(phase, id), skip),
                // Cannot fail behind `validate`; what could not be decoded does not run.
                operation => match Operation::from_raw(self.values, operation) {
                    Some(operation) => return Some(operation),
                    None => continue,
                },
            };
            if !holds {
                self.next += usize::from(skip);
            }
        }
    }
}

/// Checks every operation, whether it ever runs or not.
pub(super) fn validate(image: &FirmwareImage<'_>) -> Result<(), FirmwareError> {
    let program = Dwords::new(image.data(SectionName::Operations));
    let count = image.data(SectionName::Operations).len() / OPERATION_SIZE;
    let mut written = 0;
    for index in 0..count {
        match raw_at(program, index) {
            Some(Raw::Write(write)) => {
                written += validate_write(image.values(), index, write)?;
                if written > MAX_PROGRAM_DWORDS {
                    return Err(FirmwareError::TooManyWrites { index });
                }
            }
            Some(Raw::Read(read)) => {
                let poll = read.poll.value();
                if poll > PollType::AND.value() {
                    return Err(FirmwareError::UnknownPoll { index, poll });
                }
                in_chip(index, read.address, 1)?;
            }
            Some(Raw::IfMode { expression, skip }) => {
                validate_skip(index, skip, count)?;
                let expressions = image.data(SectionName::Modes);
                if modes::evaluate(expressions, expression, Modes::empty()).is_none() {
                    return Err(FirmwareError::BadExpression {
                        index,
                        offset: expression,
                    });
                }
            }
            Some(Raw::IfPhase { skip, .. }) => validate_skip(index, skip, count)?,
            Some(Raw::Delay { .. } | Raw::Callback { .. }) => {}
            Some(Raw::Unknown { kind }) => {
                return Err(FirmwareError::UnknownOperation { index, kind });
            }
            None => break,
        }
    }
    Ok(())
}

fn validate_skip(index: usize, skip: u16, count: usize) -> Result<(), FirmwareError> {
    if index + 1 + usize::from(skip) > count {
        return Err(FirmwareError::SkipOutside { index, skip });
    }
    Ok(())
}

/// Checks a write; gives the most dwords that it writes.
fn validate_write(values: Dwords<'_>, index: usize, write: Write) -> Result<u64, FirmwareError> {
    let Some(source) = source(values, write) else {
        return Err(match write.source {
            WriteSource::ARRAY => FirmwareError::BadArray {
                index,
                offset: write.parameter,
            },
            source => FirmwareError::UnknownSource {
                index,
                source: source.value(),
            },
        });
    };
    let dwords = match source {
        Source::Inline(_) => 1,
        Source::Zeros { dwords } => dwords.into(),
        Source::Runtime { dwords, .. } => dwords.into(),
        Source::Array(array) => array.stored_dwords().unwrap_or(1),
    };
    in_chip(index, write.address, dwords)?;
    Ok(match source {
        Source::Array(Array::Zipped { .. }) => ZIPPED_MAX_DWORDS as u64,
        _ => dwords,
    })
}

fn in_chip(index: usize, address: GrcAddress, dwords: u64) -> Result<(), FirmwareError> {
    let end = u64::from(address.value()) + dwords * 4;
    if end > u64::from(GrcAddress::END.value()) {
        return Err(FirmwareError::AddressOutside {
            index,
            address: address.value(),
            dwords: dwords.min(u64::from(u32::MAX)) as u32,
        });
    }
    Ok(())
}

/// Inflates every compressed array.
pub(super) fn inflate_all(
    image: &FirmwareImage<'_>,
    inflater: &mut Inflater,
) -> Result<(), FirmwareError> {
    let program = Dwords::new(image.data(SectionName::Operations));
    for index in 0..image.operation_count() {
        let Some(Raw::Write(write)) = raw_at(program, index) else {
            continue;
        };
        if let Some(Source::Array(Array::Zipped { stream, offset })) = source(image.values(), write)
        {
            inflater.inflate(stream, offset)?;
        }
    }
    Ok(())
}

/// Checks every runtime write against the size of the array.
pub(super) fn check_runtime(image: &FirmwareImage<'_>, size: u16) -> Result<(), FirmwareError> {
    let program = Dwords::new(image.data(SectionName::Operations));
    for index in 0..image.operation_count() {
        let Some(Raw::Write(write)) = raw_at(program, index) else {
            continue;
        };
        let (entry, entries) = write.runtime();
        let outside = u32::from(entry) + u32::from(entries) > size.into();
        if write.source == WriteSource::RUNTIME && outside {
            return Err(FirmwareError::RuntimeOutside {
                index,
                entry,
                entries,
                size,
            });
        }
    }
    Ok(())
}
