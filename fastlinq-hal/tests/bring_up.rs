//! NvmPopulated -> Up -> Reset against the software adapter.

mod common;

use common::{PORTS, assert_clean, host, image, up};
use fastlinq_hal::adapter::{
    Adapter, AdapterConfig, AnyAdapter, Cause, Command, Event, ForcePolicy, InterruptMode, Layer,
    ResetAdapter,
};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::mfw::link::{LinkSettings, Loopback, Speed};
use fastlinq_hal::slowpath::{AsynchronousEvent, SlowPathFaults};
use fastlinq_hal::vport::{ReceiveMode, VportConfig};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::Chip;
use fastlinq_pac::mfw::DriverCommand;

fn reset(host: &ModelHost) -> ResetAdapter<ModelHost> {
    Adapter::new(host.clone(), AdapterConfig::default())
}

fn up_with_images(host: &ModelHost) -> fastlinq_hal::adapter::UpWithImages<ModelHost> {
    match up(reset(host), &image()) {
        Ok(AnyAdapter::UpWithImages(adapter)) => adapter,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_shape_of_card_goes_up_and_down() {
    let bytes = image();
    for (chip, ports) in PORTS {
        for host in ModelHost::builder()
            .chip(chip)
            .ports(ports)
            .functions(ports)
            .build_all()
        {
            let adapter = up(reset(&host), &bytes).unwrap();
            assert_eq!(adapter.state_name(), "Up");
            assert!(host.memory().live_regions > 0);
            let adapter = adapter.into_reset().unwrap();
            assert_eq!(adapter.state_name(), "Reset");
            assert!(adapter.leaked().is_empty());
            assert_clean(
                &host,
                &format!("{chip:?} with {ports} ports, function {}", host.function()),
            );
        }
    }
}

#[test]
fn all_functions_of_a_card_are_up_at_once() {
    let bytes = image();
    for (chip, ports) in PORTS {
        let hosts = ModelHost::builder()
            .chip(chip)
            .ports(ports)
            .functions(ports)
            .build_all();
        let adapters: Vec<_> = hosts
            .iter()
            .map(|host| up(reset(host), &bytes).unwrap())
            .collect();
        for adapter in adapters {
            adapter.into_reset().unwrap();
        }
        for host in &hosts {
            assert_clean(host, &format!("{chip:?} with {ports} ports"));
        }
    }
}

#[test]
fn every_inventory_goes_up() {
    let bytes = image();
    for chip in [Chip::K2, Chip::Bb] {
        for (persona, name) in [
            ("modern", "UpWithImages"),
            ("zero-images", "UpWithImages"),
            ("bist-unsupported", "UpWithoutBist"),
            ("bist-unsupported-nonzero", "UpWithoutBist"),
            ("slow", "UpWithImages"),
            ("load-hsi-1", "UpWithoutBist"),
        ] {
            let host = host(chip, persona);
            let adapter = up(reset(&host), &bytes).unwrap();
            let found = match &adapter {
                AnyAdapter::UpWithImages(_) => "UpWithImages",
                AnyAdapter::UpWithoutBist(_) => "UpWithoutBist",
                other => panic!("{other:?}"),
            };
            assert_eq!(found, name, "{persona}");
            adapter.into_reset().unwrap();
            assert_clean(&host, persona);
        }
    }
}

#[test]
fn without_an_inventory_it_goes_up_too() {
    let bytes = image();
    let image = FirmwareImage::parse(&bytes).unwrap();
    let mut scratch = Box::new(Scratch::new());
    for persona in ["bist-error", "absurd-images"] {
        let host = host(Chip::K2, persona);
        let failed = reset(&host).connect().unwrap().populate().unwrap_err();
        let adapter = failed
            .adapter
            .without_inventory()
            .up(&image, &mut scratch)
            .unwrap();
        adapter.down().unwrap();
        assert_clean(&host, persona);
    }
}

#[test]
fn a_refused_load_gives_the_inventory_back_and_leaves_nothing() {
    for (persona, layer) in [
        ("load-refused", Layer::ManagementFirmware),
        ("load-requires-force", Layer::ManagementFirmware),
        ("load-already-loaded", Layer::ManagementFirmware),
        ("silent-after-load", Layer::ManagementFirmware),
    ] {
        let host = host(Chip::K2, persona);
        let config = AdapterConfig {
            force: ForcePolicy::Never,
            ..AdapterConfig::default()
        };
        let failed = up(Adapter::new(host.clone(), config), &image()).unwrap_err();
        assert_eq!(failed.adapter.state_name(), "NvmPopulated", "{persona}");
        assert_eq!(failed.cause.layer(), layer, "{persona}: {failed}");
        assert!(
            failed
                .adapter
                .transcript()
                .iter()
                .any(|exchange| exchange.command == DriverCommand::LOAD_REQ)
        );
        if persona == "load-refused" {
            assert_eq!(
                failed.cause.command(),
                Some(Command::Mfw(DriverCommand::LOAD_REQ))
            );
            assert!(failed.cause.raw_reply().is_some());
        }
        assert_clean(&host, persona);
    }
}

#[test]
fn a_driver_that_may_be_pushed_out_is() {
    let host = host(Chip::K2, "load-requires-force");
    let config = AdapterConfig {
        force: ForcePolicy::Always,
        ..AdapterConfig::default()
    };
    let adapter = up(Adapter::new(host.clone(), config), &image()).unwrap();
    adapter.into_reset().unwrap();
    assert_clean(&host, "forced");
}

#[test]
fn a_hundred_cycles_leak_nothing() {
    let bytes = image();
    for chip in [Chip::K2, Chip::Bb] {
        let host = host(chip, "modern");
        let mut adapter = reset(&host);
        let mut peak = 0;
        for cycle in 0..100 {
            adapter = up(adapter, &bytes).unwrap().into_reset().unwrap();
            let memory = host.memory();
            assert_eq!(memory.live_regions, 0, "cycle {cycle}");
            if cycle == 0 {
                peak = memory.peak_bytes;
            }
            assert_eq!(
                memory.peak_bytes, peak,
                "cycle {cycle} needs as much memory as the first"
            );
        }
        assert!(adapter.leaked().is_empty());
        assert_clean(&host, "a hundred cycles");
    }
}

#[test]
fn up_and_down_again_without_a_new_connection() {
    let bytes = image();
    let image = FirmwareImage::parse(&bytes).unwrap();
    let mut scratch = Box::new(Scratch::new());
    let host = host(Chip::K2, "modern");
    let config = AdapterConfig {
        function_reset: false,
        ..AdapterConfig::default()
    };
    let mut adapter = Adapter::new(host.clone(), config);
    for _ in 0..3 {
        let up = adapter
            .connect()
            .unwrap()
            .without_inventory()
            .up(&image, &mut scratch)
            .unwrap();
        adapter = up.down().unwrap();
    }
    assert_clean(&host, "without function reset");
}

#[test]
fn dropping_an_adapter_that_is_up_leaves_the_firmware_unloaded() {
    let bytes = image();
    for chip in [Chip::K2, Chip::Bb] {
        let host = host(chip, "modern");
        drop(up(reset(&host), &bytes).unwrap());
        assert_clean(&host, "dropped");
        // Were it still loaded, the management firmware would refuse.
        let config = AdapterConfig {
            function_reset: false,
            force: ForcePolicy::Never,
            ..AdapterConfig::default()
        };
        let adapter = up(Adapter::new(host.clone(), config), &bytes).unwrap();
        adapter.into_reset().unwrap();
    }
}

#[test]
fn memory_is_kept_when_the_device_does_not_confirm_that_it_is_quiet() {
    let host = host(Chip::K2, "modern");
    let adapter = up(reset(&host), &image()).unwrap();
    let live = host.memory().live_regions;
    host.faults().restart();
    host.faults().gone_from_read(0);
    let failed = adapter.into_reset().unwrap_err();
    assert_eq!(failed.adapter.state_name(), "Reset");
    assert!(failed.leaked.regions > 0);
    assert!(host.memory().live_regions > 0 && host.memory().live_regions <= live);
    assert_eq!(failed.adapter.leaked(), failed.leaked);
    assert_eq!(host.memory().late_count, 0);
    // The function comes back; a reset of the function makes it usable again.
    host.faults().clear();
    let adapter = up(failed.adapter, &image()).unwrap();
    adapter.into_reset().unwrap();
    assert_eq!(host.memory().late_count, 0);
}

#[test]
fn refused_memory_at_every_allocation_leaves_nothing() {
    let bytes = image();
    let total = {
        let host = host(Chip::K2, "modern");
        let adapter = up(reset(&host), &bytes).unwrap();
        let total = host.memory().allocations;
        drop(adapter);
        total
    };
    assert!(total > 5);
    for allocation in 0..total {
        let host = host(Chip::K2, "modern");
        host.refuse_memory_from(Some(allocation));
        let failed = up(reset(&host), &bytes).unwrap_err();
        assert_eq!(
            failed.cause.layer(),
            Layer::Platform,
            "allocation {allocation}: {failed}"
        );
        assert!(
            matches!(failed.cause, Cause::Memory(_)),
            "allocation {allocation}: {failed}"
        );
        assert_clean(&host, &format!("allocation {allocation}"));
        // With memory, the same adapter goes up.
        host.refuse_memory_from(None);
        if let AnyAdapter::Images(adapter) = failed.adapter {
            let image = FirmwareImage::parse(&bytes).unwrap();
            let mut scratch = Box::new(Scratch::new());
            adapter.up(&image, &mut scratch).unwrap().down().unwrap();
        }
    }
}

#[test]
fn the_link_comes_up_and_its_changes_are_events() {
    for chip in [Chip::K2, Chip::Bb] {
        let host = host(chip, "modern");
        let mut adapter = up_with_images(&host);
        assert!(!adapter.link().unwrap().up, "nobody asked for it yet");
        let link = adapter.set_link(&LinkSettings::default()).unwrap();
        let mut link = Some(link);
        poll_links(&host, &mut adapter, &mut link);
        assert!(link.unwrap().up, "{chip:?}");
        assert!(link.unwrap().speed.is_some_and(|speed| speed >= Speed::G10));

        host.set_link(0, false);
        let mut link = None;
        poll_links(&host, &mut adapter, &mut link);
        assert_eq!(link.map(|link| link.up), Some(false), "{chip:?}");
        host.set_link(0, true);
        let mut link = None;
        poll_links(&host, &mut adapter, &mut link);
        assert_eq!(link.map(|link| link.up), Some(true), "{chip:?}");
        assert!(!adapter.link_down().unwrap().up);
        let loopback = LinkSettings {
            loopback: Loopback::Mac,
            ..LinkSettings::default()
        };
        adapter.set_link(&loopback).unwrap();
        adapter.down().unwrap();
        assert_clean(&host, "link");
    }
}

fn poll_links(
    host: &ModelHost,
    adapter: &mut fastlinq_hal::adapter::UpWithImages<ModelHost>,
    link: &mut Option<fastlinq_hal::mfw::link::LinkState>,
) {
    for _ in 0..20 {
        host.advance(50_000_000);
        adapter
            .poll_events(|event| {
                if let Event::Link(state) = event {
                    *link = Some(state);
                }
            })
            .unwrap();
    }
}

#[test]
fn vports_filters_and_modes() {
    for chip in [Chip::K2, Chip::Bb] {
        let host = host(chip, "modern");
        let mut adapter = up_with_images(&host);
        assert_eq!(adapter.storm_firmware().to_string(), "8.59.1.0");
        adapter.heartbeat().unwrap();
        let mac = adapter.mac_address().unwrap();
        let vport = adapter.start_vport(VportConfig::default()).unwrap();
        adapter.set_mac_filter(vport, mac).unwrap();
        adapter.add_mac_filter(vport, [2, 0, 0, 0, 0, 1]).unwrap();
        adapter
            .remove_mac_filter(vport, [2, 0, 0, 0, 0, 1])
            .unwrap();
        let error = adapter
            .remove_mac_filter(vport, [2, 0, 0, 0, 0, 9])
            .unwrap_err();
        assert_eq!(error.layer(), Layer::StormFirmware, "{error}");
        assert!(error.to_string().contains("does not exist"), "{error}");
        adapter.add_vlan_filter(vport, 100).unwrap();
        adapter.remove_vlan_filter(vport, 100).unwrap();
        for mode in [
            ReceiveMode::NORMAL,
            ReceiveMode::ALL_MULTICAST,
            ReceiveMode::PROMISCUOUS,
            ReceiveMode::NOTHING,
        ] {
            adapter.set_receive_mode(vport, mode).unwrap();
        }
        adapter
            .set_multicast(vport, &[[1, 0, 0x5e, 0, 0, 1]])
            .unwrap();
        adapter
            .set_multicast(vport, &[[1, 0, 0x5e, 0, 0, 1]; 65])
            .unwrap();
        adapter.set_mtu(vport, 9000).unwrap();
        adapter.activate_vport(vport).unwrap();
        adapter.set_mtu(vport, 1500).unwrap();
        assert_eq!(adapter.vport_statistics(vport).unwrap(), Default::default());
        adapter.packet_path_statistics().unwrap();
        adapter.deactivate_vport(vport).unwrap();
        adapter.stop_vport(vport).unwrap();
        assert_eq!(
            adapter.stop_vport(vport).unwrap_err().layer(),
            Layer::Driver
        );
        assert_eq!(adapter.slow_path_faults(), SlowPathFaults::default());
        adapter
            .poll_events(|event| {
                assert!(!matches!(
                    event,
                    Event::Firmware(AsynchronousEvent::Unknown { .. })
                ))
            })
            .unwrap();
        adapter.down().unwrap();
        assert_clean(&host, "vports");
    }
}

#[test]
fn a_vport_that_was_left_running_is_stopped_on_the_way_down() {
    let host = host(Chip::K2, "modern");
    let mut adapter = up_with_images(&host);
    for _ in 0..3 {
        let vport = adapter.start_vport(VportConfig::default()).unwrap();
        adapter.activate_vport(vport).unwrap();
    }
    adapter.down().unwrap();
    assert_clean(&host, "left running");
}

#[test]
fn slow_path_indices_wrap() {
    let host = host(Chip::K2, "modern");
    let mut adapter = up_with_images(&host);
    for _ in 0..70_000 {
        adapter.heartbeat().unwrap();
    }
    adapter.down().unwrap();
    assert_clean(&host, "wrap");
}

#[test]
fn interrupts_of_the_slow_path() {
    let bytes = image();
    let host = ModelHost::builder().interrupt_vectors(4).build();
    let config = AdapterConfig {
        interrupts: InterruptMode::MsiX,
        ..AdapterConfig::default()
    };
    let Ok(AnyAdapter::UpWithImages(mut adapter)) = up(Adapter::new(host.clone(), config), &bytes)
    else {
        panic!("not up")
    };
    adapter.poll_events(|_| {}).unwrap();
    host.take_interrupts(0);
    adapter.heartbeat().unwrap();
    assert!(
        host.take_interrupts(0) > 0,
        "the completion of a ramrod interrupts"
    );
    adapter.poll_events(|_| {}).unwrap();
    adapter.set_link(&LinkSettings::default()).unwrap();
    adapter.down().unwrap();
    assert_clean(&host, "interrupts");

    let config = AdapterConfig {
        interrupts: InterruptMode::MsiX,
        ..AdapterConfig::default()
    };
    let polling = ModelHost::builder().build();
    let failed = up(Adapter::new(polling.clone(), config), &bytes).unwrap_err();
    assert_eq!(failed.cause.layer(), Layer::Platform);
    assert_clean(&polling, "no vectors");
}
