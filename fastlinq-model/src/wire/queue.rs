//! A bounded queue of frames.

use super::{WireError, check};
use std::collections::VecDeque;

/// Frames in order, at most `limit` of them.
#[derive(Debug)]
pub(super) struct FrameQueue {
    frames: VecDeque<Vec<u8>>,
    limit: usize,
}

impl FrameQueue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            limit,
        }
    }

    pub(super) fn push(&mut self, frame: &[u8]) -> Result<(), WireError> {
        check(frame)?;
        if self.frames.len() >= self.limit {
            return Err(WireError::Full {
                frames: self.frames.len(),
            });
        }
        self.frames.push_back(frame.to_vec());
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        self.frames.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }
}
