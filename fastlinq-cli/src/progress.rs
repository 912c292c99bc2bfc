//! A progress bar on the terminal for what takes longer than a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const PATIENCE: Duration = Duration::from_secs(1);
/// Looks at the clock in all.
const LOOKS: u64 = 1024;

pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    /// Steps between two looks at the clock.
    stride: u64,
    done: std::cell::Cell<u64>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self {
            bar,
            started: Instant::now(),
            stride: (total / LOOKS).max(1),
            done: std::cell::Cell::new(0),
        }
    }

    pub(crate) fn advance(&self, steps: u64) {
        let before = self.done.get();
        let done = before + steps;
        self.done.set(done);
        if before / self.stride == done / self.stride {
            return;
        }
        if self.bar.is_hidden() && self.started.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
