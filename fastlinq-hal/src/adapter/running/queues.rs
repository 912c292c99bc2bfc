//! The ramrods that start and stop queues.

use super::Running;
use crate::host::Host;
use crate::queue::{
    QueuePairId, QueuePairRequest, RECEIVE_PROTOCOL_INDEX, TRANSMIT_PROTOCOL_INDEX,
};
use crate::slowpath::{self, Ramrod, RamrodError, VportUpdate, WaitContext};

impl<H: Host> Running<H> {
    /// RX_QUEUE_START.
    pub(crate) fn start_receive(
        &mut self,
        context: &mut impl WaitContext,
        queue: u16,
        vport: u8,
        request: &QueuePairRequest,
    ) -> Result<(), RamrodError> {
        let absolute_vport = self.absolute_vport(vport);
        let data = slowpath::rx_queue_start(&slowpath::RxQueueStart {
            queue: self.absolute_queue(queue),
            status_block: self.igu_status_block(queue),
            protocol_index: RECEIVE_PROTOCOL_INDEX,
            vport: absolute_vport,
            statistics: self.statistics_id(queue, vport),
            buffer_bytes: request.rx_buffer_bytes,
            descriptors: request.rx_bd_base,
            completion_pbl: request.cqe_pbl,
            completion_pages: request.cqe_pages,
        });
        let cid = self.receive_cid(queue);
        // A ramrod without an answer may have started the queue all the same.
        self.mark(queue, |slot| {
            slot.vport = Some(vport);
            slot.receiving = true;
            slot.buffer_bytes = request.rx_buffer_bytes;
            slot.completion_pages = request.cqe_pages;
        });
        let result = self.ramrod(context, Ramrod::RxQueueStart, cid, &data);
        if matches!(
            result,
            Err(RamrodError::Refused { .. }
                | RamrodError::Memory { .. }
                | RamrodError::Stuck { .. })
        ) {
            self.mark(queue, |slot| slot.receiving = false);
        }
        result
    }

    /// RX_QUEUE_STOP, completed by an event.
    pub(crate) fn stop_receive(
        &mut self,
        context: &mut impl WaitContext,
        queue: u16,
    ) -> Result<(), RamrodError> {
        let vport = self.queue_vport(queue);
        let data = slowpath::rx_queue_stop(self.absolute_queue(queue), self.absolute_vport(vport));
        let cid = self.receive_cid(queue);
        self.ramrod(context, Ramrod::RxQueueStop, cid, &data)?;
        self.mark(queue, |slot| slot.receiving = false);
        Ok(())
    }

    /// TX_QUEUE_START.
    pub(crate) fn start_transmit(
        &mut self,
        context: &mut impl WaitContext,
        queue: u16,
        vport: u8,
        request: &QueuePairRequest,
    ) -> Result<(), RamrodError> {
        let absolute_vport = self.absolute_vport(vport);
        let data = slowpath::tx_queue_start(&slowpath::TxQueueStart {
            queue: self.absolute_queue(queue),
            status_block: self.igu_status_block(queue),
            protocol_index: TRANSMIT_PROTOCOL_INDEX,
            vport: absolute_vport,
            statistics: self.statistics_id(queue, vport),
            qm_queue: self.numbers.transmit_pq,
            descriptors_pbl: request.tx_pbl,
            descriptor_pages: request.tx_pages,
        });
        let cid = self.transmit_cid(queue);
        self.mark(queue, |slot| slot.transmitting = true);
        let result = self.ramrod(context, Ramrod::TxQueueStart, cid, &data);
        if matches!(
            result,
            Err(RamrodError::Refused { .. }
                | RamrodError::Memory { .. }
                | RamrodError::Stuck { .. })
        ) {
            self.mark(queue, |slot| slot.transmitting = false);
        }
        result
    }

    /// TX_QUEUE_STOP.
    pub(crate) fn stop_transmit(
        &mut self,
        context: &mut impl WaitContext,
        queue: u16,
    ) -> Result<(), RamrodError> {
        let cid = self.transmit_cid(queue);
        let data = slowpath::tx_queue_stop();
        self.ramrod(context, Ramrod::TxQueueStop, cid, &data)?;
        self.mark(queue, |slot| slot.transmitting = false);
        Ok(())
    }

    /// RX_QUEUE_UPDATE: the queue takes the vport's frames without a hash.
    pub(crate) fn make_default(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        queue: u16,
    ) -> Result<(), RamrodError> {
        let data =
            slowpath::rx_queue_default(self.absolute_queue(queue), self.absolute_vport(vport));
        let cid = self.receive_cid(queue);
        self.ramrod(context, Ramrod::RxQueueUpdate, cid, &data)?;
        if let Some(state) = self.vport_mut(vport) {
            state.default_queue = Some(queue);
        }
        Ok(())
    }

    /// Stops both queues of a pair.
    ///
    /// Its part in receive-side scaling, and the frames without a hash, go to the vport's other queue pairs first. The
    /// vport is inactive while its last queue pair stops; while another one does, it only does not receive.
    pub(crate) fn stop_queue_pair(
        &mut self,
        context: &mut impl WaitContext,
        queue: u16,
    ) -> Result<(), RamrodError> {
        let vport = self.queue_vport(queue);
        let heir = self.other_queue(vport, queue);
        self.leave_rss(context, vport, QueuePairId(queue), heir.map(QueuePairId))?;
        let default = self.vport(vport).and_then(|state| state.default_queue);
        if default == Some(queue) {
            match heir {
                Some(heir) => self.make_default(context, vport, heir)?,
                None => self.forget_default(vport),
            }
        }
        let active = self.vport(vport).is_some_and(|state| state.active);
        if active && heir.is_none() {
            self.set_vport_active(context, vport, false)?;
        }
        let (receiving, transmitting) = self
            .slot(queue)
            .map_or((false, false), |slot| (slot.receiving, slot.transmitting));
        if transmitting {
            self.stop_transmit(context, queue)?;
        }
        if receiving && active && heir.is_some() {
            self.stop_receive_between(context, vport, queue)?;
        } else if receiving {
            self.stop_receive(context, queue)?;
        }
        self.mark(queue, |slot| slot.vport = None);
        Ok(())
    }

    /// RX_QUEUE_STOP wants a vport that does not receive; the others' frames are lost for that moment.
    fn stop_receive_between(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        queue: u16,
    ) -> Result<(), RamrodError> {
        let receive = |active| VportUpdate {
            receive_active: Some(active),
            ..VportUpdate::default()
        };
        self.update_vport(context, vport, &receive(false))?;
        let stopped = self.stop_receive(context, queue);
        let resumed = self.update_vport(context, vport, &receive(true));
        if let (Err(_), Some(state)) = (&resumed, self.vport_mut(vport)) {
            state.active = false;
        }
        stopped.and(resumed)
    }

    /// Another queue pair of the vport that receives.
    fn other_queue(&self, vport: u8, queue: u16) -> Option<u16> {
        let slots = self.queues.iter().enumerate();
        let mut others = slots.filter(|(index, slot)| {
            slot.vport == Some(vport) && slot.receiving && *index != usize::from(queue)
        });
        others.next().map(|(index, _)| index as u16)
    }

    fn forget_default(&mut self, vport: u8) {
        if let Some(state) = self.vport_mut(vport) {
            state.default_queue = None;
        }
    }

    /// Stops all queues and vports; PF_STOP may follow.
    pub(crate) fn stop_traffic(
        &mut self,
        context: &mut impl WaitContext,
    ) -> Result<(), RamrodError> {
        // All go: nobody takes over what one leaves.
        self.rss = None;
        for vport in 0..self.vports.len() as u8 {
            self.forget_default(vport);
            if self.vport(vport).is_some_and(|state| state.active) {
                self.set_vport_active(context, vport, false)?;
            }
        }
        for queue in (0..self.queues.len() as u16).rev() {
            if self.slot(queue).is_some_and(|slot| slot.vport.is_some()) {
                self.stop_queue_pair(context, queue)?;
            }
        }
        for vport in 0..self.vports.len() as u8 {
            if self.vport(vport).is_some() {
                self.stop_vport(context, vport)?;
            }
        }
        Ok(())
    }
}
