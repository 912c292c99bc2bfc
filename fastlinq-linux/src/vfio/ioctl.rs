//! The kernel's calls for VFIO and iommufd, with types.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use iommufd_bindings as iommufd;
use libc::c_ulong;
use vfio_bindings::bindings::vfio;

use crate::memory::Window;

/// Number of a call: type `;`, neither direction nor size, as all of VFIO and iommufd have it.
const fn number(number: u32) -> c_ulong {
    (vfio::VFIO_TYPE as c_ulong) << 8 | number as c_ulong
}

const fn vfio_number(offset: u32) -> c_ulong {
    number(vfio::VFIO_BASE + offset)
}

const GET_API_VERSION: c_ulong = vfio_number(0);
const CHECK_EXTENSION: c_ulong = vfio_number(1);
const SET_IOMMU: c_ulong = vfio_number(2);
const GROUP_GET_STATUS: c_ulong = vfio_number(3);
const GROUP_SET_CONTAINER: c_ulong = vfio_number(4);
const GROUP_GET_DEVICE_FD: c_ulong = vfio_number(6);
const DEVICE_GET_INFO: c_ulong = vfio_number(7);
const DEVICE_GET_REGION_INFO: c_ulong = vfio_number(8);
const DEVICE_GET_IRQ_INFO: c_ulong = vfio_number(9);
const DEVICE_SET_IRQS: c_ulong = vfio_number(10);
const DEVICE_RESET: c_ulong = vfio_number(11);
const IOMMU_GET_INFO: c_ulong = vfio_number(12);
const IOMMU_MAP_DMA: c_ulong = vfio_number(13);
const IOMMU_UNMAP_DMA: c_ulong = vfio_number(14);
const DEVICE_BIND_IOMMUFD: c_ulong = vfio_number(18);
const DEVICE_ATTACH_IOMMUFD_PT: c_ulong = vfio_number(19);
const IOAS_ALLOC: c_ulong = number(iommufd::IOMMUFD_CMD_IOAS_ALLOC);
const IOAS_IOVA_RANGES: c_ulong = number(iommufd::IOMMUFD_CMD_IOAS_IOVA_RANGES);
const IOAS_MAP: c_ulong = number(iommufd::IOMMUFD_CMD_IOAS_MAP);
const IOAS_UNMAP: c_ulong = number(iommufd::IOMMUFD_CMD_IOAS_UNMAP);

/// Largest answer about an IOMMU that is believed.
const MAX_INFO: u32 = 64 << 10;
/// Most ranges of addresses that are asked for.
const MAX_RANGES: u32 = 4096;

/// Calls with a pointer.
///
/// # Safety
///
/// `argument` is what the call `request` reads and writes, as long as its own size field says.
unsafe fn call<T>(fd: BorrowedFd<'_>, request: c_ulong, argument: *mut T) -> io::Result<i32> {
    loop {
        // SAFETY: the caller's word; the descriptor is open.
        let result = unsafe { libc::ioctl(fd.as_raw_fd(), request as _, argument) };
        if result >= 0 {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Calls with a number, or nothing.
fn call_with_number(fd: BorrowedFd<'_>, request: c_ulong, argument: u32) -> io::Result<i32> {
    // SAFETY: the calls that this is used for take a number and touch no memory of ours.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request as _, c_ulong::from(argument)) };
    if result >= 0 {
        Ok(result)
    } else {
        Err(io::Error::last_os_error())
    }
}

const fn size<T>() -> u32 {
    size_of::<T>() as u32
}

pub(super) fn api_version(container: impl AsFd) -> io::Result<u32> {
    call_with_number(container.as_fd(), GET_API_VERSION, 0).map(|version| version as u32)
}

pub(super) fn has_extension(container: impl AsFd, extension: u32) -> bool {
    call_with_number(container.as_fd(), CHECK_EXTENSION, extension).is_ok_and(|answer| answer > 0)
}

pub(super) fn set_iommu(container: impl AsFd, kind: u32) -> io::Result<()> {
    call_with_number(container.as_fd(), SET_IOMMU, kind).map(drop)
}

/// Whether all functions of the group are in the hands of user space.
pub(super) fn is_viable(group: impl AsFd) -> io::Result<bool> {
    let mut status = vfio::vfio_group_status {
        argsz: size::<vfio::vfio_group_status>(),
        flags: 0,
    };
    // SAFETY: the structure of this call, with its size.
    unsafe { call(group.as_fd(), GROUP_GET_STATUS, &raw mut status) }?;
    Ok(status.flags & vfio::VFIO_GROUP_FLAGS_VIABLE != 0)
}

pub(super) fn set_container(group: impl AsFd, container: impl AsFd) -> io::Result<()> {
    let mut descriptor = container.as_fd().as_raw_fd();
    // SAFETY: this call reads one descriptor.
    unsafe { call(group.as_fd(), GROUP_SET_CONTAINER, &raw mut descriptor) }.map(drop)
}

pub(super) fn device(group: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let name = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: this call reads a string that ends with a zero.
    let descriptor = unsafe { call(group.as_fd(), GROUP_GET_DEVICE_FD, name.as_ptr().cast_mut()) }?;
    // SAFETY: the call gave a new descriptor, which is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The kernel's answer about the IOMMU of a container, with its chain of capabilities.
pub(super) fn iommu_info(container: impl AsFd) -> io::Result<Vec<u8>> {
    let mut wanted = size::<vfio::vfio_iommu_type1_info>();
    loop {
        // Of 64-bit words, so that it is aligned for the structure.
        let mut buffer = vec![0u64; wanted.div_ceil(8) as usize];
        let info = buffer.as_mut_ptr().cast::<vfio::vfio_iommu_type1_info>();
        // SAFETY: the buffer holds at least the structure, aligned, and `argsz` bytes in all.
        unsafe {
            (*info).argsz = wanted;
            call(container.as_fd(), IOMMU_GET_INFO, info)?;
        }
        // SAFETY: as above; the kernel may have changed it.
        let needed = unsafe { (*info).argsz };
        if needed <= wanted {
            let mut bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).collect();
            bytes.truncate(wanted as usize);
            return Ok(bytes);
        }
        if needed > MAX_INFO {
            return Err(io::ErrorKind::InvalidData.into());
        }
        wanted = needed;
    }
}

/// Lets the device reach memory through a container's IOMMU.
///
/// # Safety
///
/// The memory stays mapped in this process until [`unmap_dma`] for it has succeeded, or the container is gone.
pub(super) unsafe fn map_dma(
    container: impl AsFd,
    window: Window<'_>,
    address: u64,
) -> io::Result<()> {
    let mut map = vfio::vfio_iommu_type1_dma_map {
        argsz: size::<vfio::vfio_iommu_type1_dma_map>(),
        flags: vfio::VFIO_DMA_MAP_FLAG_READ | vfio::VFIO_DMA_MAP_FLAG_WRITE,
        vaddr: window.pointer as u64,
        iova: address,
        size: window.len as u64,
    };
    // SAFETY: the structure of this call, with its size; the memory by the caller's word.
    unsafe { call(container.as_fd(), IOMMU_MAP_DMA, &raw mut map) }.map(drop)
}

pub(super) fn unmap_dma(container: impl AsFd, address: u64, len: u64) -> io::Result<()> {
    let mut unmap = vfio::vfio_iommu_type1_dma_unmap {
        argsz: size::<vfio::vfio_iommu_type1_dma_unmap>(),
        iova: address,
        size: len,
        ..Default::default()
    };
    // SAFETY: the structure of this call, with its size; no bitmap is asked for.
    unsafe { call(container.as_fd(), IOMMU_UNMAP_DMA, &raw mut unmap) }?;
    if unmap.size == len {
        Ok(())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Whether the device can be reset, and whether it is on PCI.
pub(super) fn device_info(device: impl AsFd) -> io::Result<(bool, bool)> {
    let mut info = vfio::vfio_device_info {
        argsz: size::<vfio::vfio_device_info>(),
        ..Default::default()
    };
    // SAFETY: the structure of this call, with its size.
    unsafe { call(device.as_fd(), DEVICE_GET_INFO, &raw mut info) }?;
    Ok((
        info.flags & vfio::VFIO_DEVICE_FLAGS_RESET != 0,
        info.flags & vfio::VFIO_DEVICE_FLAGS_PCI != 0,
    ))
}

/// Where a region of the device is in its descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct RegionPlace {
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) mappable: bool,
}

pub(super) fn region(device: impl AsFd, index: u32) -> io::Result<RegionPlace> {
    let mut info = vfio::vfio_region_info {
        argsz: size::<vfio::vfio_region_info>(),
        index,
        ..Default::default()
    };
    // SAFETY: the structure of this call, with its size; no capabilities are asked for.
    unsafe { call(device.as_fd(), DEVICE_GET_REGION_INFO, &raw mut info) }?;
    Ok(RegionPlace {
        offset: info.offset,
        size: info.size,
        mappable: info.flags & vfio::VFIO_REGION_INFO_FLAG_MMAP != 0,
    })
}

/// Number of interrupts of an index.
pub(super) fn interrupts(device: impl AsFd, index: u32) -> io::Result<u32> {
    let mut info = vfio::vfio_irq_info {
        argsz: size::<vfio::vfio_irq_info>(),
        index,
        ..Default::default()
    };
    // SAFETY: the structure of this call, with its size.
    unsafe { call(device.as_fd(), DEVICE_GET_IRQ_INFO, &raw mut info) }?;
    let usable = info.flags & vfio::VFIO_IRQ_INFO_EVENTFD != 0;
    Ok(if usable { info.count } else { 0 })
}

/// Has the interrupts of an index, from the first on, signal these eventfds.
pub(super) fn set_eventfds(
    device: impl AsFd,
    index: u32,
    eventfds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    const HEAD: usize = size_of::<vfio::vfio_irq_set>();
    let flags = vfio::VFIO_IRQ_SET_DATA_EVENTFD | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    let words = [
        (HEAD + eventfds.len() * size_of::<i32>()) as u32,
        flags,
        index,
        0,
        eventfds.len() as u32,
    ];
    let mut request: Vec<u32> = words.to_vec();
    request.extend(eventfds.iter().map(|fd| fd.as_raw_fd() as u32));
    // SAFETY: the head of five words and one descriptor each, and the first word says how much that is.
    unsafe { call(device.as_fd(), DEVICE_SET_IRQS, request.as_mut_ptr()) }.map(drop)
}

pub(super) fn reset(device: impl AsFd) -> io::Result<()> {
    call_with_number(device.as_fd(), DEVICE_RESET, 0).map(drop)
}

pub(super) fn bind_iommufd(device: impl AsFd, iommufd: impl AsFd) -> io::Result<()> {
    let mut bind = vfio::vfio_device_bind_iommufd {
        // As long as the first kernels with this call know it; the token behind it is not used.
        argsz: 16,
        iommufd: iommufd.as_fd().as_raw_fd(),
        ..Default::default()
    };
    // SAFETY: the structure of this call, of which `argsz` bytes count.
    unsafe { call(device.as_fd(), DEVICE_BIND_IOMMUFD, &raw mut bind) }.map(drop)
}

pub(super) fn allocate_ioas(iommufd: impl AsFd) -> io::Result<u32> {
    let mut alloc = iommufd::iommu_ioas_alloc {
        size: size::<iommufd::iommu_ioas_alloc>(),
        ..Default::default()
    };
    // SAFETY: the structure of this call, with its size.
    unsafe { call(iommufd.as_fd(), IOAS_ALLOC, &raw mut alloc) }?;
    Ok(alloc.out_ioas_id)
}

pub(super) fn attach(device: impl AsFd, ioas: u32) -> io::Result<()> {
    let mut attach = vfio::vfio_device_attach_iommufd_pt {
        argsz: 12,
        pt_id: ioas,
        ..Default::default()
    };
    // SAFETY: the structure of this call, of which `argsz` bytes count.
    unsafe { call(device.as_fd(), DEVICE_ATTACH_IOMMUFD_PT, &raw mut attach) }.map(drop)
}

/// The addresses that the IOMMU translates, by first and last.
pub(super) fn iova_ranges(iommufd: impl AsFd, ioas: u32) -> io::Result<Vec<(u64, u64)>> {
    let mut count = 16;
    loop {
        let mut ranges = vec![iommufd::iommu_iova_range::default(); count as usize];
        let mut request = iommufd::iommu_ioas_iova_ranges {
            size: size::<iommufd::iommu_ioas_iova_ranges>(),
            ioas_id: ioas,
            num_iovas: count,
            allowed_iovas: ranges.as_mut_ptr() as u64,
            ..Default::default()
        };
        // SAFETY: the structure of this call, with its size; the array has as many elements as it says.
        let result = unsafe { call(iommufd.as_fd(), IOAS_IOVA_RANGES, &raw mut request) };
        match result {
            Ok(_) => {
                ranges.truncate(request.num_iovas as usize);
                return Ok(ranges
                    .iter()
                    .map(|range| (range.start, range.last))
                    .collect());
            }
            Err(error)
                if error.raw_os_error() == Some(libc::EMSGSIZE)
                    && request.num_iovas > count
                    && request.num_iovas <= MAX_RANGES =>
            {
                count = request.num_iovas;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Lets the devices of an address space reach memory.
///
/// # Safety
///
/// The memory stays mapped in this process until [`unmap_ioas`] for it has succeeded, or the iommufd is gone.
pub(super) unsafe fn map_ioas(
    iommufd: impl AsFd,
    ioas: u32,
    window: Window<'_>,
    address: u64,
) -> io::Result<()> {
    const FIXED: u32 = 1;
    const WRITABLE: u32 = 2;
    const READABLE: u32 = 4;
    let mut map = iommufd::iommu_ioas_map {
        size: size::<iommufd::iommu_ioas_map>(),
        flags: FIXED | WRITABLE | READABLE,
        ioas_id: ioas,
        __reserved: 0,
        user_va: window.pointer as u64,
        length: window.len as u64,
        iova: address,
    };
    // SAFETY: the structure of this call, with its size; the memory by the caller's word.
    unsafe { call(iommufd.as_fd(), IOAS_MAP, &raw mut map) }.map(drop)
}

pub(super) fn unmap_ioas(iommufd: impl AsFd, ioas: u32, address: u64, len: u64) -> io::Result<()> {
    let mut unmap = iommufd::iommu_ioas_unmap {
        size: size::<iommufd::iommu_ioas_unmap>(),
        ioas_id: ioas,
        iova: address,
        length: len,
    };
    // SAFETY: the structure of this call, with its size.
    unsafe { call(iommufd.as_fd(), IOAS_UNMAP, &raw mut unmap) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_the_numbers_of_the_kernel() {
        assert_eq!(GET_API_VERSION, 0x3b64);
        assert_eq!(IOMMU_MAP_DMA, 0x3b71);
        assert_eq!(DEVICE_ATTACH_IOMMUFD_PT, 0x3b77);
        assert_eq!(IOAS_ALLOC, 0x3b81);
        assert_eq!(IOAS_UNMAP, 0x3b86);
    }

    #[test]
    fn a_file_that_is_no_container_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        assert!(api_version(&file).is_err());
        assert!(!has_extension(&file, vfio::VFIO_TYPE1v2_IOMMU));
        assert!(iommu_info(&file).is_err());
        assert!(region(&file, 0).is_err());
        assert!(set_eventfds(&file, 2, &[file.as_fd(), file.as_fd()]).is_err());
        assert!(iova_ranges(&file, 1).is_err());
        assert!(device(&file, "0000:00:00.0\0").is_err());
    }
}
