use std::vec;
use std::vec::Vec;

use super::*;
use crate::access::fake::{Act, Request, attached};

fn flash_byte(at: u32) -> u8 {
    (at.wrapping_mul(7) ^ at >> 8) as u8
}

/// Flash of `flash_byte`, handed out at most `most` bytes a command.
fn flash(most: u32) -> impl FnMut(&Request) -> Act {
    move |request| {
        assert_eq!(request.command, DriverCommand::NVM_READ_NVRAM);
        let offset = request.param & 0xff_ffff;
        let length = request.param >> 24;
        assert!(length <= 32 && length % 4 == 0 && offset % 4 == 0);
        let dwords: Vec<u32> = (0..8)
            .map(|index| {
                let at = offset + index * 4;
                u32::from_be_bytes([0, 1, 2, 3].map(|byte| flash_byte(at + byte)))
            })
            .collect();
        Act::Answer(1, length.min(most), dwords)
    }
}

#[test]
fn any_range_is_read_in_flash_order() {
    for most in [32, 8] {
        for offset in [0, 1, 4, 4090] {
            for bytes in [0, 1, 3, 4, 31, 32, 33, 100] {
                let mut core = attached(flash(most));
                let mut data = vec![0; bytes];
                let answer = NvmReader::new(&mut core).read(offset, &mut data);
                assert_eq!(answer, Ok(Answer::Done(())));
                let expected: Vec<u8> = (0..bytes as u32)
                    .map(|at| flash_byte(offset + at))
                    .collect();
                assert_eq!(data, expected, "{bytes} bytes at {offset}");
            }
        }
    }
}

#[test]
fn more_bytes_than_asked_for_are_not_copied() {
    let mut core = attached(|_| Act::Answer(1, u32::MAX, vec![0x0102_0304; 8]));
    let mut data = [0; 6];
    let mut reader = NvmReader::new(&mut core);
    assert_eq!(reader.read(0, &mut data), Ok(Answer::Done(())));
    assert_eq!(data, [1, 2, 3, 4, 1, 2]);
}

#[test]
fn no_bytes_at_all_end_the_loop() {
    let mut core = attached(flash(0));
    assert_eq!(
        NvmReader::new(&mut core).read(8, &mut [0; 4]),
        Err(NvmError::NoProgress { offset: 8 })
    );
    // One byte when three have to be skipped is none.
    let mut core = attached(flash(1));
    assert_eq!(
        NvmReader::new(&mut core).read(3, &mut [0; 4]),
        Err(NvmError::NoProgress { offset: 3 })
    );
}

#[test]
fn a_refusal_midway_is_the_answer() {
    let mut first = true;
    let mut core = attached(move |request: &Request| {
        if core::mem::take(&mut first) {
            flash(32)(request)
        } else {
            Act::Answer(0xd, 0, vec![])
        }
    });
    assert_eq!(
        NvmReader::new(&mut core).read(0, &mut [0; 64]),
        Ok(Answer::Refused {
            command: DriverCommand::NVM_READ_NVRAM,
            code: FirmwareResponse::NVM_OPERATION_FAILED,
            param: 0
        })
    );
}

#[test]
fn ranges_outside_of_the_flash_are_not_asked_for() {
    let mut core = attached(flash(32));
    let mut reader = NvmReader::new(&mut core);
    for (offset, bytes) in [(0xff_fffd, 4), (u32::MAX, 1), (0x100_0000, 1)] {
        assert_eq!(
            reader.read(offset, &mut vec![0; bytes]),
            Err(NvmError::OutsideFlash { offset, bytes })
        );
    }
    assert!(core.card().requests.is_empty());
}

#[test]
fn a_file_is_there_or_not() {
    let mut core = attached(|request: &Request| match request.param {
        10 => Act::Answer(1, 0, vec![0x1000, 0x2000]),
        _ => Act::Answer(0xc, 0, vec![]),
    });
    let mut reader = NvmReader::new(&mut core);
    assert_eq!(
        reader.file(ImageType::TYPE_NVM_CFG1),
        Ok(Answer::Done(FileAttributes {
            offset: 0x1000,
            bytes: 0x2000
        }))
    );
    let absent = reader.file(ImageType::TYPE_MBA).expect("answered");
    assert!(matches!(
        absent,
        Answer::Refused {
            code: FirmwareResponse::NVM_FILE_NOT_FOUND,
            ..
        }
    ));
}
