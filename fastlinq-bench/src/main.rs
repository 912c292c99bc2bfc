//! What a packet costs in `fastlinq-net`: cycles and instructions against a device in memory.

mod clock;
mod null;
mod pass;

use clap::{Parser, Subcommand};
use pass::{BATCH, Bench, Case, Mode};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
    },
}

fn pin(core: usize) {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    // Without it the figures are noisier, and still figures.
    let _ = rustix::thread::sched_setaffinity(None, &cores);
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Cycles {
            modes,
            bursts,
            ring,
            repetitions,
            offloads,
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
                    let mut bench = Bench::new(case)?;
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
                        "fastlinq,{},hot,{mode},{ring},{burst},{:.2},{:.2},{:.2}",
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
        } => {
            let case = Case {
                mode,
                burst,
                ring,
                offloads,
            };
            let mut bench = Bench::new(case)?;
            for _ in 0..count {
                bench.bracket();
            }
            bench.finish();
        }
    }
    Ok(())
}
