//! Two software adapters at the ends of a cable, a queue pair on each.
#![allow(dead_code, unreachable_pub)]

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

/// An adapter with a vport and a queue pair.
pub struct Station {
    pub host: ModelHost,
    pub adapter: Adapter<Up<ImageTable>, ModelHost>,
    pub vport: VportId,
    pub queue: AdapterQueue<'static, ModelHost>,
    pub mac: [u8; 6],
}

/// A received frame, copied out of its buffers.
#[derive(Debug)]
pub struct Taken {
    pub packet: RxPacket,
    pub bytes: Vec<u8>,
}

impl Station {
    fn new(host: ModelHost, mac: [u8; 6], vport: VportConfig) -> Self {
        let config = AdapterConfig {
            queue_pairs: 1,
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
        let config = QueueConfig {
            aggregation: vport.aggregation.is_some(),
            ..QueueConfig::default()
        };
        let vport = adapter.start_vport(vport).unwrap();
        let mut applied = adapter.claim_filters(vport).unwrap();
        let mut filters = FilterSet::new(ReceiveMode::NORMAL);
        filters.add_mac(mac).unwrap();
        adapter.apply_filters(&mut applied, &filters).unwrap();
        let queue = AdapterQueue::open(&mut adapter, vport, &config, storage(&config)).unwrap();
        adapter.activate_vport(vport).unwrap();
        Self {
            host,
            adapter,
            vport,
            queue,
            mac,
        }
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
        self.queue.reap().unwrap();
        let usage = self.queue.usage();
        let busy = [usage.aggregating, usage.transmitting, usage.owned];
        assert_eq!((usage.missing(), busy), (0, [0; 3]), "{usage:?}");
        let counters = self.queue.counters();
        assert_eq!(counters.receive.errors(), 0, "{counters:?}");
        let mut adapter = self.adapter;
        self.queue.close(&mut adapter).unwrap();
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
        let ends = cable();
        let hosts = [11, 12].map(|seed| ModelHost::builder().chip(chip).seed(seed).build());
        hosts[0].set_wire(0, Box::new(ends.0));
        hosts[1].set_wire(0, Box::new(ends.1));
        let [near, other] = hosts;
        Self {
            near: Station::new(near, [2, 0, 0, 0, 0, 0xfe], VportConfig::default()),
            far: Station::new(other, [2, 0, 0, 0, 0, 0x0a], far),
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
            let count = self.far.queue.receive(&mut out).expect("no fault");
            for packet in &out[..count] {
                let mut bytes = vec![0; packet.len()];
                assert_eq!(self.far.queue.copy_to(packet, &mut bytes), packet.len());
                assert!(self.far.queue.release(packet));
                taken.push(Taken {
                    packet: *packet,
                    bytes,
                });
            }
            idle = if count == 0 { idle + 1 } else { 0 };
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
