//! The three rings of a queue pair in one DMA region.

use core::ptr::NonNull;

use fastlinq_hal::dma::DmaRegion;
use fastlinq_pac::BusAddress;

use super::{Held, PAGE};
use crate::completion::Head;

/// Slots of a page of receive descriptors; the last two are the link to the next page.
pub(crate) const RECEIVE_SLOTS: usize = 512;
/// First of the two link slots.
pub(crate) const LINK_SLOT: u16 = 510;
/// Completions of a page.
pub(crate) const COMPLETIONS: usize = 128;
/// Transmit descriptors of a page.
pub(crate) const TRANSMIT_SLOTS: usize = 256;

/// Pages of each ring; all are powers of two, so that 16-bit indices wrap in step with the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingLayout {
    receive_pages: usize,
    completion_pages: usize,
    transmit_pages: usize,
}

impl RingLayout {
    /// Room for this many receive buffers, completions and transmit descriptors.
    pub(crate) fn new(receive: u16, completions: u16, transmit: u16) -> Self {
        let pages = |count: u16, per_page: usize, most: usize| {
            usize::from(count)
                .div_ceil(per_page)
                .next_power_of_two()
                .min(most)
        };
        Self {
            receive_pages: pages(receive, usize::from(LINK_SLOT), 128),
            completion_pages: pages(completions, COMPLETIONS, 512),
            transmit_pages: pages(transmit, TRANSMIT_SLOTS, 256),
        }
    }

    /// Bytes of the region: the rings, then a page for each of the two page tables.
    pub(crate) fn bytes(&self) -> usize {
        (self.receive_pages + self.completion_pages + self.transmit_pages + 2) * PAGE
    }

    pub(crate) fn completion_slots(&self) -> usize {
        self.completion_pages * COMPLETIONS
    }

    fn completions_at(&self) -> usize {
        self.receive_pages * PAGE
    }

    fn transmit_at(&self) -> usize {
        self.completions_at() + self.completion_pages * PAGE
    }

    fn tables_at(&self) -> usize {
        self.transmit_at() + self.transmit_pages * PAGE
    }
}

/// The rings as the program writes and reads them.
///
/// # Invariants
///
/// Each pointer leads to a ring of `mask + 1` elements inside the region, which this object holds on to.
#[derive(Debug)]
pub(crate) struct RingMemory<R: DmaRegion> {
    receive: NonNull<u64>,
    completions: NonNull<[u64; 4]>,
    transmit: NonNull<[u64; 2]>,
    receive_mask: u16,
    completion_mask: u16,
    transmit_mask: u16,
    layout: RingLayout,
    bus: BusAddress,
    region: Held<R>,
}

// SAFETY: the pointers lead into the region alone, and go where the region goes.
unsafe impl<R: DmaRegion + Send> Send for RingMemory<R> {}

impl<R: DmaRegion> RingMemory<R> {
    /// Lays the rings out in a region, with all links and page tables; `None` when the region is too small or not aligned
    /// to a page.
    pub(crate) fn new(region: R, layout: RingLayout) -> Option<Self> {
        let base = region.pointer();
        let bus = region.bus_address();
        let aligned = base.cast::<[u8; PAGE]>().as_ptr() as usize % PAGE == 0
            && bus.value() % PAGE as u64 == 0;
        if !aligned || region.len() < layout.bytes() {
            return None;
        }
        // SAFETY: the region has at least `layout.bytes()` bytes, more than the offset.
        let completions = unsafe { base.add(layout.completions_at()) };
        // SAFETY: as above.
        let transmit = unsafe { base.add(layout.transmit_at()) };
        let mut rings = Self {
            receive: base.cast(),
            completions: completions.cast(),
            transmit: transmit.cast(),
            receive_mask: (layout.receive_pages * RECEIVE_SLOTS - 1) as u16,
            completion_mask: (layout.completion_slots() - 1) as u16,
            transmit_mask: (layout.transmit_pages * TRANSMIT_SLOTS - 1) as u16,
            layout,
            bus,
            region: Held::new(region),
        };
        rings.link_pages();
        rings.fill_table(
            rings.layout.tables_at(),
            layout.completions_at(),
            layout.completion_pages,
        );
        rings.fill_table(
            rings.layout.tables_at() + PAGE,
            layout.transmit_at(),
            layout.transmit_pages,
        );
        Some(rings)
    }

    pub(crate) fn held(&self) -> &Held<R> {
        &self.region
    }

    pub(crate) fn held_mut(&mut self) -> &mut Held<R> {
        &mut self.region
    }

    pub(crate) fn receive_bus(&self) -> BusAddress {
        self.bus
    }

    pub(crate) fn completion_table(&self) -> (BusAddress, u16) {
        let table = self.bus.offset(self.layout.tables_at() as u64);
        (table, self.layout.completion_pages as u16)
    }

    pub(crate) fn transmit_table(&self) -> (BusAddress, u16) {
        let table = self.bus.offset((self.layout.tables_at() + PAGE) as u64);
        (table, self.layout.transmit_pages as u16)
    }

    fn link_pages(&mut self) {
        for page in 0..self.layout.receive_pages {
            let next = (page + 1) % self.layout.receive_pages;
            let address = self.bus.offset((next * PAGE) as u64);
            let link = (page * RECEIVE_SLOTS) as u16 + LINK_SLOT;
            self.set_receive(link, address.value());
        }
    }

    fn fill_table(&mut self, table: usize, first_page: usize, pages: usize) {
        for page in 0..pages.min(PAGE / 8) {
            let address = self.bus.offset((first_page + page * PAGE) as u64);
            // SAFETY: a table is one page inside the region, and `page` is below the 512 entries of a page; the receive
            // ring is at the region's start, so its pointer counts from there.
            let entry = unsafe { self.receive.add(table / 8 + page) };
            // SAFETY: in bounds and aligned as above.
            unsafe { entry.write_volatile(address.value().to_le()) };
        }
    }

    /// Slots of the completion ring.
    pub(crate) fn completion_slots(&self) -> u16 {
        self.layout.completion_slots() as u16
    }

    /// Writes receive descriptor `index`.
    fn set_receive(&mut self, index: u16, address: u64) {
        let entry = self.receive_from(index);
        // SAFETY: in bounds, and aligned since the ring starts on a page.
        unsafe { entry.write_volatile(address.to_le()) };
    }

    /// Where receive descriptor `index` is; those up to the end of its page follow.
    #[inline]
    pub(super) fn receive_from(&mut self, index: u16) -> NonNull<u64> {
        let slot = usize::from(index & self.receive_mask);
        // SAFETY: the slot is at most the mask; see the invariants.
        unsafe { self.receive.add(slot) }
    }

    /// Where completion `index` is, and how many follow in one piece, this one included.
    #[inline]
    pub(super) fn completions_from(&self, index: u16) -> (NonNull<[u64; 4]>, usize) {
        let slot = usize::from(index & self.completion_mask);
        // SAFETY: the slot is at most the mask; see the invariants.
        let place = unsafe { self.completions.add(slot) };
        (place, usize::from(self.completion_mask) + 1 - slot)
    }

    /// Reads what a frame needs of a completion: two quadwords in the CPU's byte order, and the number of buffers. Each
    /// byte is read once.
    ///
    /// # Safety
    ///
    /// The completion is one of a ring.
    #[inline]
    pub(super) unsafe fn head_at(completion: NonNull<[u64; 4]>) -> Head {
        let words = completion.cast::<u64>();
        // SAFETY: a completion is 32 bytes, aligned to 8, in a ring by contract; all three reads are inside.
        let (first, second, buffers) = unsafe {
            (
                words.read_volatile(),
                words.add(1).read_volatile(),
                words.add(2).cast::<u8>().read_volatile(),
            )
        };
        Head {
            first: u64::from_le(first),
            second: u64::from_le(second),
            buffers,
        }
    }

    /// Where transmit descriptor `index` is, and how many follow in one piece, this one included.
    #[inline]
    pub(super) fn descriptors_from(&mut self, index: u16) -> (NonNull<[u64; 2]>, usize) {
        let slot = usize::from(index & self.transmit_mask);
        // SAFETY: the slot is at most the mask; see the invariants.
        let place = unsafe { self.transmit.add(slot) };
        (place, usize::from(self.transmit_mask) + 1 - slot)
    }

    /// Writes a transmit descriptor.
    ///
    /// # Safety
    ///
    /// The descriptor is one of a ring.
    #[inline]
    pub(super) unsafe fn write_at(descriptor: NonNull<[u64; 2]>, address: u64, words: [u32; 2]) {
        let place = descriptor.cast::<u64>();
        // SAFETY: a descriptor is 16 bytes, aligned to 8, in a ring by contract.
        unsafe {
            place.write_volatile(address.to_le());
            let words_at = place.add(1).cast::<u32>();
            words_at.write_volatile(words[0].to_le());
            words_at.add(1).write_volatile(words[1].to_le());
        }
    }

    /// Reads completion `index` as four quadwords in the CPU's byte order.
    pub(crate) fn completion(&self, index: u16) -> [u64; 4] {
        let (completion, _) = self.completions_from(index);
        let words = completion.cast::<u64>();
        core::array::from_fn(|word| {
            // SAFETY: a completion has four quadwords, in the ring and aligned since the ring starts on a page.
            u64::from_le(unsafe { words.add(word).read_volatile() })
        })
    }

    /// Writes transmit descriptor `index`: an address, and what the next two dwords say.
    pub(crate) fn set_transmit(&mut self, index: u16, address: u64, words: [u32; 2]) {
        let (descriptor, _) = self.descriptors_from(index);
        // SAFETY: of the ring.
        unsafe { Self::write_at(descriptor, address, words) };
    }
}
