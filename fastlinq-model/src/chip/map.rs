//! What is known of the address space: blocks, banked registers, documented addresses.
//!
//! The tables are data files beside this module; their heads name the source.

use std::sync::OnceLock;

use crate::Chip;

/// What selects the bank of a register that exists several times at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// One register for the whole engine.
    None,
    /// One per port.
    Port,
    /// One per PF.
    Pf,
    /// One per port and PF.
    PortPf,
    /// One per VF.
    Vf,
}

struct SplitRange {
    start: u32,
    end: u32,
    split: Split,
}

/// The tables of one chip.
pub(crate) struct AddressMap {
    splits: Vec<SplitRange>,
    /// One bit per 4-KiB page that has a banked register.
    split_pages: Vec<bool>,
    /// One bit per dword of the registers.
    documented_bits: Vec<u64>,
    blocks: Vec<(u32, u32, &'static str)>,
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(',').collect())
}

fn parse_splits(chip: Chip) -> Vec<SplitRange> {
    let wanted = match chip {
        Chip::Bb => "bb",
        Chip::K2 => "k2",
    };
    let mut ranges: Vec<SplitRange> = rows(include_str!("data/split.csv"))
        .filter_map(|row| {
            let [address, dwords, kind, chip] = row[..] else {
                return None;
            };
            let split = match kind {
                "port" => Split::Port,
                "pf" => Split::Pf,
                "port_pf" => Split::PortPf,
                "vf" => Split::Vf,
                _ => return None,
            };
            let start = number(address)?;
            let end = start + 4 * number(dwords)?;
            (chip == "both" || chip == wanted).then_some(SplitRange { start, end, split })
        })
        .collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

fn documented_ranges() -> impl Iterator<Item = (u32, u32)> {
    rows(include_str!("data/documented.csv")).filter_map(|row| {
        let [address, dwords] = row[..] else {
            return None;
        };
        let start = number(address)?;
        Some((start, start + 4 * number(dwords)?))
    })
}

impl AddressMap {
    fn parse(chip: Chip) -> Self {
        let splits = parse_splits(chip);
        let mut split_pages = vec![false; 0x1c00];
        for range in &splits {
            for page in range.start >> 12..=(range.end - 1) >> 12 {
                split_pages[page as usize] = true;
            }
        }
        let mut documented_bits = vec![0; 0x1c0_0000 / 4 / 64];
        for (start, end) in documented_ranges() {
            for dword in start / 4..end / 4 {
                documented_bits[(dword / 64) as usize] |= 1u64 << (dword % 64);
            }
        }
        let blocks = rows(include_str!("data/blocks.csv"))
            .filter_map(|row| {
                let [name, start, end] = row[..] else {
                    return None;
                };
                Some((number(start)?, number(end)?, name))
            })
            .collect();
        Self {
            splits,
            split_pages,
            documented_bits,
            blocks,
        }
    }

    /// The tables of `chip`, read once.
    pub(crate) fn of(chip: Chip) -> &'static Self {
        static BB: OnceLock<AddressMap> = OnceLock::new();
        static K2: OnceLock<AddressMap> = OnceLock::new();
        match chip {
            Chip::Bb => BB.get_or_init(|| Self::parse(Chip::Bb)),
            Chip::K2 => K2.get_or_init(|| Self::parse(Chip::K2)),
        }
    }

    /// What selects the bank of the register at `address`.
    pub(crate) fn split(&self, address: u32) -> Split {
        if !self
            .split_pages
            .get((address >> 12) as usize)
            .copied()
            .unwrap_or(false)
        {
            return Split::None;
        }
        let after = self.splits.partition_point(|range| range.start <= address);
        match after.checked_sub(1).map(|index| &self.splits[index]) {
            Some(range) if address < range.end => range.split,
            _ => Split::None,
        }
    }

    /// True when something is known of the dword at `address`.
    pub(crate) fn is_documented(&self, address: u32) -> bool {
        let dword = address / 4;
        self.documented_bits
            .get((dword / 64) as usize)
            .is_some_and(|bits| bits >> (dword % 64) & 1 != 0)
    }

    /// Name of the block that answers `address`, if one does.
    pub(crate) fn block(&self, address: u32) -> Option<&'static str> {
        let after = self
            .blocks
            .partition_point(|&(start, _, _)| start <= address);
        let (_, end, name) = self.blocks[after.checked_sub(1)?];
        (address < end).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_the_reference_are_banked_as_it_says() {
        let k2 = AddressMap::of(Chip::K2);
        assert_eq!(k2.split(0x18_0800), Split::Pf, "IGU PF configuration");
        assert_eq!(k2.split(0x18_0804), Split::Vf, "IGU VF configuration");
        assert_eq!(k2.split(0x2a_a16c), Split::Pf, "master enable");
        assert_eq!(k2.split(0x50_1a00), Split::PortPf, "LLH filter value");
        assert_eq!(k2.split(0x2e_070c), Split::Vf, "CCFC strong enable of a VF");
        assert_eq!(k2.split(0x2a_af98), Split::Pf, "PGL_ADDR_E8 of K2");
        assert_eq!(AddressMap::of(Chip::Bb).split(0x2a_af98), Split::None);
        assert_eq!(k2.split(0x18_4000), Split::None, "IGU CAM");
    }

    #[test]
    fn every_documented_address_has_a_completer() {
        let map = AddressMap::of(Chip::K2);
        for (start, end) in documented_ranges() {
            assert!(map.is_documented(start) && map.is_documented(end - 4));
            assert!(map.block(start).is_some(), "{start:#x}");
            assert!(map.block(end - 4).is_some(), "{:#x}", end - 4);
        }
        assert_eq!(map.block(0x0090_0000 + 0x4_0000), None);
    }

    #[test]
    fn tables_are_sorted_and_disjoint() {
        let map = AddressMap::of(Chip::Bb);
        let documented: Vec<_> = documented_ranges().collect();
        assert!(documented.windows(2).all(|pair| pair[0].1 < pair[1].0));
        assert!(map.blocks.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        assert!(
            map.splits
                .windows(2)
                .all(|pair| pair[0].end <= pair[1].start)
        );
        assert!(documented.len() > 2000 && map.splits.len() > 200 && map.blocks.len() > 70);
    }
}
