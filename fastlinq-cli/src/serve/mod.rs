//! `fastlinq model serve`: the software adapter as a PCI device on a UNIX socket.

mod pci_card;
mod responder;

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use fastlinq_model::{CardConfig, Wire};
use fastlinq_trace::{Header, Recorder};
use fastlinq_vfio_user::Server;

use crate::args::{ServeArgs, WireArg};
use crate::personas;
use pci_card::PciCard;
use responder::Responder;

pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode> {
    let persona = personas::named(&args.persona)?;
    let server = Server::bind(&args.socket).context("cannot listen")?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let config = CardConfig::new(args.chip.into())
        .ports(args.ports)
        .persona(persona);
    let wire = args.wire;
    let recorder = match &args.trace {
        Some(path) => Some(record(path, args)?),
        None => None,
    };
    let mut device = PciCard::new(
        config,
        server.memory(),
        server.interrupts(),
        move || plug(wire),
        recorder.clone(),
    );
    anstream::eprintln!(
        "software adapter ({:?}, {} port(s), persona {}) at {}",
        args.chip,
        args.ports,
        args.persona,
        args.socket.display()
    );
    server.serve(&mut device, &stop)?;
    if let Some(recorder) = recorder {
        recorder.finish().context("the trace is incomplete")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn record(path: &Path, args: &ServeArgs) -> Result<Recorder> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let header = Header {
        chip: args.chip.into(),
        origin: format!("model serve, persona {}", args.persona),
    };
    Ok(Recorder::new(file, &header)?)
}

fn plug(wire: WireArg) -> Option<Box<dyn Wire>> {
    match wire {
        WireArg::Responder => Some(Box::new(Responder::new())),
        WireArg::Loopback => Some(Box::new(fastlinq_model::wire::Loopback::default())),
        WireArg::None => None,
    }
}
