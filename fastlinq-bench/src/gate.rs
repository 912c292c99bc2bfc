//! Instructions a packet as a gate: repeatable, so that two per cent more are noticed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::contender::{Contender, MODES, Runner};
use crate::pass::Case;

/// More than the noted counts by this factor does not pass.
const MARGIN: f64 = 1.02;

/// What became of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// Some case needs more instructions than noted.
    Failed,
    /// There is no valgrind, or the counts are another compiler's.
    NotRun,
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("-V").output().ok();
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    let machine = std::env::consts::ARCH;
    format!("{} {machine}", text.unwrap_or_default().trim())
}

/// Counts, and compares with the file; or writes the file anew.
pub(crate) fn run(file: &Path, update: bool) -> Result<Verdict> {
    let noted = std::fs::read_to_string(file).unwrap_or_default();
    let compiler = compiler();
    if !update && noted.lines().next() != Some(compiler.as_str()) {
        println!(
            "the counts in {} are those of another compiler",
            file.display()
        );
        return Ok(Verdict::NotRun);
    }
    let runner = Runner::own_only()?;
    let mut text = format!("{compiler}\n");
    let mut verdict = Verdict::Passed;
    for offloads in [false, true] {
        for mode in MODES {
            for burst in [1, 32] {
                let case = Case {
                    mode,
                    burst,
                    ring: 512,
                    offloads,
                };
                let contender = Contender::Fastlinq { offloads };
                let Some(count) = runner.instructions(contender, case)? else {
                    return Ok(Verdict::NotRun);
                };
                let name = format!("{mode} {burst}{}", if offloads { " offloads" } else { "" });
                let before = noted
                    .lines()
                    .find_map(|line| line.strip_prefix(&format!("{name}: ")));
                let before: Option<f64> = before.and_then(|number| number.parse().ok());
                let note = match before {
                    _ if update => "",
                    Some(before) if count > before * MARGIN => {
                        verdict = Verdict::Failed;
                        "  MORE THAN NOTED"
                    }
                    Some(before) if count * MARGIN < before => "  fewer: note it with --update",
                    Some(_) => "",
                    None => {
                        verdict = Verdict::Failed;
                        "  NOT NOTED"
                    }
                };
                let noted = before.map_or("-".into(), |before| format!("{before:.1}"));
                println!("{name}: {count:.1} instructions a packet, noted {noted}{note}");
                text += &format!("{name}: {count:.1}\n");
            }
        }
    }
    if update {
        std::fs::write(file, text).context("the counts could not be written")?;
    }
    Ok(verdict)
}
