//! Inflating compressed arrays without an allocator.

use fastlinq_pac::init_file::ZIPPED_MAX_DWORDS;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use zerocopy::IntoBytes;

use super::{Dwords, FirmwareError};

/// State and output buffer for zlib streams, about 43 KiB.
///
/// One value serves a whole file. It belongs in the caller's memory, not on a small stack.
pub struct Inflater {
    /// Made at the first use, so that an inflater can be a constant.
    state: Option<DecompressorOxide>,
    /// Little-endian dwords as the stream has them, or native ones behind [`Self::inflate_words`].
    output: [u32; ZIPPED_MAX_DWORDS],
}

impl Inflater {
    /// An inflater at rest.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: None,
            output: [0; ZIPPED_MAX_DWORDS],
        }
    }

    /// Inflates `stream`, which lies at dword `offset` of the value section.
    ///
    /// # Errors
    ///
    /// [`FirmwareError::Corrupt`] for what is no zlib stream or has a wrong checksum,
    /// [`FirmwareError::InflatedSize`] for one that holds more than 32 KiB or half a dword.
    pub fn inflate(&mut self, stream: &[u8], offset: u32) -> Result<Dwords<'_>, FirmwareError> {
        let length = self.run(stream, offset)?;
        let inflated = self.output.as_bytes().get(..length * 4);
        inflated
            .map(Dwords::new)
            .ok_or(FirmwareError::InflatedSize { offset })
    }

    /// Inflates `stream` into [`words`](Self::words) and gives their number.
    pub(crate) fn inflate_words(
        &mut self,
        stream: &[u8],
        offset: u32,
    ) -> Result<usize, FirmwareError> {
        let length = self.run(stream, offset)?;
        for word in self.output.iter_mut().take(length) {
            *word = u32::from_le(*word);
        }
        Ok(length)
    }

    /// The buffer, for whoever needs one between two streams.
    pub(crate) const fn words(&self) -> &[u32] {
        &self.output
    }

    /// The buffer, to be filled.
    pub(crate) const fn words_mut(&mut self) -> &mut [u32] {
        &mut self.output
    }

    /// Inflates and gives the number of dwords.
    fn run(&mut self, stream: &[u8], offset: u32) -> Result<usize, FirmwareError> {
        let state = self.state.get_or_insert_with(DecompressorOxide::new);
        state.init();
        let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let output = self.output.as_mut_bytes();
        match decompress(state, stream, output, 0, flags) {
            (TINFLStatus::Done, _, length) if length % 4 == 0 => Ok(length / 4),
            (TINFLStatus::Done | TINFLStatus::HasMoreOutput, ..) => {
                Err(FirmwareError::InflatedSize { offset })
            }
            _ => Err(FirmwareError::Corrupt { offset }),
        }
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
