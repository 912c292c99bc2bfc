//! The interpreter's walk over genuine files, compared with checksums made by another program.

use std::path::{Path, PathBuf};

use fastlinq_hal::firmware::{FirmwareImage, Inflater, Modes};
use fastlinq_pac::init_file::Phase;
use serde_json::Value;

const PHASES: [(&str, Phase, Option<u16>); 5] = [
    ("ENGINE", Phase::ENGINE, None),
    ("PORT", Phase::PORT, Some(0)),
    ("PF", Phase::PF, Some(0)),
    ("VF", Phase::VF, Some(0)),
    ("QM_PF", Phase::QM_PF, Some(0)),
];

fn firmware(version: &str) -> Option<Vec<u8>> {
    let name = format!("qed_init_values_zipped-{version}.bin");
    let own = std::env::var_os("FASTLINQ_FIRMWARE_DIR").map(PathBuf::from);
    own.into_iter()
        .chain(["/lib/firmware/qed", "/usr/lib/firmware/qed"].map(PathBuf::from))
        .find_map(|folder| std::fs::read(folder.join(&name)).ok())
}

fn modes(name: &str) -> Modes {
    name.split('-').fold(Modes::ASIC, |modes, part| {
        modes
            | match part {
                "BB" => Modes::BB,
                "K2" => Modes::K2,
                "MF_SI" => Modes::MF_SI,
                "MF_SD" => Modes::MF_SD,
                "1port" => Modes::PORTS_1,
                "2port" => Modes::PORTS_2,
                "4port" => Modes::PORTS_4,
                "100G" => Modes::TWO_ENGINES,
                other => panic!("unknown mode {other}"),
            }
    })
}

fn compare(version: &str) {
    let facts = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../shared/facts/fw/fwstats-{version}.json"));
    let (Ok(golden), Some(bytes)) = (std::fs::read(facts), firmware(version)) else {
        eprintln!("SKIPPED: no golden checksums or no genuine firmware {version} on this machine");
        return;
    };
    let golden: Value = serde_json::from_slice(&golden).expect("JSON");
    let image = FirmwareImage::parse(&bytes).expect("a genuine file parses");
    let mut inflater = Box::new(Inflater::new());
    let mut compared = 0;
    for (set, phases) in golden["emulated"].as_object().expect("mode sets") {
        for (name, phase, id) in PHASES {
            let mut hash = crc32fast::Hasher::new();
            let mut count = 0u64;
            for operation in image.operations(phase, id, modes(set)) {
                count += 1;
                operation
                    .canonical(&mut inflater, |dword| hash.update(&dword.to_le_bytes()))
                    .expect("a genuine array inflates");
            }
            let expected = &phases[name];
            assert_eq!(
                format!("{:08x}", hash.finalize()),
                expected["crc32"],
                "{set} {name}"
            );
            assert_eq!(
                count.to_string(),
                expected["executed"].to_string().trim_matches('"'),
                "{set} {name}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 40);
}

#[test]
fn firmware_8_59_1_0_walks_as_the_golden_walker_says() {
    compare("8.59.1.0");
}

#[test]
fn firmware_8_42_2_0_walks_as_the_golden_walker_says() {
    compare("8.42.2.0");
}

#[test]
fn every_published_version_parses() {
    let mut parsed = 0;
    for (version, runs) in [
        ("8.10.10.0", false),
        ("8.33.1.0", false),
        ("8.33.11.0", false),
        ("8.37.2.0", false),
        ("8.42.2.0", false),
        ("8.59.1.0", true),
    ] {
        let Some(bytes) = firmware(version) else {
            eprintln!("SKIPPED: no genuine firmware {version} on this machine");
            continue;
        };
        let image =
            FirmwareImage::parse(&bytes).unwrap_or_else(|error| panic!("{version}: {error}"));
        assert!(
            version.starts_with(&image.version().to_string()[..4]),
            "{version}"
        );
        if runs {
            assert!(image.layout().is_ok(), "{version}");
        }
        parsed += 1;
    }
    eprintln!("{parsed} genuine files parsed");
}
