//! Why VFIO does not give an adapter out, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::PciAddress;
use crate::sysfs::SysfsError;

/// Why VFIO does not give an adapter out.
///
/// Its [`Display`](fmt::Display) says what to do next.
#[derive(Debug)]
pub enum VfioError {
    /// The kernel's files about the function.
    Sysfs(SysfsError),
    /// Another driver than `vfio-pci` has the function, or none has.
    NotBound {
        /// The function.
        address: PciAddress,
        /// The driver.
        driver: Option<String>,
    },
    /// No IOMMU translates for the function.
    NoIommu(PciAddress),
    /// Other functions of the IOMMU group are in the hands of kernel drivers.
    NotViable {
        /// The group.
        group: u32,
        /// Those functions and their drivers.
        blockers: Vec<(PciAddress, String)>,
    },
    /// A file of VFIO is missing: its module is not loaded.
    NoVfio(PathBuf),
    /// This user may not open a file of VFIO.
    Permission(PathBuf),
    /// Another process uses the function or its group.
    Busy(PathBuf),
    /// The IOMMU does not remap interrupts, so the kernel thinks the function unsafe for user space.
    UnsafeInterrupts(u32),
    /// The kernel does not give the function to this process's context of iommufd.
    Refused {
        /// The function's file.
        path: PathBuf,
        /// Its IOMMU group.
        group: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// The kernel speaks another version of VFIO, or has no IOMMU driver for it.
    Version {
        /// The version.
        version: u32,
    },
    /// The function has no such BAR, or it cannot be mapped.
    Bar {
        /// The function.
        address: PciAddress,
        /// Number of the BAR.
        bar: u32,
        /// Bytes of it.
        size: u64,
    },
    /// A call failed.
    Call {
        /// What was to be done.
        what: &'static str,
        /// What the operating system said.
        error: io::Error,
    },
}

impl fmt::Display for VfioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysfs(error) => error.fmt(f),
            Self::NotBound { address, driver } => write!(
                f,
                "{} has {address}, not vfio-pci; bind it with `fastlinq bind {address}` (its network interface goes away)",
                driver.as_deref().unwrap_or("no driver")
            ),
            Self::NoIommu(address) => write!(
                f,
                "no IOMMU translates for {address}; boot with intel_iommu=on, or enable the IOMMU in the firmware setup"
            ),
            Self::NotViable { group, blockers } => {
                write!(
                    f,
                    "IOMMU group {group} cannot be used as long as kernel drivers have "
                )?;
                for (position, (address, driver)) in blockers.iter().enumerate() {
                    let comma = if position > 0 { ", " } else { "" };
                    write!(f, "{comma}{address} ({driver})")?;
                }
                f.write_str(if blockers.is_empty() {
                    "some of its functions"
                } else {
                    "; bind those to vfio-pci, too (`fastlinq bind ADDRESS`)"
                })
            }
            Self::NoVfio(path) => write!(
                f,
                "there is no {}; load VFIO (modprobe vfio-pci vfio_iommu_type1)",
                path.display()
            ),
            Self::Permission(path) => write!(
                f,
                "{}: permission denied; run as root, or give this user the file (chown)",
                path.display()
            ),
            Self::Busy(path) => write!(
                f,
                "{} is in use by another process (fuser {} names it)",
                path.display(),
                path.display()
            ),
            Self::UnsafeInterrupts(group) => write!(
                f,
                "the IOMMU of group {group} does not remap interrupts; if every user of the group is trusted, load vfio_iommu_type1 with allow_unsafe_interrupts=1"
            ),
            Self::Refused { path, group, error } => write!(
                f,
                "{path} or another function of IOMMU group {group} is in use by another process (fuser {path} names it), or the IOMMU does not remap interrupts (if every user of the group is trusted, load iommufd with allow_unsafe_interrupts=1): {error}",
                path = path.display()
            ),
            Self::Version { version } => write!(
                f,
                "the kernel's VFIO (version {version}) has no IOMMU driver of type 1 version 2; load vfio_iommu_type1"
            ),
            Self::Bar { address, bar, size } => write!(
                f,
                "BAR{bar} of {address} ({size} bytes) cannot be mapped; has the platform assigned it?"
            ),
            Self::Call { what, error } => {
                write!(f, "cannot {what}: {error}")?;
                if error.raw_os_error() == Some(libc::ENOMEM) {
                    f.write_str("; is the limit of locked memory too low (ulimit -l)?")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for VfioError {}

impl From<SysfsError> for VfioError {
    fn from(error: SysfsError) -> Self {
        Self::Sysfs(error)
    }
}

/// Says what was to be done when a call failed.
pub(super) fn doing(what: &'static str) -> impl FnOnce(io::Error) -> VfioError {
    move |error| VfioError::Call { what, error }
}
