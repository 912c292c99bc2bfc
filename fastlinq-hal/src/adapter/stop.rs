//! Stopping the hardware: the registers of the way down.

use fastlinq_pac::registers::{dorq, igu, nig, pglue_b, prs, qm, tm};
use tock_registers::interfaces::Writeable;

use super::cause::Cause;
use super::running::Running;
use super::status_block;
use crate::access::Patience;
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{debug, warning};
use crate::slowpath::Attentions;

/// 10 looks, 2 ms apart, at the timers' scans.
const TIMERS: Patience = Patience::new(10, 2_000);

/// 20,000 looks, 50 µs apart: one second.
const MASTER: Patience = Patience::new(20_000, 50);

/// Closes the receive gate, the searches, the timers, the interrupts and the doorbells of the function.
///
/// Known by: source reading. A time-out of the timers is only logged, as drivers do.
pub(super) fn stop_hardware<H: Host>(
    core: &mut Core<H>,
    running: Option<&mut Running<H>>,
) -> Result<(), Cause> {
    let bus = &core.windows;
    nig::RX_LLH_BRB_GATE_DNTFWD_PERPF.on(bus).set(1);
    prs::SEARCH_TCP.on(bus).set(0);
    prs::SEARCH_UDP.on(bus).set(0);
    prs::SEARCH_FCOE.on(bus).set(0);
    prs::SEARCH_ROCE.on(bus).set(0);
    prs::SEARCH_OPENFLOW.on(bus).set(0);
    tm::PF_ENABLE_CONN.on(bus).set(0);
    tm::PF_ENABLE_TASK.on(bus).set(0);
    for scan in [
        tm::PF_SCAN_ACTIVE_CONN.address(),
        tm::PF_SCAN_ACTIVE_TASK.address(),
    ] {
        if let Err(value) = core.poll_register(scan, TIMERS, |value| value == 0) {
            warning!("the timers are still scanning: {:#x}", value);
        }
    }
    igu::PF_CONFIGURATION.on(&core.windows).set(0);
    Attentions::<H::Region>::disable(&core.windows);
    if let Some(running) = &running {
        status_block::clean(core, running.igu_status_blocks(), false);
    }
    core.host.delay_ms(1);
    dorq::PF_DB_ENABLE.on(&core.windows).set(0);
    qm::PF_EN.on(&core.windows).set(0);
    core.windows.check()?;
    if let Some(running) = running {
        running.filters.clear(core)?;
    }
    debug!("hardware stopped");
    Ok(())
}

/// Takes the function's mastership on PCI away, and waits for the chip to confirm that it starts no more DMA for the
/// function.
///
/// Known by: source reading.
///
/// # Errors
///
/// The last value of the register; all ones when the function is gone.
pub(super) fn disable_master<H: Host>(core: &mut Core<H>) -> Result<(), u32> {
    let register = pglue_b::INTERNAL_PFID_ENABLE_MASTER;
    register.on(&core.windows).set(0);
    let quiet = core
        .poll_register(register.address(), MASTER, |value| value == 0)
        .and_then(|_| core.windows.check().map_err(|_| u32::MAX));
    debug!("mastership on PCI given up, confirmed: {}", quiet.is_ok());
    quiet
}

/// Makes the function a master on PCI.
///
/// # Errors
///
/// The last value of the register.
pub(super) fn enable_master<H: Host>(core: &mut Core<H>) -> Result<(), u32> {
    let register = pglue_b::INTERNAL_PFID_ENABLE_MASTER;
    register.on(&core.windows).set(1);
    core.poll_register(register.address(), MASTER, |value| value == 1)
        .map(drop)
}
