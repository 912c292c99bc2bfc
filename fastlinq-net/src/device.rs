//! What the rings see of the adapter: four indices.

use fastlinq_hal::dma::DmaRegion;
use fastlinq_hal::host::Host;
use fastlinq_hal::queue::QueuePort;

/// The adapter's side of a queue pair: two indices that it writes, two producers that it is told.
///
/// The ring logic is generic over it, so that it runs against memory alone in tests, fuzzing and measurements. What the
/// indices say is not believed.
pub trait QueueDevice {
    /// Memory that rings and buffers live in.
    type Region: DmaRegion;

    /// Index of the next receive completion that the device will write. Completions before it may be read after this.
    fn rx_index(&self) -> u16;

    /// Index of the next transmit descriptor that the device will complete.
    fn tx_index(&self) -> u16;

    /// Gives the device receive descriptors and completion slots. All stores before are visible to it first.
    fn publish_rx(&self, bd_prod: u16, cqe_prod: u16);

    /// Rings the transmit doorbell. All stores before are visible to the device first.
    fn ring_tx(&self, bd_prod: u16);

    /// Count of the changes that the device has announced; always 0 for a device without interrupts.
    fn status_index(&self) -> u32 {
        0
    }

    /// Lets the device interrupt once, as soon as its count of changes is beyond `status_index`.
    fn enable_interrupt(&self, status_index: u32) {
        let _ = status_index;
    }
}

impl<H: Host> QueueDevice for QueuePort<H> {
    type Region = H::Region;

    #[inline]
    fn rx_index(&self) -> u16 {
        QueuePort::rx_index(self)
    }

    #[inline]
    fn tx_index(&self) -> u16 {
        QueuePort::tx_index(self)
    }

    #[inline]
    fn publish_rx(&self, bd_prod: u16, cqe_prod: u16) {
        QueuePort::publish_rx(self, bd_prod, cqe_prod);
    }

    #[inline]
    fn ring_tx(&self, bd_prod: u16) {
        QueuePort::ring_tx(self, bd_prod);
    }

    fn status_index(&self) -> u32 {
        QueuePort::status_index(self)
    }

    fn enable_interrupt(&self, status_index: u32) {
        QueuePort::enable_interrupt(self, status_index);
    }
}
