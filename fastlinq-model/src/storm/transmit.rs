//! Transmit: one packet from its descriptors to frames, with the checks that the firmware makes on the way.

use fastlinq_pac::hsi::flags::{FirstBdFlags, TxErrorBehaviour};
use fastlinq_pac::hsi::{
    EthTx1stBd, EthTx2ndBd, EthTx3rdBd, EthTx4thBd, EthTxDstModeConfig, FunctionErrorId,
    eth_tx_data_1st_bd, eth_tx_data_2nd_bd, eth_tx_data_3rd_bd, eth_tx_data_4th_bd,
};
use fastlinq_pac::registers::pbf;
use zerocopy::FromBytes;

use super::Storm;
use super::eq::error_event;
use super::filters::Mac;
use super::offload::{ExplicitTransport, Offloads, insert_checksums, insert_tag};
use super::parse::{ETHER_TYPE_VLAN, ETHERNET_HEADER, MAC_ADDRESSES, TunnelConfig};
use super::segment::Segments;
use super::statistics;
use super::switch::Target;
use super::tx_queue::{BD_BYTES, TxQueue};
use super::vport::Vport;
use crate::fabric::{Fabric, Function};
use crate::violation::{DmaCause, ViolationKind};

/// Descriptors of a packet that is not segmented.
const PLAIN_BDS: u16 = 18;
/// Descriptors of a packet to segment.
const LSO_BDS: core::ops::RangeInclusive<u16> = 3..=255;
/// Bytes of a packet that is not segmented.
const PLAIN_BYTES: usize = 9672;
/// Header bytes of a packet to segment.
const LSO_HEADER_BYTES: usize = 510;
/// Payload bytes of a packet to segment.
const LSO_PAYLOAD_BYTES: usize = 0xf_e000;
/// Bytes that any window of consecutive data descriptors must hold.
const LSO_WINDOW_BYTES: usize = 9700;
/// Descriptors that hold an LSO header and the window together.
const LSO_WINDOW_BDS: usize = 17;

/// A packet that must not be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct TxError {
    id: FunctionErrorId,
    why: &'static str,
    /// The bit of the vport's error behaviour that decides between dropping and stopping; none always stops.
    policy: Option<TxErrorBehaviour>,
}

impl TxError {
    const fn fatal(id: FunctionErrorId, why: &'static str) -> Self {
        Self {
            id,
            why,
            policy: None,
        }
    }

    const fn by_policy(id: FunctionErrorId, why: &'static str, policy: TxErrorBehaviour) -> Self {
        Self {
            id,
            why,
            policy: Some(policy),
        }
    }
}

/// The descriptors of one packet, decoded.
#[derive(Debug)]
struct Packet {
    buffers: Vec<(u64, usize)>,
    flags: FirstBdFlags,
    vlan: u16,
    announced_bytes: usize,
    tunnel: bool,
    second: Option<EthTx2ndBd>,
    third: Option<EthTx3rdBd>,
    fourth: Option<EthTx4thBd>,
}

impl Packet {
    fn decode(bds: &[[u8; BD_BYTES]]) -> Option<Self> {
        let first = EthTx1stBd::read_from_bytes(bds.first()?).ok()?;
        let data = &first.data;
        Some(Self {
            buffers: bds.iter().map(buffer).collect(),
            flags: data.bd_flags.into(),
            vlan: data.vlan.get(),
            announced_bytes: usize::from(bits!(data.bitfields.get(), eth_tx_data_1st_bd::PKT_LEN)),
            tunnel: bits!(data.bitfields.get(), eth_tx_data_1st_bd::TUNN_FLAG) != 0,
            second: bds
                .get(1)
                .and_then(|bd| EthTx2ndBd::read_from_bytes(bd).ok()),
            third: bds
                .get(2)
                .and_then(|bd| EthTx3rdBd::read_from_bytes(bd).ok()),
            fourth: bds
                .get(3)
                .and_then(|bd| EthTx4thBd::read_from_bytes(bd).ok()),
        })
    }

    fn bytes(&self) -> usize {
        self.buffers.iter().map(|(_, bytes)| bytes).sum()
    }

    fn is_lso(&self) -> bool {
        self.flags.contains(FirstBdFlags::LSO)
    }

    /// The bit fields of the second BD; zero without one.
    fn second_bits(&self) -> u16 {
        self.second.map_or(0, |bd| bd.data.bitfields1.get())
    }

    fn header_bds(&self) -> usize {
        usize::from(self.third.map_or(0, |bd| {
            bits!(bd.data.bitfields.get(), eth_tx_data_3rd_bd::HDR_NBD)
        }))
    }

    fn offloads(&self) -> Offloads {
        let bits = self.second_bits();
        let explicit = self
            .second
            .filter(|_| bits!(bits, eth_tx_data_2nd_bd::IPV6_EXT) != 0)
            .map(|bd| {
                let words = bits!(
                    bd.data.bitfields2.get(),
                    eth_tx_data_2nd_bd::L4_HDR_START_OFFSET_W
                );
                ExplicitTransport {
                    offset: usize::from(words) * 2,
                    udp: bits!(bits, eth_tx_data_2nd_bd::L4_UDP) != 0,
                    length_in_pseudo_header: bits!(bits, eth_tx_data_2nd_bd::L4_PSEUDO_CSUM_MODE)
                        == 0,
                }
            });
        Offloads {
            ip: self.flags.contains(FirstBdFlags::IP_CSUM),
            transport: self.flags.contains(FirstBdFlags::L4_CSUM),
            tunnel: self.tunnel,
            tunnel_ip: self.flags.contains(FirstBdFlags::TUNN_IP_CSUM),
            tunnel_transport: self.flags.contains(FirstBdFlags::TUNN_L4_CSUM),
            explicit,
        }
    }
}

fn buffer(bd: &[u8; BD_BYTES]) -> (u64, usize) {
    let [a, b, c, d, e, f, g, h, low, high, ..] = *bd;
    (
        u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        usize::from(u16::from_le_bytes([low, high])),
    )
}

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

    fn check_descriptors(
        &self,
        fabric: &mut dyn Fabric,
        queue: &TxQueue,
        packet: &Packet,
        count: u16,
    ) -> Result<(), TxError> {
        let forwards = self.vport(queue.vport).is_some_and(|vport| {
            EthTxDstModeConfig(vport.forwarding.config) == EthTxDstModeConfig::FORWARD_DATA_IN_BD
        });
        if forwards && count < 2 {
            return Err(TxError::fatal(
                FunctionErrorId::ETH_ILLEGAL_NBDS,
                "Tx packet without the BD that says where it goes",
            ));
        }
        if bits!(packet.second_bits(), eth_tx_data_2nd_bd::TUNN_IPV6_EXT) != 0 && count < 3 {
            let why = "Tx packet with extension headers in the tunnel and fewer than three BDs";
            return Err(TxError::fatal(
                FunctionErrorId::ETH_TUNN_IPV6_EXT_NBD_ERR,
                why,
            ));
        }
        let empty = |index: usize, bytes: usize| bytes == 0 && index != 1 && index != 2;
        if packet
            .buffers
            .iter()
            .enumerate()
            .any(|(index, (_, bytes))| empty(index, *bytes))
        {
            return Err(TxError::fatal(
                FunctionErrorId::ETH_ZERO_SIZE_BD,
                "Tx BD without bytes",
            ));
        }
        if packet.is_lso() {
            check_lso(fabric, queue, packet)
        } else {
            check_plain(packet)
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
        if !packet.is_lso() {
            insert_checksums(&mut data, &offloads, &tunnels);
            self.emit(fabric, queue, data, vlan, target);
            return Ok(());
        }
        let header_bytes: usize = packet
            .buffers
            .iter()
            .take(packet.header_bds())
            .map(|(_, bytes)| bytes)
            .sum();
        let mss = packet.third.map_or(0, |bd| bd.data.lso_mss.get());
        let (header, payload) = data.split_at(header_bytes.min(data.len()));
        let segments = Segments::new(header, payload, mss.into(), &offloads, &tunnels).ok_or(
            TxError::fatal(
                FunctionErrorId::ETH_ILLEGAL_LSO_HDR_NBDS,
                "LSO header BDs that do not hold exactly the headers of a TCP segment",
            ),
        )?;
        for frame in segments {
            self.emit(fabric, queue, frame, vlan, target);
        }
        Ok(())
    }

    /// The checks that depend on the vport; the tag to insert is the result.
    fn check_policies(
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

/// The packet's descriptor count by its first descriptor, if that many may be and are posted.
fn bd_count(first: &[[u8; BD_BYTES]], posted: u16) -> Result<u16, TxError> {
    let bd = first
        .first()
        .and_then(|bd| EthTx1stBd::read_from_bytes(bd).ok());
    let (flags, count) = bd.map_or((FirstBdFlags::empty(), 0), |bd| {
        (bd.data.bd_flags.into(), u16::from(bd.data.nbds))
    });
    if !flags.contains(FirstBdFlags::START_BD) {
        return Err(TxError::fatal(
            FunctionErrorId::ETH_FIRST_BD_WO_SOP,
            "first Tx BD of a packet without START_BD",
        ));
    }
    let legal = if flags.contains(FirstBdFlags::LSO) {
        LSO_BDS
    } else {
        1..=PLAIN_BDS
    };
    if !legal.contains(&count) {
        return Err(TxError::fatal(
            FunctionErrorId::ETH_ILLEGAL_NBDS,
            "Tx packet with an illegal number of BDs",
        ));
    }
    if count > posted {
        let why = "Tx doorbell that covers only part of a packet";
        return Err(TxError::fatal(FunctionErrorId::ETH_INSUFFICIENT_BDS, why));
    }
    Ok(count)
}

fn check_plain(packet: &Packet) -> Result<(), TxError> {
    let bytes = packet.bytes();
    if bytes < packet.announced_bytes || bytes < ETHERNET_HEADER {
        return Err(TxError::by_policy(
            FunctionErrorId::ETH_PACKET_TOO_SMALL,
            "Tx packet shorter than announced, or than an Ethernet header",
            TxErrorBehaviour::PACKET_TOO_SMALL,
        ));
    }
    if bytes > packet.announced_bytes || bytes > PLAIN_BYTES {
        let why = "Tx packet longer than announced, or than 9,672 bytes";
        return Err(TxError::fatal(
            FunctionErrorId::ETH_PACKET_SIZE_TOO_LARGE,
            why,
        ));
    }
    Ok(())
}

fn check_lso(fabric: &mut dyn Fabric, queue: &TxQueue, packet: &Packet) -> Result<(), TxError> {
    let header_bds = packet.header_bds();
    if !(1..=4).contains(&header_bds) {
        let why = "LSO with an illegal number of header BDs";
        return Err(TxError::fatal(
            FunctionErrorId::ETH_ILLEGAL_LSO_HDR_NBDS,
            why,
        ));
    }
    let (header, data) = packet
        .buffers
        .split_at(header_bds.min(packet.buffers.len()));
    let sum = |buffers: &[(u64, usize)]| buffers.iter().map(|(_, bytes)| bytes).sum::<usize>();
    if sum(header) > LSO_HEADER_BYTES {
        return Err(TxError::fatal(
            FunctionErrorId::ETH_ILLEGAL_LSO_HDR_LEN,
            "LSO header of more than 510 bytes",
        ));
    }
    if packet.third.is_none_or(|bd| bd.data.lso_mss.get() == 0) {
        return Err(TxError::fatal(
            FunctionErrorId::ETH_ILLEGAL_LSO_MSS,
            "LSO with a segment size of zero",
        ));
    }
    if sum(data) == 0 {
        return Err(TxError::fatal(
            FunctionErrorId::ETH_INSUFFICIENT_PAYLOAD,
            "LSO without payload",
        ));
    }
    if sum(data) > LSO_PAYLOAD_BYTES {
        return Err(TxError::fatal(
            FunctionErrorId::ETH_PACKET_SIZE_TOO_LARGE,
            "LSO payload of more than 0xfe000 bytes",
        ));
    }
    let window = LSO_WINDOW_BDS - header_bds;
    if packet.buffers.len() > usize::from(PLAIN_BDS)
        && data.windows(window).any(|bds| sum(bds) < LSO_WINDOW_BYTES)
    {
        // No source says what the firmware does then, so the packet is sent.
        let cause = DmaCause::descriptor(
            "Tx BD (index) with window of BDs",
            queue.consumer.into(),
            window as u64,
        );
        let why = ViolationKind::Firmware("LSO with a window of BDs of fewer than 9,700 bytes");
        fabric.violation(Some(queue.function), why, cause);
    }
    Ok(())
}

fn check_mtu(vport: &Vport, packet: &Packet, data: &[u8], tagged: bool) -> Result<(), TxError> {
    let l2 = ETHERNET_HEADER + if tagged { 4 } else { 0 };
    let l3 = if packet.is_lso() {
        let header: usize = packet
            .buffers
            .iter()
            .take(packet.header_bds())
            .map(|(_, bytes)| bytes)
            .sum();
        let mss = packet
            .third
            .map_or(0, |bd| usize::from(bd.data.lso_mss.get()));
        header.saturating_sub(l2) + mss.min(data.len().saturating_sub(header))
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
