//! Getting hold of a function: through its IOMMU group and a container, or through its own file and iommufd.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use log::debug;
use vfio_bindings::bindings::vfio;

use super::domain::Domain;
use super::error::{VfioError, doing};
use super::{Interface, ioctl};
use crate::memory::{PageSize, Pool};
use crate::sysfs::Sysfs;
use crate::{PciAddress, sysfs};

/// A function in our hands, and memory that it can reach.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) device: OwnedFd,
    pub(super) pool: Pool,
    pub(super) interface: Interface,
    /// Keeps the group open; nothing for a function that was opened alone.
    pub(super) group: Option<Arc<Group>>,
}

/// An open group. All its functions share addresses, so they share a pool.
#[derive(Debug)]
pub(super) struct Group {
    file: File,
    pool: Pool,
}

/// Groups that this process has open; the kernel lets nobody open one twice.
static GROUPS: Mutex<Option<HashMap<u32, Weak<Group>>>> = Mutex::new(None);

/// Where the files of VFIO are.
const DEVICES: &str = "/dev/vfio";
const IOMMUFD: &str = "/dev/iommu";

pub(super) fn open(
    sysfs: &Sysfs,
    address: PciAddress,
    interface: Option<Interface>,
    largest: PageSize,
) -> Result<Opened, VfioError> {
    let function = sysfs.function(address)?;
    if function.driver.as_deref() != Some("vfio-pci") {
        return Err(VfioError::NotBound {
            address,
            driver: function.driver,
        });
    }
    let group = function.iommu_group.ok_or(VfioError::NoIommu(address))?;
    let own = own_file(sysfs, address).filter(|path| path.exists() && Path::new(IOMMUFD).exists());
    match (interface, own) {
        (None | Some(Interface::Iommufd), Some(path)) => open_alone(&path, largest),
        (Some(Interface::Iommufd), None) => Err(VfioError::NoVfio(IOMMUFD.into())),
        (None | Some(Interface::Group), _) => open_in_group(sysfs, address, group, largest),
    }
}

/// The file that a function has of its own, where the kernel gives it one.
fn own_file(sysfs: &Sysfs, address: PciAddress) -> Option<PathBuf> {
    let folder = sysfs.folder(address).join("vfio-dev");
    let entry = std::fs::read_dir(folder).ok()?.flatten().next()?;
    Some(Path::new(DEVICES).join("devices").join(entry.file_name()))
}

fn open_file(path: &Path) -> Result<File, VfioError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => VfioError::Permission(path.into()),
        Some(libc::EBUSY) => VfioError::Busy(path.into()),
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => VfioError::NoVfio(path.into()),
        _ => doing("open a file of VFIO")(error),
    })
}

fn open_alone(path: &Path, largest: PageSize) -> Result<Opened, VfioError> {
    let iommufd = Arc::new(OwnedFd::from(open_file(Path::new(IOMMUFD))?));
    let device = OwnedFd::from(open_file(path)?);
    ioctl::bind_iommufd(&device, &iommufd).map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => VfioError::Busy(path.into()),
        _ => doing("bind the function to iommufd")(error),
    })?;
    let ioas = ioctl::allocate_ioas(&iommufd).map_err(doing("make an address space"))?;
    ioctl::attach(&device, ioas).map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => VfioError::Busy(path.into()),
        _ => doing("attach the function to an address space")(error),
    })?;
    let domain = Domain::Ioas(iommufd, ioas);
    let ranges = domain.ranges()?;
    debug!("{}: addresses {ranges:x?}", path.display());
    Ok(Opened {
        device,
        pool: Pool::new(domain, ranges, largest),
        interface: Interface::Iommufd,
        group: None,
    })
}

fn open_in_group(
    sysfs: &Sysfs,
    address: PciAddress,
    number: u32,
    largest: PageSize,
) -> Result<Opened, VfioError> {
    let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    let groups = groups.get_or_insert_default();
    let path = Path::new(DEVICES).join(number.to_string());
    let group = match groups.get(&number).and_then(Weak::upgrade) {
        Some(group) => group,
        None => {
            let group = Arc::new(open_group(sysfs, number, &path, largest)?);
            groups.insert(number, Arc::downgrade(&group));
            group
        }
    };
    let device = ioctl::device(&group.file, &address.to_string());
    let device = device.map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => VfioError::Busy(path),
        _ => doing("get the function out of its group")(error),
    })?;
    Ok(Opened {
        device,
        pool: group.pool.clone(),
        interface: Interface::Group,
        group: Some(group),
    })
}

fn open_group(
    sysfs: &Sysfs,
    number: u32,
    path: &Path,
    largest: PageSize,
) -> Result<Group, VfioError> {
    let container = OwnedFd::from(open_file(&Path::new(DEVICES).join("vfio"))?);
    let version = ioctl::api_version(&container).map_err(doing("ask VFIO for its version"))?;
    let kind = vfio::VFIO_TYPE1v2_IOMMU;
    if version != vfio::VFIO_API_VERSION || !ioctl::has_extension(&container, kind) {
        return Err(VfioError::Version { version });
    }
    let file = open_file(path)?;
    if !ioctl::is_viable(&file).map_err(doing("ask for the state of the group"))? {
        return Err(VfioError::NotViable {
            group: number,
            blockers: sysfs.group_blockers(number),
        });
    }
    ioctl::set_container(&file, &container).map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => VfioError::Busy(path.into()),
        _ => doing("put the group into a container")(error),
    })?;
    ioctl::set_iommu(&container, kind).map_err(|error: io::Error| match error.raw_os_error() {
        Some(libc::EPERM) => VfioError::UnsafeInterrupts(number),
        _ => doing("choose the kind of IOMMU")(error),
    })?;
    let domain = Domain::Container(Arc::new(container));
    let ranges = domain.ranges()?;
    debug!("group {number}: addresses {ranges:x?}");
    Ok(Group {
        file,
        pool: Pool::new(domain, ranges, largest),
    })
}

/// Whether VFIO could be used for a function, as far as can be told without opening it.
pub(super) fn could_open(function: &sysfs::PciFunction) -> bool {
    function.driver.as_deref() == Some("vfio-pci") && function.iommu_group.is_some()
}
