//! `fastlinq firmware`: what is in an init-values file, and whether it is sound.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use fastlinq_hal::firmware::{
    Array, FirmwareImage, Inflater, Modes, Operation, SectionName, Source,
};
use fastlinq_pac::init_file::Phase;
use serde::Serialize;

use crate::args::FirmwareArgs;
use crate::firmware_source;
use crate::progress::Progress;

/// The sets of modes that adapters have: chip, how functions are told apart, ports, engines.
const MODE_SETS: [(&str, Modes); 8] = [
    (
        "BB-MF_SI-1port",
        modes(Modes::BB, Modes::MF_SI, Modes::PORTS_1),
    ),
    (
        "BB-MF_SI-2port",
        modes(Modes::BB, Modes::MF_SI, Modes::PORTS_2),
    ),
    (
        "BB-MF_SI-1port-100G",
        modes(Modes::BB, Modes::MF_SI, Modes::PORTS_1).union(Modes::TWO_ENGINES),
    ),
    (
        "BB-MF_SD-2port",
        modes(Modes::BB, Modes::MF_SD, Modes::PORTS_2),
    ),
    (
        "K2-MF_SI-1port",
        modes(Modes::K2, Modes::MF_SI, Modes::PORTS_1),
    ),
    (
        "K2-MF_SI-2port",
        modes(Modes::K2, Modes::MF_SI, Modes::PORTS_2),
    ),
    (
        "K2-MF_SI-4port",
        modes(Modes::K2, Modes::MF_SI, Modes::PORTS_4),
    ),
    (
        "K2-MF_SD-2port",
        modes(Modes::K2, Modes::MF_SD, Modes::PORTS_2),
    ),
];

/// Phases with the port or function that they are walked for.
const PHASES: [(&str, Phase, Option<u16>); 5] = [
    ("ENGINE", Phase::ENGINE, None),
    ("PORT", Phase::PORT, Some(0)),
    ("PF", Phase::PF, Some(0)),
    ("VF", Phase::VF, Some(0)),
    ("QM_PF", Phase::QM_PF, Some(0)),
];

const fn modes(chip: Modes, functions: Modes, ports: Modes) -> Modes {
    Modes::ASIC.union(chip).union(functions).union(ports)
}

#[derive(Debug, Serialize)]
struct Report {
    file: String,
    bytes: usize,
    version: String,
    tools_version: u16,
    timestamp: u32,
    runnable: bool,
    /// Why the driver cannot run it, where it cannot.
    not_runnable: Option<String>,
    sections: Vec<SectionReport>,
    operations: usize,
    variables: usize,
    overlays: Vec<OverlayReport>,
    walks: Vec<WalkReport>,
}

#[derive(Debug, Serialize)]
struct SectionReport {
    name: &'static str,
    offset: usize,
    bytes: usize,
}

#[derive(Debug, Serialize)]
struct OverlayReport {
    storm: String,
    dwords: usize,
}

#[derive(Debug, Serialize)]
struct WalkReport {
    modes: &'static str,
    phase: &'static str,
    executed: u64,
    writes: u64,
    dwords: u64,
    runtime_dwords: u64,
    reads: u64,
    crc32: String,
}

pub(crate) fn run(args: &FirmwareArgs) -> Result<ExitCode> {
    let source = firmware_source::find(Some(&args.file))?;
    let report = FirmwareImage::parse(&source.bytes)
        .and_then(|image| inspect(&image, source.origin.to_string()))
        .map_err(|error| anyhow!("storm firmware file {}: {error}", source.origin))?;
    if let Some(path) = &args.write {
        std::fs::write(path, &source.bytes).with_context(|| path.display().to_string())?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn inspect(
    image: &FirmwareImage<'_>,
    file: String,
) -> Result<Report, fastlinq_hal::firmware::FirmwareError> {
    let sections = SectionName::ALL
        .into_iter()
        .filter_map(|name| {
            let range = image.section(name)?;
            Some(SectionReport {
                name: name.name(),
                offset: range.offset,
                bytes: range.length,
            })
        })
        .collect();
    let overlays = image
        .overlays()
        .map(|overlay| {
            overlay.map(|overlay| OverlayReport {
                storm: format!("{:?}STORM", overlay.storm),
                dwords: overlay.code.len(),
            })
        })
        .collect::<Result<_, _>>()?;
    let layout = image.layout();
    Ok(Report {
        file,
        bytes: image.file_size(),
        version: image.version().to_string(),
        tools_version: image.tools_version(),
        timestamp: image.timestamp(),
        runnable: layout.is_ok(),
        not_runnable: layout.err().map(|error| error.to_string()),
        sections,
        operations: image.operation_count(),
        variables: image.iro_records().len(),
        overlays,
        walks: walk_all(image)?,
    })
}

fn walk_all(
    image: &FirmwareImage<'_>,
) -> Result<Vec<WalkReport>, fastlinq_hal::firmware::FirmwareError> {
    let mut inflater = Box::new(Inflater::new());
    let progress = Progress::new("walking", (MODE_SETS.len() * PHASES.len()) as u64);
    let mut walks = Vec::new();
    for (modes_name, modes) in MODE_SETS {
        for (phase_name, phase, id) in PHASES {
            let mut walk = WalkReport {
                modes: modes_name,
                phase: phase_name,
                executed: 0,
                writes: 0,
                dwords: 0,
                runtime_dwords: 0,
                reads: 0,
                crc32: String::new(),
            };
            let mut hash = crc32fast::Hasher::new();
            for operation in image.operations(phase, id, modes) {
                count(&mut walk, &operation);
                let mut emitted = 0u64;
                operation.canonical(&mut inflater, |dword| {
                    emitted += 1;
                    hash.update(&dword.to_le_bytes());
                })?;
                if let Operation::Write {
                    source: Source::Array(Array::Zipped { .. }),
                    ..
                } = operation
                {
                    walk.dwords += emitted / 2;
                }
            }
            walk.crc32 = format!("{:08x}", hash.finalize());
            walks.push(walk);
            progress.advance(1);
        }
    }
    Ok(walks)
}

fn count(walk: &mut WalkReport, operation: &Operation<'_>) {
    walk.executed += 1;
    match operation {
        Operation::Write { source, .. } => {
            walk.writes += 1;
            match source {
                Source::Inline(_) => walk.dwords += 1,
                Source::Zeros { dwords } => walk.dwords += u64::from(*dwords),
                Source::Array(array) => walk.dwords += array.stored_dwords().unwrap_or(0),
                Source::Runtime { dwords, .. } => walk.runtime_dwords += u64::from(*dwords),
            }
        }
        Operation::Read(_) => walk.reads += 1,
        Operation::Delay { .. } | Operation::Callback { .. } => {}
    }
}

fn print(report: &Report) -> Result<()> {
    let mut out = anstream::stdout().lock();
    let runs = match &report.not_runnable {
        None => "this driver runs it".to_string(),
        Some(why) => why.clone(),
    };
    writeln!(out, "{}: {} bytes", report.file, report.bytes)?;
    writeln!(
        out,
        "  version {} (tools {}, made {} s after 1970): {runs}",
        report.version, report.tools_version, report.timestamp
    )?;
    writeln!(
        out,
        "  {} operations, {} firmware variables",
        report.operations, report.variables
    )?;
    for section in &report.sections {
        writeln!(
            out,
            "  section {:<10} {:>7} bytes at {:#08x}",
            section.name, section.bytes, section.offset
        )?;
    }
    for overlay in &report.overlays {
        writeln!(out, "  overlay {} {} dwords", overlay.storm, overlay.dwords)?;
    }
    writeln!(
        out,
        "\n  {:<20} {:<7} {:>8} {:>9} {:>9} {:>6}  crc32",
        "modes", "phase", "executed", "dwords", "runtime", "reads"
    )?;
    for walk in &report.walks {
        writeln!(
            out,
            "  {:<20} {:<7} {:>8} {:>9} {:>9} {:>6}  {}",
            walk.modes,
            walk.phase,
            walk.executed,
            walk.dwords,
            walk.runtime_dwords,
            walk.reads,
            walk.crc32
        )?;
    }
    Ok(())
}
