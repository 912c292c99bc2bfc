//! The debug log of a bring-up is a readable story. Runs with feature `log`.
#![cfg(feature = "log")]

mod common;

use std::sync::Mutex;

use common::{host, image, up};
use fastlinq_hal::adapter::{Adapter, AdapterConfig};
use fastlinq_model_host::model::Chip;
use log::{LevelFilter, Log, Metadata, Record};

struct Book(Mutex<Vec<String>>);

impl Log for Book {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        self.0
            .lock()
            .unwrap()
            .push(format!("{} {}", record.level(), record.args()));
    }
    fn flush(&self) {}
}

static BOOK: Book = Book(Mutex::new(Vec::new()));

#[test]
fn a_bring_up_tells_its_story() {
    log::set_logger(&BOOK).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let adapter = Adapter::new(host(Chip::K2, "modern"), AdapterConfig::default());
    up(adapter, &image()).unwrap().into_reset().unwrap();
    let lines = BOOK.0.lock().unwrap().clone();
    for line in &lines {
        println!("{line}");
    }
    assert!((30..400).contains(&lines.len()), "{} lines", lines.len());
    let story = lines.join("\n");
    let chapters = [
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
    ];
    let mut rest = story.as_str();
    for chapter in chapters {
        let at = rest
            .find(chapter)
            .unwrap_or_else(|| panic!("{chapter:?} is missing or out of order"));
        rest = &rest[at + chapter.len()..];
    }
    assert!(!story.contains("WARN"), "nothing is to be warned of");
}
