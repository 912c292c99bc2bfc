//! Transmit queues: TX_QUEUE_START, TX_QUEUE_UPDATE, TX_QUEUE_STOP, and fetching descriptors.

use fastlinq_pac::hsi::{
    TxQueueStartRamrodData, TxQueueUpdateRamrodData, tx_queue_start_ramrod_data,
};

use super::Storm;
use super::ramrod::{Done, Refusal, Request};
use super::rx_queue::PROTOCOL_INDICES;
use super::spq::{address_of, aggregate, wakes};
use crate::fabric::{Doorbell, Fabric, Function};
use crate::violation::{DmaCause, ViolationKind};

/// Bytes of a transmit descriptor.
pub(super) const BD_BYTES: usize = 16;
const BDS_PER_PAGE: u16 = 256;

/// A started transmit queue.
#[derive(Debug)]
pub(super) struct TxQueue {
    pub(super) function: Function,
    pub(super) vport: u8,
    pub(super) stat: u8,
    pub(super) sb: u16,
    pub(super) pi: u8,
    /// Whose coalescing value the queue uses; several queues may share one.
    pub(super) zone: u16,
    pub(super) pq: u16,
    pub(super) consumer: u16,
    pub(super) producer: u16,
    table: u64,
    pages: u16,
    page_index: u16,
    page: Option<u64>,
    /// The queue met something that it cannot go on from; its doorbells are ignored.
    pub(super) halted: bool,
}

impl TxQueue {
    /// Descriptors posted and not yet consumed.
    pub(super) fn posted(&self) -> u16 {
        self.producer.wrapping_sub(self.consumer)
    }

    fn capacity(&self) -> u32 {
        u32::from(self.pages) * u32::from(BDS_PER_PAGE)
    }

    /// Reads the next `count` descriptors without consuming them.
    pub(super) fn peek(
        &mut self,
        fabric: &mut dyn Fabric,
        count: u16,
    ) -> Option<Vec<[u8; BD_BYTES]>> {
        let mut bds = Vec::with_capacity(count.into());
        let (mut index, mut page_index, mut page) = (self.consumer, self.page_index, self.page);
        while bds.len() < usize::from(count) {
            let address = match page {
                Some(address) => address,
                None => self.read_page(fabric, page_index)?,
            };
            if index == self.consumer {
                self.page = Some(address);
            }
            let slot = index % BDS_PER_PAGE;
            let run = (count - bds.len() as u16).min(BDS_PER_PAGE - slot);
            let start = address.wrapping_add(u64::from(slot) * BD_BYTES as u64);
            let mut bytes = vec![0; usize::from(run) * BD_BYTES];
            let cause = DmaCause::descriptor("Tx BDs (address) from index", start, index.into());
            if fabric
                .host_read(self.function, cause, start, &mut bytes)
                .is_err()
            {
                self.halted = true;
                return None;
            }
            bds.extend(bytes.chunks_exact(BD_BYTES).map(|bd| {
                let mut copy = [0; BD_BYTES];
                copy.copy_from_slice(bd);
                copy
            }));
            index = index.wrapping_add(run);
            page_index = (page_index + 1) % self.pages.max(1);
            page = None;
        }
        Some(bds)
    }

    /// Consumes `count` descriptors, at most 255.
    pub(super) fn consume(&mut self, count: u16) {
        let slot = self.consumer % BDS_PER_PAGE;
        if slot + count >= BDS_PER_PAGE {
            self.page = None;
            self.page_index = (self.page_index + 1) % self.pages.max(1);
        }
        self.consumer = self.consumer.wrapping_add(count);
    }

    fn read_page(&mut self, fabric: &mut dyn Fabric, index: u16) -> Option<u64> {
        let at = self.table.wrapping_add(u64::from(index) * 8);
        let mut bytes = [0; 8];
        let cause = DmaCause::descriptor("Tx BD page table", at, index.into());
        if fabric
            .host_read(self.function, cause, at, &mut bytes)
            .is_err()
        {
            self.halted = true;
            return None;
        }
        Some(u64::from_le_bytes(bytes))
    }
}

impl Storm {
    pub(super) fn tx_queue_start(
        &mut self,
        fabric: &mut dyn Fabric,
        request: &Request,
        data: &TxQueueStartRamrodData,
    ) -> Result<Done, Refusal> {
        let vport = self.owned_vport(request.function, data.vport_id)?;
        if vport.function != request.function {
            return Err(Refusal::error(
                "TX_QUEUE_START by another function than the vport's",
            ));
        }
        let key = (request.function, request.cid);
        if self.tx_queues.contains_key(&key) {
            return Err(Refusal::error(
                "TX_QUEUE_START on a connection that is started already",
            ));
        }
        if data.pbl_size.get() == 0 {
            return Err(Refusal::error("TX_QUEUE_START without descriptor pages"));
        }
        if data.sb_index >= PROTOCOL_INDICES || data.sb_id.get() >= self.limits.status_blocks {
            return Err(Refusal::error(
                "TX_QUEUE_START with an unknown status block or protocol index",
            ));
        }
        if u16::from(data.stats_counter_id) >= self.limits.vports {
            return Err(Refusal::error(
                "TX_QUEUE_START with an unknown statistics counter",
            ));
        }
        if data.queue_zone_id.get() >= self.limits.l2_queues {
            return Err(Refusal::error(
                "TX_QUEUE_START with a queue zone that the chip does not have",
            ));
        }
        if bits!(data.flags, tx_queue_start_ramrod_data::PMD_MODE) != 0 {
            return Err(Refusal::error(
                "TX_QUEUE_START in poll mode, which is not modelled",
            ));
        }
        fabric.reset_protocol_index(data.sb_id.get(), data.sb_index);
        self.tx_queues.insert(
            key,
            TxQueue {
                function: request.function,
                vport: data.vport_id,
                stat: data.stats_counter_id,
                sb: data.sb_id.get(),
                pi: data.sb_index,
                zone: data.queue_zone_id.get(),
                pq: data.qm_pq_id.get(),
                consumer: 0,
                producer: 0,
                table: address_of(&data.pbl_base_addr),
                pages: data.pbl_size.get(),
                page_index: 0,
                page: None,
                halted: false,
            },
        );
        Ok(Done::event())
    }

    pub(super) fn tx_queue_update(
        &mut self,
        request: &Request,
        data: &TxQueueUpdateRamrodData,
    ) -> Result<Done, Refusal> {
        let queue = self
            .tx_queues
            .get_mut(&(request.function, request.cid))
            .ok_or(Refusal::error(
                "TX_QUEUE_UPDATE on a connection without a transmit queue",
            ))?;
        if data.update_qm_pq_id_flg.get() != 0 {
            queue.pq = data.qm_pq_id.get();
        }
        Ok(Done::event())
    }

    /// Everything that was rung is sent already: doorbells are handled while they are written.
    pub(super) fn tx_queue_stop(
        &mut self,
        fabric: &mut dyn Fabric,
        request: &Request,
    ) -> Result<Done, Refusal> {
        let queue = self
            .tx_queues
            .remove(&(request.function, request.cid))
            .ok_or(Refusal::error(
                "TX_QUEUE_STOP on a connection without a transmit queue",
            ))?;
        if queue.posted() != 0 && !queue.halted {
            let cause = DmaCause::descriptor(
                "Tx BD producer",
                queue.consumer.into(),
                queue.producer.into(),
            );
            let why =
                ViolationKind::Firmware("TX_QUEUE_STOP of a queue with part of a packet posted");
            fabric.violation(Some(request.function), why, cause);
        }
        Ok(Done::event())
    }

    /// A doorbell of an Ethernet connection.
    pub(super) fn transmit_doorbell(&mut self, fabric: &mut dyn Fabric, doorbell: &Doorbell) {
        let key = (doorbell.function, doorbell.cid);
        let Some(mut queue) = self.tx_queues.remove(&key) else {
            let cause = DmaCause::descriptor(
                "doorbell of connection",
                doorbell.cid.into(),
                doorbell.data.into(),
            );
            let why = ViolationKind::Doorbell("the connection has no transmit queue");
            fabric.violation(Some(doorbell.function), why, cause);
            return;
        };
        if !queue.halted {
            if let Some(producer) = aggregate(fabric, doorbell, queue.producer) {
                queue.producer = producer;
                if wakes(doorbell) {
                    self.run_transmit(fabric, &mut queue);
                }
            }
        }
        self.tx_queues.insert(key, queue);
    }

    fn run_transmit(&mut self, fabric: &mut dyn Fabric, queue: &mut TxQueue) {
        let before = queue.consumer;
        if u32::from(queue.posted()) > queue.capacity() {
            self.producer_beyond_ring(fabric, queue);
        }
        while !queue.halted && queue.posted() != 0 {
            self.transmit_packet(fabric, queue);
        }
        if queue.consumer != before {
            fabric.set_protocol_index(queue.sb, queue.pi, queue.consumer);
        }
    }
}
