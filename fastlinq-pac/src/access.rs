//! Registers as typed constants, read and written through a bus.
//!
//! The chip's registers are reached through windows, by DMA, or, in the software adapter, by a function
//! call; seldom by a plain pointer. So a register here is an address with a type, and what can carry out an
//! access is a [`RegisterBus`]. [`Register::on`] joins the two into a handle with the field operations of
//! `tock-registers` (`get`, `set`, `read`, `write`, `modify`, `is_set`).

use core::fmt;
use core::marker::PhantomData;

use tock_registers::RegisterLongName;
use tock_registers::interfaces::{Readable, Writeable};

use crate::{Chip, GrcAddress};

/// Carries out 32-bit register accesses.
///
/// Values are in the CPU's byte order. An implementation decides how the address is reached: by a BAR0
/// window, by a model, or by an array in a test.
pub trait RegisterBus {
    /// Reads the dword at `address`.
    fn read32(&self, address: GrcAddress) -> u32;
    /// Writes the dword at `address`.
    fn write32(&self, address: GrcAddress, value: u32);
}

impl<B: RegisterBus + ?Sized> RegisterBus for &B {
    fn read32(&self, address: GrcAddress) -> u32 {
        (**self).read32(address)
    }
    fn write32(&self, address: GrcAddress, value: u32) {
        (**self).write32(address, value);
    }
}

#[allow(unreachable_pub)]
mod sealed {
    pub trait Sealed {}
}

/// A way of accessing a register: one of [`ReadWrite`], [`ReadOnly`], [`WriteOnly`].
pub trait Access: sealed::Sealed {}
/// An access that includes reading.
pub trait CanRead: Access {}
/// An access that includes writing.
pub trait CanWrite: Access {}

/// Marks a register that is read and written, or of which no source says otherwise.
#[derive(Clone, Copy, Debug)]
pub enum ReadWrite {}
/// Marks a register that is only read.
#[derive(Clone, Copy, Debug)]
pub enum ReadOnly {}
/// Marks a register that is only written.
#[derive(Clone, Copy, Debug)]
pub enum WriteOnly {}

impl sealed::Sealed for ReadWrite {}
impl sealed::Sealed for ReadOnly {}
impl sealed::Sealed for WriteOnly {}
impl Access for ReadWrite {}
impl Access for ReadOnly {}
impl Access for WriteOnly {}
impl CanRead for ReadWrite {}
impl CanRead for ReadOnly {}
impl CanWrite for ReadWrite {}
impl CanWrite for WriteOnly {}

/// A 32-bit register: its address, how it may be accessed (`A`), and the type of its fields (`F`).
///
/// # Examples
///
/// ```
/// # use core::cell::Cell;
/// # use fastlinq_pac::{GrcAddress, access::RegisterBus};
/// use fastlinq_pac::registers::igu::{PF_CONFIGURATION, pf_configuration};
/// use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
///
/// /// A bus with one register.
/// struct OneRegister(Cell<u32>);
/// impl RegisterBus for OneRegister {
///     fn read32(&self, address: GrcAddress) -> u32 {
///         assert_eq!(address, PF_CONFIGURATION.address());
///         self.0.get()
///     }
///     fn write32(&self, address: GrcAddress, value: u32) {
///         assert_eq!(address, PF_CONFIGURATION.address());
///         self.0.set(value);
///     }
/// }
///
/// let bus = OneRegister(Cell::new(0));
/// PF_CONFIGURATION.on(&bus).write(
///     pf_configuration::FUNC_EN.val(1) + pf_configuration::MSI_MSIX_EN.val(1) + pf_configuration::ATTN_BIT_EN.val(1),
/// );
/// assert_eq!(bus.0.get(), 0x0b);
/// PF_CONFIGURATION.on(&bus).modify(pf_configuration::MSI_MSIX_EN.val(0));
/// assert!(!PF_CONFIGURATION.on(&bus).is_set(pf_configuration::MSI_MSIX_EN));
/// assert_eq!(PF_CONFIGURATION.on(&bus).get(), 0x09);
/// ```
///
/// A read-only register cannot be written:
///
/// ```compile_fail
/// # use fastlinq_pac::access::RegisterBus;
/// # fn f(bus: &impl RegisterBus) {
/// use tock_registers::interfaces::Writeable;
/// fastlinq_pac::registers::dorq::INT_STS.on(bus).set(0);
/// # }
/// ```
pub struct Register<A, F = ()> {
    address: GrcAddress,
    types: PhantomData<fn() -> (A, F)>,
}

impl<A, F> Register<A, F> {
    /// A register at byte address `address`.
    pub const fn new(address: u32) -> Self {
        Self {
            address: GrcAddress(address),
            types: PhantomData,
        }
    }

    /// The register's byte address.
    pub const fn address(self) -> GrcAddress {
        self.address
    }
}

impl<A: Access, F: RegisterLongName> Register<A, F> {
    /// The register on `bus`, ready for access.
    pub const fn on<B: RegisterBus + ?Sized>(self, bus: &B) -> RegisterHandle<'_, B, A, F> {
        RegisterHandle {
            bus,
            register: self,
        }
    }
}

impl<A, F> Clone for Register<A, F> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A, F> Copy for Register<A, F> {}
impl<A, F> PartialEq for Register<A, F> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}
impl<A, F> Eq for Register<A, F> {}
impl<A, F> fmt::Debug for Register<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Register({:#x})", self.address.value())
    }
}
impl<A, F> From<Register<A, F>> for GrcAddress {
    fn from(register: Register<A, F>) -> Self {
        register.address
    }
}

/// A register on a bus; implements `Readable`, `Writeable` and `ReadWriteable` of `tock-registers`.
pub struct RegisterHandle<'a, B: ?Sized, A, F> {
    bus: &'a B,
    register: Register<A, F>,
}

impl<B: ?Sized, A, F> fmt::Debug for RegisterHandle<'_, B, A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.register.fmt(f)
    }
}

impl<B: RegisterBus + ?Sized, A: CanRead, F: RegisterLongName> Readable
    for RegisterHandle<'_, B, A, F>
{
    type T = u32;
    type R = F;

    fn get(&self) -> u32 {
        self.bus.read32(self.register.address)
    }
}

impl<B: RegisterBus + ?Sized, A: CanWrite, F: RegisterLongName> Writeable
    for RegisterHandle<'_, B, A, F>
{
    type T = u32;
    type R = F;

    fn set(&self, value: u32) {
        self.bus.write32(self.register.address, value);
    }
}

/// Registers of one meaning behind one another, or a memory.
///
/// How many elements there are may depend on the chip. An element of more than 4 bytes (`stride`) is a line
/// that the chip takes only as a whole, by DMA.
pub struct RegisterArray<A, F = ()> {
    base: GrcAddress,
    stride: u32,
    len_bb: u32,
    len_k2: u32,
    types: PhantomData<fn() -> (A, F)>,
}

impl<A, F> RegisterArray<A, F> {
    /// An array from byte address `base`, `stride` bytes from one element to the next.
    pub const fn new(base: u32, stride: u32, len_bb: u32, len_k2: u32) -> Self {
        Self {
            base: GrcAddress(base),
            stride,
            len_bb,
            len_k2,
            types: PhantomData,
        }
    }

    /// The byte address of the first element.
    pub const fn address(self) -> GrcAddress {
        self.base
    }

    /// Bytes from one element to the next.
    pub const fn stride(self) -> u32 {
        self.stride
    }

    /// Elements on `chip`.
    pub const fn len(self, chip: Chip) -> u32 {
        match chip {
            Chip::Bb => self.len_bb,
            Chip::K2 => self.len_k2,
        }
    }

    /// Whether `chip` has no element.
    pub const fn is_empty(self, chip: Chip) -> bool {
        self.len(chip) == 0
    }

    /// Element `index`, or `None` where neither chip has that many.
    pub const fn at(self, index: u32) -> Option<Register<A, F>> {
        if index < self.len_bb || index < self.len_k2 {
            Some(Register {
                address: self.element_address(index),
                types: PhantomData,
            })
        } else {
            None
        }
    }

    /// Element `index`, or `None` where `chip` has fewer.
    pub const fn at_on(self, chip: Chip, index: u32) -> Option<Register<A, F>> {
        if index < self.len(chip) {
            self.at(index)
        } else {
            None
        }
    }

    /// The byte address that element `index` has or would have; the index is not checked.
    pub const fn element_address(self, index: u32) -> GrcAddress {
        self.base.offset(index.wrapping_mul(self.stride))
    }
}

impl<A, F> Clone for RegisterArray<A, F> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A, F> Copy for RegisterArray<A, F> {}
impl<A, F> fmt::Debug for RegisterArray<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RegisterArray({:#x}, stride {}, {}/{})",
            self.base.value(),
            self.stride,
            self.len_bb,
            self.len_k2
        )
    }
}
impl<A, F> From<RegisterArray<A, F>> for GrcAddress {
    fn from(array: RegisterArray<A, F>) -> Self {
        array.base
    }
}

/// A register known by its offset from a base that occurs several times, such as a storm's fast memory.
pub struct RelativeRegister<A, F = ()> {
    offset: u32,
    types: PhantomData<fn() -> (A, F)>,
}

impl<A, F> RelativeRegister<A, F> {
    /// A register `offset` bytes behind its base.
    pub const fn new(offset: u32) -> Self {
        Self {
            offset,
            types: PhantomData,
        }
    }

    /// Bytes from the base.
    pub const fn offset(self) -> u32 {
        self.offset
    }

    /// The register behind `base`.
    pub const fn behind(self, base: GrcAddress) -> Register<A, F> {
        Register {
            address: base.offset(self.offset),
            types: PhantomData,
        }
    }
}

impl<A, F> Clone for RelativeRegister<A, F> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A, F> Copy for RelativeRegister<A, F> {}
impl<A, F> fmt::Debug for RelativeRegister<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelativeRegister({:#x})", self.offset)
    }
}
