//! Approximate multicast filtering: the 256 bins of a vport.

/// The 256 multicast bins of a vport; a frame is accepted when the bin of its address is set.
///
/// The bin is the low byte of a CRC-32C (polynomial 0x1EDC6F41, seed 0, no reflection, no final xor, data bits least
/// significant first) over the six address bytes and two zero bytes. Several addresses may share a bin, so a set bin
/// lets some unwanted frames pass.
///
/// Known by: source reading; the four published test vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MulticastBins {
    words: [u32; 8],
}

impl MulticastBins {
    /// No bin set: no multicast frame passes.
    #[must_use]
    pub const fn empty() -> Self {
        Self { words: [0; 8] }
    }

    /// The bins of a list of addresses.
    #[must_use]
    pub fn from_addresses(addresses: &[[u8; 6]]) -> Self {
        let mut bins = Self::empty();
        for address in addresses {
            bins.insert(*address);
        }
        bins
    }

    /// Sets the bin of one address.
    pub fn insert(&mut self, address: [u8; 6]) {
        let bin = bin_of(address);
        if let Some(word) = self.words.get_mut(usize::from(bin / 32)) {
            *word |= 1 << (bin % 32);
        }
    }

    /// Whether the bin of this address is set.
    #[must_use]
    pub fn contains(&self, address: [u8; 6]) -> bool {
        let bin = bin_of(address);
        self.words
            .get(usize::from(bin / 32))
            .is_some_and(|word| word & (1 << (bin % 32)) != 0)
    }

    /// The eight words as they stand in the VPORT_UPDATE ramrod: bin `b` is bit `b % 32` of word `b / 32`.
    #[must_use]
    pub const fn words(&self) -> [u32; 8] {
        self.words
    }
}

/// Bin (0..=255) of a multicast address.
#[must_use]
pub fn bin_of(address: [u8; 6]) -> u8 {
    (crc(address) & 0xff) as u8
}

fn crc(address: [u8; 6]) -> u32 {
    const POLYNOMIAL: u32 = 0x1edc_6f41;
    let mut register = 0u32;
    for byte in address.into_iter().chain([0, 0]) {
        for bit in 0..8 {
            let top = register >> 31;
            register <<= 1;
            if top != u32::from(byte >> bit & 1) {
                register ^= POLYNOMIAL;
            }
        }
    }
    register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        let vectors: [([u8; 6], u32, u8); 4] = [
            ([0x01, 0x00, 0x5e, 0x00, 0x00, 0x01], 0xe4d0_50d4, 212),
            ([0x33, 0x33, 0x00, 0x00, 0x00, 0x01], 0x9eae_6e77, 119),
            ([0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e], 0xffef_4c39, 57),
            ([0x33, 0x33, 0xff, 0x12, 0x34, 0x56], 0x8d17_9964, 100),
        ];
        for (address, register, bin) in vectors {
            assert_eq!(crc(address), register);
            assert_eq!(bin_of(address), bin);
        }
    }

    #[test]
    fn inserted_addresses_are_contained_and_others_are_not() {
        let address = [0x01, 0x00, 0x5e, 0x00, 0x00, 0x01];
        let bins = MulticastBins::from_addresses(&[address]);
        assert!(bins.contains(address));
        assert!(!bins.contains([0x33, 0x33, 0, 0, 0, 1]));
        assert_eq!(bins.words(), [0, 0, 0, 0, 0, 0, 1 << (212 - 192), 0]);
    }
}
