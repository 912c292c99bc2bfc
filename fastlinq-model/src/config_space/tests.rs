use super::*;

fn identity() -> FunctionIdentity {
    FunctionIdentity {
        device_id: 0x8070,
        revision: 2,
        subsystem: (0x1077, 1),
        bar_sizes: [128 << 10, 8 << 20, 64 << 10],
        msix_vectors: 128,
        msix_pba_offset: 0x8000,
        multi_function: false,
        serial: 0x0011_2233_4455_6677,
        vpd: VitalProductData {
            product: "Software adapter".into(),
            part_number: "PART".into(),
            serial_number: "SERIAL".into(),
            manufacture_id: "1077".into(),
            firmware: "8.59".into(),
        },
    }
}

fn dword(space: &ConfigSpace, at: usize) -> u32 {
    let mut bytes = [0; 4];
    space.read(at, &mut bytes);
    u32::from_le_bytes(bytes)
}

/// Offsets of the capabilities in list order.
fn capabilities(space: &ConfigSpace) -> Vec<(u8, usize)> {
    let mut found = Vec::new();
    let mut at = (dword(space, 0x34) & 0xff) as usize;
    while at != 0 && found.len() < 48 {
        let head = dword(space, at);
        found.push((head as u8, at));
        at = (head >> 8 & 0xff) as usize;
    }
    found
}

#[test]
fn the_capability_lists_end_and_hold_what_drivers_ask_for() {
    let space = ConfigSpace::new(identity());
    let ids: Vec<u8> = capabilities(&space).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [0x01, 0x03, 0x10, 0x11]);
    assert_eq!(dword(&space, 0x100) & 0xffff, 1);
    let next = (dword(&space, 0x100) >> 20) as usize;
    assert_eq!(dword(&space, next) & 0xffff, 3);
    assert_eq!(dword(&space, next) >> 20, 0);
}

#[test]
fn bars_size_themselves() {
    let mut space = ConfigSpace::new(identity());
    for (bar, size) in [(0, 128u64 << 10), (2, 8 << 20), (4, 64 << 10)] {
        let at = 0x10 + 4 * bar;
        space.write(at, &[0xff; 8]);
        let mask = u64::from(dword(&space, at) & !0xf) | u64::from(dword(&space, at + 4)) << 32;
        assert_eq!(!mask + 1, size);
        let kind = if bar == 2 { 0xc } else { 4 };
        assert_eq!(dword(&space, at) & 0xf, kind);
    }
    assert_eq!(space.bar_address(0), None, "memory decoding is off");
    space.write(0x10, &0x1_2340_0000u64.to_le_bytes());
    space.write(0x04, &[0x06, 0]);
    assert_eq!(space.bar_address(0), Some(0x1_2340_0000));
    assert_eq!(space.bar_address(1), None);
}

#[test]
fn identity_cannot_be_written() {
    let mut space = ConfigSpace::new(identity());
    let before = dword(&space, 0);
    space.write(0, &[0xff; 4]);
    assert_eq!(dword(&space, 0), before);
    assert_eq!(before, 0x8070_1077);
}

#[test]
fn a_function_reset_restores_power_up_and_its_bit_reads_zero() {
    let mut space = ConfigSpace::new(identity());
    assert_eq!(
        space.write(0x04, &[0x06, 0x00]),
        [ConfigEffect::BusMaster(true)]
    );
    let (_, express) = capabilities(&space)[2];
    let control = dword(&space, express + 8) as u16 | 1 << 15;
    assert_eq!(
        space.write(express + 8, &control.to_le_bytes()),
        [ConfigEffect::FunctionReset]
    );
    assert_eq!(dword(&space, 0x04) & 0xffff, 0);
    assert_eq!(dword(&space, express + 8) & 1 << 15, 0);
}

#[test]
fn msix_and_power_changes_are_reported_once() {
    let mut space = ConfigSpace::new(identity());
    let (_, msix) = capabilities(&space)[3];
    assert_eq!(dword(&space, msix) >> 16 & 0x7ff, 127);
    let enabled = [ConfigEffect::Msix {
        enabled: true,
        masked: false,
    }];
    assert_eq!(space.write(msix + 3, &[0x80]), enabled);
    assert_eq!(space.write(msix + 3, &[0x80]), []);
    let (_, power) = capabilities(&space)[0];
    assert_eq!(space.write(power + 4, &[3]), [ConfigEffect::PowerState(3)]);
}

#[test]
fn vpd_reads_back_with_a_valid_checksum() {
    let mut space = ConfigSpace::new(identity());
    let (_, vpd) = capabilities(&space)[1];
    let mut image = Vec::new();
    for address in (0..0x80u16).step_by(4) {
        space.write(vpd + 2, &address.to_le_bytes());
        assert_ne!(dword(&space, vpd) >> 31, 0, "the access is done");
        image.extend_from_slice(&dword(&space, vpd + 4).to_le_bytes());
    }
    let name_length = usize::from(u16::from_le_bytes([image[1], image[2]]));
    assert_eq!(&image[3..3 + name_length], b"Software adapter");
    let fields = 3 + name_length;
    assert_eq!(image[fields], 0x90);
    let length = usize::from(u16::from_le_bytes([image[fields + 1], image[fields + 2]]));
    let end = fields + 3 + length;
    assert_eq!(
        image[..end]
            .iter()
            .fold(0u8, |sum, byte| sum.wrapping_add(*byte)),
        0
    );
    assert_eq!(image[end], 0x78);
}

#[test]
fn accesses_past_the_end_are_harmless() {
    let mut space = ConfigSpace::new(identity());
    let mut data = [0xaa; 8];
    space.read(CONFIG_SPACE_SIZE - 2, &mut data);
    assert_eq!(data, [0; 8]);
    space.read(usize::MAX, &mut data);
    assert_eq!(space.write(usize::MAX - 1, &[0xff; 8]), []);
}
