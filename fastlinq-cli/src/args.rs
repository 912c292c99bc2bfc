//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fastlinq_host::{AdapterName, PageSize};
use fastlinq_linux::PciAddress;

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
    /// Bring the adapter from reset to Up and down again, reporting each state.
    ///
    /// Exit code 0: it was Up and is down again. 1: a layer failed; which one is said in one
    /// sentence, followed by every exchange with the management firmware. 2: the command line or a
    /// file is wrong.
    Up(UpArgs),
    /// Send every frame of a capture through transmit, wire and receive, and compare.
    ///
    /// The capture may be pcap (either byte order, micro- or nanoseconds) or pcapng, of Ethernet frames. Frames that a
    /// capture has cut short are sent as far as they were captured; frames of fewer than 60 bytes are padded on the
    /// wire, and the padding is compared, too. Frames that no wire carries count as refused.
    ///
    /// Exit code 0: every frame came back byte for byte and in order. 1: it did not, or a layer failed. 2: the
    /// command line is wrong, or the capture is: no capture, not of Ethernet frames, empty, or damaged somewhere, in which
    /// case the frames before the damage were compared.
    Loop(LoopArgs),
    /// List the adapters of this machine, what is wrong with them, and what to do next.
    List(ListArgs),
    /// Say which layer is at fault: platform, PCI, chip, management firmware, storm firmware or driver.
    ///
    /// Exit code 0: no fault found. 1: a layer is at fault, or there is no adapter. 2: the command line is wrong.
    Diagnose(DiagnoseArgs),
    /// Take a function away from the kernel's driver and give it to vfio-pci.
    Bind(BindArgs),
    /// Give a function back to the kernel's driver.
    Unbind(UnbindArgs),
    /// Check that the way to an adapter keeps what the driver relies on: registers, memory, time, interrupts.
    ///
    /// The adapter must be idle: its windows are moved, it copies memory, it is brought up and down.
    HostCheck(HostCheckArgs),
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
    /// Show and compare traces of what a driver did to the software adapter.
    #[command(subcommand)]
    Trace(TraceCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print the list as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    /// The kernel's files, for example a copy from another machine.
    #[arg(long, default_value = "/sys", value_name = "FOLDER")]
    pub(crate) sysfs: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BindArgs {
    /// The function, as `fastlinq list` shows it.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: PciAddress,

    /// Take it although its network interface is up.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnbindArgs {
    /// The function, as `fastlinq list` shows it.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: PciAddress,
}

#[derive(Debug, Args)]
pub(crate) struct DiagnoseArgs {
    /// The adapter: sysfs:0000:3b:00.0 (is only looked at), vfio:0000:3b:00.0 (is brought up and down), vfio-user:PATH,
    /// or model. Without it all adapters of this machine are looked at.
    #[arg(long, value_name = "ADAPTER")]
    pub(crate) adapter: Option<AdapterName>,

    /// Only look, whatever the adapter would allow. (VFIO resets a function when it is opened all the same.)
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Storm-firmware file; see `fastlinq up --help`.
    #[arg(long, value_name = "FILE")]
    pub(crate) firmware: Option<PathBuf>,

    /// Management firmware that the software adapter in this process plays; see `fastlinq personas`.
    #[arg(long, default_value = "modern", value_name = "NAME")]
    pub(crate) persona: String,

    /// Print the diagnosis as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    /// The kernel's files, for example a copy from another machine.
    #[arg(long, default_value = "/sys", value_name = "FOLDER")]
    pub(crate) sysfs: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct HostCheckArgs {
    /// The adapter: model, vfio:0000:3b:00.0, or vfio-user:PATH.
    #[arg(long, default_value_t = AdapterName::Model, value_name = "ADAPTER")]
    pub(crate) adapter: AdapterName,

    /// Storm-firmware file; see `fastlinq up --help`.
    #[arg(long, value_name = "FILE")]
    pub(crate) firmware: Option<PathBuf>,

    /// Then wait a minute for the adapter to be pulled out, and check what becomes of accesses. The software adapter in this
    /// process pulls itself.
    #[arg(long)]
    pub(crate) gone: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TraceCommand {
    /// Print a trace, with registers, commands and fields by name.
    Show(TraceShowArgs),
    /// Compare what two bring-ups amount to.
    ///
    /// Compared are, up to the moment before the driver unloads: the final contents of every register and memory
    /// that the driver wrote, the mailbox commands in order, and the ramrods field by field. Host addresses count as
    /// "an address". Exit code 1 when there is a difference that is not on the list of reviewed ones.
    Diff(TraceDiffArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TraceShowArgs {
    /// The trace, as `--trace` writes it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Show one kind only.
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) only: Option<TraceKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceKind {
    /// Register accesses.
    Registers,
    /// Commands to the management firmware, with payload and answer.
    Mailbox,
    /// Commands to the storm firmware, with their data.
    Ramrods,
    /// Accesses of the device to host memory.
    Dma,
}

#[derive(Debug, Args)]
pub(crate) struct TraceDiffArgs {
    /// The trace to compare with, for example another driver's.
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,

    /// The trace that is compared.
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,

    /// TOML list of differences that are all right: `[[difference]]` with item, what, reason and, optionally, places.
    #[arg(long, value_name = "FILE")]
    pub(crate) reviewed: Option<PathBuf>,
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
    /// Where to listen; given again, the next PCI function has its own socket there.
    ///
    /// A socket that nobody serves any more is replaced.
    #[arg(long = "socket", value_name = "PATH", required = true)]
    pub(crate) sockets: Vec<PathBuf>,

    /// Management firmware that the adapter plays; see `fastlinq personas`.
    #[arg(long, default_value = "modern", value_name = "NAME")]
    pub(crate) persona: String,

    /// Chip of the adapter.
    #[arg(long, value_enum, default_value_t = ChipArg::K2)]
    pub(crate) chip: ChipArg,

    /// Ports of the adapter: 1, 2 or 4.
    #[arg(long, default_value_t = 1, value_parser = parse_ports, value_name = "N")]
    pub(crate) ports: u8,

    /// PCI functions; those without a socket exist, but nobody can use them. Default: as many as sockets.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) functions: Option<u8>,

    /// What a port is plugged into; given again, the next port. Ports beyond the last have the responder.
    ///
    /// responder: a host that answers ARP, ping, UDP and TCP at 10.0.0.2/24 and fd00::2/64, and on VLAN n at 10.n.0.2/24.
    /// loopback: every frame comes back. none: a link without a partner that speaks. patch: this port and its neighbour
    /// (0 and 1, 2 and 3) are connected to each other. tap:NAME: a TAP interface of this machine. cable:PATH: another
    /// process with the same PATH. pcap:FILE: plays a capture at its own pace, from the first frame that the port sends.
    #[arg(long = "wire", value_name = "WIRE")]
    pub(crate) wires: Vec<WireArg>,

    /// Record what passes port 0 to this capture file; port n to FILE.n.
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Option<PathBuf>,

    /// Take commands (link PORT up|down, module, inject, unplug, plug, silent, counters, violations, timing) at this socket, a line each.
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,

    /// Look for the client's next access for this long before sleeping; 0: sleep at once.
    #[arg(long, default_value_t = 0, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u16).range(..=10_000))]
    busy_poll: u16,

    /// Record everything that the client does to the adapter, for `fastlinq trace`.
    ///
    /// Bulk data (firmware, tables) is kept as digests only, so a trace can be passed on.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

impl ServeArgs {
    /// See the option.
    pub(crate) fn busy_poll(&self) -> Duration {
        Duration::from_micros(self.busy_poll.into())
    }
}

/// What a port is plugged into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WireArg {
    Responder,
    Loopback,
    None,
    Patch,
    Tap(String),
    Cable(PathBuf),
    Pcap(PathBuf),
}

impl std::str::FromStr for WireArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let argument = |value: &str, what| {
            if value.is_empty() {
                Err(format!("{text} lacks {what}"))
            } else {
                Ok(value.to_owned())
            }
        };
        match text.split_once(':') {
            None => match text {
                "responder" => Ok(Self::Responder),
                "loopback" => Ok(Self::Loopback),
                "none" => Ok(Self::None),
                "patch" => Ok(Self::Patch),
                _ => Err("wires are responder, loopback, none, patch, tap:NAME, cable:PATH and pcap:FILE".into()),
            },
            Some(("tap", name)) => Ok(Self::Tap(argument(name, "the name of an interface")?)),
            Some(("cable", path)) => Ok(Self::Cable(argument(path, "a path")?.into())),
            Some(("pcap", path)) => Ok(Self::Pcap(argument(path, "a file")?.into())),
            Some((kind, _)) => Err(format!("there is no kind of wire {kind}")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChipArg {
    /// QL41000 series (AH).
    K2,
    /// QL45000 series.
    Bb,
}

/// Which adapter, and which storm firmware to load into it.
#[derive(Debug, Args)]
pub(crate) struct AdapterArgs {
    /// The adapter: model (in this process), vfio:0000:3b:00.0 (of this machine; see `fastlinq list`), or vfio-user:PATH
    /// (served by another process; see `fastlinq model serve`).
    #[arg(long, default_value_t = AdapterName::Model, value_name = "ADAPTER")]
    pub(crate) adapter: AdapterName,

    /// Management firmware that the software adapter plays; see `fastlinq personas`.
    #[arg(long, default_value = "modern", value_name = "NAME")]
    pub(crate) persona: String,

    /// Chip of the software adapter.
    #[arg(long, value_enum, default_value_t = ChipArg::K2)]
    pub(crate) chip: ChipArg,

    /// Ports of the software adapter: 1, 2 or 4.
    #[arg(long, default_value_t = 2, value_parser = parse_ports, value_name = "N")]
    pub(crate) ports: u8,

    /// Storm-firmware file; `synthetic` for the image that the project builds, `synthetic:VERSION` for another version.
    ///
    /// Without it the genuine 8.59.1.0 file is used where it is installed (Debian package
    /// firmware-qlogic), the synthetic image elsewhere. FASTLINQ_FIRMWARE_DIR names another folder
    /// to look in.
    #[arg(long, value_name = "FILE")]
    pub(crate) firmware: Option<PathBuf>,

    /// Largest pages that memory for the device is made of, through VFIO. Smaller ones are taken, with a warning, where there
    /// are none left.
    #[arg(long, value_enum, default_value_t = PagesArg::Mib2, value_name = "SIZE")]
    pub(crate) pages: PagesArg,

    /// Record everything that is done to the adapter, for `fastlinq trace`.
    ///
    /// Bulk data (firmware, tables) is kept as digests only, so a trace can be passed on.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

/// Sizes of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PagesArg {
    /// Ordinary pages, 4 KiB.
    #[value(name = "4k")]
    Kib4,
    /// Huge pages of 2 MiB.
    #[value(name = "2m")]
    Mib2,
    /// Huge pages of 1 GiB, reserved when the machine boots (hugepagesz=1G hugepages=1).
    #[value(name = "1g")]
    Gib1,
}

impl From<PagesArg> for PageSize {
    fn from(size: PagesArg) -> Self {
        match size {
            PagesArg::Kib4 => Self::Kib4,
            PagesArg::Mib2 => Self::Mib2,
            PagesArg::Gib1 => Self::Gib1,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) adapter: AdapterArgs,

    /// How many times to go up and down.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) cycles: u32,

    /// Stop instead of going on without an inventory when the firmware refuses it.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LoopArgs {
    /// Capture (pcap or pcapng, Ethernet).
    #[arg(value_name = "FILE")]
    pub(crate) capture: PathBuf,

    #[command(flatten)]
    pub(crate) adapter: AdapterArgs,

    /// Frames handed over at a time.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) burst: u16,

    /// Write what came back to this capture.
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,

    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FirmwareArgs {
    /// The file, for example qed_init_values_zipped-8.59.1.0.bin; `synthetic` for the project's own, `synthetic:VERSION` for
    /// another version, `synthetic:VERSION,unzipped` without compressed arrays.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Write the image to this file, for other drivers on the software adapter.
    ///
    /// The synthetic image is of no use for a card.
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,

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
