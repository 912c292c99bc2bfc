//! Codes, flag words and constants.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::reflection::{CODES, CONSTANTS, FLAGS, STRUCTS};
use crate::{Findings, facts, list, object, text};

const EXPECTED_VALUES: usize = 2315;

const EXPECTED_FLAGS: usize = 114;

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
