//! Placement: received bytes into buffers, completions into the completion ring.

use super::layout::StormLayout;
use super::rx_queue::RxQueue;
use crate::fabric::Fabric;
use crate::violation::DmaCause;

/// Bytes in front of a frame that make its IP header four-byte aligned.
pub(super) const PADDING: u8 = 2;
/// Buffers that one frame may take.
const BUFFERS_PER_FRAME: usize = 5;

const SLOTS_PER_PAGE: u16 = 512;
/// The slot of the link to the next page; the one behind it is the driver's.
const LINK_SLOT: u16 = 510;
const BD_BYTES: u64 = 8;
/// Usable descriptors of a full turn of the 16-bit index.
const USABLE: u32 = 128 * LINK_SLOT as u32;

const CQE_BYTES: usize = 32;
const CQES_PER_PAGE: u16 = 128;

/// The ring of receive buffers: pages chained by links that the index counts but nobody fills.
///
/// A driver steps over a link only when it needs the next slot, so a producer may rest on the link slot. Both sides
/// therefore compare counts of usable slots and not indices.
#[derive(Clone, Copy, Debug)]
pub(super) struct BdRing {
    page: u64,
    consumer: u16,
}

impl BdRing {
    pub(super) const fn new(first_page: u64) -> Self {
        Self {
            page: first_page,
            consumer: 0,
        }
    }

    /// How many buffers lie between the consumer and `producer`.
    pub(super) fn available(&self, producer: u16) -> usize {
        let usable = |index: u16| {
            u32::from(index >> 9) * u32::from(LINK_SLOT) + u32::from((index & 511).min(LINK_SLOT))
        };
        ((usable(producer) + USABLE - usable(self.consumer)) % USABLE) as usize
    }
}

/// The ring of completions: a table of pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct CompletionRing {
    table: u64,
    pages: u16,
    page_index: u16,
    page: Option<u64>,
    producer: u16,
}

impl CompletionRing {
    pub(super) const fn new(table: u64, pages: u16) -> Self {
        Self {
            table,
            pages,
            page_index: 0,
            page: None,
            producer: 0,
        }
    }

    fn capacity(&self) -> u32 {
        u32::from(self.pages) * u32::from(CQES_PER_PAGE)
    }
}

/// Where a frame was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) buffers: u8,
    pub(super) first_bytes: u16,
}

/// Why a frame was not placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotPlaced {
    /// Too few buffers or completions.
    NoBuffer,
    /// The queue is, or is now, halted.
    Halted,
}

fn read64(
    fabric: &mut dyn Fabric,
    queue: &mut RxQueue,
    what: &'static str,
    address: u64,
    index: u16,
) -> Option<u64> {
    let mut bytes = [0; 8];
    let cause = DmaCause::descriptor(what, address, index.into());
    if fabric
        .host_read(queue.function, cause, address, &mut bytes)
        .is_err()
    {
        queue.halted = true;
        return None;
    }
    Some(u64::from_le_bytes(bytes))
}

impl RxQueue {
    /// The driver's producers: buffers and completions.
    pub(super) fn producers(&self, fabric: &dyn Fabric, layout: &StormLayout) -> (u16, u16) {
        let word = fabric.ram32(
            layout.rx_producers.storm,
            layout.rx_producers.offset(self.id.into()),
        );
        (word as u16, (word >> 16) as u16)
    }

    /// Free completion slots; a producer beyond the ring halts the queue.
    pub(super) fn completion_room(&mut self, fabric: &mut dyn Fabric, layout: &StormLayout) -> u32 {
        let (_, producer) = self.producers(fabric, layout);
        let room = u32::from(producer.wrapping_sub(self.completions.producer));
        if room > self.completions.capacity() {
            let cause =
                DmaCause::descriptor("CQE producer of queue", self.id.into(), producer.into());
            self.halt(
                fabric,
                "completion producer is beyond the completion ring",
                cause,
            );
            return 0;
        }
        room
    }

    /// The address of the next buffer.
    pub(super) fn take_buffer(&mut self, fabric: &mut dyn Fabric) -> Option<u64> {
        let mut slot = self.bds.consumer % SLOTS_PER_PAGE;
        if slot >= LINK_SLOT {
            let at = self.bds.page.wrapping_add(u64::from(LINK_SLOT) * BD_BYTES);
            self.bds.page = read64(
                fabric,
                self,
                "link of the Rx BD ring",
                at,
                self.bds.consumer,
            )?;
            self.bds.consumer = self.bds.consumer.wrapping_add(SLOTS_PER_PAGE - slot);
            slot = 0;
        }
        let at = self.bds.page.wrapping_add(u64::from(slot) * BD_BYTES);
        let address = read64(fabric, self, "Rx BD", at, self.bds.consumer)?;
        self.bds.consumer = self.bds.consumer.wrapping_add(1);
        Some(address)
    }

    /// Writes received bytes at `address`; false halts the queue.
    pub(super) fn write_buffer(
        &mut self,
        fabric: &mut dyn Fabric,
        address: u64,
        bytes: &[u8],
    ) -> bool {
        let cause = DmaCause::descriptor(
            "Rx BD (index) with buffer",
            self.bds.consumer.wrapping_sub(1).into(),
            address,
        );
        let written = fabric
            .host_write(self.function, cause, address, bytes)
            .is_ok();
        self.halted |= !written;
        written
    }

    /// Places a whole frame, `offset` bytes into its first buffer.
    pub(super) fn place(
        &mut self,
        fabric: &mut dyn Fabric,
        layout: &StormLayout,
        offset: u8,
        frame: &[u8],
    ) -> Result<Placed, NotPlaced> {
        if self.halted {
            return Err(NotPlaced::Halted);
        }
        let most = usize::from(self.bd_max_bytes);
        let first_room = most.saturating_sub(offset.into()).max(1);
        let needed = 1 + frame.len().saturating_sub(first_room).div_ceil(most.max(1));
        let (bd_producer, _) = self.producers(fabric, layout);
        let completions = self.completion_room(fabric, layout);
        if self.halted {
            return Err(NotPlaced::Halted);
        }
        // Every open aggregation needs a completion to end with, so those are kept free.
        let spoken_for = self.aggregations.count() as u32;
        if needed > BUFFERS_PER_FRAME
            || self.bds.available(bd_producer) < needed
            || completions <= spoken_for
        {
            return Err(NotPlaced::NoBuffer);
        }
        let (first, mut rest) = frame.split_at(frame.len().min(first_room));
        let address = self.take_buffer(fabric).ok_or(NotPlaced::Halted)?;
        if !self.write_buffer(fabric, address.wrapping_add(offset.into()), first) {
            return Err(NotPlaced::Halted);
        }
        while !rest.is_empty() {
            let (part, remaining) = rest.split_at(rest.len().min(most));
            let address = self.take_buffer(fabric).ok_or(NotPlaced::Halted)?;
            if !self.write_buffer(fabric, address, part) {
                return Err(NotPlaced::Halted);
            }
            rest = remaining;
        }
        Ok(Placed {
            buffers: needed as u8,
            first_bytes: first.len() as u16,
        })
    }

    /// Posts a completion and moves the queue's protocol index; false when there is no room or the queue broke.
    pub(super) fn post_completion(
        &mut self,
        fabric: &mut dyn Fabric,
        layout: &StormLayout,
        cqe: &[u8],
    ) -> bool {
        if self.completion_room(fabric, layout) == 0 {
            return false;
        }
        let page = match self.completions.page {
            Some(page) => page,
            None => {
                let at = self
                    .completions
                    .table
                    .wrapping_add(u64::from(self.completions.page_index) * 8);
                let producer = self.completions.producer;
                let Some(page) = read64(fabric, self, "CQE page table", at, producer) else {
                    return false;
                };
                self.completions.page = Some(page);
                page
            }
        };
        let producer = self.completions.producer;
        let slot = producer % CQES_PER_PAGE;
        let address = page.wrapping_add(u64::from(slot) * CQE_BYTES as u64);
        let cause = DmaCause::descriptor("CQE of queue", self.id.into(), producer.into());
        if fabric
            .host_write(self.function, cause, address, cqe)
            .is_err()
        {
            self.halted = true;
            return false;
        }
        self.completions.producer = producer.wrapping_add(1);
        if slot == CQES_PER_PAGE - 1 {
            self.completions.page = None;
            self.completions.page_index =
                (self.completions.page_index + 1) % self.completions.pages.max(1);
        }
        fabric.set_protocol_index(self.sb, self.pi, self.completions.producer);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn available(consumer: u16, producer: u16) -> usize {
        BdRing { page: 0, consumer }.available(producer)
    }

    #[test]
    fn a_producer_may_rest_on_the_link() {
        assert_eq!(available(0, 510), 510);
        assert_eq!(available(0, 512), 510);
        assert_eq!(available(512, 510), 0);
        assert_eq!(available(510, 512), 0);
        assert_eq!(available(509, 513), 2);
    }

    #[test]
    fn the_index_wraps() {
        assert_eq!(available(65_534, 0), 0);
        assert_eq!(available(65_533, 1), 2);
        assert_eq!(available(0, 65_534), 65_280 % 65_280);
        assert_eq!(available(5, 4), 65_279);
    }
}
