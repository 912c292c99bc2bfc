//! Queue pairs: one receive and one transmit queue with their own status block, as the data path sees them.

use core::fmt;
use core::sync::atomic::{AtomicU16, Ordering};

use fastlinq_pac::BusAddress;
use fastlinq_pac::bar::igu::{self, Acknowledge, Interrupt};
use fastlinq_pac::doorbell::Doorbell;
use fastlinq_pac::words::StatusBlockWords;

use crate::dma::{DmaBuffer, read_barrier};
use crate::host::{Bar, Host};

/// Protocol index of the receive completion queue in a queue's status block.
pub const RECEIVE_PROTOCOL_INDEX: u8 = 0;

/// Protocol index of the transmit queue of traffic class 0 in a queue's status block.
pub const TRANSMIT_PROTOCOL_INDEX: u8 = 1;

/// Bytes of DMA memory for one status block: 32 used, rounded up so that no other data shares its cache lines.
pub const STATUS_BLOCK_BYTES: usize = 128;

/// Number of a queue pair of this function, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct QueuePairId(pub(crate) u16);

impl QueuePairId {
    /// The number inside the function.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.0
    }
}

/// Interrupt coalescing of a queue: how long the device may wait before it reports work.
///
/// Times in microseconds, 0 to 511; 0 reports at once. The device counts in steps of 1, 2 or 4 µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Coalescing {
    /// For received frames.
    pub receive_us: u16,
    /// For transmitted frames.
    pub transmit_us: u16,
}

impl Coalescing {
    /// Longest time the device can wait, in microseconds.
    pub const MAX_US: u16 = 0x1ff;

    /// Reports at once, both ways.
    pub const IMMEDIATE: Self = Self {
        receive_us: 0,
        transmit_us: 0,
    };

    /// Timer resolution (0, 1 or 2) and time set (0 to 127) for a time; `None` beyond [`Self::MAX_US`].
    pub(crate) const fn timer(us: u16) -> Option<(u8, u8)> {
        let resolution = match us {
            0..=0x7f => 0,
            0x80..=0xff => 1,
            0x100..=Self::MAX_US => 2,
            _ => return None,
        };
        Some((resolution, (us >> resolution) as u8))
    }
}

impl Default for Coalescing {
    /// 24 µs for received and 48 µs for transmitted frames.
    fn default() -> Self {
        Self {
            receive_us: 24,
            transmit_us: 48,
        }
    }
}

/// The rings that a queue pair works on. The memory belongs to the caller and must stay mapped until the queue pair is
/// closed.
#[derive(Clone, Copy, Debug)]
pub struct QueuePairRequest {
    /// Bytes the device may write into one receive buffer, counted from the address in its descriptor.
    pub rx_buffer_bytes: u16,
    /// First page of the chain of receive descriptors (512 slots of 8 bytes, the last two are the link).
    pub rx_bd_base: BusAddress,
    /// Table of the pages of the receive completion queue (128 elements of 32 bytes each).
    pub cqe_pbl: BusAddress,
    /// Number of those pages.
    pub cqe_pages: u16,
    /// Table of the pages of transmit descriptors (256 of 16 bytes each).
    pub tx_pbl: BusAddress,
    /// Number of those pages.
    pub tx_pages: u16,
    /// Interrupt coalescing; matters only when interrupts are used.
    pub coalescing: Coalescing,
}

/// A started queue pair, as the data path holds it: its indices, its producers and its interrupt.
///
/// It owns the status block's memory and handles to both BARs, shares nothing with other queue pairs, and can move to
/// another thread when the host's types can. All operations are plain loads and stores; none waits.
///
/// Give it back with [`close_queue_pair`], or, when the adapter has gone down meanwhile, with [`reclaim_queue_pair`]. A queue
/// pair that is dropped instead leaves its status block's memory allocated for good, because the device may still write to
/// it.
///
/// [`close_queue_pair`]: crate::adapter::Adapter::close_queue_pair
/// [`reclaim_queue_pair`]: crate::adapter::Adapter::reclaim_queue_pair
pub struct QueuePort<H: Host> {
    id: QueuePairId,
    absolute: u16,
    status_block: Option<DmaBuffer<H::Region>>,
    registers: H::Bar,
    doorbells: H::Bar,
    acknowledge: usize,
    producers: usize,
    doorbell: usize,
    /// What the doorbell said last.
    rung: AtomicU16,
    vector: u16,
    igu_status_block: u16,
    bring_up: u32,
}

/// Where the pieces of a queue pair are, for [`QueuePort::new`].
pub(crate) struct QueuePortParts<H: Host> {
    pub(crate) id: QueuePairId,
    pub(crate) absolute: u16,
    pub(crate) status_block: DmaBuffer<H::Region>,
    pub(crate) registers: H::Bar,
    pub(crate) doorbells: H::Bar,
    pub(crate) igu_status_block: u16,
    pub(crate) producers: usize,
    pub(crate) transmit_cid: u16,
    pub(crate) vector: u16,
    pub(crate) bring_up: u32,
}

impl<H: Host> QueuePort<H> {
    pub(crate) fn new(parts: QueuePortParts<H>) -> Self {
        Self {
            id: parts.id,
            absolute: parts.absolute,
            status_block: Some(parts.status_block),
            registers: parts.registers,
            doorbells: parts.doorbells,
            acknowledge: igu::acknowledge(parts.igu_status_block).value() as usize,
            producers: parts.producers,
            rung: AtomicU16::new(0),
            doorbell: Doorbell::slow_path(0).address(u32::from(parts.transmit_cid)) as usize,
            vector: parts.vector,
            igu_status_block: parts.igu_status_block,
            bring_up: parts.bring_up,
        }
    }

    /// Number of the queue pair inside the function.
    #[must_use]
    pub fn id(&self) -> QueuePairId {
        self.id
    }

    /// Engine-absolute number of the receive queue, as tables of receive-side scaling name it.
    #[must_use]
    pub fn absolute_queue(&self) -> u16 {
        self.absolute
    }

    /// MSI-X vector of the queue pair inside the function; vector 0 belongs to the slow path.
    #[must_use]
    pub fn vector(&self) -> u16 {
        self.vector
    }

    /// Index of the next receive completion that the device will write.
    ///
    /// Completions before it may be read after this call. The value is the device's: compare it, never index with it
    /// unchecked.
    #[inline]
    #[must_use]
    pub fn rx_index(&self) -> u16 {
        self.protocol_index(RECEIVE_PROTOCOL_INDEX)
    }

    /// Index of the next transmit descriptor that the device will complete; it moves by whole packets.
    #[inline]
    #[must_use]
    pub fn tx_index(&self) -> u16 {
        self.protocol_index(TRANSMIT_PROTOCOL_INDEX)
    }

    /// The status block's own counter, which [`Self::enable_interrupt`] acknowledges; read it before the indices.
    #[inline]
    #[must_use]
    pub fn status_index(&self) -> u32 {
        let index = self.words().map_or(0, |words| {
            u32::from_le(words.prod_index.read()) & 0x00ff_ffff
        });
        read_barrier();
        index
    }

    /// Gives the device receive descriptors and completion slots: both counts run freely.
    #[inline]
    pub fn publish_rx(&self, bd_prod: u16, cqe_prod: u16) {
        self.registers.write_barrier();
        self.registers.write32(
            self.producers,
            u32::from(cqe_prod) << 16 | u32::from(bd_prod),
        );
    }

    /// Rings the transmit doorbell with the descriptor producer.
    #[inline]
    pub fn ring_tx(&self, bd_prod: u16) {
        self.rung.store(bd_prod, Ordering::Relaxed);
        self.doorbells.write_barrier();
        self.doorbells
            .write32(self.doorbell, Doorbell::transmit(bd_prod).word());
        self.doorbells.write_barrier();
    }

    /// Rings the transmit doorbell with the producer that it had last, because the chip may have lost it; see
    /// [`recover_doorbells`](crate::adapter::Adapter::recover_doorbells). It does no harm when it has not.
    pub fn ring_again(&self) {
        self.ring_tx(self.rung.load(Ordering::Relaxed));
    }

    /// Acknowledges up to `status_index` and lets the device interrupt again; it does so at once when there is newer work.
    pub fn enable_interrupt(&self, status_index: u32) {
        self.command(Acknowledge::new(Some(status_index), Interrupt::Enable));
    }

    /// Keeps the device from interrupting; it goes on updating the indices.
    pub fn disable_interrupt(&self) {
        self.command(Acknowledge::new(None, Interrupt::Disable));
    }

    /// Takes the status block's memory out; `None` when it was taken before.
    pub(crate) fn take_status_block(&mut self) -> Option<DmaBuffer<H::Region>> {
        self.status_block.take()
    }

    pub(crate) fn status_block_address(&self) -> BusAddress {
        self.status_block
            .as_ref()
            .map_or(BusAddress(0), DmaBuffer::bus_address)
    }

    pub(crate) fn igu_status_block(&self) -> u16 {
        self.igu_status_block
    }

    pub(crate) fn bring_up(&self) -> u32 {
        self.bring_up
    }

    pub(crate) fn same_bring_up(&self, bring_up: u32) -> bool {
        self.bring_up == bring_up
    }

    pub(crate) fn clear_producers(&self) {
        self.registers.write32(self.producers, 0);
    }

    fn command(&self, acknowledge: Acknowledge) {
        self.registers.write32(self.acknowledge, acknowledge.0);
    }

    #[inline]
    fn protocol_index(&self, index: u8) -> u16 {
        let value = self
            .words()
            .and_then(|words| words.pi.get(usize::from(index)))
            .map_or(0, |word| u16::from_le(word.read()));
        read_barrier();
        value
    }

    #[inline]
    fn words(&self) -> Option<&StatusBlockWords> {
        self.status_block
            .as_ref()
            .and_then(|block| block.words::<StatusBlockWords>(0))
    }
}

impl<H: Host> fmt::Debug for QueuePort<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuePort")
            .field("id", &self.id)
            .field("queue", &self.absolute)
            .field("igu_status_block", &self.igu_status_block)
            .finish_non_exhaustive()
    }
}

impl<H: Host> Drop for QueuePort<H> {
    fn drop(&mut self) {
        if let Some(block) = self.status_block.take() {
            block.leak();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coalescing_times_keep_within_the_timer() {
        assert_eq!(Coalescing::timer(0), Some((0, 0)));
        assert_eq!(Coalescing::timer(0x7f), Some((0, 0x7f)));
        assert_eq!(Coalescing::timer(0x80), Some((1, 0x40)));
        assert_eq!(Coalescing::timer(0x1ff), Some((2, 0x7f)));
        assert_eq!(Coalescing::timer(0x200), None);
    }
}
