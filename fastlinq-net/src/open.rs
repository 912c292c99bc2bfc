//! Queue pairs of an adapter that is up.

use core::fmt;

use fastlinq_hal::adapter::{Adapter, Cause, Inventory, Up};
use fastlinq_hal::host::Host;
use fastlinq_hal::queue::{QueuePairId, QueuePort};
use fastlinq_hal::vport::VportId;

use crate::config::{PrepareError, QueueConfig};
use crate::queue::{NotStopped, PreparedQueue, QueuePair};
use crate::storage::Storage;

/// A queue pair of an adapter on host `H`.
pub type AdapterQueue<'m, H> = QueuePair<'m, QueuePort<H>>;

/// Why a queue pair could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// It could not be prepared; the adapter was not asked.
    Prepare(PrepareError),
    /// The adapter refused or failed.
    Adapter {
        /// Why.
        cause: Cause,
        /// Bytes of rings and buffers that stay allocated for good, because the device may have begun to use them.
        leaked_bytes: usize,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare(error) => error.fmt(f),
            Self::Adapter { cause, .. } => cause.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

impl From<PrepareError> for OpenError {
    fn from(error: PrepareError) -> Self {
        Self::Prepare(error)
    }
}

impl<'m, H: Host> QueuePair<'m, QueuePort<H>> {
    /// Opens the next free queue pair of an adapter on a vport: allocates rings and buffers, has the queues started, and
    /// gives the device its first buffers.
    ///
    /// | answer of the adapter | to |
    /// |---|---|
    /// | queues started | a queue pair that works as soon as the vport is active |
    /// | refused before the device knew of the rings | [`OpenError::Adapter`], nothing leaked |
    /// | failed afterwards | [`OpenError::Adapter`], memory leaked on purpose and counted |
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open<I: Inventory>(
        adapter: &mut Adapter<Up<I>, H>,
        vport: VportId,
        config: &QueueConfig,
        storage: impl Into<Storage<'m>>,
    ) -> Result<Self, OpenError> {
        let prepared = PreparedQueue::new(adapter, config, storage)?;
        match adapter.open_queue_pair(vport, &prepared.request()) {
            Ok(port) => Ok(prepared.start(port)),
            Err(failed) => {
                let mut leaked_bytes = 0;
                if failed.rings_in_use {
                    leaked_bytes = prepared.leak();
                }
                Err(OpenError::Adapter {
                    cause: failed.cause,
                    leaked_bytes,
                })
            }
        }
    }

    /// Number of the queue pair inside the function.
    pub fn id(&self) -> QueuePairId {
        self.device().id()
    }

    /// Closes the queue pair: has the queues stopped, then frees rings and buffers.
    ///
    /// # Errors
    ///
    /// [`NotStopped`] gives the queue pair back, with the cause. Dropping that leaves its memory allocated for good.
    #[allow(clippy::result_large_err)]
    pub fn close<I: Inventory>(
        self,
        adapter: &mut Adapter<Up<I>, H>,
    ) -> Result<(), NotStopped<'m, QueuePort<H>, Cause>> {
        self.close_with(|port| {
            let closed = adapter.close_queue_pair(port);
            closed.map_err(|failed| (failed.port, failed.cause))
        })
    }
}
