//! Who is measured, and how one figure is had: by a process of its own, so that rounds can be interleaved.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::pass::{BATCH, Case, Mode};

/// A driver in one of its two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    Fastlinq {
        offloads: bool,
    },
    Qede {
        full: bool,
    },
    /// The network driver of the crate virtio-drivers: another card, another ring, a packet a call.
    Virtio,
}

impl Contender {
    pub(crate) const ALL: [Self; 5] = [
        Self::Fastlinq { offloads: false },
        Self::Fastlinq { offloads: true },
        Self::Qede { full: false },
        Self::Qede { full: true },
        Self::Virtio,
    ];

    /// How this program is told which of its own contenders it is.
    fn flag(self) -> Option<&'static str> {
        match self {
            Self::Fastlinq { offloads: true } => Some("--offloads"),
            Self::Virtio => Some("--virtio"),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fastlinq { offloads: false } => "fastlinq-net",
            Self::Fastlinq { offloads: true } => "fastlinq-net, offloads used",
            Self::Qede { full: false } => "DPDK qede, regular path",
            Self::Qede { full: true } => "DPDK qede, full path",
            Self::Virtio => "virtio-drivers",
        }
    }
}

/// Runs contenders.
pub(crate) struct Runner {
    own: PathBuf,
    qede: Option<PathBuf>,
    /// Version of DPDK.
    pub(crate) version: Option<String>,
}

/// Arguments of DPDK: no devices, and memory that needs no huge pages.
const EAL: [&str; 8] = [
    "--no-pci",
    "--iova-mode=va",
    "--no-huge",
    "-m",
    "256",
    "--log-level=3",
    "-l",
    "0",
];

impl Runner {
    /// Builds DPDK's side into a directory, if that is possible here.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let own = std::env::current_exe()?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/dpdk/build");
        let status = Command::new(script).arg(directory).status();
        let qede = match status.ok().and_then(|status| status.code()) {
            Some(0) => Some(directory.join("qede")),
            code => {
                eprintln!("NOT RUN: DPDK's qede driver could not be built here ({code:?})");
                None
            }
        };
        let version = std::fs::read_to_string(directory.join("version")).ok();
        Ok(Self {
            own,
            qede,
            version: version.map(|text| text.trim().to_owned()),
        })
    }

    /// Without DPDK's side.
    pub(crate) fn own_only() -> Result<Self> {
        Ok(Self {
            own: std::env::current_exe()?,
            qede: None,
            version: None,
        })
    }

    fn command(&self, contender: Contender) -> Option<Command> {
        match contender {
            Contender::Fastlinq { .. } | Contender::Virtio => Some(Command::new(&self.own)),
            Contender::Qede { .. } => self.qede.as_ref().map(Command::new),
        }
    }

    fn arguments(contender: Contender, case: Case, repetitions: usize) -> Vec<String> {
        let mode = format!("{:?}", case.mode).to_lowercase();
        let (burst, ring) = (case.burst.to_string(), case.ring.to_string());
        let repetitions = repetitions.to_string();
        match contender {
            Contender::Fastlinq { .. } | Contender::Virtio => {
                let mut arguments = vec!["cycles", "--modes", &mode, "--bursts", &burst];
                arguments.extend(["--ring", &ring, "--repetitions", &repetitions]);
                arguments.extend(contender.flag());
                arguments.into_iter().map(str::to_owned).collect()
            }
            Contender::Qede { full } => {
                let way = if full { "full" } else { "regular" };
                let own = ["--", &mode, &burst, &ring, &repetitions, way];
                EAL.into_iter().chain(own).map(str::to_owned).collect()
            }
        }
    }

    /// Clock counts a packet: the least of some repetitions; `None` when the contender is not there.
    pub(crate) fn cycles(&self, contender: Contender, case: Case) -> Result<Option<f64>> {
        let Some(mut command) = self.command(contender) else {
            return Ok(None);
        };
        command.args(Self::arguments(contender, case, 7));
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.contains(",hot,"));
        let least = line.and_then(|line| line.split(',').nth(6)?.parse().ok());
        match least {
            Some(least) if output.status.success() => Ok(Some(least)),
            _ => bail!(
                "{}: {}",
                contender.name(),
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }

    /// Instructions a packet, counted by callgrind; `None` when the contender or valgrind is not there.
    pub(crate) fn instructions(&self, contender: Contender, case: Case) -> Result<Option<f64>> {
        const PASSES: usize = 80;
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg("--toggle-collect=*measured_pass*");
        let passes = PASSES.to_string();
        match contender {
            Contender::Fastlinq { .. } | Contender::Virtio => {
                let mode = format!("{:?}", case.mode).to_lowercase();
                command.arg(&self.own).args(["pass", &mode]);
                command.args([
                    case.burst.to_string(),
                    "--ring".into(),
                    case.ring.to_string(),
                ]);
                command.args(["--count", &passes]);
                command.args(contender.flag());
            }
            Contender::Qede { .. } => {
                let Some(qede) = &self.qede else {
                    return Ok(None);
                };
                command.arg(qede);
                command
                    .args(Self::arguments(contender, case, 1))
                    .arg(&passes);
            }
        }
        let Ok(output) = command.output() else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&output.stderr);
        let collected = text
            .lines()
            .find_map(|line| line.split("Collected : ").nth(1));
        let collected: u64 = collected
            .and_then(|number| number.trim().parse().ok())
            .with_context(|| format!("callgrind said: {text}"))?;
        Ok(Some(collected as f64 / (PASSES * BATCH) as f64))
    }
}

/// All modes.
pub(crate) const MODES: [Mode; 4] = [Mode::Rx, Mode::Tx, Mode::Fwd, Mode::Rxf];
/// Packets a call.
pub(crate) const BURSTS: [usize; 6] = [1, 4, 8, 32, 64, 256];
