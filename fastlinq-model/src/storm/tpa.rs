//! Transparent packet aggregation in split mode: segments of one TCP flow become one packet of several buffers.
//!
//! Modelled is what drivers use: one buffer per segment, no tunnels, no IP options. Source: hardware reference
//! B2 3.6 and B3 6.6; that the first header is rewritten at the end is inferred there.

use fastlinq_pac::hsi::{
    EthFastPathRxTpaContCqe, EthFastPathRxTpaEndCqe, EthFastPathRxTpaStartCqe, EthRxCqeType,
    EthTpaEndReason, EthTunnelParsingFlags, EthVportTpaParam, ParsingAndErrFlags,
};
use zerocopy::IntoBytes;

use super::Storm;
use super::aggregation::{Aggregation, Segment, TCP_PSH};
use super::layout::StormLayout;
use super::parse::TransportKind;
use super::receive::{Arrival, Report};
use super::rx_queue::RxQueue;
use super::statistics::{self, Coalesced};
use crate::fabric::Fabric;

/// Where no timeout is set in storm RAM.
const DEFAULT_TIMEOUT_US: u32 = 100;

/// Why an aggregation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndReason {
    SlowPathUpdate,
    MaxLength,
    LastSegment,
    Timeout,
    NotConsistent,
    OutOfOrder,
    NotAggregatable,
}

impl EndReason {
    const fn value(self) -> u8 {
        match self {
            Self::SlowPathUpdate => EthTpaEndReason::SP_UPDATE.value(),
            Self::MaxLength => EthTpaEndReason::MAX_LEN.value(),
            Self::LastSegment => EthTpaEndReason::LAST_SEG.value(),
            Self::Timeout => EthTpaEndReason::TIMEOUT.value(),
            Self::NotConsistent => EthTpaEndReason::NOT_CONSISTENT.value(),
            Self::OutOfOrder => EthTpaEndReason::OUT_OF_ORDER.value(),
            Self::NotAggregatable => EthTpaEndReason::NON_TPA_SEG.value(),
        }
    }

    const fn aborts(self) -> bool {
        matches!(
            self,
            Self::SlowPathUpdate | Self::NotConsistent | Self::OutOfOrder | Self::NotAggregatable
        )
    }
}

impl RxQueue {
    /// Takes a frame into an aggregation; false when it is to be placed on its own.
    fn aggregate(
        &mut self,
        fabric: &mut dyn Fabric,
        layout: &StormLayout,
        tpa: &EthVportTpaParam,
        arrival: &Arrival<'_>,
        report: &Report,
        frame: &[u8],
    ) -> bool {
        let Some(segment) = Segment::of(arrival, frame, tpa) else {
            self.close_flow_of(fabric, layout, arrival, frame);
            return false;
        };
        if let Some(index) = self.aggregations.find(&segment) {
            match self.misfit(index, tpa, &segment, report) {
                None => return self.continue_aggregation(fabric, layout, tpa, index, &segment),
                Some(reason) => self.close(fabric, layout, index, reason),
            }
        }
        self.start_aggregation(fabric, layout, tpa, arrival, report, &segment)
    }

    /// A frame of a flow that is being aggregated, but which cannot be, ends the aggregation.
    fn close_flow_of(
        &mut self,
        fabric: &mut dyn Fabric,
        layout: &StormLayout,
        arrival: &Arrival<'_>,
        frame: &[u8],
    ) {
        if self.aggregations.count() == 0 {
            return;
        }
        let layer = arrival.parsed.innermost();
        let (Some(network), Some(transport)) = (layer.network, layer.transport) else {
            return;
        };
        let stripped = arrival.frame.len() - frame.len();
        if arrival.parsed.tunnel.is_some() || transport.kind != TransportKind::Tcp {
            return;
        }
        let segment = Segment {
            frame,
            version: network.version,
            network: network.offset - stripped,
            tcp: transport.offset - stripped,
            payload: transport.offset + transport.length - stripped,
            end: network.end - stripped,
        };
        if let Some(index) = self.aggregations.find(&segment) {
            self.close(fabric, layout, index, EndReason::NotAggregatable);
        }
    }

    fn misfit(
        &self,
        index: usize,
        tpa: &EthVportTpaParam,
        segment: &Segment<'_>,
        report: &Report,
    ) -> Option<EndReason> {
        let open = self.aggregations.open.get(index)?.as_ref()?;
        let payload = segment.payload_bytes();
        if segment.sequence() != open.next_sequence {
            return Some(EndReason::OutOfOrder);
        }
        let strict = tpa.tpa_gro_consistent_flg != 0;
        if strict
            && (segment.consistency() != open.first().consistency() || report.vlan != open.vlan)
        {
            return Some(EndReason::NotConsistent);
        }
        let most = usize::from(tpa.tpa_max_size.get()).min(usize::from(u16::MAX));
        let too_long = open.total + payload > most || open.buffers >= tpa.max_buff_num;
        (too_long || payload > usize::from(self.bd_max_bytes)).then_some(EndReason::MaxLength)
    }

    /// Every open aggregation needs a completion to end with, so those are kept free.
    fn has_completions(
        &mut self,
        fabric: &mut dyn Fabric,
        layout: &StormLayout,
        more: usize,
    ) -> bool {
        self.completion_room(fabric, layout) as usize > self.aggregations.count() + more
    }

    fn start_aggregation(
        &mut self,
        fabric: &mut dyn Fabric,
        layout: &StormLayout,
        tpa: &EthVportTpaParam,
        arrival: &Arrival<'_>,
        report: &Report,
        segment: &Segment<'_>,
    ) -> bool {
        let length = segment.end;
        let fits = length + usize::from(report.offset) <= usize::from(self.bd_max_bytes);
        let long_enough = segment.payload_bytes() >= usize::from(tpa.tpa_min_size_to_start.get());
        if !fits
            || !long_enough
            || segment.flags() & TCP_PSH != 0
            || tpa.max_buff_num == 0
            || self.halted
        {
            return false;
        }
        let (producer, _) = self.producers(fabric, layout);
        if self.bds.available(producer) == 0 || !self.has_completions(fabric, layout, 1) {
            return false;
        }
        let Some(index) = self.aggregations.free(tpa.tpa_max_aggs_num.into()) else {
            return false;
        };
        let (Some(buffer), Some(placed)) = (self.take_buffer(fabric), segment.frame.get(..length))
        else {
            return false;
        };
        let address = buffer.wrapping_add(report.offset.into());
        if !self.write_buffer(fabric, address, placed) {
            return true;
        }
        let cqe = EthFastPathRxTpaStartCqe {
            type_: EthRxCqeType::TPA_START.value(),
            bitfields: report.hash_type(),
            seg_len: (length as u16).into(),
            pars_flags: ParsingAndErrFlags {
                flags: arrival.flags.bits().into(),
            },
            vlan_tag: report.vlan.into(),
            rss_hash: report.hash().into(),
            len_on_first_bd: (length as u16).into(),
            placement_offset: report.offset,
            tunnel_pars_flags: EthTunnelParsingFlags {
                flags: arrival.tunnel_flags.bits(),
            },
            tpa_agg_index: index as u8,
            header_len: segment.payload as u8,
            flow_id_or_resource_id: u32::from(report.flow.unwrap_or(0)).into(),
            ..Default::default()
        };
        self.post_completion(fabric, layout, cqe.as_bytes());
        if let Some(slot) = self.aggregations.open.get_mut(index) {
            *slot = Some(Aggregation {
                header: segment.bytes(0, segment.payload).to_vec(),
                version: segment.version,
                network: segment.network,
                tcp: segment.tcp,
                address,
                vlan: report.vlan,
                next_sequence: segment
                    .sequence()
                    .wrapping_add(segment.payload_bytes() as u32),
                total: length,
                buffers: 1,
                segments: 1,
                deadline_ns: fabric.now_ns().saturating_add(timeout_ns(fabric, layout)),
            });
        }
        true
    }

    fn continue_aggregation(
        &mut self,
        fabric: &mut dyn Fabric,
        layout: &StormLayout,
        tpa: &EthVportTpaParam,
        index: usize,
        segment: &Segment<'_>,
    ) -> bool {
        let (producer, _) = self.producers(fabric, layout);
        if self.bds.available(producer) == 0 || !self.has_completions(fabric, layout, 0) {
            self.close(fabric, layout, index, EndReason::MaxLength);
            return false;
        }
        let payload = segment.payload_bytes();
        let Some(address) = self.take_buffer(fabric) else {
            return true;
        };
        if !self.write_buffer(fabric, address, segment.bytes(segment.payload, payload)) {
            return true;
        }
        let mut cqe = EthFastPathRxTpaContCqe {
            type_: EthRxCqeType::TPA_CONT.value(),
            tpa_agg_index: index as u8,
            ..Default::default()
        };
        cqe.len_list[0] = (payload as u16).into();
        self.post_completion(fabric, layout, cqe.as_bytes());
        if let Some(open) = self
            .aggregations
            .open
            .get_mut(index)
            .and_then(Option::as_mut)
        {
            open.next_sequence = open.next_sequence.wrapping_add(payload as u32);
            open.total += payload;
            open.buffers = open.buffers.saturating_add(1);
            open.segments += 1;
            open.absorb(segment);
        }
        if segment.flags() & TCP_PSH != 0 || payload < usize::from(tpa.tpa_min_size_to_cont.get()) {
            self.close(fabric, layout, index, EndReason::LastSegment);
        }
        true
    }

    fn close(
        &mut self,
        fabric: &mut dyn Fabric,
        layout: &StormLayout,
        index: usize,
        reason: EndReason,
    ) {
        let Some(open) = self.aggregations.open.get_mut(index).and_then(Option::take) else {
            return;
        };
        if self.halted {
            return;
        }
        if open.segments > 1 {
            self.write_buffer(fabric, open.address, &open.header);
        }
        let cqe = EthFastPathRxTpaEndCqe {
            type_: EthRxCqeType::TPA_END.value(),
            tpa_agg_index: index as u8,
            total_packet_len: (open.total as u16).into(),
            num_of_bds: open.buffers,
            end_reason: reason.value(),
            num_of_coalesced_segs: open.segments.into(),
            ..Default::default()
        };
        self.post_completion(fabric, layout, cqe.as_bytes());
        let counts = Coalesced {
            packets: open.segments.into(),
            events: 1,
            aborts: reason.aborts().into(),
            bytes: open.total as u64,
        };
        statistics::coalesced(fabric, layout, self.stat, counts);
    }

    fn close_all(&mut self, fabric: &mut dyn Fabric, layout: &StormLayout, reason: EndReason) {
        for index in 0..self.aggregations.open.len() {
            self.close(fabric, layout, index, reason);
        }
    }
}

impl Storm {
    /// Takes a frame into an aggregation of its queue; false when it is to be placed on its own.
    pub(super) fn aggregate(
        &mut self,
        fabric: &mut dyn Fabric,
        arrival: &Arrival<'_>,
        vport: u8,
        queue: u16,
        report: &Report,
        frame: &[u8],
    ) -> bool {
        let Some(tpa) = self.vport(vport).map(|vport| vport.tpa) else {
            return false;
        };
        match self.rx_queues.get_mut(&queue) {
            Some(queue) => queue.aggregate(fabric, &self.layout, &tpa, arrival, report, frame),
            None => false,
        }
    }

    pub(super) fn close_aggregations_of_queue(
        &mut self,
        fabric: &mut dyn Fabric,
        queue: u16,
        reason: EndReason,
    ) {
        if let Some(queue) = self.rx_queues.get_mut(&queue) {
            queue.close_all(fabric, &self.layout, reason);
        }
    }

    pub(super) fn close_aggregations_of_vport(
        &mut self,
        fabric: &mut dyn Fabric,
        vport: u8,
        reason: EndReason,
    ) {
        for queue in self
            .rx_queues
            .values_mut()
            .filter(|queue| queue.vport == vport)
        {
            queue.close_all(fabric, &self.layout, reason);
        }
    }

    /// Ends aggregations that have been open for as long as the firmware's timeout said when they began.
    pub(super) fn close_old_aggregations(&mut self, fabric: &mut dyn Fabric) {
        let now = fabric.now_ns();
        for queue in self.rx_queues.values_mut() {
            for index in 0..queue.aggregations.open.len() {
                let open = queue.aggregations.open.get(index).and_then(Option::as_ref);
                if open.is_some_and(|open| open.deadline_ns <= now) {
                    queue.close(fabric, &self.layout, index, EndReason::Timeout);
                }
            }
        }
    }

    /// The model time at which an aggregation ends by itself, if one is open.
    pub(crate) fn next_due_ns(&self) -> Option<u64> {
        let queues = self.rx_queues.values();
        queues
            .filter_map(|queue| queue.aggregations.next_deadline_ns())
            .min()
    }
}

/// The firmware's timeout of an aggregation.
fn timeout_ns(fabric: &mut dyn Fabric, layout: &StormLayout) -> u64 {
    let variable = &layout.tpa_timeout_us;
    let set = fabric.ram32(variable.storm, variable.offset(0));
    u64::from(if set == 0 { DEFAULT_TIMEOUT_US } else { set }) * 1000
}
