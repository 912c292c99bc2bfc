//! What takes longer than a second is seen to go on: a bar on a terminal, a line now and then elsewhere.
//!
//! A thread of its own looks at the clock, so that one step that waits long is seen, too.

use std::cell::Cell;
use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Nothing is shown before.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a bar moves by itself.
const TICK: Duration = Duration::from_millis(100);
/// Longest time between two lines.
const LONGEST: Duration = Duration::from_secs(30);
/// Looks at the count in all.
const LOOKS: u64 = 1024;

/// Shows that something is going on, until it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    shared: Arc<Shared>,
    watcher: Option<JoinHandle<()>>,
    /// Steps between two updates of the bar.
    stride: u64,
    done: Cell<u64>,
}

struct Shared {
    what: &'static str,
    started: Instant,
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Default)]
struct Now {
    /// What is being done.
    step: Option<&'static str>,
    over: bool,
}

impl Shared {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, and says whether it is over by then.
    fn over_within(&self, time: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.now(), time, |now| !now.over);
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        now.over
    }

    fn text(&self, step: Option<&str>) -> String {
        match step {
            Some(step) => format!("{}: {step}", self.what),
            None => self.what.to_owned(),
        }
    }
}

impl Progress {
    /// Begins something that has `total` steps.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let template = if total > 1 {
            "{spinner} {msg} {bar:40} {pos}/{len} {elapsed}"
        } else {
            "{spinner} {msg} {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let shared = Arc::new(Shared {
            what,
            started: Instant::now(),
            now: Mutex::default(),
            changed: Condvar::new(),
        });
        let (seen, shown) = (Arc::clone(&shared), bar.clone());
        // Without a thread nothing is shown, and nothing else is lost.
        let watcher = std::thread::Builder::new()
            .spawn(move || watch(&seen, &shown))
            .ok();
        Self {
            bar,
            shared,
            watcher,
            stride: (total / LOOKS).max(1),
            done: Cell::new(0),
        }
    }

    /// Says what is being done from now on.
    pub(crate) fn step(&self, step: &'static str) {
        self.shared.now().step = Some(step);
        if !self.bar.is_hidden() {
            self.bar.set_message(self.shared.text(Some(step)));
        }
    }

    pub(crate) fn advance(&self, steps: u64) {
        let before = self.done.get();
        let done = before + steps;
        self.done.set(done);
        if before / self.stride != done / self.stride {
            self.bar.set_position(done);
        }
    }
}

/// Shows the bar after a while, or writes lines where there is no terminal.
fn watch(shared: &Shared, bar: &ProgressBar) {
    if shared.over_within(PATIENCE) {
        return;
    }
    if std::io::stderr().is_terminal() {
        let step = shared.now().step;
        bar.set_message(shared.text(step));
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.enable_steady_tick(TICK);
        return;
    }
    let mut pause = PATIENCE;
    loop {
        let step = shared.now().step;
        let count = match (bar.position(), bar.length()) {
            (done, Some(total)) if total > 1 => format!(", {done} of {total}"),
            _ => String::new(),
        };
        anstream::eprintln!(
            "fastlinq: {} for {} s{count}",
            shared.text(step),
            shared.started.elapsed().as_secs()
        );
        if shared.over_within(pause) {
            return;
        }
        pause = (pause * 2).min(LONGEST);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shared.now().over = true;
        self.shared.changed.notify_all();
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
        self.bar.finish_and_clear();
    }
}
