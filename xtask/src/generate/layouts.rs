//! Structures: zerocopy types, their fields, their offsets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::description::{InterfaceFile, Kind, Member, Struct};
use super::{Descriptions, Failure, Files, text};

/// Where the items of a description go: `hsi/core` -> `src/generated/hsi/core.rs`.
pub(crate) fn output(path: &str) -> String {
    match path {
        "mfw/nvm_config" => "nvm/config".into(),
        "mfw/nvm_constants" => "nvm/constants".into(),
        "init_file" => "init_file/records".into(),
        "init_file_operations" => "init_file/operations".into(),
        "init_file_codes" => "init_file/codes".into(),
        other => other.into(),
    }
}

/// The public module of the crate that shows the items: `hsi/core` -> `hsi`.
pub(crate) fn public_module(path: &str) -> String {
    output(path)
        .split('/')
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Name of a structure -> (public module, size).
pub(crate) type Known<'a> = BTreeMap<&'a str, (String, u32)>;

pub(crate) fn known(descriptions: &Descriptions) -> Known<'_> {
    let mut known = BTreeMap::new();
    for (path, file) in &descriptions.interfaces {
        for item in &file.structs {
            known.insert(item.name.as_str(), (public_module(path), item.size));
        }
    }
    known
}

pub(crate) fn emit(descriptions: &Descriptions, files: &mut Files) -> Result<(), Failure> {
    let known = known(descriptions);
    for (path, file) in descriptions
        .interfaces
        .iter()
        .filter(|(_, file)| !file.structs.is_empty())
    {
        let text = module(path, file, &known)?;
        files.insert(
            PathBuf::from(format!("src/generated/{}.rs", output(path))),
            text,
        );
    }
    Ok(())
}

/// Integer types of members: description, Rust, size.
fn integer(kind: &str) -> Option<(&'static str, u32)> {
    Some(match kind {
        "u8" => ("u8", 1),
        "u16" => ("U16", 2),
        "u32" => ("U32", 4),
        "i32" => ("I32", 4),
        "u64" => ("U64", 8),
        _ => return None,
    })
}

fn member_type(member: &Member, known: &Known<'_>) -> Result<(String, u32), Failure> {
    let (mut name, mut size) = match (integer(&member.kind), known.get(member.kind.as_str())) {
        (Some((name, size)), _) => (name.to_owned(), size),
        (None, Some((_, size))) => (member.kind.clone(), *size),
        (None, None) => return Err(format!("{}: no type {}", member.name, member.kind)),
    };
    for count in member.dims.iter().rev() {
        name = format!("[{name}; {count}]");
        size *= count;
    }
    Ok((name, size))
}

/// Refuses gaps and overlaps: a structure that goes over the wire has neither.
fn verify(item: &Struct, known: &Known<'_>) -> Result<(), Failure> {
    let mut end = 0;
    for member in &item.members {
        let (_, size) = member_type(member, known).map_err(|e| format!("{}: {e}", item.name))?;
        if item.kind == Kind::Union {
            if member.offset != 0 || size > item.size {
                return Err(format!(
                    "{}.{}: does not fit the union",
                    item.name, member.name
                ));
            }
        } else {
            if member.offset != end {
                return Err(format!(
                    "{}.{}: at {}, expected at {end}",
                    item.name, member.name, member.offset
                ));
            }
            end += size;
        }
    }
    if item.kind == Kind::Struct && end != item.size {
        return Err(format!(
            "{}: members end at {end}, size is {}",
            item.name, item.size
        ));
    }
    for field in &item.fields {
        let member = item.members.iter().find(|m| m.name == field.member);
        let size = match member {
            Some(member) => member_type(member, known)?.1,
            None => 0,
        };
        if field.shift + field.width > size * 8 {
            return Err(format!(
                "{}.{}: leaves {}",
                item.name, field.name, field.member
            ));
        }
    }
    Ok(())
}

fn module(path: &str, file: &InterfaceFile, known: &Known<'_>) -> Result<String, Failure> {
    let mut body = String::new();
    for item in &file.structs {
        verify(item, known)?;
        body += &match item.kind {
            Kind::Struct => structure(item, known, file.map)?,
            Kind::Union => union(item, known, file.map)?,
        };
        body += &details(item, file.map);
    }
    body += &super::codes::enums(file);
    let mut text = text::header(&file.title, &format!("{path}.toml"));
    let here = public_module(path);
    for (name, (home, _)) in known {
        let foreign = *home != here || !file.structs.iter().any(|s| s.name == *name);
        if foreign && mentions(&body, name) {
            text += &format!("use crate::{home}::{name};\n");
        }
    }
    let integers: Vec<&str> = ["I32", "U16", "U32", "U64"]
        .into_iter()
        .filter(|n| mentions(&body, n))
        .collect();
    if !integers.is_empty() {
        text += &format!(
            "use zerocopy::little_endian::{{{}}};\n",
            integers.join(", ")
        );
    }
    if !file.map {
        text += "use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};\n";
    }
    let mut helpers = Vec::new();
    for name in ["codes", "layout", "map", "put", "view"] {
        let used = match name {
            "codes" | "layout" | "map" => {
                body.contains(&format!("{name}! {{")) || body.contains(&format!("{name}!("))
            }
            _ => body.contains(&format!(" {name}(")),
        };
        if used {
            helpers.push(name);
        }
    }
    text += &format!("use crate::layout::{{{}}};\n\n", helpers.join(", "));
    Ok(text + &body)
}

/// Whether `name` occurs as a type: not as a part of a longer word.
fn mentions(body: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    body.match_indices(name).any(|(at, _)| {
        let before = body[..at].chars().next_back();
        let after = body[at + name.len()..].chars().next();
        !before.is_some_and(word) && !after.is_some_and(|c| word(c) || c == '`')
    })
}

const DERIVES: &str = "#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]\n#[repr(C)]\n";

fn heading(item: &Struct) -> String {
    let mut text = String::new();
    if let Some(doc) = &item.doc {
        text += &text::doc("", &(text::sentence(doc) + "\n\n"));
    }
    let kind = if item.kind == Kind::Union {
        "union"
    } else {
        "structure"
    };
    text + &text::doc(
        "",
        &format!("`{}`, a {kind} of {} bytes.", item.reference, item.size),
    )
}

fn structure(item: &Struct, known: &Known<'_>, map: bool) -> Result<String, Failure> {
    let mut text = heading(item) + derives(map) + &format!("pub struct {} {{\n", item.name);
    for member in &item.members {
        let (kind, _) = member_type(member, known)?;
        text += &format!(
            "    /// At byte {}.\n    pub {}: {kind},\n",
            member.offset, member.name
        );
    }
    text += "}\n";
    let offsets: Vec<String> = item
        .members
        .iter()
        .map(|m| format!("{}: {}", m.name, m.offset))
        .collect();
    Ok(text + &assertions(item, map, &offsets.join(", ")))
}

fn derives(map: bool) -> &'static str {
    if map { "#[repr(C)]\n" } else { DERIVES }
}

fn assertions(item: &Struct, map: bool, offsets: &str) -> String {
    let check = if map { "map" } else { "layout" };
    format!(
        "{check}!({}, {}, {{ {offsets} }});\n\n",
        item.name, item.size
    )
}

fn union(item: &Struct, known: &Known<'_>, map: bool) -> Result<String, Failure> {
    let name = &item.name;
    let mut text = heading(item)
        + derives(map)
        + &format!(
            "pub struct {name} {{\n    /// The bytes.\n    pub bytes: [u8; {}],\n}}\n",
            item.size
        )
        + &assertions(item, map, "bytes: 0");
    if map {
        return Ok(text);
    }
    text += &format!("impl {name} {{\n");
    for member in item
        .members
        .iter()
        .filter(|m| m.kind != "u8" || m.dims != [item.size])
    {
        let (kind, _) = member_type(member, known)?;
        let method = &member.name;
        text += &format!(
            "    /// The bytes as `{method}`.\n    pub fn {method}(&self) -> {kind} {{ view(&self.bytes) }}\n\n    /// A union that holds `{method}`, the rest zero.\n    pub fn from_{method}(value: &{kind}) -> Self {{ Self {{ bytes: put(value) }} }}\n\n"
        );
    }
    Ok(text + "}\n\n")
}

fn details(item: &Struct, map: bool) -> String {
    let mut text = String::new();
    if !item.fields.is_empty() {
        text += "use tock_registers::RegisterLongName;\nuse tock_registers::fields::Field;\n\n";
        text += &format!(
            "/// Ties the fields to [`{0}`](super::{0}).\n#[derive(Clone, Copy, Debug)]\npub enum Register {{}}\nimpl RegisterLongName for Register {{}}\n",
            item.name
        );
        for field in &item.fields {
            let width = field_type(item, &field.member);
            text += &format!(
                "/// {} of `{}`.\npub const {}: Field<{width}, Register> = Field::new({}, {});\n",
                text::bits(field.shift, field.width),
                field.member,
                field.name,
                text::number(text::mask(field.width)),
                field.shift
            );
        }
    }
    for value in &item.values {
        text += &format!(
            "/// A value of `{}`.\npub const {}: u32 = {};\n",
            value.member,
            value.name,
            text::number(value.value)
        );
    }
    if map && item.kind == Kind::Struct {
        text += "/// Byte offsets of the members.\npub mod offset {\n";
        for member in &item.members {
            text += &format!(
                "    /// Offset of `{0}`.\n    pub const {1}: u32 = {2};\n",
                member.name,
                member.name.to_uppercase(),
                text::number(member.offset.into())
            );
        }
        text += "}\n";
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "/// Fields, values and offsets of [`{}`].\npub mod {} {{\n{text}}}\n\n",
        item.name,
        item.module()
    )
}

/// The integer that a bit field lies in.
pub(crate) fn field_type(item: &Struct, member: &str) -> &'static str {
    match item
        .members
        .iter()
        .find(|m| m.name == member)
        .map(|m| m.kind.as_str())
    {
        Some("u8") => "u8",
        Some("u16") => "u16",
        Some("u64") => "u64",
        _ => "u32",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(members: &str) -> Struct {
        toml::from_str(&format!(
            "name = \"A\"\nreference = \"a\"\nsize = 4\nmembers = [{members}]"
        ))
        .unwrap()
    }

    #[test]
    fn gaps_overlaps_and_wrong_sizes_are_refused() {
        let known = Known::new();
        let check = |members: &str| verify(&item(members), &known);
        assert!(check("{ name = \"x\", offset = 0, type = \"u32\" }").is_ok());
        assert!(check("{ name = \"x\", offset = 0, type = \"u16\" }, { name = \"y\", offset = 3, type = \"u8\" }").is_err());
        assert!(check("{ name = \"x\", offset = 0, type = \"u32\" }, { name = \"y\", offset = 3, type = \"u8\" }").is_err());
        assert!(check("{ name = \"x\", offset = 0, type = \"u16\" }").is_err());
        assert!(check("{ name = \"x\", offset = 0, type = \"Unknown\" }").is_err());
    }

    #[test]
    fn a_name_inside_a_longer_one_is_no_mention() {
        assert!(mentions("x: Regpair,", "Regpair"));
        assert!(!mentions("x: RegpairTwo,", "Regpair"));
        assert!(!mentions("/// [`Regpair`]", "Regpair"));
    }
}
