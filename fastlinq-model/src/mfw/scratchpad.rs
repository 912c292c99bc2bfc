//! The scratchpad: the RAM through which drivers and the management firmware talk.
//!
//! Every access is checked; an address outside the RAM reads as 0 and swallows writes, so nothing that a driver
//! leaves behind in the RAM can take the firmware down.

/// GRC address of the first byte.
pub const SCRATCH_BASE: u32 = 0x00e2_0000;
/// Bytes that are really there.
pub const SCRATCH_BYTES: u32 = 0x2_8000;
/// Bytes of the address range reserved for it (57344 DWs).
pub(crate) const SCRATCH_RESERVED_BYTES: u32 = 57344 * 4;

/// DW-addressed RAM of [`SCRATCH_BYTES`] bytes. Offsets are in bytes from [`SCRATCH_BASE`] and rounded down to a DW.
pub(crate) struct Scratchpad {
    words: Box<[u32]>,
}

impl Scratchpad {
    pub(crate) fn new() -> Self {
        Self {
            words: vec![0; (SCRATCH_BYTES / 4) as usize].into_boxed_slice(),
        }
    }

    pub(crate) fn get(&self, offset: u32) -> u32 {
        self.words.get((offset / 4) as usize).copied().unwrap_or(0)
    }

    pub(crate) fn set(&mut self, offset: u32, value: u32) {
        if let Some(word) = self.words.get_mut((offset / 4) as usize) {
            *word = value;
        }
    }

    /// Replaces the bits of `mask`.
    pub(crate) fn replace(&mut self, offset: u32, mask: u32, value: u32) {
        let old = self.get(offset);
        self.set(offset, (old & !mask) | (value & mask));
    }

    pub(crate) fn get64(&self, offset: u32) -> u64 {
        u64::from(self.get(offset)) | u64::from(self.get(offset.wrapping_add(4))) << 32
    }

    pub(crate) fn set64(&mut self, offset: u32, value: u64) {
        self.set(offset, value as u32);
        self.set(offset.wrapping_add(4), (value >> 32) as u32);
    }

    /// Writes zeros over `bytes` bytes.
    pub(crate) fn clear(&mut self, offset: u32, bytes: u32) {
        for at in (0..bytes.min(SCRATCH_BYTES)).step_by(4) {
            self.set(offset.wrapping_add(at), 0);
        }
    }

    /// Reads bytes in memory order: byte 0 is bits 7:0 of the first DW.
    pub(crate) fn bytes<const N: usize>(&self, offset: u32) -> [u8; N] {
        let mut out = [0; N];
        for (index, chunk) in out.chunks_mut(4).enumerate() {
            let word = self
                .get(offset.wrapping_add(4 * index as u32))
                .to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        out
    }

    /// Writes bytes in memory order; a last partial DW is padded with zeros.
    pub(crate) fn set_bytes(&mut self, offset: u32, bytes: &[u8]) {
        for (index, chunk) in bytes.chunks(4).enumerate() {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            self.set(
                offset.wrapping_add(4 * index as u32),
                u32::from_le_bytes(word),
            );
        }
    }
}

/// Packs a byte string the way the big-endian management processor leaves it: byte 0 in bits 31:24 of the first DW.
pub(crate) fn swap_string<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (index, &byte) in text.iter().take(N).enumerate() {
        if let Some(slot) = out.get_mut((index & !3) + 3 - (index & 3)) {
            *slot = byte;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_outside_the_ram_are_harmless() {
        let mut ram = Scratchpad::new();
        ram.set(SCRATCH_BYTES, 1);
        ram.set(u32::MAX, 1);
        ram.set64(u32::MAX - 3, u64::MAX);
        ram.clear(u32::MAX - 8, u32::MAX);
        assert_eq!(ram.get(SCRATCH_BYTES), 0);
        assert_eq!(ram.get(u32::MAX), 0);
    }

    #[test]
    fn bytes_and_words_agree() {
        let mut ram = Scratchpad::new();
        ram.set_bytes(8, &[1, 2, 3, 4, 5]);
        assert_eq!(ram.get(8), 0x0403_0201);
        assert_eq!(ram.get(12), 5);
        assert_eq!(ram.bytes::<5>(8), [1, 2, 3, 4, 5]);
        ram.replace(8, 0xff00, 0xabcd);
        assert_eq!(ram.get(8), 0x0403_ab01);
    }

    #[test]
    fn strings_are_swapped_inside_each_word() {
        assert_eq!(swap_string::<8>(b"qede1"), *b"edeq\0\0\x001");
    }
}
