//! `fastlinq host-check`: whether the way to an adapter keeps the promises that the driver builds on.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use fastlinq_hal::access::Windows;
use fastlinq_hal::adapter::{
    Adapter, AdapterConfig, InterruptMode, Inventory, NvmPopulated, Populated,
};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::Host;
use fastlinq_hal::host::conformance::{self, Report};
use fastlinq_hal::init::Scratch;
use fastlinq_host::{AnyHost, OpenOptions};

use crate::args::HostCheckArgs;
use crate::firmware_source;

/// Vectors for the slow path and one queue pair.
const VECTORS: u16 = 2;
/// How long somebody may take to pull the adapter out.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &HostCheckArgs) -> Result<ExitCode> {
    args.adapter.can_be_driven()?;
    let source = firmware_source::find_for(&args.adapter, args.firmware.as_deref())?;
    let image = FirmwareImage::parse(&source.bytes)
        .map_err(|error| anyhow!("storm firmware file {}: {error}", source.origin))?;
    let host = OpenOptions::default().vectors(VECTORS).open(&args.adapter);
    let host = host.with_context(|| format!("adapter {} cannot be used", args.adapter))?;
    let (mut report, mut host) = conformance::check(host);
    if report.passed() {
        report.merge(&interrupts(host.clone(), &image)?);
    }
    let mut out = anstream::stdout().lock();
    if args.gone && report.passed() {
        writeln!(out, "waiting for the adapter to be pulled out")?;
        out.flush()?;
        report.merge(&gone(&mut host)?);
    }
    // Before the host is dropped: the kernel waits a minute for a function that is gone to come back from its reset.
    write!(out, "{report}")?;
    writeln!(out)?;
    out.flush()?;
    drop(host);
    Ok(if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Waits for the adapter to be pulled, and checks the host without it.
fn gone(host: &mut AnyHost) -> Result<Report> {
    if let Some(model) = host.model() {
        model.faults().vanish();
    }
    let begun = Instant::now();
    while Windows::new(host.registers()).check().is_ok() {
        ensure!(
            begun.elapsed() < PATIENCE,
            "the adapter was not pulled out within {} s",
            PATIENCE.as_secs()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(conformance::check_gone(host))
}

/// Brings the adapter up with interrupts, to see one arrive.
fn interrupts(host: AnyHost, image: &FirmwareImage<'_>) -> Result<Report> {
    let config = AdapterConfig {
        interrupts: InterruptMode::MsiX,
        ..AdapterConfig::default()
    };
    let adapter = Adapter::new(host.clone(), config);
    let adapter = adapter
        .connect()
        .map_err(|failed| anyhow!("{}", failed.cause))?;
    match adapter.populate() {
        Ok(Populated::Images(adapter)) => check(adapter, &host, image),
        Ok(Populated::Unsupported(adapter)) => check(adapter, &host, image),
        Err(failed) => check(failed.adapter.without_inventory(), &host, image),
    }
}

fn check<I: Inventory>(
    adapter: Adapter<NvmPopulated<I>, AnyHost>,
    host: &AnyHost,
    image: &FirmwareImage<'_>,
) -> Result<Report> {
    let mut scratch = Box::new(Scratch::new());
    let mut adapter = adapter
        .up(image, &mut scratch)
        .map_err(|failed| anyhow!("{}", failed.cause))?;
    let report = conformance::check_interrupts(&mut adapter, |vector| match host {
        AnyHost::Model(model) => model.take_interrupts(vector) > 0,
        _ => host
            .vectors()
            .get(usize::from(vector))
            .is_some_and(|vector| vector.take().is_ok_and(|count| count > 0)),
    });
    adapter
        .down()
        .map_err(|failed| anyhow!("{}", failed.cause))?;
    Ok(report)
}
