//! Access to the internal address space behind the windows.

use super::address::*;
use super::map::AddressMap;
use super::{Context, Engine, Requester, Work, polls};
use crate::fabric::{STORM_RAM_BYTES, StormId};
use crate::mfw::Section;
use crate::observer::Event;
use crate::violation::{DmaCause, ViolationKind};

/// End of the registers proper.
const GRC_END: u32 = 0x1c0_0000;
/// The IGU's command space.
const IGU_SPACE: u32 = 0x1c0_0000;
const IGU_SPACE_END: u32 = 0x1c1_0000;
/// Offset of the internal RAM in a storm's block, and its size there.
const FAST_RAM: u32 = 0x6_0000;
const FAST_RAM_BYTES: u32 = 0x1_4000;

/// The storm RAM behind an internal address: by the SDM window, or by the storm's own block.
pub(crate) fn storm_ram(address: u32) -> Option<(StormId, u32)> {
    StormId::ALL.into_iter().find_map(|storm| {
        let offset = address.wrapping_sub(storm.ram_base());
        if offset < STORM_RAM_BYTES as u32 {
            return Some((storm, offset));
        }
        let offset = address.wrapping_sub(storm.block_base() + FAST_RAM);
        (offset < FAST_RAM_BYTES).then_some((storm, offset))
    })
}

/// Registers that only the silicon or the management firmware sets.
const fn is_read_only(address: u32) -> bool {
    matches!(
        address,
        CHIP_NUM
            | CHIP_REV
            | CHIP_METAL
            | CHIP_TEST
            | CMT_ENABLED
            | FUNCTION_HIDE
            | PORT_MODE
            | PF_BAR0_SIZE
            | PF_BAR1_SIZE
    )
}

impl Engine {
    /// Reads an aligned dword.
    pub(crate) fn read32(
        &mut self,
        cx: &mut Context<'_>,
        requester: Requester,
        address: u32,
    ) -> u32 {
        let address = address & !3;
        if address < GRC_END {
            return self.grc_read(cx, requester, address);
        }
        if let Some((storm, offset)) = storm_ram(address) {
            return self.ram_dword(storm, offset);
        }
        if (IGU_SPACE..IGU_SPACE_END).contains(&address) {
            return self.igu_space_read(cx, requester, address - IGU_SPACE);
        }
        self.no_completer(cx, requester, address, None);
        0
    }

    /// Writes an aligned dword.
    pub(crate) fn write32(
        &mut self,
        cx: &mut Context<'_>,
        requester: Requester,
        address: u32,
        value: u32,
    ) {
        let address = address & !3;
        if address < GRC_END {
            self.grc_write(cx, requester, address, value);
        } else if let Some((storm, offset)) = storm_ram(address) {
            self.write_ram(requester, storm, offset, &value.to_le_bytes());
        } else if (IGU_SPACE..IGU_SPACE_END).contains(&address) {
            self.igu_space_write(cx, requester, address - IGU_SPACE, value);
        } else {
            self.no_completer(cx, requester, address, Some(value));
        }
    }

    fn ram_dword(&self, storm: StormId, offset: u32) -> u32 {
        let start = offset as usize & !3;
        self.ram(storm).get(start..start + 4).map_or(0, |bytes| {
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        })
    }

    /// A driver writes storm RAM.
    pub(crate) fn write_ram(
        &mut self,
        requester: Requester,
        storm: StormId,
        offset: u32,
        data: &[u8],
    ) {
        let start = offset as usize;
        let Some(range) = self.ram_mut(storm).get_mut(start..start + data.len()) else {
            return;
        };
        range.copy_from_slice(data);
        let (function, len) = (requester.function, data.len() as u32);
        // Bulk writes come dword by dword: join them.
        if let Some(Work::RamWritten {
            function: f,
            storm: s,
            offset: o,
            len: l,
        }) = self.work.back_mut()
        {
            if *f == function && *s == storm && *o + *l == offset {
                *l += len;
                return;
            }
        }
        self.work.push_back(Work::RamWritten {
            function,
            storm,
            offset,
            len,
        });
    }

    fn grc_read(&mut self, cx: &mut Context<'_>, requester: Requester, address: u32) -> u32 {
        if cx.mfw.owns(address) {
            return cx
                .mfw
                .read32(self.shape.absolute(requester.function.pf), address);
        }
        if let Some((storm, offset)) = storm_ram(address) {
            return self.ram_dword(storm, offset);
        }
        if let Some(value) = polls::constant(address) {
            return value;
        }
        match address {
            QM_SDM_READY => 1,
            TM_SCAN_CONNECTIONS | TM_SCAN_TASKS => 0,
            AEU_AFTER_INVERT..0x87d8 => self.aeu_after_invert((address - AEU_AFTER_INVERT) / 4),
            IGU_PRODUCERS..0x18_4000
            | IGU_CLEANUP_STATUS..0x18_0c00
            | IGU_WRITE_DONE_PENDING..0x18_0930
            | IGU_PENDING_BITS..0x18_0d34
            | IGU_ATTENTION_ACK => self.igu_register(requester, address),
            CAU_SB_VAR..0x1c_7000 => self.cau_sb_var(address),
            DMAE_GO..0xc0c8 => 0,
            _ => {
                if AddressMap::of(self.shape.chip).block(address).is_none() {
                    self.no_completer(cx, requester, address, None);
                    return 0;
                }
                self.grc.get(&requester, address)
            }
        }
    }

    fn grc_write(&mut self, cx: &mut Context<'_>, requester: Requester, address: u32, value: u32) {
        if cx.mfw.owns(address) {
            let function = self.shape.absolute(requester.function.pf);
            if cx.outside.observer.is_some() {
                let mailbox = u32::from(self.shape.path << 3 | requester.function.pf);
                if address == cx.mfw.section_address(Section::DriverMailbox, mailbox) {
                    cx.outside.observe(|| Event::MailboxCommand {
                        function,
                        header: value,
                    });
                }
            }
            cx.mfw.write32(function, address, value, cx.effects);
            return;
        }
        if let Some((storm, offset)) = storm_ram(address) {
            self.write_ram(requester, storm, offset, &value.to_le_bytes());
            return;
        }
        let map = AddressMap::of(self.shape.chip);
        if !map.is_documented(address) {
            if map.block(address).is_none() {
                self.no_completer(cx, requester, address, Some(value));
                return;
            }
            cx.outside
                .undocumented_write(requester.function, address, value);
        }
        if is_read_only(address) {
            return;
        }
        match address {
            WAS_ERROR_CLEAR | LATCHED_ERRORS_CLEAR => self.pglue_write(requester, address, value),
            IGU_CLEANUP_STATUS..0x18_0c00
            | IGU_WRITE_DONE_PENDING..0x18_0930
            | IGU_PRODUCERS..0x18_4000 => return,
            DORQ_INT_STATUS_WRITE => self.dorq_clear(cx, value),
            DORQ_INT_STATUS => return,
            _ => self.grc.set(&requester, address, value),
        }
        for (done, what) in polls::done_after(address, value, self.shape.path) {
            self.grc.set(&requester, done, what);
        }
        match address {
            DMAE_GO..0xc0c8 if value & 1 != 0 => self.dmae_go(cx, (address - DMAE_GO) / 4),
            GENERAL_ATTENTION..0x8494 | ATTENTION_MASK | AEU_ENABLE..0x85bc => {
                self.evaluate_all_attention(cx)
            }
            IGU_COMMAND_CONTROL => self.igu_command_register(cx, requester, value),
            IGU_FUNCTIONAL_CLEANUP if value & 1 != 0 => {
                self.igu_functional_cleanup(requester.function.pf)
            }
            IGU_PF_CONFIGURATION | IGU_LEADING_EDGE | IGU_TRAILING_EDGE | IGU_ATTENTION_ENABLE => {
                self.igu_reconfigured(cx, requester.function.pf);
            }
            IGU_MAPPING..0x18_45c0 => self.igu_evaluate(cx, ((address - IGU_MAPPING) / 4) as u16),
            MASTER_ENABLE => self.set_master_enable(requester.function.pf, value & 1 != 0),
            OPERATION_GENERATOR => self.operation_generator(cx, requester, value),
            DORQ_DROP_RELEASE => self.dorq_release(),
            _ => {}
        }
    }

    /// XSDM's operation generator: only the aggregated interrupt 1, final cleanup, does anything.
    fn operation_generator(&mut self, cx: &mut Context<'_>, requester: Requester, value: u32) {
        let (index, vector_enable, bit, kind) = (
            value & 0x3f,
            value & 0x40 != 0,
            value >> 7 & 0x1ff,
            value >> 16 & 0xf,
        );
        if index != 1 || !vector_enable || kind != 2 {
            let cause = DmaCause::register(
                "XSDM operation generator",
                OPERATION_GENERATOR,
                u64::from(value),
            );
            let kind = ViolationKind::Firmware(
                "operation generator command that the firmware does not know",
            );
            cx.outside.violation(Some(requester.function), kind, cause);
            return;
        }
        let pf = requester.function.pf;
        let target = match bit.checked_sub(0x10) {
            Some(vf) => crate::fabric::Function::vf(pf, vf as u8),
            None => crate::fabric::Function::pf(bit as u8),
        };
        self.work.push_back(Work::FinalCleanup {
            requester: pf,
            target,
        });
    }

    /// No block answers: latched by the GRC block's timeout attention.
    fn no_completer(
        &mut self,
        cx: &mut Context<'_>,
        requester: Requester,
        address: u32,
        written: Option<u32>,
    ) {
        let write = written.is_some();
        cx.outside.counters.no_completer += 1;
        let cause = DmaCause::register("register access", address, u64::from(written.unwrap_or(0)));
        cx.outside.violation(
            Some(requester.function),
            ViolationKind::NoCompleter { address, write },
            cause,
        );
        if self.grc.common(TIMEOUT_ENABLE) == 0 || self.grc.common(TIMEOUT_VALID) & 1 != 0 {
            return;
        }
        let master: u32 = if requester.dmae { 10 } else { 1 };
        let data0 = address >> 2 & 0x7f_ffff | u32::from(write) << 23 | master << 24;
        let (vf, privilege) = match requester.function.vf {
            Some(vf) => (u32::from(vf), 0),
            None => (0, 1),
        };
        self.grc.set_common(TIMEOUT_DATA_0, data0);
        self.grc.set_common(
            TIMEOUT_DATA_1,
            u32::from(requester.function.pf) | vf << 4 | privilege << 14,
        );
        self.grc.set_common(TIMEOUT_VALID, 1);
    }
}
