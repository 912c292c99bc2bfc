//! Structures: sizes, members, bit fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::reflection::STRUCTS;
use crate::{Findings, facts, list, object, text};

const EXPECTED_STRUCTS: usize = 3489;

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
    row: &crate::reflection::StructRow,
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
