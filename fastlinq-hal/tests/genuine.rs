//! The genuine firmware files, where Debian's `firmware-qlogic` is installed.

mod common;

use std::path::Path;

use common::{PORTS, assert_clean, up};
use fastlinq_hal::adapter::{Adapter, AdapterConfig};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_model_host::ModelHost;

const FOLDERS: [&str; 2] = ["/lib/firmware/qed", "/usr/lib/firmware/qed"];

fn genuine(version: &str) -> Option<Vec<u8>> {
    let file = format!("qed_init_values_zipped-{version}.bin");
    let found = FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(&file))
        .find(|path| path.exists());
    let Some(path) = found else {
        println!("SKIPPED: {file} is not installed (package firmware-qlogic)");
        return None;
    };
    Some(std::fs::read(path).expect("an installed file can be read"))
}

#[test]
fn every_shape_of_card_goes_up_on_genuine_firmware() {
    for version in ["8.59.1.0", "8.42.2.0"] {
        let Some(bytes) = genuine(version) else {
            continue;
        };
        println!("{}", FirmwareImage::parse(&bytes).unwrap().version());
        for (chip, ports) in PORTS {
            let hosts = ModelHost::builder()
                .chip(chip)
                .ports(ports)
                .functions(ports)
                .build_all();
            let adapters: Vec<_> = hosts
                .iter()
                .map(|host| {
                    up(Adapter::new(host.clone(), AdapterConfig::default()), &bytes).unwrap()
                })
                .collect();
            for adapter in adapters {
                adapter.into_reset().unwrap();
            }
            for host in &hosts {
                assert_clean(host, &format!("{version} on {chip:?} with {ports} ports"));
            }
        }
    }
}
