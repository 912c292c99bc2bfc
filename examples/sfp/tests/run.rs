//! The program as a user runs it.

use std::process::Command;

fn run(module: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_example-sfp"))
        .args(["--module", module])
        .output()
        .expect("runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn every_module_is_described() {
    let cases: [(&str, &[&str]); 4] = [
        (
            "sfp28",
            &[
                "SFP, connector LC",
                "SFP28-SR-SW",
                "25GBASE-SR",
                "25750 MBd",
                "right and right",
                "41.0 C, 3.30 V, bias 7.0 mA, out -1.0 dBm, in -1.4 dBm",
                "alarm above 75.0 C",
            ],
        ),
        (
            "sfp28-copper",
            &[
                "SFP28-CR-SW",
                "25GBASE-CR",
                "right and right",
                "diagnostics none",
            ],
        ),
        (
            "qsfp28",
            &[
                "QSFP, connector MPO",
                "QSFP28-SR4-SW",
                "100GBASE-SR4",
                "right and right",
                "lane 4",
                "no page with thresholds",
            ],
        ),
        (
            "qsfp28-paged",
            &[
                "QSFP28-SR4-SW",
                "right and right",
                "lane 1",
                "alarm above 75.0 C, below -5.0 C",
            ],
        ),
    ];
    for (module, words) in cases {
        let (good, text) = run(module);
        assert!(good, "{module}: {text}");
        for word in words {
            assert!(text.contains(word), "{module} lacks {word}:\n{text}");
        }
    }
}

#[test]
fn an_empty_cage_is_said_so() {
    let (good, text) = run("none");
    assert!(!good && text.contains("no module in the port"), "{text}");
}
