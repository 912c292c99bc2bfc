//! A host that is one of several.
#![allow(unsafe_code)]

use core::ptr::NonNull;

use embedded_hal::delay::DelayNs;
use fastlinq_hal::host::{AllocationError, Bar, Clock, DmaAllocator, DmaRegion, Host, PciIdentity};
use fastlinq_linux::readonly::{ReadOnlyBar, ReadOnlyHost};
use fastlinq_linux::vfio::VfioHost;
use fastlinq_linux::vfio_user::{VfioUserBar, VfioUserHost};
use fastlinq_linux::{MappedBar, Region, Vector};
use fastlinq_model_host::{ModelBar, ModelHost, ModelRegion};
use fastlinq_pac::BusAddress;

/// A BAR of one of several hosts.
#[derive(Clone, Debug)]
pub enum AnyBar {
    /// Of the software adapter.
    Model(ModelBar),
    /// Of a function that VFIO gave out.
    Vfio(MappedBar),
    /// Of a function that is only looked at.
    Sysfs(ReadOnlyBar),
    /// Of a served adapter.
    VfioUser(VfioUserBar),
}

/// DMA memory of one of several hosts.
#[derive(Debug)]
pub enum AnyRegion {
    /// For the software adapter.
    Model(ModelRegion),
    /// For an adapter outside of this process.
    Linux(Region),
}

/// One of several hosts; clones are handles to the same adapter.
#[derive(Clone)]
pub enum AnyHost {
    /// The software adapter, in this process.
    Model(ModelHost),
    /// An adapter of this machine, through VFIO.
    Vfio(VfioHost),
    /// An adapter of this machine that is only looked at.
    Sysfs(ReadOnlyHost),
    /// An adapter that another process serves.
    VfioUser(VfioUserHost),
}

macro_rules! each {
    ($any:ident, $of:expr, $one:ident => $body:expr) => {
        match $of {
            $any::Model($one) => $body,
            $any::Vfio($one) => $body,
            $any::Sysfs($one) => $body,
            $any::VfioUser($one) => $body,
        }
    };
}

impl core::fmt::Debug for AnyHost {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Model(_) => "software adapter in this process",
            Self::Vfio(_) => "adapter through VFIO",
            Self::Sysfs(_) => "adapter that is only looked at",
            Self::VfioUser(_) => "served adapter",
        })
    }
}

impl AnyHost {
    /// The software adapter in this process, when that is the adapter.
    #[must_use]
    pub fn model(&self) -> Option<&ModelHost> {
        match self {
            Self::Model(host) => Some(host),
            _ => None,
        }
    }

    /// Rules of the chip that the driver broke, as far as anybody can tell: only the software adapter in this process can.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let model = self.model().map(ModelHost::violations);
        model
            .into_iter()
            .flatten()
            .map(|rule| rule.to_string())
            .collect()
    }

    /// What went wrong between this process and the adapter, where reads of all ones do not say it.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        match self {
            Self::Model(_) | Self::Sysfs(_) => None,
            Self::Vfio(host) => host.memory_error(),
            Self::VfioUser(host) => host.fault().or_else(|| host.memory_error()),
        }
    }

    /// Whether the kernel wants the adapter back; it waits until every handle of this host is dropped.
    #[must_use]
    pub fn release_wanted(&self) -> bool {
        match self {
            Self::Vfio(host) => host.release_wanted(),
            _ => false,
        }
    }

    /// Whether an error on the bus was reported for the adapter (AER); it should be reset.
    #[must_use]
    pub fn bus_error(&self) -> bool {
        match self {
            Self::Vfio(host) => host.bus_error(),
            _ => false,
        }
    }

    /// Interrupts with a descriptor to wait on; none for the software adapter in this process.
    #[must_use]
    pub fn vectors(&self) -> &[Vector] {
        match self {
            Self::Model(_) | Self::Sysfs(_) => &[],
            Self::Vfio(host) => host.vectors(),
            Self::VfioUser(host) => host.vectors(),
        }
    }
}

impl Bar for AnyBar {
    fn len(&self) -> usize {
        each!(AnyBar, self, bar => bar.len())
    }

    #[inline]
    fn read32(&self, offset: usize) -> u32 {
        each!(AnyBar, self, bar => bar.read32(offset))
    }

    #[inline]
    fn write32(&self, offset: usize, value: u32) {
        each!(AnyBar, self, bar => bar.write32(offset, value));
    }

    #[inline]
    fn write16(&self, offset: usize, value: u16) {
        each!(AnyBar, self, bar => bar.write16(offset, value));
    }

    #[inline]
    fn write_barrier(&self) {
        each!(AnyBar, self, bar => bar.write_barrier());
    }
}

// SAFETY: each kind keeps the contract, and this only passes its answers on.
unsafe impl DmaRegion for AnyRegion {
    fn pointer(&self) -> NonNull<u8> {
        match self {
            Self::Model(region) => region.pointer(),
            Self::Linux(region) => region.pointer(),
        }
    }

    fn bus_address(&self) -> BusAddress {
        match self {
            Self::Model(region) => region.bus_address(),
            Self::Linux(region) => region.bus_address(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Model(region) => region.len(),
            Self::Linux(region) => region.len(),
        }
    }
}

impl DmaAllocator for AnyHost {
    type Region = AnyRegion;

    fn allocate(&mut self, size: usize, align: usize) -> Result<AnyRegion, AllocationError> {
        match self {
            Self::Model(host) => host.allocate(size, align).map(AnyRegion::Model),
            Self::Vfio(host) => host.allocate(size, align).map(AnyRegion::Linux),
            Self::Sysfs(host) => host.allocate(size, align).map(AnyRegion::Linux),
            Self::VfioUser(host) => host.allocate(size, align).map(AnyRegion::Linux),
        }
    }
}

impl Clock for AnyHost {
    fn now_us(&self) -> u64 {
        each!(AnyHost, self, host => host.now_us())
    }
}

impl DelayNs for AnyHost {
    fn delay_ns(&mut self, ns: u32) {
        each!(AnyHost, self, host => host.delay_ns(ns));
    }

    fn delay_us(&mut self, us: u32) {
        each!(AnyHost, self, host => host.delay_us(us));
    }

    fn delay_ms(&mut self, ms: u32) {
        each!(AnyHost, self, host => host.delay_ms(ms));
    }
}

impl Host for AnyHost {
    type Bar = AnyBar;

    fn registers(&self) -> AnyBar {
        match self {
            Self::Model(host) => AnyBar::Model(host.registers()),
            Self::Vfio(host) => AnyBar::Vfio(host.registers()),
            Self::Sysfs(host) => AnyBar::Sysfs(host.registers()),
            Self::VfioUser(host) => AnyBar::VfioUser(host.registers()),
        }
    }

    fn doorbells(&self) -> AnyBar {
        match self {
            Self::Model(host) => AnyBar::Model(host.doorbells()),
            Self::Vfio(host) => AnyBar::Vfio(host.doorbells()),
            Self::Sysfs(host) => AnyBar::Sysfs(host.doorbells()),
            Self::VfioUser(host) => AnyBar::VfioUser(host.doorbells()),
        }
    }

    fn identity(&self) -> PciIdentity {
        each!(AnyHost, self, host => host.identity())
    }

    fn interrupt_vectors(&self) -> u16 {
        each!(AnyHost, self, host => host.interrupt_vectors())
    }
}
