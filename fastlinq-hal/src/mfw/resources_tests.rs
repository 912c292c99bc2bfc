use std::vec;
use std::vec::Vec;

use super::*;
use crate::access::fake::{Act, FakeHost, Request, attached};

const GRANTED: u32 = 1 << 8;

fn commands(core: &Core<FakeHost>) -> Vec<(DriverCommand, u32)> {
    core.card().requests.clone()
}

fn count(core: &Core<FakeHost>, command: DriverCommand) -> usize {
    commands(core)
        .iter()
        .filter(|(sent, _)| *sent == command)
        .count()
}

/// Grants everything: the lock, and 10 of each resource from 20 on.
fn generous(request: &Request) -> Act {
    match request.command {
        DriverCommand::RESOURCE_CMD if request.param >> 5 == 4 => Act::Answer(0x16, 3 << 8, vec![]),
        DriverCommand::RESOURCE_CMD => Act::Answer(0x16, GRANTED, vec![]),
        DriverCommand::SET_RESOURCE_VALUE => Act::Answer(0x3400, 2 << 16, vec![]),
        DriverCommand::GET_RESOURCE_ALLOC => {
            assert_eq!(request.param, 2 << 16);
            Act::Answer(0x3400, 2 << 16, vec![request.union[0], 10, 20])
        }
        _ => Act::Answer(0, 0, vec![]),
    }
}

#[test]
fn granted_shares_are_taken() {
    let mut core = attached(generous);
    let shares = settle(&mut core).expect("settled");
    assert_eq!(
        shares.get(Resource::Vports),
        Share {
            start: 20,
            count: 10,
            granted: true
        }
    );
    // Transmit queues come in eights.
    let pqs = shares.get(Resource::TxPqs);
    assert_eq!((pqs.start, pqs.count), (16, 8));
    let sent = commands(&core);
    assert_eq!(sent[0], (DriverCommand::RESOURCE_CMD, 31 | 1 << 5));
    assert_eq!(
        sent.last(),
        Some(&(DriverCommand::RESOURCE_CMD, 31 | 4 << 5))
    );
    assert_eq!(count(&core, DriverCommand::SET_RESOURCE_VALUE), 5);
    assert_eq!(count(&core, DriverCommand::GET_RESOURCE_ALLOC), 13);
}

#[test]
fn an_old_firmware_leaves_an_even_part() {
    let mut core = attached(|_| Act::Answer(0, 0, vec![]));
    core.identity.functions = 4;
    core.identity.function_index = 1;
    let shares = settle(&mut core).expect("settled");
    assert_eq!(
        shares.get(Resource::StatusBlocks),
        Share {
            start: 92,
            count: 92,
            granted: false
        }
    );
    let pqs = shares.get(Resource::TxPqs);
    assert_eq!((pqs.start, pqs.count), (128, 128));
    assert_eq!(shares.get(Resource::IltLines).start, 2750);
    assert_eq!(count(&core, DriverCommand::SET_RESOURCE_VALUE), 0);
    // No lock, so none to release.
    assert_eq!(count(&core, DriverCommand::RESOURCE_CMD), 1);
}

#[test]
fn unknown_command_in_the_parameter_is_unsupported_too() {
    let mut core = attached(|request: &Request| match request.command {
        DriverCommand::RESOURCE_CMD => Act::Answer(0x16, 0xff, vec![]),
        _ => generous(request),
    });
    assert!(settle(&mut core).is_ok());
    assert_eq!(count(&core, DriverCommand::SET_RESOURCE_VALUE), 0);
}

#[test]
fn a_firmware_without_maxima_gets_its_lock_back_at_once() {
    let mut core = attached(|request: &Request| match request.command {
        DriverCommand::SET_RESOURCE_VALUE => Act::Answer(0, 0, vec![]),
        _ => generous(request),
    });
    settle(&mut core).expect("settled");
    let sent = commands(&core);
    assert_eq!(sent[1].0, DriverCommand::SET_RESOURCE_VALUE);
    assert_eq!(sent[2], (DriverCommand::RESOURCE_CMD, 31 | 4 << 5));
    assert_eq!(count(&core, DriverCommand::RESOURCE_CMD), 2);
    assert_eq!(count(&core, DriverCommand::GET_RESOURCE_ALLOC), 13);
}

#[test]
fn a_busy_lock_is_asked_for_ten_times() {
    let mut core = attached(|request: &Request| match request.command {
        DriverCommand::RESOURCE_CMD => Act::Answer(0x16, 2 << 8 | 3, vec![]),
        _ => generous(request),
    });
    let before = core.card().time_us;
    assert_eq!(
        settle(&mut core),
        Err(ResourceError::LockBusy {
            owner: LockOwner::Function(3),
            param: 2 << 8 | 3
        })
    );
    assert_eq!(commands(&core).len(), 10);
    assert!(core.card().time_us - before >= 90_000);
}

#[test]
fn a_lock_that_becomes_free_is_taken() {
    let mut tries = 0;
    let mut core = attached(move |request: &Request| match request.command {
        DriverCommand::RESOURCE_CMD if request.param >> 5 == 1 => {
            tries += 1;
            let opcode = if tries < 4 { 2 } else { 1 };
            Act::Answer(0x16, opcode << 8, vec![])
        }
        _ => generous(request),
    });
    settle(&mut core).expect("settled");
}

#[test]
fn a_refused_lock_is_told_with_its_code() {
    let mut core = attached(|_| Act::Answer(0x17, 5, vec![]));
    assert_eq!(
        settle(&mut core),
        Err(ResourceError::LockRefused {
            code: FirmwareResponse::ERROR,
            param: 5
        })
    );
}

#[test]
fn shares_beyond_the_chip_are_cut_or_refused() {
    let chip = Chip::K2;
    let share = |start, count| Share {
        start,
        count,
        granted: true,
    };
    let reply = Reply {
        command: DriverCommand::GET_RESOURCE_ALLOC,
        code: FirmwareResponse::RESOURCE_ALLOC_OK,
        param: 0x2_0000,
        union: [0; 32],
    };
    let cut = bounded(Resource::RssEngines, share(200, 64), chip, &reply).expect("cut");
    assert_eq!((cut.start, cut.count), (200, 7));
    assert!(matches!(
        bounded(Resource::Vports, share(209, 1), chip, &reply),
        Err(ResourceError::BeyondChip {
            total: 208,
            code: FirmwareResponse::RESOURCE_ALLOC_OK,
            param: 0x2_0000,
            ..
        })
    ));
    assert!(bounded(Resource::Vports, share(u32::MAX, u32::MAX), chip, &reply).is_err());
    assert!(bounded(Resource::IltLines, share(10_000, 1_001), chip, &reply).is_err());
    assert!(bounded(Resource::IltLines, share(10_000, 1_000), chip, &reply).is_ok());
    assert!(bounded(Resource::BufferQueues, share(100, 4), chip, &reply).is_ok());
}

#[test]
fn silence_is_an_error() {
    let mut core = attached(|_| Act::Silence);
    assert!(matches!(
        settle(&mut core),
        Err(ResourceError::Mailbox(MailboxError::NoAnswer { .. }))
    ));
}
