//! The log by `defmt`: as many frames as `log` has lines, each begun, ended and with what it is about. Runs with the
//! features `defmt` and `log`:
//!
//! ```text
//! cargo test -p fastlinq-hal --features defmt,log --test defmt
//! ```
#![cfg(all(feature = "defmt", feature = "log"))]
#![allow(unsafe_code, reason = "a defmt logger is an unsafe trait")]

mod common;

use std::sync::Mutex;

use common::{host, image, up};
use fastlinq_hal::adapter::{Adapter, AdapterConfig};
use fastlinq_model_host::model::Chip;

/// What came through both loggers.
#[derive(Default)]
struct Book {
    lines: Vec<String>,
    frames: Vec<Vec<u8>>,
    /// A frame that is begun and not ended.
    open: Option<Vec<u8>>,
}

static BOOK: Mutex<Option<Book>> = Mutex::new(None);

fn with_book<T>(work: impl FnOnce(&mut Book) -> T) -> T {
    work(BOOK.lock().unwrap().get_or_insert_default())
}

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        with_book(|book| book.lines.push(line));
    }
    fn flush(&self) {}
}

#[defmt::global_logger]
struct Frames;

// SAFETY: there is one test in this process and one thread in it, so frames are not nested; each function does what its
// name says.
unsafe impl defmt::Logger for Frames {
    fn acquire() {
        with_book(|book| assert!(book.open.replace(Vec::new()).is_none(), "nested"));
    }
    unsafe fn flush() {}
    unsafe fn release() {
        with_book(|book| {
            let frame = book.open.take().expect("begun");
            book.frames.push(frame);
        });
    }
    unsafe fn write(bytes: &[u8]) {
        with_book(|book| book.open.as_mut().expect("begun").extend_from_slice(bytes));
    }
}

defmt::timestamp!("");

#[defmt::panic_handler]
fn panic() -> ! {
    panic!("defmt panics")
}

#[test]
fn a_failed_bring_up_is_told_in_frames() {
    static LINES: Lines = Lines;
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let adapter = Adapter::new(host(Chip::K2, "load-refused"), AdapterConfig::default());
    let failed = up(adapter, &image()).unwrap_err();
    let cause = failed.cause.to_string();
    let book = with_book(std::mem::take);

    assert!(book.open.is_none());
    assert!(book.lines.len() > 50, "{} lines", book.lines.len());
    assert_eq!(book.frames.len(), book.lines.len());
    let shortest = book.frames.iter().map(Vec::len).min().unwrap();
    assert!(shortest >= 2, "each frame names its text");
    // What is formatted by the host is in the frame as text.
    let told = |frame: &Vec<u8>| {
        frame
            .windows(cause.len())
            .any(|bytes| bytes == cause.as_bytes())
    };
    assert_eq!(book.frames.iter().filter(|frame| told(frame)).count(), 2);
    // The last frame is the last line: that the adapter stays where it was, and why.
    assert!(told(book.frames.last().unwrap()));
    assert!(book.lines.last().unwrap().contains(&cause));
}
