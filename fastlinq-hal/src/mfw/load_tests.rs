use std::vec;
use std::vec::Vec;

use super::*;
use crate::access::fake::{Act, FakeHost, Request, attached};

const REQUEST: LoadRequest = LoadRequest {
    role: DriverRole::OperatingSystem,
    force: ForcePolicy::ByRole,
    firmware: FirmwareVersion::new(8, 59, 1, 0),
};

fn with_force(role: DriverRole, force: ForcePolicy) -> LoadRequest {
    LoadRequest {
        role,
        force,
        ..REQUEST
    }
}

fn sent(core: &Core<FakeHost>) -> Vec<DriverCommand> {
    core.card()
        .requests
        .iter()
        .map(|(command, _)| *command)
        .collect()
}

#[test]
fn the_request_says_who_the_driver_is() {
    let mut core = attached(|asked: &Request| {
        assert_eq!(asked.command, DriverCommand::LOAD_REQ);
        // Linux as the type, interface 2, compatible with 8.59.
        assert_eq!(asked.param, 0x0102_3b08);
        assert_eq!(asked.union[..4], [0, 1, 0x083b_0100, 2]);
        Act::Answer(0x1010, 0, vec![])
    });
    assert_eq!(
        request(&mut core, &REQUEST),
        Ok(Loaded {
            phase: LoadPhase::Engine,
            forced: false,
            old_interface: false
        })
    );
}

#[test]
fn each_grant_has_its_phase() {
    for (code, phase) in [
        (0x1010, LoadPhase::Engine),
        (0x1011, LoadPhase::Port),
        (0x1012, LoadPhase::Function),
    ] {
        let mut core = attached(move |_| Act::Answer(code, 0, vec![]));
        let loaded = request(&mut core, &REQUEST).expect("granted");
        assert_eq!(loaded.phase, phase);
    }
}

#[test]
fn refusals_are_told_with_code_and_parameter() {
    for code in [0, 0x17, 0x1020, 0x1022, 0x1023, 0x1031, 0xffff] {
        let mut core = attached(move |_| Act::Answer(code, 0x55, vec![]));
        assert_eq!(
            request(&mut core, &REQUEST),
            Err(LoadError::Refused {
                code: FirmwareResponse(code),
                param: 0x55
            })
        );
        assert_eq!(sent(&core).len(), 1);
    }
}

#[test]
fn an_old_interface_is_asked_again_and_its_answer_has_no_payload() {
    let mut core = attached(|asked: &Request| match asked.param >> 16 & 0xff {
        2 => Act::Answer(0x1021, 0, vec![]),
        // "Already loaded" in a payload that this version does not have.
        _ => Act::Answer(0x1011, 0, vec![0, 0, 0, 1 << 16]),
    });
    let loaded = request(&mut core, &REQUEST).expect("granted");
    assert!(loaded.old_interface);
    assert_eq!(sent(&core).len(), 2);
}

#[test]
fn an_old_interface_that_refuses_itself_ends() {
    let mut core = attached(|_| Act::Answer(0x1021, 0, vec![]));
    assert!(matches!(
        request(&mut core, &REQUEST),
        Err(LoadError::Refused { .. })
    ));
    assert_eq!(sent(&core).len(), 2);
}

/// Holds the function for a driver of `existing` role until it is forced.
fn held(existing: u32) -> impl FnMut(&Request) -> Act {
    move |asked| match asked.command {
        DriverCommand::LOAD_REQ if asked.union[3] >> 16 & 0xf == 2 => {
            Act::Answer(0x1010, 0, vec![])
        }
        DriverCommand::LOAD_REQ => {
            Act::Answer(0x1030, 0, vec![3, 4, 0x0825_0700, existing | 2 << 8])
        }
        _ => Act::Answer(0x16, 0, vec![]),
    }
}

#[test]
fn force_follows_the_policy() {
    use DriverRole::{CrashKernel, OperatingSystem, PreBoot};
    use ForcePolicy::{Always, ByRole, Never};
    for (own, policy, existing, allowed) in [
        (OperatingSystem, ByRole, 1, true),
        (OperatingSystem, ByRole, 2, false),
        (OperatingSystem, ByRole, 3, false),
        (CrashKernel, ByRole, 2, true),
        (CrashKernel, ByRole, 1, false),
        (PreBoot, ByRole, 1, false),
        (PreBoot, Always, 3, true),
        (CrashKernel, Never, 2, false),
    ] {
        let mut core = attached(held(existing));
        let result = request(&mut core, &with_force(own, policy));
        if allowed {
            assert!(result.expect("granted").forced);
            assert_eq!(sent(&core), vec![DriverCommand::LOAD_REQ; 2]);
        } else {
            let Err(LoadError::ForceNeeded {
                existing: driver, ..
            }) = result
            else {
                panic!("{result:?}");
            };
            assert_eq!(u32::from(driver.role), existing);
            assert_eq!(driver.interface, 2);
            assert_eq!(driver.firmware, 0x0825_0700);
            assert_eq!(
                sent(&core),
                vec![DriverCommand::LOAD_REQ, DriverCommand::CANCEL_LOAD_REQ]
            );
        }
    }
}

#[test]
fn force_is_tried_once() {
    let mut core = attached(|asked: &Request| match asked.command {
        DriverCommand::LOAD_REQ => Act::Answer(0x1030, 0, vec![0, 0, 0, 1]),
        _ => Act::Answer(0x16, 0, vec![]),
    });
    assert!(matches!(
        request(&mut core, &REQUEST),
        Err(LoadError::ForceNeeded { .. })
    ));
    assert_eq!(sent(&core).len(), 3);
}

#[test]
fn a_grant_over_a_loaded_driver_is_no_grant() {
    let mut core = attached(|_| Act::Answer(0x1012, 0, vec![0, 0, 0, 2 | 2 << 8 | 1 << 16]));
    assert!(matches!(
        request(&mut core, &REQUEST),
        Err(LoadError::AlreadyLoaded { .. })
    ));
}

#[test]
fn the_end_of_the_load_may_complain() {
    let mut core = attached(|_| Act::Answer(0x1110, 1, vec![]));
    assert_eq!(done(&mut core), Ok(Answer::Done(true)));
}

#[test]
fn unloading_says_what_was_the_last() {
    let mut core = attached(|asked: &Request| match asked.command {
        DriverCommand::UNLOAD_REQ => Act::Answer(0x2011, 0, vec![]),
        DriverCommand::UNLOAD_DONE => {
            assert_eq!(asked.union[..2], [0x000e, 0x1e01_0203]);
            Act::Answer(0x2110, 0, vec![])
        }
        _ => Act::Silence,
    });
    let wake = WakeOnLan::Enabled([0, 0x0e, 0x1e, 1, 2, 3]);
    assert_eq!(
        unload_request(&mut core, wake),
        Ok(Answer::Done(LoadPhase::Engine))
    );
    assert_eq!(unload_done(&mut core, wake), Ok(Answer::Done(())));
    assert_eq!(core.card().requests[0].1, 3);
}
