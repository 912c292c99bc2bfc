//! The rules of a vport for what is sent from it: tags, size, source address, control frames.

use fastlinq_pac::hsi::FunctionErrorId;
use fastlinq_pac::hsi::flags::{FirstBdFlags, TxErrorBehaviour};

use super::Storm;
use super::filters::Mac;
use super::packet::{Packet, TxError};
use super::parse::{ETHER_TYPE_VLAN, ETHERNET_HEADER, MAC_ADDRESSES};
use super::tx_queue::TxQueue;
use super::vport::Vport;
use crate::fabric::Fabric;

impl Storm {
    /// The checks that depend on the vport; the tag to insert is the result.
    pub(super) fn check_policies(
        &self,
        fabric: &mut dyn Fabric,
        queue: &TxQueue,
        packet: &Packet,
        data: &[u8],
    ) -> Result<Option<u16>, TxError> {
        let Some(vport) = self.vport(queue.vport) else {
            return Ok(None);
        };
        let ether_type = data
            .get(MAC_ADDRESSES..ETHERNET_HEADER)
            .map_or(0, |at| u16::from_be_bytes([at[0], at[1]]));
        let tagged = ether_type == ETHER_TYPE_VLAN;
        let insert = packet.flags.contains(FirstBdFlags::VLAN_INSERTION);
        if insert && tagged {
            return Err(TxError::by_policy(
                FunctionErrorId::ETH_VLAN_INSERT_AND_INBAND_VLAN,
                "Tx packet with a tag in band and one to insert",
                TxErrorBehaviour::VLAN_INSERTION_W_INBAND_TAG,
            ));
        }
        let forced = packet.flags.contains(FirstBdFlags::FORCE_VLAN_MODE);
        if vport.default_vlan_enabled && !forced && tagged {
            return Err(TxError::by_policy(
                FunctionErrorId::ETH_ILLEGAL_INBAND_TAGS,
                "Tx packet with a tag in band on a vport with a default VLAN",
                TxErrorBehaviour::ILLEGAL_INBAND_TAGS,
            ));
        }
        check_mtu(vport, packet, data, tagged)?;
        self.check_source(queue, vport, data)?;
        self.check_control_frame(fabric, vport, data)?;
        Ok(match (forced, vport.default_vlan_enabled, insert) {
            (false, true, _) => Some(vport.default_vlan),
            (_, _, true) => Some(packet.vlan),
            _ => None,
        })
    }

    fn check_source(&self, queue: &TxQueue, vport: &Vport, data: &[u8]) -> Result<(), TxError> {
        let source: Option<Mac> = data.get(6..12).and_then(|mac| mac.try_into().ok());
        let owned = source.is_some_and(|mac| {
            self.rx_filters.owns_mac(mac, queue.vport) || self.tx_filters.owns_mac(mac, queue.vport)
        });
        if vport.anti_spoofing && !owned {
            return Err(TxError::by_policy(
                FunctionErrorId::ETH_ANTI_SPOOFING_ERR,
                "Tx packet from an address that is not the vport's",
                TxErrorBehaviour::ANTI_SPOOFING_ERR,
            ));
        }
        Ok(())
    }

    fn check_control_frame(
        &self,
        fabric: &mut dyn Fabric,
        vport: &Vport,
        data: &[u8],
    ) -> Result<(), TxError> {
        let reserved = matches!(data, [0x01, 0x80, 0xc2, 0, 0, last, ..] if *last < 16);
        let ether_type = data
            .get(MAC_ADDRESSES..ETHERNET_HEADER)
            .map_or(0, |at| u16::from_be_bytes([at[0], at[1]]));
        let listed = vport.check_control_ether_type && {
            let table = &self.layout.control_ether_types;
            (0..4).any(|index| {
                let listed = fabric.ram16(table.storm, table.offset(index));
                listed != 0 && listed == ether_type
            })
        };
        if (vport.check_control_mac && reserved) || listed {
            return Err(TxError::by_policy(
                FunctionErrorId::ETH_CONTROL_PACKET_VIOLATION,
                "Tx packet that is a control frame",
                TxErrorBehaviour::ILLEGAL_CONTROL_FRAME,
            ));
        }
        Ok(())
    }
}

fn check_mtu(vport: &Vport, packet: &Packet, data: &[u8], tagged: bool) -> Result<(), TxError> {
    let l2 = ETHERNET_HEADER + if tagged { 4 } else { 0 };
    let l3 = if packet.is_lso() {
        let header = packet.header_bytes();
        header.saturating_sub(l2) + packet.mss().min(data.len().saturating_sub(header))
    } else {
        data.len().saturating_sub(l2)
    };
    if l3 > usize::from(vport.mtu) {
        return Err(TxError::by_policy(
            FunctionErrorId::ETH_MTU_VIOLATION,
            "Tx packet larger than the vport's MTU",
            TxErrorBehaviour::MTU_VIOLATION,
        ));
    }
    Ok(())
}
