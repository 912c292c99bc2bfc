//! Codes (newtypes over the wire's integer), flag words and constants.

use std::path::PathBuf;

use super::description::{Constants, Enum, Flags, InterfaceFile, Value};
use super::layouts::output;
use super::{Descriptions, Failure, Files, text};

pub(crate) fn emit(descriptions: &Descriptions, files: &mut Files) -> Result<(), Failure> {
    for (path, file) in &descriptions.interfaces {
        if !file.structs.is_empty() {
            continue;
        }
        let mut text = text::header(&file.title, &format!("{path}.toml"));
        if !file.enums.is_empty() {
            text += "use crate::layout::codes;\n\n";
        }
        text += &enums(file);
        for item in &file.flags {
            text += &flags(item);
            text += &conversions(item, descriptions);
        }
        text += &file.constants.iter().map(constants).collect::<String>();
        files.insert(
            PathBuf::from(format!("src/generated/{}.rs", output(path))),
            text,
        );
    }
    Ok(())
}

pub(crate) fn enums(file: &InterfaceFile) -> String {
    file.enums.iter().map(code).collect()
}

fn code(item: &Enum) -> String {
    let mut text = String::from("codes! {\n");
    if let Some(doc) = &item.doc {
        text += &text::doc("    ", &(text::sentence(doc) + "\n\n"));
    }
    let reference = match &item.reference {
        Some(reference) => format!("Codes `{reference}`."),
        None => "Collected from several sources.".to_owned(),
    };
    text += &text::doc("    ", &reference);
    text += &format!("    pub struct {}({}) {{\n", item.name, item.kind);
    for value in &item.values {
        text += &text::doc("        ", &value_doc(value));
        text += &format!("        {} = {},\n", value.name, text::number(value.value));
    }
    text + "    }\n}\n\n"
}

fn value_doc(value: &Value) -> String {
    let name = value.reference.as_deref().unwrap_or(&value.name);
    let sources: Vec<&str> = value.sources.iter().map(|s| s.text()).collect();
    let by = if sources.is_empty() {
        String::new()
    } else {
        format!(" Known by: {}.", sources.join(", "))
    };
    match &value.doc {
        Some(doc) => format!("{} `{name}`.{by}", text::sentence(doc)),
        None => format!("`{name}`.{by}"),
    }
}

fn flags(item: &Flags) -> String {
    let (name, kind) = (&item.name, &item.kind);
    let mut text = String::from("bitflags::bitflags! {\n");
    if let Some(doc) = &item.doc {
        text += &text::doc("    ", &(text::sentence(doc) + "\n\n"));
    }
    text += &text::doc(
        "    ",
        &format!(
            "Flags of `{}.{}`; bits without a name are kept.",
            item.reference, item.member
        ),
    );
    text += &format!(
        "    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]\n    pub struct {name}: {kind} {{\n"
    );
    for flag in &item.values {
        let reference = flag.reference.as_deref().unwrap_or(&flag.name);
        let line = match &flag.doc {
            Some(doc) => format!("{} `{reference}`.", text::sentence(doc)),
            None => format!("`{reference}`."),
        };
        text += &text::doc("        ", &line);
        text += &format!("        const {} = 1 << {};\n", flag.name, flag.bit);
    }
    text += "        const _ = !0;\n    }\n}\n\n";
    text
}

/// To the flags from the structure that holds them, and back where it holds nothing else.
fn conversions(item: &Flags, descriptions: &Descriptions) -> String {
    let Some(holder) = &item.in_struct else {
        return String::new();
    };
    let (name, member) = (&item.name, &item.member);
    let (get, wrap) = match item.kind.as_str() {
        "u8" => ("", ""),
        "u16" => (".get()", "zerocopy::little_endian::U16::new"),
        _ => (".get()", "zerocopy::little_endian::U32::new"),
    };
    let mut text = format!(
        "impl From<crate::hsi::{holder}> for {name} {{\n    fn from(holder: crate::hsi::{holder}) -> Self {{ Self::from_bits_retain(holder.{member}{get}) }}\n}}\n\n"
    );
    let alone = descriptions
        .interfaces
        .values()
        .flat_map(|file| &file.structs)
        .any(|s| s.name == *holder && s.members.len() == 1);
    if alone {
        text += &format!(
            "impl From<{name}> for crate::hsi::{holder} {{\n    fn from(flags: {name}) -> Self {{ Self {{ {member}: {wrap}(flags.bits()) }} }}\n}}\n\n"
        );
    }
    text
}

fn constants(item: &Constants) -> String {
    let mut text =
        text::doc("", &text::sentence(&item.doc)) + &format!("pub mod {} {{\n", item.module);
    for value in &item.values {
        let kind = if value.value > u64::from(u32::MAX) {
            "u64"
        } else {
            "u32"
        };
        text += &text::doc("    ", &value_doc(value));
        text += &format!(
            "    pub const {}: {kind} = {};\n",
            value.name,
            text::number(value.value)
        );
    }
    text + "}\n\n"
}
