//! A device in memory that does nothing but what the rings can see: it fills in completions, takes descriptors, and moves
//! the two indices. It works outside the clock.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering, fence};

use fastlinq_hal::dma::DmaRegion;
use fastlinq_hal::host::{AllocationError, DmaAllocator};
use fastlinq_hal::queue::QueuePairRequest;
use fastlinq_net::QueueDevice;
use fastlinq_pac::BusAddress;

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

/// Memory whose bus address is its pointer, in huge pages where the kernel has some.
#[derive(Debug)]
pub(crate) struct Region {
    pointer: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the region owns its memory.
unsafe impl Send for Region {}
// SAFETY: a shared region gives its pointer away and nothing else.
unsafe impl Sync for Region {}

// SAFETY: zeroed heap memory of the asked alignment, this region's alone until it is dropped; the null device takes a
// pointer for a bus address.
unsafe impl DmaRegion for Region {
    fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }
    fn bus_address(&self) -> BusAddress {
        BusAddress(self.pointer.as_ptr() as u64)
    }
    fn len(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, freed here only.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) };
    }
}

/// Gives [`Region`]s out, in huge pages or in just what is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) huge: bool,
}

impl DmaAllocator for Memory {
    type Region = Region;

    fn allocate(&mut self, size: usize, align: usize) -> Result<Region, AllocationError> {
        let refused = AllocationError { size, align };
        let page = if self.huge { HUGE } else { 4096 };
        let whole = size.next_multiple_of(page);
        let layout = Layout::from_size_align(whole, align.max(page)).map_err(|_| refused)?;
        // SAFETY: the size is not zero.
        let pointer = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(refused)?;
        if !self.huge {
            return Ok(Region { pointer, layout });
        }
        // SAFETY: the range is the region's own; the advice changes no content. Without huge pages it is refused, and
        // ordinary ones do.
        let _ = unsafe {
            rustix::mm::madvise(
                pointer.as_ptr().cast(),
                whole,
                rustix::mm::Advice::LinuxHugepage,
            )
        };
        Ok(Region { pointer, layout })
    }
}

/// The words of status block and BAR, each on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

#[derive(Debug, Default)]
struct Words {
    rx_index: Line<AtomicU16>,
    tx_index: Line<AtomicU16>,
    producers: Line<AtomicU32>,
    doorbell: Line<AtomicU32>,
}

/// The device, as the rings see it.
#[derive(Debug)]
pub(crate) struct Port(&'static Words);

impl QueueDevice for Port {
    type Region = Region;

    #[inline]
    fn rx_index(&self) -> u16 {
        let index = self.0.rx_index.0.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        index
    }

    #[inline]
    fn tx_index(&self) -> u16 {
        let index = self.0.tx_index.0.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        index
    }

    #[inline]
    fn publish_rx(&self, bd_prod: u16, cqe_prod: u16) {
        fence(Ordering::Release);
        let word = u32::from(cqe_prod) << 16 | u32::from(bd_prod);
        self.0.producers.0.store(word, Ordering::Relaxed);
    }

    #[inline]
    fn ring_tx(&self, bd_prod: u16) {
        fence(Ordering::Release);
        let word = u32::from(bd_prod) << 16 | 0x1084;
        self.0.doorbell.0.store(word, Ordering::Relaxed);
        fence(Ordering::Release);
    }
}

/// The device's own side.
#[derive(Debug)]
pub(crate) struct NullDevice {
    words: &'static Words,
    request: QueuePairRequest,
    completion: u16,
    descriptor: u16,
    /// Bytes of every frame.
    frame_bytes: u16,
    /// Bits that every frame to send has in bits 63:16 of its first descriptor's second quadword, length aside.
    pub(crate) sent: u64,
    /// Descriptors that were not what was to be sent.
    pub(crate) wrong: u64,
    /// Buffers before this address do not exist, nor behind the next.
    pub(crate) buffers: (u64, u64),
    hash: Cell<u32>,
}

// SAFETY: the pages that the tables lead to are the queue pair's, which the program keeps alive as long as the device.
unsafe impl Send for NullDevice {}

impl NullDevice {
    /// A device for rings; leaks its few words.
    pub(crate) fn new(
        request: QueuePairRequest,
        frame_bytes: u16,
        buffers: (u64, u64),
    ) -> (Self, Port) {
        let words: &'static Words = Box::leak(Box::default());
        let device = Self {
            words,
            request,
            completion: 0,
            descriptor: 0,
            frame_bytes,
            sent: 1 << 24,
            wrong: 0,
            buffers,
            hash: Cell::new(1),
        };
        (device, Port(words))
    }

    fn page(table: BusAddress, page: usize) -> *mut u8 {
        let entry = (table.value() as *const u64).wrapping_add(page);
        // SAFETY: the table is a page of the queue pair's rings, alive and aligned, and `page` is below its entries.
        let address = unsafe { entry.read_volatile() };
        address as *mut u8
    }

    /// Writes a completion; the program may read it after [`publish`](Self::publish).
    pub(crate) fn complete(&mut self, words: [u64; 4]) {
        let pages = usize::from(self.request.cqe_pages);
        let page = Self::page(
            self.request.cqe_pbl,
            usize::from(self.completion / 128) % pages,
        );
        let slot = page
            .cast::<[u64; 4]>()
            .wrapping_add(usize::from(self.completion % 128));
        // SAFETY: a slot of the completion ring, which the program reads only behind the index.
        unsafe { slot.write_volatile(words) };
        self.completion = self.completion.wrapping_add(1);
    }

    /// Moves the index behind all completions.
    pub(crate) fn publish(&self) {
        fence(Ordering::Release);
        let index = self.completion;
        self.words.rx_index.0.store(index, Ordering::Relaxed);
    }

    /// Completes `count` frames: IPv4, UDP, checksum good, each with another hash.
    pub(crate) fn receive(&mut self, count: usize) {
        let length = u64::from(self.frame_bytes);
        let flags = 1 | 2 << 2 | 1 << 6;
        for _ in 0..count {
            let hash = self.hash.get();
            self.hash.set(hash.wrapping_mul(0x9e37_79b1) | 1);
            self.complete([
                1 | 5 << 8 | length << 16 | flags << 32,
                u64::from(hash) | length << 32 | 2 << 48,
                1,
                0,
            ]);
        }
        self.publish();
    }

    /// Frees the device's few words. The queue pair's port is gone.
    pub(crate) fn free(self) {
        let words = std::ptr::from_ref(self.words).cast_mut();
        // SAFETY: leaked by `new`; the port was the only other reference.
        drop(unsafe { Box::from_raw(words) });
    }

    /// Takes all frames up to the doorbell; gives their number.
    pub(crate) fn transmit(&mut self) -> u16 {
        let producer = (self.words.doorbell.0.load(Ordering::Acquire) >> 16) as u16;
        let before = self.descriptor;
        while self.descriptor != producer {
            let pages = usize::from(self.request.tx_pages);
            let page = Self::page(
                self.request.tx_pbl,
                usize::from(self.descriptor / 256) % pages,
            );
            let slot = page
                .cast::<[u64; 2]>()
                .wrapping_add(usize::from(self.descriptor % 256));
            // SAFETY: a slot of the transmit ring before the doorbell's index.
            let [address, word] = unsafe { slot.read_volatile() };
            let length = u64::from(self.frame_bytes);
            let right = word == length | 1 << 32 | self.sent << 16 | length << 50;
            let inside = (self.buffers.0..self.buffers.1).contains(&address);
            self.wrong += u64::from(!(right && inside));
            self.descriptor = self.descriptor.wrapping_add(1);
        }
        fence(Ordering::Release);
        self.words.tx_index.0.store(producer, Ordering::Relaxed);
        producer.wrapping_sub(before)
    }
}
