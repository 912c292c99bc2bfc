//! Queue pairs that get other rings and buffers while the adapter stays up.

use core::fmt;

use fastlinq_hal::adapter::{Adapter, Cause, Inventory, QueuePlace, Up};
use fastlinq_hal::host::Host;
use fastlinq_hal::queue::QueuePort;

use crate::config::{PrepareError, QueueConfig};
use crate::log::debug;
use crate::open::AdapterQueue;
use crate::queue::{NotStopped, PreparedQueue, QueuePair};
use crate::storage::Storage;

/// Why a queue pair has not the size that was asked for, and what became of it: nothing is lost.
///
/// `'m` is the life of the storage that it had, `'n` that of the one that it was to have.
pub enum ResizeFailed<'m, 'n, H: Host> {
    /// The new rings or buffers could not be prepared. The queue pair was not touched.
    NotPrepared {
        /// The queue pair.
        queue: AdapterQueue<'m, H>,
        /// Why.
        error: PrepareError,
    },
    /// The adapter would not take the new rings ([`Cause::Misuse`]; the queue pair was not touched), or the old ones could
    /// not be stopped: then one of its queues may have been, and closing is what may be tried again. The new memory is
    /// free.
    NotStopped(NotStopped<'m, QueuePort<H>, Cause>),
    /// The new rings were not started, and the old ones were: the queue pair works as before, with all its buffers.
    Restored {
        /// The queue pair.
        queue: AdapterQueue<'m, H>,
        /// Why the new rings were not started.
        cause: Cause,
        /// Its part in the vport and why that was not given back to it, if it was not; see
        /// [`restore_place`](Adapter::restore_place).
        not_placed: Option<(QueuePlace, Cause)>,
    },
    /// The queue pair has its new size, but not its part in the vport again.
    NotPlaced {
        /// The queue pair.
        queue: AdapterQueue<'n, H>,
        /// Its part, to be tried again with [`restore_place`](Adapter::restore_place).
        place: QueuePlace,
        /// Why.
        cause: Cause,
    },
    /// Neither the new rings nor the old ones were started. The queue pair is closed.
    Closed {
        /// Why the new rings were not started.
        cause: Cause,
        /// Why the old ones were not started again.
        again: Cause,
        /// Bytes of rings and buffers that stay allocated for good, because the device may have begun to use them.
        leaked_bytes: usize,
    },
}

impl<H: Host> ResizeFailed<'_, '_, H> {
    /// What the adapter said; `None` when it was not asked.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::NotPrepared { .. } => None,
            Self::NotStopped(failed) => Some(&failed.cause),
            Self::Restored { cause, .. }
            | Self::NotPlaced { cause, .. }
            | Self::Closed { cause, .. } => Some(cause),
        }
    }
}

impl<H: Host> fmt::Display for ResizeFailed<'_, '_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPrepared { error, .. } => error.fmt(f),
            Self::NotStopped(failed) => failed.cause.fmt(f),
            Self::Restored { cause, .. } => write!(f, "{cause}; the queue pair is as it was"),
            Self::NotPlaced { cause, .. } => {
                write!(
                    f,
                    "{cause}; the resized queue pair has no part in its vport"
                )
            }
            Self::Closed { cause, again, .. } => {
                write!(
                    f,
                    "{cause}; and with the old rings {again}: the queue pair is closed"
                )
            }
        }
    }
}

impl<H: Host> fmt::Debug for ResizeFailed<'_, '_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPrepared { error, .. } => f.debug_tuple("NotPrepared").field(error).finish(),
            Self::NotStopped(failed) => f.debug_tuple("NotStopped").field(failed).finish(),
            Self::Restored {
                cause, not_placed, ..
            } => f
                .debug_struct("Restored")
                .field("cause", cause)
                .field("not_placed", not_placed)
                .finish_non_exhaustive(),
            Self::NotPlaced { cause, .. } => f
                .debug_struct("NotPlaced")
                .field("cause", cause)
                .finish_non_exhaustive(),
            Self::Closed {
                cause,
                again,
                leaked_bytes,
            } => f
                .debug_struct("Closed")
                .field("cause", cause)
                .field("again", again)
                .field("leaked_bytes", leaked_bytes)
                .finish(),
        }
    }
}

impl<H: Host> core::error::Error for ResizeFailed<'_, '_, H> {}

impl<'m, H: Host> QueuePair<'m, QueuePort<H>> {
    /// Gives the queue pair other rings and buffers, under the same number and vector; queue pairs beside it go on.
    ///
    /// The new memory is allocated first; then the queues are stopped and started again, the device gets its first buffers,
    /// and the queue pair takes the part in its vport again that it had: its entries of the table of receive-side scaling,
    /// the frames without a hash, and the vport's being active when it is alone there. Then the old memory is freed.
    ///
    /// | of the old | what becomes of it |
    /// |---|---|
    /// | frames to be sent | they are sent before it stops |
    /// | frames received and not taken, and those that arrive while it stops | lost |
    /// | frames for other queue pairs of the vport | lost during RX_QUEUE_STOP; those with a hash go to the others meanwhile |
    /// | buffers of the program's, and records of frames | gone: send or release them before |
    /// | counters | go on |
    /// | coalescing | that of `config` |
    ///
    /// # Errors
    ///
    /// [`ResizeFailed`] says how far it came, and has the queue pair whenever there is one. A queue pair that flows are
    /// steered to is not stopped: `Misuse::QueuePairSteered`.
    #[allow(clippy::result_large_err)]
    pub fn resize<'n, I: Inventory>(
        self,
        adapter: &mut Adapter<Up<I>, H>,
        config: &QueueConfig,
        storage: impl Into<Storage<'n>>,
    ) -> Result<AdapterQueue<'n, H>, ResizeFailed<'m, 'n, H>> {
        let id = self.id();
        let mut prepared = match PreparedQueue::new(adapter, config, storage) {
            Ok(prepared) => prepared,
            Err(error) => return Err(ResizeFailed::NotPrepared { queue: self, error }),
        };
        let place = adapter
            .check_restart(id, &prepared.request())
            .and_then(|()| adapter.queue_pair_place(id));
        let place = match place {
            Ok(place) => place,
            Err(cause) => return Err(ResizeFailed::NotStopped(NotStopped { queue: self, cause })),
        };
        let stopped = self.stop_with(|port| {
            let closed = adapter.close_queue_pair(port);
            closed.map_err(|failed| (failed.port, failed.cause))
        });
        let (old, ()) = stopped.map_err(ResizeFailed::NotStopped)?;
        prepared.continue_counting(old.counters());
        let failed = match adapter.open_queue_pair_at(place.vport(), id, &prepared.request()) {
            Ok(port) => {
                debug!("queue pair {} has another size", id.index());
                let queue = prepared.start(port);
                return match adapter.restore_place(&place) {
                    Ok(()) => Ok(queue),
                    Err(cause) => Err(ResizeFailed::NotPlaced {
                        queue,
                        place,
                        cause,
                    }),
                };
            }
            Err(failed) => failed,
        };
        let mut leaked_bytes = 0;
        if failed.rings_in_use {
            leaked_bytes = prepared.leak();
        }
        let cause = failed.cause;
        match adapter.open_queue_pair_at(place.vport(), id, &old.request()) {
            Ok(port) => {
                let queue = old.start(port);
                let placed = adapter.restore_place(&place);
                let not_placed = placed.err().map(|cause| (place, cause));
                Err(ResizeFailed::Restored {
                    queue,
                    cause,
                    not_placed,
                })
            }
            Err(failed) => {
                if failed.rings_in_use {
                    leaked_bytes += old.leak();
                }
                Err(ResizeFailed::Closed {
                    cause,
                    again: failed.cause,
                    leaked_bytes,
                })
            }
        }
    }
}
