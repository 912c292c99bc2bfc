//! The program as a user runs it, and the README that shows it.

use std::process::Command;

#[test]
fn it_goes_up_on_the_software_adapter() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-bring-up"))
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("management firmware 8."), "{text}");
    assert!(text.contains("Up, PF 0"), "{text}");
}

#[test]
fn it_says_what_is_wrong() {
    for arguments in [
        &["no-such-adapter"][..],
        &["model", "/no/such/file"],
        &["vfio-user:/no/such/socket"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_example-bring-up"))
            .args(arguments)
            .output()
            .expect("runs");
        assert!(!output.status.success(), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn the_readme_shows_this_very_program() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let readme = std::fs::read_to_string(format!("{root}/README.md")).expect("there");
    let program = include_str!("../src/main.rs");
    let (_, program) = program
        .split_once("\n\n")
        .expect("a comment, then the program");
    assert!(
        readme.contains(&format!("```rust\n{program}```")),
        "README.md and examples/bring-up differ"
    );
}
