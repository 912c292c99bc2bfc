//! The function itself: configuration space, BARs, interrupts, reset.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use fastlinq_hal::host::Caching;
use rustix::io::{pread, pwrite};

use super::error::{VfioError, doing};
use super::ioctl::{self, RegionPlace};
use crate::PciAddress;
use crate::config_space::ConfigSpace;
use crate::mmio::MappedBar;

const CONFIG: u32 = 7;

/// A function that VFIO gave out.
#[derive(Debug)]
pub(super) struct Device {
    file: OwnedFd,
    config: RegionPlace,
    pub(super) resettable: bool,
}

impl Device {
    pub(super) fn new(file: OwnedFd) -> Result<Self, VfioError> {
        let (resettable, _) = ioctl::device_info(&file).map_err(doing("ask what the device is"))?;
        let config = ioctl::region(&file, CONFIG).map_err(doing("find configuration space"))?;
        Ok(Self {
            file,
            config,
            resettable,
        })
    }

    pub(super) fn space(&self) -> Space<'_> {
        Space(self)
    }

    /// Maps a BAR, uncached.
    pub(super) fn map_bar(&self, address: PciAddress, bar: u32) -> Result<MappedBar, VfioError> {
        let place = ioctl::region(&self.file, bar).map_err(doing("find a BAR"))?;
        let size = place.size;
        if size == 0 || !place.mappable {
            return Err(VfioError::Bar { address, bar, size });
        }
        MappedBar::new(
            &self.file,
            place.offset,
            size as usize,
            Caching::Uncached,
            true,
        )
        .map_err(|errno| doing("map a BAR")(errno.into()))
    }

    pub(super) fn bar_size(&self, bar: u32) -> Result<u64, VfioError> {
        let place = ioctl::region(&self.file, bar).map_err(doing("find a BAR"))?;
        Ok(place.size)
    }

    pub(super) fn reset(&self) -> Result<(), VfioError> {
        ioctl::reset(&self.file).map_err(doing("reset the function"))
    }

    pub(super) fn interrupts(&self, index: u32) -> Result<u32, VfioError> {
        ioctl::interrupts(&self.file, index).map_err(doing("ask for the interrupts"))
    }

    pub(super) fn set_eventfds<F: AsFd>(
        &self,
        index: u32,
        eventfds: &[F],
    ) -> Result<(), VfioError> {
        let fds: Vec<_> = eventfds.iter().map(AsFd::as_fd).collect();
        ioctl::set_eventfds(&self.file, index, &fds).map_err(doing("set interrupts up"))
    }
}

/// Configuration space through the device's file.
pub(super) struct Space<'a>(&'a Device);

impl ConfigSpace for Space<'_> {
    type Error = io::Error;

    fn read(&mut self, offset: u16, data: &mut [u8]) -> io::Result<()> {
        let at = self.0.config.offset + u64::from(offset);
        let length = data.len();
        if pread(&self.0.file, data, at)? == length {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn write(&mut self, offset: u16, data: &[u8]) -> io::Result<()> {
        let at = self.0.config.offset + u64::from(offset);
        if pwrite(&self.0.file, data, at)? == data.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }
}
