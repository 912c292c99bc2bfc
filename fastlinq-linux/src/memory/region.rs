//! A piece of DMA memory.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;

use fastlinq_hal::host::DmaRegion;
use fastlinq_pac::BusAddress;

use super::pool::Chunk;

/// A piece of DMA memory that the device reaches through the IOMMU, or through the file's descriptor.
///
/// Dropping it gives it back to its chunk; a chunk without pieces is taken away from the device and unmapped. A region
/// that is leaked keeps its chunk mapped, for the CPU and for the device, as long as the process lives.
///
/// # Invariants
///
/// The `len` bytes at `offset` of the chunk belong to this region alone.
pub struct Region {
    chunk: Arc<Chunk>,
    offset: usize,
    len: usize,
}

impl Region {
    /// Takes `reserved` bytes of a chunk that the pool has set aside, and zeroes them.
    pub(super) fn new(chunk: Arc<Chunk>, offset: usize, len: usize) -> Self {
        assert!(
            offset
                .checked_add(len)
                .is_some_and(|end| end <= chunk.pages.len())
        );
        let region = Self { chunk, offset, len };
        // SAFETY: the bytes are inside the chunk, and the pool gives them to nobody else.
        unsafe { region.pointer().write_bytes(0, len) };
        region
    }

    /// Where the region lies in its chunk.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.offset, self.len)
    }

    pub(super) fn chunk(&self) -> &Arc<Chunk> {
        &self.chunk
    }
}

impl core::fmt::Debug for Region {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes at {:#x}", self.len, self.bus_address().value())
    }
}

// SAFETY: the chunk keeps the pages mapped at one place, for the CPU and for the device, as long as the region holds it;
// the pool has set these bytes aside for this region, aligned as asked for.
unsafe impl DmaRegion for Region {
    fn pointer(&self) -> NonNull<u8> {
        // SAFETY: `offset` is inside the chunk, checked when the region was made.
        unsafe { self.chunk.pages.pointer().add(self.offset) }
    }

    fn bus_address(&self) -> BusAddress {
        BusAddress(self.chunk.address + self.offset as u64)
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.chunk.release(self);
    }
}
