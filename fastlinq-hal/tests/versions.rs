//! Every firmware version that is described, brought up with its own tables: variables, runtime array, ramrods.
//!
//! The images are synthetic, so this runs for 8.40.33.0, too, of which no file can be had; `genuine.rs` has the genuine
//! files of the others.

mod common;

use common::{PORTS, assert_clean, up};
use fastlinq_hal::adapter::{Adapter, AdapterConfig, AnyAdapter};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::vport::{ReceiveMode, VportConfig};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::firmware_image::synthetic_image_of;
use fastlinq_pac::versions;

#[test]
fn all_described_versions_are_tried() {
    let described: Vec<_> = versions::ALL
        .iter()
        .map(|layout| layout.version.to_string())
        .collect();
    for version in ["8.59.1.0", "8.42.2.0", "8.40.33.0"] {
        assert!(described.iter().any(|known| known == version), "{version}");
    }
}

#[test]
fn every_version_goes_up_on_every_shape_of_card() {
    for layout in versions::ALL {
        let bytes = synthetic_image_of(layout.version).unwrap();
        let image = FirmwareImage::parse(&bytes).unwrap();
        assert_eq!(image.version(), layout.version);
        for (chip, ports) in PORTS {
            let hosts = ModelHost::builder()
                .chip(chip)
                .ports(ports)
                .functions(ports)
                .build_all();
            let what = format!("{} on {chip:?} with {ports} ports", layout.version);
            let adapters: Vec<_> = hosts
                .iter()
                .map(|host| {
                    up(Adapter::new(host.clone(), AdapterConfig::default()), &bytes)
                        .unwrap_or_else(|failed| panic!("{what}: {failed}"))
                })
                .collect();
            for adapter in adapters {
                let AnyAdapter::UpWithImages(mut adapter) = adapter else {
                    panic!("{what}: {adapter:?}");
                };
                assert_eq!(adapter.storm_firmware(), layout.version);
                let mac = adapter.mac_address().unwrap();
                let vport = adapter.start_vport(VportConfig::default()).unwrap();
                adapter.set_mac_filter(vport, mac).unwrap();
                adapter
                    .set_receive_mode(vport, ReceiveMode::NORMAL)
                    .unwrap();
                adapter.activate_vport(vport).unwrap();
                adapter.vport_statistics(vport).unwrap();
                adapter.stop_vport(vport).unwrap();
                adapter
                    .down()
                    .unwrap_or_else(|failed| panic!("{what}: {failed}"));
            }
            for host in &hosts {
                assert_clean(host, &what);
            }
        }
    }
}
