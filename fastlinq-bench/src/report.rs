//! All figures, in interleaved rounds, and the page that shows them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::contender::{BURSTS, Contender, MODES, Runner};
use crate::pass::{Case, Mode};
use crate::{clock, plot, scale};

type Key = (Contender, Mode, usize, u16);

/// The figures of a run.
#[derive(Default)]
pub(crate) struct Figures {
    cycles: BTreeMap<Key, f64>,
    instructions: BTreeMap<Key, f64>,
}

impl Figures {
    pub(crate) fn cycles(
        &self,
        contender: Contender,
        mode: Mode,
        burst: usize,
        ring: u16,
    ) -> Option<f64> {
        self.cycles.get(&(contender, mode, burst, ring)).copied()
    }
}

fn case(mode: Mode, burst: usize, ring: u16, contender: Contender) -> Case {
    Case {
        mode,
        burst,
        ring,
        offloads: contender == Contender::Fastlinq { offloads: true },
    }
}

/// Measures everything and writes `performance.md` and `performance.svg` into a directory.
pub(crate) fn run(directory: &Path, work: &Path, rounds: usize) -> Result<()> {
    let runner = Runner::new(work)?;
    let mut figures = Figures::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for ring in [512, 4096] {
            for burst in BURSTS {
                for mode in MODES {
                    for contender in Contender::ALL {
                        let case = case(mode, burst, ring, contender);
                        if let Some(value) = runner.cycles(contender, case)? {
                            let key = (contender, mode, burst, ring);
                            let least = figures.cycles.entry(key).or_insert(f64::INFINITY);
                            *least = least.min(value);
                        }
                    }
                }
            }
        }
    }
    eprintln!("instructions");
    for burst in [1, 32] {
        for mode in MODES {
            for contender in Contender::ALL {
                let case = case(mode, burst, 512, contender);
                if let Some(value) = runner.instructions(contender, case)? {
                    figures
                        .instructions
                        .insert((contender, mode, burst, 512), value);
                }
            }
        }
    }
    eprintln!("two queues");
    let two = scale::two_queues()?;
    std::fs::create_dir_all(directory)?;
    plot::draw(&directory.join("performance.svg"), &figures, clock::UNIT)?;
    let page = page(&figures, two, &runner, rounds)?;
    std::fs::write(directory.join("performance.md"), page)?;
    Ok(())
}

fn page(figures: &Figures, two: Option<f64>, runner: &Runner, rounds: usize) -> Result<String> {
    let mut page = String::from(include_str!("page.md"));
    page.push_str("\n## The machine\n\n");
    writeln!(page, "| | |\n|---|---|")?;
    writeln!(page, "| processor | {} |", processor())?;
    writeln!(
        page,
        "| clock | {}; {:.3} counts take one cycle of the core while nothing else runs |",
        clock::UNIT,
        clock::per_core_cycle()
    )?;
    writeln!(
        page,
        "| fastlinq-net | `cargo build --release` (the program with the passes in one codegen unit), {} |",
        said("rustc", "-V")
    )?;
    if let Some(version) = &runner.version {
        writeln!(
            page,
            "| DPDK | {version} (Debian), `-O3 -march=corei7`, {} |",
            said("gcc", "--version")
        )?;
    }
    writeln!(
        page,
        "| rounds | {rounds}, interleaved; the least is shown |"
    )?;
    page.push_str("\n## Bars\n\n");
    bars(&mut page, figures, two)?;
    for ring in [512, 4096] {
        writeln!(page, "\n## {} a packet, rings of {ring}\n", clock::UNIT)?;
        table(&mut page, &BURSTS, |contender, mode, burst| {
            figures.cycles(contender, mode, burst, ring)
        })?;
    }
    page.push_str("\n## Instructions a packet, rings of 512\n\n");
    table(&mut page, &[1, 32], |contender, mode, burst| {
        figures
            .instructions
            .get(&(contender, mode, burst, 512))
            .copied()
    })?;
    Ok(page)
}

fn table(
    page: &mut String,
    bursts: &[usize],
    value: impl Fn(Contender, Mode, usize) -> Option<f64>,
) -> Result<()> {
    write!(page, "| | |")?;
    bursts
        .iter()
        .try_for_each(|burst| write!(page, " {burst} |"))?;
    writeln!(page, "\n|---|---|{}", "--:|".repeat(bursts.len()))?;
    for mode in MODES {
        for contender in Contender::ALL {
            write!(page, "| {mode} | {} |", contender.name())?;
            for burst in bursts {
                match value(contender, mode, *burst) {
                    Some(value) => write!(page, " {value:.1} |")?,
                    None => write!(page, " - |")?,
                }
            }
            page.push('\n');
        }
    }
    Ok(())
}

/// The bars that the project has set itself.
fn bars(page: &mut String, figures: &Figures, two: Option<f64>) -> Result<()> {
    writeln!(page, "| what | bar | measured | |\n|---|--:|--:|---|")?;
    let own = Contender::Fastlinq { offloads: false };
    let cycles = |mode, burst, ring| figures.cycles(own, mode, burst, ring);
    let forward = cycles(Mode::Fwd, 32, 512);
    let qede = figures.cycles(Contender::Qede { full: false }, Mode::Fwd, 32, 512);
    let growth = cycles(Mode::Fwd, 32, 4096).zip(forward);
    let instructions = figures
        .instructions
        .get(&(own, Mode::Fwd, 32, 512))
        .copied();
    let rows = [
        ("forward, burst 32", forward, 14.0, false),
        ("forward, burst 32, instructions", instructions, 80.0, false),
        (
            "forward, burst 32, DPDK qede's regular path in times of it",
            qede.zip(forward).map(|(qede, own)| qede / own),
            4.5,
            true,
        ),
        ("forward, burst 1", cycles(Mode::Fwd, 1, 512), 60.0, false),
        ("receive, burst 32", cycles(Mode::Rx, 32, 512), 8.0, false),
        ("send, burst 32", cycles(Mode::Tx, 32, 512), 7.0, false),
        (
            "forward, burst 32, rings of 4096 in times of 512",
            growth.map(|(large, small)| large / small),
            1.15,
            false,
        ),
        (
            "forward, burst 32, two queues on two cores in times of one",
            two,
            1.9,
            true,
        ),
    ];
    for (what, value, bar, at_least) in rows {
        let Some(value) = value else {
            writeln!(page, "| {what} | {bar} | - | not run |")?;
            continue;
        };
        let met = if at_least { value >= bar } else { value <= bar };
        let (sign, met) = (
            if at_least { "≥" } else { "≤" },
            if met { "met" } else { "**not met**" },
        );
        writeln!(page, "| {what} | {sign} {bar} | {value:.2} | {met} |")?;
    }
    page.push_str(
        "\nHash, checksum flags and tag are on every record there, as the device gave them; nobody reads them. Where the \
         program does, too, see the rows *offloads used*.\n",
    );
    Ok(())
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split(':').nth(1)?.trim().to_owned())
    };
    let name = field("model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let virtual_machine = if info.contains(" hypervisor") {
        ", in a virtual machine"
    } else {
        ""
    };
    match field("cpu family") {
        Some(family) => format!("{name} (family {family}){virtual_machine}"),
        None => name,
    }
}

/// The first line that a program says to an argument.
fn said(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().ok();
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    let line = text.as_deref().and_then(|text| text.lines().next());
    line.unwrap_or("unknown").to_owned()
}
