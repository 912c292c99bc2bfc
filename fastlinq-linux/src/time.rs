//! Time of this machine.

use std::time::{Duration, Instant};

/// Shortest wait that is slept; a shorter one is spun, because waking up takes longer than it.
const SHORTEST_SLEEP: Duration = Duration::from_micros(100);

/// Waits at least this long.
pub(crate) fn wait(duration: Duration) {
    if duration >= SHORTEST_SLEEP {
        std::thread::sleep(duration);
        return;
    }
    let begun = Instant::now();
    while begun.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// Gives a host its clock and its waits; `$started` is a method that gives the moment of which time is counted.
macro_rules! real_time {
    ($host:ty) => {
        impl fastlinq_hal::host::Clock for $host {
            fn now_us(&self) -> u64 {
                u64::try_from(self.started().elapsed().as_micros()).unwrap_or(u64::MAX)
            }
        }

        impl embedded_hal::delay::DelayNs for $host {
            fn delay_ns(&mut self, ns: u32) {
                crate::time::wait(std::time::Duration::from_nanos(ns.into()));
            }

            fn delay_us(&mut self, us: u32) {
                crate::time::wait(std::time::Duration::from_micros(us.into()));
            }

            fn delay_ms(&mut self, ms: u32) {
                crate::time::wait(std::time::Duration::from_millis(ms.into()));
            }
        }
    };
}
pub(crate) use real_time;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_never_too_short() {
        for us in [0, 1, 30, 99, 100, 400] {
            let duration = Duration::from_micros(us);
            let begun = Instant::now();
            wait(duration);
            assert!(begun.elapsed() >= duration);
        }
    }
}
