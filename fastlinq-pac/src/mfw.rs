//! The management firmware (MFW, running on the MCP): shared memory, mailbox, codes.
//!
//! The MFW's scratchpad is read through ordinary windows. [`registers::misc::SHARED_MEM_ADDR`] gives the
//! place of a table of sections; each [`SectionWord`] of it places an array of elements, one for each port
//! or function. Layouts differ from one MFW to another: read no more of an element than
//! [`SectionWord::element_bytes`] says.
//!
//! [`registers::misc::SHARED_MEM_ADDR`]: crate::registers::misc::SHARED_MEM_ADDR

pub use crate::generated::mfw::*;
use crate::{GrcAddress, registers};

/// Or-ed into the shared-memory register to get the address of the section table.
pub const SHARED_MEMORY_BASE: u32 = 0xe0_0000;

/// Bytes of the scratchpad that exist.
pub const SCRATCHPAD_SIZE: u32 = 0x2_8000;

/// Bytes of a mailbox's union; a command writes all of them.
pub const UNION_SIZE: usize = 32;

/// The general attention register that the MFW raises for PF `relative_pf`; writing 0 clears it.
pub const fn attention_register(relative_pf: u8) -> GrcAddress {
    GrcAddress(0x8400 + 8 * relative_pf as u32)
}

/// A word of the section table: offset from the scratchpad in bits 15:0, size of one element in bits 31:16,
/// both in dwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionWord(pub u32);

impl SectionWord {
    /// A section of elements of `element_bytes` at `offset_bytes` in the scratchpad; both multiples of 4.
    pub const fn new(offset_bytes: u32, element_bytes: u32) -> Self {
        Self(offset_bytes >> 2 & 0xffff | (element_bytes >> 2) << 16)
    }

    /// Bytes from the start of the scratchpad.
    pub const fn offset_bytes(self) -> u32 {
        (self.0 & 0xffff) << 2
    }

    /// Bytes of one element.
    pub const fn element_bytes(self) -> u32 {
        (self.0 >> 16) << 2
    }

    /// The address of element `index`.
    pub const fn element(self, index: u32) -> GrcAddress {
        registers::mcp::SCRATCH
            .address()
            .offset(self.offset_bytes())
            .offset(self.element_bytes().wrapping_mul(index))
    }
}

/// A header word of the mailbox: a code in bits 31:16, a sequence number in bits 15:0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxHeader(pub u32);

impl MailboxHeader {
    /// The header of a command.
    pub const fn command(code: DriverCommand, sequence: u16) -> Self {
        Self((code.0 as u32) << 16 | sequence as u32)
    }

    /// The header of a response.
    pub const fn response(code: FirmwareResponse, sequence: u16) -> Self {
        Self((code.0 as u32) << 16 | sequence as u32)
    }

    /// The sequence number.
    pub const fn sequence(self) -> u16 {
        self.0 as u16
    }

    /// The code, as a command.
    pub const fn as_command(self) -> DriverCommand {
        DriverCommand((self.0 >> 16) as u16)
    }

    /// The code, as a response.
    pub const fn as_response(self) -> FirmwareResponse {
        FirmwareResponse((self.0 >> 16) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections() {
        let word = SectionWord::new(0x1230, 0x38);
        assert_eq!(word.0, 0x000e_048c);
        assert_eq!(word.element(2), GrcAddress(0xe2_0000 + 0x1230 + 2 * 0x38));
        assert_eq!((word.offset_bytes(), word.element_bytes()), (0x1230, 0x38));
    }

    #[test]
    fn headers() {
        let header = MailboxHeader::command(DriverCommand::LOAD_REQ, 0xabcd);
        assert_eq!(header.0, 0x1000_abcd);
        assert_eq!(
            (header.as_command(), header.sequence()),
            (DriverCommand::LOAD_REQ, 0xabcd)
        );
        assert_eq!(
            MailboxHeader(0x0016_0001).as_response(),
            FirmwareResponse::OK
        );
    }

    #[test]
    fn an_unknown_code_stays_itself() {
        assert_eq!(FirmwareResponse(0x7777).name(), None);
        assert_eq!(
            format_args!("{:?}", FirmwareResponse(0x7777)).as_str(),
            None
        );
        assert_eq!(FirmwareResponse(0x0016).name(), Some("OK"));
    }
}
