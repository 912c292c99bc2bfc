//! Who waits: middleware, threads, and a program that has all buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use fastlinq_model_host::model::Chip;
use fastlinq_model_host::model::wire::Wire;
use fastlinq_net::middleware::{Direction, Observer, Tap};
use fastlinq_net::{QueueConfig, QueueSignal, Ring, RxPacket};

use crate::bench::{Bench, Task};
use crate::looping::{numbered, pass};

/// Counts frames.
struct Frames(usize);

impl Observer for Frames {
    fn frame(&mut self, _: Direction, _: usize, _: &mut dyn Iterator<Item = &[u8]>) {
        self.0 += 1;
    }
}

#[test]
fn a_task_waits_through_middleware_too() {
    let mut bench = Bench::new(Chip::K2, &QueueConfig::default(), |port| port);
    let signal = QueueSignal::new();
    let task = Task::new();
    let mut out = [RxPacket::EMPTY; 8];
    let arrives = bench.arrival(numbered(200, 3));
    {
        let mut tap = Tap::new(&mut bench.queue, Frames(0));
        assert!(
            tap.poll_receive(&mut task.cx(), &signal, &mut out)
                .is_pending()
        );
        arrives();
        assert!(bench.host.take_interrupts(bench.vector) > 0);
        signal.wake();
        assert!(task.woken());
        assert_eq!(
            tap.poll_receive(&mut task.cx(), &signal, &mut out),
            Poll::Ready(Ok(1))
        );
        let packet = [out[0].into()];
        assert_eq!(
            tap.poll_transmit(&mut task.cx(), &signal, &packet),
            Poll::Ready(Ok(1))
        );
        assert_eq!(tap.observer().0, 2);
    }
    pass(&bench.host);
    bench.close(|port| port);
}

/// A pool that is all with the program: the device has nothing to receive into, and no interrupt says when that ends.
#[test]
fn buffers_that_come_back_from_handles_are_given_to_the_device_when_the_signal_is_given() {
    let config = QueueConfig {
        receive_ring: 128,
        buffers: 129,
        ..QueueConfig::default()
    };
    let mut bench = Bench::new(Chip::K2, &config, |port| port);
    let signal = QueueSignal::new();
    let task = Task::new();
    let mut out = [RxPacket::EMPTY; 1];
    let frame = |number| bench.arrival(numbered(60, number));
    let arrivals: Vec<_> = (0..300).map(frame).collect();
    let last = frame(1000);
    let mut worker = bench.queue.worker();
    let mut frames = Vec::new();
    for arrives in arrivals {
        arrives();
        while let Poll::Ready(taken) = worker.poll_receive(&mut task.cx(), &signal, &mut out) {
            assert_eq!(taken, Ok(1));
            frames.push(worker.lend(out[0]).unwrap());
        }
    }
    assert_eq!(frames.len(), 129);
    assert_eq!(worker.usage().receiving, 0);
    task.woken();
    drop(frames);
    signal.wake();
    assert!(task.woken());
    assert!(
        worker
            .poll_receive(&mut task.cx(), &signal, &mut out)
            .is_pending()
    );
    assert!(worker.usage().receiving > 0);
    bench.host.take_interrupts(bench.vector);
    last();
    assert!(bench.interrupt(&signal) && task.woken());
    let again = bench.queue.poll_receive(&mut task.cx(), &signal, &mut out);
    assert_eq!(again, Poll::Ready(Ok(1)));
    assert!(bench.queue.release(&out[0]));
    bench.close(|port| port);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// An executor of one task: it sleeps until it is woken, and says so when that takes too long.
fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = poll(&mut cx) {
            return value;
        }
        let asleep = Instant::now();
        std::thread::park_timeout(Duration::from_secs(60));
        assert!(asleep.elapsed() < Duration::from_secs(60), "nobody woke");
    }
}

/// The device, its interrupt handler and the task run side by side, and each frame goes both ways before the next one
/// comes, so that a wake-up that is lost is missed.
#[test]
fn a_task_in_a_thread_never_sleeps_through_a_frame() {
    const FRAMES: u32 = 4000;
    let mut bench = Bench::new(Chip::K2, &QueueConfig::default(), |port| port);
    let signal = QueueSignal::new();
    let done = AtomicBool::new(false);
    let Bench {
        queue, host, far, ..
    } = &mut bench;
    let mut far = far.borrow_mut();
    std::thread::scope(|scope| {
        let (signal, done) = (&signal, &done);
        let echo = scope.spawn(move || {
            let mut out = [RxPacket::EMPTY; 4];
            let mut echoed = 0;
            while echoed < FRAMES {
                let taken = block_on(|cx| queue.poll_receive(cx, signal, &mut out)).unwrap();
                let mut rest = &out[..taken];
                while !rest.is_empty() {
                    let sent = block_on(|cx| queue.poll_transmit(cx, signal, rest)).unwrap();
                    rest = &rest[sent..];
                    echoed += sent as u32;
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut returned = 0;
        for number in 0..FRAMES {
            let frame = numbered(60 + number as usize % 900, number);
            far.transmit(&frame);
            loop {
                host.poll();
                host.advance(u64::from(1 + number % 37) * 1_000);
                if host.take_interrupts(1) > 0 {
                    signal.wake();
                }
                if let Some(back) = far.receive() {
                    assert_eq!(back[..frame.len()], frame);
                    returned += 1;
                    break;
                }
                // The task has a processor more often than not, but not always the same one.
                assert!(!echo.is_finished() || done.load(Ordering::Relaxed));
                std::thread::yield_now();
            }
        }
        assert_eq!(returned, FRAMES);
    });
    drop(far);
    pass(&bench.host);
    bench.close(|port| port);
}
