//! Any bytes as a trace: shown and summed up, or refused.
//!
//! An even first byte means a file as it is; an odd one, records that are packed into a proper file.
#![no_main]

use fastlinq_pac::Chip;
use fastlinq_trace::show::Printer;
use fastlinq_trace::{Outcome, Reader, compare};
use libfuzzer_sys::fuzz_target;

fn packed(records: &[u8]) -> Vec<u8> {
    let mut file = b"FLQTRACE\x01\0\x01\0\0\0".to_vec();
    let chunk = miniz_oxide::deflate::compress_to_vec_zlib(records, 1);
    file.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
    file.extend_from_slice(&(records.len() as u32).to_le_bytes());
    file.extend_from_slice(&chunk);
    file
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, data)) = data.split_first() else {
        return;
    };
    let file = if kind & 1 == 0 {
        data.to_vec()
    } else {
        packed(data)
    };
    if let Ok(reader) = Reader::new(&file[..]) {
        let mut printer = Printer::new(Chip::K2, None);
        for timed in reader.flatten() {
            printer.lines(&timed);
        }
        printer.end();
    }
    if let Ok(outcome) = Outcome::read(&file[..]) {
        assert!(compare(&outcome, &outcome).is_empty());
    }
});
