//! What is refused before the chip is touched.

mod common;

use common::{assert_clean, host, image};
use fastlinq_hal::adapter::{Adapter, AdapterConfig, Cause, Command, Layer, SkippedAdapter};
use fastlinq_hal::config::ConfigError;
use fastlinq_hal::firmware::{FirmwareError, FirmwareImage};
use fastlinq_hal::init::Scratch;
use fastlinq_model_host::model::Chip;
use fastlinq_model_host::model::firmware_image::ImageBuilder;
use fastlinq_model_host::{Fault, ModelHost};
use fastlinq_pac::GrcAddress;

fn ready(host: &ModelHost, config: AdapterConfig) -> SkippedAdapter<ModelHost> {
    Adapter::new(host.clone(), config)
        .connect()
        .unwrap()
        .without_inventory()
}

/// The cause for which `up` fails, which must come without a single access to the chip.
#[track_caller]
fn refused(host: &ModelHost, adapter: SkippedAdapter<ModelHost>, bytes: &[u8]) -> Cause {
    let image = FirmwareImage::parse(bytes).unwrap();
    let accesses = || (host.faults().reads(), host.faults().writes());
    let (before, exchanges) = (accesses(), adapter.transcript().total());
    let failed = adapter
        .up(&image, &mut Box::new(Scratch::new()))
        .unwrap_err();
    assert_eq!(accesses(), before, "{failed}");
    assert_eq!(failed.adapter.transcript().total(), exchanges);
    assert_clean(host, "refused");
    failed.cause
}

#[test]
fn firmware_of_a_version_without_tables() {
    for version in [
        [8, 10, 10, 0],
        [8, 33, 1, 0],
        [8, 37, 2, 0],
        [8, 59, 0, 0],
        [9, 0, 0, 0],
    ] {
        let host = host(Chip::K2, "modern");
        let adapter = ready(&host, AdapterConfig::default());
        let cause = refused(&host, adapter, &ImageBuilder::new(version, 0).build());
        assert_eq!(cause.layer(), Layer::StormFirmware);
        let Cause::Firmware(FirmwareError::UnsupportedVersion { version: found }) = cause else {
            panic!("{cause}");
        };
        assert_eq!(found.word(), u32::from_be_bytes(version));
        for known in ["8.59.1.0", "8.42.2.0", "8.40.33.0"] {
            assert!(cause.to_string().contains(known), "{cause}");
        }
    }
}

#[test]
fn an_mtu_out_of_range() {
    for mtu in [0, 67, 9601, u16::MAX] {
        let host = host(Chip::K2, "modern");
        let config = AdapterConfig {
            mtu: Some(mtu),
            ..AdapterConfig::default()
        };
        let cause = refused(&host, ready(&host, config), &image());
        assert_eq!(cause.layer(), Layer::Driver);
    }
}

#[test]
fn a_function_that_drives_both_engines() {
    let mut found = 0;
    // The register is one of the first that are read; on the software adapter it is 0.
    for read in 0..10 {
        let host = host(Chip::Bb, "modern");
        host.faults().at_read(read, Fault::Value(0x0000_0001));
        let Ok(adapter) = Adapter::new(host.clone(), AdapterConfig::default()).connect() else {
            continue;
        };
        if !adapter.identity().coupled {
            continue;
        }
        found += 1;
        assert!(adapter.mac_address().is_some(), "it can be looked at");
        let cause = refused(&host, adapter.without_inventory(), &image());
        assert_eq!(cause, Cause::Config(ConfigError::TwoEngines { pairs: 1 }));
        assert_eq!(cause.layer(), Layer::Chip);
        assert_eq!(cause.command(), Some(Command::Read(GrcAddress(0x971c))));
        assert!(cause.to_string().contains("both engines"), "{cause}");
    }
    assert_eq!(found, 1);
}
