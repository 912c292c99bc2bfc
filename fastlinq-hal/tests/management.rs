//! Windows, DMAE and the management firmware of the core against the software adapter, question by question.

mod common;

use common::{PORTS, host};
use fastlinq_hal::access::PretendAs;
use fastlinq_hal::adapter::{DriverRole, ForcePolicy};
use fastlinq_hal::core_state::Core;
use fastlinq_hal::mfw::bist::{self, Images};
use fastlinq_hal::mfw::events::{self, MfwEvent};
use fastlinq_hal::mfw::link::{self, LinkSettings};
use fastlinq_hal::mfw::load::{self, LoadPhase, LoadRequest, WakeOnLan};
use fastlinq_hal::mfw::notify::{self, DriverState, SwitchMode};
use fastlinq_hal::mfw::nvm::NvmReader;
use fastlinq_hal::mfw::{
    self, Answer, MailboxError, Outcome, board, features, function, nvm_config, resources,
    transceiver,
};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::Chip;
use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::bar::ConcreteFid;
use fastlinq_pac::mfw::DriverCommand;
use fastlinq_pac::registers::{ccfc, pglue_b};
use fastlinq_pac::versions::{FirmwareVersion, Storm};
use tock_registers::interfaces::{Readable, Writeable};

const REQUEST: LoadRequest = LoadRequest {
    role: DriverRole::OperatingSystem,
    force: ForcePolicy::ByRole,
    firmware: FirmwareVersion::new(8, 59, 1, 0),
};

fn attached(host: ModelHost) -> Core<ModelHost> {
    let mut core = Core::new(host);
    core.identify().unwrap();
    mfw::attach(&mut core).unwrap();
    core
}

fn modern(chip: Chip) -> Core<ModelHost> {
    attached(host(chip, "modern"))
}

#[test]
fn all_questions_are_answered_by_a_modern_firmware() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut core = modern(chip);
        let core = &mut core;
        let _ = features::query(core).unwrap();
        let _ = features::wake_on_lan(core).unwrap();
        let _ = features::rdma_protocol(core).unwrap();
        let shares = resources::settle(core).unwrap();
        for resource in resources::Resource::ALL.into_iter().take(8) {
            let share = shares.get(resource);
            assert!(share.count > 0, "{resource:?}");
            assert!(share.start + share.count <= resource.engine_total(chip));
        }
        let ppfids = features::ppfid_bitmap(core).unwrap();
        assert_ne!(ppfids.bitmap & 1 << ppfids.native, 0);
        assert!(function::read(core).unwrap().mac_address.is_some());
        assert!(nvm_config::read(core).is_ok());
        assert!(
            board::temperatures(core)
                .unwrap()
                .done()
                .is_some_and(|all| !all.is_empty())
        );
        assert_eq!(core.host.violations(), []);
        assert!(
            core.transcript
                .iter()
                .all(|exchange| exchange.outcome == Outcome::Answered)
        );
    }
}

#[test]
fn the_flash_is_read_where_the_image_table_says() {
    let mut core = modern(Chip::K2);
    let Images::Table(images) = bist::images(&mut core).unwrap() else {
        panic!("no table");
    };
    for image in &images {
        let mut head = [0; 40];
        let answer = NvmReader::new(&mut core)
            .read(image.offset, &mut head)
            .unwrap();
        assert_eq!(answer, Answer::Done(()), "{image:?}");
    }
    assert_eq!(core.host.violations(), []);
}

#[test]
fn the_module_can_be_read() {
    let mut core = modern(Chip::K2);
    let mut memory = [0; 64];
    let answer = transceiver::read(&mut core, transceiver::MODULE_MEMORY, 0, &mut memory).unwrap();
    assert_eq!(answer, Answer::Done(()));
    assert!(memory.iter().any(|byte| *byte != 0));
}

#[test]
fn a_load_and_an_unload() {
    for (chip, ports) in PORTS {
        let mut hosts = ModelHost::builder()
            .chip(chip)
            .ports(ports)
            .functions(ports)
            .build_all()
            .into_iter();
        let mut core = attached(hosts.next().unwrap());
        let loaded = load::request(&mut core, &REQUEST).unwrap();
        assert_eq!(loaded.phase, LoadPhase::Engine);
        assert!(!loaded.forced && !loaded.old_interface);
        let _ = features::declare(&mut core).unwrap();
        events::settle(&mut core).unwrap();
        assert_eq!(load::done(&mut core).unwrap(), Answer::Done(false));
        for answer in [
            notify::data_center_bridging(&mut core).unwrap(),
            notify::storm_firmware(&mut core, REQUEST.firmware).unwrap(),
            notify::mtu(&mut core, 9000).unwrap(),
            notify::driver_state(&mut core, DriverState::Disabled).unwrap(),
            notify::switch_mode(&mut core, SwitchMode::None).unwrap(),
            notify::driver_version(&mut core, [0, 1, 0, 0], "fastlinq").unwrap(),
        ] {
            assert_eq!(answer, Answer::Done(()), "{}", core.transcript);
        }
        let _ = notify::vendor_updates(&mut core).unwrap();
        let unloaded = load::unload_request(&mut core, WakeOnLan::default()).unwrap();
        assert_eq!(unloaded, Answer::Done(LoadPhase::Engine));
        let done = load::unload_done(&mut core, WakeOnLan::default()).unwrap();
        assert_eq!(done, Answer::Done(()));
        // And again: nothing is left of the first load.
        let again = load::request(&mut core, &REQUEST).unwrap();
        assert_eq!(again.phase, LoadPhase::Engine);
        assert_eq!(core.host.violations(), []);
    }
}

#[test]
fn the_link_comes_up_and_its_change_is_an_event() {
    let mut core = attached(ModelHost::builder().loopback().build());
    let _ = features::query(&mut core).unwrap();
    // Events are for functions with a driver.
    load::request(&mut core, &REQUEST).unwrap();
    events::settle(&mut core).unwrap();
    let _ = load::done(&mut core).unwrap();
    assert!(!link::read(&core).unwrap().up);
    let settings = nvm_config::read(&core).map_or(LinkSettings::default(), |nvm| nvm.link);
    let answer = link::bring_up(&mut core, &settings).unwrap();
    assert_eq!(answer, Answer::Done(()));
    for _ in 0..100 {
        if link::read(&core).unwrap().up {
            break;
        }
        core.host.advance(10_000_000);
    }
    let state = link::read(&core).unwrap();
    assert!(state.up && state.speed.is_some(), "{state:?}");
    let _: Vec<_> = events::poll(&mut core).unwrap().collect();
    core.host.set_link(0, false);
    let events: Vec<_> = events::poll(&mut core).unwrap().collect();
    assert!(events.contains(&MfwEvent::LinkChange), "{events:?}");
    assert!(!link::read(&core).unwrap().up);
    assert_eq!(core.host.violations(), []);
}

#[test]
fn registers_that_exist_per_function_are_told_apart() {
    let core = modern(Chip::K2);
    let register = ccfc::STRONG_ENABLE_VF;
    let vf = PretendAs::Function(ConcreteFid::vf(0, 5));
    register.on(&core.windows).set(0);
    {
        let window = core.windows.pretend(vf).unwrap();
        register.on(&window).set(1);
        assert_eq!(register.on(&window).get(), 1);
    }
    assert_eq!(register.on(&core.windows).get(), 0);
    let window = core.windows.pretend(vf).unwrap();
    assert_eq!(register.on(&window).get(), 1);
}

#[test]
fn dmae_moves_and_windows_see_it() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut core = modern(chip);
        core.allocate_dmae().unwrap();
        pglue_b::INTERNAL_PFID_ENABLE_MASTER
            .on(&core.windows)
            .set(1);
        core.dmae_self_test().unwrap();
        let at = Storm::U.ram().offset(0x8000);
        let data: Vec<u32> = (1..=0x2010).collect();
        core.dmae_write(at, &data).unwrap();
        assert_eq!(core.windows.read32(at.offset(0x200f * 4)), 0x2010);
        let mut back = vec![0; data.len()];
        core.dmae_read(at, &mut back).unwrap();
        assert!(back == data);
        core.dmae_fill(at, 7, 0x2010).unwrap();
        assert_eq!(core.windows.read32(at), 7);
        assert_eq!(core.windows.read32(at.offset(0x200f * 4)), 7);
        assert_eq!(core.host.violations(), []);
    }
}

#[test]
fn a_silent_and_a_halted_firmware_are_told_apart() {
    for (persona, halted) in [("silent", false), ("halted", true)] {
        let mut core = Core::new(host(Chip::K2, persona));
        core.identify().unwrap();
        if mfw::attach(&mut core).is_err() {
            continue;
        }
        match features::query(&mut core) {
            Err(MailboxError::NoAnswer { command, hang, .. }) => {
                assert_eq!(command, DriverCommand::GET_MFW_FEATURE_SUPPORT);
                assert_eq!(hang.is_halted(), halted, "{persona}: {hang}");
            }
            other => panic!("{persona}: {other:?}"),
        }
    }
}
