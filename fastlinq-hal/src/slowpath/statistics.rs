//! Counters: those of a vport in the storms' RAM, and the packet path's counters of a port.

use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::hsi::{
    EthMstormPerPfStat, EthMstormPerQueueStat, EthPstormPerPfStat, EthPstormPerQueueStat,
    EthUstormPerPfStat, EthUstormPerQueueStat, Regpair, TstormPerPortStat,
};
use fastlinq_pac::versions::{IroId, Layout};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// What has been counted since an earlier reading.
///
/// Counters have 64 bits and wrap; the difference is right over a wrap.
pub trait Since: Sized {
    /// The difference of each counter.
    #[must_use]
    fn since(&self, earlier: &Self) -> Self;
}

/// What [`PortStatistics`](crate::mfw::port_statistics::PortStatistics) and the others are made of.
impl Since for u64 {
    fn since(&self, earlier: &Self) -> Self {
        self.wrapping_sub(*earlier)
    }
}

/// What two readings of different counters give together.
pub(crate) trait Together: Sized {
    /// The sum of each counter.
    fn and(&self, other: &Self) -> Self;
}

impl Together for u64 {
    fn and(&self, other: &Self) -> Self {
        self.wrapping_add(*other)
    }
}

/// Defines counters that can be subtracted from each other.
macro_rules! counters {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::slowpath::Since for $name {
            fn since(&self, earlier: &Self) -> Self {
                Self { $($field: self.$field.since(&earlier.$field),)* }
            }
        }

        impl $crate::slowpath::Together for $name {
            fn and(&self, other: &Self) -> Self {
                Self { $($field: self.$field.and(&other.$field),)* }
            }
        }
    };
}
pub(crate) use counters;

counters! {
    /// Frames and bytes by kind of destination address.
    pub struct Traffic {
        /// Unicast frames.
        pub unicast_frames: u64,
        /// Bytes of unicast frames, without frame check sequence.
        pub unicast_bytes: u64,
        /// Multicast frames.
        pub multicast_frames: u64,
        /// Bytes of multicast frames.
        pub multicast_bytes: u64,
        /// Broadcast frames.
        pub broadcast_frames: u64,
        /// Bytes of broadcast frames.
        pub broadcast_bytes: u64,
    }
}

counters! {
    /// Counters of one vport: the sum over its queues since the vport started, or since they were cleared.
    ///
    /// The storm firmware keeps them in its RAM as pairs of dwords, by the statistics id of the queues, which is the vport's
    /// number, or one of their own: `ETH_QUEUE_STAT` of MSTORM, USTORM and PSTORM. They are read dword by dword, so a counter that moves while it
    /// is read is read again; after three attempts the last value is taken. Bytes are those of the frames on the line,
    /// without frame check sequence; a tag that was taken off counts.
    ///
    /// Known by: source reading; the model.
    pub struct VportStatistics {
        /// Delivered frames. (U)
        pub received: Traffic,
        /// Transmitted frames, after segmentation. (P)
        pub transmitted: Traffic,
        /// Packets not transmitted because they broke a rule. (P)
        pub transmit_errors: u64,
        /// Received frames dropped because their hop limit was 0. (M)
        pub dropped_ttl0: u64,
        /// Received frames dropped because they exceed the MTU. (M)
        pub dropped_too_big: u64,
        /// Received frames dropped for want of a buffer or completion slot. (M)
        pub dropped_no_buffer: u64,
        /// Received frames dropped because vport or queue was not active. (M)
        pub dropped_inactive: u64,
        /// Received frames that became part of an aggregation. (M)
        pub aggregated_packets: u64,
        /// Aggregations that ended. (M)
        pub aggregations: u64,
        /// Aggregations among them that ended for another reason than size, time or a last segment. (M)
        pub aggregation_aborts: u64,
        /// Bytes of aggregations. (M)
        pub aggregated_bytes: u64,
    }
}

counters! {
    /// Counters of one queue pair since it was opened, as the storm firmware keeps them.
    ///
    /// The same three structures as those of [`VportStatistics`], under a statistics id that no other queue pair has:
    /// [`queue_statistics`](crate::adapter::AdapterConfig::queue_statistics) asks for that. What the rings count for
    /// themselves in `fastlinq-net` can be held against it: frames that the device saw and the driver did not are here.
    ///
    /// Known by: source reading that a queue names its id; the model. That a function may use ids of its share of vports
    /// for queues is inferred: known drivers give all queues of a vport the vport's number.
    pub struct QueueStatistics {
        /// Delivered frames. (U)
        pub received: Traffic,
        /// Transmitted frames, after segmentation. (P)
        pub transmitted: Traffic,
        /// Packets not transmitted because they broke a rule. (P)
        pub transmit_errors: u64,
        /// Received frames dropped for want of a buffer or completion slot. (M)
        pub dropped_no_buffer: u64,
        /// Received frames dropped because their hop limit was 0, they exceed the MTU, or the vport was not active. Such a
        /// frame has no queue yet; the firmware counts it for the vport's default queue. (M)
        pub dropped_before_the_queue: u64,
        /// Received frames that became part of an aggregation. (M)
        pub aggregated_packets: u64,
        /// Aggregations that ended. (M)
        pub aggregations: u64,
        /// Aggregations among them that ended for another reason than size, time or a last segment. (M)
        pub aggregation_aborts: u64,
        /// Bytes of aggregations. (M)
        pub aggregated_bytes: u64,
    }
}

impl From<VportStatistics> for QueueStatistics {
    fn from(all: VportStatistics) -> Self {
        Self {
            received: all.received,
            transmitted: all.transmitted,
            transmit_errors: all.transmit_errors,
            dropped_no_buffer: all.dropped_no_buffer,
            dropped_before_the_queue: all
                .dropped_ttl0
                .wrapping_add(all.dropped_too_big)
                .wrapping_add(all.dropped_inactive),
            aggregated_packets: all.aggregated_packets,
            aggregations: all.aggregations,
            aggregation_aborts: all.aggregation_aborts,
            aggregated_bytes: all.aggregated_bytes,
        }
    }
}

counters! {
    /// Frames and bytes in tunnels of one kind.
    pub struct TunnelTraffic {
        /// Frames.
        pub frames: u64,
        /// Their bytes.
        pub bytes: u64,
    }
}

counters! {
    /// Counters of the function: what was switched inside the chip, and what was in tunnels.
    ///
    /// `ETH_PF_STAT` of MSTORM, USTORM and PSTORM, by the function's number in its engine.
    ///
    /// Known by: source reading; the model. Transmitted frames count when their descriptor says that they are in a tunnel.
    pub struct FunctionStatistics {
        /// Received frames that never were on the line. (U)
        pub received_inside: Traffic,
        /// Transmitted frames that were switched inside the chip. (P)
        pub transmitted_inside: Traffic,
        /// Received in GRE. (U)
        pub received_gre: TunnelTraffic,
        /// Received in VXLAN. (U)
        pub received_vxlan: TunnelTraffic,
        /// Received in GENEVE. (U)
        pub received_geneve: TunnelTraffic,
        /// Transmitted in GRE. (P)
        pub transmitted_gre: TunnelTraffic,
        /// Transmitted in VXLAN. (P)
        pub transmitted_vxlan: TunnelTraffic,
        /// Transmitted in GENEVE. (P)
        pub transmitted_geneve: TunnelTraffic,
        /// Received frames in GRE that were dropped. (M)
        pub dropped_gre: u64,
        /// Received frames in VXLAN that were dropped. (M)
        pub dropped_vxlan: u64,
        /// Received frames in GENEVE that were dropped. (M)
        pub dropped_geneve: u64,
        /// Frames switched inside the chip that were dropped. (M)
        pub dropped_inside: u64,
    }
}

counters! {
    /// Counters of the port's packet path that belong to no vport.
    ///
    /// `ETH_PORT_STAT` of TSTORM, by the port of the management firmware.
    ///
    /// Known by: source reading; the model.
    pub struct PacketPathStatistics {
        /// Frames cut short inside the chip.
        pub truncated: u64,
        /// Frames with a MAC error.
        pub mac_errors: u64,
        /// Frames dropped because of their outer tag.
        pub dropped_outer_tag: u64,
        /// Frames dropped because no vport wanted them.
        pub dropped_no_vport: u64,
        /// Frames dropped by a flow.
        pub dropped_flow: u64,
        /// Frames that are not to be delivered to Ethernet queues as they are.
        pub irregular: u64,
        /// Frames in GRE that no filter of the tunnel's wanted.
        pub dropped_gre: u64,
        /// Frames in VXLAN that no filter of the tunnel's wanted.
        pub dropped_vxlan: u64,
        /// Frames in GENEVE that no filter of the tunnel's wanted.
        pub dropped_geneve: u64,
    }
}

impl Traffic {
    /// All frames.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.unicast_frames
            .wrapping_add(self.multicast_frames)
            .wrapping_add(self.broadcast_frames)
    }

    /// All bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.unicast_bytes
            .wrapping_add(self.multicast_bytes)
            .wrapping_add(self.broadcast_bytes)
    }
}

fn read_struct<T: FromBytes + FromZeros + IntoBytes>(
    bus: &impl RegisterBus,
    layout: &Layout,
    id: IroId,
    index: u32,
) -> T {
    let mut value = T::new_zeroed();
    let Some(iro) = layout.iro(id) else {
        return value;
    };
    let address = iro.address(index, 0);
    for (counter, bytes) in value.as_mut_bytes().chunks_exact_mut(8).enumerate() {
        let low_address = address.offset(8 * counter as u32);
        let high_address = low_address.offset(4);
        let mut high = bus.read32(high_address);
        let mut low = bus.read32(low_address);
        for _ in 0..2 {
            let again = bus.read32(high_address);
            if again == high {
                break;
            }
            high = again;
            low = bus.read32(low_address);
        }
        bytes.copy_from_slice(&(u64::from(high) << 32 | u64::from(low)).to_le_bytes());
    }
    value
}

fn clear_struct<T>(bus: &impl RegisterBus, layout: &Layout, id: IroId, index: u32) {
    if let Some(iro) = layout.iro(id) {
        for dword in 0..(size_of::<T>() / 4) as u32 {
            bus.write32(iro.address(index, 0).offset(4 * dword), 0);
        }
    }
}

fn counter(pair: Regpair) -> u64 {
    u64::from(pair.hi.get()) << 32 | u64::from(pair.lo.get())
}

/// Reads the counters of statistics id `id`: an engine-absolute vport number, whether a vport has it or a queue pair.
#[must_use]
pub(crate) fn read_vport(bus: &impl RegisterBus, layout: &Layout, id: u32) -> VportStatistics {
    let m: EthMstormPerQueueStat = read_struct(bus, layout, IroId::MSTORM_QUEUE_STAT, id);
    let u: EthUstormPerQueueStat = read_struct(bus, layout, IroId::USTORM_QUEUE_STAT, id);
    let p: EthPstormPerQueueStat = read_struct(bus, layout, IroId::PSTORM_QUEUE_STAT, id);
    VportStatistics {
        received: Traffic {
            unicast_frames: counter(u.rcv_ucast_pkts),
            unicast_bytes: counter(u.rcv_ucast_bytes),
            multicast_frames: counter(u.rcv_mcast_pkts),
            multicast_bytes: counter(u.rcv_mcast_bytes),
            broadcast_frames: counter(u.rcv_bcast_pkts),
            broadcast_bytes: counter(u.rcv_bcast_bytes),
        },
        transmitted: Traffic {
            unicast_frames: counter(p.sent_ucast_pkts),
            unicast_bytes: counter(p.sent_ucast_bytes),
            multicast_frames: counter(p.sent_mcast_pkts),
            multicast_bytes: counter(p.sent_mcast_bytes),
            broadcast_frames: counter(p.sent_bcast_pkts),
            broadcast_bytes: counter(p.sent_bcast_bytes),
        },
        transmit_errors: counter(p.error_drop_pkts),
        dropped_ttl0: counter(m.ttl0_discard),
        dropped_too_big: counter(m.packet_too_big_discard),
        dropped_no_buffer: counter(m.no_buff_discard),
        dropped_inactive: counter(m.not_active_discard),
        aggregated_packets: counter(m.tpa_coalesced_pkts),
        aggregations: counter(m.tpa_coalesced_events),
        aggregation_aborts: counter(m.tpa_aborts_num),
        aggregated_bytes: counter(m.tpa_coalesced_bytes),
    }
}

/// Zeroes the counters of a statistics id.
pub(crate) fn clear_vport(bus: &impl RegisterBus, layout: &Layout, id: u32) {
    clear_struct::<EthMstormPerQueueStat>(bus, layout, IroId::MSTORM_QUEUE_STAT, id);
    clear_struct::<EthUstormPerQueueStat>(bus, layout, IroId::USTORM_QUEUE_STAT, id);
    clear_struct::<EthPstormPerQueueStat>(bus, layout, IroId::PSTORM_QUEUE_STAT, id);
}

/// Reads the counters of the function with this number in its engine.
#[must_use]
pub(crate) fn read_function(
    bus: &impl RegisterBus,
    layout: &Layout,
    function: u32,
) -> FunctionStatistics {
    let m: EthMstormPerPfStat = read_struct(bus, layout, IroId::MSTORM_ETH_PF_STAT, function);
    let u: EthUstormPerPfStat = read_struct(bus, layout, IroId::USTORM_ETH_PF_STAT, function);
    let p: EthPstormPerPfStat = read_struct(bus, layout, IroId::PSTORM_ETH_PF_STAT, function);
    let tunnel = |frames, bytes| TunnelTraffic {
        frames: counter(frames),
        bytes: counter(bytes),
    };
    FunctionStatistics {
        received_inside: Traffic {
            unicast_frames: counter(u.rcv_lb_ucast_pkts),
            unicast_bytes: counter(u.rcv_lb_ucast_bytes),
            multicast_frames: counter(u.rcv_lb_mcast_pkts),
            multicast_bytes: counter(u.rcv_lb_mcast_bytes),
            broadcast_frames: counter(u.rcv_lb_bcast_pkts),
            broadcast_bytes: counter(u.rcv_lb_bcast_bytes),
        },
        transmitted_inside: Traffic {
            unicast_frames: counter(p.sent_lb_ucast_pkts),
            unicast_bytes: counter(p.sent_lb_ucast_bytes),
            multicast_frames: counter(p.sent_lb_mcast_pkts),
            multicast_bytes: counter(p.sent_lb_mcast_bytes),
            broadcast_frames: counter(p.sent_lb_bcast_pkts),
            broadcast_bytes: counter(p.sent_lb_bcast_bytes),
        },
        received_gre: tunnel(u.rcv_gre_pkts, u.rcv_gre_bytes),
        received_vxlan: tunnel(u.rcv_vxlan_pkts, u.rcv_vxlan_bytes),
        received_geneve: tunnel(u.rcv_geneve_pkts, u.rcv_geneve_bytes),
        transmitted_gre: tunnel(p.sent_gre_pkts, p.sent_gre_bytes),
        transmitted_vxlan: tunnel(p.sent_vxlan_pkts, p.sent_vxlan_bytes),
        transmitted_geneve: tunnel(p.sent_geneve_pkts, p.sent_geneve_bytes),
        dropped_gre: counter(m.gre_discard_pkts),
        dropped_vxlan: counter(m.vxlan_discard_pkts),
        dropped_geneve: counter(m.geneve_discard_pkts),
        dropped_inside: counter(m.lb_discard_pkts),
    }
}

/// Reads the packet-path counters of a port of the management firmware.
#[must_use]
pub(crate) fn read_port(
    bus: &impl RegisterBus,
    layout: &Layout,
    port: u32,
) -> PacketPathStatistics {
    let t: TstormPerPortStat = read_struct(bus, layout, IroId::TSTORM_PORT_STAT, port);
    PacketPathStatistics {
        truncated: counter(t.trunc_error_discard),
        mac_errors: counter(t.mac_error_discard),
        dropped_outer_tag: counter(t.mftag_filter_discard),
        dropped_no_vport: counter(t.eth_mac_filter_discard),
        dropped_flow: counter(t.eth_gft_drop_pkt),
        irregular: counter(t.eth_irregular_pkt),
        dropped_gre: counter(t.eth_gre_tunn_filter_discard),
        dropped_vxlan: counter(t.eth_vxlan_tunn_filter_discard),
        dropped_geneve: counter(t.eth_geneve_tunn_filter_discard),
    }
}

#[cfg(test)]
mod tests {
    use fastlinq_pac::GrcAddress;
    use fastlinq_pac::versions::{self, FirmwareVersion};

    use super::*;
    use crate::slowpath::test_memory::MapBus;

    fn layout() -> &'static Layout {
        versions::for_version(FirmwareVersion::new(8, 59, 1, 0)).unwrap()
    }

    #[test]
    fn counters_lie_where_the_reference_says() {
        let bus = MapBus::default();
        let put = |address: u32, value: u64| {
            bus.preset(GrcAddress(address), value as u32);
            bus.preset(GrcAddress(address + 4), (value >> 32) as u32);
        };
        // P QUEUE_STAT(2): unicast bytes, then broadcast frames, then drops.
        put(0x1f0_4698 + 2 * 0x80, 0x1_0000_0002);
        put(0x1f0_4698 + 2 * 0x80 + 40, 3);
        put(0x1f0_4698 + 2 * 0x80 + 48, 4);
        // U QUEUE_STAT(2): multicast frames. M QUEUE_STAT(2): no buffer.
        put(0x1d8_8960 + 2 * 0x40 + 32, 5);
        put(0x1d0_3d20 + 2 * 0x80 + 16, 6);
        let statistics = read_vport(&bus, layout(), 2);
        let expected = VportStatistics {
            received: Traffic {
                multicast_frames: 5,
                ..Traffic::default()
            },
            transmitted: Traffic {
                unicast_bytes: 0x1_0000_0002,
                broadcast_frames: 3,
                ..Traffic::default()
            },
            transmit_errors: 4,
            dropped_no_buffer: 6,
            ..VportStatistics::default()
        };
        assert_eq!(statistics, expected);
        clear_vport(&bus, layout(), 2);
        assert_eq!(read_vport(&bus, layout(), 2), VportStatistics::default());
    }

    #[test]
    fn function_counters_lie_where_the_reference_says() {
        let bus = MapBus::default();
        let put = |address: u32, value: u32| bus.preset(GrcAddress(address), value);
        // U ETH_PF_STAT(3): GENEVE frames. P: VXLAN bytes and frames. M: switched frames dropped.
        put(0x1d8_0000 + 0xe840 + 3 * 0x60 + 88, 4);
        put(0x1f0_0000 + 0x107b8 + 3 * 0xc0 + 56, 5);
        put(0x1f0_0000 + 0x107b8 + 3 * 0xc0 + 104, 6);
        put(0x1d0_0000 + 0x3d60 + 3 * 0x80 + 24, 7);
        let statistics = read_function(&bus, layout(), 3);
        let expected = FunctionStatistics {
            received_geneve: TunnelTraffic {
                frames: 4,
                bytes: 0,
            },
            transmitted_vxlan: TunnelTraffic {
                frames: 6,
                bytes: 5,
            },
            dropped_inside: 7,
            ..FunctionStatistics::default()
        };
        assert_eq!(statistics, expected);
    }

    #[test]
    fn differences_are_right_over_a_wrap() {
        let earlier = VportStatistics {
            transmit_errors: u64::MAX - 1,
            ..VportStatistics::default()
        };
        let now = VportStatistics {
            transmit_errors: 3,
            received: Traffic {
                broadcast_bytes: 9,
                ..Traffic::default()
            },
            ..VportStatistics::default()
        };
        let since = now.since(&earlier);
        assert_eq!((since.transmit_errors, since.received.bytes()), (5, 9));
    }

    #[test]
    fn port_counters_lie_where_the_reference_says() {
        let bus = MapBus::default();
        bus.preset(GrcAddress(0x1c8_3288 + 0x88 + 24), 7);
        bus.preset(GrcAddress(0x1c8_3288 + 0x88 + 128), 8);
        let statistics = read_port(&bus, layout(), 1);
        assert_eq!(
            (statistics.dropped_no_vport, statistics.dropped_flow),
            (7, 8)
        );
    }
}
