//! Traces of what a command does to the software adapter.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use fastlinq_pac::Chip;
use fastlinq_trace::{Header, Recorder};

/// Begins a trace.
pub(crate) fn begin(path: &Path, chip: Chip, origin: String) -> Result<Recorder> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let header = Header { chip, origin };
    Recorder::new(file, &header).with_context(|| format!("cannot write {}", path.display()))
}

/// A trace that is written while a command runs, or none.
#[derive(Debug)]
pub(crate) struct Recording(Option<Recorder>);

impl Recording {
    pub(crate) const fn new(recorder: Option<Recorder>) -> Self {
        Self(recorder)
    }

    /// Writes out everything so far, and reports what could not be written.
    pub(crate) fn finish(mut self) -> Result<()> {
        match self.0.take() {
            Some(recorder) => recorder.finish().context("the trace is incomplete"),
            None => Ok(()),
        }
    }
}

impl Drop for Recording {
    /// A command that fails keeps its trace; its own error is the one to report.
    fn drop(&mut self) {
        if let Some(recorder) = &self.0 {
            let _ = recorder.finish();
        }
    }
}
