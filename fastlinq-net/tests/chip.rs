//! A queue pair on the software adapter's chip, set up by hand with the few registers and ramrods that one queue pair
//! needs: no driver between the rings and the device.

mod looping;

use std::cell::Cell;

use embedded_hal::delay::DelayNs;
use fastlinq_hal::dma::DmaBuffer;
use fastlinq_hal::host::{Bar, DmaAllocator, Host};
use fastlinq_hal::queue::QueuePairRequest;
use fastlinq_model_host::{ModelBar, ModelHost, ModelRegion};
use fastlinq_net::{PreparedQueue, QueueConfig, QueueDevice, QueuePair, QueueStorage, RxPacket};
use fastlinq_pac::words::StatusBlockWords;
use looping::{loop_frames, no_violations, numbered, storage};

const RX_CID: u32 = 16;
const TX_CID: u32 = 17;
const ILT_LINE: u32 = 100;

/// A PF whose storm firmware takes ramrods.
struct Chip {
    host: ModelHost,
    registers: ModelBar,
    doorbells: ModelBar,
    /// Context page, slow-path queue, event ring, its table, ramrod data.
    context: DmaBuffer<ModelRegion>,
    queue: DmaBuffer<ModelRegion>,
    events: DmaBuffer<ModelRegion>,
    data: DmaBuffer<ModelRegion>,
    _kept: Vec<DmaBuffer<ModelRegion>>,
    sequence: u16,
}

impl Chip {
    fn write(&self, address: u32, value: u32) {
        self.registers.write32(16, address >> 2);
        self.registers.write32(0x3000, value);
    }

    fn read(&self, address: u32) -> u32 {
        self.registers.write32(16, address >> 2);
        self.registers.read32(0x3000)
    }

    fn write64(&self, address: u32, value: u64) {
        self.write(address, value as u32);
        self.write(address + 4, (value >> 32) as u32);
    }

    /// Sends a mailbox command, and demands its response.
    fn mailbox(&mut self, command: u32, union: [u32; 3], response: u32) {
        let sections = 0xe0_0000 | self.read(0x8c20);
        let address = 0xe2_0000 + 4 * (self.read(sections + 4) & 0xffff);
        let sequence = self.read(address).wrapping_add(1) & 0xffff;
        for index in 0..8 {
            let word = union.get(index).copied().unwrap_or(0);
            self.write(address + 0x18 + 4 * index as u32, word);
        }
        self.write(address + 4, 0);
        self.write(address, command << 16 | sequence);
        self.host.delay_ms(10);
        assert_eq!(self.read(address + 8) >> 16, response);
    }

    fn new(host: &ModelHost) -> Self {
        let allocate = |bytes| DmaBuffer::new(host.clone().allocate(bytes, 4096).unwrap());
        let mut chip = Self {
            host: host.clone(),
            registers: host.registers(),
            doorbells: host.doorbells(),
            context: allocate(0x1_0000),
            queue: allocate(4096),
            events: allocate(4096),
            data: allocate(4096),
            _kept: Vec::new(),
            sequence: 0,
        };
        let (block, attention, table) = (allocate(128), allocate(128), allocate(4096));
        // DMA allowed; default status block and attentions; MSI-X.
        chip.write(0x2a_a16c, 1);
        chip.write64(0x1c_8000, block.bus_address().value());
        chip.write64(0x18_0820, attention.bus_address().value());
        chip.write(0x18_0800, 0x0b);
        // INIT_PHY: negotiate, offering every speed.
        chip.mailbox(0x2200, [0, 0, 0x7f], 0x2120);
        // 51 contexts of 1280 bytes per 64-KiB page, found through one line of the ILT.
        let page = chip.context.bus_address().value();
        chip.write(0x58_0900, 0x3310_0500);
        chip.write(0x24_0010, 4);
        chip.write(0x24_0048, ILT_LINE);
        chip.write(0x24_004c, ILT_LINE + 1);
        chip.write64(0x26_0000 + 8 * ILT_LINE, page >> 12 | 1 << 52);
        // The slow-path queue's context.
        let queue = chip.queue.bus_address().value();
        chip.context.write(128, &queue.to_le_bytes()).unwrap();
        for (offset, byte) in [
            (371, 1_u8 << 7),
            (379, 1 << 6),
            (380, 1),
            (386, 4),
            (387, 2),
        ] {
            chip.context.write(offset, &byte).unwrap();
        }
        let mut table = table;
        table
            .write(0, &chip.events.bus_address().value().to_le_bytes())
            .unwrap();
        // Doorbells: 16 CORE connections, then 32 ETH ones.
        chip.write(0x10_0400, 1);
        for (kind, bound) in [0, 0, 0, 1, 3, 3, 3, 3].into_iter().enumerate() {
            chip.write(0x10_0408 + 4 * kind as u32, bound);
        }
        chip.write(0x10_0508, 1);
        // PF_START.
        let mut start = [0; 80];
        start[..8].copy_from_slice(&table.bus_address().value().to_le_bytes());
        for (at, value) in [(40, 1), (45, 6), (48, 2), (52, 11), (54, 3)] {
            start[at] = value;
        }
        chip.ramrod(8, 1, 0, &start);
        chip._kept.extend([block, attention, table]);
        chip
    }

    /// Runs a ramrod and demands that it succeeds.
    fn ramrod(&mut self, protocol: u8, command: u8, cid: u32, data: &[u8]) {
        let opaque = self.registers.read32(0x1f8);
        let index = self.sequence;
        self.sequence += 1;
        self.data.zero();
        self.data.copy_from(0, data).unwrap();
        let mut element = [0; 16];
        element[..4].copy_from_slice(&(opaque << 16 | cid).to_le_bytes());
        element[4] = command;
        element[5] = protocol;
        element[6..8].copy_from_slice(&index.to_le_bytes());
        element[8..].copy_from_slice(&self.data.bus_address().value().to_le_bytes());
        self.queue
            .copy_from(16 * usize::from(index), &element)
            .unwrap();
        self.doorbells
            .write32(0, 0x108c | u32::from(index + 1) << 16);
        let mut event = [0; 16];
        self.events
            .copy_to(16 * usize::from(index), &mut event)
            .unwrap();
        let echo = u16::from_le_bytes([event[4], event[5]]);
        assert_eq!(
            (event[0], event[2], echo),
            (protocol, 0, index),
            "ramrod {command}"
        );
        self.registers.write16(0x1_4000, index + 1);
    }

    fn start_vport(&mut self, mtu: u16) {
        let mut vport = [0; 72];
        vport[2..4].copy_from_slice(&mtu.to_le_bytes());
        vport[6] = 0x09;
        self.ramrod(4, 1, 0, &vport);
    }

    fn start_queues(&mut self, request: &QueuePairRequest) -> Port {
        let block = DmaBuffer::new(self.host.clone().allocate(128, 128).unwrap());
        self.write64(0x1c_8008, block.bus_address().value());
        self.registers.write32(0x1_11f8, 0);
        let mut receive = [0; 56];
        receive[2..4].copy_from_slice(&request.cqe_pages.to_le_bytes());
        receive[4..6].copy_from_slice(&request.rx_buffer_bytes.to_le_bytes());
        receive[6] = 1;
        receive[12] = 1;
        receive[32..40].copy_from_slice(&request.cqe_pbl.value().to_le_bytes());
        receive[40..48].copy_from_slice(&request.rx_bd_base.value().to_le_bytes());
        self.ramrod(4, 4, RX_CID, &receive);
        let mut transmit = [0; 48];
        transmit[0] = 1;
        transmit[2] = 1;
        transmit[7] = 2;
        transmit[20..22].copy_from_slice(&request.tx_pages.to_le_bytes());
        transmit[24..26].copy_from_slice(&0xffff_u16.to_le_bytes());
        transmit[32..40].copy_from_slice(&request.tx_pbl.value().to_le_bytes());
        self.ramrod(4, 6, TX_CID, &transmit);
        Port {
            registers: self.registers.clone(),
            doorbells: self.doorbells.clone(),
            block,
            doorbells_rung: Cell::new(0),
        }
    }

    /// Both directions active, promiscuous, any VLAN.
    fn activate(&mut self) {
        let mut update = [0; 440];
        update[1..6].copy_from_slice(&[1; 5]);
        update[24..26].copy_from_slice(&[1, 1]);
        update[48] = 0x34;
        self.ramrod(4, 2, 0, &update);
    }

    fn open<'m>(
        &mut self,
        config: &QueueConfig,
        storage: impl Into<fastlinq_net::Storage<'m>>,
    ) -> QueuePair<'m, Port> {
        self.start_vport(config.mtu);
        let prepared = PreparedQueue::new(&mut self.host.clone(), config, storage).unwrap();
        let port = self.start_queues(&prepared.request());
        let queue = prepared.start(port);
        self.activate();
        queue
    }
}

struct Port {
    registers: ModelBar,
    doorbells: ModelBar,
    block: DmaBuffer<ModelRegion>,
    doorbells_rung: Cell<u64>,
}

impl Port {
    fn index(&self, index: usize) -> u16 {
        let words: &StatusBlockWords = self.block.words(0).unwrap();
        u16::from_le(words.pi[index].read())
    }
}

impl QueueDevice for Port {
    type Region = ModelRegion;

    fn rx_index(&self) -> u16 {
        self.index(0)
    }
    fn tx_index(&self) -> u16 {
        self.index(1)
    }
    fn publish_rx(&self, bd_prod: u16, cqe_prod: u16) {
        let value = u32::from(cqe_prod) << 16 | u32::from(bd_prod);
        self.registers.write32(0x1_11f8, value);
    }
    fn ring_tx(&self, bd_prod: u16) {
        self.doorbells_rung.set(self.doorbells_rung.get() + 1);
        self.doorbells
            .write32(4 * TX_CID as usize, u32::from(bd_prod) << 16 | 0x1084);
    }
}

#[test]
fn frames_of_every_size_loop_through_the_chip_unchanged() {
    for (seed, buffer_bytes, headroom) in [(1, 2048, 64), (2, 2560, 0), (3, 9728, 128)] {
        let host = ModelHost::builder()
            .loopback()
            .seed(seed)
            .scramble_addresses(true)
            .build();
        let mut chip = Chip::new(&host);
        let config = QueueConfig {
            mtu: 9600,
            buffer_bytes,
            headroom,
            buffers: 1200,
            ..QueueConfig::default()
        };
        let mut queue = chip.open(&config, storage(&config));
        assert_eq!(loop_frames(&host, &mut queue, 14..=9614), 9601);
        let counters = queue.counters();
        assert_eq!(
            (counters.receive.packets, counters.receive.errors()),
            (9601, 0)
        );
        assert_eq!(counters.transmit.packets, 9601);
        let usage = queue.usage();
        assert_eq!((usage.missing(), usage.owned), (0, 0));
        no_violations(&host);
    }
}

#[test]
fn indices_of_all_rings_wrap_on_the_chip() {
    for (receive_ring, transmit_ring) in [(128, 128), (513, 300), (1100, 8191)] {
        let host = ModelHost::builder().loopback().build();
        let mut chip = Chip::new(&host);
        let config = QueueConfig {
            receive_ring,
            transmit_ring,
            buffers: 4000,
            buffer_bytes: 512,
            ..QueueConfig::default()
        };
        let mut queue = chip.open(&config, storage(&config));
        let frames = loop_frames(&host, &mut queue, (0..70_000).map(|n| 60 + n * 7 % 900));
        assert_eq!(frames, 70_000);
        let counters = queue.counters();
        assert!(counters.receive.posted > 65_536 + 512);
        assert!(counters.transmit.descriptors > 65_536 + 512);
        assert_eq!(queue.usage().missing(), 0);
        no_violations(&host);
    }
}

#[test]
fn a_receiver_that_sleeps_loses_frames_and_recovers() {
    let host = ModelHost::builder().build();
    let mut chip = Chip::new(&host);
    let config = QueueConfig {
        receive_ring: 128,
        transmit_ring: 128,
        buffers: 129,
        ..QueueConfig::default()
    };
    let mut storage = Box::new(QueueStorage::<129, 128, 128>::new());
    let mut queue = chip.open(&config, &mut *storage);
    let mut out = [RxPacket::EMPTY; 256];
    for round in 0..50 {
        for number in 0..300 {
            host.inject(0, &numbered(100, round * 300 + number));
        }
        let taken = queue.receive(&mut out).unwrap();
        assert_eq!(taken, 96, "as many as the device had buffers for");
        for (number, packet) in out[..taken].iter().enumerate() {
            let expected = numbered(100, round * 300 + number as u32);
            assert_eq!(queue.bytes(packet).unwrap(), expected);
        }
        if round % 2 == 0 {
            out[..taken]
                .iter()
                .for_each(|packet| assert!(queue.release(packet)));
        } else {
            assert_eq!(queue.transmit(&out[..taken]), Ok(taken));
        }
        assert_eq!(queue.receive(&mut out), Ok(0));
    }
    assert_eq!(queue.usage().missing(), 0);
    no_violations(&host);
}

#[test]
fn a_forwarder_passes_everything_on() {
    let host = ModelHost::builder().build();
    let mut chip = Chip::new(&host);
    let config = QueueConfig {
        mtu: 9000,
        ..QueueConfig::default()
    };
    let mut queue = chip.open(&config, storage(&config));
    let (mut near, far) = fastlinq_model_host::model::wire::cable();
    host.set_wire(0, Box::new(far));
    use fastlinq_model_host::model::Wire;
    let mut out = [RxPacket::EMPTY; 32];
    for number in 0..5000_u32 {
        let frame = numbered(60 + number as usize * 13 % 8950, number);
        near.transmit(&frame);
        host.poll();
        assert_eq!(queue.receive(&mut out), Ok(1));
        assert_eq!(queue.transmit(&out[..1]), Ok(1));
        assert_eq!(near.receive().unwrap(), frame);
    }
    assert_eq!(queue.device().doorbells_rung.get(), 5000);
    assert_eq!(queue.usage().owned, 0);
    no_violations(&host);
}
