//! DMA memory: pages, the bus addresses at which the device reaches them, and pieces of both.

mod pages;
mod pool;
mod ranges;
mod region;
#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use pool::{MapError, Pool, Translation, Window};
pub use region::Region;

/// Sizes of the pages that DMA memory is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageSize {
    /// Ordinary pages.
    Kib4,
    /// Huge pages of 2 MiB.
    #[default]
    Mib2,
    /// Huge pages of 1 GiB. They must be reserved when the machine boots, and one is taken as a whole.
    Gib1,
}

impl PageSize {
    /// Bytes of a page.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Kib4 => 4 << 10,
            Self::Mib2 => 2 << 20,
            Self::Gib1 => 1 << 30,
        }
    }

    /// Bytes that are mapped for the device at a time, at least.
    const fn chunk_bytes(self) -> usize {
        match self {
            Self::Kib4 | Self::Mib2 => 2 << 20,
            Self::Gib1 => 1 << 30,
        }
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kib4 => "4 KiB",
            Self::Mib2 => "2 MiB",
            Self::Gib1 => "1 GiB",
        })
    }
}

/// What a host's DMA memory amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryReport {
    /// Pieces in use, leaked ones included.
    pub regions: usize,
    /// Bytes of them.
    pub bytes: usize,
    /// Chunks that are mapped for the device.
    pub chunks: usize,
    /// Bytes of them.
    pub mapped_bytes: usize,
    /// Bytes that could not be taken away from the device and are kept for ever.
    pub lost_bytes: usize,
    /// Size of the pages of the last chunk.
    pub page_size: Option<PageSize>,
}
