//! Interrupt coalescing that follows the load.
//!
//! The device has no such thing; a driver counts and changes the times now and then. This is the counting and choosing; the
//! caller reads the counters, and sets what comes out with
//! [`set_coalescing`](crate::adapter::Adapter::set_coalescing), which costs two transfers of the register DMA engine. A tenth
//! of a second is a good interval.
//!
//! # Examples
//!
//! ```
//! use fastlinq_hal::moderation::{Moderation, Packets};
//! use fastlinq_hal::queue::Coalescing;
//!
//! let mut moderation = Moderation::default();
//! let total = |received, transmitted| Packets { received, transmitted };
//! assert_eq!(moderation.sample(100_000, total(0, 0)), Some(Coalescing::IMMEDIATE));
//! // A million frames a second: some 32 in 32 µs.
//! let busy = moderation.sample(100_000, total(100_000, 0)).unwrap();
//! assert_eq!((busy.receive_us, busy.transmit_us), (32, 0));
//! // Nothing new, nothing to set.
//! assert_eq!(moderation.sample(100_000, total(200_000, 0)), None);
//! ```

use crate::queue::Coalescing;

/// Packets of a queue pair so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Packets {
    /// Received ones.
    pub received: u64,
    /// Transmitted ones.
    pub transmitted: u64,
}

/// Chooses coalescing times so that about so many packets come with an interrupt.
///
/// Where fewer than that many come in the longest time that is allowed, interrupts come at once: a lone packet waits for
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Moderation {
    packets_per_interrupt: u16,
    longest: Coalescing,
    before: Option<Packets>,
    set: Option<Coalescing>,
}

impl Default for Moderation {
    /// 32 packets an interrupt, and waits of up to 128 µs for received and 256 µs for transmitted ones.
    fn default() -> Self {
        Self::new(
            32,
            Coalescing {
                receive_us: 128,
                transmit_us: 256,
            },
        )
    }
}

impl Moderation {
    /// Wants `packets_per_interrupt`, at least 1, and no waits longer than `longest`, which the device limits to
    /// [`Coalescing::MAX_US`].
    #[must_use]
    pub fn new(packets_per_interrupt: u16, longest: Coalescing) -> Self {
        Self {
            packets_per_interrupt: packets_per_interrupt.max(1),
            longest: Coalescing {
                receive_us: longest.receive_us.min(Coalescing::MAX_US),
                transmit_us: longest.transmit_us.min(Coalescing::MAX_US),
            },
            before: None,
            set: None,
        }
    }

    /// Takes the counters after `elapsed_us`; gives new times when they are different enough to be set. Counters may wrap,
    /// and after a restart of the queue pair they may begin at 0 again.
    pub fn sample(&mut self, elapsed_us: u32, now: Packets) -> Option<Coalescing> {
        let before = self.before.replace(now);
        let delta = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        let (received, transmitted) = match before {
            Some(before) => (
                delta(now.received, before.received),
                delta(now.transmitted, before.transmitted),
            ),
            None => (0, 0),
        };
        let wish = Coalescing {
            receive_us: self.time(elapsed_us, received, self.longest.receive_us),
            transmit_us: self.time(elapsed_us, transmitted, self.longest.transmit_us),
        };
        let keep = self.set.is_some_and(|set| {
            close(set.receive_us, wish.receive_us) && close(set.transmit_us, wish.transmit_us)
        });
        if keep {
            return None;
        }
        self.set = Some(wish);
        self.set
    }

    /// Forgets what was set, because the queue pair was opened anew or somebody else set its times.
    pub fn forget(&mut self) {
        self.before = None;
        self.set = None;
    }

    fn time(&self, elapsed_us: u32, packets: u64, longest: u16) -> u16 {
        let wanted = u64::from(self.packets_per_interrupt) * u64::from(elapsed_us);
        match wanted.checked_div(packets) {
            Some(us) if us <= u64::from(longest) => us as u16,
            _ => 0,
        }
    }
}

/// Whether a change is not worth a transfer: less than a quarter.
const fn close(set: u16, wish: u16) -> bool {
    set.abs_diff(wish) * 4 <= set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(received: u64, transmitted: u64) -> Packets {
        Packets {
            received,
            transmitted,
        }
    }

    #[test]
    fn both_directions_follow_their_own_load() {
        let mut moderation = Moderation::default();
        moderation.sample(1000, total(0, 0));
        // 32 packets in 64 µs, and in 128 µs.
        let times = moderation.sample(1000, total(500, 250)).unwrap();
        assert_eq!((times.receive_us, times.transmit_us), (64, 128));
        // A tenth more is no reason; twice as much is.
        assert_eq!(moderation.sample(1000, total(1050, 525)), None);
        let times = moderation.sample(1000, total(2050, 775)).unwrap();
        assert_eq!((times.receive_us, times.transmit_us), (32, 128));
        // Little to do: at once.
        let times = moderation.sample(1000, total(2150, 775)).unwrap();
        assert_eq!(times, Coalescing::IMMEDIATE);
        assert_eq!(moderation.sample(1000, total(2150, 775)), None);
    }

    #[test]
    fn no_time_is_longer_than_allowed_and_counters_may_begin_anew() {
        let longest = Coalescing {
            receive_us: 60_000,
            transmit_us: 10,
        };
        let mut moderation = Moderation::new(0, longest);
        moderation.sample(1000, total(1_000_000, 7));
        // One packet each 500 µs is one in an interrupt.
        let times = moderation.sample(1000, total(2, 2)).unwrap();
        assert_eq!((times.receive_us, times.transmit_us), (500, 0));
        for packets in [0, 1, u64::MAX] {
            for elapsed in [0, 1, u32::MAX] {
                let mut moderation = Moderation::new(u16::MAX, longest);
                moderation.sample(1, total(0, 0));
                if let Some(times) = moderation.sample(elapsed, total(packets, packets)) {
                    assert!(times.receive_us <= Coalescing::MAX_US && times.transmit_us <= 10);
                }
            }
        }
        moderation.forget();
        assert_eq!(
            moderation.sample(1, total(9, 9)),
            Some(Coalescing::IMMEDIATE)
        );
    }
}
