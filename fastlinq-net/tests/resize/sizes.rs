//! Sizes that can be had, and wishes that leave the queue pair alone.

use fastlinq_hal::adapter::{Cause, Misuse};
use fastlinq_hal::steering::{FlowAction, FlowMatch, Transport};
use fastlinq_hal::vport::{HashedHeaders, RssConfig};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::Chip;
use fastlinq_net::{AdapterQueue, ConfigError, PrepareError, QueueConfig, QueueStorage, RxPacket};

use crate::bench::{Bench, Failed, Queue, model, traffic};
use crate::looping::{numbered, pass, storage};

fn bench(chip: Chip) -> Bench<ModelHost> {
    let model = model(chip);
    Bench::new(&model, model.clone())
}

fn sizes() -> Vec<QueueConfig> {
    let config = QueueConfig::default();
    let size = |receive_ring, transmit_ring, buffers, buffer_bytes| QueueConfig {
        receive_ring,
        transmit_ring,
        buffers,
        buffer_bytes,
        ..config
    };
    vec![
        size(128, 8191, 300, 2048),
        size(8191, 128, 9000, 512),
        size(512, 512, 2048, 4096),
        size(1000, 129, 1001, 1024),
        config,
    ]
}

#[test]
fn a_queue_pair_of_any_size_gets_any_other_and_goes_on() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut bench = bench(chip);
        let mut queue = bench.open(&QueueConfig::default());
        let rss = RssConfig {
            queues: &[queue.id()],
            hashed: HashedHeaders::default(),
            key: &[0x6d; 40],
        };
        bench.adapter.set_rss(bench.vport, &rss).unwrap();
        let (id, vector) = (queue.id(), queue.device().vector());
        let mut steps: Vec<_> = sizes();
        steps.extend(sizes().into_iter().rev());
        for (step, config) in steps.iter().enumerate() {
            traffic(&bench, &mut queue, step);
            // Frames on their way to be sent are sent; one that the program has is gone with its buffer.
            queue.send(&numbered(500, 1)).unwrap();
            pass(&bench.model);
            let mut out = [RxPacket::EMPTY; 2];
            assert_eq!(queue.receive(&mut out), Ok(1));
            queue.send(&numbered(500, 2)).unwrap();
            let before = queue.counters();
            let table = bench.adapter.rss(bench.vport).unwrap().unwrap();
            queue = queue
                .resize(&mut bench.adapter, config, storage(config))
                .unwrap();
            assert_eq!((queue.id(), queue.device().vector()), (id, vector));
            let after = queue.counters();
            assert_eq!(after.receive.packets, before.receive.packets);
            assert_eq!(after.transmit.packets, before.transmit.packets);
            assert_eq!(after.transmit.completed, before.transmit.descriptors);
            assert!(!queue.release(&out[0]), "a record of the old queue pair");
            assert_eq!(queue.usage().owned, 0);
            assert_eq!(bench.adapter.rss(bench.vport).unwrap(), Some(table));
            assert_eq!(
                bench.model.memory().live_bytes,
                bench.live_bytes + queue.memory_bytes()
            );
            // What was sent before it stopped comes back now, or was lost on the way.
            for _ in 0..4 {
                pass(&bench.model);
                let taken = queue.receive(&mut out).unwrap();
                let mut taken = out[..taken].iter();
                assert!(taken.all(|packet| queue.release(packet)));
            }
        }
        traffic(&bench, &mut queue, 99);
        queue.close(&mut bench.adapter).unwrap();
        bench.finish();
    }
}

#[test]
fn the_storage_of_the_old_size_is_free_for_the_next() {
    let mut bench = bench(Chip::K2);
    let mut first = Box::new(QueueStorage::<300, 128, 128>::new());
    let mut second = Box::new(QueueStorage::<2048, 512, 512>::new());
    let small = QueueConfig {
        receive_ring: 128,
        transmit_ring: 128,
        buffers: 300,
        ..QueueConfig::default()
    };
    let adapter = &mut bench.adapter;
    let queue = AdapterQueue::open(adapter, bench.vport, &small, &mut *first).unwrap();
    let queue = queue
        .resize(adapter, &QueueConfig::default(), &mut *second)
        .unwrap();
    let queue = queue.resize(adapter, &small, &mut *first).unwrap();
    queue.close(adapter).unwrap();
    bench.finish();
}

#[test]
fn what_cannot_be_prepared_or_would_be_refused_leaves_the_queue_pair_alone() {
    let mut bench = bench(Chip::K2);
    let config = QueueConfig::default();
    let mut queue = bench.open(&config);
    queue.send(&numbered(500, 1)).unwrap();
    pass(&bench.model);
    let mut out = [RxPacket::EMPTY; 2];
    assert_eq!(queue.receive(&mut out), Ok(1));
    let still_there =
        |queue: &Queue<ModelHost>| assert_eq!(queue.bytes(&out[0]), Some(&numbered(500, 1)[..]));

    let wrong = QueueConfig {
        receive_ring: 8192,
        ..config
    };
    let failed = queue
        .resize(&mut bench.adapter, &wrong, storage(&config))
        .unwrap_err();
    assert!(failed.cause().is_none());
    let Failed::<ModelHost>::NotPrepared { queue, error } = failed else {
        panic!("{failed}")
    };
    assert_eq!(error, PrepareError::Config(ConfigError::ReceiveRing(8192)));
    still_there(&queue);

    // No memory for the rings, or for the buffers.
    let mut queue = queue;
    for allocation in [0, 1] {
        let memory = bench.model.memory();
        bench
            .model
            .refuse_memory_from(Some(memory.allocations + allocation));
        let failed = queue
            .resize(&mut bench.adapter, &config, storage(&config))
            .unwrap_err();
        bench.model.refuse_memory_from(None);
        let Failed::<ModelHost>::NotPrepared { queue: same, error } = failed else {
            panic!("{failed}")
        };
        assert!(matches!(error, PrepareError::Memory(_)));
        assert_eq!(bench.model.memory().live_bytes, memory.live_bytes);
        queue = same;
        still_there(&queue);
    }

    // Five buffers of 192 bytes do not hold a frame of the vport's MTU.
    let short = QueueConfig {
        buffer_bytes: 256,
        mtu: 600,
        ..config
    };
    let failed = queue
        .resize(&mut bench.adapter, &short, storage(&short))
        .unwrap_err();
    let Failed::<ModelHost>::NotStopped(failed) = failed else {
        panic!("{failed}")
    };
    assert!(matches!(
        failed.cause,
        Cause::Misuse(Misuse::SmallBuffers { mtu: 1500, .. })
    ));
    let queue = failed.queue;
    still_there(&queue);

    let matching = FlowMatch::DestinationPort {
        ipv6: false,
        transport: Transport::Udp,
        port: 4000,
    };
    let action = FlowAction::Queue(queue.id());
    let flow = bench.adapter.add_flow(matching, action).unwrap();
    let failed = queue
        .resize(&mut bench.adapter, &config, storage(&config))
        .unwrap_err();
    let Failed::<ModelHost>::NotStopped(failed) = failed else {
        panic!("{failed}")
    };
    assert!(matches!(
        failed.cause,
        Cause::Misuse(Misuse::QueuePairSteered { flows: 1, .. })
    ));
    let mut queue = failed.queue;
    still_there(&queue);
    bench.adapter.remove_flow(flow).unwrap();
    assert!(queue.release(&out[0]));
    traffic(&bench, &mut queue, 3);
    queue.close(&mut bench.adapter).unwrap();
    bench.finish();
}
