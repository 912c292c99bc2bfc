//! Reset -> McpReady: who the function is, and what the management firmware says of it.

use fastlinq_pac::Chip;
use fastlinq_pac::registers::pglue_b;
use tock_registers::interfaces::Writeable;

use super::cause::Cause;
use super::handle::{Adapter, Failed};
use super::inner::Inner;
use super::states::{McpReady, Reset};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{info, warning};
use crate::mfw;

impl<H: Host> Adapter<Reset, H> {
    /// Finds out who the function is, and attaches to the management firmware.
    ///
    /// Reads the identity registers; readies the PCI interface (indirect access off, sticky error cleared); finds the
    /// shared memory and the mailbox; asks for features, function, flash configuration, resources and classification
    /// units; and has the management firmware reset the function, unless the configuration says otherwise.
    ///
    /// | management firmware | to |
    /// |---|---|
    /// | answers | [`McpReady`] |
    /// | does not know a question | [`McpReady`], with the default of that question |
    /// | absent, silent, or contradictory | [`Reset`], in [`Failed`] |
    ///
    /// # Errors
    ///
    /// [`Failed`] with the adapter in [`Reset`]; layer [`Pci`](super::Layer::Pci) when the function is gone or not of this
    /// family, [`ManagementFirmware`](super::Layer::ManagementFirmware) otherwise.
    pub fn connect(mut self) -> Result<Adapter<McpReady, H>, Failed<Reset, H>> {
        match self.inner.connect() {
            Ok(()) => Ok(self.with_state(McpReady)),
            Err(cause) => Err(self.failed(cause)),
        }
    }
}

impl<H: Host> Inner<H> {
    fn connect(&mut self) -> Result<(), Cause> {
        info!(
            "from Reset to McpReady: who the function is, what the management firmware says of it"
        );
        self.link = None;
        let core = &mut self.core;
        core.identify()?;
        prepare_pci(core);
        mfw::attach(core)?;
        let _ = mfw::features::query(core)?;
        self.function = Some(mfw::function::read(core)?);
        self.nvm = match mfw::nvm_config::read(core) {
            Ok(config) => Some(config),
            Err(error) => {
                warning!("the flash configuration is not used: {}", error);
                None
            }
        };
        core.windows.check()?;
        let _ = mfw::features::wake_on_lan(core)?;
        self.shares = mfw::resources::settle(core)?;
        self.ppfids = mfw::features::ppfid_bitmap(core)?;
        if self.config.function_reset {
            let answer = mfw::reset::reset_function(core)?;
            if answer.done().is_none() {
                warning!("the management firmware did not reset the function");
            }
        }
        core.windows.check()?;
        info!("management firmware ready");
        Ok(())
    }
}

/// Turns indirect access off, clears the function's sticky error, and lets the host read the function's targets.
///
/// Known by: source reading.
fn prepare_pci<H: Host>(core: &Core<H>) {
    let bus = &core.windows;
    match core.identity.chip {
        Chip::Bb => {
            pglue_b::PGL_ADDR_88_F0_BB.on(bus).set(0);
            pglue_b::PGL_ADDR_8C_F0_BB.on(bus).set(0);
            pglue_b::PGL_ADDR_90_F0_BB.on(bus).set(0);
            pglue_b::PGL_ADDR_94_F0_BB.on(bus).set(0);
        }
        Chip::K2 => {
            pglue_b::PGL_ADDR_E8_F0_K2.on(bus).set(0);
            pglue_b::PGL_ADDR_EC_F0_K2.on(bus).set(0);
            pglue_b::PGL_ADDR_F0_F0_K2.on(bus).set(0);
            pglue_b::PGL_ADDR_F4_F0_K2.on(bus).set(0);
        }
    }
    clear_was_error(core);
    pglue_b::INTERNAL_PFID_ENABLE_TARGET_READ.on(bus).set(1);
}

/// Clears the sticky "was error" of the function.
pub(super) fn clear_was_error<H: Host>(core: &Core<H>) {
    pglue_b::WAS_ERROR_PF_31_0_CLR
        .on(&core.windows)
        .set(1 << u32::from(core.identity.abs_pf));
}
