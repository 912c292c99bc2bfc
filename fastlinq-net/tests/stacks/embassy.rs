//! The driver for embassy-net, polled by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};

use embassy_net_driver_0_2::{Driver, HardwareAddress, LinkState, RxToken, TxToken};
use fastlinq_net::QueueConfig;
use fastlinq_net::stack::Phy;
use fastlinq_net::stack::embassy_net_v0_2::{EmbassyDriver, Signals, Wakeups};

use crate::station::{Queue, pair, pass};

#[derive(Default)]
struct Count(AtomicU64);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn put(driver: &mut EmbassyDriver<'_, Queue>, cx: &mut Context<'_>, number: u8, length: usize) {
    let token = driver.transmit(cx).expect("room");
    token.consume(length, |frame| {
        assert_eq!(frame.len(), length);
        frame.fill(number);
        frame[..6].copy_from_slice(&[2, 0x0e, 0x1e, 0, 2, 0]);
        frame[6..12].copy_from_slice(&[2, 0x0e, 0x1e, 0, 1, 0]);
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    });
}

#[test]
fn the_task_is_woken_by_the_interrupt_that_the_driver_arms() {
    let config = QueueConfig::default();
    let [(left, left_queue), (right, right_queue)] = pair(&config, 4);
    let vector = right_queue.device().vector();
    let signals = [Signals::new(), Signals::new()];
    let mut a = EmbassyDriver::new(
        Phy::new(left_queue, &config),
        left.mac,
        &signals[0],
        Wakeups::Busy,
    );
    let mut b = EmbassyDriver::new(
        Phy::new(right_queue, &config),
        right.mac,
        &signals[1],
        Wakeups::Interrupt,
    );
    let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
    let wakers = counts
        .each_ref()
        .map(|count| Waker::from(Arc::clone(count)));
    let [mut left_cx, mut right_cx] = wakers.each_ref().map(Context::from_waker);
    assert!(matches!(b.hardware_address(), HardwareAddress::Ethernet(mac) if mac == right.mac));
    assert_eq!(b.capabilities().max_transmission_unit, 1514);
    right.host.take_interrupts(vector);

    for round in 0..100_u8 {
        // Nothing there: the driver arms the interrupt and says so.
        assert!(b.receive(&mut right_cx).is_none());
        assert_eq!(right.host.take_interrupts(vector), 0, "round {round}");
        put(&mut a, &mut left_cx, round, 60 + usize::from(round));
        pass([&left.host, &right.host], 100_000);
        pass([&left.host, &right.host], 100_000);
        assert!(right.host.take_interrupts(vector) > 0, "round {round}");
        // What the host's interrupt handler does.
        signals[1].wake();
        assert_eq!(counts[1].take(), 1);
        let (frame, _answer) = b.receive(&mut right_cx).expect("a frame");
        frame.consume(|bytes| {
            assert_eq!(bytes.len(), 60 + usize::from(round));
            assert!(bytes[14..].iter().all(|byte| *byte == round));
        });
    }
    // A busy driver wakes its own task.
    counts[0].take();
    assert!(a.receive(&mut left_cx).is_none());
    assert_eq!(counts[0].take(), 1);
    left.close(a.into_phy().into_ring());
    right.close(b.into_phy().into_ring());
}

#[test]
fn a_frame_that_comes_between_the_looks_is_not_missed() {
    let config = QueueConfig::default();
    let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
    let signals = Signals::new();
    let mut a = EmbassyDriver::new(
        Phy::new(left_queue, &config),
        left.mac,
        &signals,
        Wakeups::Busy,
    );
    let mut b = EmbassyDriver::new(
        Phy::new(right_queue, &config),
        right.mac,
        &signals,
        Wakeups::Signal,
    );
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    put(&mut a, &mut cx, 1, 60);
    pass([&left.host, &right.host], 100_000);
    // Seen and not taken: the books must be right all the same.
    assert!(b.phy_mut().poll_frame());
    assert!(b.phy_mut().poll_frame());
    assert!(b.receive(&mut cx).is_some());
    assert!(b.receive(&mut cx).is_none());
    put(&mut a, &mut cx, 2, 60);
    pass([&left.host, &right.host], 100_000);
    assert!(b.phy_mut().poll_frame());
    left.close(a.into_phy().into_ring());
    right.close(b.into_phy().into_ring());
}

#[test]
fn a_full_ring_has_no_room_until_the_device_has_sent() {
    let config = QueueConfig {
        transmit_ring: 128,
        ..QueueConfig::default()
    };
    let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
    let signals = Signals::new();
    let mut a = EmbassyDriver::new(
        Phy::new(left_queue, &config),
        left.mac,
        &signals,
        Wakeups::Signal,
    );
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let mut sent = 0;
    while let Some(token) = a.transmit(&mut cx) {
        token.consume(60, |frame| frame.fill(2));
        sent += 1;
        assert!(
            sent < 1_000,
            "the model completes no sooner than time passes"
        );
    }
    assert!(sent >= 100, "{sent}");
    // A token that is dropped gives its room back.
    pass([&left.host, &right.host], 100_000);
    for _ in 0..1_000 {
        drop(a.transmit(&mut cx).expect("room again"));
    }
    assert_eq!(a.phy().counters().sent, sent);
    left.close(a.into_phy().into_ring());
    right.close(right_queue);
}

#[test]
fn the_link_is_what_the_control_task_says() {
    let config = QueueConfig::default();
    let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
    let signals = Signals::new();
    let mut a = EmbassyDriver::new(
        Phy::new(left_queue, &config),
        left.mac,
        &signals,
        Wakeups::Signal,
    );
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    assert!(a.link_state(&mut cx) == LinkState::Down);
    signals.set_link(true);
    assert_eq!(count.take(), 1);
    assert!(a.link_state(&mut cx) == LinkState::Up);
    signals.set_link(true);
    assert_eq!(count.take(), 0, "nothing changed");
    left.close(a.into_phy().into_ring());
    right.close(right_queue);
}
