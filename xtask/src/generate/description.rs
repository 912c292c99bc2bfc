//! The description files, as read, and the rules that they keep.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Failure;

/// `registers/<block>.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockFile {
    #[serde(skip)]
    pub(crate) path: String,
    pub(crate) block: String,
    pub(crate) title: String,
    #[serde(rename = "register", default)]
    pub(crate) registers: Vec<Register>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Register {
    pub(crate) name: String,
    pub(crate) address: u32,
    /// The name in the reference, where it is not `<BLOCK>_REG_<NAME>`.
    pub(crate) reference: Option<String>,
    #[serde(default)]
    pub(crate) space: Space,
    #[serde(default)]
    pub(crate) chips: Chips,
    #[serde(default)]
    pub(crate) access: Access,
    /// More than 32 bits a line: needs the DMA engine.
    #[serde(default)]
    pub(crate) wide: bool,
    #[serde(default)]
    pub(crate) split: Split,
    pub(crate) dwords: Option<Count>,
    /// Bytes from one element to the next.
    pub(crate) stride: Option<u32>,
    /// Registers whose address an offset of `space = "relative"` is added to.
    #[serde(default)]
    pub(crate) bases: Vec<String>,
    pub(crate) sources: Vec<Source>,
    pub(crate) doc: Option<String>,
    #[serde(default)]
    pub(crate) fields: Vec<RegisterField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterField {
    pub(crate) name: String,
    pub(crate) shift: u32,
    /// Bits; absent where no source says.
    pub(crate) width: Option<u32>,
    pub(crate) reference: Option<String>,
    /// Where the field is from, when not from the register's sources.
    pub(crate) by: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Space {
    #[default]
    Grc,
    Relative,
    Bar0,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Chips {
    #[default]
    All,
    Bb,
    K2,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Access {
    #[default]
    ReadWrite,
    Read,
    ReadClear,
    Write,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Split {
    #[default]
    None,
    Port,
    Pf,
    PortPf,
    Vf,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum Count {
    Both(u32),
    ByChip { bb: u32, k2: u32 },
}

impl Count {
    pub(crate) fn by_chip(self) -> (u32, u32) {
        match self {
            Self::Both(n) => (n, n),
            Self::ByChip { bb, k2 } => (bb, k2),
        }
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Linux,
    Dpdk,
    /// Named in no header: the address is that of a firmware init operation.
    Firmware,
}

impl Source {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Dpdk => "DPDK",
            Self::Firmware => "firmware init operations",
        }
    }
}

/// Every other description: structures, codes, flag words, constants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InterfaceFile {
    pub(crate) title: String,
    /// The structures are maps of memory whose members are reached one at a time: they get their members'
    /// offsets as constants, and no zerocopy traits, which would cost half of the crate's build time.
    #[serde(default)]
    pub(crate) map: bool,
    #[serde(rename = "struct", default)]
    pub(crate) structs: Vec<Struct>,
    #[serde(rename = "enum", default)]
    pub(crate) enums: Vec<Enum>,
    #[serde(default)]
    pub(crate) flags: Vec<Flags>,
    #[serde(default)]
    pub(crate) constants: Vec<Constants>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) reference: String,
    /// Name of the module with the fields, where it is not `reference`.
    pub(crate) module: Option<String>,
    #[serde(default)]
    pub(crate) kind: Kind,
    pub(crate) size: u32,
    pub(crate) doc: Option<String>,
    pub(crate) members: Vec<Member>,
    #[serde(default)]
    pub(crate) fields: Vec<MemberField>,
    #[serde(default)]
    pub(crate) values: Vec<MemberValue>,
}

impl Struct {
    pub(crate) fn module(&self) -> &str {
        self.module.as_deref().unwrap_or(&self.reference)
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    Struct,
    Union,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) offset: u32,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) dims: Vec<u32>,
    pub(crate) reference: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberField {
    pub(crate) name: String,
    pub(crate) member: String,
    pub(crate) shift: u32,
    pub(crate) width: u32,
    pub(crate) reference: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberValue {
    pub(crate) name: String,
    pub(crate) value: u64,
    pub(crate) member: String,
    #[serde(rename = "reference")]
    pub(crate) _reference: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enum {
    pub(crate) name: String,
    /// Name in the reference; absent where the codes were collected from several places.
    pub(crate) reference: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The reference's values are this many times ours.
    pub(crate) scale: Option<u64>,
    pub(crate) doc: Option<String>,
    pub(crate) values: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) value: u64,
    pub(crate) reference: Option<String>,
    #[serde(default)]
    pub(crate) sources: Vec<Source>,
    pub(crate) doc: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flags {
    pub(crate) name: String,
    /// The structure and the member that hold the word.
    pub(crate) reference: String,
    pub(crate) member: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(rename = "struct")]
    pub(crate) in_struct: Option<String>,
    pub(crate) doc: Option<String>,
    pub(crate) values: Vec<Flag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flag {
    pub(crate) name: String,
    pub(crate) bit: u32,
    pub(crate) reference: Option<String>,
    pub(crate) doc: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Constants {
    pub(crate) module: String,
    pub(crate) doc: String,
    pub(crate) values: Vec<Value>,
}

/// `versions/<firmware version>.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionFile {
    #[serde(skip)]
    pub(crate) path: String,
    pub(crate) version: String,
    /// Entries of the runtime array.
    pub(crate) runtime_size: u32,
    /// Records in the IRO section of the firmware file.
    pub(crate) iro_records: u32,
    #[serde(default)]
    pub(crate) iro: Vec<Iro>,
    #[serde(default)]
    pub(crate) unnamed_iro: Vec<UnnamedIro>,
    #[serde(default)]
    pub(crate) runtime: Vec<Runtime>,
    /// The structures below are taken over from the nearest version with public headers.
    #[serde(default)]
    pub(crate) structures_inferred: bool,
    /// Structures that differ from those of this crate.
    #[serde(rename = "structure", default)]
    pub(crate) structures: Vec<Structure>,
}

/// Where a version has the members of a structure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Structure {
    pub(crate) name: String,
    pub(crate) size: u32,
    pub(crate) moves: Vec<Move>,
    #[serde(default)]
    pub(crate) bits: Vec<BitMove>,
}

/// `len` bytes at `from` in this crate's structure are at `to` in the version's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) len: u32,
}

/// Bits `mask` of byte `byte` (the version's count) lie `left` bits further left.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BitMove {
    pub(crate) byte: u32,
    pub(crate) mask: u8,
    pub(crate) left: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Iro {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) storm: char,
    /// Reached through a global window of BAR0.
    #[serde(default)]
    pub(crate) window: bool,
    #[serde(default)]
    pub(crate) parameters: Vec<String>,
    pub(crate) base: u32,
    pub(crate) steps: [u32; 3],
    pub(crate) size: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnnamedIro {
    pub(crate) index: u32,
    pub(crate) base: u32,
    pub(crate) steps: [u32; 3],
    pub(crate) size: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runtime {
    pub(crate) name: String,
    pub(crate) address: u32,
    pub(crate) index: u32,
    pub(crate) len: u32,
}

fn unique<'a>(place: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("{place}: {name} twice"));
        }
    }
    Ok(())
}

impl BlockFile {
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        unique(&self.path, self.registers.iter().map(|r| r.name.as_str()))?;
        for register in &self.registers {
            let place = format!("{}: {}", self.path, register.name);
            unique(&place, register.fields.iter().map(|f| f.name.as_str()))?;
            if register.address % 4 != 0 && register.space == Space::Grc {
                return Err(format!("{place}: address is not a multiple of 4"));
            }
            if (register.space == Space::Relative) == register.bases.is_empty() {
                return Err(format!(
                    "{place}: `bases` belongs to relative registers, and to all of them"
                ));
            }
            for field in &register.fields {
                if field.width == Some(0) || field.shift + field.width.unwrap_or(1) > 32 {
                    return Err(format!("{place}: field {} leaves the register", field.name));
                }
            }
        }
        Ok(())
    }
}

impl InterfaceFile {
    pub(crate) fn validate(&self, path: &str) -> Result<(), Failure> {
        unique(path, self.structs.iter().map(|s| s.name.as_str()))?;
        unique(path, self.enums.iter().map(|e| e.name.as_str()))?;
        for item in &self.structs {
            let place = format!("{path}: {}", item.name);
            unique(&place, item.members.iter().map(|m| m.name.as_str()))?;
            unique(&place, item.fields.iter().map(|f| f.name.as_str()))?;
            for name in item
                .fields
                .iter()
                .map(|f| &f.member)
                .chain(item.values.iter().map(|v| &v.member))
            {
                if !item.members.iter().any(|m| m.name == *name) {
                    return Err(format!("{place}: no member {name}"));
                }
            }
        }
        for item in &self.enums {
            unique(
                &format!("{path}: {}", item.name),
                item.values.iter().map(|v| v.name.as_str()),
            )?;
        }
        for item in &self.constants {
            unique(
                &format!("{path}: {}", item.module),
                item.values.iter().map(|v| v.name.as_str()),
            )?;
        }
        Ok(())
    }
}

impl VersionFile {
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        unique(&self.path, self.iro.iter().map(|i| i.name.as_str()))?;
        unique(&self.path, self.runtime.iter().map(|r| r.name.as_str()))?;
        if self.path != format!("versions/{}", self.version) {
            return Err(format!(
                "{}: the file is about version {}",
                self.path, self.version
            ));
        }
        if let Some(entry) = self
            .runtime
            .iter()
            .find(|r| r.index + r.len > self.runtime_size)
        {
            return Err(format!(
                "{}: {} leaves the runtime array",
                self.path, entry.name
            ));
        }
        let records = self.iro.len() + self.unnamed_iro.len();
        if records != self.iro_records as usize {
            return Err(format!(
                "{}: {records} IRO records described, {} said",
                self.path, self.iro_records
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Result<(), Failure> {
        toml::from_str::<BlockFile>(text)
            .map_err(|e| e.to_string())?
            .validate()
    }

    #[test]
    fn a_field_beyond_bit_31_is_refused() {
        let text = |shift| {
            format!(
                "block = \"A\"\ntitle = \"a\"\n[[register]]\nname = \"B\"\naddress = 4\nsources = [\"linux\"]\n\
                 fields = [{{ name = \"C\", shift = {shift}, width = 2 }}]"
            )
        };
        assert!(block(&text(30)).is_ok());
        assert!(
            block(&text(31))
                .unwrap_err()
                .contains("leaves the register")
        );
    }

    #[test]
    fn two_registers_of_one_name_are_refused() {
        let register = "[[register]]\nname = \"B\"\naddress = 4\nsources = [\"linux\"]\n";
        let text = format!("block = \"A\"\ntitle = \"a\"\n{register}{register}");
        assert!(block(&text).unwrap_err().contains("twice"));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(block("block = \"A\"\ntitle = \"a\"\nregisters = []").is_err());
    }

    #[test]
    fn a_runtime_range_beyond_the_array_is_refused() {
        let text = "version = \"1.0.0.0\"\nruntime_size = 8\niro_records = 0\n\
                    [[runtime]]\nname = \"A\"\naddress = 4\nindex = 7\nlen = 2";
        let mut version: VersionFile = toml::from_str(text).unwrap();
        version.path = "versions/1.0.0.0".into();
        assert!(
            version
                .validate()
                .unwrap_err()
                .contains("leaves the runtime array")
        );
    }
}
