//! Finding the management firmware's shared memory.

use core::fmt;

use embedded_hal::delay::DelayNs;
use fastlinq_pac::GrcAddress;
use fastlinq_pac::mfw::{
    MailboxHeader, PublicSection, SHARED_MEMORY_BASE, UNION_SIZE, constants::common::GLOB_PORT_MAX,
    public_drv_mb, public_func, public_global, public_mfw_mb, public_port,
};
use fastlinq_pac::registers::{misc, miscs};
use tock_registers::interfaces::Readable;

use super::events::{Counters, MAX_EVENT_DWORDS};
use super::{Element, SharedMemory};
use crate::access::{FunctionIdentity, Patience, Windows, poll};
use crate::core_state::Core;
use crate::host::{Bar, Host};
use crate::log::{debug, info};

/// 20 looks, 50 ms apart, for a management firmware that is still booting.
const BOOT: Patience = Patience::new(20, 50_000);

/// Why the driver cannot talk to the management firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// The function answers every read with all ones.
    DeviceGone,
    /// No management firmware runs: the register of its shared memory is 0.
    Absent,
    /// The shared memory would be outside of the scratchpad.
    BadPublicBase {
        /// Address that the register gives.
        address: u32,
    },
    /// The section table claims an impossible number of sections.
    BadSectionCount {
        /// Where it does.
        at: GrcAddress,
        /// Number that it claims.
        count: u32,
    },
    /// A section is too short, or the function's element of it leaves the scratchpad.
    BadSection {
        /// Section.
        section: PublicSection,
        /// Where its word in the table is.
        at: GrcAddress,
        /// That word.
        word: u32,
        /// Element that is needed.
        index: u8,
    },
    /// The management firmware was still booting after a second: its number of kinds of event stayed 0.
    StillBooting {
        /// Where that number is.
        at: GrcAddress,
    },
    /// The event mailbox announces more messages than it has room for.
    BadEventCount {
        /// Where it does.
        at: GrcAddress,
        /// Messages that it announces.
        messages: u16,
    },
    /// The number of ports of the card is impossible.
    BadPortCount {
        /// Where the number is.
        at: GrcAddress,
        /// Number in the global section.
        count: u32,
    },
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DeviceGone => f.write_str("the function answers every read with all ones"),
            Self::Absent => write!(
                f,
                "no management firmware is running (register {} reads 0)",
                misc::SHARED_MEM_ADDR.address()
            ),
            Self::BadPublicBase { address } => write!(
                f,
                "the management firmware places its shared memory at {address:#x}, outside of the scratchpad"
            ),
            Self::BadSectionCount { at, count } => write!(
                f,
                "the management firmware announces {count:#x} shared-memory sections at {at}"
            ),
            Self::BadSection {
                section,
                word,
                index,
                ..
            } => write!(
                f,
                "element {index} of the management firmware's section {} (word {word:#010x}) cannot be",
                section.name().unwrap_or("?")
            ),
            Self::StillBooting { at } => write!(
                f,
                "the management firmware was still booting after a second (its word at {at} stayed 0)"
            ),
            Self::BadEventCount { at, messages } => write!(
                f,
                "the management firmware announces {messages:#x} kinds of event at {at}, more than fit"
            ),
            Self::BadPortCount { at, count } => write!(
                f,
                "the management firmware says at {at} that the card has {count:#x} ports"
            ),
        }
    }
}

impl core::error::Error for AttachError {}

impl AttachError {
    /// The register, or the word of the shared memory, that was read and was wrong; `None` for a device that is gone,
    /// which is wrong everywhere.
    #[must_use]
    pub fn register(&self) -> Option<GrcAddress> {
        match *self {
            Self::DeviceGone => None,
            Self::Absent | Self::BadPublicBase { .. } => Some(misc::SHARED_MEM_ADDR.address()),
            Self::BadSectionCount { at, .. }
            | Self::BadSection { at, .. }
            | Self::StillBooting { at }
            | Self::BadEventCount { at, .. }
            | Self::BadPortCount { at, .. } => Some(at),
        }
    }

    /// What was read there; all ones for a device that is gone.
    #[must_use]
    pub fn raw_value(&self) -> u32 {
        match *self {
            Self::DeviceGone => u32::MAX,
            Self::Absent | Self::StillBooting { .. } => 0,
            Self::BadPublicBase { address } => address,
            Self::BadSectionCount { count, .. } | Self::BadPortCount { count, .. } => count,
            Self::BadSection { word, .. } => word,
            Self::BadEventCount { messages, .. } => messages.into(),
        }
    }
}

/// Where everything of this function is in the shared memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attachment {
    pub(crate) memory: SharedMemory,
    pub(crate) mailbox: Element,
    pub(crate) events: Element,
    pub(crate) event_count: u16,
    pub(crate) global: Element,
    pub(crate) path: Option<Element>,
    pub(crate) port: Element,
    pub(crate) function: Element,
    pub(crate) ports: u8,
    pub(crate) sequence: u16,
    pub(crate) pulse: u16,
    pub(crate) restarts: u32,
    pub(crate) counters: Counters,
}

/// Finds the shared memory and the mailbox of this function.
///
/// Reads the shared-memory register 0x8c20, the section table, the number of events (waiting up to a second
/// for a firmware that is still booting), the mailbox's sequence number, the restart counter 0x96d4, and the
/// number of ports.
pub(crate) fn discover<B: Bar>(
    windows: &Windows<B>,
    delay: &mut impl DelayNs,
    identity: &FunctionIdentity,
) -> Result<Attachment, AttachError> {
    let found = look(windows, delay, identity);
    if windows.check().is_err() {
        return Err(AttachError::DeviceGone);
    }
    found
}

fn look<B: Bar>(
    windows: &Windows<B>,
    delay: &mut impl DelayNs,
    identity: &FunctionIdentity,
) -> Result<Attachment, AttachError> {
    let public = misc::SHARED_MEM_ADDR.on(windows).get();
    if public == 0 {
        return Err(AttachError::Absent);
    }
    let memory = SharedMemory::read(windows, public | SHARED_MEMORY_BASE)?;
    let pf = identity.mcp_pf;

    let needed = public_mfw_mb::offset::MSG;
    let events = memory.require(PublicSection::MFW_MB, pf, needed)?;
    let at = events.place(public_mfw_mb::offset::SUP_MSGS);
    let event_count = poll(delay, BOOT, || {
        match events.read_or_zero(windows, public_mfw_mb::offset::SUP_MSGS) as u16 {
            0 => None,
            count => Some(count),
        }
    })
    .ok_or(AttachError::StillBooting { at })?;
    let dwords = u32::from(event_count).div_ceil(4);
    if dwords > MAX_EVENT_DWORDS as u32 || public_mfw_mb::offset::MSG + dwords * 8 > events.len() {
        return Err(AttachError::BadEventCount {
            at,
            messages: event_count,
        });
    }

    let needed = public_drv_mb::offset::UNION_DATA + UNION_SIZE as u32;
    let mailbox = memory.require(PublicSection::DRV_MB, pf, needed)?;
    let global = memory.require(
        PublicSection::GLOBAL,
        0,
        public_global::offset::MAX_PORTS + 4,
    )?;
    let count = global.read_or_zero(windows, public_global::offset::MAX_PORTS);
    let ports = match u8::try_from(count) {
        Ok(ports) if ports != 0 && count <= GLOB_PORT_MAX => ports,
        _ => {
            return Err(AttachError::BadPortCount {
                at: global.place(public_global::offset::MAX_PORTS),
                count,
            });
        }
    };
    let port = memory.require(
        PublicSection::PORT,
        if identity.coupled {
            0
        } else {
            identity.abs_pf % ports
        },
        public_port::offset::LINK_STATUS + 4,
    )?;
    let function = memory.require(PublicSection::FUNC, pf, public_func::offset::MAC_LOWER + 4)?;
    let header = mailbox.read_or_zero(windows, public_drv_mb::offset::DRV_MB_HEADER);
    let pulse = mailbox.read_or_zero(windows, public_drv_mb::offset::DRV_PULSE_MB);
    Ok(Attachment {
        memory,
        mailbox,
        events,
        event_count,
        global,
        path: memory.element(PublicSection::PATH, identity.path),
        port,
        function,
        ports,
        sequence: MailboxHeader(header).sequence(),
        pulse: pulse as u16 & 0x7fff,
        restarts: miscs::GENERIC_POR_0.on(windows).get(),
        counters: Counters::read(windows, events, dwords as usize),
    })
}

/// Attaches to the management firmware: finds its shared memory and readies the mailbox.
///
/// Must follow [`Core::identify`]. On failure the mailbox is detached, whatever it was before.
///
/// # Errors
///
/// [`AttachError`].
pub fn attach<H: Host>(core: &mut Core<H>) -> Result<(), AttachError> {
    core.mailbox.detach();
    let attachment = discover(&core.windows, &mut core.host, &core.identity)?;
    core.mailbox.attach_to(attachment);
    super::info::read_version(core);
    info!(
        "management firmware {}.{}.{}.{}; ports of the card: {}",
        core.mfw.version.part(3),
        core.mfw.version.part(2),
        core.mfw.version.part(1),
        core.mfw.version.part(0),
        attachment.ports
    );
    debug!(
        "shared memory at {:#x}, mailbox at {:#x}, {} kinds of event, sequence {}",
        attachment.memory.base().value(),
        attachment.mailbox.address().value(),
        attachment.event_count,
        attachment.sequence
    );
    Ok(())
}

#[cfg(test)]
#[path = "attach_tests.rs"]
mod tests;
