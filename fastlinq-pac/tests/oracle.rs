//! Compares what the crate says with an independent collection of facts.
//!
//! The facts were extracted from the drivers' headers and from the firmware files by other means than this
//! crate's descriptions. They are not part of the repository: where their folder is absent, the tests say so
//! and pass. Each comparison returns how much it compared, and has a test that it notices a changed fact.

mod reflection;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

use fastlinq_pac::versions::{FirmwareVersion, IroId, RuntimeId};
use reflection::{CODES, CONSTANTS, FLAGS, REGISTERS, STRUCTS, VERSIONS};

/// What a comparison found.
#[derive(Default)]
struct Findings {
    compared: usize,
    differences: Vec<String>,
}

impl Findings {
    fn check(
        &mut self,
        what: &str,
        ours: impl PartialEq + std::fmt::Debug,
        theirs: impl PartialEq + std::fmt::Debug,
    ) {
        let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
        self.compared += 1;
        if ours != theirs {
            self.differences
                .push(format!("{what}: {ours}, the facts say {theirs}"));
        }
    }

    fn differ(&mut self, what: String) {
        self.differences.push(what);
    }

    fn assert(self, expected: usize) {
        assert!(
            self.differences.is_empty(),
            "{}",
            self.differences.join("\n")
        );
        assert_eq!(self.compared, expected, "number of comparisons");
    }
}

/// The facts of one file, or `None`, said aloud, where they are absent.
fn facts(file: &str) -> Option<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/facts")
        .join(file);
    let Ok(text) = fs::read_to_string(&path) else {
        // Not by a macro: the test harness would keep the line to itself.
        let line = format!(
            "SKIPPED: no facts at {}; nothing was compared\n",
            path.display()
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A number as such or as text ("0x1f").
fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap(),
        other => other.as_u64().unwrap(),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn object(value: &Value) -> &serde_json::Map<String, Value> {
    value.as_object().unwrap()
}

// How much there is to compare.
const EXPECTED_REGISTERS: usize = 3472;
const EXPECTED_STRUCTS: usize = 3489;
const EXPECTED_VALUES: usize = 2314;
const EXPECTED_FLAGS: usize = 114;

/// Structures that an Ethernet driver names and this crate leaves out: parameters of driver functions, the
/// debug tools, the VF channel, and a task of storage.
const LEFT_OUT_STRUCTS: [&str; 11] = [
    "dbg_attn_block_result",
    "init_qm_port_params",
    "init_qm_pq_params",
    "init_qm_rl_params",
    "init_qm_vport_params",
    "pfvf_acquire_resp_tlv",
    "phys_mem_desc",
    "qed_dmae_params",
    "qed_qm_common_rt_init_params",
    "qed_qm_pf_rt_init_params",
    "tdif_task_context",
];

/// Codes left out: ends of enumerations, and the debug tools.
const LEFT_OUT_CODES: [&str; 4] = ["MAX_", "RESOURCE_NUM_INVALID", "ATTN_TYPE_", "DBG_STATUS_"];

/// Constants left out: counts that tables of this crate have in another form, bits that are register fields
/// here, and what belongs to storage, VFs and transceivers.
const LEFT_OUT_CONSTANTS: [&str; 10] = [
    "BDQ_NUM_RESOURCES",
    "E4_IRO_ARR_OFFSET",
    "IGU_PF_CONF_ATTN_BIT_EN",
    "IGU_PF_CONF_FUNC_EN",
    "IGU_PF_CONF_INT_LINE_EN",
    "IGU_PF_CONF_MSI_MSIX_EN",
    "IGU_PF_CONF_SINGLE_ISR_EN",
    "MAX_I2C_TRANSACTION_SIZE",
    "PXP_VF_BAR0_START_IGU",
    "RUNTIME_ARRAY_SIZE",
];

// Registers

fn compare_registers(facts: &Value) -> Findings {
    let mut findings = Findings::default();
    let ours: BTreeMap<&str, &reflection::RegisterRow> =
        REGISTERS.iter().map(|r| (r.reference, r)).collect();
    assert_eq!(ours.len(), REGISTERS.len(), "a register twice");
    let mut known = BTreeSet::new();
    for fact in list(facts, "registers") {
        let name = text(&fact["name"]);
        // Names for a later chip; and the long form of a name whose short form is there, at the same address.
        if fact["chip"] == "e5" {
            continue;
        }
        let row = match ours.get(name) {
            Some(row) => row,
            None => match name.strip_suffix("_E5").and_then(|short| ours.get(short)) {
                Some(row) => row,
                None => {
                    findings.differ(format!("{name} is missing"));
                    continue;
                }
            },
        };
        known.insert(row.reference);
        findings.check(name, u64::from(row.address), number(&fact["addr"]));
        if row.reference == name {
            compare_fields(&mut findings, row, fact);
            compare_elements(&mut findings, row, fact);
        }
    }
    for row in REGISTERS.iter().filter(|r| !known.contains(r.reference)) {
        findings.differ(format!("{} is in no fact", row.reference));
    }
    findings
}

fn compare_fields(findings: &mut Findings, row: &reflection::RegisterRow, fact: &Value) {
    let ours: BTreeMap<&str, (u32, Option<u64>)> =
        row.fields.iter().map(|f| (f.0, (f.1, f.2))).collect();
    let facts = list(fact, "fields");
    findings.check(
        &format!("{}: number of fields", row.reference),
        ours.len(),
        facts.len(),
    );
    for field in facts {
        let name = text(&field["name"]);
        let mask = field["width"].as_u64().map(|width| (1_u64 << width) - 1);
        findings.check(
            name,
            ours.get(name).copied(),
            Some((field["shift"].as_u64().unwrap() as u32, mask)),
        );
    }
}

fn compare_elements(findings: &mut Findings, row: &reflection::RegisterRow, fact: &Value) {
    let dwords = fact["dwords"].as_u64().unwrap_or(1);
    if dwords <= 1 || fact["space"] == "relative" {
        return;
    }
    let Some((stride, bb, k2)) = row.elements else {
        findings.differ(format!("{} is no array", row.reference));
        return;
    };
    let bytes = |elements: u32| u64::from(elements) * u64::from(stride);
    let by_chip = fact.get("dwords_by_mode").map(object);
    let find = |not_bb: bool| {
        by_chip
            .and_then(|modes| {
                modes
                    .iter()
                    .find(|(mode, _)| mode.contains("!BB") == not_bb)
            })
            .map_or(dwords, |(_, n)| n.as_u64().unwrap())
    };
    findings.check(
        &format!("{} on BB", row.reference),
        bytes(bb),
        find(false) * 4,
    );
    findings.check(
        &format!("{} on K2", row.reference),
        bytes(k2),
        find(true) * 4,
    );
}

#[test]
fn registers_lie_where_the_facts_say() {
    let Some(facts) = facts("registers.json") else {
        return;
    };
    compare_registers(&facts).assert(EXPECTED_REGISTERS);
}

#[test]
fn a_moved_register_or_field_is_noticed() {
    let Some(facts) = facts("registers.json") else {
        return;
    };
    let at = |name: &str| {
        list(&facts, "registers")
            .iter()
            .position(|r| r["name"] == name)
            .unwrap()
    };
    let changes: [(&str, &str, Value); 3] = [
        ("IGU_REG_PF_CONFIGURATION", "/addr", "0x180804".into()),
        ("CDU_REG_CID_ADDR_PARAMS", "/fields/1/width", 11.into()),
        ("PSWRQ2_REG_ILT_MEMORY", "/dwords_by_mode/BB", 15198.into()),
    ];
    for (name, pointer, value) in changes {
        let mut changed = facts.clone();
        *changed["registers"][at(name)].pointer_mut(pointer).unwrap() = value;
        assert_eq!(compare_registers(&changed).differences.len(), 1, "{name}");
    }
    let mut changed = facts.clone();
    changed["registers"]
        .as_array_mut()
        .unwrap()
        .remove(at("MISCS_REG_CHIP_NUM"));
    assert_eq!(
        compare_registers(&changed).differences,
        ["MISCS_REG_CHIP_NUM is in no fact"]
    );
}

// Structures

fn compare_structs(facts: &Value) -> Findings {
    let mut findings = Findings::default();
    let structs = object(&facts["structs"]);
    for row in STRUCTS {
        let Some(fact) = structs.get(row.reference) else {
            findings.differ(format!("{} is in no fact", row.reference));
            continue;
        };
        findings.check(
            row.reference,
            row.size as u64,
            fact["size"].as_u64().unwrap(),
        );
        findings.check(row.reference, row.is_union, fact["kind"] == "union");
        let members: BTreeMap<&str, &Value> = list(fact, "members")
            .iter()
            .map(|m| (text(&m["name"]), m))
            .collect();
        if !row.is_union {
            findings.check(
                &format!("{}: number of members", row.reference),
                row.members.len(),
                members.len(),
            );
        }
        for (name, offset, size) in row.members {
            let what = format!("{}.{name}", row.reference);
            let theirs = members
                .get(name)
                .map(|m| (m["offset"].as_u64().unwrap(), m["size"].as_u64().unwrap()));
            findings.check(&what, Some((*offset as u64, *size as u64)), theirs);
        }
        compare_bits(&mut findings, row, &members);
    }
    findings
}

fn compare_bits(
    findings: &mut Findings,
    row: &reflection::StructRow,
    members: &BTreeMap<&str, &Value>,
) {
    let mut theirs = BTreeSet::new();
    for (name, member) in members {
        for field in list(member, "bitfields") {
            let width = field["width"].as_u64().unwrap();
            let mask = if width >= 64 {
                u64::MAX
            } else {
                (1 << width) - 1
            };
            theirs.insert((
                text(&field["name"]),
                *name,
                field["shift"].as_u64().unwrap() as u32,
                mask,
            ));
        }
    }
    let ours: BTreeSet<(&str, &str, u32, u64)> = row.fields.iter().copied().collect();
    findings.compared += ours.len();
    for (name, member, shift, mask) in ours.symmetric_difference(&theirs) {
        findings.differ(format!(
            "{}.{member}: {name} at {shift}, mask {mask:#x}, is on one side only",
            row.reference
        ));
    }
}

#[test]
fn structures_have_the_layout_of_the_facts() {
    let Some(facts) = facts("hsi_structs.json") else {
        return;
    };
    compare_structs(&facts).assert(EXPECTED_STRUCTS);
}

#[test]
fn a_changed_layout_is_noticed() {
    let Some(facts) = facts("hsi_structs.json") else {
        return;
    };
    let changes: [(&str, &str, Value); 4] = [
        ("pf_start_ramrod_data", "/size", 76.into()),
        ("eth_fast_path_rx_reg_cqe", "/members/2/offset", 3.into()),
        ("eth_rx_bd", "/members/0/size", 4.into()),
        ("regpair", "/kind", "union".into()),
    ];
    for (name, pointer, value) in changes {
        let mut changed = facts.clone();
        *changed["structs"][name].pointer_mut(pointer).unwrap() = value;
        assert_eq!(compare_structs(&changed).differences.len(), 1, "{name}");
    }
    let mut changed = facts.clone();
    *changed
        .pointer_mut("/structs/cau_sb_entry/members/0/bitfields/1/shift")
        .unwrap() = 25.into();
    // The old place is missing there, the new one here.
    assert_eq!(compare_structs(&changed).differences.len(), 2);
}

#[test]
fn every_structure_that_an_ethernet_driver_uses_is_there() {
    let Some(facts) = facts("used_by_l2.json") else {
        return;
    };
    let ours: BTreeSet<&str> = STRUCTS.iter().map(|s| s.reference).collect();
    let wanted = object(&facts["structs"])
        .iter()
        .filter(|(_, use_)| use_["core"] == true && use_.get("non_l2_name").is_none())
        .map(|(name, _)| name.as_str());
    let missing: BTreeSet<&str> = wanted.filter(|name| !ours.contains(name)).collect();
    let left_out: BTreeSet<&str> = LEFT_OUT_STRUCTS.into_iter().collect();
    assert_eq!(missing, left_out);
}

// Codes and constants

/// Every named number of the facts.
fn named_values(enums: &Value, structs: &Value) -> BTreeMap<String, BTreeSet<u64>> {
    let mut values: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut add = |name: &str, value: &Value| {
        // Negative values were normalised to 32 bits in one file and not in the other.
        let value = value
            .as_u64()
            .unwrap_or_else(|| value.as_i64().unwrap() as u32 as u64);
        values.entry(name.to_owned()).or_default().insert(value);
    };
    for group in object(&enums["enums"]).values() {
        for pair in list(group, "values") {
            add(text(&pair[0]), &pair[1]);
        }
    }
    for group in object(&enums["constants"]).values() {
        for kind in ["values", "enumerators", "dpdk_only"] {
            for (name, value) in object(&group[kind]) {
                add(name, value);
            }
        }
    }
    for file in object(&enums["c_file_constants"]).values() {
        for (name, value) in object(file) {
            add(name, value);
        }
    }
    for layout in object(&structs["structs"]).values() {
        for member in list(layout, "members") {
            for pair in list(member, "constants") {
                add(text(&pair[0]), &pair[1]);
            }
        }
    }
    values
}

fn compare_values(values: &BTreeMap<String, BTreeSet<u64>>) -> Findings {
    let mut findings = Findings::default();
    let rows = CODES
        .iter()
        .flat_map(|(_, rows)| rows.iter())
        .chain(CONSTANTS);
    for (name, value, scale) in rows {
        let theirs = values.get(*name).map(|set| set.contains(&(value * scale)));
        findings.check(&format!("{name} = {value:#x}"), Some(true), theirs);
    }
    findings
}

#[test]
fn codes_and_constants_have_the_values_of_the_facts() {
    let (Some(enums), Some(structs)) = (facts("hsi_enums.json"), facts("hsi_structs.json")) else {
        return;
    };
    compare_values(&named_values(&enums, &structs)).assert(EXPECTED_VALUES);
}

#[test]
fn a_changed_code_is_noticed() {
    let (Some(enums), Some(structs)) = (facts("hsi_enums.json"), facts("hsi_structs.json")) else {
        return;
    };
    let mut values = named_values(&enums, &structs);
    values.insert("DRV_MSG_CODE_LOAD_REQ".into(), [0x1000_0001].into());
    values.insert("ETH_RAMROD_VPORT_START".into(), [2].into());
    values.remove("ETH_RX_CQE_GAP");
    assert_eq!(compare_values(&values).differences.len(), 3);
}

#[test]
fn flags_are_the_single_bits_of_the_facts() {
    let (Some(enums), Some(structs)) = (facts("hsi_enums.json"), facts("hsi_structs.json")) else {
        return;
    };
    let mut bits = named_values(&enums, &structs);
    for layout in object(&structs["structs"]).values() {
        for member in list(layout, "members") {
            for field in list(member, "bitfields").iter().filter(|f| f["width"] == 1) {
                let bit = 1 << field["shift"].as_u64().unwrap();
                bits.insert(text(&field["name"]).to_owned(), [bit].into());
            }
        }
    }
    let mut findings = Findings::default();
    for (name, value, _) in FLAGS {
        findings.check(
            name,
            Some(BTreeSet::from([*value])),
            bits.get(*name).cloned(),
        );
    }
    findings.assert(EXPECTED_FLAGS);
}

#[test]
fn the_codes_that_an_ethernet_driver_uses_are_there() {
    let Some(facts) = facts("used_by_l2.json") else {
        return;
    };
    let ours: BTreeSet<&str> = CODES
        .iter()
        .flat_map(|(_, rows)| rows.iter())
        .map(|row| row.0)
        .collect();
    let missing: Vec<&str> = object(&facts["enumerators"])
        .iter()
        .filter(|(name, use_)| {
            use_["core"] == true
                && use_.get("non_l2_name").is_none()
                && !ours.contains(name.as_str())
        })
        .map(|(name, _)| name.as_str())
        .filter(|name| !LEFT_OUT_CODES.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

// Firmware versions

fn compare_iro(facts: &Value, version: &str) -> Findings {
    let mut findings = Findings::default();
    let row = VERSIONS.iter().find(|v| v.version == version).unwrap();
    let mut ours: BTreeMap<u64, [u64; 5]> = BTreeMap::new();
    for record in IroId::all().filter_map(|id| row.layout.iro(id)) {
        let [m1, m2, m3] = record.steps.map(u64::from);
        ours.insert(
            record.record.into(),
            [record.base.into(), m1, m2, m3, record.size.into()],
        );
    }
    for (index, base, [m1, m2, m3], size) in row.unnamed {
        ours.insert(
            u64::from(*index),
            [*base, *m1, *m2, *m3, *size].map(u64::from),
        );
    }
    let columns = |v: &Value| ["base", "m1", "m2", "m3", "size"].map(|c| v[c].as_u64().unwrap());
    let mut theirs = BTreeMap::new();
    if version == "8.59.1.0" {
        for entry in list(facts, "entries") {
            theirs.insert(
                entry["index"].as_u64().unwrap(),
                columns(&entry["fw_8.59.1.0"]),
            );
        }
        for entry in list(facts, "unnamed_8.59.1.0") {
            theirs.insert(entry["index"].as_u64().unwrap(), columns(entry));
        }
    } else {
        let key = if version == "8.42.2.0" {
            "fw_8.42.2.0_raw"
        } else {
            "dpdk_8.40.33.0"
        };
        for entry in list(facts, key) {
            theirs.insert(entry["index"].as_u64().unwrap(), columns(entry));
        }
    }
    findings.check("records", ours.len(), theirs.len());
    findings.check(
        "records said",
        usize::from(row.layout.iro_records),
        theirs.len(),
    );
    for (index, record) in &theirs {
        findings.check(
            &format!("{version}: IRO record {index}"),
            ours.get(index),
            Some(record),
        );
    }
    findings
}

#[test]
fn the_constants_that_an_ethernet_driver_uses_are_there() {
    let (Some(used), Some(structs)) = (facts("used_by_l2.json"), facts("hsi_structs.json")) else {
        return;
    };
    let mut ours: BTreeSet<&str> = CONSTANTS.iter().map(|row| row.0).collect();
    ours.extend(
        CODES
            .iter()
            .flat_map(|(_, rows)| rows.iter())
            .map(|row| row.0),
    );
    // A value that belongs to a member is a constant of the structure's module.
    for row in STRUCTS {
        for member in list(&structs["structs"][row.reference], "members") {
            ours.extend(list(member, "constants").iter().map(|pair| text(&pair[0])));
        }
    }
    let missing: BTreeSet<&str> = object(&used["constants"])
        .iter()
        .filter(|(name, use_)| {
            use_["core"] == true
                && use_.get("non_l2_name").is_none()
                && !ours.contains(name.as_str())
        })
        .map(|(name, _)| name.as_str())
        .filter(|name| {
            let stem = ["_MASK", "_SHIFT", "_OFFSET"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            !STRUCTS.iter().any(|s| s.fields.iter().any(|f| f.0 == stem))
        })
        .collect();
    assert_eq!(missing, LEFT_OUT_CONSTANTS.into_iter().collect());
}

#[test]
fn firmware_variables_lie_where_the_facts_say() {
    let Some(facts) = facts("iro.json") else {
        return;
    };
    compare_iro(&facts, "8.59.1.0").assert(71 + 2);
    compare_iro(&facts, "8.42.2.0").assert(69 + 2);
    compare_iro(&facts, "8.40.33.0").assert(69 + 2);
}

#[test]
fn a_moved_firmware_variable_is_noticed() {
    let Some(mut facts) = facts("iro.json") else {
        return;
    };
    *facts.pointer_mut("/entries/6/fw_8.59.1.0/base").unwrap() = 2689.into();
    assert_eq!(compare_iro(&facts, "8.59.1.0").differences.len(), 1);
}

#[test]
fn names_of_firmware_variables_say_where_they_are() {
    let Some(facts) = facts("iro.json") else {
        return;
    };
    let layout = VERSIONS
        .iter()
        .find(|v| v.version == "8.59.1.0")
        .unwrap()
        .layout;
    for entry in list(&facts, "entries") {
        let id = IroId::all().find(|id| id.name() == entry["name"]).unwrap();
        let record = layout.iro(id).unwrap();
        assert_eq!(u64::from(record.record), entry["index"].as_u64().unwrap());
        assert_eq!(format!("{:?}STORM", record.storm), text(&entry["storm"]));
        assert_eq!(record.in_window, entry["gtt"].as_bool().unwrap());
        assert_eq!(
            record.bar0(0, 0).is_some(),
            record.in_window,
            "{}",
            id.name()
        );
    }
}

fn compare_runtime(facts: &Value, version: &str) -> Findings {
    let mut findings = Findings::default();
    let layout = VERSIONS
        .iter()
        .find(|v| v.version == version)
        .unwrap()
        .layout;
    let key = if version == "8.59.1.0" {
        "offset"
    } else {
        "dpdk_offset"
    };
    let mut theirs: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for fact in list(facts, "registers")
        .iter()
        .filter(|r| r["rt"][key].is_u64())
    {
        let place = (
            fact["rt"][key].as_u64().unwrap(),
            fact["rt"]["size"].as_u64().unwrap(),
            number(&fact["addr"]),
        );
        theirs.insert(text(&fact["name"]), place);
    }
    for id in RuntimeId::all().filter(|id| !layout.runtime(*id).is_empty()) {
        let range = layout.runtime(id);
        let ours = (
            u64::from(range.index),
            u64::from(range.len),
            u64::from(id.register().value()),
        );
        findings.check(id.name(), Some(ours), theirs.remove(id.name()));
    }
    for name in theirs.keys() {
        findings.differ(format!("{version}: no runtime range {name}"));
    }
    findings
}

#[test]
fn runtime_ranges_are_those_of_the_facts() {
    let Some(facts) = facts("registers.json") else {
        return;
    };
    compare_runtime(&facts, "8.59.1.0").assert(401);
    compare_runtime(&facts, "8.42.2.0").assert(400);
    compare_runtime(&facts, "8.40.33.0").assert(400);
}

#[test]
fn a_moved_runtime_range_is_noticed() {
    let Some(mut facts) = facts("registers.json") else {
        return;
    };
    let registers = facts["registers"].as_array_mut().unwrap();
    let register = registers
        .iter_mut()
        .find(|r| r["name"] == "CAU_REG_SB_VAR_MEMORY")
        .unwrap();
    register["rt"]["offset"] = 27.into();
    assert_eq!(compare_runtime(&facts, "8.59.1.0").differences.len(), 1);
}

#[test]
fn the_runtime_array_has_the_size_that_the_facts_say() {
    let Some(enums) = facts("hsi_enums.json") else {
        return;
    };
    let layout = VERSIONS
        .iter()
        .find(|v| v.version == "8.59.1.0")
        .unwrap()
        .layout;
    let size = enums
        .pointer("/constants/other/values/RUNTIME_ARRAY_SIZE")
        .unwrap()
        .as_u64()
        .unwrap();
    assert_eq!(u64::from(layout.runtime_size), size);
    assert_eq!(layout.version, FirmwareVersion::new(8, 59, 1, 0));
}

/// The structures of the firmware interface whose size is another one in 8.40.33.0.
#[test]
fn structures_of_old_firmware_have_the_sizes_of_the_facts() {
    let Some(facts) = facts("hsi_structs.json") else {
        return;
    };
    let layout = VERSIONS
        .iter()
        .find(|v| v.version == "8.40.33.0")
        .unwrap()
        .layout;
    let mut findings = Findings::default();
    for row in STRUCTS {
        let fact = &facts["structs"][row.reference];
        let size = list(fact, "diff_dpdk")
            .iter()
            .find_map(|line| text(line).strip_prefix("size "));
        let Some((ours, theirs)) = size.and_then(|line| line.split_once(" vs ")) else {
            continue;
        };
        // The management firmware's interface does not go with the storm firmware's version.
        if fact["file"] == "qed_mfw_hsi.h" {
            continue;
        }
        findings.check(row.reference, row.size.to_string(), ours);
        let described = layout.structures().iter().find(|s| s.name == row.name);
        findings.check(
            row.reference,
            described.map(|s| s.size.to_string()).as_deref(),
            Some(theirs),
        );
    }
    findings.assert(2 * 5);
}

// The BAR

#[test]
fn the_bar_map_is_that_of_the_facts() {
    use fastlinq_pac::bar;
    let Some(facts) = facts("bar_layout.json") else {
        return;
    };
    let mut findings = Findings::default();
    for area in list(&facts, "bar0") {
        let ours = match text(&area["name"]) {
            "admin_window" => 0,
            "admin_per_pf_entries" => bar::ptt_target(0).value(),
            "admin_global_entries" => bar::gtt_entry(0).value(),
            "global_pretend" => bar::GLOBAL_PRETEND.value(),
            "me_opaque_mask" => bar::ME_OPAQUE_MASK.value(),
            "me_opaque" => bar::ME_OPAQUE.value(),
            "me_concrete" => bar::ME_CONCRETE.value(),
            "pf_windows" => bar::ptt_window(0).value(),
            "global_windows" => bar::gtt_window(0).value(),
            other => panic!("what is {other}?"),
        };
        findings.check(
            text(&area["name"]),
            u64::from(ours),
            area["start"].as_u64().unwrap(),
        );
    }
    let windows = list(&facts, "global_window_table");
    findings.check("global windows", bar::GLOBAL_WINDOWS.len(), windows.len());
    for (ours, fact) in bar::GLOBAL_WINDOWS.iter().zip(windows) {
        let what = format!("global window {}", ours.index);
        findings.check(
            &what,
            u64::from(ours.index),
            fact["index"].as_u64().unwrap(),
        );
        findings.check(
            &what,
            u64::from(ours.target.value()),
            number(&fact["target_addr"]),
        );
        findings.check(
            &what,
            u64::from(ours.entry_word()),
            number(&fact["entry_value"]),
        );
        findings.check(
            &what,
            u64::from(ours.window().value()),
            number(&fact["bar0_offset"]),
        );
    }
    findings.assert(9 + 1 + 13 * 4);
}
