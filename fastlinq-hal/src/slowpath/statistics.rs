//! Counters: those of a vport in the storms' RAM, and the packet path's counters of a port.

use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::hsi::{
    EthMstormPerQueueStat, EthPstormPerQueueStat, EthUstormPerQueueStat, Regpair, TstormPerPortStat,
};
use fastlinq_pac::versions::{IroId, Layout};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Frames and bytes by kind of destination address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

/// Counters of one vport: the sum over its queues since the vport started.
///
/// The storm firmware keeps them in its RAM as pairs of dwords. They are read dword by dword, so a counter that moves
/// while it is read is read again; after three attempts the last value is taken.
///
/// Known by: source reading; the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VportStatistics {
    /// Delivered frames.
    pub received: Traffic,
    /// Transmitted frames.
    pub transmitted: Traffic,
    /// Frames not transmitted because they broke a rule.
    pub transmit_errors: u64,
    /// Received frames dropped because their hop limit was 0.
    pub dropped_ttl0: u64,
    /// Received frames dropped because they exceed the MTU.
    pub dropped_too_big: u64,
    /// Received frames dropped for want of a buffer or completion slot.
    pub dropped_no_buffer: u64,
    /// Received frames dropped because vport or queue was not active.
    pub dropped_inactive: u64,
}

/// Counters of the port's packet path that belong to no vport.
///
/// Known by: source reading; the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PacketPathStatistics {
    /// Frames cut short inside the chip.
    pub truncated: u64,
    /// Frames with a MAC error.
    pub mac_errors: u64,
    /// Frames dropped because of their outer tag.
    pub dropped_outer_tag: u64,
    /// Frames dropped because no vport wanted them.
    pub dropped_no_vport: u64,
    /// Frames dropped by a flow filter.
    pub dropped_flow: u64,
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

/// Reads the counters of statistics id `id`, the engine-absolute vport number.
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
    }
}

/// Zeroes the counters of a statistics id.
pub(crate) fn clear_vport(bus: &impl RegisterBus, layout: &Layout, id: u32) {
    clear_struct::<EthMstormPerQueueStat>(bus, layout, IroId::MSTORM_QUEUE_STAT, id);
    clear_struct::<EthUstormPerQueueStat>(bus, layout, IroId::USTORM_QUEUE_STAT, id);
    clear_struct::<EthPstormPerQueueStat>(bus, layout, IroId::PSTORM_QUEUE_STAT, id);
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
