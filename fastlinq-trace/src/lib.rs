#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod compare;
mod error;
pub mod file;
mod follow;
pub mod names;
pub mod outcome;
pub mod record;
pub mod recorder;
pub mod reviewed;
pub mod show;

pub use compare::{Difference, What, compare};
pub use error::{Malformed, ReadError};
pub use file::{Header, Reader, Writer};
pub use follow::{Call, Exchange, Follower, Whole};
pub use names::structures::Field;
pub use outcome::Outcome;
pub use record::{Record, Timed, Words};
pub use recorder::Recorder;
pub use reviewed::{ListError, Review, Reviewed};

/// CRC-32 as of zlib.
pub(crate) fn crc32(data: &[u8]) -> u32 {
    static TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut value = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                value = (value >> 1) ^ (0xedb8_8320 & (value & 1).wrapping_neg());
                bit += 1;
            }
            table[byte] = value;
            byte += 1;
        }
        table
    };
    !data.iter().fold(!0, |value, &byte| {
        (value >> 8) ^ TABLE[usize::from(value as u8 ^ byte)]
    })
}
