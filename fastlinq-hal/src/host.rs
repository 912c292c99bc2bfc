//! What a host supplies: a BAR, DMA memory, time, and, if it likes, interrupts.
//!
//! Linux userspace, a kernel, a bare-metal program and the software adapter are four implementations
//! of the same small traits. The crates are generic over [`Host`], so a doorbell is one store.
//!
//! # Writing a host
//!
//! * [`Bar`]: BAR0 is mapped uncached. BAR2 (doorbells) may be mapped write-combining if
//!   [`Bar::write_barrier`] pushes the buffers. Never make a reference to a BAR: raw pointers and
//!   volatile accesses only.
//! * [`DmaAllocator`]: zeroed memory, coherent with the device, whose bus address is what the device
//!   must use (behind an IOMMU: the I/O virtual address).
//! * [`Clock`] and [`DelayNs`](embedded_hal::delay::DelayNs): a monotonic clock, and waits that take at
//!   least as long as asked for. A wait may sleep; nothing on the data path waits.

use core::fmt;
use core::sync::atomic::{Ordering, fence};

pub use crate::dma::DmaRegion;

/// A memory BAR of the adapter; clones are handles to the same BAR.
///
/// Offsets are in bytes, aligned to the width of the access, and the access lies inside the BAR; the
/// crates check that against [`len`](Self::len) before they call. Values are in the CPU's byte order
/// and little-endian on the bus. Accesses reach the device in program order.
pub trait Bar: Clone {
    /// Bytes of the BAR.
    fn len(&self) -> usize;

    /// Whether the BAR has no bytes, as when the platform did not assign it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads a dword; all ones when the device does not answer.
    fn read32(&self, offset: usize) -> u32;

    /// Writes a dword.
    fn write32(&self, offset: usize, value: u32);

    /// Writes a word.
    fn write16(&self, offset: usize, value: u16);

    /// Makes earlier stores to DMA memory visible to the device before later writes to this BAR, and
    /// pushes write-combining buffers out.
    ///
    /// The default is enough where stores to an uncached BAR are not reordered with earlier stores
    /// (x86 with an uncached mapping). Others need their barrier instruction here.
    fn write_barrier(&self) {
        fence(Ordering::Release);
    }
}

/// Why a host gave no DMA memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AllocationError {
    /// Bytes asked for.
    pub size: usize,
    /// Alignment asked for in bytes, of the bus address too.
    pub align: usize,
}

impl fmt::Display for AllocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the host has no {} bytes of DMA memory aligned to {}",
            self.size, self.align
        )
    }
}

impl core::error::Error for AllocationError {}

/// Hands DMA memory out.
pub trait DmaAllocator {
    /// A piece of DMA memory; returned to the host when dropped.
    type Region: DmaRegion;

    /// Allocates `size` zeroed bytes whose bus address is a multiple of `align` (a power of two).
    ///
    /// # Errors
    ///
    /// [`AllocationError`] when the host has no such memory.
    fn allocate(&mut self, size: usize, align: usize) -> Result<Self::Region, AllocationError>;
}

/// A clock that never goes back.
pub trait Clock {
    /// Microseconds since some fixed moment.
    fn now_us(&self) -> u64;
}

/// Who the adapter is on PCI, from configuration space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PciIdentity {
    /// Vendor id; 0x1077 for every FastLinQ adapter.
    pub vendor: u16,
    /// Device id; the high byte tells the chip.
    pub device: u16,
    /// Revision id; 0xff when the function is gone from the bus.
    pub revision: u8,
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem device id.
    pub subsystem: u16,
}

/// Everything the driver needs from where it runs.
pub trait Host: DmaAllocator + Clock + embedded_hal::delay::DelayNs {
    /// How this host reaches a BAR.
    type Bar: Bar;

    /// BAR0: register windows.
    fn registers(&self) -> Self::Bar;

    /// BAR2: doorbells.
    fn doorbells(&self) -> Self::Bar;

    /// The adapter's identity, from configuration space.
    fn identity(&self) -> PciIdentity;

    /// Number of MSI-X vectors that the host has set up; 0 when the driver is to poll.
    fn interrupt_vectors(&self) -> u16 {
        0
    }
}
