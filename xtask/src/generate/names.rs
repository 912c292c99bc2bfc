//! Names for addresses and bytes, as tables for `fastlinq-trace`.
//!
//! The crate of the descriptions has constants, which a driver needs; who looks at a trace needs the way back, from
//! an address to the name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::description::{Chips, Kind, Space, Split, Struct};
use super::{Descriptions, Files, text};

/// Below the directory of the described crate.
pub(crate) const DIRECTORY: &str = "../fastlinq-trace/src/names/generated";

/// Structures that a trace quotes beside ramrods: what the mailbox carries.
const MAILBOX_STRUCTURES: [&str; 2] = ["LoadReq", "LoadRsp"];

pub(crate) fn emit(descriptions: &Descriptions, files: &mut Files) {
    let put = |files: &mut Files, name: &str, about: &str, body: String| {
        let header =
            text::header(about, "").replace("descriptions/`", "descriptions` of `fastlinq-pac`");
        files.insert(
            PathBuf::from(format!("{DIRECTORY}/{name}.rs")),
            header + &body,
        );
    };
    put(
        files,
        "registers",
        "Registers by address",
        registers(descriptions),
    );
    put(
        files,
        "structures",
        "Structures of ramrods and mailbox commands",
        structures(descriptions),
    );
}

fn registers(descriptions: &Descriptions) -> String {
    let mut rows = Vec::new();
    for block in &descriptions.blocks {
        for register in block.registers.iter().filter(|r| r.space == Space::Grc) {
            let count = register.dwords.map_or(1, |count| {
                let (bb, k2) = count.by_chip();
                bb.max(k2)
            });
            let chips = match register.chips {
                Chips::All => "All",
                Chips::Bb => "Bb",
                Chips::K2 => "K2",
            };
            let split = match register.split {
                Split::None => "None",
                Split::Port => "Port",
                Split::Pf => "Pf",
                Split::PortPf => "PortPf",
                Split::Vf => "Vf",
            };
            let stride = register.stride.unwrap_or(4);
            rows.push((
                register.address,
                format!(
                    "row({}, {stride}, {count}, Chips::{chips}, Split::{split}, \"{}\", \"{}\"),\n",
                    text::address(register.address),
                    block.block,
                    register.name
                ),
            ));
        }
    }
    rows.sort();
    let mut body = String::from(
        "use crate::names::registers::{Chips, Row, Split, row};\n\n/// In rising order of addresses.\n#[rustfmt::skip]\npub(crate) static REGISTERS: &[Row] = &[\n",
    );
    body.extend(rows.into_iter().map(|(_, row)| row));
    body + "];\n"
}

fn structures(descriptions: &Descriptions) -> String {
    let all: BTreeMap<&str, &Struct> = descriptions
        .interfaces
        .values()
        .flat_map(|file| &file.structs)
        .map(|item| (item.name.as_str(), item))
        .collect();
    let mut wanted: Vec<&str> = all
        .keys()
        .copied()
        .filter(|name| name.ends_with("RamrodData"))
        .chain(MAILBOX_STRUCTURES)
        .collect();
    let mut reached = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if let (Some(item), true) = (all.get(name), reached.insert(name)) {
            wanted.extend(item.members.iter().map(|member| member.kind.as_str()));
        }
    }
    let mut body = String::from(
        "use crate::names::structures::Structure;\n\n/// In rising order of names.\npub(crate) static STRUCTURES: &[Structure] = &[\n",
    );
    for item in reached.into_iter().filter_map(|name| all.get(name)) {
        let members = match item.kind {
            Kind::Union => String::new(),
            Kind::Struct => item
                .members
                .iter()
                .map(|member| {
                    let count: u32 = member.dims.iter().product();
                    format!(
                        "(\"{}\", {}, \"{}\", {count}),",
                        member.name, member.offset, member.kind
                    )
                })
                .collect(),
        };
        let fields: String = item
            .fields
            .iter()
            .map(|field| {
                format!(
                    "(\"{}\", \"{}\", {}, {}),",
                    field.name, field.member, field.shift, field.width
                )
            })
            .collect();
        body += &format!(
            "Structure {{ name: \"{}\", size: {}, members: &[{members}], fields: &[{fields}] }},\n",
            item.name, item.size
        );
    }
    body + "];\n"
}
