//! The steps, on a chip of registers.

use std::path::PathBuf;

use fastlinq_model::firmware_image::synthetic_image;
use fastlinq_pac::init_file::Phase;
use fastlinq_pac::registers::{ccfc, cdu, igu, nig, pglue_b, prs, pswrq2, qm, xsdm};
use fastlinq_pac::versions::{IroId, Layout, Storm};

use super::*;
use crate::access::AccessError;
use crate::adapter::InterruptMode;
use crate::core_state::Core;
use crate::error::Layer;
use crate::firmware::{FirmwareImage, Operation};
use crate::init::{FailedPolls, Scratch};
use crate::mfw::features::PpfidBitmap;

/// Has the chip give every value that the program waits for.
fn satisfy(host: &FakeHost, image: &FirmwareImage<'_>, plan: &Plan) {
    let mut wanted = std::collections::BTreeMap::new();
    let function = Some(plan.identity.rel_pf.into());
    for (phase, id) in [
        (Phase::ENGINE, None),
        (Phase::PORT, Some(plan.identity.port.into())),
        (Phase::PF, function),
        (Phase::QM_PF, function),
    ] {
        for operation in image.operations(phase, id, plan.modes) {
            if let Operation::Read(read) = operation {
                wanted.insert(read.address.value(), read.expected);
            }
        }
    }
    host.on_access(move |address, written, registers| {
        if let (None, Some(value)) = (written, wanted.get(&address)) {
            registers.insert(address, *value);
        }
    });
}

struct Up {
    host: FakeHost,
    core: Core<FakeHost>,
    plan: Plan,
    layout: &'static Layout,
    memory: Option<FunctionMemory<crate::init::fake::FakeRegion>>,
}

impl Up {
    fn new(bytes: &[u8], plan: Plan) -> Self {
        let image = FirmwareImage::parse(bytes).expect("parses");
        let host = FakeHost::new();
        satisfy(&host, &image, &plan);
        host.set(pswrq2::WR_MBS0.address(), 2);
        let mut core = host.core(plan.identity);
        core.windows.set_function(plan.identity.rel_pf);
        let mut memory = FunctionMemory::allocate(&mut core.host, &plan, &image).expect("memory");
        let queue = BusAddress(0xaaaa_bbbb_c000);
        memory
            .write_slow_path_context(&plan, queue)
            .expect("context");
        let mut scratch = Box::new(Scratch::new());
        let polls = FailedPolls::Fatal;
        let engine =
            initialize_engine(&mut core, &plan, &image, &mut scratch, polls).expect("engine");
        let port = initialize_port(&mut core, &plan, &image, &mut scratch, polls).expect("port");
        let function = initialize_function(&mut core, &plan, &memory, &image, &mut scratch, polls)
            .expect("function");
        assert!(engine.is_clean() && port.is_clean());
        assert!(function.function.is_clean() && function.queues.is_clean());
        assert_eq!(
            scratch.runtime.waiting(),
            0,
            "every value found its operation"
        );
        Self {
            host,
            core,
            plan,
            layout: image.layout().expect("known"),
            memory: Some(memory),
        }
    }
}

fn check(up: &mut Up) {
    let host = &up.host;
    let plan = &up.plan;
    assert_eq!(host.get(cdu::CID_ADDR_PARAMS.address()), 0x3310_0500);
    assert_eq!(host.get(pglue_b::B_CACHE_LINE_SIZE.address()), 1);
    assert_eq!(host.get(pglue_b::USE_CLIENTID_IN_TAG.address()), 1);
    // The global windows show the storms' RAM.
    assert_eq!(host.get(GrcAddress(0x200_0000 + 4 * 7)), 0x1d80);
    // The first line of the translation table is the page with the slow path's context.
    let line = plan.translation.lines(IltClient::Contexts).first;
    let entry = pswrq2::ILT_MEMORY.element_address(line.into());
    let memory = up.memory.as_ref().expect("memory");
    let first = memory.pages().next().expect("a page");
    let word = u64::from(host.get(entry)) | u64::from(host.get(entry.offset(4))) << 32;
    assert_eq!(word, first.value() >> 12 | 1 << 52);
    // The loopback queue is where XSTORM and the queue manager look.
    let pq = plan.loopback_pq();
    let map = qm::TXPQMAP.element_address(pq.into());
    assert_eq!(host.get(map), plan.queues.pqs()[4].map_word());
    let info = up.layout.iro(IroId::XSTORM_PQ_INFO).expect("known");
    assert_eq!(
        host.get(info.internal_ram_address(pq.into(), 0)),
        plan.queues.pqs()[4].info_word(plan.identity.rel_pf, plan.identity.port)
    );
    let overlay = up
        .layout
        .iro(IroId::TSTORM_OVERLAY_BUF_ADDR)
        .expect("known");
    let slot = overlay
        .internal_ram_address(0, 0)
        .offset(8 * u32::from(plan.identity.rel_pf));
    assert_ne!((host.get(slot), host.get(slot.offset(4))), (0, 0));
    assert_eq!(host.get(igu::BLOCK_CONFIGURATION.address()) & 3, 2);
    // Every VF was enabled by somebody pretending to be it.
    let chip = host.0.borrow();
    let enabled = chip.writes.iter().filter(|write| {
        write.address == ccfc::STRONG_ENABLE_VF.address().value() && write.pretend != 0
    });
    let fids: Vec<u32> = enabled.map(|write| write.pretend & 0xffff).collect();
    assert_eq!(fids.len(), usize::from(plan.identity.chip.limits().vfs));
    assert_eq!(fids[5], u32::from(plan.identity.rel_pf) | 0x80 | 5 << 8);
    // On BB the parser was kept from searching in every function of the engine.
    let searches = chip.writes.iter();
    let functions: std::collections::BTreeSet<u32> = searches
        .filter(|write| write.address == prs::SEARCH_TCP.address().value())
        .map(|write| match write.pretend {
            0 => plan.identity.rel_pf.into(),
            word => word & 0xffff,
        })
        .collect();
    let expected = if plan.identity.chip == Chip::Bb { 8 } else { 1 };
    assert_eq!(functions.len(), expected);
}

fn slow_path_context(up: &mut Up) {
    let pq = up.plan.loopback_pq();
    let memory = up.memory.take().expect("memory");
    let page = memory.into_buffers().next().expect("a page");
    assert_eq!(
        page.read::<[u8; 8]>(0x80),
        Ok(0xaaaa_bbbb_c000u64.to_le_bytes())
    );
    assert_eq!(page.read::<u8>(0x170 + 3), Ok(0x80));
    assert_eq!(page.read::<u8>(0x170 + 0xb), Ok(0x40));
    assert_eq!(page.read::<u8>(0x170 + 0xc), Ok(0x01));
    assert_eq!(page.read::<[u8; 2]>(0x182), Ok((0x200 + pq).to_le_bytes()));
    drop(page);
}

fn all_chips(bytes: &[u8]) {
    for (chip, ports, function) in [
        (Chip::K2, 1, 0),
        (Chip::K2, 2, 1),
        (Chip::K2, 4, 14),
        (Chip::Bb, 1, 0),
        (Chip::Bb, 2, 3),
    ] {
        let functions = chip.limits().pfs_per_engine.into();
        let mut up = Up::new(bytes, plan_for(chip, ports, functions, function));
        check(&mut up);
        slow_path_context(&mut up);
        let Up { host, core, .. } = up;
        drop(core);
        assert_eq!(host.0.borrow().allocations, 0, "all memory came back");
    }
}

#[test]
fn the_synthetic_firmware_initialises_a_function() {
    all_chips(&synthetic_image());
}

fn genuine(version: &str) {
    let name = std::format!("qed_init_values_zipped-{version}.bin");
    let own = std::env::var_os("FASTLINQ_FIRMWARE_DIR").map(PathBuf::from);
    let mut folders = own
        .into_iter()
        .chain(["/lib/firmware/qed", "/usr/lib/firmware/qed"].map(PathBuf::from));
    let Some(bytes) = folders.find_map(|folder| std::fs::read(folder.join(&name)).ok()) else {
        std::eprintln!("SKIPPED: no genuine firmware {version} on this machine");
        return;
    };
    all_chips(&bytes);
}

#[test]
fn the_genuine_firmware_8_59_1_0_initialises_a_function() {
    genuine("8.59.1.0");
}

#[test]
fn the_genuine_firmware_8_42_2_0_initialises_a_function() {
    genuine("8.42.2.0");
}

#[test]
fn memory_that_is_not_taken_apart_stays_allocated() {
    let host = FakeHost::new();
    let bytes = synthetic_image();
    let image = FirmwareImage::parse(&bytes).expect("parses");
    let plan = plan_for(Chip::K2, 2, 16, 0);
    let memory = FunctionMemory::allocate(&mut host.clone(), &plan, &image).expect("memory");
    let allocated = host.0.borrow().allocations;
    assert_eq!(allocated, 2 + 3, "two pages and three overlays");
    drop(memory);
    assert_eq!(host.0.borrow().allocations, allocated);
}

#[test]
fn a_host_without_memory_gets_back_what_it_gave() {
    let bytes = synthetic_image();
    let image = FirmwareImage::parse(&bytes).expect("parses");
    let plan = plan_for(Chip::K2, 2, 16, 0);
    for budget in 0..5 {
        let host = FakeHost::new();
        host.0.borrow_mut().allocation_budget = budget;
        let result = FunctionMemory::allocate(&mut host.clone(), &plan, &image);
        assert!(matches!(result, Err(ConfigError::Memory(_))));
        assert_eq!(host.0.borrow().allocations, 0);
    }
}

fn cleanup_chip(answer: bool) -> (FakeHost, Core<FakeHost>, GrcAddress) {
    let host = FakeHost::new();
    let core = host.core(identity(Chip::K2, 2, 1));
    core.windows.set_up_global_windows();
    let acknowledgement = Storm::U.ram().offset(0xa80 + 8);
    if answer {
        host.on_access(move |address, written, registers| {
            if address == xsdm::OPERATION_GEN.address().value() && written.is_some() {
                registers.insert(acknowledgement.value(), 1);
            }
        });
    }
    (host, core, acknowledgement)
}

#[test]
fn the_final_cleanup_waits_for_its_acknowledgement() {
    let (host, mut core, acknowledgement) = cleanup_chip(true);
    host.set(acknowledgement, 7);
    final_cleanup(&mut core, &V8_59_1).expect("acknowledged");
    assert_eq!(host.written(xsdm::OPERATION_GEN.address()), [0x0002_00c1]);
    assert_eq!(
        host.written(acknowledgement),
        [0, 0],
        "before and afterwards"
    );
    let (host, mut core, _) = cleanup_chip(false);
    let result = final_cleanup(&mut core, &V8_59_1);
    assert!(matches!(
        result,
        Err(ConfigError::CleanupTimedOut { function: 1, .. })
    ));
    assert_eq!(result.unwrap_err().layer(), Layer::StormFirmware);
    assert_eq!(host.0.borrow().now_us, 1_000_000);
    let (host, mut core, _) = cleanup_chip(false);
    host.0.borrow_mut().gone = true;
    let result = final_cleanup(&mut core, &V8_59_1);
    assert_eq!(result, Err(ConfigError::Access(AccessError::DeviceGone)));
}

/// Lines of the IGU: 3 for function 0, 4 for function 1, then one of a VF whose number is 1.
fn igu_chip() -> (FakeHost, Core<FakeHost>) {
    let host = FakeHost::new();
    for index in 0..8u32 {
        let (function, vector, pf) = match index {
            0..3 => (0, index, 1),
            3..7 => (1, index - 3, 1),
            _ => (1, 0, 0),
        };
        let word = 1 | vector << 1 | function << 9 | pf << 17;
        host.set(igu::MAPPING_MEMORY.element_address(index), word);
    }
    let core = host.core(identity(Chip::K2, 2, 1));
    (host, core)
}

fn granted(count: u32) -> Shares {
    let mut shares = Shares::default();
    let share = Share {
        start: 0,
        count,
        granted: true,
    };
    shares.set(Resource::StatusBlocks, share);
    shares
}

#[test]
fn status_blocks_are_found_and_numbered() {
    let (host, core) = igu_chip();
    let lines = StatusBlockLines::scan(&core).expect("lines");
    assert_eq!(lines.iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
    let blocks = StatusBlocks::assign(&core, &lines, &granted(0)).expect("blocks");
    assert_eq!((blocks.default, &blocks.queues[..]), (3, &[4, 5, 6][..]));
    assert!(host.story().is_empty(), "nothing had to be changed");
    let blocks = StatusBlocks::assign(&core, &lines, &granted(3)).expect("blocks");
    assert_eq!(&blocks.queues[..], [4, 5]);
    assert_eq!(blocks.iter().collect::<Vec<_>>(), [4, 5, 3]);
    let emptied = igu::MAPPING_MEMORY.element_address(6).value();
    assert_eq!(host.story(), [(emptied, 0)]);
    assert!(matches!(
        StatusBlocks::assign(&core, &lines, &granted(1)),
        Err(ConfigError::TooFew { .. })
    ));
}

#[test]
fn a_function_without_status_blocks_is_named() {
    let (host, mut core) = igu_chip();
    core.identity.rel_pf = 2;
    let none = StatusBlockLines::scan(&core);
    assert!(
        matches!(none, Err(ConfigError::NoStatusBlock { .. })),
        "{none:?}"
    );
    host.0.borrow_mut().gone = true;
    let gone = StatusBlockLines::scan(&core);
    assert_eq!(gone, Err(ConfigError::Access(AccessError::DeviceGone)));
}

#[test]
fn interrupts_are_enabled_as_asked() {
    assert_eq!(interrupt_configuration(InterruptMode::Polling), 0x9);
    assert_eq!(interrupt_configuration(InterruptMode::MsiX), 0xb);
}

#[test]
fn mac_filters_are_counted() {
    let host = FakeHost::new();
    let mut core = host.core(identity(Chip::K2, 2, 3));
    let mut filters = MacFilters::new();
    let first = [0x02, 0x11, 0x22, 0x33, 0x44, 0x55];
    let second = [0x02, 0, 0, 0, 0, 1];
    filters.add(&mut core, first).expect("added");
    filters.add(&mut core, first).expect("added again");
    filters.add(&mut core, second).expect("added");
    let value = nig::LLH_FUNC_FILTER_VALUE.address();
    let enable = nig::LLH_FUNC_FILTER_EN.address();
    assert_eq!(
        host.written(value),
        [0x2233_4455],
        "one filter for two uses"
    );
    assert_eq!(host.written(value.offset(4)), [0x0211]);
    let story = host.story();
    let place = |address: GrcAddress| {
        let mut writes = story.iter();
        writes.position(|write| write.0 == address.value())
    };
    assert!(place(value) < place(enable), "enabled last");
    assert_eq!(host.get(enable.offset(4)), 1);
    filters.remove(&mut core, first).expect("one use less");
    assert_eq!(host.get(enable), 1);
    filters.remove(&mut core, first).expect("gone");
    assert_eq!((host.get(enable), host.get(value)), (0, 0));
    filters.remove(&mut core, first).expect("unknown by now");
    assert_eq!(filters.addresses().collect::<Vec<_>>(), [second]);
    filters.clear(&mut core).expect("cleared");
    assert_eq!(host.get(enable.offset(4)), 0);
    for number in 0..16 {
        let address = [2, 0, 0, 0, 1, number];
        filters.add(&mut core, address).expect("there is a place");
    }
    let full = filters.add(&mut core, first);
    assert_eq!(full, Err(ConfigError::FiltersFull));
}

#[test]
fn classification_units_are_claimed() {
    let host = FakeHost::new();
    let core = host.core(identity(Chip::K2, 2, 3));
    let units = PpfidBitmap {
        bitmap: 0b10_0010,
        native: 1,
    };
    MacFilters::claim_units(&core, units);
    let table = nig::LLH_PPFID2PFID_TBL_0.address().value();
    assert_eq!(host.story(), [(table + 4, 3), (table + 20, 3)]);
}

#[test]
fn an_unknown_write_burst_leaves_the_alignment() {
    let bytes = synthetic_image();
    let image = FirmwareImage::parse(&bytes).expect("parses");
    let plan = plan_for(Chip::K2, 2, 16, 0);
    let host = FakeHost::new();
    satisfy(&host, &image, &plan);
    host.set(pswrq2::WR_MBS0.address(), 7);
    let mut core = host.core(plan.identity);
    let mut scratch = Box::new(Scratch::new());
    initialize_engine(&mut core, &plan, &image, &mut scratch, FailedPolls::Report).expect("engine");
    let line = pglue_b::B_CACHE_LINE_SIZE.address();
    assert!(host.written(line).is_empty());
}

#[test]
fn every_access_may_be_the_last() {
    let bytes = synthetic_image();
    let image = FirmwareImage::parse(&bytes).expect("parses");
    let plan = plan_for(Chip::K2, 2, 16, 1);
    let mut scratch = Box::new(Scratch::new());
    let mut survived = false;
    let mut after = 0;
    while !survived {
        let host = FakeHost::new();
        satisfy(&host, &image, &plan);
        let mut core = host.core(plan.identity);
        host.0.borrow_mut().gone_after = Some(after);
        let result = initialize_engine(&mut core, &plan, &image, &mut scratch, FailedPolls::Report);
        match result {
            Ok(_) => survived = host.0.borrow().gone_after.is_some_and(|left| left > 0),
            Err(error) => assert!(error.is_device_gone(), "after {after}: {error}"),
        }
        assert!(survived || result.is_err(), "a dead device went unnoticed");
        assert!(host.0.borrow().now_us < 1_000_000);
        after = after * 5 / 4 + 1;
    }
    assert!(after > 1000);
}

#[test]
fn tunnels_open_the_parser() {
    let host = FakeHost::new();
    let core = host.core(identity(Chip::K2, 2, 3));
    let format = prs::OUTPUT_FORMAT_4_0.address();
    host.set(format, 0xffff_4910);
    let ports = TunnelPorts {
        vxlan: Some(4789),
        geneve: None,
    };
    configure_tunnels(&core, Tunnels::VXLAN | Tunnels::IP_GENEVE, ports);
    assert_eq!(host.get(prs::VXLAN_PORT.address()), 4789);
    assert!(host.written(prs::NGE_PORT.address()).is_empty());
    assert_eq!(host.get(prs::ENCAPSULATION_TYPE_EN.address()), 0x24);
    assert_eq!(host.get(nig::ENC_TYPE_ENABLE.address()), 4);
    assert_eq!(host.get(nig::NGE_IP_ENABLE.address()), 1);
    assert_eq!(host.get(format), 0xf4da_b910);
    host.set(format, 0x1234);
    configure_tunnels(&core, Tunnels::empty(), TunnelPorts::default());
    assert_eq!(host.get(format), 0x1234);
    assert_eq!(host.get(prs::ENCAPSULATION_TYPE_EN.address()), 0);
}
