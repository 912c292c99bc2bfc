use std::vec;

use super::*;
use crate::access::fake::{Act, Request, attached};

#[test]
fn long_reads_are_cut_and_short_answers_continued() {
    let mut core = attached(|request: &Request| {
        let (size, i2c, offset) = (
            request.param >> 2 & 0x3f,
            request.param >> 8 & 0xff,
            request.param >> 16,
        );
        assert!(size <= 16 && i2c == 0xa0);
        let byte = |index: u32| (offset + index) as u8;
        let dwords = (0..4)
            .map(|dword| u32::from_le_bytes([0, 1, 2, 3].map(|at| byte(dword * 4 + at))))
            .collect();
        Act::Answer(0x16, size.min(5), dwords)
    });
    let mut data = [0; 40];
    assert_eq!(
        read(&mut core, MODULE_MEMORY, 3, &mut data),
        Ok(Answer::Done(()))
    );
    for (index, byte) in data.iter().enumerate() {
        assert_eq!(usize::from(*byte), index + 3);
    }
    assert_eq!(core.card().requests.len(), 8);
}

#[test]
fn no_progress_ends_the_loop() {
    let mut core = attached(|_| Act::Answer(0x16, 0, vec![]));
    assert_eq!(
        read(&mut core, MODULE_MEMORY, 7, &mut [0; 4]),
        Err(TransceiverError::NoProgress { offset: 7 })
    );
}

#[test]
fn too_many_bytes_are_not_copied() {
    let mut core = attached(|_| Act::Answer(0x16, 1000, vec![u32::MAX; 8]));
    let mut data = [0; 20];
    assert_eq!(
        read(&mut core, MODULE_MEMORY, 0, &mut data),
        Ok(Answer::Done(()))
    );
    assert_eq!(core.card().requests.len(), 2);
}

#[test]
fn an_empty_cage_is_an_answer() {
    let mut core = attached(|_| Act::Answer(2, 0, vec![]));
    let answer = read(&mut core, MODULE_MEMORY, 0, &mut [0; 4]).expect("answered");
    assert_eq!(
        answer,
        Answer::Refused {
            command: DriverCommand::TRANSCEIVER_READ,
            code: FirmwareResponse::TRANSCEIVER_NOT_PRESENT,
            param: 0
        }
    );
}

#[test]
fn writes_stop_at_the_first_refusal() {
    let mut left = 1;
    let mut core = attached(move |_: &Request| {
        left -= 1;
        Act::Answer(if left >= 0 { 0x16 } else { 0x17 }, 0, vec![])
    });
    let answer = write(&mut core, MODULE_MEMORY, 0x80, &[1; 40]).expect("answered");
    assert!(matches!(answer, Answer::Refused { .. }));
    assert_eq!(core.card().requests.len(), 2);
    assert!(write(&mut core, MODULE_MEMORY, 0xffff, &[1; 2]).is_err());
}
