//! DMA memory behind a safe face: copies in and out, never a reference to what the device may write.
//!
//! The exception are the words of `fastlinq_pac::words`, whose every access is volatile.
#![allow(unsafe_code)]

use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::{self, NonNull};
#[cfg(not(target_arch = "aarch64"))]
use core::sync::atomic::{Ordering, fence};

use fastlinq_pac::BusAddress;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Memory that the CPU and the device share.
///
/// Dropping a region returns it to the host. The crates drop one only when the device has confirmed
/// that it no longer uses it; otherwise they leak it and say so.
///
/// # Safety
///
/// Implementation safety: [`pointer`](Self::pointer) is valid for reads and writes of
/// [`len`](Self::len) bytes until the region is dropped, is aligned as was asked for, belongs to this
/// region alone, and does not move; [`bus_address`](Self::bus_address) leads the device to the same
/// bytes for as long.
pub unsafe trait DmaRegion {
    /// First byte as the CPU sees it.
    fn pointer(&self) -> NonNull<u8>;
    /// First byte as the device sees it.
    fn bus_address(&self) -> BusAddress;
    /// Bytes of the region.
    fn len(&self) -> usize;
    /// Whether the region has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Keeps accesses of DMA memory behind the load of what announced them: of an index, a counter or a completion word that the
/// device wrote, from what it had written before.
///
/// The device is an observer outside of the CPUs' shareability domain, so on aarch64 it takes `dmb oshld`; Rust's acquire
/// fence is `dmb ishld` there and says nothing about it. x86 does not reorder loads: only the compiler is kept from it.
/// Elsewhere it is the strongest fence that the language has.
///
/// This is a property of the CPU and not of a mapping, so hosts have nothing to do for it.
///
/// Known by: the Arm architecture's definition of its barriers. The aarch64 form is compiled and run under emulation,
/// which does not reorder.
#[inline(always)]
pub fn read_barrier() {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    fence(Ordering::Acquire);
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier touches no memory, stack or flags. Without `nomem` the compiler moves no access over it.
    unsafe {
        core::arch::asm!("dmb oshld", options(nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    fence(Ordering::SeqCst);
}

/// Keeps stores to a BAR that is mapped uncached behind earlier stores to DMA memory; what
/// [`Bar::write_barrier`](crate::host::Bar::write_barrier) does unless a host says otherwise.
///
/// On aarch64 `dmb oshst`, as Linux has it in front of every register write; on x86 only the compiler is kept from
/// reordering. Elsewhere it is the strongest fence that the language has, which need not order memory before registers
/// (RISC-V has `fence w, o`): such a host gives its own.
///
/// Known by: as [`read_barrier`].
#[inline(always)]
pub fn write_barrier() {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    fence(Ordering::Release);
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as in `read_barrier`.
    unsafe {
        core::arch::asm!("dmb oshst", options(nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    fence(Ordering::SeqCst);
}

/// An access that leaves its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutOfBuffer {
    /// First byte of the access.
    pub offset: usize,
    /// Bytes of the access.
    pub length: usize,
    /// Bytes of the buffer.
    pub buffer: usize,
}

impl fmt::Display for OutOfBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes at {} leave a DMA buffer of {} bytes",
            self.length, self.offset, self.buffer
        )
    }
}

impl core::error::Error for OutOfBuffer {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for fastlinq_pac::words::StatusBlockWords {}
    impl Sealed for fastlinq_pac::words::AttentionBlockWords {}
}

/// Words that the device writes and that are read with volatile accesses only.
///
/// Sealed: a type belongs here when each of its fields is a volatile-register type, every bit pattern
/// is valid for it, and it has no padding.
pub trait DeviceWords: sealed::Sealed {}
impl DeviceWords for fastlinq_pac::words::StatusBlockWords {}
impl DeviceWords for fastlinq_pac::words::AttentionBlockWords {}

/// A DMA region with bounds-checked accesses.
///
/// Dropping the buffer returns its memory to the host. Who cannot be sure that the device has let go
/// of it calls [`leak`](Self::leak) instead.
#[derive(Debug)]
pub struct DmaBuffer<R: DmaRegion> {
    region: R,
}

impl<R: DmaRegion> DmaBuffer<R> {
    /// Takes a region.
    pub const fn new(region: R) -> Self {
        Self { region }
    }

    /// First byte as the device sees it.
    pub fn bus_address(&self) -> BusAddress {
        self.region.bus_address()
    }

    /// Bytes of the buffer.
    pub fn len(&self) -> usize {
        self.region.len()
    }

    /// Whether the buffer has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Never returns the memory to the host; gives its size in bytes, for the report.
    pub fn leak(self) -> usize {
        let length = self.len();
        let _ = ManuallyDrop::new(self.region);
        length
    }

    /// The region itself.
    pub const fn region(&self) -> &R {
        &self.region
    }

    /// Gives the region back.
    pub fn into_region(self) -> R {
        self.region
    }

    fn at(&self, offset: usize, length: usize) -> Result<*mut u8, OutOfBuffer> {
        let buffer = self.len();
        match offset.checked_add(length) {
            // SAFETY: `offset` is at most `len()`, for which the pointer is valid by the contract of `DmaRegion`.
            Some(end) if end <= buffer => Ok(unsafe { self.region.pointer().as_ptr().add(offset) }),
            _ => Err(OutOfBuffer {
                offset,
                length,
                buffer,
            }),
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`OutOfBuffer`].
    pub fn read<T: FromBytes>(&self, offset: usize) -> Result<T, OutOfBuffer> {
        let source = self.at(offset, size_of::<T>())?;
        let mut value = MaybeUninit::<T>::uninit();
        volatile_copy(source, value.as_mut_ptr().cast(), size_of::<T>());
        // SAFETY: every byte was copied, and any bytes make a `T` (`FromBytes`).
        Ok(unsafe { value.assume_init() })
    }

    /// Stores a value.
    ///
    /// # Errors
    ///
    /// [`OutOfBuffer`].
    pub fn write<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: &T,
    ) -> Result<(), OutOfBuffer> {
        self.copy_from(offset, value.as_bytes())
    }

    /// Copies `source` into the buffer.
    ///
    /// # Errors
    ///
    /// [`OutOfBuffer`].
    pub fn copy_from(&mut self, offset: usize, source: &[u8]) -> Result<(), OutOfBuffer> {
        let target = self.at(offset, source.len())?;
        volatile_copy(source.as_ptr(), target, source.len());
        Ok(())
    }

    /// Copies from the buffer into `target`.
    ///
    /// # Errors
    ///
    /// [`OutOfBuffer`].
    pub fn copy_to(&self, offset: usize, target: &mut [u8]) -> Result<(), OutOfBuffer> {
        let source = self.at(offset, target.len())?;
        volatile_copy(source, target.as_mut_ptr(), target.len());
        Ok(())
    }

    /// Zeroes the whole buffer.
    pub fn zero(&mut self) {
        // SAFETY: the region is valid for `len()` bytes and, through `&mut self`, not accessed by other CPU code.
        unsafe { ptr::write_bytes(self.region.pointer().as_ptr(), 0, self.len()) }
    }

    /// Words that the device writes, for volatile reading; `None` outside the buffer or unaligned.
    pub fn words<T: DeviceWords>(&self, offset: usize) -> Option<&T> {
        let words = self.at(offset, size_of::<T>()).ok()?.cast::<T>();
        // SAFETY: in bounds and aligned; `T` consists of volatile cells of which any bits are valid
        // (`DeviceWords`), and the region lives as long as `self`.
        words.is_aligned().then(|| unsafe { &*words.cast_const() })
    }
}

/// Copies with volatile accesses, by dwords where both sides allow it: the device may look or write at
/// the same time.
fn volatile_copy(source: *const u8, target: *mut u8, length: usize) {
    let aligned = (source as usize | target as usize | length) % 4 == 0;
    if aligned {
        for index in 0..length / 4 {
            // SAFETY: the callers have checked both sides for `length` bytes; both are aligned for dwords,
            // and so is every dword behind them.
            unsafe {
                let value = source.cast::<u32>().add(index).read_volatile();
                target.cast::<u32>().add(index).write_volatile(value);
            }
        }
    } else {
        for index in 0..length {
            // SAFETY: the callers have checked both sides for `length` bytes.
            unsafe {
                target
                    .add(index)
                    .write_volatile(source.add(index).read_volatile())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::little_endian::{U16, U32};

    use super::*;
    use crate::slowpath::test_memory::buffer;

    #[test]
    fn values_come_back_at_any_alignment() {
        let mut memory = buffer(64);
        for offset in [0, 1, 2, 4, 7, 60] {
            memory
                .write(offset, &U32::new(0x0403_0201))
                .expect("inside");
            assert_eq!(memory.read::<U32>(offset).map(U32::get), Ok(0x0403_0201));
            let mut bytes = [0; 4];
            memory.copy_to(offset, &mut bytes).expect("inside");
            assert_eq!(bytes, [1, 2, 3, 4]);
        }
        memory.zero();
        assert_eq!(memory.read::<[u8; 64]>(0), Ok([0; 64]));
    }

    #[test]
    fn nothing_outside_is_touched() {
        let mut memory = buffer(16);
        let outside = |offset, length| {
            Err(OutOfBuffer {
                offset,
                length,
                buffer: 16,
            })
        };
        assert_eq!(memory.write(13, &U32::new(1)), outside(13, 4));
        assert_eq!(
            memory.write(usize::MAX, &U16::new(1)),
            outside(usize::MAX, 2)
        );
        assert_eq!(memory.copy_from(0, &[0; 17]), outside(0, 17));
        assert_eq!(memory.copy_to(17, &mut []), outside(17, 0));
        assert_eq!(memory.copy_to(16, &mut []), Ok(()));
        assert!(memory.read::<[u8; 16]>(1).is_err());
    }

    #[test]
    fn words_of_the_device_are_inside_and_aligned() {
        use fastlinq_pac::words::StatusBlockWords;

        let mut memory = buffer(64);
        memory.write(32 + 28, &U32::new(7)).expect("inside");
        let words = memory.words::<StatusBlockWords>(32).expect("there");
        assert_eq!(u32::from_le(words.prod_index.read()), 7);
        assert!(memory.words::<StatusBlockWords>(33).is_none());
        assert!(memory.words::<StatusBlockWords>(36).is_none());
    }
}
