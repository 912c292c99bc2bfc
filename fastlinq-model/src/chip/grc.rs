//! Storage of registers and memories: paged, and banked where a register exists several times.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Requester;
use super::map::{AddressMap, Split};
use crate::Chip;

const PAGE_DWORDS: usize = 1024;
const PAGES: usize = 0x1c0_0000 / 4096;

type Page = Box<[u32; PAGE_DWORDS]>;

/// Values of everything below 0x1c00000; zero where nothing was written.
pub(crate) struct RegisterFile {
    map: &'static AddressMap,
    pages: Vec<Option<Page>>,
    banks: HashMap<(u32, u16), u32, BuildHasherDefault<Mixer>>,
}

/// A quick hash for addresses, the same in every run.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u32(u32::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(value)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// Key of a bank: the kind in the upper byte, so that PF 3 and VF 3 differ.
fn bank(split: Split, requester: &Requester) -> u16 {
    let pf = u16::from(requester.function.pf);
    let port = u16::from(requester.port);
    match split {
        Split::None => 0,
        Split::Port => 0x100 | port,
        Split::Pf => 0x200 | pf,
        Split::PortPf => 0x300 | port << 4 | pf,
        Split::Vf => match requester.function.vf {
            Some(vf) => 0x400 | u16::from(vf),
            None => 0x500 | pf,
        },
    }
}

impl RegisterFile {
    pub(crate) fn new(chip: Chip) -> Self {
        Self {
            map: AddressMap::of(chip),
            pages: (0..PAGES).map(|_| None).collect(),
            banks: HashMap::default(),
        }
    }

    /// Value of the dword at `address`, in the bank of `requester`.
    pub(crate) fn get(&self, requester: &Requester, address: u32) -> u32 {
        match self.map.split(address) {
            Split::None => self.common(address),
            split => self
                .banks
                .get(&(address & !3, bank(split, requester)))
                .copied()
                .unwrap_or(0),
        }
    }

    /// Stores the dword at `address`, in the bank of `requester`.
    pub(crate) fn set(&mut self, requester: &Requester, address: u32, value: u32) {
        match self.map.split(address) {
            Split::None => self.set_common(address, value),
            split => {
                self.banks
                    .insert((address & !3, bank(split, requester)), value);
            }
        }
    }

    /// Value of a dword that is not banked.
    pub(crate) fn common(&self, address: u32) -> u32 {
        match self.pages.get((address >> 12) as usize) {
            Some(Some(page)) => page[(address >> 2) as usize % PAGE_DWORDS],
            _ => 0,
        }
    }

    /// Stores a dword that is not banked.
    pub(crate) fn set_common(&mut self, address: u32, value: u32) {
        let Some(slot) = self.pages.get_mut((address >> 12) as usize) else {
            return;
        };
        if slot.is_none() && value == 0 {
            return;
        }
        let page = slot.get_or_insert_with(|| Box::new([0; PAGE_DWORDS]));
        page[(address >> 2) as usize % PAGE_DWORDS] = value;
    }

    /// Two consecutive dwords that are not banked, low first.
    pub(crate) fn common64(&self, address: u32) -> u64 {
        u64::from(self.common(address)) | u64::from(self.common(address + 4)) << 32
    }

    /// Forgets what the banks of a PF hold.
    pub(crate) fn clear_pf(&mut self, pf: u8) {
        let pf = u16::from(pf);
        self.banks.retain(|&(_, bank), _| match bank >> 8 {
            2 | 5 => bank & 0xff != pf,
            3 => bank & 0xf != pf,
            _ => true,
        });
    }

    /// Forgets what the banks of a VF hold.
    pub(crate) fn clear_vf(&mut self, vf: u8) {
        self.banks
            .retain(|&(_, bank), _| bank != 0x400 | u16::from(vf));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fabric::Function;

    #[test]
    fn banks_keep_requesters_apart() {
        let mut file = RegisterFile::new(Chip::K2);
        let (one, two) = (Requester::pf(1, 0), Requester::pf(2, 1));
        file.set(&one, 0x18_0800, 0xb);
        file.set(&two, 0x18_0800, 9);
        assert_eq!(
            (file.get(&one, 0x18_0800), file.get(&two, 0x18_0800)),
            (0xb, 9)
        );
        file.set(&one, 0x18_4000, 5);
        assert_eq!(file.get(&two, 0x18_4000), 5, "the CAM is common");
        let vf = Requester {
            function: Function::vf(1, 3),
            ..one
        };
        file.set(&vf, 0x2e_070c, 1);
        assert_eq!(
            file.get(&one, 0x2e_070c),
            0,
            "a PF does not see a VF's bank"
        );
        file.clear_pf(1);
        assert_eq!(
            (file.get(&one, 0x18_0800), file.get(&two, 0x18_0800)),
            (0, 9)
        );
        assert_eq!(file.get(&vf, 0x2e_070c), 1);
        file.clear_vf(3);
        assert_eq!(file.get(&vf, 0x2e_070c), 0);
    }

    #[test]
    fn addresses_outside_read_zero() {
        let mut file = RegisterFile::new(Chip::Bb);
        file.set_common(0x1ff_fffc, 1);
        assert_eq!(file.common(0x1ff_fffc), 0);
    }
}
