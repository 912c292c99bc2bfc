//! Registers: addresses, fields, elements of arrays.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::reflection::REGISTERS;
use crate::{Findings, facts, list, number, object, text};

const EXPECTED_REGISTERS: usize = 3472;

fn compare_registers(facts: &Value) -> Findings {
    let mut findings = Findings::default();
    let ours: BTreeMap<&str, &crate::reflection::RegisterRow> =
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

fn compare_fields(findings: &mut Findings, row: &crate::reflection::RegisterRow, fact: &Value) {
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

fn compare_elements(findings: &mut Findings, row: &crate::reflection::RegisterRow, fact: &Value) {
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
