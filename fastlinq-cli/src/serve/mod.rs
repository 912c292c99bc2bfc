//! `fastlinq model serve`: the software adapter as a PCI device on UNIX sockets.

mod adapter;
mod control;
mod pci_card;
mod responder;
mod timing;
mod wires;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use fastlinq_model::CardConfig;
use fastlinq_vfio_user::Server;

use crate::args::ServeArgs;
use crate::{personas, recording};
use adapter::{Adapter, Peer};
use control::Control;
use pci_card::PciCard;

pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode> {
    let persona = personas::named(&args.persona)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let functions = args.functions.unwrap_or(args.sockets.len() as u8);
    ensure!(
        args.sockets.len() <= usize::from(functions),
        "{} sockets for {functions} functions",
        args.sockets.len()
    );
    let config = CardConfig::new(args.chip.into())
        .ports(args.ports)
        .functions(functions)
        .persona(persona);
    let servers = args
        .sockets
        .iter()
        .map(|path| {
            Server::bind(path)
                .map(|server| server.with_busy_poll(args.busy_poll()))
                .with_context(|| format!("cannot listen at {}", path.display()))
        })
        .collect::<Result<Vec<_>>>()?;
    let peers = servers
        .iter()
        .map(|server| Peer::new(server.memory(), server.interrupts()))
        .collect();
    let ports = config.port_count();
    let wires = wires::plug(&args.wires, ports, args.capture.as_deref())?;
    let recorder = args
        .trace
        .as_deref()
        .map(|path| {
            let origin = format!("model serve, persona {}", args.persona);
            recording::begin(path, args.chip.into(), origin)
        })
        .transpose()?;
    let adapter = Adapter::new(config, peers, wires, recorder.clone());
    let control = args
        .control
        .as_deref()
        .map(|path| Control::bind(path).context("cannot listen for commands"))
        .transpose()?;
    announce(args, functions, ports);
    std::thread::scope(|scope| {
        if let Some(control) = &control {
            scope.spawn(|| control.serve(&adapter, &stop));
        }
        let threads: Vec<_> = (0..)
            .zip(&servers)
            .map(|(function, server)| {
                let mut device = PciCard::new(&adapter, function);
                let stop = &stop;
                scope.spawn(move || {
                    let result = server.serve(&mut device, stop);
                    stop.store(true, Ordering::Relaxed);
                    result
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("a server thread panicked"))
    })?;
    adapter.report();
    if let Some(recorder) = recorder {
        recorder.finish().context("the trace is incomplete")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn announce(args: &ServeArgs, functions: u8, ports: u8) {
    let sockets: Vec<_> = args
        .sockets
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    anstream::eprintln!(
        "software adapter ({:?}, {ports} port(s), {functions} function(s), persona {}) at {}",
        args.chip,
        args.persona,
        sockets.join(", ")
    );
}
