//! Receive-side scaling: the Toeplitz hash and the indirection table.

use fastlinq_pac::hsi::flags::RssCapabilities;
use fastlinq_pac::hsi::{EthVportRssConfig, EthVportRssMode, RssHashType};

use super::parse::{IpVersion, Layer, TransportKind};

/// Entries of the indirection table.
pub(super) const TABLE_ENTRIES: usize = 128;
/// Bytes of the hash key.
pub(super) const KEY_BYTES: usize = 40;

/// In which order the hash engine takes the bytes of the key's dwords.
///
/// No source says it; drivers compare no values. The first gives the published test vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyOrder {
    /// The 40 bytes as they lie in memory.
    #[default]
    Memory,
    /// Each dword from its most significant byte.
    Dwords,
}

/// The Toeplitz hash of `input` (at most 36 bytes).
pub(super) fn toeplitz(key: &[u8; KEY_BYTES], input: &[u8]) -> u32 {
    let [first, second, third, fourth, ..] = *key;
    let mut window = u32::from_be_bytes([first, second, third, fourth]);
    let mut hash = 0;
    for (byte, next) in input.iter().zip(&key[4..]) {
        for bit in (0..8).rev() {
            if byte >> bit & 1 == 1 {
                hash ^= window;
            }
            window = window << 1 | u32::from(next >> bit & 1);
        }
    }
    hash
}

/// The RSS configuration of a vport.
#[derive(Clone, Debug)]
pub(super) struct Rss {
    enabled: bool,
    capabilities: RssCapabilities,
    key: [u8; KEY_BYTES],
    table: [u16; TABLE_ENTRIES],
    log2_entries: u8,
}

impl Default for Rss {
    fn default() -> Self {
        Self {
            enabled: false,
            capabilities: RssCapabilities::empty(),
            key: [0; KEY_BYTES],
            table: [0; TABLE_ENTRIES],
            log2_entries: 0,
        }
    }
}

/// What RSS says about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RssResult {
    pub(super) hash: u32,
    pub(super) hash_type: RssHashType,
    pub(super) queue: u16,
}

impl Rss {
    /// Applies the RSS group of a VPORT_UPDATE.
    ///
    /// # Errors
    ///
    /// A sentence, when the table size is beyond the table.
    pub(super) fn update(
        &mut self,
        config: &EthVportRssConfig,
        order: KeyOrder,
    ) -> Result<(), &'static str> {
        if config.update_rss_capabilities != 0 && usize::from(config.tbl_size) > 7 {
            return Err("RSS table of more than 128 entries");
        }
        self.enabled = config.rss_mode == EthVportRssMode::REGULAR.value();
        if config.update_rss_capabilities != 0 {
            self.capabilities = RssCapabilities::from_bits_retain(config.capabilities.get());
            self.log2_entries = config.tbl_size;
        }
        if config.update_rss_key != 0 {
            for (bytes, dword) in self.key.chunks_exact_mut(4).zip(&config.rss_key) {
                bytes.copy_from_slice(&match order {
                    KeyOrder::Memory => dword.get().to_le_bytes(),
                    KeyOrder::Dwords => dword.get().to_be_bytes(),
                });
            }
        }
        if config.update_rss_ind_table != 0 {
            for (index, (entry, queue)) in self
                .table
                .iter_mut()
                .zip(&config.indirection_table)
                .enumerate()
            {
                let selected = config.ind_table_mask[index / 32].get() >> (index % 32) & 1 == 1;
                if config.ind_table_mask_valid == 0 || selected {
                    *entry = queue.get();
                }
            }
        }
        Ok(())
    }

    /// Changes one entry of the table; false when there is no such entry.
    pub(super) fn set_entry(&mut self, index: u8, queue: u16) -> bool {
        match self.table.get_mut(usize::from(index)) {
            Some(entry) => {
                *entry = queue;
                true
            }
            None => false,
        }
    }

    /// Hashes the headers of a frame, or returns `None` when RSS does not apply to it.
    pub(super) fn apply(&self, frame: &[u8], layer: &Layer) -> Option<RssResult> {
        if !self.enabled {
            return None;
        }
        let network = layer.network.filter(|network| !network.malformed)?;
        let addresses = network.addresses(frame);
        let mut input = [0; 36];
        input.get_mut(..addresses.len())?.copy_from_slice(addresses);
        let (hash_type, length) = match layer
            .transport
            .and_then(|transport| self.four_tuple(network.version, transport.kind))
        {
            Some(hash_type) => {
                let offset = layer.transport?.offset;
                let ports = frame.get(offset..offset + 4)?;
                input
                    .get_mut(addresses.len()..addresses.len() + 4)?
                    .copy_from_slice(ports);
                (hash_type, addresses.len() + 4)
            }
            None => (self.two_tuple(network.version)?, addresses.len()),
        };
        let hash = toeplitz(&self.key, input.get(..length)?);
        let entry = hash as usize & ((1 << self.log2_entries) - 1);
        Some(RssResult {
            hash,
            hash_type,
            queue: *self.table.get(entry)?,
        })
    }

    fn four_tuple(&self, version: IpVersion, kind: TransportKind) -> Option<RssHashType> {
        let (capability, hash_type) = match (version, kind) {
            (IpVersion::V4, TransportKind::Tcp) => {
                (RssCapabilities::IPV4_TCP_CAPABILITY, RssHashType::TCP_IPV4)
            }
            (IpVersion::V4, TransportKind::Udp) => {
                (RssCapabilities::IPV4_UDP_CAPABILITY, RssHashType::UDP_IPV4)
            }
            (IpVersion::V6, TransportKind::Tcp) => {
                (RssCapabilities::IPV6_TCP_CAPABILITY, RssHashType::TCP_IPV6)
            }
            (IpVersion::V6, TransportKind::Udp) => {
                (RssCapabilities::IPV6_UDP_CAPABILITY, RssHashType::UDP_IPV6)
            }
        };
        self.capabilities.contains(capability).then_some(hash_type)
    }

    fn two_tuple(&self, version: IpVersion) -> Option<RssHashType> {
        let (capability, hash_type) = match version {
            IpVersion::V4 => (RssCapabilities::IPV4_CAPABILITY, RssHashType::IPV4),
            IpVersion::V6 => (RssCapabilities::IPV6_CAPABILITY, RssHashType::IPV6),
        };
        self.capabilities.contains(capability).then_some(hash_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; KEY_BYTES] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    #[test]
    fn published_vectors_in_memory_order() {
        let input = [66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6];
        assert_eq!(toeplitz(&KEY, &input), 0x51cc_c178);
        assert_eq!(toeplitz(&KEY, &input[..8]), 0x323e_8fc2);
    }

    #[test]
    fn vectors_with_reversed_dwords() {
        let mut key = KEY;
        for dword in key.chunks_exact_mut(4) {
            dword.reverse();
        }
        let input = [66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6];
        assert_eq!(toeplitz(&key, &input), 0x0cde_7a38);
        assert_eq!(toeplitz(&key, &input[..8]), 0xc43a_edbb);
    }

    #[test]
    fn masked_table_update_touches_only_masked_entries() {
        let mut config = EthVportRssConfig {
            update_rss_ind_table: 1,
            ind_table_mask_valid: 1,
            ..Default::default()
        };
        config.indirection_table = [7.into(); 128];
        config.ind_table_mask[1] = 2.into();
        let mut rss = Rss::default();
        rss.update(&config, KeyOrder::Memory).unwrap();
        assert_eq!(rss.table[33], 7);
        assert_eq!(rss.table.iter().filter(|entry| **entry == 7).count(), 1);
        assert!(!rss.set_entry(128, 1));
        assert!(rss.set_entry(127, 9));
        assert_eq!(rss.table[127], 9);
    }
}
