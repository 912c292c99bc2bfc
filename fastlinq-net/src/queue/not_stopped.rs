//! A queue pair that the device did not let go of.

use core::fmt;

use super::QueuePair;
use crate::device::QueueDevice;

/// The device did not confirm that it let go of a queue pair.
///
/// Closing may be tried again. Dropping this leaves the queue pair's memory allocated for good.
pub struct NotStopped<'m, D: QueueDevice, E> {
    /// The queue pair.
    pub queue: QueuePair<'m, D>,
    /// Why.
    pub cause: E,
}

impl<D: QueueDevice, E> NotStopped<'_, D, E> {
    /// Gives up: the memory stays allocated for good. Gives the reason, and the bytes for the report.
    pub fn leak(self) -> (E, usize) {
        let bytes = self.queue.memory_bytes();
        (self.cause, bytes)
    }
}

impl<D: QueueDevice, E: fmt::Debug> fmt::Debug for NotStopped<'_, D, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotStopped")
            .field("cause", &self.cause)
            .field("bytes", &self.queue.memory_bytes())
            .finish_non_exhaustive()
    }
}

impl<D: QueueDevice, E: fmt::Display> fmt::Display for NotStopped<'_, D, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; {} bytes stay with the device",
            self.cause,
            self.queue.memory_bytes()
        )
    }
}

impl<D: QueueDevice, E: fmt::Debug + fmt::Display> core::error::Error for NotStopped<'_, D, E> {}
