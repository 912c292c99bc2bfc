//! A bring-up in which each register read in turn goes wrong.
//!
//! Whatever a read answers, the attempt ends with an error that names a layer or with success, in bounded (model) time,
//! without a panic, and the device never touches memory that went back to the host.

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

fn each_read(chip: Chip, name: &str, step: u64, prepare: impl Fn(&ModelHost, u64) + Sync) {
    let bytes = image();
    let total = reads(chip, &bytes);
    let next = AtomicU64::new(0);
    let outcomes = std::sync::Mutex::new(BTreeMap::<String, u32>::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let read = next.fetch_add(step, Ordering::Relaxed);
                    if read >= total {
                        break;
                    }
                    let what = format!("{chip:?}, {name} at read {read}");
                    let outcome = attempt(chip, &bytes, &what, |host| prepare(host, read));
                    *outcomes.lock().unwrap().entry(outcome).or_default() += 1;
                }
            });
        }
    });
    println!(
        "{chip:?}, {name}: {total} reads, outcomes {:?}",
        outcomes.into_inner().unwrap()
    );
}

#[test]
fn all_ones_at_every_read() {
    each_read(Chip::K2, "all ones", 1, |host, read| {
        host.faults().at_read(read, Fault::AllOnes)
    });
}

#[test]
fn zeros_at_every_read() {
    each_read(Chip::K2, "zeros", 1, |host, read| {
        host.faults().at_read(read, Fault::Zeros)
    });
}

#[test]
fn a_random_word_at_every_read() {
    each_read(Chip::K2, "random", 1, |host, read| {
        host.faults().at_read(read, Fault::Random(read))
    });
}

#[test]
fn a_function_that_disappears_at_every_read() {
    each_read(Chip::K2, "gone", 1, |host, read| {
        host.faults().gone_from_read(read)
    });
}

#[test]
fn a_device_that_repeats_itself_from_every_read_on() {
    each_read(Chip::K2, "stuck from", 7, |host, read| {
        host.faults().from_read(read, Fault::Stuck)
    });
}

#[test]
fn random_words_from_every_read_on() {
    each_read(Chip::K2, "random from", 7, |host, read| {
        host.faults().from_read(read, Fault::Random(read));
    });
}

#[test]
fn zeros_from_every_read_on() {
    each_read(Chip::K2, "zeros from", 7, |host, read| {
        host.faults().from_read(read, Fault::Zeros)
    });
}

#[test]
fn the_other_chip_too() {
    for (name, fault) in [
        ("all ones", Fault::AllOnes),
        ("zeros", Fault::Zeros),
        ("random", Fault::Random(5)),
    ] {
        each_read(Chip::Bb, name, 5, |host, read| {
            host.faults().at_read(read, fault)
        });
    }
}
