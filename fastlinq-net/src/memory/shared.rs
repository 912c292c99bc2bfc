//! The bytes of all buffers, and the way back for handles.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use fastlinq_hal::dma::DmaRegion;

use super::NO_BUFFER;
use crate::storage::BufferLink;

/// What a handle on another core needs: the memory, and the way back.
///
/// # Invariants
///
/// `base` leads to `count * stride` bytes of a region that outlives this object, or is leaked.
#[repr(align(64))]
pub(crate) struct Shared<'m, R> {
    base: NonNull<u8>,
    bus: u64,
    stride: u32,
    count: u32,
    /// Links of buffers: the next segment while a frame is with the program, the next in the stack while coming back.
    links: &'m [BufferLink],
    returned: AtomicU32,
    region: PhantomData<R>,
}

// SAFETY: the pointer leads into the region alone, and goes where the region goes.
unsafe impl<R: DmaRegion + Send> Send for Shared<'_, R> {}
// SAFETY: bytes are reached through buffers that one party owns at a time; links and the stack are atomics.
unsafe impl<R: DmaRegion + Send + Sync> Sync for Shared<'_, R> {}

impl<'m, R: DmaRegion> Shared<'m, R> {
    /// The first `count` times `stride` bytes of a region; `None` when it is smaller.
    pub(super) fn new(
        region: &R,
        stride: u32,
        count: u32,
        links: &'m [BufferLink],
    ) -> Option<Self> {
        let needed = (stride as usize).checked_mul(count as usize)?;
        if region.len() < needed || links.len() < count as usize || stride == 0 {
            return None;
        }
        Some(Self {
            base: region.pointer(),
            bus: region.bus_address().value(),
            stride,
            count,
            links,
            returned: AtomicU32::new(NO_BUFFER),
            region: PhantomData,
        })
    }
}

impl<R> Shared<'_, R> {
    /// Bus address of the first byte of a buffer.
    #[inline]
    pub(crate) fn bus_address(&self, number: u32) -> u64 {
        self.bus + u64::from(number) * u64::from(self.stride)
    }

    #[inline]
    pub(crate) fn stride(&self) -> u32 {
        self.stride
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The buffer that follows `number` in its frame; [`NO_BUFFER`] for a number that is none.
    pub(crate) fn next(&self, number: u32) -> u32 {
        let link = self.links.get(number as usize);
        link.map_or(NO_BUFFER, |link| link.next.load(Ordering::Relaxed))
    }

    /// Bytes of a frame in a buffer that is not its first.
    pub(crate) fn length(&self, number: u32) -> u16 {
        let link = self.links.get(number as usize);
        link.map_or(0, |link| link.length.load(Ordering::Relaxed))
    }

    pub(super) fn set_next(&self, number: u32, next: u32) {
        if let Some(link) = self.links.get(number as usize) {
            link.next.store(next, Ordering::Relaxed);
        }
    }

    pub(super) fn set_length(&self, number: u32, length: u16) {
        if let Some(link) = self.links.get(number as usize) {
            link.length.store(length, Ordering::Relaxed);
        }
    }

    fn place(&self, number: u32) -> Option<NonNull<u8>> {
        let offset = number as usize * self.stride as usize;
        // SAFETY: the number is below the count; see the invariants.
        (number < self.count).then(|| unsafe { self.base.add(offset) })
    }

    /// The bytes of a buffer.
    ///
    /// # Safety
    ///
    /// For as long as the slice lives, neither the device nor anyone with a mutable slice has the buffer.
    pub(super) unsafe fn slice<'q>(&self, number: u32) -> Option<&'q [u8]> {
        let place = self.place(number)?;
        // SAFETY: in bounds by the invariants; the caller excludes writers.
        Some(unsafe { core::slice::from_raw_parts(place.as_ptr(), self.stride as usize) })
    }

    /// The bytes of a buffer for writing.
    ///
    /// # Safety
    ///
    /// For as long as the slice lives, nobody else has the buffer.
    pub(super) unsafe fn slice_mut<'q>(&self, number: u32) -> Option<&'q mut [u8]> {
        let place = self.place(number)?;
        // SAFETY: in bounds by the invariants; the caller excludes all others.
        Some(unsafe { core::slice::from_raw_parts_mut(place.as_ptr(), self.stride as usize) })
    }

    /// Puts a lent buffer onto the stack of those that came back.
    pub(super) fn give_back(&self, number: u32) {
        let mut head = self.returned.load(Ordering::Relaxed);
        loop {
            self.set_next(number, head);
            // The consumer takes the whole stack at once, so a head that came, went and came back does no harm.
            match self.returned.compare_exchange_weak(
                head,
                number,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes the whole stack of buffers that came back; gives its top.
    pub(super) fn take_returned(&self) -> u32 {
        self.returned.swap(NO_BUFFER, Ordering::Acquire)
    }
}
