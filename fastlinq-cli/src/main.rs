//! `fastlinq`: brings FastLinQ 4xxxx adapters up, tests them and says which layer is at fault.

mod args;
mod capabilities;
mod diagnose;
mod firmware;
mod firmware_source;
mod host_check;
mod list;
mod looping;
mod personas;
mod progress;
mod recording;
mod report;
mod sample;
mod serve;
mod setup;
mod trace;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use fastlinq_host::OpenError;
use fastlinq_linux::sysfs::SysfsError;

use args::{Cli, Command, ModelCommand, TraceCommand};

/// Exit code for a wrong command line or file, the one that clap uses too.
pub(crate) const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.verbose);
    match run(&cli.command) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("fastlinq: {error:#}");
            if error.is::<OpenError>() || error.is::<SysfsError>() {
                return ExitCode::FAILURE;
            }
            ExitCode::from(USAGE)
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(args),
        Command::Loop(args) => looping::run(args),
        Command::List(args) => list::run(args),
        Command::Diagnose(args) => diagnose::run(args),
        Command::Bind(args) => list::bind(args),
        Command::Unbind(args) => list::unbind(args),
        Command::HostCheck(args) => host_check::run(args),
        Command::Firmware(args) => firmware::run(args),
        Command::Personas(args) => personas::run(args),
        Command::Sample(args) => sample::run(args).map(|()| ExitCode::SUCCESS),
        Command::Model(ModelCommand::Serve(args)) => serve::run(args),
        Command::Trace(TraceCommand::Show(args)) => trace::show(args),
        Command::Trace(TraceCommand::Diff(args)) => trace::diff(args),
        Command::Capabilities => capabilities::run(),
    }
}

/// Whether the reader of our output has gone away, as `head` does; that is no error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => log::LevelFilter::Off,
        1 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    env_logger::Builder::new()
        .filter_level(level)
        // What the way to the adapter complains of is in no report.
        .filter_module("fastlinq_linux", level.max(log::LevelFilter::Warn))
        .format_timestamp(None)
        .format_target(false)
        .init();
}
