//! Commands of the register DMA engine, what can be said in them, and what can become of them.

use core::fmt;

use fastlinq_pac::hsi::{DmaeCommand, dmae_command as field};
use fastlinq_pac::words::DmaeCompletionWord;
use fastlinq_pac::{BusAddress, GrcAddress};
use zerocopy::FromZeros;

use super::dmae::PATIENCE;

const ENDIANITY: u32 = 2;
const NO_VF: u16 = 0xff;

/// What is at one end of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Host(BusAddress),
    Chip(GrcAddress),
}

impl End {
    /// Low and high dword as a command has them: dwords inside the chip, bytes in host memory.
    pub(crate) fn words(self) -> (u32, u32) {
        match self {
            Self::Host(address) => (address.low(), address.high()),
            Self::Chip(address) => (address.dword(), 0),
        }
    }

    /// The byte address.
    pub(crate) fn plain(self) -> u64 {
        match self {
            Self::Host(address) => address.value(),
            Self::Chip(address) => u64::from(address.value()),
        }
    }

    pub(crate) fn offset(self, dwords: u32) -> Self {
        match self {
            Self::Host(address) => Self::Host(address.offset(u64::from(dwords) * 4)),
            Self::Chip(address) => Self::Chip(address.offset(dwords.wrapping_mul(4))),
        }
    }
}

/// Why a DMAE operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DmaeError {
    /// The function answers every read with all ones.
    DeviceGone,
    /// The engine did not write its completion word in time. It may still do so: the engine is poisoned.
    TimedOut {
        /// Opcode word of the command.
        opcode: u32,
        /// Source: byte address in host memory, or byte address in the chip.
        source: u64,
        /// Destination, likewise.
        destination: u64,
        /// Dwords of the command.
        dwords: u32,
    },
    /// An earlier command timed out; its late completion or data could be taken for those of a new one.
    Poisoned,
    /// No DMAE has been allocated yet.
    Absent,
    /// Source or destination is address 0.
    NullAddress,
    /// More dwords than the internal space or the caller's buffer has.
    TooLong {
        /// Dwords asked for.
        dwords: u32,
    },
    /// The self-test copied wrong bytes.
    WrongData {
        /// First byte that differs.
        offset: usize,
        /// Dword that should be there.
        expected: u32,
        /// Dword that is there.
        found: u32,
    },
}

impl fmt::Display for DmaeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DeviceGone => f.write_str("the function answers every read with all ones"),
            Self::TimedOut {
                opcode,
                source,
                destination,
                dwords,
            } => write!(
                f,
                "DMAE did not complete {dwords} dwords from {source:#x} to {destination:#x} \
                 (opcode {opcode:#010x}) in {} ms",
                PATIENCE.total_us() / 1000
            ),
            Self::Poisoned => f.write_str("DMAE is out of use since an earlier command timed out"),
            Self::Absent => f.write_str("DMAE has no memory yet"),
            Self::NullAddress => f.write_str("a DMAE address is 0"),
            Self::TooLong { dwords } => write!(f, "{dwords} dwords are more than DMAE can move"),
            Self::WrongData {
                offset,
                expected,
                found,
            } => write!(
                f,
                "DMAE copied {found:#010x} instead of {expected:#010x} at byte {offset}"
            ),
        }
    }
}

impl core::error::Error for DmaeError {}

/// In whose name a DMAE command acts; by default in that of the function itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DmaeOptions {
    /// PF that the destination belongs to.
    pub destination_pf: Option<u8>,
    /// VF that the destination belongs to.
    pub destination_vf: Option<u8>,
    /// Port of the engine.
    pub port: Option<u8>,
    /// Report the completion through the destination's function instead of the source's.
    pub completion_by_destination: bool,
}

/// The command that copies `dwords` from `from` to `to` in the name of PF `pf` on `port`.
pub(crate) fn build(
    from: End,
    to: End,
    dwords: u32,
    completion: BusAddress,
    (pf, port): (u8, u8),
    options: DmaeOptions,
) -> DmaeCommand {
    let source = u32::from(matches!(from, End::Chip(_)));
    let destination = match to {
        End::Host(_) => 1,
        End::Chip(_) => 2,
    };
    let opcode = field::SRC.val(source)
        + field::DST.val(destination)
        + field::SRC_ADDR_RESET.val(1)
        + field::DST_ADDR_RESET.val(1)
        + field::COMP_FUNC.val(u32::from(options.completion_by_destination))
        + field::COMP_WORD_EN.val(1)
        + field::ENDIANITY_MODE.val(ENDIANITY)
        + field::PORT_ID.val(u32::from(options.port.unwrap_or(port)))
        + field::SRC_PF_ID.val(u32::from(pf))
        + field::DST_PF_ID.val(u32::from(options.destination_pf.unwrap_or(pf)))
        + field::DST_VF_ID_VALID.val(u32::from(options.destination_vf.is_some()));
    let vf = options.destination_vf.map_or(NO_VF, u16::from);
    let mut command = DmaeCommand::new_zeroed();
    command.opcode.set(opcode.value);
    let (low, high) = from.words();
    command.src_addr_lo.set(low);
    command.src_addr_hi.set(high);
    let (low, high) = to.words();
    command.dst_addr_lo.set(low);
    command.dst_addr_hi.set(high);
    command.length_dw.set(dwords as u16);
    command.opcode_b.set(NO_VF | vf << 8);
    command.comp_addr_lo.set(completion.low());
    command.comp_addr_hi.set(completion.high());
    command.comp_val.set(DmaeCompletionWord::DONE);
    command
}
