//! The receive pipeline: from a frame on a port to completions in receive queues.

use fastlinq_pac::hsi::flags::{ParsingAndErrorFlags, TunnelParsingFlags};
use fastlinq_pac::hsi::{EthFastPathRxRegCqe, EthRxCqeType, RssHashType, TunnelClss};
use fastlinq_pac::registers::{nig, prs};
use zerocopy::IntoBytes;

use super::Storm;
use super::classify::{Cast, Direction, classify};
use super::filters::VportSet;
use super::gft::GftVerdict;
use super::parse::{ETHERNET_HEADER, MAC_ADDRESSES, Parsed, TunnelConfig};
use super::place::{NotPlaced, PADDING};
use super::rss::RssResult;
use super::statistics::{self, Discard, PortDiscard};
use crate::fabric::{Fabric, Function};

/// MAC filters in front of a PF.
const LLH_FILTERS: u32 = 16;

/// A frame on its way into queues, with what was recognised in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) frame: &'a [u8],
    pub(super) parsed: &'a Parsed,
    pub(super) flags: ParsingAndErrorFlags,
    pub(super) tunnel_flags: TunnelParsingFlags,
    pub(super) port: u8,
    /// Switched inside the adapter and never on the wire.
    pub(super) switched: bool,
}

impl Arrival<'_> {
    pub(super) fn cast(&self) -> Cast {
        Cast::of(self.frame)
    }
}

/// What a queue is told about a frame besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) rss: Option<RssResult>,
    pub(super) vlan: u16,
    pub(super) flow: Option<u16>,
    pub(super) offset: u8,
}

impl Report {
    pub(super) fn hash_type(&self) -> u8 {
        self.rss
            .map_or(RssHashType::DEFAULT, |rss| rss.hash_type)
            .value()
    }

    pub(super) fn hash(&self) -> u32 {
        self.rss.map_or(0, |rss| rss.hash)
    }
}

impl Storm {
    /// A frame (without FCS) from a port.
    pub(super) fn receive_frame(&mut self, fabric: &mut dyn Fabric, port: u8, frame: &[u8]) {
        if frame.len() < ETHERNET_HEADER {
            return;
        }
        let functions = self.functions_for(fabric, port, frame);
        let mut delivered = false;
        for pf in &functions {
            match self.without_outer_tag(*pf, frame) {
                Some(frame) => delivered |= self.receive_for(fabric, port, *pf, &frame),
                None => {
                    statistics::port_discarded(fabric, &self.layout, port, PortDiscard::OuterTag);
                    delivered = true;
                }
            }
        }
        if !functions.is_empty() && !delivered {
            statistics::port_discarded(fabric, &self.layout, port, PortDiscard::NoVport);
        }
    }

    /// The PFs whose gate lets the frame in.
    fn functions_for(&self, fabric: &mut dyn Fabric, port: u8, frame: &[u8]) -> Vec<u8> {
        let mut functions: Vec<u8> = (0..self.pfs.len() as u8)
            .filter(|pf| self.pf_config(*pf).is_some() && fabric.port_of(*pf) == port)
            .collect();
        if functions.len() > 1 && Cast::of(frame) == Cast::Unicast {
            let matched: Vec<u8> = functions
                .iter()
                .copied()
                .filter(|pf| llh_matches(fabric, *pf, frame))
                .collect();
            if matched.is_empty() {
                // The first PF of a port stands for the port's default.
                functions.truncate(1);
            } else {
                functions = matched;
            }
        }
        let gate = nig::RX_LLH_BRB_GATE_DNTFWD_PERPF.address().value();
        functions.retain(|pf| fabric.register(Function::pf(*pf), gate) == 0);
        functions
    }

    /// The frame as its PF sees it, or `None` when it does not carry the PF's outer tag.
    fn without_outer_tag<'a>(&self, pf: u8, frame: &'a [u8]) -> Option<std::borrow::Cow<'a, [u8]>> {
        let Some(tag) = self.pf_config(pf).and_then(|config| config.outer_tag) else {
            return Some(frame.into());
        };
        let header = frame.get(MAC_ADDRESSES..MAC_ADDRESSES + 4)?;
        let ether_type = u16::from_be_bytes([header[0], header[1]]);
        let tci = u16::from_be_bytes([header[2], header[3]]);
        (ether_type == tag.ether_type && tci & 0xfff == tag.tci & 0xfff)
            .then(|| without_tag(frame).into())
    }

    fn receive_for(&mut self, fabric: &mut dyn Fabric, port: u8, pf: u8, frame: &[u8]) -> bool {
        let tunnels = receive_tunnels(fabric, pf);
        let Some(parsed) = Parsed::new(frame, &tunnels) else {
            return false;
        };
        let scheme = self.scheme(pf, &parsed);
        let candidates = self
            .started_vports()
            .filter(|(_, vport)| vport.function.pf == pf);
        let vports = classify(
            frame,
            &parsed,
            scheme,
            Direction::Receive,
            &self.rx_filters,
            candidates,
        );
        if vports.is_empty() {
            return false;
        }
        let (flags, tunnel_flags) = parsed.flags(frame);
        let arrival = Arrival {
            frame,
            parsed: &parsed,
            flags,
            tunnel_flags,
            port,
            switched: false,
        };
        self.deliver(fabric, &arrival, vports);
        true
    }

    pub(super) fn scheme(&self, pf: u8, parsed: &Parsed) -> TunnelClss {
        let carries_ethernet = parsed.inner.is_some_and(|inner| inner.ethernet.is_some());
        match (self.pf_config(pf), parsed.tunnel) {
            (Some(config), Some(tunnel)) => config.schemes.of(tunnel.kind, carries_ethernet),
            _ => TunnelClss::MAC_VLAN,
        }
    }

    /// Hands a copy to each vport.
    pub(super) fn deliver(
        &mut self,
        fabric: &mut dyn Fabric,
        arrival: &Arrival<'_>,
        vports: VportSet,
    ) {
        for vport in vports.iter() {
            self.deliver_to(fabric, arrival, vport);
        }
    }

    fn deliver_to(&mut self, fabric: &mut dyn Fabric, arrival: &Arrival<'_>, id: u8) {
        let Some(vport) = self.vport(id) else { return };
        let stat = self.stat_of(id);
        let payload = arrival
            .frame
            .len()
            .saturating_sub(arrival.parsed.l2_length());
        let discard = if !vport.rx_active {
            Some(Discard::NotActive)
        } else if vport.drop_ttl0 && arrival.parsed.dead_hop_limit() {
            Some(Discard::Ttl0)
        } else if payload > usize::from(vport.mtu) && arrival.frame.len() > 60 {
            Some(Discard::TooBig)
        } else {
            None
        };
        if let Some(why) = discard {
            self.discard(fabric, arrival, id, stat, why);
            return;
        }
        let (mut target, mut queue, mut flow) = (id, None, None);
        match self.gft_lookup(fabric, vport.function.pf, arrival) {
            None => {}
            Some(GftVerdict::Drop) => {
                statistics::port_discarded(
                    fabric,
                    &self.layout,
                    arrival.port,
                    PortDiscard::GftDrop,
                );
                return;
            }
            Some(GftVerdict::Steer {
                vport,
                queue: to,
                flow: id,
            }) => (target, queue, flow) = (vport, to, id),
        }
        self.deliver_to_queue(fabric, arrival, target, queue, flow);
    }

    fn deliver_to_queue(
        &mut self,
        fabric: &mut dyn Fabric,
        arrival: &Arrival<'_>,
        id: u8,
        chosen: Option<u16>,
        flow: Option<u16>,
    ) {
        let stat = self.stat_of(id);
        let Some(vport) = self.vport(id) else { return };
        let tagged = arrival.parsed.vlan().filter(|_| vport.strip_vlan);
        let frame = if tagged.is_some() {
            without_tag(arrival.frame).into()
        } else {
            std::borrow::Cow::from(arrival.frame)
        };
        let vlan = match tagged {
            Some(_) if vport.silent_vlan_removal => 0,
            Some(tci) if vport.wipe_vlan_priority => tci & 0xfff,
            Some(tci) => tci,
            None => 0,
        };
        let rss = vport.rss.apply(arrival.frame, arrival.parsed.innermost());
        let offset = if vport.zero_placement_offset {
            0
        } else {
            PADDING
        };
        let report = Report {
            rss,
            vlan,
            flow,
            offset,
        };
        let Some(queue_id) = chosen.or(rss.map(|rss| rss.queue)).or(vport.default_queue) else {
            self.discard(fabric, arrival, id, stat, Discard::NotActive);
            return;
        };
        if self
            .rx_queues
            .get(&queue_id)
            .is_none_or(|queue| queue.vport != id)
        {
            self.discard(fabric, arrival, id, stat, Discard::NotActive);
            return;
        }
        if self.aggregate(fabric, arrival, id, queue_id, &report, &frame) {
            self.count_received(fabric, arrival, queue_id);
            return;
        }
        match self.place_regular(fabric, arrival, queue_id, &report, &frame) {
            Ok(()) => self.count_received(fabric, arrival, queue_id),
            Err(NotPlaced::NoBuffer) => {
                let stat = self
                    .rx_queues
                    .get(&queue_id)
                    .map_or(stat, |queue| queue.stat);
                self.discard(fabric, arrival, id, stat, Discard::NoBuffer);
            }
            Err(NotPlaced::Halted) => {}
        }
    }

    fn discard(
        &self,
        fabric: &mut dyn Fabric,
        arrival: &Arrival<'_>,
        vport: u8,
        stat: u8,
        why: Discard,
    ) {
        statistics::discarded(fabric, &self.layout, stat, why);
        if let Some(pf) = self.vport(vport).map(|vport| vport.function.pf) {
            let tunnel = arrival.parsed.tunnel.map(|tunnel| tunnel.kind);
            statistics::discarded_by_pf(fabric, &self.layout, pf, tunnel, arrival.switched);
        }
    }

    fn place_regular(
        &mut self,
        fabric: &mut dyn Fabric,
        arrival: &Arrival<'_>,
        queue_id: u16,
        report: &Report,
        frame: &[u8],
    ) -> Result<(), NotPlaced> {
        let queue = self.rx_queues.get_mut(&queue_id).ok_or(NotPlaced::Halted)?;
        let placed = queue.place(fabric, &self.layout, report.offset, frame)?;
        let cqe = EthFastPathRxRegCqe {
            type_: EthRxCqeType::REGULAR.value(),
            bitfields: report.hash_type(),
            pkt_len: (frame.len() as u16).into(),
            pars_flags: fastlinq_pac::hsi::ParsingAndErrFlags {
                flags: arrival.flags.bits().into(),
            },
            vlan_tag: report.vlan.into(),
            rss_hash: report.hash().into(),
            len_on_first_bd: placed.first_bytes.into(),
            placement_offset: report.offset,
            tunnel_pars_flags: fastlinq_pac::hsi::EthTunnelParsingFlags {
                flags: arrival.tunnel_flags.bits(),
            },
            bd_num: placed.buffers,
            flow_id_or_resource_id: u32::from(report.flow.unwrap_or(0)).into(),
            ..Default::default()
        };
        if queue.post_completion(fabric, &self.layout, cqe.as_bytes()) {
            Ok(())
        } else {
            Err(NotPlaced::Halted)
        }
    }

    fn count_received(&mut self, fabric: &mut dyn Fabric, arrival: &Arrival<'_>, queue_id: u16) {
        let Some(queue) = self.rx_queues.get(&queue_id) else {
            return;
        };
        let (pf, cast, bytes) = (queue.function.pf, arrival.cast(), arrival.frame.len());
        statistics::received(fabric, &self.layout, queue.stat, cast, bytes);
        if arrival.switched {
            statistics::received_switched(fabric, &self.layout, pf, cast, bytes);
        }
        if let Some(tunnel) = arrival.parsed.tunnel {
            statistics::received_tunnel(fabric, &self.layout, pf, tunnel.kind, bytes);
        }
    }

    /// The statistics counter of frames that reach no queue.
    fn stat_of(&self, id: u8) -> u8 {
        let queue = self
            .vport(id)
            .and_then(|vport| self.rx_queues.get(&vport.default_queue?));
        match (queue, self.vport(id).and_then(|vport| vport.function.vf)) {
            (Some(queue), _) => queue.stat,
            (None, Some(vf)) => vf.saturating_add(16),
            (None, None) => id,
        }
    }
}

/// A frame without its outermost tag.
pub(super) fn without_tag(frame: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(frame.len());
    bytes.extend_from_slice(frame.get(..MAC_ADDRESSES).unwrap_or(frame));
    bytes.extend_from_slice(frame.get(MAC_ADDRESSES + 4..).unwrap_or(&[]));
    bytes
}

fn llh_matches(fabric: &mut dyn Fabric, pf: u8, frame: &[u8]) -> bool {
    let function = Function::pf(pf);
    let [a, b, c, d, e, f, ..] = *frame else {
        return false;
    };
    let (high, low) = (
        u32::from_be_bytes([0, 0, a, b]),
        u32::from_be_bytes([c, d, e, f]),
    );
    (0..LLH_FILTERS).any(|index| {
        let enabled = nig::LLH_FUNC_FILTER_EN.address().value() + 4 * index;
        let mode = nig::LLH_FUNC_FILTER_MODE.address().value() + 4 * index;
        let value = nig::LLH_FUNC_FILTER_VALUE.address().value() + 8 * index;
        fabric.register(function, enabled) & 1 == 1
            && fabric.register(function, mode) & 1 == 0
            && fabric.register(function, value) == low
            && fabric.register(function, value + 4) & 0xffff == high
    })
}

/// What the parser is set to recognise for a PF.
pub(super) fn receive_tunnels(fabric: &mut dyn Fabric, pf: u8) -> TunnelConfig {
    let function = Function::pf(pf);
    let enabled = fabric.register(function, prs::ENCAPSULATION_TYPE_EN.address().value());
    if enabled == 0 {
        return TunnelConfig::default();
    }
    let vxlan = fabric.register(function, prs::VXLAN_PORT.address().value()) as u16;
    let geneve = fabric.register(function, prs::NGE_PORT.address().value()) as u16;
    let on = |bit: u32| enabled >> bit & 1 == 1;
    TunnelConfig {
        ethernet_gre: on(0),
        ip_gre: on(1),
        vxlan: on(2).then_some(vxlan),
        ethernet_geneve: on(4).then_some(geneve),
        ip_geneve: on(5).then_some(geneve),
    }
}
