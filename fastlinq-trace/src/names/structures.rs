//! Structures, taken apart into named fields.

use super::generated::structures::STRUCTURES;

/// A structure of the host's memory or of the mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Structure {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    /// Name, offset, type, number of elements.
    pub(crate) members: &'static [(&'static str, usize, &'static str, usize)],
    /// Name, member, lowest bit, number of bits.
    pub(crate) fields: &'static [(&'static str, &'static str, u32, u32)],
}

/// A structure by its name.
pub(crate) fn find(name: &str) -> Option<&'static Structure> {
    STRUCTURES
        .binary_search_by_key(&name, |item| item.name)
        .ok()
        .map(|index| &STRUCTURES[index])
}

/// A value of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Path from the structure: `tunnel_config.vxlan_udp_port`.
    pub name: String,
    /// The value; of a host address 1 when there is one and 0 when there is none.
    pub value: u64,
    /// True when the value is a host address.
    pub address: bool,
}

impl core::fmt::Display for Field {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} = {}", self.name, Shown(self.value, self.address))
    }
}

/// A value as it is shown.
pub(crate) struct Shown(pub(crate) u64, pub(crate) bool);

impl core::fmt::Display for Shown {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self(0, true) => f.write_str("no address"),
            Self(_, true) => f.write_str("an address"),
            Self(value, false) => write!(f, "{value:#x}"),
        }
    }
}

fn integer(kind: &str) -> Option<usize> {
    match kind {
        "u8" => Some(1),
        "u16" => Some(2),
        "u32" => Some(4),
        "u64" => Some(8),
        _ => None,
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The fields of a structure; those that `bytes` is too short for are left out.
pub(crate) fn fields(name: &str, bytes: &[u8]) -> Vec<Field> {
    let mut out = Vec::new();
    collect("", name, bytes, &mut out, 0);
    out
}

fn collect(prefix: &str, name: &str, bytes: &[u8], out: &mut Vec<Field>, depth: u8) {
    let (Some(structure), 0..8) = (find(name), depth) else {
        return;
    };
    for &(member, offset, kind, count) in structure.members {
        let size = integer(kind)
            .or_else(|| (kind == "Regpair").then_some(8))
            .or_else(|| find(kind).map(|inner| inner.size));
        let Some(size) = size else { continue };
        for element in 0..count.max(1) {
            let start = offset + element * size;
            let Some(raw) = bytes.get(start..start + size) else {
                continue;
            };
            let path = match count {
                0 | 1 => format!("{prefix}{member}"),
                _ => format!("{prefix}{member}[{element}]"),
            };
            let bits = structure
                .fields
                .iter()
                .filter(|(_, of, ..)| *of == member)
                .collect::<Vec<_>>();
            if kind == "Regpair" {
                out.push(Field {
                    name: path,
                    value: u64::from(number(raw) != 0),
                    address: true,
                });
            } else if integer(kind).is_none() {
                collect(&format!("{path}."), kind, raw, out, depth + 1);
            } else if bits.is_empty() {
                out.push(Field {
                    name: path,
                    value: number(raw),
                    address: false,
                });
            } else {
                for (field, _, shift, width) in bits {
                    let mask = 1u64.checked_shl(*width).map_or(u64::MAX, |bit| bit - 1);
                    out.push(Field {
                        name: format!("{path}.{field}"),
                        value: number(raw).checked_shr(*shift).unwrap_or(0) & mask,
                        address: false,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramrod_is_taken_apart_and_its_addresses_are_hidden() {
        let mut data = [0; 80];
        data[0] = 0x10;
        data[36..38].copy_from_slice(&[3, 1]);
        let fields = fields("PfStartRamrodData", &data);
        let value = |name: &str| fields.iter().find(|f| f.name == name).unwrap().clone();
        assert_eq!(value("event_ring_sb_id").value, 0x103);
        let ring = value("event_ring_pbl_addr");
        assert!(ring.address && ring.value == 1);
        assert_eq!(ring.to_string(), "event_ring_pbl_addr = an address");
        assert_eq!(value("tunnel_config.vxlan_udp_port").value, 0);
    }

    #[test]
    fn short_data_gives_what_there_is() {
        assert!(fields("PfStartRamrodData", &[0; 8]).len() == 1);
        assert!(fields("no such structure", &[0; 8]).is_empty());
    }

    #[test]
    fn every_type_of_a_member_is_known() {
        for structure in STRUCTURES {
            for (name, offset, kind, count) in structure.members {
                let size = integer(kind)
                    .or_else(|| (*kind == "Regpair").then_some(8))
                    .or_else(|| find(kind).map(|inner| inner.size));
                let size = size.unwrap_or_else(|| panic!("{kind} of {name}"));
                assert!(offset + size * (*count).max(1) <= structure.size);
            }
        }
    }
}
