//! The report of a bring-up, for people and as JSON.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use fastlinq_hal::adapter::{Cause, Layer};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::mfw::Transcript;
use fastlinq_hal::mfw::link::LinkState;
use fastlinq_host::AdapterName;
use serde::Serialize;

use crate::args::AdapterArgs;
use crate::firmware_source::Origin;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();

/// What `up` found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) adapter: String,
    /// What the software adapter in this process is; nothing for other adapters.
    #[serde(flatten)]
    pub(crate) software: Option<Software>,
    pub(crate) storm_firmware: String,
    pub(crate) storm_firmware_from: String,
    pub(crate) storm_firmware_is_genuine: bool,
    pub(crate) management_firmware: Option<String>,
    pub(crate) mac: Option<String>,
    pub(crate) bist: Option<String>,
    pub(crate) link: Option<String>,
    pub(crate) cycles: u32,
    pub(crate) steps: Vec<Step>,
    pub(crate) warnings: Vec<String>,
    pub(crate) failure: Option<Failure>,
}

/// The software adapter in this process.
#[derive(Debug, Serialize)]
pub(crate) struct Software {
    pub(crate) persona: String,
    pub(crate) chip: String,
    pub(crate) ports: u8,
}

/// One transition.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    /// Time of this machine.
    pub(crate) wall_us: u64,
    /// Time of the software adapter.
    pub(crate) model_us: u64,
    pub(crate) note: String,
}

/// Which layer failed, and everything that was said.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    pub(crate) state: &'static str,
    pub(crate) layer: String,
    pub(crate) sentence: String,
    pub(crate) command: Option<String>,
    pub(crate) raw_reply: Option<String>,
    pub(crate) raw_value: Option<String>,
    pub(crate) transcript: Vec<String>,
}

impl Report {
    pub(crate) fn new(args: &AdapterArgs, image: &FirmwareImage<'_>, origin: &Origin) -> Self {
        Self {
            adapter: args.adapter.to_string(),
            software: (args.adapter == AdapterName::Model).then(|| Software {
                persona: args.persona.clone(),
                chip: format!("{:?}", args.chip).to_uppercase(),
                ports: args.ports,
            }),
            storm_firmware: image.version().to_string(),
            storm_firmware_from: origin.to_string(),
            storm_firmware_is_genuine: matches!(origin, Origin::File(_)),
            management_firmware: None,
            mac: None,
            bist: None,
            link: None,
            cycles: 0,
            steps: Vec::new(),
            warnings: Vec::new(),
            failure: None,
        }
    }
}

impl Failure {
    pub(crate) fn new(state: &'static str, cause: &Cause, transcript: &Transcript) -> Self {
        Self {
            state,
            layer: cause.layer().to_string(),
            sentence: cause.to_string(),
            command: cause.command().map(|command| command.to_string()),
            raw_reply: cause.raw_reply().map(|reply| reply.to_string()),
            raw_value: cause.raw_value().map(|value| format!("{value:#010x}")),
            transcript: transcript.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Failure {
    /// A queue pair that stopped working: the storm firmware wrote what it should not, or nothing.
    pub(crate) fn of_queue(sentence: String, transcript: &Transcript) -> Self {
        Self::of(Layer::StormFirmware, &sentence, transcript)
    }

    /// Something that the machine did to the adapter.
    pub(crate) fn of_platform(sentence: &str, transcript: &Transcript) -> Self {
        Self::of(Layer::Platform, sentence, transcript)
    }

    fn of(layer: Layer, sentence: &str, transcript: &Transcript) -> Self {
        Self {
            state: "Up",
            layer: layer.to_string(),
            sentence: format!("{layer}: {sentence}"),
            command: None,
            raw_reply: None,
            raw_value: None,
            transcript: transcript.iter().map(ToString::to_string).collect(),
        }
    }
}

pub(crate) fn mac(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

pub(crate) fn link(state: &LinkState) -> String {
    state.to_string()
}

pub(crate) fn print(out: &mut impl Write, report: &Report) -> io::Result<()> {
    match &report.software {
        Some(software) => writeln!(
            out,
            "software adapter in this process ({}, {} port(s), persona {})",
            software.chip, software.ports, software.persona
        )?,
        None => writeln!(out, "{}", report.adapter)?,
    }
    writeln!(
        out,
        "storm firmware {}: {}",
        report.storm_firmware, report.storm_firmware_from
    )?;
    writeln!(out)?;
    for step in &report.steps {
        writeln!(
            out,
            "{GOOD}{:<12} -> {:<12}{GOOD:#} {:>9.3} ms  {}",
            step.from,
            step.to,
            step.wall_us as f64 / 1000.0,
            step.note
        )?;
        if step.to == "Up" {
            details(out, report)?;
        }
    }
    print_warnings(out, &report.warnings)?;
    match &report.failure {
        None if report.cycles > 1 => writeln!(out, "\n{} times up and down", report.cycles)?,
        None => {}
        Some(failure) => print_failure(out, failure)?,
    }
    if report.software.is_some() {
        writeln!(
            out,
            "\nTimes are this machine's, on the software adapter; they say nothing about a card."
        )?;
    }
    Ok(())
}

fn details(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for (name, value) in [("MAC", &report.mac), ("link", &report.link)] {
        if let Some(value) = value {
            writeln!(out, "{:<42}{name} {value}", "")?;
        }
    }
    Ok(())
}

pub(crate) fn print_warnings(out: &mut impl Write, warnings: &[String]) -> io::Result<()> {
    for warning in warnings {
        writeln!(out, "{WARN}warning:{WARN:#} {warning}")?;
    }
    Ok(())
}

pub(crate) fn print_failure(out: &mut impl Write, failure: &Failure) -> io::Result<()> {
    writeln!(
        out,
        "{BAD}failed in {}:{BAD:#} {}",
        failure.state, failure.sentence
    )?;
    writeln!(out, "layer at fault: {}", failure.layer)?;
    if let Some(command) = &failure.command {
        writeln!(out, "command: {command}")?;
    }
    if let Some(reply) = &failure.raw_reply {
        writeln!(out, "raw reply: {reply}")?;
    } else if let Some(value) = &failure.raw_value {
        writeln!(out, "raw value: {value}")?;
    }
    writeln!(out, "\nexchanges with the management firmware:")?;
    if failure.transcript.is_empty() {
        writeln!(out, "  none")?;
    }
    for exchange in &failure.transcript {
        writeln!(out, "  {exchange}")?;
    }
    Ok(())
}
