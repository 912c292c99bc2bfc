//! `fastlinq capabilities`: what the software adapter does as a card does.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use fastlinq_model::Card;

pub(crate) fn run() -> Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    let mut part = "";
    for row in Card::capability_table() {
        if row.part != part {
            part = row.part;
            writeln!(out, "{part}")?;
        }
        writeln!(out, "  {:<22} {}", row.coverage, row.behaviour)?;
        if !row.note.is_empty() {
            writeln!(out, "  {:<22}   {}", "", row.note)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
