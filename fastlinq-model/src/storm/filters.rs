//! The filter tables of an engine, one for receive and one for internal switching, and FILTERS_UPDATE.

use std::collections::BTreeSet;

use fastlinq_pac::hsi::{
    EthErrorCode, EthFilterAction, EthFilterCmd, EthFilterType, VportFilterUpdateRamrodData,
};

use super::Storm;
use super::ramrod::{Done, Refusal};
use crate::fabric::Function;

/// An Ethernet address.
pub(super) type Mac = [u8; 6];

/// VLAN filters of an engine. Source: hardware reference, 512 shared by resource allocation.
const VLAN_FILTERS: usize = 512;
/// VNI filters of an engine; no source gives the number.
const VNI_FILTERS: usize = 512;
/// Set in a return code when only the transmit table refused.
const TX_TABLE: u8 = 0x80;

/// A filter without its vport; fields that its kind does not use are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    kind: u8,
    mac: Mac,
    vlan: u16,
    vni: u32,
}

impl Key {
    /// A filter of `kind` on those of the given fields that the kind is about.
    pub(super) fn new(kind: EthFilterType, mac: Mac, vlan: u16, vni: u32) -> Self {
        let (uses_mac, uses_vlan, uses_vni) = uses(kind);
        Self {
            kind: kind.value(),
            mac: if uses_mac { mac } else { [0; 6] },
            vlan: if uses_vlan { vlan & 0xfff } else { 0 },
            vni: if uses_vni { vni & 0xff_ffff } else { 0 },
        }
    }
}

const fn uses(kind: EthFilterType) -> (bool, bool, bool) {
    match kind {
        EthFilterType::MAC | EthFilterType::INNER_MAC => (true, false, false),
        EthFilterType::VLAN | EthFilterType::INNER_VLAN => (false, true, false),
        EthFilterType::PAIR | EthFilterType::INNER_PAIR => (true, true, false),
        EthFilterType::INNER_MAC_VNI_PAIR | EthFilterType::MAC_VNI_PAIR => (true, false, true),
        _ => (false, false, true),
    }
}

/// A set of vports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct VportSet([u64; 4]);

impl VportSet {
    pub(super) fn insert(&mut self, vport: u8) {
        self.0[usize::from(vport >> 6)] |= 1 << (vport & 63);
    }

    pub(super) fn contains(&self, vport: u8) -> bool {
        self.0[usize::from(vport >> 6)] >> (vport & 63) & 1 == 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |vport| self.contains(*vport))
    }
}

/// One filter table.
#[derive(Debug, Default)]
pub(super) struct FilterTable {
    filters: BTreeSet<(Key, u8)>,
}

impl FilterTable {
    pub(super) fn contains(&self, key: Key, vport: u8) -> bool {
        self.filters.contains(&(key, vport))
    }

    pub(super) fn insert(&mut self, key: Key, vport: u8) {
        self.filters.insert((key, vport));
    }

    pub(super) fn remove_vport(&mut self, vport: u8) {
        self.filters.retain(|(_, owner)| *owner != vport);
    }

    /// True when `vport` has an exact filter (alone or with a VLAN) on `mac`.
    pub(super) fn owns_mac(&self, mac: Mac, vport: u8) -> bool {
        self.filters.iter().any(|(key, owner)| {
            let kind = EthFilterType(key.kind);
            *owner == vport
                && key.mac == mac
                && (kind == EthFilterType::MAC || kind == EthFilterType::PAIR)
        })
    }

    fn count(&self, of: (bool, bool, bool)) -> usize {
        self.filters
            .iter()
            .filter(|(key, _)| uses(EthFilterType(key.kind)) == of)
            .count()
    }

    fn add(
        &mut self,
        kind: EthFilterType,
        key: Key,
        vport: u8,
        mac_filters: usize,
    ) -> Result<(), EthErrorCode> {
        let of @ (uses_mac, uses_vlan, _) = uses(kind);
        let (capacity, full, duplicate) = match (uses_mac, uses_vlan) {
            (true, false) => (
                mac_filters,
                EthErrorCode::FILTERS_MAC_ADD_FAIL_FULL,
                EthErrorCode::FILTERS_MAC_ADD_FAIL_DUP_MTT2,
            ),
            (false, true) => (
                VLAN_FILTERS,
                EthErrorCode::FILTERS_VLAN_ADD_FAIL_FULL,
                EthErrorCode::FILTERS_VLAN_ADD_FAIL_DUP,
            ),
            (true, true) => (
                mac_filters,
                EthErrorCode::FILTERS_PAIR_ADD_FAIL_FULL,
                EthErrorCode::FILTERS_PAIR_ADD_FAIL_DUP,
            ),
            (false, false) => (
                VNI_FILTERS,
                EthErrorCode::FILTERS_VNI_ADD_FAIL_FULL,
                EthErrorCode::FILTERS_VNI_ADD_FAIL_DUP,
            ),
        };
        if uses_mac && key.mac == [0; 6] {
            return Err(if uses_vlan {
                EthErrorCode::FILTERS_PAIR_ADD_FAIL_ZERO_MAC
            } else {
                EthErrorCode::FILTERS_MAC_ADD_FAIL_ZERO_MAC
            });
        }
        if self.contains(key, vport) {
            return Err(duplicate);
        }
        if self.count(of) >= capacity {
            return Err(full);
        }
        self.filters.insert((key, vport));
        Ok(())
    }

    fn remove(&mut self, kind: EthFilterType, key: Key, vport: u8) -> Result<(), EthErrorCode> {
        if self.filters.remove(&(key, vport)) {
            return Ok(());
        }
        let (uses_mac, uses_vlan, _) = uses(kind);
        Err(match (uses_mac, uses_vlan) {
            (true, false) => EthErrorCode::FILTERS_MAC_DEL_FAIL_NOF,
            (true, true) => EthErrorCode::FILTERS_PAIR_DEL_FAIL_NOF,
            (false, _) => EthErrorCode::FILTERS_VLAN_DEL_FAIL_NOF,
        })
    }

    fn execute(&mut self, command: &EthFilterCmd, mac_filters: usize) -> Result<(), EthErrorCode> {
        let kind = EthFilterType(command.type_);
        let key = Key::new(
            kind,
            command_mac(command),
            command.vlan_id.get(),
            command.vni.get(),
        );
        match EthFilterAction(command.action) {
            EthFilterAction::ADD => self.add(kind, key, command.vport_id, mac_filters),
            EthFilterAction::REMOVE => self.remove(kind, key, command.vport_id),
            _ => {
                self.filters
                    .retain(|(key, vport)| key.kind != kind.value() || *vport != command.vport_id);
                Ok(())
            }
        }
    }
}

fn command_mac(command: &EthFilterCmd) -> Mac {
    let [a, b] = command.mac_msb.get().to_be_bytes();
    let [c, d] = command.mac_mid.get().to_be_bytes();
    let [e, f] = command.mac_lsb.get().to_be_bytes();
    [a, b, c, d, e, f]
}

impl Storm {
    /// FILTERS_UPDATE: commands in order, up to the first that a table refuses.
    ///
    /// A refusal for a duplicate or a missing filter is an answer, not a broken rule; drivers live with it.
    pub(super) fn filters_update(
        &mut self,
        function: Function,
        data: &VportFilterUpdateRamrodData,
    ) -> Result<Done, Refusal> {
        let header = &data.filter_cmd_hdr;
        let Some(commands) = data.filter_cmds.get(..usize::from(header.cmd_cnt)) else {
            return Err(Refusal::error("FILTERS_UPDATE with more than ten commands"));
        };
        let mac_filters = usize::from(self.limits.mac_filters);
        for command in commands {
            let kind = EthFilterType(command.type_);
            if !(EthFilterType::MAC..=EthFilterType::VNI).contains(&kind) {
                return Err(Refusal::error("FILTERS_UPDATE with an unknown filter type"));
            }
            let action = EthFilterAction(command.action);
            if !(EthFilterAction::REMOVE..=EthFilterAction::REMOVE_ALL).contains(&action) {
                return Err(Refusal::error("FILTERS_UPDATE with an unknown action"));
            }
            self.owned_vport(function, command.vport_id)?;
            let rx = if header.rx != 0 {
                self.rx_filters.execute(command, mac_filters)
            } else {
                Ok(())
            };
            let tx = if header.tx != 0 {
                self.tx_filters.execute(command, mac_filters)
            } else {
                Ok(())
            };
            if rx.is_ok() && kind == EthFilterType::VLAN && action == EthFilterAction::ADD {
                if let Some(vport) = self.vport_mut(command.vport_id) {
                    vport.accept_any_until_filter = false;
                }
            }
            let code = match (rx, tx) {
                (Ok(()), Ok(())) => continue,
                (Err(code), _) => code.value(),
                (Ok(()), Err(code)) => code.value() | TX_TABLE,
            };
            if header.assert_on_error != 0 {
                return Err(Refusal::assertion(
                    "filter command refused, and the driver asked for an assertion",
                    code,
                ));
            }
            return Ok(Done::event_with(code));
        }
        Ok(Done::event())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    fn command(
        kind: EthFilterType,
        action: EthFilterAction,
        vport: u8,
        mac: Mac,
        vlan: u16,
    ) -> EthFilterCmd {
        EthFilterCmd {
            type_: kind.value(),
            action: action.value(),
            vport_id: vport,
            mac_msb: u16::from_be_bytes([mac[0], mac[1]]).into(),
            mac_mid: u16::from_be_bytes([mac[2], mac[3]]).into(),
            mac_lsb: u16::from_be_bytes([mac[4], mac[5]]).into(),
            vlan_id: vlan.into(),
            ..Default::default()
        }
    }

    #[test]
    fn codes_of_each_refusal() {
        use EthFilterAction as Action;
        use EthFilterType as Type;
        let mut table = FilterTable::default();
        let mut run = |kind, action, mac, vlan| {
            table
                .execute(&command(kind, action, 3, mac, vlan), 2)
                .map_or_else(EthErrorCode::value, |()| 0)
        };
        assert_eq!(run(Type::MAC, Action::ADD, MAC, 0), 0);
        assert_eq!(run(Type::MAC, Action::ADD, MAC, 0), 3);
        assert_eq!(run(Type::MAC, Action::ADD, [0; 6], 0), 8);
        assert_eq!(run(Type::MAC, Action::ADD, [2, 0, 0, 0, 0, 2], 0), 0);
        assert_eq!(run(Type::MAC, Action::ADD, [2, 0, 0, 0, 0, 3], 0), 1);
        assert_eq!(run(Type::MAC, Action::REMOVE, [2, 0, 0, 0, 0, 3], 0), 5);
        assert_eq!(run(Type::MAC, Action::REMOVE, MAC, 0), 0);
        assert_eq!(run(Type::VLAN, Action::ADD, MAC, 7), 0);
        assert_eq!(run(Type::VLAN, Action::ADD, MAC, 7), 10);
        assert_eq!(run(Type::VLAN, Action::REMOVE, MAC, 8), 11);
        assert_eq!(run(Type::PAIR, Action::ADD, MAC, 7), 0);
        assert_eq!(run(Type::PAIR, Action::ADD, MAC, 7), 13);
        assert_eq!(run(Type::PAIR, Action::ADD, [0; 6], 7), 18);
        assert_eq!(run(Type::PAIR, Action::REMOVE, MAC, 8), 16);
        assert_eq!(run(Type::VLAN, Action::REMOVE_ALL, MAC, 0), 0);
        assert_eq!(run(Type::VLAN, Action::REMOVE, MAC, 7), 11);
    }

    #[test]
    fn one_address_may_belong_to_two_vports() {
        let mut table = FilterTable::default();
        for vport in [0, 255] {
            table
                .execute(
                    &command(EthFilterType::MAC, EthFilterAction::ADD, vport, MAC, 0),
                    512,
                )
                .unwrap();
        }
        assert!(table.owns_mac(MAC, 0) && table.owns_mac(MAC, 255));
        table.remove_vport(0);
        assert!(!table.owns_mac(MAC, 0) && table.owns_mac(MAC, 255));
    }

    #[test]
    fn vport_set() {
        let mut set = VportSet::default();
        assert!(set.is_empty());
        for vport in [0, 63, 64, 255] {
            set.insert(vport);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 255]);
        assert!(!set.contains(62));
    }
}
