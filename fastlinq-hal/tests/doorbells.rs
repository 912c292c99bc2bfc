//! An overflow of the doorbell queue: what was lost is rung again.

mod rig;

use fastlinq_hal::adapter::{Event, InterruptMode};
use fastlinq_hal::slowpath::HardwareAttention;
use fastlinq_model_host::model::Chip;
use rig::frames::ethernet;
use rig::{Rig, Setup};

fn overflow(rig: &Rig) {
    rig.host.with_card(|card| card.overflow_doorbells(0));
}

/// Events of the doorbell queue.
fn drops(rig: &mut Rig) -> usize {
    let mut drops = 0;
    // The line is acknowledged, then lowered, then its source is looked for.
    for _ in 0..4 {
        rig.adapter
            .poll_events(|event| match event {
                Event::Hardware(HardwareAttention::DoorbellsDropped { .. }) => drops += 1,
                Event::Hardware(other) => panic!("{other}"),
                _ => {}
            })
            .unwrap();
        rig.host.advance(1_000_000);
    }
    drops
}

#[test]
fn lost_transmit_doorbells_are_rung_again() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = Rig::new(Setup {
            chip,
            queues: 3,
            ..Setup::default()
        });
        let frame = |number: u8| ethernet([2, 0, 0, 0, 5, number], 0x88b5, &[number; 60]);
        overflow(&rig);
        for (number, queue) in rig.queues.iter_mut().enumerate() {
            queue.send(&frame(number as u8));
        }
        rig.settle();
        assert!(rig.sent().is_empty(), "the chip drops all doorbells");
        assert_eq!(drops(&mut rig), 1);
        // The event alone rings the slow path only.
        assert!(rig.sent().is_empty());
        let again = rig
            .adapter
            .recover_doorbells(rig.queues[..2].iter().map(|queue| &queue.port))
            .unwrap();
        assert!(!again);
        assert_eq!(rig.sent(), [frame(0), frame(1)]);
        rig.queues[2].port.ring_again();
        assert_eq!(rig.sent(), [frame(2)]);
        // Ringing once more sends nothing twice.
        let ports = rig.queues.iter().map(|queue| &queue.port);
        rig.adapter.recover_doorbells(ports).unwrap();
        rig.settle();
        assert!(rig.sent().is_empty());
        assert!(rig.queues.iter().all(rig::Queue::all_sent));

        // It may overflow again before the recovery is over.
        overflow(&rig);
        rig.queues[0].send(&frame(9));
        let ports = rig.queues.iter().map(|queue| &queue.port);
        assert!(rig.adapter.recover_doorbells(ports).unwrap());
        assert_eq!(rig.sent(), [frame(9)]);
        rig.host.advance(1_000_000);
        let _ = drops(&mut rig);
        rig.finish();
    }
}

#[test]
fn a_ramrod_whose_doorbell_is_lost_is_completed_by_the_recovery() {
    let mut rig = Rig::new(Setup {
        queues: 1,
        ..Setup::default()
    });
    overflow(&rig);
    // Nobody looks at events while a ramrod waits.
    assert!(rig.adapter.heartbeat().is_err());
    assert_eq!(drops(&mut rig), 1);
    rig.adapter.heartbeat().unwrap();
    assert_eq!(rig.adapter.slow_path_faults(), Default::default());
    rig.finish();
}

#[test]
fn the_attention_interrupts() {
    let mut rig = Rig::new(Setup {
        queues: 1,
        vectors: 4,
        config: fastlinq_hal::adapter::AdapterConfig {
            interrupts: InterruptMode::MsiX,
            ..Default::default()
        },
        ..Setup::default()
    });
    let _ = drops(&mut rig);
    rig.host.take_interrupts(0);
    overflow(&rig);
    assert!(rig.host.take_interrupts(0) > 0);
    assert_eq!(drops(&mut rig), 1);
    rig.finish();
}
