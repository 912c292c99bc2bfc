//! Packet buffers: one region, equal buffers, and a note of who has each of them.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use fastlinq_hal::dma::DmaRegion;
use fastlinq_pac::BusAddress;

use super::{Held, NO_BUFFER};
use crate::storage::Storage;

/// Free, or with the device.
const AWAY: u8 = 0;
/// With the program.
const OWNED: u8 = 1;
/// In a handle that returns it when dropped.
const LENT: u8 = 2;

/// Bytes of `number` buffers of `stride` bytes.
#[derive(Debug)]
pub(crate) struct BufferMemory<R: DmaRegion> {
    region: Held<R>,
}

impl<R: DmaRegion> BufferMemory<R> {
    pub(crate) fn held(&self) -> &Held<R> {
        &self.region
    }

    pub(crate) fn held_mut(&mut self) -> &mut Held<R> {
        &mut self.region
    }
}

/// What a handle on another core needs: the memory, and the way back.
///
/// # Invariants
///
/// `base` leads to `count * stride` bytes of a region that outlives this object, or is leaked.
pub(crate) struct Shared<'m, R> {
    base: NonNull<u8>,
    bus: BusAddress,
    stride: u32,
    count: u32,
    /// Links of buffers: the next segment while a frame is with the program, the next in the stack while coming back.
    links: &'m [AtomicU32],
    returned: AtomicU32,
    region: PhantomData<R>,
}

// SAFETY: the pointer leads into the region alone, and goes where the region goes.
unsafe impl<R: DmaRegion + Send> Send for Shared<'_, R> {}
// SAFETY: bytes are reached through buffers that one party owns at a time; links and the stack are atomics.
unsafe impl<R: DmaRegion + Send + Sync> Sync for Shared<'_, R> {}

/// Who has which buffer; belongs to the thread that works the queue.
pub(crate) struct Owner<'m> {
    free: &'m mut [u32],
    free_count: usize,
    state: &'m mut [u8],
}

/// Takes a region into use as `count` buffers of `stride` bytes; `None` when it is too small or the storage is.
pub(crate) fn take_into_use<'m, R: DmaRegion>(
    region: R,
    stride: u32,
    count: u32,
    storage: &mut Storage<'m>,
) -> Option<(BufferMemory<R>, Shared<'m, R>, Owner<'m>)> {
    let needed = (stride as usize).checked_mul(count as usize)?;
    if region.len() < needed || count >= NO_BUFFER || stride == 0 {
        return None;
    }
    let count_usize = count as usize;
    let free = core::mem::take(&mut storage.free).get_mut(..count_usize)?;
    let state = core::mem::take(&mut storage.state).get_mut(..count_usize)?;
    let links = core::mem::take(&mut storage.links).get(..count_usize)?;
    for (entry, number) in free.iter_mut().zip((0..count).rev()) {
        *entry = number;
    }
    state.fill(AWAY);
    let shared = Shared {
        base: region.pointer(),
        bus: region.bus_address(),
        stride,
        count,
        links,
        returned: AtomicU32::new(NO_BUFFER),
        region: PhantomData,
    };
    let owner = Owner {
        free,
        free_count: count_usize,
        state,
    };
    let memory = BufferMemory {
        region: Held::new(region),
    };
    Some((memory, shared, owner))
}

impl<R> Shared<'_, R> {
    /// Bus address of the first byte of a buffer.
    #[inline]
    pub(crate) fn bus_address(&self, number: u32) -> u64 {
        self.bus.value() + u64::from(number) * u64::from(self.stride)
    }

    /// The buffer that a bus address is in, and where in it.
    pub(crate) fn locate(&self, address: u64) -> Option<(u32, usize)> {
        let offset = address.checked_sub(self.bus.value())?;
        let stride = u64::from(self.stride);
        let number = u32::try_from(offset.checked_div(stride)?).ok()?;
        let inside = usize::try_from(offset.checked_rem(stride)?).ok()?;
        (number < self.count).then_some((number, inside))
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
        link.map_or(NO_BUFFER, |link| link.load(Ordering::Relaxed))
    }

    fn set_next(&self, number: u32, next: u32) {
        if let Some(link) = self.links.get(number as usize) {
            link.store(next, Ordering::Relaxed);
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
    unsafe fn slice<'q>(&self, number: u32) -> Option<&'q [u8]> {
        let place = self.place(number)?;
        // SAFETY: in bounds by the invariants; the caller excludes writers.
        Some(unsafe { core::slice::from_raw_parts(place.as_ptr(), self.stride as usize) })
    }

    /// The bytes of a buffer for writing.
    ///
    /// # Safety
    ///
    /// For as long as the slice lives, nobody else has the buffer.
    unsafe fn slice_mut<'q>(&self, number: u32) -> Option<&'q mut [u8]> {
        let place = self.place(number)?;
        // SAFETY: in bounds by the invariants; the caller excludes all others.
        Some(unsafe { core::slice::from_raw_parts_mut(place.as_ptr(), self.stride as usize) })
    }

    fn give_back(&self, number: u32) {
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
}

impl Owner<'_> {
    /// Buffers that are free.
    #[inline]
    pub(crate) fn free(&self) -> usize {
        self.free_count
    }

    /// Takes a free buffer for the device.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let last = self.free_count.checked_sub(1)?;
        let number = *self.free.get(last)?;
        self.free_count = last;
        Some(number)
    }

    /// Takes up to `wanted` free buffers for the device.
    #[inline]
    pub(crate) fn pop_many(&mut self, wanted: usize) -> &[u32] {
        let rest = self.free_count - wanted.min(self.free_count);
        let numbers = self.free.get(rest..self.free_count);
        self.free_count = rest;
        numbers.unwrap_or(&[])
    }

    /// Puts a buffer that came back from the device onto the free stack.
    #[inline]
    pub(crate) fn push(&mut self, number: u32) {
        if let Some(entry) = self.free.get_mut(self.free_count) {
            *entry = number;
            self.free_count += 1;
        }
    }

    /// Hands a buffer that came back from the device to the program; `false` when it never was with the device.
    #[inline]
    pub(crate) fn receive(&mut self, number: u32) -> bool {
        match self.state.get_mut(number as usize) {
            Some(state) if *state == AWAY => {
                *state = OWNED;
                true
            }
            _ => false,
        }
    }

    /// Takes a buffer from the program, for the device or the free stack; `false` when the program does not own it.
    #[inline]
    pub(crate) fn claim(&mut self, number: u32) -> bool {
        match self.state.get_mut(number as usize) {
            Some(state) if *state == OWNED => {
                *state = AWAY;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn owns(&self, number: u32) -> bool {
        self.state.get(number as usize) == Some(&OWNED)
    }

    pub(crate) fn count_owned(&self) -> usize {
        self.state.iter().filter(|state| **state == OWNED).count()
    }

    pub(crate) fn count_lent(&self) -> usize {
        self.state.iter().filter(|state| **state == LENT).count()
    }

    /// The bytes of a buffer that the program owns.
    pub(crate) fn bytes<'q, R>(
        &'q self,
        shared: &'q Shared<'_, R>,
        number: u32,
    ) -> Option<&'q [u8]> {
        if !self.owns(number) {
            return None;
        }
        // SAFETY: the program owns the buffer, so the device does not have it; changing that, and any mutable slice,
        // needs `&mut self`.
        unsafe { shared.slice(number) }
    }

    /// The bytes of a buffer that the program owns, for writing.
    pub(crate) fn bytes_mut<'q, R>(
        &'q mut self,
        shared: &'q Shared<'_, R>,
        number: u32,
    ) -> Option<&'q mut [u8]> {
        if !self.owns(number) {
            return None;
        }
        // SAFETY: as in `bytes`, and `&mut self` excludes all other slices.
        unsafe { shared.slice_mut(number) }
    }

    /// Puts what handles gave back onto the free stack.
    pub(crate) fn collect<R>(&mut self, shared: &Shared<'_, R>) {
        let mut number = shared.returned.swap(NO_BUFFER, Ordering::Acquire);
        for _ in 0..shared.count {
            let next = shared.next(number);
            match self.state.get_mut(number as usize) {
                Some(state) if *state == LENT => *state = AWAY,
                _ => return,
            }
            self.push(number);
            number = next;
        }
    }

    /// Notes that `next` follows `number` in a frame; both must be the program's.
    pub(crate) fn link<R>(&mut self, shared: &Shared<'_, R>, number: u32, next: u32) {
        if self.owns(number) && self.owns(next) {
            shared.set_next(number, next);
        }
    }

    /// Lends the buffers of a frame, until the lease is dropped; `None` when the program does not own all of them.
    pub(crate) fn lend<'q, R>(
        &mut self,
        shared: &'q Shared<'_, R>,
        first: u32,
        segments: u8,
    ) -> Option<Lease<'q, R>> {
        // Not built before it is known to be right: dropping a lease returns its buffers.
        let lent = self.change_all(shared, first, segments, OWNED, LENT);
        lent.then(|| Lease {
            shared,
            first,
            segments,
        })
    }

    /// Takes leased buffers back into the program's hands; gives the lease back when it is of another queue.
    pub(crate) fn reclaim<'q, R>(
        &mut self,
        shared: &Shared<'_, R>,
        lease: Lease<'q, R>,
    ) -> Result<(), Lease<'q, R>> {
        let same = core::ptr::addr_eq(lease.shared, shared);
        if !same || !self.change_all(shared, lease.first, lease.segments, LENT, OWNED) {
            return Err(lease);
        }
        core::mem::forget(lease);
        Ok(())
    }

    /// Takes all buffers of a frame from the program, for the free stack; `false` when it does not own all of them.
    pub(crate) fn release<R>(&mut self, shared: &Shared<'_, R>, first: u32, segments: u8) -> bool {
        if !self.change_all(shared, first, segments, OWNED, AWAY) {
            return false;
        }
        let mut number = first;
        for _ in 0..segments {
            self.push(number);
            number = shared.next(number);
        }
        true
    }

    /// Moves all buffers of a frame from one state to another, or none of them.
    fn change_all<R>(
        &mut self,
        shared: &Shared<'_, R>,
        first: u32,
        segments: u8,
        from: u8,
        to: u8,
    ) -> bool {
        let mut number = first;
        for done in 0..segments {
            match self.state.get_mut(number as usize) {
                Some(state) if *state == from => *state = to,
                _ => {
                    // A frame that runs into itself or into a stranger: undo, which sees the same links again.
                    let mut number = first;
                    for _ in 0..done {
                        if let Some(state) = self.state.get_mut(number as usize) {
                            *state = from;
                        }
                        number = shared.next(number);
                    }
                    return false;
                }
            }
            number = shared.next(number);
        }
        segments > 0
    }
}

/// The buffers of a frame on loan; dropping the lease gives them back, on any core.
pub(crate) struct Lease<'q, R> {
    shared: &'q Shared<'q, R>,
    first: u32,
    segments: u8,
}

impl<R> Lease<'_, R> {
    fn number(&self, segment: u8) -> Option<u32> {
        let mut number = self.first;
        for _ in 0..segment {
            number = self.shared.next(number);
        }
        (segment < self.segments).then_some(number)
    }

    /// All bytes of the buffer of a segment.
    pub(crate) fn bytes(&self, segment: u8) -> Option<&[u8]> {
        let number = self.number(segment)?;
        // SAFETY: the buffers of the lease are nobody else's, and their links do not change while they are lent; mutable
        // slices need `&mut self`.
        unsafe { self.shared.slice(number) }
    }

    /// All bytes of the buffer of a segment, for writing.
    pub(crate) fn bytes_mut(&mut self, segment: u8) -> Option<&mut [u8]> {
        let number = self.number(segment)?;
        // SAFETY: as in `bytes`, and `&mut self` excludes all other slices.
        unsafe { self.shared.slice_mut(number) }
    }
}

impl<R> Drop for Lease<'_, R> {
    fn drop(&mut self) {
        let mut number = self.first;
        for _ in 0..self.segments {
            let next = self.shared.next(number);
            self.shared.give_back(number);
            number = next;
        }
    }
}
