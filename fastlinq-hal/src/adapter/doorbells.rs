//! Doorbells that were lost, on an adapter that is up.

use super::cause::Cause;
use super::handle::Adapter;
use super::inventory::Inventory;
use super::states::Up;
use crate::host::Host;
use crate::log::warning;
use crate::queue::QueuePort;
use crate::slowpath::clear_doorbell_overflow;

/// How often doorbells are rung again after an overflow, at least.
pub const DOORBELL_RECOVERIES: u32 = 10;

/// Milliseconds between two of them.
pub const DOORBELL_RECOVERY_MS: u32 = 100;

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Rings the doorbells of the slow path and of these queue pairs again, after one was lost.
    ///
    /// When the chip's queue of doorbells overflows, it drops all doorbells of the function until the driver has cleared a
    /// flag, and raises an attention. [`poll_events`](Self::poll_events) clears the flag, rings the slow path's doorbell
    /// and reports [`DoorbellsDropped`](crate::slowpath::HardwareAttention::DoorbellsDropped). Then every transmit queue has
    /// to be rung again: by this for queue pairs at hand, by [`QueuePort::ring_again`] in the thread that has them for
    /// others. A doorbell carries the whole producer, so ringing it again does no harm.
    ///
    /// Doorbells that were on their way may fill the queue once more: known drivers repeat this
    /// [`DOORBELL_RECOVERIES`] times, [`DOORBELL_RECOVERY_MS`] apart. Gives whether the queue had overflowed again.
    ///
    /// Touches `DORQ_PF_OVFL_STICKY`, `DPM_FORCE_ABORT`, `PF_USAGE_CNT`. Known by: source reading; the model.
    ///
    /// # Errors
    ///
    /// Only when the device is gone.
    pub fn recover_doorbells<'q>(
        &mut self,
        queues: impl IntoIterator<Item = &'q QueuePort<H>>,
    ) -> Result<bool, Cause>
    where
        H: 'q,
    {
        let (core, running) = self.inner.parts()?;
        let again = clear_doorbell_overflow(&core.windows);
        core.windows.check()?;
        if again {
            warning!("the queue of doorbells has overflowed again");
        }
        running.slow_path.ring_doorbell();
        for queue in queues {
            queue.ring_again();
        }
        Ok(again)
    }
}
