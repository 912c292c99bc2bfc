//! Any bytes as an init-values file: parsing, walking and inflating end without a panic.
#![no_main]

use fastlinq_hal::firmware::{FirmwareImage, Inflater, Modes};
use fastlinq_pac::init_file::Phase;
use libfuzzer_sys::fuzz_target;

/// Dwords after which a walk is given up: a file may ask for gigabytes of zeros.
const ENOUGH: u32 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Ok(image) = FirmwareImage::parse(data) else {
        return;
    };
    let _ = image.layout();
    let mut inflater = Box::new(Inflater::new());
    let mut left = ENOUGH;
    for phase in [Phase::ENGINE, Phase::PORT, Phase::PF, Phase::VF, Phase::QM_PF] {
        for operation in image.operations(phase, Some(0), Modes::K2 | Modes::ASIC | Modes::MF_SI) {
            let _ = operation.canonical(&mut inflater, |_| left = left.saturating_sub(1));
            if left == 0 {
                return;
            }
        }
    }
});
