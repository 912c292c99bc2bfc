//! Data of the ramrods about queues: RX_QUEUE_START and TX_QUEUE_START, their updates and stops.

use fastlinq_pac::BusAddress;
use fastlinq_pac::hsi::{
    RxQueueStartRamrodData, RxQueueStopRamrodData, RxQueueUpdateRamrodData, TxQueueStartRamrodData,
    TxQueueStopRamrodData,
};
use zerocopy::FromZeros;
use zerocopy::little_endian::U16;

use super::regpair;

/// Tx queue ids in ramrods count from here: CM queue id = 0x200 + transmit queue-manager queue.
pub const CM_TX_QUEUE_BASE: u16 = 0x200;

const SAME_AS_LAST_DISABLED: u16 = 0xffff;

/// What RX_QUEUE_START tells the firmware about a receive queue.
#[derive(Clone, Copy, Debug)]
pub struct RxQueueStart {
    /// Engine-absolute queue number.
    pub queue: u16,
    /// IGU number of the queue's status block.
    pub status_block: u16,
    /// Protocol index of the receive completion queue.
    pub protocol_index: u8,
    /// Engine-absolute vport.
    pub vport: u8,
    /// Statistics counter: the absolute vport number.
    pub statistics: u8,
    /// Bytes the device may write per buffer, counted from the address in the descriptor.
    pub buffer_bytes: u16,
    /// First page of the buffer-descriptor chain.
    pub descriptors: BusAddress,
    /// Page table of the completion queue.
    pub completion_pbl: BusAddress,
    /// Number of completion-queue pages.
    pub completion_pages: u16,
}

/// Data of RX_QUEUE_START, 56 bytes.
#[must_use]
pub fn rx_queue_start(start: &RxQueueStart) -> RxQueueStartRamrodData {
    let mut data = RxQueueStartRamrodData::new_zeroed();
    data.rx_queue_id = U16::new(start.queue);
    data.num_of_pbl_pages = U16::new(start.completion_pages);
    data.bd_max_bytes = U16::new(start.buffer_bytes);
    data.sb_id = U16::new(start.status_block);
    data.sb_index = start.protocol_index;
    data.vport_id = start.vport;
    data.complete_event_flg = 1;
    data.stats_counter_id = start.statistics;
    data.cqe_pbl_addr = regpair(start.completion_pbl);
    data.bd_base = regpair(start.descriptors);
    data
}

/// Data of RX_QUEUE_STOP, 8 bytes: the completion is an event, so the slow path needs no access to the queue's own
/// completion ring.
#[must_use]
pub fn rx_queue_stop(queue: u16, vport: u8) -> RxQueueStopRamrodData {
    let mut data = RxQueueStopRamrodData::new_zeroed();
    data.rx_queue_id = U16::new(queue);
    data.vport_id = vport;
    data.complete_event_flg = 1;
    data
}

/// Data of RX_QUEUE_UPDATE, 24 bytes: makes the queue the one that takes frames without a hash.
#[must_use]
pub fn rx_queue_default(queue: u16, vport: u8) -> RxQueueUpdateRamrodData {
    let mut data = RxQueueUpdateRamrodData::new_zeroed();
    data.rx_queue_id = U16::new(queue);
    data.vport_id = vport;
    data.complete_event_flg = 1;
    data.set_default_rss_queue = 1;
    data
}

/// What TX_QUEUE_START tells the firmware about a transmit queue.
#[derive(Clone, Copy, Debug)]
pub struct TxQueueStart {
    /// Engine-absolute queue number (the queue zone).
    pub queue: u16,
    /// IGU number of the queue's status block.
    pub status_block: u16,
    /// Protocol index of the transmit consumer: 1 + traffic class.
    pub protocol_index: u8,
    /// Engine-absolute vport.
    pub vport: u8,
    /// Statistics counter: the absolute vport number.
    pub statistics: u8,
    /// Absolute transmit queue of the queue manager.
    pub qm_queue: u16,
    /// Page table of the descriptor ring.
    pub descriptors_pbl: BusAddress,
    /// Number of descriptor pages.
    pub descriptor_pages: u16,
}

/// Data of TX_QUEUE_START, 48 bytes.
#[must_use]
pub fn tx_queue_start(start: &TxQueueStart) -> TxQueueStartRamrodData {
    let mut data = TxQueueStartRamrodData::new_zeroed();
    data.sb_id = U16::new(start.status_block);
    data.sb_index = start.protocol_index;
    data.vport_id = start.vport;
    data.stats_counter_id = start.statistics;
    data.qm_pq_id = U16::new(CM_TX_QUEUE_BASE.wrapping_add(start.qm_queue));
    data.queue_zone_id = U16::new(start.queue);
    data.pbl_size = U16::new(start.descriptor_pages);
    data.same_as_last_id = U16::new(SAME_AS_LAST_DISABLED);
    data.pbl_base_addr = regpair(start.descriptors_pbl);
    data
}

/// Data of TX_QUEUE_STOP, 8 reserved bytes.
#[must_use]
pub fn tx_queue_stop() -> TxQueueStopRamrodData {
    TxQueueStopRamrodData::new_zeroed()
}
