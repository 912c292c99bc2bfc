//! Two queues on two cores against one: nothing is shared, so the second should not cost the first anything.

use std::sync::Barrier;

use anyhow::Result;

use crate::clock;
use crate::pass::{BATCH, Bench, Case, Measured, Mode};

/// Clock counts a packet of `cores` queues working at a time, each on a core of its own: the least of some repetitions,
/// for each queue.
fn together(cores: usize, empty: u64) -> Result<Vec<f64>> {
    let start = Barrier::new(cores);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|core| {
                let start = &start;
                scope.spawn(move || -> Result<f64> {
                    crate::pin(core);
                    let mut bench = Box::new(Bench::new(Case {
                        mode: Mode::Fwd,
                        burst: 32,
                        ring: 512,
                        offloads: false,
                    })?);
                    let mut least = f64::INFINITY;
                    for _ in 0..40 {
                        start.wait();
                        let mut brackets: Vec<_> = (0..100).map(|_| bench.bracket()).collect();
                        brackets.sort_unstable();
                        let median = brackets[50].saturating_sub(empty) as f64 / BATCH as f64;
                        least = least.min(median);
                    }
                    bench.finish();
                    Ok(least)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker does not panic"))
            .collect()
    })
}

/// Rate of two queues on two cores, in rates of one; `None` on a machine with one core.
pub(crate) fn two_queues() -> Result<Option<f64>> {
    if std::thread::available_parallelism()?.get() < 2 {
        return Ok(None);
    }
    let empty = clock::bracket();
    let mut best: f64 = 0.0;
    for _ in 0..3 {
        let one = together(1, empty)?;
        let two = together(2, empty)?;
        let rate = |counts: &[f64]| counts.iter().map(|count| 1.0 / count).sum::<f64>();
        best = best.max(rate(&two) / rate(&one));
    }
    Ok(Some(best))
}
