//! The chip against lists that others made; where they are absent, the tests say so and pass.

mod bench;

use std::path::PathBuf;

use bench::Bench;

fn shared(path: &str) -> Option<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared")
        .join(path);
    let text = std::fs::read_to_string(file).ok();
    if text.is_none() {
        println!("SKIPPED: no {path} beside the workspace");
    }
    text
}

#[test]
fn every_register_that_linux_reads_is_served() {
    let Some(text) = shared("lab/linux-6.12-registers-read.txt") else {
        return;
    };
    let mut bench = Bench::k2();
    let mut count = 0;
    for line in text.lines() {
        let Some(address) = line
            .split_whitespace()
            .next()
            .and_then(|word| u32::from_str_radix(word, 16).ok())
        else {
            continue;
        };
        bench.read(address);
        count += 1;
    }
    assert!(count > 500);
    bench.assert_clean();
}

#[test]
fn banked_registers_are_those_of_the_dump_tables() {
    let Some(text) = shared("facts/fw_dump_regions.csv") else {
        return;
    };
    let table = include_str!("../src/chip/data/split.csv");
    let mut count = 0;
    for line in text.lines().skip(1) {
        // kind, block, address, dwords, wide, split, mode, group
        let columns: Vec<&str> = line.split(',').collect();
        let (address, dwords, split) = (columns[2], columns[3], columns[5]);
        if split == "NONE" {
            continue;
        }
        let address = u32::from_str_radix(address.trim_start_matches("0x"), 16).unwrap();
        let wanted = format!("{address:#x},{dwords},{},", split.to_lowercase());
        assert!(
            table.lines().any(|row| row.starts_with(&wanted)),
            "{wanted}"
        );
        count += 1;
    }
    assert!(count > 300);
}
