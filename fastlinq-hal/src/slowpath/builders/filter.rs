//! Data of FILTERS_UPDATE.

use fastlinq_pac::hsi::{EthFilterCmd, EthFilterCmdHeader, VportFilterUpdateRamrodData};
use zerocopy::FromZeros;
use zerocopy::little_endian::U16;

/// One command inside FILTERS_UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FilterCommand {
    /// Adds a unicast (or exact multicast) address.
    AddMac([u8; 6]),
    /// Removes an address.
    RemoveMac([u8; 6]),
    /// Removes all addresses of the vport.
    RemoveAllMacs,
    /// Adds a VLAN (0..=4095).
    AddVlan(u16),
    /// Removes a VLAN.
    RemoveVlan(u16),
    /// Removes all VLANs of the vport.
    RemoveAllVlans,
}

/// Largest number of commands in one FILTERS_UPDATE.
pub const FILTER_COMMANDS: usize = 10;

impl FilterCommand {
    fn encode(self, vport: u8) -> EthFilterCmd {
        const TYPE_MAC: u8 = 1;
        const TYPE_VLAN: u8 = 2;
        const REMOVE: u8 = 1;
        const ADD: u8 = 2;
        const REMOVE_ALL: u8 = 3;
        let (kind, action, mac, vlan) = match self {
            Self::AddMac(mac) => (TYPE_MAC, ADD, mac, 0),
            Self::RemoveMac(mac) => (TYPE_MAC, REMOVE, mac, 0),
            Self::RemoveAllMacs => (TYPE_MAC, REMOVE_ALL, [0; 6], 0),
            Self::AddVlan(vlan) => (TYPE_VLAN, ADD, [0; 6], vlan),
            Self::RemoveVlan(vlan) => (TYPE_VLAN, REMOVE, [0; 6], vlan),
            Self::RemoveAllVlans => (TYPE_VLAN, REMOVE_ALL, [0; 6], 0),
        };
        let [m0, m1, m2, m3, m4, m5] = mac;
        let mut command = EthFilterCmd::new_zeroed();
        command.type_ = kind;
        command.vport_id = vport;
        command.action = action;
        command.mac_msb = U16::new(u16::from_be_bytes([m0, m1]));
        command.mac_mid = U16::new(u16::from_be_bytes([m2, m3]));
        command.mac_lsb = U16::new(u16::from_be_bytes([m4, m5]));
        command.vlan_id = U16::new(vlan);
        command
    }
}

/// Data of FILTERS_UPDATE, 168 bytes, for both directions; commands beyond [`FILTER_COMMANDS`] are not taken.
#[must_use]
pub fn filters_update(vport: u8, commands: &[FilterCommand]) -> VportFilterUpdateRamrodData {
    let mut data = VportFilterUpdateRamrodData::new_zeroed();
    let mut header = EthFilterCmdHeader::new_zeroed();
    header.rx = 1;
    header.tx = 1;
    for (slot, command) in data.filter_cmds.iter_mut().zip(commands) {
        *slot = command.encode(vport);
        header.cmd_cnt += 1;
    }
    data.filter_cmd_hdr = header;
    data
}
