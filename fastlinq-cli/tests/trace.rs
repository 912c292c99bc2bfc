//! Traces from the command line: recorded, shown, compared.

use std::path::Path;
use std::process::{Command, Output};

fn fastlinq(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fastlinq"))
        .args(arguments)
        .output()
        .expect("the tool runs")
}

#[track_caller]
fn ends_with(code: i32, arguments: &[&str]) -> String {
    let output = fastlinq(arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {text}{errors}"
    );
    text + &errors
}

/// A trace of going up and down with the synthetic firmware.
fn record(folder: &Path, name: &str, more: &[&str]) -> String {
    let path = folder.join(name).display().to_string();
    let mut arguments = vec![
        "up",
        "--firmware",
        "synthetic",
        "--ports",
        "1",
        "--trace",
        &path,
    ];
    arguments.extend(more);
    ends_with(0, &arguments);
    path
}

#[test]
fn a_recorded_bring_up_is_shown_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let trace = record(folder.path(), "a.trace", &[]);
    let registers = ends_with(0, &["trace", "show", &trace, "--only", "registers"]);
    assert!(registers.contains("IGU.PF_CONFIGURATION"), "{registers}");
    let mailbox = ends_with(0, &["trace", "show", &trace, "--only", "mailbox"]);
    for line in ["MFW LOAD_REQ", "MFW UNLOAD_DONE", "-> DRV_LOAD_ENGINE"] {
        assert!(mailbox.contains(line), "{mailbox}");
    }
    assert!(!mailbox.contains("IGU."), "{mailbox}");
    let ramrods = ends_with(0, &["trace", "show", &trace, "--only", "ramrods"]);
    assert!(
        ramrods.contains("event_ring_pbl_addr = an address"),
        "{ramrods}"
    );
    let dma = ends_with(0, &["trace", "show", &trace, "--only", "dma"]);
    assert!(dma.contains("DMAE command"), "{dma}");
}

#[test]
fn equal_bring_ups_have_no_difference_and_others_do() {
    let folder = tempfile::tempdir().unwrap();
    let a = record(folder.path(), "a.trace", &[]);
    let b = record(folder.path(), "b.trace", &[]);
    let text = ends_with(0, &["trace", "diff", &a, &b]);
    assert!(text.contains("0 differences"), "{text}");
    assert!(text.contains("register writes by the CPU"), "{text}");

    let other = record(folder.path(), "c.trace", &["--persona", "bist-unsupported"]);
    let text = ends_with(1, &["trace", "diff", &a, &other]);
    assert!(text.contains("mailbox/BIST_TEST"), "{text}");

    let list = folder.path().join("list.toml");
    let entry = "[[difference]]\nitem = \"*\"\nwhat = \"any\"\nreason = \"a test\"\n";
    std::fs::write(&list, entry).unwrap();
    let list = list.display().to_string();
    ends_with(0, &["trace", "diff", &a, &other, "--reviewed", &list]);
}

#[test]
fn what_is_no_trace_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, "this is a text and no trace").unwrap();
    let path = path.display().to_string();
    let text = ends_with(2, &["trace", "show", &path]);
    assert!(text.contains("this is no trace"), "{text}");
    ends_with(2, &["trace", "diff", &path, &path]);

    let bb = record(folder.path(), "bb.trace", &["--chip", "bb"]);
    let k2 = record(folder.path(), "k2.trace", &[]);
    let text = ends_with(2, &["trace", "diff", &bb, &k2]);
    assert!(text.contains("different chips"), "{text}");
}
