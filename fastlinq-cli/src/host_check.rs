//! `fastlinq host-check`: whether the way to an adapter keeps the promises that the driver builds on.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use fastlinq_hal::adapter::{
    Adapter, AdapterConfig, InterruptMode, Inventory, NvmPopulated, Populated,
};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::conformance::{self, Report};
use fastlinq_hal::init::Scratch;
use fastlinq_host::{AnyHost, OpenOptions};

use crate::args::HostCheckArgs;
use crate::firmware_source;

/// Vectors for the slow path and one queue pair.
const VECTORS: u16 = 2;

pub(crate) fn run(args: &HostCheckArgs) -> Result<ExitCode> {
    let source = firmware_source::find_for(&args.adapter, args.firmware.as_deref())?;
    let image = FirmwareImage::parse(&source.bytes)
        .map_err(|error| anyhow!("storm firmware file {}: {error}", source.origin))?;
    let host = OpenOptions::default().vectors(VECTORS).open(&args.adapter);
    let host = host.with_context(|| format!("adapter {} cannot be used", args.adapter))?;
    let (mut report, host) = conformance::check(host);
    if report.passed() {
        report.merge(&interrupts(host, &image)?);
    }
    let mut out = anstream::stdout().lock();
    write!(out, "{report}")?;
    writeln!(out)?;
    Ok(if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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
