//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Brings FastLinQ 4xxxx adapters up, tests them and says which layer is at fault.
///
/// Without a card everything runs on the software adapter in the same process. What it prints about
/// time is this machine's time, never a card's.
#[derive(Debug, Parser)]
#[command(name = "fastlinq", version, propagate_version = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print what the driver does, step by step; twice for every register sequence.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Inspect and validate a storm-firmware (init-values) file.
    ///
    /// Prints versions and sections and, for each set of modes and each phase, how many operations
    /// run and the CRC-32 over what they write.
    Firmware(FirmwareArgs),
    /// List the management firmwares that the software adapter can play.
    Personas(PersonasArgs),
    /// Write a capture with frames of mixed sizes, for `loop`.
    Sample(SampleArgs),
    /// List what the software adapter does as a card does, and what it does not.
    Capabilities,
    /// The software adapter for other processes.
    #[command(subcommand)]
    Model(ModelCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Serve the software adapter as a PCI device on a UNIX socket (vfio-user), for QEMU or any other client.
    ///
    /// Clients come and go, one at a time; the adapter is at power-up for each. SIGTERM and SIGINT end it.
    Serve(ServeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen. A socket that nobody serves any more is replaced.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: PathBuf,

    /// Management firmware that the adapter plays; see `fastlinq personas`.
    #[arg(long, default_value = "modern", value_name = "NAME")]
    pub(crate) persona: String,

    /// Chip of the adapter.
    #[arg(long, value_enum, default_value_t = ChipArg::K2)]
    pub(crate) chip: ChipArg,

    /// Ports of the adapter: 1, 2 or 4.
    #[arg(long, default_value_t = 1, value_parser = parse_ports, value_name = "N")]
    pub(crate) ports: u8,

    /// What port 0 is plugged into: responder (10.0.0.2, answers ARP, ping, UDP and TCP), loopback or none.
    #[arg(long, value_enum, default_value_t = WireArg::Responder)]
    pub(crate) wire: WireArg,

    /// Record everything that the client does to the adapter, for `fastlinq trace`.
    ///
    /// Bulk data (firmware, tables) is kept as digests only, so a trace can be passed on.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WireArg {
    /// A host that needs no privileges: 10.0.0.2/24, fd00::2/64.
    Responder,
    /// Every frame comes back.
    Loopback,
    /// Link without a partner that speaks.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChipArg {
    /// QL41000 series (AH).
    K2,
    /// QL45000 series.
    Bb,
}

#[derive(Debug, Args)]
pub(crate) struct FirmwareArgs {
    /// The file, for example qed_init_values_zipped-8.59.1.0.bin; `synthetic` for the project's own.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PersonasArgs {
    /// Print the list as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// Capture to write.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Number of frames.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub(crate) frames: u32,

    /// Smallest frame in bytes, without checksum.
    #[arg(long, default_value_t = 60, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(60..=9600))]
    pub(crate) min: u16,

    /// Largest frame in bytes, without checksum.
    #[arg(long, default_value_t = 9000, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(60..=9600))]
    pub(crate) max: u16,

    /// Start of the pseudo-random sequence; equal seeds give equal files.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

impl From<ChipArg> for fastlinq_pac::Chip {
    fn from(chip: ChipArg) -> Self {
        match chip {
            ChipArg::K2 => Self::K2,
            ChipArg::Bb => Self::Bb,
        }
    }
}

fn parse_ports(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(ports @ (1 | 2 | 4)) => Ok(ports),
        _ => Err("an adapter has 1, 2 or 4 ports".into()),
    }
}
