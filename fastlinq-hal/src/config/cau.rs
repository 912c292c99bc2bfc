//! The coalescing unit (CAU): what it knows of the function's status blocks before they have addresses.

use fastlinq_pac::hsi::cau_sb_entry as entry;
use fastlinq_pac::versions::RuntimeId;

use super::StatusBlocks;
use crate::init::{RuntimeError, RuntimeWriter};

/// The longest time set, which a status block as a whole has.
const LONGEST: u32 = 0x7f;

/// Variables of a status block of a function: timers on, with the shortest resolution.
pub(super) fn variables(function: u8) -> u64 {
    let parameters = entry::SB_TIMESET0.val(LONGEST)
        + entry::SB_TIMESET1.val(LONGEST)
        + entry::PF_NUMBER.val(function.into());
    u64::from(parameters.value) << 32
}

/// Stores the variables of all status blocks.
pub(super) fn fill(
    runtime: &mut RuntimeWriter<'_>,
    status_blocks: &StatusBlocks,
    function: u8,
) -> Result<(), RuntimeError> {
    for status_block in status_blocks.iter() {
        runtime.set_wide(
            RuntimeId::CAU_REG_SB_VAR_MEMORY,
            status_block,
            variables(function),
        )?;
    }
    Ok(())
}
