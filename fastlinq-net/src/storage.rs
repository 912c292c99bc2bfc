//! Memory for the bookkeeping of a queue pair, supplied by the caller.
//!
//! It is ordinary memory that the device cannot reach.

use core::sync::atomic::{AtomicU16, AtomicU32};

/// Notes about a packet buffer that other cores may write: the buffer behind it, and its part of a frame.
#[derive(Debug, Default)]
pub struct BufferLink {
    pub(crate) next: AtomicU32,
    pub(crate) length: AtomicU16,
}

impl BufferLink {
    /// Empty notes.
    pub const fn new() -> Self {
        Self {
            next: AtomicU32::new(0),
            length: AtomicU16::new(0),
        }
    }
}

/// Bookkeeping for a queue pair of up to `BUFFERS` packet buffers, `RX` receive and `TX` transmit descriptors.
///
/// `RX` and `TX` are powers of two, at least as large as the rings of the configuration. Put it into a static, a box or the
/// stack of the function that works the queue; it takes 13 bytes per buffer and 4 per descriptor, and shares
/// no cache line with anything else.
///
/// # Examples
///
/// ```
/// use fastlinq_net::QueueStorage;
///
/// static STORAGE: QueueStorage<1024, 512, 256> = QueueStorage::new();
/// assert_eq!(size_of_val(&STORAGE), 1024 * 13 + 512 * 4 + 256 * 4);
/// ```
#[derive(Debug)]
#[repr(align(128))]
pub struct QueueStorage<const BUFFERS: usize, const RX: usize, const TX: usize> {
    free: [u32; BUFFERS],
    links: [BufferLink; BUFFERS],
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
            links: [const { BufferLink::new() }; BUFFERS],
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
    pub(crate) links: &'m [BufferLink],
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
        links: &'m [BufferLink],
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
