//! A queue pair on the software adapter: from Reset to Up, frames out of the port and back, and down again.

mod looping;

use fastlinq_hal::adapter::{Adapter, AdapterConfig, AnyAdapter, ImageTable, Populated, Reset, Up};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::vport::{ReceiveMode, VportConfig, VportId};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::{Chip, firmware_image::synthetic_image};
use fastlinq_net::{AdapterQueue, QueueConfig, QueueStorage, RxPacket};
use looping::{loop_frames, no_violations, numbered, pass, storage};

type UpAdapter = Adapter<Up<ImageTable>, ModelHost>;

fn bring_up(adapter: Adapter<Reset, ModelHost>) -> UpAdapter {
    let adapter = adapter.connect().expect("connect");
    let Populated::Images(adapter) = adapter.populate().expect("populate") else {
        panic!("a modern management firmware knows BIST_TEST");
    };
    let image = synthetic_image();
    let image = FirmwareImage::parse(&image).expect("a good image");
    let mut scratch = Box::new(Scratch::new());
    let mut adapter = adapter.up(&image, &mut scratch).expect("up");
    let settings = adapter.flash_link_settings();
    adapter.set_link(&settings).expect("link");
    adapter.host().advance(10_000_000_000);
    assert!(adapter.link().expect("link").up);
    adapter
}

fn adapter(host: &ModelHost, mtu: u16) -> UpAdapter {
    let config = AdapterConfig {
        mtu: Some(mtu),
        ..AdapterConfig::default()
    };
    bring_up(Adapter::new(host.clone(), config))
}

fn vport(adapter: &mut UpAdapter, mtu: u16) -> VportId {
    let config = VportConfig {
        mtu: Some(mtu),
        ..VportConfig::default()
    };
    let vport = adapter.start_vport(config).expect("vport");
    adapter
        .set_receive_mode(vport, ReceiveMode::PROMISCUOUS)
        .expect("mode");
    vport
}

#[test]
fn frames_of_every_size_loop_through_the_wire_unchanged() {
    for chip in [Chip::K2, Chip::Bb] {
        let host = ModelHost::builder().chip(chip).loopback().seed(5).build();
        let mut adapter = adapter(&host, 9600);
        let before = host.memory();
        let vport = vport(&mut adapter, 9600);
        let config = QueueConfig {
            mtu: 9600,
            ..QueueConfig::default()
        };
        let mut queue = AdapterQueue::open(&mut adapter, vport, &config, storage(&config)).unwrap();
        adapter.activate_vport(vport).unwrap();
        let frames = loop_frames(&host, &mut queue, 14..=9614);
        assert_eq!(frames, 9601);
        assert_eq!(queue.counters().receive.errors(), 0);
        assert_eq!(queue.usage().missing(), 0);
        queue.close(&mut adapter).unwrap();
        adapter.stop_vport(vport).unwrap();
        assert_eq!(host.memory().live_bytes, before.live_bytes);
        let adapter = adapter.down().expect("down");
        drop(adapter);
        assert_eq!(host.memory().live_regions, 0);
        no_violations(&host);
    }
}

#[test]
fn indices_wrap_on_the_software_adapter_too() {
    let host = ModelHost::builder()
        .loopback()
        .scramble_addresses(true)
        .build();
    let mut adapter = adapter(&host, 1500);
    let vport = vport(&mut adapter, 1500);
    let mut storage = Box::new(QueueStorage::<400, 256, 128>::new());
    let config = QueueConfig {
        receive_ring: 200,
        transmit_ring: 128,
        buffers: 400,
        buffer_bytes: 512,
        ..QueueConfig::default()
    };
    let mut queue = AdapterQueue::open(&mut adapter, vport, &config, &mut *storage).unwrap();
    adapter.activate_vport(vport).unwrap();
    let frames = loop_frames(&host, &mut queue, (0..90_000).map(|n| 60 + n % 700));
    assert_eq!(frames, 90_000);
    let counters = queue.counters();
    assert!(counters.receive.posted > 65_536 && counters.transmit.descriptors > 65_536);
    queue.close(&mut adapter).unwrap();
    no_violations(&host);
}

#[test]
fn queue_pairs_open_and_close_again_and_again() {
    let host = ModelHost::builder().loopback().build();
    let mut adapter = adapter(&host, 1500);
    let before = host.memory().live_bytes;
    let mut storage = Box::new(QueueStorage::<2048, 512, 512>::new());
    for round in 0..20 {
        let vport = vport(&mut adapter, 1500);
        let config = QueueConfig::default();
        let mut queue = AdapterQueue::open(&mut adapter, vport, &config, &mut *storage).unwrap();
        adapter.activate_vport(vport).unwrap();
        loop_frames(&host, &mut queue, (0..100).map(|n| 60 + n * 10 + round));
        // Frames that nobody takes are with the queue pair when it closes.
        queue.send(&numbered(500, 1)).unwrap();
        queue.close(&mut adapter).unwrap();
        adapter.stop_vport(vport).unwrap();
        assert_eq!(host.memory().live_bytes, before);
    }
    no_violations(&host);
}

#[test]
fn a_device_that_is_gone_keeps_the_memory() {
    let host = ModelHost::builder().loopback().build();
    let mut adapter = adapter(&host, 1500);
    let vport = vport(&mut adapter, 1500);
    let config = QueueConfig::default();
    let queue = AdapterQueue::open(&mut adapter, vport, &config, storage(&config)).unwrap();
    adapter.activate_vport(vport).unwrap();
    let before = host.memory();
    host.faults().vanish();
    let failed = queue.close(&mut adapter).unwrap_err();
    let (_, bytes) = failed.leak();
    assert!(bytes > 2048 * 2048);
    assert_eq!(host.memory().live_bytes, before.live_bytes);
    let stored: AnyAdapter<_> = adapter.into();
    drop(stored);
    assert!(host.memory().live_bytes >= bytes);
    assert_eq!(host.memory().late_count, 0);
}

#[test]
fn two_functions_of_one_adapter_work_side_by_side() {
    let hosts = ModelHost::builder()
        .ports(2)
        .functions(2)
        .loopback()
        .build_all();
    let mut adapters: Vec<_> = hosts.iter().map(|host| adapter(host, 1500)).collect();
    let config = QueueConfig::default();
    let mut queues = Vec::new();
    for adapter in &mut adapters {
        let vport = vport(adapter, 1500);
        queues.push(AdapterQueue::open(adapter, vport, &config, storage(&config)).unwrap());
        adapter.activate_vport(vport).unwrap();
    }
    for round in 0..50 {
        for (host, queue) in hosts.iter().zip(&mut queues) {
            loop_frames(host, queue, (0..40).map(|n| 60 + n * 30 + round));
        }
    }
    for (queue, adapter) in queues.into_iter().zip(&mut adapters) {
        queue.close(adapter).unwrap();
    }
    no_violations(&hosts[0]);
}

#[test]
fn two_adapters_talk_over_a_cable() {
    let hosts = [
        ModelHost::builder().mac_base([2, 0, 0, 0, 0, 0x10]).build(),
        ModelHost::builder()
            .chip(Chip::Bb)
            .mac_base([2, 0, 0, 0, 0, 0x20])
            .build(),
    ];
    fastlinq_model_host::join(&hosts[0], 0, &hosts[1], 0);
    let mut adapters = hosts.each_ref().map(|host| adapter(host, 9000));
    let config = QueueConfig {
        mtu: 9000,
        ..QueueConfig::default()
    };
    let mut queues = Vec::new();
    for adapter in &mut adapters {
        let vport = vport(adapter, 9000);
        queues.push(AdapterQueue::open(adapter, vport, &config, storage(&config)).unwrap());
        adapter.activate_vport(vport).unwrap();
    }
    let mut out = [RxPacket::EMPTY; 8];
    let mut bytes = [0; 10_000];
    for number in 0..2000 {
        let (from, to) = (number % 2, 1 - number % 2);
        let frame = numbered(60 + number * 4, number as u32);
        queues[from].send(&frame).unwrap();
        pass(&hosts[to]);
        assert_eq!(queues[to].receive(&mut out).unwrap(), 1);
        let length = queues[to].copy_to(&out[0], &mut bytes);
        assert_eq!(bytes[..length], frame);
        // Back over the cable as it is.
        assert_eq!(queues[to].transmit(&out[..1]), Ok(1));
        pass(&hosts[from]);
        assert_eq!(queues[from].receive(&mut out).unwrap(), 1);
        let length = queues[from].copy_to(&out[0], &mut bytes);
        assert_eq!(bytes[..length], frame);
        queues[from].release(&out[0]);
    }
    for (queue, adapter) in queues.into_iter().zip(&mut adapters) {
        queue.close(adapter).unwrap();
    }
    hosts.iter().for_each(no_violations);
}
