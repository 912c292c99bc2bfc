//! The program as a user runs it.

use std::process::Command;

#[test]
fn every_datagram_comes_back() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-echo"))
        .args(["--datagrams", "500"])
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("192.168.77.1 answers on port 7"), "{text}");
    assert!(text.contains("500 datagrams answered"), "{text}");
    assert!(
        text.contains("got 500 of 500 datagrams back, unchanged"),
        "{text}"
    );
}
