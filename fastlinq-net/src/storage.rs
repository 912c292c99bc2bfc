//! Memory for the bookkeeping of a queue pair, supplied by the caller.
//!
//! It is ordinary memory that the device cannot reach.

use core::sync::atomic::AtomicU32;

/// Bookkeeping for a queue pair of up to `BUFFERS` packet buffers, `RX` receive and `TX` transmit descriptors.
///
/// `RX` and `TX` are powers of two, at least as large as the rings of the configuration. Put it into a static, a box or the
/// stack of the function that works the queue; it takes 9 bytes per buffer and 4 per descriptor.
///
/// # Examples
///
/// ```
/// use fastlinq_net::QueueStorage;
///
/// static STORAGE: QueueStorage<1024, 512, 256> = QueueStorage::new();
/// assert_eq!(size_of_val(&STORAGE), 1024 * 9 + 512 * 4 + 256 * 4);
/// ```
#[derive(Debug)]
pub struct QueueStorage<const BUFFERS: usize, const RX: usize, const TX: usize> {
    free: [u32; BUFFERS],
    links: [AtomicU32; BUFFERS],
    posted: [u32; RX],
    sent: [u32; TX],
    state: [u8; BUFFERS],
}

impl<const BUFFERS: usize, const RX: usize, const TX: usize> QueueStorage<BUFFERS, RX, TX> {
    /// Empty bookkeeping. Does not compile unless `RX` and `TX` are powers of two.
    pub const fn new() -> Self {
        const { assert!(RX.is_power_of_two() && TX.is_power_of_two()) };
        Self {
            free: [0; BUFFERS],
            links: [const { AtomicU32::new(0) }; BUFFERS],
            posted: [0; RX],
            sent: [0; TX],
            state: [0; BUFFERS],
        }
    }
}

impl<const BUFFERS: usize, const RX: usize, const TX: usize> Default
    for QueueStorage<BUFFERS, RX, TX>
{
    fn default() -> Self {
        Self::new()
    }
}

/// Borrowed bookkeeping memory, from a [`QueueStorage`] or from slices of the caller's.
#[derive(Debug)]
pub struct Storage<'m> {
    pub(crate) free: &'m mut [u32],
    pub(crate) state: &'m mut [u8],
    pub(crate) links: &'m [AtomicU32],
    pub(crate) posted: &'m mut [u32],
    pub(crate) sent: &'m mut [u32],
}

impl<'m> Storage<'m> {
    /// Bookkeeping in slices whose lengths are known at run time only.
    ///
    /// `free`, `state` and `links` need an element per packet buffer; `posted` and `sent` need, for the receive and the
    /// transmit ring, a power of two of at least the ring's size. Content does not matter.
    pub fn from_slices(
        free: &'m mut [u32],
        state: &'m mut [u8],
        links: &'m [AtomicU32],
        posted: &'m mut [u32],
        sent: &'m mut [u32],
    ) -> Self {
        Self {
            free,
            state,
            links,
            posted,
            sent,
        }
    }

    /// Packet buffers that there is room for.
    pub fn buffers(&self) -> usize {
        self.free.len().min(self.state.len()).min(self.links.len())
    }
}

impl<'m, const BUFFERS: usize, const RX: usize, const TX: usize>
    From<&'m mut QueueStorage<BUFFERS, RX, TX>> for Storage<'m>
{
    fn from(storage: &'m mut QueueStorage<BUFFERS, RX, TX>) -> Self {
        Self {
            free: &mut storage.free,
            state: &mut storage.state,
            links: &storage.links,
            posted: &mut storage.posted,
            sent: &mut storage.sent,
        }
    }
}

/// A ring of numbers, reached by free-running indices.
#[derive(Debug)]
pub(crate) struct NumberRing<'m> {
    slots: &'m mut [u32],
    mask: usize,
}

impl<'m> NumberRing<'m> {
    /// Uses the largest power of two of the slots; `None` when that is below `size`.
    pub(crate) fn new(slots: &'m mut [u32], size: usize) -> Option<Self> {
        let usable = 1_usize << slots.len().checked_ilog2()?;
        let slots = slots.get_mut(..usable)?;
        (size <= usable).then_some(Self {
            slots,
            mask: usable - 1,
        })
    }

    #[inline]
    pub(crate) fn get(&self, index: u16) -> u32 {
        let slot = self.slots.get(usize::from(index) & self.mask);
        slot.copied().unwrap_or(u32::MAX)
    }

    #[inline]
    pub(crate) fn set(&mut self, index: u16, value: u32) {
        if let Some(slot) = self.slots.get_mut(usize::from(index) & self.mask) {
            *slot = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_ring_wraps_at_its_power_of_two() {
        let mut slots = [0; 13];
        assert!(NumberRing::new(&mut slots, 9).is_none());
        assert!(NumberRing::new(&mut [], 0).is_none());
        let mut ring = NumberRing::new(&mut slots, 8).unwrap();
        for index in 65_530..=65_535 {
            ring.set(index, u32::from(index));
        }
        ring.set(0, 100);
        assert_eq!(ring.get(65_535), 65_535);
        assert_eq!(ring.get(0), 100);
        assert_eq!(ring.get(8), 100);
    }
}
