//! Registers by address.

use fastlinq_pac::Chip;

use super::Place;
use super::generated::registers::REGISTERS;

/// The chips that have a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chips {
    All,
    Bb,
    K2,
}

/// What selects the bank of a register that exists several times at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    None,
    Port,
    Pf,
    PortPf,
    Vf,
}

/// A register or an array of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    address: u32,
    /// Bytes of an element.
    stride: u32,
    elements: u32,
    chips: Chips,
    split: Split,
    block: &'static str,
    name: &'static str,
}

pub(crate) const fn row(
    address: u32,
    stride: u32,
    elements: u32,
    chips: Chips,
    split: Split,
    block: &'static str,
    name: &'static str,
) -> Row {
    Row {
        address,
        stride,
        elements,
        chips,
        split,
        block,
        name,
    }
}

impl Row {
    fn end(&self) -> u32 {
        self.address
            .saturating_add(self.stride.saturating_mul(self.elements.max(1)))
    }

    fn is_on(&self, chip: Chip) -> bool {
        match self.chips {
            Chips::All => true,
            Chips::Bb => chip == Chip::Bb,
            Chips::K2 => chip == Chip::K2,
        }
    }
}

/// Rows before an address that may still reach it: arrays overlap by a few names for one memory.
const OVERLAP: usize = 8;

fn row_of(chip: Chip, address: u32) -> Option<&'static Row> {
    let after = REGISTERS.partition_point(|row| row.address <= address);
    REGISTERS[after.saturating_sub(OVERLAP)..after]
        .iter()
        .rev()
        .filter(|row| row.is_on(chip) && address < row.end())
        .min_by_key(|row| (row.end() - row.address, row.name.len()))
}

/// The name of the register at `address`.
pub(crate) fn find(chip: Chip, address: u32) -> Option<Place> {
    let row = row_of(chip, address)?;
    let offset = address - row.address;
    let stride = row.stride.max(4);
    Some(Place {
        block: row.block.to_owned(),
        name: row.name.to_owned(),
        index: (row.elements > 1).then_some(offset / stride),
        dword: (stride > 4).then_some(offset % stride / 4),
    })
}

/// What selects the bank of the register at `address`.
pub(crate) fn split(chip: Chip, address: u32) -> Split {
    row_of(chip, address).map_or(Split::None, |row| row.split)
}

/// The block of the nearest register before `address`, when it is not far.
pub(crate) fn block_before(address: u32) -> Option<&'static str> {
    let after = REGISTERS.partition_point(|row| row.address <= address);
    let row = &REGISTERS[after.checked_sub(1)?];
    (address >> 16 == row.address >> 16 || address - row.end().min(address) < 0x1_0000)
        .then_some(row.block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(REGISTERS.windows(2).all(|p| p[0].address <= p[1].address));
    }

    #[test]
    fn banks_are_known() {
        assert_eq!(split(Chip::K2, 0x18_0800), Split::Pf);
        assert_eq!(split(Chip::K2, 0x18_4000), Split::None);
    }
}
