//! A mapped BAR: volatile accesses of exactly the width asked for.
#![allow(unsafe_code)]

use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use fastlinq_hal::host::Bar;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// How the CPU treats accesses to a mapped BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Each access goes out as it is made.
    Uncached,
    /// Stores may wait in a buffer of the CPU; a barrier after each pushes it out.
    WriteCombining,
}

/// # Invariants
///
/// `pointer` is the start of `len` mapped bytes, which stay mapped until the value is dropped.
#[derive(Debug)]
struct Mapping {
    pointer: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process; every access is one volatile load or store of a register.
unsafe impl Send for Mapping {}
// SAFETY: as above; the device orders accesses from several threads.
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
    mapping: Arc<Mapping>,
    caching: Caching,
    writable: bool,
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
        Ok(Self {
            mapping: Arc::new(Mapping { pointer, len }),
            caching,
            writable,
        })
    }

    /// How the CPU treats accesses.
    #[must_use]
    pub fn caching(&self) -> Caching {
        self.caching
    }

    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let size = size_of::<T>();
        let inside = offset
            .checked_add(size)
            .is_some_and(|end| end <= self.mapping.len);
        let fits = inside && offset % size == 0;
        // SAFETY: inside the mapping.
        fits.then(|| unsafe { self.mapping.pointer.as_ptr().add(offset).cast() })
    }

    fn for_write<T>(&self, offset: usize) -> Option<*mut T> {
        self.at(offset).filter(|_| self.writable)
    }

    fn stored(&self) {
        if self.caching == Caching::WriteCombining {
            push_out();
        }
    }
}

impl Bar for MappedBar {
    fn len(&self) -> usize {
        self.mapping.len
    }

    #[inline]
    fn read32(&self, offset: usize) -> u32 {
        match self.at(offset) {
            // SAFETY: inside the mapping and aligned to 4, which the mapping begins at.
            Some(register) => u32::from_le(unsafe { load32(register) }),
            None => u32::MAX,
        }
    }

    #[inline]
    fn write32(&self, offset: usize, value: u32) {
        if let Some(register) = self.for_write(offset) {
            // SAFETY: inside the mapping, which is writable, and aligned.
            unsafe { store32(register, value.to_le()) };
            self.stored();
        }
    }

    #[inline]
    fn write16(&self, offset: usize, value: u16) {
        if let Some(register) = self.for_write(offset) {
            // SAFETY: inside the mapping, which is writable, and aligned.
            unsafe { store16(register, value.to_le()) };
            self.stored();
        }
    }

    #[inline]
    fn write_barrier(&self) {
        barrier(self.caching);
    }
}

/// Before a store that makes the device read memory.
#[inline]
fn barrier(caching: Caching) {
    // On x86 a store to uncached memory does not pass earlier stores; one to write-combining memory may.
    if cfg!(target_arch = "x86_64") && caching == Caching::Uncached {
        fence(Ordering::Release);
    } else {
        push_out();
    }
}

/// Orders all earlier stores before all later ones, for the device too, and empties the write-combining buffers.
#[cfg(target_arch = "x86_64")]
#[inline]
fn push_out() {
    // SAFETY: every x86-64 CPU has the instruction; it touches no memory.
    unsafe { core::arch::x86_64::_mm_sfence() };
}

#[cfg(target_arch = "aarch64")]
#[inline]
fn push_out() {
    // SAFETY: a barrier touches no memory. The full system is its domain: the device is outside of the shareable ones.
    unsafe { core::arch::asm!("dsb st", options(nostack, preserves_flags)) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline]
fn push_out() {
    fence(Ordering::SeqCst);
}

// On aarch64 a volatile access may be compiled into one with write-back addressing, which a hypervisor cannot emulate.

/// # Safety
///
/// `register` is mapped and aligned.
#[inline]
unsafe fn load32(register: *mut u32) -> u32 {
    #[cfg(target_arch = "aarch64")]
    {
        let value: u32;
        // SAFETY: one load from a mapped and aligned place, by the caller's word.
        unsafe {
            core::arch::asm!("ldr {v:w}, [{p}]", v = out(reg) value, p = in(reg) register,
                options(nostack, preserves_flags));
        }
        value
    }
    #[cfg(not(target_arch = "aarch64"))]
    // SAFETY: mapped and aligned, by the caller's word.
    unsafe {
        register.read_volatile()
    }
}

/// # Safety
///
/// `register` is mapped, writable and aligned.
#[inline]
unsafe fn store32(register: *mut u32, value: u32) {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: one store to a mapped and aligned place, by the caller's word.
    unsafe {
        core::arch::asm!("str {v:w}, [{p}]", v = in(reg) value, p = in(reg) register,
            options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    // SAFETY: mapped, writable and aligned, by the caller's word.
    unsafe {
        register.write_volatile(value);
    }
}

/// # Safety
///
/// `register` is mapped, writable and aligned.
#[inline]
unsafe fn store16(register: *mut u16, value: u16) {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: one store to a mapped and aligned place, by the caller's word.
    unsafe {
        core::arch::asm!("strh {v:w}, [{p}]", v = in(reg) value, p = in(reg) register,
            options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    // SAFETY: mapped, writable and aligned, by the caller's word.
    unsafe {
        register.write_volatile(value);
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
