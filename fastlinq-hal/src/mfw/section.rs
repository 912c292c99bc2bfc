//! Sections of the shared memory, every access checked against the scratchpad.

use core::fmt;

use fastlinq_pac::GrcAddress;
use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::mfw::{PublicSection, SCRATCHPAD_SIZE, SectionWord};
use fastlinq_pac::registers::mcp;

use super::AttachError;
use crate::core_state::Core;
use crate::host::Host;

/// Sections that a driver needs.
const SECTIONS: usize = 6;

/// Most sections that a table is believed to have.
const MOST_SECTIONS: u32 = 64;

/// First byte of the scratchpad.
pub(crate) const SCRATCHPAD: GrcAddress = mcp::SCRATCH.address();

/// One element of a section: what one port or function has in it.
///
/// Lies inside the scratchpad. Layouts grow from one management firmware to the next, so a field may be
/// missing: reads give `None` then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    address: GrcAddress,
    bytes: u32,
}

impl Element {
    /// `bytes` at `offset` of the scratchpad, or `None` where they leave it.
    pub(crate) fn in_scratchpad(offset: u32, bytes: u32) -> Option<Self> {
        let end = offset.checked_add(bytes)?;
        (end <= SCRATCHPAD_SIZE && offset % 4 == 0).then_some(Self {
            address: SCRATCHPAD.offset(offset),
            bytes,
        })
    }

    /// Where the element is.
    #[must_use]
    pub const fn address(&self) -> GrcAddress {
        self.address
    }

    /// Where the dword at byte `offset` is, or would be.
    pub(crate) const fn place(&self, offset: u32) -> GrcAddress {
        self.address.offset(offset)
    }

    /// Bytes of the element.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.bytes
    }

    /// Whether the element has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Reads the dword at byte `offset`; `None` where the element is shorter.
    pub fn read(&self, bus: &impl RegisterBus, offset: u32) -> Option<u32> {
        self.field(offset).map(|address| bus.read32(address))
    }

    /// Reads the dword at byte `offset`, 0 where the element is shorter.
    pub fn read_or_zero(&self, bus: &impl RegisterBus, offset: u32) -> u32 {
        self.read(bus, offset).unwrap_or(0)
    }

    /// Writes the dword at byte `offset`; `None`, and nothing is written, where the element is shorter.
    pub fn write(&self, bus: &impl RegisterBus, offset: u32, value: u32) -> Option<()> {
        self.field(offset)
            .map(|address| bus.write32(address, value))
    }

    /// Fills `to` with dwords from byte `offset`; 0 where the element is shorter.
    pub fn read_all(&self, bus: &impl RegisterBus, offset: u32, to: &mut [u32]) {
        for (index, value) in to.iter_mut().enumerate() {
            *value = self.read_or_zero(bus, offset.saturating_add(index as u32 * 4));
        }
    }

    fn field(&self, offset: u32) -> Option<GrcAddress> {
        let end = offset.checked_add(4)?;
        (offset % 4 == 0 && end <= self.bytes).then(|| self.address.offset(offset))
    }
}

/// The section table of the management firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedMemory {
    base: GrcAddress,
    sections: [SectionWord; SECTIONS],
}

impl SharedMemory {
    /// Reads the table at `base`.
    pub(crate) fn read(bus: &impl RegisterBus, base: u32) -> Result<Self, AttachError> {
        let bad = AttachError::BadPublicBase { address: base };
        let offset = base.checked_sub(SCRATCHPAD.value()).ok_or(bad)?;
        let table = Element::in_scratchpad(offset, 4 + SECTIONS as u32 * 4).ok_or(bad)?;
        let count = table.read_or_zero(bus, 0);
        if !(SECTIONS as u32..=MOST_SECTIONS).contains(&count) {
            return Err(AttachError::BadSectionCount {
                at: table.address(),
                count,
            });
        }
        let mut sections = [SectionWord(0); SECTIONS];
        for (index, section) in sections.iter_mut().enumerate() {
            *section = SectionWord(table.read_or_zero(bus, 4 + index as u32 * 4));
        }
        Ok(Self {
            base: table.address(),
            sections,
        })
    }

    /// Where the table is.
    #[must_use]
    pub const fn base(&self) -> GrcAddress {
        self.base
    }

    /// The word that describes `section`.
    #[must_use]
    pub fn word(&self, section: PublicSection) -> SectionWord {
        self.sections
            .get(usize::from(section.0))
            .copied()
            .unwrap_or(SectionWord(0))
    }

    /// Element `index` of `section`, or `None` where it leaves the scratchpad.
    #[must_use]
    pub fn element(&self, section: PublicSection, index: u8) -> Option<Element> {
        let word = self.word(section);
        let bytes = word.element_bytes();
        let offset = word
            .offset_bytes()
            .checked_add(bytes.checked_mul(u32::from(index))?)?;
        Element::in_scratchpad(offset, bytes)
    }

    /// Element `index` of `section`, at least `needed` bytes long.
    pub(crate) fn require(
        &self,
        section: PublicSection,
        index: u8,
        needed: u32,
    ) -> Result<Element, AttachError> {
        self.element(section, index)
            .filter(|element| element.len() >= needed)
            .ok_or(AttachError::BadSection {
                section,
                at: self.base.offset(4 + u32::from(section.0) * 4),
                word: self.word(section).0,
                index,
            })
    }
}

/// Why a field of the shared memory was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionError {
    /// The mailbox is not attached, or the section does not exist.
    Detached,
    /// The function answers every read with all ones.
    DeviceGone,
    /// The management firmware's layout has no such field.
    NoSuchField {
        /// Where it would be.
        at: GrcAddress,
        /// Byte of the element.
        offset: u32,
        /// Bytes that the element has.
        bytes: u32,
    },
}

impl fmt::Display for SectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detached => f.write_str("the management firmware's shared memory is not known"),
            Self::DeviceGone => f.write_str("the function answers every read with all ones"),
            Self::NoSuchField { at, offset, bytes } => write!(
                f,
                "the management firmware's section of {bytes:#x} bytes has no field at byte {offset:#x} ({at})"
            ),
        }
    }
}

impl core::error::Error for SectionError {}

/// Reads a field of `element`; all ones are believed only while the function answers otherwise.
pub(crate) fn read_field<H: Host>(
    core: &Core<H>,
    element: Option<Element>,
    offset: u32,
) -> Result<u32, SectionError> {
    let element = element.ok_or(SectionError::Detached)?;
    let value = element
        .read(&core.windows, offset)
        .ok_or(SectionError::NoSuchField {
            at: element.place(offset),
            offset,
            bytes: element.len(),
        })?;
    if core.windows.is_gone(value) {
        return Err(SectionError::DeviceGone);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_stays_in_the_scratchpad() {
        assert!(Element::in_scratchpad(SCRATCHPAD_SIZE - 4, 4).is_some());
        assert!(Element::in_scratchpad(SCRATCHPAD_SIZE - 4, 8).is_none());
        assert!(Element::in_scratchpad(u32::MAX - 3, 8).is_none());
        assert!(Element::in_scratchpad(2, 8).is_none());
    }
}
