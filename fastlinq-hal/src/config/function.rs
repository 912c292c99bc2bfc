//! The PF phases, with what the driver does around them.

use fastlinq_pac::init_file::Phase;
use fastlinq_pac::registers::igu::{self, block_configuration};
use fastlinq_pac::versions::RuntimeId;
use tock_registers::interfaces::ReadWriteable;

use super::engine::layout_of;
use super::{ConfigError, FunctionMemory, Plan, cau, search, write_doorbell_layout};
use crate::core_state::Core;
use crate::dma::DmaRegion;
use crate::firmware::{FirmwareImage, Modes};
use crate::host::Host;
use crate::init::{FailedPolls, PhaseReport, RuntimeWriter, Scratch, run_phase};
use crate::log::info;

/// Queue number that the connection manager adds to that of a PQ for transmission.
const TX_QUEUE_BASE: u32 = 0x200;

/// Reports of the two phases of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionReports {
    /// The PF phase.
    pub function: PhaseReport,
    /// The queue manager's part.
    pub queues: PhaseReport,
}

/// Stores what the PF phases carry to the chip: queues, connections, translation, interrupts, searches,
/// classification.
///
/// # Errors
///
/// [`ConfigError::Runtime`].
pub fn function_runtime<R: DmaRegion>(
    runtime: &mut RuntimeWriter<'_>,
    plan: &Plan,
    memory: &FunctionMemory<R>,
) -> Result<(), ConfigError> {
    let function = plan.identity.rel_pf;
    plan.queues.fill(runtime)?;
    let loopback = TX_QUEUE_BASE + u32::from(plan.loopback_pq());
    runtime.set(RuntimeId::XCM_REG_CON_PHY_Q3, loopback)?;
    plan.connections.fill_doorbell_ranges(runtime)?;
    plan.translation.fill(runtime, memory.pages())?;
    if let Some(free_list) = memory.free_list() {
        search::fill(runtime, free_list)?;
    }
    fill_timers(runtime, plan)?;
    cau::fill(runtime, &plan.status_blocks, function)?;
    let enabled = igu::pf_configuration::FUNC_EN.val(1).value;
    runtime.set(RuntimeId::IGU_REG_PF_CONFIGURATION, enabled)?;
    for search in [
        RuntimeId::PRS_REG_SEARCH_TCP,
        RuntimeId::PRS_REG_SEARCH_FCOE,
        RuntimeId::PRS_REG_SEARCH_ROCE,
    ] {
        runtime.set(search, 0)?;
    }
    fill_classification(runtime, plan)
}

/// Stores that the function has nothing to time: it has a line behind those of the virtual functions.
fn fill_timers(runtime: &mut RuntimeWriter<'_>, plan: &Plan) -> Result<(), ConfigError> {
    let line = plan.identity.chip.limits().vfs + u16::from(plan.identity.rel_pf);
    runtime.set_wide(RuntimeId::TM_REG_CONFIG_CONN_MEM, line, 0)?;
    runtime.set(RuntimeId::TM_REG_PF_ENABLE_CONN, 0)?;
    runtime.set(RuntimeId::TM_REG_PF_ENABLE_TASK, 0)?;
    Ok(())
}

/// Stores by what the port tells the function's frames: by MAC address, or by the outer VLAN tag.
fn fill_classification(runtime: &mut RuntimeWriter<'_>, plan: &Plan) -> Result<(), ConfigError> {
    if plan.modes.contains(Modes::MF_SD) {
        let tag = plan.outer_vlan.unwrap_or(0);
        runtime.set(RuntimeId::NIG_REG_LLH_FUNC_TAG_EN, 1)?;
        runtime.set(RuntimeId::NIG_REG_LLH_FUNC_TAG_VALUE, tag.into())?;
        runtime.set(RuntimeId::NIG_REG_LLH_FUNC_FILTER_HDR_SEL, 1)?;
    }
    if plan.modes.contains(Modes::MF_SI) {
        runtime.set(RuntimeId::NIG_REG_LLH_FUNC_TAGMAC_CLS_TYPE, 1)?;
    }
    Ok(())
}

/// Initialises the function.
///
/// Tells XSTORM about the function's queues, tests the DMA engine, runs the file's PF and QM_PF phases, tells
/// the storms where their overlays are, readies the IGU for cleaning status blocks, and cuts the doorbell
/// BAR. The slow-path queue's context has to be in `memory` before
/// ([`FunctionMemory::write_slow_path_context`]); status blocks are cleaned and given their addresses afterwards.
///
/// Runtime values that the phases before left are written too: those of the global rate limiters, which the engine's
/// first function sets, have their operations in QM_PF. With nothing run before in the same load, `scratch` has to be
/// fresh or cleared.
///
/// # Errors
///
/// [`ConfigError`]. The chip may then use `memory`.
pub fn initialize_function<H: Host>(
    core: &mut Core<H>,
    plan: &Plan,
    memory: &FunctionMemory<H::Region>,
    image: &FirmwareImage<'_>,
    scratch: &mut Scratch,
    polls: FailedPolls,
) -> Result<FunctionReports, ConfigError> {
    let layout = layout_of(image)?;
    function_runtime(&mut scratch.runtime.writer(layout), plan, memory)?;
    plan.queues.write_info(&core.windows, layout)?;
    core.dmae_self_test()?;
    let mut run = |core: &mut Core<H>, phase| {
        let id = Some(u16::from(core.identity.rel_pf));
        run_phase(core, image, scratch, phase, id, plan.modes, polls)
    };
    let function = run(core, Phase::PF)?;
    let queues = run(core, Phase::QM_PF)?;
    memory.write_overlay_addresses(core, layout)?;
    igu::BLOCK_CONFIGURATION.on(&core.windows).modify(
        block_configuration::VF_CLEANUP_EN.val(1)
            + block_configuration::PXP_TPH_INTERFACE_EN.val(0),
    );
    write_doorbell_layout(core, &plan.doorbells);
    core.windows.check()?;
    info!(
        "function initialised: {} and {} us",
        function.duration_us, queues.duration_us
    );
    Ok(FunctionReports { function, queues })
}
