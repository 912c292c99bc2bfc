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

/// A function in our hands.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) device: OwnedFd,
    /// What it shares with the other functions of its IOMMU group; must outlive the device.
    pub(super) group: Arc<Group>,
}

/// An IOMMU group, or as much of one as is open. All its functions share addresses, so they share a pool.
#[derive(Debug)]
pub(super) struct Group {
    way: Way,
    pool: Pool,
}

#[derive(Debug)]
enum Way {
    /// The group's file, in a container.
    File(File),
    /// A context of iommufd, and the address space in it.
    Context(Arc<OwnedFd>, u32),
}

impl Group {
    pub(super) fn pool(&self) -> Pool {
        self.pool.clone()
    }

    pub(super) fn interface(&self) -> Interface {
        match self.way {
            Way::File(_) => Interface::Group,
            Way::Context(..) => Interface::Iommufd,
        }
    }
}

/// Groups that this process has open. The kernel lets nobody open a group's file twice, and gives the functions of one group
/// to one context of iommufd only.
static GROUPS: Mutex<Option<Groups>> = Mutex::new(None);

type Groups = HashMap<(u32, Interface), Weak<Group>>;

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
        (Some(Interface::Iommufd), Some(path)) => open_alone(&path, group, largest),
        (Some(Interface::Iommufd), None) => Err(VfioError::NoVfio(IOMMUFD.into())),
        (Some(Interface::Group), _) | (None, None) => open_in_group(sysfs, address, group, largest),
        (None, Some(path)) => match open_alone(&path, group, largest) {
            // An ordinary user has often been given the file of the group alone.
            Err(VfioError::Permission(path)) => {
                debug!("{}: permission denied", path.display());
                open_in_group(sysfs, address, group, largest)
            }
            opened => opened,
        },
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

/// The group with this number in the table, and a place for it.
fn known(
    groups: &mut Option<Groups>,
    number: u32,
    interface: Interface,
) -> (Option<Arc<Group>>, &mut Weak<Group>) {
    let entry = groups.get_or_insert_default().entry((number, interface));
    let place = entry.or_default();
    (place.upgrade(), place)
}

fn open_alone(path: &Path, number: u32, largest: PageSize) -> Result<Opened, VfioError> {
    let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    let (known, place) = known(&mut groups, number, Interface::Iommufd);
    let (iommufd, ioas) = match known.as_deref() {
        Some(Group {
            way: Way::Context(iommufd, ioas),
            ..
        }) => (Arc::clone(iommufd), *ioas),
        _ => {
            let iommufd = Arc::new(OwnedFd::from(open_file(Path::new(IOMMUFD))?));
            let ioas = ioctl::allocate_ioas(&iommufd).map_err(doing("make an address space"))?;
            (iommufd, ioas)
        }
    };
    let device = OwnedFd::from(open_file(path)?);
    let refused = |what| {
        move |error: io::Error| match error.raw_os_error() {
            Some(libc::EBUSY) => VfioError::Busy(path.into()),
            // The kernel says the first for a function that is open elsewhere, the second for one of whose group another is.
            Some(libc::EINVAL | libc::EPERM) => VfioError::Refused {
                path: path.into(),
                group: number,
                error,
            },
            _ => doing(what)(error),
        }
    };
    ioctl::bind_iommufd(&device, &iommufd).map_err(refused("bind the function to iommufd"))?;
    ioctl::attach(&device, ioas).map_err(refused("attach the function to an address space"))?;
    let group = match known {
        Some(group) => group,
        // Only now: what is attached decides which addresses there are.
        None => {
            let domain = Domain::Ioas(Arc::clone(&iommufd), ioas);
            let ranges = domain.ranges()?;
            debug!("{}: addresses {ranges:x?}", path.display());
            let group = Arc::new(Group {
                way: Way::Context(iommufd, ioas),
                pool: Pool::new(domain, ranges, largest),
            });
            *place = Arc::downgrade(&group);
            group
        }
    };
    Ok(Opened { device, group })
}

fn open_in_group(
    sysfs: &Sysfs,
    address: PciAddress,
    number: u32,
    largest: PageSize,
) -> Result<Opened, VfioError> {
    let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    let (known, place) = known(&mut groups, number, Interface::Group);
    let path = Path::new(DEVICES).join(number.to_string());
    let group = match known {
        Some(group) => group,
        None => {
            let group = Arc::new(open_group(sysfs, number, &path, largest)?);
            *place = Arc::downgrade(&group);
            group
        }
    };
    let Way::File(file) = &group.way else {
        return Err(VfioError::Busy(path));
    };
    let device = ioctl::device(file, &address.to_string());
    let device = device.map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => VfioError::Busy(path),
        _ => doing("get the function out of its group")(error),
    })?;
    Ok(Opened { device, group })
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
        way: Way::File(file),
        pool: Pool::new(domain, ranges, largest),
    })
}

/// Whether VFIO could be used for a function, as far as can be told without opening it.
pub(super) fn could_open(function: &sysfs::PciFunction) -> bool {
    function.driver.as_deref() == Some("vfio-pci") && function.iommu_group.is_some()
}
