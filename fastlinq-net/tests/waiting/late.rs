//! Devices in memory: late interrupts, lies.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;

use fastlinq_net::{
    Fault, PreparedQueue, QueueConfig, QueueDevice, QueuePair, QueueSignal, RxPacket, TxPacket,
};

use crate::bench::{Task, fill};
use crate::common;
use crate::looping::numbered;

/// A device in memory whose interrupts are late: one that is acknowledged before it was sent is never sent.
struct Late {
    soft: common::Soft,
    count: Rc<Cell<u32>>,
    armed: Rc<Cell<Option<u32>>>,
}

impl QueueDevice for Late {
    type Region = common::Region;
    fn rx_index(&self) -> u16 {
        self.soft.rx_index()
    }
    fn tx_index(&self) -> u16 {
        self.soft.tx_index()
    }
    fn publish_rx(&self, bd_prod: u16, cqe_prod: u16) {
        self.soft.publish_rx(bd_prod, cqe_prod);
    }
    fn ring_tx(&self, bd_prod: u16) {
        self.soft.ring_tx(bd_prod);
    }
    fn status_index(&self) -> u32 {
        self.count.get()
    }
    fn enable_interrupt(&self, status_index: u32) {
        self.armed.set(Some(status_index));
    }
}

/// The interrupt, when its time has come.
fn deliver(count: &Cell<u32>, armed: &Cell<Option<u32>>, signal: &QueueSignal) {
    if armed.get().is_some_and(|seen| seen != count.get()) {
        armed.set(None);
        signal.wake();
    }
}

#[test]
fn one_direction_never_acknowledges_what_the_other_waits_for() {
    let memory = common::Memory::default();
    let config = QueueConfig {
        transmit_ring: 128,
        ..QueueConfig::default()
    };
    let mut allocator = memory.clone();
    let prepared = PreparedQueue::new(&mut allocator, &config, common::storage(&config)).unwrap();
    let soft = common::Soft::new(&memory, prepared.request());
    let (count, armed) = (Rc::default(), Rc::default());
    let mut queue = prepared.start(Late {
        soft: soft.clone(),
        count: Rc::clone(&count),
        armed: Rc::clone(&armed),
    });
    soft.inner().loopback = false;
    soft.inner().stall = true;
    fill(&mut queue);
    let signal = QueueSignal::new();
    let (receiver, sender) = (Task::new(), Task::new());
    let mut out = [RxPacket::EMPTY; 8];
    let event = |frame: bool| {
        if frame {
            assert!(soft.inner().deliver(&numbered(80, 1)));
        } else {
            soft.inner().stall = false;
            soft.inner().run();
            soft.inner().stall = true;
        }
        count.set(count.get() + 1);
    };
    for round in 0..20 {
        // Both sleep; then what one waits for happens, and the other one looks before the interrupt is sent.
        let rx = queue.poll_receive(&mut receiver.cx(), &signal, &mut out);
        let tx = queue.poll_transmit_room(&mut sender.cx(), &signal, 128);
        assert!(rx.is_pending() && tx.is_pending());
        deliver(&count, &armed, &signal);
        receiver.woken();
        sender.woken();
        let frame = round % 2 == 0;
        event(frame);
        if frame {
            let tx = queue.poll_transmit_room(&mut sender.cx(), &signal, 128);
            assert!(tx.is_pending());
            deliver(&count, &armed, &signal);
            assert!(receiver.woken(), "round {round}");
            let rx = queue.poll_receive(&mut receiver.cx(), &signal, &mut out);
            assert_eq!(rx, Poll::Ready(Ok(1)));
            assert!(queue.release(&out[0]));
        } else {
            let rx = queue.poll_receive(&mut receiver.cx(), &signal, &mut out);
            assert!(rx.is_pending());
            deliver(&count, &armed, &signal);
            assert!(sender.woken(), "round {round}");
            let tx = queue.poll_transmit_room(&mut sender.cx(), &signal, 128);
            assert_eq!(tx, Poll::Ready(Ok(128)));
            fill(&mut queue);
        }
    }
    assert!(queue.close_with(|_| Ok::<(), (Late, ())>(())).is_ok());
    assert_eq!(memory.live(), 0);
}

#[test]
fn a_device_at_fault_ends_the_waiting() {
    let memory = common::Memory::default();
    let (mut queue, soft) = common::queue(&memory, &QueueConfig::default());
    let signal = QueueSignal::new();
    let task = Task::new();
    let mut out = [RxPacket::EMPTY; 8];
    assert!(
        queue
            .poll_receive(&mut task.cx(), &signal, &mut out)
            .is_pending()
    );
    soft.rx_lie.set(Some(0x8000));
    soft.tx_lie.set(Some(0x8000));
    for _ in 0..2 {
        assert!(matches!(
            queue.poll_receive(&mut task.cx(), &signal, &mut out),
            Poll::Ready(Err(Fault::ReceiveIndex { .. }))
        ));
    }
    fill_until_fault(&mut queue);
    for _ in 0..2 {
        assert!(matches!(
            queue.poll_transmit_room(&mut task.cx(), &signal, 512),
            Poll::Ready(Err(Fault::TransmitIndex { .. }))
        ));
    }
    assert!(
        queue
            .close_with(|_| Ok::<(), (common::Soft, ())>(()))
            .is_ok()
    );
}

fn fill_until_fault(queue: &mut QueuePair<'static, common::Soft>) {
    for _ in 0..1000 {
        let buffer = queue.take_buffer().unwrap();
        if queue.transmit(&[TxPacket::new(buffer, 64, 60)]).is_err() {
            return;
        }
    }
    panic!("the lie was not noticed");
}
