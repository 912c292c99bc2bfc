//! Pages: memory of a file without a name, mapped for this process.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use super::PageSize;

/// Zeroed pages that stay where they are until dropped.
///
/// They are shared memory, so a fork of the process does not move them; a child does not inherit them. The file is sealed:
/// whoever gets its descriptor cannot shorten it under us.
///
/// # Invariants
///
/// `pointer` is the start of `len` mapped, readable and writable bytes inside the `reserved` bytes at `base`.
#[derive(Debug)]
pub(crate) struct Pages {
    file: OwnedFd,
    base: NonNull<u8>,
    reserved: usize,
    pointer: NonNull<u8>,
    len: usize,
    keep: bool,
}

// SAFETY: the mapping belongs to the process, not to a thread; this type only hands its address out.
unsafe impl Send for Pages {}
// SAFETY: as above; nothing is accessed through a shared reference.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps `len` bytes, a multiple of the page size, at a multiple of `align`.
    pub(crate) fn new(len: usize, align: usize, size: PageSize) -> Result<Self, Errno> {
        let kind = match size {
            PageSize::Kib4 => MemfdFlags::empty(),
            PageSize::Mib2 => MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB,
            PageSize::Gib1 => MemfdFlags::HUGETLB | MemfdFlags::HUGE_1GB,
        };
        let align = align.max(size.bytes());
        let reserved = len.checked_add(align).ok_or(Errno::NOMEM)?;
        let file = memfd_create(
            "fastlinq-dma",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | kind,
        )?;
        ftruncate(&file, len as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        // SAFETY: a new mapping, at a place that the kernel chooses.
        let base = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                reserved,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?;
        let base = NonNull::new(base.cast::<u8>()).ok_or(Errno::NOMEM)?;
        let skip = base.as_ptr().align_offset(align);
        // SAFETY: `skip` is less than `align`, and `align` more than `len` bytes are reserved.
        let pointer = unsafe { base.add(skip) };
        // From here on dropping `pages` removes the reservation, whatever is mapped in it.
        let pages = Self {
            file,
            base,
            reserved,
            pointer,
            len,
            keep: false,
        };
        // SAFETY: replaces a part of the reservation just made, which nobody else knows of.
        unsafe {
            mmap(
                pages.pointer.as_ptr().cast(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::FIXED | MapFlags::POPULATE,
                &pages.file,
                0,
            )
        }?;
        let start = pages.pointer.as_ptr().cast();
        // SAFETY: the range is ours; the advice changes nothing in this process.
        let advised = unsafe { madvise(start, len, Advice::LinuxDontFork) };
        if let Err(errno) = advised {
            log::debug!("DMA memory will be visible to children: {errno}");
        }
        Ok(pages)
    }

    pub(crate) fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Never unmaps the pages: the device may still reach them.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // SAFETY: the whole reservation is ours, and who holds a piece of it holds this value too.
        if let Err(errno) = unsafe { munmap(self.base.as_ptr().cast(), self.reserved) } {
            log::warn!("DMA memory stays mapped: {errno}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_zeroed_aligned_and_sealed() {
        for align in [1, 4096, 1 << 21, 1 << 24] {
            let pages = Pages::new(3 * 4096, align, PageSize::Kib4).unwrap();
            assert_eq!(pages.pointer().as_ptr() as usize % align.max(4096), 0);
            for at in 0..pages.len() {
                // SAFETY: inside the mapping.
                unsafe {
                    assert_eq!(pages.pointer().add(at).read_volatile(), 0);
                    pages.pointer().add(at).write_volatile(at as u8);
                }
            }
            assert_eq!(ftruncate(pages.file(), 4096), Err(Errno::PERM));
            assert_eq!(ftruncate(pages.file(), 1 << 20), Err(Errno::PERM));
        }
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(Pages::new(usize::MAX & !4095, 4096, PageSize::Kib4).is_err());
        assert!(Pages::new(1 << 46, 1 << 46, PageSize::Kib4).is_err());
    }
}
