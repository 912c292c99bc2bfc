//! The tool as a user runs it: exit codes, words and JSON.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn fastlinq(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fastlinq"))
        .args(arguments)
        .output()
        .expect("the tool runs")
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[track_caller]
fn ends_with(code: i32, arguments: &[&str]) -> String {
    let output = fastlinq(arguments);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

#[track_caller]
fn json(code: i32, arguments: &[&str]) -> Value {
    let output = fastlinq(arguments);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {}",
        text(&output)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn facts(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/facts")
        .join(name)
}

#[test]
fn personas_that_let_an_adapter_up_do_so_on_both_chips() {
    for persona in [
        "modern",
        "bist-unsupported",
        "bist-unsupported-nonzero",
        "bist-error",
        "zero-images",
        "absurd-images",
        "slow",
    ] {
        for chip in ["k2", "bb"] {
            let report = json(
                0,
                &[
                    "up",
                    "--json",
                    "--persona",
                    persona,
                    "--chip",
                    chip,
                    "--firmware",
                    "synthetic",
                ],
            );
            let states: Vec<_> = report["steps"]
                .as_array()
                .expect("steps")
                .iter()
                .map(|step| &step["to"])
                .collect();
            assert_eq!(
                states,
                ["McpReady", "NvmPopulated", "Up", "Reset"],
                "{persona} {chip}"
            );
            assert!(report["failure"].is_null());
            assert_eq!(report["storm_firmware"], "8.59.1.0");
            assert_eq!(report["storm_firmware_is_genuine"], false);
            assert!(report["link"].as_str().expect("a link").contains("up"));
        }
    }
}

#[test]
fn what_bist_answered_is_told_apart() {
    let bist = |persona| {
        let report = json(
            0,
            &[
                "up",
                "--json",
                "--persona",
                persona,
                "--firmware",
                "synthetic",
            ],
        );
        let warnings = report["warnings"].as_array().expect("warnings").len();
        (
            report["bist"].as_str().expect("an answer").to_string(),
            warnings,
        )
    };
    assert!(bist("modern").0.contains("13 images"));
    assert_eq!(
        bist("bist-unsupported"),
        ("BIST_TEST: not supported (0x0000, parameter 0)".into(), 0)
    );
    assert_eq!(
        bist("bist-unsupported-nonzero"),
        ("BIST_TEST: not supported (0x0000, parameter 5)".into(), 0)
    );
    let (answer, warnings) = bist("bist-error");
    assert!(answer.contains("refused") && warnings == 1);
}

#[test]
fn a_refusal_names_layer_command_and_raw_reply() {
    let report = json(
        1,
        &[
            "up",
            "--json",
            "--persona",
            "load-refused",
            "--firmware",
            "synthetic",
        ],
    );
    let failure = &report["failure"];
    assert_eq!(failure["state"], "NvmPopulated");
    assert_eq!(failure["layer"], "management firmware");
    assert!(
        failure["command"]
            .as_str()
            .expect("a command")
            .contains("LOAD_REQ")
    );
    assert!(
        failure["raw_reply"]
            .as_str()
            .expect("a reply")
            .contains("0x1031")
    );
    let transcript = failure["transcript"].as_array().expect("a transcript");
    assert!(
        transcript
            .last()
            .expect("exchanges")
            .as_str()
            .expect("text")
            .contains("LOAD_REQ")
    );
}

#[test]
fn personas_that_cannot_be_brought_up_end_with_exit_code_1() {
    for (persona, command) in [
        ("silent", "GET_MFW_FEATURE_SUPPORT (0x0031)"),
        ("halted", "GET_MFW_FEATURE_SUPPORT (0x0031)"),
        ("stale-sequence", "GET_MFW_FEATURE_SUPPORT (0x0031)"),
        ("lock-busy", "RESOURCE_CMD (0x0023)"),
        ("no-ports", "read of 0x0e24764"),
        ("absent", "read of 0x0008c20"),
        ("never-boots", "read of 0x0e243a0"),
    ] {
        let said = ends_with(1, &["up", "--persona", persona, "--firmware", "synthetic"]);
        for part in [
            "layer at fault: management firmware",
            &format!("command: {command}"),
            "\nraw ",
            "exchanges with the management firmware",
        ] {
            assert!(
                said.contains(part),
                "{persona}: {part:?} is missing in {said}"
            );
        }
        let report = json(
            1,
            &[
                "up",
                "--json",
                "--persona",
                persona,
                "--firmware",
                "synthetic",
            ],
        );
        let failure = &report["failure"];
        for field in ["state", "layer", "sentence", "command", "raw_value"] {
            assert!(
                failure[field].is_string(),
                "{persona}: {field} in {failure}"
            );
        }
        assert!(failure["transcript"].is_array());
    }
    ends_with(
        1,
        &[
            "up",
            "--persona",
            "bist-error",
            "--strict",
            "--firmware",
            "synthetic",
        ],
    );
}

#[test]
fn no_colour_goes_into_a_pipe() {
    for arguments in [
        &["up", "--firmware", "synthetic"][..],
        &["up", "--persona", "silent"],
    ] {
        assert!(!text(&fastlinq(arguments)).contains('\u{1b}'));
    }
}

#[test]
fn frames_come_back_unchanged() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("frames.pcap");
    let back = folder.path().join("back.pcap");
    let path = capture.to_str().expect("text");
    ends_with(0, &["sample", path, "--frames", "3000"]);
    for chip in ["k2", "bb"] {
        let report = json(
            0,
            &[
                "loop",
                path,
                "--json",
                "--chip",
                chip,
                "--firmware",
                "synthetic",
                "--write",
                back.to_str().expect("text"),
            ],
        );
        assert_eq!(report["frames"], 3000);
        assert_eq!(report["unchanged"], 3000);
        assert_eq!(report["violations"], 0);
    }
    assert_eq!(
        std::fs::metadata(&capture).expect("the capture").len(),
        std::fs::metadata(&back).expect("what came back").len()
    );
}

#[test]
fn equal_seeds_give_equal_captures() {
    let folder = tempfile::tempdir().expect("a folder");
    let make = |name: &str, seed: &str| {
        let path = folder.path().join(name);
        ends_with(
            0,
            &[
                "sample",
                path.to_str().expect("text"),
                "--frames",
                "50",
                "--seed",
                seed,
            ],
        );
        std::fs::read(path).expect("a capture")
    };
    assert_eq!(make("a", "7"), make("b", "7"));
    assert_ne!(make("a", "7"), make("c", "8"));
}

#[test]
fn files_that_are_none_of_ours_end_with_exit_code_2_and_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("nonsense");
    std::fs::write(
        &file,
        b"this is neither a capture nor a firmware file, whoever looks at it",
    )
    .expect("a file");
    let path = file.to_str().expect("text");
    assert!(ends_with(2, &["loop", path]).contains("nonsense"));
    assert!(ends_with(2, &["firmware", path]).contains("storm firmware file"));
    assert!(ends_with(2, &["up", "--firmware", path]).contains("storm firmware file"));
    ends_with(2, &["loop", "/does/not/exist"]);
    ends_with(2, &["up", "--persona", "nobody"]);
    ends_with(2, &["up", "--ports", "3"]);
    ends_with(2, &["frobnicate"]);
}

#[test]
fn a_truncated_firmware_file_is_refused_with_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = fastlinq_model::firmware_image::synthetic_image();
    for length in [0, 3, 100, image.len() / 2, image.len() - 1] {
        let file = folder.path().join(format!("cut-{length}"));
        std::fs::write(&file, &image[..length]).expect("a file");
        ends_with(2, &["firmware", file.to_str().expect("text")]);
    }
}

#[test]
fn inspection_gives_the_golden_checksums() {
    for version in ["8.59.1.0", "8.42.2.0"] {
        let golden = std::fs::read(facts(&format!("fw/fwstats-{version}.json")));
        let folder = std::env::var_os("FASTLINQ_FIRMWARE_DIR")
            .map_or("/lib/firmware/qed".into(), PathBuf::from);
        let file = folder.join(format!("qed_init_values_zipped-{version}.bin"));
        let (Ok(golden), true) = (golden, file.exists()) else {
            eprintln!(
                "SKIPPED: no golden checksums or no genuine firmware {version} on this machine"
            );
            continue;
        };
        let golden: Value = serde_json::from_slice(&golden).expect("JSON");
        let report = json(0, &["firmware", "--json", file.to_str().expect("text")]);
        let walks = report["walks"].as_array().expect("walks");
        assert_eq!(walks.len(), 40);
        for walk in walks {
            let modes = walk["modes"].as_str().expect("modes");
            let phase = walk["phase"].as_str().expect("a phase");
            assert_eq!(
                walk["crc32"], golden["emulated"][modes][phase]["crc32"],
                "{modes} {phase}"
            );
        }
    }
}

#[test]
fn help_names_every_command() {
    let help = ends_with(0, &["--help"]);
    for command in [
        "up",
        "loop",
        "firmware",
        "personas",
        "sample",
        "capabilities",
        "model",
        "trace",
    ] {
        assert!(help.contains(command), "{command}");
        let own = ends_with(0, &[command, "--help"]);
        // Every option and argument says what it is: none stands alone on its line.
        for (line, next) in own.lines().zip(own.lines().skip(1)) {
            let option = line.trim_start();
            let alone = option.starts_with("--") && !option.contains("  ");
            assert!(
                !alone || next.starts_with("          "),
                "{command}: {line}"
            );
        }
    }
    for command in ["up", "loop"] {
        let help = ends_with(0, &[command, "--help"]);
        for code in ["Exit code 0:", "1:", "2:"] {
            assert!(help.contains(code), "{command}: {code}");
        }
    }
}
