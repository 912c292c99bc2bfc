//! Queue pairs against the software adapter: raw rings, one frame, opening and closing.

mod common;

use common::{assert_clean, host, image, up};
use fastlinq_hal::adapter::{
    Adapter, AdapterConfig, AnyAdapter, InterruptMode, Layer, UpWithImages,
};
use fastlinq_hal::dma::DmaBuffer;
use fastlinq_hal::host::DmaAllocator;
use fastlinq_hal::mfw::link::{LinkSettings, Loopback};
use fastlinq_hal::queue::{Coalescing, QueuePairRequest, QueuePort};
use fastlinq_hal::vport::{HashedHeaders, ReceiveMode, RssConfig, VportConfig};
use fastlinq_model_host::model::Chip;
use fastlinq_model_host::{ModelHost, ModelRegion};

type Buffer = DmaBuffer<ModelRegion>;

fn adapter_up(host: &ModelHost, config: AdapterConfig) -> UpWithImages<ModelHost> {
    match up(Adapter::new(host.clone(), config), &image()) {
        Ok(AnyAdapter::UpWithImages(adapter)) => adapter,
        other => panic!("{other:?}"),
    }
}

/// One page of each ring, and one buffer per receive descriptor used.
struct Rings {
    rx: Buffer,
    completions: Buffer,
    completion_table: Buffer,
    tx: Buffer,
    tx_table: Buffer,
    frames: Buffer,
}

const RX_BUFFERS: u64 = 32;
const BUFFER: u64 = 2048;

impl Rings {
    fn new(host: &ModelHost) -> Self {
        let mut host = host.clone();
        let mut page = || DmaBuffer::new(host.allocate(4096, 4096).unwrap());
        let (mut rx, completions, mut completion_table) = (page(), page(), page());
        let (tx, mut tx_table) = (page(), page());
        let frames = DmaBuffer::new(
            host.allocate(2 * (RX_BUFFERS * BUFFER) as usize, 4096)
                .unwrap(),
        );
        completion_table
            .write(0, &completions.bus_address().value().to_le_bytes())
            .unwrap();
        tx_table
            .write(0, &tx.bus_address().value().to_le_bytes())
            .unwrap();
        for slot in 0..RX_BUFFERS {
            let address = frames.bus_address().value() + slot * BUFFER;
            rx.write(slot as usize * 8, &address.to_le_bytes()).unwrap();
        }
        // The chain's link leads back to its only page.
        let own = rx.bus_address().value().to_le_bytes();
        rx.write(510 * 8, &own).unwrap();
        Self {
            rx,
            completions,
            completion_table,
            tx,
            tx_table,
            frames,
        }
    }

    fn request(&self) -> QueuePairRequest {
        QueuePairRequest {
            rx_buffer_bytes: BUFFER as u16,
            rx_bd_base: self.rx.bus_address(),
            cqe_pbl: self.completion_table.bus_address(),
            cqe_pages: 1,
            tx_pbl: self.tx_table.bus_address(),
            tx_pages: 1,
            coalescing: Coalescing::IMMEDIATE,
        }
    }

    /// Puts a frame of one descriptor into slot 0 of the transmit ring.
    fn transmit(&mut self, port: &QueuePort<ModelHost>, frame: &[u8]) {
        let offset = (RX_BUFFERS * BUFFER) as usize;
        self.frames.copy_from(offset, frame).unwrap();
        let address = self.frames.bus_address().value() + offset as u64;
        let mut bd = [0; 16];
        bd[..8].copy_from_slice(&address.to_le_bytes());
        bd[8..10].copy_from_slice(&(frame.len() as u16).to_le_bytes());
        bd[12] = 1;
        bd[13] = 1;
        bd[14..].copy_from_slice(&((frame.len() as u16) << 2).to_le_bytes());
        self.tx.copy_from(0, &bd).unwrap();
        port.ring_tx(1);
    }
}

#[test]
fn a_frame_goes_out_and_comes_back() {
    for chip in [Chip::K2, Chip::Bb] {
        for config in [
            AdapterConfig::default(),
            AdapterConfig {
                mac_address: Some([2, 3, 4, 5, 6, 7]),
                ..AdapterConfig::default()
            },
        ] {
            let host = host(chip, "modern");
            let mut adapter = adapter_up(&host, config);
            let mac = adapter.mac_address().unwrap();
            let vport = adapter.start_vport(VportConfig::default()).unwrap();
            let mut rings = Rings::new(&host);
            let port = adapter.open_queue_pair(vport, &rings.request()).unwrap();
            assert_eq!((port.rx_index(), port.tx_index()), (0, 0));
            port.publish_rx(RX_BUFFERS as u16, 128);
            adapter.activate_vport(vport).unwrap();
            adapter.set_mac_filter(vport, mac).unwrap();
            adapter
                .set_receive_mode(vport, ReceiveMode::NORMAL)
                .unwrap();
            let loopback = LinkSettings {
                loopback: Loopback::Mac,
                ..LinkSettings::default()
            };
            adapter.set_link(&loopback).unwrap();
            host.advance(2_000_000_000);
            adapter.poll_events(|_| {}).unwrap();

            let mut frame = vec![0x5a; 200];
            frame[..6].copy_from_slice(&mac);
            frame[6..12].copy_from_slice(&mac);
            frame[12..14].copy_from_slice(&[0x88, 0xb5]);
            rings.transmit(&port, &frame);
            host.advance(1_000_000);
            assert_eq!(port.tx_index(), 1, "{chip:?}");
            assert_eq!(port.rx_index(), 1, "{chip:?}");
            assert!(port.status_index() > 0);
            let completion: [u8; 32] = rings.completions.read(0).unwrap();
            assert_eq!(completion[0], 1, "a regular completion");
            assert_eq!(u16::from_le_bytes([completion[2], completion[3]]), 200);
            let offset = usize::from(completion[14]);
            let mut received = vec![0; 200];
            rings.frames.copy_to(offset, &mut received).unwrap();
            assert_eq!(received, frame);
            let statistics = adapter.vport_statistics(vport).unwrap();
            assert_eq!(
                (
                    statistics.received.unicast_frames,
                    statistics.transmitted.unicast_frames
                ),
                (1, 1)
            );

            adapter.close_queue_pair(port).unwrap();
            adapter.stop_vport(vport).unwrap();
            adapter.down().unwrap();
            drop(rings);
            assert_clean(&host, &format!("{chip:?}"));
        }
    }
}

#[test]
fn queue_pairs_open_and_close_in_any_order() {
    for chip in [Chip::K2, Chip::Bb] {
        let host = ModelHost::builder().chip(chip).interrupt_vectors(8).build();
        let config = AdapterConfig {
            queue_pairs: 4,
            interrupts: InterruptMode::MsiX,
            ..AdapterConfig::default()
        };
        let mut adapter = adapter_up(&host, config);
        assert_eq!(adapter.queue_pairs(), 4);
        let vport = adapter.start_vport(VportConfig::default()).unwrap();
        let rings: Vec<_> = (0..5).map(|_| Rings::new(&host)).collect();
        for round in 0..4 {
            let mut ports: Vec<_> = rings[..4]
                .iter()
                .map(|rings| adapter.open_queue_pair(vport, &rings.request()).unwrap())
                .collect();
            let failed = adapter
                .open_queue_pair(vport, &rings[4].request())
                .unwrap_err();
            assert!(!failed.rings_in_use);
            assert_eq!(failed.cause.layer(), Layer::Driver);
            let vectors: Vec<_> = ports.iter().map(QueuePort::vector).collect();
            assert_eq!(vectors, [1, 2, 3, 4]);
            adapter.activate_vport(vport).unwrap();
            let queues: Vec<_> = ports.iter().map(QueuePort::id).collect();
            let rss = RssConfig {
                queues: &queues,
                hashed: HashedHeaders::default(),
                key: &[0x6d; 40],
            };
            adapter.set_rss(vport, &rss).unwrap();
            let times = Coalescing {
                receive_us: 100,
                transmit_us: 300,
            };
            adapter.set_coalescing(queues[1], times).unwrap();
            assert!(
                adapter.stop_vport(vport).is_err(),
                "its queue pairs are open"
            );
            ports.rotate_left(round);
            for port in ports {
                adapter.close_queue_pair(port).unwrap();
            }
        }
        adapter.stop_vport(vport).unwrap();
        adapter.down().unwrap();
        drop(rings);
        assert_clean(&host, "queue pairs");
    }
}

#[test]
fn what_cannot_be_is_refused_before_the_device_is_asked() {
    let host = host(Chip::K2, "modern");
    let mut adapter = adapter_up(&host, AdapterConfig::default());
    let vport = adapter.start_vport(VportConfig::default()).unwrap();
    let rings = Rings::new(&host);
    let good = rings.request();
    let bad = [
        QueuePairRequest {
            cqe_pages: 0,
            ..good
        },
        QueuePairRequest {
            tx_pages: 0,
            ..good
        },
        QueuePairRequest {
            rx_buffer_bytes: 0,
            ..good
        },
        QueuePairRequest {
            coalescing: Coalescing {
                receive_us: 512,
                transmit_us: 0,
            },
            ..good
        },
    ];
    for request in bad {
        let failed = adapter.open_queue_pair(vport, &request).unwrap_err();
        assert_eq!(failed.cause.layer(), Layer::Driver, "{failed}");
        assert!(!failed.rings_in_use);
    }
    let port = adapter.open_queue_pair(vport, &good).unwrap();
    adapter.close_queue_pair(port).unwrap();
    adapter.down().unwrap();
    drop(rings);
    assert_clean(&host, "refusals");
}

/// An adapter that is up with one queue pair open on an active vport.
fn up_with_a_queue(host: &ModelHost) -> (UpWithImages<ModelHost>, QueuePort<ModelHost>, Rings) {
    let mut adapter = adapter_up(host, AdapterConfig::default());
    let vport = adapter.start_vport(VportConfig::default()).unwrap();
    let rings = Rings::new(host);
    let port = adapter.open_queue_pair(vport, &rings.request()).unwrap();
    adapter.activate_vport(vport).unwrap();
    (adapter, port, rings)
}

#[test]
fn a_queue_pair_left_open_is_stopped_on_the_way_down_and_may_be_handed_in_then() {
    let host = host(Chip::K2, "modern");
    let (adapter, port, rings) = up_with_a_queue(&host);
    let failed = adapter.reclaim_queue_pair(port).unwrap_err();
    assert_eq!(failed.cause.layer(), Layer::Driver, "the adapter is up");
    let adapter = adapter.down().unwrap();
    assert!(adapter.leaked().is_empty());
    adapter.reclaim_queue_pair(failed.port).unwrap();
    drop(rings);
    assert_clean(&host, "handed in");
}

#[test]
fn a_queue_pair_may_be_handed_in_several_bring_ups_later() {
    let host = host(Chip::K2, "modern");
    let (adapter, port, rings) = up_with_a_queue(&host);
    let mut adapter = adapter.down().unwrap();
    drop(rings);
    // The status block is with the queue pair.
    assert_eq!(host.memory().live_regions, 1);
    for _ in 0..6 {
        adapter = up(adapter, &image()).unwrap().into_reset().unwrap();
    }
    let Ok(AnyAdapter::UpWithImages(mut adapter)) = up(adapter, &image()) else {
        panic!("not up")
    };
    let failed = adapter.close_queue_pair(port).unwrap_err();
    assert_eq!(
        failed.cause.layer(),
        Layer::Driver,
        "it is of an earlier bring-up"
    );
    adapter.reclaim_queue_pair(failed.port).unwrap();
    adapter.down().unwrap();
    assert_clean(&host, "handed in late");
}

#[test]
fn a_queue_pair_stays_with_its_owner_when_the_device_is_not_known_to_be_quiet() {
    let host = host(Chip::K2, "modern");
    let (adapter, port, rings) = up_with_a_queue(&host);
    host.faults().vanish();
    let failed = adapter.down().unwrap_err();
    assert!(failed.leaked.regions > 0);
    let refused = failed.adapter.reclaim_queue_pair(port).unwrap_err();
    assert_eq!(refused.cause.layer(), Layer::Driver);
    // Dropped, it keeps its memory for good.
    let live = host.memory().live_regions;
    drop(refused);
    assert_eq!(host.memory().live_regions, live);
    std::mem::forget(rings);
    assert_eq!(host.memory().late_count, 0);
}

#[test]
fn a_queue_pair_of_another_adapter_is_refused() {
    let (one, other) = (host(Chip::K2, "modern"), host(Chip::K2, "modern"));
    let (mut adapter, port, rings) = up_with_a_queue(&one);
    let (mut stranger, theirs, their_rings) = up_with_a_queue(&other);
    let failed = stranger.close_queue_pair(port).unwrap_err();
    assert_eq!(failed.cause.layer(), Layer::Driver);
    let stranger = {
        stranger.close_queue_pair(theirs).unwrap();
        stranger.down().unwrap()
    };
    let failed = stranger.reclaim_queue_pair(failed.port).unwrap_err();
    adapter.close_queue_pair(failed.port).unwrap();
    adapter.down().unwrap();
    drop((rings, their_rings));
    assert_clean(&one, "its own");
    assert_clean(&other, "the stranger");
}

#[test]
fn a_queue_pair_can_move_to_another_thread() {
    fn send<T: Send>(_: &T) {}
    let host = host(Chip::K2, "modern");
    let mut adapter = adapter_up(&host, AdapterConfig::default());
    let vport = adapter.start_vport(VportConfig::default()).unwrap();
    let rings = Rings::new(&host);
    let port = adapter.open_queue_pair(vport, &rings.request()).unwrap();
    send(&port);
    let port = std::thread::spawn(move || {
        port.publish_rx(RX_BUFFERS as u16, 128);
        port
    })
    .join()
    .unwrap();
    adapter.close_queue_pair(port).unwrap();
    adapter.down().unwrap();
    drop(rings);
    assert_clean(&host, "threads");
}
