//! Page tables: memory to itself, devices uncached in a window of their own.

use core::sync::atomic::{AtomicUsize, Ordering};

use x86_64::structures::paging::page_table::PageTableEntry;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageSize, PageTable, PageTableFlags, PhysFrame,
    Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

use crate::boot::BootInfo;
use crate::failure::Failure;
use crate::physical;

/// Where device memory is mapped, one mapping behind the other.
const WINDOW: u64 = 0x4000_0000_0000;
const LARGE: u64 = Size2MiB::SIZE;
const SMALL: u64 = Size4KiB::SIZE;
/// Page tables for the window. One holds 2 MiB in small pages or 1 GiB in large ones.
const TABLES: usize = 24;

#[repr(align(4096))]
struct Pool(#[allow(dead_code, reason = "reached by address")] [PageTable; TABLES]);

static mut POOL: Pool = Pool([const { PageTable::new() }; TABLES]);
static POOL_USED: AtomicUsize = AtomicUsize::new(0);

struct FromPool;

// SAFETY: each table of the pool is given once.
unsafe impl FrameAllocator<Size4KiB> for FromPool {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let number = POOL_USED.fetch_add(1, Ordering::Relaxed);
        if number >= TABLES {
            return None;
        }
        let address = &raw const POOL as u64 + number as u64 * SMALL;
        PhysFrame::from_start_address(PhysAddr::new(address)).ok()
    }
}

unsafe extern "C" {
    static mut boot_root: PageTable;
    static mut boot_directories: [PageTable; 4];
}

/// The page tables.
pub(crate) struct Paging {
    mapper: OffsetPageTable<'static>,
    next: u64,
}

impl Paging {
    /// Takes over the page tables of the start code. What is not memory by the loader's word disappears from the identity
    /// mapping, so that no device memory is mapped twice; so do page 0 and the page below the stack.
    ///
    /// # Safety
    ///
    /// Called once, after everything outside `info` was read.
    pub(crate) unsafe fn take_over(info: &BootInfo) -> Result<Self, Failure> {
        // SAFETY: called once; nothing else names the tables of the start code.
        let tables = unsafe {
            (
                (&raw mut boot_directories).as_mut(),
                (&raw mut boot_root).as_mut(),
            )
        };
        let (Some(directories), Some(root)) = tables else {
            return Err(Failure::Platform("no page tables"));
        };
        let entries = directories.iter_mut().flat_map(PageTable::iter_mut);
        for (address, entry) in (0..).step_by(LARGE as usize).zip(entries).skip(1) {
            if !wanted(info, address) {
                *entry = PageTableEntry::new();
            }
        }
        // SAFETY: called once, and they are mapped to their own addresses.
        let mapper = unsafe { OffsetPageTable::new(root, VirtAddr::zero()) };
        let mut paging = Self {
            mapper,
            next: WINDOW,
        };
        for address in [0, physical::guard_page()] {
            let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
            if let Ok((_, flush)) = paging.mapper.unmap(page) {
                flush.flush();
            }
        }
        x86_64::instructions::tlb::flush_all();
        Ok(paging)
    }

    /// Maps device memory uncached; gives its address for the processor.
    pub(crate) fn map_device(&mut self, address: u64, length: u64) -> Result<*mut u8, Failure> {
        const FULL: Failure = Failure::Platform("too much device memory to map");
        let start = address & !(SMALL - 1);
        let end = address.checked_add(length).ok_or(FULL)?;
        let end = end.checked_next_multiple_of(SMALL).ok_or(FULL)?;
        PhysAddr::try_new(end).map_err(|_| FULL)?;
        // The same place inside a large page, so that large pages can be used.
        self.next = self.next.next_multiple_of(LARGE) + start % LARGE;
        let mapped = self.next + (address - start);
        let mut at = start;
        while at < end {
            let large = at.is_multiple_of(LARGE) && end - at >= LARGE;
            let step = if large {
                self.map_page::<Size2MiB>(at)
            } else {
                self.map_page::<Size4KiB>(at)
            };
            at += step.ok_or(FULL)?;
        }
        Ok(mapped as *mut u8)
    }

    /// Maps the page at `address` at the next place of the window; gives its size.
    fn map_page<S: PageSize>(&mut self, address: u64) -> Option<u64>
    where
        OffsetPageTable<'static>: Mapper<S>,
    {
        let page = Page::<S>::from_start_address(VirtAddr::new(self.next)).ok()?;
        let frame = PhysFrame::from_start_address(PhysAddr::new(address)).ok()?;
        let flags = PageTableFlags::PRESENT
            | PageTableFlags::WRITABLE
            | PageTableFlags::NO_CACHE
            | PageTableFlags::WRITE_THROUGH;
        // SAFETY: the window is nobody else's, and the callers name device memory, which no reference leads to.
        let flush = unsafe { self.mapper.map_to(page, frame, flags, &mut FromPool) };
        flush.ok()?.flush();
        self.next += S::SIZE;
        Some(S::SIZE)
    }
}

/// Whether something in the 2 MiB from `address` on is used by way of the identity mapping.
fn wanted(info: &BootInfo, address: u64) -> bool {
    let meets = |start: u64, end: u64| start < address + LARGE && address < end;
    let (start, end) = physical::image();
    meets(start, end)
        || info
            .memory
            .iter()
            .any(|range| meets(range.start, range.end))
        || info.occupied.iter().any(|(start, end)| meets(*start, *end))
}
