//! Generic flow table: flows that a driver steers to a queue, a vport or nowhere.

use fastlinq_pac::hsi::{
    EthErrorCode, GftFilterUpdateAction, GftProfileIpVersion, GftProfileTunnelType,
    GftProfileUpperProtocolType, RxUpdateGftFilterRamrodData, gft_cam_line_mapped,
};
use fastlinq_pac::registers::{prs, src};

use super::Storm;
use super::parse::{IpVersion, Network, Parsed, TransportKind, TunnelKind};
use super::ramrod::{Done, Refusal};
use super::receive::{Arrival, receive_tunnels};
use super::spq::address_of;
use crate::fabric::{Fabric, Function};
use crate::violation::DmaCause;

/// Flows of a PF.
const FILTERS: usize = 256;
/// The longest sample header.
const SAMPLE_BYTES: u16 = 256;
/// The vport that stands for dropping.
const DROP_VPORT: u16 = 0x1ff;

const LOW_TUNNEL_ETHER_TYPE: u32 = 1 << 5;
const LOW_ETHER_TYPE: u32 = 1 << 19;
const LOW_DESTINATION_PORT: u32 = 1 << 30;
const LOW_SOURCE_PORT: u32 = 1 << 31;
const HIGH_PROTOCOL: u32 = 1 << 1;
const HIGH_DESTINATION: u32 = 1 << 2;
const HIGH_SOURCE: u32 = 1 << 3;

/// The fields of a frame that the PF's profile selects; the others are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GftKey {
    ether_type: u16,
    protocol: u8,
    source: [u8; 16],
    destination: [u8; 16],
    source_port: u16,
    destination_port: u16,
    tunnel: u8,
}

impl GftKey {
    fn of(frame: &[u8], parsed: &Parsed, profile: (u32, u32)) -> Self {
        let (low, high) = profile;
        let layer = parsed.innermost();
        let mut key = Self::default();
        if low & LOW_ETHER_TYPE != 0 {
            key.ether_type = layer.ethernet.map_or(0, |ethernet| ethernet.ether_type);
        }
        if low & LOW_TUNNEL_ETHER_TYPE != 0 {
            key.tunnel = match parsed.tunnel.map(|tunnel| tunnel.kind) {
                None => 0,
                Some(TunnelKind::Vxlan) => 1,
                Some(TunnelKind::Geneve) => 2,
                Some(TunnelKind::Gre) => 3,
            };
        }
        if let Some(network) = layer.network {
            let addresses = network.addresses(frame);
            let (source, destination) = addresses.split_at(addresses.len() / 2);
            if high & HIGH_PROTOCOL != 0 {
                key.protocol = network.protocol;
            }
            if high & HIGH_SOURCE != 0 {
                copy(&mut key.source, source);
            }
            if high & HIGH_DESTINATION != 0 {
                copy(&mut key.destination, destination);
            }
        }
        if let Some(transport) = layer.transport {
            if low & LOW_SOURCE_PORT != 0 {
                key.source_port = transport.source_port;
            }
            if low & LOW_DESTINATION_PORT != 0 {
                key.destination_port = transport.destination_port;
            }
        }
        key
    }
}

fn copy(to: &mut [u8; 16], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// One flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct GftFilter {
    key: GftKey,
    verdict: GftVerdict,
}

/// Where a flow goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GftVerdict {
    /// Nowhere.
    Drop,
    /// To a vport, to the queue given or by RSS.
    Steer {
        vport: u8,
        queue: Option<u16>,
        flow: Option<u16>,
    },
}

/// What the parser is told of a PF's flows.
#[derive(Clone, Copy, Debug)]
struct Profile {
    /// Which frames are looked up at all.
    cam: u32,
    /// Which of their fields count: low and high word.
    mask: (u32, u32),
}

impl Profile {
    /// The PF's profile, or `None` while the search is off.
    fn of(fabric: &mut dyn Fabric, pf: u8) -> Option<Self> {
        let function = Function::pf(pf);
        let cam = fabric.register(function, prs::GFT_CAM.address().value() + 4 * u32::from(pf));
        let search = fabric.register(function, prs::SEARCH_GFT.address().value());
        if bits!(cam, gft_cam_line_mapped::VALID) == 0 || search & 1 == 0 {
            return None;
        }
        let line = prs::GFT_PROFILE_MASK_RAM.address().value() + 8 * u32::from(pf);
        let mask = (
            fabric.register(function, line),
            fabric.register(function, line + 4),
        );
        Some(Self { cam, mask })
    }

    /// Whether the CAM line lets a frame of the PF be looked up: where a mask has a bit, the value has to agree.
    fn covers(&self, parsed: &Parsed, pf: u8) -> bool {
        use gft_cam_line_mapped as line;
        let version = |network: Option<Network>| match network.map(|network| network.version) {
            Some(IpVersion::V6) => GftProfileIpVersion::IPV6.value(),
            _ => GftProfileIpVersion::IPV4.value(),
        };
        let layer = parsed.innermost();
        let outer = parsed.tunnel.and(parsed.outer.network);
        let fields = [
            (
                bits!(self.cam, line::PF_ID),
                bits!(self.cam, line::PF_ID_MASK),
                u32::from(pf),
            ),
            (
                bits!(self.cam, line::IP_VERSION),
                bits!(self.cam, line::IP_VERSION_MASK),
                version(layer.network).into(),
            ),
            (
                bits!(self.cam, line::TUNNEL_IP_VERSION),
                bits!(self.cam, line::TUNNEL_IP_VERSION_MASK),
                version(outer).into(),
            ),
            (
                bits!(self.cam, line::UPPER_PROTOCOL_TYPE),
                bits!(self.cam, line::UPPER_PROTOCOL_TYPE_MASK),
                upper_protocol(parsed).into(),
            ),
            (
                bits!(self.cam, line::TUNNEL_TYPE),
                bits!(self.cam, line::TUNNEL_TYPE_MASK),
                tunnel_type(parsed).into(),
            ),
        ];
        fields
            .into_iter()
            .all(|(wanted, mask, there): (u32, u32, u32)| (wanted ^ there) & mask == 0)
    }
}

/// The CAM's code of what is above IP; one that no protocol has for what has no code.
fn upper_protocol(parsed: &Parsed) -> u8 {
    const NONE: u8 = 0xf;
    const ICMP: u8 = 1;
    const ICMPV6: u8 = 58;
    const ARP: u16 = 0x0806;
    let layer = parsed.innermost();
    if layer
        .ethernet
        .is_some_and(|ethernet| ethernet.ether_type == ARP)
    {
        return GftProfileUpperProtocolType::ARP_PROTOCOL.value();
    }
    match (
        layer.transport.map(|transport| transport.kind),
        layer.network,
    ) {
        (Some(TransportKind::Tcp), _) => GftProfileUpperProtocolType::TCP_PROTOCOL.value(),
        (Some(TransportKind::Udp), _) => GftProfileUpperProtocolType::UDP_PROTOCOL.value(),
        (None, Some(network)) if matches!(network.protocol, ICMP | ICMPV6) => {
            GftProfileUpperProtocolType::ICMP_PROTOCOL.value()
        }
        _ => NONE,
    }
}

/// The CAM's code of a frame's tunnel.
fn tunnel_type(parsed: &Parsed) -> u8 {
    let ethernet = parsed.innermost().ethernet.is_some();
    match (parsed.tunnel.map(|tunnel| tunnel.kind), ethernet) {
        (None, _) => GftProfileTunnelType::NO_TUNNEL,
        (Some(TunnelKind::Vxlan), _) => GftProfileTunnelType::VXLAN_TUNNEL,
        (Some(TunnelKind::Gre), true) => GftProfileTunnelType::GRE_MAC_OR_NVGRE_TUNNEL,
        (Some(TunnelKind::Gre), false) => GftProfileTunnelType::GRE_IP_TUNNEL,
        (Some(TunnelKind::Geneve), true) => GftProfileTunnelType::GENEVE_MAC_TUNNEL,
        (Some(TunnelKind::Geneve), false) => GftProfileTunnelType::GENEVE_IP_TUNNEL,
    }
    .value()
}

/// Flows that the searcher has memory for.
fn search_memory(fabric: &mut dyn Fabric, pf: u8) -> usize {
    let function = Function::pf(pf);
    let count = fabric.register(function, src::COUNTFREE.address().value());
    FILTERS.min(count as usize)
}

const FAILED: u8 = EthErrorCode::FILTERS_GFT_UPDATE_FAIL.value();

impl Storm {
    pub(super) fn update_gft_filter(
        &mut self,
        fabric: &mut dyn Fabric,
        function: Function,
        data: &RxUpdateGftFilterRamrodData,
    ) -> Result<Done, Refusal> {
        let fail = |why| {
            if data.assert_on_error != 0 {
                Refusal::assertion(why, FAILED)
            } else {
                Refusal::code(why, FAILED)
            }
        };
        let profile = Profile::of(fabric, function.pf)
            .ok_or(fail("GFT filter without a profile or with the search off"))?;
        let length = data.pkt_hdr_length.get();
        if length > SAMPLE_BYTES {
            return Err(fail("GFT filter with an overlong sample header"));
        }
        let address = address_of(&data.pkt_hdr_addr);
        let mut sample = vec![0; length.into()];
        let cause = DmaCause::descriptor("GFT sample header", address, length.into());
        fabric
            .host_read(Function::pf(function.pf), cause, address, &mut sample)
            .map_err(|_| fail("GFT sample header cannot be read"))?;
        let tunnels = receive_tunnels(fabric, function.pf);
        let parsed = Parsed::headers(&sample, &tunnels)
            .ok_or(fail("GFT sample header is not an Ethernet header"))?;
        let key = GftKey::of(&sample, &parsed, profile.mask);
        let room = search_memory(fabric, function.pf);
        if room == 0 {
            return Err(fail("GFT filter without memory for the searcher"));
        }
        let verdict = match data.vport_id.get() {
            DROP_VPORT => GftVerdict::Drop,
            vport => {
                let unknown = || fail("GFT filter for a vport that the function does not have");
                let vport = u8::try_from(vport).map_err(|_| unknown())?;
                self.owned_vport(function, vport).map_err(|_| unknown())?;
                GftVerdict::Steer {
                    vport,
                    queue: (data.rx_qid_valid != 0).then_some(data.rx_qid.get()),
                    flow: (data.flow_id_valid != 0).then_some(data.flow_id.get()),
                }
            }
        };
        let filters = &mut self
            .pfs
            .get_mut(usize::from(function.pf))
            .ok_or(fail("GFT filter of an unknown PF"))?
            .gft;
        let place = filters.iter().position(|filter| filter.key == key);
        match (GftFilterUpdateAction(data.filter_action), place) {
            (GftFilterUpdateAction::ADD_FILTER, None) if filters.len() < room => {
                filters.push(GftFilter { key, verdict })
            }
            (GftFilterUpdateAction::DELETE_FILTER, Some(place)) => {
                filters.swap_remove(place);
            }
            // The driver gets the code and knows what to do; no rule is broken.
            _ if data.assert_on_error == 0 => return Ok(Done::event_with(FAILED)),
            _ => {
                return Err(fail(
                    "GFT filter that is a duplicate, missing or one too many",
                ));
            }
        }
        Ok(Done::event())
    }

    /// Looks a frame up in the PF's flows.
    pub(super) fn gft_lookup(
        &self,
        fabric: &mut dyn Fabric,
        pf: u8,
        arrival: &Arrival<'_>,
    ) -> Option<GftVerdict> {
        let filters = &self.pfs.get(usize::from(pf))?.gft;
        if filters.is_empty() {
            return None;
        }
        let profile = Profile::of(fabric, pf)?;
        if !profile.covers(arrival.parsed, pf) {
            return None;
        }
        let key = GftKey::of(arrival.frame, arrival.parsed, profile.mask);
        filters
            .iter()
            .find(|filter| filter.key == key)
            .map(|filter| filter.verdict)
    }
}
