//! The program as a user runs it.

use std::process::Command;

#[test]
fn both_queues_forward_and_no_buffer_is_lost() {
    runs(&[], &["queue 0: ", "queue 1: "]);
}

/// The second port has a loopback, so what passes both comes back to the visitor.
#[test]
fn two_ports_forward_to_each_other() {
    let queues = [
        "queue 0: ",
        "queue 1: ",
        "other port, queue 0: ",
        "other port, queue 1: ",
    ];
    runs(&["--to", "model"], &queues);
}

#[track_caller]
fn runs(arguments: &[&str], queues: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_example-forward"))
        .args(["--queues", "2", "--seconds", "2"])
        .args(arguments)
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("/s ("), "rates are shown: {text}");
    for queue in queues {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(*queue))
            .expect(queue);
        let frames: u64 = line
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .expect("a number");
        assert!(frames > 0, "{queue}{line}");
        assert!(line.ends_with(" 0 buffers missing"), "{line}");
    }
    let visitor = text
        .lines()
        .find(|line| line.starts_with("the visitor"))
        .expect("the visitor's line");
    let numbers: Vec<u64> = visitor
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    assert!(
        numbers[1] > 100 && numbers[0] - numbers[1] <= 600,
        "{visitor}"
    );
}
