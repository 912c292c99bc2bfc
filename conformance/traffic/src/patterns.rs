//! Bytes whose place in a stream can be told from their value.

/// The byte at a place of the responder's counting stream.
pub(crate) fn counting(position: u64) -> u8 {
    position as u8
}

/// A stream that differs per seed and has no short period.
pub(crate) fn fill(seed: u64, position: u64, out: &mut [u8]) {
    for (index, byte) in out.iter_mut().enumerate() {
        let place = (position + index as u64) ^ (seed << 32);
        *byte = (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    }
}

/// Where `data` first differs from the stream at `position`.
pub(crate) fn mismatch(seed: u64, position: u64, data: &[u8]) -> Option<usize> {
    let mut expected = vec![0; data.len()];
    fill(seed, position, &mut expected);
    data.iter()
        .zip(&expected)
        .position(|(left, right)| left != right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_stream_is_noticed() {
        let mut data = [0; 64];
        fill(1, 100, &mut data);
        assert_eq!(mismatch(1, 100, &data), None);
        assert!(mismatch(1, 101, &data).is_some());
        assert!(mismatch(2, 100, &data).is_some());
        data[40] ^= 1;
        assert_eq!(mismatch(1, 100, &data), Some(40));
    }
}
