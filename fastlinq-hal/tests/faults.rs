//! A bring-up in which each register read in turn goes wrong.
//!
//! Whatever a read answers, the attempt ends with an error that names a layer or with success, in bounded (model) time,
//! without a panic, and the device never touches memory that went back to the host.
//!
//! An optimised build (`cargo test --release -p fastlinq-hal --test faults`) tries every kind of fault at every single read
//! on both chips. Others have no time for that: they try single faults on K2 at every read, and the rest at every fifth.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{host, image, up};
use fastlinq_hal::adapter::{Adapter, AdapterConfig};
use fastlinq_model_host::model::Chip;
use fastlinq_model_host::{Fault, ModelHost};

/// Longest model time of an attempt with its way back: every command to the management firmware waits 5 s at most, a
/// ramrod twice that, an init poll 50 ms.
const LONGEST_S: u64 = 120;

/// Reads of a whole cycle up and down.
fn reads(chip: Chip, bytes: &[u8]) -> u64 {
    let host = host(chip, "modern");
    let adapter = up(Adapter::new(host.clone(), AdapterConfig::default()), bytes).unwrap();
    adapter.into_reset().unwrap();
    host.faults().reads()
}

/// One attempt with a fault; gives what it ended with.
fn attempt(chip: Chip, bytes: &[u8], what: &str, prepare: impl FnOnce(&ModelHost)) -> String {
    let host = host(chip, "modern");
    prepare(&host);
    let (outcome, adapter) = match up(Adapter::new(host.clone(), AdapterConfig::default()), bytes) {
        Ok(adapter) => match adapter.into_reset() {
            Ok(adapter) => {
                assert!(adapter.leaked().is_empty());
                ("up and down".to_owned(), adapter)
            }
            Err(failed) => {
                assert!(!failed.to_string().is_empty());
                (
                    format!("up; down: {}", failed.cause.layer()),
                    failed.adapter,
                )
            }
        },
        Err(failed) => {
            assert!(!failed.to_string().is_empty());
            let _ = format!("{:?}", failed.adapter.transcript().last());
            let layer = failed.cause.layer().to_string();
            (layer, failed.adapter.into_reset().unwrap())
        }
    };
    let seconds = host.with_card(|card| card.now_ns()) / 1_000_000_000;
    assert!(
        seconds < LONGEST_S,
        "{what}: {outcome} took {seconds} s of model time"
    );
    provoke(&host);
    let memory = host.memory();
    assert_eq!(
        memory.late_count, 0,
        "{what}: {outcome}: {:?}",
        memory.late_accesses
    );
    if outcome == "up and down" {
        return outcome;
    }
    // Without the fault, the same adapter goes up.
    let retried =
        up(adapter, bytes).unwrap_or_else(|failed| panic!("{what}: {outcome}, then {failed}"));
    retried
        .into_reset()
        .unwrap_or_else(|failed| panic!("{what}: {outcome}, then {failed}"));
    outcome
}

/// Gives a device that was left running every reason to write to memory: link changes, frames, time.
fn provoke(host: &ModelHost) {
    host.faults().clear();
    for up in [false, true] {
        host.set_link(0, up);
        host.advance(3_000_000_000);
    }
    host.inject(0, &[0xff; 64]);
    host.poll();
    host.advance(1_000_000_000);
}

/// The synthetic image without what it writes in bulk: the same reads and polls, and a bring-up that takes a third of the
/// time, so that every read can have its turn.
fn lean_image() -> Vec<u8> {
    const WRITE: u32 = 1;
    const ZEROS: u32 = 1;
    const ARRAY: u32 = 2;
    const DELAY: u32 = 4;
    let mut bytes = image();
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    // The second pair of the table is the program's.
    let (start, length) = (4 + word(&bytes, 12) as usize, word(&bytes, 16) as usize);
    for at in (start..start + length).step_by(8) {
        let head = word(&bytes, at);
        if head & 0xf == WRITE && matches!(head >> 4 & 7, ZEROS | ARRAY) {
            bytes[at..at + 8].copy_from_slice(&(u64::from(DELAY)).to_le_bytes());
        }
    }
    bytes
}

/// Reads from one attempt to the next where not each has its turn.
const STRIDE: u64 = if cfg!(debug_assertions) { 5 } else { 1 };

/// Runs an attempt for each register read, or each `stride`th, of a bring-up and its way back.
fn each_read(
    chip: Chip,
    name: &str,
    bytes: &[u8],
    stride: u64,
    prepare: impl Fn(&ModelHost, u64) + Sync,
) {
    let total = reads(chip, bytes);
    assert!(total > 1000, "{total} reads");
    let next = AtomicU64::new(0);
    let outcomes = std::sync::Mutex::new(BTreeMap::<String, u32>::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let read = next.fetch_add(stride, Ordering::Relaxed);
                    if read >= total {
                        break;
                    }
                    let what = format!("{chip:?}, {name} at read {read}");
                    let outcome = attempt(chip, bytes, &what, |host| prepare(host, read));
                    *outcomes.lock().unwrap().entry(outcome).or_default() += 1;
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let tried: u32 = outcomes.values().sum();
    assert_eq!(u64::from(tried), total.div_ceil(stride));
    println!("{chip:?}, {name}: {tried} of {total} reads, outcomes {outcomes:?}");
}

#[test]
fn the_lean_image_reads_what_the_whole_one_reads() {
    for chip in CHIPS {
        let (whole, lean) = (reads(chip, &image()), reads(chip, &lean_image()));
        // The driver looks now and then during bulk writes whether the function still answers.
        assert!(whole - lean < 30, "{whole} and {lean}");
    }
}

const CHIPS: [Chip; 2] = [Chip::K2, Chip::Bb];

/// One test per kind of fault: on K2 with the whole image, on BB with the lean one.
macro_rules! at_every_read {
    ($($test:ident $name:literal $prepare:expr;)*) => {$(
        #[test]
        fn $test() {
            let prepare: fn(&ModelHost, u64) = $prepare;
            each_read(Chip::K2, $name, &$crate::image(), 1, prepare);
            each_read(Chip::Bb, $name, &lean_image(), STRIDE, prepare);
        }
    )*};
}

/// The same for faults that stay, on both chips with the lean image.
macro_rules! from_every_read_on {
    ($($test:ident $name:literal $prepare:expr;)*) => {$(
        #[test]
        fn $test() {
            let prepare: fn(&ModelHost, u64) = $prepare;
            for chip in CHIPS {
                each_read(chip, $name, &lean_image(), STRIDE, prepare);
            }
        }
    )*};
}

at_every_read! {
    all_ones_at_every_read "all ones" |host, read| host.faults().at_read(read, Fault::AllOnes);
    zeros_at_every_read "zeros" |host, read| host.faults().at_read(read, Fault::Zeros);
    a_random_word_at_every_read "random" |host, read| host.faults().at_read(read, Fault::Random(read));
    a_word_of_before_at_every_read "stuck" |host, read| host.faults().at_read(read, Fault::Stuck);
}

from_every_read_on! {
    a_function_that_disappears_at_every_read "gone" |host, read| host.faults().gone_from_read(read);
    a_device_that_repeats_itself_from_every_read_on "stuck from"
        |host, read| host.faults().from_read(read, Fault::Stuck);
    random_words_from_every_read_on "random from"
        |host, read| host.faults().from_read(read, Fault::Random(read));
    zeros_from_every_read_on "zeros from" |host, read| host.faults().from_read(read, Fault::Zeros);
    all_ones_from_every_read_on "all ones from"
        |host, read| host.faults().from_read(read, Fault::AllOnes);
}
