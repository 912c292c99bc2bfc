//! Addresses, each kind with a type of its own.

use core::fmt;

/// A byte address in the chip's internal space: registers (GRC), the IGU's commands and the storms' RAM.
///
/// The space is 25 bits wide; 0x1f40000 and above is invalid. The init-values file and the DMA engine count
/// in dwords instead: see [`dword`](Self::dword).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrcAddress(pub u32);

impl GrcAddress {
    /// The first byte behind the registers.
    pub const REGISTERS_END: Self = Self(0x1c0_0000);
    /// The first byte behind the internal space.
    pub const END: Self = Self(0x1f4_0000);

    /// The address `bytes` further on.
    #[must_use]
    pub const fn offset(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// The byte address.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The address in dwords, as the init-values file, PTT entries and DMA commands have it.
    pub const fn dword(self) -> u32 {
        self.0 >> 2
    }

    /// The address of dword `dword`.
    pub const fn from_dword(dword: u32) -> Self {
        Self(dword << 2)
    }
}

impl fmt::Display for GrcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#09x}", self.0)
    }
}

/// A byte address as the adapter's DMA sees host memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusAddress(pub u64);

impl BusAddress {
    /// The address.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Bits 31:0.
    pub const fn low(self) -> u32 {
        self.0 as u32
    }

    /// Bits 63:32.
    pub const fn high(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The address whose halves are `high` and `low`.
    pub const fn from_halves(high: u32, low: u32) -> Self {
        Self((high as u64) << 32 | low as u64)
    }

    /// The address `bytes` further on.
    #[must_use]
    pub const fn offset(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A byte offset inside BAR0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bar0Offset(pub u32);

impl Bar0Offset {
    /// The offset.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The offset `bytes` further on.
    #[must_use]
    pub const fn offset(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}
