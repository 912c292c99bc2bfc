//! What translates the device's addresses: a container of VFIO, or an address space of iommufd.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use vfio_bindings::bindings::vfio;

use super::error::{VfioError, doing};
use super::ioctl;
use crate::memory::{MapError, Translation, Window};

/// What translates the device's addresses; clones are handles to the same.
#[derive(Clone, Debug)]
pub(super) enum Domain {
    Container(Arc<OwnedFd>),
    Ioas(Arc<OwnedFd>, u32),
}

impl Domain {
    /// The addresses that are translated, by first and last.
    pub(super) fn ranges(&self) -> Result<Vec<(u64, u64)>, VfioError> {
        let what = doing("ask for the addresses that the IOMMU translates");
        match self {
            Self::Container(container) => ioctl::iommu_info(container)
                .map(|info| ranges_of(&info))
                .map_err(what),
            Self::Ioas(iommufd, ioas) => ioctl::iova_ranges(iommufd, *ioas).map_err(what),
        }
    }
}

impl Translation for Domain {
    fn map(&self, window: Window<'_>, address: u64) -> Result<(), MapError> {
        // SAFETY: the pool unmaps the pages from the process only after `unmap` has succeeded, and otherwise never.
        let mapped = unsafe {
            match self {
                Self::Container(container) => ioctl::map_dma(container.as_fd(), window, address),
                Self::Ioas(iommufd, ioas) => {
                    ioctl::map_ioas(iommufd.as_fd(), *ioas, window, address)
                }
            }
        };
        mapped.map_err(|error| doing("map DMA memory")(error).into())
    }

    fn unmap(&self, address: u64, len: u64) -> Result<(), MapError> {
        let unmapped = match self {
            Self::Container(container) => ioctl::unmap_dma(container.as_fd(), address, len),
            Self::Ioas(iommufd, ioas) => ioctl::unmap_ioas(iommufd.as_fd(), *ioas, address, len),
        };
        unmapped.map_err(|error| doing("unmap DMA memory")(error).into())
    }

    fn may_free_after_failed_unmap(&self) -> bool {
        false
    }
}

/// Address ranges in the kernel's answer; all addresses below 2^39 where an old kernel does not say, without the window
/// of x86's interrupt controller.
fn ranges_of(info: &[u8]) -> Vec<(u64, u64)> {
    const OLD_KERNEL: [(u64, u64); 2] = [(0x1000, 0xfedf_ffff), (0xfef0_0000, (1 << 39) - 1)];
    const HEAD: usize = size_of::<vfio::vfio_iommu_type1_info>();
    /// Header of a capability: id, version, offset of the next; then the number of ranges, and four bytes of nothing.
    const CAPABILITY: usize = 16;
    let word = |at: usize| -> Option<u32> {
        let bytes = info.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let quad = |at: usize| -> Option<u64> {
        let bytes = info.get(at..at.checked_add(8)?)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    };
    let has_capabilities = word(4).is_some_and(|flags| flags & vfio::VFIO_IOMMU_INFO_CAPS != 0);
    let first = word(std::mem::offset_of!(
        vfio::vfio_iommu_type1_info,
        cap_offset
    ));
    let mut at = first.filter(|_| has_capabilities).unwrap_or(0) as usize;
    // Capabilities do not overlap, so there are no more than would fit.
    for _ in 0..info.len() / 8 {
        let (Some(head), Some(next)) = (word(at), word(at + 4)) else {
            break;
        };
        if at < HEAD {
            break;
        }
        if head & 0xffff == vfio::VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE {
            let count = word(at + 8).unwrap_or(0) as usize;
            let fit = info.len().saturating_sub(at + CAPABILITY) / 16;
            let range = |index: usize| {
                let place = at + CAPABILITY + index * 16;
                Some((quad(place)?, quad(place + 8)?))
            };
            return (0..count.min(fit)).filter_map(range).collect();
        }
        at = next as usize;
    }
    OLD_KERNEL.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of the kernel: head, one capability of another kind, one with two ranges.
    fn answer() -> Vec<u8> {
        let words: [u32; 8] = [80, 3, 0x1000, 0, 24, 0, 2 | 1 << 16, 40];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend_from_slice(&[0; 8]);
        for word in [1u32 | 1 << 16, 0, 2, 0] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        for quad in [0u64, 0xfedf_ffff, 0xfef0_0000, 0xff_ffff_ffff] {
            bytes.extend_from_slice(&quad.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn ranges_are_found_in_the_chain() {
        let bytes = answer();
        assert_eq!(
            ranges_of(&bytes),
            [(0, 0xfedf_ffff), (0xfef0_0000, 0xff_ffff_ffff)]
        );
        let mut without = bytes.clone();
        without[4] = 1;
        assert_eq!(ranges_of(&without).len(), 2, "what an old kernel can do");
        assert_eq!(ranges_of(&without)[1].1, (1 << 39) - 1);
    }

    #[test]
    fn no_answer_is_read_beyond_its_end_or_for_ever() {
        let bytes = answer();
        for end in 0..bytes.len() {
            ranges_of(&bytes[..end]);
            for value in [0, 1, 24, 40, 0x7f, 0xff] {
                let mut mutated = bytes.clone();
                mutated[end] = value;
                ranges_of(&mutated);
            }
        }
        let mut circle = bytes;
        circle[28..32].copy_from_slice(&24u32.to_ne_bytes());
        ranges_of(&circle);
    }
}
