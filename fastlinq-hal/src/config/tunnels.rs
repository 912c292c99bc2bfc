//! Which tunnels the parser opens, and on which UDP ports.

use fastlinq_pac::Chip;
use fastlinq_pac::registers::{dorq, nig, pbf, prs};
use tock_registers::interfaces::{Readable, Writeable};

use crate::core_state::Core;
use crate::host::Host;
use bitflags::bitflags;

bitflags! {
    /// Kinds of tunnels, as the parser's register has them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Tunnels: u32 {
        /// Ethernet in GRE.
        const ETH_GRE = 1 << 0;
        /// IP in GRE.
        const IP_GRE = 1 << 1;
        /// VXLAN.
        const VXLAN = 1 << 2;
        /// Ethernet in GENEVE.
        const ETH_GENEVE = 1 << 4;
        /// IP in GENEVE.
        const IP_GENEVE = 1 << 5;
    }
}

/// UDP ports of tunnels; `None` leaves the port as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TunnelPorts {
    /// Port of VXLAN, usually 4789.
    pub vxlan: Option<u16>,
    /// Port of GENEVE, usually 6081.
    pub geneve: Option<u16>,
}

/// The parser's output format as the firmware leaves it, and with tunnels.
const FORMAT_PLAIN: u32 = 0xffff_4910;
const FORMAT_TUNNELS: u32 = 0xf4da_b910;

/// Opens the parser for `tunnels`, and no others, on `ports`.
///
/// Belongs behind PF_START, and behind each PF_UPDATE that changes tunnels: the ramrod tells the firmware, and
/// these registers tell parser, network interface, packet builder and doorbell queue.
pub fn configure_tunnels<H: Host>(core: &Core<H>, tunnels: Tunnels, ports: TunnelPorts) {
    let bus = &core.windows;
    if let Some(port) = ports.vxlan {
        prs::VXLAN_PORT.on(bus).set(port.into());
        nig::VXLAN_PORT.on(bus).set(port.into());
        pbf::VXLAN_PORT.on(bus).set(port.into());
    }
    if let Some(port) = ports.geneve {
        prs::NGE_PORT.on(bus).set(port.into());
        nig::NGE_PORT.on(bus).set(port.into());
        pbf::NGE_PORT.on(bus).set(port.into());
    }
    let on = |kind| u32::from(tunnels.contains(kind));
    prs::ENCAPSULATION_TYPE_EN.on(bus).set(tunnels.bits());
    let in_network_interface = Tunnels::ETH_GRE | Tunnels::IP_GRE | Tunnels::VXLAN;
    nig::ENC_TYPE_ENABLE
        .on(bus)
        .set((tunnels & in_network_interface).bits());
    nig::NGE_ETH_ENABLE.on(bus).set(on(Tunnels::ETH_GENEVE));
    nig::NGE_IP_ENABLE.on(bus).set(on(Tunnels::IP_GENEVE));
    dorq::L2_EDPM_TUNNEL_GRE_ETH_EN
        .on(bus)
        .set(on(Tunnels::ETH_GRE));
    dorq::L2_EDPM_TUNNEL_GRE_IP_EN
        .on(bus)
        .set(on(Tunnels::IP_GRE));
    dorq::L2_EDPM_TUNNEL_VXLAN_EN
        .on(bus)
        .set(on(Tunnels::VXLAN));
    if core.identity.chip == Chip::K2 {
        dorq::L2_EDPM_TUNNEL_NGE_IP_EN_K2
            .on(bus)
            .set(on(Tunnels::IP_GENEVE));
        dorq::L2_EDPM_TUNNEL_NGE_ETH_EN_K2
            .on(bus)
            .set(on(Tunnels::ETH_GENEVE));
    }
    let format = prs::OUTPUT_FORMAT_4_0_BB_K2.on(bus);
    if !tunnels.is_empty() && format.get() == FORMAT_PLAIN {
        format.set(FORMAT_TUNNELS);
    }
}
