//! Makes the adapter that a command runs on.

use anyhow::Result;
use fastlinq_model_host::ModelHost;

use crate::args::AdapterArgs;
use crate::personas;

/// A software adapter in this process.
pub(crate) fn host(args: &AdapterArgs) -> Result<ModelHost> {
    let persona = personas::named(&args.persona)?;
    Ok(ModelHost::builder()
        .chip(args.chip.into())
        .persona(persona)
        .ports(args.ports)
        .functions(args.ports)
        .build())
}
