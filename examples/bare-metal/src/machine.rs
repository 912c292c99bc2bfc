//! This machine as the driver crates' host.

use fastlinq_hal::host::{AllocationError, Clock, DmaAllocator, Host, MmioBar, PciIdentity};

use crate::clock::Tsc;
use crate::dma::{Pages, Region};

/// This machine, with one function of an adapter.
pub(crate) struct Machine {
    pub(crate) registers: MmioBar,
    pub(crate) doorbells: MmioBar,
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
    type Bar = MmioBar;

    fn registers(&self) -> MmioBar {
        self.registers
    }

    fn doorbells(&self) -> MmioBar {
        self.doorbells
    }

    fn identity(&self) -> PciIdentity {
        self.identity
    }

    fn interrupt_vectors(&self) -> u16 {
        self.vectors
    }
}
