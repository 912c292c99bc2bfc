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

/// How receive-side scaling spreads the frames of a vport.
#[derive(Clone, Copy, Debug)]
pub struct RssConfig<'a> {
    /// Queue pairs that take part, all open on the vport; the 128 entries of the table repeat them in order.
    pub queues: &'a [QueuePairId],
    /// Headers that are hashed.
    pub hashed: HashedHeaders,
    /// Toeplitz key.
    pub key: &'a [u8; 40],
}

/// What the adapter remembers of a started vport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VportState {
    pub(crate) active: bool,
    pub(crate) mode: ReceiveMode,
    pub(crate) multicast_overflow: bool,
    pub(crate) vlan_filtering: bool,
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
}
