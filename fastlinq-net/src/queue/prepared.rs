//! A queue pair before the device knows of it.

use core::fmt;

use fastlinq_hal::host::DmaAllocator;
use fastlinq_hal::queue::QueuePairRequest;

use super::QueuePair;
use crate::config::{ConfigError, PrepareError, QueueConfig};
use crate::counters::Counters;
use crate::device::QueueDevice;
use crate::engine::Engine;
use crate::memory::{Fifo, Held, PAGE, RingLayout, RingMemory, Shared, take_into_use};
use crate::receive::ReceiveRing;
use crate::storage::Storage;
use crate::transmit::TransmitRing;

/// Rings and buffers of a queue pair that the device does not know yet. Dropping it returns their memory.
pub struct PreparedQueue<'m, D: QueueDevice> {
    pub(super) engine: Engine<'m, D>,
    pub(super) shared: Shared<'m, D::Region>,
    pub(super) buffers: Held<D::Region>,
    pub(super) config: QueueConfig,
}

impl<'m, D: QueueDevice> PreparedQueue<'m, D> {
    /// Allocates rings and buffers: one region each.
    ///
    /// # Errors
    ///
    /// [`PrepareError`]; everything is freed again.
    pub fn new(
        allocator: &mut impl DmaAllocator<Region = D::Region>,
        config: &QueueConfig,
        storage: impl Into<Storage<'m>>,
    ) -> Result<Self, PrepareError> {
        config.check()?;
        let mut storage = storage.into();
        let room = storage.buffers();
        if room < config.buffers as usize {
            return Err(ConfigError::StorageBuffers { room }.into());
        }
        let posted = core::mem::take(&mut storage.posted);
        let sent = core::mem::take(&mut storage.sent);
        let posted = Fifo::new(posted, config.receive_ring.into());
        let sent = Fifo::new(sent, config.transmit_ring.into());
        let (Some(posted), Some(sent)) = (posted, sent) else {
            return Err(ConfigError::StorageRings.into());
        };
        let layout = RingLayout::new(
            config.receive_ring,
            config.receive_ring.next_power_of_two(),
            config.transmit_ring,
        );
        let size = layout.bytes();
        let rings = RingMemory::new(allocator.allocate(size, PAGE)?, layout);
        let rings = rings.ok_or(PrepareError::Region { size })?;
        let size = config.buffers as usize * usize::from(config.buffer_bytes);
        let region = allocator.allocate(size, PAGE)?;
        let stride = config.buffer_bytes.into();
        let fifos = (posted, sent);
        let (buffers, shared, owner) =
            take_into_use(region, stride, config.buffers, storage, fifos)
                .ok_or(PrepareError::Region { size })?;
        let receive = ReceiveRing::new(config, rings.completion_slots());
        let transmit = TransmitRing::new(config);
        Ok(Self {
            engine: Engine {
                receive,
                transmit,
                rings,
                owner,
            },
            shared,
            buffers,
            config: *config,
        })
    }

    /// What the adapter has to know of the rings.
    pub fn request(&self) -> QueuePairRequest {
        let (cqe_pbl, cqe_pages) = self.engine.rings.completion_table();
        let (tx_pbl, tx_pages) = self.engine.rings.transmit_table();
        QueuePairRequest {
            rx_buffer_bytes: self.config.receive_bytes(),
            rx_bd_base: self.engine.rings.receive_bus(),
            cqe_pbl,
            cqe_pages,
            tx_pbl,
            tx_pages,
            coalescing: self.config.coalescing,
        }
    }

    /// Bus address and size in bytes of the packet buffers.
    pub fn buffer_memory(&self) -> (fastlinq_pac::BusAddress, usize) {
        let start = fastlinq_pac::BusAddress(self.shared.bus_address(0));
        (
            start,
            self.config.buffers as usize * usize::from(self.config.buffer_bytes),
        )
    }

    /// Goes on counting where another queue pair ended. What it had sent, it has completed.
    pub(crate) fn continue_counting(&mut self, counters: Counters) {
        self.engine.continue_counting(counters);
    }

    /// What was counted so far, by the queue pair that this one was or goes on from.
    pub(crate) fn counters(&self) -> Counters {
        self.engine.counters()
    }

    /// From now on dropping leaks the memory on purpose: the device may write to it.
    pub(crate) fn give_to_device(&mut self) {
        self.engine.rings.held_mut().give_to_device();
        self.buffers.give_to_device();
    }

    /// Never returns the memory to the host; gives its size in bytes.
    pub(crate) fn leak(mut self) -> usize {
        self.give_to_device();
        self.engine.rings.held().len() + self.buffers.len()
    }

    /// Works with a device that has started with [`request`](Self::request): fills the receive ring and publishes it.
    pub fn start(mut self, device: D) -> QueuePair<'m, D> {
        self.give_to_device();
        let mut queue = QueuePair {
            engine: self.engine,
            shared: self.shared,
            device,
            buffers: self.buffers,
            config: self.config,
        };
        queue.engine.refill(&queue.shared, &queue.device);
        queue
    }
}

impl<D: QueueDevice> fmt::Debug for PreparedQueue<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedQueue")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
