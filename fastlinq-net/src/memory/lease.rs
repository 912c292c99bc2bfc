//! Buffers on loan.

use super::Shared;

/// The buffers of a frame on loan; dropping the lease gives them back, on any core.
pub(crate) struct Lease<'q, R> {
    shared: &'q Shared<'q, R>,
    first: u32,
    segments: u8,
}

impl<'q, R> Lease<'q, R> {
    /// A lease of buffers that the owner has noted as lent.
    pub(super) fn new(shared: &'q Shared<'q, R>, first: u32, segments: u8) -> Self {
        Self {
            shared,
            first,
            segments,
        }
    }

    /// First buffer and number of buffers.
    pub(super) fn frame(&self) -> (u32, u8) {
        (self.first, self.segments)
    }

    /// Whether the buffers are of this queue pair.
    pub(super) fn is_of(&self, shared: &Shared<'_, R>) -> bool {
        core::ptr::addr_eq(self.shared, shared)
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        let mut number = self.first;
        (0..self.segments).map(move |_| {
            let this = number;
            number = self.shared.next(this);
            this
        })
    }

    /// All bytes of each buffer, with the bytes of the frame in it if it is not the first.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = (&[u8], u16)> {
        self.numbers().filter_map(|number| {
            // SAFETY: the buffers of the lease are nobody else's, and their links do not change while they are lent;
            // mutable slices need `&mut self`.
            let bytes = unsafe { self.shared.slice(number) }?;
            Some((bytes, self.shared.length(number)))
        })
    }

    /// All bytes of the first buffer, for writing.
    pub(crate) fn first_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: as in `buffers`, and `&mut self` excludes all other slices.
        unsafe { self.shared.slice_mut(self.first) }
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
