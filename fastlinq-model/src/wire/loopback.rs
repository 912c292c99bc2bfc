//! A plug that gives every frame back.

use super::queue::FrameQueue;
use super::{QUEUE_LIMIT, Wire, WireCounters, WireError};

/// Gives the adapter its own frames back, in order.
#[derive(Debug)]
pub struct Loopback {
    queue: FrameQueue,
    counters: WireCounters,
}

impl Default for Loopback {
    fn default() -> Self {
        Self::new()
    }
}

impl Loopback {
    /// A loopback that keeps up to [`QUEUE_LIMIT`] frames.
    pub fn new() -> Self {
        Self::with_limit(QUEUE_LIMIT)
    }

    /// A loopback that keeps up to `frames` frames.
    pub fn with_limit(frames: usize) -> Self {
        Self {
            queue: FrameQueue::new(frames),
            counters: WireCounters::default(),
        }
    }

    /// Frames that wait for the adapter.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Takes a frame, or says why not.
    ///
    /// # Errors
    /// [`WireError::TooLong`], [`WireError::TooShort`], [`WireError::Full`].
    pub fn send(&mut self, frame: &[u8]) -> Result<(), WireError> {
        let outcome = self.queue.push(frame);
        self.counters.count(outcome);
        outcome
    }
}

impl Wire for Loopback {
    fn transmit(&mut self, frame: &[u8]) {
        // The refusal is counted.
        let _ = self.send(frame);
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        self.counters.count_received(self.queue.pop())
    }

    fn counters(&self) -> WireCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::super::FRAME_LIMIT;
    use super::*;

    #[test]
    fn frames_come_back_in_order() {
        let mut wire = Loopback::new();
        wire.transmit(&[1; 60]);
        wire.transmit(&[2; 9000]);
        assert_eq!(wire.receive(), Some(vec![1; 60]));
        assert_eq!(wire.receive(), Some(vec![2; 9000]));
        assert_eq!(wire.receive(), None);
        assert_eq!(
            wire.counters(),
            WireCounters {
                transmitted: 2,
                received: 2,
                ..WireCounters::default()
            }
        );
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut wire = Loopback::with_limit(2);
        wire.transmit(&[1; 60]);
        wire.transmit(&[2; 60]);
        assert_eq!(wire.send(&[3; 60]), Err(WireError::Full { frames: 2 }));
        assert_eq!((wire.waiting(), wire.counters().refused_full), (2, 1));
        wire.receive();
        assert_eq!(wire.send(&[3; 60]), Ok(()));
    }

    #[test]
    fn impossible_frames_are_refused_by_name() {
        let mut wire = Loopback::new();
        assert_eq!(wire.send(&[0; FRAME_LIMIT]), Ok(()));
        assert_eq!(
            wire.send(&[0; FRAME_LIMIT + 1]),
            Err(WireError::TooLong { bytes: 16385 })
        );
        assert_eq!(wire.send(&[]), Err(WireError::TooShort { bytes: 0 }));
        assert_eq!(wire.counters().refused_length, 2);
        assert!(
            WireError::TooLong { bytes: 16385 }
                .to_string()
                .contains("16384")
        );
    }
}
