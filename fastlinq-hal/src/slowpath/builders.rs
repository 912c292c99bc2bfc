//! Builders of ramrod data: what the caller wants, laid out as firmware 8.59.1.0 reads it.
//!
//! Each function returns the finished structure; everything that the caller does not choose has the value that the
//! hardware reference gives for a physical Ethernet function. The layouts are the same on BB and K2; the limits of the
//! identifiers differ and are checked where identifiers are allocated.

use fastlinq_pac::BusAddress;
use fastlinq_pac::hsi::{
    EthFilterCmd, EthFilterCmdHeader, EthVportRxMode, EthVportTxMode, PfStartRamrodData, Regpair,
    RxQueueStartRamrodData, RxQueueStopRamrodData, TxQueueStartRamrodData, TxQueueStopRamrodData,
    VportFilterUpdateRamrodData, VportStartRamrodData, VportStopRamrodData, VportUpdateRamrodData,
};
use zerocopy::FromZeros;
use zerocopy::little_endian::{U16, U32};

use super::MulticastBins;

/// Fast-path interface version spoken with the firmware: major 3, minor 11.
pub const FAST_PATH_INTERFACE: (u8, u8) = (3, 11);

/// Tx queue ids in ramrods count from here: CM queue id = 0x200 + transmit queue-manager queue.
pub const CM_TX_QUEUE_BASE: u16 = 0x200;

const PERSONALITY_ETH: u8 = 6;
const LOG_TYPE_MASK: u16 = 0xf;
const SAME_AS_LAST_DISABLED: u16 = 0xffff;

fn regpair(address: BusAddress) -> Regpair {
    Regpair {
        lo: U32::new(address.low()),
        hi: U32::new(address.high()),
    }
}

/// Outer tag of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterTag {
    /// Ethertype: 0x8100 or 0x88a8.
    pub ethertype: u16,
    /// VLAN.
    pub vlan: u16,
    /// Whether the tag's priority may be changed while the function runs.
    pub follow_priority: bool,
}

/// What PF_START tells the firmware about this function.
#[derive(Clone, Copy, Debug)]
pub struct PfStart {
    /// Page table of the event queue.
    pub event_queue_pbl: BusAddress,
    /// Number of event-queue pages.
    pub event_queue_pages: u8,
    /// IGU number of the default status block.
    pub status_block: u16,
    /// Protocol index of the event queue in the default status block.
    pub protocol_index: u8,
    /// Page table of the consolidation queue.
    pub consolidation_queue_pbl: BusAddress,
    /// Number of consolidation-queue pages.
    pub consolidation_queue_pages: u8,
    /// Engine of the function.
    pub path: u8,
    /// First absolute virtual function of this function, 0 when it has none.
    pub first_vf: u8,
    /// Number of virtual functions.
    pub vfs: u8,
    /// How frames are classified to functions: by outer tag or by MAC address.
    pub outer_tag_classification: bool,
    /// Outer tag of all frames of the function, where it has one.
    pub outer_tag: Option<OuterTag>,
    /// Whether functions of one port may send to each other inside the chip.
    pub switching_between_functions: bool,
}

/// Data of PF_START, 80 bytes.
#[must_use]
pub fn pf_start(start: &PfStart) -> PfStartRamrodData {
    let mut data = PfStartRamrodData::new_zeroed();
    data.event_ring_pbl_addr = regpair(start.event_queue_pbl);
    data.event_ring_num_pages = start.event_queue_pages;
    data.event_ring_sb_id = U16::new(start.status_block);
    data.event_ring_sb_index = start.protocol_index;
    data.consolid_q_pbl_base_addr = regpair(start.consolidation_queue_pbl);
    data.consolid_q_num_pages = start.consolidation_queue_pages;
    data.path_id = start.path;
    data.base_vf_id = start.first_vf;
    data.num_vfs = start.vfs;
    data.personality = PERSONALITY_ETH;
    data.log_type_mask = U16::new(LOG_TYPE_MASK);
    data.mf_mode = if start.outer_tag_classification { 1 } else { 2 };
    data.allow_npar_tx_switching = u8::from(start.switching_between_functions);
    data.hsi_fp_ver.major_ver_arr = [FAST_PATH_INTERFACE.0, 0];
    data.hsi_fp_ver.minor_ver_arr = [FAST_PATH_INTERFACE.1, 0];
    if let Some(tag) = start.outer_tag {
        data.outer_tag_config.outer_tag.tpid = U16::new(tag.ethertype);
        data.outer_tag_config.outer_tag.tci = U16::new(tag.vlan);
        data.outer_tag_config.enable_stag_pri_change = u8::from(tag.follow_priority);
    }
    data.outer_tag_config.pri_map_valid = 1;
    data.outer_tag_config.inner_to_outer_pri_map = [0, 1, 2, 3, 4, 5, 6, 7];
    data
}

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
    data.tpa_param.max_buff_num = 16;
    data.untagged = u8::from(start.only_untagged);
    data.zero_placement_offset = u8::from(start.zero_placement_offset);
    data
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

/// What RX_QUEUE_START tells the firmware about a receive queue.
#[derive(Clone, Copy, Debug)]
pub struct RxQueueStart {
    /// Engine-absolute queue number.
    pub queue: u16,
    /// IGU number of the queue's status block.
    pub status_block: u16,
    /// Protocol index of the receive completion queue.
    pub protocol_index: u8,
    /// Engine-absolute vport.
    pub vport: u8,
    /// Statistics counter: the absolute vport number.
    pub statistics: u8,
    /// Bytes the device may write per buffer, counted from the address in the descriptor.
    pub buffer_bytes: u16,
    /// First page of the buffer-descriptor chain.
    pub descriptors: BusAddress,
    /// Page table of the completion queue.
    pub completion_pbl: BusAddress,
    /// Number of completion-queue pages.
    pub completion_pages: u16,
}

/// Data of RX_QUEUE_START, 56 bytes.
#[must_use]
pub fn rx_queue_start(start: &RxQueueStart) -> RxQueueStartRamrodData {
    let mut data = RxQueueStartRamrodData::new_zeroed();
    data.rx_queue_id = U16::new(start.queue);
    data.num_of_pbl_pages = U16::new(start.completion_pages);
    data.bd_max_bytes = U16::new(start.buffer_bytes);
    data.sb_id = U16::new(start.status_block);
    data.sb_index = start.protocol_index;
    data.vport_id = start.vport;
    data.complete_event_flg = 1;
    data.stats_counter_id = start.statistics;
    data.cqe_pbl_addr = regpair(start.completion_pbl);
    data.bd_base = regpair(start.descriptors);
    data
}

/// Data of RX_QUEUE_STOP, 8 bytes: the completion is an event, so the slow path needs no access to the queue's own
/// completion ring.
#[must_use]
pub fn rx_queue_stop(queue: u16, vport: u8) -> RxQueueStopRamrodData {
    let mut data = RxQueueStopRamrodData::new_zeroed();
    data.rx_queue_id = U16::new(queue);
    data.vport_id = vport;
    data.complete_event_flg = 1;
    data
}

/// What TX_QUEUE_START tells the firmware about a transmit queue.
#[derive(Clone, Copy, Debug)]
pub struct TxQueueStart {
    /// Engine-absolute queue number (the queue zone).
    pub queue: u16,
    /// IGU number of the queue's status block.
    pub status_block: u16,
    /// Protocol index of the transmit consumer: 1 + traffic class.
    pub protocol_index: u8,
    /// Engine-absolute vport.
    pub vport: u8,
    /// Statistics counter: the absolute vport number.
    pub statistics: u8,
    /// Absolute transmit queue of the queue manager.
    pub qm_queue: u16,
    /// Page table of the descriptor ring.
    pub descriptors_pbl: BusAddress,
    /// Number of descriptor pages.
    pub descriptor_pages: u16,
}

/// Data of TX_QUEUE_START, 48 bytes.
#[must_use]
pub fn tx_queue_start(start: &TxQueueStart) -> TxQueueStartRamrodData {
    let mut data = TxQueueStartRamrodData::new_zeroed();
    data.sb_id = U16::new(start.status_block);
    data.sb_index = start.protocol_index;
    data.vport_id = start.vport;
    data.stats_counter_id = start.statistics;
    data.qm_pq_id = U16::new(CM_TX_QUEUE_BASE.wrapping_add(start.qm_queue));
    data.queue_zone_id = U16::new(start.queue);
    data.pbl_size = U16::new(start.descriptor_pages);
    data.same_as_last_id = U16::new(SAME_AS_LAST_DISABLED);
    data.pbl_base_addr = regpair(start.descriptors_pbl);
    data
}

/// Data of TX_QUEUE_STOP, 8 reserved bytes.
#[must_use]
pub fn tx_queue_stop() -> TxQueueStopRamrodData {
    TxQueueStopRamrodData::new_zeroed()
}

/// One command inside FILTERS_UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FilterCommand {
    /// Adds a unicast (or exact multicast) address.
    AddMac([u8; 6]),
    /// Removes an address.
    RemoveMac([u8; 6]),
    /// Removes all addresses of the vport.
    RemoveAllMacs,
    /// Adds a VLAN (0..=4095).
    AddVlan(u16),
    /// Removes a VLAN.
    RemoveVlan(u16),
    /// Removes all VLANs of the vport.
    RemoveAllVlans,
}

/// Largest number of commands in one FILTERS_UPDATE.
pub const FILTER_COMMANDS: usize = 10;

impl FilterCommand {
    fn encode(self, vport: u8) -> EthFilterCmd {
        const TYPE_MAC: u8 = 1;
        const TYPE_VLAN: u8 = 2;
        const REMOVE: u8 = 1;
        const ADD: u8 = 2;
        const REMOVE_ALL: u8 = 3;
        let (kind, action, mac, vlan) = match self {
            Self::AddMac(mac) => (TYPE_MAC, ADD, mac, 0),
            Self::RemoveMac(mac) => (TYPE_MAC, REMOVE, mac, 0),
            Self::RemoveAllMacs => (TYPE_MAC, REMOVE_ALL, [0; 6], 0),
            Self::AddVlan(vlan) => (TYPE_VLAN, ADD, [0; 6], vlan),
            Self::RemoveVlan(vlan) => (TYPE_VLAN, REMOVE, [0; 6], vlan),
            Self::RemoveAllVlans => (TYPE_VLAN, REMOVE_ALL, [0; 6], 0),
        };
        let [m0, m1, m2, m3, m4, m5] = mac;
        let mut command = EthFilterCmd::new_zeroed();
        command.type_ = kind;
        command.vport_id = vport;
        command.action = action;
        command.mac_msb = U16::new(u16::from_be_bytes([m0, m1]));
        command.mac_mid = U16::new(u16::from_be_bytes([m2, m3]));
        command.mac_lsb = U16::new(u16::from_be_bytes([m4, m5]));
        command.vlan_id = U16::new(vlan);
        command
    }
}

/// Data of FILTERS_UPDATE, 168 bytes, for both directions; commands beyond [`FILTER_COMMANDS`] are not taken.
#[must_use]
pub fn filters_update(vport: u8, commands: &[FilterCommand]) -> VportFilterUpdateRamrodData {
    let mut data = VportFilterUpdateRamrodData::new_zeroed();
    let mut header = EthFilterCmdHeader::new_zeroed();
    header.rx = 1;
    header.tx = 1;
    for (slot, command) in data.filter_cmds.iter_mut().zip(commands) {
        *slot = command.encode(vport);
        header.cmd_cnt += 1;
    }
    data.filter_cmd_hdr = header;
    data
}

#[cfg(test)]
#[path = "builders_tests.rs"]
mod tests;
