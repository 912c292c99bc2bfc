//! Statistics: counters in storm RAM, where the driver reads them and clears them by writing zeros.

use core::mem::offset_of;

use fastlinq_pac::hsi::{
    EthMstormPerPfStat, EthMstormPerQueueStat, EthPstormPerPfStat, EthPstormPerQueueStat,
    EthUstormPerPfStat, EthUstormPerQueueStat, TstormPerPortStat,
};

use super::classify::Cast;
use super::layout::{StormLayout, Variable};
use super::parse::TunnelKind;
use crate::fabric::Fabric;

fn add(fabric: &mut dyn Fabric, variable: &Variable, index: u32, field: usize, amount: u64) {
    let offset = variable.offset(index).wrapping_add(field as u32);
    let value = fabric.ram64(variable.storm, offset);
    fabric.set_ram64(variable.storm, offset, value.wrapping_add(amount));
}

/// Why a frame that a vport was to get is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discard {
    Ttl0,
    TooBig,
    NoBuffer,
    NotActive,
}

/// Counts a discarded frame under statistics counter `stat`.
pub(super) fn discarded(fabric: &mut dyn Fabric, layout: &StormLayout, stat: u8, why: Discard) {
    let field = match why {
        Discard::Ttl0 => offset_of!(EthMstormPerQueueStat, ttl0_discard),
        Discard::TooBig => offset_of!(EthMstormPerQueueStat, packet_too_big_discard),
        Discard::NoBuffer => offset_of!(EthMstormPerQueueStat, no_buff_discard),
        Discard::NotActive => offset_of!(EthMstormPerQueueStat, not_active_discard),
    };
    add(fabric, &layout.m_queue_stat, stat.into(), field, 1);
}

/// Counts a discarded frame of a tunnel, or one that was switched inside the adapter, for its PF.
pub(super) fn discarded_by_pf(
    fabric: &mut dyn Fabric,
    layout: &StormLayout,
    pf: u8,
    tunnel: Option<TunnelKind>,
    switched: bool,
) {
    let of_tunnel = tunnel.map(|kind| match kind {
        TunnelKind::Gre => offset_of!(EthMstormPerPfStat, gre_discard_pkts),
        TunnelKind::Vxlan => offset_of!(EthMstormPerPfStat, vxlan_discard_pkts),
        TunnelKind::Geneve => offset_of!(EthMstormPerPfStat, geneve_discard_pkts),
    });
    let of_switching = switched.then_some(offset_of!(EthMstormPerPfStat, lb_discard_pkts));
    for field in [of_tunnel, of_switching].into_iter().flatten() {
        add(fabric, &layout.m_pf_stat, pf.into(), field, 1);
    }
}

/// Counts a delivered frame.
pub(super) fn received(
    fabric: &mut dyn Fabric,
    layout: &StormLayout,
    stat: u8,
    cast: Cast,
    bytes: usize,
) {
    let (bytes_field, packets_field) = match cast {
        Cast::Unicast => (
            offset_of!(EthUstormPerQueueStat, rcv_ucast_bytes),
            offset_of!(EthUstormPerQueueStat, rcv_ucast_pkts),
        ),
        Cast::Multicast => (
            offset_of!(EthUstormPerQueueStat, rcv_mcast_bytes),
            offset_of!(EthUstormPerQueueStat, rcv_mcast_pkts),
        ),
        Cast::Broadcast => (
            offset_of!(EthUstormPerQueueStat, rcv_bcast_bytes),
            offset_of!(EthUstormPerQueueStat, rcv_bcast_pkts),
        ),
    };
    add(
        fabric,
        &layout.u_queue_stat,
        stat.into(),
        bytes_field,
        bytes as u64,
    );
    add(fabric, &layout.u_queue_stat, stat.into(), packets_field, 1);
}

/// Counts a delivered frame that never was on the wire.
pub(super) fn received_switched(
    fabric: &mut dyn Fabric,
    layout: &StormLayout,
    pf: u8,
    cast: Cast,
    bytes: usize,
) {
    let (bytes_field, packets_field) = match cast {
        Cast::Unicast => (
            offset_of!(EthUstormPerPfStat, rcv_lb_ucast_bytes),
            offset_of!(EthUstormPerPfStat, rcv_lb_ucast_pkts),
        ),
        Cast::Multicast => (
            offset_of!(EthUstormPerPfStat, rcv_lb_mcast_bytes),
            offset_of!(EthUstormPerPfStat, rcv_lb_mcast_pkts),
        ),
        Cast::Broadcast => (
            offset_of!(EthUstormPerPfStat, rcv_lb_bcast_bytes),
            offset_of!(EthUstormPerPfStat, rcv_lb_bcast_pkts),
        ),
    };
    add(
        fabric,
        &layout.u_pf_stat,
        pf.into(),
        bytes_field,
        bytes as u64,
    );
    add(fabric, &layout.u_pf_stat, pf.into(), packets_field, 1);
}

/// Counts a delivered frame in a tunnel.
pub(super) fn received_tunnel(
    fabric: &mut dyn Fabric,
    layout: &StormLayout,
    pf: u8,
    kind: TunnelKind,
    bytes: usize,
) {
    let (bytes_field, packets_field) = match kind {
        TunnelKind::Gre => (
            offset_of!(EthUstormPerPfStat, rcv_gre_bytes),
            offset_of!(EthUstormPerPfStat, rcv_gre_pkts),
        ),
        TunnelKind::Vxlan => (
            offset_of!(EthUstormPerPfStat, rcv_vxlan_bytes),
            offset_of!(EthUstormPerPfStat, rcv_vxlan_pkts),
        ),
        TunnelKind::Geneve => (
            offset_of!(EthUstormPerPfStat, rcv_geneve_bytes),
            offset_of!(EthUstormPerPfStat, rcv_geneve_pkts),
        ),
    };
    add(
        fabric,
        &layout.u_pf_stat,
        pf.into(),
        bytes_field,
        bytes as u64,
    );
    add(fabric, &layout.u_pf_stat, pf.into(), packets_field, 1);
}

/// Why a port's frame reaches no vport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortDiscard {
    OuterTag,
    NoVport,
    GftDrop,
}

/// Counts a frame that no vport of the port gets.
pub(super) fn port_discarded(
    fabric: &mut dyn Fabric,
    layout: &StormLayout,
    port: u8,
    why: PortDiscard,
) {
    let field = match why {
        PortDiscard::OuterTag => offset_of!(TstormPerPortStat, mftag_filter_discard),
        PortDiscard::NoVport => offset_of!(TstormPerPortStat, eth_mac_filter_discard),
        PortDiscard::GftDrop => offset_of!(TstormPerPortStat, eth_gft_drop_pkt),
    };
    add(fabric, &layout.port_stat, port.into(), field, 1);
}

/// Counts a transmitted frame.
pub(super) fn sent(
    fabric: &mut dyn Fabric,
    layout: &StormLayout,
    stat: u8,
    cast: Cast,
    bytes: usize,
) {
    let (bytes_field, packets_field) = match cast {
        Cast::Unicast => (
            offset_of!(EthPstormPerQueueStat, sent_ucast_bytes),
            offset_of!(EthPstormPerQueueStat, sent_ucast_pkts),
        ),
        Cast::Multicast => (
            offset_of!(EthPstormPerQueueStat, sent_mcast_bytes),
            offset_of!(EthPstormPerQueueStat, sent_mcast_pkts),
        ),
        Cast::Broadcast => (
            offset_of!(EthPstormPerQueueStat, sent_bcast_bytes),
            offset_of!(EthPstormPerQueueStat, sent_bcast_pkts),
        ),
    };
    add(
        fabric,
        &layout.p_queue_stat,
        stat.into(),
        bytes_field,
        bytes as u64,
    );
    add(fabric, &layout.p_queue_stat, stat.into(), packets_field, 1);
}

/// Counts a transmitted frame that was switched inside the adapter.
pub(super) fn sent_switched(
    fabric: &mut dyn Fabric,
    layout: &StormLayout,
    pf: u8,
    cast: Cast,
    bytes: usize,
) {
    let (bytes_field, packets_field) = match cast {
        Cast::Unicast => (
            offset_of!(EthPstormPerPfStat, sent_lb_ucast_bytes),
            offset_of!(EthPstormPerPfStat, sent_lb_ucast_pkts),
        ),
        Cast::Multicast => (
            offset_of!(EthPstormPerPfStat, sent_lb_mcast_bytes),
            offset_of!(EthPstormPerPfStat, sent_lb_mcast_pkts),
        ),
        Cast::Broadcast => (
            offset_of!(EthPstormPerPfStat, sent_lb_bcast_bytes),
            offset_of!(EthPstormPerPfStat, sent_lb_bcast_pkts),
        ),
    };
    add(
        fabric,
        &layout.p_pf_stat,
        pf.into(),
        bytes_field,
        bytes as u64,
    );
    add(fabric, &layout.p_pf_stat, pf.into(), packets_field, 1);
}

/// Counts a transmitted frame in a tunnel.
pub(super) fn sent_tunnel(
    fabric: &mut dyn Fabric,
    layout: &StormLayout,
    pf: u8,
    kind: TunnelKind,
    bytes: usize,
) {
    let (bytes_field, packets_field) = match kind {
        TunnelKind::Gre => (
            offset_of!(EthPstormPerPfStat, sent_gre_bytes),
            offset_of!(EthPstormPerPfStat, sent_gre_pkts),
        ),
        TunnelKind::Vxlan => (
            offset_of!(EthPstormPerPfStat, sent_vxlan_bytes),
            offset_of!(EthPstormPerPfStat, sent_vxlan_pkts),
        ),
        TunnelKind::Geneve => (
            offset_of!(EthPstormPerPfStat, sent_geneve_bytes),
            offset_of!(EthPstormPerPfStat, sent_geneve_pkts),
        ),
    };
    add(
        fabric,
        &layout.p_pf_stat,
        pf.into(),
        bytes_field,
        bytes as u64,
    );
    add(fabric, &layout.p_pf_stat, pf.into(), packets_field, 1);
}

/// Counts a packet that was dropped for an error in it.
pub(super) fn transmit_dropped(fabric: &mut dyn Fabric, layout: &StormLayout, stat: u8) {
    add(
        fabric,
        &layout.p_queue_stat,
        stat.into(),
        offset_of!(EthPstormPerQueueStat, error_drop_pkts),
        1,
    );
}

/// What aggregation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coalesced {
    pub(super) packets: u64,
    pub(super) events: u64,
    pub(super) aborts: u64,
    pub(super) bytes: u64,
}

/// Counts aggregation.
pub(super) fn coalesced(
    fabric: &mut dyn Fabric,
    layout: &StormLayout,
    stat: u8,
    counts: Coalesced,
) {
    for (field, amount) in [
        (
            offset_of!(EthMstormPerQueueStat, tpa_coalesced_pkts),
            counts.packets,
        ),
        (
            offset_of!(EthMstormPerQueueStat, tpa_coalesced_events),
            counts.events,
        ),
        (
            offset_of!(EthMstormPerQueueStat, tpa_aborts_num),
            counts.aborts,
        ),
        (
            offset_of!(EthMstormPerQueueStat, tpa_coalesced_bytes),
            counts.bytes,
        ),
    ] {
        add(fabric, &layout.m_queue_stat, stat.into(), field, amount);
    }
}
