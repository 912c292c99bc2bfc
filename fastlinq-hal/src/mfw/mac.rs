//! MAC addresses as the management firmware has them in two dwords.

/// The address in `upper` (bytes 0 and 1) and `lower` (bytes 2 to 5); `None` for all zeros and all ones.
pub(crate) fn mac_from_dwords(upper: u32, lower: u32) -> Option<[u8; 6]> {
    let [_, _, a, b] = upper.to_be_bytes();
    let [c, d, e, f] = lower.to_be_bytes();
    let mac = [a, b, c, d, e, f];
    (mac != [0; 6] && mac != [u8::MAX; 6]).then_some(mac)
}

/// The upper and the lower dword of an address.
pub(crate) fn mac_dwords([a, b, c, d, e, f]: [u8; 6]) -> [u32; 2] {
    [
        u32::from_be_bytes([0, 0, a, b]),
        u32::from_be_bytes([c, d, e, f]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let mac = [0x00, 0x0e, 0x1e, 0xd1, 0x22, 0x01];
        let [upper, lower] = mac_dwords(mac);
        assert_eq!((upper, lower), (0x000e, 0x1ed1_2201));
        assert_eq!(mac_from_dwords(upper, lower), Some(mac));
        assert_eq!(mac_from_dwords(0, 0), None);
        assert_eq!(mac_from_dwords(0xffff, u32::MAX), None);
    }
}
