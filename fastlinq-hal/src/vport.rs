//! Vports: the virtual ports inside the chip that own receive and transmit queues and filters.

use crate::queue::QueuePairId;

/// Number of a vport of this function, counted from 0.
///
/// The engine-absolute number that ramrods carry is this plus the start of the function's vports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VportId(pub(crate) u8);

impl VportId {
    /// The number inside the function.
    #[must_use]
    pub const fn index(self) -> u8 {
        self.0
    }
}

/// How a vport starts.
///
/// [`Default`] gives the MTU of the adapter's configuration, VLAN tags left in the frames, and any VLAN accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VportConfig {
    /// Largest Ethernet payload in bytes, header not included; `None` takes the adapter's MTU.
    pub mtu: Option<u16>,
    /// Take 802.1Q tags off received frames and report them in the completion. Default `false`.
    pub strip_vlan: bool,
    /// Let only untagged frames pass until VLAN filters are added. Default `false`: frames of any VLAN pass.
    pub only_untagged: bool,
    /// Place received frames at the start of a buffer. Default `false`: the device leaves 2 bytes free, so that IP
    /// headers are aligned to 4 bytes.
    pub zero_placement_offset: bool,
    /// Let the device aggregate TCP segments. Default `None`: it does not.
    pub aggregation: Option<Aggregation>,
    /// Switch frames to other vports inside the chip instead of sending all of them out of the port. Default `false`.
    pub transmit_switching: bool,
}

/// How the device aggregates the segments of a TCP flow into one packet (TPA; large receive offload).
///
/// Split mode: each segment lies in a buffer of its own. The first buffer has the headers, which the firmware brings up to
/// date when the aggregation ends; the others have payload only. A receive buffer must hold a whole frame of the MTU, and
/// one aggregation takes up to `buffers` receive descriptors and that many completions and one more.
///
/// | field | limit |
/// |---|---|
/// | `aggregations` | 1 to 64 open at once in a queue |
/// | `buffers` | 2 to 255 in one aggregation |
/// | `max_bytes` | more than the MTU |
///
/// What is in tunnels is not aggregated. In `VPORT_START` and `VPORT_UPDATE` this is `tpa_param`. Known by: source reading; the model.
///
/// # Examples
///
/// ```
/// use fastlinq_hal::vport::Aggregation;
///
/// let aggregation = Aggregation::for_mtu(1500);
/// assert_eq!(aggregation.min_bytes_to_start, 750);
/// assert_eq!(aggregation.aggregations, 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Aggregation {
    /// Aggregate over IPv4.
    pub ipv4: bool,
    /// Aggregate over IPv6.
    pub ipv6: bool,
    /// Aggregate only segments whose headers a stack could take apart again: same MAC addresses, acknowledgement, window,
    /// VLAN, time stamp.
    pub consistent: bool,
    /// Aggregations open at once in a receive queue.
    pub aggregations: u8,
    /// Receive buffers of one aggregation.
    pub buffers: u8,
    /// Bytes of one aggregation, headers included.
    pub max_bytes: u16,
    /// Payload of a segment that starts an aggregation, at least, in bytes.
    pub min_bytes_to_start: u16,
    /// Payload of a segment that continues one, at least, in bytes; a smaller one ends it.
    pub min_bytes_to_continue: u16,
}

impl Aggregation {
    /// Most aggregations open at once in a receive queue.
    pub const MAX_AGGREGATIONS: u8 = 64;

    /// What known drivers set for an MTU: both IP versions, no tunnels, consistent headers, 64 aggregations of up to 16
    /// buffers, segments of half an MTU or more.
    #[must_use]
    pub const fn for_mtu(mtu: u16) -> Self {
        Self {
            ipv4: true,
            ipv6: true,
            consistent: true,
            aggregations: Self::MAX_AGGREGATIONS,
            buffers: 16,
            max_bytes: u16::MAX,
            min_bytes_to_start: mtu / 2,
            min_bytes_to_continue: mtu / 2,
        }
    }

    /// Whether the values are ones that the device can have on a vport with this MTU.
    #[must_use]
    pub const fn fits(&self, mtu: u16) -> bool {
        self.aggregations >= 1
            && self.aggregations <= Self::MAX_AGGREGATIONS
            && self.buffers >= 2
            && self.max_bytes > mtu
            && (self.ipv4 || self.ipv6)
    }
}

/// Which frames a vport receives besides those that its MAC filters name.
///
/// | mode | receive bits | switched-inside bits | any VLAN |
/// |---|---|---|---|
/// | `ReceiveMode::NOTHING` | 0x0009 | 0x0005 | no |
/// | `ReceiveMode::NORMAL` | 0x0020 | 0x0010 | no |
/// | `ReceiveMode::ALL_MULTICAST` | 0x0030 | 0x0018 | no |
/// | `ReceiveMode::PROMISCUOUS` | 0x0034 | 0x001a | yes |
///
/// Known by: source reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ReceiveMode {
    /// Receive unicast frames that a MAC filter of this vport names.
    pub unicast: bool,
    /// Receive unicast frames that no filter of the engine names, and frames of any VLAN.
    pub promiscuous: bool,
    /// Receive multicast frames whose bin is set.
    pub multicast: bool,
    /// Receive all multicast frames.
    pub all_multicast: bool,
    /// Receive broadcast frames.
    pub broadcast: bool,
}

impl ReceiveMode {
    /// No frame is received.
    pub const NOTHING: Self = Self {
        unicast: false,
        promiscuous: false,
        multicast: false,
        all_multicast: false,
        broadcast: false,
    };
    /// Filtered unicast, binned multicast, and broadcast.
    pub const NORMAL: Self = Self {
        unicast: true,
        multicast: true,
        broadcast: true,
        ..Self::NOTHING
    };
    /// [`Self::NORMAL`] and all multicast.
    pub const ALL_MULTICAST: Self = Self {
        all_multicast: true,
        ..Self::NORMAL
    };
    /// [`Self::ALL_MULTICAST`] and all unicast that nobody else on the engine owns.
    pub const PROMISCUOUS: Self = Self {
        promiscuous: true,
        ..Self::ALL_MULTICAST
    };

    /// The `rx_mode` bits of VPORT_UPDATE.
    #[must_use]
    pub const fn receive_bits(self) -> u16 {
        let drop_unicast = !self.unicast && !self.promiscuous;
        let drop_multicast = !self.multicast && !self.all_multicast;
        (drop_unicast as u16)
            | (self.promiscuous as u16) << 2
            | (drop_multicast as u16) << 3
            | (self.all_multicast as u16) << 4
            | (self.broadcast as u16) << 5
    }

    /// The `tx_mode` bits of VPORT_UPDATE: the same wish for frames switched inside the chip.
    #[must_use]
    pub const fn transmit_bits(self) -> u16 {
        let drop_unicast = !self.unicast && !self.promiscuous;
        let drop_multicast = !self.multicast && !self.all_multicast;
        (drop_unicast as u16)
            | (self.promiscuous as u16) << 1
            | (drop_multicast as u16) << 2
            | (self.all_multicast as u16) << 3
            | (self.broadcast as u16) << 4
    }
}

bitflags::bitflags! {
    /// Headers that receive-side scaling hashes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct HashedHeaders: u16 {
        /// IPv4 addresses.
        const IPV4 = 1 << 0;
        /// IPv6 addresses.
        const IPV6 = 1 << 1;
        /// IPv4 addresses and TCP ports.
        const IPV4_TCP = 1 << 2;
        /// IPv6 addresses and TCP ports.
        const IPV6_TCP = 1 << 3;
        /// IPv4 addresses and UDP ports.
        const IPV4_UDP = 1 << 4;
        /// IPv6 addresses and UDP ports.
        const IPV6_UDP = 1 << 5;
    }
}

impl Default for HashedHeaders {
    /// IP addresses and TCP ports.
    fn default() -> Self {
        Self::IPV4 | Self::IPV6 | Self::IPV4_TCP | Self::IPV6_TCP
    }
}

/// Entries of the table of receive-side scaling.
pub const RSS_TABLE_ENTRIES: usize = 128;

/// How receive-side scaling spreads the frames of a vport.
#[derive(Clone, Copy, Debug)]
pub struct RssConfig<'a> {
    /// Queue pairs that take part, all open on the vport: 1 to 128 of them; the [`RSS_TABLE_ENTRIES`] entries of the table
    /// repeat them in order. With 128 this is the table itself.
    pub queues: &'a [QueuePairId],
    /// Headers that are hashed.
    pub hashed: HashedHeaders,
    /// Toeplitz key.
    pub key: &'a [u8; 40],
}

/// What receive-side scaling is set to.
///
/// A queue pair that was closed since is not in the table any more: its entries went to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RssState {
    /// The vport.
    pub vport: VportId,
    /// Headers that are hashed.
    pub hashed: HashedHeaders,
    /// Toeplitz key.
    pub key: [u8; 40],
    /// The queue pair of each hash value modulo 128.
    pub table: [QueuePairId; RSS_TABLE_ENTRIES],
}

impl RssState {
    /// Whether a queue pair is in the table.
    #[must_use]
    pub fn names(&self, queue: QueuePairId) -> bool {
        self.table.contains(&queue)
    }

    /// The table with the entries of `gone` dealt out to the other queue pairs in it, or else to `spare`; `None` when
    /// nobody is left. Other entries stay where they are.
    pub(crate) fn without(&self, gone: QueuePairId, spare: Option<QueuePairId>) -> Option<Self> {
        let mut heirs = self.table.iter().copied().filter(|queue| *queue != gone);
        let mut turn = heirs.clone();
        let first = heirs.next().or(spare)?;
        let mut after = *self;
        for entry in after.table.iter_mut().filter(|entry| **entry == gone) {
            *entry = turn.next().unwrap_or(first);
        }
        Some(after)
    }
}

/// What the adapter remembers of a started vport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VportState {
    pub(crate) active: bool,
    pub(crate) mode: ReceiveMode,
    pub(crate) multicast_overflow: bool,
    pub(crate) vlan_filtering: bool,
    /// Bytes of the largest payload.
    pub(crate) mtu: u16,
    pub(crate) aggregation: Option<Aggregation>,
    /// The queue pair that takes frames without a hash.
    pub(crate) default_queue: Option<u16>,
    /// Changes with every change of the filters that a declared set does not know of.
    pub(crate) filter_epoch: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_bits_are_those_of_the_reference() {
        let table = [
            (ReceiveMode::NOTHING, 0x09, 0x05),
            (ReceiveMode::NORMAL, 0x20, 0x10),
            (ReceiveMode::ALL_MULTICAST, 0x30, 0x18),
            (ReceiveMode::PROMISCUOUS, 0x34, 0x1a),
        ];
        for (mode, receive, transmit) in table {
            assert_eq!(mode.receive_bits(), receive, "{mode:?}");
            assert_eq!(mode.transmit_bits(), transmit, "{mode:?}");
        }
    }

    #[test]
    fn entries_of_a_closed_queue_pair_go_to_the_others_in_turn() {
        let queue = QueuePairId;
        let mut state = RssState {
            vport: VportId(0),
            hashed: HashedHeaders::default(),
            key: [0; 40],
            table: core::array::from_fn(|entry| queue(entry as u16 % 4)),
        };
        let after = state.without(queue(2), None).expect("others are left");
        for (entry, (before, now)) in state.table.iter().zip(after.table).enumerate() {
            if *before == queue(2) {
                assert_ne!(now, queue(2), "entry {entry}");
            } else {
                assert_eq!(now, *before, "entry {entry}");
            }
        }
        for heir in [0, 1, 3] {
            let entries = after.table.iter().filter(|entry| **entry == queue(heir));
            assert!((42..=43).contains(&entries.count()), "queue {heir}");
        }
        state.table = [queue(5); 128];
        assert_eq!(state.without(queue(5), None), None);
        let alone = state.without(queue(5), Some(queue(1)));
        assert_eq!(alone.map(|state| state.table), Some([queue(1); 128]));
    }
}
