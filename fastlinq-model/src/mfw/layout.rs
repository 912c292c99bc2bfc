//! Where the sections of the shared memory are, for the two layouts that this firmware can present.
//!
//! At the public base lies the number of sections, then one offsize word per section: [15:0] offset from the
//! scratchpad's base in DWs, [31:16] size of one element in DWs. Older management firmware has smaller elements;
//! a driver reads the smaller of its own structure and the element.

use super::scratchpad::Scratchpad;

/// Number of mailboxes and function elements.
pub(crate) const FUNCTIONS: u32 = 16;
/// Number of port elements.
pub(crate) const PORTS: u32 = 4;
/// Number of path elements.
pub(crate) const PATHS: u32 = 2;

/// Offset of the static section table at the start of the scratchpad.
pub(crate) const TRACE_OFFSET: u32 = 0x200;
/// Bytes of trace data behind the trace header.
pub(crate) const TRACE_BYTES: u32 = 0x800;
/// Offset of the NVM configuration block.
pub(crate) const NVM_CFG_OFFSET: u32 = 0x1000;
/// Offset of the buffer that a driver fills with TLVs.
pub(crate) const DATA_BUFFER_OFFSET: u32 = 0x1_0000;
/// Bytes of that buffer.
pub(crate) const DATA_BUFFER_BYTES: u32 = 0x1000;
/// Public bases; a restart of the firmware moves from one to the other, so stale offsets show.
pub(crate) const PUBLIC_BASES: [u32; 2] = [0x4000, 0x9000];

/// Sections of the public area, numbered as in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Section {
    DriverMailbox = 0,
    EventMailbox = 1,
    Global = 2,
    Path = 3,
    Port = 4,
    Function = 5,
}

impl Section {
    pub(crate) const ALL: [Section; 6] = [
        Section::DriverMailbox,
        Section::EventMailbox,
        Section::Global,
        Section::Path,
        Section::Port,
        Section::Function,
    ];

    /// Number of elements that follow one another.
    pub fn elements(self) -> u32 {
        match self {
            Section::DriverMailbox | Section::EventMailbox | Section::Function => FUNCTIONS,
            Section::Global => 1,
            Section::Path => PATHS,
            Section::Port => PORTS,
        }
    }
}

/// Generation of the shared-memory structures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// Element sizes of the interface that came with storm firmware 8.59.
    #[default]
    Modern,
    /// Element sizes of the interface that came with storm firmware 8.40 and earlier: shorter GLOBAL, PORT, FUNC and
    /// event mailbox.
    Old,
}

impl Generation {
    /// Bytes of one element.
    pub fn element_bytes(self, section: Section) -> u32 {
        match (self, section) {
            (_, Section::DriverMailbox) => 0x38,
            (Generation::Modern, Section::EventMailbox) => 0x3c,
            (Generation::Old, Section::EventMailbox) => 0x2c,
            (Generation::Modern, Section::Global) => 0x68,
            (Generation::Old, Section::Global) => 0x2c,
            (Generation::Modern, Section::Path) => 0x28,
            (Generation::Old, Section::Path) => 0x30,
            (Generation::Modern, Section::Port) => 0xda0,
            (Generation::Old, Section::Port) => 0xc80,
            (Generation::Modern, Section::Function) => 0x88,
            (Generation::Old, Section::Function) => 0x78,
        }
    }

    /// Number of events whose counters and acknowledgements fit the event mailbox.
    pub fn event_capacity(self) -> u16 {
        let words = (self.element_bytes(Section::EventMailbox) - 4) / 4;
        (words / 2 * 4) as u16
    }
}

/// A public area: a base and a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) base: u32,
    pub(crate) generation: Generation,
}

impl Layout {
    /// Bytes of the section table: count and offsizes, padded to a multiple of 8.
    const TABLE_BYTES: u32 = 32;

    fn section_offset(self, section: Section) -> u32 {
        let mut offset = self.base + Self::TABLE_BYTES;
        for before in Section::ALL {
            if before as u32 == section as u32 {
                break;
            }
            offset += self.generation.element_bytes(before) * before.elements();
            offset = offset.next_multiple_of(8);
        }
        offset
    }

    /// Offset of an element from the scratchpad's base; an index beyond the last element gives the last one.
    pub(crate) fn element(self, section: Section, index: u32) -> u32 {
        let index = index.min(section.elements() - 1);
        self.section_offset(section) + index * self.generation.element_bytes(section)
    }

    /// Offset of a field, or `None` when the element is too small to have it.
    pub(crate) fn field(self, section: Section, index: u32, field: u32) -> Option<u32> {
        (field + 4 <= self.generation.element_bytes(section))
            .then(|| self.element(section, index) + field)
    }

    /// The word of the section table that describes `section`.
    pub(crate) fn offsize(self, section: Section) -> u32 {
        (self.section_offset(section) / 4) | ((self.generation.element_bytes(section) / 4) << 16)
    }

    /// First offset behind the public area.
    pub(crate) fn end(self) -> u32 {
        self.section_offset(Section::Function)
            + self.generation.element_bytes(Section::Function) * FUNCTIONS
    }

    pub(crate) fn write_table(self, ram: &mut Scratchpad) {
        ram.set(self.base, Section::ALL.len() as u32);
        for section in Section::ALL {
            ram.set(self.base + 4 + 4 * section as u32, self.offsize(section));
        }
    }

    /// The mailbox and the offset inside it that an offset of the scratchpad falls into.
    pub(crate) fn mailbox_at(self, offset: u32) -> Option<(u32, u32)> {
        let first = self.section_offset(Section::DriverMailbox);
        let size = self.generation.element_bytes(Section::DriverMailbox);
        let inside = offset.checked_sub(first)?;
        (inside < size * FUNCTIONS).then_some((inside / size, inside % size))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scratchpad::SCRATCH_BYTES;
    use super::*;

    fn layouts() -> impl Iterator<Item = Layout> {
        PUBLIC_BASES.into_iter().flat_map(|base| {
            [Generation::Modern, Generation::Old].map(|generation| Layout { base, generation })
        })
    }

    #[test]
    fn the_modern_sizes_add_up_to_the_known_structure() {
        let layout = Layout {
            base: 0x4000,
            generation: Generation::Modern,
        };
        assert_eq!(layout.end() - layout.base, 18200);
        assert_eq!(layout.element(Section::DriverMailbox, 0) - layout.base, 32);
        assert_eq!(layout.element(Section::EventMailbox, 0) - layout.base, 928);
        assert_eq!(layout.element(Section::Global, 0) - layout.base, 1888);
        assert_eq!(layout.element(Section::Path, 0) - layout.base, 1992);
        assert_eq!(layout.element(Section::Port, 0) - layout.base, 2072);
        assert_eq!(layout.element(Section::Function, 0) - layout.base, 16024);
    }

    #[test]
    fn the_old_sizes_add_up_to_the_known_structure() {
        let layout = Layout {
            base: 0x4000,
            generation: Generation::Old,
        };
        assert_eq!(layout.end() - layout.base, 16496);
        assert_eq!(Generation::Old.event_capacity(), 20);
        assert_eq!(Generation::Modern.event_capacity(), 28);
    }

    #[test]
    fn a_driver_finds_every_element_through_the_table() {
        for layout in layouts() {
            let mut ram = Scratchpad::new();
            layout.write_table(&mut ram);
            assert_eq!(ram.get(layout.base), 6);
            for section in Section::ALL {
                let word = ram.get(layout.base + 4 + 4 * section as u32);
                for index in 0..section.elements() {
                    let found = 4 * (word & 0xffff) + 4 * (word >> 16) * index;
                    assert_eq!(found, layout.element(section, index));
                }
            }
        }
    }

    #[test]
    fn the_areas_do_not_overlap_and_fit() {
        for layout in layouts() {
            assert!(layout.end() <= SCRATCH_BYTES.min(DATA_BUFFER_OFFSET));
            assert!(layout.base >= NVM_CFG_OFFSET + 8 + super::super::nvm_config::BLOCK_BYTES);
        }
        let first = Layout {
            base: PUBLIC_BASES[0],
            generation: Generation::Modern,
        };
        assert!(first.end() <= PUBLIC_BASES[1]);
        const { assert!(TRACE_OFFSET + 28 + TRACE_BYTES + 4 <= NVM_CFG_OFFSET) };
        const { assert!(DATA_BUFFER_OFFSET + DATA_BUFFER_BYTES <= SCRATCH_BYTES) };
    }

    #[test]
    fn mailboxes_are_recognised_by_their_offset() {
        for layout in layouts() {
            let first = layout.element(Section::DriverMailbox, 0);
            assert_eq!(layout.mailbox_at(first), Some((0, 0)));
            assert_eq!(layout.mailbox_at(first - 4), None);
            assert_eq!(
                layout.mailbox_at(layout.element(Section::DriverMailbox, 15) + 0x10),
                Some((15, 0x10))
            );
            assert_eq!(
                layout.mailbox_at(layout.element(Section::EventMailbox, 0)),
                None
            );
            assert_eq!(layout.mailbox_at(0), None);
        }
    }

    #[test]
    fn fields_beyond_an_old_element_are_absent() {
        let old = Layout {
            base: 0x4000,
            generation: Generation::Old,
        };
        assert_eq!(old.field(Section::Port, 0, 0xc80), None);
        assert!(old.field(Section::Port, 0, 0xc7c).is_some());
        let modern = Layout {
            base: 0x4000,
            generation: Generation::Modern,
        };
        assert!(modern.field(Section::Port, 0, 0xc80).is_some());
    }
}
