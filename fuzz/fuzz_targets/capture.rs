//! Any bytes as a capture file: frames, or a named error; frames that are given are of a length that a wire carries, and
//! what is written again reads as the same.
#![no_main]

use std::time::Duration;

use fastlinq_model::wire::capture::{CaptureError, CaptureReader, CaptureWriter};
use fastlinq_model::wire::{FRAME_LIMIT, FRAME_MINIMUM};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(reader) = CaptureReader::new(data) else {
        return;
    };
    let mut frames = Vec::new();
    let mut over = false;
    for frame in reader {
        assert!(!over, "there is nothing behind an error that ends the file");
        match frame {
            Ok(frame) => {
                assert!((FRAME_MINIMUM..=FRAME_LIMIT).contains(&frame.data.len()));
                frames.push(frame.data);
            }
            Err(CaptureError::FrameLength { .. }) => {}
            Err(error) => {
                assert!(!error.to_string().is_empty());
                over = true;
            }
        }
    }
    let mut writer = CaptureWriter::new(Vec::new()).expect("memory takes a header");
    for frame in &frames {
        writer.write(Duration::ZERO, frame).expect("memory takes a frame");
    }
    let file = writer.finish();
    let again = CaptureReader::new(file.as_slice()).expect("our own header");
    let again: Vec<_> = again.map(|frame| frame.expect("our own frame").data).collect();
    assert_eq!(again, frames);
});
