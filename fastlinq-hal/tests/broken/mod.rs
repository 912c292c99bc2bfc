//! Hosts that break one promise each, around the software adapter.

use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use embedded_hal::delay::DelayNs;
use fastlinq_hal::dma::DmaRegion;
use fastlinq_hal::host::{AllocationError, Bar, Clock, DmaAllocator, Host, PciIdentity};
use fastlinq_model_host::{ModelBar, ModelHost, ModelRegion};
use fastlinq_pac::BusAddress;

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    Nothing,
    ForeignIdentity,
    SmallRegisterBar,
    OddDoorbellBar,
    UnmappedBar,
    FlickeringIdentity,
    SwappedBytes,
    /// Address line 3 is stuck.
    OffsetBitLost,
    UpperHalfLost,
    LowBitStuck,
    Write16Lost,
    Write16AsWrite32,
    Write16InUpperHalf,
    /// A write arrives with the next one.
    LateWrites,
    ClockGoesBack,
    ClockInNanoseconds,
    ShortMilliseconds,
    NoDelay,
    NoMemory,
    ShortRegions,
    UnalignedBus,
    NotZeroed,
    SameBusAddress,
    NullBusAddress,
    CpuMemoryNotShared,
    WrongBusAddress,
    NoBusMaster,
    /// The device reads something else in one page.
    PageReadElsewhere,
    /// What the device writes to one page goes elsewhere.
    PageWrittenElsewhere,
    /// The device's writes to one page hit the bytes behind, too.
    WritesTooMuch,
    ReuseNotZeroed,
    EndlessMemory,
    ZerosWhenGone,
    DoorbellsZeroWhenGone,
}

/// A host with a defect.
pub(crate) struct Broken {
    pub(crate) host: ModelHost,
    defect: Defect,
    clock: Cell<u64>,
    allocations: Cell<u32>,
    page: Page,
}

/// A page that the CPU and the device do not agree about; `None` while its region does not exist.
type Page = Rc<Cell<Option<NonNull<[u8; 4096]>>>>;

impl Broken {
    pub(crate) fn new(host: ModelHost, defect: Defect) -> Self {
        if defect == Defect::NoBusMaster {
            host.with_card(|card| card.set_bus_master(host.function(), false));
        }
        Self {
            host,
            defect,
            clock: Cell::new(0),
            allocations: Cell::new(0),
            page: Page::default(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct BrokenBar {
    bar: ModelBar,
    defect: Defect,
    doorbells: bool,
    looks: Rc<Cell<u32>>,
    held: Rc<Cell<Option<(usize, u32)>>>,
    page: Page,
}

impl BrokenBar {
    fn disagree(&self, page: NonNull<[u8; 4096]>, offset: usize) {
        // SAFETY: the page is inside a region that exists (`Drop` of the region takes it out), and one thread runs.
        let before = unsafe { page.read_volatile() };
        if self.defect == Defect::PageReadElsewhere {
            // SAFETY: as above.
            unsafe { page.write_volatile([0xee; 4096]) };
        }
        self.bar.write32(offset, 1);
        // SAFETY: as above.
        let mut after = unsafe { page.read_volatile() };
        match self.defect {
            Defect::PageReadElsewhere | Defect::PageWrittenElsewhere => after = before,
            _ if after != before => after[64] ^= 1,
            _ => {}
        }
        // SAFETY: as above.
        unsafe { page.write_volatile(after) };
    }

    fn offset(&self, offset: usize) -> usize {
        if self.defect == Defect::OffsetBitLost {
            offset & !8
        } else {
            offset
        }
    }
}

impl Bar for BrokenBar {
    fn len(&self) -> usize {
        match self.defect {
            Defect::SmallRegisterBar if !self.doorbells => 0x1_0000,
            Defect::OddDoorbellBar if self.doorbells => self.bar.len() - 8,
            Defect::UnmappedBar => 0,
            _ => self.bar.len(),
        }
    }

    fn read32(&self, offset: usize) -> u32 {
        self.looks.set(self.looks.get() + 1);
        let value = self.bar.read32(self.offset(offset));
        match self.defect {
            Defect::FlickeringIdentity if offset == 0x1fc && self.looks.get() % 7 == 0 => value ^ 1,
            Defect::SwappedBytes => value.swap_bytes(),
            Defect::LowBitStuck => value | 0x100,
            Defect::ZerosWhenGone if value == u32::MAX => 0,
            Defect::DoorbellsZeroWhenGone if self.doorbells => 0,
            _ => value,
        }
    }

    fn write32(&self, offset: usize, value: u32) {
        let offset = self.offset(offset);
        match self.defect {
            Defect::SwappedBytes => self.bar.write32(offset, value.swap_bytes()),
            Defect::UpperHalfLost => self.bar.write32(offset, value & 0xffff),
            Defect::LateWrites => {
                if let Some((offset, value)) = self.held.replace(Some((offset, value))) {
                    self.bar.write32(offset, value);
                }
            }
            _ => match self.page.get() {
                // A write of 1 may start the DMA engine, which is done before the write returns.
                Some(page) if value == 1 => self.disagree(page, offset),
                _ => self.bar.write32(offset, value),
            },
        }
    }

    fn write16(&self, offset: usize, value: u16) {
        match self.defect {
            Defect::Write16Lost => {}
            Defect::Write16AsWrite32 => self.bar.write32(offset, value.into()),
            Defect::Write16InUpperHalf => self.bar.write16(offset ^ 2, value),
            _ => self.bar.write16(offset, value),
        }
    }
}

/// A region with a defect.
pub(crate) struct BrokenRegion {
    region: ModelRegion,
    /// Memory that the device does not know, where the CPU looks instead.
    private: Option<ModelRegion>,
    defect: Defect,
    page: Page,
}

impl Drop for BrokenRegion {
    fn drop(&mut self) {
        self.page.set(None);
    }
}

// SAFETY: the pointer is the model region's, or that of another one of the same size that lives as long; it is valid
// for `len()` bytes, which is never more than the region's. Leading the device elsewhere is the defect under test: the
// software adapter checks every access against the regions that exist.
unsafe impl DmaRegion for BrokenRegion {
    fn pointer(&self) -> NonNull<u8> {
        match &self.private {
            Some(memory) => memory.pointer(),
            None => self.region.pointer(),
        }
    }

    fn bus_address(&self) -> BusAddress {
        let address = self.region.bus_address();
        match self.defect {
            Defect::UnalignedBus => address.offset(4),
            Defect::SameBusAddress => BusAddress(0x10_0000),
            Defect::NullBusAddress => BusAddress(0),
            Defect::WrongBusAddress => BusAddress(address.value() + (1 << 40)),
            _ => address,
        }
    }

    fn len(&self) -> usize {
        match self.defect {
            Defect::ShortRegions => self.region.len() / 2,
            _ => self.region.len(),
        }
    }
}

impl DmaAllocator for Broken {
    type Region = BrokenRegion;

    fn allocate(&mut self, size: usize, align: usize) -> Result<BrokenRegion, AllocationError> {
        let number = self.allocations.get();
        self.allocations.set(number + 1);
        let refused = AllocationError { size, align };
        let asked = match self.defect {
            Defect::NoMemory => return Err(refused),
            Defect::EndlessMemory => size.min(4096),
            _ => size,
        };
        let region = self.host.allocate(asked, align)?;
        let dirty = self.defect == Defect::NotZeroed && size > 4096
            || self.defect == Defect::ReuseNotZeroed && number >= 7;
        if dirty {
            // SAFETY: the last byte of a region that nobody else knows yet.
            unsafe { region.pointer().add((size - 1) & !3).write(1) };
        }
        let private = match self.defect {
            Defect::CpuMemoryNotShared => Some(self.host.allocate(asked, align)?),
            _ => None,
        };
        let disagree = [
            Defect::PageReadElsewhere,
            Defect::PageWrittenElsewhere,
            Defect::WritesTooMuch,
        ];
        if size == 0x8_0000 && disagree.contains(&self.defect) {
            // SAFETY: the region has 128 pages.
            self.page
                .set(Some(unsafe { region.pointer().add(5 * 4096) }.cast()));
        }
        Ok(BrokenRegion {
            region,
            private,
            defect: self.defect,
            page: Rc::clone(&self.page),
        })
    }
}

impl Clock for Broken {
    fn now_us(&self) -> u64 {
        let now = self.host.now_us();
        let looks = self.clock.get() + 1;
        self.clock.set(looks);
        match self.defect {
            Defect::ClockGoesBack if looks % 100 == 0 => now.saturating_sub(5),
            Defect::ClockInNanoseconds => now * 1_000,
            _ => now,
        }
    }
}

impl DelayNs for Broken {
    fn delay_ns(&mut self, ns: u32) {
        if self.defect != Defect::NoDelay {
            self.host.delay_ns(ns);
        }
    }

    fn delay_ms(&mut self, ms: u32) {
        let ms = match self.defect {
            Defect::NoDelay => 0,
            Defect::ShortMilliseconds => ms / 2,
            _ => ms,
        };
        self.host.delay_ms(ms);
    }
}

impl Host for Broken {
    type Bar = BrokenBar;

    fn registers(&self) -> BrokenBar {
        self.bar(self.host.registers(), false)
    }

    fn doorbells(&self) -> BrokenBar {
        self.bar(self.host.doorbells(), true)
    }

    fn identity(&self) -> PciIdentity {
        let identity = self.host.identity();
        match self.defect {
            Defect::ForeignIdentity => PciIdentity {
                vendor: 0x8086,
                ..identity
            },
            _ => identity,
        }
    }
}

impl Broken {
    fn bar(&self, bar: ModelBar, doorbells: bool) -> BrokenBar {
        BrokenBar {
            bar,
            defect: self.defect,
            doorbells,
            looks: Rc::default(),
            held: Rc::default(),
            page: Rc::clone(&self.page),
        }
    }
}
