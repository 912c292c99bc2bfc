//! Built-in self tests (BIST_TEST), among them the table of flash images.
//!
//! The test was introduced late; cards with an old management firmware answer 0x0000, and must be driven all
//! the same.

use core::fmt;

use fastlinq_pac::mfw::constants::param::{
    BIST_CLOCK_TEST, BIST_NVM_TEST_IMAGE_BY_INDEX, BIST_NVM_TEST_NUM_IMAGES, BIST_RC_PASSED,
    BIST_REGISTER_TEST, BIST_TEST_IMAGE_INDEX_SHIFT,
};
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};
use heapless::Vec;

use super::{Answer, MailboxError, response_name};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{info, warning};

/// Most flash images that a table is believed to have.
pub const MAX_IMAGES: usize = 128;

/// Bytes of one image's attributes, which the answer's parameter must repeat.
const ATTRIBUTE_BYTES: u32 = 16;

/// An image in the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FlashImage {
    /// Type of the image; see `fastlinq_pac::nvm::ImageType`.
    pub kind: u32,
    /// First byte in the flash.
    pub offset: u32,
    /// Bytes.
    pub bytes: u32,
}

/// The images in the flash, as far as the management firmware tells.
#[must_use = "that there is no table is not an error"]
#[allow(clippy::large_enum_variant)] // There is no heap to put the table on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Images {
    /// The table, in the firmware's order; possibly empty.
    Table(Vec<FlashImage, MAX_IMAGES>),
    /// The management firmware does not know the test: it answered 0x0000.
    Unsupported {
        /// Response code, 0.
        raw: u16,
        /// Response parameter, which means nothing.
        param: u32,
    },
    /// It knows the test, and there is no table.
    Refused(ImagesRefused),
}

/// Why there is no table of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImagesRefused {
    /// The question for the number was answered with another code than success.
    Code {
        /// The response code.
        code: FirmwareResponse,
        /// The response parameter.
        param: u32,
    },
    /// The number cannot be.
    AbsurdCount {
        /// Number of images that was answered.
        count: u32,
    },
    /// The attributes of an image were not given.
    Image {
        /// Index of the image.
        index: u8,
        /// The response code.
        code: FirmwareResponse,
        /// The response parameter; 16 is right.
        param: u32,
        /// The test's own return code; 1 is right.
        return_code: u32,
    },
}

impl fmt::Display for ImagesRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |code| response_name(DriverCommand::BIST_TEST, code);
        match *self {
            Self::Code { code, param } => write!(
                f,
                "BIST_TEST for the number of flash images was answered with {} {:#06x}, parameter {param:#x}",
                name(code),
                code.0
            ),
            Self::AbsurdCount { count } => {
                write!(f, "BIST_TEST says that there are {count} flash images")
            }
            Self::Image {
                index,
                code,
                param,
                return_code,
            } => write!(
                f,
                "BIST_TEST for flash image {index} was answered with {} {:#06x}, parameter {param:#x}, \
                 return code {return_code}",
                name(code),
                code.0
            ),
        }
    }
}

impl core::error::Error for ImagesRefused {}

/// Asks for the images in the flash: their number, then each.
///
/// | answer to the number | outcome |
/// |---|---|
/// | OK, 1 to 128, each image answered | [`Images::Table`] |
/// | OK, 0 | [`Images::Table`], empty |
/// | OK, more | [`Images::Refused`] with the number |
/// | 0x0000, any parameter | [`Images::Unsupported`] |
/// | anything else, or an image refused | [`Images::Refused`] |
///
/// # Errors
///
/// [`MailboxError`].
pub fn images<H: Host>(core: &mut Core<H>) -> Result<Images, MailboxError> {
    let reply = core.command(DriverCommand::BIST_TEST, BIST_NVM_TEST_NUM_IMAGES, &[])?;
    let count = match reply.judge_ok(|reply| reply.param) {
        Answer::Done(count) => count,
        Answer::Unsupported { param } => {
            info!("the management firmware has no table of flash images");
            return Ok(Images::Unsupported {
                raw: reply.code.0,
                param,
            });
        }
        Answer::Refused { code, param, .. } => {
            return Ok(Images::Refused(ImagesRefused::Code { code, param }));
        }
    };
    let count = match u8::try_from(count) {
        Ok(count) if usize::from(count) <= MAX_IMAGES => count,
        _ => {
            warning!(
                "the management firmware says that there are {} flash images",
                count
            );
            return Ok(Images::Refused(ImagesRefused::AbsurdCount { count }));
        }
    };
    let mut table = Vec::new();
    for index in 0..count {
        match image(core, index)? {
            Ok(image) => {
                let _ = table.push(image);
            }
            Err(refused) => return Ok(Images::Refused(refused)),
        }
    }
    info!("{} flash images", table.len());
    Ok(Images::Table(table))
}

fn image<H: Host>(
    core: &mut Core<H>,
    index: u8,
) -> Result<Result<FlashImage, ImagesRefused>, MailboxError> {
    let param = BIST_NVM_TEST_IMAGE_BY_INDEX | u32::from(index) << BIST_TEST_IMAGE_INDEX_SHIFT;
    let reply = core.command(DriverCommand::BIST_TEST, param, &[])?;
    let attributes = reply.data().nvm_image_att();
    let return_code = attributes.return_code.get();
    let good = reply.code == FirmwareResponse::OK
        && reply.param == ATTRIBUTE_BYTES
        && return_code == BIST_RC_PASSED;
    Ok(if good {
        Ok(FlashImage {
            kind: attributes.image_type.get(),
            offset: attributes.nvm_start_addr.get(),
            bytes: attributes.len.get(),
        })
    } else {
        Err(ImagesRefused::Image {
            index,
            code: reply.code,
            param: reply.param,
            return_code,
        })
    })
}

/// Lets the management firmware test the chip's registers; the value says whether the test passed.
///
/// # Errors
///
/// [`MailboxError`].
pub fn test_registers<H: Host>(core: &mut Core<H>) -> Result<Answer<bool>, MailboxError> {
    test(core, BIST_REGISTER_TEST)
}

/// Lets the management firmware test the chip's clocks; the value says whether the test passed.
///
/// # Errors
///
/// [`MailboxError`].
pub fn test_clocks<H: Host>(core: &mut Core<H>) -> Result<Answer<bool>, MailboxError> {
    test(core, BIST_CLOCK_TEST)
}

fn test<H: Host>(core: &mut Core<H>, test: u32) -> Result<Answer<bool>, MailboxError> {
    let reply = core.command(DriverCommand::BIST_TEST, test, &[])?;
    Ok(reply.judge_ok(|reply| reply.param == BIST_RC_PASSED))
}

#[cfg(test)]
#[path = "bist_tests.rs"]
mod tests;
