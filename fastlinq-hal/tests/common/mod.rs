//! What the bring-up tests share.
#![allow(unreachable_pub, reason = "shared by test files, each its own crate")]
#![allow(dead_code, reason = "not every test file uses everything")]

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
