//! The searcher (SRC): where the flows of the generic flow table are kept.
//!
//! It has a hash table in pages of the translation table, and a list of free elements in other host memory.

use fastlinq_pac::BusAddress;
use fastlinq_pac::versions::RuntimeId;

use super::ConfigError;
use crate::dma::{DmaBuffer, DmaRegion};
use crate::init::{RuntimeError, RuntimeWriter};

/// Flows that the searcher has room for.
pub const SEARCH_ELEMENTS: u32 = 256;

const ELEMENT_BYTES: u32 = 64;
/// Place of the pointer to the next free element, big endian.
const NEXT: u32 = 56;

/// Bytes of the hash table; it fits into one page.
pub(super) const TABLE_BYTES: u32 = SEARCH_ELEMENTS * ELEMENT_BYTES;
/// Bytes of the list of free elements.
pub(super) const FREE_LIST_BYTES: usize = TABLE_BYTES as usize;

/// Strings the elements of the free list together; the last one leads nowhere.
pub(super) fn link_free_list<R: DmaRegion>(list: &mut DmaBuffer<R>) -> Result<(), ConfigError> {
    let base = list.bus_address();
    for element in 0..SEARCH_ELEMENTS {
        let next = match element + 1 {
            SEARCH_ELEMENTS => 0,
            next => base.offset(u64::from(next * ELEMENT_BYTES)).value(),
        };
        let at = element * ELEMENT_BYTES + NEXT;
        list.copy_from(at as usize, &next.to_be_bytes())?;
    }
    Ok(())
}

/// Stores where the free list begins and ends, how long it is, and how many bits of the hash count.
pub(super) fn fill(
    runtime: &mut RuntimeWriter<'_>,
    free_list: BusAddress,
) -> Result<(), RuntimeError> {
    let last = u64::from((SEARCH_ELEMENTS - 1) * ELEMENT_BYTES);
    runtime.set(RuntimeId::SRC_REG_COUNTFREE, SEARCH_ELEMENTS)?;
    runtime.set(
        RuntimeId::SRC_REG_NUMBER_HASH_BITS,
        SEARCH_ELEMENTS.trailing_zeros(),
    )?;
    runtime.set_wide(RuntimeId::SRC_REG_FIRSTFREE, 0, free_list.value())?;
    runtime.set_wide(
        RuntimeId::SRC_REG_LASTFREE,
        0,
        free_list.offset(last).value(),
    )
}
