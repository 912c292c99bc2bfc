//! The flash: images with contents and checksums, their directory, and the commands that reach them.
//!
//! The management processor is big-endian: words of the directory lie in the flash most significant byte first, and
//! READ_NVRAM puts flash byte 0 into bits 31:24 of the first DW. Each image ends with the CRC-32 of what comes before it,
//! stored least significant byte first, so that the CRC register over the whole image ends at the constant residue.

mod content;

use super::codes::{command, response};
use super::reply::{Reply, Request, payload_of};
use content::{configuration_image, program_image, trace_strings, vital_product_data};

/// Value of the low bits of MCP_REG_NVM_CFG4 for this flash.
pub(crate) const SIZE_CODE: u32 = 4;
/// Bytes of the flash.
pub const FLASH_BYTES: usize = 1 << (SIZE_CODE + 17);
/// Bytes that one command carries at most.
pub(crate) const TRANSFER_LIMIT: u32 = 32;

const MAGIC: u32 = 0x6699_55aa;
const META_MAGIC: u32 = 0x6699_55bb;
const PAGE_BYTES: usize = 4096;
const DIRECTORY_OFFSETS: [usize; 2] = [0x2000, 0x3000];
const DIRECTORY_HEADER_BYTES: usize = 12;
const DIRECTORY_ENTRY_BYTES: usize = 20;
const FIRST_IMAGE: usize = 0x4000;
const CRC_BYTES: usize = 4;

/// Type ids of images.
pub mod image {
    #![allow(missing_docs)]
    pub const TIM1: u32 = 1;
    pub const MIM1: u32 = 3;
    pub const MBA: u32 = 5;
    pub const MODULES_PN: u32 = 6;
    pub const VPD: u32 = 7;
    pub const MFW_TRACE1: u32 = 8;
    pub const NVM_CFG1: u32 = 0xa;
    pub const L2B: u32 = 0xb;
    pub const DIR1: u32 = 0xc;
    pub const INIT_HW: u32 = 0x19;
    pub const DEFAULT_CFG: u32 = 0x1a;
    pub const MDUMP: u32 = 0x1b;
    pub const NVM_META: u32 = 0x1c;
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ ((value & 1) * 0xedb8_8320);
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// The CRC-32 of Ethernet and zlib.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        crc >> 8 ^ CRC_TABLE[usize::from(crc as u8 ^ byte)]
    })
}

/// Where an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NvmImage {
    /// Type id.
    pub image_type: u32,
    /// First byte in the flash.
    pub start: u32,
    /// Bytes, the checksum included.
    pub length: u32,
}

/// A file that a driver sends in pieces.
struct Upload {
    kind: u32,
    size: usize,
    received: Vec<u8>,
}

/// The flash and its directory.
pub(crate) struct Flash {
    bytes: Vec<u8>,
    images: Vec<NvmImage>,
    sequence: u32,
    upload: Option<Upload>,
    finished: Option<(u32, Vec<u8>)>,
}

impl Flash {
    /// Lays out a fresh flash. `configuration` is nvm_cfg1, `bundle` the version of the firmware bundle.
    pub(crate) fn new(configuration: &[u32], bundle: u32, seed: u64) -> Self {
        let mut flash = Self {
            bytes: vec![0xff; FLASH_BYTES],
            images: Vec::new(),
            sequence: 2,
            upload: None,
            finished: None,
        };
        flash.put_words(0, &[MAGIC, 0, 0, 0, 0]);
        let configuration = configuration_image(configuration);
        let program =
            |name: &str, length: usize, salt: u64| program_image(name, bundle, length, seed ^ salt);
        let contents: [(u32, Vec<u8>); 12] = [
            (image::TIM1, program("first stage", 0x2000, 1)),
            (image::MIM1, program("management firmware", 0x1_0000, 2)),
            (image::MBA, program("preboot", 0x4000, 3)),
            (
                image::MODULES_PN,
                b"SFP28-SR-SW\0\0\0\0\0SFP28-CR-SW\0\0\0\0\0QSFP28-SR4-SW\0\0\0".to_vec(),
            ),
            (image::VPD, vital_product_data()),
            (image::MFW_TRACE1, trace_strings()),
            (image::NVM_CFG1, configuration.clone()),
            (image::L2B, program("layer 2 boot", 0x2000, 4)),
            (
                image::INIT_HW,
                program("hardware initialisation", 0x1000, 5),
            ),
            (image::DEFAULT_CFG, configuration),
            (image::MDUMP, Vec::new()),
            (
                image::NVM_META,
                [META_MAGIC, 1, 0]
                    .iter()
                    .flat_map(|word: &u32| word.to_be_bytes())
                    .collect(),
            ),
        ];
        let mut start = FIRST_IMAGE;
        for (image_type, content) in contents {
            let length = if image_type == image::MDUMP {
                0x1_0000
            } else {
                content.len() + CRC_BYTES
            };
            if image_type != image::MDUMP {
                flash.put_image(start, &content);
            }
            flash.images.push(NvmImage {
                image_type,
                start: start as u32,
                length: length as u32,
            });
            start = (start + length).next_multiple_of(PAGE_BYTES);
        }
        flash.images.push(NvmImage {
            image_type: image::DIR1,
            start: DIRECTORY_OFFSETS[0] as u32,
            length: 0,
        });
        flash.write_directory();
        flash
    }

    fn put_words(&mut self, start: usize, words: &[u32]) {
        for (index, word) in words.iter().enumerate() {
            self.put_bytes(start + 4 * index, &word.to_be_bytes());
        }
    }

    fn put_bytes(&mut self, start: usize, bytes: &[u8]) {
        for (slot, byte) in self.bytes.iter_mut().skip(start).zip(bytes) {
            *slot = *byte;
        }
    }

    fn put_image(&mut self, start: usize, content: &[u8]) {
        self.put_bytes(start, content);
        self.put_bytes(start + content.len(), &crc32(content).to_le_bytes());
    }

    fn write_directory(&mut self) {
        let length = DIRECTORY_HEADER_BYTES + DIRECTORY_ENTRY_BYTES * self.images.len() + CRC_BYTES;
        for one in &mut self.images {
            if one.image_type == image::DIR1 {
                one.length = length as u32;
            }
        }
        let mut words = vec![self.sequence, self.images.len() as u32, 0];
        for one in &self.images {
            words.extend([one.image_type, one.start, one.length, 0, 0]);
        }
        let content: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        for start in DIRECTORY_OFFSETS {
            self.put_image(start, &content);
        }
        self.sequence = self.sequence.wrapping_add(2);
    }

    /// Replaces the configuration image, its checksum included.
    pub(crate) fn store_configuration(&mut self, configuration: &[u32]) {
        let start = self.find(image::NVM_CFG1).map(|one| one.start as usize);
        if let Some(start) = start {
            self.put_image(start, &configuration_image(configuration));
        }
    }

    pub(crate) fn images(&self) -> &[NvmImage] {
        &self.images
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The last file that a driver sent completely, with its type.
    pub(crate) fn finished_upload(&self) -> Option<(u32, &[u8])> {
        self.finished
            .as_ref()
            .map(|(kind, bytes)| (*kind, bytes.as_slice()))
    }

    fn find(&self, image_type: u32) -> Option<NvmImage> {
        self.images
            .iter()
            .find(|one| one.image_type == image_type)
            .copied()
    }

    /// Executes a command of the NVM family.
    pub(crate) fn execute(&mut self, request: &Request) -> Reply {
        match request.command {
            command::NVM_GET_FILE_ATTRIBUTES => match self.find(request.param) {
                Some(one) => {
                    Reply::code(response::NVM_OK).with_payload(payload_of(&[one.start, one.length]))
                }
                None => Reply::code(response::NVM_FILE_NOT_FOUND),
            },
            command::NVM_READ => self.read(request),
            command::NVM_WRITE => self.write(request),
            command::NVM_PUT_FILE_BEGIN => self.begin_upload(request),
            command::NVM_PUT_FILE_DATA => self.continue_upload(request),
            command::NVM_DELETE_FILE => self.delete(request.param),
            _ => Reply::unsupported(),
        }
    }

    /// Offset and length of a transfer, if both are sane.
    fn transfer(&self, param: u32) -> Option<(usize, usize)> {
        let (offset, length) = ((param & 0x00ff_ffff) as usize, param >> 24);
        let fits =
            (1..=TRANSFER_LIMIT).contains(&length) && offset + length as usize <= self.bytes.len();
        fits.then_some((offset, length as usize))
    }

    fn read(&self, request: &Request) -> Reply {
        let Some((offset, length)) = self.transfer(request.param) else {
            return Reply::code(response::NVM_BAD_OFFSET);
        };
        let mut words = [0; 8];
        for (index, byte) in self.bytes.iter().skip(offset).take(length).enumerate() {
            words[index / 4] |= u32::from(*byte) << (24 - 8 * (index % 4));
        }
        Reply::code(response::NVM_OK)
            .with_param(length as u32)
            .with_payload(payload_of(&words))
    }

    fn write(&mut self, request: &Request) -> Reply {
        let Some((offset, length)) = self.transfer(request.param) else {
            return Reply::code(response::NVM_BAD_OFFSET);
        };
        if offset % 4 != 0 || length % 4 != 0 {
            return Reply::code(response::NVM_UNALIGNED);
        }
        for index in 0..length / 4 {
            self.put_bytes(offset + 4 * index, &request.word(index).to_be_bytes());
        }
        Reply::code(response::NVM_OK).with_param(length as u32)
    }

    fn begin_upload(&mut self, request: &Request) -> Reply {
        let (kind, size) = (request.param & 0xff, request.word(0) as usize);
        if !(1..=3).contains(&kind) {
            return Reply::code(response::NVM_INVALID_MODE);
        }
        if size == 0 || size > FLASH_BYTES {
            return Reply::code(response::NVM_OPERATION_FAILED);
        }
        self.upload = Some(Upload {
            kind,
            size,
            received: Vec::new(),
        });
        Reply::ok()
    }

    fn continue_upload(&mut self, request: &Request) -> Reply {
        const OUT_OF_SYNC: u16 = 0x0009;
        let (offset, length) = (
            (request.param & 0x00ff_ffff) as usize,
            (request.param >> 24) as usize,
        );
        let Some(upload) = &mut self.upload else {
            return Reply::code(response::NVM_INVALID_MODE);
        };
        if length == 0 || length > TRANSFER_LIMIT as usize || offset + length > upload.size {
            return Reply::code(response::NVM_BAD_OFFSET);
        }
        if offset != upload.received.len() {
            return Reply::code(OUT_OF_SYNC).with_param(upload.received.len() as u32 & 0x00ff_ffff);
        }
        let bytes = (0..8).flat_map(|index| request.word(index).to_be_bytes());
        upload.received.extend(bytes.take(length));
        if upload.received.len() < upload.size {
            return Reply::ok();
        }
        self.finished = self
            .upload
            .take()
            .map(|upload| (upload.kind, upload.received));
        Reply::code(response::PUT_FILE_FINISHED)
    }

    fn delete(&mut self, image_type: u32) -> Reply {
        const READ_ONLY: [u32; 4] = [image::TIM1, image::MIM1, image::NVM_CFG1, image::DIR1];
        if READ_ONLY.contains(&image_type) {
            return Reply::code(response::NVM_FILE_READ_ONLY);
        }
        if self.find(image_type).is_none() {
            return Reply::code(response::NVM_FILE_NOT_FOUND);
        }
        self.images.retain(|one| one.image_type != image_type);
        self.write_directory();
        Reply::ok()
    }

    /// BIST_TEST: 1 registers, 2 clock, 3 number of images, 4 image by index.
    pub(crate) fn self_test(&self, param: u32) -> Reply {
        const PASSED: u32 = 1;
        const INVALID_PARAMETER: u32 = 3;
        const ATTRIBUTE_BYTES: u32 = 16;
        match param & 0xff {
            1 | 2 => Reply::ok().with_param(PASSED),
            3 => Reply::ok().with_param(self.images.len() as u32),
            4 => {
                let attributes = match self.images.get((param >> 8 & 0xff) as usize) {
                    Some(one) => [PASSED, one.image_type, one.start, one.length],
                    None => [INVALID_PARAMETER, 0, 0, 0],
                };
                Reply::ok()
                    .with_param(ATTRIBUTE_BYTES)
                    .with_payload(payload_of(&attributes))
            }
            _ => Reply::code(response::BIST_INVALID_TEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::{payload_of_bytes, word};
    use super::*;

    /// What the CRC register holds after an image with its checksum, before the last inversion.
    const RESIDUE: u32 = 0xdebb_20e3;

    fn flash() -> Flash {
        Flash::new(&vec![0x1234_5678; 1060], 0x0809_0a0b, 7)
    }

    fn request(command: u16, param: u32, payload: &[u8]) -> Request {
        Request {
            command,
            sequence: 1,
            param,
            payload: payload_of_bytes(payload),
        }
    }

    /// Reads as a driver does, and puts the bytes back into flash order.
    fn read_all(flash: &mut Flash, one: NvmImage) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < one.length as usize {
            let length = (one.length - out.len() as u32).min(32);
            let param = (one.start + out.len() as u32) | length << 24;
            let reply = flash.execute(&request(command::NVM_READ, param, &[]));
            assert_eq!((reply.response, reply.param), (response::NVM_OK, length));
            let words = (0..8).flat_map(|index| word(&reply.payload.unwrap(), index).to_be_bytes());
            out.extend(words.take(length as usize));
        }
        out
    }

    #[test]
    fn the_crc_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn every_image_but_the_dump_area_checks() {
        let mut flash = flash();
        let images = flash.images().to_vec();
        assert_eq!(images.len(), 13);
        for one in images {
            assert_eq!(one.length % 4, 0, "{one:?}");
            let content = read_all(&mut flash, one);
            assert_eq!(
                !crc32(&content) == RESIDUE,
                one.image_type != image::MDUMP,
                "{one:?}"
            );
        }
    }

    #[test]
    fn the_check_of_a_driver_succeeds() {
        let mut flash = flash();
        let one = flash.find(image::NVM_CFG1).unwrap();
        let content = read_all(&mut flash, one);
        let (data, stored) = content.split_at(content.len() - 4);
        // The last DW as the driver sees it is compared with the byte-swapped CRC of the data in flash order.
        let stored = u32::from_be_bytes(stored.try_into().unwrap());
        assert_eq!(stored, crc32(data).swap_bytes());
    }

    #[test]
    fn images_do_not_overlap_and_the_directory_lists_them() {
        let mut flash = flash();
        let mut sorted = flash.images().to_vec();
        sorted.sort_by_key(|one| one.start);
        for pair in sorted.windows(2) {
            assert!(pair[0].start + pair[0].length <= pair[1].start);
        }
        let directory = flash.find(image::DIR1).unwrap();
        let content = read_all(&mut flash, directory);
        let at = |index: usize| {
            u32::from_be_bytes(content[4 * index..4 * index + 4].try_into().unwrap())
        };
        assert_eq!(at(1) as usize, flash.images().len());
        assert_eq!((at(3), at(4), at(5)), {
            let first = flash.images()[0];
            (first.image_type, first.start, first.length)
        });
    }

    #[test]
    fn bist_walks_the_same_table() {
        let flash = flash();
        assert_eq!(flash.self_test(1), Reply::ok().with_param(1));
        assert_eq!(flash.self_test(2), Reply::ok().with_param(1));
        let count = flash.self_test(3).param;
        for index in 0..count {
            let reply = flash.self_test(4 | index << 8);
            let payload = reply.payload.unwrap();
            let one = flash.images()[index as usize];
            assert_eq!((reply.response, reply.param), (response::OK, 16));
            assert_eq!(
                [0, 1, 2, 3].map(|at| word(&payload, at)),
                [1, one.image_type, one.start, one.length]
            );
        }
        assert_eq!(word(&flash.self_test(4 | 0xff << 8).payload.unwrap(), 0), 3);
        assert_eq!(flash.self_test(0).response, response::BIST_INVALID_TEST);
        assert_eq!(flash.self_test(9).response, response::BIST_INVALID_TEST);
    }

    #[test]
    fn a_read_never_gives_more_than_asked_nor_nothing() {
        let mut flash = flash();
        for length in 0..=255u32 {
            for offset in [0, 1, 0x1f_ffe0, 0x1f_fff0, 0x1f_ffff, 0xff_ffff] {
                let reply = flash.execute(&request(command::NVM_READ, offset | length << 24, &[]));
                if reply.response == response::NVM_OK {
                    assert!(reply.param == length && (1..=32).contains(&length));
                }
            }
        }
    }

    #[test]
    fn writes_are_read_back_and_have_to_be_aligned() {
        let mut flash = flash();
        let param = 0x10_0000 | 8 << 24;
        flash.execute(&request(
            command::NVM_WRITE,
            param,
            &[4, 3, 2, 1, 8, 7, 6, 5],
        ));
        assert_eq!(
            flash.bytes()[0x10_0000..0x10_0008],
            [1, 2, 3, 4, 5, 6, 7, 8]
        );
        let back = flash.execute(&request(command::NVM_READ, param, &[]));
        assert_eq!(back.payload.unwrap()[..8], [4, 3, 2, 1, 8, 7, 6, 5]);
        assert_eq!(
            flash
                .execute(&request(command::NVM_WRITE, 2 | 4 << 24, &[]))
                .response,
            response::NVM_UNALIGNED
        );
        assert_eq!(
            flash.execute(&request(command::NVM_WRITE, 0, &[])).response,
            response::NVM_BAD_OFFSET
        );
    }

    #[test]
    fn a_file_is_put_in_pieces_and_in_order() {
        let mut flash = flash();
        let data = |offset: u32, length: u32| {
            request(command::NVM_PUT_FILE_DATA, offset | length << 24, &[7; 32])
        };
        assert_eq!(
            flash.execute(&data(0, 32)).response,
            response::NVM_INVALID_MODE
        );
        let begin =
            |kind: u32, size: u32| request(command::NVM_PUT_FILE_BEGIN, kind, &size.to_le_bytes());
        assert_eq!(
            flash.execute(&begin(0, 40)).response,
            response::NVM_INVALID_MODE
        );
        assert_eq!(
            flash.execute(&begin(2, u32::MAX)).response,
            response::NVM_OPERATION_FAILED
        );
        assert_eq!(flash.execute(&begin(2, 40)), Reply::ok());
        assert_eq!(flash.execute(&data(0, 32)), Reply::ok());
        assert_eq!(flash.execute(&data(0, 8)).response, 0x0009);
        assert_eq!(
            flash.execute(&data(32, 32)).response,
            response::NVM_BAD_OFFSET
        );
        assert_eq!(
            flash.execute(&data(32, 8)).response,
            response::PUT_FILE_FINISHED
        );
        assert_eq!(flash.finished_upload(), Some((2, [7; 40].as_slice())));
    }

    #[test]
    fn files_can_be_found_and_some_deleted() {
        let mut flash = flash();
        let attributes = |flash: &mut Flash, kind: u32| {
            flash
                .execute(&request(command::NVM_GET_FILE_ATTRIBUTES, kind, &[]))
                .response
        };
        assert_eq!(attributes(&mut flash, image::MBA), response::NVM_OK);
        assert_eq!(attributes(&mut flash, 0x1f), response::NVM_FILE_NOT_FOUND);
        let delete = |kind: u32| request(command::NVM_DELETE_FILE, kind, &[]);
        assert_eq!(flash.execute(&delete(image::MBA)), Reply::ok());
        assert_eq!(
            flash.execute(&delete(image::MBA)).response,
            response::NVM_FILE_NOT_FOUND
        );
        assert_eq!(
            flash.execute(&delete(image::DIR1)).response,
            response::NVM_FILE_READ_ONLY
        );
        assert_eq!(
            attributes(&mut flash, image::MBA),
            response::NVM_FILE_NOT_FOUND
        );
        let directory = flash.find(image::DIR1).unwrap();
        assert_eq!(!crc32(&read_all(&mut flash, directory)), RESIDUE);
    }

    #[test]
    fn a_new_configuration_keeps_its_checksum() {
        let mut flash = flash();
        flash.store_configuration(&vec![1; 1060]);
        let one = flash.find(image::NVM_CFG1).unwrap();
        assert_eq!(!crc32(&read_all(&mut flash, one)), RESIDUE);
    }
}
