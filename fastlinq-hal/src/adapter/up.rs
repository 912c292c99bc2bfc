//! NvmPopulated -> Up: the load, the init program, and the start of the function.

use fastlinq_pac::init_file::Phase;
use fastlinq_pac::versions::{IroId, Layout};
use tock_registers::interfaces::Writeable;

use super::cause::{Cause, Misuse};
use super::config::InterruptMode;
use super::connect::clear_was_error;
use super::handle::{Adapter, Failed};
use super::inner::{Context, Inner};
use super::inventory::Inventory;
use super::memory::{SlowPathMemory, buffer};
use super::running::{MAX_VPORTS, Numbers, QueueSlot, Running};
use super::states::{NvmPopulated, Up};
use super::{MAX_QUEUE_PAIRS, status_block, stop, vports};
use crate::core_state::Core;
use crate::firmware::FirmwareImage;
use crate::host::Host;
use crate::init::{self, FailedPolls, Scratch};
use crate::log::{debug, info, warning};
use crate::mfw::load::{LoadError, LoadPhase, LoadRequest};
use crate::mfw::notify::{DriverState, SwitchMode};
use crate::mfw::{self, MailboxError};
use crate::queue::STATUS_BLOCK_BYTES;
use crate::slowpath::{self, Attentions, EventQueue, SlowPath, SlowPathParts, SlowPathQueue};

impl<I: Inventory, H: Host> Adapter<NvmPopulated<I>, H> {
    /// Loads the storm firmware and starts the function.
    ///
    /// `image` is the init-values file, `scratch` memory that is needed until this returns.
    ///
    /// | step | what |
    /// |---|---|
    /// | memory | contexts, translation table, slow-path and event queue, status blocks |
    /// | load | LOAD_REQ: the management firmware says which phases are this function's to run |
    /// | cleanup | what an earlier driver left in the storms, unless this function is the first on the engine |
    /// | master | the function becomes a master on PCI |
    /// | init program | engine and port when this function is the first on them; function and its part of the queue manager |
    /// | interrupts | status blocks cleaned, the interrupt mode set, attentions enabled |
    /// | start | PF_START |
    /// | done | LOAD_DONE, and what the management firmware likes to be told |
    ///
    /// # Errors
    ///
    /// [`Failed`] with the adapter in [`NvmPopulated`]. Whatever was done has been undone in the order of
    /// [`down`](Adapter::down), and the attempt may be repeated.
    pub fn up(
        mut self,
        image: &FirmwareImage<'_>,
        scratch: &mut Scratch,
    ) -> Result<Adapter<Up<I>, H>, Failed<NvmPopulated<I>, H>> {
        match self.inner.bring_up(image, scratch) {
            Ok(()) => {
                let Self { inner, state } = self;
                Ok(Adapter { inner, state: Up { inventory: state.inventory } })
            }
            Err(cause) => {
                warning!("bring-up failed: {}", cause);
                // What fails on the way back is in the log and in the transcript; the caller wants the first cause.
                let _ = self.inner.take_down();
                Err(self.failed(cause))
            }
        }
    }
}
