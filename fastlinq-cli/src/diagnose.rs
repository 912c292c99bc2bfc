//! `fastlinq diagnose`: which layer is at fault.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use fastlinq_hal::adapter::{
    Adapter, AdapterConfig, Cause, Inventory, Layer, NvmPopulated, Populated,
};
use fastlinq_hal::core_state::Core;
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::Host;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::mfw;
use fastlinq_host::{AdapterName, AnyHost};
use fastlinq_linux::PciAddress;
use fastlinq_linux::readonly::{ReadOnlyError, ReadOnlyHost};
use fastlinq_linux::sysfs::{Finding, Severity, Sysfs, findings};
use fastlinq_model_host::ModelHost;
use fastlinq_pac::registers::mcp::{CPU_PROGRAM_COUNTER, CPU_STATE, cpu_state};
use serde::Serialize;
use tock_registers::interfaces::Readable;

use crate::args::DiagnoseArgs;
use crate::firmware_source::{self, Origin};
use crate::list::Found;
use crate::personas;

/// What came of one adapter.
#[derive(Debug, Serialize)]
struct Diagnosis {
    adapter: String,
    /// The layer at fault; none when no fault was found.
    layer_at_fault: Option<String>,
    findings: Vec<Found>,
    /// What was not looked at, and why.
    not_run: Vec<String>,
}

impl Diagnosis {
    fn new(adapter: impl ToString) -> Self {
        Self {
            adapter: adapter.to_string(),
            layer_at_fault: None,
            findings: Vec::new(),
            not_run: Vec::new(),
        }
    }

    fn add(&mut self, finding: &Finding) {
        if finding.severity == Severity::Fault && self.layer_at_fault.is_none() {
            self.layer_at_fault = Some(finding.layer.to_string());
        }
        self.findings.push(Found::from(finding));
    }

    fn note(&mut self, layer: Layer, what: impl Into<String>) {
        self.add(&Finding::new(Severity::Note, layer, what, ""));
    }

    fn fault(&mut self, layer: Layer, what: impl Into<String>, next: &str) {
        self.add(&Finding::new(Severity::Fault, layer, what, next));
    }

    fn cause(&mut self, cause: &Cause) {
        let mut what = cause.to_string();
        // The sentence begins with the layer, which is printed by itself.
        let layer = format!("{}: ", cause.layer());
        if let Some(rest) = what.strip_prefix(&layer) {
            what = rest.to_owned();
        }
        if let Some(reply) = cause.raw_reply() {
            what += &format!(" (raw reply: {reply})");
        }
        self.fault(cause.layer(), what, next(cause.layer()));
    }

    fn not_run(&mut self, what: impl Into<String>) {
        self.not_run.push(what.into());
    }
}

/// What to do when a layer is at fault.
const fn next(layer: Layer) -> &'static str {
    match layer {
        Layer::Platform => "see `fastlinq list`",
        Layer::Pci => "power the machine off and on again; seat the card anew; try another slot",
        Layer::Chip => "power the machine off (a reboot is not enough) and on again",
        Layer::ManagementFirmware => {
            "power the machine off (a reboot is not enough) and on again; if it stays so, update the card's firmware with its vendor's tool"
        }
        Layer::StormFirmware => "check the file with `fastlinq firmware FILE`",
        Layer::Driver => "report it, with the output of this command and --json -v",
    }
}

pub(crate) fn run(args: &DiagnoseArgs) -> Result<ExitCode> {
    let sysfs = Sysfs::at(&args.sysfs);
    let names = match &args.adapter {
        Some(name) => vec![name.clone()],
        None => found(&sysfs)?,
    };
    let mut out = anstream::stdout().lock();
    if names.is_empty() {
        if args.json {
            writeln!(out, "[]")?;
        } else {
            writeln!(
                out,
                "no FastLinQ adapter on this machine's PCI buses. Is the card seated, and does the platform show it (lspci -d 1077:)?"
            )?;
        }
        return Ok(ExitCode::FAILURE);
    }
    let all = names
        .iter()
        .map(|name| diagnose(args, &sysfs, name))
        .collect::<Result<Vec<_>>>()?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    } else {
        for one in &all {
            print(&mut out, one)?;
        }
    }
    let well = all.iter().all(|one| one.layer_at_fault.is_none());
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// All adapters of the machine; each is only looked at.
fn found(sysfs: &Sysfs) -> Result<Vec<AdapterName>> {
    let functions = sysfs.adapters()?;
    let names = functions.iter().map(|one| AdapterName::Sysfs(one.address));
    Ok(names.collect())
}

fn print(out: &mut impl Write, diagnosis: &Diagnosis) -> std::io::Result<()> {
    writeln!(out, "{}", diagnosis.adapter)?;
    for found in &diagnosis.findings {
        found.print(out)?;
    }
    for what in &diagnosis.not_run {
        writeln!(out, "  {:<11} {what}", "not run")?;
    }
    match &diagnosis.layer_at_fault {
        Some(layer) => writeln!(out, "layer at fault: {layer}"),
        None => writeln!(out, "no fault found"),
    }
}

fn diagnose(args: &DiagnoseArgs, sysfs: &Sysfs, name: &AdapterName) -> Result<Diagnosis> {
    let mut diagnosis = Diagnosis::new(name);
    let real = match name {
        AdapterName::Vfio(address) | AdapterName::Sysfs(address) => Some(*address),
        AdapterName::Model | AdapterName::VfioUser(_) => None,
    };
    if let Some(address) = real {
        let function = sysfs.function(address)?;
        for finding in findings(sysfs, &function) {
            diagnosis.add(&finding);
        }
    }
    // In this order: the layer that is blamed is the one next to the hardware.
    let host = open(args, sysfs, name, &mut diagnosis)?;
    let host = host.and_then(|mut host| look(&mut host, &mut diagnosis).then_some(host));
    let image = storm_firmware(args, real.is_some(), &mut diagnosis);
    if let Some(host) = host {
        let read_only = args.read_only || matches!(host, AnyHost::Sysfs(_));
        match image {
            _ if read_only => {
                diagnosis.not_run("commands to the management firmware and the bring-up, which need more than looking (--adapter vfio:ADDRESS)");
            }
            None => diagnosis.not_run("the bring-up, for want of a storm-firmware file"),
            Some(bytes) => bring_up(host, &bytes, &mut diagnosis),
        }
    }
    Ok(diagnosis)
}

/// The adapter, or nothing when it cannot be opened, which is a finding.
fn open(
    args: &DiagnoseArgs,
    sysfs: &Sysfs,
    name: &AdapterName,
    diagnosis: &mut Diagnosis,
) -> Result<Option<AnyHost>> {
    match name {
        AdapterName::Model => {
            let persona = personas::named(&args.persona)?;
            let host = ModelHost::builder().persona(persona).build();
            Ok(Some(AnyHost::Model(host)))
        }
        AdapterName::Sysfs(address) => Ok(open_to_look(sysfs, *address, diagnosis)),
        AdapterName::Vfio(_) | AdapterName::VfioUser(_) => match name.open() {
            Ok(host) => Ok(Some(host)),
            Err(error) => {
                diagnosis.fault(Layer::Platform, error.to_string(), "");
                Ok(None)
            }
        },
    }
}

fn open_to_look(sysfs: &Sysfs, address: PciAddress, diagnosis: &mut Diagnosis) -> Option<AnyHost> {
    match ReadOnlyHost::open_in(sysfs, address) {
        Ok(host) => Some(AnyHost::Sysfs(host)),
        // The kernel's files have said so already.
        Err(error @ (ReadOnlyError::Gone(_) | ReadOnlyError::Unassigned(_))) => {
            diagnosis.not_run(format!("registers: {error}"));
            None
        }
        Err(error @ (ReadOnlyError::InUse { .. } | ReadOnlyError::MemoryOff(_))) => {
            diagnosis.not_run(format!("registers: {error}"));
            None
        }
        Err(error) => {
            diagnosis.fault(Layer::Platform, error.to_string(), "");
            None
        }
    }
}

/// The storm firmware: whether there is a file, and whether it is sound.
fn storm_firmware(args: &DiagnoseArgs, real: bool, diagnosis: &mut Diagnosis) -> Option<Vec<u8>> {
    let source = match firmware_source::find(args.firmware.as_deref()) {
        Ok(source) => source,
        Err(error) => {
            diagnosis.fault(
                Layer::StormFirmware,
                format!("{error:#}"),
                "name another one with --firmware",
            );
            return None;
        }
    };
    if real && source.origin == Origin::Synthetic {
        diagnosis.fault(
            Layer::StormFirmware,
            match args.firmware {
                None => "the storm-firmware file is missing",
                Some(_) => "the synthetic image is of no use for a card",
            },
            "install it (Debian: firmware-qlogic), or name it with --firmware",
        );
        return None;
    }
    match FirmwareImage::parse(&source.bytes) {
        Ok(image) => {
            let what = format!("{} ({})", image.version(), source.origin);
            diagnosis.note(Layer::StormFirmware, what);
            Some(source.bytes)
        }
        Err(error) => {
            let what = format!("{}: {error}", source.origin);
            diagnosis.fault(Layer::StormFirmware, what, next(Layer::StormFirmware));
            None
        }
    }
}

/// Reads who the function is and what the management firmware's memory says; false when there is no more to see.
fn look(host: &mut AnyHost, diagnosis: &mut Diagnosis) -> bool {
    let mut core = Core::new(host);
    if let Err(error) = core.identify() {
        diagnosis.cause(&error.into());
        return false;
    }
    let who = core.identity;
    diagnosis.note(
        Layer::Chip,
        format!(
            "{:?}, chip number {:#x} revision {} metal {}; function {}, port {} of {} on engine {}",
            who.chip,
            who.chip_number,
            who.chip_revision,
            who.chip_metal,
            who.abs_pf,
            who.port,
            who.ports_per_engine,
            who.path
        ),
    );
    if let Err(error) = mfw::attach(&mut core) {
        diagnosis.cause(&error.into());
        return false;
    }
    diagnosis.note(
        Layer::ManagementFirmware,
        format!("version {}", core.mfw.version),
    );
    processor(&mut core, diagnosis);
    match mfw::link::read(&core) {
        Ok(link) => diagnosis.note(Layer::ManagementFirmware, format!("network link {link}")),
        Err(error) => diagnosis.cause(&error.into()),
    }
    diagnosis.layer_at_fault.is_none()
}

/// Whether the management processor runs: its program counter moves, and it is not halted.
fn processor<H: Host>(core: &mut Core<H>, diagnosis: &mut Diagnosis) {
    let mut counters = Vec::new();
    for _ in 0..8 {
        counters.push(CPU_PROGRAM_COUNTER.on(&core.windows).get());
        core.host.delay_us(50);
    }
    let state = CPU_STATE.on(&core.windows);
    if state.is_set(cpu_state::SOFT_HALTED) {
        let what = format!("its processor is halted (state {:#x})", state.get());
        diagnosis.fault(
            Layer::ManagementFirmware,
            what,
            next(Layer::ManagementFirmware),
        );
    } else if counters.iter().all(|counter| *counter == counters[0]) {
        let what = format!(
            "its processor may hang: the program counter stays at {:#x}",
            counters[0]
        );
        let next = next(Layer::ManagementFirmware);
        diagnosis.add(&Finding::new(
            Severity::Warning,
            Layer::ManagementFirmware,
            what,
            next,
        ));
    } else {
        diagnosis.note(Layer::ManagementFirmware, "its processor runs");
    }
}

/// From Reset to Up and down again.
fn bring_up(host: AnyHost, firmware: &[u8], diagnosis: &mut Diagnosis) {
    let Ok(image) = FirmwareImage::parse(firmware) else {
        return;
    };
    let result = Adapter::new(host.clone(), AdapterConfig::default())
        .connect()
        .map_err(|failed| failed.cause)
        .and_then(|adapter| match adapter.populate() {
            Ok(Populated::Images(adapter)) => up_and_down(adapter, &image),
            Ok(Populated::Unsupported(adapter)) => {
                diagnosis.note(
                    Layer::ManagementFirmware,
                    "it does not know BIST_TEST, so there is no list of flash images; nothing needs one",
                );
                up_and_down(adapter, &image)
            }
            Err(failed) => {
                let finding = Finding::new(
                    Severity::Warning,
                    Layer::ManagementFirmware,
                    failed.cause.to_string(),
                    "none needed here; Linux's own driver before 6.12.5 gives the card up for it",
                );
                diagnosis.add(&finding);
                up_and_down(failed.adapter.without_inventory(), &image)
            }
        });
    match result {
        Ok(()) => diagnosis.note(Layer::Driver, "from Reset to Up and down again"),
        Err(cause) => diagnosis.cause(&cause),
    }
    if let Some(fault) = host.fault() {
        diagnosis.fault(Layer::Platform, fault, "");
    }
}

fn up_and_down<I: Inventory>(
    adapter: Adapter<NvmPopulated<I>, AnyHost>,
    image: &FirmwareImage<'_>,
) -> Result<(), Cause> {
    let mut scratch = Box::new(Scratch::new());
    let adapter = adapter.up(image, &mut scratch);
    let adapter = adapter.map_err(|failed| failed.cause)?;
    adapter.down().map(drop).map_err(|failed| failed.cause)
}
