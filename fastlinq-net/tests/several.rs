//! Several queue pairs of the software adapter at once, each in a thread of its own, under the control of one more.

mod looping;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use fastlinq_hal::adapter::{Adapter, AdapterConfig, ImageTable, Populated, Up};
use fastlinq_hal::filters::FilterSet;
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::slowpath::Since;
use fastlinq_hal::vport::{HashedHeaders, ReceiveMode, RssConfig, VportConfig, VportId};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::wire::{CableEnd, Wire, cable};
use fastlinq_model_host::model::{Chip, firmware_image::synthetic_image};
use fastlinq_net::{AdapterQueue, Counters, QueueConfig, RxPacket};
use looping::{no_violations, pass, storage};

type UpAdapter = Adapter<Up<ImageTable>, ModelHost>;
type Queue = AdapterQueue<'static, ModelHost>;

const QUEUES: u16 = 4;
/// Frames on their way at once: fewer than the smallest ring has buffers.
const AT_ONCE: usize = 100;

fn bring_up(host: &ModelHost) -> UpAdapter {
    let config = AdapterConfig {
        queue_pairs: QUEUES,
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
    adapter
}

/// A queue pair at work: it sends back what it receives.
struct Worker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Queue>,
}

impl Worker {
    fn start(mut queue: Queue) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut out = [RxPacket::EMPTY; 16];
            loop {
                let taken = queue.receive(&mut out).unwrap();
                let mut rest = &out[..taken];
                while !rest.is_empty() {
                    // With a full ring nothing is taken until the device has sent.
                    let sent = queue.transmit(rest).unwrap_or(0);
                    rest = &rest[sent..];
                    queue.reap().unwrap();
                }
                if taken == 0 {
                    if told.load(Ordering::Relaxed) {
                        return queue;
                    }
                    std::thread::yield_now();
                }
            }
        });
        Self { stop, thread }
    }

    fn stop(self) -> Queue {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// A frame of a UDP flow over IPv4; the checksum of UDP is left out.
fn frame(to: [u8; 6], flow: u16, number: u32, length: usize) -> Vec<u8> {
    let mut frame = to.to_vec();
    frame.extend([2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0]);
    frame.extend(((length - 14) as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    let sum: u32 = frame[14..34]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    frame.extend(flow.to_be_bytes());
    frame.extend([0, 80]);
    frame.extend(((length - 34) as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(number.to_be_bytes());
    frame.resize(length, number as u8);
    frame
}

/// Sends frames over the cable and takes them back, until all came.
fn echo(host: &ModelHost, far: &mut CableEnd, frames: &[Vec<u8>]) {
    for chunk in frames.chunks(AT_ONCE) {
        let mut missing: HashMap<&[u8], usize> = HashMap::new();
        for frame in chunk {
            far.transmit(frame);
            *missing.entry(frame).or_default() += 1;
        }
        let mut left = chunk.len();
        for _ in 0..1_000_000 {
            pass(host);
            while let Some(frame) = far.receive() {
                let count = missing.get_mut(frame.as_slice()).expect("a frame of ours");
                *count = count.checked_sub(1).expect("each comes back once");
                left -= 1;
            }
            if left == 0 {
                break;
            }
            std::thread::yield_now();
        }
        assert_eq!(left, 0, "frames did not come back");
    }
}

fn open(adapter: &mut UpAdapter, vport: VportId, config: &QueueConfig) -> Queue {
    AdapterQueue::open(adapter, vport, config, storage(config)).unwrap()
}

fn add(total: &mut [u64; 4], counters: Counters) {
    total[0] += counters.receive.packets;
    total[1] += counters.receive.bytes;
    total[2] += counters.transmit.packets;
    total[3] += counters.transmit.bytes;
}

#[test]
fn queue_pairs_work_side_by_side_while_one_of_them_is_resized() {
    for chip in [Chip::K2, Chip::Bb] {
        let host = ModelHost::builder().chip(chip).seed(3).build();
        let (near, mut far) = cable();
        host.set_wire(0, Box::new(near));
        let mut adapter = bring_up(&host);
        let mac = adapter.mac_address().unwrap();
        let vport = adapter.start_vport(VportConfig::default()).unwrap();
        let mut applied = adapter.claim_filters(vport).unwrap();
        let mut filters = FilterSet::new(ReceiveMode::NORMAL);
        filters.add_mac(mac).unwrap();
        adapter.apply_filters(&mut applied, &filters).unwrap();
        let port_before = adapter.port_statistics().unwrap();

        let config = QueueConfig::default();
        let queues: Vec<_> = (0..QUEUES)
            .map(|_| open(&mut adapter, vport, &config))
            .collect();
        let ids: Vec<_> = queues.iter().map(Queue::id).collect();
        adapter.activate_vport(vport).unwrap();
        let rss = RssConfig {
            queues: &ids,
            hashed: HashedHeaders::all(),
            key: &[0x6d; 40],
        };
        adapter.set_rss(vport, &rss).unwrap();
        let mut workers: Vec<_> = queues.into_iter().map(Worker::start).collect();

        let mut number = 0;
        let mut frames = |count: usize| -> Vec<Vec<u8>> {
            (0..count)
                .map(|index| {
                    number += 1;
                    frame(mac, index as u16 % 97, number, 64 + index * 13 % 1400)
                })
                .collect()
        };
        let mut total = [0; 4];
        let mut all = Vec::new();
        for round in 0..4u16 {
            let batch = frames(400);
            echo(&host, &mut far, &batch);
            all.extend(batch);
            // One of them stops, gets other rings, and goes on; the others work meanwhile.
            let index = usize::from(round);
            let queue = workers.remove(index).stop();
            let counters = queue.counters();
            assert!(counters.receive.packets > 20, "{counters:?}");
            let table = adapter.rss(vport).unwrap().unwrap();
            let default = adapter.default_queue_pair(vport).unwrap();
            let bigger = QueueConfig {
                receive_ring: 1024 + 512 * round,
                transmit_ring: 300,
                buffers: 4096,
                ..config
            };
            let queue = queue
                .resize(&mut adapter, &bigger, storage(&bigger))
                .unwrap();
            assert_eq!((queue.id(), *queue.config()), (ids[index], bigger));
            assert_eq!(queue.counters().receive.packets, counters.receive.packets);
            let sent = queue.counters().transmit;
            assert_eq!(sent.packets, counters.transmit.packets);
            assert_eq!(sent.completed, counters.transmit.descriptors);
            assert_eq!(adapter.rss(vport).unwrap(), Some(table));
            assert_eq!(adapter.default_queue_pair(vport).unwrap(), default);
            workers.insert(index, Worker::start(queue));
            // Closed and opened, it has no part before it is given one, and counts from 0.
            let queue = workers.remove(index).stop();
            add(&mut total, queue.counters());
            queue.close(&mut adapter).unwrap();
            let batch = frames(200);
            echo(&host, &mut far, &batch);
            all.extend(batch);
            let queue = open(&mut adapter, vport, &bigger);
            assert_eq!(queue.id(), ids[index]);
            workers.insert(index, Worker::start(queue));
            adapter.set_rss_table(vport, &ids).unwrap();
        }
        let batch = frames(400);
        echo(&host, &mut far, &batch);
        all.extend(batch);

        // What the queues counted is what the vport counted is what the port counted.
        let queues: Vec<_> = workers.into_iter().map(Worker::stop).collect();
        for queue in &queues {
            assert!(queue.counters().receive.packets > 20);
            add(&mut total, queue.counters());
        }
        let bytes: usize = all.iter().map(Vec::len).sum();
        let expected = [
            all.len() as u64,
            bytes as u64,
            all.len() as u64,
            bytes as u64,
        ];
        assert_eq!(total, expected);
        let counted = adapter.vport_statistics(vport).unwrap();
        let (received, sent) = (counted.received, counted.transmitted);
        assert_eq!(
            [
                received.frames(),
                received.bytes(),
                sent.frames(),
                sent.bytes()
            ],
            expected
        );
        let port = adapter.port_statistics().unwrap().since(&port_before);
        assert_eq!(
            [port.received.frames(), port.transmitted.frames()],
            [expected[0], expected[2]]
        );
        let with_check_sequence = expected[1] + 4 * expected[0];
        assert_eq!(
            [port.received_bytes, port.transmitted_bytes],
            [with_check_sequence; 2]
        );
        for queue in queues {
            queue.close(&mut adapter).unwrap();
        }
        adapter.stop_vport(vport).unwrap();
        adapter.down().unwrap();
        no_violations(&host);
        assert_eq!(host.memory().live_regions, 0);
    }
}
