//! Data of the ramrods about vports: VPORT_START, VPORT_UPDATE, VPORT_STOP.

use fastlinq_pac::hsi::{
    EthVportRxMode, EthVportTpaParam, EthVportTxMode, VportStartRamrodData, VportStopRamrodData,
    VportUpdateRamrodData,
};
use zerocopy::FromZeros;
use zerocopy::little_endian::{U16, U32};

use crate::slowpath::MulticastBins;
use crate::vport::Aggregation;

/// Buffers of an aggregation while aggregation is off, as known drivers have it.
const IDLE_AGGREGATION_BUFFERS: u8 = 16;

/// What VPORT_START tells the firmware about a vport.
#[derive(Clone, Copy, Debug)]
pub struct VportStart {
    /// Engine-absolute vport number.
    pub vport: u8,
    /// Software function id: the relative number of the physical function.
    pub function: u8,
    /// Largest Ethernet payload in bytes, header not included.
    pub mtu: u16,
    /// Take 802.1Q tags off received frames and report them in the completion.
    pub strip_vlan: bool,
    /// Install the filter for untagged frames, so that only they and filtered VLANs pass; otherwise any VLAN passes.
    pub only_untagged: bool,
    /// Place received frames at the start of the buffer instead of 2 bytes behind it.
    pub zero_placement_offset: bool,
    /// Aggregation of TCP segments.
    pub aggregation: Option<Aggregation>,
    /// Switch frames between vports inside the chip.
    pub transmit_switching: bool,
}

/// Data of VPORT_START, 72 bytes: the vport starts inactive and drops all unicast and multicast.
#[must_use]
pub fn vport_start(start: &VportStart) -> VportStartRamrodData {
    let mut data = VportStartRamrodData::new_zeroed();
    data.vport_id = start.vport;
    data.sw_fid = start.function;
    data.mtu = U16::new(start.mtu);
    data.drop_ttl0_en = 1;
    data.inner_vlan_removal_en = u8::from(start.strip_vlan);
    data.rx_mode = EthVportRxMode {
        state: U16::new(0x0009),
    };
    data.tpa_param = aggregation(start.aggregation.as_ref());
    data.tx_switching_en = u8::from(start.transmit_switching);
    data.untagged = u8::from(start.only_untagged);
    data.zero_placement_offset = u8::from(start.zero_placement_offset);
    data
}

/// The aggregation parameters: split mode, in which each segment has a buffer of its own.
fn aggregation(wish: Option<&Aggregation>) -> EthVportTpaParam {
    let mut data = EthVportTpaParam::new_zeroed();
    data.max_buff_num = IDLE_AGGREGATION_BUFFERS;
    if let Some(wish) = wish {
        data.tpa_ipv4_en_flg = u8::from(wish.ipv4);
        data.tpa_ipv6_en_flg = u8::from(wish.ipv6);
        data.tpa_pkt_split_flg = 1;
        data.tpa_gro_consistent_flg = u8::from(wish.consistent);
        data.tpa_max_aggs_num = wish.aggregations;
        data.tpa_max_size = U16::new(wish.max_bytes);
        data.tpa_min_size_to_start = U16::new(wish.min_bytes_to_start);
        data.tpa_min_size_to_cont = U16::new(wish.min_bytes_to_continue);
        data.max_buff_num = wish.buffers;
    }
    data
}

/// What becomes of a vport's aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregationUpdate {
    /// Ends open aggregations and starts none.
    Off,
    /// Aggregates so; it must be off before.
    On(Aggregation),
}

/// Groups of vport settings that VPORT_UPDATE changes; a group that is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VportUpdate {
    /// Whether the vport receives.
    pub receive_active: Option<bool>,
    /// Whether the vport transmits.
    pub transmit_active: Option<bool>,
    /// Receive mode bits.
    pub receive_mode: Option<u16>,
    /// Mode bits for frames switched inside the chip.
    pub transmit_mode: Option<u16>,
    /// The whole multicast vector.
    pub multicast: Option<MulticastBins>,
    /// Whether frames of any VLAN pass.
    pub accept_any_vlan: Option<bool>,
    /// Whether 802.1Q tags are taken off.
    pub strip_vlan: Option<bool>,
    /// Largest payload in bytes; the vport must be inactive.
    pub mtu: Option<u16>,
    /// Receive-side scaling.
    pub rss: Option<RssUpdate>,
    /// Aggregation of TCP segments.
    pub aggregation: Option<AggregationUpdate>,
    /// Whether frames are switched between vports inside the chip.
    pub transmit_switching: Option<bool>,
}

/// Receive-side scaling of a vport: hash key, capabilities and the table of receive queues.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RssUpdate {
    /// Engine-absolute RSS engine.
    pub engine: u8,
    /// Off: every frame goes to the default queue.
    pub enabled: bool,
    /// Which headers are hashed: bit 0 IPv4, 1 IPv6, 2 IPv4-TCP, 3 IPv6-TCP, 4 IPv4-UDP, 5 IPv6-UDP.
    pub capabilities: u16,
    /// Engine-absolute receive queues, one per hash value modulo 128.
    pub table: [u16; 128],
    /// Hash key, bytes in the order of the Toeplitz key.
    pub key: [u8; 40],
}

impl core::fmt::Debug for RssUpdate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RssUpdate")
            .field("engine", &self.engine)
            .field("enabled", &self.enabled)
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}

/// Data of VPORT_UPDATE, 440 bytes.
#[must_use]
pub fn vport_update(vport: u8, update: &VportUpdate) -> VportUpdateRamrodData {
    let mut data = VportUpdateRamrodData::new_zeroed();
    let common = &mut data.common;
    common.vport_id = vport;
    if let Some(active) = update.receive_active {
        common.update_rx_active_flg = 1;
        common.rx_active_flg = u8::from(active);
    }
    if let Some(active) = update.transmit_active {
        common.update_tx_active_flg = 1;
        common.tx_active_flg = u8::from(active);
    }
    if let Some(any) = update.accept_any_vlan {
        common.update_accept_any_vlan_flg = 1;
        common.accept_any_vlan = u8::from(any);
    }
    if let Some(strip) = update.strip_vlan {
        common.update_inner_vlan_removal_en_flg = 1;
        common.inner_vlan_removal_en = u8::from(strip);
    }
    if let Some(mtu) = update.mtu {
        common.update_mtu_flg = 1;
        common.mtu = U16::new(mtu);
    }
    if let Some(switching) = update.transmit_switching {
        common.update_tx_switching_en_flg = 1;
        common.tx_switching_en = u8::from(switching);
    }
    match update.aggregation {
        None => {}
        Some(AggregationUpdate::Off) => common.update_tpa_en_flg = 1,
        Some(AggregationUpdate::On(wish)) => {
            common.update_tpa_en_flg = 1;
            common.update_tpa_param_flg = 1;
            data.tpa_param = aggregation(Some(&wish));
        }
    }
    common.update_rx_mode_flg = u8::from(update.receive_mode.is_some());
    common.update_tx_mode_flg = u8::from(update.transmit_mode.is_some());
    common.update_approx_mcast_flg = u8::from(update.multicast.is_some());
    common.update_rss_flg = u8::from(update.rss.is_some());
    if let Some(mode) = update.receive_mode {
        data.rx_mode = EthVportRxMode {
            state: U16::new(mode),
        };
    }
    if let Some(mode) = update.transmit_mode {
        data.tx_mode = EthVportTxMode {
            state: U16::new(mode),
        };
    }
    if let Some(bins) = update.multicast {
        data.approx_mcast.bins = bins.words().map(U32::new);
    }
    if let Some(rss) = update.rss {
        let config = &mut data.rss_config;
        config.rss_id = rss.engine;
        config.rss_mode = u8::from(rss.enabled);
        config.capabilities = U16::new(rss.capabilities);
        config.update_rss_capabilities = 1;
        config.update_rss_ind_table = 1;
        config.update_rss_key = 1;
        config.tbl_size = 7;
        config.indirection_table = rss.table.map(U16::new);
        for (word, bytes) in config.rss_key.iter_mut().zip(rss.key.chunks_exact(4)) {
            if let Ok(bytes) = bytes.try_into() {
                *word = U32::from_bytes(bytes);
            }
        }
    }
    data
}

/// Data of VPORT_STOP, 8 bytes.
#[must_use]
pub fn vport_stop(vport: u8) -> VportStopRamrodData {
    let mut data = VportStopRamrodData::new_zeroed();
    data.vport_id = vport;
    data
}
