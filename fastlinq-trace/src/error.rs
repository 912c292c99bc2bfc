//! Why a trace cannot be read.

use core::fmt;
use std::io;

/// What is wrong with the bytes of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end too early.
    CutOff,
    /// A length is beyond what a trace may have.
    TooLong,
    /// A number is out of its range.
    Number,
    /// A text is no UTF-8.
    Text,
    /// A record of an unknown kind.
    Kind(u8),
    /// A chunk does not unpack to what it says.
    Compression,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutOff => f.write_str("the trace ends in the middle of a record"),
            Self::TooLong => f.write_str("a length in the trace is beyond its limit"),
            Self::Number => f.write_str("a number in the trace is out of range"),
            Self::Text => f.write_str("a text in the trace is no UTF-8"),
            Self::Kind(kind) => write!(f, "the trace has a record of unknown kind {kind}"),
            Self::Compression => f.write_str("a part of the trace does not unpack"),
        }
    }
}

impl core::error::Error for Malformed {}

/// A trace that cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The file is no trace.
    NoTrace,
    /// The file is a trace of another version of the format.
    Version(u16),
    /// The file is damaged.
    Malformed(Malformed),
    /// The file cannot be read.
    Io(io::Error),
}

impl From<Malformed> for ReadError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrace => f.write_str("this is no trace"),
            Self::Version(version) => write!(
                f,
                "this is a trace of format {version}; format {} is known",
                crate::file::VERSION
            ),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Malformed(malformed) => Some(malformed),
            Self::Io(error) => Some(error),
            Self::NoTrace | Self::Version(_) => None,
        }
    }
}
