//! Two software adapters at the ends of a cable, a queue pair on each.
#![allow(dead_code, unreachable_pub)]

pub mod judge;
pub mod packets;

use fastlinq_hal::adapter::{Adapter, AdapterConfig, ImageTable, Populated, TunnelConfig, Up};
use fastlinq_hal::filters::FilterSet;
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::vport::{ReceiveMode, VportConfig, VportId};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::wire::cable;
use fastlinq_model_host::model::{Chip, firmware_image::synthetic_image};
use fastlinq_net::{AdapterQueue, Offload, QueueConfig, RxPacket, Segment, TxFrame, TxPacket};

use crate::looping::{no_violations, pass, storage};

const HEADROOM: usize = 64;

pub const CHIPS: [Chip; 2] = [Chip::K2, Chip::Bb];

/// A payload that repeats itself nowhere near.
pub fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|index| (index.wrapping_mul(0x9e37_79b9) >> 21) as u8)
        .collect()
}

/// An adapter with a vport and a queue pair, or several.
pub struct Station {
    pub host: ModelHost,
    pub adapter: Adapter<Up<ImageTable>, ModelHost>,
    pub vport: VportId,
    pub queue: AdapterQueue<'static, ModelHost>,
    /// Queue pairs behind the first.
    pub others: Vec<AdapterQueue<'static, ModelHost>>,
    pub mac: [u8; 6],
}

/// A received frame, copied out of its buffers.
#[derive(Debug)]
pub struct Taken {
    pub packet: RxPacket,
    pub bytes: Vec<u8>,
    /// Which of the queue pairs it came out of.
    pub queue: usize,
}

/// A queue pair for a vport: where frames are to be joined, a buffer holds a whole one.
fn queue_config(vport: &VportConfig) -> QueueConfig {
    let mtu = vport.mtu.unwrap_or(1500);
    let whole = (mtu + 24 + HEADROOM as u16).next_multiple_of(64);
    let aggregation = vport.aggregation.is_some();
    let (buffers, buffer_bytes) = match (aggregation, mtu) {
        (true, 1501..) => (1024, whole),
        _ => (2048, 2048),
    };
    QueueConfig {
        mtu,
        aggregation,
        buffers,
        buffer_bytes,
        ..QueueConfig::default()
    }
}

impl Station {
    fn new(host: ModelHost, mac: [u8; 6], vport: VportConfig, queue_pairs: u16) -> Self {
        let config = AdapterConfig {
            queue_pairs,
            mac_address: Some(mac),
            ..AdapterConfig::default()
        };
        let adapter = Adapter::new(host.clone(), config).connect().unwrap();
        let Populated::Images(adapter) = adapter.populate().unwrap() else {
            panic!("a modern management firmware knows BIST_TEST");
        };
        let image = synthetic_image();
        let image = FirmwareImage::parse(&image).unwrap();
        let mut adapter = adapter.up(&image, &mut Box::new(Scratch::new())).unwrap();
        let settings = adapter.flash_link_settings();
        adapter.set_link(&settings).unwrap();
        adapter.host().advance(10_000_000_000);
        let config = queue_config(&vport);
        let vport = adapter.start_vport(vport).unwrap();
        let mut applied = adapter.claim_filters(vport).unwrap();
        let mut filters = FilterSet::new(ReceiveMode::NORMAL);
        filters.add_mac(mac).unwrap();
        adapter.apply_filters(&mut applied, &filters).unwrap();
        let mut open =
            || AdapterQueue::open(&mut adapter, vport, &config, storage(&config)).unwrap();
        let queue = open();
        let others = (1..queue_pairs).map(|_| open()).collect();
        adapter.activate_vport(vport).unwrap();
        Self {
            host,
            adapter,
            vport,
            queue,
            others,
            mac,
        }
    }

    /// The queue pairs, in order.
    pub fn queues(&mut self) -> impl Iterator<Item = &mut AdapterQueue<'static, ModelHost>> {
        core::iter::once(&mut self.queue).chain(&mut self.others)
    }

    /// Copies a frame into buffers, `piece` bytes in each.
    fn pieces(&mut self, frame: &[u8], piece: usize) -> Vec<Segment> {
        let chunks = frame.chunks(piece);
        chunks
            .map(|chunk| {
                let buffer = self.queue.take_buffer().expect("a buffer");
                let bytes = self.queue.buffer_mut(buffer).unwrap();
                bytes[HEADROOM..HEADROOM + chunk.len()].copy_from_slice(chunk);
                Segment {
                    buffer,
                    offset: HEADROOM as u16,
                    length: chunk.len() as u16,
                }
            })
            .collect()
    }

    /// Sends a frame in pieces.
    pub fn send(&mut self, frame: &[u8], piece: usize, offload: Offload) {
        let segments = self.pieces(frame, piece);
        let frame = TxFrame {
            segments: &segments,
            offload,
        };
        assert_eq!(self.queue.transmit_frames(&[frame]), Ok(1));
    }

    /// Sends a frame in one buffer, as a packet.
    pub fn send_packet(&mut self, frame: &[u8], offload: Offload) {
        let segment = self.pieces(frame, frame.len())[0];
        let packet = TxPacket::new(segment.buffer, segment.offset, segment.length);
        assert_eq!(self.queue.transmit(&[packet.with(offload)]), Ok(1));
    }

    fn close(mut self) {
        for queue in self.queues() {
            queue.reap().unwrap();
            let usage = queue.usage();
            let busy = [usage.aggregating, usage.transmitting, usage.owned];
            assert_eq!((usage.missing(), busy), (0, [0; 3]), "{usage:?}");
            let counters = queue.counters();
            assert_eq!(counters.receive.errors(), 0, "{counters:?}");
        }
        let mut adapter = self.adapter;
        for queue in core::iter::once(self.queue).chain(self.others) {
            queue.close(&mut adapter).unwrap();
        }
        adapter.stop_vport(self.vport).unwrap();
        adapter.down().unwrap();
        no_violations(&self.host);
        assert_eq!(self.host.memory().live_regions, 0);
    }
}

/// The two of them.
pub struct Wired {
    pub near: Station,
    pub far: Station,
}

impl Wired {
    /// The far one's vport is set as given.
    pub fn new(chip: Chip, far: VportConfig) -> Self {
        Self::several(chip, VportConfig::default(), far, 1)
    }

    /// Both vports are set as given, and the far one has several queue pairs.
    pub fn several(chip: Chip, near: VportConfig, far: VportConfig, queue_pairs: u16) -> Self {
        let ends = cable();
        let hosts = [11, 12].map(|seed| ModelHost::builder().chip(chip).seed(seed).build());
        hosts[0].set_wire(0, Box::new(ends.0));
        hosts[1].set_wire(0, Box::new(ends.1));
        let ends: (ModelHost, ModelHost) = hosts.into();
        Self {
            near: Station::new(ends.0, [2, 0, 0, 0, 0, 0xfe], near, 1),
            far: Station::new(ends.1, [2, 0, 0, 0, 0, 0x0a], far, queue_pairs),
        }
    }

    pub fn open_tunnels(&mut self) {
        for station in [&mut self.near, &mut self.far] {
            station.adapter.set_tunnels(TunnelConfig::all()).unwrap();
        }
    }

    /// Everything that arrives at the far end, until nothing more does.
    pub fn arrivals(&mut self) -> Vec<Taken> {
        let mut taken = Vec::new();
        let mut out = [RxPacket::EMPTY; 32];
        let mut idle = 0;
        while idle < 4 {
            pass(&self.near.host);
            pass(&self.far.host);
            let before = taken.len();
            for (number, queue) in self.far.queues().enumerate() {
                let count = queue.receive(&mut out).expect("no fault");
                for packet in &out[..count] {
                    let mut bytes = vec![0; packet.len()];
                    assert_eq!(queue.copy_to(packet, &mut bytes), packet.len());
                    assert!(queue.release(packet));
                    taken.push(Taken {
                        packet: *packet,
                        bytes,
                        queue: number,
                    });
                }
            }
            idle = if taken.len() == before { idle + 1 } else { 0 };
        }
        taken
    }

    /// The one frame that arrives.
    pub fn arrival(&mut self) -> Taken {
        let mut taken = self.arrivals();
        assert_eq!(taken.len(), 1);
        taken.remove(0)
    }

    pub fn close(self) {
        self.near.close();
        self.far.close();
    }
}
