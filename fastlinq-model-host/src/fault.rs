//! Faults between driver and adapter: register reads that answer wrongly, a function that falls off the bus.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a faulty register read answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// All ones, as when nothing answers on the bus.
    AllOnes,
    /// Zero.
    Zeros,
    /// This value.
    Value(u32),
    /// A number that looks random, drawn from the seed and the number of the read.
    Random(u64),
    /// What the last read of the same register gave; 0 when it was never read.
    Stuck,
}

/// Which accesses are faulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Single(u64, Fault),
    From(u64, Fault),
    GoneFrom(u64),
}

#[derive(Default)]
struct State {
    plans: Vec<Plan>,
    reads: u64,
    writes: u64,
    lost_writes: u64,
    gone: bool,
    last: HashMap<(u8, usize), u32>,
}

/// Injects faults into the register accesses of one function, and counts them.
///
/// Reads are counted from 0, since power-up or since [`restart`](Self::restart). Clones are handles to the same injector.
///
/// # Examples
///
/// ```
/// use fastlinq_hal::host::{Bar, Host};
/// use fastlinq_model_host::{Fault, ModelHost};
///
/// let host = ModelHost::builder().build();
/// host.faults().at_read(1, Fault::Value(0xdead_beef));
/// let registers = host.registers();
/// let _ = registers.read32(0);
/// assert_eq!(registers.read32(0), 0xdead_beef);
/// assert_eq!(host.faults().reads(), 2);
/// ```
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

impl core::fmt::Debug for Faults {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let state = self.lock();
        f.debug_struct("Faults")
            .field("plans", &state.plans)
            .field("reads", &state.reads)
            .field("writes", &state.writes)
            .field("gone", &state.gone)
            .finish_non_exhaustive()
    }
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one read wrongly. The adapter does not see that read.
    pub fn at_read(&self, read: u64, fault: Fault) {
        self.lock().plans.push(Plan::Single(read, fault));
    }

    /// Answers this read and all later ones wrongly; writes still arrive.
    pub fn from_read(&self, read: u64, fault: Fault) {
        self.lock().plans.push(Plan::From(read, fault));
    }

    /// The function falls off the bus at this read: reads give all ones, writes and doorbells are lost.
    pub fn gone_from_read(&self, read: u64) {
        self.lock().plans.push(Plan::GoneFrom(read));
    }

    /// The function falls off the bus now.
    pub fn vanish(&self) {
        let mut state = self.lock();
        let next = state.reads;
        state.gone = true;
        state.plans.push(Plan::GoneFrom(next));
    }

    /// Forgets all plans; the function is there again.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.plans.clear();
        state.gone = false;
    }

    /// Counts accesses from 0 again; plans stay.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.reads = 0;
        state.writes = 0;
        state.lost_writes = 0;
    }

    /// Register reads so far, faulty ones included.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// Register writes and doorbells so far, lost ones included.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Writes that did not reach the adapter.
    pub fn lost_writes(&self) -> u64 {
        self.lock().lost_writes
    }

    /// What a read answers instead of the adapter's value; `None` lets the adapter answer.
    pub(crate) fn on_read(&self, bar: u8, offset: usize) -> Option<u32> {
        let mut state = self.lock();
        let number = state.reads;
        state.reads += 1;
        let mut answer = None;
        for plan in &state.plans {
            answer = match *plan {
                Plan::GoneFrom(first) if number >= first => {
                    state.gone = true;
                    return Some(u32::MAX);
                }
                Plan::Single(read, fault) if number == read => Some(fault),
                Plan::From(first, fault) if number >= first => Some(fault),
                _ => answer,
            };
        }
        Some(match answer? {
            Fault::AllOnes => u32::MAX,
            Fault::Zeros => 0,
            Fault::Value(value) => value,
            Fault::Random(seed) => crate::mix(seed ^ crate::mix(number)) as u32,
            Fault::Stuck => state.last.get(&(bar, offset)).copied().unwrap_or(0),
        })
    }

    /// Remembers what the adapter answered.
    pub(crate) fn answered(&self, bar: u8, offset: usize, value: u32) {
        self.lock().last.insert((bar, offset), value);
    }

    /// Whether a write reaches the adapter.
    pub(crate) fn on_write(&self) -> bool {
        let mut state = self.lock();
        state.writes += 1;
        if state.gone {
            state.lost_writes += 1;
        }
        !state.gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_hit_the_reads_that_they_name() {
        let faults = Faults::default();
        faults.at_read(1, Fault::Zeros);
        faults.from_read(3, Fault::AllOnes);
        faults.answered(0, 8, 5);
        let answers: Vec<_> = (0..5).map(|_| faults.on_read(0, 8)).collect();
        assert_eq!(
            answers,
            [None, Some(0), None, Some(u32::MAX), Some(u32::MAX)]
        );
        faults.clear();
        faults.from_read(0, Fault::Stuck);
        assert_eq!(faults.on_read(0, 8), Some(5));
        assert_eq!(faults.on_read(0, 12), Some(0));
        faults.clear();
        faults.restart();
        faults.from_read(0, Fault::Random(3));
        let first = faults.on_read(0, 0);
        assert_ne!(first, faults.on_read(0, 0));
        faults.restart();
        assert_eq!(faults.on_read(0, 0), first);
    }

    #[test]
    fn a_lost_function_swallows_writes() {
        let faults = Faults::default();
        faults.gone_from_read(1);
        assert!(faults.on_write());
        assert_eq!(faults.on_read(0, 0), None);
        assert!(faults.on_write());
        assert_eq!(faults.on_read(0, 0), Some(u32::MAX));
        assert!(!faults.on_write());
        assert_eq!((faults.writes(), faults.lost_writes()), (3, 1));
        faults.clear();
        assert!(faults.on_write());
        assert_eq!(faults.on_read(0, 0), None);
        faults.vanish();
        assert!(!faults.on_write());
        assert_eq!(faults.on_read(0, 0), Some(u32::MAX));
    }
}
