//! Register files: typed constants, and their fields.

use std::path::PathBuf;

use super::description::{Access, BlockFile, Chips, Register, Source, Space, Split};
use super::{Descriptions, Failure, Files, text};

pub(crate) fn emit(descriptions: &Descriptions, files: &mut Files) -> Result<(), Failure> {
    for block in &descriptions.blocks {
        files.insert(
            PathBuf::from(format!("src/generated/{}.rs", block.path)),
            file(block),
        );
    }
    Ok(())
}

/// How the register is represented.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Single,
    Array,
    Relative,
    Bar0,
}

impl Register {
    pub(crate) fn shape(&self) -> Shape {
        match self.space {
            Space::Relative => Shape::Relative,
            Space::Bar0 => Shape::Bar0,
            Space::Grc if self.dwords.is_some() => Shape::Array,
            Space::Grc => Shape::Single,
        }
    }

    pub(crate) fn reference_name(&self, block: &BlockFile) -> String {
        self.reference
            .clone()
            .unwrap_or_else(|| format!("{}_REG_{}", block.block, self.name))
    }

    fn module(&self) -> String {
        self.name.to_lowercase()
    }

    fn has_module(&self) -> bool {
        !self.fields.is_empty() && self.space != Space::Bar0
    }

    fn element_bytes(&self) -> u32 {
        self.stride.unwrap_or(4)
    }
}

impl Access {
    fn marker(self) -> &'static str {
        match self {
            Self::ReadWrite => "ReadWrite",
            Self::Read | Self::ReadClear => "ReadOnly",
            Self::Write => "WriteOnly",
        }
    }
}

fn file(block: &BlockFile) -> String {
    let mut body = String::new();
    for register in &block.registers {
        body += &constant(block, register);
    }
    for register in block.registers.iter().filter(|r| r.has_module()) {
        body += &fields(register);
    }
    let mut imports: Vec<&str> = [
        "ReadOnly",
        "ReadWrite",
        "Register",
        "RegisterArray",
        "RelativeRegister",
        "WriteOnly",
    ]
    .into_iter()
    .filter(|name| {
        body.contains(&format!(": {name}<"))
            || body.contains(&format!("<{name}>"))
            || body.contains(&format!("<{name},"))
    })
    .collect();
    imports.sort_unstable();
    let mut text = text::header(
        &format!("Registers of {}", block.title),
        &format!("{}.toml", block.path),
    );
    if block.registers.iter().any(|r| r.space == Space::Bar0) {
        text += "use crate::address::Bar0Offset;\n";
    }
    if !imports.is_empty() {
        text += &format!("use crate::access::{{{}}};\n", imports.join(", "));
    }
    text + "\n" + &body
}

fn constant(block: &BlockFile, register: &Register) -> String {
    let name = &register.name;
    let types = if register.has_module() {
        format!(
            "{}, {}::Register",
            register.access.marker(),
            register.module()
        )
    } else {
        register.access.marker().to_owned()
    };
    let address = text::address(register.address);
    let item = match (register.shape(), register.dwords) {
        (Shape::Array, Some(count)) => {
            let bytes = register.element_bytes();
            let (bb, k2) = count.by_chip();
            format!(
                "pub const {name}: RegisterArray<{types}> = RegisterArray::new({address}, {bytes}, {}, {});\n",
                bb * 4 / bytes,
                k2 * 4 / bytes
            )
        }
        (Shape::Relative, _) => {
            format!(
                "pub const {name}: RelativeRegister<{types}> = RelativeRegister::new({});\n",
                text::number(register.address.into())
            )
        }
        (Shape::Bar0, _) => format!(
            "pub const {name}: Bar0Offset = Bar0Offset({});\n",
            text::number(register.address.into())
        ),
        _ => format!("pub const {name}: Register<{types}> = Register::new({address});\n"),
    };
    documentation(block, register) + &item
}

fn documentation(block: &BlockFile, register: &Register) -> String {
    let mut facts = vec![format!("{:#x}", register.address)];
    if register.space == Space::Relative {
        facts = vec![format!(
            "{:#x} bytes behind {}",
            register.address,
            register.bases.join(" or ")
        )];
    }
    match register.chips {
        Chips::All => {}
        Chips::Bb => facts.push("BB only".into()),
        Chips::K2 => facts.push("K2 only".into()),
    }
    match register.split {
        Split::None => {}
        Split::Port => facts.push("one per port".into()),
        Split::Pf => facts.push("one per PF".into()),
        Split::PortPf => facts.push("one per port and PF".into()),
        Split::Vf => facts.push("one per VF".into()),
    }
    if register.wide {
        facts.push("wide: written by DMA only".into());
    }
    if register.access == Access::ReadClear {
        facts.push("reading clears it".into());
    }
    let sources: Vec<&str> = register.sources.iter().map(|s: &Source| s.text()).collect();
    let mut text = String::new();
    if let Some(doc) = &register.doc {
        text += &text::doc("", &(text::sentence(doc) + "\n\n"));
    }
    text += &text::doc(
        "",
        &format!(
            "`{}` at {}. Known by: {}.",
            register.reference_name(block),
            facts.join(", "),
            sources.join(", ")
        ),
    );
    text
}

fn fields(register: &Register) -> String {
    let mut text = format!(
        "\n/// Fields of [`{0}`].\npub mod {1} {{\n",
        register.name,
        register.module()
    );
    let known = register.fields.iter().any(|f| f.width.is_some());
    text += "use tock_registers::RegisterLongName;\n";
    if known {
        text += "use tock_registers::fields::Field;\n";
    }
    text += &format!(
        "\n/// Ties the fields to [`{0}`](super::{0}).\n#[derive(Clone, Copy, Debug)]\npub enum Register {{}}\nimpl RegisterLongName for Register {{}}\n",
        register.name
    );
    for field in &register.fields {
        match field.width {
            Some(width) => {
                let by = field
                    .by
                    .as_ref()
                    .map(|by| format!(" Known by: {by}."))
                    .unwrap_or_default();
                text += &format!(
                    "/// {}.{by}\npub const {}: Field<u32, Register> = Field::new({}, {});\n",
                    text::bits(field.shift, width),
                    field.name,
                    text::number(text::mask(width)),
                    field.shift
                );
            }
            None => {
                text += &format!(
                    "/// First bit of the field; no source says how wide it is.\npub const {}_SHIFT: usize = {};\n",
                    field.name, field.shift
                );
            }
        }
    }
    text + "}\n"
}
