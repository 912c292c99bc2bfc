//! What a packet costs in `fastlinq-net`: cycles and instructions against a device in memory.

mod clock;
mod contender;
mod gate;
mod hostile;
mod null;
mod pass;
mod plot;
mod report;
mod scale;
mod soak;
mod virtio;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;

use clap::{Parser, Subcommand};
use pass::{BATCH, Bench, Case, Measured, Mode};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Measures everything, side by side with DPDK's driver, and writes docs/performance.md and .svg (the default).
    Report {
        /// Interleaved rounds.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Where the page goes.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"))]
        docs: PathBuf,
        /// Where DPDK's driver is built.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/dpdk"))]
        work: PathBuf,
    },
    /// Compares instructions a packet with those noted in the repository. Exit code 77: not possible here.
    Gate {
        /// Notes the counts anew.
        #[arg(long)]
        update: bool,
    },
    /// Rate of two queues on two cores, in rates of one.
    Scale,
    /// Gives random and mutated completions to the parser and to queue pairs.
    Completions {
        /// How many.
        #[arg(long, default_value_t = 1_000_000_000)]
        count: u64,
        /// Where the random numbers start.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Works several queue pairs on the software adapter, with link flaps, restarts, resizes and a bad wire.
    Soak {
        /// Frames to send.
        #[arg(long, default_value_t = 100_000_000)]
        packets: u64,
        /// Queue pairs, on a thread each.
        #[arg(long, default_value_t = 4)]
        queues: usize,
        /// Where the random numbers start.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Measures cycles a packet.
    Cycles {
        /// What to measure.
        #[arg(long, value_delimiter = ',', default_value = "rx,tx,fwd,rxf")]
        modes: Vec<Mode>,
        /// Packets a call.
        #[arg(long, value_delimiter = ',', default_value = "1,4,8,32,64,256")]
        bursts: Vec<usize>,
        /// Descriptors of both rings.
        #[arg(long, default_value_t = 512)]
        ring: u16,
        /// Repetitions of 100 brackets.
        #[arg(long, default_value_t = 31)]
        repetitions: usize,
        /// Reads hash, checksum and VLAN tag of every packet.
        #[arg(long)]
        offloads: bool,
        /// Measures the network driver of the crate virtio-drivers instead.
        #[arg(long, conflicts_with = "offloads")]
        virtio: bool,
    },
    /// Does the passes of one case without a clock, for callgrind.
    Pass {
        /// What to do.
        mode: Mode,
        /// Packets a call.
        burst: usize,
        /// Descriptors of both rings.
        #[arg(long, default_value_t = 512)]
        ring: u16,
        /// Passes.
        #[arg(long, default_value_t = 40)]
        count: usize,
        /// Reads hash, checksum and VLAN tag of every packet.
        #[arg(long)]
        offloads: bool,
        /// Measures the network driver of the crate virtio-drivers instead.
        #[arg(long, conflicts_with = "offloads")]
        virtio: bool,
    },
}

pub(crate) fn pin(core: usize) {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    // Without it the figures are noisier, and still figures.
    let _ = rustix::thread::sched_setaffinity(None, &cores);
}

/// The driver to measure.
fn driver(case: Case, virtio: bool) -> anyhow::Result<Box<dyn Measured>> {
    Ok(match (virtio, case.ring) {
        (false, _) => Box::new(Bench::new(case)?),
        (true, 512) => Box::new(virtio::Bench::<512>::new(case)?),
        (true, 4096) => Box::new(virtio::Bench::<4096>::new(case)?),
        (true, ring) => anyhow::bail!("a ring of 512 or 4096 for virtio-drivers, not {ring}"),
    })
}

fn main() -> anyhow::Result<ExitCode> {
    let command = Arguments::parse().command.unwrap_or_else(|| {
        // The default, with its defaults.
        let report = Arguments::parse_from(["fastlinq-bench", "report"]);
        report.command.expect("a command was given")
    });
    match command {
        Command::Report { rounds, docs, work } => report::run(&docs, &work, rounds)?,
        Command::Gate { update } => {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");
            return Ok(match gate::run(file.as_ref(), update)? {
                gate::Verdict::Passed => ExitCode::SUCCESS,
                gate::Verdict::Failed => ExitCode::FAILURE,
                gate::Verdict::NotRun => ExitCode::from(77),
            });
        }
        Command::Scale => match scale::two_queues()? {
            Some(rate) => println!("two queues on two cores: {rate:.2} times one"),
            None => println!("NOT RUN: one core"),
        },
        Command::Soak {
            packets,
            queues,
            seed,
        } => {
            let start = std::time::Instant::now();
            let outcome = soak::run(packets, queues, seed)?;
            println!("{outcome:?}; everything adds up; {:.0?}", start.elapsed());
        }
        Command::Completions { count, seed } => {
            let start = std::time::Instant::now();
            let tally = hostile::run(count, seed, &AtomicU64::new(0));
            println!("{tally:?}; no buffer is missing; {:.0?}", start.elapsed());
        }
        Command::Cycles {
            modes,
            bursts,
            ring,
            repetitions,
            offloads,
            virtio,
        } => {
            pin(0);
            let empty = clock::bracket();
            eprintln!(
                "# {}; empty bracket {empty}; {:.3} counts a core cycle",
                clock::UNIT,
                clock::per_core_cycle()
            );
            for burst in bursts {
                for mode in &modes {
                    let case = Case {
                        mode: *mode,
                        burst,
                        ring,
                        offloads,
                    };
                    let mut bench = driver(case, virtio)?;
                    let mut medians = Vec::new();
                    for repetition in 0..repetitions + 3 {
                        let mut brackets: Vec<u64> = (0..100).map(|_| bench.bracket()).collect();
                        brackets.sort_unstable();
                        if repetition >= 3 {
                            medians.push(brackets[50].saturating_sub(empty) as f64 / BATCH as f64);
                        }
                    }
                    bench.finish();
                    medians.sort_by(f64::total_cmp);
                    println!(
                        "{},{},hot,{mode},{ring},{burst},{:.2},{:.2},{:.2}",
                        if virtio { "virtio" } else { "fastlinq" },
                        if offloads { "offloads" } else { "plain" },
                        medians[0],
                        medians[medians.len() / 2],
                        medians[medians.len() - 1]
                    );
                }
            }
        }
        Command::Pass {
            mode,
            burst,
            ring,
            count,
            offloads,
            virtio,
        } => {
            let case = Case {
                mode,
                burst,
                ring,
                offloads,
            };
            let mut bench = driver(case, virtio)?;
            for _ in 0..count {
                bench.bracket();
            }
            bench.finish();
        }
    }
    Ok(ExitCode::SUCCESS)
}
