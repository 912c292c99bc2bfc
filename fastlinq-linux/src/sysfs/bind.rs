//! Giving a function to a driver. Nothing here happens unless it is called by name.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::{Sysfs, SysfsError, driver, read};
use crate::PciAddress;

const VFIO: &str = "vfio-pci";
/// The interface flag "up".
const IFF_UP: u64 = 1;

fn write(path: &Path, text: &str) -> Result<(), SysfsError> {
    // Never created: a file that the kernel does not have is an error.
    let mut file = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(|error| SysfsError::Io {
            path: path.into(),
            error,
        })?;
    file.write_all(text.as_bytes())
        .map_err(|error| SysfsError::Io {
            path: path.into(),
            error,
        })
}

impl Sysfs {
    /// Takes a function away from its driver and gives it to `vfio-pci`, and to no other function.
    ///
    /// Writes `driver_override`, the old driver's `unbind`, and `drivers_probe`. A network interface that is up stops it
    /// unless `force` is set. Does nothing when `vfio-pci` has the function already.
    ///
    /// # Errors
    ///
    /// [`SysfsError`].
    pub fn bind_to_vfio(&self, address: PciAddress, force: bool) -> Result<(), SysfsError> {
        let folder = self.folder(address);
        let function = self.function(address)?;
        if function.driver.as_deref() == Some(VFIO) {
            return Ok(());
        }
        if !self.pci().join("drivers").join(VFIO).is_dir() {
            return Err(SysfsError::NoDriver(VFIO.into()));
        }
        if !force {
            for interface in function.interfaces {
                let flags = read::hex(&folder.join("net").join(&interface).join("flags"))?;
                if flags.is_some_and(|flags| flags & IFF_UP != 0) {
                    return Err(SysfsError::InterfaceUp { address, interface });
                }
            }
        }
        write(&folder.join("driver_override"), VFIO)?;
        self.rebind(address, &folder)?;
        let driver = driver(&folder);
        if driver.as_deref() == Some(VFIO) {
            return Ok(());
        }
        Err(SysfsError::NotTaken {
            address,
            wanted: VFIO.into(),
            driver,
        })
    }

    /// Takes a function away from `vfio-pci` and lets the kernel choose its driver again, which is given.
    ///
    /// # Errors
    ///
    /// [`SysfsError`].
    pub fn unbind_from_vfio(&self, address: PciAddress) -> Result<Option<String>, SysfsError> {
        let folder = self.folder(address);
        self.function(address)?;
        write(&folder.join("driver_override"), "\n")?;
        if driver(&folder).as_deref() == Some(VFIO) {
            self.rebind(address, &folder)?;
        }
        Ok(driver(&folder))
    }

    fn rebind(&self, address: PciAddress, folder: &Path) -> Result<(), SysfsError> {
        let address = address.to_string();
        if driver(folder).is_some() {
            write(&folder.join("driver/unbind"), &address)?;
        }
        write(&self.pci().join("drivers_probe"), &address)
    }
}
