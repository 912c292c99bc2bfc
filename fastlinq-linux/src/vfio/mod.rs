//! A host for an adapter of this machine, through VFIO.

mod device;
mod domain;
mod error;
mod ioctl;
mod open;

use std::fmt;
use std::fs::OpenOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fastlinq_hal::host::Caching;
use log::{debug, warn};
use vfio_bindings::bindings::vfio::{
    VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX,
};

use crate::PciAddress;
use crate::config_space;
use crate::glue::{Parts, host_of_parts};
use crate::interrupts::Vector;
use crate::memory::{MemoryReport, PageSize, Region};
use crate::mmio::MappedBar;
use crate::sysfs::{PciFunction, Sysfs};

use device::Device;
pub use error::VfioError;
use error::doing;
use open::Group;

const REGISTERS: u32 = 0;
const DOORBELLS: u32 = 2;

/// How the kernel gave the function out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// Through its IOMMU group, and a container: every kernel.
    Group,
    /// Through a file of its own, and iommufd: kernels since 6.6 that are built with it.
    Iommufd,
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Group => "group and container",
            Self::Iommufd => "iommufd",
        })
    }
}

/// Whether the adapter is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Present,
    /// Somebody wants to pull it, and the kernel asks that the host be dropped.
    ReleaseWanted,
    /// An error on the bus was reported for it (AER). It may answer, and should be reset.
    BusError,
    /// It does not answer: configuration space reads as all ones.
    Gone,
}

/// Whether VFIO could give a function out, as far as can be told without opening it.
#[must_use]
pub fn is_ready(function: &PciFunction) -> bool {
    open::could_open(function)
}

/// How an adapter is to be used.
#[derive(Clone, Debug)]
pub struct Options {
    address: PciAddress,
    sysfs: Sysfs,
    vectors: u16,
    largest_pages: PageSize,
    doorbells: Caching,
    interface: Option<Interface>,
}

impl Options {
    /// MSI-X vectors to set up; 0, for a driver that polls, when not given. As many as the adapter has at most.
    #[must_use]
    pub fn vectors(mut self, vectors: u16) -> Self {
        self.vectors = vectors;
        self
    }

    /// Largest pages that DMA memory is made of; 2 MiB when not given. Smaller ones are taken, with a warning in the log,
    /// where there are none so large.
    #[must_use]
    pub fn largest_pages(mut self, size: PageSize) -> Self {
        self.largest_pages = size;
        self
    }

    /// How doorbells are mapped; write-combining when not given. That needs the kernel's file `resource2_wc`, which
    /// only root may open and only a prefetchable BAR has; elsewhere they are uncached.
    #[must_use]
    pub fn doorbells(mut self, caching: Caching) -> Self {
        self.doorbells = caching;
        self
    }

    /// Which of the kernel's interfaces is used. When not given: iommufd, where there is one that this user may open.
    #[must_use]
    pub fn interface(mut self, interface: Interface) -> Self {
        self.interface = Some(interface);
        self
    }

    /// Opens the function, resets it, and makes it ready for a driver: memory space, bus mastering, interrupts.
    ///
    /// # Errors
    ///
    /// [`VfioError`].
    pub fn open(self) -> Result<VfioHost, VfioError> {
        let address = self.address;
        let opened = open::open(&self.sysfs, address, self.interface, self.largest_pages)?;
        debug!("{address} through {}", opened.group.interface());
        let device = Device::new(opened.device)?;
        let mut space = device.space();
        let identity = config_space::identity(&mut space).map_err(doing("read who it is"))?;
        config_space::enable(&mut space, true).map_err(doing("let it master the bus"))?;
        let registers = device.map_bar(address, REGISTERS)?;
        let doorbells = match self.map_write_combining(&device)? {
            Some(bar) => bar,
            None => device.map_bar(address, DOORBELLS)?,
        };
        let count = device.interrupts(VFIO_PCI_MSIX_IRQ_INDEX)?;
        let count = u16::try_from(count).unwrap_or(u16::MAX).min(self.vectors);
        let eventfds = || doing("make an eventfd");
        let vectors = Vector::all(count).map_err(eventfds())?;
        if count > 0 {
            device.set_eventfds(VFIO_PCI_MSIX_IRQ_INDEX, &vectors)?;
        }
        let release = Notice::new(&device, VFIO_PCI_REQ_IRQ_INDEX)?;
        let bus_error = Notice::new(&device, VFIO_PCI_ERR_IRQ_INDEX)?;
        Ok(VfioHost(Arc::new(Inner {
            parts: Parts::new(
                [registers, doorbells],
                opened.group.pool(),
                identity,
                vectors,
            ),
            device,
            group: opened.group,
            address,
            release,
            bus_error,
        })))
    }

    /// The doorbells, write-combining, where that is wanted and possible. They must not be mapped in another way as
    /// well: the kernel refuses two ways for the same addresses.
    fn map_write_combining(&self, device: &Device) -> Result<Option<MappedBar>, VfioError> {
        if self.doorbells != Caching::WriteCombining {
            return Ok(None);
        }
        let size = device.bar_size(DOORBELLS)?;
        let path = self.sysfs.folder(self.address).join("resource2_wc");
        let mapped = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .and_then(|file| {
                let whole = file.metadata()?.len() == size && size > 0;
                let caching = Caching::WriteCombining;
                let map = || MappedBar::new(&file, 0, size as usize, caching, true);
                let bar = whole.then(map).ok_or(std::io::ErrorKind::InvalidData)?;
                Ok(bar?)
            });
        match mapped {
            Ok(bar) => {
                debug!("{}: doorbells are write-combining", path.display());
                Ok(Some(bar))
            }
            Err(error) => {
                debug!("{}: {error}: doorbells are uncached", path.display());
                Ok(None)
            }
        }
    }
}

/// Something that the kernel tells by an eventfd. Once told, it stays told until it is forgotten.
#[derive(Debug)]
struct Notice {
    /// Nothing where the kernel does not tell.
    vector: Option<Vector>,
    given: AtomicBool,
}

impl Notice {
    fn new(device: &Device, index: u32) -> Result<Self, VfioError> {
        let vector = Vector::new(0).map_err(doing("make an eventfd"))?;
        // Older kernels, and functions without PCI Express, do not have it.
        let vector = match device.set_eventfds(index, std::slice::from_ref(&vector)) {
            Ok(()) => Some(vector),
            Err(error) => {
                debug!("the kernel gives no notice {index}: {error}");
                None
            }
        };
        Ok(Self {
            vector,
            given: AtomicBool::new(false),
        })
    }

    fn was_given(&self) -> bool {
        let fired = |vector: &Vector| vector.take().is_ok_and(|count| count > 0);
        if self.vector.as_ref().is_some_and(fired) {
            self.given.store(true, Ordering::Relaxed);
        }
        self.given.load(Ordering::Relaxed)
    }

    fn forget(&self) {
        self.was_given();
        self.given.store(false, Ordering::Relaxed);
    }
}

/// What all handles share. Fields are dropped in this order: BARs are unmapped before the function is given back.
#[derive(Debug)]
struct Inner {
    parts: Parts<MappedBar>,
    device: Device,
    group: Arc<Group>,
    address: PciAddress,
    release: Notice,
    bus_error: Notice,
}

impl Drop for Inner {
    /// Regions that were leaked stay mapped, for the CPU and in the IOMMU; the function must not write to them any more,
    /// and nothing is given back before it cannot.
    fn drop(&mut self) {
        if let Err(error) = config_space::enable(&mut self.device.space(), false) {
            warn!("{} may still master the bus: {error}", self.address);
        }
        if self.parts.pool.report().regions == 0 || !self.device.resettable {
            return;
        }
        // What is not there writes nowhere, and the kernel would wait a minute for it to come back from a reset.
        let identity = config_space::identity(&mut self.device.space());
        if identity.is_ok_and(|identity| identity.vendor == u16::MAX) {
            debug!(
                "{} is gone; DMA memory that is still in use stays mapped",
                self.address
            );
            return;
        }
        debug!(
            "{} is reset, because DMA memory is still in use",
            self.address
        );
        if let Err(error) = self.device.reset() {
            warn!("{} was not reset: {error}", self.address);
        }
    }
}

/// An adapter of this machine; clones are handles to the same adapter.
///
/// | what | how |
/// |---|---|
/// | BAR0 | mapped through VFIO, uncached |
/// | BAR2 | write-combining through `resource2_wc` where possible, with a store fence before and after each doorbell; otherwise uncached |
/// | DMA memory | pages of 2 MiB (or 1 GiB, or 4 KiB) of an unnamed file, mapped through the IOMMU at addresses that the kernel allows |
/// | interrupts | MSI-X vectors by eventfd |
/// | end | bus mastering is switched off; when memory is still in use, as after a failed down, the function is reset. The kernel resets it once more when it gets it back |
///
/// Known by: Linux 6.12's VFIO on the software adapter behind an emulated IOMMU. On hardware: nobody yet.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fastlinq_hal::adapter::{Adapter, AdapterConfig};
/// use fastlinq_linux::vfio::VfioHost;
///
/// let host = VfioHost::open("0000:3b:00.0".parse()?)?;
/// let adapter = Adapter::new(host, AdapterConfig::default());
/// let adapter = adapter.connect().map_err(|failed| failed.cause)?;
/// println!("management firmware {}", adapter.info().version);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct VfioHost(Arc<Inner>);

impl VfioHost {
    /// Opens a function that `vfio-pci` has, without interrupts.
    ///
    /// # Errors
    ///
    /// [`VfioError`].
    pub fn open(address: PciAddress) -> Result<Self, VfioError> {
        Self::options(address).open()
    }

    /// What else can be chosen.
    #[must_use]
    pub fn options(address: PciAddress) -> Options {
        Options {
            address,
            sysfs: Sysfs::default(),
            vectors: 0,
            largest_pages: PageSize::default(),
            doorbells: Caching::WriteCombining,
            interface: None,
        }
    }

    /// Where the function is.
    #[must_use]
    pub fn address(&self) -> PciAddress {
        self.0.address
    }

    /// How the kernel gave it out.
    #[must_use]
    pub fn interface(&self) -> Interface {
        self.0.group.interface()
    }

    /// How doorbells are mapped.
    #[must_use]
    pub fn doorbell_caching(&self) -> Caching {
        self.0.parts.doorbells.caching()
    }

    /// Whether the kernel wants the function back, because somebody removes it or its driver. It waits until every handle
    /// of this host is dropped. One look at a descriptor, no access to the device.
    #[must_use]
    pub fn release_wanted(&self) -> bool {
        self.0.release.was_given()
    }

    /// Whether an error on the bus was reported for the function (AER) since the host was opened or reset. One look at a
    /// descriptor, no access to the device.
    #[must_use]
    pub fn bus_error(&self) -> bool {
        self.0.bus_error.was_given()
    }

    /// Whether the adapter is still there. Reads of all ones may mean that it is gone, or that it is in reset, or be what a
    /// register holds; this tells.
    #[must_use]
    pub fn presence(&self) -> Presence {
        match config_space::identity(&mut self.0.device.space()) {
            Err(_) => Presence::Gone,
            Ok(identity) if identity.vendor == u16::MAX => Presence::Gone,
            Ok(_) if self.release_wanted() => Presence::ReleaseWanted,
            Ok(_) if self.bus_error() => Presence::BusError,
            Ok(_) => Presence::Present,
        }
    }

    /// Resets the function (FLR where it has one), and lets it master the bus again. Interrupts stay set up, and an error
    /// on the bus is forgotten.
    ///
    /// # Errors
    ///
    /// [`VfioError::Call`].
    pub fn reset(&self) -> Result<(), VfioError> {
        self.0.device.reset()?;
        self.0.bus_error.forget();
        config_space::enable(&mut self.0.device.space(), true)
            .map_err(doing("let it master the bus"))
    }
}

host_of_parts!(VfioHost, MappedBar);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_is_not_there_is_named() {
        let error = VfioHost::open("ffff:ff:1f.7".parse().expect("an address"));
        let error = error.expect_err("not there");
        assert!(
            error.to_string().contains("no PCI function ffff:ff:1f.7"),
            "{error}"
        );
    }
}
