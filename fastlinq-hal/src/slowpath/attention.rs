//! Attentions: how the hardware reports what is neither a packet nor a ramrod completion.
//!
//! The IGU writes the attention block in host memory: which of twelve lines are raised and which of those the driver has
//! acknowledged. Lines 0 to 7 are groups of hardware sources in the attention unit (AEU), line 8 is the management
//! firmware. The protocol per line is: raised -> mask, handle, acknowledge -> lowered -> find the sources, unmask.

use core::fmt;

use fastlinq_pac::GrcAddress;
use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::bar::{Bar0Offset, igu as igu_command};
use fastlinq_pac::mfw::attention_register;
use fastlinq_pac::registers::{dorq, grc, igu, misc, pglue_b, pswhst};
use fastlinq_pac::words::AttentionBlockWords;
use heapless::Vec;
use tock_registers::interfaces::{Readable, Writeable};

use crate::dma::{DmaBuffer, read_barrier};
use crate::host::DmaRegion;

/// Bytes of the attention block.
pub const ATTENTION_BLOCK_BYTES: usize = 16;

/// Attention lines of a function.
pub const LINES: u32 = 0xfff;

/// The line of the management firmware.
const LINE_MANAGEMENT: u32 = 1 << 8;

/// Lines that ATTENTION_ENABLE masks.
const MASKABLE: u32 = 0x3ff;

/// Rows of sources in the attention unit, each 32 bits.
pub const SOURCE_ROWS: usize = 9;

const GROUPS: u32 = 8;
const GROUP_STRIDE: u32 = 0x24;

/// Row (counted from 0) and bits of the general attentions that have a meaning of their own.
const GENERAL_ROW: usize = 3;
const GENERAL_FIRMWARE_ASSERT: u32 = 1 << 0;
const GENERAL_RECOVERY: u32 = 1 << 3;
/// Row of the general attentions 0..=31, through which the management firmware raises line 8.
const GENERAL_LOW_ROW: usize = 2;

/// A hardware condition found behind an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HardwareAttention {
    /// A storm firmware processor asserted: the adapter has to be brought down.
    FirmwareAssert,
    /// The management firmware wants all drivers of the card to recover.
    RecoveryRequested,
    /// An access to a register that nobody answers.
    RegisterTimeout {
        /// Byte address of the register.
        address: u32,
        /// Whether it was a write.
        write: bool,
        /// Who accessed (1 PXP, 2 MFW, 3..=8 storms, 9 debug, 10 DMAE).
        master: u8,
        /// Function of the access.
        function: u8,
    },
    /// The chip blocked an access from the host to one of its targets.
    IncorrectTargetAccess {
        /// Address of the access.
        address: u32,
        /// Details as the chip gives them.
        details: u32,
        /// Length as the chip gives it.
        length: u32,
    },
    /// The chip blocked a DMA access to host memory.
    BlockedDma {
        /// Kind of the access.
        access: DmaAccess,
        /// Host address, where the chip gives one.
        address: u64,
        /// First detail word.
        details: u32,
        /// Second detail word, with the reason.
        details2: u32,
    },
    /// Doorbells of this function were dropped; all doorbells have to be rung again.
    DoorbellsDropped {
        /// Interrupt status of the doorbell queue.
        status: u32,
        /// Reason bits, 0 when the chip gives none.
        reason: u32,
    },
    /// Sources that this crate does not know; they have been masked.
    UnknownSource {
        /// Row of the attention unit, counted from 1.
        row: u8,
        /// Bits of the row.
        bits: u32,
    },
}

/// Kind of a blocked DMA access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DmaAccess {
    /// Write to host memory.
    Write,
    /// Read from host memory.
    Read,
    /// Zero-length read.
    ZeroLengthRead,
    /// Completion that could not be delivered.
    Completion,
    /// Translation of a virtual function's address.
    VirtualFunctionTranslation,
}

impl fmt::Display for HardwareAttention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirmwareAssert => f.write_str("the storm firmware asserted"),
            Self::RecoveryRequested => f.write_str("recovery was requested"),
            Self::RegisterTimeout {
                address,
                write,
                master,
                function,
            } => write!(
                f,
                "nobody answered the {} of register {address:#x} by master {master} of function {function}",
                if *write { "write" } else { "read" }
            ),
            Self::IncorrectTargetAccess {
                address,
                details,
                length,
            } => write!(
                f,
                "the chip blocked an access to target {address:#x} (details {details:#x}, length {length:#x})"
            ),
            Self::BlockedDma {
                access,
                address,
                details,
                details2,
            } => write!(
                f,
                "the chip blocked a DMA {access:?} at {address:#x} (details {details:#x} {details2:#x})"
            ),
            Self::DoorbellsDropped { status, reason } => {
                write!(
                    f,
                    "doorbells were dropped (status {status:#x}, reason {reason:#x})"
                )
            }
            Self::UnknownSource { row, bits } => {
                write!(
                    f,
                    "unknown attention sources {bits:#010x} in row {row} were masked"
                )
            }
        }
    }
}

/// Lines whose level and acknowledgement differ from what the driver knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ChangedLines {
    raised: u32,
    lowered: u32,
    index: u16,
}

impl ChangedLines {
    /// Whether the management firmware raised its line.
    #[must_use]
    pub const fn management(self) -> bool {
        self.raised & LINE_MANAGEMENT != 0
    }

    /// Whether any line changed.
    #[must_use]
    pub const fn any(self) -> bool {
        self.raised | self.lowered != 0
    }
}

/// What one service of the attention block found.
#[derive(Debug, Default)]
pub struct AttentionReport {
    /// Hardware conditions, at most 16; more are counted in `dropped`.
    pub hardware: Vec<HardwareAttention, 16>,
    /// Conditions that did not fit.
    pub dropped: u32,
    /// Index of the block that has to be acknowledged.
    pub acknowledge: Option<u16>,
}

impl AttentionReport {
    fn push(&mut self, attention: HardwareAttention) {
        if self.hardware.push(attention).is_err() {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

/// Driver side of the attention block.
///
/// Known by: source reading; the management line by the model.
pub struct Attentions<R: DmaRegion> {
    block: DmaBuffer<R>,
    known: u32,
    index: u16,
}

impl<R: DmaRegion> Attentions<R> {
    /// Takes a zeroed block of at least [`ATTENTION_BLOCK_BYTES`].
    pub fn new(block: DmaBuffer<R>) -> Self {
        Self {
            block,
            known: 0,
            index: 0,
        }
    }

    /// The block's memory.
    pub fn block(&self) -> &DmaBuffer<R> {
        &self.block
    }

    /// Gives the memory up.
    pub fn into_memory(self) -> DmaBuffer<R> {
        self.block
    }

    /// Tells the IGU where the block is: ATTN_MSG_ADDR_L and _H.
    pub fn program_address(&self, bus: &impl RegisterBus) {
        let address = self.block.bus_address();
        igu::ATTN_MSG_ADDR_L.on(bus).set(address.low());
        igu::ATTN_MSG_ADDR_H.on(bus).set(address.high());
    }

    /// Enables all lines, in the order of the hardware reference.
    pub fn enable(&mut self, bus: &impl RegisterBus) {
        self.known = 0;
        igu::ATTENTION_ENABLE.on(bus).set(0);
        igu::LEADING_EDGE_LATCH.on(bus).set(LINES);
        igu::TRAILING_EDGE_LATCH.on(bus).set(LINES);
        igu::ATTENTION_ENABLE.on(bus).set(LINES);
        misc::AEU_MASK_ATTN_IGU.on(bus).set(0xff);
    }

    /// Disables all lines.
    pub fn disable(bus: &impl RegisterBus) {
        igu::LEADING_EDGE_LATCH.on(bus).set(0);
        igu::TRAILING_EDGE_LATCH.on(bus).set(0);
    }

    /// Looks at the block, masks the lines that are newly raised, and tells which lines changed.
    ///
    /// Handle the management firmware's line between this and [`acknowledge`](Self::acknowledge).
    pub fn look(&mut self, bus: &impl RegisterBus) -> ChangedLines {
        let Some((bits, acknowledged, index)) = self.read_block() else {
            return ChangedLines::default();
        };
        let changed = ChangedLines {
            raised: bits & !acknowledged & !self.known & LINES,
            lowered: !bits & acknowledged & self.known & LINES,
            index,
        };
        if changed.raised != 0 {
            let enabled = igu::ATTENTION_ENABLE.on(bus).get();
            igu::ATTENTION_ENABLE
                .on(bus)
                .set(enabled & !(changed.raised & MASKABLE));
            self.known |= changed.raised;
        }
        changed
    }

    /// Acknowledges raised lines; finds, reports and clears the sources of lowered ones, and unmasks them.
    ///
    /// `relative_pf` selects the general attention of the management firmware; `command` writes an IGU command at a BAR0
    /// offset.
    pub fn acknowledge(
        &mut self,
        bus: &impl RegisterBus,
        changed: ChangedLines,
        relative_pf: u8,
        command: impl Fn(Bar0Offset, u32),
    ) -> AttentionReport {
        let mut report = AttentionReport::default();
        if changed.management() {
            bus.write32(attention_register(relative_pf), 0);
        }
        if changed.raised != 0 {
            command(igu_command::ATTENTION_SET, changed.raised);
        }
        if changed.lowered != 0 {
            self.find_sources(bus, changed.lowered, &mut report);
            command(igu_command::ATTENTION_CLEAR, !changed.lowered);
            let enabled = igu::ATTENTION_ENABLE.on(bus).get();
            igu::ATTENTION_ENABLE
                .on(bus)
                .set(enabled | (changed.lowered & MASKABLE));
            self.known &= !changed.lowered;
        }
        if changed.index != self.index {
            self.index = changed.index;
            report.acknowledge = Some(changed.index);
        }
        report
    }

    /// Reads bits, acknowledged bits and index until the index stands still.
    fn read_block(&self) -> Option<(u32, u32, u16)> {
        let words = self.block.words::<AttentionBlockWords>(0)?;
        let mut index = u16::from_le(words.index.read());
        for _ in 0..16 {
            read_barrier();
            let bits = u32::from_le(words.bits.read());
            let acknowledged = u32::from_le(words.ack.read());
            read_barrier();
            let again = u16::from_le(words.index.read());
            if again == index {
                return Some((bits, acknowledged, index));
            }
            index = again;
        }
        None
    }

    fn find_sources(&self, bus: &impl RegisterBus, deasserted: u32, report: &mut AttentionReport) {
        let mut rows = [0u32; SOURCE_ROWS];
        for (row, value) in rows.iter_mut().enumerate() {
            *value = bus.read32(row_address(misc::AEU_AFTER_INVERT_1_IGU.address(), row));
        }
        for group in (0..GROUPS).filter(|group| deasserted & 1 << group != 0) {
            let enables = misc::AEU_ENABLE1_IGU_OUT_0
                .address()
                .offset(GROUP_STRIDE * group);
            for (row, active) in rows.iter().enumerate() {
                let address = row_address(enables, row);
                let enabled = bus.read32(address);
                let sources = active & enabled;
                if sources == 0 {
                    continue;
                }
                let unknown = handle_row(bus, row, sources, report);
                if unknown != 0 {
                    bus.write32(address, enabled & !unknown);
                    report.push(HardwareAttention::UnknownSource {
                        row: row as u8 + 1,
                        bits: unknown,
                    });
                }
            }
        }
    }
}

fn row_address(first: GrcAddress, row: usize) -> GrcAddress {
    first.offset(4 * row as u32)
}

/// Reports what a row's sources mean and returns those that nothing explains.
///
/// The positions of most sources inside a row differ between chips; blocks that keep details of the error in registers of
/// their own are asked directly, whichever bit led here.
fn handle_row(
    bus: &impl RegisterBus,
    row: usize,
    sources: u32,
    report: &mut AttentionReport,
) -> u32 {
    let mut unknown = sources;
    if row == GENERAL_ROW {
        if sources & GENERAL_FIRMWARE_ASSERT != 0 {
            misc::AEU_GENERAL_ATTN_32.on(bus).set(0);
            report.push(HardwareAttention::FirmwareAssert);
        }
        if sources & GENERAL_RECOVERY != 0 {
            misc::AEU_GENERAL_ATTN_35.on(bus).set(0);
            report.push(HardwareAttention::RecoveryRequested);
        }
        unknown &= !(GENERAL_FIRMWARE_ASSERT | GENERAL_RECOVERY);
    }
    if unknown == 0 || row == GENERAL_LOW_ROW {
        return unknown;
    }
    if report_blocks(bus, report) {
        0
    } else {
        unknown
    }
}

/// Reads and clears the error registers of the blocks that have them; whether one held an error.
fn report_blocks(bus: &impl RegisterBus, report: &mut AttentionReport) -> bool {
    let before = report.hardware.len();
    report_register_timeout(bus, report);
    report_target_access(bus, report);
    for error in pglue_errors(bus).into_iter().flatten() {
        report.push(error);
    }
    report_doorbell_drop(bus, report);
    report.hardware.len() > before
}

fn report_register_timeout(bus: &impl RegisterBus, report: &mut AttentionReport) {
    if grc::TIMEOUT_ATTN_ACCESS_VALID.on(bus).get() & 1 == 0 {
        return;
    }
    let data0 = grc::TIMEOUT_ATTN_ACCESS_DATA_0.on(bus).get();
    let data1 = grc::TIMEOUT_ATTN_ACCESS_DATA_1.on(bus).get();
    grc::TIMEOUT_ATTN_ACCESS_VALID.on(bus).set(0);
    report.push(HardwareAttention::RegisterTimeout {
        address: (data0 & 0x7f_ffff) << 2,
        write: data0 & 1 << 23 != 0,
        master: (data0 >> 24 & 0xf) as u8,
        function: (data1 & 0xf) as u8,
    });
}

fn report_target_access(bus: &impl RegisterBus, report: &mut AttentionReport) {
    if pswhst::INCORRECT_ACCESS_VALID.on(bus).get() & 1 == 0 {
        return;
    }
    report.push(HardwareAttention::IncorrectTargetAccess {
        address: pswhst::INCORRECT_ACCESS_ADDRESS.on(bus).get(),
        details: pswhst::INCORRECT_ACCESS_DATA.on(bus).get(),
        length: pswhst::INCORRECT_ACCESS_LENGTH.on(bus).get(),
    });
}

/// Clears the flag that makes the chip drop all doorbells of the function; whether it was set. Doorbells that are queued are
/// waited for, for a bounded number of looks.
pub(crate) fn clear_doorbell_overflow(bus: &impl RegisterBus) -> bool {
    if dorq::PF_OVFL_STICKY.on(bus).get() & 1 == 0 {
        return false;
    }
    dorq::DPM_FORCE_ABORT.on(bus).set(1);
    for _ in 0..1000 {
        if dorq::PF_USAGE_CNT.on(bus).get() == 0 {
            break;
        }
    }
    dorq::PF_OVFL_STICKY.on(bus).set(0);
    true
}

fn report_doorbell_drop(bus: &impl RegisterBus, report: &mut AttentionReport) {
    const BLOCK_IN_RESET: u32 = 0xdead_beaf;
    let status = dorq::INT_STS.on(bus).get();
    let sticky = dorq::PF_OVFL_STICKY.on(bus).get();
    if (status == 0 && sticky == 0) || status == BLOCK_IN_RESET {
        return;
    }
    clear_doorbell_overflow(bus);
    let reason = dorq::DB_DROP_REASON.on(bus).get() & 0xf_ffff;
    dorq::INT_STS_WR.on(bus).set(status);
    dorq::DB_DROP_DETAILS_REL.on(bus).set(0);
    report.push(HardwareAttention::DoorbellsDropped { status, reason });
}

/// Reads the five latched DMA errors of the PCI interface and clears them.
///
/// Known by: source reading. They are read at every load, right after the load request, and at PCI attentions.
pub fn pglue_errors(bus: &impl RegisterBus) -> [Option<HardwareAttention>; 5] {
    let blocked = |access, address, details, details2| {
        Some(HardwareAttention::BlockedDma {
            access,
            address,
            details,
            details2,
        })
    };
    let wide = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let mut errors = [None; 5];
    let [write, read, completion, zero_length, vf] = &mut errors;

    let details2 = pglue_b::TX_ERR_WR_DETAILS2.on(bus).get();
    if details2 & 1 << 29 != 0 {
        let address = wide(
            pglue_b::TX_ERR_WR_ADD_63_32.on(bus).get(),
            pglue_b::TX_ERR_WR_ADD_31_0.on(bus).get(),
        );
        *write = blocked(
            DmaAccess::Write,
            address,
            pglue_b::TX_ERR_WR_DETAILS.on(bus).get(),
            details2,
        );
    }
    let details2 = pglue_b::TX_ERR_RD_DETAILS2.on(bus).get();
    if details2 & 1 << 26 != 0 {
        let address = wide(
            pglue_b::TX_ERR_RD_ADD_63_32.on(bus).get(),
            pglue_b::TX_ERR_RD_ADD_31_0.on(bus).get(),
        );
        *read = blocked(
            DmaAccess::Read,
            address,
            pglue_b::TX_ERR_RD_DETAILS.on(bus).get(),
            details2,
        );
    }
    let details = pglue_b::TX_ERR_WR_DETAILS_ICPL.on(bus).get();
    if details & 1 << 23 != 0 {
        *completion = blocked(DmaAccess::Completion, 0, details, 0);
    }
    let details = pglue_b::MASTER_ZLR_ERR_DETAILS.on(bus).get();
    if details & 1 << 25 != 0 {
        let address = wide(
            pglue_b::MASTER_ZLR_ERR_ADD_63_32.on(bus).get(),
            pglue_b::MASTER_ZLR_ERR_ADD_31_0.on(bus).get(),
        );
        *zero_length = blocked(DmaAccess::ZeroLengthRead, address, details, 0);
    }
    let details2 = pglue_b::VF_ILT_ERR_DETAILS2.on(bus).get();
    if details2 & 1 << 23 != 0 {
        let address = wide(
            pglue_b::VF_ILT_ERR_ADD_63_32.on(bus).get(),
            pglue_b::VF_ILT_ERR_ADD_31_0.on(bus).get(),
        );
        *vf = blocked(
            DmaAccess::VirtualFunctionTranslation,
            address,
            pglue_b::VF_ILT_ERR_DETAILS.on(bus).get(),
            details2,
        );
    }
    if errors.iter().any(Option::is_some) {
        pglue_b::LATCHED_ERRORS_CLR.on(bus).set(4);
    }
    errors
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
