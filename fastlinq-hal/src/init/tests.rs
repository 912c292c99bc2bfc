#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::boxed::Box;
use std::vec::Vec;

use fastlinq_model::firmware_image::{ImageBuilder, Poll};
use fastlinq_pac::init_file::Phase;
use fastlinq_pac::versions::{RuntimeId, V8_59_1};
use fastlinq_pac::{Chip, GrcAddress};

use super::fake::{FakeHost, identity};
use super::*;
use crate::firmware::{FirmwareImage, Modes};

struct Bench {
    host: FakeHost,
    scratch: Box<Scratch>,
}

impl Bench {
    fn new() -> Self {
        Self {
            host: FakeHost::new(),
            scratch: Box::new(Scratch::new()),
        }
    }

    fn run(
        &mut self,
        builder: &ImageBuilder,
        phase: Phase,
        polls: FailedPolls,
    ) -> Result<PhaseReport, InitError> {
        let bytes = builder.clone().build();
        let image = FirmwareImage::parse(&bytes).expect("parses");
        let mut core = self.host.core(identity(Chip::K2, 2, 1));
        let id = (phase != Phase::ENGINE).then_some(1);
        let modes = Modes::K2 | Modes::ASIC;
        run_phase(
            &mut core,
            &image,
            &mut self.scratch,
            phase,
            id,
            modes,
            polls,
        )
    }

    fn by_dma(&self, address: u32) -> bool {
        let chip = self.host.0.borrow();
        let mut writes = chip.writes.iter();
        writes.any(|write| write.address == address && write.by_dma)
    }
}

fn image(phase: u8, fill: impl FnOnce(&mut ImageBuilder)) -> ImageBuilder {
    let mut builder = ImageBuilder::new([8, 59, 1, 0], 7);
    builder.phase(phase, None, fill);
    builder
}

#[test]
fn dma_is_used_only_behind_the_call_that_allows_it() {
    let long: Vec<u32> = (1..=20).collect();
    let builder = image(0, |image| {
        image
            .array(0x1000, &long, false)
            .callback(0, 22)
            .array(0x2000, &long, false)
            .array(0x3000, &long[..15], false)
            .zeros(0x4000, 63, false)
            .zeros(0x5000, 64, false)
            .zeros(0x6000, 2, true)
            .zipped(0x7000, &long, false)
            .pattern(0x8000, &[1, 2], 9, false);
    });
    let mut bench = Bench::new();
    let report = bench
        .run(&builder, Phase::ENGINE, FailedPolls::Fatal)
        .expect("runs");
    let dma: Vec<bool> = (1..=8).map(|page| bench.by_dma(page * 0x1000)).collect();
    assert_eq!(dma, [false, true, false, false, true, true, true, true]);
    for (address, expected) in [(0x104c, 20), (0x204c, 20), (0x704c, 20), (0x8044, 2)] {
        assert_eq!(bench.host.get(GrcAddress(address)), expected);
    }
    assert_eq!(report.window_dwords, 20 + 15 + 63);
    assert_eq!(report.dma_dwords, 20 + 64 + 2 + 20 + 18);
    assert!(report.is_clean());
}

#[test]
fn other_phases_use_dma_at_once() {
    let builder = image(2, |image| {
        image.zeros(0x4000, 64, false).zeros(0x5000, 2, true);
    });
    let mut bench = Bench::new();
    bench
        .run(&builder, Phase::PF, FailedPolls::Fatal)
        .expect("runs");
    assert!(bench.by_dma(0x4000) && bench.by_dma(0x5000));
}

#[test]
fn whole_lines_before_dma_works_are_an_error() {
    let builder = image(0, |image| {
        image.zeros(0x4000, 2, true);
    });
    let result = Bench::new().run(&builder, Phase::ENGINE, FailedPolls::Report);
    let address = GrcAddress(0x4000);
    assert_eq!(result, Err(InitError::WideBeforeDma { address }));
}

#[test]
fn bulk_needs_few_commands() {
    let builder = image(2, |image| {
        image
            .zeros(0x10_0000, 20_000, false)
            .pattern(0x20_0000, &[5], 20_000, false);
    });
    let mut bench = Bench::new();
    bench
        .run(&builder, Phase::PF, FailedPolls::Fatal)
        .expect("runs");
    assert_eq!(bench.host.0.borrow().dma_commands, 3 + 3);
    assert_eq!(bench.host.get(GrcAddress(0x20_0000 + 4 * 19_999)), 5);
}

#[test]
fn runtime_values_are_written_once_in_runs() {
    let builder = image(2, |image| {
        image
            .runtime(0x1000, 10, 40, false)
            .runtime(0x2000, 100, 4, true);
    });
    let mut bench = Bench::new();
    for index in [10, 11, 13, 49, 50, 102, 103] {
        bench.scratch.runtime.set(index, index.into()).expect("set");
    }
    let report = bench
        .run(&builder, Phase::PF, FailedPolls::Fatal)
        .expect("runs");
    assert_eq!(
        bench.host.story(),
        [
            (0x1000, 10),
            (0x1004, 11),
            (0x100c, 13),
            (0x109c, 49),
            (0x2008, 102),
            (0x200c, 103),
        ]
    );
    assert_eq!(report.runtime_dwords, 6);
    assert!(bench.by_dma(0x2008) && !bench.by_dma(0x1000));
    assert_eq!(bench.scratch.runtime.waiting(), 1, "50 is in no operation");
    let again = bench
        .run(&builder, Phase::PF, FailedPolls::Fatal)
        .expect("runs");
    assert_eq!(again.runtime_dwords, 0);
}

#[test]
fn a_failed_poll_is_reported_or_fatal() {
    let builder = image(1, |image| {
        image.read(0x340_008, Poll::Equal, 3).write(0x10, 1);
    });
    let mut bench = Bench::new();
    bench.host.set(GrcAddress(0x340_008), 2);
    let report = bench
        .run(&builder, Phase::PORT, FailedPolls::Report)
        .expect("goes on");
    assert_eq!((report.failed_polls, report.failures.len()), (1, 1));
    let poll = report.failures[0];
    assert_eq!(
        (poll.address.value(), poll.expected, poll.last),
        (0x340_008, 3, 2)
    );
    assert!((49_500..60_000).contains(&report.duration_us));
    assert_eq!(bench.host.get(GrcAddress(0x10)), 1);
    let fatal = bench.run(&builder, Phase::PORT, FailedPolls::Fatal);
    assert!(matches!(fatal, Err(InitError::PollFailed { .. })));
}

#[test]
fn a_chip_that_fails_every_poll_does_not_take_long() {
    let builder = image(1, |image| {
        for register in 0..500 {
            image.read(0x1000 + register * 4, Poll::Equal, 1);
        }
    });
    let mut bench = Bench::new();
    let result = bench.run(&builder, Phase::PORT, FailedPolls::Report);
    assert!(matches!(result, Err(InitError::TooManyFailedPolls { .. })));
    assert!(bench.host.0.borrow().now_us < 1_000_000);
}

#[test]
fn a_dead_device_ends_the_phase_soon() {
    let phase = Phase::PORT;
    let error = InitError::DeviceGone { phase };
    let gone = Err(error);
    let mut bench = Bench::new();
    bench.host.0.borrow_mut().gone = true;
    let builder = image(1, |image| {
        image.read(0x1000, Poll::Equal, 1).write(0x10, 1);
    });
    assert_eq!(bench.run(&builder, phase, FailedPolls::Report), gone);
    let builder = image(1, |image| {
        for _ in 0..3000 {
            image.write(0x10, 1);
        }
    });
    assert_eq!(bench.run(&builder, phase, FailedPolls::Report), gone);
    let builder = image(1, |image| {
        image.zeros(0x10_0000, 100, false);
    });
    assert_eq!(bench.run(&builder, phase, FailedPolls::Report), gone);
    assert_eq!(error.layer(), crate::error::Layer::Pci);
}

#[test]
fn a_dma_engine_that_does_not_work_is_named() {
    let builder = image(0, |image| {
        image.callback(0, 22).write(0x10, 1);
    });
    let mut bench = Bench::new();
    bench.host.0.borrow_mut().dma_works = false;
    let result = bench.run(&builder, Phase::ENGINE, FailedPolls::Report);
    assert!(matches!(result, Err(InitError::Dma { address: None, .. })));
}

#[test]
fn strange_operations_are_refused() {
    let run = |fill: fn(&mut ImageBuilder)| {
        Bench::new().run(&image(1, fill), Phase::PORT, FailedPolls::Report)
    };
    let long = run(|image| {
        image.delay_us(1_000_001);
    });
    assert_eq!(long, Err(InitError::DelayTooLong { us: 1_000_001 }));
    let call = run(|image| {
        image.callback(3, 5);
    });
    assert_eq!(call, Err(InitError::UnknownCallback { id: 3, block: 5 }));
    let corrupt = {
        let mut builder = image(1, |image| {
            image.zipped(0x1000, &[1, 2, 3], false);
        })
        .build();
        let zip = builder.windows(2).position(|pair| pair == [0x78, 0xda]);
        let zip = zip.or_else(|| builder.windows(2).position(|pair| pair[0] == 0x78));
        builder[zip.expect("a zlib stream") + 4] ^= 0xff;
        builder
    };
    let image = FirmwareImage::parse(&corrupt).expect("parses");
    let bench = Bench::new();
    let result = run_phase(
        &mut bench.host.core(identity(Chip::K2, 2, 1)),
        &image,
        &mut Box::new(Scratch::new()),
        Phase::PORT,
        None,
        Modes::K2,
        FailedPolls::Report,
    );
    assert!(matches!(result, Err(InitError::Firmware(_))));
}

#[test]
fn the_runtime_array_keeps_its_bounds() {
    let mut array = Box::new(RuntimeArray::new());
    let behind = RUNTIME_ENTRIES as u16;
    assert_eq!(array.set(behind, 1), Err(RuntimeError::Index(behind)));
    assert_eq!(array.get(behind), None);
    let mut writer = array.writer(&V8_59_1);
    let id = RuntimeId::CAU_REG_SB_ADDR_MEMORY;
    assert_eq!(writer.set_wide(id, 367, 0x1_0000_0002), Ok(()));
    assert_eq!(
        writer.set_wide(id, 368, 0),
        Err(RuntimeError::Range { id, offset: 736 })
    );
    let first = V8_59_1.runtime(id).index;
    assert_eq!(array.get(first + 734), Some(2));
    assert_eq!(array.get(first + 735), Some(1));
    assert_eq!(
        array.take_run(first, first + 735),
        Some((first + 734, &[2][..]))
    );
    assert_eq!(array.waiting(), 1);
    array.clear();
    assert_eq!(array.waiting(), 0);
}

#[test]
fn families_are_found_by_the_distance_of_their_first_two() {
    let mut array = Box::new(RuntimeArray::new());
    let mut writer = array.writer(&V8_59_1);
    let (first, second) = (
        RuntimeId::PBF_REG_BTB_GUARANTEED_VOQ0,
        RuntimeId::PBF_REG_BTB_GUARANTEED_VOQ1,
    );
    writer.set_in_family(first, second, 19, 7).expect("set");
    let nineteen = V8_59_1.runtime(RuntimeId::PBF_REG_BTB_GUARANTEED_VOQ19);
    assert_eq!(array.get(nineteen.index), Some(7));
}

#[test]
fn scratch_is_what_it_says() {
    let parts = size_of::<RuntimeArray>() + size_of::<crate::firmware::Inflater>();
    assert!(
        (parts..256 * 1024).contains(&SCRATCH_SIZE),
        "{SCRATCH_SIZE}"
    );
}
