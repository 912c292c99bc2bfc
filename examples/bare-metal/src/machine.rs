//! This machine as the driver crates' host.

use fastlinq_hal::host::{AllocationError, Bar, Clock, DmaAllocator, Host, PciIdentity};

use crate::clock::Tsc;
use crate::dma::{Pages, Region};

/// A BAR, mapped uncached.
#[derive(Clone)]
pub(crate) struct MappedBar {
    base: *mut u8,
    length: usize,
}

impl MappedBar {
    pub(crate) fn new(base: *mut u8, length: usize) -> Self {
        Self { base, length }
    }

    fn at(&self, offset: usize, width: usize) -> Option<*mut u8> {
        let inside = offset.checked_add(width)? <= self.length && offset.is_multiple_of(width);
        inside.then(|| self.base.wrapping_add(offset))
    }

    /// Writes a dword; nothing outside the BAR.
    pub(crate) fn write(&self, offset: usize, value: u32) {
        if let Some(register) = self.at(offset, 4) {
            // SAFETY: inside the mapping, aligned.
            unsafe { register.cast::<u32>().write_volatile(value) }
        }
    }
}

impl Bar for MappedBar {
    fn len(&self) -> usize {
        self.length
    }

    fn read32(&self, offset: usize) -> u32 {
        match self.at(offset, 4) {
            // SAFETY: inside the mapping, aligned.
            Some(register) => unsafe { register.cast::<u32>().read_volatile() },
            None => u32::MAX,
        }
    }

    fn write32(&self, offset: usize, value: u32) {
        self.write(offset, value);
    }

    fn write16(&self, offset: usize, value: u16) {
        if let Some(register) = self.at(offset, 2) {
            // SAFETY: inside the mapping, aligned.
            unsafe { register.cast::<u16>().write_volatile(value) }
        }
    }
}

/// This machine, with one function of an adapter.
pub(crate) struct Machine {
    pub(crate) registers: MappedBar,
    pub(crate) doorbells: MappedBar,
    pub(crate) identity: PciIdentity,
    pub(crate) vectors: u16,
    pub(crate) clock: Tsc,
    pub(crate) pages: Pages,
}

impl DmaAllocator for Machine {
    type Region = Region;

    fn allocate(&mut self, size: usize, align: usize) -> Result<Region, AllocationError> {
        self.pages.allocate(size, align)
    }
}

impl Clock for Machine {
    fn now_us(&self) -> u64 {
        self.clock.now_us()
    }
}

impl embedded_hal::delay::DelayNs for Machine {
    fn delay_ns(&mut self, ns: u32) {
        self.clock.wait_ns(ns.into());
    }
}

impl Host for Machine {
    type Bar = MappedBar;

    fn registers(&self) -> MappedBar {
        self.registers.clone()
    }

    fn doorbells(&self) -> MappedBar {
        self.doorbells.clone()
    }

    fn identity(&self) -> PciIdentity {
        self.identity
    }

    fn interrupt_vectors(&self) -> u16 {
        self.vectors
    }
}
