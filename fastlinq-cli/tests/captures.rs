//! `fastlinq loop` on captures of every kind: formats, byte orders, frames that no wire carries, damage.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// How a classic capture is written down.
#[derive(Clone, Copy)]
struct Pcap {
    big_endian: bool,
    nanoseconds: bool,
    link: u32,
    snaplen: u32,
}

const PCAP: Pcap = Pcap {
    big_endian: false,
    nanoseconds: false,
    link: 1,
    snaplen: 65_535,
};

impl Pcap {
    fn word(self, value: u32) -> [u8; 4] {
        if self.big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }

    fn half(self, value: u16) -> [u8; 2] {
        if self.big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }

    fn header(self) -> Vec<u8> {
        let magic = if self.nanoseconds {
            0xa1b2_3c4d
        } else {
            0xa1b2_c3d4
        };
        let mut file = self.word(magic).to_vec();
        file.extend(self.half(2));
        file.extend(self.half(4));
        file.extend([0; 8]);
        file.extend(self.word(self.snaplen));
        file.extend(self.word(self.link));
        file
    }

    /// A record that claims so many captured bytes and so many on the line.
    fn record(self, file: &mut Vec<u8>, captured: u32, original: u32, data: &[u8]) {
        file.extend(self.word(1_700_000_000));
        file.extend(self.word(999));
        file.extend(self.word(captured));
        file.extend(self.word(original));
        file.extend_from_slice(data);
    }

    fn file(self, frames: &[Vec<u8>]) -> Vec<u8> {
        let mut file = self.header();
        for frame in frames {
            let length = frame.len() as u32;
            self.record(&mut file, length, length, frame);
        }
        file
    }
}

/// A broadcast frame, its bytes all different from its neighbours'.
fn frame(length: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    frame.extend((14..length.max(14)).map(|at| (at * 7 + length) as u8));
    frame.truncate(length);
    frame
}

/// A pcapng block.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let length = (padded.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &padded, &length].concat()
}

/// A pcapng file with one interface, and a frame in each kind of packet block.
fn pcapng(link: u16, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut section = 0x1a2b_3c4du32.to_le_bytes().to_vec();
    section.extend([1, 0, 0, 0]);
    section.extend([0xff; 8]);
    let mut interface = link.to_le_bytes().to_vec();
    interface.extend([0; 6]);
    let mut file = block(0x0a0d_0d0a, &section);
    file.extend(block(1, &interface));
    for (number, frame) in frames.iter().enumerate() {
        let length = (frame.len() as u32).to_le_bytes();
        let packet = match number % 3 {
            // Enhanced: interface, time, captured, original.
            0 => block(6, &[&[0; 12][..], &length, &length, frame].concat()),
            // Simple: original.
            1 => block(3, &[&length[..], frame].concat()),
            // Obsolete: interface and drops, time, captured, original.
            _ => block(2, &[&[0; 12][..], &length, &length, frame].concat()),
        };
        file.extend(packet);
    }
    // A block that nobody knows is nobody's frame.
    file.extend(block(0x0bad_0bad, &[1, 2, 3, 4]));
    file
}

struct Run {
    code: i32,
    report: Option<Value>,
    errors: String,
}

impl Run {
    fn count(&self, name: &str) -> u64 {
        let report = self.report.as_ref().expect("a report");
        report[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {report}"))
    }

    fn text(&self, name: &str) -> &str {
        let report = self.report.as_ref().expect("a report");
        report[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name}: {report}"))
    }

    #[track_caller]
    fn assert_counts(&self, code: i32, frames: u64, unchanged: u64, refused: u64) {
        let counts = (
            self.count("frames"),
            self.count("unchanged"),
            self.count("refused"),
        );
        assert_eq!(counts, (frames, unchanged, refused), "{:?}", self.report);
        assert_eq!(self.count("changed") + self.count("lost"), 0);
        assert_eq!(self.code, code, "{:?} {}", self.report, self.errors);
    }
}

fn run(file: &[u8], extra: &[&str]) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join("frames");
    std::fs::write(&path, file).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_fastlinq"))
        .args(["loop", "--json", "--firmware", "synthetic"])
        .args(extra)
        .arg(&path)
        .output()
        .expect("the tool runs");
    Run {
        code: output.status.code().expect("no signal"),
        report: serde_json::from_slice(&output.stdout).ok(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn frames() -> Vec<Vec<u8>> {
    [60, 61, 1514, 9000, 64].map(frame).to_vec()
}

#[test]
fn both_byte_orders_and_resolutions_are_read() {
    for big_endian in [false, true] {
        for nanoseconds in [false, true] {
            let form = Pcap {
                big_endian,
                nanoseconds,
                ..PCAP
            };
            let run = run(&form.file(&frames()), &[]);
            run.assert_counts(0, 5, 5, 0);
            assert_eq!(run.count("bytes"), 60 + 61 + 1514 + 9000 + 64);
        }
    }
}

#[test]
fn every_packet_block_of_pcapng_is_a_frame() {
    run(&pcapng(1, &frames()), &[]).assert_counts(0, 5, 5, 0);
}

#[test]
fn frames_of_other_links_are_refused_by_name() {
    for (link, name) in [(113, "LINUX_SLL"), (101, "RAW"), (105, "IEEE802_11")] {
        for file in [
            Pcap { link, ..PCAP }.file(&frames()),
            pcapng(link as u16, &frames()),
        ] {
            let run = run(&file, &[]);
            assert_eq!(run.code, 2, "{}", run.errors);
            let said = match &run.report {
                Some(_) => run.text("capture_problem").to_owned(),
                None => run.errors.clone(),
            };
            assert!(
                said.contains(&link.to_string()) && said.contains(name),
                "{said}"
            );
        }
    }
}

#[test]
fn frames_cut_by_the_capture_are_sent_as_far_as_they_go() {
    let form = Pcap {
        snaplen: 96,
        ..PCAP
    };
    let mut file = form.header();
    for original in [60, 96, 97, 1514, 9000] {
        let captured = original.min(96);
        form.record(&mut file, captured, original, &frame(captured as usize));
    }
    let run = run(&file, &[]);
    run.assert_counts(0, 5, 5, 0);
    assert_eq!(run.count("cut"), 3);
}

#[test]
fn frames_that_are_padded_on_the_wire_come_back() {
    let short: Vec<_> = (14..60).map(frame).collect();
    run(&PCAP.file(&short), &[]).assert_counts(0, 46, 46, 0);
}

#[test]
fn frames_that_no_wire_carries_are_refused_and_the_others_go_on() {
    for length in [0, 1, 13, 9_673, 16_384, 16_385, 60_000] {
        let file = PCAP.file(&[frame(60), frame(length), frame(61)]);
        let run = run(&file, &[]);
        run.assert_counts(1, 3, 2, 1);
        let problem = run.text("first_problem");
        assert!(problem.contains("frame 2"), "{problem}");
        assert!(problem.contains(&length.to_string()), "{problem}");
    }
}

#[test]
fn an_empty_capture_proves_nothing_and_says_so() {
    for file in [PCAP.header(), pcapng(1, &[])] {
        let run = run(&file, &[]);
        run.assert_counts(2, 0, 0, 0);
        assert!(run.text("capture_problem").contains("no frame"));
    }
}

#[test]
fn what_is_no_capture_is_refused_before_anything_is_done() {
    let elf = b"\x7fELF\x02\x01\x01 and so on".to_vec();
    for (file, word) in [
        (Vec::new(), "no capture file"),
        (vec![0xd4], "no capture file"),
        (elf, "no capture file"),
        (vec![0; 5000], "no capture file"),
        (PCAP.header()[..20].to_vec(), "inside its header"),
    ] {
        let run = run(&file, &[]);
        assert_eq!(run.code, 2);
        assert!(run.errors.contains(word), "{}", run.errors);
        assert!(run.report.is_none());
    }
}

#[test]
fn frames_before_the_damage_are_compared() {
    let mut good = PCAP.file(&frames());
    let cut_short = good[..good.len() - 3].to_vec();
    let mut huge = good.clone();
    // The last record, of 64 bytes, claims two gigabytes.
    let last = huge.len() - 64 - 16;
    huge[last + 8..last + 12].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    good.extend([1, 2, 3, 4, 5]);
    for (file, whole, place) in [
        (cut_short, 4, "frame 5"),
        (huge, 4, "frame 5"),
        (good, 5, "frame 6"),
    ] {
        let run = run(&file, &[]);
        run.assert_counts(2, whole, whole, 0);
        let problem = run.text("capture_problem");
        assert!(problem.contains(place), "{problem}");
    }
}

#[test]
fn an_adapter_that_does_not_come_up_is_reported_as_json_too() {
    for (persona, state, layer) in [
        ("silent", "Reset", "management firmware"),
        ("load-refused", "NvmPopulated", "management firmware"),
    ] {
        let run = run(&PCAP.file(&frames()), &["--persona", persona]);
        assert_eq!(run.code, 1);
        let failure = &run.report.as_ref().expect("a report")["failure"];
        assert_eq!(failure["state"], state);
        assert_eq!(failure["layer"], layer);
        assert!(failure["command"].is_string() && failure["raw_value"].is_string());
        assert!(!failure["transcript"].as_array().expect("a list").is_empty());
    }
}

#[test]
fn a_refused_inventory_does_not_keep_frames_from_passing() {
    let run = run(&PCAP.file(&frames()), &["--persona", "bist-error"]);
    run.assert_counts(0, 5, 5, 0);
    let warnings = run.report.as_ref().expect("a report")["warnings"].clone();
    assert_eq!(warnings.as_array().map(Vec::len), Some(1), "{warnings}");
}

#[test]
fn every_described_firmware_version_passes_frames_on_both_chips() {
    for version in ["8.59.1.0", "8.42.2.0", "8.40.33.0"] {
        for chip in ["k2", "bb"] {
            let firmware = format!("synthetic:{version}");
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("frames");
            std::fs::write(&path, PCAP.file(&frames())).expect("a file");
            let output = Command::new(env!("CARGO_BIN_EXE_fastlinq"))
                .args(["loop", "--json", "--firmware", &firmware, "--chip", chip])
                .arg(&path)
                .output()
                .expect("the tool runs");
            let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(report["unchanged"], 5, "{version} {chip}: {report}");
            assert_eq!(output.status.code(), Some(0));
        }
    }
}
