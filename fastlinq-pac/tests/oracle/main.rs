//! Compares what the crate says with an independent collection of facts.
//!
//! The facts were extracted from the drivers' headers and from the firmware files by other means than this
//! crate's descriptions. They are not part of the repository: where their folder is absent, the tests say so
//! and pass. Each comparison returns how much it compared, and has a test that it notices a changed fact.

mod bar;
mod codes;
mod layouts;
mod reflection;
mod registers;
mod versions;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

/// What a comparison found.
#[derive(Default)]
struct Findings {
    compared: usize,
    differences: Vec<String>,
}

impl Findings {
    fn check(
        &mut self,
        what: &str,
        ours: impl PartialEq + std::fmt::Debug,
        theirs: impl PartialEq + std::fmt::Debug,
    ) {
        let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
        self.compared += 1;
        if ours != theirs {
            self.differences
                .push(format!("{what}: {ours}, the facts say {theirs}"));
        }
    }

    fn differ(&mut self, what: String) {
        self.differences.push(what);
    }

    fn assert(self, expected: usize) {
        assert!(
            self.differences.is_empty(),
            "{}",
            self.differences.join("\n")
        );
        assert_eq!(self.compared, expected, "number of comparisons");
    }
}

/// The facts of one file, or `None`, said aloud, where they are absent.
fn facts(file: &str) -> Option<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/facts")
        .join(file);
    let Ok(text) = fs::read_to_string(&path) else {
        // Not by a macro: the test harness would keep the line to itself.
        let line = format!(
            "SKIPPED: no facts at {}; nothing was compared\n",
            path.display()
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A number as such or as text ("0x1f").
fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap(),
        other => other.as_u64().unwrap(),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn object(value: &Value) -> &serde_json::Map<String, Value> {
    value.as_object().unwrap()
}
