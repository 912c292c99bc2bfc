//! DMA memory that is given back, or not.

use crate::dma::{DmaBuffer, DmaRegion};

/// DMA memory that was not returned to the host because the device did not confirm that it no longer writes to it.
///
/// The memory stays allocated for good; that is on purpose. A count of 0 is the normal case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LeakReport {
    /// Number of regions.
    pub regions: u32,
    /// Their size in bytes.
    pub bytes: u64,
}

impl LeakReport {
    /// Whether all memory was returned.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.regions == 0
    }

    /// Adds another report.
    pub fn add(&mut self, other: Self) {
        self.regions = self.regions.saturating_add(other.regions);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Returns a buffer to the host when the device is `quiet`, else keeps it allocated and counts it.
    pub(crate) fn release<R: DmaRegion>(&mut self, buffer: DmaBuffer<R>, quiet: bool) {
        if quiet {
            drop(buffer);
        } else {
            self.regions = self.regions.saturating_add(1);
            self.bytes = self.bytes.saturating_add(buffer.leak() as u64);
        }
    }
}
