//! `fastlinq trace`: traces of the software adapter, shown and compared.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use fastlinq_trace::compare::same_chip;
use fastlinq_trace::outcome::{Effort, Phase};
use fastlinq_trace::show::{Kind, Printer};
use fastlinq_trace::{Outcome, Reader, Reviewed, compare};

use crate::args::{TraceDiffArgs, TraceKind, TraceShowArgs};

impl From<TraceKind> for Kind {
    fn from(kind: TraceKind) -> Self {
        match kind {
            TraceKind::Registers => Self::Registers,
            TraceKind::Mailbox => Self::Mailbox,
            TraceKind::Ramrods => Self::Ramrods,
            TraceKind::Dma => Self::Dma,
        }
    }
}

fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(BufReader::new(file))
}

fn outcome(path: &Path) -> Result<Outcome> {
    Outcome::read(open(path)?).with_context(|| path.display().to_string())
}

pub(crate) fn show(args: &TraceShowArgs) -> Result<ExitCode> {
    let in_file = || args.file.display().to_string();
    let reader = Reader::new(open(&args.file)?).with_context(in_file)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let header = reader.header();
    writeln!(out, "{:?}, {}", header.chip, header.origin)?;
    let mut printer = Printer::new(header.chip, args.only.map(Kind::from));
    for timed in reader {
        match timed {
            Ok(timed) => out.write_all(printer.lines(&timed).as_bytes())?,
            Err(error) => {
                out.flush()?;
                return Err(error).with_context(in_file);
            }
        }
    }
    out.write_all(printer.end().as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn diff(args: &TraceDiffArgs) -> Result<ExitCode> {
    let reviewed = match &args.reviewed {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Reviewed::parse(&text).with_context(|| path.display().to_string())?
        }
        None => Reviewed::default(),
    };
    let (a, b) = (outcome(&args.a)?, outcome(&args.b)?);
    if let Err((left, right)) = same_chip(&a, &b) {
        anyhow::bail!("the traces are of different chips, {left:?} and {right:?}");
    }
    let differences = compare(&a, &b);
    let review = reviewed.review(&differences);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for difference in &review.open {
        writeln!(out, "{difference}")?;
    }
    for entry in &review.stale {
        writeln!(
            out,
            "the list has {} ({}), but there is no such difference",
            entry.item, entry.what
        )?;
    }
    write_efforts(&mut out, &a, &b)?;
    writeln!(
        out,
        "{} differences, {} of them reviewed, {} open",
        differences.len(),
        review.covered,
        review.open.len()
    )?;
    out.flush()?;
    Ok(if review.open.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a count is called, and how it is taken.
type Count = (&'static str, fn(&Effort) -> u64);

const COUNTS: [Count; 6] = [
    ("register writes by the CPU", |effort| {
        effort.register_writes
    }),
    ("register reads by the CPU", |effort| effort.register_reads),
    ("window settings", |effort| effort.window_writes),
    ("DMA engine commands", |effort| effort.dma_commands),
    ("dwords by the DMA engine", |effort| effort.dma_dwords),
    ("doorbells", |effort| effort.doorbells),
];

fn write_efforts(out: &mut impl Write, a: &Outcome, b: &Outcome) -> std::io::Result<()> {
    writeln!(out, "{:<28}{:>10}{:>10}   B/A", "", "A", "B")?;
    for (name, count) in COUNTS {
        let (left, right) = (count(&a.total_effort()), count(&b.total_effort()));
        write!(out, "{name:<28}{left:>10}{right:>10}")?;
        if left > 0 {
            write!(out, "{:>6.2}", right as f64 / left as f64)?;
        }
        writeln!(out)?;
    }
    for phase in Phase::ALL {
        let writes = |outcome: &Outcome| outcome.effort[phase as usize].register_writes;
        writeln!(
            out,
            "{:<28}{:>10}{:>10}",
            format!("  writes in phase {}", phase.name()),
            writes(a),
            writes(b)
        )?;
    }
    Ok(())
}
