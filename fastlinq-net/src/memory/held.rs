//! A DMA region that is not returned to the host while the device may write to it.

use fastlinq_hal::dma::DmaRegion;

use crate::log::warning;

/// Drops its region only when the device is known to have let go of it.
#[derive(Debug)]
pub(crate) struct Held<R: DmaRegion> {
    region: Option<R>,
    device_has_it: bool,
}

impl<R: DmaRegion> Held<R> {
    pub(crate) const fn new(region: R) -> Self {
        Self {
            region: Some(region),
            device_has_it: false,
        }
    }

    /// From now on the region is leaked rather than freed.
    pub(crate) fn give_to_device(&mut self) {
        self.device_has_it = true;
    }

    /// The device has confirmed that it is done.
    pub(crate) fn take_from_device(&mut self) {
        self.device_has_it = false;
    }

    /// Bytes of the region.
    pub(crate) fn len(&self) -> usize {
        self.region.as_ref().map_or(0, DmaRegion::len)
    }
}

impl<R: DmaRegion> Drop for Held<R> {
    fn drop(&mut self) {
        if self.device_has_it {
            warning!("{} bytes stay with the device for good", self.len());
            core::mem::forget(self.region.take());
        }
    }
}
