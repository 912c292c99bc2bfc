//! The coalescing unit: protocol indexes, timers, and the writes of status blocks.

use super::address::*;
use super::{Context, Engine};
use crate::Chip;
use crate::fabric::Function;
use crate::violation::DmaCause;

/// Protocol indexes of a status block.
pub(crate) const INDEXES: u32 = 12;
/// State in which a timer state machine lets every index through at once.
const DISABLED: u32 = 4;
/// State in which it writes nothing.
const STOPPED: u32 = 3;

/// When the status blocks are due.
pub(crate) struct Cau {
    due_ns: Vec<Option<u64>>,
    /// The earliest of them, or later: it is only looked at again when it passes.
    next_ns: Option<u64>,
}

impl Cau {
    pub(crate) fn new(chip: Chip) -> Self {
        Self {
            due_ns: vec![None; usize::from(chip.limits().status_blocks)],
            next_ns: None,
        }
    }
}

fn index_address(sb: u16, index: u8) -> u32 {
    CAU_PI + 4 * (u32::from(sb) * INDEXES + u32::from(index) % INDEXES)
}

impl Engine {
    fn block_variables(&self, sb: u16) -> (u32, u32) {
        let address = CAU_SB_VAR + 8 * u32::from(sb);
        (self.grc.common(address), self.grc.common(address + 4))
    }

    /// SB_VAR memory with the live producer.
    pub(crate) fn cau_sb_var(&self, address: u32) -> u32 {
        let value = self.grc.common(address);
        if address & 4 != 0 {
            return value;
        }
        value & 0xff00_0000 | self.igu_producer(((address - CAU_SB_VAR) / 8) as u16)
    }

    /// The current value of a protocol index.
    pub(crate) fn protocol_index(&self, sb: u16, index: u8) -> u16 {
        self.grc.common(index_address(sb, index)) as u16
    }

    fn is_block(&self, sb: u16) -> bool {
        usize::from(sb) < self.cau.due_ns.len()
    }

    /// Sets a protocol index; the status block is written now or when the index's timer runs out.
    pub(crate) fn set_protocol_index(
        &mut self,
        cx: &mut Context<'_>,
        sb: u16,
        index: u8,
        value: u16,
    ) {
        if !self.is_block(sb) {
            return;
        }
        let address = index_address(sb, index);
        let entry = self.grc.common(address) & 0xffff_0000 | u32::from(value);
        self.grc.set_common(address, entry);
        let (data, parameters) = self.block_variables(sb);
        let second = entry & 1 << 23 != 0;
        let (state, resolution) = match second {
            false => (data >> 24 & 0xf, parameters >> 14 & 3),
            true => (data >> 28 & 0xf, parameters >> 16 & 3),
        };
        let microseconds = u64::from(entry >> 16 & 0x7f) << resolution;
        if state == STOPPED {
            return;
        }
        if state == DISABLED || microseconds == 0 || !self.shape.coalescing {
            self.write_status_block(cx, sb);
            return;
        }
        let due = cx.outside.now_ns + 1000 * microseconds;
        let slot = &mut self.cau.due_ns[usize::from(sb)];
        *slot = Some(slot.map_or(due, |earlier| earlier.min(due)));
        self.cau.next_ns = Some(self.cau.next_ns.map_or(due, |earlier| earlier.min(due)));
    }

    /// Sets the timer of a protocol index.
    pub(crate) fn set_timeset(&mut self, sb: u16, index: u8, timeset: u8) {
        if self.is_block(sb) {
            let address = index_address(sb, index);
            let entry = self.grc.common(address) & !(0x7f << 16) | u32::from(timeset & 0x7f) << 16;
            self.grc.set_common(address, entry);
        }
    }

    /// Sets a protocol index to 0 without an interrupt; host memory is touched only when it holds something else.
    pub(crate) fn reset_protocol_index(&mut self, cx: &mut Context<'_>, sb: u16, index: u8) {
        if !self.is_block(sb) {
            return;
        }
        let address = index_address(sb, index);
        let entry = self.grc.common(address);
        self.grc.set_common(address, entry & 0xffff_0000);
        let host = self.grc.common64(CAU_SB_ADDRESS + 8 * u32::from(sb));
        if host == 0 {
            return;
        }
        let place = host + 2 * u64::from(index);
        let cause = DmaCause::register(
            "status block address",
            CAU_SB_ADDRESS + 8 * u32::from(sb),
            host,
        );
        let function = self.block_owner(sb);
        let mut current = [0; 2];
        if self
            .dma_read(cx.outside, function, cause, place, &mut current)
            .is_ok()
            && current != [0; 2]
        {
            let _ = self.dma_write(cx.outside, function, cause, place, &[0; 2]);
        }
    }

    fn block_owner(&self, sb: u16) -> Function {
        let (_, parameters) = self.block_variables(sb);
        let pf = (parameters >> 27 & 0xf) as u8;
        let vf = (parameters & 1 << 26 != 0).then_some((parameters >> 18) as u8);
        Function { pf, vf }
    }

    /// Writes a status block to the host, all 32 bytes at once, then tells the IGU.
    fn write_status_block(&mut self, cx: &mut Context<'_>, sb: u16) {
        self.cau.due_ns[usize::from(sb)] = None;
        let mut block = [0; 32];
        for index in 0..INDEXES {
            let value = self.protocol_index(sb, index as u8);
            block[2 * index as usize..][..2].copy_from_slice(&value.to_le_bytes());
        }
        let producer = self.igu_advance(sb);
        block[24..28].copy_from_slice(&u32::from(sb).to_le_bytes());
        block[28..32].copy_from_slice(&producer.to_le_bytes());
        let register = CAU_SB_ADDRESS + 8 * u32::from(sb);
        let address = self.grc.common64(register);
        let cause = DmaCause::register("status block address", register, address);
        cx.outside.counters.status_block_writes += 1;
        let _ = self.dma_write(cx.outside, self.block_owner(sb), cause, address, &block);
        self.igu_evaluate(cx, sb);
    }

    /// Drops a pending timer of a status block.
    pub(crate) fn cau_forget(&mut self, sb: u16) {
        if let Some(due) = self.cau.due_ns.get_mut(usize::from(sb)) {
            *due = None;
        }
    }

    /// Model time at which the next status block is due.
    pub(crate) fn cau_next_ns(&self) -> Option<u64> {
        self.cau.next_ns
    }

    /// Writes the status blocks whose timers have run out.
    pub(crate) fn cau_advance(&mut self, cx: &mut Context<'_>) {
        let now = cx.outside.now_ns;
        if self.cau.next_ns.is_none_or(|next| next > now) {
            return;
        }
        for sb in 0..self.cau.due_ns.len() {
            if self.cau.due_ns[sb].is_some_and(|due| due <= now) {
                self.write_status_block(cx, sb as u16);
            }
        }
        self.cau.next_ns = self.cau.due_ns.iter().flatten().min().copied();
    }
}
