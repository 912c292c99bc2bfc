//! What the bring-up tests share.
#![allow(unreachable_pub, reason = "shared by test files, each its own crate")]
#![allow(
    clippy::result_large_err,
    reason = "transitions give the whole adapter back"
)]
#![allow(dead_code, reason = "not every test file uses everything")]

use fastlinq_hal::adapter::{AnyAdapter, AnyFailed, ResetAdapter};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::Chip;
use fastlinq_model_host::model::mfw::Persona;

/// Shapes of cards: chip and ports of an engine.
pub const PORTS: [(Chip, u8); 5] = [
    (Chip::K2, 1),
    (Chip::K2, 2),
    (Chip::K2, 4),
    (Chip::Bb, 1),
    (Chip::Bb, 2),
];

/// A one-port adapter with this management firmware.
pub fn host(chip: Chip, persona: &str) -> ModelHost {
    let persona = Persona::by_name(persona).unwrap_or_else(|| panic!("no persona {persona}"));
    ModelHost::builder().chip(chip).persona(persona).build()
}

/// Names of all personas.
pub fn personas() -> Vec<String> {
    Persona::all()
        .map(|persona| persona.name.to_string())
        .collect()
}

/// The synthetic firmware image.
pub fn image() -> Vec<u8> {
    fastlinq_model::firmware_image::synthetic_image()
}

/// Brings an adapter from Reset to Up, by whatever inventory.
pub fn up(
    adapter: ResetAdapter<ModelHost>,
    bytes: &[u8],
) -> Result<AnyAdapter<ModelHost>, AnyFailed<ModelHost>> {
    let image = FirmwareImage::parse(bytes).expect("the image is good");
    let mut scratch = Box::new(Scratch::new());
    adapter.connect()?.populate()?.up(&image, &mut scratch)
}

/// Asserts that the adapter broke no rule and that nothing of the host's memory is in use.
pub fn assert_clean(host: &ModelHost, what: &str) {
    assert_eq!(host.violations(), [], "{what}");
    let memory = host.memory();
    assert_eq!(memory.live_regions, 0, "{what}: {memory:?}");
    assert_eq!(memory.late_count, 0, "{what}: {memory:?}");
}
