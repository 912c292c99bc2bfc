//! An adapter that is up with several queue pairs, whose rings the test itself holds, and a cable whose far end it holds.
#![allow(unreachable_pub, reason = "shared by test files, each its own crate")]
#![allow(dead_code, reason = "not every test file uses everything")]

pub mod frames;

use std::collections::HashMap;

use fastlinq_hal::adapter::{Adapter, AdapterConfig, AnyAdapter, UpWithImages};
use fastlinq_hal::dma::DmaBuffer;
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::DmaAllocator;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::queue::{Coalescing, QueuePairId, QueuePairRequest, QueuePort};
use fastlinq_hal::vport::{HashedHeaders, ReceiveMode, RssConfig, VportConfig, VportId};
use fastlinq_model_host::model::Chip;
use fastlinq_model_host::model::wire::{CableEnd, Wire, cable};
use fastlinq_model_host::{ModelHost, ModelRegion};

type Buffer = DmaBuffer<ModelRegion>;

/// Receive buffers in use at a time; the 510 slots of a descriptor page name each of them twice.
const RX_BUFFERS: u32 = 255;
const RX_SLOTS: u32 = 510;
/// Receive descriptors until the index wraps.
const RX_WRAP: u32 = RX_SLOTS * 128;
pub const CQE_PAGES: u16 = 4;
const CQES: u16 = CQE_PAGES * 128;
const TX_BUFFERS: usize = 64;
const TX_BUFFER: usize = 16 * 1024;

/// Key and vectors of the published verification suite of receive-side scaling.
pub const RSS_KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// A packet that was received.
#[derive(Clone, Debug)]
pub struct Packet {
    /// All bytes.
    pub frame: Vec<u8>,
    /// The completion: a regular one, or the start of an aggregation.
    pub cqe: [u8; 32],
    /// The end of an aggregation.
    pub end: Option<[u8; 32]>,
}

impl Packet {
    pub fn flags(&self) -> u16 {
        u16::from_le_bytes([self.cqe[4], self.cqe[5]])
    }
    pub fn vlan(&self) -> u16 {
        u16::from_le_bytes([self.cqe[6], self.cqe[7]])
    }
    pub fn hash(&self) -> u32 {
        u32::from_le_bytes(self.cqe[8..12].try_into().unwrap())
    }
    pub fn hash_type(&self) -> u8 {
        self.cqe[1] & 7
    }
    pub fn tunnel_flags(&self) -> u8 {
        self.cqe[15]
    }
    pub fn flow(&self) -> u32 {
        u32::from_le_bytes(self.cqe[20..24].try_into().unwrap())
    }
    /// Segments and reason, of an aggregation.
    pub fn aggregated(&self) -> Option<(u16, u8)> {
        let end = self.end?;
        Some((u16::from_le_bytes([end[6], end[7]]), end[5]))
    }
}

/// What is asked of the device for a frame to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offload {
    pub vlan: Option<u16>,
    pub ip_checksum: bool,
    pub l4_checksum: bool,
    pub tunnel: bool,
    pub outer_ip_checksum: bool,
    pub outer_l4_checksum: bool,
    /// Header bytes and segment size of a segmentation.
    pub segment: Option<(usize, u16)>,
}

pub struct Memory {
    rx: Buffer,
    completions: Buffer,
    completion_table: Buffer,
    tx: Buffer,
    tx_table: Buffer,
    buffers: Buffer,
    tx_buffers: Buffer,
    pub buffer_bytes: u16,
}

impl Memory {
    pub fn new(host: &ModelHost, buffer_bytes: u16) -> Self {
        let mut host = host.clone();
        let mut memory = |bytes| DmaBuffer::new(host.allocate(bytes, 4096).unwrap());
        let mut this = Self {
            rx: memory(4096),
            completions: memory(4096 * usize::from(CQE_PAGES)),
            completion_table: memory(4096),
            tx: memory(4096),
            tx_table: memory(4096),
            buffers: memory(RX_BUFFERS as usize * usize::from(buffer_bytes)),
            tx_buffers: memory(TX_BUFFERS * TX_BUFFER),
            buffer_bytes,
        };
        for page in 0..u64::from(CQE_PAGES) {
            let address = this.completions.bus_address().value() + page * 4096;
            let at = page as usize * 8;
            this.completion_table
                .write(at, &address.to_le_bytes())
                .unwrap();
        }
        let tx = this.tx.bus_address().value().to_le_bytes();
        this.tx_table.write(0, &tx).unwrap();
        for slot in 0..RX_SLOTS {
            let address = this.buffers.bus_address().value()
                + u64::from(slot % RX_BUFFERS) * u64::from(buffer_bytes);
            this.rx
                .write(slot as usize * 8, &address.to_le_bytes())
                .unwrap();
        }
        let own = this.rx.bus_address().value().to_le_bytes();
        this.rx.write(510 * 8, &own).unwrap();
        this
    }

    pub fn request(&self) -> QueuePairRequest {
        QueuePairRequest {
            rx_buffer_bytes: self.buffer_bytes,
            rx_bd_base: self.rx.bus_address(),
            cqe_pbl: self.completion_table.bus_address(),
            cqe_pages: CQE_PAGES,
            tx_pbl: self.tx_table.bus_address(),
            tx_pages: 1,
            coalescing: Coalescing::IMMEDIATE,
        }
    }
}

/// Pieces of an aggregation: buffer, offset, length.
type Pieces = Vec<(u32, usize, usize)>;

pub struct Queue {
    pub port: QueuePort<ModelHost>,
    pub memory: Memory,
    /// Receive descriptors that the device has used.
    used: u32,
    completions: u16,
    transmitted: u16,
    sent: usize,
    open: HashMap<u8, ([u8; 32], Pieces)>,
}

impl Queue {
    pub fn new(port: QueuePort<ModelHost>, memory: Memory) -> Self {
        let queue = Self {
            port,
            memory,
            used: 0,
            completions: 0,
            transmitted: 0,
            sent: 0,
            open: HashMap::new(),
        };
        queue.publish();
        queue
    }

    fn publish(&self) {
        let end = (self.used + RX_BUFFERS) % RX_WRAP;
        let index = (end / RX_SLOTS * 512 + end % RX_SLOTS) as u16;
        self.port
            .publish_rx(index, self.completions.wrapping_add(CQES));
    }

    fn next_buffer(&mut self) -> u32 {
        let buffer = self.used % RX_SLOTS % RX_BUFFERS;
        self.used = (self.used + 1) % RX_WRAP;
        buffer
    }

    fn read(&self, pieces: &Pieces) -> Vec<u8> {
        let mut frame = Vec::new();
        for (buffer, offset, length) in pieces {
            let at = *buffer as usize * usize::from(self.memory.buffer_bytes) + offset;
            let start = frame.len();
            frame.resize(start + length, 0);
            self.memory
                .buffers
                .copy_to(at, &mut frame[start..])
                .unwrap();
        }
        frame
    }

    /// Takes what was received so far.
    pub fn receive(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while self.completions != self.port.rx_index() {
            let at = usize::from(self.completions % CQES) * 32;
            let cqe: [u8; 32] = self.memory.completions.read(at).unwrap();
            self.completions = self.completions.wrapping_add(1);
            packets.extend(self.completion(cqe));
        }
        if self.open.is_empty() {
            self.publish();
        }
        packets
    }

    fn completion(&mut self, cqe: [u8; 32]) -> Option<Packet> {
        let word = |at: usize| usize::from(u16::from_le_bytes([cqe[at], cqe[at + 1]]));
        match cqe[0] {
            1 => {
                let (length, first) = (word(2), word(12));
                let mut pieces = vec![(self.next_buffer(), usize::from(cqe[14]), first)];
                let mut rest = length - first;
                for _ in 1..cqe[16] {
                    let piece = rest.min(self.memory.buffer_bytes.into());
                    pieces.push((self.next_buffer(), 0, piece));
                    rest -= piece;
                }
                assert_eq!(rest, 0);
                let frame = self.read(&pieces);
                Some(Packet {
                    frame,
                    cqe,
                    end: None,
                })
            }
            3 => {
                let first = (self.next_buffer(), usize::from(cqe[14]), word(12));
                let before = self.open.insert(cqe[16], (cqe, vec![first]));
                assert!(before.is_none(), "aggregation {} started twice", cqe[16]);
                None
            }
            4 | 5 => {
                let (list, entries) = if cqe[0] == 4 { (2, 6) } else { (12, 4) };
                let lengths = (0..entries).map(|entry| word(list + 2 * entry));
                let lengths: Vec<_> = lengths.filter(|length| *length != 0).collect();
                for length in lengths {
                    let buffer = self.next_buffer();
                    let open = self.open.get_mut(&cqe[1]).expect("an open aggregation");
                    open.1.push((buffer, 0, length));
                }
                if cqe[0] == 4 {
                    return None;
                }
                let (start, pieces) = self.open.remove(&cqe[1]).expect("an open aggregation");
                let frame = self.read(&pieces);
                assert_eq!(frame.len(), word(2), "bytes of the aggregation");
                assert_eq!(pieces.len(), usize::from(cqe[4]), "buffers of it");
                Some(Packet {
                    frame,
                    cqe: start,
                    end: Some(cqe),
                })
            }
            other => panic!("a completion of type {other}"),
        }
    }

    /// Sends a frame as it is.
    pub fn send(&mut self, frame: &[u8]) {
        self.send_with(frame, Offload::default());
    }

    pub fn send_with(&mut self, frame: &[u8], offload: Offload) {
        let slot = self.sent % TX_BUFFERS;
        self.sent += 1;
        let at = slot * TX_BUFFER;
        self.memory.tx_buffers.copy_from(at, frame).unwrap();
        let address = self.memory.tx_buffers.bus_address().value() + at as u64;
        let (lengths, mss) = match offload.segment {
            None => (vec![frame.len()], 0),
            Some((header, mss)) => (vec![header, frame.len() - header, 0], mss),
        };
        let flag = |on: bool, bit: u8| u8::from(on) << bit;
        let flags = 1
            | flag(offload.ip_checksum, 2)
            | flag(offload.l4_checksum, 3)
            | flag(offload.vlan.is_some(), 4)
            | flag(offload.segment.is_some(), 5)
            | flag(offload.outer_ip_checksum, 6)
            | flag(offload.outer_l4_checksum, 7);
        let mut start = 0;
        for (index, length) in lengths.iter().enumerate() {
            let mut bd = [0; 16];
            if *length != 0 {
                bd[..8].copy_from_slice(&(address + start as u64).to_le_bytes());
                bd[8..10].copy_from_slice(&(*length as u16).to_le_bytes());
            }
            if index == 0 {
                bd[10..12].copy_from_slice(&offload.vlan.unwrap_or(0).to_le_bytes());
                bd[12] = lengths.len() as u8;
                bd[13] = flags;
                let length = match offload.segment {
                    None => (frame.len() as u16) << 2,
                    Some(_) => 0,
                };
                let word = length | u16::from(offload.tunnel);
                bd[14..].copy_from_slice(&word.to_le_bytes());
            }
            if index == 2 {
                bd[10..12].copy_from_slice(&mss.to_le_bytes());
                bd[12] = 1 << 4;
            }
            start += length;
            let at = usize::from(self.transmitted % 256) * 16;
            self.memory.tx.copy_from(at, &bd).unwrap();
            self.transmitted = self.transmitted.wrapping_add(1);
        }
        self.port.ring_tx(self.transmitted);
    }

    /// Whether the device has completed everything that was sent.
    pub fn all_sent(&self) -> bool {
        self.port.tx_index() == self.transmitted
    }
}

/// An adapter, its vport, its queues, and the far end of its cable.
pub struct Rig {
    pub host: ModelHost,
    pub adapter: UpWithImages<ModelHost>,
    pub vport: VportId,
    pub queues: Vec<Queue>,
    pub far: CableEnd,
    pub mac: [u8; 6],
}

#[derive(Clone, Copy)]
pub struct Setup {
    pub chip: Chip,
    pub queues: u16,
    pub config: AdapterConfig,
    pub vport: VportConfig,
    pub buffer_bytes: u16,
    pub vectors: u16,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            chip: Chip::K2,
            queues: 4,
            config: AdapterConfig::default(),
            vport: VportConfig::default(),
            buffer_bytes: 2048,
            vectors: 0,
        }
    }
}

impl Rig {
    pub fn new(setup: Setup) -> Self {
        Self::on(ModelHost::builder().chip(setup.chip).seed(11), setup)
    }

    pub fn on(host: fastlinq_model_host::Builder, setup: Setup) -> Self {
        let host = host.interrupt_vectors(setup.vectors).build();
        let (near, far) = cable();
        host.set_wire(0, Box::new(near));
        let config = AdapterConfig {
            queue_pairs: setup.queues,
            ..setup.config
        };
        let mut adapter = bring_up(Adapter::new(host.clone(), config));
        let vport = adapter.start_vport(setup.vport).unwrap();
        let mac = adapter.mac_address().unwrap();
        let mut rig = Self {
            host,
            adapter,
            vport,
            queues: Vec::new(),
            far,
            mac,
        };
        for _ in 0..setup.queues {
            rig.open(setup.buffer_bytes);
        }
        rig.adapter.activate_vport(vport).unwrap();
        rig.adapter.set_mac_filter(vport, mac).unwrap();
        rig.adapter
            .set_receive_mode(vport, ReceiveMode::NORMAL)
            .unwrap();
        let settings = rig.adapter.flash_link_settings();
        rig.adapter.set_link(&settings).unwrap();
        rig.host.advance(10_000_000_000);
        assert!(rig.adapter.link().unwrap().up);
        rig
    }

    pub fn open(&mut self, buffer_bytes: u16) {
        let memory = Memory::new(&self.host, buffer_bytes);
        let port = self
            .adapter
            .open_queue_pair(self.vport, &memory.request())
            .unwrap();
        self.queues.push(Queue::new(port, memory));
    }

    pub fn queue_ids(&self) -> Vec<QueuePairId> {
        self.queues.iter().map(|queue| queue.port.id()).collect()
    }

    /// Spreads what arrives over all queue pairs.
    pub fn scale(&mut self, hashed: HashedHeaders) {
        let config = RssConfig {
            queues: &self.queue_ids(),
            hashed,
            key: &RSS_KEY,
        };
        self.adapter.set_rss(self.vport, &config).unwrap();
    }

    /// Closes a queue pair and frees its rings.
    pub fn close(&mut self, index: usize) {
        let Queue { port, memory, .. } = self.queues.remove(index);
        self.adapter.close_queue_pair(port).unwrap();
        drop(memory);
    }

    /// Lets frames arrive and time pass, longer than any coalescing or aggregation waits.
    pub fn settle(&self) {
        self.host.poll();
        self.host.advance(1_000_000);
    }

    /// Lets a frame arrive and gives what each queue received.
    pub fn arrive(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<Packet>> {
        for frame in frames {
            self.far.transmit(frame);
        }
        self.settle();
        self.queues.iter_mut().map(Queue::receive).collect()
    }

    /// The queue that a frame arrives at, if it does, and what arrived.
    pub fn arrival(&mut self, frame: &[u8]) -> Option<(usize, Packet)> {
        let all = self.arrive(&[frame.to_vec()]);
        let mut arrived = all
            .into_iter()
            .enumerate()
            .flat_map(|(queue, packets)| packets.into_iter().map(move |packet| (queue, packet)));
        let first = arrived.next();
        assert!(arrived.next().is_none(), "one frame arrives once");
        first
    }

    /// Frames that came out of the port.
    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.far.receive()).collect()
    }

    /// Closes everything and asserts that no rule was broken and no memory is in use.
    pub fn finish(mut self) {
        for queue in self.queues.drain(..) {
            self.adapter.close_queue_pair(queue.port).unwrap();
        }
        self.adapter.stop_vport(self.vport).unwrap();
        self.adapter.down().unwrap();
        assert_eq!(self.host.violations(), []);
        let memory = self.host.memory();
        assert_eq!((memory.live_regions, memory.late_count), (0, 0));
    }
}

pub fn bring_up(
    adapter: fastlinq_hal::adapter::ResetAdapter<ModelHost>,
) -> UpWithImages<ModelHost> {
    let bytes = fastlinq_model::firmware_image::synthetic_image();
    let image = FirmwareImage::parse(&bytes).unwrap();
    let mut scratch = Box::new(Scratch::new());
    let adapter = adapter.connect().unwrap().populate().unwrap();
    match adapter.up(&image, &mut scratch) {
        Ok(AnyAdapter::UpWithImages(adapter)) => adapter,
        other => panic!("{other:?}"),
    }
}
