//! How long the adapter takes for an access.

use std::fmt::Write;
use std::time::Duration;

/// Durations by powers of two of nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Timing {
    classes: [u64; 32],
    count: u64,
    total: Duration,
    longest: Duration,
}

impl Timing {
    pub(super) fn add(&mut self, duration: Duration) {
        let ns = duration.as_nanos().clamp(1, u128::from(u64::MAX)) as u64;
        let class = (ns.ilog2() as usize).min(self.classes.len() - 1);
        self.classes[class] += 1;
        self.count += 1;
        self.total += duration;
        self.longest = self.longest.max(duration);
    }

    /// A duration that this share of all accesses stayed below, rounded up to a power of two.
    fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (class, count) in self.classes.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(2 << class);
            }
        }
        self.longest
    }

    /// One line, or nothing when nothing was measured.
    pub(super) fn summary(&self) -> Option<String> {
        let mean = self
            .total
            .as_nanos()
            .checked_div(u128::from(self.count))
            .filter(|_| self.count > 0)?;
        let us = |duration: Duration| duration.as_nanos() as f64 / 1000.0;
        let mut line = String::new();
        let _ = write!(
            line,
            "count {} mean-us {:.2} half-below-us {:.2} p99-below-us {:.2} longest-us {:.0}",
            self.count,
            mean as f64 / 1000.0,
            us(self.quantile(0.5)),
            us(self.quantile(0.99)),
            us(self.longest),
        );
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_bound_what_was_measured() {
        let mut timing = Timing::default();
        assert_eq!(timing.summary(), None);
        for _ in 0..99 {
            timing.add(Duration::from_nanos(900));
        }
        timing.add(Duration::from_micros(500));
        assert_eq!(timing.quantile(0.5), Duration::from_nanos(1024));
        assert_eq!(timing.quantile(0.99), Duration::from_nanos(1024));
        assert!(timing.quantile(1.0) >= Duration::from_micros(500));
        assert!(
            timing
                .summary()
                .is_some_and(|line| line.contains("count 100 mean-us 5.89"))
        );
    }
}
