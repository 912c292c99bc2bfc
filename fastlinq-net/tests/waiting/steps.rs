//! A change at every step of waiting.

use std::task::Poll;

use fastlinq_model_host::model::Chip;
use fastlinq_net::{QueueConfig, QueueSignal, RxPacket, TransmitError, TxPacket};

use crate::bench::{Bench, Plan, Planned, Port, Task, fill, planned};
use crate::looping::{numbered, pass};

#[test]
fn a_frame_that_comes_at_any_step_of_waiting_wakes_the_task_or_is_there() {
    for chip in [Chip::K2, Chip::Bb] {
        // Whether the interrupt is armed already, and whether its handler runs at once or when the task sleeps.
        for (armed, at_once) in [(false, false), (false, true), (true, false), (true, true)] {
            let plan = Plan::default();
            let mut bench = Bench::new(chip, &QueueConfig::default(), planned(&plan));
            let signal: &'static QueueSignal = Box::leak(Box::new(QueueSignal::new()));
            let task = Task::new();
            let mut out = [RxPacket::EMPTY; 8];
            let (mut ready, mut asleep) = (0, 0);
            for step in 0..6 {
                if armed {
                    let found = bench.queue.poll_receive(&mut task.cx(), signal, &mut out);
                    assert!(found.is_pending());
                }
                let arrives = bench.arrival(numbered(100, step));
                let (host, vector) = (bench.host.clone(), bench.vector);
                plan.set(step, move || {
                    arrives();
                    if at_once && host.take_interrupts(vector) > 0 {
                        signal.wake();
                    }
                });
                let found = bench.queue.poll_receive(&mut task.cx(), signal, &mut out);
                let during = plan.happen();
                bench.interrupt(signal);
                let taken = match found {
                    Poll::Ready(taken) => {
                        ready += 1;
                        taken.unwrap()
                    }
                    Poll::Pending => {
                        asleep += u32::from(during);
                        assert!(task.woken(), "{chip:?}, {armed}, {at_once}, step {step}");
                        let again = bench.queue.poll_receive(&mut task.cx(), signal, &mut out);
                        let Poll::Ready(taken) = again else {
                            panic!("woken for nothing")
                        };
                        taken.unwrap()
                    }
                };
                assert_eq!(taken, 1);
                assert_eq!(bench.queue.bytes(&out[0]), Some(&numbered(100, step)[..]));
                assert!(bench.queue.release(&out[0]));
                // Nothing is left that would wake the next round.
                while bench.interrupt(signal) {}
                task.woken();
            }
            // Seen by the first look, by the second, and before and behind the arming.
            assert_eq!((ready, asleep), (3, 2), "{chip:?}, {armed}, {at_once}");
            bench.close(|device| device.device);
        }
    }
}

#[test]
fn room_that_comes_at_any_step_of_waiting_wakes_the_task_or_is_there() {
    let config = QueueConfig {
        transmit_ring: 128,
        ..QueueConfig::default()
    };
    for waits_for_room in [false, true] {
        let plan = Plan::default();
        let mut bench = Bench::new(Chip::K2, &config, planned(&plan));
        let signal = QueueSignal::new();
        let task = Task::new();
        let mut asleep = 0;
        for step in 0..8 {
            assert!(fill(&mut bench.queue) > 0);
            let buffer = bench.queue.take_buffer().unwrap();
            let packet = [TxPacket::new(buffer, 64, 60)];
            let poll = |bench: &mut Bench<Planned<Port>>| {
                let mut cx = task.cx();
                if waits_for_room {
                    // More than the ring can have: all of it.
                    let found = bench.queue.poll_transmit_room(&mut cx, &signal, 4000);
                    return found.map(|room| assert_eq!(room, Ok(128)));
                }
                let found = bench.queue.poll_transmit(&mut cx, &signal, &packet);
                found.map(|sent| assert_eq!(sent, Ok(1)))
            };
            plan.set(step, bench.time());
            let found = poll(&mut bench);
            let during = plan.happen();
            bench.interrupt(&signal);
            if found.is_pending() {
                asleep += u32::from(during);
                assert!(task.woken(), "step {step}");
                assert!(poll(&mut bench).is_ready(), "step {step}");
            }
            if waits_for_room {
                assert!(bench.queue.release_buffer(buffer));
            }
            pass(&bench.host);
            bench.queue.reap().unwrap();
            while bench.interrupt(&signal) {}
            task.woken();
        }
        assert_eq!(asleep, 2);
        bench.close(|device| device.device);
    }
}

#[test]
fn nothing_to_do_is_done_at_once() {
    let mut bench = Bench::new(Chip::K2, &QueueConfig::default(), |port| port);
    let signal = QueueSignal::new();
    let task = Task::new();
    let queue = &mut bench.queue;
    assert_eq!(
        queue.poll_receive(&mut task.cx(), &signal, &mut []),
        Poll::Ready(Ok(0))
    );
    let none: [TxPacket; 0] = [];
    assert_eq!(
        queue.poll_transmit(&mut task.cx(), &signal, &none),
        Poll::Ready(Ok(0))
    );
    // A rule is broken: no waiting helps.
    let buffer = queue.take_buffer().unwrap();
    assert!(queue.release_buffer(buffer));
    let packet = [TxPacket::new(buffer, 0, 60)];
    let refused = queue.poll_transmit(&mut task.cx(), &signal, &packet);
    assert!(matches!(
        refused,
        Poll::Ready(Err(TransmitError::Refused { accepted: 0, .. }))
    ));
    assert!(!task.woken());
    bench.close(|port| port);
}
