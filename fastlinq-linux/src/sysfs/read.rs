//! Small files of the kernel.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::SysfsError;

/// Longest file that is read; the kernel's have at most a page.
const LONGEST: u64 = 8192;

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A file's text without white space around it; `None` when there is no such file.
pub(super) fn text(path: &Path) -> Result<Option<String>, SysfsError> {
    match bytes(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        // Some files are there and have nothing to say (EINVAL), as the link's speed on a bus that is not PCI Express.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(SysfsError::Io {
            path: path.into(),
            error,
        }),
    }
}

/// A file's bytes; none when it cannot be read.
pub(super) fn raw(path: &Path) -> Vec<u8> {
    bytes(path).unwrap_or_default()
}

/// A number in hexadecimal, with or without 0x.
pub(super) fn hex(path: &Path) -> Result<Option<u64>, SysfsError> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    parse_hex(&text)
        .map(Some)
        .ok_or_else(|| malformed(path, text))
}

pub(super) fn parse_hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).ok()
}

/// A decimal number; negative ones, which mean "none", count as none.
pub(super) fn number(path: &Path) -> Result<Option<u32>, SysfsError> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    match text.parse::<i64>() {
        Ok(number) => Ok(u32::try_from(number).ok()),
        Err(_) => Err(malformed(path, text)),
    }
}

/// Last part of what a symbolic link points to.
pub(super) fn link_name(path: &Path) -> Option<String> {
    let target = std::fs::read_link(path).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

pub(super) fn malformed(path: &Path, text: String) -> SysfsError {
    SysfsError::Malformed {
        path: path.into(),
        text,
    }
}
