//! The descriptors of one packet to send, and the rules for them.

use fastlinq_pac::hsi::constants::eth;
use fastlinq_pac::hsi::flags::{FirstBdFlags, TxErrorBehaviour};
use fastlinq_pac::hsi::{
    EthTx1stBd, EthTx2ndBd, EthTx3rdBd, EthTx4thBd, EthTxDstModeConfig, FunctionErrorId,
    eth_tx_data_1st_bd, eth_tx_data_2nd_bd, eth_tx_data_3rd_bd,
};
use zerocopy::FromBytes;

use super::Storm;
use super::explicit::ExplicitTransport;
use super::offload::Offloads;
use super::parse::ETHERNET_HEADER;
use super::tx_queue::{BD_BYTES, TxQueue};
use crate::fabric::Fabric;
use crate::violation::{DmaCause, ViolationKind};

/// Descriptors of a packet that is not segmented.
const PLAIN_BDS: u16 = eth::TX_MAX_BDS_PER_NON_LSO_PACKET as u16;
/// Descriptors of a packet to segment.
const LSO_BDS: core::ops::RangeInclusive<u16> = 3..=eth::TX_MAX_BDS_PER_LSO_PACKET as u16;
/// Bytes of a packet that is not segmented.
const PLAIN_BYTES: usize = eth::TX_MAX_NON_LSO_PKT_LEN as usize;
/// Header bytes of a packet to segment.
const LSO_HEADER_BYTES: usize = eth::TX_MAX_LSO_HDR_BYTES as usize;
/// Payload bytes of a packet to segment.
const LSO_PAYLOAD_BYTES: usize = eth::TX_MAX_LSO_PAYLOAD_LEN as usize;
/// Frames of a packet to segment: as many as there are IPv4 identifications. No source gives a limit.
const LSO_SEGMENTS: usize = 65_536;
/// Bytes that any window of consecutive data descriptors must hold.
const LSO_WINDOW_BYTES: usize = eth::TX_LSO_WINDOW_MIN_LEN as usize;
/// Descriptors that hold an LSO header and the window together.
const LSO_WINDOW_BDS: usize = eth::TX_LSO_WINDOW_BDS_NUM as usize;

/// A packet that must not be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct TxError {
    pub(super) id: FunctionErrorId,
    pub(super) why: &'static str,
    /// The bit of the vport's error behaviour that decides between dropping and stopping; none always stops.
    pub(super) policy: Option<TxErrorBehaviour>,
}

impl TxError {
    pub(super) const fn fatal(id: FunctionErrorId, why: &'static str) -> Self {
        Self {
            id,
            why,
            policy: None,
        }
    }

    pub(super) const fn by_policy(
        id: FunctionErrorId,
        why: &'static str,
        policy: TxErrorBehaviour,
    ) -> Self {
        Self {
            id,
            why,
            policy: Some(policy),
        }
    }
}

/// The descriptors of one packet, decoded.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) buffers: Vec<(u64, usize)>,
    pub(super) flags: FirstBdFlags,
    pub(super) vlan: u16,
    pub(super) announced_bytes: usize,
    pub(super) tunnel: bool,
    pub(super) second: Option<EthTx2ndBd>,
    pub(super) third: Option<EthTx3rdBd>,
    pub(super) fourth: Option<EthTx4thBd>,
}

impl Packet {
    pub(super) fn decode(bds: &[[u8; BD_BYTES]]) -> Option<Self> {
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

    pub(super) fn bytes(&self) -> usize {
        self.buffers.iter().map(|(_, bytes)| bytes).sum()
    }

    pub(super) fn is_lso(&self) -> bool {
        self.flags.contains(FirstBdFlags::LSO)
    }

    /// The bit fields of the second BD; zero without one.
    pub(super) fn second_bits(&self) -> u16 {
        self.second.map_or(0, |bd| bd.data.bitfields1.get())
    }

    pub(super) fn header_bds(&self) -> usize {
        usize::from(self.third.map_or(0, |bd| {
            bits!(bd.data.bitfields.get(), eth_tx_data_3rd_bd::HDR_NBD)
        }))
    }

    /// The segment size; zero without a third BD.
    pub(super) fn mss(&self) -> usize {
        self.third.map_or(0, |bd| bd.data.lso_mss.get().into())
    }

    /// Bytes of the header BDs.
    pub(super) fn header_bytes(&self) -> usize {
        self.buffers
            .iter()
            .take(self.header_bds())
            .map(|(_, bytes)| bytes)
            .sum()
    }

    pub(super) fn offloads(&self) -> Offloads {
        Offloads {
            ip: self.flags.contains(FirstBdFlags::IP_CSUM),
            transport: self.flags.contains(FirstBdFlags::L4_CSUM),
            tunnel: self.tunnel,
            tunnel_ip: self.flags.contains(FirstBdFlags::TUNN_IP_CSUM),
            tunnel_transport: self.flags.contains(FirstBdFlags::TUNN_L4_CSUM),
            explicit: self
                .second
                .as_ref()
                .and_then(|second| ExplicitTransport::decode(second, self.third.as_ref())),
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

impl Storm {
    /// The rules for the descriptors themselves.
    pub(super) fn check_descriptors(
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
}

/// The packet's descriptor count by its first descriptor, if that many may be and are posted.
pub(super) fn bd_count(first: &[[u8; BD_BYTES]], posted: u16) -> Result<u16, TxError> {
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
    if packet.mss() == 0 {
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
    if sum(data).div_ceil(packet.mss().max(1)) > LSO_SEGMENTS {
        let why = "LSO of more than 65,536 segments";
        return Err(TxError::fatal(FunctionErrorId::ETH_ILLEGAL_LSO_MSS, why));
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
