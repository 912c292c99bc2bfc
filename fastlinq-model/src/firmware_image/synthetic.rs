//! The small image that stands in for the storm firmware when no genuine file is at hand.
//!
//! It has the version, the variable table and the runtime-array map of 8.59.1.0 or of another build that the
//! PAC describes, every poll of the genuine initialisation program of 8.59.1.0 in its order, and at least one operation of every kind. What it
//! does not have is code: the arrays where the genuine file carries storm programs hold a counting
//! pattern. The software adapter executes no storm code, so a driver cannot tell the difference;
//! a card would.

use super::builder::{ImageBuilder, ModeExpression, Poll};
use fastlinq_pac::versions::{self, FirmwareVersion, Layout, V8_59_1};

use super::runtime_runs::RuntimeRun;
use super::versions::{iro_table, runtime_runs};

/// Initialisation phases of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Engine = 0,
    Port = 1,
    Function = 2,
    VirtualFunction = 3,
    QueueManager = 4,
}

/// 2026-01-01, so that the image is the same bytes in every build.
const TIMESTAMP: u32 = 1_767_225_600;

const MODE_BB: u8 = 1;
const MODE_K2: u8 = 2;
const MODE_ASIC: u8 = 3;
const MODE_MF_SD: u8 = 9;
const MODE_PORTS_4: u8 = 13;

const DMAE_READY: u16 = 0;
const DMAE_BLOCK: u16 = 22;

const ILT_MEMORY: u32 = 0x26_0000;
const ILT_DWORDS_BB: u32 = 15_200;
const ILT_DWORDS_K2: u32 = 22_000;
/// Program RAM of the six storms in the order X, Y, P, T, M, U.
const STORM_PROGRAMS: [u32; 6] = [
    0x148_0000, 0x158_0000, 0x168_0000, 0x178_0000, 0x188_0000, 0x198_0000,
];

/// Builds the synthetic image of firmware 8.59.1.0.
///
/// The bytes are the same on every call. Known by: the order and the values of the polls are those
/// of the genuine program (decoded); everything else is this project's.
#[must_use]
pub fn synthetic_image() -> Vec<u8> {
    build(&V8_59_1, Arrays::Zipped)
}

/// Builds the synthetic image of another firmware build; `None` for one that the PAC does not describe.
///
/// Known by: the tables of variables and of the runtime array are those of the build; the program around them is that of
/// 8.59.1.0, runtime values going to the same registers.
///
/// # Examples
///
/// ```
/// use fastlinq_model::firmware_image::synthetic_image_of;
/// use fastlinq_pac::versions::FirmwareVersion;
///
/// assert!(synthetic_image_of(FirmwareVersion::new(8, 40, 33, 0)).is_some());
/// assert!(synthetic_image_of(FirmwareVersion::new(8, 10, 10, 0)).is_none());
/// ```
#[must_use]
pub fn synthetic_image_of(version: FirmwareVersion) -> Option<Vec<u8>> {
    versions::for_version(version).map(|layout| build(layout, Arrays::Zipped))
}

/// The same without compressed arrays, as in a file that has no `zipped` in its name; `None` for a build that the PAC does not
/// describe.
///
/// DPDK's driver refuses compressed arrays. Known by: reading of that driver.
///
/// # Examples
///
/// ```
/// use fastlinq_model::firmware_image::{synthetic_image_of, unzipped_image_of};
/// use fastlinq_pac::versions::FirmwareVersion;
///
/// let version = FirmwareVersion::new(8, 40, 33, 0);
/// let zipped = synthetic_image_of(version).expect("a described build");
/// let unzipped = unzipped_image_of(version).expect("a described build");
/// assert!(unzipped.len() > zipped.len());
/// ```
#[must_use]
pub fn unzipped_image_of(version: FirmwareVersion) -> Option<Vec<u8>> {
    versions::for_version(version).map(|layout| build(layout, Arrays::Unzipped))
}

/// How the storm programs are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrays {
    Zipped,
    Unzipped,
}

fn build(layout: &Layout, arrays: Arrays) -> Vec<u8> {
    let runs = runtime_runs(layout);
    let runtime = |image: &mut ImageBuilder, phase| runtime(image, &runs, phase);
    let mut image = ImageBuilder::new(layout.version.word().to_be_bytes(), TIMESTAMP);
    image.iro(iro_table(layout));
    image.phase(Phase::Engine as u8, None, |image| {
        engine(image, &runs, arrays)
    });
    for port in 0..4 {
        image.phase(Phase::Port as u8, Some(port), |image| {
            port_phase(image, port)
        });
    }
    image.phase(Phase::Port as u8, None, |image| runtime(image, Phase::Port));
    image.phase(Phase::Function as u8, None, |image| function(image, &runs));
    image.phase(Phase::VirtualFunction as u8, None, |image| {
        runtime(image, Phase::VirtualFunction);
    });
    image.phase(Phase::QueueManager as u8, None, |image| {
        runtime(image, Phase::QueueManager);
    });
    for (storm, dwords) in [(0u8, 96), (1, 64), (2, 16)] {
        image.overlay(storm, &counting(u32::from(storm) << 24, dwords));
    }
    image.build()
}

fn bit(mode: u8) -> ModeExpression {
    ModeExpression::Bit(mode)
}

fn either(left: ModeExpression, right: ModeExpression) -> ModeExpression {
    ModeExpression::Or(Box::new(left), Box::new(right))
}

fn both(left: ModeExpression, right: ModeExpression) -> ModeExpression {
    ModeExpression::And(Box::new(left), Box::new(right))
}

fn counting(seed: u32, dwords: u32) -> Vec<u32> {
    (0..dwords).map(|index| seed | index).collect()
}

fn engine(image: &mut ImageBuilder, runs: &[RuntimeRun], arrays: Arrays) {
    image
        .write(0x8184, 0)
        .write(0x50_00e4, 1)
        .write(0x8078, 0x33bf_bfbf)
        .write(0x8088, 0x05ff_fff8);
    start_and_poll(image, 0x2a_0000, 1, 0x2a_0004, 1);
    start_and_poll(image, 0x29_d000, 1, 0x29_d004, 1);
    image.delay_us(10).callback(DMAE_READY, DMAE_BLOCK);

    image.mode(&bit(MODE_BB), |image| {
        image.zeros(ILT_MEMORY, ILT_DWORDS_BB, true);
    });
    image.mode(&ModeExpression::Not(Box::new(bit(MODE_BB))), |image| {
        image.zeros(ILT_MEMORY, ILT_DWORDS_K2, true);
    });
    start_and_poll(image, 0x56_0000, 1, 0x56_0004, 1);
    start_and_poll(image, 0x100_0004, 1, 0x100_0008, 1);
    start_and_poll(image, 0x2f_5d7c, 1, 0x2f_5d80, 1);
    image.read(0x2c_0010, Poll::Equal, 1);
    start_and_poll(image, 0x34_0004, 3, 0x34_0008, 3);
    start_and_poll(image, 0x1f_0004, 1, 0x1f_0008, 1);
    storms(image, arrays);
    start_and_poll(image, 0x23_8804, 1, 0x23_8804, 0);
    start_and_poll(image, 0xdb_0004, 3, 0xdb_0008, 3);
    cfc(image, 0x2e_0000);
    cfc(image, 0x2d_0000);
    start_and_poll(image, 0x1c_0410, 0x1f, 0x1c_0410, 0);
    runtime(image, runs, Phase::Engine);
    connection_managers(image);
    image.write(0x8828, 3);
}

fn start_and_poll(image: &mut ImageBuilder, start: u32, value: u32, done: u32, expected: u32) {
    image.write(start, value).read(done, Poll::Equal, expected);
}

/// Storm processors: idle checks, filter memories, program and data memories.
fn storms(image: &mut ImageBuilder, arrays: Arrays) {
    image
        .read(0x174_065c, Poll::Equal, 0)
        .write(0x174_a000, 1)
        .write(0x174_a00c, 1)
        .read(0x174_a03c, Poll::And, 7);
    for idle in [0x184_065c, 0x194_065c, 0x144_065c, 0x154_065c, 0x164_065c] {
        image.read(idle, Poll::Equal, 0);
    }
    image
        .write(0x164_a000, 1)
        .write(0x164_a00c, 1)
        .read(0x164_a03c, Poll::And, 7);
    for (index, program) in STORM_PROGRAMS.into_iter().enumerate() {
        let seed = (index as u32) << 24;
        let code = counting(seed, 2048);
        match arrays {
            Arrays::Zipped => image.zipped(program, &code, true),
            Arrays::Unzipped => image.array(program, &code, true),
        };
        image.array(program + 0x2000, &counting(seed | 0x80_0000, 24), true);
        image.pattern(program + 0x2100, &[seed, !seed], 16, true);
    }
    image.mode(
        &both(bit(MODE_ASIC), either(bit(MODE_BB), bit(MODE_K2))),
        |image| {
            image.zeros(0x1c8_4000, 256, false);
        },
    );
}

fn cfc(image: &mut ImageBuilder, base: u32) {
    image.write(base, 0x1e7f);
    for done in [0x04, 0x08, 0x0c, 0x10] {
        image.read(base + done, Poll::Equal, 1);
    }
}

/// The six connection managers must be idle before and after their start command.
fn connection_managers(image: &mut ImageBuilder) {
    let idle = [
        0x100_0ac0, 0x108_0ab8, 0x110_0ab0, 0x118_0ab8, 0x120_0abc, 0x128_0acc,
    ];
    let command = [
        0x100_0afc, 0x108_0ae4, 0x110_0ac4, 0x118_0ae8, 0x120_0aec, 0x128_0b08,
    ];
    for address in idle {
        image.read(address, Poll::Equal, 1);
    }
    for (address, done) in command.into_iter().zip(idle) {
        start_and_poll(image, address, 1, done, 1);
    }
}

fn port_phase(image: &mut ImageBuilder, port: u16) {
    image
        .write(0x50_1a80, 0)
        .array(0x1f_0700, &counting(u32::from(port) << 8, 4), false);
    image.mode(&bit(MODE_PORTS_4), |image| {
        image.write(0xd8_0590, 1);
    });
}

fn function(image: &mut ImageBuilder, runs: &[RuntimeRun]) {
    image
        .write(0x2a_a16c, 1)
        .write(0x2a_a170, 1)
        .write(0x2a_a174, 1)
        .write(0x56_007c, 0x00f0_0000)
        .write(0x56_0078, 0);
    start_and_poll(image, 0x56_0080, 1, 0x56_0084, 1);
    image.write(0x56_0088, 1);
    runtime(image, runs, Phase::Function);
    for (address, value) in [
        (0x118_0904, 0),
        (0x118_090c, 0),
        (0x120_0904, 1),
        (0x120_090c, 1),
        (0x128_0904, 2),
        (0x128_090c, 2),
        (0x108_0904, 3),
        (0x108_090c, 3),
        (0x2f_2ea4, 1),
        (0x2f_2eac, 0),
        (0x2f_2eb0, 0),
        (0x10_0510, 1),
        (0x10_0514, 1),
        (0x10_0500, 0),
        (0x10_0508, 1),
        (0x1f_0190, 1),
        (0x1f_0444, 1),
        (0x1f_0948, 0xff00_0000),
        (0x2e_0700, 1),
        (0x2e_0708, 1),
        (0x2d_0700, 1),
        (0x2d_0708, 1),
        (0x18_1210, 1),
        (0x50_11f4, 0),
        (0x50_1664, 0),
        (0x50_88f8, 0),
    ] {
        image.write(address, value);
    }
    for storm in [0x140, 0x150, 0x160, 0x170, 0x180, 0x190] {
        image.write((storm << 16) + 0x40c, 1);
    }
    image.mode(&bit(MODE_MF_SD), |image| {
        image.write(0x50_19b0, 1);
    });
}

fn runtime(image: &mut ImageBuilder, runs: &[RuntimeRun], phase: Phase) {
    for run in runs.iter().filter(|run| run.phase == phase) {
        if run.k2_only {
            image.mode(&bit(MODE_K2), |image| runtime_run(image, run));
        } else {
            runtime_run(image, run);
        }
    }
}

fn runtime_run(image: &mut ImageBuilder, run: &RuntimeRun) {
    image.runtime(run.address, run.index, run.dwords, run.wide);
}
