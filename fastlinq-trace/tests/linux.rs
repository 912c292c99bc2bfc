//! Our bring-up held against Linux 6.12's, as recorded on the software adapter.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fastlinq_hal::adapter::{Adapter, AdapterConfig, AnyAdapter, InterruptMode};
use fastlinq_hal::dma::DmaBuffer;
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::DmaAllocator;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::queue::{Coalescing, QueuePairRequest};
use fastlinq_hal::vport::{ReceiveMode, VportConfig};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::Chip;
use fastlinq_trace::compare::compare_requests;
use fastlinq_trace::{Difference, Header, Outcome, Recorder, Reviewed, compare};

const FIRMWARE: &str = "qed_init_values_zipped-8.59.1.0.bin";
const FOLDERS: [&str; 2] = ["/lib/firmware/qed", "/usr/lib/firmware/qed"];

/// A recording of Linux, and what may differ from it.
struct Recording {
    chip: Chip,
    trace: &'static str,
    reviewed: &'static [&'static str],
}

const K2: Recording = Recording {
    chip: Chip::K2,
    trace: "linux-6.12-k2.trace",
    reviewed: &["reviewed.toml"],
};
const BB: Recording = Recording {
    chip: Chip::Bb,
    trace: "linux-6.12-bb.trace",
    reviewed: &["reviewed.toml", "reviewed-bb.toml"],
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

impl Recording {
    fn linux(&self) -> Outcome {
        let file = fs::read(golden(self.trace)).unwrap();
        Outcome::read(&file[..]).unwrap()
    }

    fn reviewed(&self) -> Reviewed {
        let texts = self.reviewed.iter();
        let texts = texts.map(|name| fs::read_to_string(golden(name)).unwrap());
        Reviewed::parse(&texts.collect::<String>()).unwrap()
    }

    fn assert_reviewed(&self, differences: &[Difference]) {
        let list = self.reviewed();
        let review = list.review(differences);
        let open: Vec<String> = review.open.iter().map(ToString::to_string).collect();
        assert!(
            open.is_empty(),
            "{} differences to Linux are not in {:?} of tests/golden:\n{}",
            open.len(),
            self.reviewed,
            open.join("\n")
        );
    }
}

fn genuine() -> Option<Vec<u8>> {
    std::env::var_os("FASTLINQ_FIRMWARE_DIR")
        .map(PathBuf::from)
        .into_iter()
        .chain(FOLDERS.iter().map(PathBuf::from))
        .find_map(|folder| fs::read(folder.join(FIRMWARE)).ok())
}

/// A file in memory.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One page for each ring of a queue pair, as small as they can be.
fn page(host: &ModelHost) -> DmaBuffer<<ModelHost as DmaAllocator>::Region> {
    DmaBuffer::new(host.clone().allocate(4096, 4096).unwrap())
}

/// Up with one vport and one queue pair, as Linux is after `ip link set up`.
fn ours(chip: Chip, firmware: &[u8]) -> Outcome {
    let host = ModelHost::builder().chip(chip).interrupt_vectors(2).build();
    let file = Shared::default();
    let header = Header {
        chip,
        origin: "fastlinq".into(),
    };
    let recorder = Recorder::new(file.clone(), &header).unwrap();
    host.with_card(|card| card.set_observer(Some(recorder.observer())));

    let image = FirmwareImage::parse(firmware).unwrap();
    let mut scratch = Box::new(Scratch::new());
    let config = AdapterConfig {
        interrupts: InterruptMode::MsiX,
        ..AdapterConfig::default()
    };
    let adapter = Adapter::new(host.clone(), config)
        .connect()
        .unwrap()
        .populate()
        .unwrap()
        .up(&image, &mut scratch)
        .unwrap();
    let AnyAdapter::UpWithImages(mut adapter) = adapter else {
        panic!("{adapter:?}");
    };
    let mac = adapter.mac_address().unwrap();
    let vport = adapter.start_vport(VportConfig::default()).unwrap();
    let pages: Vec<_> = (0..3).map(|_| page(&host)).collect();
    let tables: Vec<_> = (1..3)
        .map(|ring| {
            let mut table = page(&host);
            let address = pages[ring].bus_address().value();
            table.write(0, &address.to_le_bytes()).unwrap();
            table
        })
        .collect();
    let request = QueuePairRequest {
        rx_buffer_bytes: 2048,
        rx_bd_base: pages[0].bus_address(),
        cqe_pbl: tables[0].bus_address(),
        cqe_pages: 1,
        tx_pbl: tables[1].bus_address(),
        tx_pages: 1,
        coalescing: Coalescing::default(),
    };
    let port = adapter.open_queue_pair(vport, &request).unwrap();
    port.publish_rx(32, 128);
    port.enable_interrupt(port.status_index());
    adapter.activate_vport(vport).unwrap();
    adapter.set_mac_filter(vport, mac).unwrap();
    adapter
        .set_receive_mode(vport, ReceiveMode::NORMAL)
        .unwrap();
    let settings = adapter.flash_link_settings();
    adapter.set_link(&settings).unwrap();
    // Once more for the attention's end.
    for _ in 0..4 {
        host.advance(1_000_000_000);
        adapter.poll_events(|_| {}).unwrap();
    }
    assert!(adapter.link().unwrap().up);
    recorder.finish().unwrap();

    host.with_card(|card| card.set_observer(None));
    adapter.close_queue_pair(port).unwrap();
    adapter.stop_vport(vport).unwrap();
    adapter.down().unwrap();
    if let Some(path) = std::env::var_os("FASTLINQ_KEEP_TRACE") {
        fs::write(path, &*file.0.lock().unwrap()).unwrap();
    }
    let bytes = file.0.lock().unwrap().clone();
    Outcome::read(&bytes[..]).unwrap()
}

fn is_a_complete_bring_up(recording: &Recording) {
    let linux = recording.linux();
    assert_eq!(linux.header.chip, recording.chip);
    assert!(linux.violations.is_empty(), "{:?}", linux.violations);
    let asked: Vec<_> = linux.exchanges.iter().map(|e| e.name()).collect();
    for command in ["LOAD_REQ", "LOAD_DONE", "INIT_PHY"] {
        assert!(asked.iter().any(|name| name == command), "{asked:?}");
    }
    let ramrods: Vec<_> = linux.calls.iter().map(|call| call.name()).collect();
    assert_eq!(ramrods[0], "COMMON PF_START");
    assert!(linux.calls.iter().all(|call| call.return_code == 0));
    assert!(linux.contents.len() > 10_000);
}

fn has_our_contents_and_requests(recording: &Recording) {
    let Some(firmware) = genuine() else {
        println!("SKIPPED: no {FIRMWARE} in {FOLDERS:?} or $FASTLINQ_FIRMWARE_DIR");
        return;
    };
    let (linux, ours) = (recording.linux(), ours(recording.chip, &firmware));
    assert!(ours.violations.is_empty(), "{:?}", ours.violations);
    let (theirs, own) = (linux.total_effort(), ours.total_effort());
    println!("register writes: Linux {theirs:?}, fastlinq {own:?}");
    let differences = compare(&linux, &ours);
    recording.assert_reviewed(&differences);
    let list = recording.reviewed();
    let stale = list.review(&differences).stale;
    assert!(stale.is_empty(), "no longer different: {stale:#?}");
    assert!(
        2 * own.register_writes <= theirs.register_writes,
        "fastlinq writes {} registers, Linux {}",
        own.register_writes,
        theirs.register_writes
    );
}

fn has_our_requests_with_any_firmware(recording: &Recording) {
    let firmware = fastlinq_model_host::model::firmware_image::synthetic_image();
    let ours = ours(recording.chip, &firmware);
    recording.assert_reviewed(&compare_requests(&recording.linux(), &ours));
}

#[test]
fn the_recorded_traces_are_complete_bring_ups() {
    is_a_complete_bring_up(&K2);
    is_a_complete_bring_up(&BB);
    let size = |recording: &Recording| fs::metadata(golden(recording.trace)).unwrap().len();
    assert!(size(&K2) + size(&BB) < 2 << 20);
}

#[test]
fn our_contents_and_requests_on_k2_are_those_of_linux() {
    has_our_contents_and_requests(&K2);
}

#[test]
fn our_contents_and_requests_on_bb_are_those_of_linux() {
    has_our_contents_and_requests(&BB);
}

#[test]
fn our_requests_are_those_of_linux_with_any_firmware() {
    has_our_requests_with_any_firmware(&K2);
    has_our_requests_with_any_firmware(&BB);
}
