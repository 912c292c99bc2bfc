//! Generic flow table: flows that a driver steers to a queue, a vport or nowhere.

use fastlinq_pac::hsi::{EthErrorCode, GftFilterUpdateAction, RxUpdateGftFilterRamrodData};
use fastlinq_pac::registers::prs;

use super::Storm;
use super::parse::{Parsed, TunnelKind};
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

/// The PF's profile mask, or `None` while the search is off.
fn profile(fabric: &mut dyn Fabric, pf: u8) -> Option<(u32, u32)> {
    let function = Function::pf(pf);
    let valid = fabric.register(function, prs::GFT_CAM.address().value() + 4 * u32::from(pf)) & 1;
    if valid == 0 || fabric.register(function, prs::SEARCH_GFT.address().value()) & 1 == 0 {
        return None;
    }
    let line = prs::GFT_PROFILE_MASK_RAM.address().value() + 8 * u32::from(pf);
    Some((
        fabric.register(function, line),
        fabric.register(function, line + 4),
    ))
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
        let profile = profile(fabric, function.pf)
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
        let key = GftKey::of(&sample, &parsed, profile);
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
            (GftFilterUpdateAction::ADD_FILTER, None) if filters.len() < FILTERS => {
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
        let key = GftKey::of(arrival.frame, arrival.parsed, profile(fabric, pf)?);
        filters
            .iter()
            .find(|filter| filter.key == key)
            .map(|filter| filter.verdict)
    }
}
