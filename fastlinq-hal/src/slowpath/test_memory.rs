//! DMA memory and registers for unit tests: the heap and a map.

use core::cell::RefCell;
use core::ptr::NonNull;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::rc::Rc;

use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::{BusAddress, GrcAddress};

use crate::dma::DmaBuffer;
use crate::host::{Bar, DmaRegion};

/// A zeroed piece of the heap whose bus address is its CPU address.
pub(crate) struct HeapRegion {
    pointer: NonNull<u64>,
    len: usize,
}

#[allow(unsafe_code)]
// SAFETY: the boxed slice is owned by this region alone, stays in place until drop and covers `len` bytes.
unsafe impl DmaRegion for HeapRegion {
    fn pointer(&self) -> NonNull<u8> {
        self.pointer.cast()
    }
    fn bus_address(&self) -> BusAddress {
        BusAddress(self.pointer.as_ptr() as usize as u64)
    }
    fn len(&self) -> usize {
        self.len
    }
}

pub(crate) fn buffer(len: usize) -> DmaBuffer<HeapRegion> {
    let words: Box<[u64]> = std::vec![0; len.div_ceil(8)].into_boxed_slice();
    // The few bytes of a unit test are not given back.
    let pointer = NonNull::from(Box::leak(words)).cast();
    DmaBuffer::new(HeapRegion { pointer, len })
}

/// Registers that hold what was last written.
#[derive(Default)]
pub(crate) struct MapBus {
    pub(crate) registers: RefCell<BTreeMap<u32, u32>>,
    pub(crate) writes: RefCell<std::vec::Vec<(u32, u32)>>,
}

impl MapBus {
    pub(crate) fn preset(&self, address: GrcAddress, value: u32) {
        self.registers.borrow_mut().insert(address.value(), value);
    }
    pub(crate) fn value(&self, address: GrcAddress) -> u32 {
        self.registers
            .borrow()
            .get(&address.value())
            .copied()
            .unwrap_or(0)
    }
}

impl RegisterBus for MapBus {
    fn read32(&self, address: GrcAddress) -> u32 {
        self.value(address)
    }
    fn write32(&self, address: GrcAddress, value: u32) {
        self.writes.borrow_mut().push((address.value(), value));
        self.registers.borrow_mut().insert(address.value(), value);
    }
}

/// A BAR that records writes; clones share the record.
#[derive(Clone, Default)]
pub(crate) struct RecordingBar(pub(crate) Rc<RefCell<std::vec::Vec<(usize, u32)>>>);

impl Bar for RecordingBar {
    fn len(&self) -> usize {
        1 << 20
    }
    fn read32(&self, _: usize) -> u32 {
        0
    }
    fn write32(&self, offset: usize, value: u32) {
        self.0.borrow_mut().push((offset, value));
    }
    fn write16(&self, offset: usize, value: u16) {
        self.0.borrow_mut().push((offset, value.into()));
    }
}

/// A host made of the heap, of recording BARs, and of no time.
pub(crate) struct TestHost;

impl crate::host::DmaAllocator for TestHost {
    type Region = HeapRegion;
    fn allocate(
        &mut self,
        size: usize,
        _: usize,
    ) -> Result<HeapRegion, crate::host::AllocationError> {
        Ok(buffer(size).into_region())
    }
}

impl crate::host::Clock for TestHost {
    fn now_us(&self) -> u64 {
        0
    }
}

impl embedded_hal::delay::DelayNs for TestHost {
    fn delay_ns(&mut self, _: u32) {}
}

impl crate::host::Host for TestHost {
    type Bar = RecordingBar;
    fn registers(&self) -> RecordingBar {
        RecordingBar::default()
    }
    fn doorbells(&self) -> RecordingBar {
        RecordingBar::default()
    }
    fn identity(&self) -> crate::host::PciIdentity {
        crate::host::PciIdentity::default()
    }
}
