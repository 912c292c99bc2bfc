//! Why a file is not what it should be.

use core::fmt;

use fastlinq_pac::versions::FirmwareVersion;

/// A section of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SectionName {
    /// Version of the file.
    Version,
    /// The initialisation program.
    Operations,
    /// Arrays that the program writes.
    Values,
    /// Conditions on the chip's modes.
    Modes,
    /// Firmware variables.
    Iro,
    /// Code that stays in host memory.
    Overlays,
}

impl SectionName {
    /// Every section in the order of the file.
    pub const ALL: [Self; 6] = [
        Self::Version,
        Self::Operations,
        Self::Values,
        Self::Modes,
        Self::Iro,
        Self::Overlays,
    ];

    /// The name as reports have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Operations => "operations",
            Self::Values => "values",
            Self::Modes => "modes",
            Self::Iro => "variables",
            Self::Overlays => "overlays",
        }
    }
}

impl fmt::Display for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A format in which distributions compress firmware files as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Compression {
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
}

impl Compression {
    /// Recognises a compressed file by its first bytes.
    pub(super) fn of(file: &[u8]) -> Option<Self> {
        const MAGICS: [(&[u8], Compression); 4] = [
            (b"\x1f\x8b\x08", Compression::Gzip),
            (b"\xfd7zXZ\0", Compression::Xz),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
            (b"BZh", Compression::Bzip2),
        ];
        MAGICS
            .iter()
            .find_map(|(magic, kind)| file.starts_with(magic).then_some(*kind))
    }

    /// The program that unpacks such files, by which the format is known.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// What is wrong with a storm-firmware file. Offsets are bytes of the file, indexes count operations or dwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirmwareError {
    /// The file ends before its section table does.
    Truncated {
        /// Bytes of the file.
        length: usize,
    },
    /// The file is larger than any init-values file.
    TooLarge {
        /// Bytes of the file.
        length: usize,
    },
    /// The whole file is compressed; it has to be unpacked first.
    Compressed(Compression),
    /// A section is missing from the table.
    MissingSection(SectionName),
    /// A section reaches past the end of the file.
    SectionOutside {
        /// The section.
        section: SectionName,
        /// First byte.
        offset: usize,
        /// Bytes.
        length: usize,
        /// Bytes of the file.
        file: usize,
    },
    /// A section's length is no multiple of its unit, or it is too short.
    SectionSize {
        /// The section.
        section: SectionName,
        /// Bytes.
        length: usize,
        /// Bytes of a unit.
        unit: usize,
    },
    /// Two sections share bytes.
    SectionsOverlap {
        /// The section that begins first.
        first: SectionName,
        /// The section that begins inside it.
        second: SectionName,
    },
    /// An operation of a kind that nothing documents.
    UnknownOperation {
        /// Index of the operation.
        index: usize,
        /// Its kind.
        kind: u8,
    },
    /// A write from a source that nothing documents.
    UnknownSource {
        /// Index of the operation.
        index: usize,
        /// Its source.
        source: u8,
    },
    /// A read with a poll that nothing documents.
    UnknownPoll {
        /// Index of the operation.
        index: usize,
        /// Its poll type.
        poll: u8,
    },
    /// A condition skips past the end of the program.
    SkipOutside {
        /// Index of the operation.
        index: usize,
        /// Operations to skip.
        skip: u16,
    },
    /// A condition's expression leaves the mode section, or is nested too deeply.
    BadExpression {
        /// Index of the operation.
        index: usize,
        /// Byte in the mode section.
        offset: u16,
    },
    /// An array leaves the value section, or its header is of an unknown kind.
    BadArray {
        /// Index of the operation.
        index: usize,
        /// Dword in the value section.
        offset: u32,
    },
    /// A write leaves the chip's address space.
    AddressOutside {
        /// Index of the operation.
        index: usize,
        /// Byte address of the first dword.
        address: u32,
        /// Dwords to write.
        dwords: u32,
    },
    /// The writes of the program have more dwords than any genuine file's together.
    TooManyWrites {
        /// Index of the operation where it becomes too much.
        index: usize,
    },
    /// A zlib stream does not inflate.
    Corrupt {
        /// Dword of the stream's array in the value section.
        offset: u32,
    },
    /// A zlib stream inflates to more than 32 KiB or to no whole dwords.
    InflatedSize {
        /// Dword of the stream's array in the value section.
        offset: u32,
    },
    /// An overlay leaves its section or names no storm.
    BadOverlay {
        /// Byte in the overlay section.
        offset: usize,
    },
    /// The driver has no layout for this version.
    UnsupportedVersion {
        /// Version of the file.
        version: FirmwareVersion,
    },
    /// The file's table of firmware variables is not the one that its version has.
    ForeignVariables {
        /// The first record that is missing or different.
        record: u16,
    },
    /// A runtime write reaches outside the runtime array of the file's version.
    RuntimeOutside {
        /// Index of the operation.
        index: usize,
        /// First entry.
        entry: u16,
        /// Entries.
        entries: u16,
        /// Entries of the array.
        size: u16,
    },
}

impl fmt::Display for FirmwareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { length } => {
                write!(f, "{length} bytes are too few for a firmware file")
            }
            Self::TooLarge { length } => {
                write!(f, "{length} bytes are too many for a firmware file")
            }
            Self::Compressed(kind) => write!(
                f,
                "the file is compressed with {name}; unpack it first ({name} -d)",
                name = kind.name()
            ),
            Self::ForeignVariables { record } => write!(
                f,
                "record {record} of the file's firmware variables is not that of its version"
            ),
            Self::MissingSection(section) => write!(f, "the {section} section is missing"),
            Self::SectionOutside {
                section,
                offset,
                length,
                file,
            } => write!(
                f,
                "the {section} section ({length} bytes at {offset:#x}) leaves the file of {file} bytes"
            ),
            Self::SectionSize {
                section,
                length,
                unit,
            } => write!(
                f,
                "the {section} section has {length} bytes, which is not a whole number of {unit}-byte units"
            ),
            Self::SectionsOverlap { first, second } => {
                write!(f, "the {first} and {second} sections overlap")
            }
            Self::UnknownOperation { index, kind } => {
                write!(f, "operation {index} is of unknown kind {kind}")
            }
            Self::UnknownSource { index, source } => {
                write!(f, "operation {index} writes from unknown source {source}")
            }
            Self::UnknownPoll { index, poll } => {
                write!(f, "operation {index} polls in unknown way {poll}")
            }
            Self::SkipOutside { index, skip } => write!(
                f,
                "operation {index} skips {skip} operations, past the end of the program"
            ),
            Self::BadExpression { index, offset } => write!(
                f,
                "operation {index} tests a broken expression at byte {offset} of the mode section"
            ),
            Self::BadArray { index, offset } => write!(
                f,
                "operation {index} uses a broken array at dword {offset} of the value section"
            ),
            Self::AddressOutside {
                index,
                address,
                dwords,
            } => write!(
                f,
                "operation {index} writes {dwords} dwords at {address:#09x}, outside the chip"
            ),
            Self::TooManyWrites { index } => write!(
                f,
                "up to operation {index} the program writes more than any chip has room for"
            ),
            Self::Corrupt { offset } => {
                write!(f, "the compressed array at dword {offset} does not inflate")
            }
            Self::InflatedSize { offset } => write!(
                f,
                "the compressed array at dword {offset} inflates to an impossible size"
            ),
            Self::BadOverlay { offset } => {
                write!(f, "the overlay at byte {offset} of its section is broken")
            }
            Self::UnsupportedVersion { version } => {
                write!(f, "firmware {version} cannot be run; supported:")?;
                for layout in fastlinq_pac::versions::ALL {
                    write!(f, " {}", layout.version)?;
                }
                Ok(())
            }
            Self::RuntimeOutside {
                index,
                entry,
                entries,
                size,
            } => write!(
                f,
                "operation {index} uses {entries} runtime entries from {entry}, of {size}"
            ),
        }
    }
}

impl core::error::Error for FirmwareError {}
