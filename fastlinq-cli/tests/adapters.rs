//! Adapters that are not in the tool's own process: a machine's, in fake trees of the kernel's files, and served ones.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const ADDRESS: &str = "0000:3b:00.0";

fn fastlinq(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fastlinq"))
        .args(arguments)
        .output()
        .expect("the tool runs")
}

#[track_caller]
fn ends_with(code: i32, arguments: &[&str]) -> String {
    let output = fastlinq(arguments);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

#[track_caller]
fn json(code: i32, arguments: &[&str]) -> Value {
    let output = fastlinq(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A tree with one adapter that is well and has no driver.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir_all(tree.file("")).expect("made");
        let mut config = vec![0u8; 256];
        config[..5].copy_from_slice(&[0x77, 0x10, 0x70, 0x80, 2]);
        for (name, text) in [
            ("vendor", "0x1077\n"),
            ("device", "0x8070\n"),
            ("subsystem_vendor", "0x1590\n"),
            ("subsystem_device", "0x021e\n"),
            ("revision", "0x02\n"),
            (
                "resource",
                "0xe0000000 0xe001ffff 0x14220c\n0x0 0x0 0x0\n0xe0800000 0xe0ffffff 0x14220c\n",
            ),
            ("current_link_speed", "8.0 GT/s PCIe\n"),
            ("current_link_width", "8\n"),
            ("max_link_speed", "8.0 GT/s PCIe\n"),
            ("max_link_width", "8\n"),
            ("numa_node", "-1\n"),
        ] {
            tree.put(name, text);
        }
        fs::write(tree.file("config"), config).expect("written");
        let group = tree.path().join("kernel/iommu_groups/12");
        fs::create_dir_all(group.join("devices")).expect("made");
        symlink(group, tree.file("iommu_group")).expect("linked");
        tree
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join("bus/pci/devices").join(ADDRESS).join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("written");
    }

    fn bind(&self, driver: &str) {
        let folder = self.path().join("bus/pci/drivers").join(driver);
        fs::create_dir_all(&folder).expect("made");
        symlink(folder, self.file("driver")).expect("linked");
    }

    fn text(&self) -> &str {
        self.path().to_str().expect("UTF-8")
    }

    #[track_caller]
    fn diagnose(&self, code: i32) -> Value {
        let firmware = ["--firmware", "synthetic"];
        let mut all = json(
            code,
            &[
                &["diagnose", "--json", "--sysfs", self.text()][..],
                &firmware,
            ]
            .concat(),
        );
        all[0].take()
    }
}

#[test]
fn adapters_are_listed_with_what_to_do_next() {
    let tree = Tree::new();
    let list = ["list", "--sysfs", tree.text()];
    let text = ends_with(0, &list);
    for part in [
        ADDRESS,
        "QL41000",
        "1077:8070",
        "8.0 GT/s x8",
        "driver      none",
        "group 12",
        "NUMA node none",
        "fastlinq bind 0000:3b:00.0",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let entries = json(0, &["list", "--json", "--sysfs", tree.text()]);
    let entry = &entries[0];
    assert_eq!(entry["device"], "8070");
    assert_eq!(entry["iommu_group"], 12);
    assert!(entry["numa_node"].is_null());
    assert_eq!(entry["link"]["degraded"], false);
    tree.bind("qede");
    assert!(ends_with(0, &list).contains("qede has it"));
    let empty = tempfile::tempdir().expect("a directory");
    let empty = empty.path().to_str().expect("UTF-8");
    assert!(ends_with(0, &["list", "--sysfs", empty]).contains("no FastLinQ adapter"));
    assert_eq!(
        json(0, &["list", "--json", "--sysfs", empty]),
        Value::Array(Vec::new())
    );
    ends_with(1, &["diagnose", "--sysfs", empty]);
}

#[test]
fn a_diagnosis_names_the_layer_in_front_of_the_first_fault() {
    let tree = Tree::new();
    tree.put(
        "resource",
        "0x0 0x1ffff 0x2014220c\n0x0 0x0 0x0\n0xe0800000 0xe0ffffff 0x14220c\n",
    );
    assert_eq!(tree.diagnose(1)["layer_at_fault"], "platform");

    let tree = Tree::new();
    fs::write(tree.file("config"), [0xff; 64]).expect("written");
    assert_eq!(tree.diagnose(1)["layer_at_fault"], "PCI");

    // Nothing answers behind BAR0.
    let tree = Tree::new();
    fs::write(tree.file("resource0"), [0xff; 0x20000]).expect("written");
    let gone = tree.diagnose(1);
    assert_eq!(gone["layer_at_fault"], "PCI", "{gone}");
    let bytes = fs::read(tree.file("resource0")).expect("read");
    assert!(
        bytes.iter().all(|byte| *byte == 0xff),
        "nothing is written when nothing answers"
    );

    // Used by somebody: the registers are left alone, and a narrow link is a warning.
    let tree = Tree::new();
    tree.put("current_link_width", "1\n");
    tree.bind("qede");
    fs::write(tree.file("resource0"), [0; 0x20000]).expect("written");
    let used = tree.diagnose(1);
    assert_eq!(
        used["layer_at_fault"], "storm firmware",
        "the synthetic one is not for cards: {used}"
    );
    assert!(
        used.to_string().contains("8.0 GT/s x1 of 8.0 GT/s x8"),
        "{used}"
    );
    assert!(
        used["not_run"][0]
            .as_str()
            .expect("text")
            .contains("qede has"),
        "{used}"
    );
}

#[test]
fn a_diagnosis_of_every_management_firmware_is_right() {
    for (persona, code, layer) in [
        ("modern", 0, None),
        ("bist-unsupported", 0, None),
        ("bist-error", 0, None),
        ("silent", 1, Some("management firmware")),
        ("halted", 1, Some("management firmware")),
        ("load-refused", 1, Some("management firmware")),
    ] {
        let arguments = [
            "diagnose",
            "--json",
            "--adapter",
            "model",
            "--firmware",
            "synthetic",
        ];
        let all = json(code, &[&arguments[..], &["--persona", persona]].concat());
        assert_eq!(all[0]["layer_at_fault"].as_str(), layer, "{persona}: {all}");
    }
    let unsound = ends_with(
        1,
        &[
            "diagnose",
            "--adapter",
            "model",
            "--firmware",
            "/etc/hostname",
        ],
    );
    assert!(
        unsound.contains("layer at fault: storm firmware"),
        "{unsound}"
    );
}

#[test]
fn adapters_that_cannot_be_opened_are_named() {
    let missing = ends_with(
        1,
        &[
            "up",
            "--firmware",
            "synthetic",
            "--adapter",
            "vfio:ffff:00:00.0",
        ],
    );
    assert!(
        missing.contains("no PCI function ffff:00:00.0"),
        "{missing}"
    );
    let nobody = ends_with(1, &["up", "--adapter", "vfio-user:/nonexistent"]);
    assert!(nobody.contains("cannot connect"), "{nobody}");
    ends_with(2, &["up", "--adapter", "pci:3b:00.0"]);
    for command in [&["up"][..], &["loop", "/etc/hostname"], &["host-check"]] {
        let looked_at = ends_with(2, &[command, &["--adapter", "sysfs:3b:00.0"]].concat());
        for what_next in [
            "diagnose --adapter sysfs:0000:3b:00.0",
            "fastlinq bind 0000:3b:00.0",
            "vfio:0000:3b:00.0",
        ] {
            assert!(looked_at.contains(what_next), "{command:?}: {looked_at}");
        }
    }
    let none = Command::new(env!("CARGO_BIN_EXE_fastlinq"))
        .args(["up", "--adapter", "vfio:3b:00.0"])
        .env("FASTLINQ_FIRMWARE_DIR", "/nonexistent")
        .output()
        .expect("the tool runs");
    // Where the genuine file is installed the next obstacle is named.
    let errors = String::from_utf8_lossy(&none.stderr);
    let named = ["storm-firmware file", "no PCI function 0000:3b:00.0"];
    assert!(named.iter().any(|name| errors.contains(name)), "{errors}");
    ends_with(1, &["bind", "ffff:00:00.0"]);
    ends_with(1, &["unbind", "ffff:00:00.0"]);
}

/// `fastlinq model serve` in another process.
struct Served {
    process: Child,
    directory: tempfile::TempDir,
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("adapter");
        let process = Command::new(env!("CARGO_BIN_EXE_fastlinq"))
            .args(["model", "serve", "--socket"])
            .arg(&socket)
            .args(arguments)
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let begun = Instant::now();
        while !socket.exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no socket");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, directory }
    }

    fn name(&self) -> String {
        format!(
            "vfio-user:{}",
            self.directory.path().join("adapter").display()
        )
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_served_adapter_is_used_like_any_other() {
    let served = Served::start(&["--wire", "loopback"]);
    let name = served.name();
    let adapter = ["--adapter", &name, "--firmware", "synthetic"];
    let checked = ends_with(0, &[&["host-check"][..], &adapter].concat());
    assert!(!checked.contains("failed"), "{checked}");
    let report = json(
        0,
        &[&["up", "--json", "--cycles", "3"][..], &adapter].concat(),
    );
    assert_eq!(report["adapter"], name.as_str());
    assert!(report.get("persona").is_none(), "{report}");
    let capture = served.directory.path().join("sample.pcap");
    let capture = capture.to_str().expect("UTF-8");
    ends_with(0, &["sample", capture, "--frames", "500"]);
    let report = json(0, &[&["loop", "--json", capture][..], &adapter].concat());
    assert_eq!(report["unchanged"], 500);
    ends_with(0, &[&["diagnose"][..], &adapter].concat());
    let looked = ends_with(0, &[&["diagnose", "--read-only"][..], &adapter].concat());
    assert!(looked.contains("not run"), "{looked}");
}

#[test]
fn a_server_that_dies_in_mid_traffic_ends_the_tool_with_an_error() {
    let mut served = Served::start(&["--wire", "loopback"]);
    let name = served.name();
    let capture = served.directory.path().join("sample.pcap");
    let capture = capture.to_str().expect("UTF-8");
    ends_with(
        0,
        &["sample", capture, "--frames", "100000", "--max", "200"],
    );
    let arguments = [
        "loop",
        capture,
        "--adapter",
        &name,
        "--firmware",
        "synthetic",
    ];
    let mut tool = Command::new(env!("CARGO_BIN_EXE_fastlinq"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the tool runs");
    std::thread::sleep(Duration::from_millis(500));
    served.process.kill().expect("killed");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = tool.try_wait().expect("waited") {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            let _ = tool.kill();
            panic!("the tool does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(1));
    let mut said = String::new();
    let output = tool.stdout.as_mut().expect("a pipe");
    output.read_to_string(&mut said).expect("text");
    assert!(said.contains("layer at fault: PCI"), "{said}");
}

#[test]
fn an_adapter_that_is_pulled_reads_as_all_ones_and_so_does_one_whose_server_dies() {
    for pulled in [true, false] {
        let control = tempfile::tempdir().expect("a directory");
        let control = control.path().join("control");
        let mut served = Served::start(&["--control", control.to_str().expect("UTF-8")]);
        let mut check = Command::new(env!("CARGO_BIN_EXE_fastlinq"))
            .args(["host-check", "--gone", "--firmware", "synthetic"])
            .args(["--adapter", &served.name()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tool runs");
        let mut said = BufReader::new(check.stdout.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        assert!(line.starts_with("waiting for the adapter"), "{line}");
        if pulled {
            let mut stream = UnixStream::connect(&control).expect("connected");
            stream.write_all(b"unplug\n").expect("sent");
        } else {
            served.process.kill().expect("killed");
        }
        let mut report = String::new();
        said.read_to_string(&mut report).expect("text");
        assert_eq!(check.wait().expect("ends").code(), Some(0), "{report}");
        for promise in [
            "a function that is gone reads as all ones",
            "writes to a function that is gone are swallowed",
            "the device masters the bus",
        ] {
            assert!(report.contains(&format!("passed   {promise}")), "{report}");
        }
        assert!(!report.contains("FAILED"), "{report}");
    }
}

#[test]
fn the_software_adapter_in_this_process_keeps_the_promises_of_a_host() {
    let report = ends_with(0, &["host-check", "--gone", "--firmware", "synthetic"]);
    assert!(
        !report.contains("FAILED") && !report.contains("not run"),
        "{report}"
    );
}
