//! Transmit: one packet from its descriptors to frames, with the checks that the firmware makes on the way.

use fastlinq_pac::hsi::{
    EthTxDstModeConfig, FunctionErrorId, eth_tx_data_2nd_bd, eth_tx_data_4th_bd,
};
use fastlinq_pac::registers::pbf;

use super::Storm;
use super::eq::error_event;
use super::explicit::broken_rules;
use super::offload::{insert_checksums, insert_tag};
use super::packet::{Packet, TxError, bd_count};
use super::parse::{ETHER_TYPE_VLAN, Parsed, TunnelConfig};
use super::segment::Segments;
use super::statistics;
use super::switch::Target;
use super::tx_queue::{BD_BYTES, TxQueue};
use crate::fabric::{Fabric, Function};
use crate::violation::{DmaCause, ViolationKind};

/// What the transmit parser recognises for a PF: the ports of the packet builder, and every kind of tunnel.
fn transmit_tunnels(fabric: &mut dyn Fabric, pf: u8) -> TunnelConfig {
    let function = Function::pf(pf);
    let vxlan = fabric.register(function, pbf::VXLAN_PORT.address().value()) as u16;
    let geneve = fabric.register(function, pbf::NGE_PORT.address().value()) as u16;
    TunnelConfig {
        vxlan: (vxlan != 0).then_some(vxlan),
        ethernet_geneve: (geneve != 0).then_some(geneve),
        ip_geneve: (geneve != 0).then_some(geneve),
        ethernet_gre: true,
        ip_gre: true,
    }
}

impl Storm {
    /// Sends the next packet of a queue; a queue that cannot go on is halted.
    pub(super) fn transmit_packet(&mut self, fabric: &mut dyn Fabric, queue: &mut TxQueue) {
        let Some(first) = queue.peek(fabric, 1) else {
            return;
        };
        let count = match bd_count(&first, queue.posted()) {
            Ok(count) => count,
            Err(error) => {
                self.stop_transmit(fabric, queue, &error, &first);
                return;
            }
        };
        let Some(bds) = queue.peek(fabric, count) else {
            return;
        };
        let Some(packet) = Packet::decode(&bds) else {
            return;
        };
        if self.vport(queue.vport).is_none_or(|vport| !vport.tx_active) {
            queue.consume(count);
            return;
        }
        match self.check_descriptors(fabric, queue, &packet, count) {
            Ok(()) => {}
            Err(error) => return self.refuse(fabric, queue, &error, &bds),
        }
        let Some(data) = gather(fabric, queue, &packet) else {
            return;
        };
        match self.send(fabric, queue, &packet, data) {
            Ok(()) => queue.consume(count),
            Err(error) => self.refuse(fabric, queue, &error, &bds),
        }
    }

    pub(super) fn producer_beyond_ring(&mut self, fabric: &mut dyn Fabric, queue: &mut TxQueue) {
        let why = "Tx doorbell beyond the ring or behind the consumer";
        let error = TxError::fatal(FunctionErrorId::ETH_INSUFFICIENT_BDS, why);
        self.stop_transmit(fabric, queue, &error, &[]);
    }

    /// Drops the packet or stops the queue, as the error and the vport's policy say.
    fn refuse(
        &mut self,
        fabric: &mut dyn Fabric,
        queue: &mut TxQueue,
        error: &TxError,
        bds: &[[u8; BD_BYTES]],
    ) {
        let stops = match (error.policy, self.vport(queue.vport)) {
            (Some(policy), Some(vport)) => vport.tx_errors.contains(policy),
            _ => true,
        };
        if stops {
            self.stop_transmit(fabric, queue, error, bds);
        } else {
            statistics::transmit_dropped(fabric, &self.layout, queue.stat);
            queue.consume(bds.len() as u16);
        }
    }

    fn stop_transmit(
        &mut self,
        fabric: &mut dyn Fabric,
        queue: &mut TxQueue,
        error: &TxError,
        bds: &[[u8; BD_BYTES]],
    ) {
        queue.halted = true;
        let parameters = bds.first().map_or(u64::from(queue.producer), |bd| {
            bd.iter()
                .skip(8)
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte))
        });
        let cause = DmaCause::descriptor(
            "Tx BD (index) with parameters",
            queue.consumer.into(),
            parameters,
        );
        let by_event = queue.function.vf.is_some()
            || self
                .pf_config(queue.function.pf)
                .is_some_and(|config| config.reports_errors);
        if by_event {
            fabric.violation(
                Some(queue.function),
                ViolationKind::Firmware(error.why),
                cause,
            );
            self.post_event(
                fabric,
                queue.function.pf,
                error_event(queue.function, error.id.value()),
            );
        } else {
            fabric.firmware_assert(queue.function, error.why, cause);
        }
    }

    fn send(
        &mut self,
        fabric: &mut dyn Fabric,
        queue: &TxQueue,
        packet: &Packet,
        mut data: Vec<u8>,
    ) -> Result<(), TxError> {
        let tunnels = if packet.tunnel {
            transmit_tunnels(fabric, queue.function.pf)
        } else {
            TunnelConfig::default()
        };
        let offloads = packet.offloads();
        let vlan = self.check_policies(fabric, queue, packet, &data)?;
        let target = self.target(queue, packet);
        let parsed = if packet.is_lso() {
            Parsed::headers(&data[..packet.header_bytes().min(data.len())], &tunnels)
        } else if packet.tunnel || offloads.explicit.is_some() {
            Parsed::new(&data, &tunnels)
        } else {
            None
        };
        if let Some(parsed) = &parsed {
            report_broken_rules(fabric, queue, packet, parsed);
        }
        let tunnel = parsed
            .and_then(|parsed| parsed.tunnel)
            .map(|tunnel| tunnel.kind);
        let pf = queue.function.pf;
        if !packet.is_lso() {
            insert_checksums(&mut data, &offloads, &tunnels);
            if let Some(kind) = tunnel {
                statistics::sent_tunnel(fabric, &self.layout, pf, kind, data.len());
            }
            self.emit(fabric, queue, data, vlan, target);
            return Ok(());
        }
        let (header, payload) = data.split_at(packet.header_bytes().min(data.len()));
        let segments = Segments::new(header, payload, packet.mss(), &offloads, &tunnels).ok_or(
            TxError::fatal(
                FunctionErrorId::ETH_ILLEGAL_LSO_HDR_NBDS,
                "LSO header BDs that do not hold exactly the headers of a TCP segment",
            ),
        )?;
        for frame in segments {
            if let Some(kind) = tunnel {
                statistics::sent_tunnel(fabric, &self.layout, pf, kind, frame.len());
            }
            self.emit(fabric, queue, frame, vlan, target);
        }
        Ok(())
    }

    fn target(&self, queue: &TxQueue, packet: &Packet) -> Target {
        let Some(vport) = self.vport(queue.vport) else {
            return Target::Switch;
        };
        match EthTxDstModeConfig(vport.forwarding.config) {
            EthTxDstModeConfig::FORWARD_DATA_IN_BD => {
                let to = packet
                    .fourth
                    .filter(|bd| {
                        bits!(
                            bd.data.bitfields.get(),
                            eth_tx_data_4th_bd::DST_VPORT_ID_VALID
                        ) != 0
                    })
                    .map(|bd| bd.data.dst_vport_id);
                Target::forced(
                    bits!(packet.second_bits(), eth_tx_data_2nd_bd::DST_PORT_MODE) as u8,
                    to,
                )
            }
            EthTxDstModeConfig::FORWARD_DATA_IN_VPORT => {
                Target::forced(vport.forwarding.mode, vport.forwarding.vport)
            }
            _ => Target::Switch,
        }
    }

    fn emit(
        &mut self,
        fabric: &mut dyn Fabric,
        queue: &TxQueue,
        mut frame: Vec<u8>,
        vlan: Option<u16>,
        target: Target,
    ) {
        if let Some(tci) = vlan {
            insert_tag(&mut frame, ETHER_TYPE_VLAN, tci);
        }
        self.route(fabric, queue, frame, target);
    }
}

/// Counts what the descriptors say and the packet contradicts; no source says that the firmware sees it.
fn report_broken_rules(fabric: &mut dyn Fabric, queue: &TxQueue, packet: &Packet, parsed: &Parsed) {
    for why in broken_rules(parsed, &packet.offloads(), packet.is_lso()) {
        let cause = DmaCause::descriptor(
            "Tx BD (index) of packet with bit fields of the second",
            queue.consumer.into(),
            packet.second_bits().into(),
        );
        fabric.violation(Some(queue.function), ViolationKind::Firmware(why), cause);
    }
}

/// Reads the bytes of a packet from host memory.
fn gather(fabric: &mut dyn Fabric, queue: &mut TxQueue, packet: &Packet) -> Option<Vec<u8>> {
    let mut data = vec![0; packet.bytes()];
    let mut rest = data.as_mut_slice();
    for (index, (address, bytes)) in packet.buffers.iter().enumerate() {
        let (part, remaining) = rest.split_at_mut((*bytes).min(rest.len()));
        rest = remaining;
        if part.is_empty() {
            continue;
        }
        let bd = queue.consumer.wrapping_add(index as u16);
        let cause = DmaCause::descriptor("Tx BD (index) with buffer", bd.into(), *address);
        if fabric
            .host_read(queue.function, cause, *address, part)
            .is_err()
        {
            queue.halted = true;
            return None;
        }
    }
    Some(data)
}
