//! Tables of one storm firmware version each, over ids that all versions share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::description::VersionFile;
use super::layouts::{Known, known};
use super::{Descriptions, Failure, Files, text};

pub(crate) fn emit(descriptions: &Descriptions, files: &mut Files) -> Result<(), Failure> {
    let iro: BTreeSet<&str> = descriptions
        .versions
        .iter()
        .flat_map(|v| &v.iro)
        .map(|i| i.name.as_str())
        .collect();
    let mut runtime: BTreeMap<&str, u32> = BTreeMap::new();
    for version in &descriptions.versions {
        for entry in &version.runtime {
            if *runtime.entry(&entry.name).or_insert(entry.address) != entry.address {
                return Err(format!(
                    "{}: {} has another address in another version",
                    version.path, entry.name
                ));
            }
        }
    }
    let known = known(descriptions);
    for version in &descriptions.versions {
        verify_structures(version, &known)?;
    }
    let iro: Vec<&str> = iro.into_iter().collect();
    let layouts: String = descriptions
        .versions
        .iter()
        .map(|v| format!("&super::{}::{}, ", module(v), constant(v)))
        .collect();
    let list = text::header("Every described version", "versions/")
        + &format!(
            "use crate::versions::Layout;\n\npub(crate) static LAYOUTS: &[&Layout] = &[{layouts}];\n"
        );
    files.insert(PathBuf::from("src/generated/versions/list.rs"), list);
    files.insert(
        PathBuf::from("src/generated/versions/ids.rs"),
        ids(descriptions, &iro, &runtime),
    );
    for version in &descriptions.versions {
        let name = module(version);
        files.insert(
            PathBuf::from(format!("src/generated/versions/{name}.rs")),
            table(version, &iro, &runtime),
        );
    }
    Ok(())
}

/// `8.59.1.0` -> `v8_59_1_0`.
pub(crate) fn module(version: &VersionFile) -> String {
    format!("v{}", version.version.replace('.', "_"))
}

/// The constant of the version's layout: without a last part of 0, as the version is spoken of.
pub(crate) fn constant(version: &VersionFile) -> String {
    let spoken = version
        .version
        .strip_suffix(".0")
        .unwrap_or(&version.version);
    format!("V{}", spoken.replace('.', "_"))
}

fn ids(descriptions: &Descriptions, iro: &[&str], runtime: &BTreeMap<&str, u32>) -> String {
    let mut text = text::header(
        "Names of firmware variables and of runtime-array ranges",
        "versions/",
    );
    text += "use crate::GrcAddress;\nuse crate::versions::{IroId, RuntimeId};\n\n";
    text += "impl IroId {\n";
    for (index, name) in iro.iter().enumerate() {
        let parameters = descriptions
            .versions
            .iter()
            .flat_map(|v| &v.iro)
            .find(|i| i.name == *name)
            .filter(|i| !i.parameters.is_empty())
            .map(|i| format!(", by {}", i.parameters.join(" and ")))
            .unwrap_or_default();
        text += &format!(
            "    /// `{name}`{parameters}.\n    pub const {name}: Self = Self::new({index});\n"
        );
    }
    text += &format!(
        "    /// How many variables have a name in any version.\n    pub const COUNT: usize = {};\n}}\n\n",
        iro.len()
    );
    text += "impl RuntimeId {\n";
    for (index, (name, address)) in runtime.iter().enumerate() {
        text += &format!(
            "    /// `{name}`, {address:#x}.\n    pub const {name}: Self = Self::new({index});\n"
        );
    }
    text += &format!(
        "    /// How many ranges have a name in any version.\n    pub const COUNT: usize = {};\n}}\n\n",
        runtime.len()
    );
    text += "pub(crate) const IRO_NAMES: [&str; IroId::COUNT] = [";
    text += &iro.iter().map(|n| format!("\"{n}\",")).collect::<String>();
    text += "];\n\npub(crate) const RUNTIME_NAMES: [&str; RuntimeId::COUNT] = [";
    text += &runtime
        .keys()
        .map(|n| format!("\"{n}\","))
        .collect::<String>();
    text += "];\n\npub(crate) const RUNTIME_REGISTERS: [GrcAddress; RuntimeId::COUNT] = [";
    text += &runtime
        .values()
        .map(|a| format!("GrcAddress({}),", text::address(*a)))
        .collect::<String>();
    text + "];\n"
}

fn table(version: &VersionFile, iro: &[&str], runtime: &BTreeMap<&str, u32>) -> String {
    let mut text = text::header(
        &format!("Storm firmware {}", version.version),
        &format!("{}.toml", version.path),
    );
    text += "use crate::versions::{FirmwareVersion, Iro, IroId, Layout, RuntimeId, RuntimeRange, Storm, StructureLayout, iro, range};\n\n";
    let parts: Vec<&str> = version.version.split('.').collect();
    text += &format!(
        "/// Storm firmware {0}.\npub static {1}: Layout = Layout {{ version: FirmwareVersion::new({2}), runtime_size: {3}, iro_records: {4}, iro: &IRO, runtime: &RUNTIME, structures_inferred: {5}, structures: STRUCTURES }};\n\n",
        version.version,
        constant(version),
        parts.join(", "),
        version.runtime_size,
        version.iro_records,
        version.structures_inferred
    );
    text += "static IRO: [Option<Iro>; IroId::COUNT] = [\n";
    for name in iro {
        match version.iro.iter().find(|i| i.name == *name) {
            Some(entry) => {
                text += &format!(
                    "    // {name}\n    iro({}, Storm::{}, {}, {}, {:?}, {}),\n",
                    entry.index,
                    entry.storm,
                    entry.window,
                    text::number(entry.base.into()),
                    entry.steps,
                    entry.size
                );
            }
            None => text += &format!("    // {name}\n    None,\n"),
        }
    }
    text += "];\n\nstatic RUNTIME: [RuntimeRange; RuntimeId::COUNT] = [\n";
    for name in runtime.keys() {
        match version.runtime.iter().find(|r| r.name == *name) {
            Some(entry) => {
                text += &format!("    range({}, {}), // {name}\n", entry.index, entry.len)
            }
            None => text += &format!("    range(0, 0), // {name} is absent\n"),
        }
    }
    text += "];\n";
    text += &structures(version);
    text
}

fn structures(version: &VersionFile) -> String {
    let mut text = String::from("\nstatic STRUCTURES: &[StructureLayout] = &[\n");
    for item in &version.structures {
        let moves: String = item
            .moves
            .iter()
            .map(|m| format!("({}, {}, {}),", m.from, m.to, m.len))
            .collect();
        let bits: String = item
            .bits
            .iter()
            .map(|b| format!("({}, {:#04x}, {}),", b.byte, b.mask, b.left))
            .collect();
        text += &format!(
            "StructureLayout {{ name: \"{}\", size: {}, moves: &[{moves}], bits: &[{bits}] }},\n",
            item.name, item.size
        );
    }
    text + "];\n"
}

/// Refuses moves that leave either structure, or that put two things in one place.
fn verify_structures(version: &VersionFile, known: &Known<'_>) -> Result<(), Failure> {
    for item in &version.structures {
        let place = format!("{}: {}", version.path, item.name);
        let Some((_, ours)) = known.get(item.name.as_str()) else {
            return Err(format!("{place}: no such structure"));
        };
        let mut taken = BTreeSet::new();
        for step in &item.moves {
            if step.from + step.len > *ours || step.to + step.len > item.size {
                return Err(format!("{place}: a move leaves the structure"));
            }
            if !(step.to..step.to + step.len).all(|byte| taken.insert(byte)) {
                return Err(format!("{place}: two moves to one place"));
            }
        }
        if item
            .bits
            .iter()
            .any(|b| b.byte >= item.size || b.left > b.mask.leading_zeros())
        {
            return Err(format!("{place}: bits leave the structure"));
        }
    }
    Ok(())
}
