//! Memory of the pluggable module in a port, as the two-wire bus shows it.
//!
//! An SFP28 answers at 0xa0 (identification) and 0xa2 (diagnostics), laid out as in SFF-8472; a QSFP28 answers at 0xa0
//! with a lower page and upper page 0, laid out as in SFF-8636. All checksums are right.

use super::codes::response;
use super::reply::{Reply, payload_of_bytes};

/// Bytes that one transceiver command carries at most.
pub(crate) const READ_LIMIT: u32 = 16;

const IDENTIFICATION: u32 = 0xa0;
const DIAGNOSTICS: u32 = 0xa2;
const PAGE_BYTES: usize = 256;

/// What is plugged into a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Module {
    /// An empty cage.
    Absent,
    /// An SFP28 for 25GBASE-SR with diagnostics.
    #[default]
    Sfp28Optical,
    /// An SFP28 passive copper cable without diagnostics.
    Sfp28Copper,
    /// A QSFP28 for 100GBASE-SR4 with diagnostics, upper page 0 only.
    Qsfp28Optical,
    /// The same with the upper pages 2 (for the user) and 3 (thresholds).
    Qsfp28Paged,
    /// A fixed twisted-pair port: no module and no cage.
    BaseT,
}

impl Module {
    /// The value of the port section's media_type.
    pub(crate) fn media_type(self) -> u32 {
        match self {
            Module::Absent => 0xff,
            Module::Sfp28Optical | Module::Qsfp28Optical | Module::Qsfp28Paged => 6,
            Module::Sfp28Copper => 3,
            Module::BaseT => 4,
        }
    }

    /// The value of the port section's transceiver_data: state and type. The state is "present" (1), not "valid" (3):
    /// Linux looks at the type only then.
    pub(crate) fn transceiver_data(self) -> u32 {
        const PRESENT: u32 = 1;
        match self {
            Module::Absent | Module::BaseT => 0,
            Module::Sfp28Optical => PRESENT | 0x1c << 8,
            Module::Sfp28Copper => PRESENT | 0x16 << 8,
            Module::Qsfp28Optical | Module::Qsfp28Paged => PRESENT | 0x10 << 8,
        }
    }

    /// Degrees Celsius that the module reports, if it has a sensor.
    pub(crate) fn temperature(self) -> Option<u32> {
        match self {
            Module::Sfp28Optical | Module::Qsfp28Optical | Module::Qsfp28Paged => {
                Some(u32::from(TEMPERATURE_C))
            }
            _ => None,
        }
    }

    /// The identification page.
    pub fn identification_page(self) -> Option<[u8; PAGE_BYTES]> {
        match self {
            Module::Absent | Module::BaseT => None,
            Module::Sfp28Optical => Some(sfp_identification(true)),
            Module::Sfp28Copper => Some(sfp_identification(false)),
            Module::Qsfp28Optical => Some(qsfp_page(false)),
            Module::Qsfp28Paged => Some(qsfp_page(true)),
        }
    }

    /// The upper page that shows in bytes 128 to 255 after its number was written to byte 127, for pages above 0.
    pub fn upper_page(self, page: u8) -> Option<[u8; PAGE_BYTES / 2]> {
        match (self, page) {
            (Module::Qsfp28Paged, 2) => Some([0; PAGE_BYTES / 2]),
            (Module::Qsfp28Paged, 3) => Some(qsfp_thresholds()),
            _ => None,
        }
    }

    /// The diagnostics page, for modules that have one at its own bus address.
    pub fn diagnostics_page(self) -> Option<[u8; PAGE_BYTES]> {
        (self == Module::Sfp28Optical).then(sfp_diagnostics)
    }
}

const TEMPERATURE_C: u8 = 41;

fn put(page: &mut [u8; PAGE_BYTES], at: usize, bytes: &[u8]) {
    for (slot, byte) in page.iter_mut().skip(at).zip(bytes) {
        *slot = *byte;
    }
}

fn put16(page: &mut [u8; PAGE_BYTES], at: usize, value: u16) {
    put(page, at, &value.to_be_bytes());
}

fn text<const N: usize>(value: &str) -> [u8; N] {
    let mut out = [b' '; N];
    for (slot, byte) in out.iter_mut().zip(value.bytes()) {
        *slot = byte;
    }
    out
}

fn checksum(page: &[u8; PAGE_BYTES], from: usize, to: usize) -> u8 {
    page.iter()
        .take(to)
        .skip(from)
        .fold(0, |sum, byte| sum.wrapping_add(*byte))
}

const VENDOR: &str = "FASTLINQ MODEL";
const OUI: [u8; 3] = [0x02, 0x00, 0x00];
const DATE: &[u8; 8] = b"260101  ";

fn sfp_identification(optical: bool) -> [u8; PAGE_BYTES] {
    let mut page = [0; PAGE_BYTES];
    page[0] = 0x03; // SFP
    page[1] = 0x04; // identified by this two-wire interface
    page[2] = if optical { 0x07 } else { 0x23 }; // LC, no separable connector
    page[11] = 0x06; // 64B/66B
    page[12] = 0xff; // rate is in byte 66
    page[36] = if optical { 0x02 } else { 0x0b }; // 25GBASE-SR, 25GBASE-CR CA-L
    page[66] = 103; // x 250 MBd
    if optical {
        page[16] = 7; // 70 m of OM2
        page[19] = 10; // 100 m of OM3
        put16(&mut page, 60, 850); // nm
        put(&mut page, 40, &text::<16>("SFP28-SR-SW"));
        put16(&mut page, 64, 0x001a); // loss of signal, fault, disable implemented
        page[92] = 0x68; // diagnostics, internally calibrated, average power
        page[93] = 0xf0; // alarms and soft controls
        page[94] = 0x08; // SFF-8472 revision
    } else {
        page[8] = 0x04; // passive cable
        page[18] = 1; // 1 m
        put(&mut page, 40, &text::<16>("SFP28-CR-SW"));
    }
    put(&mut page, 20, &text::<16>(VENDOR));
    put(&mut page, 37, &OUI);
    put(&mut page, 56, b"A   ");
    page[63] = checksum(&page, 0, 63);
    put(&mut page, 68, &text::<16>("SOFTWARE-0001"));
    put(&mut page, 84, DATE);
    page[95] = checksum(&page, 64, 95);
    page
}

/// High alarm, low alarm, high warning, low warning.
fn thresholds(page: &mut [u8; PAGE_BYTES], at: usize, values: [u16; 4]) {
    for (index, value) in values.into_iter().enumerate() {
        put16(page, at + 2 * index, value);
    }
}

fn celsius(degrees: i8) -> u16 {
    u16::from(degrees as u8) << 8
}

fn sfp_diagnostics() -> [u8; PAGE_BYTES] {
    let mut page = [0; PAGE_BYTES];
    thresholds(
        &mut page,
        0,
        [celsius(75), celsius(-5), celsius(70), celsius(0)],
    );
    thresholds(&mut page, 8, [36_300, 29_700, 34_650, 31_350]); // x 100 uV
    thresholds(&mut page, 16, [6_000, 1_000, 5_500, 1_500]); // x 2 uA
    thresholds(&mut page, 24, [21_878, 1_175, 17_378, 1_479]); // x 0.1 uW
    thresholds(&mut page, 32, [21_878, 457, 17_378, 575]); // x 0.1 uW
    for (at, slope) in [(76, 0x0100), (80, 0x0100), (84, 0x0100), (88, 0x0100)] {
        put16(&mut page, at, slope);
    }
    page[95] = checksum(&page, 0, 95);
    put16(&mut page, 96, celsius(TEMPERATURE_C as i8));
    put16(&mut page, 98, 33_000);
    put16(&mut page, 100, 3_500);
    put16(&mut page, 102, 8_000);
    put16(&mut page, 104, 7_200);
    page
}

/// Upper page 3 of SFF-8636.
fn qsfp_thresholds() -> [u8; PAGE_BYTES / 2] {
    let mut page = [0; PAGE_BYTES];
    thresholds(
        &mut page,
        128,
        [celsius(75), celsius(-5), celsius(70), celsius(0)],
    );
    thresholds(&mut page, 144, [36_300, 29_700, 34_650, 31_350]); // x 100 uV
    thresholds(&mut page, 176, [21_878, 457, 17_378, 575]); // x 0.1 uW
    thresholds(&mut page, 184, [6_000, 1_000, 5_500, 1_500]); // x 2 uA
    thresholds(&mut page, 192, [21_878, 1_175, 17_378, 1_479]); // x 0.1 uW
    let mut upper = [0; PAGE_BYTES / 2];
    upper.copy_from_slice(&page[PAGE_BYTES / 2..]);
    upper
}

fn qsfp_page(paged: bool) -> [u8; PAGE_BYTES] {
    let mut page = [0; PAGE_BYTES];
    page[0] = 0x11; // QSFP28
    page[1] = 0x07; // SFF-8636 revision 2.5 to 2.7
    page[2] = if paged { 0 } else { 0x04 }; // flat memory: upper page 0 only
    put16(&mut page, 22, celsius(TEMPERATURE_C as i8));
    put16(&mut page, 26, 33_000);
    for lane in 0..4 {
        put16(&mut page, 34 + 2 * lane, 7_200 + lane as u16);
        put16(&mut page, 42 + 2 * lane, 3_500 + lane as u16);
        put16(&mut page, 50 + 2 * lane, 8_000 + lane as u16);
    }
    page[128] = 0x11;
    page[129] = 0x8c; // up to 2.5 W, clock recovery on both sides
    page[130] = 0x0c; // MPO
    page[131] = 0x80; // extended compliance is in byte 192
    page[139] = 0x05; // 64B/66B
    page[140] = 0xff; // rate is in byte 222
    page[143] = 35; // x 2 m of OM3
    page[146] = 50; // x 2 m of OM4
    page[147] = 0x00; // 850 nm VCSEL
    put(&mut page, 148, &text::<16>(VENDOR));
    put(&mut page, 165, &OUI);
    put(&mut page, 168, &text::<16>("QSFP28-SR4-SW"));
    put(&mut page, 184, b"A ");
    put16(&mut page, 186, 850 * 20); // x 0.05 nm
    put16(&mut page, 188, 2_000); // tolerance x 0.005 nm
    page[190] = 70; // maximum case temperature
    page[191] = checksum(&page, 128, 191);
    page[192] = 0x02; // 100GBASE-SR4
    page[195] = if paged { 0x80 } else { 0 }; // page 2 is there
    put(&mut page, 196, &text::<16>("SOFTWARE-0002"));
    put(&mut page, 212, DATE);
    page[220] = 0x0c; // average receive power, transmit power
    page[222] = 103; // x 250 MBd
    page[223] = checksum(&page, 192, 223);
    page
}

/// The memory of a plugged module: what it was made with, and what was written to it since.
#[derive(Clone, Debug)]
pub(crate) struct ModuleMemory {
    module: Module,
    identification: Option<[u8; PAGE_BYTES]>,
    diagnostics: Option<[u8; PAGE_BYTES]>,
    /// The user's upper page.
    user: [u8; PAGE_BYTES / 2],
    /// The upper page that shows.
    page: u8,
}

/// The byte that selects the upper page.
const PAGE_SELECT: usize = 127;
/// Upper page of the user in a QSFP.
const USER_PAGE: u8 = 2;

impl ModuleMemory {
    pub(crate) fn new(module: Module) -> Self {
        Self {
            module,
            identification: module.identification_page(),
            diagnostics: module.diagnostics_page(),
            user: [0; PAGE_BYTES / 2],
            page: 0,
        }
    }

    pub(crate) const fn module(&self) -> Module {
        self.module
    }

    fn is_absent(&self) -> bool {
        matches!(self.module, Module::Absent | Module::BaseT)
    }

    /// The 256 bytes that show at a bus address.
    fn visible(&self, address: u32) -> Option<[u8; PAGE_BYTES]> {
        let mut bytes = match address {
            IDENTIFICATION => self.identification?,
            DIAGNOSTICS => self.diagnostics?,
            _ => return None,
        };
        if address == IDENTIFICATION && self.page > 0 {
            let upper = match self.page {
                USER_PAGE => Some(self.user),
                page => self.module.upper_page(page),
            };
            if let Some(upper) = upper {
                bytes[PAGE_BYTES / 2..].copy_from_slice(&upper);
            }
        }
        Some(bytes)
    }

    /// Stores one byte, if the standard lets a host write it: SFF-8472 the control and password bytes and the user's part of
    /// the diagnostics, SFF-8636 controls, masks, password, page select and upper page 2. Other bytes stay as they are.
    fn store(&mut self, address: u32, at: usize, byte: u8) {
        match (address, self.module, at) {
            (DIAGNOSTICS, Module::Sfp28Optical, 110 | 120..=126 | 128..=247) => {
                if let Some(slot) = self.diagnostics.as_mut().and_then(|page| page.get_mut(at)) {
                    *slot = byte;
                }
            }
            (IDENTIFICATION, Module::Qsfp28Paged, PAGE_SELECT) => {
                // A page that is not there leaves page 0.
                self.page = if self.module.upper_page(byte).is_some() {
                    byte
                } else {
                    0
                };
                if let Some(page) = &mut self.identification {
                    page[PAGE_SELECT] = self.page;
                }
            }
            (
                IDENTIFICATION,
                Module::Qsfp28Optical | Module::Qsfp28Paged,
                86..=98 | 100..=106 | 119..=126,
            ) => {
                if let Some(slot) = self
                    .identification
                    .as_mut()
                    .and_then(|page| page.get_mut(at))
                {
                    *slot = byte;
                }
            }
            (IDENTIFICATION, Module::Qsfp28Paged, 128..=255) if self.page == USER_PAGE => {
                self.user[at - PAGE_BYTES / 2] = byte;
            }
            _ => {}
        }
    }
}

/// TRANSCEIVER_READ.
pub(crate) fn read(memory: &ModuleMemory, param: u32) -> Reply {
    let size = param >> 2 & 0x3f;
    let offset = (param >> 16) as usize;
    if size == 0 || size > READ_LIMIT {
        return Reply::code(response::TRANSCEIVER_BAD_BUFFER_SIZE);
    }
    if memory.is_absent() {
        return Reply::code(response::TRANSCEIVER_NOT_PRESENT);
    }
    let page = memory.visible(param >> 8 & 0xff);
    let bytes = page.as_ref().and_then(|page| page.get(offset..));
    match bytes {
        Some(bytes) if !bytes.is_empty() => {
            let taken = &bytes[..bytes.len().min(size as usize)];
            Reply::ok()
                .with_param(taken.len() as u32)
                .with_payload(payload_of_bytes(taken))
        }
        _ => Reply::code(response::ERROR),
    }
}

/// TRANSCEIVER_WRITE: the parameter is that of a read, the data come in the union. Bytes that the module protects are
/// acknowledged and stay as they are.
pub(crate) fn write(memory: &mut ModuleMemory, param: u32, data: &[u8]) -> Reply {
    let size = (param >> 2 & 0x3f) as usize;
    let offset = (param >> 16) as usize;
    let address = param >> 8 & 0xff;
    if size == 0 || size > READ_LIMIT as usize {
        return Reply::code(response::TRANSCEIVER_BAD_BUFFER_SIZE);
    }
    if memory.is_absent() {
        return Reply::code(response::TRANSCEIVER_NOT_PRESENT);
    }
    if memory.visible(address).is_none() || offset + size > PAGE_BYTES {
        return Reply::code(response::ERROR);
    }
    for (index, byte) in data.iter().take(size).enumerate() {
        memory.store(address, offset + index, *byte);
    }
    Reply::ok().with_param(size as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(size: u32, address: u32, offset: u32) -> u32 {
        size << 2 | address << 8 | offset << 16
    }

    fn optical() -> ModuleMemory {
        ModuleMemory::new(Module::Sfp28Optical)
    }

    fn read_all(module: Module, address: u32) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < PAGE_BYTES {
            let reply = read(
                &ModuleMemory::new(module),
                param(16, address, out.len() as u32),
            );
            assert_eq!(reply.response, response::OK);
            out.extend_from_slice(&reply.payload.unwrap()[..reply.param as usize]);
        }
        out
    }

    #[test]
    fn sfp_checksums_are_right() {
        for module in [Module::Sfp28Optical, Module::Sfp28Copper] {
            let page: [u8; 256] = read_all(module, 0xa0).try_into().unwrap();
            assert_eq!(page, module.identification_page().unwrap());
            assert_eq!(page[63], checksum(&page, 0, 63));
            assert_eq!(page[95], checksum(&page, 64, 95));
            assert_eq!(page[0], 3);
            assert!(page[20..36].is_ascii());
        }
        let page: [u8; 256] = read_all(Module::Sfp28Optical, 0xa2).try_into().unwrap();
        assert_eq!(page[95], checksum(&page, 0, 95));
        assert_eq!(u16::from_be_bytes([page[0x60], page[0x61]]), 41 << 8);
        assert_eq!(u16::from_be_bytes([page[0x62], page[0x63]]), 33_000);
    }

    #[test]
    fn qsfp_checksums_are_right() {
        let page: [u8; 256] = read_all(Module::Qsfp28Optical, 0xa0).try_into().unwrap();
        assert_eq!(page[191], checksum(&page, 128, 191));
        assert_eq!(page[223], checksum(&page, 192, 223));
        assert_eq!((page[0], page[128], page[192]), (0x11, 0x11, 0x02));
        assert_eq!(u16::from_be_bytes([page[0x16], page[0x17]]), 41 << 8);
    }

    #[test]
    fn a_read_never_answers_ok_with_nothing() {
        for size in 0..64 {
            for offset in [0, 250, 255, 256, 0xffff] {
                for address in [0, 0xa0, 0xa2, 0xff] {
                    let reply = read(&optical(), param(size, address, offset));
                    if reply.response == response::OK {
                        assert!(reply.param > 0 && reply.param <= size.min(16));
                    }
                }
            }
        }
        assert_eq!(
            read(&optical(), param(17, 0xa0, 0)).response,
            response::TRANSCEIVER_BAD_BUFFER_SIZE
        );
        assert_eq!(
            read(&optical(), param(0, 0xa0, 0)).response,
            response::TRANSCEIVER_BAD_BUFFER_SIZE
        );
    }

    #[test]
    fn an_empty_cage_says_so() {
        assert_eq!(
            read(&ModuleMemory::new(Module::Absent), param(16, 0xa0, 0)).response,
            response::TRANSCEIVER_NOT_PRESENT
        );
        assert_eq!(
            read(&ModuleMemory::new(Module::Sfp28Copper), param(16, 0xa2, 0)).response,
            response::ERROR
        );
        assert_eq!(Module::Absent.transceiver_data(), 0);
    }

    fn byte(memory: &ModuleMemory, address: u32, at: u32) -> u8 {
        read(memory, param(1, address, at)).payload.unwrap()[0]
    }

    #[test]
    fn only_bytes_of_the_host_can_be_written() {
        let mut memory = optical();
        let data = [0x77; 16];
        assert_eq!(
            write(&mut memory, param(16, 0xa2, 120), &data),
            Reply::ok().with_param(16)
        );
        for at in 120..136 {
            let expected = if at == 127 { 0 } else { 0x77 };
            assert_eq!(byte(&memory, 0xa2, at), expected, "{at}");
        }
        write(&mut memory, param(16, 0xa0, 20), &data);
        assert_eq!(byte(&memory, 0xa0, 20), b'F', "identification is protected");
        write(&mut memory, param(16, 0xa2, 0), &data);
        assert_eq!(byte(&memory, 0xa2, 0), 75, "thresholds are protected");
        for (size, address, at, code) in [
            (0, 0xa2, 128, response::TRANSCEIVER_BAD_BUFFER_SIZE),
            (17, 0xa2, 128, response::TRANSCEIVER_BAD_BUFFER_SIZE),
            (8, 0xac, 0, response::ERROR),
            (8, 0xa2, 250, response::ERROR),
        ] {
            let reply = write(&mut memory, param(size, address, at), &data);
            assert_eq!(reply.response, code);
        }
        let mut none = ModuleMemory::new(Module::Absent);
        let reply = write(&mut none, param(1, 0xa2, 128), &data);
        assert_eq!(reply.response, response::TRANSCEIVER_NOT_PRESENT);
    }

    #[test]
    fn pages_show_when_they_are_selected() {
        let mut memory = ModuleMemory::new(Module::Qsfp28Paged);
        assert_eq!(byte(&memory, 0xa0, 128), 0x11);
        write(&mut memory, param(1, 0xa0, 127), &[3]);
        assert_eq!(
            (byte(&memory, 0xa0, 127), byte(&memory, 0xa0, 128)),
            (3, 75)
        );
        write(&mut memory, param(1, 0xa0, 128), &[9]);
        assert_eq!(byte(&memory, 0xa0, 128), 75, "thresholds are protected");
        write(&mut memory, param(1, 0xa0, 127), &[2]);
        write(&mut memory, param(4, 0xa0, 200), b"mine");
        assert_eq!(byte(&memory, 0xa0, 201), b'i');
        write(&mut memory, param(1, 0xa0, 127), &[9]);
        assert_eq!(
            (byte(&memory, 0xa0, 127), byte(&memory, 0xa0, 128)),
            (0, 0x11)
        );
        // A flat module has nothing to select.
        let mut flat = ModuleMemory::new(Module::Qsfp28Optical);
        write(&mut flat, param(1, 0xa0, 127), &[3]);
        assert_eq!((byte(&flat, 0xa0, 127), byte(&flat, 0xa0, 128)), (0, 0x11));
    }
}
