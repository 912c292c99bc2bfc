//! How the program ends: every adapter is down before it does.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Error, Result};

/// Whether the end is wanted, and what has happened so far.
pub(crate) struct Ending {
    /// Ctrl-C sets it, too.
    stop: Arc<AtomicBool>,
    /// Adapters that are not down.
    up: AtomicU32,
    failed: AtomicBool,
}

impl Ending {
    pub(crate) fn new(stop: Arc<AtomicBool>, stations: u32) -> Self {
        Self {
            stop,
            up: stations.into(),
            failed: false.into(),
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Something failed: the others end, too.
    fn fail(&self, error: &Error) {
        eprintln!("{error:#}");
        self.failed.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// An adapter is down, or will not go there. With the last one the program ends.
    pub(crate) fn station_is_down(&self, name: &str, ended: Result<()>) {
        match ended {
            Ok(()) => println!("{name} is down"),
            Err(error) => self.fail(&error.context(name.to_owned())),
        }
        if self.up.fetch_sub(1, Ordering::Relaxed) == 1 {
            exit(self.failed.load(Ordering::Relaxed).into());
        }
    }
}
