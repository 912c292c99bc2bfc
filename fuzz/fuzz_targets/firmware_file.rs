//! Any bytes as an init-values file: parsing, walking and inflating end without a panic, and what can be run is run on the
//! software adapter, which ends with an adapter that is up or with a named cause.
//!
//! An even first byte means a file as it is. An odd one means the project's own image, damaged: each seven bytes behind it
//! are three of a place and four that are written there.
#![no_main]

use std::cell::RefCell;

use fastlinq_hal::adapter::{Adapter, AdapterConfig};
use fastlinq_hal::firmware::{FirmwareImage, Inflater, Modes};
use fastlinq_hal::host::Clock;
use fastlinq_hal::init::Scratch;
use fastlinq_model_host::ModelHost;
use fastlinq_pac::init_file::Phase;
use libfuzzer_sys::fuzz_target;

/// Dwords after which a walk is given up: a file may ask for gigabytes of zeros.
const ENOUGH: u32 = 1 << 20;
/// Longest that a bring-up may take, in microseconds of the adapter's time.
const LIMIT_US: u64 = 300_000_000;

thread_local! {
    static IMAGE: Vec<u8> = fastlinq_model::firmware_image::synthetic_image();
    static SCRATCH: RefCell<Box<Scratch>> = RefCell::new(Box::new(Scratch::new()));
}

/// The project's image with words written over it.
fn damaged(patches: &[u8]) -> Vec<u8> {
    let mut file = IMAGE.with(Clone::clone);
    for patch in patches.chunks_exact(7) {
        let place = u32::from_le_bytes([patch[0], patch[1], patch[2], 0]) as usize % (file.len() - 4);
        file[place..place + 4].copy_from_slice(&patch[3..]);
    }
    file
}

fn bring_up(image: &FirmwareImage<'_>) {
    let host = ModelHost::builder().build();
    let adapter = Adapter::new(host.clone(), AdapterConfig::default());
    let adapter = adapter.connect().expect("the adapter is sound").without_inventory();
    SCRATCH.with_borrow_mut(|scratch| {
        let outcome = adapter.up(image, scratch);
        match outcome {
            Ok(adapter) => drop(adapter.down()),
            Err(failed) => assert!(!failed.cause.to_string().is_empty()),
        }
    });
    let memory = host.memory();
    assert_eq!(memory.late_count, 0, "{:?}", memory.late_accesses);
    assert!(host.now_us() < LIMIT_US, "{} s", host.now_us() / 1_000_000);
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let file = if kind & 1 == 0 {
        data.to_vec()
    } else {
        damaged(data)
    };
    let image = match FirmwareImage::parse(&file) {
        Ok(image) => image,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let mut inflater = Box::new(Inflater::new());
    let sound = image.verify(&mut inflater).is_ok();
    let mut left = ENOUGH;
    for phase in [Phase::ENGINE, Phase::PORT, Phase::PF, Phase::VF, Phase::QM_PF] {
        for operation in image.operations(phase, Some(0), Modes::K2 | Modes::ASIC | Modes::MF_SI) {
            let walked = operation.canonical(&mut inflater, |_| left = left.saturating_sub(1));
            assert!(walked.is_ok() || !sound, "what was verified inflates");
            if left == 0 {
                return;
            }
        }
    }
    if image.layout().is_ok() {
        bring_up(&image);
    }
});
