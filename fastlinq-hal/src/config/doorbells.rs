//! How the doorbell BAR is cut.
//!
//! In front lies the *normal* region: a doorbell of 4 bytes for each connection, at 4 times its number.
//! Behind it begins the region of doorbell pages for processes and for direct packets, which this driver does
//! not use; it is set up all the same, because the doorbell queue (DORQ) wants to know where it begins.

use fastlinq_pac::registers::dorq;
use tock_registers::interfaces::Writeable;

use super::{ConfigError, Connections};
use crate::access::FunctionIdentity;
use crate::core_state::Core;
use crate::host::{Bar, Host};

/// Bytes of a connection's doorbell.
const DOORBELL: u64 = 4;
/// Unit of the regions.
const PAGE: u64 = 4096;
/// Pages of doorbells behind the normal region that drivers insist on.
const PAGES: u64 = 4;

/// How the doorbell BAR is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DoorbellLayout {
    /// Bytes of the normal region, a multiple of 4096.
    pub normal_bytes: u64,
    /// Bytes of a doorbell page behind it.
    pub page_bytes: u64,
    /// How many such pages there are.
    pub pages: u64,
}

impl DoorbellLayout {
    /// Cuts a BAR of `bytes` bytes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::DoorbellBarTooSmall`] when it has no room for all connections and four pages.
    pub const fn new(connections: Connections, bytes: u64) -> Result<Self, ConfigError> {
        let normal_bytes = (connections.total() as u64 * DOORBELL).next_multiple_of(PAGE);
        let needed = normal_bytes + PAGES * PAGE;
        if bytes < needed {
            return Err(ConfigError::DoorbellBarTooSmall { bytes, needed });
        }
        Ok(Self {
            normal_bytes,
            page_bytes: PAGE,
            pages: (bytes - normal_bytes) / PAGE,
        })
    }

    /// Cuts the BAR of a function: as large as the chip says, and no larger than the host mapped.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of_function(
        identity: &FunctionIdentity,
        connections: Connections,
        bar: &impl Bar,
    ) -> Result<Self, ConfigError> {
        let engines = if identity.coupled { 2 } else { 1 };
        let bytes = identity.doorbell_bar_bytes.min(bar.len() as u64) / engines;
        Self::new(connections, bytes)
    }

    /// Units of 4 KiB in the normal region.
    #[must_use]
    pub const fn normal_pages(&self) -> u32 {
        (self.normal_bytes / PAGE) as u32
    }

    /// Log2 of the pages of 4 KiB in a doorbell page.
    #[must_use]
    pub const fn page_shift(&self) -> u32 {
        (self.page_bytes / PAGE).trailing_zeros()
    }
}

/// Tells the doorbell queue how the BAR is cut.
pub fn write_doorbell_layout<H: Host>(core: &Core<H>, layout: &DoorbellLayout) {
    let bus = &core.windows;
    dorq::PF_DPI_BIT_SHIFT.on(bus).set(layout.page_shift());
    // A doorbell is one dword.
    dorq::PF_ICID_BIT_SHIFT_NORM.on(bus).set(0);
    dorq::PF_MIN_ADDR_REG1.on(bus).set(layout.normal_pages());
}
