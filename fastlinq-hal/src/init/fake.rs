//! A chip of nothing but registers, windows and a DMA engine, for the tests of this crate's bring-up steps.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use core::cell::RefCell;
use core::ptr::NonNull;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec::Vec;

use fastlinq_pac::{BusAddress, Chip, GrcAddress, VENDOR_ID};

use crate::access::FunctionIdentity;
use crate::core_state::Core;
use crate::dma::DmaRegion;
use crate::host::{AllocationError, Bar, Clock, DmaAllocator, Host, PciIdentity};

/// A write that reached the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) address: u32,
    pub(crate) value: u32,
    /// Pretend word of the window; 0 when it does not pretend.
    pub(crate) pretend: u32,
    pub(crate) by_dma: bool,
}

type Hook = std::boxed::Box<dyn FnMut(u32, Option<u32>, &mut BTreeMap<u32, u32>)>;

#[derive(Default)]
pub(crate) struct FakeChip {
    pub(crate) registers: BTreeMap<u32, u32>,
    pub(crate) writes: Vec<Write>,
    pub(crate) dma_commands: u32,
    pub(crate) gone: bool,
    /// Accesses to BAR0 until the function is gone.
    pub(crate) gone_after: Option<u32>,
    pub(crate) dma_works: bool,
    pub(crate) allocations: usize,
    pub(crate) allocation_budget: usize,
    pub(crate) now_us: u64,
    hook: Option<Hook>,
    memory: Vec<(u64, usize, usize)>,
    next_bus: u64,
    targets: [u32; 12],
    pretends: [u32; 12],
}

impl FakeChip {
    fn is_gone(&mut self) -> bool {
        match &mut self.gone_after {
            Some(0) => self.gone = true,
            Some(left) => *left -= 1,
            None => {}
        }
        self.gone
    }

    fn read(&mut self, address: u32) -> u32 {
        if let Some(mut hook) = self.hook.take() {
            hook(address, None, &mut self.registers);
            self.hook = Some(hook);
        }
        self.registers.get(&address).copied().unwrap_or(0)
    }

    fn write(&mut self, address: u32, value: u32, pretend: u32, by_dma: bool) {
        self.writes.push(Write {
            address,
            value,
            pretend,
            by_dma,
        });
        if pretend == 0 {
            self.registers.insert(address, value);
        }
        if let Some(mut hook) = self.hook.take() {
            hook(address, Some(value), &mut self.registers);
            self.hook = Some(hook);
        }
        if (0xc048..0xc0c8).contains(&address) && value == 1 && self.dma_works {
            self.dma_commands += 1;
            self.run_dma((address - 0xc048) / 4);
        }
    }

    fn host(&mut self, bus: u64) -> *mut u32 {
        let (start, pointer, _) = self
            .memory
            .iter()
            .find(|(start, _, length)| (*start..*start + *length as u64).contains(&bus))
            .expect("DMA outside of any region");
        (pointer + (bus - start) as usize) as *mut u32
    }

    fn run_dma(&mut self, channel: u32) {
        let command: Vec<u32> = (0..14)
            .map(|dword| self.registers[&(0xc800 + channel * 56 + dword * 4)])
            .collect();
        let dwords = command[5] & 0xffff;
        for index in 0..u64::from(dwords) {
            let value = if command[0] & 1 == 1 {
                self.read(command[1] * 4 + index as u32 * 4)
            } else {
                let from = u64::from(command[2]) << 32 | u64::from(command[1]);
                // SAFETY: inside a live region of the test.
                unsafe { self.host(from + index * 4).read_volatile() }
            };
            if command[0] >> 1 & 3 == 2 {
                self.write(command[3] * 4 + index as u32 * 4, value, 0, true);
            } else {
                let to = u64::from(command[4]) << 32 | u64::from(command[3]);
                // SAFETY: as above.
                unsafe { self.host(to + index * 4).write_volatile(value) };
            }
        }
        let completion = u64::from(command[7]) << 32 | u64::from(command[6]);
        // SAFETY: as above.
        unsafe { self.host(completion).write_volatile(command[8]) };
    }
}

#[derive(Clone)]
pub(crate) struct FakeHost(pub(crate) Rc<RefCell<FakeChip>>);

impl FakeHost {
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new(FakeChip {
            dma_works: true,
            allocation_budget: usize::MAX,
            next_bus: 0x1_0000_0000,
            ..FakeChip::default()
        })))
    }

    /// A core of a function that was identified elsewhere, with DMA memory.
    pub(crate) fn core(&self, identity: FunctionIdentity) -> Core<Self> {
        let mut core = Core::new(self.clone());
        core.identity = identity;
        core.allocate_dmae().expect("memory");
        core
    }

    /// What happens at an access: address, value when it is a write, all registers.
    pub(crate) fn on_access(
        &self,
        hook: impl FnMut(u32, Option<u32>, &mut BTreeMap<u32, u32>) + 'static,
    ) {
        self.0.borrow_mut().hook = Some(std::boxed::Box::new(hook));
    }

    pub(crate) fn set(&self, address: GrcAddress, value: u32) {
        let mut chip = self.0.borrow_mut();
        chip.registers.insert(address.value(), value);
    }

    pub(crate) fn get(&self, address: GrcAddress) -> u32 {
        let chip = self.0.borrow();
        chip.registers.get(&address.value()).copied().unwrap_or(0)
    }

    /// Values written to `address`, in order, by whom ever.
    pub(crate) fn written(&self, address: GrcAddress) -> Vec<u32> {
        let chip = self.0.borrow();
        let writes = chip.writes.iter();
        writes
            .filter(|write| write.address == address.value())
            .map(|write| write.value)
            .collect()
    }

    /// All writes as address and value, without those that drive the DMA engine.
    pub(crate) fn story(&self) -> Vec<(u32, u32)> {
        let chip = self.0.borrow();
        let writes = chip.writes.iter();
        writes
            .filter(|write| !(0xc000..0xd000).contains(&write.address))
            .map(|write| (write.address, write.value))
            .collect()
    }
}

#[derive(Clone)]
pub(crate) struct FakeBar(Rc<RefCell<FakeChip>>);

impl FakeBar {
    fn window(chip: &FakeChip, offset: usize) -> Option<(u32, u32)> {
        let page = offset / 0x1000;
        let inside = (offset % 0x1000) as u32;
        match page {
            1..=12 => Some((chip.targets[page - 1] + inside, chip.pretends[page - 1])),
            13.. => {
                let entry = chip.registers.get(&(0x200_0000 + (page as u32 - 13) * 4));
                entry.map(|entry| ((entry << 12) + inside, 0))
            }
            _ => None,
        }
    }
}

impl Bar for FakeBar {
    fn len(&self) -> usize {
        0x10_0000
    }

    fn read32(&self, offset: usize) -> u32 {
        let mut chip = self.0.borrow_mut();
        if chip.is_gone() {
            return u32::MAX;
        }
        match Self::window(&chip, offset) {
            Some((address, _)) => chip.read(address),
            None => 0,
        }
    }

    fn write32(&self, offset: usize, value: u32) {
        let mut chip = self.0.borrow_mut();
        if chip.is_gone() {
            return;
        }
        match (Self::window(&chip, offset), offset) {
            (Some((address, pretend)), _) => chip.write(address, value, pretend, false),
            (None, 0..0x60) if offset % 8 == 0 => chip.targets[offset / 8] = value << 2,
            (None, 0..0x60) => chip.pretends[offset / 8] = value,
            // The GTT lies behind the internal space.
            (None, 0x200..) => {
                let entry = (offset as u32 - 0x200) + 0x200_0000;
                chip.registers.insert(entry, value);
            }
            _ => {}
        }
    }

    fn write16(&self, offset: usize, value: u16) {
        self.write32(offset & !3, value.into());
    }
}

pub(crate) struct FakeRegion {
    chip: Rc<RefCell<FakeChip>>,
    pointer: NonNull<u8>,
    bus: BusAddress,
    layout: Layout,
}

// SAFETY: the memory is this region's own until it is dropped.
unsafe impl DmaRegion for FakeRegion {
    fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }
    fn bus_address(&self) -> BusAddress {
        self.bus
    }
    fn len(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for FakeRegion {
    fn drop(&mut self) {
        let mut chip = self.chip.borrow_mut();
        chip.allocations -= 1;
        chip.memory.retain(|(bus, ..)| *bus != self.bus.value());
        // SAFETY: allocated with this layout in `allocate`.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) };
    }
}

impl DmaAllocator for FakeHost {
    type Region = FakeRegion;

    fn allocate(&mut self, size: usize, align: usize) -> Result<FakeRegion, AllocationError> {
        let mut chip = self.0.borrow_mut();
        if chip.allocations >= chip.allocation_budget {
            return Err(AllocationError { size, align });
        }
        let layout = Layout::from_size_align(size, align).expect("layout");
        // SAFETY: no caller asks for 0 bytes.
        let pointer = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
        let bus = chip.next_bus.next_multiple_of(align as u64);
        chip.next_bus = bus + size as u64;
        chip.allocations += 1;
        chip.memory.push((bus, pointer.as_ptr() as usize, size));
        Ok(FakeRegion {
            chip: self.0.clone(),
            pointer,
            bus: BusAddress(bus),
            layout,
        })
    }
}

impl Clock for FakeHost {
    fn now_us(&self) -> u64 {
        self.0.borrow().now_us
    }
}

impl embedded_hal::delay::DelayNs for FakeHost {
    fn delay_ns(&mut self, ns: u32) {
        self.0.borrow_mut().now_us += u64::from(ns.div_ceil(1000));
    }
}

impl Host for FakeHost {
    type Bar = FakeBar;

    fn registers(&self) -> FakeBar {
        FakeBar(self.0.clone())
    }

    fn doorbells(&self) -> FakeBar {
        FakeBar(self.0.clone())
    }

    fn identity(&self) -> PciIdentity {
        PciIdentity {
            vendor: VENDOR_ID,
            device: 0x8070,
            revision: 2,
            ..PciIdentity::default()
        }
    }
}

/// Who the function is in a test.
pub(crate) fn identity(chip: Chip, ports_per_engine: u8, rel_pf: u8) -> FunctionIdentity {
    FunctionIdentity {
        chip,
        rel_pf,
        abs_pf: match chip {
            Chip::Bb => 2 * rel_pf,
            Chip::K2 => rel_pf,
        },
        port: rel_pf % ports_per_engine,
        opaque_fid: u16::from(rel_pf),
        concrete_fid: u16::from(rel_pf),
        chip_revision: 1,
        ports_per_engine,
        functions: chip.limits().pfs_per_engine,
        function_index: rel_pf,
        doorbell_bar_bytes: 512 * 1024,
        register_bar_bytes: 512 * 1024,
        ..FunctionIdentity::default()
    }
}
