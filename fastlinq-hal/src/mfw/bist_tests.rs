use std::vec;

use super::*;
use crate::access::fake::{Act, Request, attached};

fn outcome(script: impl FnMut(&Request) -> Act + 'static) -> Images {
    images(&mut attached(script)).expect("answered")
}

/// Says `count`, and describes each image.
fn images_of(count: u32) -> impl FnMut(&Request) -> Act {
    move |request| match request.param {
        3 => Act::Answer(0x16, count, vec![]),
        param => {
            assert_eq!(param & 0xff, 4);
            let index = param >> 8;
            Act::Answer(0x16, 16, vec![1, 7 + index, 0x1000 * index, 0x100])
        }
    }
}

#[test]
fn a_table() {
    let Images::Table(table) = outcome(images_of(3)) else {
        panic!("no table");
    };
    assert_eq!(table.len(), 3);
    assert_eq!(
        table.get(2),
        Some(&FlashImage {
            kind: 9,
            offset: 0x2000,
            bytes: 0x100
        })
    );
}

#[test]
fn zero_is_unsupported_whatever_the_parameter() {
    for param in [0, 1, 0xdead_beef] {
        assert_eq!(
            outcome(move |_| Act::Answer(0, param, vec![])),
            Images::Unsupported { raw: 0, param }
        );
    }
}

#[test]
fn another_code_is_refused_with_the_code() {
    assert_eq!(
        outcome(|_| Act::Answer(0x17, 9, vec![])),
        Images::Refused(ImagesRefused::Code {
            code: FirmwareResponse::ERROR,
            param: 9
        })
    );
}

#[test]
fn no_images_are_an_empty_table() {
    assert_eq!(outcome(images_of(0)), Images::Table(Vec::new()));
}

#[test]
fn the_most_images_fit_and_more_are_refused_without_asking() {
    let Images::Table(table) = outcome(images_of(MAX_IMAGES as u32)) else {
        panic!("no table");
    };
    assert_eq!(table.len(), MAX_IMAGES);
    for count in [MAX_IMAGES as u32 + 1, 255, 256, u32::MAX - 1] {
        let mut core = attached(images_of(count));
        assert_eq!(
            images(&mut core),
            Ok(Images::Refused(ImagesRefused::AbsurdCount { count }))
        );
        assert_eq!(core.card().requests.len(), 1);
    }
}

#[test]
fn an_image_without_attributes_is_refused() {
    for (code, param, return_code) in [(0x16, 15, 1), (0x16, 16, 2), (0, 0, 0), (0xf, 16, 1)] {
        let outcome = outcome(move |request| match request.param {
            3 => Act::Answer(0x16, 2, vec![]),
            0x004 => Act::Answer(0x16, 16, vec![1, 1, 1, 1]),
            _ => Act::Answer(code, param, vec![return_code]),
        });
        assert_eq!(
            outcome,
            Images::Refused(ImagesRefused::Image {
                index: 1,
                code: FirmwareResponse(code),
                param,
                return_code
            })
        );
    }
}

#[test]
fn register_and_clock_tests() {
    let mut core = attached(|request: &Request| Act::Answer(0x16, request.param, vec![]));
    assert_eq!(test_registers(&mut core), Ok(Answer::Done(true)));
    assert_eq!(test_clocks(&mut core), Ok(Answer::Done(false)));
    let mut old = attached(|_| Act::Answer(0, 0, vec![]));
    assert_eq!(
        test_registers(&mut old),
        Ok(Answer::Unsupported { param: 0 })
    );
}
