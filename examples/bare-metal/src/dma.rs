//! DMA memory: pages of ordinary memory below 4 GiB, whose bus addresses are their own addresses.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fastlinq_hal::host::{AllocationError, DmaRegion};
use fastlinq_pac::BusAddress;

use crate::boot::BootInfo;
use crate::failure::Failure;
use crate::physical::{self, MAPPED};

const PAGE: u64 = 4096;
/// Pages that are kept track of: 64 MiB.
const PAGES: usize = 16 * 1024;
/// Memory below this is left alone: the loaders and the BIOS have things there.
const FLOOR: u64 = 1 << 20;

/// A bit for each page that is in use.
static USED: [AtomicU64; PAGES / 64] = [const { AtomicU64::new(0) }; PAGES / 64];
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Memory that is handed out in whole pages. There is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pages {
    start: u64,
    count: usize,
}

impl Pages {
    /// Takes the largest piece of free memory, up to 64 MiB of it.
    ///
    /// # Safety
    ///
    /// Called once: the pieces handed out are told apart by one table.
    pub(crate) unsafe fn take(info: &BootInfo) -> Result<Self, Failure> {
        let mut best = (0, 0);
        for range in info.memory.iter().filter(|range| range.usable) {
            let end = range.end.min(MAPPED) & !(PAGE - 1);
            let mut start = range.start.max(FLOOR).next_multiple_of(PAGE);
            // Each step passes an occupied piece, or ends at one.
            while let Some((free, after)) = free_from(info, start, end) {
                if free.1 - free.0 > best.1 - best.0 {
                    best = free;
                }
                start = after;
            }
        }
        let count = ((best.1 - best.0) / PAGE) as usize;
        if count < 1024 {
            return Err(Failure::Platform("less than 4 MiB of memory for DMA"));
        }
        Ok(Self {
            start: best.0,
            count: count.min(PAGES),
        })
    }

    /// Zeroed pages.
    pub(crate) fn allocate(&self, size: usize, align: usize) -> Result<Region, AllocationError> {
        let none = AllocationError { size, align };
        let count = size.div_ceil(PAGE as usize);
        if count == 0 || !align.is_power_of_two() {
            return Err(none);
        }
        let mut first = 0;
        while first + count <= self.count {
            let address = self.start + first as u64 * PAGE;
            if !address.is_multiple_of(align as u64) {
                first += 1;
                continue;
            }
            match (first..first + count).rev().find(|page| in_use(*page)) {
                Some(busy) => first = busy + 1,
                None => return self.hand_out(first, count, size).ok_or(none),
            }
        }
        Err(none)
    }

    fn hand_out(&self, first: usize, count: usize, size: usize) -> Option<Region> {
        for page in first..first + count {
            USED[page / 64].fetch_or(1 << (page % 64), Ordering::Relaxed);
        }
        let live = LIVE.fetch_add(count, Ordering::Relaxed) + count;
        PEAK.fetch_max(live, Ordering::Relaxed);
        let pointer = NonNull::new((self.start + first as u64 * PAGE) as *mut u8)?;
        // SAFETY: free memory that is mapped, and that nobody else has.
        unsafe { pointer.write_bytes(0, count * PAGE as usize) };
        Some(Region {
            pointer,
            size,
            first,
            count,
        })
    }

    /// Bytes in use now, and at most so far.
    pub(crate) fn use_bytes() -> (usize, usize) {
        let bytes = |pages: &AtomicUsize| pages.load(Ordering::Relaxed) * PAGE as usize;
        (bytes(&LIVE), bytes(&PEAK))
    }
}

fn in_use(page: usize) -> bool {
    USED[page / 64].load(Ordering::Relaxed) & 1 << (page % 64) != 0
}

/// The first free piece from `start` on, and where to look next.
fn free_from(info: &BootInfo, start: u64, end: u64) -> Option<((u64, u64), u64)> {
    if start >= end {
        return None;
    }
    let image = core::iter::once(physical::image());
    let occupied = info.occupied.iter().copied().chain(image);
    let mut free = (start, end);
    let mut after = end;
    for (from, to) in occupied.filter(|(from, to)| from < to && *to > start) {
        let (from, to) = (from & !(PAGE - 1), to.next_multiple_of(PAGE));
        if from < free.1 {
            free.1 = from.max(start);
            after = to;
        }
    }
    Some((free, after))
}

/// Pages, returned when dropped.
#[derive(Debug)]
pub(crate) struct Region {
    pointer: NonNull<u8>,
    size: usize,
    first: usize,
    count: usize,
}

// SAFETY: the pages are the region's alone until its drop, do not move, are mapped to their own addresses, cached as
// all memory, and DMA is coherent with the caches on this architecture.
unsafe impl DmaRegion for Region {
    fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }

    fn bus_address(&self) -> BusAddress {
        BusAddress(self.pointer.as_ptr() as u64)
    }

    fn len(&self) -> usize {
        self.size
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        for page in self.first..self.first + self.count {
            USED[page / 64].fetch_and(!(1 << (page % 64)), Ordering::Relaxed);
        }
        LIVE.fetch_sub(self.count, Ordering::Relaxed);
    }
}
