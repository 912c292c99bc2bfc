//! A BAR that the CPU reaches by loads and stores, and the barriers that go with it.
#![allow(unsafe_code)]

use core::ptr::NonNull;

use super::Bar;

/// How the CPU treats accesses to a mapped BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Caching {
    /// Each access goes out as it is made.
    Uncached,
    /// Stores may wait in a buffer of the CPU; a barrier after each pushes it out. For doorbells only.
    WriteCombining,
}

/// A BAR that is mapped into the address space; clones are handles to the same mapping.
///
/// Each access is one volatile load or store of exactly its width. One outside of the BAR, or not aligned to its width, does not
/// reach the device: reads give all ones. Barriers are those of x86-64, arm64 and RISC-V; other CPUs get the strongest fence
/// that Rust knows.
///
/// Known by: the model, through VFIO and on bare metal on x86-64; by reading on other CPUs.
///
/// # Examples
///
/// ```
/// use fastlinq_hal::host::{Bar, Caching, MmioBar};
/// use std::ptr::NonNull;
///
/// let memory = Box::leak(Box::new([0_u32; 1024]));
/// // SAFETY: the memory is leaked, and used by nothing else.
/// let bar = unsafe { MmioBar::new(NonNull::from(memory).cast(), 4096, Caching::Uncached) };
/// bar.write16(8, 0x1234);
/// assert_eq!(bar.read32(8), 0x1234);
/// assert_eq!(bar.read32(4096), u32::MAX);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MmioBar {
    base: NonNull<u8>,
    len: usize,
    caching: Caching,
}

// SAFETY: every access is one volatile load or store of a register, which the device orders; the mapping stays.
unsafe impl Send for MmioBar {}
// SAFETY: as above.
unsafe impl Sync for MmioBar {}

impl MmioBar {
    /// A BAR of `len` bytes that is mapped at `base`.
    ///
    /// # Safety
    ///
    /// The bytes are mapped in the way that `caching` says for as long as this value or a clone of it is used, `base` is aligned
    /// to 4 bytes, and nothing makes a reference to them.
    #[must_use]
    pub const unsafe fn new(base: NonNull<u8>, len: usize, caching: Caching) -> Self {
        Self { base, len, caching }
    }

    /// How the CPU treats accesses.
    #[must_use]
    pub const fn caching(&self) -> Caching {
        self.caching
    }

    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let size = size_of::<T>();
        let inside = offset.checked_add(size).is_some_and(|end| end <= self.len);
        let fits = inside && offset % size == 0;
        // SAFETY: inside the mapping.
        fits.then(|| unsafe { self.base.as_ptr().add(offset).cast() })
    }

    fn stored(&self) {
        if self.caching == Caching::WriteCombining {
            push_out();
        }
    }
}

impl Bar for MmioBar {
    fn len(&self) -> usize {
        self.len
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
        if let Some(register) = self.at(offset) {
            // SAFETY: inside the mapping, and aligned.
            unsafe { store32(register, value.to_le()) };
            self.stored();
        }
    }

    #[inline]
    fn write16(&self, offset: usize, value: u16) {
        if let Some(register) = self.at(offset) {
            // SAFETY: inside the mapping, and aligned.
            unsafe { store16(register, value.to_le()) };
            self.stored();
        }
    }

    #[inline]
    fn write_barrier(&self) {
        // On x86 a store to uncached memory does not pass earlier stores; one to write-combining memory may.
        if cfg!(target_arch = "x86_64") && self.caching == Caching::Uncached {
            core::sync::atomic::fence(core::sync::atomic::Ordering::Release);
        } else {
            push_out();
        }
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

#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
#[inline]
fn push_out() {
    // SAFETY: a barrier touches no memory.
    unsafe { core::arch::asm!("fence w, o", options(nostack, preserves_flags)) };
}

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv32",
    target_arch = "riscv64"
)))]
#[inline]
fn push_out() {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
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
