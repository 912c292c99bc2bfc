//! What the firmware knows of a PF: PF_START, PF_UPDATE, PF_STOP, and forgetting it.

use fastlinq_pac::hsi::{
    FwErrMode, MfMode, PersonalityType, PfStartRamrodData, PfUpdateRamrodData, TunnelClss,
};

use super::Storm;
use super::eq::EventRing;
use super::gft::GftFilter;
use super::parse::TunnelKind;
use super::ramrod::{Done, Refusal};
use super::spq::{Spq, address_of};
use crate::fabric::{Fabric, Function};

/// Major number of the Ethernet fast-path interface that the firmware speaks.
const FAST_PATH_MAJOR: u8 = 3;

/// How frames in tunnels are classified, by kind of tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct TunnelSchemes {
    vxlan: TunnelClss,
    ethernet_geneve: TunnelClss,
    ip_geneve: TunnelClss,
    ethernet_gre: TunnelClss,
    ip_gre: TunnelClss,
}

impl TunnelSchemes {
    /// The scheme for a tunnel that carries Ethernet, or IP directly.
    pub(super) fn of(&self, kind: TunnelKind, carries_ethernet: bool) -> TunnelClss {
        match (kind, carries_ethernet) {
            (TunnelKind::Vxlan, _) => self.vxlan,
            (TunnelKind::Geneve, true) => self.ethernet_geneve,
            (TunnelKind::Geneve, false) => self.ip_geneve,
            (TunnelKind::Gre, true) => self.ethernet_gre,
            (TunnelKind::Gre, false) => self.ip_gre,
        }
    }
}

/// An 802.1Q-like tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) ether_type: u16,
    pub(super) tci: u16,
}

/// A started PF.
#[derive(Clone, Debug)]
pub(super) struct PfConfig {
    /// The tag by which a PF in outer-VLAN mode gets its frames.
    pub(super) outer_tag: Option<Tag>,
    pub(super) switching_between_pfs: bool,
    /// Transmit errors are reported by event and not by an assertion.
    pub(super) reports_errors: bool,
    pub(super) schemes: TunnelSchemes,
}

/// Everything of one PF.
#[derive(Debug, Default)]
pub(super) struct Pf {
    pub(super) spq: Option<Spq>,
    pub(super) events: Option<EventRing>,
    pub(super) started: Option<PfConfig>,
    /// PF_STOP was executed; all is forgotten when its event is out.
    pub(super) stopping: bool,
    pub(super) gft: Vec<GftFilter>,
}

impl Storm {
    pub(super) fn pf_config(&self, pf: u8) -> Option<&PfConfig> {
        self.pfs.get(usize::from(pf))?.started.as_ref()
    }

    pub(super) fn start_function(
        &mut self,
        fabric: &mut dyn Fabric,
        function: Function,
        data: &PfStartRamrodData,
    ) -> Result<Done, Refusal> {
        if function.vf.is_some() {
            return Err(Refusal::error("PF_START for a VF"));
        }
        let state = self
            .pfs
            .get_mut(usize::from(function.pf))
            .ok_or(Refusal::error("PF_START of an unknown PF"))?;
        if state.started.is_some() {
            return Err(Refusal::error("PF_START of a PF that is started already"));
        }
        let events = EventRing::open(
            fabric,
            function,
            address_of(&data.event_ring_pbl_addr),
            data.event_ring_num_pages,
            data.event_ring_sb_id.get(),
            data.event_ring_sb_index,
        );
        state.events = Some(events.map_err(Refusal::error)?);
        if data.hsi_fp_ver.major_ver_arr[0] != FAST_PATH_MAJOR {
            return Err(Refusal::error(
                "PF_START with an unknown major version of the Ethernet fast path",
            ));
        }
        let personality = PersonalityType(data.personality);
        if personality != PersonalityType::PERSONALITY_ETH
            && personality != PersonalityType::PERSONALITY_RDMA_AND_ETH
        {
            return Err(Refusal::error(
                "PF_START with a personality that is not modelled",
            ));
        }
        let tag = &data.outer_tag_config.outer_tag;
        let tunnels = &data.tunnel_config;
        state.stopping = false;
        state.started = Some(PfConfig {
            outer_tag: (MfMode(data.mf_mode) == MfMode::MF_OVLAN).then(|| Tag {
                ether_type: tag.tpid.get(),
                tci: tag.tci.get(),
            }),
            switching_between_pfs: data.allow_npar_tx_switching != 0,
            reports_errors: FwErrMode(data.pf_fp_err_mode) == FwErrMode::DRV_REPORT,
            schemes: TunnelSchemes {
                vxlan: TunnelClss(tunnels.tunnel_clss_vxlan),
                ethernet_geneve: TunnelClss(tunnels.tunnel_clss_l2geneve),
                ip_geneve: TunnelClss(tunnels.tunnel_clss_ipgeneve),
                ethernet_gre: TunnelClss(tunnels.tunnel_clss_l2gre),
                ip_gre: TunnelClss(tunnels.tunnel_clss_ipgre),
            },
        });
        Ok(Done::event())
    }

    pub(super) fn pf_update(
        &mut self,
        function: Function,
        data: &PfUpdateRamrodData,
    ) -> Result<Done, Refusal> {
        let config = self
            .pfs
            .get_mut(usize::from(function.pf))
            .and_then(|state| state.started.as_mut())
            .ok_or(Refusal::error("PF_UPDATE of a PF that is not started"))?;
        if data.update_mf_vlan_flag != 0 {
            if let Some(tag) = config.outer_tag.as_mut() {
                tag.tci = data.mf_vlan.get();
            }
        }
        let tunnels = &data.tunnel_config;
        if tunnels.update_rx_pf_clss != 0 {
            config.schemes = TunnelSchemes {
                vxlan: TunnelClss(tunnels.tunnel_clss_vxlan),
                ethernet_geneve: TunnelClss(tunnels.tunnel_clss_l2geneve),
                ip_geneve: TunnelClss(tunnels.tunnel_clss_ipgeneve),
                ethernet_gre: TunnelClss(tunnels.tunnel_clss_l2gre),
                ip_gre: TunnelClss(tunnels.tunnel_clss_ipgre),
            };
        }
        Ok(Done::event())
    }

    pub(super) fn pf_stop(&mut self, function: Function) -> Result<Done, Refusal> {
        if self
            .started_vports()
            .any(|(_, vport)| vport.function.pf == function.pf)
        {
            return Err(Refusal::error("PF_STOP while a vport of the PF is started"));
        }
        if let Some(state) = self.pfs.get_mut(usize::from(function.pf)) {
            state.stopping = true;
        }
        Ok(Done::event())
    }

    /// Ends a PF_STOP once its event is written.
    pub(super) fn finish_stop(&mut self, pf: u8) {
        let done = self.pfs.get(usize::from(pf)).is_some_and(|state| {
            state.stopping && !state.events.as_ref().is_some_and(|events| events.is_full())
        });
        if done {
            self.forget_function(Function::pf(pf));
        }
    }

    /// Forgets every object of a function; a PF takes its VFs along.
    pub(super) fn forget_function(&mut self, function: Function) {
        let of = |owner: Function| {
            owner == function || (function.vf.is_none() && owner.pf == function.pf)
        };
        self.rx_queues.retain(|_, queue| !of(queue.function));
        self.tx_queues.retain(|(owner, _), _| !of(*owner));
        let vports: Vec<u8> = self
            .started_vports()
            .filter(|(_, vport)| of(vport.function))
            .map(|(id, _)| id)
            .collect();
        for vport in vports {
            self.remove_vport(vport);
        }
        if function.vf.is_none() {
            if let Some(state) = self.pfs.get_mut(usize::from(function.pf)) {
                *state = Pf::default();
            }
        }
    }
}
