//! What the images of a fresh flash hold.

use super::{CRC_BYTES, MAGIC};

pub(super) fn configuration_image(configuration: &[u32]) -> Vec<u8> {
    let header = [1, 8];
    header
        .iter()
        .chain(configuration)
        .flat_map(|word: &u32| word.to_be_bytes())
        .collect()
}

/// A header with name and version, then bytes that look like a program.
pub(super) fn program_image(name: &str, bundle: u32, length: usize, seed: u64) -> Vec<u8> {
    let mut content: Vec<u8> = [MAGIC, bundle]
        .iter()
        .flat_map(|word: &u32| word.to_be_bytes())
        .collect();
    content.extend_from_slice(b"software adapter, ");
    content.extend_from_slice(name.as_bytes());
    content.resize(content.len().next_multiple_of(16), 0);
    let mut state = seed | 1;
    while content.len() < length - CRC_BYTES {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        content.extend_from_slice(&((state >> 32) as u32).to_be_bytes());
    }
    content
}

pub(super) fn vital_product_data() -> Vec<u8> {
    const FORMAT_REVISION: u32 = 1;
    const IDENTIFIER: &[u8] = b"FastLinQ software adapter";
    const FIELDS: [(&[u8; 2], &[u8]); 3] = [
        (b"PN", b"SOFTWARE"),
        (b"SN", b"SW-0000000000000"),
        (b"V0", b"MODEL"),
    ];
    let mut content = FORMAT_REVISION.to_be_bytes().to_vec();
    content.extend([0x82, IDENTIFIER.len() as u8, 0]);
    content.extend_from_slice(IDENTIFIER);
    let mut fields = Vec::new();
    for (keyword, value) in FIELDS {
        fields.extend_from_slice(keyword);
        fields.push(value.len() as u8);
        fields.extend_from_slice(value);
    }
    // The checksum field makes the sum of everything from the identifier's tag up to it zero.
    fields.extend_from_slice(b"RV\x01");
    content.extend([0x90, fields.len() as u8 + 1, 0]);
    content.extend_from_slice(&fields);
    let sum = content
        .iter()
        .skip(4)
        .fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    content.push(sum.wrapping_neg());
    content.push(0x78);
    content.resize(content.len().next_multiple_of(4), 0);
    content
}

pub(super) fn trace_strings() -> Vec<u8> {
    let mut content = MAGIC.to_be_bytes().to_vec();
    for text in ["boot\0", "mailbox\0", "link\0", "nvm\0"] {
        content.extend_from_slice(text.as_bytes());
    }
    content.resize(content.len().next_multiple_of(4), 0);
    content
}
