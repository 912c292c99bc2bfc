//! Virtual ports: VPORT_START, VPORT_UPDATE, VPORT_STOP.

use fastlinq_pac::hsi::flags::{TxErrorBehaviour, VportRxMode, VportTxMode};
use fastlinq_pac::hsi::{
    EthFilterType, EthVportTpaParam, VportStartRamrodData, VportStopRamrodData,
    VportUpdateRamrodData,
};

use super::Storm;
use super::filters::Key;
use super::ramrod::{Done, Refusal};
use super::rss::Rss;
use super::tpa::EndReason;
use crate::fabric::{Fabric, Function};

/// Where a vport's frames go when it, and not its descriptors, says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarding {
    /// 0 switching decides, 1 the descriptors say, 2 the other fields say.
    pub(super) config: u8,
    pub(super) mode: u8,
    pub(super) vport: Option<u8>,
}

/// A started vport.
#[derive(Clone, Debug)]
pub(super) struct Vport {
    pub(super) function: Function,
    pub(super) rx_active: bool,
    pub(super) tx_active: bool,
    pub(super) mtu: u16,
    pub(super) rx_mode: VportRxMode,
    pub(super) tx_mode: VportTxMode,
    multicast_bins: [u32; 8],
    pub(super) strip_vlan: bool,
    pub(super) silent_vlan_removal: bool,
    pub(super) wipe_vlan_priority: bool,
    pub(super) accept_any_vlan: bool,
    /// A vport that was started without its untagged filter passes any VLAN until it gets a VLAN filter.
    pub(super) accept_any_until_filter: bool,
    pub(super) default_vlan_enabled: bool,
    pub(super) default_vlan: u16,
    pub(super) tx_switching: bool,
    pub(super) anti_spoofing: bool,
    pub(super) drop_ttl0: bool,
    pub(super) zero_placement_offset: bool,
    pub(super) check_control_mac: bool,
    pub(super) check_control_ether_type: bool,
    pub(super) tx_errors: TxErrorBehaviour,
    pub(super) forwarding: Forwarding,
    pub(super) tpa: EthVportTpaParam,
    pub(super) rss: Rss,
    /// The queue of frames without a hash.
    pub(super) default_queue: Option<u16>,
}

impl Vport {
    pub(super) fn multicast_bin_set(&self, bin: u8) -> bool {
        self.multicast_bins[usize::from(bin >> 5)] >> (bin & 31) & 1 == 1
    }

    fn new(function: Function, data: &VportStartRamrodData) -> Self {
        Self {
            function,
            rx_active: false,
            tx_active: false,
            mtu: data.mtu.get(),
            rx_mode: data.rx_mode.into(),
            tx_mode: data.tx_mode.into(),
            multicast_bins: [0; 8],
            strip_vlan: data.inner_vlan_removal_en != 0,
            silent_vlan_removal: data.silent_vlan_removal_en != 0,
            wipe_vlan_priority: data.wipe_inner_vlan_pri_en != 0,
            accept_any_vlan: false,
            accept_any_until_filter: data.untagged == 0,
            default_vlan_enabled: data.default_vlan_en != 0,
            default_vlan: data.default_vlan.get(),
            tx_switching: data.tx_switching_en != 0,
            anti_spoofing: data.anti_spoofing_en != 0,
            drop_ttl0: data.drop_ttl0_en != 0,
            zero_placement_offset: data.zero_placement_offset != 0,
            check_control_mac: data.ctl_frame_mac_check_en != 0,
            check_control_ether_type: data.ctl_frame_ethtype_check_en != 0,
            tx_errors: data.tx_err_behav.into(),
            forwarding: Forwarding {
                config: data.tx_dst_port_mode_config,
                mode: data.tx_dst_port_mode,
                vport: (data.dst_vport_id_valid != 0).then_some(data.dst_vport_id),
            },
            tpa: data.tpa_param,
            rss: Rss::default(),
            default_queue: None,
        }
    }
}

impl Storm {
    pub(super) fn vport(&self, id: u8) -> Option<&Vport> {
        self.vports.get(usize::from(id))?.as_ref()
    }

    pub(super) fn vport_mut(&mut self, id: u8) -> Option<&mut Vport> {
        self.vports.get_mut(usize::from(id))?.as_mut()
    }

    /// The started vports with their ids.
    pub(super) fn started_vports(&self) -> impl Iterator<Item = (u8, &Vport)> + Clone {
        self.vports
            .iter()
            .enumerate()
            .filter_map(|(id, vport)| Some((id as u8, vport.as_ref()?)))
    }

    /// The vport, if it is started and belongs to `function` (a PF may act for its VFs).
    pub(super) fn owned_vport(&self, function: Function, id: u8) -> Result<&Vport, Refusal> {
        let vport = self
            .vport(id)
            .ok_or(Refusal::error("ramrod for a vport that is not started"))?;
        if vport.function != function && (function.vf.is_some() || vport.function.pf != function.pf)
        {
            return Err(Refusal::error("ramrod for a vport of another function"));
        }
        Ok(vport)
    }

    pub(super) fn vport_start(
        &mut self,
        function: Function,
        data: &VportStartRamrodData,
    ) -> Result<Done, Refusal> {
        let id = data.vport_id;
        let slot = self.vports.get_mut(usize::from(id)).ok_or(Refusal::error(
            "VPORT_START of a vport that the chip does not have",
        ))?;
        if slot.is_some() {
            return Err(Refusal::error(
                "VPORT_START of a vport that is started already",
            ));
        }
        *slot = Some(Vport::new(function, data));
        if data.untagged != 0 {
            let untagged = Key::new(EthFilterType::VLAN, [0; 6], 0, 0);
            self.rx_filters.insert(untagged, id);
            self.tx_filters.insert(untagged, id);
        }
        Ok(Done::event())
    }

    pub(super) fn vport_update(
        &mut self,
        fabric: &mut dyn Fabric,
        function: Function,
        data: &VportUpdateRamrodData,
    ) -> Result<Done, Refusal> {
        let common = &data.common;
        let id = common.vport_id;
        self.owned_vport(function, id)?;
        if common.update_tpa_param_flg != 0
            || common.update_tpa_en_flg != 0
            || common.update_rx_active_flg != 0
        {
            self.close_aggregations_of_vport(fabric, id, EndReason::SlowPathUpdate);
        }
        let order = self.key_order;
        let Some(vport) = self.vport_mut(id) else {
            return Ok(Done::event());
        };
        if common.update_rss_flg != 0 {
            vport
                .rss
                .update(&data.rss_config, order)
                .map_err(Refusal::error)?;
        }
        update_activity(vport, data)?;
        update_receive(vport, data);
        update_transmit(vport, data);
        Ok(Done::event())
    }

    pub(super) fn vport_stop(
        &mut self,
        function: Function,
        data: &VportStopRamrodData,
    ) -> Result<Done, Refusal> {
        let id = data.vport_id;
        self.owned_vport(function, id)?;
        if self.rx_queues.values().any(|queue| queue.vport == id) {
            return Err(Refusal::error(
                "VPORT_STOP while a receive queue of the vport runs",
            ));
        }
        if self.tx_queues.values().any(|queue| queue.vport == id) {
            return Err(Refusal::error(
                "VPORT_STOP while a transmit queue of the vport runs",
            ));
        }
        self.remove_vport(id);
        Ok(Done::event())
    }

    /// Forgets a vport and everything in the engine's tables that names it.
    pub(super) fn remove_vport(&mut self, id: u8) {
        if let Some(slot) = self.vports.get_mut(usize::from(id)) {
            *slot = None;
        }
        self.rx_filters.remove_vport(id);
        self.tx_filters.remove_vport(id);
    }
}

fn update_activity(vport: &mut Vport, data: &VportUpdateRamrodData) -> Result<(), Refusal> {
    let common = &data.common;
    if common.update_rx_active_flg != 0 {
        vport.rx_active = common.rx_active_flg != 0;
    }
    if common.update_tx_active_flg != 0 {
        vport.tx_active = common.tx_active_flg != 0;
    }
    if common.update_mtu_flg != 0 {
        if vport.rx_active || vport.tx_active {
            return Err(Refusal::error("VPORT_UPDATE of the MTU of an active vport"));
        }
        vport.mtu = common.mtu.get();
    }
    Ok(())
}

fn update_receive(vport: &mut Vport, data: &VportUpdateRamrodData) {
    let common = &data.common;
    if common.update_rx_mode_flg != 0 {
        vport.rx_mode = data.rx_mode.into();
    }
    if common.update_approx_mcast_flg != 0 {
        vport.multicast_bins = data.approx_mcast.bins.map(|bin| bin.get());
    }
    if common.update_inner_vlan_removal_en_flg != 0 {
        vport.strip_vlan = common.inner_vlan_removal_en != 0;
        vport.silent_vlan_removal = common.silent_vlan_removal_en != 0;
    }
    if common.update_accept_any_vlan_flg != 0 {
        vport.accept_any_vlan = common.accept_any_vlan != 0;
    }
    if common.update_tpa_param_flg != 0 {
        let enables = vport.tpa;
        vport.tpa = data.tpa_param;
        if common.update_tpa_en_flg == 0 {
            copy_tpa_enables(&mut vport.tpa, &enables);
        }
    } else if common.update_tpa_en_flg != 0 {
        copy_tpa_enables(&mut vport.tpa, &data.tpa_param);
    }
}

fn copy_tpa_enables(to: &mut EthVportTpaParam, from: &EthVportTpaParam) {
    to.tpa_ipv4_en_flg = from.tpa_ipv4_en_flg;
    to.tpa_ipv6_en_flg = from.tpa_ipv6_en_flg;
    to.tpa_ipv4_tunn_en_flg = from.tpa_ipv4_tunn_en_flg;
    to.tpa_ipv6_tunn_en_flg = from.tpa_ipv6_tunn_en_flg;
}

fn update_transmit(vport: &mut Vport, data: &VportUpdateRamrodData) {
    let common = &data.common;
    if common.update_tx_mode_flg != 0 {
        vport.tx_mode = data.tx_mode.into();
    }
    if common.update_tx_switching_en_flg != 0 {
        vport.tx_switching = common.tx_switching_en != 0;
    }
    if common.update_anti_spoofing_en_flg != 0 {
        vport.anti_spoofing = common.anti_spoofing_en != 0;
    }
    if common.update_default_vlan_en_flg != 0 {
        vport.default_vlan_enabled = common.default_vlan_en != 0;
    }
    if common.update_default_vlan_flg != 0 {
        vport.default_vlan = common.default_vlan.get();
    }
    if common.update_ctl_frame_checks_en_flg != 0 {
        vport.check_control_mac = common.ctl_frame_mac_check_en != 0;
        vport.check_control_ether_type = common.ctl_frame_ethtype_check_en != 0;
    }
    if common.update_tx_dst_port_mode_flg != 0 {
        vport.forwarding = Forwarding {
            config: common.tx_dst_port_mode_config,
            mode: common.tx_dst_port_mode,
            vport: (common.dst_vport_id_valid != 0).then_some(common.dst_vport_id),
        };
    }
}
