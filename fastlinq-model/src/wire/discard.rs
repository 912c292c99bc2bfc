//! A port whose frames go nowhere.

use super::{Wire, WireCounters, check};

/// Takes every frame and has none.
#[derive(Debug, Default)]
pub struct Discard {
    counters: WireCounters,
}

impl Discard {
    /// An empty socket that behaves as if somebody listened.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Wire for Discard {
    fn transmit(&mut self, frame: &[u8]) {
        self.counters.count(check(frame));
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn counters(&self) -> WireCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_goes_in_and_nothing_comes_out() {
        let mut wire = Discard::new();
        wire.transmit(&[1; 60]);
        wire.transmit(&[1; 1]);
        assert_eq!(wire.receive(), None);
        assert_eq!(
            (wire.counters().transmitted, wire.counters().refused_length),
            (1, 1)
        );
    }
}
