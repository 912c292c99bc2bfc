//! What headers a received frame has.

/// The headers of a received frame, as the device parsed them: the inner ones if it came through a tunnel.
///
/// Known by: source reading; the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PacketKind {
    /// Network header.
    pub network: Network,
    /// Transport header; none in fragments but the first.
    pub transport: Transport,
    /// Whether it is a fragment of an IPv4 packet.
    pub fragment: bool,
    /// Whether an 802.1Q tag was there, taken off or not.
    pub tagged: bool,
    /// The tunnel, if the device recognised one.
    pub tunnel: Option<TunnelKind>,
}

/// A network header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Network {
    /// Neither IPv4 nor IPv6.
    Other,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// The code 3, which stands for nothing.
    Reserved,
}

/// A transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Transport {
    /// Neither TCP nor UDP.
    Other,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// The code 3, which stands for nothing.
    Reserved,
}

/// A tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TunnelKind {
    /// GENEVE.
    Geneve,
    /// GRE.
    Gre,
    /// VXLAN.
    Vxlan,
    /// The flags say that there is a tunnel, and its type is 0.
    Unknown,
}

impl PacketKind {
    /// From the parsing flags and the tunnel flags of a completion; every pattern has a kind.
    pub(crate) const fn of(flags: u16, tunnel: u8) -> Self {
        Self {
            network: match flags & 3 {
                0 => Network::Other,
                1 => Network::Ipv4,
                2 => Network::Ipv6,
                _ => Network::Reserved,
            },
            transport: match flags >> 2 & 3 {
                0 => Transport::Other,
                1 => Transport::Tcp,
                2 => Transport::Udp,
                _ => Transport::Reserved,
            },
            fragment: flags & 1 << 4 != 0,
            tagged: flags & 1 << 5 != 0,
            tunnel: if flags & 1 << 11 == 0 {
                None
            } else {
                Some(match tunnel & 3 {
                    1 => TunnelKind::Geneve,
                    2 => TunnelKind::Gre,
                    3 => TunnelKind::Vxlan,
                    _ => TunnelKind::Unknown,
                })
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_those_of_the_flags() {
        let plain = PacketKind::of(1 | 2 << 2, 3);
        assert_eq!(plain.network, Network::Ipv4);
        assert_eq!(plain.transport, Transport::Udp);
        assert_eq!(
            (plain.fragment, plain.tagged, plain.tunnel),
            (false, false, None)
        );
        let inner = PacketKind::of(2 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 11, 3);
        assert_eq!(inner.network, Network::Ipv6);
        assert_eq!(inner.transport, Transport::Tcp);
        assert_eq!((inner.fragment, inner.tagged), (true, true));
        assert_eq!(inner.tunnel, Some(TunnelKind::Vxlan));
        assert_eq!(
            PacketKind::of(3 | 1 << 11, 0).tunnel,
            Some(TunnelKind::Unknown)
        );
        assert_eq!(PacketKind::of(3, 0).network, Network::Reserved);
    }
}
