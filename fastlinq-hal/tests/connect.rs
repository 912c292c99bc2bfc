//! Reset -> McpReady -> NvmPopulated against the software adapter, for each persona.

mod common;

use common::{PORTS, host, personas};
use fastlinq_hal::adapter::{Adapter, AdapterConfig, Command, Layer, Populated};
use fastlinq_hal::mfw::Outcome;
use fastlinq_model_host::{Fault, ModelHost, model::Chip};
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

fn connect(host: &ModelHost) -> fastlinq_hal::adapter::McpReadyAdapter<ModelHost> {
    Adapter::new(host.clone(), AdapterConfig::default())
        .connect()
        .unwrap()
}

#[test]
fn every_shape_of_card_connects() {
    for (chip, ports) in PORTS {
        for host in ModelHost::builder()
            .chip(chip)
            .ports(ports)
            .functions(ports)
            .build_all()
        {
            let adapter = connect(&host);
            assert_eq!(
                adapter.identity().abs_pf,
                host.function(),
                "{chip:?} {ports}"
            );
            assert_eq!(adapter.identity().ports_per_engine, ports);
            assert!(adapter.mac_address().is_some());
            assert!(adapter.nvm_config().is_some());
            assert_eq!(host.violations(), []);
            assert_eq!(host.memory().live_regions, 0);
        }
    }
}

#[test]
fn a_modern_firmware_gives_the_table_of_images() {
    for chip in [Chip::K2, Chip::Bb] {
        let populated = connect(&host(chip, "modern")).populate().unwrap();
        let Populated::Images(adapter) = populated else {
            panic!("{populated:?}")
        };
        assert!(!adapter.images().is_empty());
        assert_eq!(adapter.state_name(), "NvmPopulated");
    }
}

#[test]
fn an_old_firmware_that_answers_0_is_an_outcome_and_no_error() {
    for chip in [Chip::K2, Chip::Bb] {
        let populated = connect(&host(chip, "bist-unsupported")).populate().unwrap();
        let Populated::Unsupported(adapter) = populated else {
            panic!("{populated:?}")
        };
        assert_eq!(adapter.unsupported_param(), 0);
    }
}

#[test]
fn unsupported_with_a_parameter_is_unsupported_all_the_same() {
    let populated = connect(&host(Chip::K2, "bist-unsupported-nonzero"))
        .populate()
        .unwrap();
    let Populated::Unsupported(adapter) = populated else {
        panic!("{populated:?}")
    };
    assert_ne!(adapter.unsupported_param(), 0);
}

#[test]
fn a_refused_inventory_gives_mcp_ready_back_with_the_raw_reply() {
    let failed = connect(&host(Chip::K2, "bist-error"))
        .populate()
        .unwrap_err();
    assert_eq!(failed.adapter.state_name(), "McpReady");
    assert_eq!(failed.cause.layer(), Layer::ManagementFirmware);
    assert_eq!(
        failed.cause.command(),
        Some(Command::Mfw(DriverCommand::BIST_TEST))
    );
    let reply = failed.cause.raw_reply().unwrap();
    assert_eq!(reply.code, FirmwareResponse::ERROR);
    assert!(failed.to_string().contains("BIST_TEST"), "{failed}");
    let exchange = failed.adapter.transcript().last().unwrap();
    assert_eq!(exchange.command, DriverCommand::BIST_TEST);

    // Once more, and then without.
    let failed = failed.adapter.populate().unwrap_err();
    let adapter = failed.adapter.without_inventory();
    assert_eq!(adapter.state_name(), "NvmPopulated");
}

#[test]
fn no_images_are_an_empty_table() {
    let populated = connect(&host(Chip::K2, "zero-images")).populate().unwrap();
    let Populated::Images(adapter) = populated else {
        panic!("{populated:?}")
    };
    assert_eq!(adapter.images(), []);
}

#[test]
fn an_absurd_number_of_images_is_a_refusal() {
    let failed = connect(&host(Chip::K2, "absurd-images"))
        .populate()
        .unwrap_err();
    assert_eq!(failed.cause.layer(), Layer::ManagementFirmware);
    assert!(failed.cause.raw_reply().is_some());
    let _ = failed.adapter.without_inventory();
}

#[test]
fn firmware_that_does_not_talk_fails_the_connection_in_the_documented_time() {
    for persona in ["silent", "halted", "stale-sequence", "no-ports"] {
        let host = host(Chip::K2, persona);
        let before = host.with_card(|card| card.now_ns());
        let failed = Adapter::new(host.clone(), AdapterConfig::default())
            .connect()
            .unwrap_err();
        let after = host.with_card(|card| card.now_ns());
        assert_eq!(failed.adapter.state_name(), "Reset");
        assert_eq!(
            failed.cause.layer(),
            Layer::ManagementFirmware,
            "{persona}: {failed}"
        );
        assert!(
            after - before < 20_000_000_000,
            "{persona} took {} ms",
            (after - before) / 1_000_000
        );
        if persona != "no-ports" {
            let exchange = failed.adapter.transcript().last().unwrap();
            assert_ne!(
                exchange.outcome,
                Outcome::Answered,
                "{persona}: {exchange:?}"
            );
        }
        // The same adapter may be tried again.
        assert!(failed.adapter.connect().is_err());
        assert_eq!(host.memory().live_regions, 0);
    }
}

#[test]
fn a_slow_firmware_connects() {
    let populated = connect(&host(Chip::K2, "slow")).populate().unwrap();
    assert!(matches!(populated, Populated::Images(_)));
}

#[test]
fn a_function_that_is_gone_is_named() {
    for chip in [Chip::K2, Chip::Bb] {
        let host = host(chip, "modern");
        host.faults().gone_from_read(0);
        let failed = Adapter::new(host.clone(), AdapterConfig::default())
            .connect()
            .unwrap_err();
        assert_eq!(failed.cause.layer(), Layer::Pci);
        assert!(failed.cause.is_device_gone());
        host.faults().clear();
        assert!(
            failed.adapter.connect().is_ok(),
            "it works when the function is back"
        );
    }
}

#[test]
fn every_persona_ends_somewhere() {
    for persona in personas() {
        for chip in [Chip::K2, Chip::Bb] {
            let host = host(chip, &persona);
            let outcome = Adapter::new(host.clone(), AdapterConfig::default())
                .connect()
                .map_err(|failed| failed.cause)
                .and_then(|adapter| adapter.populate().map_err(|failed| failed.cause));
            println!(
                "{persona} on {chip:?}: {}",
                match outcome {
                    Ok(populated) => format!("{populated:?}").chars().take(60).collect(),
                    Err(cause) => cause.to_string(),
                }
            );
            assert_eq!(host.violations(), [], "{persona}");
            assert_eq!(host.memory().live_regions, 0, "{persona}");
        }
    }
}

/// Each register read of the connection in turn gives nonsense.
#[test]
fn a_fault_at_every_read_of_the_connection_ends() {
    let reads = {
        let host = host(Chip::K2, "modern");
        let _ = connect(&host).populate().unwrap();
        host.faults().reads()
    };
    let mut failures = std::collections::BTreeMap::new();
    for fault in [Fault::AllOnes, Fault::Zeros, Fault::Random(1), Fault::Stuck] {
        for read in 0..reads {
            let host = host(Chip::K2, "modern");
            host.faults().at_read(read, fault);
            let outcome = Adapter::new(host.clone(), AdapterConfig::default())
                .connect()
                .map_err(|failed| failed.cause)
                .and_then(|adapter| adapter.populate().map_err(|failed| failed.cause));
            if let Err(cause) = outcome {
                assert!(!cause.to_string().is_empty());
                *failures.entry(cause.layer().to_string()).or_insert(0) += 1;
            }
            let seconds = host.with_card(|card| card.now_ns()) / 1_000_000_000;
            assert!(seconds < 60, "read {read} {fault:?} took {seconds} s");
            assert_eq!(host.memory().live_regions, 0, "read {read} {fault:?}");
        }
    }
    println!("{reads} reads; failures by layer: {failures:?}");
}
