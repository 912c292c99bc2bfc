//! What a host supplies: a BAR, DMA memory, time, and, if it likes, interrupts.
//!
//! Linux userspace, a kernel, a bare-metal program and the software adapter are four implementations
//! of the same small traits. The crates are generic over [`Host`], so a doorbell is one store.
//!
//! # Writing a host
//!
//! | what | how | may it block? |
//! |---|---|---|
//! | [`Bar`] for BAR0 (registers) | mapped uncached; raw pointers and volatile accesses of exactly the width asked for, never a reference to the BAR | no |
//! | [`Bar`] for BAR2 (doorbells) | mapped uncached, or write-combining if [`Bar::write_barrier`] pushes the buffers | no |
//! | [`DmaAllocator`] | zeroed memory, coherent with the device; the bus address is what the device must use (behind an IOMMU the I/O virtual address) | yes: called only while states change |
//! | [`Clock`] | monotonic microseconds | no |
//! | [`DelayNs`](embedded_hal::delay::DelayNs) | at least as long as asked for; sleep when it is long | yes; nothing on the data path waits |
//! | interrupts | optional: the host arms MSI-X, says how many vectors there are, and calls the adapter or a queue when one fires | |
//!
//! Before it hands the function over the host enables memory space and bus mastering, and sets the function's DMA
//! to what its addresses need (the device takes 64 bits). It leaves the PCI configuration alone afterwards.
//!
//! **Order.** Accesses to one BAR reach the device in program order. Before a doorbell, and before anything else that
//! makes the device read memory that the CPU has just written, the crates call [`Bar::write_barrier`] on the BAR of
//! the doorbell. After the device's index was read the crates call [`dma::read_barrier`](crate::dma::read_barrier); a
//! platform whose DMA is not coherent with the CPU's caches cannot be a host.
//!
//! **Loss.** When the device is gone, reads give all ones, as PCI does. A host that learns of it by an error gives all
//! ones too, and drops writes.
//!
//! **Memory.** A region is dropped when the device has confirmed that it no longer uses it. Otherwise it is never
//! dropped, on purpose: the host must not return it by other means while the function may still master the bus.
//!
//! **Help.** Much of it is there already:
//!
//! | what | for | instead of |
//! |---|---|---|
//! | [`MmioBar`] | BARs that the CPU reaches by loads and stores | `Bar`, barriers of x86-64, arm64 and RISC-V included |
//! | [`DmaPool`] | memory that is set aside for the device | an allocator of DMA memory |
//! | [`spin_ns`] | machines on which nothing else runs meanwhile | a timer |
//!
//! A whole host, with a device that nobody plugged in:
//!
//! ```
//! use std::{alloc, ptr::NonNull};
//! use fastlinq_hal::access::AccessError;
//! use fastlinq_hal::core_state::Core;
//! use fastlinq_hal::host::{
//!     AllocationError, Caching, Clock, DmaAllocator, DmaPool, Host, MmioBar, PciIdentity, PoolRegion, spin_ns,
//! };
//! use fastlinq_pac::BusAddress;
//!
//! /// A board without an IOMMU and with coherent memory: bus addresses are CPU addresses.
//! struct Board {
//!     registers: MmioBar,
//!     doorbells: MmioBar,
//!     pool: &'static DmaPool<1024>,
//! }
//!
//! impl DmaAllocator for Board {
//!     type Region = PoolRegion<1024>;
//!     fn allocate(&mut self, size: usize, align: usize) -> Result<Self::Region, AllocationError> {
//!         self.pool.allocate(size, align)
//!     }
//! }
//!
//! impl Clock for Board {
//!     fn now_us(&self) -> u64 {
//!         std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_micros() as u64)
//!     }
//! }
//!
//! impl embedded_hal::delay::DelayNs for Board {
//!     fn delay_ns(&mut self, ns: u32) {
//!         spin_ns(self, ns);
//!     }
//! }
//!
//! impl Host for Board {
//!     type Bar = MmioBar;
//!     fn registers(&self) -> MmioBar {
//!         self.registers
//!     }
//!     fn doorbells(&self) -> MmioBar {
//!         self.doorbells
//!     }
//!     fn identity(&self) -> PciIdentity {
//!         PciIdentity { vendor: 0x1077, device: 0x8070, revision: 2, ..PciIdentity::default() }
//!     }
//! }
//!
//! // An empty slot reads as all ones.
//! let slot = vec![u32::MAX; 0x8_0000 / 4].leak();
//! // SAFETY: the memory is leaked, and used by nothing else.
//! let bar = unsafe { MmioBar::new(NonNull::from(slot).cast(), 0x8_0000, Caching::Uncached) };
//! let layout = alloc::Layout::from_size_align(1024 * 4096, 1 << 20).unwrap();
//! // SAFETY: the layout has a size.
//! let memory = NonNull::new(unsafe { alloc::alloc(layout) }).unwrap();
//! // SAFETY: the memory is given away for ever.
//! let pool = unsafe { DmaPool::new(memory, BusAddress(memory.as_ptr() as u64)) };
//! let pool = Box::leak(Box::new(pool));
//! let mut core = Core::new(Board { registers: bar, doorbells: bar, pool });
//! assert_eq!(core.identify(), Err(AccessError::DeviceGone));
//! ```

use core::fmt;

pub use crate::dma::DmaRegion;

pub mod conformance;
mod mmio;
mod pool;

pub use mmio::{Caching, MmioBar};
pub use pool::{DmaPool, PoolRegion};

/// A memory BAR of the adapter; clones are handles to the same BAR.
///
/// Offsets are in bytes, aligned to the width of the access, and the access lies inside the BAR; the
/// crates check that against [`len`](Self::len) before they call. Values are in the CPU's byte order
/// and little-endian on the bus. Accesses reach the device in program order, each as one bus access of its
/// width: not split, not merged, not repeated.
///
/// The trait is safe to implement: a BAR that lies makes the driver fail, not undefined.
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
    /// The default, [`dma::write_barrier`](crate::dma::write_barrier), is enough for an uncached mapping on x86 and
    /// aarch64. Others, and write-combining mappings, need their barrier instruction here.
    fn write_barrier(&self) {
        crate::dma::write_barrier();
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

/// A host that is lent: who has to give it back afterwards can still run the driver on it.
impl<H: Host> Host for &mut H {
    type Bar = H::Bar;

    fn registers(&self) -> Self::Bar {
        (**self).registers()
    }

    fn doorbells(&self) -> Self::Bar {
        (**self).doorbells()
    }

    fn identity(&self) -> PciIdentity {
        (**self).identity()
    }

    fn interrupt_vectors(&self) -> u16 {
        (**self).interrupt_vectors()
    }
}

impl<A: DmaAllocator> DmaAllocator for &mut A {
    type Region = A::Region;

    fn allocate(&mut self, size: usize, align: usize) -> Result<Self::Region, AllocationError> {
        (**self).allocate(size, align)
    }
}

/// Waits for at least `ns` by looking at a clock: `DelayNs` of a host that has nothing else to do.
pub fn spin_ns(clock: &impl Clock, ns: u32) {
    let begun = clock.now_us();
    // One more, because the microsecond that runs may be nearly over.
    let wanted = u64::from(ns.div_ceil(1_000)) + 1;
    while clock.now_us().saturating_sub(begun) < wanted {
        core::hint::spin_loop();
    }
}

impl<C: Clock> Clock for &mut C {
    fn now_us(&self) -> u64 {
        (**self).now_us()
    }
}
