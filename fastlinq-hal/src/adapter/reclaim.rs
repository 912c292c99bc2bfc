//! Queue pairs that were still open when the adapter went down.

use super::handle::Adapter;
use super::queues::CloseFailed;
use super::states::State;
use crate::adapter::Misuse;
use crate::host::Host;
use crate::log::debug;
use crate::queue::QueuePort;

impl<S: State, H: Host> Adapter<S, H> {
    /// Returns the memory of a queue pair that was still open when this adapter went down.
    ///
    /// [`down`](Adapter::down) stops such a queue pair, but its memory is with its owner. Once the device has confirmed
    /// that it starts no more DMA for the function, the owner hands the queue pair in here, in whatever state the adapter
    /// is by then: its status block goes back to the host, and when this returns `Ok`, its rings may be freed, too.
    ///
    /// The ends of the last eight bring-ups are remembered.
    ///
    /// # Errors
    ///
    /// [`CloseFailed`] with [`Misuse::NoSuchQueuePair`] gives the queue pair back when its memory must stay: the adapter
    /// is still up with it, the device did not confirm that it is quiet, the queue pair is another adapter's, or its
    /// bring-up was too long ago.
    ///
    /// # Examples
    ///
    /// ```
    /// use fastlinq_hal::adapter::{Adapter, CloseFailed, Inventory, Up};
    /// use fastlinq_hal::host::Host;
    /// use fastlinq_hal::queue::QueuePort;
    ///
    /// fn down_with_an_open_queue<I: Inventory, H: Host>(
    ///     adapter: Adapter<Up<I>, H>,
    ///     port: QueuePort<H>,
    /// ) -> Result<(), CloseFailed<H>> {
    ///     let adapter = match adapter.down() {
    ///         Ok(adapter) => adapter,
    ///         Err(failed) => failed.adapter,
    ///     };
    ///     adapter.reclaim_queue_pair(port)
    /// }
    /// ```
    pub fn reclaim_queue_pair(&self, mut port: QueuePort<H>) -> Result<(), CloseFailed<H>> {
        if !self.inner.ended_quietly(port.bring_up()) {
            return Err(CloseFailed {
                cause: Misuse::NoSuchQueuePair(port.id()).into(),
                port,
            });
        }
        debug!("queue pair {} handed in after the end", port.id().index());
        drop(port.take_status_block());
        Ok(())
    }
}
