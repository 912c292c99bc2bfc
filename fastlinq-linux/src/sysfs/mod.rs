//! What the kernel says about PCI functions, in the files below `/sys`.

mod bind;
mod findings;
mod function;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use fastlinq_pac::{Chip, VENDOR_ID};

pub use findings::{Finding, Severity, findings};
pub use function::{BarResource, LinkSpeed, PciFunction, PciLink};

use crate::PciAddress;

/// Why the kernel's files did not help.
#[derive(Debug)]
pub enum SysfsError {
    /// There is no function with this address.
    NotFound(PciAddress),
    /// A file cannot be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A file says something that makes no sense.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it says.
        text: String,
    },
    /// A network interface of the function is in use, so its driver was not taken away.
    InterfaceUp {
        /// The function.
        address: PciAddress,
        /// The interface.
        interface: String,
    },
    /// No driver of this name is loaded.
    NoDriver(String),
    /// The kernel was asked, and the function has another driver than it should.
    NotTaken {
        /// The function.
        address: PciAddress,
        /// The driver that was to take it.
        wanted: String,
        /// The driver that it has.
        driver: Option<String>,
    },
}

impl fmt::Display for SysfsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(address) => {
                write!(
                    f,
                    "there is no PCI function {address}; `fastlinq list` shows those there are"
                )
            }
            Self::Io { path, error } if error.kind() == io::ErrorKind::PermissionDenied => {
                write!(f, "{}: permission denied; this needs root", path.display())
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Malformed { path, text } => {
                write!(f, "{} says {text:?}, which makes no sense", path.display())
            }
            Self::InterfaceUp { address, interface } => write!(
                f,
                "network interface {interface} of {address} is up; take it down first (ip link set {interface} down)"
            ),
            Self::NoDriver(driver) => {
                write!(
                    f,
                    "driver {driver} is not loaded; load it first (modprobe {driver})"
                )
            }
            Self::NotTaken {
                address,
                wanted,
                driver,
            } => write!(
                f,
                "{wanted} did not take {address}, which now has {}; the kernel's log says why",
                driver.as_deref().unwrap_or("no driver")
            ),
        }
    }
}

impl std::error::Error for SysfsError {}

/// The kernel's files, below `/sys` or a copy of it.
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
}

impl Default for Sysfs {
    fn default() -> Self {
        Self::at("/sys")
    }
}

impl Sysfs {
    /// The files below another root, for example those copied from another machine.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn pci(&self) -> PathBuf {
        self.root.join("bus/pci")
    }

    /// The function's folder.
    #[must_use]
    pub fn folder(&self, address: PciAddress) -> PathBuf {
        self.pci().join("devices").join(address.to_string())
    }

    /// Looks at one function.
    ///
    /// # Errors
    ///
    /// [`SysfsError::NotFound`], [`SysfsError::Malformed`], [`SysfsError::Io`].
    pub fn function(&self, address: PciAddress) -> Result<PciFunction, SysfsError> {
        let folder = self.folder(address);
        if !folder.is_dir() {
            return Err(SysfsError::NotFound(address));
        }
        PciFunction::read(address, &folder)
    }

    /// All functions of FastLinQ adapters, virtual ones included, by address.
    ///
    /// # Errors
    ///
    /// [`SysfsError`] when the list of functions cannot be read. A function that goes away meanwhile is skipped.
    pub fn adapters(&self) -> Result<Vec<PciFunction>, SysfsError> {
        let folder = self.pci().join("devices");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // A machine without PCI has no such folder, and no adapters.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(SysfsError::Io {
                    path: folder,
                    error,
                });
            }
        };
        let mut addresses: Vec<PciAddress> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|address| self.is_adapter(*address))
            .collect();
        addresses.sort_unstable();
        let mut adapters = Vec::new();
        for address in addresses {
            match self.function(address) {
                Ok(function) => adapters.push(function),
                Err(SysfsError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(adapters)
    }

    fn is_adapter(&self, address: PciAddress) -> bool {
        let folder = self.folder(address);
        let vendor = read::hex(&folder.join("vendor")).ok().flatten();
        let device = read::hex(&folder.join("device")).ok().flatten();
        vendor == Some(VENDOR_ID.into()) && device.is_some_and(|id| is_fastlinq(id as u16))
    }

    /// The functions of an IOMMU group.
    pub(crate) fn group(&self, group: u32) -> Vec<PciAddress> {
        let folder = self
            .root
            .join(format!("kernel/iommu_groups/{group}/devices"));
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut members: Vec<_> = entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        members.sort_unstable();
        members
    }

    /// The members of a group that keep user space from using it: those with another driver than one for user space.
    /// Bridges do not count.
    #[must_use]
    pub fn group_blockers(&self, group: u32) -> Vec<(PciAddress, String)> {
        let harmless = ["vfio-pci", "pci-stub", "pcieport"];
        self.group(group)
            .into_iter()
            .filter_map(|address| Some((address, driver(&self.folder(address))?)))
            .filter(|(_, driver)| !harmless.contains(&driver.as_str()))
            .collect()
    }
}

/// Whether a device id of the vendor belongs to an Ethernet function of the family.
fn is_fastlinq(device: u16) -> bool {
    Chip::from_device_id(device).is_some() && function::name(device).is_some()
}

/// Name of the driver that has a function.
pub(crate) fn driver(folder: &Path) -> Option<String> {
    read::link_name(&folder.join("driver"))
}
