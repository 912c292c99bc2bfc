//! Who has each buffer.

use fastlinq_hal::dma::DmaRegion;

use super::{Fifo, Held, Lease, MORE, NO_BUFFER, Shared};
use crate::storage::Storage;

/// Free, or with the device.
pub(super) const AWAY: u8 = 0;
/// With the program.
pub(super) const OWNED: u8 = 1;
/// In a handle that returns it when dropped.
pub(super) const LENT: u8 = 2;
/// With the program until the frame that it is part of turns out to be right.
const CLAIMED: u8 = 3;
/// Part of an aggregation that the device has not ended.
const GATHERED: u8 = 4;

/// Who has which buffer; belongs to the thread that works the queue.
///
/// # Invariants
///
/// `state` has an element per buffer. Numbers in `free` (below `free_count`) and `posted` are below its length, and their
/// state is [`AWAY`]. The same holds for `sent` without [`MORE`], but for [`NO_BUFFER`]. No buffer is in two of them, or
/// twice in one.
pub(crate) struct Owner<'m> {
    pub(super) free: &'m mut [u32],
    pub(super) free_count: usize,
    pub(super) state: &'m mut [u8],
    pub(super) posted: Fifo<'m>,
    pub(super) sent: Fifo<'m>,
    /// Whether descriptors before `mixed_end` belong to frames of several.
    pub(super) mixed: bool,
    pub(super) mixed_end: u16,
}

/// Takes a region into use as `count` buffers of `stride` bytes; `None` when it is too small or the storage is.
pub(crate) fn take_into_use<'m, R: DmaRegion>(
    region: R,
    stride: u32,
    count: u32,
    storage: Storage<'m>,
    (posted, sent): (Fifo<'m>, Fifo<'m>),
) -> Option<(Held<R>, Shared<'m, R>, Owner<'m>)> {
    if count >= NO_BUFFER {
        return None;
    }
    let length = count as usize;
    let free = storage.free.get_mut(..length)?;
    let state = storage.state.get_mut(..length)?;
    let links = storage.links.get(..length)?;
    let shared = Shared::new(&region, stride, count, links)?;
    let mut owner = Owner {
        free,
        free_count: 0,
        state,
        posted,
        sent,
        mixed: false,
        mixed_end: 0,
    };
    owner.free_all(&shared);
    Some((Held::new(region), shared, owner))
}

impl Owner<'_> {
    /// Frees all buffers, whoever has them. The device must have let go of them; handles cannot be alive, because they
    /// borrow what `shared` is part of, and records that the program has become strangers.
    pub(crate) fn free_all<R>(&mut self, shared: &Shared<'_, R>) {
        shared.take_returned();
        self.posted.clear();
        self.sent.clear();
        self.mixed = false;
        for (entry, number) in self.free.iter_mut().zip((0..shared.count()).rev()) {
            *entry = number;
        }
        self.free_count = self.free.len();
        self.state.fill(AWAY);
    }

    /// Buffers that are free.
    #[inline]
    pub(crate) fn free(&self) -> usize {
        self.free_count
    }

    /// Buffers that the device has to receive into.
    #[inline]
    pub(crate) fn receiving(&self) -> u16 {
        self.posted.len()
    }

    /// Free-running count of buffers that came back from the device.
    #[inline]
    pub(crate) fn returned(&self) -> u16 {
        self.posted.head()
    }

    /// Descriptors on their way to be sent.
    #[inline]
    pub(crate) fn in_flight(&self) -> u16 {
        self.sent.len()
    }

    /// Index of the oldest descriptor on its way, and of the next one.
    #[inline]
    pub(crate) fn transmit_indices(&self) -> (u16, u16) {
        (self.sent.head(), self.sent.tail())
    }

    /// Whether a frame ends before descriptor `index`.
    #[inline]
    pub(crate) fn ends_before(&self, index: u16) -> bool {
        self.sent.get(index.wrapping_sub(1)) & MORE == 0
    }

    /// Buffers on their way to be sent.
    pub(crate) fn transmitting(&self) -> usize {
        let numbers =
            (0..self.in_flight()).map(|n| self.sent.get(self.sent.head().wrapping_add(n)));
        numbers.filter(|number| number & !MORE != NO_BUFFER).count()
    }

    /// Gives the program a free buffer.
    pub(crate) fn take_free(&mut self) -> Option<u32> {
        let last = self.free_count.checked_sub(1)?;
        let number = *self.free.get(last)?;
        self.free_count = last;
        self.change(number, AWAY, OWNED).then_some(number)
    }

    /// Puts a buffer onto the free stack. The caller has made its state [`AWAY`], and nobody else has it.
    #[inline]
    fn push(&mut self, number: u32) {
        if let Some(entry) = self.free.get_mut(self.free_count) {
            *entry = number;
            self.free_count += 1;
        }
    }

    #[inline]
    fn change(&mut self, number: u32, from: u8, to: u8) -> bool {
        match self.state.get_mut(number as usize) {
            Some(state) if *state == from => {
                *state = to;
                true
            }
            _ => false,
        }
    }

    fn is(&self, number: u32, state: u8) -> bool {
        self.state.get(number as usize) == Some(&state)
    }

    /// Frees a buffer of the program's; `false` when it does not own it.
    #[inline]
    pub(crate) fn release_one(&mut self, number: u32) -> bool {
        let owned = self.change(number, OWNED, AWAY);
        if owned {
            self.push(number);
        }
        owned
    }

    /// Frees the next `count` buffers that came back from the device with nothing in them.
    pub(crate) fn recycle(&mut self, count: u8) {
        for _ in 0..count {
            if let Some(number) = self.posted.pop() {
                self.push(number);
            }
        }
    }

    /// Takes the next buffer that came back from the device; the program owns it now.
    pub(crate) fn take_received(&mut self) -> Option<u32> {
        let number = self.posted.pop()?;
        self.change(number, AWAY, OWNED).then_some(number)
    }

    /// Takes the next buffer that came back from the device, for an aggregation that goes on.
    pub(crate) fn take_gathered(&mut self) -> Option<u32> {
        let number = self.posted.pop()?;
        self.change(number, AWAY, GATHERED).then_some(number)
    }

    /// Gives all buffers of an aggregation that ended to the program, or frees them when it is not to have them.
    pub(crate) fn end_aggregation<R>(
        &mut self,
        shared: &Shared<'_, R>,
        first: u32,
        buffers: u16,
        keep: bool,
    ) {
        let mut number = first;
        for _ in 0..buffers {
            let next = shared.next(number);
            if keep {
                self.change(number, GATHERED, OWNED);
            } else if self.change(number, GATHERED, AWAY) {
                self.push(number);
            }
            number = next;
        }
    }

    /// Notes that `next`, with `length` bytes, follows `number` in a frame; both must be the program's, or gathered.
    pub(crate) fn link<R>(&mut self, shared: &Shared<'_, R>, number: u32, next: u32, length: u16) {
        for state in [OWNED, GATHERED] {
            if self.is(number, state) && self.is(next, state) {
                shared.set_next(number, next);
                shared.set_length(next, length);
            }
        }
    }

    /// Claims a buffer of the program's for a frame, once or again; `false` when it does not own it.
    pub(crate) fn claim(&mut self, number: u32) -> bool {
        self.change(number, OWNED, CLAIMED) || self.is(number, CLAIMED)
    }

    /// Gives a claimed buffer back to the program.
    pub(crate) fn unclaim(&mut self, number: u32) {
        self.change(number, CLAIMED, OWNED);
    }

    /// Notes a descriptor of a frame in several that is on its way: the first for a claimed buffer frees it.
    pub(crate) fn note_sent(&mut self, number: u32, last: bool) {
        let frees = self.change(number, CLAIMED, AWAY);
        let note = if frees { number } else { NO_BUFFER };
        self.sent.push(if last { note } else { note | MORE });
        self.mixed = true;
        self.mixed_end = self.sent.tail();
    }

    /// Buffers of the program's, lent ones, and those of aggregations that go on.
    pub(crate) fn count_states(&self) -> (usize, usize, usize) {
        let count = |wanted| self.state.iter().filter(|state| **state == wanted).count();
        (count(OWNED), count(LENT), count(GATHERED))
    }

    /// The bytes of a buffer that the program owns.
    pub(crate) fn bytes<'q, R>(
        &'q self,
        shared: &'q Shared<'_, R>,
        number: u32,
    ) -> Option<&'q [u8]> {
        if !self.is(number, OWNED) && !self.is(number, CLAIMED) {
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
        if !self.is(number, OWNED) && !self.is(number, CLAIMED) {
            return None;
        }
        // SAFETY: as in `bytes`, and `&mut self` excludes all other slices.
        unsafe { shared.slice_mut(number) }
    }

    /// Puts what handles gave back onto the free stack.
    pub(crate) fn collect<R>(&mut self, shared: &Shared<'_, R>) {
        let mut number = shared.take_returned();
        for _ in 0..shared.count() {
            let next = shared.next(number);
            if !self.change(number, LENT, AWAY) {
                return;
            }
            self.push(number);
            number = next;
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
        lent.then(|| Lease::new(shared, first, segments))
    }

    /// Takes leased buffers back into the program's hands; gives the lease back when it is of another queue.
    pub(crate) fn reclaim<'q, R>(
        &mut self,
        shared: &Shared<'_, R>,
        lease: Lease<'q, R>,
    ) -> Result<(), Lease<'q, R>> {
        let (first, segments) = lease.frame();
        if !lease.is_of(shared) || !self.change_all(shared, first, segments, LENT, OWNED) {
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
            if !self.change(number, from, to) {
                // A frame that runs into itself or into a stranger: undo, which sees the same links again.
                let mut number = first;
                for _ in 0..done {
                    self.change(number, to, from);
                    number = shared.next(number);
                }
                return false;
            }
            number = shared.next(number);
        }
        segments > 0
    }
}
