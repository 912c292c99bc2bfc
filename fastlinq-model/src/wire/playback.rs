//! A wire that plays a prepared list of frames, for tests.

use super::{Wire, WireCounters, check};
use std::collections::VecDeque;

/// Gives the adapter frames that were prepared, whatever they are, and drops what it sends.
#[derive(Debug, Default)]
pub struct Playback {
    frames: VecDeque<Vec<u8>>,
    counters: WireCounters,
}

impl Playback {
    /// Plays these frames, once. They are not checked, so impossible frames can be tried.
    pub fn new(frames: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            frames: frames.into_iter().collect(),
            counters: WireCounters::default(),
        }
    }
}

impl Wire for Playback {
    fn transmit(&mut self, frame: &[u8]) {
        self.counters.count(check(frame));
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        self.counters.count_received(self.frames.pop_front())
    }

    fn counters(&self) -> WireCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepared_frames_come_once_and_unchecked() {
        let mut wire = Playback::new([vec![1; 3], vec![2; 100_000]]);
        wire.transmit(&[9; 60]);
        assert_eq!(wire.receive(), Some(vec![1; 3]));
        assert_eq!(wire.receive().map(|frame| frame.len()), Some(100_000));
        assert_eq!(wire.receive(), None);
        assert_eq!(
            wire.counters(),
            WireCounters {
                transmitted: 1,
                received: 2,
                ..WireCounters::default()
            }
        );
    }
}
