use std::vec;
use std::vec::Vec;

use super::*;
use crate::access::fake::{EVENTS, FakeHost, RESTARTS, agreeable, attached};
use fastlinq_pac::mfw::DriverCommand;

const ATTENTION: u32 = 0x8400;

/// Raises the counter of an event by one, as the management firmware does.
fn occur(core: &Core<FakeHost>, number: u32) {
    let mut card = core.card();
    let address = EVENTS + 4 + number / 4 * 4;
    let shift = 24 - number % 4 * 8;
    let dword = card.value(address);
    let counter = (dword >> shift) as u8;
    let raised = u32::from(counter.wrapping_add(1)) << shift;
    card.set(address, dword & !(0xff << shift) | raised);
    card.set(ATTENTION, 1);
}

fn polled(core: &mut Core<FakeHost>) -> Vec<MfwEvent> {
    poll(core).expect("polled").collect()
}

#[test]
fn events_are_told_once_and_acknowledged() {
    let mut core = attached(agreeable);
    assert_eq!(polled(&mut core), vec![]);
    occur(&core, 0);
    occur(&core, 14);
    occur(&core, 14);
    occur(&core, 26);
    let events = poll(&mut core).expect("polled");
    assert_eq!(events.occurrences(EventId::TRANSCEIVER_STATE_CHANGE), 2);
    assert_eq!(
        events.collect::<Vec<_>>(),
        vec![
            MfwEvent::LinkChange,
            MfwEvent::Module,
            MfwEvent::DataCenterBridging
        ]
    );
    let card = core.card();
    assert_eq!(card.value(ATTENTION), 0);
    for dword in 0..7 {
        let (message, acknowledge) = (EVENTS + 4 + dword * 4, EVENTS + 4 + 28 + dword * 4);
        assert_eq!(card.value(message), card.value(acknowledge));
    }
    drop(card);
    assert_eq!(polled(&mut core), vec![]);
}

#[test]
fn counters_wrap() {
    let mut core = attached(agreeable);
    for _ in 0..300 {
        occur(&core, 1);
        assert_eq!(polled(&mut core), vec![MfwEvent::Other(1)]);
    }
}

#[test]
fn what_was_there_at_attaching_is_not_news() {
    let mut core = attached(agreeable);
    occur(&core, 6);
    crate::mfw::attach(&mut core).expect("attached");
    assert_eq!(polled(&mut core), vec![]);
    occur(&core, 6);
    settle(&mut core).expect("settled");
    assert_eq!(polled(&mut core), vec![]);
    // Nor after a restart.
    occur(&core, 6);
    core.card().set(RESTARTS, 8);
    core.command(DriverCommand::OS_WOL, 0, &[])
        .expect("answered");
    assert_eq!(polled(&mut core), vec![]);
}

#[test]
fn counters_behind_the_last_event_are_not_looked_at() {
    let mut core = attached(agreeable);
    occur(&core, 27);
    assert_eq!(polled(&mut core), vec![]);
}

#[test]
fn a_lost_device_has_no_events() {
    let mut core = attached(agreeable);
    core.card().gone = true;
    assert!(matches!(poll(&mut core), Err(SectionError::DeviceGone)));
    core.card().gone = false;
    assert_eq!(polled(&mut core), vec![], "the counters were not lost");
}
