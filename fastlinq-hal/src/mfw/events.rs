//! The event mailbox: what the management firmware has to say on its own.
//!
//! Each kind of event has an 8-bit counter in shared memory. When one moves, the firmware raises attention
//! line 8 of the function; the driver compares the counters with what it saw last, handles the differences,
//! writes the counters back as acknowledgement, and lowers the attention.

use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::mfw::{EventId, attention_register, public_mfw_mb::offset};

use super::attach::Attachment;
use super::{Element, SectionError};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{debug, info};

/// Most dwords of event counters that the driver keeps; four events each.
pub const MAX_EVENT_DWORDS: usize = 16;

/// Something that the management firmware reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MfwEvent {
    /// The link changed.
    LinkChange,
    /// A VF was reset; its resources have to be cleaned.
    VfDisabled,
    /// Something about LLDP or DCBX changed.
    DataCenterBridging,
    /// All drivers of the card must recover.
    ErrorRecovery,
    /// The function's bandwidth changed.
    Bandwidth,
    /// The function's outer VLAN tag changed.
    OuterVlan,
    /// The management firmware wants statistics: 1 LAN, 2 FCoE, 3 iSCSI, 4 RDMA.
    StatisticsWanted(u8),
    /// A failure on the board, such as a fan.
    Failure,
    /// The module changed.
    Module,
    /// A critical error that the management firmware has logged.
    CriticalError,
    /// The module's transmitter failed, or it lost its signal.
    ModuleFault,
    /// An event that this driver does nothing about; its number.
    Other(u8),
}

impl MfwEvent {
    const fn decode(number: u8) -> Self {
        match EventId(number) {
            EventId::LINK_CHANGE => Self::LinkChange,
            EventId::VF_DISABLED => Self::VfDisabled,
            EventId::LLDP_DATA_UPDATED
            | EventId::DCBX_REMOTE_MIB_UPDATED
            | EventId::DCBX_OPERATIONAL_MIB_UPDATED
            | EventId::DCBX_ADMIN_CFG_APPLIED => Self::DataCenterBridging,
            EventId::ERROR_RECOVERY => Self::ErrorRecovery,
            EventId::BW_UPDATE => Self::Bandwidth,
            EventId::S_TAG_UPDATE => Self::OuterVlan,
            EventId::GET_LAN_STATS => Self::StatisticsWanted(1),
            EventId::GET_FCOE_STATS => Self::StatisticsWanted(2),
            EventId::GET_ISCSI_STATS => Self::StatisticsWanted(3),
            EventId::GET_RDMA_STATS => Self::StatisticsWanted(4),
            EventId::FAILURE_DETECTED => Self::Failure,
            EventId::TRANSCEIVER_STATE_CHANGE => Self::Module,
            EventId::CRITICAL_ERROR_OCCURRED => Self::CriticalError,
            EventId::XCVR_TX_FAULT | EventId::XCVR_RX_LOS => Self::ModuleFault,
            EventId(other) => Self::Other(other),
        }
    }
}

/// The event counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters([u32; MAX_EVENT_DWORDS]);

impl Counters {
    pub(super) fn read(bus: &impl RegisterBus, events: Element, dwords: usize) -> Self {
        let mut counters = Self::default();
        let kept = counters.0.get_mut(..dwords).unwrap_or_default();
        events.read_all(bus, offset::MSG, kept);
        counters
    }

    fn counter(&self, number: u8) -> u8 {
        let dword = self.0.get(usize::from(number / 4)).copied().unwrap_or(0);
        // Event 0 is in the most significant byte.
        (dword >> (24 - 8 * u32::from(number % 4))) as u8
    }
}

/// Events since the driver last looked: an iterator.
#[derive(Clone, Debug)]
pub struct Events {
    before: Counters,
    now: Counters,
    next: u8,
    count: u8,
}

impl Events {
    /// How often event `number` occurred since the driver last looked, modulo 256.
    #[must_use]
    pub fn occurrences(&self, number: EventId) -> u8 {
        if number.0 >= self.count {
            return 0;
        }
        self.now
            .counter(number.0)
            .wrapping_sub(self.before.counter(number.0))
    }

    /// Whether nothing occurred.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clone().next().is_none()
    }
}

impl Iterator for Events {
    type Item = MfwEvent;

    /// The next kind of event that occurred at least once.
    fn next(&mut self) -> Option<MfwEvent> {
        while self.next < self.count {
            let number = self.next;
            self.next += 1;
            if self.occurrences(EventId(number)) != 0 {
                return Some(MfwEvent::decode(number));
            }
        }
        None
    }
}

/// Takes the counters as they are for seen, as right behind LOAD_REQ; attaching does it too.
///
/// # Errors
///
/// [`SectionError`].
pub fn settle<H: Host>(core: &mut Core<H>) -> Result<(), SectionError> {
    take(core).map(|_| ())
}

/// Looks for events, acknowledges them, and lowers the function's attention.
///
/// # Errors
///
/// [`SectionError`]; the counters that the driver keeps are not changed then.
pub fn poll<H: Host>(core: &mut Core<H>) -> Result<Events, SectionError> {
    let (before, now, count) = take(core)?;
    let events = Events {
        before,
        now,
        next: 0,
        count,
    };
    core.windows
        .write32(attention_register(core.identity.rel_pf), 0);
    if events.is_empty() {
        debug!("no event of the management firmware");
    } else {
        for event in 0..count {
            if events.occurrences(EventId(event)) != 0 {
                info!(
                    "management firmware event {} ({})",
                    event,
                    EventId(event).name().unwrap_or("?")
                );
            }
        }
    }
    Ok(events)
}

/// Reads and acknowledges the counters; gives the old ones, the new ones and the number of events.
fn take<H: Host>(core: &mut Core<H>) -> Result<(Counters, Counters, u8), SectionError> {
    let windows = &core.windows;
    let Some(found) = core.mailbox.attachment_mut() else {
        return Err(SectionError::Detached);
    };
    let dwords = dwords(found);
    let now = Counters::read(windows, found.events, dwords);
    windows.check().map_err(|_| SectionError::DeviceGone)?;
    let acknowledge = offset::MSG + dwords as u32 * 4;
    for (index, dword) in now.0.iter().take(dwords).enumerate() {
        found
            .events
            .write(windows, acknowledge + index as u32 * 4, *dword);
    }
    let before = core::mem::replace(&mut found.counters, now);
    let count = found.event_count.min(MAX_EVENT_DWORDS as u16 * 4) as u8;
    Ok((before, now, count))
}

fn dwords(found: &Attachment) -> usize {
    usize::from(found.event_count)
        .div_ceil(4)
        .min(MAX_EVENT_DWORDS)
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
