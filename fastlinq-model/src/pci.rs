//! PCI identity of the functions, as data for whoever shows the adapter as a PCI device.

use fastlinq_pac::{Chip, VENDOR_ID};

use crate::card::{Bar, CardConfig};
use crate::chip::msix;
use crate::config_space::{FunctionIdentity, VitalProductData};

/// The vendor of all functions.
pub const VENDOR: u16 = VENDOR_ID;

/// Device id of the chip's functions; drivers decide the family by it.
pub const fn device_id(chip: Chip) -> u16 {
    match chip {
        Chip::Bb => 0x1634,
        Chip::K2 => 0x8070,
    }
}

/// Configuration-space data of a function.
pub(crate) fn identity(config: &CardConfig, function: u8) -> FunctionIdentity {
    let (revision, product) = match config.chip() {
        Chip::Bb => (0x10, "FastLinQ 45000 software adapter"),
        Chip::K2 => (0x02, "FastLinQ 41000 software adapter"),
    };
    let [a, b, c, d, e, f] = config.mac_base_address();
    let serial = u64::from_be_bytes([a, b, c, 0xff, 0xfe, d, e, f]);
    FunctionIdentity {
        device_id: device_id(config.chip()),
        revision,
        subsystem: (VENDOR_ID, u16::from(function) + 1),
        bar_sizes: [Bar::Registers, Bar::Doorbells, Bar::Msix].map(Bar::size),
        msix_vectors: msix::VECTORS,
        msix_pba_offset: msix::PENDING_OFFSET as u32,
        multi_function: config.function_count() > 1,
        serial,
        vpd: VitalProductData {
            product: product.into(),
            part_number: "MODEL".into(),
            serial_number: format!("{serial:016X}"),
            manufacture_id: "1077".into(),
            firmware: "model".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_space::ConfigSpace;

    #[test]
    fn drivers_find_what_they_demand() {
        for chip in [Chip::Bb, Chip::K2] {
            let config = CardConfig::new(chip).functions(2);
            let identity = identity(&config, 1);
            assert_eq!(Chip::from_device_id(identity.device_id), Some(chip));
            assert_ne!(
                identity.revision, 0xff,
                "drivers take that for a device that is gone"
            );
            assert!(identity.multi_function);
            let mut header = [0; 4];
            ConfigSpace::new(identity).read(0, &mut header);
            assert_eq!(header[..2], VENDOR.to_le_bytes());
        }
    }
}
