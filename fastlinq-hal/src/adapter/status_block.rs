//! Status blocks: where the CAU writes them, and how long it may wait.

use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::bar::igu as igu_command;
use fastlinq_pac::registers::{cau, igu};
use fastlinq_pac::{BusAddress, GrcAddress};
use tock_registers::interfaces::Writeable;

use crate::access::{DmaeError, Patience};
use crate::core_state::Core;
use crate::host::{Bar, Host};
use crate::log::warning;
use crate::queue::{Coalescing, RECEIVE_PROTOCOL_INDEX, TRANSMIT_PROTOCOL_INDEX};

/// Protocol indices of a status block.
pub(super) const PROTOCOL_INDICES: u32 = 12;

/// Time set of a status block as a whole: the longest.
const LONGEST: u32 = 0x7f;
/// State of a coalescing timer that is on, and of one that is off.
const TIMER_ON: u32 = 0;
const TIMER_OFF: u32 = 4;

/// State bits of both timers: off when nothing is to wait.
pub(super) fn timer_states(coalescing: Coalescing) -> u32 {
    let state = if coalescing == Coalescing::IMMEDIATE {
        TIMER_OFF
    } else {
        TIMER_ON
    };
    state << 24 | state << 28
}

/// Tells the CAU where a status block is and how its indices are coalesced; without coalescing every update is written at
/// once.
///
/// Address and variables are lines of 64 bits and go by DMAE; the protocol indices are plain registers.
///
/// Known by: source reading; the model.
pub(super) fn program<H: Host>(
    core: &mut Core<H>,
    status_block: u16,
    address: BusAddress,
    coalescing: Option<Coalescing>,
) -> Result<(), DmaeError> {
    let line = 8 * u32::from(status_block);
    let timer = |us| Coalescing::timer(us).unwrap_or((0, 0));
    let (receive_us, transmit_us) = coalescing.map_or((0, 0), |coalescing| {
        (coalescing.receive_us, coalescing.transmit_us)
    });
    let (receive_resolution, receive_set) = timer(receive_us);
    let (transmit_resolution, transmit_set) = timer(transmit_us);
    let variables = [
        timer_states(coalescing.unwrap_or(Coalescing::IMMEDIATE)),
        LONGEST
            | LONGEST << 7
            | u32::from(receive_resolution) << 14
            | u32::from(transmit_resolution) << 16
            | u32::from(core.identity.rel_pf) << 27,
    ];
    core.dmae_write(cau::SB_VAR_MEMORY.address().offset(line), &variables)?;
    core.dmae_write(
        cau::SB_ADDR_MEMORY.address().offset(line),
        &[address.low(), address.high()],
    )?;
    for index in 0..PROTOCOL_INDICES {
        let entry = match index as u8 {
            RECEIVE_PROTOCOL_INDEX => u32::from(receive_set) << 16,
            TRANSMIT_PROTOCOL_INDEX => u32::from(transmit_set) << 16 | 1 << 23,
            _ => 0,
        };
        core.windows
            .write32(protocol_index(status_block, index), entry);
    }
    Ok(())
}

/// 1000 looks, 5 ms apart, at a cleanup; 1000 looks, 10 µs apart, at the writes behind it.
const CLEANUP: Patience = Patience::new(1000, 5_000);
const PENDING: Patience = Patience::new(1000, 10);

/// Cleans a status block in the IGU: `set` drops what is pending, otherwise the block is readied again. Its protocol
/// indices are zeroed after the second.
///
/// Known by: source reading. A time-out is logged and passed over, as drivers do; but behind the first one, nobody waits
/// any more.
pub(super) fn clean<H: Host>(
    core: &mut Core<H>,
    status_blocks: impl Iterator<Item = u16>,
    set: bool,
) {
    let mut patient = true;
    for status_block in status_blocks {
        patient = clean_one(core, status_block, set, patient);
    }
}

/// Whether the IGU did it in time.
fn clean_one<H: Host>(core: &mut Core<H>, status_block: u16, set: bool, patient: bool) -> bool {
    const CLEANUP_COMMAND: u32 = 1 << 31;
    const CLEANUP_SET: u32 = 1 << 27;
    const WRITE: u32 = 1 << 31;
    let set_bit = if set { CLEANUP_SET } else { 0 };
    let command = u32::from(igu_command::INT_ACK_BASE) + u32::from(status_block);
    let opaque = u32::from(core.identity.opaque_fid);
    igu::COMMAND_REG_32LSB_DATA
        .on(&core.windows)
        .set(CLEANUP_COMMAND | set_bit);
    core.windows.bar().write_barrier();
    igu::COMMAND_REG_CTRL
        .on(&core.windows)
        .set(opaque | command << 16 | WRITE);

    let (dword, bit) = (u32::from(status_block) / 32, u32::from(status_block) % 32);
    let status = igu::CLEANUP_STATUS_0.address().offset(4 * dword);
    let wanted = u32::from(set);
    let within = |patience| {
        if patient {
            patience
        } else {
            Patience::new(1, 0)
        }
    };
    let cleaned = core
        .poll_register(status, within(CLEANUP), |value| value >> bit & 1 == wanted)
        .is_ok();
    if !cleaned {
        warning!("status block {} was not cleaned", status_block);
    }
    if set {
        return patient && cleaned;
    }
    let pending = igu::WRITE_DONE_PENDING.address().offset(4 * dword);
    let written = core
        .poll_register(pending, within(PENDING), |value| value >> bit & 1 == 0)
        .is_ok();
    if !written {
        warning!("status block {} is still being written", status_block);
    }
    for index in 0..PROTOCOL_INDICES {
        core.windows.write32(protocol_index(status_block, index), 0);
    }
    patient && cleaned && written
}

fn protocol_index(status_block: u16, index: u32) -> GrcAddress {
    cau::PI_MEMORY
        .address()
        .offset(4 * (PROTOCOL_INDICES * u32::from(status_block) + index))
}
