//! What an adapter owns while it is up, and the ramrods that change it.

use fastlinq_pac::hsi::PfStartRamrodData;
use fastlinq_pac::versions::{HostStructure, Layout};
use heapless::Vec;

use super::config::MAX_QUEUE_PAIRS;
use super::leak::LeakReport;
use super::memory::ConsolidationQueue;
use crate::config::{FunctionMemory, MacFilters};
use crate::dma::DmaBuffer;
use crate::host::Host;
use crate::queue::{QueuePairRequest, RECEIVE_PROTOCOL_INDEX, TRANSMIT_PROTOCOL_INDEX};
use crate::slowpath::{
    self, Attentions, FilterCommand, RAMROD_DATA_BYTES, Ramrod, RamrodError, SlowPath, VportUpdate,
    WaitContext,
};
use crate::vport::{ReceiveMode, VportConfig, VportState};

/// Vports that one adapter handle keeps track of.
pub const MAX_VPORTS: usize = 16;

/// Numbers of this function's resources, engine-absolute where ramrods want them so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    /// Addresses of firmware variables.
    pub(crate) layout: &'static Layout,
    /// Number of the function inside its engine.
    pub(crate) relative_pf: u8,
    /// First connection of the Ethernet type; queue pair k receives on 2k and transmits on 2k+1 behind it.
    pub(crate) first_eth_cid: u16,
    /// First L2 queue.
    pub(crate) first_queue: u16,
    /// First vport.
    pub(crate) first_vport: u8,
    /// Transmit queue of the queue manager for traffic class 0.
    pub(crate) transmit_pq: u16,
    /// RSS engine, if the function has one.
    pub(crate) rss_engine: Option<u8>,
    /// Port of the management firmware, whose number the packet path's counters have.
    pub(crate) statistics_port: u8,
    /// MTU in bytes for vports that name none.
    pub(crate) mtu: u16,
}

/// One queue pair's place.
pub(crate) struct QueueSlot<H: Host> {
    /// IGU number of its status block.
    pub(crate) igu_status_block: u16,
    /// Memory of the status block, unless a queue pair has it.
    pub(crate) status_block: Option<DmaBuffer<H::Region>>,
    /// Vport whose queues run.
    pub(crate) vport: Option<u8>,
    pub(crate) receiving: bool,
    pub(crate) transmitting: bool,
}

/// What an adapter owns while it is up.
pub(crate) struct Running<H: Host> {
    pub(crate) slow_path: SlowPath<H>,
    pub(crate) attentions: Attentions<H::Region>,
    pub(crate) consolidation: ConsolidationQueue<H>,
    /// Contexts, queues of the queue manager, overlays.
    pub(crate) memory: FunctionMemory<H::Region>,
    /// The port's filters for this function.
    pub(crate) filters: MacFilters,
    pub(crate) numbers: Numbers,
    pub(crate) queues: Vec<QueueSlot<H>, MAX_QUEUE_PAIRS>,
    pub(crate) vports: Vec<Option<VportState>, MAX_VPORTS>,
    /// Counter of the default status block that was acknowledged last.
    pub(crate) acknowledged: u32,
}

impl<H: Host> Running<H> {
    pub(crate) fn receive_cid(&self, queue: u16) -> u16 {
        self.numbers.first_eth_cid.wrapping_add(2 * queue)
    }

    pub(crate) fn transmit_cid(&self, queue: u16) -> u16 {
        self.receive_cid(queue).wrapping_add(1)
    }

    pub(crate) fn absolute_queue(&self, queue: u16) -> u16 {
        self.numbers.first_queue.wrapping_add(queue)
    }

    pub(crate) fn absolute_vport(&self, vport: u8) -> u8 {
        self.numbers.first_vport.wrapping_add(vport)
    }

    /// Posts a ramrod on a connection, its data laid out as the firmware's version has it.
    fn ramrod<T: HostStructure>(
        &mut self,
        context: &mut impl WaitContext,
        ramrod: Ramrod,
        cid: u16,
        data: &T,
    ) -> Result<(), RamrodError> {
        let mut bytes = [0; RAMROD_DATA_BYTES];
        let used = self.numbers.layout.encode(data, &mut bytes);
        let data = used
            .and_then(|used| bytes.get(..used))
            .ok_or(RamrodError::Memory { ramrod })?;
        self.slow_path.execute(context, ramrod, cid, data)
    }

    fn on_own_queue<T: HostStructure>(
        &mut self,
        context: &mut impl WaitContext,
        ramrod: Ramrod,
        data: &T,
    ) -> Result<(), RamrodError> {
        let cid = self.slow_path.cid();
        self.ramrod(context, ramrod, cid, data)
    }

    /// PF_START, the first ramrod.
    pub(crate) fn start_function(
        &mut self,
        context: &mut impl WaitContext,
        data: &PfStartRamrodData,
    ) -> Result<(), RamrodError> {
        self.on_own_queue(context, Ramrod::PfStart, data)
    }

    /// EMPTY, which does nothing.
    pub(crate) fn heartbeat(&mut self, context: &mut impl WaitContext) -> Result<(), RamrodError> {
        let cid = self.slow_path.cid();
        self.slow_path.execute(context, Ramrod::Empty, cid, &[])
    }

    /// PF_STOP, the last ramrod.
    pub(crate) fn stop_function(
        &mut self,
        context: &mut impl WaitContext,
    ) -> Result<(), RamrodError> {
        let cid = self.slow_path.cid();
        self.slow_path.execute(context, Ramrod::PfStop, cid, &[])
    }

    /// VPORT_START for the vport in a free place.
    pub(crate) fn start_vport(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        config: VportConfig,
    ) -> Result<(), RamrodError> {
        let data = slowpath::vport_start(&slowpath::VportStart {
            vport: self.absolute_vport(vport),
            function: self.numbers.relative_pf,
            mtu: config.mtu.unwrap_or(self.numbers.mtu),
            strip_vlan: config.strip_vlan,
            only_untagged: config.only_untagged,
            zero_placement_offset: config.zero_placement_offset,
        });
        self.on_own_queue(context, Ramrod::VportStart, &data)?;
        if let Some(place) = self.vports.get_mut(usize::from(vport)) {
            *place = Some(VportState {
                active: false,
                mode: ReceiveMode::NOTHING,
                multicast_overflow: false,
                vlan_filtering: config.only_untagged,
            });
        }
        Ok(())
    }

    /// VPORT_UPDATE.
    pub(crate) fn update_vport(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        update: &VportUpdate,
    ) -> Result<(), RamrodError> {
        let data = slowpath::vport_update(self.absolute_vport(vport), update);
        self.on_own_queue(context, Ramrod::VportUpdate, &data)
    }

    /// VPORT_UPDATE of both active flags.
    pub(crate) fn set_vport_active(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        active: bool,
    ) -> Result<(), RamrodError> {
        let update = VportUpdate {
            receive_active: Some(active),
            transmit_active: Some(active),
            ..VportUpdate::default()
        };
        self.update_vport(context, vport, &update)?;
        if let Some(state) = self.vport_mut(vport) {
            state.active = active;
        }
        Ok(())
    }

    /// VPORT_STOP; the vport's place is free afterwards.
    pub(crate) fn stop_vport(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
    ) -> Result<(), RamrodError> {
        let data = slowpath::vport_stop(self.absolute_vport(vport));
        self.on_own_queue(context, Ramrod::VportStop, &data)?;
        if let Some(place) = self.vports.get_mut(usize::from(vport)) {
            *place = None;
        }
        Ok(())
    }

    /// FILTERS_UPDATE.
    pub(crate) fn update_filters(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        commands: &[FilterCommand],
    ) -> Result<(), RamrodError> {
        let data = slowpath::filters_update(self.absolute_vport(vport), commands);
        self.on_own_queue(context, Ramrod::FiltersUpdate, &data)
    }

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
            statistics: absolute_vport,
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
            statistics: absolute_vport,
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

    /// Stops both queues of a pair; its vport is made inactive before.
    pub(crate) fn stop_queue_pair(
        &mut self,
        context: &mut impl WaitContext,
        queue: u16,
    ) -> Result<(), RamrodError> {
        let vport = self.queue_vport(queue);
        if self.vport(vport).is_some_and(|state| state.active) {
            self.set_vport_active(context, vport, false)?;
        }
        let (receiving, transmitting) = self
            .slot(queue)
            .map_or((false, false), |slot| (slot.receiving, slot.transmitting));
        if transmitting {
            self.stop_transmit(context, queue)?;
        }
        if receiving {
            self.stop_receive(context, queue)?;
        }
        self.mark(queue, |slot| slot.vport = None);
        Ok(())
    }

    /// Stops all queues and vports; PF_STOP may follow.
    pub(crate) fn stop_traffic(
        &mut self,
        context: &mut impl WaitContext,
    ) -> Result<(), RamrodError> {
        for vport in 0..self.vports.len() as u8 {
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

    /// IGU numbers of all status blocks, the default one last.
    pub(crate) fn igu_status_blocks(&self) -> impl Iterator<Item = u16> {
        let queues = self.queues.iter().map(|slot| slot.igu_status_block);
        queues.chain([self.slow_path.igu_status_block()])
    }

    pub(crate) fn vport(&self, vport: u8) -> Option<&VportState> {
        self.vports.get(usize::from(vport)).and_then(Option::as_ref)
    }

    pub(crate) fn vport_mut(&mut self, vport: u8) -> Option<&mut VportState> {
        self.vports
            .get_mut(usize::from(vport))
            .and_then(Option::as_mut)
    }

    pub(crate) fn slot(&self, queue: u16) -> Option<&QueueSlot<H>> {
        self.queues.get(usize::from(queue))
    }

    fn igu_status_block(&self, queue: u16) -> u16 {
        self.slot(queue).map_or(0, |slot| slot.igu_status_block)
    }

    fn queue_vport(&self, queue: u16) -> u8 {
        self.slot(queue).and_then(|slot| slot.vport).unwrap_or(0)
    }

    pub(crate) fn mark(&mut self, queue: u16, change: impl FnOnce(&mut QueueSlot<H>)) {
        if let Some(slot) = self.queues.get_mut(usize::from(queue)) {
            change(slot);
        }
    }

    /// Returns all DMA memory to the host when the device is `quiet`, else keeps it allocated.
    pub(crate) fn release(self, quiet: bool) -> LeakReport {
        let mut report = LeakReport::default();
        for buffer in self.slow_path.into_memory() {
            report.release(buffer, quiet);
        }
        report.release(self.attentions.into_memory(), quiet);
        self.consolidation.release(&mut report, quiet);
        for buffer in self.memory.into_buffers() {
            report.release(buffer, quiet);
        }
        for slot in self.queues {
            if let Some(buffer) = slot.status_block {
                report.release(buffer, quiet);
            }
        }
        report
    }
}
