//! Vital product data: the strings that tell an administrator which card this is.

/// Strings of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VitalProductData {
    /// Product name.
    pub product: String,
    /// Part number.
    pub part_number: String,
    /// Serial number.
    pub serial_number: String,
    /// Manufacture id.
    pub manufacture_id: String,
    /// Firmware version, vendor field V0.
    pub firmware: String,
}

const TAG_IDENTIFIER: u8 = 0x82;
const TAG_READ_ONLY: u8 = 0x90;
const TAG_END: u8 = 0x78;

impl VitalProductData {
    /// The bytes that a host reads: identifier, read-only fields with a checksum, end.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut image = vec![TAG_IDENTIFIER];
        push_string(&mut image, &self.product, u16::MAX as usize, true);
        let mut fields = Vec::new();
        for (keyword, value) in [
            (b"PN", &self.part_number),
            (b"SN", &self.serial_number),
            (b"MN", &self.manufacture_id),
            (b"V0", &self.firmware),
        ] {
            fields.extend_from_slice(keyword);
            push_string(&mut fields, value, usize::from(u8::MAX), false);
        }
        fields.extend_from_slice(b"RV\x01");
        image.push(TAG_READ_ONLY);
        image.extend_from_slice(&((fields.len() + 1) as u16).to_le_bytes());
        image.extend_from_slice(&fields);
        let sum = image.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        image.push(sum.wrapping_neg());
        image.push(TAG_END);
        image
    }
}

fn push_string(out: &mut Vec<u8>, text: &str, limit: usize, long: bool) {
    let bytes = &text.as_bytes()[..text.len().min(limit)];
    if long {
        out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    } else {
        out.push(bytes.len() as u8);
    }
    out.extend_from_slice(bytes);
}
