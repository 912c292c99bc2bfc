use super::*;
use crate::access::fake::Card;
use crate::access::fake::{
    EVENTS, FUNCTION, GLOBAL, MAILBOX, PORT, SCRATCH, TABLE, agreeable, attached, card,
};

/// Attaches to a card that `change` has changed before.
fn outcome(change: impl FnOnce(&mut Card)) -> Result<(), AttachError> {
    let mut core = card(agreeable);
    core.identify().expect("identified");
    change(&mut core.card());
    let result = attach(&mut core);
    assert_eq!(result.is_ok(), core.mailbox.is_attached());
    result
}

fn section(index: u32) -> u32 {
    TABLE + 4 + index * 4
}

#[test]
fn elements_are_found_by_the_function_and_port() {
    let mut core = card(agreeable);
    core.card().concrete = 0x0005_0005;
    core.card().set(EVENTS + 5 * 0x3c, 27);
    core.identify().expect("identified");
    attach(&mut core).expect("attached");
    assert_eq!(core.mailbox.ports(), Some(2));
    // Function 5 of a card with two ports is on port 1.
    let port = core.mailbox.port().expect("a port");
    assert_eq!(port.address().value(), PORT + 0xda0);
    let function = core.mailbox.function().expect("a function");
    assert_eq!(function.address().value(), FUNCTION + 5 * 0x88);
    assert_eq!(core.mfw.version.part(3), 8);
}

#[test]
fn the_register_may_hold_the_whole_address_or_its_low_part() {
    assert_eq!(outcome(|card| card.set(0x8c20, TABLE)), Ok(()));
    assert_eq!(
        outcome(|card| card.set(0x8c20, 0)),
        Err(AttachError::Absent)
    );
}

#[test]
fn a_table_outside_of_the_scratchpad_is_refused() {
    for (register, address) in [
        (0x1, 0xe0_0001),
        (0x1_fffc, 0xe1_fffc),
        (0x4_7ffc, 0xe4_7ffc),
        (0x4_7fe8, 0xe4_7fe8),
        (0x2_1002, 0xe2_1002),
        (0xffff_fff0, 0xffff_fff0),
    ] {
        assert_eq!(
            outcome(|card| card.set(0x8c20, register)),
            Err(AttachError::BadPublicBase { address }),
            "{register:#x}"
        );
    }
}

#[test]
fn hostile_section_tables_are_refused() {
    for count in [0, 1, 5, 65, u32::MAX] {
        assert_eq!(
            outcome(|card| card.set(TABLE, count)),
            Err(AttachError::BadSectionCount {
                at: GrcAddress(TABLE),
                count
            })
        );
    }
    // Each section: empty, at the very end, of the largest size, and all ones.
    for index in [0, 1, 2, 4, 5] {
        for word in [0, 0x0000_9fff, 0x0002_9fff, 0xffff_0000, u32::MAX] {
            let error = outcome(|card| card.set(section(index), word)).expect_err("refused");
            assert!(
                matches!(error, AttachError::BadSection { section, .. } if u32::from(section.0) == index),
                "{index} {word:#x}: {error}"
            );
            let place = GrcAddress(section(index));
            assert_eq!((error.register(), error.raw_value()), (Some(place), word));
        }
    }
    // Nothing that a bring-up needs is in the path section.
    assert_eq!(outcome(|card| card.set(section(3), u32::MAX)), Ok(()));
}

#[test]
fn an_element_that_leaves_the_scratchpad_is_refused() {
    let mut core = card(agreeable);
    core.card().concrete = 0x000f_000f;
    core.card().set(EVENTS + 15 * 0x3c, 27);
    core.identify().expect("identified");
    // Element 0 of the mailboxes would still be inside, element 15 is not.
    let word = ((0x38 / 4) << 16) | ((0x2_8000 - 0x38 * 15) / 4);
    core.card().set(section(0), word);
    assert_eq!(
        attach(&mut core),
        Err(AttachError::BadSection {
            section: PublicSection::DRV_MB,
            at: GrcAddress(section(0)),
            word,
            index: 15
        })
    );
}

#[test]
fn sections_of_an_older_layout_are_good_enough() {
    let result = outcome(|card| {
        let old = |address: u32, bytes: u32| ((bytes / 4) << 16) | ((address - SCRATCH) / 4);
        card.set(section(1), old(EVENTS, 0x2c));
        card.set(EVENTS, 20);
        card.set(section(2), old(GLOBAL, 0x2c));
        card.set(section(4), old(PORT, 0xc80));
        card.set(section(5), old(FUNCTION, 0x78));
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn a_booting_firmware_is_waited_for_a_second() {
    let mut core = card(agreeable);
    core.identify().expect("identified");
    core.card().set(EVENTS, 0);
    let before = core.card().time_us;
    assert_eq!(
        attach(&mut core),
        Err(AttachError::StillBooting {
            at: GrcAddress(EVENTS)
        })
    );
    let waited = core.card().time_us - before;
    assert!((900_000..1_100_000).contains(&waited), "{waited} us");
}

#[test]
fn more_events_than_fit_are_refused() {
    assert_eq!(outcome(|card| card.set(EVENTS, 28)), Ok(()));
    for messages in [29, 65, u16::MAX] {
        assert_eq!(
            outcome(|card| card.set(EVENTS, messages.into())),
            Err(AttachError::BadEventCount {
                at: GrcAddress(EVENTS),
                messages
            })
        );
    }
}

#[test]
fn a_card_without_ports_is_refused_and_not_divided_by() {
    for count in [0, 5, u32::MAX] {
        assert_eq!(
            outcome(|card| card.set(GLOBAL + 4, count)),
            Err(AttachError::BadPortCount {
                at: GrcAddress(GLOBAL + 4),
                count
            })
        );
    }
}

#[test]
fn a_lost_device_is_told_at_every_read() {
    for reads in 0..200 {
        let mut core = card(agreeable);
        core.identify().expect("identified");
        core.card().reads_left = Some(reads);
        match attach(&mut core) {
            Ok(()) => {
                // The last read of attaching is the check that the function answers.
                assert!(reads > 15);
            }
            Err(error) => assert_eq!(error, AttachError::DeviceGone, "after {reads} reads"),
        }
    }
}

#[test]
fn random_words_never_panic() {
    let mut state = 0x1234_5678u32;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    for _ in 0..2000 {
        let mut core = card(agreeable);
        core.identify().expect("identified");
        {
            let mut card = core.card();
            if random() % 2 == 0 {
                card.set(0x8c20, 0x2_0000 | ((random() % 0x2_8000) & !3));
            }
            for address in (TABLE..TABLE + 0x20).step_by(4) {
                if random() % 3 == 0 {
                    card.set(address, random() >> (random() % 32));
                }
            }
            card.set(GLOBAL + 4, random() % 6);
        }
        let _ = attach(&mut core);
    }
}

#[test]
fn a_failed_attach_leaves_no_mailbox() {
    let mut core = attached(agreeable);
    core.card().set(0x8c20, 0);
    assert_eq!(attach(&mut core), Err(AttachError::Absent));
    assert!(!core.mailbox.is_attached());
    assert!(core.mailbox.port().is_none());
    assert_eq!(core.card().value(MAILBOX), 0x1000_0041, "nothing was sent");
}
