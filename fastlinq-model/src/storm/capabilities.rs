//! What of the storm firmware is modelled.

/// How far something is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As the hardware reference has it.
    Modelled,
    /// With the limits that the note names.
    Partly,
    /// Not; the note says what happens.
    Absent,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What it is about.
    pub feature: &'static str,
    /// How far it is modelled.
    pub extent: Extent,
    /// Limits, or what happens instead.
    pub note: &'static str,
}

const fn row(feature: &'static str, extent: Extent, note: &'static str) -> Capability {
    Capability {
        feature,
        extent,
        note,
    }
}

/// What of the storm firmware is modelled and what is not.
pub const CAPABILITIES: &[Capability] = &[
    row(
        "slow-path queue and event queue",
        Extent::Modelled,
        "events wait while the driver leaves no room",
    ),
    row(
        "PF_START, PF_UPDATE, PF_STOP, RL_UPDATE, EMPTY",
        Extent::Modelled,
        "DCB data and rate limiters have no effect",
    ),
    row(
        "VF_START, VF_STOP, VF-PF channel",
        Extent::Absent,
        "completes with code 1",
    ),
    row(
        "VPORT_START, VPORT_UPDATE, VPORT_STOP",
        Extent::Partly,
        "no remapping of VLAN priorities",
    ),
    row(
        "RX_QUEUE_START, RX_QUEUE_UPDATE, RX_QUEUE_STOP",
        Extent::Partly,
        "poll mode completes with code 1",
    ),
    row(
        "TX_QUEUE_START, TX_QUEUE_UPDATE, TX_QUEUE_STOP",
        Extent::Partly,
        "poll mode completes with code 1; no rate limits",
    ),
    row(
        "FILTERS_UPDATE",
        Extent::Modelled,
        "all nine filter types; hash tables are not, so code 2 never comes",
    ),
    row(
        "classification",
        Extent::Modelled,
        "MAC, VLAN, pair, VNI, multicast bins, promiscuous modes, LLH filters",
    ),
    row(
        "outer-VLAN multi-function mode",
        Extent::Partly,
        "one tag per PF, priorities are not mapped",
    ),
    row(
        "RSS",
        Extent::Modelled,
        "128 entries, 2-tuple and 4-tuple; no 5-tuple",
    ),
    row(
        "flow steering (GFT)",
        Extent::Modelled,
        "by CAM line and profile mask; as many flows as the searcher has free elements, whose memory is not used",
    ),
    row(
        "OpenFlow, UDP and GFS filters",
        Extent::Absent,
        "completes with code 1",
    ),
    row(
        "receive checksums and parsing flags",
        Extent::Modelled,
        "IPv4, IPv6 with extensions, TCP, UDP",
    ),
    row(
        "tunnels (VXLAN, GENEVE, GRE)",
        Extent::Modelled,
        "MPLS and VXLAN without inner Ethernet are not recognised",
    ),
    row(
        "aggregation (TPA)",
        Extent::Partly,
        "split mode, one buffer per segment, no tunnels; time-outs as they stand in storm RAM when an aggregation begins",
    ),
    row(
        "transmit checksums, VLAN insertion, segmentation",
        Extent::Modelled,
        "no MPLS in UDP; UDP is not segmented; descriptors about outer extension headers are not used",
    ),
    row(
        "transmit checks",
        Extent::Modelled,
        "by the vport's error behaviour: drop, assertion or event",
    ),
    row(
        "internal switching and forwarding",
        Extent::Modelled,
        "by tx tables, tx modes and destination port modes",
    ),
    row(
        "statistics in storm RAM",
        Extent::Modelled,
        "queue, port and PF counters of Ethernet",
    ),
    row(
        "PTP timestamps",
        Extent::Absent,
        "packets are delivered without the flags",
    ),
    row("inline doorbells (EDPM)", Extent::Absent, "ignored"),
    row(
        "LL2, RDMA and storage",
        Extent::Absent,
        "their ramrods stop the firmware with an assertion",
    ),
];
