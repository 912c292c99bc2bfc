use core::cell::{Cell, RefCell};
use std::vec::Vec as StdVec;

use super::*;
use crate::slowpath::test_memory::{HeapRegion, MapBus, buffer};

struct Bench {
    bus: MapBus,
    attentions: Attentions<HeapRegion>,
    commands: RefCell<StdVec<(u32, u32)>>,
    handled: Cell<u32>,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            bus: MapBus::default(),
            attentions: Attentions::new(buffer(ATTENTION_BLOCK_BYTES)),
            commands: RefCell::default(),
            handled: Cell::new(0),
        };
        bench.bus.preset(igu::ATTENTION_ENABLE.address(), LINES);
        bench
    }

    /// What the device writes.
    fn block(&mut self, bits: u32, acknowledged: u32, index: u16) {
        self.attentions.block.write(0, &bits.to_le_bytes()).unwrap();
        self.attentions
            .block
            .write(4, &acknowledged.to_le_bytes())
            .unwrap();
        self.attentions
            .block
            .write(10, &index.to_le_bytes())
            .unwrap();
    }

    fn service(&mut self) -> AttentionReport {
        let Self {
            bus,
            attentions,
            commands,
            handled,
        } = self;
        let changed = attentions.look(bus);
        if changed.management() {
            handled.set(handled.get() + 1);
        }
        attentions.acknowledge(bus, changed, 3, |offset, value| {
            commands.borrow_mut().push((offset.value(), value))
        })
    }
}

#[test]
fn the_management_line_is_masked_handled_acknowledged_and_unmasked() {
    let mut bench = Bench::new();
    bench.bus.preset(GrcAddress(0x8418), 1);
    bench.block(0x100, 0, 1);
    let report = bench.service();
    assert_eq!(report.acknowledge, Some(1));
    assert_eq!(bench.handled.get(), 1);
    assert_eq!(
        bench.bus.value(GrcAddress(0x8418)),
        0,
        "general attention 2 * 3 is cleared"
    );
    assert_eq!(bench.bus.value(igu::ATTENTION_ENABLE.address()), 0xeff);
    assert_eq!(bench.commands.take(), [(0xff88, 0x100)]);

    // The same block once more: nothing new.
    let report = bench.service();
    assert!(report.acknowledge.is_none());
    assert_eq!(bench.handled.get(), 1);
    assert!(bench.commands.take().is_empty());

    bench.block(0, 0x100, 2);
    let report = bench.service();
    assert_eq!(report.acknowledge, Some(2));
    assert_eq!(bench.bus.value(igu::ATTENTION_ENABLE.address()), LINES);
    assert_eq!(bench.commands.take(), [(0xff90, !0x100)]);
}

#[test]
fn a_firmware_assert_is_found_behind_its_group() {
    let mut bench = Bench::new();
    bench.block(1, 0, 1);
    bench.service();
    bench.block(0, 1, 2);
    bench
        .bus
        .preset(misc::AEU_AFTER_INVERT_1_IGU.address().offset(12), 1);
    bench
        .bus
        .preset(misc::AEU_ENABLE1_IGU_OUT_0.address().offset(12), 1);
    bench.bus.preset(misc::AEU_GENERAL_ATTN_32.address(), 1);
    let report = bench.service();
    assert_eq!(
        report.hardware.as_slice(),
        [HardwareAttention::FirmwareAssert]
    );
    assert_eq!(bench.bus.value(misc::AEU_GENERAL_ATTN_32.address()), 0);
}

#[test]
fn details_of_known_blocks_are_read_and_cleared() {
    let mut bench = Bench::new();
    bench.block(4, 0, 1);
    bench.service();
    bench.block(0, 4, 2);
    bench
        .bus
        .preset(misc::AEU_AFTER_INVERT_1_IGU.address().offset(32), 1 << 20);
    bench.bus.preset(
        misc::AEU_ENABLE1_IGU_OUT_0.address().offset(2 * 0x24 + 32),
        1 << 20,
    );
    bench
        .bus
        .preset(grc::TIMEOUT_ATTN_ACCESS_VALID.address(), 1);
    bench
        .bus
        .preset(grc::TIMEOUT_ATTN_ACCESS_DATA_0.address(), 0x0a80_1234);
    bench
        .bus
        .preset(grc::TIMEOUT_ATTN_ACCESS_DATA_1.address(), 2);
    let report = bench.service();
    assert_eq!(
        report.hardware.as_slice(),
        [HardwareAttention::RegisterTimeout {
            address: 0x48d0,
            write: true,
            master: 10,
            function: 2
        }]
    );
    assert_eq!(bench.bus.value(grc::TIMEOUT_ATTN_ACCESS_VALID.address()), 0);
}

#[test]
fn unknown_sources_are_masked_and_reported() {
    let mut bench = Bench::new();
    bench.block(2, 0, 1);
    bench.service();
    bench.block(0, 2, 2);
    let enable = misc::AEU_ENABLE1_IGU_OUT_0.address().offset(0x24 + 16);
    bench
        .bus
        .preset(misc::AEU_AFTER_INVERT_1_IGU.address().offset(16), 0xff00);
    bench.bus.preset(enable, 0x0ff0);
    let report = bench.service();
    assert_eq!(
        report.hardware.as_slice(),
        [HardwareAttention::UnknownSource {
            row: 5,
            bits: 0x0f00
        }]
    );
    assert_eq!(bench.bus.value(enable), 0x00f0);
}

#[test]
fn a_block_of_garbage_ends() {
    let mut bench = Bench::new();
    for value in [u32::MAX, 0xdead_beef, 0x5555_5555] {
        bench.block(value, !value, value as u16);
        let report = bench.service();
        assert!(report.hardware.len() <= 16);
    }
}

#[test]
fn latched_dma_errors_are_read_and_cleared() {
    let bus = MapBus::default();
    assert!(pglue_errors(&bus).iter().all(Option::is_none));
    assert!(bus.writes.borrow().is_empty());
    bus.preset(pglue_b::TX_ERR_WR_DETAILS2.address(), 1 << 29 | 1 << 22);
    bus.preset(pglue_b::TX_ERR_WR_ADD_31_0.address(), 0x1000);
    bus.preset(pglue_b::TX_ERR_WR_ADD_63_32.address(), 2);
    bus.preset(pglue_b::TX_ERR_WR_DETAILS.address(), 0x30_0000);
    let [write, ..] = pglue_errors(&bus);
    assert_eq!(
        write,
        Some(HardwareAttention::BlockedDma {
            access: DmaAccess::Write,
            address: 0x2_0000_1000,
            details: 0x30_0000,
            details2: 0x2040_0000
        })
    );
    assert_eq!(bus.value(pglue_b::LATCHED_ERRORS_CLR.address()), 4);
}
