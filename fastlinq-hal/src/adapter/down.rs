//! The way back to Reset, from any state.

use core::fmt;

use super::cause::Cause;
use super::handle::{Adapter, AnyAdapter};
use super::inventory::Inventory;
use super::leak::LeakReport;
use super::states::{McpReady, NvmPopulated, Reset, Up};
use crate::host::Host;
use crate::log::info;

/// An adapter that went down with a failure on the way.
///
/// It is in state [`Reset`] all the same, and may be connected again.
pub struct DownFailed<H: Host> {
    /// The adapter.
    pub adapter: Adapter<Reset, H>,
    /// The first failure on the way down.
    pub cause: Cause,
    /// DMA memory that was not returned to the host in this way down.
    pub leaked: LeakReport,
}

impl<H: Host> fmt::Debug for DownFailed<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownFailed")
            .field("cause", &self.cause)
            .field("leaked", &self.leaked)
            .finish_non_exhaustive()
    }
}

impl<H: Host> fmt::Display for DownFailed<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on the way down: {}", self.cause)?;
        if !self.leaked.is_empty() {
            write!(
                f,
                " ({} regions of DMA memory with {} bytes stay allocated)",
                self.leaked.regions, self.leaked.bytes
            )?;
        }
        Ok(())
    }
}

impl<H: Host> core::error::Error for DownFailed<H> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Takes the adapter down: queues and vports, the function, the hardware, the load.
    ///
    /// In this order: link down if it was set up; the vports inactive, the queues and vports stopped; UNLOAD_REQ;
    /// PF_STOP; receive gate, searches, timers, interrupts and doorbells closed; UNLOAD_DONE; mastership on PCI given up
    /// and that confirmed by the chip. Only then DMA memory is returned to the host.
    ///
    /// Close queue pairs before, so that their owner knows that the rings are free. A queue pair that is still open is
    /// stopped, and its memory stays with its owner, who returns it with
    /// [`reclaim_queue_pair`](Adapter::reclaim_queue_pair).
    ///
    /// # Errors
    ///
    /// [`DownFailed`]: a step failed, or the device did not confirm that it is quiet. The adapter is in [`Reset`] all the
    /// same.
    pub fn down(mut self) -> Result<Adapter<Reset, H>, DownFailed<H>> {
        let before = self.inner.leaked;
        let result = self.inner.take_down();
        let adapter = self.with_state(Reset);
        match result {
            Ok(()) => {
                info!("down");
                Ok(adapter)
            }
            Err(cause) => {
                let after = adapter.inner.leaked;
                let leaked = LeakReport {
                    regions: after.regions.saturating_sub(before.regions),
                    bytes: after.bytes.saturating_sub(before.bytes),
                };
                Err(DownFailed {
                    adapter,
                    cause,
                    leaked,
                })
            }
        }
    }
}

impl<H: Host> Adapter<McpReady, H> {
    /// Forgets what is known; nothing of the device is in use in this state.
    #[must_use]
    pub fn reset(self) -> Adapter<Reset, H> {
        self.with_state(Reset)
    }
}

impl<I: Inventory, H: Host> Adapter<NvmPopulated<I>, H> {
    /// Forgets what is known; nothing of the device is in use in this state.
    #[must_use]
    pub fn reset(self) -> Adapter<Reset, H> {
        self.with_state(Reset)
    }
}

impl<H: Host> AnyAdapter<H> {
    /// Takes the adapter to [`Reset`], from whatever state.
    ///
    /// # Errors
    ///
    /// As [`Adapter::down`].
    pub fn into_reset(self) -> Result<Adapter<Reset, H>, DownFailed<H>> {
        match self {
            Self::Reset(adapter) => Ok(adapter),
            Self::McpReady(adapter) => Ok(adapter.reset()),
            Self::Images(adapter) => Ok(adapter.reset()),
            Self::BistUnsupported(adapter) => Ok(adapter.reset()),
            Self::Skipped(adapter) => Ok(adapter.reset()),
            Self::UpWithImages(adapter) => adapter.down(),
            Self::UpWithoutBist(adapter) => adapter.down(),
            Self::UpSkipped(adapter) => adapter.down(),
        }
    }
}
