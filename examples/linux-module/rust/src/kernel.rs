//! What the kernel supplies, through the functions `fl_kernel_*` of the shim.
#![allow(unsafe_code)]

use core::ffi::{c_char, c_int, c_void};
use core::fmt::{self, Write};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use fastlinq_hal::host::{AllocationError, Bar, Clock, DmaAllocator, DmaRegion, Host, PciIdentity};
use fastlinq_pac::BusAddress;

use crate::abi::FlHost;

unsafe extern "C" {
    fn fl_kernel_alloc(bytes: usize) -> *mut c_void;
    fn fl_kernel_free(memory: *mut c_void);
    fn fl_kernel_dma_alloc(device: *mut c_void, bytes: usize, bus: *mut u64) -> *mut c_void;
    fn fl_kernel_dma_free(device: *mut c_void, bytes: usize, memory: *mut c_void, bus: u64);
    fn fl_kernel_now_us() -> u64;
    fn fl_kernel_wait_ns(ns: u64);
    fn fl_kernel_log(level: c_int, text: *const c_char, length: usize);
    fn fl_kernel_frame_copy(
        frame: *const c_void,
        offset: u32,
        target: *mut c_void,
        length: u32,
    ) -> c_int;
    fn fl_kernel_bug() -> !;
}

/// Stops as the kernel does for a BUG.
pub fn bug() -> ! {
    // SAFETY: may be called in every context.
    unsafe { fl_kernel_bug() }
}

/// A value in memory of the kernel's heap. Made and dropped where sleeping is allowed.
pub struct KernelBox<T> {
    value: NonNull<T>,
}

// SAFETY: it owns its value, as a box does.
unsafe impl<T: Send> Send for KernelBox<T> {}

impl<T> KernelBox<T> {
    /// Allocates memory and moves `value` into it.
    ///
    /// # Errors
    ///
    /// [`AllocationError`] when the kernel has no such memory.
    pub fn new(value: T) -> Result<Self, AllocationError> {
        let error = AllocationError {
            size: size_of::<T>(),
            align: align_of::<T>(),
        };
        // SAFETY: plain allocation; a size of 0 is not asked for.
        let memory = unsafe { fl_kernel_alloc(size_of::<T>().max(1)) };
        let memory = NonNull::new(memory.cast::<T>()).ok_or(error)?;
        if !memory.is_aligned() {
            // SAFETY: just allocated, and nobody else has it.
            unsafe { fl_kernel_free(memory.as_ptr().cast()) };
            return Err(error);
        }
        // SAFETY: large enough, aligned, and nobody else's.
        unsafe { memory.write(value) };
        Ok(Self { value: memory })
    }

    /// Moves the value out and frees its memory.
    pub fn into_inner(self) -> T {
        let memory = ManuallyDrop::new(self).value;
        // SAFETY: the value is initialised, and moved out once; its memory came from `fl_kernel_alloc`.
        unsafe {
            let value = memory.read();
            fl_kernel_free(memory.as_ptr().cast());
            value
        }
    }

    /// The address of the value, for C.
    pub fn as_ptr(&self) -> *mut T {
        self.value.as_ptr()
    }
}

impl<T> Deref for KernelBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the box owns an initialised value.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for KernelBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the box owns an initialised value, and is borrowed mutably.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for KernelBox<T> {
    fn drop(&mut self) {
        // SAFETY: the value is initialised and not used after this; its memory came from `fl_kernel_alloc`.
        unsafe {
            self.value.drop_in_place();
            fl_kernel_free(self.value.as_ptr().cast());
        }
    }
}

/// A BAR that the shim has mapped uncached.
///
/// On x86-64 volatile accesses of a mapped BAR are what `readl` and `writel` are, and stores to memory are visible before
/// later stores to an uncached mapping; the shim's build refuses other architectures.
#[derive(Clone, Copy)]
pub struct MappedBar {
    base: *mut u8,
    length: usize,
}

// SAFETY: a mapping is reached from every processor alike, and only by volatile accesses.
unsafe impl Send for MappedBar {}

impl MappedBar {
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let inside = offset
            .checked_add(size_of::<T>())
            .is_some_and(|end| end <= self.length);
        // SAFETY: inside the mapping.
        (inside && offset % size_of::<T>() == 0).then(|| unsafe { self.base.add(offset).cast() })
    }
}

impl Bar for MappedBar {
    fn len(&self) -> usize {
        self.length
    }

    #[inline]
    fn read32(&self, offset: usize) -> u32 {
        match self.at::<u32>(offset) {
            // SAFETY: inside the mapping, and aligned.
            Some(register) => u32::from_le(unsafe { register.read_volatile() }),
            None => u32::MAX,
        }
    }

    #[inline]
    fn write32(&self, offset: usize, value: u32) {
        if let Some(register) = self.at::<u32>(offset) {
            // SAFETY: inside the mapping, and aligned.
            unsafe { register.write_volatile(value.to_le()) }
        }
    }

    #[inline]
    fn write16(&self, offset: usize, value: u16) {
        if let Some(register) = self.at::<u16>(offset) {
            // SAFETY: inside the mapping, and aligned.
            unsafe { register.write_volatile(value.to_le()) }
        }
    }
}

/// Coherent DMA memory; returned to the kernel when dropped, which may sleep.
pub struct DmaMemory {
    device: *mut c_void,
    memory: NonNull<u8>,
    bus: u64,
    bytes: usize,
}

// SAFETY: the memory is reached from every processor alike; the device outlives all its memory, because the shim gives up
// both at once.
unsafe impl Send for DmaMemory {}
// SAFETY: a shared region only tells where it is.
unsafe impl Sync for DmaMemory {}

// SAFETY: `dma_alloc_coherent` gives memory that belongs to this region alone until its drop, aligned as was checked, and
// a bus address that leads the device to the same bytes.
unsafe impl DmaRegion for DmaMemory {
    fn pointer(&self) -> NonNull<u8> {
        self.memory
    }

    fn bus_address(&self) -> BusAddress {
        BusAddress(self.bus)
    }

    fn len(&self) -> usize {
        self.bytes
    }
}

impl Drop for DmaMemory {
    fn drop(&mut self) {
        // SAFETY: came from `fl_kernel_dma_alloc` with the same device and size.
        unsafe {
            fl_kernel_dma_free(
                self.device,
                self.bytes,
                self.memory.as_ptr().cast(),
                self.bus,
            );
        }
    }
}

/// The kernel as a host: one PCI function that the shim has bound.
#[derive(Clone)]
pub struct KernelHost {
    device: *mut c_void,
    registers: MappedBar,
    doorbells: MappedBar,
    identity: PciIdentity,
    vectors: u16,
}

// SAFETY: handles to a device and its mappings, which are the same from every processor.
unsafe impl Send for KernelHost {}

impl KernelHost {
    /// Takes what the shim has mapped.
    ///
    /// # Safety
    ///
    /// `host` describes mappings and a device that outlive everything that is made from the result.
    pub unsafe fn new(host: &FlHost) -> Self {
        let bar = |base: *mut c_void, length: u64| MappedBar {
            base: base.cast(),
            length: usize::try_from(length).unwrap_or(0),
        };
        Self {
            device: host.device,
            registers: bar(host.registers, host.registers_length),
            doorbells: bar(host.doorbells, host.doorbells_length),
            identity: PciIdentity {
                vendor: host.vendor,
                device: host.device_id,
                revision: host.revision,
                subsystem_vendor: host.subsystem_vendor,
                subsystem: host.subsystem,
            },
            vectors: host.vectors,
        }
    }
}

impl DmaAllocator for KernelHost {
    type Region = DmaMemory;

    fn allocate(&mut self, size: usize, align: usize) -> Result<DmaMemory, AllocationError> {
        let error = AllocationError { size, align };
        if size == 0 {
            return Err(error);
        }
        let mut bus = 0;
        // SAFETY: the device is bound as long as this host is used.
        let memory = unsafe { fl_kernel_dma_alloc(self.device, size, &mut bus) };
        let memory = NonNull::new(memory.cast::<u8>()).ok_or(error)?;
        let memory = DmaMemory {
            device: self.device,
            memory,
            bus,
            bytes: size,
        };
        // The kernel aligns to the size, rounded up to a power of two, but an IOMMU may have less.
        let mask = align.wrapping_sub(1) as u64;
        if bus & mask != 0 || memory.memory.as_ptr() as usize & mask as usize != 0 {
            return Err(error);
        }
        Ok(memory)
    }
}

impl Clock for KernelHost {
    fn now_us(&self) -> u64 {
        // SAFETY: may be called in every context.
        unsafe { fl_kernel_now_us() }
    }
}

impl embedded_hal::delay::DelayNs for KernelHost {
    fn delay_ns(&mut self, ns: u32) {
        // SAFETY: only control calls wait, and those may sleep.
        unsafe { fl_kernel_wait_ns(ns.into()) }
    }

    fn delay_us(&mut self, us: u32) {
        // SAFETY: as above.
        unsafe { fl_kernel_wait_ns(u64::from(us) * 1_000) }
    }

    fn delay_ms(&mut self, ms: u32) {
        // SAFETY: as above.
        unsafe { fl_kernel_wait_ns(u64::from(ms) * 1_000_000) }
    }
}

impl Host for KernelHost {
    type Bar = MappedBar;

    fn registers(&self) -> MappedBar {
        self.registers
    }

    fn doorbells(&self) -> MappedBar {
        self.doorbells
    }

    fn identity(&self) -> PciIdentity {
        self.identity
    }

    fn interrupt_vectors(&self) -> u16 {
        self.vectors
    }
}

/// A frame of the kernel's to be sent (`struct sk_buff`), in whatever pieces; lent for a call.
pub struct Frame<'a> {
    skb: *const c_void,
    length: u32,
    lent: PhantomData<&'a ()>,
}

impl Frame<'_> {
    /// Takes what the shim lends.
    ///
    /// # Safety
    ///
    /// `skb` is a `struct sk_buff` that nobody changes or frees while the result is used.
    pub unsafe fn new(skb: *const c_void, length: u32) -> Self {
        Self {
            skb,
            length,
            lent: PhantomData,
        }
    }

    /// Bytes of the frame.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether the frame has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Copies the bytes from `offset` on; `false` if the frame does not have so many.
    pub fn copy(&self, offset: usize, target: &mut [u8]) -> bool {
        let (Ok(offset), Ok(length)) = (u32::try_from(offset), u32::try_from(target.len())) else {
            return false;
        };
        // SAFETY: the frame is there, and `target` has room for `length` bytes; the kernel checks offset and length.
        unsafe { fl_kernel_frame_copy(self.skb, offset, target.as_mut_ptr().cast(), length) == 0 }
    }
}

/// Lines of the driver crates in the kernel's log.
struct KernelLog;

/// Longest line; the rest of a longer one is cut off, with a mark.
const LINE: usize = 240;

struct Line {
    text: [u8; LINE],
    used: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let rest = self.text.get_mut(self.used..).unwrap_or(&mut []);
        let length = text.len().min(rest.len());
        if let (Some(into), Some(from)) = (rest.get_mut(..length), text.as_bytes().get(..length)) {
            into.copy_from_slice(from);
        }
        self.used += length;
        if length < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

impl log::Log for KernelLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut line = Line {
            text: [0; LINE],
            used: 0,
        };
        // A line that does not fit is cut off.
        if line.write_fmt(*record.args()).is_err() {
            if let Some(end) = line.text.last_chunk_mut::<3>() {
                *end = *b"...";
            }
        }
        let level = record.level() as c_int;
        // SAFETY: `used` bytes of the text are there; printk may be called in every context.
        unsafe { fl_kernel_log(level, line.text.as_ptr().cast(), line.used) }
    }

    fn flush(&self) {}
}

/// Sends the crates' lines up to `level` (1 errors, 2 warnings, 3 information, 4 debug) to the kernel's log.
pub fn start_log(level: c_int) {
    let _ = log::set_logger(&KernelLog);
    log::set_max_level(match level {
        ..=1 => log::LevelFilter::Error,
        2 => log::LevelFilter::Warn,
        3 => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    });
}
