//! What changes with the firmware's version.

use std::collections::BTreeMap;

use fastlinq_pac::versions::{FirmwareVersion, IroId, RuntimeId};
use serde_json::Value;

use crate::reflection::{STRUCTS, VERSIONS};
use crate::{Findings, facts, list, number, text};

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
