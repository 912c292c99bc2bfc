//! The engine phase and the port phase, with what the driver does around them.

use fastlinq_pac::Chip;
use fastlinq_pac::bar::ConcreteFid;
use fastlinq_pac::init_file::Phase;
use fastlinq_pac::registers::{ccfc, pglue_b, prs, pswrq2, tcfc};
use fastlinq_pac::versions::{Layout, RuntimeId};
use tock_registers::interfaces::{Readable, Writeable};

use super::{ConfigError, Plan, cau, connections};
use crate::access::{AccessError, PretendAs};
use crate::core_state::Core;
use crate::firmware::FirmwareImage;
use crate::host::Host;
use crate::init::{FailedPolls, PhaseReport, RuntimeError, RuntimeWriter, Scratch, run_phase};
use crate::log::{info, warning};
use crate::mfw::nvm_config::MultiFunctionMode;

/// Initialises the engine, as its first function.
///
/// Sets the global windows up; has the file's engine phase load and reset everything; then lets requests of
/// all functions pass the translation, keeps the parser from searching in any function, and enables
/// connections and tasks of all virtual functions.
///
/// Runtime values from before are forgotten.
///
/// # Errors
///
/// [`ConfigError`].
pub fn initialize_engine<H: Host>(
    core: &mut Core<H>,
    plan: &Plan,
    image: &FirmwareImage<'_>,
    scratch: &mut Scratch,
    polls: FailedPolls,
) -> Result<PhaseReport, ConfigError> {
    let layout = image.layout()?;
    core.windows.set_up_global_windows();
    scratch.runtime.clear();
    let mut runtime = scratch.runtime.writer(layout);
    cau::fill(&mut runtime, &plan.status_blocks, plan.identity.rel_pf)?;
    plan.ports.fill(&mut runtime, plan.bandwidth)?;
    connections::fill_context_parameters(&mut runtime)?;
    fill_tag(&mut runtime, plan.multi_function)?;
    fill_bursts(core, &mut runtime)?;
    let report = run_phase(core, image, scratch, Phase::ENGINE, None, plan.modes, polls)?;
    pswrq2::L2P_VALIDATE_VFID.on(&core.windows).set(0);
    pglue_b::USE_CLIENTID_IN_TAG.on(&core.windows).set(1);
    if core.identity.chip == Chip::Bb {
        stop_searches(core)?;
    }
    enable_virtual_functions(core)?;
    core.windows.check()?;
    info!("engine initialised in {} us", report.duration_us);
    Ok(report)
}

/// Initialises the port, as its first function.
///
/// Opens the port's gate between network interface and receive buffer, runs the file's port phase, and
/// switches the padding of writes off.
///
/// Runtime values that the engine phase left wait for the phases that write them.
///
/// # Errors
///
/// [`ConfigError`].
pub fn initialize_port<H: Host>(
    core: &mut Core<H>,
    plan: &Plan,
    image: &FirmwareImage<'_>,
    scratch: &mut Scratch,
    polls: FailedPolls,
) -> Result<PhaseReport, ConfigError> {
    let layout = image.layout()?;
    let mut runtime = scratch.runtime.writer(layout);
    runtime.set(RuntimeId::NIG_REG_BRB_GATE_DNTFWD_PORT, 0)?;
    if let Some(ethertype) = tag_ethertype(plan.multi_function) {
        runtime.set(RuntimeId::DORQ_REG_TAG1_ETHERTYPE, ethertype)?;
    }
    let port = u16::from(core.identity.port);
    let report = run_phase(
        core,
        image,
        scratch,
        Phase::PORT,
        Some(port),
        plan.modes,
        polls,
    )?;
    pglue_b::MASTER_WRITE_PAD_ENABLE.on(&core.windows).set(0);
    info!("port {} initialised", port);
    Ok(report)
}

/// Ethertype of the outer tag, where the mode has one of its own.
const fn tag_ethertype(multi_function: MultiFunctionMode) -> Option<u32> {
    match multi_function {
        MultiFunctionMode::UnifiedFabric => Some(0x8100),
        MultiFunctionMode::ProviderVlan => Some(0x88a8),
        _ => None,
    }
}

fn fill_tag(
    runtime: &mut RuntimeWriter<'_>,
    multi_function: MultiFunctionMode,
) -> Result<(), RuntimeError> {
    if let Some(ethertype) = tag_ethertype(multi_function) {
        runtime.set(RuntimeId::PRS_REG_TAG_ETHERTYPE_0, ethertype)?;
        runtime.set(RuntimeId::NIG_REG_TAG_ETHERTYPE_0, ethertype)?;
        runtime.set(RuntimeId::PBF_REG_TAG_ETHERTYPE_0, ethertype)?;
    }
    Ok(())
}

/// Stores the host's cache line, to which the chip aligns; 64 bytes, which every write burst holds.
///
/// A burst size that nothing documents leaves the alignment as it is, as drivers do.
fn fill_bursts<H: Host>(
    core: &Core<H>,
    runtime: &mut RuntimeWriter<'_>,
) -> Result<(), ConfigError> {
    /// Code for lines of 64 bytes.
    const LINE_64: u32 = 1;
    /// Codes of 128, 256 and 512 bytes.
    const KNOWN: core::ops::RangeInclusive<u32> = 0..=2;
    let burst = pswrq2::WR_MBS0.on(&core.windows).get();
    if core.windows.is_gone(burst) {
        return Err(AccessError::DeviceGone.into());
    }
    if !KNOWN.contains(&burst) {
        warning!(
            "write bursts of unknown size {:#x}; no alignment is set",
            burst
        );
        return Ok(());
    }
    runtime.set(RuntimeId::PGLUE_REG_B_CACHE_LINE_SIZE, LINE_64)?;
    runtime.set(RuntimeId::PSWRQ2_REG_DRAM_ALIGN_WR, LINE_64)?;
    runtime.set(RuntimeId::PSWRQ2_REG_DRAM_ALIGN_RD, LINE_64)?;
    Ok(())
}

/// Keeps the parser from searching for connections in any function of the engine.
fn stop_searches<H: Host>(core: &Core<H>) -> Result<(), AccessError> {
    let mut window = core.windows.acquire()?;
    for function in 0..core.identity.chip.limits().pfs_per_engine {
        let other = window.pretend(PretendAs::Function(ConcreteFid::pf(function)));
        prs::SEARCH_ROCE.on(&other).set(0);
        prs::SEARCH_TCP.on(&other).set(0);
    }
    Ok(())
}

/// Enables connections and tasks of all virtual functions: strongly, not weakly.
fn enable_virtual_functions<H: Host>(core: &Core<H>) -> Result<(), AccessError> {
    let mut window = core.windows.acquire()?;
    for vf in 0..core.identity.chip.limits().vfs {
        let fid = ConcreteFid::vf(core.identity.rel_pf, vf as u8);
        let other = window.pretend(PretendAs::Function(fid));
        ccfc::STRONG_ENABLE_VF.on(&other).set(1);
        ccfc::WEAK_ENABLE_VF.on(&other).set(0);
        tcfc::STRONG_ENABLE_VF.on(&other).set(1);
        tcfc::WEAK_ENABLE_VF.on(&other).set(0);
    }
    Ok(())
}

/// A layout that is known not to lack anything; see [`Plan::check_layout`].
pub(super) fn layout_of(image: &FirmwareImage<'_>) -> Result<&'static Layout, ConfigError> {
    let layout = image.layout()?;
    Plan::check_layout(layout)?;
    Ok(layout)
}
