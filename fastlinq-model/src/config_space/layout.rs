//! Offsets, power-up values and writable bits.

use super::{CONFIG_SPACE_SIZE, FunctionIdentity};

pub(super) const COMMAND: usize = 0x04;
pub(super) const COMMAND_MEMORY: u16 = 1 << 1;
pub(super) const COMMAND_MASTER: u16 = 1 << 2;
pub(super) const COMMAND_INTX_DISABLE: u16 = 1 << 10;
/// Memory, master, parity, system errors, INTx disable.
const COMMAND_WRITABLE: u16 =
    COMMAND_MEMORY | COMMAND_MASTER | 1 << 6 | 1 << 8 | COMMAND_INTX_DISABLE;
const STATUS: usize = 0x06;
const STATUS_CAPABILITIES: u16 = 1 << 4;
const STATUS_WRITE_ONE_TO_CLEAR: u16 = 0xf900;
const CLASS_ETHERNET: u32 = 0x02_0000;
const CAPABILITIES_POINTER: usize = 0x34;
const INTERRUPT_LINE: usize = 0x3c;

pub(super) const POWER: usize = 0x48;
pub(super) const POWER_CONTROL: usize = 4;
pub(super) const VPD: usize = 0x50;
pub(super) const VPD_ADDRESS: usize = 2;
pub(super) const VPD_DATA: usize = 4;
pub(super) const PCIE: usize = 0x70;
pub(super) const DEVICE_CONTROL: usize = 8;
const INITIATE_RESET: u16 = 1 << 15;
pub(super) const MSIX: usize = 0xb0;
pub(super) const MSIX_CONTROL: usize = 2;
pub(super) const MSIX_ENABLE: u16 = 1 << 15;
pub(super) const MSIX_MASK_ALL: u16 = 1 << 14;
const AER: usize = 0x100;
const SERIAL_NUMBER: usize = 0x150;

const CAPABILITY_POWER: u8 = 0x01;
const CAPABILITY_VPD: u8 = 0x03;
const CAPABILITY_PCIE: u8 = 0x10;
const CAPABILITY_MSIX: u8 = 0x11;
const EXTENDED_AER: u32 = 0x0001;
const EXTENDED_SERIAL: u32 = 0x0003;

/// A 64-bit BAR; the upper half is the next dword.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar(usize);

impl Bar {
    pub(super) fn from_index(index: usize) -> Option<Self> {
        matches!(index, 0 | 2 | 4).then_some(Self(index))
    }

    pub(super) fn offset(self) -> usize {
        0x10 + 4 * self.0
    }
}

/// Bytes with the bits of each that software may set, and those that a written one clears.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) bytes: Box<[u8; CONFIG_SPACE_SIZE]>,
    writable: Box<[u8; CONFIG_SPACE_SIZE]>,
    write_one_to_clear: Box<[u8; CONFIG_SPACE_SIZE]>,
}

impl Fields {
    fn empty() -> Self {
        Self {
            bytes: Box::new([0; CONFIG_SPACE_SIZE]),
            writable: Box::new([0; CONFIG_SPACE_SIZE]),
            write_one_to_clear: Box::new([0; CONFIG_SPACE_SIZE]),
        }
    }

    pub(super) fn write_byte(&mut self, at: usize, value: u8) {
        let (Some(byte), Some(writable), Some(clears)) = (
            self.bytes.get_mut(at),
            self.writable.get(at),
            self.write_one_to_clear.get(at),
        ) else {
            return;
        };
        *byte = (*byte & !writable & !(value & clears)) | (value & writable);
    }

    pub(super) fn word(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    pub(super) fn dword(&self, at: usize) -> u32 {
        u32::from(self.word(at)) | u32::from(self.word(at + 2)) << 16
    }

    pub(super) fn set_word(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    pub(super) fn set_dword(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Whether software asked for a function reset; the bit itself always reads as zero.
    pub(super) fn take_reset_request(&mut self) -> bool {
        let at = PCIE + DEVICE_CONTROL;
        let control = self.word(at);
        self.set_word(at, control & !INITIATE_RESET);
        control & INITIATE_RESET != 0
    }

    fn allow(&mut self, at: usize, bits: u32, width: usize) {
        self.writable[at..at + width].copy_from_slice(&bits.to_le_bytes()[..width]);
    }

    fn clears(&mut self, at: usize, bits: u32, width: usize) {
        self.write_one_to_clear[at..at + width].copy_from_slice(&bits.to_le_bytes()[..width]);
    }

    fn capability(&mut self, at: usize, id: u8, next: usize) {
        self.bytes[at] = id;
        self.bytes[at + 1] = next as u8;
    }
}

pub(super) fn power_up(identity: &FunctionIdentity) -> Fields {
    let mut fields = Fields::empty();
    header(&mut fields, identity);
    power(&mut fields);
    fields.capability(VPD, CAPABILITY_VPD, PCIE);
    fields.allow(VPD + VPD_ADDRESS, 0xffff, 2);
    fields.allow(VPD + VPD_DATA, u32::MAX, 4);
    express(&mut fields);
    msix(&mut fields, identity);
    errors(&mut fields);
    fields.set_dword(SERIAL_NUMBER, EXTENDED_SERIAL | 1 << 16);
    fields.set_dword(SERIAL_NUMBER + 4, identity.serial as u32);
    fields.set_dword(SERIAL_NUMBER + 8, (identity.serial >> 32) as u32);
    fields
}

fn header(fields: &mut Fields, identity: &FunctionIdentity) {
    fields.set_word(0x00, 0x1077);
    fields.set_word(0x02, identity.device_id);
    fields.allow(COMMAND, COMMAND_WRITABLE.into(), 2);
    fields.set_word(STATUS, STATUS_CAPABILITIES);
    fields.clears(STATUS, STATUS_WRITE_ONE_TO_CLEAR.into(), 2);
    fields.set_dword(0x08, CLASS_ETHERNET << 8 | u32::from(identity.revision));
    fields.allow(0x0c, 0xff, 1);
    fields.bytes[0x0e] = u8::from(identity.multi_function) << 7;
    for (index, size) in [0, 2, 4].into_iter().zip(identity.bar_sizes) {
        let at = Bar(index).offset();
        // Memory, 64 bits wide. Doorbells are prefetchable, because drivers map them write-combining; registers are not, because
        // they have side effects. How cards have it no public text says.
        fields.set_dword(at, if index == 2 { 0b1100 } else { 0b0100 });
        let mask = !(size.next_power_of_two().max(16) - 1);
        fields.allow(at, mask as u32, 4);
        fields.allow(at + 4, (mask >> 32) as u32, 4);
    }
    fields.set_word(0x2c, identity.subsystem.0);
    fields.set_word(0x2e, identity.subsystem.1);
    fields.bytes[CAPABILITIES_POINTER] = POWER as u8;
    fields.allow(INTERRUPT_LINE, 0xff, 1);
    fields.bytes[INTERRUPT_LINE + 1] = 1;
}

fn power(fields: &mut Fields) {
    fields.capability(POWER, CAPABILITY_POWER, VPD);
    // Version 3, no auxiliary power events.
    fields.set_word(POWER + 2, 0x0003);
    // No soft reset on the way from D3hot to D0.
    fields.set_word(POWER + POWER_CONTROL, 0x0008);
    fields.allow(POWER + POWER_CONTROL, 0x0003, 2);
}

fn express(fields: &mut Fields) {
    fields.capability(PCIE, CAPABILITY_PCIE, MSIX);
    // Version 2, endpoint.
    fields.set_word(PCIE + 2, 0x0002);
    // Payload up to 512 bytes, role-based errors, function level reset.
    fields.set_dword(PCIE + 4, 2 | 1 << 15 | 1 << 28);
    fields.set_word(PCIE + DEVICE_CONTROL, 0x2810);
    fields.allow(PCIE + DEVICE_CONTROL, 0xffff, 2);
    fields.clears(PCIE + 0x0a, 0x000f, 2);
    // 8 GT/s, eight lanes, both as capability and as status.
    fields.set_dword(PCIE + 0x0c, 3 | 8 << 4 | 1 << 22);
    fields.allow(PCIE + 0x10, 0x01cb, 2);
    fields.set_word(PCIE + 0x12, 3 | 8 << 4 | 1 << 12);
    // Completion time-out ranges A to D, and the switch to turn it off.
    fields.set_dword(PCIE + 0x24, 0x1f);
    fields.allow(PCIE + 0x28, 0x001f, 2);
    fields.set_dword(PCIE + 0x2c, 0x0e);
    fields.set_word(PCIE + 0x30, 3);
    fields.allow(PCIE + 0x30, 0x000f, 2);
}

fn msix(fields: &mut Fields, identity: &FunctionIdentity) {
    const BAR_4: u32 = 4;
    fields.capability(MSIX, CAPABILITY_MSIX, 0);
    fields.set_word(
        MSIX + MSIX_CONTROL,
        identity.msix_vectors.clamp(1, 2048) - 1,
    );
    fields.allow(MSIX + MSIX_CONTROL, (MSIX_ENABLE | MSIX_MASK_ALL).into(), 2);
    fields.set_dword(MSIX + 4, BAR_4);
    fields.set_dword(MSIX + 8, identity.msix_pba_offset & !7 | BAR_4);
}

/// Advanced error reporting: masks and severities can be set, nothing is ever reported.
fn errors(fields: &mut Fields) {
    const UNCORRECTABLE: u32 = 0x003f_f030;
    const CORRECTABLE: u32 = 0x0000_f1c1;
    fields.set_dword(AER, EXTENDED_AER | 2 << 16 | (SERIAL_NUMBER as u32) << 20);
    fields.clears(AER + 0x04, UNCORRECTABLE, 4);
    fields.allow(AER + 0x08, UNCORRECTABLE, 4);
    fields.set_dword(AER + 0x0c, 0x0006_2030);
    fields.allow(AER + 0x0c, UNCORRECTABLE, 4);
    fields.clears(AER + 0x10, CORRECTABLE, 4);
    fields.set_dword(AER + 0x14, 0x0000_2000);
    fields.allow(AER + 0x14, CORRECTABLE, 4);
}
