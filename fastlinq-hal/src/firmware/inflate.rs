//! Inflating compressed arrays without an allocator.

use fastlinq_pac::init_file::ZIPPED_MAX_DWORDS;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::{Dwords, FirmwareError};

/// State and output buffer for zlib streams, about 43 KiB.
///
/// One value serves a whole file. It belongs in the caller's memory, not on a small stack.
pub struct Inflater {
    state: DecompressorOxide,
    output: [u8; ZIPPED_MAX_DWORDS * 4],
}

impl Inflater {
    /// An inflater at rest.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: DecompressorOxide::new(),
            output: [0; ZIPPED_MAX_DWORDS * 4],
        }
    }

    /// Inflates `stream`, which lies at dword `offset` of the value section.
    ///
    /// # Errors
    ///
    /// [`FirmwareError::Corrupt`] for what is no zlib stream or has a wrong checksum,
    /// [`FirmwareError::InflatedSize`] for one that holds more than 32 KiB or half a dword.
    pub fn inflate(&mut self, stream: &[u8], offset: u32) -> Result<Dwords<'_>, FirmwareError> {
        self.state.init();
        let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, _, length) = decompress(&mut self.state, stream, &mut self.output, 0, flags);
        match status {
            TINFLStatus::Done if length % 4 == 0 => {}
            TINFLStatus::Done | TINFLStatus::HasMoreOutput => {
                return Err(FirmwareError::InflatedSize { offset });
            }
            _ => return Err(FirmwareError::Corrupt { offset }),
        }
        let inflated = self.output.get(..length);
        inflated
            .map(Dwords::new)
            .ok_or(FirmwareError::InflatedSize { offset })
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}
