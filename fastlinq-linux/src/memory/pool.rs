//! The pool: chunks of pages that the device may reach, and pieces of them.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use fastlinq_hal::host::{AllocationError, DmaRegion};
use log::{debug, warn};

use super::pages::Pages;
use super::ranges::{Ranges, align_up};
use super::region::Region;
use super::{MemoryReport, PageSize};

/// Pieces begin at multiples of this, so that no two share a cache line.
const GRAIN: u64 = 64;

/// Why memory could not be given to the device, in the words of whoever translates its addresses.
pub(crate) type MapError = Box<dyn std::error::Error + Send + Sync>;

/// Pages as whoever translates addresses needs to see them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    pub(crate) pointer: *mut u8,
    pub(crate) len: usize,
    pub(crate) file: BorrowedFd<'a>,
}

/// Leads bus addresses of the device to memory: an IOMMU, or a server of vfio-user.
pub(crate) trait Translation: Send + Sync + 'static {
    /// Makes the device reach the pages at a bus address.
    fn map(&self, window: Window<'_>, address: u64) -> Result<(), MapError>;
    /// Ends that. When it returns `Ok` the device cannot reach the pages any more.
    fn unmap(&self, address: u64, len: u64) -> Result<(), MapError>;
    /// Whether pages may be unmapped from this process although [`unmap`](Self::unmap) failed.
    fn may_free_after_failed_unmap(&self) -> bool;
}

/// Pages that the device reaches at a bus address.
pub(crate) struct Chunk {
    pub(super) pages: Pages,
    pub(super) address: u64,
    free: Mutex<Ranges>,
    pool: Arc<Shared>,
    size: PageSize,
}

struct State {
    addresses: Ranges,
    /// Chunks that have pieces in use.
    chunks: Vec<Weak<Chunk>>,
    largest: PageSize,
    warned: bool,
    report: MemoryReport,
    last_error: Option<String>,
}

struct Shared {
    translation: Box<dyn Translation>,
    state: Mutex<State>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands out pieces of chunks; clones are handles to the same pool.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        locked(&self.0.state).report.fmt(f)
    }
}

impl Pool {
    /// A pool that uses bus addresses inside `ranges` (first and last), and pages of at most `largest` bytes.
    pub(crate) fn new(
        translation: impl Translation,
        ranges: impl IntoIterator<Item = (u64, u64)>,
        largest: PageSize,
    ) -> Self {
        // Address 0 is valid for an IOMMU, and for nothing else.
        let ranges = ranges
            .into_iter()
            .map(|(first, last)| (first.max(0x1000), last));
        Self(Arc::new(Shared {
            translation: Box::new(translation),
            state: Mutex::new(State {
                addresses: Ranges::new(ranges),
                chunks: Vec::new(),
                largest,
                warned: false,
                report: MemoryReport::default(),
                last_error: None,
            }),
        }))
    }

    pub(crate) fn report(&self) -> MemoryReport {
        locked(&self.0.state).report
    }

    /// Why the last allocation that failed did so.
    pub(crate) fn last_error(&self) -> Option<String> {
        locked(&self.0.state).last_error.clone()
    }

    pub(crate) fn allocate(&self, size: usize, align: usize) -> Result<Region, AllocationError> {
        let refused = AllocationError { size, align };
        let bytes =
            align_up(size as u64, GRAIN).filter(|bytes| *bytes > 0 && align.is_power_of_two());
        let bytes = bytes.ok_or(refused)?;
        let align_bytes = (align as u64).max(GRAIN);
        // Declared before the lock is taken, so dropped after it: the last holder of a chunk takes the lock.
        let mut looked_at = Vec::new();
        let mut state = locked(&self.0.state);
        state.chunks.retain(|chunk| chunk.strong_count() > 0);
        let mut old = None;
        for chunk in state.chunks.iter().filter_map(Weak::upgrade) {
            // Chunks are aligned to their page size only, both as the CPU and as the device sees them.
            if align <= chunk.size.chunk_bytes() {
                let taken = locked(&chunk.free).take(bytes, align_bytes);
                if let Some(at) = taken {
                    old = Some((chunk, at));
                    break;
                }
            }
            looked_at.push(chunk);
        }
        let (chunk, at) = match old {
            Some(found) => found,
            None => {
                let chunk = self.grow(&mut state, bytes, align_bytes).map_err(|error| {
                    warn!("no DMA memory: {error}");
                    state.last_error = Some(error.to_string());
                    refused
                })?;
                let at = locked(&chunk.free)
                    .take(bytes, align_bytes)
                    .ok_or(refused)?;
                state.chunks.push(Arc::downgrade(&chunk));
                (chunk, at)
            }
        };
        state.report.regions += 1;
        state.report.bytes += size;
        drop(state);
        Ok(Region::new(chunk, at as usize, size))
    }

    /// A new chunk, of the largest pages that there are.
    fn grow(&self, state: &mut State, bytes: u64, align: u64) -> Result<Arc<Chunk>, MapError> {
        let sizes = [PageSize::Gib1, PageSize::Mib2, PageSize::Kib4];
        let mut refusal: Option<MapError> = None;
        for size in sizes.into_iter().filter(|size| *size <= state.largest) {
            let unit = size.chunk_bytes() as u64;
            let page = size.bytes() as u64;
            let len = align_up(bytes, page).ok_or("too large")?.max(unit);
            match Pages::new(len as usize, align.max(unit) as usize, size) {
                Ok(pages) => {
                    if size < state.largest && !state.warned {
                        state.warned = true;
                        warn!(
                            "no huge pages of {} left, DMA memory is made of {} pages (see /proc/sys/vm/nr_hugepages)",
                            state.largest, size
                        );
                    }
                    return self.publish(state, pages, align.max(unit), size);
                }
                Err(errno) => {
                    debug!("{len} bytes of {size} pages: {errno}");
                    refusal = Some(format!("{len} bytes of {size} pages: {errno}").into());
                }
            }
        }
        Err(refusal.unwrap_or_else(|| "no page size".into()))
    }

    fn publish(
        &self,
        state: &mut State,
        pages: Pages,
        align: u64,
        size: PageSize,
    ) -> Result<Arc<Chunk>, MapError> {
        let len = pages.len() as u64;
        let address = state
            .addresses
            .take(len, align)
            .ok_or("no bus addresses left that the IOMMU translates")?;
        let window = Window {
            pointer: pages.pointer().as_ptr(),
            len: pages.len(),
            file: pages.file(),
        };
        if let Err(error) = self.0.translation.map(window, address) {
            state.addresses.give_back(address, len);
            return Err(error);
        }
        debug!("{len} bytes of {size} pages for the device at {address:#x}");
        state.report.chunks += 1;
        state.report.mapped_bytes += pages.len();
        state.report.page_size = Some(size);
        Ok(Arc::new(Chunk {
            free: Mutex::new(Ranges::new([(0, len - 1)])),
            pages,
            address,
            pool: Arc::clone(&self.0),
            size,
        }))
    }
}

impl Chunk {
    /// Takes a piece back.
    pub(super) fn release(&self, region: &Region) {
        let (at, len) = region.place();
        let bytes = align_up(len as u64, GRAIN).unwrap_or(GRAIN);
        locked(&self.free).give_back(at as u64, bytes);
        debug_assert!(std::ptr::eq(region.chunk().as_ref(), self));
        let mut state = locked(&self.pool.state);
        state.report.regions = state.report.regions.saturating_sub(1);
        state.report.bytes = state.report.bytes.saturating_sub(region.len());
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let len = self.pages.len();
        let unmapped = self.pool.translation.unmap(self.address, len as u64);
        let mut state = locked(&self.pool.state);
        state.report.chunks = state.report.chunks.saturating_sub(1);
        state.report.mapped_bytes = state.report.mapped_bytes.saturating_sub(len);
        match unmapped {
            Ok(()) => state.addresses.give_back(self.address, len as u64),
            Err(error) => {
                warn!(
                    "{len} bytes at {:#x} stay with the device: {error}",
                    self.address
                );
                if !self.pool.translation.may_free_after_failed_unmap() {
                    state.report.lost_bytes += len;
                    self.pages.keep();
                }
            }
        }
    }
}
