//! Numbers of the init-values container. Known by: source reading, checked on the genuine 8.59.1.0 file.

/// Section offsets count from this byte of the file.
pub(super) const SECTION_BASE: usize = 4;
/// First byte behind the section table of six pairs and its end mark.
pub(super) const FIRST_SECTION: usize = 0x3c;
pub(super) const TOOLS_VERSION: u16 = 11;
pub(super) const ANY_PHASE_ID: u16 = 0xffff;

pub(super) const MODE_NOT: u8 = 0;
pub(super) const MODE_OR: u8 = 1;
pub(super) const MODE_AND: u8 = 2;
pub(super) const MODE_FIRST_BIT: u8 = 3;

pub(super) const ARRAY_STANDARD: u32 = 0;
pub(super) const ARRAY_ZIPPED: u32 = 1;
pub(super) const ARRAY_PATTERN: u32 = 2;
pub(super) const ZIPPED_MAX_DWORDS: usize = 8192;

#[derive(Clone, Copy)]
pub(super) enum Op {
    Read = 0,
    Write = 1,
    IfMode = 2,
    IfPhase = 3,
    Delay = 4,
    Callback = 5,
}

#[derive(Clone, Copy)]
pub(super) enum WriteSource {
    Inline = 0,
    Zeros = 1,
    Array = 2,
    Runtime = 3,
}
