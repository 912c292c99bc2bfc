//! `fastlinq personas`: the management firmwares that the software adapter can play.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use fastlinq_model::mfw::Persona;

use crate::args::PersonasArgs;

pub(crate) fn run(args: &PersonasArgs) -> Result<ExitCode> {
    if args.json {
        let list: Vec<_> = Persona::all()
            .map(|persona| serde_json::json!({ "name": persona.name, "description": persona.description }))
            .collect();
        println!("{}", serde_json::to_string_pretty(&list)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = anstream::stdout().lock();
    for persona in Persona::all() {
        writeln!(out, "{:<26} {}", persona.name, persona.description)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The persona of that name; the error lists those that exist.
pub(crate) fn named(name: &str) -> Result<Persona> {
    Persona::by_name(name).ok_or_else(|| {
        let known: Vec<_> = Persona::all().map(|persona| persona.name).collect();
        anyhow!(
            "there is no persona {name}; there are: {}",
            known.join(", ")
        )
    })
}
