//! Makes the adapter that a command runs on.

use anyhow::{Context, Result, bail};
use fastlinq_host::{AdapterName, AnyHost, OpenOptions};
use fastlinq_model_host::ModelHost;

use crate::args::AdapterArgs;
use crate::personas;
use crate::recording::{self, Recording};

/// The adapter that was asked for, and the trace of what happens to it.
pub(crate) fn host(args: &AdapterArgs) -> Result<(AnyHost, Recording)> {
    if args.adapter == AdapterName::Model {
        let (host, recording) = model(args)?;
        return Ok((AnyHost::Model(host), recording));
    }
    args.adapter.can_be_driven()?;
    if args.trace.is_some() {
        bail!(
            "--trace records the software adapter in this process; `model serve --trace` records others"
        );
    }
    let options = OpenOptions::default().largest_pages(args.pages.into());
    let host = options.open(&args.adapter);
    let host = host.with_context(|| format!("adapter {} cannot be used", args.adapter))?;
    Ok((host, Recording::new(None)))
}

fn model(args: &AdapterArgs) -> Result<(ModelHost, Recording)> {
    let persona = personas::named(&args.persona)?;
    let host = ModelHost::builder()
        .chip(args.chip.into())
        .persona(persona)
        .ports(args.ports)
        .functions(args.ports)
        .build();
    let Some(path) = &args.trace else {
        return Ok((host, Recording::new(None)));
    };
    let origin = format!(
        "fastlinq {}, persona {}",
        env!("CARGO_PKG_VERSION"),
        args.persona
    );
    let recorder = recording::begin(path, args.chip.into(), origin)?;
    host.with_card(|card| card.set_observer(Some(recorder.observer())));
    Ok((host, Recording::new(Some(recorder))))
}
