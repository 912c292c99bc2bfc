use std::string::ToString;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::access::fake::{Act, CPU_STATE, MAILBOX, RESTARTS, Request, agreeable, attached, card};
use crate::mfw::{HaltError, attach, halt, resume};

const PING: DriverCommand = DriverCommand::GET_MFW_FEATURE_SUPPORT;

#[test]
fn a_round_trip() {
    let mut core = attached(|request: &Request| {
        assert_eq!(request.command, PING);
        assert_eq!(request.param, 5);
        // A short payload is padded with zeros, over what was there.
        assert_eq!(request.union, [0x0403_0201, 0x05, 0, 0, 0, 0, 0, 0]);
        Act::Answer(0x16, 0x82, vec![0xaabb_ccdd])
    });
    for index in 0..8 {
        core.card().set(MAILBOX + 0x18 + index * 4, u32::MAX);
    }
    let reply = core.command(PING, 5, &[1, 2, 3, 4, 5]).expect("answered");
    assert_eq!(reply.code, FirmwareResponse::OK);
    assert_eq!(reply.param, 0x82);
    assert_eq!(reply.union[..5], [0xdd, 0xcc, 0xbb, 0xaa, 0]);
    let exchange = core.transcript.last().expect("noted");
    // The sequence goes on from what was in the mailbox.
    assert_eq!(exchange.sequence, 0x42);
    assert_eq!(exchange.outcome, Outcome::Answered);
    assert_eq!(exchange.payload[..2], [0x0403_0201, 5]);
}

#[test]
fn the_header_is_written_last() {
    let mut core = attached(agreeable);
    core.card().writes.clear();
    core.command(PING, 0, &[]).expect("answered");
    let order: Vec<_> = core
        .card()
        .writes
        .iter()
        .map(|write| write.1 - MAILBOX)
        .collect();
    assert_eq!(
        order,
        vec![0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34, 4, 0]
    );
}

#[test]
fn sequence_numbers_wrap() {
    let mut core = card(agreeable);
    core.card().set(MAILBOX, 0xffff);
    core.card().set(MAILBOX + 8, 0xffff);
    core.identify().expect("identified");
    attach(&mut core).expect("attached");
    core.command(PING, 0, &[]).expect("answered");
    assert_eq!(core.transcript.last().map(|last| last.sequence), Some(0));
    for _ in 0..0x1_0001 {
        core.command(PING, 0, &[]).expect("answered");
    }
    assert_eq!(core.transcript.last().map(|last| last.sequence), Some(1));
    assert_eq!(core.transcript.total(), 0x1_0002);
    assert_eq!(core.transcript.iter().count(), 64);
    assert_eq!(
        core.transcript.iter().next().map(|first| first.number),
        Some(0x1_0002 - 64)
    );
}

#[test]
fn silence_ends_after_five_seconds_and_blocks() {
    let mut core = attached(|_| Act::Silence);
    core.card().set(0xe0_5004, 1 << 10);
    let before = core.card().time_us;
    let error = core.command(PING, 3, &[]).expect_err("silent");
    let waited = core.card().time_us - before;
    assert!((5_000_000..5_100_000).contains(&waited), "{waited} us");
    let MailboxError::NoAnswer { param: 3, hang, .. } = error else {
        panic!("{error}");
    };
    assert!(hang.is_halted() && !hang.is_running());
    let text = error.to_string();
    assert!(text.contains("GET_MFW_FEATURE_SUPPORT (0x0031"), "{text}");
    assert_eq!(
        core.command(DriverCommand::OS_WOL, 0, &[]),
        Err(MailboxError::Blocked {
            command: DriverCommand::OS_WOL,
            since: PING
        })
    );
    assert_eq!(
        core.card().requests.len(),
        1,
        "a blocked command is not sent"
    );
    let outcomes: Vec<_> = core
        .transcript
        .iter()
        .map(|exchange| exchange.outcome)
        .collect();
    assert_eq!(outcomes, vec![Outcome::NoAnswer, Outcome::NotSent]);
}

#[test]
fn load_and_unload_do_not_block() {
    for command in [DriverCommand::LOAD_REQ, DriverCommand::UNLOAD_REQ] {
        let mut core = attached(move |request: &Request| {
            if request.command == command {
                Act::Silence
            } else {
                agreeable(request)
            }
        });
        let error = core.command(command, 0, &[]).expect_err("silent");
        assert!(matches!(error, MailboxError::NoAnswer { .. }), "{error}");
        core.command(PING, 0, &[]).expect("not blocked");
    }
}

#[test]
fn a_stale_sequence_number_is_no_answer() {
    let mut core = attached(|_| Act::StaleSequence);
    let error = core.command(PING, 0, &[]).expect_err("stale");
    assert!(
        matches!(
            error,
            MailboxError::NoAnswer {
                header: 0x0016_0041,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_lost_device_is_not_a_silence() {
    let mut core = attached(|_| Act::Die);
    let before = core.card().time_us;
    let error = core.command(PING, 0, &[]).expect_err("gone");
    assert_eq!(error, MailboxError::DeviceGone { command: PING });
    assert!(core.card().time_us - before < 1000, "no waiting");
    assert_eq!(
        core.transcript.last().map(|last| last.outcome),
        Some(Outcome::DeviceGone)
    );
    // Not blocked either: the next attempt finds the same.
    assert_eq!(
        core.command(PING, 0, &[]),
        Err(MailboxError::DeviceGone { command: PING })
    );
}

#[test]
fn all_ones_are_no_answer_even_when_the_sequence_would_fit() {
    let mut core = card(|_| Act::Die);
    core.card().set(MAILBOX, 0xfffe);
    core.identify().expect("identified");
    attach(&mut core).expect("attached");
    assert_eq!(
        core.command(PING, 0, &[]),
        Err(MailboxError::DeviceGone { command: PING })
    );
}

#[test]
fn a_device_lost_at_any_read_is_a_lost_device() {
    for reads in 0..30 {
        let mut core = attached(agreeable);
        core.card().reads_left = Some(reads);
        match core.command(PING, 0, &[]) {
            Ok(reply) => {
                assert_eq!(reply.code, FirmwareResponse::OK);
                assert!(reads > 10);
            }
            Err(error) => assert!(error.is_device_gone(), "{error}"),
        }
    }
}

#[test]
fn a_restart_before_a_command_attaches_anew() {
    let mut core = attached(agreeable);
    core.command(PING, 0, &[]).expect("answered");
    {
        let mut card = core.card();
        card.set(RESTARTS, 8);
        card.set(MAILBOX, 0x77);
        card.set(crate::access::fake::GLOBAL + 4, 4);
    }
    core.command(PING, 0, &[]).expect("answered");
    assert_eq!(core.transcript.last().map(|last| last.sequence), Some(0x78));
    assert_eq!(core.mailbox.ports(), Some(4));
}

#[test]
fn a_restart_during_a_command_is_told() {
    let mut first = true;
    let mut core = attached(move |request: &Request| {
        if core::mem::take(&mut first) {
            Act::Restart
        } else {
            agreeable(request)
        }
    });
    let before = core.card().time_us;
    assert_eq!(
        core.command(PING, 0, &[]),
        Err(MailboxError::Restarted {
            command: PING,
            restarts: (7, 8)
        })
    );
    assert!(core.card().time_us - before < 100_000, "not five seconds");
    core.command(PING, 0, &[]).expect("answered now");
    assert_eq!(core.transcript.last().map(|last| last.sequence), Some(0x11));
}

#[test]
fn a_restart_into_nothing_is_told() {
    let mut core = attached(agreeable);
    core.card().set(RESTARTS, 8);
    core.card().set(0x8c20, 0);
    assert_eq!(
        core.command(PING, 0, &[]),
        Err(MailboxError::Lost {
            command: PING,
            cause: AttachError::Absent
        })
    );
}

#[test]
fn what_cannot_be_sent_is_not_sent() {
    let mut core = card(agreeable);
    assert_eq!(
        core.command(PING, 0, &[]),
        Err(MailboxError::Detached { command: PING })
    );
    let mut core = attached(agreeable);
    assert_eq!(
        core.command(PING, 0, &[0; 33]),
        Err(MailboxError::PayloadTooLong {
            command: PING,
            bytes: 33
        })
    );
    assert!(core.card().requests.is_empty());
}

#[test]
fn halt_blocks_and_resume_lifts_it() {
    let mut core = attached(agreeable);
    assert!(matches!(
        halt(&mut core),
        Err(HaltError::WrongState { state: 0 })
    ));
    core.card().set(CPU_STATE, 1 << 10);
    core.card().set(0xe0_5000, 0x4ff);
    halt(&mut core).expect("halted");
    assert_eq!(core.mailbox.blocked_since(), Some(DriverCommand::MCP_HALT));
    assert!(core.command(PING, 0, &[]).is_err());
    core.card().stuck = true;
    assert!(resume(&mut core).is_err());
    assert!(core.mailbox.blocked_since().is_some());
    core.card().stuck = false;
    resume(&mut core).expect("runs");
    assert_eq!(core.register(fastlinq_pac::GrcAddress(0xe0_5000)), 0x0ff);
    core.command(PING, 0, &[]).expect("answered");
}

#[test]
fn the_transcript_reads_like_a_story() {
    let mut core = attached(|request: &Request| match request.command {
        DriverCommand::BIST_TEST => Act::Answer(0, 3, Vec::new()),
        DriverCommand::LOAD_REQ => Act::Answer(0x1010, 0, Vec::new()),
        _ => Act::Silence,
    });
    core.command(DriverCommand::BIST_TEST, 3, &[])
        .expect("answered");
    core.command(DriverCommand::LOAD_REQ, 0x0102_3b08, &[])
        .expect("answered");
    core.command(DriverCommand::SET_DCBX, 8, &[])
        .expect_err("silent");
    let story = core.transcript.to_string();
    let lines: Vec<_> = story.lines().collect();
    assert_eq!(
        lines[0],
        "   0  BIST_TEST 0x001e(0x3) -> UNSUPPORTED 0x0000(0x3) after 0 us"
    );
    assert_eq!(
        lines[1],
        "   1  LOAD_REQ 0x1000(0x1023b08) -> DRV_LOAD_ENGINE 0x1010(0x0) after 0 us"
    );
    assert!(
        lines[2].starts_with("   2  SET_DCBX 0x2500(0x8) -> no answer for 5"),
        "{}",
        lines[2]
    );
}
