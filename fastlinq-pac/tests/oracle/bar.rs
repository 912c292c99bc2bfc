//! The map of BAR0.

use crate::{Findings, facts, list, number, text};

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
