//! Buffer numbers in the order in which the device has them.

/// A ring of numbers with free-running ends.
///
/// # Invariants
///
/// `slots` has a power of two of elements, at least one; `tail - head` is at most that.
#[derive(Debug)]
pub(crate) struct Fifo<'m> {
    slots: &'m mut [u32],
    head: u16,
    tail: u16,
}

impl<'m> Fifo<'m> {
    /// Uses the largest power of two of the slots; `None` when that is below `size`.
    pub(crate) fn new(slots: &'m mut [u32], size: usize) -> Option<Self> {
        let usable = 1_usize << slots.len().checked_ilog2()?;
        let slots = slots.get_mut(..usable)?;
        (size <= usable).then_some(Self {
            slots,
            head: 0,
            tail: 0,
        })
    }

    /// Empties it, and counts from 0 again.
    pub(crate) fn clear(&mut self) {
        (self.head, self.tail) = (0, 0);
    }

    /// Free-running count of what was taken out.
    #[inline]
    pub(crate) fn head(&self) -> u16 {
        self.head
    }

    /// Free-running count of what was put in.
    #[inline]
    pub(crate) fn tail(&self) -> u16 {
        self.tail
    }

    /// Numbers inside.
    #[inline]
    pub(crate) fn len(&self) -> u16 {
        self.tail.wrapping_sub(self.head)
    }

    #[inline]
    fn slot(&self, index: u16) -> usize {
        usize::from(index) & (self.slots.len() - 1)
    }

    /// The number at a free-running index.
    #[inline]
    pub(crate) fn get(&self, index: u16) -> u32 {
        let slot = self.slots.get(self.slot(index));
        slot.copied().unwrap_or(u32::MAX)
    }

    /// Numbers from the head on that lie one behind the other: where, and how many.
    #[inline]
    pub(super) fn front(&self) -> (*const u32, usize) {
        let start = self.slot(self.head);
        let in_one_piece = self.slots.len() - start;
        // SAFETY: `start` is below the number of slots; see the invariants.
        let first = unsafe { self.slots.as_ptr().add(start) };
        (first, in_one_piece.min(usize::from(self.len())))
    }

    /// As [`front`](Self::front), as a slice.
    #[inline]
    pub(crate) fn front_slice(&self) -> &[u32] {
        let start = self.slot(self.head);
        let end = self.slots.len().min(start + usize::from(self.len()));
        self.slots.get(start..end).unwrap_or(&[])
    }

    /// Takes `count` numbers out, at most all.
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        debug_assert!(count <= usize::from(self.len()));
        self.head = self.head.wrapping_add(count as u16);
    }

    /// Room behind the tail that lies one behind the other, at most `room`: where, and how much.
    ///
    /// `room` is what the caller's ring has; it is never larger than the slots, so it is not counted again.
    #[inline]
    pub(super) fn back(&mut self, room: u16) -> (*mut u32, usize) {
        debug_assert!(usize::from(room) + usize::from(self.len()) <= self.slots.len());
        let start = self.slot(self.tail);
        let in_one_piece = self.slots.len() - start;
        // SAFETY: `start` is below the number of slots; see the invariants.
        let first = unsafe { self.slots.as_mut_ptr().add(start) };
        (first, in_one_piece.min(usize::from(room)))
    }

    /// Room behind the tail that lies one behind the other.
    #[inline]
    pub(crate) fn back_slice(&mut self) -> &mut [u32] {
        let start = self.slot(self.tail);
        let room = self.slots.len() - usize::from(self.len());
        let end = self.slots.len().min(start + room);
        self.slots.get_mut(start..end).unwrap_or(&mut [])
    }

    /// Makes the first `count` numbers of [`back_slice`](Self::back_slice) count.
    #[inline]
    pub(crate) fn extend(&mut self, count: usize) {
        debug_assert!(usize::from(self.len()) + count <= self.slots.len());
        self.tail = self.tail.wrapping_add(count as u16);
    }

    /// Puts a number in; `false` when there is no room.
    pub(crate) fn push(&mut self, number: u32) -> bool {
        match self.back_slice().first_mut() {
            Some(slot) => {
                *slot = number;
                self.extend(1);
                true
            }
            None => false,
        }
    }

    /// Takes a number out.
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let number = *self.front_slice().first()?;
        self.advance(1);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_fifo_wraps_at_its_power_of_two_and_holds_no_more() {
        let mut slots = [0; 13];
        assert!(Fifo::new(&mut slots, 9).is_none());
        assert!(Fifo::new(&mut [], 0).is_none());
        let mut fifo = Fifo::new(&mut slots, 8).unwrap();
        let mut expected = 0;
        let mut number = 0;
        for round in 0..70_000_u32 {
            while fifo.push(number) {
                number += 1;
            }
            assert_eq!(fifo.len(), 8);
            for _ in 0..=round % 8 {
                assert_eq!(fifo.get(fifo.head()), expected);
                assert_eq!(fifo.pop(), Some(expected));
                expected += 1;
            }
        }
        let rest: Vec<_> = core::iter::from_fn(|| fifo.pop()).collect();
        assert_eq!(rest.len() as u32, number - expected);
        assert!(fifo.front_slice().is_empty());
        assert_eq!(fifo.front().1, 0);
    }

    #[test]
    fn runs_end_where_the_memory_does() {
        let mut slots = [0; 8];
        let mut fifo = Fifo::new(&mut slots, 8).unwrap();
        (0..6).for_each(|n| assert!(fifo.push(n)));
        fifo.advance(5);
        assert_eq!(fifo.front_slice(), [5]);
        assert_eq!(fifo.back_slice().len(), 2);
        fifo.extend(2);
        assert_eq!(fifo.back_slice().len(), 5);
        assert_eq!(fifo.front_slice().len(), 3);
    }
}
