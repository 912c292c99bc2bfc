//! BAR4: the MSI-X table and its pending bits.

use super::outside::Outside;

/// Vectors of a function.
pub(crate) const VECTORS: u16 = 128;
/// Offset of the pending bits in BAR4.
/// Bytes of BAR4.
pub(crate) const BAR4_BYTES: u64 = 0x8000;
pub(crate) const PENDING_OFFSET: u64 = 0x4000;

const MASKED: u32 = 1;

/// The table of one function.
///
/// Until software writes the table, all vectors count as unmasked: a host that keeps the real table to itself (a
/// hypervisor, or a driver in the same process) never writes this one.
pub(crate) struct MsixTable {
    entries: Vec<[u32; 4]>,
    pending: u128,
    programmed: bool,
    function_masked: bool,
}

impl MsixTable {
    pub(crate) fn new() -> Self {
        Self {
            entries: vec![[0, 0, 0, MASKED]; usize::from(VECTORS)],
            pending: 0,
            programmed: false,
            function_masked: false,
        }
    }

    fn is_masked(&self, vector: u16) -> bool {
        self.function_masked
            || self.programmed
                && self
                    .entries
                    .get(usize::from(vector))
                    .is_none_or(|entry| entry[3] & MASKED != 0)
    }

    /// Sends a message, or keeps it pending while it is masked.
    pub(crate) fn deliver(&mut self, outside: &mut Outside, function: u8, vector: u16) {
        if vector >= VECTORS {
            return;
        }
        if self.is_masked(vector) {
            self.pending |= 1 << vector;
        } else {
            outside.interrupt(function, vector);
        }
    }

    fn release(&mut self, outside: &mut Outside, function: u8) {
        for vector in 0..VECTORS {
            if self.pending & 1 << vector != 0 && !self.is_masked(vector) {
                self.pending &= !(1 << vector);
                outside.interrupt(function, vector);
            }
        }
    }

    /// Sets the function mask of the MSI-X capability.
    pub(crate) fn set_function_mask(&mut self, outside: &mut Outside, function: u8, masked: bool) {
        self.function_masked = masked;
        self.release(outside, function);
    }

    /// Pending bits of vectors 32 * `index` and up.
    pub(crate) fn pending(&self, index: u32) -> u32 {
        (self.pending >> (32 * index.min(3))) as u32
    }

    /// Forgets pending messages.
    pub(crate) fn clear_pending(&mut self) {
        self.pending = 0;
    }

    pub(crate) fn read32(&self, offset: u64) -> u32 {
        match offset {
            PENDING_OFFSET..0x4010 => self.pending(((offset - PENDING_OFFSET) / 4) as u32),
            _ => match self.entries.get((offset / 16) as usize) {
                Some(entry) => entry[(offset % 16 / 4) as usize],
                None => 0,
            },
        }
    }

    pub(crate) fn write32(&mut self, outside: &mut Outside, function: u8, offset: u64, value: u32) {
        if let Some(entry) = self.entries.get_mut((offset / 16) as usize) {
            entry[(offset % 16 / 4) as usize] = value;
            self.programmed = true;
            self.release(outside, function);
        }
    }
}
