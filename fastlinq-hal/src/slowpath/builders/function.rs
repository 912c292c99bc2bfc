//! Data of the ramrods about the function: PF_START and PF_UPDATE.

use fastlinq_pac::BusAddress;
use fastlinq_pac::hsi::{PfStartRamrodData, PfUpdateRamrodData};
use zerocopy::FromZeros;
use zerocopy::little_endian::U16;

use super::regpair;

/// Fast-path interface version spoken with the firmware: major 3, minor 11.
pub const FAST_PATH_INTERFACE: (u8, u8) = (3, 11);

const PERSONALITY_ETH: u8 = 6;
const LOG_TYPE_MASK: u16 = 0xf;

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

/// By which header frames in tunnels are classified to vports.
///
/// Known by: the interface structures of firmware 8.59.1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TunnelClassification {
    /// By the outer MAC address and VLAN, as frames without a tunnel. What known drivers set.
    #[default]
    OuterMacVlan,
    /// By the outer MAC address and the tenant.
    OuterMacTenant,
    /// By the inner MAC address and VLAN.
    InnerMacVlan,
    /// By the inner MAC address and the tenant.
    InnerMacTenant,
    /// By the outer MAC address, and by the inner one where no filter has it.
    OuterThenInner,
}

impl TunnelClassification {
    /// The value in PF_UPDATE.
    #[must_use]
    pub const fn value(self) -> u8 {
        match self {
            Self::OuterMacVlan => 0,
            Self::OuterMacTenant => 1,
            Self::InnerMacVlan => 2,
            Self::InnerMacTenant => 3,
            Self::OuterThenInner => 4,
        }
    }
}

/// What PF_UPDATE tells the firmware about tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelUpdate {
    /// How frames in tunnels are classified.
    pub classification: TunnelClassification,
    /// UDP port of VXLAN; `None` leaves it.
    pub vxlan: Option<u16>,
    /// UDP port of GENEVE; `None` leaves it.
    pub geneve: Option<u16>,
}

/// Data of PF_UPDATE that changes tunnels, 72 bytes.
#[must_use]
pub fn tunnel_update(update: &TunnelUpdate) -> PfUpdateRamrodData {
    let mut data = PfUpdateRamrodData::new_zeroed();
    let tunnels = &mut data.tunnel_config;
    let class = update.classification.value();
    tunnels.update_rx_pf_clss = 1;
    tunnels.tunnel_clss_vxlan = class;
    tunnels.tunnel_clss_l2geneve = class;
    tunnels.tunnel_clss_ipgeneve = class;
    tunnels.tunnel_clss_l2gre = class;
    tunnels.tunnel_clss_ipgre = class;
    if let Some(port) = update.vxlan {
        tunnels.set_vxlan_udp_port_flg = 1;
        tunnels.vxlan_udp_port = U16::new(port);
    }
    if let Some(port) = update.geneve {
        tunnels.set_geneve_udp_port_flg = 1;
        tunnels.geneve_udp_port = U16::new(port);
    }
    data
}
