//! `fastlinq model serve` as a process: sockets, commands, peers that come and go, a clean end.

mod served;

use std::path::Path;
use std::process::Command;

use served::{Served, negotiate};

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).expect("a directory").count() == 0
}

#[test]
fn peers_come_and_go_and_sigterm_ends_it_cleanly() {
    let served = Served::start(&[], 1);
    for _ in 0..3 {
        negotiate(&mut served.connect("0"));
    }
    let (status, said, directory) = served.end();
    assert!(status.success(), "{status}: {said}");
    assert!(is_empty(directory.path()), "the sockets are removed");
}

#[test]
fn a_test_that_panics_leaves_no_adapter_behind() {
    let served = Served::start(&[], 1);
    let id = served.process.id();
    let process = format!("/proc/{id}");
    assert!(Path::new(&process).exists());
    let test = std::thread::spawn(move || {
        let _served = served;
        panic!("as a test that fails");
    });
    assert!(test.join().is_err());
    // It was waited for, too: not even a zombie has its number.
    assert!(!Path::new(&process).exists(), "{id} still runs");
}

#[test]
fn every_function_has_its_socket() {
    let served = Served::start(&["--ports", "2", "--wire", "patch"], 2);
    let mut first = served.connect("0");
    negotiate(&mut served.connect("1"));
    negotiate(&mut first);
    let (status, said, _directory) = served.end();
    assert!(status.success(), "{said}");
    assert!(said.contains("2 port(s), 2 function(s)"), "{said}");
}

#[test]
fn commands_are_obeyed_or_refused() {
    let served = Served::start(&["--wire", "loopback"], 1);
    assert_eq!(served.tell("link 0 down"), "ok");
    assert_eq!(served.tell("link 0 up"), "ok");
    assert_eq!(served.tell("link 1 up"), "error: there is no port 1");
    assert!(served.tell("dance").starts_with("error: commands are"));
    assert_eq!(
        served.tell("inject 0 2 ffffffffffff020000000001080000"),
        "ok"
    );
    assert!(
        served
            .tell("counters")
            .contains("frames_dropped_link_down: 2")
    );
    assert_eq!(served.tell("violations"), "ok 0 broken rules");
    assert!(served.end().0.success());
}

/// An adapter that is pulled answers as an empty slot does.
#[test]
fn an_unplugged_adapter_is_gone_until_it_is_plugged() {
    let served = Served::start(&[], 1);
    assert_eq!(served.tell("unplug"), "ok");
    let adapter = format!("vfio-user:{}", served.path("0").display());
    let up = || {
        let output = Command::new(env!("CARGO_BIN_EXE_fastlinq"))
            .args(["up", "--json", "--firmware", "synthetic"])
            .args(["--adapter", &adapter])
            .output()
            .expect("the tool runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, said) = up();
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("all ones"), "{said}");
    assert_eq!(served.tell("plug"), "ok");
    let (code, said) = up();
    assert_eq!(code, Some(0), "{said}");
    assert!(served.end().0.success());
}

#[test]
fn impossible_arguments_are_refused() {
    for arguments in [
        &["--wire", "string"][..],
        &["--wire", "tap:"],
        &["--wire", "tap:a-name-that-no-interface-has"],
        &["--wire", "pcap:/nonexistent"],
        &["--persona", "nobody"],
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let output = Command::new(env!("CARGO_BIN_EXE_fastlinq"))
            .args(["model", "serve", "--socket"])
            .arg(directory.path().join("socket"))
            .args(arguments)
            .output()
            .expect("a process");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

/// A management firmware that does not answer is waited for in the time of this machine here, as a card's would be.
#[test]
fn a_step_that_takes_long_is_seen_to_go_on() {
    let served = Served::start(&["--persona", "silent"], 1);
    let adapter = format!("vfio-user:{}", served.path("0").display());
    let output = Command::new(env!("CARGO_BIN_EXE_fastlinq"))
        .args([
            "up",
            "--json",
            "--firmware",
            "synthetic",
            "--adapter",
            &adapter,
        ])
        .output()
        .expect("the tool runs");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).expect("text");
    let lines: Vec<_> = errors.lines().collect();
    assert!((2..20).contains(&lines.len()), "{errors}");
    for line in lines {
        assert!(line.contains("Reset -> McpReady for "), "{line}");
    }
    assert!(
        !errors.contains('\u{1b}'),
        "no bar where there is no terminal"
    );
    // The report is whole, and alone on the other pipe.
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["failure"]["state"], "Reset");
    assert_eq!(report["failure"]["raw_value"], "0x00000000");
    served.end();
}
