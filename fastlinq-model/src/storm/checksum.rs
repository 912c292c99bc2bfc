//! The Internet checksum and the pseudo headers of TCP and UDP.

/// A running one's-complement sum of big-endian 16-bit words.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Adds bytes; every slice but the last must have an even length.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(2);
        for word in &mut words {
            self.0 += u64::from(u16::from_be_bytes([word[0], word[1]]));
        }
        if let [last] = words.remainder() {
            self.0 += u64::from(*last) << 8;
        }
        self
    }

    /// Adds a word.
    pub(super) fn word(mut self, word: u16) -> Self {
        self.0 += u64::from(word);
        self
    }

    /// Adds a 32-bit value as two words.
    pub(super) fn dword(mut self, dword: u32) -> Self {
        self.0 += u64::from(dword >> 16) + u64::from(dword & 0xffff);
        self
    }

    /// The sum folded to 16 bits, not complemented.
    pub(super) fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }

    /// The checksum: the complement of the folded sum.
    pub(super) fn checksum(self) -> u16 {
        !self.fold()
    }
}

/// The pseudo header of an upper-layer protocol over IPv4 or IPv6; the addresses are those of the IP header.
pub(super) fn pseudo_header(addresses: &[u8], protocol: u8, length: u32) -> Sum {
    Sum::default()
        .bytes(addresses)
        .word(u16::from(protocol))
        .dword(length)
}

/// Computes a checksum over `bytes` with the two bytes at `at` taken as zero, and stores it there.
///
/// Returns `None`, and changes nothing, when `at` is not inside.
pub(super) fn fill(bytes: &mut [u8], at: usize, start: Sum) -> Option<u16> {
    bytes.get_mut(at..at.checked_add(2)?)?.fill(0);
    let checksum = start.bytes(bytes).checksum();
    bytes
        .get_mut(at..at + 2)?
        .copy_from_slice(&checksum.to_be_bytes());
    Some(checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc1071_example() {
        let sum = Sum::default().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.fold(), 0xddf2);
        assert_eq!(sum.checksum(), 0x220d);
    }

    #[test]
    fn odd_tail_is_padded_with_zero() {
        assert_eq!(
            Sum::default().bytes(&[0x12, 0x34, 0x56]).fold(),
            0x1234 + 0x5600
        );
    }

    #[test]
    fn filled_header_sums_to_ones() {
        let mut header = [
            0x45u8, 0, 0, 0x54, 0, 0, 0x40, 0, 0x40, 1, 0xaa, 0xbb, 192, 168, 0, 1, 192, 168, 0,
            199,
        ];
        fill(&mut header, 10, Sum::default()).unwrap();
        assert_eq!(Sum::default().bytes(&header).fold(), 0xffff);
        assert!(fill(&mut header, 19, Sum::default()).is_none());
    }
}
