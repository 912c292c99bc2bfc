//! A fabric of vectors and a driver that does what drivers do.

use std::collections::BTreeMap;

use fastlinq_pac::doorbell::Doorbell as Word;
use fastlinq_pac::hsi::{
    CommonRamrodCmdId, EthFilterAction, EthFilterCmd, EthFilterType, EthRamrodCmdId,
    EthVportRxMode, EventRingEntry, PfStartRamrodData, ProtocolId, Regpair, RxQueueStartRamrodData,
    RxQueueStopRamrodData, SlowPathElement, TxQueueStartRamrodData, VportFilterUpdateRamrodData,
    VportStartRamrodData, VportStopRamrodData, VportUpdateRamrodData,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::super::{Storm, TYPE_CORE, TYPE_ETH};
use crate::fabric::{ContextError, DmaError, Doorbell, Fabric, Function, STORM_RAM_BYTES, StormId};
use crate::violation::{DmaCause, ViolationKind};

pub(super) const MEMORY_BASE: u64 = 0x1_0000_0000;
const MEMORY_BYTES: usize = 24 << 20;
const CONTEXTS: u64 = MEMORY_BASE;
const CONTEXT_BYTES: u64 = 1280;
/// The first address that the bump allocator gives out.
const HEAP: u64 = MEMORY_BASE + 0x10_0000;

pub(super) struct MockFabric {
    pub(super) memory: Vec<u8>,
    ram: Vec<Vec<u8>>,
    pub(super) registers: BTreeMap<(u8, u32), u32>,
    pub(super) indices: BTreeMap<(u16, u8), u16>,
    pub(super) timesets: BTreeMap<(u16, u8), u8>,
    pub(super) wire: Vec<(u8, Vec<u8>)>,
    pub(super) violations: Vec<String>,
    pub(super) assertions: Vec<&'static str>,
    pub(super) now_ns: u64,
    pub(super) ports: u8,
}

impl MockFabric {
    fn new(bytes: usize) -> Self {
        Self {
            memory: vec![0; bytes],
            ram: vec![vec![0; STORM_RAM_BYTES]; 6],
            registers: BTreeMap::new(),
            indices: BTreeMap::new(),
            timesets: BTreeMap::new(),
            wire: Vec::new(),
            violations: Vec::new(),
            assertions: Vec::new(),
            now_ns: 0,
            ports: 1,
        }
    }

    fn range(&self, address: u64, len: usize) -> Option<core::ops::Range<usize>> {
        let start = usize::try_from(address.checked_sub(MEMORY_BASE)?).ok()?;
        let end = start.checked_add(len)?;
        (end <= self.memory.len()).then_some(start..end)
    }

    pub(super) fn read(&self, address: u64, len: usize) -> &[u8] {
        &self.memory[self.range(address, len).unwrap()]
    }

    pub(super) fn write(&mut self, address: u64, bytes: &[u8]) {
        let range = self.range(address, bytes.len()).unwrap();
        self.memory[range].copy_from_slice(bytes);
    }
}

impl Fabric for MockFabric {
    fn chip(&self) -> crate::Chip {
        crate::Chip::K2
    }
    fn now_ns(&self) -> u64 {
        self.now_ns
    }
    fn ports(&self) -> u8 {
        self.ports
    }
    fn port_of(&self, pf: u8) -> u8 {
        pf % self.ports
    }
    fn pfs(&self) -> u8 {
        4
    }
    fn host_read(
        &mut self,
        _: Function,
        cause: DmaCause,
        address: u64,
        out: &mut [u8],
    ) -> Result<(), DmaError> {
        let Some(range) = self.range(address, out.len()) else {
            self.violations
                .push(format!("unmapped read of {address:#x}; {cause}"));
            return Err(DmaError::Unmapped);
        };
        out.copy_from_slice(&self.memory[range]);
        Ok(())
    }
    fn host_write(
        &mut self,
        _: Function,
        cause: DmaCause,
        address: u64,
        data: &[u8],
    ) -> Result<(), DmaError> {
        let Some(range) = self.range(address, data.len()) else {
            self.violations
                .push(format!("unmapped write of {address:#x}; {cause}"));
            return Err(DmaError::Unmapped);
        };
        self.memory[range].copy_from_slice(data);
        Ok(())
    }
    fn ram(&self, storm: StormId) -> &[u8] {
        &self.ram[storm as usize]
    }
    fn ram_mut(&mut self, storm: StormId) -> &mut [u8] {
        &mut self.ram[storm as usize]
    }
    fn register(&mut self, function: Function, address: u32) -> u32 {
        self.registers
            .get(&(function.pf, address))
            .copied()
            .unwrap_or(0)
    }
    fn set_register(&mut self, function: Function, address: u32, value: u32) {
        self.registers.insert((function.pf, address), value);
    }
    fn set_protocol_index(&mut self, sb: u16, pi: u8, value: u16) {
        self.indices.insert((sb, pi), value);
    }
    fn protocol_index(&self, sb: u16, pi: u8) -> u16 {
        self.indices.get(&(sb, pi)).copied().unwrap_or(0)
    }
    fn set_protocol_index_timeset(&mut self, sb: u16, pi: u8, timeset: u8) {
        self.timesets.insert((sb, pi), timeset);
    }
    fn reset_protocol_index(&mut self, sb: u16, pi: u8) {
        self.indices.insert((sb, pi), 0);
    }
    fn context_address(&mut self, function: Function, cid: u32) -> Result<u64, ContextError> {
        if cid >= 128 {
            return Err(ContextError::OutOfRange { line: cid });
        }
        Ok(CONTEXTS + (u64::from(function.pf) * 128 + u64::from(cid)) * CONTEXT_BYTES)
    }
    fn resolve_function(&self, opaque_fid: u16) -> Option<Function> {
        (opaque_fid < 16).then(|| Function::pf(opaque_fid as u8))
    }
    fn link_up(&self, _: u8) -> bool {
        true
    }
    fn transmit(&mut self, port: u8, frame: &[u8]) {
        self.wire.push((port, frame.to_vec()));
    }
    fn violation(&mut self, _: Option<Function>, kind: ViolationKind, cause: DmaCause) {
        self.violations.push(format!("{kind:?}; {cause}"));
    }
    fn firmware_assert(&mut self, _: Function, why: &'static str, _: DmaCause) {
        self.assertions.push(why);
    }
    fn ramrod_executed(&mut self, _: Function, _: u8, _: u8, _: u32, _: u8) {}
}

/// A chained page ring of receive buffers, as a driver keeps it.
pub(super) struct RxRing {
    pub(super) id: u16,
    pub(super) cid: u32,
    pub(super) buffer_bytes: u16,
    pages: Vec<u64>,
    page: usize,
    pub(super) bd_producer: u16,
    buffers: std::collections::VecDeque<u64>,
    cq_pages: Vec<u64>,
    cq_consumer: u16,
    cq_slot: usize,
    sb: u16,
    capacity: u16,
}

/// A page-table ring of transmit descriptors, as a driver keeps it.
pub(super) struct TxRing {
    pub(super) cid: u32,
    pages: Vec<u64>,
    slot: usize,
    pub(super) producer: u16,
    pub(super) sb: u16,
}

/// A driver of one PF.
pub(super) struct Driver {
    pub(super) pf: u8,
    spq: u64,
    spq_producer: u16,
    eq_pages: Vec<u64>,
    eq_consumer: u16,
    eq_slot: usize,
}

/// The firmware, its fabric and what the driver allocates from.
pub(super) struct Bench {
    pub(super) storm: Storm,
    pub(super) fabric: MockFabric,
    heap: u64,
}

pub(super) fn pair(address: u64) -> Regpair {
    Regpair {
        lo: (address as u32).into(),
        hi: ((address >> 32) as u32).into(),
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with_memory(MEMORY_BYTES)
    }

    /// For tests that make many.
    pub(super) fn new_small() -> Self {
        Self::with_memory(2 << 20)
    }

    fn with_memory(bytes: usize) -> Self {
        Self {
            storm: Storm::new(crate::Chip::K2, 1),
            fabric: MockFabric::new(bytes),
            heap: HEAP,
        }
    }

    pub(super) fn allocate(&mut self, bytes: u64) -> u64 {
        let address = self.heap.next_multiple_of(64);
        self.heap = address + bytes;
        assert!(self.heap <= MEMORY_BASE + self.fabric.memory.len() as u64);
        address
    }

    pub(super) fn allocate_page(&mut self) -> u64 {
        self.heap = self.heap.next_multiple_of(4096);
        self.allocate(4096)
    }

    fn table(&mut self, pages: &[u64]) -> u64 {
        let table = self.allocate_page();
        for (index, page) in pages.iter().enumerate() {
            self.fabric
                .write(table + index as u64 * 8, &page.to_le_bytes());
        }
        table
    }

    pub(super) fn receive(&mut self, frame: &[u8]) {
        self.storm.receive(&mut self.fabric, 0, frame);
    }

    /// A statistics counter.
    pub(super) fn counter(&self, storm: StormId, offset: u32) -> u64 {
        self.fabric.ram64(storm, offset)
    }

    pub(super) fn assert_quiet(&self) {
        assert_eq!(self.fabric.violations, Vec::<String>::new());
        assert_eq!(self.fabric.assertions, Vec::<&str>::new());
    }
}

/// What the small driver starts a PF with.
pub(super) fn pf_start_data() -> PfStartRamrodData {
    let mut data = PfStartRamrodData {
        event_ring_num_pages: 1,
        personality: 6,
        mf_mode: 2,
        pf_fp_err_mode: 1,
        ..Default::default()
    };
    data.hsi_fp_ver.major_ver_arr = [3, 0];
    data.hsi_fp_ver.minor_ver_arr = [11, 0];
    data
}

impl Driver {
    /// Prepares a PF's slow path without a ramrod.
    pub(super) fn prepare(bench: &mut Bench, pf: u8) -> Self {
        let spq = bench.allocate_page();
        let context = CONTEXTS + u64::from(pf) * 128 * CONTEXT_BYTES;
        bench.fabric.write(context + 128, &spq.to_le_bytes());
        for (offset, value) in [(371, 0x80), (379, 0x40), (380, 0x01)] {
            bench.fabric.write(context + offset, &[value]);
        }
        Self {
            pf,
            spq,
            spq_producer: 0,
            eq_pages: Vec::new(),
            eq_consumer: 0,
            eq_slot: 0,
        }
    }

    /// A PF after PF_START.
    pub(super) fn started(bench: &mut Bench, pf: u8) -> Self {
        let mut driver = Self::prepare(bench, pf);
        assert_eq!(driver.start(bench, pf_start_data()), 0);
        driver
    }

    pub(super) fn start(&mut self, bench: &mut Bench, mut data: PfStartRamrodData) -> u8 {
        self.eq_pages = (0..data.event_ring_num_pages)
            .map(|_| bench.allocate_page())
            .collect();
        let table = bench.table(&self.eq_pages);
        data.event_ring_pbl_addr = pair(table);
        data.event_ring_sb_id = self.default_sb().into();
        self.ramrod(
            bench,
            ProtocolId::COMMON,
            CommonRamrodCmdId::PF_START.value(),
            0,
            &data,
        )
    }

    fn default_sb(&self) -> u16 {
        u16::from(self.pf) * 16
    }

    /// Posts a ramrod and does not look for its completion.
    pub(super) fn post(
        &mut self,
        bench: &mut Bench,
        protocol: ProtocolId,
        command: u8,
        cid: u32,
        data: &(impl IntoBytes + Immutable),
    ) -> u16 {
        let heap = bench.heap;
        let address = bench.allocate(data.as_bytes().len() as u64 + 8);
        bench.fabric.write(address, data.as_bytes());
        let echo = self.spq_producer;
        let mut element = SlowPathElement::default();
        element.hdr.cid = (u32::from(self.pf) << 16 | cid).into();
        element.hdr.cmd_id = command;
        element.hdr.protocol_id = protocol.value();
        element.hdr.echo = echo.into();
        element.data_ptr = pair(address);
        bench
            .fabric
            .write(self.spq + u64::from(echo % 256) * 16, element.as_bytes());
        self.spq_producer = echo.wrapping_add(1);
        self.ring(bench, TYPE_CORE, 0, Word::slow_path(self.spq_producer));
        bench.heap = heap;
        echo
    }

    pub(super) fn ring(&self, bench: &mut Bench, connection_type: u8, cid: u32, word: Word) {
        let doorbell = Doorbell {
            function: Function::pf(self.pf),
            cid,
            connection_type,
            data: word.word(),
        };
        bench.storm.doorbell(&mut bench.fabric, doorbell);
    }

    /// The next event, if one was posted.
    pub(super) fn event(&mut self, bench: &mut Bench) -> Option<EventRingEntry> {
        let entry = self.peek_event(bench)?;
        self.return_events(bench);
        Some(entry)
    }

    /// Takes the next event without giving its place back.
    pub(super) fn peek_event(&mut self, bench: &Bench) -> Option<EventRingEntry> {
        if bench.fabric.protocol_index(self.default_sb(), 0) == self.eq_consumer {
            return None;
        }
        let address = self.eq_pages[self.eq_slot / 256] + (self.eq_slot % 256) as u64 * 16;
        self.eq_slot = (self.eq_slot + 1) % (self.eq_pages.len() * 256);
        self.eq_consumer = self.eq_consumer.wrapping_add(1);
        Some(EventRingEntry::read_from_bytes(bench.fabric.read(address, 16)).unwrap())
    }

    pub(super) fn return_events(&self, bench: &mut Bench) {
        let offset = 8 * u32::from(self.pf);
        bench
            .fabric
            .set_ram(StormId::U, offset, &self.eq_consumer.to_le_bytes());
        bench.storm.ram_written(
            &mut bench.fabric,
            Function::pf(self.pf),
            StormId::U,
            offset,
            2,
        );
    }

    /// Posts a ramrod and gives its return code.
    pub(super) fn ramrod(
        &mut self,
        bench: &mut Bench,
        protocol: ProtocolId,
        command: u8,
        cid: u32,
        data: &(impl IntoBytes + Immutable),
    ) -> u8 {
        let echo = self.post(bench, protocol, command, cid, data);
        let event = self.event(bench).expect("the ramrod completes");
        assert_eq!(
            (event.echo.get(), event.flags, event.protocol_id),
            (echo, 0, protocol.value())
        );
        event.fw_return_code
    }

    pub(super) fn eth(
        &mut self,
        bench: &mut Bench,
        command: EthRamrodCmdId,
        cid: u32,
        data: &(impl IntoBytes + Immutable),
    ) -> u8 {
        self.ramrod(bench, ProtocolId::ETH, command.value(), cid, data)
    }

    /// Starts a vport that strips tags, and makes it active.
    pub(super) fn start_vport(&mut self, bench: &mut Bench, id: u8) {
        self.start_vport_with(
            bench,
            VportStartRamrodData {
                vport_id: id,
                ..vport_data(self.pf)
            },
        );
    }

    pub(super) fn start_vport_with(&mut self, bench: &mut Bench, data: VportStartRamrodData) {
        let id = data.vport_id;
        assert_eq!(self.eth(bench, EthRamrodCmdId::VPORT_START, 0, &data), 0);
        let mut update = VportUpdateRamrodData::default();
        update.common.vport_id = id;
        update.common.update_rx_active_flg = 1;
        update.common.rx_active_flg = 1;
        update.common.update_tx_active_flg = 1;
        update.common.tx_active_flg = 1;
        self.update_vport(bench, &update);
    }

    pub(super) fn update_vport(&mut self, bench: &mut Bench, data: &VportUpdateRamrodData) {
        assert_eq!(self.eth(bench, EthRamrodCmdId::VPORT_UPDATE, 0, data), 0);
    }

    pub(super) fn set_rx_mode(&mut self, bench: &mut Bench, vport: u8, mode: u16) {
        let mut update = VportUpdateRamrodData::default();
        update.common.vport_id = vport;
        update.common.update_rx_mode_flg = 1;
        update.rx_mode = EthVportRxMode { state: mode.into() };
        self.update_vport(bench, &update);
    }

    pub(super) fn stop_vport(&mut self, bench: &mut Bench, id: u8) -> u8 {
        let data = VportStopRamrodData {
            vport_id: id,
            ..Default::default()
        };
        self.eth(bench, EthRamrodCmdId::VPORT_STOP, 0, &data)
    }

    pub(super) fn filter(
        &mut self,
        bench: &mut Bench,
        vport: u8,
        kind: EthFilterType,
        action: EthFilterAction,
        mac: [u8; 6],
        vlan: u16,
    ) -> u8 {
        let mut data = VportFilterUpdateRamrodData::default();
        data.filter_cmd_hdr.rx = 1;
        data.filter_cmd_hdr.tx = 1;
        data.filter_cmd_hdr.cmd_cnt = 1;
        data.filter_cmds[0] = EthFilterCmd {
            type_: kind.value(),
            action: action.value(),
            vport_id: vport,
            mac_msb: u16::from_be_bytes([mac[0], mac[1]]).into(),
            mac_mid: u16::from_be_bytes([mac[2], mac[3]]).into(),
            mac_lsb: u16::from_be_bytes([mac[4], mac[5]]).into(),
            vlan_id: vlan.into(),
            ..Default::default()
        };
        self.eth(bench, EthRamrodCmdId::FILTERS_UPDATE, 0, &data)
    }

    pub(super) fn add_mac(&mut self, bench: &mut Bench, vport: u8, mac: [u8; 6]) {
        assert_eq!(
            self.filter(
                bench,
                vport,
                EthFilterType::MAC,
                EthFilterAction::ADD,
                mac,
                0
            ),
            0
        );
    }

    /// Starts a receive queue on cid 16 + id, with `bd_pages` pages of buffers and `cq_pages` of completions.
    pub(super) fn start_rx(
        &mut self,
        bench: &mut Bench,
        id: u16,
        vport: u8,
        buffer_bytes: u16,
        bd_pages: usize,
        cq_pages: usize,
    ) -> RxRing {
        let pages: Vec<u64> = (0..bd_pages).map(|_| bench.allocate_page()).collect();
        for (index, page) in pages.iter().enumerate() {
            let next = pages[(index + 1) % pages.len()];
            bench.fabric.write(page + 510 * 8, &next.to_le_bytes());
        }
        let cqes: Vec<u64> = (0..cq_pages).map(|_| bench.allocate_page()).collect();
        let table = bench.table(&cqes);
        let sb = u16::from(self.pf) * 16 + 1 + id % 8;
        let cid = 16 + u32::from(id);
        let data = RxQueueStartRamrodData {
            rx_queue_id: id.into(),
            num_of_pbl_pages: (cq_pages as u16).into(),
            bd_max_bytes: buffer_bytes.into(),
            sb_id: sb.into(),
            vport_id: vport,
            complete_event_flg: 1,
            stats_counter_id: vport,
            cqe_pbl_addr: pair(table),
            bd_base: pair(pages[0]),
            ..Default::default()
        };
        assert_eq!(
            self.eth(bench, EthRamrodCmdId::RX_QUEUE_START, cid, &data),
            0
        );
        RxRing {
            id,
            cid,
            buffer_bytes,
            pages,
            page: 0,
            bd_producer: 0,
            buffers: Default::default(),
            cq_pages: cqes,
            cq_consumer: 0,
            cq_slot: 0,
            sb,
            capacity: (cq_pages * 128) as u16,
        }
    }

    pub(super) fn stop_rx(&mut self, bench: &mut Bench, ring: &RxRing, by_cqe: bool) -> u8 {
        let data = RxQueueStopRamrodData {
            rx_queue_id: ring.id.into(),
            complete_cqe_flg: by_cqe.into(),
            complete_event_flg: u8::from(!by_cqe),
            ..Default::default()
        };
        if by_cqe {
            self.post(
                bench,
                ProtocolId::ETH,
                EthRamrodCmdId::RX_QUEUE_STOP.value(),
                ring.cid,
                &data,
            );
            return 0;
        }
        self.eth(bench, EthRamrodCmdId::RX_QUEUE_STOP, ring.cid, &data)
    }

    /// Starts a transmit queue with `pages` pages of descriptors.
    pub(super) fn start_tx(
        &mut self,
        bench: &mut Bench,
        cid: u32,
        vport: u8,
        pages: usize,
    ) -> TxRing {
        let pages: Vec<u64> = (0..pages).map(|_| bench.allocate_page()).collect();
        let table = bench.table(&pages);
        let sb = u16::from(self.pf) * 16 + 9;
        let data = TxQueueStartRamrodData {
            sb_id: sb.into(),
            sb_index: 1,
            vport_id: vport,
            stats_counter_id: vport,
            pbl_size: (pages.len() as u16).into(),
            pbl_base_addr: pair(table),
            same_as_last_id: 0xffff.into(),
            ..Default::default()
        };
        assert_eq!(
            self.eth(bench, EthRamrodCmdId::TX_QUEUE_START, cid, &data),
            0
        );
        TxRing {
            cid,
            pages,
            slot: 0,
            producer: 0,
            sb,
        }
    }

    pub(super) fn kick(&self, bench: &mut Bench, ring: &TxRing) {
        self.ring(bench, TYPE_ETH, ring.cid, Word::transmit(ring.producer));
    }
}

pub(super) fn vport_data(pf: u8) -> VportStartRamrodData {
    let mut data = VportStartRamrodData {
        sw_fid: pf,
        mtu: 1500.into(),
        drop_ttl0_en: 1,
        inner_vlan_removal_en: 1,
        untagged: 1,
        ..Default::default()
    };
    data.rx_mode.state = 0x20.into();
    data.tx_mode.state = 0x10.into();
    data
}

impl RxRing {
    /// Gives the device `count` buffers, stepping over links only when the next slot is needed.
    pub(super) fn fill(&mut self, bench: &mut Bench, count: usize) {
        for _ in 0..count {
            let buffer = bench.allocate(u64::from(self.buffer_bytes));
            self.give(bench, buffer);
        }
        self.publish(bench);
    }

    fn give(&mut self, bench: &mut Bench, buffer: u64) {
        if self.bd_producer % 512 == 510 {
            self.bd_producer = self.bd_producer.wrapping_add(2);
            self.page = (self.page + 1) % self.pages.len();
        }
        let slot = u64::from(self.bd_producer % 512);
        bench
            .fabric
            .write(self.pages[self.page] + slot * 8, &buffer.to_le_bytes());
        self.buffers.push_back(buffer);
        self.bd_producer = self.bd_producer.wrapping_add(1);
    }

    pub(super) fn publish(&self, bench: &mut Bench) {
        let cqes = self.cq_consumer.wrapping_add(self.capacity);
        self.publish_raw(bench, self.bd_producer, cqes);
    }

    pub(super) fn publish_raw(&self, bench: &mut Bench, bds: u16, cqes: u16) {
        let offset = 0x1f8 + 4 * u32::from(self.id);
        bench
            .fabric
            .set_ram32(StormId::M, offset, u32::from(bds) | u32::from(cqes) << 16);
        bench
            .storm
            .ram_written(&mut bench.fabric, Function::pf(0), StormId::M, offset, 4);
    }

    /// The next completion, if there is one.
    pub(super) fn completion(&mut self, bench: &Bench) -> Option<[u8; 32]> {
        if bench.fabric.protocol_index(self.sb, 0) == self.cq_consumer {
            return None;
        }
        let address = self.cq_pages[self.cq_slot / 128] + (self.cq_slot % 128) as u64 * 32;
        self.cq_slot = (self.cq_slot + 1) % (self.cq_pages.len() * 128);
        self.cq_consumer = self.cq_consumer.wrapping_add(1);
        Some(bench.fabric.read(address, 32).try_into().unwrap())
    }

    /// The next buffer in ring order.
    pub(super) fn take_buffer(&mut self) -> u64 {
        self.buffers
            .pop_front()
            .expect("the device took a buffer that it has")
    }

    /// The next regular completion and the bytes of its packet.
    pub(super) fn packet(
        &mut self,
        bench: &Bench,
    ) -> Option<(fastlinq_pac::hsi::EthFastPathRxRegCqe, Vec<u8>)> {
        let cqe = self.completion(bench)?;
        assert_eq!(cqe[0], 1, "a regular completion");
        let cqe = fastlinq_pac::hsi::EthFastPathRxRegCqe::read_from_bytes(&cqe).unwrap();
        let mut rest = usize::from(cqe.pkt_len.get());
        let mut bytes = Vec::new();
        for index in 0..cqe.bd_num {
            let buffer = self.take_buffer();
            let (offset, length) = match index {
                0 => (
                    u64::from(cqe.placement_offset),
                    usize::from(cqe.len_on_first_bd.get()),
                ),
                _ => (0, rest.min(usize::from(self.buffer_bytes))),
            };
            bytes.extend_from_slice(bench.fabric.read(buffer + offset, length));
            rest -= length;
        }
        assert_eq!(rest, 0, "buffers hold the packet exactly");
        Some((cqe, bytes))
    }
}

/// A transmit descriptor: bytes, and the six of its parameters.
#[derive(Clone, Debug)]
pub(super) struct Bd {
    pub(super) data: Vec<u8>,
    pub(super) parameters: [u8; 6],
}

/// The descriptors of a packet in one buffer.
pub(super) fn one_bd(frame: &[u8], flags: u8) -> Vec<Bd> {
    let mut bds = vec![Bd {
        data: frame.to_vec(),
        parameters: [0; 6],
    }];
    set_first(&mut bds, 0, flags | 1, frame.len(), false);
    bds
}

/// Writes the parameters of the first of `bds`.
pub(super) fn set_first(bds: &mut [Bd], vlan: u16, flags: u8, length: usize, tunnel: bool) {
    let count = bds.len() as u8;
    let [a, b] = vlan.to_le_bytes();
    let [e, f] = ((length as u16) << 2 | u16::from(tunnel)).to_le_bytes();
    bds[0].parameters = [a, b, count, flags, e, f];
}

impl TxRing {
    /// Posts a packet and rings the doorbell.
    pub(super) fn send(&mut self, bench: &mut Bench, driver: &Driver, bds: &[Bd]) {
        self.post(bench, bds);
        driver.kick(bench, self);
    }

    /// Posts a packet without telling.
    pub(super) fn post(&mut self, bench: &mut Bench, bds: &[Bd]) {
        for bd in bds {
            let address = if bd.data.is_empty() {
                0
            } else {
                self.buffer(bench, &bd.data)
            };
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&address.to_le_bytes());
            bytes[8..10].copy_from_slice(&(bd.data.len() as u16).to_le_bytes());
            bytes[10..].copy_from_slice(&bd.parameters);
            let at = self.pages[self.slot / 256] + (self.slot % 256) as u64 * 16;
            bench.fabric.write(at, &bytes);
            self.slot = (self.slot + 1) % (self.pages.len() * 256);
            self.producer = self.producer.wrapping_add(1);
        }
    }

    fn buffer(&self, bench: &mut Bench, data: &[u8]) -> u64 {
        let address = bench.allocate(data.len() as u64);
        bench.fabric.write(address, data);
        address
    }

    pub(super) fn consumer(&self, bench: &Bench) -> u16 {
        bench.fabric.protocol_index(self.sb, 1)
    }
}

impl Bench {
    /// Runs `work` and gives back what it allocated.
    pub(super) fn scratch<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let heap = self.heap;
        let result = work(self);
        self.heap = heap;
        result
    }
}
