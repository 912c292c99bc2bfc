//! A BAR of a file, mapped into this process.
#![allow(unsafe_code)]

use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use fastlinq_hal::host::{Bar, Caching, MmioBar};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// # Invariants
///
/// `pointer` is the start of `len` mapped bytes, which stay mapped until the value is dropped.
#[derive(Debug)]
struct Mapping {
    pointer: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process; this type only unmaps it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `MappedBar::new`, and nobody holds the address any more.
        if let Err(errno) = unsafe { munmap(self.pointer.as_ptr().cast(), self.len) } {
            log::warn!("a BAR stays mapped: {errno}");
        }
    }
}

/// A BAR that is mapped into this process; clones are handles to the same mapping.
///
/// An access outside of the BAR, or not aligned to its width, does not reach the device: reads give all ones.
#[derive(Clone, Debug)]
pub struct MappedBar {
    /// Used as long as `mapping` is held, and no longer.
    bar: MmioBar,
    writable: bool,
    _mapping: Arc<Mapping>,
}

impl MappedBar {
    /// Maps `len` bytes of a file that holds a BAR from `offset` on.
    pub(crate) fn new(
        file: impl AsFd,
        offset: u64,
        len: usize,
        caching: Caching,
        writable: bool,
    ) -> Result<Self, Errno> {
        let mut access = ProtFlags::READ;
        access.set(ProtFlags::WRITE, writable);
        // SAFETY: a new mapping, at a place that the kernel chooses. No reference to it is ever made.
        let pointer =
            unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, offset) }?;
        let pointer = NonNull::new(pointer.cast()).ok_or(Errno::NOMEM)?;
        let mapping = Arc::new(Mapping { pointer, len });
        Ok(Self {
            // SAFETY: mapped as a whole, from a page on, for as long as the mapping is held.
            bar: unsafe { MmioBar::new(pointer, len, caching) },
            writable,
            _mapping: mapping,
        })
    }

    /// How the CPU treats accesses.
    #[must_use]
    pub fn caching(&self) -> Caching {
        self.bar.caching()
    }
}

impl Bar for MappedBar {
    fn len(&self) -> usize {
        self.bar.len()
    }

    #[inline]
    fn read32(&self, offset: usize) -> u32 {
        self.bar.read32(offset)
    }

    #[inline]
    fn write32(&self, offset: usize, value: u32) {
        if self.writable {
            self.bar.write32(offset, value);
        }
    }

    #[inline]
    fn write16(&self, offset: usize, value: u16) {
        if self.writable {
            self.bar.write16(offset, value);
        }
    }

    #[inline]
    fn write_barrier(&self) {
        self.bar.write_barrier();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn bar(caching: Caching, writable: bool) -> (MappedBar, tempfile::NamedTempFile) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(&[0x11; 8192]).expect("written");
        let bar = MappedBar::new(&file, 4096, 4096, caching, writable).expect("mapped");
        (bar, file)
    }

    #[test]
    fn accesses_have_their_width_and_their_place() {
        for caching in [Caching::Uncached, Caching::WriteCombining] {
            let (bar, file) = bar(caching, true);
            bar.write32(8, 0x0403_0201);
            bar.write16(16, 0xbbaa);
            bar.write_barrier();
            assert_eq!(bar.read32(8), 0x0403_0201);
            assert_eq!(bar.read32(16), 0x1111_bbaa);
            let bytes = std::fs::read(file.path()).expect("read");
            assert_eq!(bytes[4096 + 7..4096 + 13], [0x11, 1, 2, 3, 4, 0x11]);
            assert!(bytes[..4096].iter().all(|byte| *byte == 0x11));
        }
    }

    #[test]
    fn nothing_outside_or_unaligned_or_forbidden_is_touched() {
        let (bar, file) = bar(Caching::Uncached, true);
        for offset in [4096, 4094, 2, usize::MAX, usize::MAX - 3] {
            bar.write32(offset, 0);
            assert_eq!(bar.read32(offset), u32::MAX, "{offset:#x}");
        }
        bar.write16(4095, 0);
        bar.write16(4096, 0);
        let closed = MappedBar::new(&file, 0, 4096, Caching::Uncached, false).expect("mapped");
        closed.write32(0, 0);
        closed.write16(0, 0);
        let bytes = std::fs::read(file.path()).expect("read");
        assert!(bytes.iter().all(|byte| *byte == 0x11));
    }
}
