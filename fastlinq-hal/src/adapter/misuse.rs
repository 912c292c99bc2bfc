//! What a caller may ask for in vain.

use core::fmt;

use crate::queue::QueuePairId;
use crate::vport::VportId;

/// Something that the caller asked for and that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// The adapter is not up.
    NotUp,
    /// All vports of the function are started, or their numbers count for queue pairs.
    NoFreeVport,
    /// The vport is not started.
    NoSuchVport(VportId),
    /// The vport has open queue pairs.
    VportInUse(VportId),
    /// All queue pairs of the function are open.
    NoFreeQueuePair,
    /// The queue pair is not open, not on this vport, or of an earlier bring-up.
    NoSuchQueuePair(QueuePairId),
    /// The MTU is out of range.
    Mtu(u16),
    /// The VLAN is out of range.
    Vlan(u16),
    /// The address is a multicast address or zero.
    NotUnicast([u8; 6]),
    /// The coalescing time in microseconds is out of range.
    Coalescing(u16),
    /// A ring of the request has no pages, or its buffers have no bytes.
    EmptyRing,
    /// The function has no RSS engine.
    NoRssEngine,
    /// The table of receive-side scaling has no queue pair, or more than it has entries.
    RssTable {
        /// Queue pairs named.
        queues: usize,
    },
    /// Another vport has the function's RSS engine.
    RssEngineTaken(VportId),
    /// The vport does not use receive-side scaling.
    NoRss(VportId),
    /// The queue pair is open, or its memory is still in use.
    QueuePairOpen(QueuePairId),
    /// The buffers or completions of a queue pair are not enough for the MTU, or for aggregation.
    SmallBuffers {
        /// The queue pair.
        queue: QueuePairId,
        /// The MTU in bytes.
        mtu: u16,
    },
    /// The parameters of aggregation are out of range, or do not go with the MTU.
    Aggregation,
    /// A set of filters has more MAC addresses or VLANs than the function's share.
    TooManyFilters {
        /// The share, of each kind.
        share: u32,
    },
    /// Flows are steered to the queue pair.
    QueuePairSteered {
        /// The queue pair.
        queue: QueuePairId,
        /// How many.
        flows: u16,
    },
    /// Flows are steered to the vport.
    VportSteered(VportId),
    /// The adapter has no memory for flows.
    NoSteering,
    /// The function has as many flows as it can.
    TooManyFlows,
    /// Flows of another profile are steered.
    FlowProfile,
    /// The flow is not there, or of an earlier bring-up.
    NoSuchFlow(u16),
    /// The queue pair is not counted apart: that was not asked for, or no statistics id was left.
    NoQueueStatistics(QueuePairId),
    /// A tunnel has no UDP port, or two have the same.
    TunnelPorts,
    /// The link was not asked for.
    NoLink,
    /// Speed or error correction in the extended form, for which the management firmware does not announce a capability.
    NoExtendedLink,
    /// The time in microseconds until the transmitter idles is out of range.
    IdleTimer(u32),
    /// Interrupts are wanted and the host has no vectors for them.
    NoInterruptVectors,
    /// The function has fewer status blocks, queues or connections than one queue pair needs.
    NoResources,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUp => f.write_str("the adapter is not up"),
            Self::NoFreeVport => f.write_str("all vports of the function are started"),
            Self::NoSuchVport(vport) => write!(f, "vport {} is not started", vport.index()),
            Self::VportInUse(vport) => {
                write!(f, "vport {} has open queue pairs", vport.index())
            }
            Self::NoFreeQueuePair => f.write_str("all queue pairs of the function are open"),
            Self::NoSuchQueuePair(queue) => {
                write!(f, "queue pair {} is not open here", queue.index())
            }
            Self::Mtu(mtu) => write!(f, "an MTU of {mtu} bytes is out of range"),
            Self::Vlan(vlan) => write!(f, "VLAN {vlan} is out of range"),
            Self::NotUnicast(address) => {
                write!(f, "{address:02x?} is not the address of a station")
            }
            Self::Coalescing(us) => write!(f, "a coalescing time of {us} µs is out of range"),
            Self::EmptyRing => f.write_str("a ring of the queue pair has no memory"),
            Self::NoRssEngine => f.write_str("the function has no RSS engine"),
            Self::RssTable { queues } => {
                write!(f, "an RSS table has 1 to 128 queue pairs, not {queues}")
            }
            Self::RssEngineTaken(vport) => {
                write!(f, "vport {} has the function's RSS engine", vport.index())
            }
            Self::NoRss(vport) => write!(f, "vport {} does not use RSS", vport.index()),
            Self::QueuePairOpen(queue) => {
                write!(f, "queue pair {} is open already", queue.index())
            }
            Self::SmallBuffers { queue, mtu } => write!(
                f,
                "queue pair {} has too small buffers or too few completions for an MTU of {mtu} bytes",
                queue.index()
            ),
            Self::Aggregation => f.write_str("the parameters of aggregation are out of range"),
            Self::TooManyFilters { share } => write!(
                f,
                "the function's share is {share} filters for MAC addresses and as many for VLANs"
            ),
            Self::QueuePairSteered { queue, flows } => write!(
                f,
                "{flows} flows are steered to queue pair {}",
                queue.index()
            ),
            Self::VportSteered(vport) => {
                write!(f, "flows are steered to vport {}", vport.index())
            }
            Self::NoSteering => f.write_str("the adapter was brought up without flow steering"),
            Self::TooManyFlows => f.write_str("256 flows are steered already"),
            Self::FlowProfile => {
                f.write_str("flows are steered by other fields; all of a function's have the same")
            }
            Self::NoSuchFlow(flow) => write!(f, "flow {flow} is not steered"),
            Self::NoQueueStatistics(queue) => {
                write!(f, "queue pair {} is not counted apart", queue.index())
            }
            Self::TunnelPorts => {
                f.write_str("a tunnel has no UDP port, or two tunnels have the same")
            }
            Self::NoLink => f.write_str("the link was not asked for"),
            Self::NoExtendedLink => f.write_str(
                "the management firmware does not announce the extended form of speed and error correction",
            ),
            Self::IdleTimer(us) => {
                write!(
                    f,
                    "a time of {us} µs until the transmitter idles is out of range"
                )
            }
            Self::NoInterruptVectors => f.write_str("the host has no interrupt vectors"),
            Self::NoResources => {
                f.write_str("the function has too few resources for one queue pair")
            }
        }
    }
}

impl core::error::Error for Misuse {}
