//! `fastlinq loop`: every frame of a capture through transmit, wire and receive, compared byte for byte.

mod ledger;
mod traffic;

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use fastlinq_hal::adapter::{Adapter, AdapterConfig, Inventory, NvmPopulated, Populated, Reset};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_host::AnyHost;
use fastlinq_model::wire::Loopback;
use fastlinq_model::wire::capture::{CaptureReader, CaptureWriter};
use fastlinq_net::MAX_MTU;
use serde::Serialize;

use crate::args::LoopArgs;
use crate::progress::Progress;
use crate::report::{self, Failure};
use crate::{USAGE, firmware_source, setup};
use traffic::{Traffic, Trouble};

#[derive(Debug, Default, Serialize)]
struct Report {
    capture: String,
    frames: u64,
    bytes: u64,
    unchanged: u64,
    changed: u64,
    lost: u64,
    /// Frames that came back unchanged after one that was sent later.
    late: u64,
    /// Frames that came back more than once; the first time is counted elsewhere.
    doubled: u64,
    /// Frames that no wire carries or that break a rule of the chip.
    refused: u64,
    /// Frames that were longer on the wire than what was captured of them; the captured part was sent.
    cut: u64,
    first_problem: Option<String>,
    /// Where the capture is damaged; the frames before that were compared.
    capture_problem: Option<String>,
    seconds: f64,
    violations: usize,
    warnings: Vec<String>,
    failure: Option<Failure>,
}

impl Report {
    /// How the command ends: with the capture, or with what became of its frames.
    fn exit_code(&self) -> ExitCode {
        let good = self.unchanged == self.frames && self.doubled == 0 && self.violations == 0;
        if self.failure.is_some() || !good {
            ExitCode::FAILURE
        } else if self.capture_problem.is_some() {
            ExitCode::from(USAGE)
        } else {
            ExitCode::SUCCESS
        }
    }
}

pub(crate) fn run(args: &LoopArgs) -> Result<ExitCode> {
    args.adapter.adapter.can_be_driven()?;
    let name = args.capture.display().to_string();
    let file = File::open(&args.capture).with_context(|| name.clone())?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let reader =
        CaptureReader::new(BufReader::new(file)).map_err(|error| anyhow!("{name}: {error}"))?;
    let source =
        firmware_source::find_for(&args.adapter.adapter, args.adapter.firmware.as_deref())?;
    let image = source.runnable()?;
    let (host, recording) = setup::host(&args.adapter)?;
    // Other adapters are plugged into whatever they are plugged into.
    if let Some(model) = host.model() {
        model.set_wire(0, Box::new(Loopback::default()));
    }
    let output = match &args.write {
        Some(path) => {
            let file = File::create(path).with_context(|| path.display().to_string())?;
            Some(CaptureWriter::new(BufWriter::new(file)).map_err(|error| anyhow!("{error}"))?)
        }
        None => None,
    };
    let mut traffic = Traffic {
        host: host.clone(),
        burst: usize::from(args.burst),
        output,
        progress: Progress::new("passing bytes of the capture", size),
        report: Report {
            capture: name.clone(),
            ..Report::default()
        },
    };
    match pass(&mut traffic, &image, reader) {
        Ok(()) => {}
        Err(Stop::Failed(failure)) => traffic.report.failure = Some(*failure),
        Err(Stop::Other(error)) => return Err(error),
    }
    let Traffic {
        progress,
        mut report,
        ..
    } = traffic;
    drop(progress);
    report.violations = host.violations().len();
    recording.finish()?;
    if report.frames == 0 && report.failure.is_none() && report.capture_problem.is_none() {
        report.capture_problem = Some("the capture holds no frame, nothing was compared".into());
    }
    print(&report, args.json)?;
    Ok(report.exit_code())
}

/// Why the run ended early.
enum Stop {
    /// A layer failed.
    Failed(Box<Failure>),
    /// The command line or a file is wrong.
    Other(anyhow::Error),
}

/// From Reset to Up, the frames, and back.
fn pass(
    traffic: &mut Traffic,
    image: &FirmwareImage<'_>,
    reader: CaptureReader<BufReader<File>>,
) -> Result<(), Stop> {
    let config = AdapterConfig {
        mtu: Some(MAX_MTU),
        ..AdapterConfig::default()
    };
    let adapter: Adapter<Reset, _> = Adapter::new(traffic.host.clone(), config);
    let adapter = adapter.connect().map_err(|failed| {
        let transcript = failed.adapter.transcript();
        Stop::Failed(Failure::new("Reset", &failed.cause, transcript).into())
    })?;
    match adapter.populate() {
        Ok(Populated::Images(adapter)) => up(traffic, adapter, image, reader),
        Ok(Populated::Unsupported(adapter)) => up(traffic, adapter, image, reader),
        Err(failed) => {
            let warning = format!("{}; going on without an inventory", failed.cause);
            traffic.report.warnings.push(warning);
            up(traffic, failed.adapter.without_inventory(), image, reader)
        }
    }
}

fn up<I: Inventory>(
    traffic: &mut Traffic,
    adapter: Adapter<NvmPopulated<I>, AnyHost>,
    image: &FirmwareImage<'_>,
    reader: CaptureReader<BufReader<File>>,
) -> Result<(), Stop> {
    let mut scratch = Box::new(Scratch::new());
    let mut adapter = adapter.up(image, &mut scratch).map_err(|failed| {
        let transcript = failed.adapter.transcript();
        Stop::Failed(Failure::new("NvmPopulated", &failed.cause, transcript).into())
    })?;
    let passed = traffic.run(&mut adapter, reader);
    passed.map_err(|trouble| match trouble {
        Trouble::Adapter(cause) => {
            Stop::Failed(Failure::new("Up", &cause, adapter.transcript()).into())
        }
        Trouble::Queue(sentence) => {
            Stop::Failed(Failure::of_queue(sentence, adapter.transcript()).into())
        }
        Trouble::Machine(sentence) => {
            Stop::Failed(Failure::of_platform(sentence, adapter.transcript()).into())
        }
        Trouble::Output(error) => Stop::Other(error),
    })?;
    adapter.down().map(drop).map_err(|failed| {
        let transcript = failed.adapter.transcript();
        Stop::Failed(Failure::new("Up", &failed.cause, transcript).into())
    })
}

fn print(report: &Report, json: bool) -> Result<()> {
    let mut out = anstream::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    writeln!(
        out,
        "{}: {} frames, {} bytes: {} unchanged, {} changed, {} lost, {} refused",
        report.capture,
        report.frames,
        report.bytes,
        report.unchanged,
        report.changed,
        report.lost,
        report.refused
    )?;
    if report.late + report.doubled > 0 {
        writeln!(
            out,
            "{} came back out of turn, {} came back twice",
            report.late, report.doubled
        )?;
    }
    if report.cut > 0 {
        writeln!(
            out,
            "{} of them were cut short when they were captured; what was captured of them was sent",
            report.cut
        )?;
    }
    if let Some(problem) = &report.first_problem {
        writeln!(out, "first problem: {problem}")?;
    }
    if let Some(problem) = &report.capture_problem {
        writeln!(out, "capture: {problem}")?;
    }
    if report.violations > 0 {
        writeln!(
            out,
            "the driver broke {} rule(s) of the adapter",
            report.violations
        )?;
    }
    report::print_warnings(&mut out, &report.warnings)?;
    if let Some(failure) = &report.failure {
        report::print_failure(&mut out, failure)?;
    }
    writeln!(
        out,
        "{:.2} s on the software adapter of this machine; that says nothing about a card",
        report.seconds
    )?;
    Ok(())
}
