//! Flows: received frames that go to a queue pair of the caller's choice, or nowhere.
//!
//! The parser compares the fields of one [`FlowProfile`] at a time; all flows of a function have the same. A flow is told to
//! the firmware by a sample header, from which it takes those fields.
//!
//! # Examples
//!
//! ```
//! use fastlinq_hal::steering::{FlowMatch, FlowProfile, Transport};
//!
//! let web = FlowMatch::DestinationPort {
//!     ipv6: false,
//!     transport: Transport::Tcp,
//!     port: 80,
//! };
//! assert_eq!(web.profile(), FlowProfile::DestinationPort);
//! ```

use core::fmt;
use core::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::queue::QueuePairId;
use crate::vport::VportId;

/// Flows that a function can have at once.
pub const FLOWS: usize = 256;

const ETHERNET_HEADER: usize = 14;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;

/// Bytes of the longest sample header: Ethernet, IPv6, TCP.
pub(crate) const SAMPLE_BYTES: usize = ETHERNET_HEADER + 40 + 20;
/// Bytes from one flow's sample to the next one's.
pub(crate) const SAMPLE_STRIDE: usize = 80;
/// Bytes of the samples of all flows. The firmware wants to see a flow's sample again when the flow is removed.
pub(crate) const SAMPLES_BYTES: usize = FLOWS * SAMPLE_STRIDE;

/// Which fields of a frame decide.
///
/// | profile | low mask | high mask |
/// |---|---|---|
/// | `FourTuple` | 0xc008_0240 | 0x0e |
/// | `DestinationPort` | 0x4008_0240 | 0x02 |
/// | `DestinationAddress` | 0x0008_0240 | 0x04 |
/// | `SourceAddress` | 0x0008_0240 | 0x08 |
///
/// `PRS_GFT_PROFILE_MASK_RAM`. Known by: source reading; the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FlowProfile {
    /// Both addresses, both ports, and the transport protocol.
    FourTuple,
    /// The destination port and the transport protocol.
    DestinationPort,
    /// The destination address.
    DestinationAddress,
    /// The source address.
    SourceAddress,
}

impl FlowProfile {
    /// Low and high word of the profile's mask.
    #[must_use]
    pub const fn mask(self) -> (u32, u32) {
        /// Destination port and protocol of a tunnel, and the Ethertype: in all profiles.
        const ALWAYS: u32 = 1 << 6 | 1 << 9 | 1 << 19;
        const DESTINATION_PORT: u32 = 1 << 30;
        const SOURCE_PORT: u32 = 1 << 31;
        const PROTOCOL: u32 = 1 << 1;
        const DESTINATION: u32 = 1 << 2;
        const SOURCE: u32 = 1 << 3;
        match self {
            Self::FourTuple => (
                ALWAYS | DESTINATION_PORT | SOURCE_PORT,
                PROTOCOL | DESTINATION | SOURCE,
            ),
            Self::DestinationPort => (ALWAYS | DESTINATION_PORT, PROTOCOL),
            Self::DestinationAddress => (ALWAYS, DESTINATION),
            Self::SourceAddress => (ALWAYS, SOURCE),
        }
    }
}

/// Transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Which frames a flow consists of. Of a recognised tunnel the inner headers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlowMatch {
    /// One direction of a connection over IPv4.
    V4 {
        /// Where it comes from.
        source: SocketAddrV4,
        /// Where it goes to.
        destination: SocketAddrV4,
        /// Its protocol.
        transport: Transport,
    },
    /// One direction of a connection over IPv6; flow label and scope do not count.
    V6 {
        /// Where it comes from.
        source: SocketAddrV6,
        /// Where it goes to.
        destination: SocketAddrV6,
        /// Its protocol.
        transport: Transport,
    },
    /// Everything to a port.
    DestinationPort {
        /// Over IPv6, otherwise over IPv4.
        ipv6: bool,
        /// Its protocol.
        transport: Transport,
        /// The port.
        port: u16,
    },
    /// Everything to an address.
    DestinationAddress(IpAddr),
    /// Everything from an address.
    SourceAddress(IpAddr),
}

impl FlowMatch {
    /// One direction of a connection; `None` when the addresses are of two versions.
    #[must_use]
    pub const fn connection(
        source: SocketAddr,
        destination: SocketAddr,
        transport: Transport,
    ) -> Option<Self> {
        match (source, destination) {
            (SocketAddr::V4(source), SocketAddr::V4(destination)) => Some(Self::V4 {
                source,
                destination,
                transport,
            }),
            (SocketAddr::V6(source), SocketAddr::V6(destination)) => Some(Self::V6 {
                source,
                destination,
                transport,
            }),
            _ => None,
        }
    }

    /// The profile that the match needs.
    #[must_use]
    pub const fn profile(&self) -> FlowProfile {
        match self {
            Self::V4 { .. } | Self::V6 { .. } => FlowProfile::FourTuple,
            Self::DestinationPort { .. } => FlowProfile::DestinationPort,
            Self::DestinationAddress(_) => FlowProfile::DestinationAddress,
            Self::SourceAddress(_) => FlowProfile::SourceAddress,
        }
    }

    /// Writes a header of such a frame; its bytes. Fields that do not count are zero.
    pub(crate) fn sample(&self, to: &mut [u8; SAMPLE_BYTES]) -> usize {
        to.fill(0);
        let v6 = [0; 16];
        let (source, destination, ports, transport) = match *self {
            Self::V4 {
                source,
                destination,
                transport,
            } => (
                IpAddr::V4(*source.ip()),
                IpAddr::V4(*destination.ip()),
                (source.port(), destination.port()),
                transport,
            ),
            Self::V6 {
                source,
                destination,
                transport,
            } => (
                IpAddr::V6(*source.ip()),
                IpAddr::V6(*destination.ip()),
                (source.port(), destination.port()),
                transport,
            ),
            Self::DestinationPort {
                ipv6,
                transport,
                port,
            } => {
                let any = if ipv6 {
                    IpAddr::from(v6)
                } else {
                    IpAddr::from([0; 4])
                };
                (any, any, (0, port), transport)
            }
            Self::DestinationAddress(address) => (any(address), address, (0, 0), Transport::Tcp),
            Self::SourceAddress(address) => (address, any(address), (0, 0), Transport::Tcp),
        };
        let (protocol, transport_bytes) = match transport {
            Transport::Tcp => (PROTOCOL_TCP, 20),
            Transport::Udp => (PROTOCOL_UDP, 8),
        };
        let mut writer = Writer { to, at: 0 };
        writer.skip(ETHERNET_HEADER - 2);
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                writer.put(&0x0800u16.to_be_bytes());
                writer.put(&[0x45, 0]);
                writer.put(&(20 + transport_bytes as u16).to_be_bytes());
                writer.put(&[0, 0, 0, 0, 64, protocol, 0, 0]);
                writer.put(&source.octets());
                writer.put(&destination.octets());
            }
            (source, destination) => {
                writer.put(&0x86ddu16.to_be_bytes());
                writer.put(&[0x60, 0, 0, 0]);
                writer.put(&(transport_bytes as u16).to_be_bytes());
                writer.put(&[protocol, 64]);
                writer.put(&octets(source));
                writer.put(&octets(destination));
            }
        }
        let transport_at = writer.at;
        writer.put(&ports.0.to_be_bytes());
        writer.put(&ports.1.to_be_bytes());
        match transport {
            // Header length, and nothing else.
            Transport::Tcp => {
                writer.skip(8);
                writer.put(&[0x50]);
            }
            Transport::Udp => writer.put(&8u16.to_be_bytes()),
        }
        transport_at + transport_bytes
    }
}

/// The unspecified address of the same version.
fn any(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

struct Writer<'a> {
    to: &'a mut [u8; SAMPLE_BYTES],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        for (to, from) in self.to.iter_mut().skip(self.at).zip(bytes) {
            *to = *from;
        }
        self.at += bytes.len();
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

/// Where the frames of a flow go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FlowAction {
    /// To a queue pair, on its vport.
    Queue(QueuePairId),
    /// To a vport, which spreads them as its other frames.
    Vport(VportId),
    /// Nowhere; they are counted by the port.
    Drop,
}

/// A flow that is steered.
///
/// It is needed to remove the flow. Dropping a handle cannot reach the adapter, so it leaves the flow in place, and with it
/// the queue pair or the vport that the flow goes to: those cannot be closed while flows go there.
/// [`reclaim_flows`](crate::adapter::Adapter::reclaim_flows) removes the flows whose handles are gone.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "without its handle a flow can only be removed by `reclaim_flows`"]
pub struct FlowHandle {
    pub(crate) place: u16,
    pub(crate) serial: u16,
    pub(crate) bring_up: u32,
    pub(crate) matching: FlowMatch,
    pub(crate) action: FlowAction,
}

impl FlowHandle {
    /// Number of the flow, 0 to 255; completions of its frames carry it.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.place
    }

    /// Which frames it consists of.
    #[must_use]
    pub const fn matching(&self) -> &FlowMatch {
        &self.matching
    }

    /// Where they go.
    #[must_use]
    pub const fn action(&self) -> FlowAction {
        self.action
    }
}

/// A place of the table of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the frames go; `None` of a free place.
    pub(crate) action: Option<FlowAction>,
    /// How often the place was given away, so that an old handle is told from a new one.
    pub(crate) serial: u16,
    /// Bytes of the sample.
    pub(crate) sample_bytes: u8,
    /// The firmware did not say whether the flow is there.
    pub(crate) uncertain: bool,
}

impl Place {
    const FREE: Self = Self {
        action: None,
        serial: 0,
        sample_bytes: 0,
        uncertain: false,
    };
}

/// Which places are in use, and by which profile.
pub(crate) struct Flows {
    pub(crate) profile: Option<FlowProfile>,
    places: [Place; FLOWS],
}

impl Flows {
    pub(crate) const fn new() -> Self {
        Self {
            profile: None,
            places: [Place::FREE; FLOWS],
        }
    }

    /// The first free place, and the serial number of its next flow.
    pub(crate) fn free(&self) -> Option<(u16, u16)> {
        let (number, place) = self
            .places
            .iter()
            .enumerate()
            .find(|(_, place)| place.action.is_none())?;
        Some((number as u16, place.serial.wrapping_add(1)))
    }

    pub(crate) fn count(&self) -> usize {
        let used = self.places.iter().filter(|place| place.action.is_some());
        used.count()
    }

    pub(crate) fn count_to(&self, action: FlowAction) -> u16 {
        let places = self.places.iter();
        places.filter(|place| place.action == Some(action)).count() as u16
    }

    pub(crate) fn place(&self, number: u16) -> Option<Place> {
        self.places.get(usize::from(number)).copied()
    }

    pub(crate) fn set(&mut self, number: u16, to: Place) {
        if let Some(place) = self.places.get_mut(usize::from(number)) {
            *place = to;
        }
    }

    /// Gives a place back.
    pub(crate) fn clear(&mut self, number: u16) {
        if let Some(place) = self.places.get_mut(usize::from(number)) {
            place.action = None;
        }
    }
}

impl fmt::Debug for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flows")
            .field("profile", &self.profile)
            .field("count", &self.count())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_those_of_the_reference() {
        let table = [
            (FlowProfile::FourTuple, (0xc008_0240, 0xe)),
            (FlowProfile::DestinationPort, (0x4008_0240, 0x2)),
            (FlowProfile::DestinationAddress, (0x0008_0240, 0x4)),
            (FlowProfile::SourceAddress, (0x0008_0240, 0x8)),
        ];
        for (profile, mask) in table {
            assert_eq!(profile.mask(), mask, "{profile:?}");
        }
    }

    #[test]
    fn samples_are_headers_of_such_frames() {
        let mut sample = [0xff; SAMPLE_BYTES];
        let flow = FlowMatch::V4 {
            source: "10.0.0.1:1000".parse().unwrap(),
            destination: "10.0.0.2:80".parse().unwrap(),
            transport: Transport::Tcp,
        };
        assert_eq!(flow.sample(&mut sample), 54);
        assert_eq!(sample[12..16], [8, 0, 0x45, 0]);
        assert_eq!(sample[16..18], [0, 40]);
        assert_eq!(sample[22..24], [64, 6]);
        assert_eq!(sample[26..38], [10, 0, 0, 1, 10, 0, 0, 2, 3, 232, 0, 80]);
        assert_eq!(sample[46], 0x50);

        let flow = FlowMatch::DestinationPort {
            ipv6: true,
            transport: Transport::Udp,
            port: 53,
        };
        assert_eq!(flow.sample(&mut sample), 62);
        assert_eq!(sample[12..15], [0x86, 0xdd, 0x60]);
        assert_eq!(sample[18..22], [0, 8, 17, 64]);
        assert_eq!(sample[54..62], [0, 0, 0, 53, 0, 8, 0, 0]);

        let flow = FlowMatch::SourceAddress("fe80::1".parse().unwrap());
        assert_eq!(flow.sample(&mut sample), SAMPLE_BYTES);
        assert_eq!((sample[22], sample[37], sample[38]), (0xfe, 1, 0));
    }

    #[test]
    fn a_connection_has_one_version() {
        let v4 = "10.0.0.1:1".parse().unwrap();
        let v6 = "[fe80::1]:1".parse().unwrap();
        assert_eq!(FlowMatch::connection(v4, v6, Transport::Tcp), None);
        assert!(FlowMatch::connection(v6, v6, Transport::Udp).is_some());
    }
}
