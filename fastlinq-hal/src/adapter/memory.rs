//! The slow path's DMA memory.

use super::cause::Cause;
use super::leak::LeakReport;
use crate::config::ConfigError;
use crate::dma::DmaBuffer;
use crate::host::{DmaAllocator, Host};
use crate::queue::STATUS_BLOCK_BYTES;
use crate::slowpath::{ATTENTION_BLOCK_BYTES, EQ_RING_BYTES, RAMROD_AREA_BYTES, SPQ_RING_BYTES};

const PAGE: usize = 4096;
const CACHE_LINES: usize = 128;

/// Bytes of a table of page addresses: room for a page of them.
const TABLE_BYTES: usize = PAGE;

/// Bytes of the consolidation queue: 32 elements of 128 bytes, for the storm firmware's own use.
const CONSOLIDATION_BYTES: usize = PAGE;

/// The slow path's DMA memory, before it is taken apart.
pub(super) struct SlowPathMemory<H: Host> {
    pub(super) queue: DmaBuffer<H::Region>,
    pub(super) ramrods: DmaBuffer<H::Region>,
    pub(super) events: DmaBuffer<H::Region>,
    pub(super) event_table: DmaBuffer<H::Region>,
    pub(super) status_block: DmaBuffer<H::Region>,
    pub(super) attentions: DmaBuffer<H::Region>,
    pub(super) consolidation: ConsolidationQueue<H>,
}

/// The consolidation queue: memory that the storm firmware uses for itself.
pub(super) struct ConsolidationQueue<H: Host> {
    ring: DmaBuffer<H::Region>,
    table: DmaBuffer<H::Region>,
}

impl<H: Host> ConsolidationQueue<H> {
    /// The page table; its bus address goes into PF_START.
    pub(super) fn page_table(&self) -> &DmaBuffer<H::Region> {
        &self.table
    }

    pub(super) fn release(self, report: &mut LeakReport, quiet: bool) {
        report.release(self.ring, quiet);
        report.release(self.table, quiet);
    }
}

impl<H: Host> SlowPathMemory<H> {
    /// Allocates everything; what was allocated before a failure goes back at once, as the device knows nothing of it.
    pub(super) fn allocate(host: &mut H) -> Result<Self, Cause> {
        let queue = buffer(host, SPQ_RING_BYTES, PAGE)?;
        let ramrods = buffer(host, RAMROD_AREA_BYTES, PAGE)?;
        let events = buffer(host, EQ_RING_BYTES, PAGE)?;
        let event_table = buffer(host, TABLE_BYTES, PAGE)?;
        let status_block = buffer(host, STATUS_BLOCK_BYTES, CACHE_LINES)?;
        let attentions = buffer(host, ATTENTION_BLOCK_BYTES.max(CACHE_LINES), CACHE_LINES)?;
        let ring = buffer(host, CONSOLIDATION_BYTES, PAGE)?;
        let mut table = buffer(host, TABLE_BYTES, PAGE)?;
        let address = ring.bus_address().value().to_le_bytes();
        table.copy_from(0, &address).map_err(ConfigError::from)?;
        let consolidation = ConsolidationQueue { ring, table };
        Ok(Self {
            queue,
            ramrods,
            events,
            event_table,
            status_block,
            attentions,
            consolidation,
        })
    }
}

/// Allocates zeroed memory and checks what the host gave.
pub(super) fn buffer<A: DmaAllocator>(
    host: &mut A,
    bytes: usize,
    align: usize,
) -> Result<DmaBuffer<A::Region>, Cause> {
    let buffer = DmaBuffer::new(host.allocate(bytes, align)?);
    if buffer.len() < bytes {
        return Err(Cause::ShortMemory {
            bytes: buffer.len(),
            needed: bytes,
        });
    }
    let address = buffer.bus_address();
    if address.value() % align as u64 != 0 {
        return Err(Cause::Misaligned { address, align });
    }
    Ok(buffer)
}
