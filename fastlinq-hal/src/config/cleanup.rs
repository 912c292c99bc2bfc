//! Final cleanup: the storm firmware forgets everything of a function.

use fastlinq_pac::registers::xsdm::{OPERATION_GEN, operation_gen as operation};
use fastlinq_pac::versions::{IroId, Layout};
use tock_registers::interfaces::Writeable;

use super::ConfigError;
use crate::access::{AccessError, Patience, poll};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{debug, warning};

/// One second in steps of 10 ms.
const PATIENCE: Patience = Patience::new(101, 10_000);
/// The aggregated interrupt that asks for the cleanup.
const INTERRUPT: u32 = 1;
/// Completion by an aggregated interrupt.
const AGGREGATED: u32 = 2;

/// Has the storm firmware forget everything of this function: queues, vports, filters.
///
/// For a function that is not the first of its engine, whose firmware runs already. Writes
/// XSDM OPERATION_GEN and waits up to a second for the acknowledgement in USTORM's RAM, which is zeroed before
/// and afterwards. Needs the global windows, which are set up since the first function.
///
/// # Errors
///
/// [`ConfigError::CleanupTimedOut`]; [`ConfigError::Access`] when the function is gone.
pub fn final_cleanup<H: Host>(core: &mut Core<H>, layout: &Layout) -> Result<(), ConfigError> {
    let id = IroId::USTORM_FLR_FINAL_ACK_GTT;
    let function = core.identity.rel_pf;
    let acknowledgement = layout
        .iro(id)
        .and_then(|variable| variable.bar0(function.into(), 0))
        .ok_or(ConfigError::NoVariable(id))?;
    let before = core.windows.global_read32(acknowledgement)?;
    if core.windows.is_gone(before) {
        return Err(AccessError::DeviceGone.into());
    }
    if before != 0 {
        warning!("an old cleanup acknowledgement is there: {:#x}", before);
        core.windows.global_write32(acknowledgement, 0)?;
    }
    let command = operation::AGGREGATED_INTERRUPT_INDEX.val(INTERRUPT)
        + operation::VECTOR_ENABLE.val(1)
        + operation::VECTOR_BIT.val(function.into())
        + operation::COMPLETION_TYPE.val(AGGREGATED);
    OPERATION_GEN.on(&core.windows).write(command);

    let windows = &core.windows;
    let answer = poll(&mut core.host, PATIENCE, || {
        match windows.global_read32(acknowledgement) {
            Ok(0) => None,
            answer => Some(answer),
        }
    });
    let Some(answer) = answer else {
        core.windows.global_write32(acknowledgement, 0)?;
        return Err(ConfigError::CleanupTimedOut {
            function,
            at: acknowledgement,
        });
    };
    if core.windows.is_gone(answer?) {
        return Err(AccessError::DeviceGone.into());
    }
    core.windows.global_write32(acknowledgement, 0)?;
    debug!("the storm firmware has forgotten the function");
    Ok(())
}
