//! The firmware refuses a step of a resize: there is a queue pair or a report.

use fastlinq_hal::adapter::Cause;
use fastlinq_hal::slowpath::Ramrod;
use fastlinq_hal::vport::{HashedHeaders, RssConfig};
use fastlinq_model_host::model::Chip;
use fastlinq_net::QueueConfig;
use fastlinq_pac::hsi::EthRamrodCmdId;

use crate::bench::{Bench, Failed, Queue, model, traffic};
use crate::looping::storage;
use crate::spoiled::{SpoiledHost, Step};

const RX_START: Step = Step::Refuse(EthRamrodCmdId::RX_QUEUE_START);
const TX_START: Step = Step::Refuse(EthRamrodCmdId::TX_QUEUE_START);
const STARTED: Step = Step::Pass(EthRamrodCmdId::TX_QUEUE_START);
const RX_STOP: Step = Step::Refuse(EthRamrodCmdId::RX_QUEUE_STOP);
const UPDATE: Step = Step::Refuse(EthRamrodCmdId::VPORT_UPDATE);

fn small() -> QueueConfig {
    QueueConfig::default()
}

fn big() -> QueueConfig {
    QueueConfig {
        receive_ring: 1024,
        buffers: 3000,
        ..small()
    }
}

type Outcome = Result<Queue<SpoiledHost>, Failed<SpoiledHost>>;

/// A resize in which the firmware refuses what the plan says; the queue pair is alone on its vport, with RSS.
fn resize(plan: &[Step]) -> (Bench<SpoiledHost>, Outcome) {
    let model = model(Chip::K2);
    let host = SpoiledHost::new(model.clone());
    let mut bench = Bench::new(&model, host.clone());
    let mut queue = bench.open(&small());
    let rss = RssConfig {
        queues: &[queue.id()],
        hashed: HashedHeaders::default(),
        key: &[0x6d; 40],
    };
    bench.adapter.set_rss(bench.vport, &rss).unwrap();
    traffic(&bench, &mut queue, 1);
    host.spoil(plan);
    let result = queue.resize(&mut bench.adapter, &big(), storage(&big()));
    assert!(host.all_spoiled());
    (bench, result)
}

/// The queue pair works, has its part in the vport, and nothing else is allocated.
fn goes_on(mut bench: Bench<SpoiledHost>, mut queue: Queue<SpoiledHost>, config: &QueueConfig) {
    assert_eq!(queue.config(), config);
    assert_eq!(queue.counters().receive.packets, 200);
    assert_eq!(
        bench.model.memory().live_bytes,
        bench.live_bytes + queue.memory_bytes()
    );
    let rss = bench.adapter.rss(bench.vport).unwrap().unwrap();
    assert!(rss.names(queue.id()));
    traffic(&bench, &mut queue, 2);
    queue.close(&mut bench.adapter).unwrap();
    end(bench);
}

/// Down, with all memory.
fn end(mut bench: Bench<SpoiledHost>) {
    bench.adapter.stop_vport(bench.vport).unwrap();
    assert!(bench.adapter.down().is_ok());
    let memory = bench.model.memory();
    assert_eq!((memory.live_regions, memory.late_count), (0, 0));
}

#[test]
fn rings_that_are_not_started_bring_the_old_ones_back() {
    for refused in [RX_START, TX_START] {
        let (bench, result) = resize(&[refused]);
        let failed = result.unwrap_err();
        assert!(matches!(failed.cause(), Some(Cause::Ramrod(_))));
        let Failed::Restored {
            queue, not_placed, ..
        } = failed
        else {
            panic!("{failed}")
        };
        assert!(not_placed.is_none());
        goes_on(bench, queue, &small());
    }
}

#[test]
fn a_part_in_the_vport_that_was_refused_can_be_asked_for_again() {
    for first in [RX_START, TX_START] {
        let (mut bench, result) = resize(&[first, STARTED, UPDATE]);
        let Err(Failed::Restored {
            queue,
            not_placed: Some((place, Cause::Ramrod(_))),
            ..
        }) = result
        else {
            panic!("{result:?}")
        };
        assert_eq!(place.queue(), queue.id());
        bench.adapter.restore_place(&place).unwrap();
        goes_on(bench, queue, &small());
    }
    let (mut bench, result) = resize(&[STARTED, UPDATE]);
    let Err(Failed::NotPlaced { queue, place, .. }) = result else {
        panic!("{result:?}")
    };
    bench.adapter.restore_place(&place).unwrap();
    goes_on(bench, queue, &big());
}

#[test]
fn what_is_not_stopped_comes_back_as_it_is_and_can_be_closed() {
    let (mut bench, result) = resize(&[RX_STOP]);
    let Err(Failed::NotStopped(failed)) = result else {
        panic!("{result:?}")
    };
    assert_eq!(failed.queue.config(), &small());
    assert_eq!(
        bench.model.memory().live_bytes,
        bench.live_bytes + failed.queue.memory_bytes(),
        "the new rings are free again"
    );
    failed.queue.close(&mut bench.adapter).unwrap();
    end(bench);
}

#[test]
fn a_queue_pair_that_neither_size_can_have_is_closed_with_both_reasons() {
    const RX: (Step, Ramrod) = (RX_START, Ramrod::RxQueueStart);
    const TX: (Step, Ramrod) = (TX_START, Ramrod::TxQueueStart);
    for refused in [[RX, RX], [TX, TX], [RX, TX]] {
        let (plan, ramrods) = (refused.map(|one| one.0), refused.map(|one| one.1));
        let (bench, result) = resize(&plan);
        let Err(Failed::Closed {
            cause: Cause::Ramrod(cause),
            again: Cause::Ramrod(again),
            leaked_bytes: 0,
        }) = result
        else {
            panic!("{result:?}")
        };
        let named = [cause, again].map(|error| error.ramrod());
        assert_eq!(named, ramrods);
        assert_eq!(bench.model.memory().live_bytes, bench.live_bytes);
        end(bench);
    }
}
