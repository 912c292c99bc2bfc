//! The generated items as tables, for the tests that compare them with the reference.
//!
//! The tables name the items themselves (`PF_CONFIGURATION.address()`, `size_of::<Regpair>()`), so what the
//! tests see is what the crate says, not what the descriptions say.

use std::path::PathBuf;

use super::description::Kind;
use super::layouts::public_module;
use super::registers::Shape;
use super::{Descriptions, Failure, Files, text};

pub(crate) fn emit(descriptions: &Descriptions, files: &mut Files) -> Result<(), Failure> {
    let mut root =
        text::header("The crate's items as tables", "").replace("descriptions/`", "descriptions`");
    root += "mod codes;\nmod layouts;\nmod registers;\nmod versions;\n\npub(crate) use codes::{CODES, CONSTANTS, FLAGS};\npub(crate) use layouts::STRUCTS;\npub(crate) use registers::REGISTERS;\npub(crate) use versions::VERSIONS;\n\n";
    root += ROWS;
    files.insert(PathBuf::from("tests/oracle/reflection/mod.rs"), root);
    let put = |files: &mut Files, name: &str, about: &str, text: String| {
        let header = text::header(about, "").replace("descriptions/`", "descriptions`");
        files.insert(
            PathBuf::from(format!("tests/oracle/reflection/{name}.rs")),
            header + &text,
        );
    };
    put(
        files,
        "registers",
        "Registers as rows",
        registers(descriptions),
    );
    put(
        files,
        "layouts",
        "Structures as rows",
        layouts(descriptions),
    );
    put(
        files,
        "codes",
        "Codes, flag words and constants as rows",
        codes(descriptions),
    );
    put(
        files,
        "versions",
        "Firmware versions as rows",
        versions(descriptions),
    );
    Ok(())
}

const ROWS: &str = "
/// A bit field: reference name, shift, mask before shifting (`None`: width unknown).
pub(crate) type FieldRow = (&'static str, u32, Option<u64>);

/// A register as the crate has it.
pub(crate) struct RegisterRow {
    pub(crate) reference: &'static str,
    pub(crate) address: u32,
    /// Bytes of an element, elements on BB, elements on K2.
    pub(crate) elements: Option<(u32, u32, u32)>,
    pub(crate) fields: &'static [FieldRow],
}

/// A structure as the crate has it.
pub(crate) struct StructRow {
    pub(crate) name: &'static str,
    pub(crate) reference: &'static str,
    pub(crate) size: usize,
    pub(crate) is_union: bool,
    /// Reference name, offset, size.
    pub(crate) members: &'static [(&'static str, usize, usize)],
    /// Reference name, member, shift, mask before shifting.
    pub(crate) fields: &'static [(&'static str, &'static str, u32, u64)],
}

/// Number of bytes of a member, by a function that selects it.
pub(crate) const fn size_of_member<S, M>(_: fn(&S) -> &M) -> usize {
    size_of::<M>()
}

/// A code or constant as the crate has it: reference name, value, what the reference multiplies it with.
pub(crate) type ValueRow = (&'static str, u64, u64);

/// A firmware version as the crate has it.
pub(crate) struct VersionRow {
    pub(crate) version: &'static str,
    pub(crate) layout: &'static fastlinq_pac::versions::Layout,
    /// Unnamed records of the IRO section: index, base, steps, size.
    pub(crate) unnamed: &'static [(u32, u32, [u32; 3], u32)],
}
";

fn registers(descriptions: &Descriptions) -> String {
    let mut text = String::from(
        "use fastlinq_pac::registers as r;\n\nuse super::RegisterRow;\n\npub(crate) static REGISTERS: &[RegisterRow] = &[\n",
    );
    for block in &descriptions.blocks {
        let module = block.path.trim_start_matches("registers/");
        for register in &block.registers {
            let item = format!("r::{module}::{}", register.name);
            let address = match register.shape() {
                Shape::Relative => format!("{item}.offset()"),
                Shape::Bar0 => format!("{item}.value()"),
                _ => format!("{item}.address().value()"),
            };
            let elements = if register.shape() == Shape::Array {
                format!(
                    "Some(({item}.stride(), {item}.len(fastlinq_pac::Chip::Bb), {item}.len(fastlinq_pac::Chip::K2)))"
                )
            } else {
                "None".into()
            };
            let reference = register.reference_name(block);
            let mut fields = String::new();
            for field in register.fields.iter().filter(|f| f.by.is_none()) {
                let path = format!(
                    "r::{module}::{}::{}",
                    register.name.to_lowercase(),
                    field.name
                );
                let name = field
                    .reference
                    .clone()
                    .unwrap_or_else(|| format!("{reference}_{}", field.name));
                fields += &match field.width {
                    Some(_) => {
                        format!("(\"{name}\", {path}.shift as u32, Some({path}.mask as u64)),")
                    }
                    None => format!("(\"{name}\", {path}_SHIFT as u32, None),"),
                };
            }
            text += &format!(
                "RegisterRow {{ reference: \"{reference}\", address: {address}, elements: {elements}, fields: &[{fields}] }},\n"
            );
        }
    }
    text + "];\n"
}

fn layouts(descriptions: &Descriptions) -> String {
    let mut text = String::from(
        "use core::mem::offset_of;\n\nuse super::{StructRow, size_of_member};\n\npub(crate) static STRUCTS: &[StructRow] = &[\n",
    );
    for (path, file) in &descriptions.interfaces {
        let module = public_module(path);
        for item in &file.structs {
            let kind = format!("fastlinq_pac::{module}::{}", item.name);
            let mut members = String::new();
            if item.kind == Kind::Struct {
                for member in item
                    .members
                    .iter()
                    .filter(|m| !m.name.starts_with("padding_at_"))
                {
                    let name = member.reference.as_deref().unwrap_or(&member.name);
                    members += &format!(
                        "(\"{name}\", offset_of!({kind}, {0}), size_of_member(|s: &{kind}| &s.{0})),",
                        member.name
                    );
                }
            }
            let mut fields = String::new();
            for field in &item.fields {
                let constant = format!("fastlinq_pac::{module}::{}::{}", item.module(), field.name);
                let name = field
                    .reference
                    .clone()
                    .unwrap_or_else(|| format!("{}_{}", item.reference.to_uppercase(), field.name));
                let member = item.members.iter().find(|m| m.name == field.member);
                let member = member
                    .and_then(|m| m.reference.as_deref())
                    .unwrap_or(&field.member);
                fields += &format!(
                    "(\"{name}\", \"{member}\", {constant}.shift as u32, {constant}.mask as u64),"
                );
            }
            text += &format!(
                "StructRow {{ name: \"{}\", reference: \"{}\", size: size_of::<{kind}>(), is_union: {}, members: &[{members}], fields: &[{fields}] }},\n",
                item.name,
                item.reference,
                item.kind == Kind::Union
            );
        }
    }
    text + "];\n"
}

fn codes(descriptions: &Descriptions) -> String {
    let mut text = String::from(
        "use super::ValueRow;\n\n/// By the name of the code.\npub(crate) static CODES: &[(&str, &[ValueRow])] = &[\n",
    );
    for (path, file) in &descriptions.interfaces {
        let module = public_module(path);
        for item in &file.enums {
            let mut rows = String::new();
            for value in &item.values {
                let name = value.reference.as_deref().unwrap_or(&value.name);
                rows += &format!(
                    "(\"{name}\", fastlinq_pac::{module}::{}::{}.value() as u64, {}),",
                    item.name,
                    value.name,
                    item.scale.unwrap_or(1)
                );
            }
            text += &format!("(\"{}\", &[{rows}]),\n", item.name);
        }
    }
    text += "];\n\npub(crate) static CONSTANTS: &[ValueRow] = &[\n";
    for (path, file) in &descriptions.interfaces {
        let module = public_module(path);
        for item in &file.constants {
            for value in &item.values {
                let name = value.reference.as_deref().unwrap_or(&value.name);
                text += &format!(
                    "(\"{name}\", fastlinq_pac::{module}::constants::{}::{} as u64, 1),\n",
                    item.module, value.name
                );
            }
        }
    }
    text += "];\n\n/// Reference name of a flag, its bits.\npub(crate) static FLAGS: &[ValueRow] = &[\n";
    for (path, file) in &descriptions.interfaces {
        let module = public_module(path);
        for item in &file.flags {
            for flag in item.values.iter() {
                if let Some(name) = &flag.reference {
                    text += &format!(
                        "(\"{name}\", fastlinq_pac::{module}::flags::{}::{}.bits() as u64, 1),\n",
                        item.name, flag.name
                    );
                }
            }
        }
    }
    text + "];\n"
}

fn versions(descriptions: &Descriptions) -> String {
    let mut text =
        String::from("use super::VersionRow;\n\npub(crate) static VERSIONS: &[VersionRow] = &[\n");
    for version in &descriptions.versions {
        let mut unnamed = String::new();
        for record in &version.unnamed_iro {
            unnamed += &format!(
                "({}, {}, {:?}, {}),",
                record.index, record.base, record.steps, record.size
            );
        }
        text += &format!(
            "VersionRow {{ version: \"{}\", layout: &fastlinq_pac::versions::{}, unnamed: &[{unnamed}] }},\n",
            version.version,
            super::versions::constant(version)
        );
    }
    text + "];\n"
}
