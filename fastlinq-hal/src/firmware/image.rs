//! The container: section table, version, overlays.

use fastlinq_pac::init_file::{OPERATION_SIZE, Phase, TABLE_OFFSET};
use fastlinq_pac::versions::{self, FirmwareVersion, IroId, Layout, Storm};

use super::walk::{self, Operations};
use super::{Compression, Dwords, FirmwareError, Inflater, Modes, SectionName};

/// Largest file accepted; the genuine ones have less than a megabyte.
const MAX_FILE: usize = 16 << 20;
const VERSION_SIZE: usize = 16;
const IRO_RECORD: usize = 12;
/// Sections before overlays existed.
const OLDEST_SECTIONS: usize = 5;
const PAIR: usize = 8;

/// Where a section lies in the file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionRange {
    /// First byte.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
}

/// A validated init-values file; borrows its bytes.
#[derive(Clone, Copy, Debug)]
pub struct FirmwareImage<'a> {
    bytes: &'a [u8],
    sections: [Option<SectionRange>; SectionName::ALL.len()],
    version: FirmwareVersion,
    tools_version: u16,
    timestamp: u32,
}

impl<'a> FirmwareImage<'a> {
    /// Parses and validates a file.
    ///
    /// Afterwards every operation, condition and stored array is known to lie inside its section.
    /// Compressed arrays are inflated only when they are used; see [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// [`FirmwareError`], with the place in the file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FirmwareError> {
        let length = bytes.len();
        if length > MAX_FILE {
            return Err(FirmwareError::TooLarge { length });
        }
        if let Some(kind) = Compression::of(bytes) {
            return Err(FirmwareError::Compressed(kind));
        }
        let sections = section_table(bytes)?;
        let mut image = Self {
            bytes,
            sections,
            version: FirmwareVersion::new(0, 0, 0, 0),
            tools_version: 0,
            timestamp: 0,
        };
        image.check_units()?;
        image.check_overlaps()?;
        image.read_version()?;
        walk::validate(&image)?;
        for overlay in image.overlays() {
            overlay?;
        }
        Ok(image)
    }

    /// The version that the file carries. Its last number need not be that of the file's name.
    pub const fn version(&self) -> FirmwareVersion {
        self.version
    }

    /// Version of the tools that made the file.
    pub const fn tools_version(&self) -> u16 {
        self.tools_version
    }

    /// When the file was made, in seconds since 1970.
    pub const fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Bytes of the file.
    pub const fn file_size(&self) -> usize {
        self.bytes.len()
    }

    /// Where a section lies; `None` for one that this version does not have.
    pub fn section(&self, name: SectionName) -> Option<SectionRange> {
        self.sections.get(name as usize).copied().flatten()
    }

    /// Number of operations of the program, conditions included.
    pub fn operation_count(&self) -> usize {
        self.data(SectionName::Operations).len() / OPERATION_SIZE
    }

    /// The operations that run in `phase` under `modes`.
    ///
    /// `id` is the port or function that the phase is run for; with `None` only operations for any id run.
    pub fn operations(&self, phase: Phase, id: Option<u16>, modes: Modes) -> Operations<'a> {
        Operations::new(self, phase, id, modes)
    }

    /// The layout that the driver must use with this file.
    ///
    /// # Errors
    ///
    /// [`FirmwareError::UnsupportedVersion`]; [`FirmwareError::RuntimeOutside`] when the program uses more
    /// of the runtime array than the version has; [`FirmwareError::ForeignVariables`] when the file has the variables
    /// elsewhere than its version: who used the version's table with it would write to wrong places.
    pub fn layout(&self) -> Result<&'static Layout, FirmwareError> {
        let layout =
            versions::for_version(self.version).ok_or(FirmwareError::UnsupportedVersion {
                version: self.version,
            })?;
        walk::check_runtime(self, layout.runtime_size)?;
        self.check_variables(layout)?;
        Ok(layout)
    }

    fn check_variables(&self, layout: &Layout) -> Result<(), FirmwareError> {
        let records = self.iro_records();
        if records.len() != usize::from(layout.iro_records) {
            let record = layout.iro_records.min(records.len() as u16);
            return Err(FirmwareError::ForeignVariables { record });
        }
        for variable in IroId::all().filter_map(|id| layout.iro(id)) {
            let found = records.iter().nth(variable.record.into());
            if found != Some((variable.base, variable.steps, variable.size)) {
                let record = variable.record;
                return Err(FirmwareError::ForeignVariables { record });
            }
        }
        Ok(())
    }

    /// Inflates every compressed array of the program, whether it ever runs or not.
    ///
    /// A bring-up inflates arrays one by one as it writes them to the chip; who calls this before knows that no array
    /// will stop it half way.
    ///
    /// # Errors
    ///
    /// [`FirmwareError::Corrupt`]; [`FirmwareError::InflatedSize`].
    pub fn verify(&self, inflater: &mut Inflater) -> Result<(), FirmwareError> {
        walk::inflate_all(self, inflater)
    }

    /// Code that stays in host memory, one piece for each storm that has any.
    pub fn overlays(&self) -> Overlays<'a> {
        Overlays {
            section: self.data(SectionName::Overlays),
            at: 0,
        }
    }

    /// The file's table of firmware variables.
    pub fn iro_records(&self) -> IroRecords<'a> {
        IroRecords {
            section: self.data(SectionName::Iro),
        }
    }

    pub(super) fn data(&self, name: SectionName) -> &'a [u8] {
        self.section(name)
            .and_then(|range| {
                self.bytes
                    .get(range.offset..range.offset.checked_add(range.length)?)
            })
            .unwrap_or_default()
    }

    pub(super) fn values(&self) -> Dwords<'a> {
        Dwords::new(self.data(SectionName::Values))
    }

    fn check_units(&self) -> Result<(), FirmwareError> {
        for (section, unit) in [
            (SectionName::Version, VERSION_SIZE),
            (SectionName::Operations, OPERATION_SIZE),
            (SectionName::Values, 4),
            (SectionName::Iro, IRO_RECORD),
            (SectionName::Overlays, 4),
        ] {
            let length = self.data(section).len();
            if length % unit != 0 {
                return Err(FirmwareError::SectionSize {
                    section,
                    length,
                    unit,
                });
            }
        }
        Ok(())
    }

    fn check_overlaps(&self) -> Result<(), FirmwareError> {
        for (index, first) in SectionName::ALL.into_iter().enumerate() {
            for second in SectionName::ALL.into_iter().skip(index + 1) {
                let (Some(a), Some(b)) = (self.section(first), self.section(second)) else {
                    continue;
                };
                let apart = a.offset + a.length <= b.offset || b.offset + b.length <= a.offset;
                if !apart {
                    return Err(FirmwareError::SectionsOverlap { first, second });
                }
            }
        }
        Ok(())
    }

    fn read_version(&mut self) -> Result<(), FirmwareError> {
        let data = self.data(SectionName::Version);
        let &[
            tools_low,
            tools_high,
            _,
            _,
            major,
            minor,
            revision,
            engineering,
            a,
            b,
            c,
            d,
            ..,
        ] = data
        else {
            return Err(FirmwareError::SectionSize {
                section: SectionName::Version,
                length: data.len(),
                unit: VERSION_SIZE,
            });
        };
        self.tools_version = u16::from_le_bytes([tools_low, tools_high]);
        self.version = FirmwareVersion::new(major, minor, revision, engineering);
        self.timestamp = u32::from_le_bytes([a, b, c, d]);
        Ok(())
    }
}

/// Reads the section table in any of its three forms: a count and five pairs (8.10), five pairs and an end
/// mark (8.33, 8.37), six pairs and an end mark.
fn section_table(
    bytes: &[u8],
) -> Result<[Option<SectionRange>; SectionName::ALL.len()], FirmwareError> {
    const END: u32 = u32::MAX;
    let file = bytes.len();
    let truncated = FirmwareError::Truncated { length: file };
    let table = Dwords::new(bytes.get(TABLE_OFFSET..).ok_or(truncated)?);
    let counted = table.get(0) == Some(OLDEST_SECTIONS as u32);
    let (skip, count) = if counted {
        (1, OLDEST_SECTIONS)
    } else {
        (0, SectionName::ALL.len())
    };
    let mut sections = [None; SectionName::ALL.len()];
    for (index, section) in SectionName::ALL.into_iter().enumerate().take(count) {
        let pair = skip + index * (PAIR / 4);
        let offset = table.get(pair).ok_or(truncated)?;
        let length = table.get(pair + 1).ok_or(truncated)?;
        if offset == END {
            break;
        }
        let range = SectionRange {
            offset: (offset as usize).saturating_add(TABLE_OFFSET),
            length: length as usize,
        };
        if range
            .offset
            .checked_add(range.length)
            .is_none_or(|end| end > file)
        {
            return Err(FirmwareError::SectionOutside {
                section,
                offset: range.offset,
                length: range.length,
                file,
            });
        }
        if let Some(slot) = sections.get_mut(index) {
            *slot = Some(range);
        }
    }
    for (section, range) in SectionName::ALL
        .into_iter()
        .zip(sections)
        .take(OLDEST_SECTIONS)
    {
        if range.is_none() {
            return Err(FirmwareError::MissingSection(section));
        }
    }
    Ok(sections)
}

/// Code of one storm that stays in host memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlay<'a> {
    /// Whose code it is.
    pub storm: Storm,
    /// The code.
    pub code: Dwords<'a>,
}

/// Iterates over the overlays of a file.
#[derive(Clone, Debug)]
pub struct Overlays<'a> {
    section: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Overlays<'a> {
    type Item = Result<Overlay<'a>, FirmwareError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = Dwords::new(self.section.get(self.at..)?);
        let header = rest.get(0)?;
        let dwords = (header >> 8) as usize;
        let storm = Storm::ALL.get((header & 0xff) as usize).copied();
        match (storm, rest.slice(1, dwords)) {
            (Some(storm), Some(code)) => {
                self.at += 4 + dwords * 4;
                Some(Ok(Overlay { storm, code }))
            }
            _ => {
                let offset = self.at;
                self.at = self.section.len();
                Some(Err(FirmwareError::BadOverlay { offset }))
            }
        }
    }
}

/// The file's table of firmware variables: base, three index strides and size of each.
#[derive(Clone, Copy, Debug)]
pub struct IroRecords<'a> {
    section: &'a [u8],
}

impl<'a> IroRecords<'a> {
    /// Number of records.
    pub const fn len(self) -> usize {
        self.section.len() / IRO_RECORD
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The records in order: base, strides, size, in bytes.
    pub fn iter(self) -> impl Iterator<Item = (u32, [u16; 3], u16)> + 'a {
        self.section.chunks_exact(IRO_RECORD).map(|record| {
            let dwords = Dwords::new(record);
            let [base, first, second] = [0, 1, 2].map(|index| dwords.get(index).unwrap_or(0));
            let strides = [first as u16, (first >> 16) as u16, second as u16];
            (base, strides, (second >> 16) as u16)
        })
    }
}
