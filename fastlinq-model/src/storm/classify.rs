//! Classification: which vports get a frame.

use fastlinq_pac::hsi::flags::{VportRxMode, VportTxMode};
use fastlinq_pac::hsi::{EthFilterType, TunnelClss};

use super::filters::{FilterTable, Key, Mac, VportSet};
use super::parse::{Ethernet, Parsed};
use super::vport::Vport;

/// The kind of a destination address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cast {
    Unicast,
    Multicast,
    Broadcast,
}

impl Cast {
    pub(super) fn of(mac: &[u8]) -> Self {
        match mac {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ..] => Self::Broadcast,
            [first, ..] if first & 1 == 1 => Self::Multicast,
            _ => Self::Unicast,
        }
    }
}

/// The bin of a multicast address in the approximate filter: the low 8 bits of a CRC-32C over the address and two
/// zero bytes, data bits least significant first, register shifted left. Source: hardware reference B1 9.5.
pub(super) fn multicast_bin(mac: &Mac) -> u8 {
    let mut register = 0u32;
    for byte in mac.iter().chain(&[0, 0]) {
        for bit in 0..8 {
            let top = register >> 31;
            register <<= 1;
            if top != u32::from(byte >> bit & 1) {
                register ^= 0x1edc_6f41;
            }
        }
    }
    register as u8
}

/// Which of a vport's two modes governs, and which filter table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the wire.
    Receive,
    /// Switched internally.
    Switched,
}

/// What of a frame the filters look at.
#[derive(Clone, Copy, Debug)]
struct Fields {
    destination: Mac,
    vlan: Option<u16>,
    vni: u32,
    mac_kind: EthFilterType,
    vlan_kind: EthFilterType,
    pair_kind: EthFilterType,
    vni_kind: Option<EthFilterType>,
}

impl Fields {
    fn outer(frame: &[u8], parsed: &Parsed) -> Option<Self> {
        Some(Self {
            destination: destination(frame, parsed.outer.ethernet.as_ref()?)?,
            vlan: parsed.vlan(),
            vni: 0,
            mac_kind: EthFilterType::MAC,
            vlan_kind: EthFilterType::VLAN,
            pair_kind: EthFilterType::PAIR,
            vni_kind: None,
        })
    }

    fn inner(frame: &[u8], parsed: &Parsed) -> Option<Self> {
        let ethernet = parsed.inner.as_ref()?.ethernet.as_ref()?;
        Some(Self {
            destination: destination(frame, ethernet)?,
            vlan: ethernet.vlan,
            vni: 0,
            mac_kind: EthFilterType::INNER_MAC,
            vlan_kind: EthFilterType::INNER_VLAN,
            pair_kind: EthFilterType::INNER_PAIR,
            vni_kind: None,
        })
    }

    fn with_vni(mut self, parsed: &Parsed, kind: EthFilterType) -> Self {
        self.vni = parsed.tunnel.and_then(|tunnel| tunnel.tenant).unwrap_or(0);
        self.vni_kind = Some(kind);
        self
    }
}

fn destination(frame: &[u8], ethernet: &Ethernet) -> Option<Mac> {
    frame
        .get(ethernet.offset..ethernet.offset + 6)?
        .try_into()
        .ok()
}

/// The vports among `candidates` that get the frame.
///
/// `scheme` says, for a frame in a recognised tunnel, which headers count.
pub(super) fn classify<'a>(
    frame: &[u8],
    parsed: &Parsed,
    scheme: TunnelClss,
    direction: Direction,
    table: &FilterTable,
    candidates: impl Iterator<Item = (u8, &'a Vport)> + Clone,
) -> VportSet {
    let outer = Fields::outer(frame, parsed);
    let inner = Fields::inner(frame, parsed);
    let (first, second) = match scheme {
        _ if parsed.tunnel.is_none() => (outer, None),
        TunnelClss::MAC_VNI => (
            outer.map(|fields| fields.with_vni(parsed, EthFilterType::MAC_VNI_PAIR)),
            None,
        ),
        TunnelClss::INNER_MAC_VLAN => (inner, None),
        TunnelClss::INNER_MAC_VNI => (
            inner.map(|fields| fields.with_vni(parsed, EthFilterType::INNER_MAC_VNI_PAIR)),
            None,
        ),
        TunnelClss::MAC_VLAN_DUAL_STAGE => (outer, inner),
        _ => (outer, None),
    };
    let mut vports = VportSet::default();
    for fields in [first, second].into_iter().flatten() {
        vports = classify_fields(&fields, direction, table, candidates.clone());
        if !vports.is_empty() {
            break;
        }
    }
    vports
}

fn classify_fields<'a>(
    fields: &Fields,
    direction: Direction,
    table: &FilterTable,
    candidates: impl Iterator<Item = (u8, &'a Vport)> + Clone,
) -> VportSet {
    let mut vports = VportSet::default();
    let mut owners = VportSet::default();
    let cast = Cast::of(&fields.destination);
    let mut matched = false;
    for (id, vport) in candidates.clone() {
        let modes = Modes::of(vport, direction);
        let vlan_ok = vlan_passes(fields, id, vport, table, direction);
        let exact = filter_matches(fields, id, vport, vlan_ok, table);
        matched |= exact;
        if exact && !modes.drop_unicast {
            owners.insert(id);
        }
        let accepted = match cast {
            Cast::Unicast => (!modes.drop_unicast && exact) || (modes.all_unicast && vlan_ok),
            Cast::Multicast => {
                let bin = vport.multicast_bin_set(multicast_bin(&fields.destination));
                !modes.drop_multicast && vlan_ok && (modes.all_multicast || bin || exact)
            }
            Cast::Broadcast => modes.all_broadcast && vlan_ok,
        };
        if accepted {
            vports.insert(id);
        }
    }
    if cast == Cast::Unicast && matched && direction == Direction::Switched {
        // An address that a vport owns is delivered there only.
        return owners;
    }
    if cast == Cast::Unicast && !matched {
        for (id, vport) in candidates {
            if Modes::of(vport, direction).unmatched_unicast
                && vlan_passes(fields, id, vport, table, direction)
            {
                vports.insert(id);
            }
        }
    }
    vports
}

fn filter_matches(
    fields: &Fields,
    id: u8,
    vport: &Vport,
    vlan_ok: bool,
    table: &FilterTable,
) -> bool {
    if let Some(kind) = fields.vni_kind {
        let pair = Key::new(kind, fields.destination, 0, fields.vni);
        let mac = Key::new(fields.mac_kind, fields.destination, 0, 0);
        let vni = Key::new(EthFilterType::VNI, [0; 6], 0, fields.vni);
        let any_vni = vport.rx_mode.contains(VportRxMode::ACCEPT_ANY_VNI);
        return table.contains(pair, id)
            || (table.contains(mac, id) && (any_vni || table.contains(vni, id)));
    }
    let mac = Key::new(fields.mac_kind, fields.destination, 0, 0);
    let pair = Key::new(
        fields.pair_kind,
        fields.destination,
        fields.vlan.unwrap_or(0),
        0,
    );
    (vlan_ok && table.contains(mac, id)) || table.contains(pair, id)
}

fn vlan_passes(
    fields: &Fields,
    id: u8,
    vport: &Vport,
    table: &FilterTable,
    direction: Direction,
) -> bool {
    if fields.vni_kind.is_some() {
        // Classification by tenant takes the place of the VLAN.
        return true;
    }
    if vport.default_vlan_enabled && direction == Direction::Receive {
        return fields
            .vlan
            .is_some_and(|tci| tci & 0xfff == vport.default_vlan & 0xfff);
    }
    vport.accept_any_vlan
        || vport.accept_any_until_filter
        || table.contains(
            Key::new(fields.vlan_kind, [0; 6], fields.vlan.unwrap_or(0), 0),
            id,
        )
}

/// The accept and drop bits of a vport in one direction.
struct Modes {
    drop_unicast: bool,
    all_unicast: bool,
    unmatched_unicast: bool,
    drop_multicast: bool,
    all_multicast: bool,
    all_broadcast: bool,
}

impl Modes {
    fn of(vport: &Vport, direction: Direction) -> Self {
        match direction {
            Direction::Receive => Self {
                drop_unicast: vport.rx_mode.contains(VportRxMode::UCAST_DROP_ALL),
                all_unicast: vport.rx_mode.contains(VportRxMode::UCAST_ACCEPT_ALL),
                unmatched_unicast: vport.rx_mode.contains(VportRxMode::UCAST_ACCEPT_UNMATCHED),
                drop_multicast: vport.rx_mode.contains(VportRxMode::MCAST_DROP_ALL),
                all_multicast: vport.rx_mode.contains(VportRxMode::MCAST_ACCEPT_ALL),
                all_broadcast: vport.rx_mode.contains(VportRxMode::BCAST_ACCEPT_ALL),
            },
            Direction::Switched => Self {
                drop_unicast: vport.tx_mode.contains(VportTxMode::UCAST_DROP_ALL),
                all_unicast: vport.tx_mode.contains(VportTxMode::UCAST_ACCEPT_ALL),
                unmatched_unicast: false,
                drop_multicast: vport.tx_mode.contains(VportTxMode::MCAST_DROP_ALL),
                all_multicast: vport.tx_mode.contains(VportTxMode::MCAST_ACCEPT_ALL),
                all_broadcast: vport.tx_mode.contains(VportTxMode::BCAST_ACCEPT_ALL),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multicast_bin_vectors() {
        for (mac, bin) in [
            ([0x01, 0x00, 0x5e, 0x00, 0x00, 0x01], 212),
            ([0x33, 0x33, 0x00, 0x00, 0x00, 0x01], 119),
            ([0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e], 57),
            ([0x33, 0x33, 0xff, 0x12, 0x34, 0x56], 100),
        ] {
            assert_eq!(multicast_bin(&mac), bin);
        }
    }

    #[test]
    fn casts() {
        assert_eq!(Cast::of(&[0xff; 6]), Cast::Broadcast);
        assert_eq!(Cast::of(&[1, 0, 0x5e, 0, 0, 1]), Cast::Multicast);
        assert_eq!(Cast::of(&[2, 0, 0, 0, 0, 1]), Cast::Unicast);
    }
}
