//! A cable between two adapters, which may be in different threads.

use super::queue::FrameQueue;
use super::{QUEUE_LIMIT, Wire, WireCounters, WireError, check};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
struct Shared {
    /// Frames on their way to each end.
    towards: [FrameQueue; 2],
    plugged: [bool; 2],
}

/// One end of a [`cable`]. Dropping it unplugs it; the other end then counts what it sends into the void.
#[derive(Debug)]
pub struct CableEnd {
    shared: Arc<Mutex<Shared>>,
    side: usize,
    counters: WireCounters,
}

/// The two ends of a cable that keeps up to [`QUEUE_LIMIT`] frames in each direction.
///
/// ```
/// use fastlinq_model::wire::{Wire, cable};
/// let (mut near, mut far) = cable();
/// near.transmit(&[0x02; 60]);
/// assert_eq!(far.receive(), Some(vec![0x02; 60]));
/// drop(far);
/// assert!(near.send(&[0x02; 60]).is_err());
/// ```
pub fn cable() -> (CableEnd, CableEnd) {
    cable_with_limit(QUEUE_LIMIT)
}

/// The two ends of a cable that keeps up to `frames` frames in each direction.
pub fn cable_with_limit(frames: usize) -> (CableEnd, CableEnd) {
    let shared = Arc::new(Mutex::new(Shared {
        towards: [FrameQueue::new(frames), FrameQueue::new(frames)],
        plugged: [true; 2],
    }));
    let end = |side| CableEnd {
        shared: Arc::clone(&shared),
        side,
        counters: WireCounters::default(),
    };
    (end(0), end(1))
}

impl CableEnd {
    /// A panic in another thread leaves the queues intact, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn other(&self) -> usize {
        1 - self.side
    }

    /// Takes a frame, or says why not.
    ///
    /// # Errors
    /// Every [`WireError`].
    pub fn send(&mut self, frame: &[u8]) -> Result<(), WireError> {
        let outcome = check(frame).and_then(|()| {
            let mut shared = self.lock();
            if !shared.plugged[self.other()] {
                return Err(WireError::Unplugged);
            }
            shared.towards[self.other()].push(frame)
        });
        self.counters.count(outcome);
        outcome
    }

    /// True while the other end exists.
    pub fn is_plugged(&self) -> bool {
        self.lock().plugged[self.other()]
    }

    /// Frames that wait for this end.
    pub fn waiting(&self) -> usize {
        self.lock().towards[self.side].len()
    }
}

impl Wire for CableEnd {
    fn transmit(&mut self, frame: &[u8]) {
        // The refusal is counted.
        let _ = self.send(frame);
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let frame = self.lock().towards[self.side].pop();
        self.counters.count_received(frame)
    }

    fn counters(&self) -> WireCounters {
        self.counters
    }
}

impl Drop for CableEnd {
    fn drop(&mut self) {
        let side = self.side;
        self.lock().plugged[side] = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_are_separate() {
        let (mut near, mut far) = cable();
        near.transmit(&[1; 60]);
        far.transmit(&[2; 60]);
        assert_eq!((near.waiting(), far.waiting()), (1, 1));
        assert_eq!(
            (near.receive(), far.receive()),
            (Some(vec![2; 60]), Some(vec![1; 60]))
        );
        assert_eq!((near.receive(), far.receive()), (None, None));
    }

    #[test]
    fn each_direction_is_bounded() {
        let (mut near, mut far) = cable_with_limit(1);
        near.transmit(&[1; 60]);
        assert_eq!(near.send(&[2; 60]), Err(WireError::Full { frames: 1 }));
        assert_eq!(far.send(&[2; 60]), Ok(()));
        assert_eq!(near.send(&[0; 5]), Err(WireError::TooShort { bytes: 5 }));
    }

    #[test]
    fn a_dropped_end_is_noticed_and_leaves_what_it_sent() {
        let (mut near, mut far) = cable();
        far.transmit(&[7; 60]);
        drop(far);
        assert!(!near.is_plugged());
        assert_eq!(near.send(&[1; 60]), Err(WireError::Unplugged));
        assert_eq!(near.receive(), Some(vec![7; 60]));
        assert_eq!(near.counters().unplugged, 1);
    }

    #[test]
    fn ends_work_in_different_threads() {
        const FRAMES: usize = 10_000;
        let (mut near, mut far) = cable_with_limit(16);
        let sender = std::thread::spawn(move || {
            for number in 0..FRAMES as u32 {
                let mut frame = [0; 60];
                frame[20..24].copy_from_slice(&number.to_le_bytes());
                while near.send(&frame).is_err() {
                    std::thread::yield_now();
                }
            }
            near
        });
        for number in 0..FRAMES as u32 {
            let frame = loop {
                match far.receive() {
                    Some(frame) => break frame,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(frame[20..24], number.to_le_bytes());
        }
        assert_eq!(sender.join().unwrap().counters().transmitted, FRAMES as u64);
    }
}
