//! Receive queues: RX_QUEUE_START, RX_QUEUE_UPDATE, RX_QUEUE_STOP.

use fastlinq_pac::hsi::{
    EthRamrodCmdId, EthRxCqeType, EthSlowPathRxCqe, RxQueueStartRamrodData, RxQueueStopRamrodData,
    RxQueueUpdateRamrodData,
};
use zerocopy::IntoBytes;

use super::Storm;
use super::aggregation::Aggregations;
use super::place::{BdRing, CompletionRing};
use super::ramrod::{Done, Refusal, Request};
use super::spq::address_of;
use super::tpa::EndReason;
use crate::fabric::{Fabric, Function};
use crate::violation::{DmaCause, ViolationKind};

/// Protocol indices of a status block.
pub(super) const PROTOCOL_INDICES: u8 = 12;

/// A started receive queue.
#[derive(Debug)]
pub(super) struct RxQueue {
    pub(super) id: u16,
    pub(super) function: Function,
    pub(super) cid: u32,
    pub(super) vport: u8,
    pub(super) stat: u8,
    pub(super) sb: u16,
    pub(super) pi: u8,
    pub(super) bd_max_bytes: u16,
    pub(super) bds: BdRing,
    pub(super) completions: CompletionRing,
    pub(super) aggregations: Aggregations,
    /// The queue met something that it cannot go on from; only a stop helps.
    pub(super) halted: bool,
}

impl RxQueue {
    /// Records a broken rule and halts the queue.
    pub(super) fn halt(&mut self, fabric: &mut dyn Fabric, why: &'static str, cause: DmaCause) {
        if !self.halted {
            fabric.violation(Some(self.function), ViolationKind::Firmware(why), cause);
        }
        self.halted = true;
    }
}

impl Storm {
    pub(super) fn rx_queue_start(
        &mut self,
        fabric: &mut dyn Fabric,
        request: &Request,
        data: &RxQueueStartRamrodData,
    ) -> Result<Done, Refusal> {
        let id = data.rx_queue_id.get();
        let vport = self.owned_vport(request.function, data.vport_id)?;
        if vport.function != request.function {
            return Err(Refusal::error(
                "RX_QUEUE_START by another function than the vport's",
            ));
        }
        if id >= self.limits.l2_queues {
            return Err(Refusal::error(
                "RX_QUEUE_START of a queue that the chip does not have",
            ));
        }
        if self.rx_queues.contains_key(&id) {
            return Err(Refusal::error(
                "RX_QUEUE_START of a queue that is started already",
            ));
        }
        if data.num_of_pbl_pages.get() == 0 {
            return Err(Refusal::error("RX_QUEUE_START without completion pages"));
        }
        if data.bd_max_bytes.get() <= super::place::PADDING.into() {
            return Err(Refusal::error(
                "RX_QUEUE_START with buffers too small for any byte",
            ));
        }
        if data.sb_index >= PROTOCOL_INDICES || data.sb_id.get() >= self.limits.status_blocks {
            return Err(Refusal::error(
                "RX_QUEUE_START with an unknown status block or protocol index",
            ));
        }
        if u16::from(data.stats_counter_id) >= self.limits.vports {
            return Err(Refusal::error(
                "RX_QUEUE_START with an unknown statistics counter",
            ));
        }
        if data.pmd_mode != 0 {
            return Err(Refusal::error(
                "RX_QUEUE_START in poll mode, which is not modelled",
            ));
        }
        let first = self
            .rx_queues
            .values()
            .all(|queue| queue.vport != data.vport_id);
        fabric.reset_protocol_index(data.sb_id.get(), data.sb_index);
        self.rx_queues.insert(
            id,
            RxQueue {
                id,
                function: request.function,
                cid: request.cid,
                vport: data.vport_id,
                stat: data.stats_counter_id,
                sb: data.sb_id.get(),
                pi: data.sb_index,
                bd_max_bytes: data.bd_max_bytes.get(),
                bds: BdRing::new(address_of(&data.bd_base)),
                completions: CompletionRing::new(
                    address_of(&data.cqe_pbl_addr),
                    data.num_of_pbl_pages.get(),
                ),
                aggregations: Aggregations::default(),
                halted: false,
            },
        );
        if let Some(vport) = self.vport_mut(data.vport_id) {
            if first || data.default_rss_queue_flg != 0 {
                vport.default_queue = Some(id);
            }
        }
        self.answer_queue(
            fabric,
            request,
            id,
            data.complete_cqe_flg,
            data.complete_event_flg,
        )
    }

    pub(super) fn rx_queue_update(
        &mut self,
        fabric: &mut dyn Fabric,
        request: &Request,
        data: &RxQueueUpdateRamrodData,
    ) -> Result<Done, Refusal> {
        let id = data.rx_queue_id.get();
        let vport = self.owned_rx_queue(request, id)?.vport;
        if data.set_default_rss_queue != 0 {
            if let Some(vport) = self.vport_mut(vport) {
                vport.default_queue = Some(id);
            }
        }
        self.answer_queue(
            fabric,
            request,
            id,
            data.complete_cqe_flg,
            data.complete_event_flg,
        )
    }

    pub(super) fn rx_queue_stop(
        &mut self,
        fabric: &mut dyn Fabric,
        request: &Request,
        data: &RxQueueStopRamrodData,
    ) -> Result<Done, Refusal> {
        let id = data.rx_queue_id.get();
        self.owned_rx_queue(request, id)?;
        self.close_aggregations_of_queue(fabric, id, EndReason::SlowPathUpdate);
        let done = self.answer_queue(
            fabric,
            request,
            id,
            data.complete_cqe_flg,
            data.complete_event_flg,
        );
        let vport_id = self.rx_queues.remove(&id).map(|queue| queue.vport);
        if let Some(vport) = vport_id.and_then(|vport| self.vport_mut(vport)) {
            if vport.default_queue == Some(id) {
                vport.default_queue = None;
            }
        }
        done
    }

    fn owned_rx_queue(&self, request: &Request, id: u16) -> Result<&RxQueue, Refusal> {
        let queue = self.rx_queues.get(&id).ok_or(Refusal::error(
            "ramrod for a receive queue that is not started",
        ))?;
        if queue.function != request.function {
            return Err(Refusal::error(
                "ramrod for a receive queue of another function",
            ));
        }
        if queue.cid != request.cid {
            return Err(Refusal::error(
                "ramrod for a receive queue on another connection than it was started on",
            ));
        }
        Ok(queue)
    }

    /// Posts the slow-path completion in the queue's own ring if asked for.
    fn answer_queue(
        &mut self,
        fabric: &mut dyn Fabric,
        request: &Request,
        id: u16,
        with_cqe: u8,
        with_event: u8,
    ) -> Result<Done, Refusal> {
        if with_cqe != 0 {
            let cqe = EthSlowPathRxCqe {
                type_: EthRxCqeType::SLOW_PATH.value(),
                ramrod_cmd_id: EthRamrodCmdId(request.command).value(),
                echo: request.echo.into(),
                ..Default::default()
            };
            let posted = match self.rx_queues.get_mut(&id) {
                Some(queue) => queue.post_completion(fabric, &self.layout, cqe.as_bytes()),
                None => false,
            };
            if !posted {
                return Err(Refusal::error(
                    "no room for the completion of a queue ramrod in the queue's own ring",
                ));
            }
        }
        Ok(Done::event_if(with_event != 0))
    }
}
