//! DMA memory for hosts that have set a piece of memory aside.
#![allow(unsafe_code)]

use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

use fastlinq_pac::BusAddress;

use super::{AllocationError, DmaRegion};

const PAGE: usize = 4096;

/// Memory that is set aside for the device, handed out by pages of 4 KiB; at most `PAGES` of them.
///
/// For machines whose DMA is coherent and that have no allocator for it: bare metal, a reserved piece of memory, one large
/// mapping of an IOMMU. A few hundred pages are enough for a bring-up, and `size of buffers / 4096` more for each queue pair.
///
/// Known by: unit tests; the model, through the skeleton of the host guide.
pub struct DmaPool<const PAGES: usize> {
    base: NonNull<u8>,
    bus: BusAddress,
    taken: [AtomicBool; PAGES],
}

// SAFETY: the memory is reached through regions only, each of which has its pages for itself.
unsafe impl<const PAGES: usize> Send for DmaPool<PAGES> {}
// SAFETY: as above; which pages are whose is decided by atomic words.
unsafe impl<const PAGES: usize> Sync for DmaPool<PAGES> {}

impl<const PAGES: usize> DmaPool<PAGES> {
    /// A pool of `PAGES * 4096` bytes from `base` on, which the device reaches from `bus` on.
    ///
    /// Aligned as the driver asks for it is only what is so on both sides: begin the memory at a multiple of 1 MiB, or of more.
    ///
    /// # Safety
    ///
    /// From now on the memory is the pool's alone. It stays mapped, readable and writable, and led to by those bus addresses, for
    /// ever; DMA to it is coherent with the CPU's caches.
    #[must_use]
    pub const unsafe fn new(base: NonNull<u8>, bus: BusAddress) -> Self {
        Self {
            base,
            bus,
            taken: [const { AtomicBool::new(false) }; PAGES],
        }
    }

    /// Takes zeroed pages, from any thread or interrupt.
    ///
    /// # Errors
    ///
    /// [`AllocationError`] when no run of free pages is long enough and aligned on both sides.
    pub fn allocate(
        &'static self,
        size: usize,
        align: usize,
    ) -> Result<PoolRegion<PAGES>, AllocationError> {
        let refused = AllocationError { size, align };
        let count = size.div_ceil(PAGE);
        if count == 0 || !align.is_power_of_two() {
            return Err(refused);
        }
        let mut first = 0;
        while let Some(run) = self.taken.get(first..).and_then(|rest| rest.get(..count)) {
            let aligned = self.is_aligned(first, align);
            match if aligned { claim(run) } else { Err(0) } {
                Ok(()) => {
                    let region = PoolRegion {
                        pool: self,
                        first,
                        len: size,
                    };
                    // SAFETY: the pages are this region's since now.
                    unsafe { region.pointer().write_bytes(0, count * PAGE) };
                    return Ok(region);
                }
                Err(busy) => first += busy + 1,
            }
        }
        Err(refused)
    }

    /// Pages that nobody has, at this moment.
    #[must_use]
    pub fn free_pages(&self) -> usize {
        let free = |page: &&AtomicBool| !page.load(Ordering::Relaxed);
        self.taken.iter().filter(free).count()
    }

    fn is_aligned(&self, page: usize, align: usize) -> bool {
        let offset = page * PAGE;
        let cpu = self.base.as_ptr().wrapping_add(offset).addr();
        let bus = self.bus.value().wrapping_add(offset as u64);
        cpu % align == 0 && bus % align as u64 == 0
    }
}

impl<const PAGES: usize> fmt::Debug for DmaPool<PAGES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {PAGES} pages free", self.free_pages())
    }
}

/// Takes all pages of a run, or none; then the number of the last of those that stand in the way at its beginning.
fn claim(run: &[AtomicBool]) -> Result<(), usize> {
    for (number, page) in run.iter().enumerate() {
        if page.swap(true, Ordering::Acquire) {
            release(run.iter().take(number));
            return Err(number);
        }
    }
    Ok(())
}

fn release<'a>(pages: impl Iterator<Item = &'a AtomicBool>) {
    for page in pages {
        page.store(false, Ordering::Release);
    }
}

/// Pages of a [`DmaPool`], given back when dropped.
pub struct PoolRegion<const PAGES: usize> {
    pool: &'static DmaPool<PAGES>,
    first: usize,
    len: usize,
}

impl<const PAGES: usize> fmt::Debug for PoolRegion<PAGES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:#x}", self.len, self.bus_address().value())
    }
}

// SAFETY: the pages are this region's until its drop, since `taken` says so; by the word of who made the pool they stay where they
// are, for the CPU and for the device.
unsafe impl<const PAGES: usize> DmaRegion for PoolRegion<PAGES> {
    fn pointer(&self) -> NonNull<u8> {
        // SAFETY: `first` is a page of the pool.
        unsafe { self.pool.base.add(self.first * PAGE) }
    }

    fn bus_address(&self) -> BusAddress {
        BusAddress(self.pool.bus.value() + (self.first * PAGE) as u64)
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl<const PAGES: usize> Drop for PoolRegion<PAGES> {
    fn drop(&mut self) {
        let pages = self.pool.taken.iter().skip(self.first);
        release(pages.take(self.len.div_ceil(PAGE)));
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{Layout, alloc};
    use std::boxed::Box;
    use std::vec::Vec;

    use super::*;

    const PAGES: usize = 64;
    /// What the CPU's and the bus's addresses are multiples of.
    const ALIGN: usize = 16 * PAGE;

    fn pool(bus: u64) -> &'static DmaPool<PAGES> {
        let layout = Layout::from_size_align(PAGES * PAGE, ALIGN).unwrap();
        // SAFETY: the layout has a size.
        let base = NonNull::new(unsafe { alloc(layout) }).unwrap();
        // SAFETY: the memory is given away for ever. No device has it.
        Box::leak(Box::new(unsafe { DmaPool::new(base, BusAddress(bus)) }))
    }

    #[test]
    fn regions_are_zeroed_aligned_apart_and_come_back() {
        let pool = pool(0x10_0000_0000);
        let mut held: Vec<PoolRegion<PAGES>> = Vec::new();
        let mut seed = 1_u64;
        for _ in 0..5_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let draw = (seed >> 33) as usize;
            if draw % 3 == 0 && !held.is_empty() {
                held.swap_remove(draw % held.len());
                continue;
            }
            let (size, align) = (1 + draw % (9 * PAGE), 1 << (draw % 17));
            let Ok(region) = pool.allocate(size, align) else {
                continue;
            };
            assert_eq!(region.pointer().as_ptr() as usize % align, 0);
            assert_eq!(region.bus_address().value() % align as u64, 0);
            for at in 0..size {
                // SAFETY: inside the region.
                unsafe {
                    assert_eq!(region.pointer().add(at).read(), 0);
                    region.pointer().add(at).write(0xa5);
                }
            }
            let (start, end) = (region.first, region.first + size.div_ceil(PAGE));
            let apart = |other: &PoolRegion<PAGES>| {
                end <= other.first || other.first + other.len.div_ceil(PAGE) <= start
            };
            assert!(held.iter().all(apart));
            held.push(region);
        }
        assert!(held.len() > 3);
        held.clear();
        assert_eq!(pool.free_pages(), PAGES);
        assert_eq!(pool.allocate(PAGES * PAGE, ALIGN).unwrap().first, 0);
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let even = pool(0);
        for (size, align) in [
            (0, 1),
            (1, 0),
            (1, 3),
            (PAGES * PAGE + 1, 1),
            (usize::MAX, 1),
        ] {
            let refused = AllocationError { size, align };
            assert_eq!(even.allocate(size, align).unwrap_err(), refused);
        }
        // A page that is aligned for the CPU is not for the bus, and the other way round.
        let odd = pool(PAGE as u64);
        assert!(odd.allocate(1, 2 * PAGE).is_err());
        assert!(odd.allocate(1, PAGE).is_ok());
    }

    #[test]
    fn threads_never_get_the_same_page() {
        let pool = pool(0);
        let threads: Vec<_> = (1_u8..=4)
            .map(|number| {
                std::thread::spawn(move || {
                    for _ in 0..2_000 {
                        let Ok(region) = pool.allocate(3 * PAGE, PAGE) else {
                            continue;
                        };
                        for page in 0..3 {
                            // SAFETY: inside the region, which no other thread has.
                            let word = unsafe { region.pointer().add(page * PAGE) };
                            // SAFETY: as above.
                            unsafe {
                                assert_eq!(word.read_volatile(), 0);
                                word.write_volatile(number);
                                assert_eq!(word.read_volatile(), number);
                            }
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(pool.free_pages(), PAGES);
    }
}
