//! The debug log of a bring-up is a readable story, also of one that fails. Runs with feature `log`.
//!
//! The stories of failures are in `stories/`, word for word; `FASTLINQ_BLESS=1` writes them anew, for review as a diff.
#![cfg(feature = "log")]

mod common;

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use common::{host, image, up};
use fastlinq_hal::adapter::{Adapter, AdapterConfig, ForcePolicy};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_model_host::model::Chip;
use log::{LevelFilter, Log, Metadata, Record};

thread_local! {
    /// What this test's driver said.
    static BOOK: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Scribe;

impl Log for Scribe {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        let line = format!("{:<5} {}", record.level(), record.args());
        BOOK.with_borrow_mut(|book| book.push(line));
    }
    fn flush(&self) {}
}

/// The lines that `tell` leaves in the log.
fn story(tell: impl FnOnce()) -> Vec<String> {
    static SCRIBE: Scribe = Scribe;
    // The second test of the process finds the logger there.
    let _ = log::set_logger(&SCRIBE);
    log::set_max_level(LevelFilter::Debug);
    BOOK.with_borrow_mut(Vec::clear);
    tell();
    BOOK.take()
}

/// A line says something to somebody who has not the code at hand.
fn assert_readable(lines: &[String]) {
    for line in lines {
        assert!(line.len() < 300, "{} characters: {line}", line.len());
        assert!(
            !line.contains(" { ") && !line.contains("Some("),
            "debug output: {line}"
        );
        assert!(line.is_ascii() && !line.ends_with(' '), "{line}");
    }
}

/// The line without the microseconds that an answer took, unless they are many.
fn timeless(line: &str) -> String {
    let found = line
        .strip_suffix(" us")
        .and_then(|start| start.rsplit_once(" after "))
        .and_then(|(start, us)| Some((start, us.parse::<u64>().ok()?)));
    match found {
        Some((start, 0..1000)) => format!("{start} at once"),
        Some((start, us)) => format!("{start} after {} s", us / 1_000_000),
        None => line.to_owned(),
    }
}

/// Compares the story with the one that was reviewed.
fn assert_told(name: &str, lines: &[String]) {
    assert_readable(lines);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/stories/{name}.txt"));
    let text: String = lines.iter().map(|line| timeless(line) + "\n").collect();
    if std::env::var_os("FASTLINQ_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let reviewed = fs::read_to_string(&path).unwrap();
    let differs = text.lines().zip(reviewed.lines()).position(|(a, b)| a != b);
    assert!(
        text == reviewed,
        "{name}: line {:?} differs from {}; the whole story:\n{text}",
        differs.map(|line| line + 1),
        path.display()
    );
}

/// The story of an adapter that cannot be connected.
fn does_not_connect(persona: &str) {
    let lines = story(|| {
        let adapter = Adapter::new(host(Chip::K2, persona), AdapterConfig::default());
        let failed = adapter.connect().unwrap_err();
        assert_eq!(failed.adapter.state_name(), "Reset");
    });
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("WARN  Reset stays: management firmware: ")
    );
    assert_told(persona, &lines);
}

#[test]
fn nobody_answers() {
    does_not_connect("silent");
}

#[test]
fn the_management_processor_is_halted() {
    does_not_connect("halted");
}

#[test]
fn there_is_no_management_firmware() {
    does_not_connect("absent");
}

#[test]
fn the_management_firmware_never_boots() {
    does_not_connect("never-boots");
}

#[test]
fn somebody_keeps_the_lock() {
    does_not_connect("lock-busy");
}

#[test]
fn the_load_is_refused() {
    let lines = story(|| {
        let config = AdapterConfig {
            force: ForcePolicy::Never,
            ..AdapterConfig::default()
        };
        let adapter = Adapter::new(host(Chip::K2, "load-refused"), config);
        let failed = up(adapter, &image()).unwrap_err();
        assert_eq!(failed.adapter.state_name(), "NvmPopulated");
    });
    assert!(
        lines
            .last()
            .unwrap()
            .contains("DRV_LOAD_REFUSED_REJECT 0x1031")
    );
    assert_told("load-refused", &lines);
}

#[test]
fn the_inventory_is_refused_and_the_adapter_goes_up_without() {
    let bytes = image();
    let image = FirmwareImage::parse(&bytes).unwrap();
    let lines = story(|| {
        let adapter = Adapter::new(host(Chip::K2, "bist-error"), AdapterConfig::default());
        let failed = adapter.connect().unwrap().populate().unwrap_err();
        let adapter = failed.adapter.without_inventory();
        let mut scratch = Box::new(Scratch::new());
        adapter.up(&image, &mut scratch).unwrap().down().unwrap();
    });
    // The part of the inventory word for word; the rest is told below.
    let asked = lines
        .iter()
        .position(|line| line.contains("BIST_TEST"))
        .unwrap();
    let end = lines
        .iter()
        .position(|line| line.contains("LOAD_REQ"))
        .unwrap();
    assert_told("bist-error", &lines[asked..=end]);
    assert_chapters(
        &lines,
        &[
            "going on without",
            "load granted",
            "PF_START done",
            "up",
            "down",
        ],
    );
    let warnings = lines.iter().filter(|line| line.starts_with("WARN"));
    assert_eq!(warnings.count(), 1, "the refusal, and nothing else");
}

#[test]
fn the_device_disappears_on_the_way_up() {
    let bytes = image();
    let healthy = host(Chip::K2, "modern");
    let _up = up(
        Adapter::new(healthy.clone(), AdapterConfig::default()),
        &bytes,
    )
    .unwrap();
    let reads = healthy.faults().reads();
    let lines = story(|| {
        let host = host(Chip::K2, "modern");
        // In the middle of the last words with the management firmware.
        host.faults().gone_from_read(reads - 80);
        let failed = up(Adapter::new(host, AdapterConfig::default()), &bytes).unwrap_err();
        assert!(failed.cause.is_device_gone());
    });
    assert_readable(&lines);
    assert_chapters(
        &lines,
        &[
            "load granted",
            "bring-up failed: PCI: ",
            "taking the adapter down",
            "NvmPopulated stays: PCI: ",
        ],
    );
}

/// The chapters are there, in this order.
fn assert_chapters(lines: &[String], chapters: &[&str]) {
    let story = lines.join("\n");
    let mut rest = story.as_str();
    for chapter in chapters {
        let at = rest
            .find(chapter)
            .unwrap_or_else(|| panic!("{chapter:?} is missing or out of order in\n{story}"));
        rest = &rest[at + chapter.len()..];
    }
}

#[test]
fn a_bring_up_tells_its_story() {
    let lines = story(|| {
        let adapter = Adapter::new(host(Chip::K2, "modern"), AdapterConfig::default());
        up(adapter, &image()).unwrap().into_reset().unwrap();
    });
    assert!((30..400).contains(&lines.len()), "{} lines", lines.len());
    assert_readable(&lines);
    assert_chapters(
        &lines,
        &[
            "of the chip",
            "management firmware ready",
            "images",
            "queue pairs",
            "load granted",
            "engine initialised",
            "port 0 initialised",
            "function initialised",
            "PF_START done",
            "up",
            "PF_STOP",
            "mastership on PCI given up, confirmed: true",
            "down",
        ],
    );
    let warned = lines.iter().find(|line| line.starts_with("WARN"));
    assert_eq!(warned, None, "nothing is to be warned of");
}
