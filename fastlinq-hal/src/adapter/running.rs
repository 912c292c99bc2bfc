//! What an adapter owns while it is up, and the ramrods that change it.

use fastlinq_pac::hsi::PfStartRamrodData;
use fastlinq_pac::versions::{HostStructure, Layout};
use heapless::Vec;

use super::config::MAX_QUEUE_PAIRS;
use super::leak::LeakReport;
use super::memory::ConsolidationQueue;
use super::tunnels::TunnelConfig;
use crate::config::{FunctionMemory, MacFilters};
use crate::dma::DmaBuffer;
use crate::host::Host;
use crate::slowpath::{
    self, Attentions, FlowFilter, RAMROD_DATA_BYTES, Ramrod, RamrodError, SlowPath, TunnelUpdate,
    VportStatistics, WaitContext,
};
use crate::steering::{Flows, SAMPLE_BYTES, SAMPLE_STRIDE};
use crate::vport::{RssState, VportState};

mod queues;
mod vports;

/// Vports that one adapter handle keeps track of.
pub const MAX_VPORTS: usize = 16;

/// Vports whose queue pairs can be counted apart.
const COUNTED_VPORTS: usize = 4;

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
    /// The function's share of vport numbers, which are statistics ids, too.
    pub(crate) vport_share: u16,
    /// Whether queue pairs have statistics ids of their own, as far as there are some.
    pub(crate) queue_statistics: bool,
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
    /// Bytes that the device may write into a receive buffer.
    pub(crate) buffer_bytes: u16,
    /// Pages of the receive completion queue.
    pub(crate) completion_pages: u16,
    /// Its own statistics id, counted from the function's first.
    pub(crate) statistics: Option<u8>,
}

impl<H: Host> QueueSlot<H> {
    /// Whether a queue pair may be opened here.
    pub(crate) fn is_free(&self) -> bool {
        self.vport.is_none() && !self.receiving && !self.transmitting && self.status_block.is_some()
    }
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
    /// What closed queue pairs counted under ids of their own, by vport.
    pub(crate) counted: Vec<(u8, VportStatistics), COUNTED_VPORTS>,
    /// Receive-side scaling, of the one vport that has it.
    pub(crate) rss: Option<RssState>,
    /// The last number that [`Running::next_filter_epoch`] gave.
    pub(crate) filter_epochs: u32,
    /// Flows that are steered, if there is memory for them.
    pub(crate) flows: Option<Flows>,
    /// Their sample headers, one for each place.
    pub(crate) flow_samples: Option<DmaBuffer<H::Region>>,
    /// Tunnels that the parser is open for.
    pub(crate) tunnels: TunnelConfig,
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

    /// Puts the sample header of a flow where the firmware finds it.
    pub(crate) fn write_sample(
        &mut self,
        number: u16,
        sample: &[u8; SAMPLE_BYTES],
    ) -> Result<(), RamrodError> {
        let ramrod = Ramrod::FlowUpdate;
        let samples = self.flow_samples.as_mut();
        let samples = samples.ok_or(RamrodError::Memory { ramrod })?;
        samples
            .copy_from(usize::from(number) * SAMPLE_STRIDE, sample)
            .map_err(|_| RamrodError::Memory { ramrod })
    }

    /// RX_UPDATE_GFT_FILTER for the flow of that number, whose sample is written.
    pub(crate) fn update_flow(
        &mut self,
        context: &mut impl WaitContext,
        filter: FlowFilter,
        number: u16,
        sample_bytes: u8,
    ) -> Result<(), RamrodError> {
        let ramrod = Ramrod::FlowUpdate;
        let samples = self.flow_samples.as_ref();
        let samples = samples.ok_or(RamrodError::Memory { ramrod })?;
        let offset = usize::from(number) * SAMPLE_STRIDE;
        let filter = FlowFilter {
            sample: samples.bus_address().offset(offset as u64),
            sample_bytes: sample_bytes.into(),
            flow: Some(number),
            ..filter
        };
        self.on_own_queue(context, ramrod, &slowpath::flow_filter(&filter))
    }

    /// PF_UPDATE.
    pub(crate) fn update_tunnels(
        &mut self,
        context: &mut impl WaitContext,
        update: &TunnelUpdate,
    ) -> Result<(), RamrodError> {
        let data = slowpath::tunnel_update(update);
        self.on_own_queue(context, Ramrod::PfUpdate, &data)
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

    /// The engine-absolute statistics id of a queue pair on a vport: its own, or the vport's.
    pub(crate) fn statistics_id(&self, queue: u16, vport: u8) -> u8 {
        let own = self.slot(queue).and_then(|slot| slot.statistics);
        self.absolute_vport(own.unwrap_or(vport))
    }

    /// A statistics id that neither a vport nor a queue pair has, from the end of the function's share: vports take
    /// theirs from its beginning.
    pub(crate) fn free_statistics_id(&self) -> Option<u8> {
        let ids = 0..self.numbers.vport_share.min(u8::MAX.into()) as u8;
        ids.rev()
            .find(|id| self.vport(*id).is_none() && !self.counts_for_queue(*id))
    }

    /// Whether a queue pair has the statistics id.
    pub(crate) fn counts_for_queue(&self, id: u8) -> bool {
        self.queues.iter().any(|slot| slot.statistics == Some(id))
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
        if let Some(buffer) = self.flow_samples {
            report.release(buffer, quiet);
        }
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
