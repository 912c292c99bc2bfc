//! Interrupts: counted per function and vector.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastlinq_model::Interrupts;

/// Messages that arrived and were not taken yet, by function and vector.
#[derive(Default)]
pub(crate) struct Mailroom(Mutex<BTreeMap<(u8, u16), u64>>);

impl Mailroom {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(u8, u16), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, function: u8, vector: u16) -> u64 {
        self.lock().remove(&(function, vector)).unwrap_or(0)
    }

    pub(crate) fn pending(&self, function: u8) -> Vec<u16> {
        let all = self.lock();
        all.range((function, 0)..=(function, u16::MAX))
            .map(|((_, vector), _)| *vector)
            .collect()
    }
}

/// The adapter's end.
pub(crate) struct Lines(pub(crate) Arc<Mailroom>);

impl Interrupts for Lines {
    fn raise(&mut self, function: u8, vector: u16) {
        *self.0.lock().entry((function, vector)).or_insert(0) += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_wait_until_they_are_taken() {
        let room = Arc::new(Mailroom::default());
        let mut lines = Lines(Arc::clone(&room));
        lines.raise(1, 3);
        lines.raise(1, 3);
        lines.raise(1, 0);
        lines.raise(0, 3);
        assert_eq!(room.pending(1), [0, 3]);
        assert_eq!(room.take(1, 3), 2);
        assert_eq!(room.take(1, 3), 0);
        assert_eq!(room.pending(1), [0]);
        assert_eq!(room.pending(2), [0_u16; 0]);
    }
}
