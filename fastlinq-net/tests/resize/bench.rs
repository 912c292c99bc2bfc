//! An adapter whose port is plugged into itself.

use fastlinq_hal::adapter::{Adapter, AdapterConfig, ImageTable, Populated, Up};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::Host;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::vport::{ReceiveMode, VportConfig, VportId};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::{Chip, firmware_image::synthetic_image};
use fastlinq_net::{AdapterQueue, QueueConfig, ResizeFailed};

use crate::looping::{loop_frames, no_violations, storage};

pub(crate) type Queue<H> = AdapterQueue<'static, H>;
pub(crate) type Failed<H> = ResizeFailed<'static, 'static, H>;

pub(crate) struct Bench<H: Host> {
    /// The software adapter.
    pub(crate) model: ModelHost,
    pub(crate) adapter: Adapter<Up<ImageTable>, H>,
    pub(crate) vport: VportId,
    /// Memory of the adapter without queue pairs.
    pub(crate) live_bytes: usize,
}

pub(crate) fn model(chip: Chip) -> ModelHost {
    ModelHost::builder().chip(chip).loopback().seed(5).build()
}

impl<H: Host> Bench<H> {
    /// An adapter on a host that passes everything on to `model`.
    pub(crate) fn new(model: &ModelHost, host: H) -> Self {
        let config = AdapterConfig {
            flow_steering: true,
            ..AdapterConfig::default()
        };
        let adapter = Adapter::new(host, config).connect();
        let Ok(Populated::Images(adapter)) =
            adapter.map_err(|failed| failed.cause).unwrap().populate()
        else {
            panic!("a modern management firmware knows BIST_TEST");
        };
        let image = synthetic_image();
        let image = FirmwareImage::parse(&image).unwrap();
        let adapter = adapter.up(&image, &mut Box::new(Scratch::new()));
        let mut adapter = adapter.map_err(|failed| failed.cause).unwrap();
        let settings = adapter.flash_link_settings();
        adapter.set_link(&settings).unwrap();
        model.advance(10_000_000_000);
        let live_bytes = model.memory().live_bytes;
        let vport = adapter.start_vport(VportConfig::default()).unwrap();
        adapter
            .set_receive_mode(vport, ReceiveMode::PROMISCUOUS)
            .unwrap();
        Self {
            model: model.clone(),
            adapter,
            vport,
            live_bytes,
        }
    }

    pub(crate) fn open(&mut self, config: &QueueConfig) -> Queue<H> {
        let queue = Queue::open(&mut self.adapter, self.vport, config, storage(config)).unwrap();
        self.adapter.activate_vport(self.vport).unwrap();
        queue
    }

    pub(crate) fn finish(mut self) {
        self.adapter.stop_vport(self.vport).unwrap();
        assert_eq!(self.model.memory().live_bytes, self.live_bytes);
        assert!(self.adapter.down().is_ok());
        no_violations(&self.model);
        assert_eq!(self.model.memory().live_regions, 0);
    }
}

/// Frames around the wire; the queue pair counts them all, and has all buffers.
pub(crate) fn traffic<H: Host>(bench: &Bench<H>, queue: &mut Queue<H>, seed: usize) {
    let before = queue.counters();
    let frames = loop_frames(
        &bench.model,
        queue,
        (0..200).map(|n| 60 + (seed + n * 13) % 1400),
    );
    let after = queue.counters();
    assert_eq!(
        after.receive.packets - before.receive.packets,
        u64::from(frames)
    );
    assert_eq!(
        after.transmit.packets - before.transmit.packets,
        u64::from(frames)
    );
    let usage = queue.usage();
    assert_eq!((usage.missing(), usage.owned, usage.lent), (0, 0, 0));
    assert_eq!(usage.total, queue.config().buffers as usize);
}
