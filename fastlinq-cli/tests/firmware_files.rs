//! Firmware files as users have them: other versions, compressed, damaged, too large, no files at all.

use std::path::{Path, PathBuf};
use std::process::Command;

use fastlinq_model::firmware_image::synthetic_image;
use serde_json::Value;

struct Run {
    code: i32,
    report: Option<Value>,
    errors: String,
}

fn fastlinq(command: &str, file: &Path) -> Run {
    let mut tool = Command::new(env!("CARGO_BIN_EXE_fastlinq"));
    match command {
        "firmware" => tool.args(["firmware", "--json"]).arg(file),
        "up" => tool.args(["up", "--json", "--firmware"]).arg(file),
        other => panic!("{other}"),
    };
    let output = tool.output().expect("the tool runs");
    Run {
        code: output.status.code().expect("no signal"),
        report: serde_json::from_slice(&output.stdout).ok(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Both commands refuse the file, with this in the reason, before there is anything to report.
#[track_caller]
fn refused(file: &Path, reason: &str) {
    for command in ["firmware", "up"] {
        let run = fastlinq(command, file);
        assert_eq!(run.code, 2, "{command}: {}", run.errors);
        assert!(run.errors.contains(reason), "{command}: {}", run.errors);
        assert!(run.report.is_none());
    }
}

fn written(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// The files that a distribution has installed; none where it has not.
fn installed() -> Vec<PathBuf> {
    let folder =
        std::env::var_os("FASTLINQ_FIRMWARE_DIR").map_or("/lib/firmware/qed".into(), PathBuf::from);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("qed_init_values_zipped-"))
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect()
}

#[test]
fn every_installed_file_is_inspected_and_run_or_refused_by_its_version() {
    let files = installed();
    if files.is_empty() {
        eprintln!("SKIPPED: no genuine firmware on this machine (package firmware-qlogic)");
    }
    for file in files {
        let name = file
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let version = name.rsplit('-').next().expect("a version");
        // The last number in a file is the build's own.
        let family = version.rsplit_once('.').expect("four numbers").0;
        let run = fastlinq("firmware", &file);
        assert_eq!(run.code, 0, "{name}: {}", run.errors);
        let report = run.report.expect("JSON");
        assert!(
            report["version"]
                .as_str()
                .expect("text")
                .starts_with(family),
            "{name}: {}",
            report["version"]
        );
        let walks = report["walks"].as_array().expect("walks");
        assert_eq!(walks.len(), 40, "{name}");
        let engines = walks.iter().filter(|walk| walk["phase"] == "ENGINE");
        for engine in engines {
            let dwords = engine["dwords"].as_u64().expect("a number");
            assert!((400_000..800_000).contains(&dwords), "{name}: {engine}");
            assert!(engine["reads"].as_u64() > Some(20), "{name}: {engine}");
        }
        let up = fastlinq("up", &file);
        if report["runnable"] == true {
            assert_eq!(up.code, 0, "{name}: {}", up.errors);
        } else {
            let why = report["not_runnable"].as_str().expect("a reason");
            assert_eq!(up.code, 2, "{name}");
            assert!(up.errors.contains(why), "{name}: {}", up.errors);
            assert!(why.contains(family) && why.contains("8.59.1.0"), "{why}");
        }
    }
}

#[test]
fn a_file_as_distributions_compress_it_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for (magic, tool) in [
        (&b"\x1f\x8b\x08\x08"[..], "gzip -d"),
        (b"\xfd7zXZ\0\0\x04", "xz -d"),
        (b"\x28\xb5\x2f\xfd\xa4\x38", "zstd -d"),
    ] {
        let bytes = [magic, &synthetic_image()].concat();
        refused(&written(&folder, "compressed", &bytes), tool);
    }
}

#[test]
fn a_damaged_array_is_found_before_the_adapter_is_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = synthetic_image();
    let stream = bytes.windows(2).position(|pair| pair == [0x78, 0xda]);
    bytes[stream.expect("a zlib stream") + 20] ^= 0x40;
    refused(&written(&folder, "damaged", &bytes), "does not inflate");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = synthetic_image();
    for eighth in 0..8 {
        let length = good.len() * eighth / 8;
        refused(
            &written(&folder, "cut", &good[..length]),
            "storm firmware file",
        );
    }
}

#[test]
fn variables_of_another_version_are_refused_by_a_bring_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = synthetic_image();
    // The first byte of the variable section.
    let section = u32::from_le_bytes(bytes[36..40].try_into().expect("four bytes"));
    bytes[4 + section as usize + 12] ^= 1;
    let file = written(&folder, "foreign", &bytes);
    let report = fastlinq("firmware", &file)
        .report
        .expect("it can be inspected");
    assert_eq!(report["runnable"], false);
    let up = fastlinq("up", &file);
    assert_eq!(up.code, 2);
    assert!(up.errors.contains("firmware variables"), "{}", up.errors);
}

#[test]
fn what_is_no_file_or_too_large_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let large = folder.path().join("large");
    let file = std::fs::File::create(&large).expect("a file");
    file.set_len(40 << 20).expect("its size");
    refused(&large, "too many");
    // A device without an end.
    refused(Path::new("/dev/zero"), "too many");
    refused(folder.path(), "directory");
    refused(Path::new("/does/not/exist"), "No such file");
    refused(
        &written(&folder, "text", &[b'a'; 3000]),
        "storm firmware file",
    );
    refused(
        &written(&folder, "zeros", &[0; 3000]),
        "storm firmware file",
    );
}

#[test]
fn an_image_is_written_for_other_drivers() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("qed_init_values-8.40.33.0.bin");
    let output = Command::new(env!("CARGO_BIN_EXE_fastlinq"))
        .args([
            "firmware",
            "--json",
            "synthetic:8.40.33.0,unzipped",
            "--write",
        ])
        .arg(&file)
        .output()
        .expect("the tool runs");
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let size = std::fs::metadata(&file).expect("a file").len();
    assert_eq!(report["bytes"], size);
    assert_eq!(report["version"], "8.40.33.0");
    // What is written is what was inspected, and the compressed image makes the same of a chip.
    let again = fastlinq("firmware", &file).report.expect("JSON");
    let zipped = fastlinq("firmware", Path::new("synthetic:8.40.33.0"));
    assert_eq!(again["walks"], report["walks"]);
    let zipped = zipped.report.expect("JSON");
    let sums = |report: &Value| -> Vec<Value> {
        let walks = report["walks"].as_array().expect("walks");
        walks.iter().map(|walk| walk["crc32"].clone()).collect()
    };
    assert_eq!(sums(&zipped), sums(&again));
    assert!(!sums(&again).is_empty());
}

#[test]
fn synthetic_images_are_had_by_version() {
    for version in ["8.59.1.0", "8.42.2.0", "8.40.33.0"] {
        let name = format!("synthetic:{version}");
        let report = fastlinq("up", Path::new(&name)).report.expect("JSON");
        assert_eq!(report["storm_firmware"], version);
        assert_eq!(report["storm_firmware_is_genuine"], false);
        assert!(report["failure"].is_null(), "{report}");
    }
    for name in [
        "synthetic:8.10.10.0",
        "synthetic:",
        "synthetic:8.59.1",
        "synthetic:a.b.c.d",
    ] {
        refused(Path::new(name), "8.59.1.0");
    }
}
