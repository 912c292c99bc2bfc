//! The pulses with which driver and management firmware can show each other that they live.
//!
//! No known driver beats; the initial value is read and that is all. A management firmware must therefore not
//! miss it.

use fastlinq_pac::mfw::constants::pulse::{
    DRV_PULSE_ALWAYS_ALIVE, DRV_PULSE_SEQ_MASK, MCP_EVENT_OTHER_DRIVER_RESET_REQ,
    MCP_PULSE_ALWAYS_ALIVE, MCP_PULSE_SEQ_MASK,
};
use fastlinq_pac::mfw::public_drv_mb::offset;

use super::SectionError;
use crate::core_state::Core;
use crate::host::Host;

/// The management firmware's pulse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FirmwarePulse {
    /// Counter, 15 bits.
    pub sequence: u16,
    /// Counts as alive even when the counter stands still.
    pub always_alive: bool,
    /// Another driver asks for a reset.
    pub reset_wanted: bool,
}

/// Reads the management firmware's pulse.
///
/// # Errors
///
/// [`SectionError`].
pub fn read<H: Host>(core: &Core<H>) -> Result<FirmwarePulse, SectionError> {
    let mailbox = core.mailbox.attachment().map(|found| found.mailbox);
    let word = super::read_field(core, mailbox, offset::MCP_PULSE_MB)?;
    Ok(FirmwarePulse {
        sequence: (word & MCP_PULSE_SEQ_MASK) as u16,
        always_alive: word & MCP_PULSE_ALWAYS_ALIVE != 0,
        reset_wanted: word & MCP_EVENT_OTHER_DRIVER_RESET_REQ != 0,
    })
}

/// Beats once: raises the driver's counter, and says whether the driver is to count as always alive.
///
/// # Errors
///
/// [`SectionError`].
pub fn beat<H: Host>(core: &mut Core<H>, always_alive: bool) -> Result<u16, SectionError> {
    let Some(found) = core.mailbox.attachment_mut() else {
        return Err(SectionError::Detached);
    };
    found.pulse = found.pulse.wrapping_add(1) & DRV_PULSE_SEQ_MASK as u16;
    let alive = if always_alive {
        DRV_PULSE_ALWAYS_ALIVE
    } else {
        0
    };
    let word = u32::from(found.pulse) | alive;
    found
        .mailbox
        .write(&core.windows, offset::DRV_PULSE_MB, word);
    Ok(found.pulse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::fake::{MAILBOX, agreeable, attached, card};

    #[test]
    fn beats_count_in_15_bits() {
        let mut core = card(agreeable);
        core.card().set(MAILBOX + 0x10, 0x7ffe);
        core.identify().expect("identified");
        crate::mfw::attach(&mut core).expect("attached");
        assert_eq!(beat(&mut core, false), Ok(0x7fff));
        assert_eq!(beat(&mut core, true), Ok(0));
        assert_eq!(core.card().value(MAILBOX + 0x10), 0x8000);
    }

    #[test]
    fn the_firmware_s_pulse_is_decoded() {
        let core = attached(agreeable);
        core.card().set(MAILBOX + 0x14, 0x0001_8123);
        assert_eq!(
            read(&core),
            Ok(FirmwarePulse {
                sequence: 0x123,
                always_alive: true,
                reset_wanted: true
            })
        );
        core.card().gone = true;
        assert_eq!(read(&core), Err(SectionError::DeviceGone));
    }
}
