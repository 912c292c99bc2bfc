//! Two software adapters joined by a cable, each with a queue pair.

use fastlinq_hal::adapter::{Adapter, AdapterConfig, ImageTable, InterruptMode, Populated, Up};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::vport::{ReceiveMode, VportConfig, VportId};
use fastlinq_model_host::model::firmware_image::synthetic_image;
use fastlinq_model_host::{ModelHost, join};
use fastlinq_net::{AdapterQueue, QueueConfig, Storage};

pub(crate) type Queue = AdapterQueue<'static, ModelHost>;

pub(crate) struct Station {
    pub(crate) host: ModelHost,
    pub(crate) adapter: Adapter<Up<ImageTable>, ModelHost>,
    pub(crate) mac: [u8; 6],
    vport: VportId,
    live_bytes: usize,
}

fn storage(config: &QueueConfig) -> Storage<'static> {
    let buffers = config.buffers as usize;
    let links: Vec<_> = (0..buffers).map(|_| Default::default()).collect();
    Storage::from_slices(
        vec![0; buffers].leak(),
        vec![0; buffers].leak(),
        links.leak(),
        vec![0; usize::from(config.receive_ring).next_power_of_two()].leak(),
        vec![0; usize::from(config.transmit_ring).next_power_of_two()].leak(),
    )
}

fn bring_up(host: &ModelHost, config: &QueueConfig) -> (Station, Queue) {
    let interrupts = match fastlinq_hal::host::Host::interrupt_vectors(host) {
        0 => InterruptMode::Polling,
        _ => InterruptMode::MsiX,
    };
    let adapter_config = AdapterConfig {
        mtu: Some(config.mtu),
        interrupts,
        ..AdapterConfig::default()
    };
    let adapter = Adapter::new(host.clone(), adapter_config);
    let Ok(adapter) = adapter.connect() else {
        panic!("not connected")
    };
    let Ok(Populated::Images(adapter)) = adapter.populate() else {
        panic!("no images")
    };
    let image = synthetic_image();
    let image = FirmwareImage::parse(&image).unwrap();
    let mut scratch = Box::new(Scratch::new());
    let Ok(mut adapter) = adapter.up(&image, &mut scratch) else {
        panic!("not up")
    };
    let live_bytes = host.memory().live_bytes;
    let vport = VportConfig {
        mtu: Some(config.mtu),
        ..VportConfig::default()
    };
    let vport = adapter.start_vport(vport).unwrap();
    let mac = adapter.mac_address().unwrap();
    adapter
        .set_receive_mode(vport, ReceiveMode::PROMISCUOUS)
        .unwrap();
    let queue = Queue::open(&mut adapter, vport, config, storage(config)).unwrap();
    adapter.activate_vport(vport).unwrap();
    let settings = adapter.flash_link_settings();
    adapter.set_link(&settings).unwrap();
    let station = Station {
        host: host.clone(),
        adapter,
        mac,
        vport,
        live_bytes,
    };
    (station, queue)
}

/// Two stations on a cable, with their links up.
pub(crate) fn pair(config: &QueueConfig, vectors: u16) -> [(Station, Queue); 2] {
    let hosts = [1_u8, 2].map(|number| {
        ModelHost::builder()
            .seed(number.into())
            .mac_base([2, 0x0e, 0x1e, 0, number, 0])
            .interrupt_vectors(vectors)
            .build()
    });
    let [a, b] = &hosts;
    join(a, 0, b, 0);
    let stations = hosts.each_ref().map(|host| bring_up(host, config));
    for host in &hosts {
        host.advance(10_000_000_000);
    }
    stations
}

impl Station {
    /// Closes the queue pair after a look at its books, and takes the adapter down.
    pub(crate) fn close(mut self, mut queue: Queue) {
        let usage = queue.usage();
        assert_eq!(usage.missing(), 0, "{usage:?}");
        assert_eq!(usage.owned, 0, "{usage:?}");
        assert_eq!(usage.lent, 0, "{usage:?}");
        queue.close(&mut self.adapter).unwrap();
        self.adapter.stop_vport(self.vport).unwrap();
        assert_eq!(self.host.memory().live_bytes, self.live_bytes);
        assert!(self.adapter.down().is_ok());
        assert_eq!(self.host.memory().live_regions, 0);
        let violations = self.host.violations();
        assert!(violations.is_empty(), "{}", violations[0]);
    }
}

/// Lets the same time pass on both sides.
pub(crate) fn pass(hosts: [&ModelHost; 2], ns: u64) {
    for host in hosts {
        host.poll();
        host.advance(ns);
    }
}
