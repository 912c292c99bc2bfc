//! The interrupt generation unit: status block producers and consumers, messages, commands, cleanup.

use super::address::*;
use super::{Context, Engine, Requester};
use crate::Chip;
use crate::fabric::Function;
use crate::violation::{DmaCause, ViolationKind};

/// First command index: acknowledge of status block 0.
const ACKNOWLEDGE: u32 = 0x400;
const ATTENTION_UPDATE: u32 = 0x5f0;
const ATTENTION_SET: u32 = 0x5f1;
const ATTENTION_CLEAR: u32 = 0x5f2;
const SISR: u32 = 0x5f3;
const SISR_LOW: u32 = 0x5f4;
const SISR_HIGH: u32 = 0x5f5;
const SISR_PEEK: u32 = 0x5f6;
const PRODUCER_UPDATE: u32 = 0x600;

/// Bits of the PF configuration.
pub(crate) const FUNCTION_ENABLE: u32 = 1;
const MESSAGES: u32 = 1 << 1;
const LINE: u32 = 1 << 2;
pub(crate) const ATTENTIONS: u32 = 1 << 3;
const SINGLE_ISR: u32 = 1 << 4;

const CLEANUP_TYPES: usize = 5;

/// Producer, consumer and mask of one status block.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    producer: u32,
    consumer: u32,
    masked: bool,
}

/// A line of the IGU's CAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line(pub(crate) u32);

impl Line {
    pub(crate) const fn new(pf: u8, vector: u8) -> Self {
        Self(1 | (vector as u32) << 1 | (pf as u32) << 9 | 1 << 17)
    }

    pub(crate) const fn is_valid(self) -> bool {
        self.0 & 1 != 0
    }

    pub(crate) const fn vector(self) -> u8 {
        (self.0 >> 1) as u8
    }

    /// The PF that owns the line, when it is not a VF's.
    pub(crate) const fn pf(self) -> Option<u8> {
        if self.0 & 1 << 17 != 0 {
            Some((self.0 >> 9 & 0xf) as u8)
        } else {
            None
        }
    }

    /// The bit of the line in the single-ISR status, which has 64 of them.
    fn source(self) -> u64 {
        1u64.checked_shl(self.vector().into()).unwrap_or(0)
    }

    /// The VF that owns the line.
    const fn vf(self) -> Option<u8> {
        if self.0 & 1 << 17 != 0 {
            None
        } else {
            Some((self.0 >> 9) as u8)
        }
    }
}

/// State that is not plain storage.
pub(crate) struct Igu {
    blocks: Vec<Block>,
    /// Status bits of the cleanup command, by type.
    cleanup: [[u32; 12]; CLEANUP_TYPES],
    /// Sources that the single ISR of each PF has to look at.
    single: [u64; 16],
}

impl Igu {
    pub(crate) fn new(chip: Chip) -> Self {
        let blocks = usize::from(chip.limits().status_blocks);
        Self {
            blocks: vec![Block::default(); blocks],
            cleanup: [[0; 12]; CLEANUP_TYPES],
            single: [0; 16],
        }
    }
}

impl Engine {
    pub(crate) fn igu_line(&self, sb: u16) -> Line {
        if usize::from(sb) >= self.igu.blocks.len() {
            return Line(0);
        }
        Line(self.grc.common(IGU_MAPPING + 4 * u32::from(sb)))
    }

    /// The status block that carries vector 0 of a PF, and its attentions.
    pub(crate) fn default_block(&self, pf: u8) -> Option<u16> {
        (0..self.igu.blocks.len() as u16).find(|&sb| {
            let line = self.igu_line(sb);
            line.is_valid() && line.pf() == Some(pf) && line.vector() == 0
        })
    }

    /// Current producer of a status block.
    pub(crate) fn igu_producer(&self, sb: u16) -> u32 {
        self.igu
            .blocks
            .get(usize::from(sb))
            .map_or(0, |block| block.producer)
    }

    /// A status block was written: its producer moves, and the interrupt may fire.
    pub(crate) fn igu_advance(&mut self, sb: u16) -> u32 {
        match self.igu.blocks.get_mut(usize::from(sb)) {
            Some(block) => {
                block.producer = (block.producer + 1) & 0xff_ffff;
                block.producer
            }
            None => 0,
        }
    }

    /// Fires the interrupt of a status block if everything allows it.
    pub(crate) fn igu_evaluate(&mut self, cx: &mut Context<'_>, sb: u16) {
        let line = self.igu_line(sb);
        let Some(&block) = self.igu.blocks.get(usize::from(sb)) else {
            return;
        };
        if !line.is_valid() || block.masked {
            return;
        }
        let Some(pf) = line.pf() else { return };
        let mut ahead = block.producer != block.consumer;
        if line.vector() == 0 {
            ahead |= self
                .attention
                .get(usize::from(pf))
                .is_some_and(|attention| attention.is_ahead());
        }
        if !ahead {
            return;
        }
        let configuration = self.grc.get(&self.own(pf), IGU_PF_CONFIGURATION);
        if configuration & FUNCTION_ENABLE == 0 {
            return;
        }
        let function = self.shape.absolute(pf);
        let source = line.source();
        let single = self.igu.single[usize::from(pf)];
        if configuration & MESSAGES != 0 && configuration & SINGLE_ISR == 0 {
            self.igu.blocks[usize::from(sb)].masked = true;
            if let Some(table) = self.msix.get_mut(usize::from(pf)) {
                table.deliver(cx.outside, function, u16::from(line.vector()));
            }
        } else if configuration & (MESSAGES | LINE) != 0 {
            self.igu.single[usize::from(pf)] = single | source;
            if single != 0 {
                return;
            }
            if configuration & MESSAGES != 0 {
                cx.outside.interrupt(function, 0);
            } else {
                cx.outside.interrupts.line(function, true);
            }
        }
    }

    /// Looks at every status block of a PF again.
    pub(crate) fn igu_evaluate_pf(&mut self, cx: &mut Context<'_>, pf: u8) {
        for sb in 0..self.igu.blocks.len() as u16 {
            if self.igu_line(sb).pf() == Some(pf) {
                self.igu_evaluate(cx, sb);
            }
        }
    }

    /// A register that decides about interrupts of a PF was written.
    pub(crate) fn igu_reconfigured(&mut self, cx: &mut Context<'_>, pf: u8) {
        let configuration = self.grc.get(&self.own(pf), IGU_PF_CONFIGURATION);
        if configuration & FUNCTION_ENABLE == 0 || configuration & LINE == 0 {
            self.igu_line_down(cx, pf);
        }
        self.evaluate_attention(cx, pf);
        self.igu_evaluate_pf(cx, pf);
    }

    /// Forgets the sources of a PF's single ISR, which takes its interrupt line down.
    pub(crate) fn igu_line_down(&mut self, cx: &mut Context<'_>, pf: u8) {
        if std::mem::take(&mut self.igu.single[usize::from(pf & 0xf)]) != 0 {
            cx.outside.interrupts.line(self.shape.absolute(pf), false);
        }
    }

    /// The single-ISR status of a PF; `mask` takes the reported sources away and masks their status blocks.
    fn single_isr(&mut self, cx: &mut Context<'_>, pf: u8, mask: u64) -> u64 {
        let index = usize::from(pf & 0xf);
        let value = self.igu.single[index];
        let taken = value & mask;
        if taken != 0 {
            for sb in 0..self.igu.blocks.len() {
                let line = self.igu_line(sb as u16);
                if line.is_valid() && line.pf() == Some(pf) && taken & line.source() != 0 {
                    self.igu.blocks[sb].masked = true;
                }
            }
            self.igu.single[index] = value & !taken;
            if value & !taken == 0 {
                cx.outside.interrupts.line(self.shape.absolute(pf), false);
            }
        }
        value
    }

    pub(crate) fn igu_space_read(
        &mut self,
        cx: &mut Context<'_>,
        requester: Requester,
        offset: u32,
    ) -> u32 {
        let pf = requester.function.pf;
        let high = offset & 4 != 0;
        match offset / 8 {
            SISR if high => (self.single_isr(cx, pf, !0 << 32) >> 32) as u32,
            SISR => self.single_isr(cx, pf, 0xffff_ffff) as u32,
            SISR_LOW if !high => self.single_isr(cx, pf, 0xffff_ffff) as u32,
            SISR_HIGH if !high => (self.single_isr(cx, pf, !0 << 32) >> 32) as u32,
            SISR_PEEK if high => (self.single_isr(cx, pf, 0) >> 32) as u32,
            SISR_PEEK => self.single_isr(cx, pf, 0) as u32,
            _ => 0,
        }
    }

    pub(crate) fn igu_space_write(
        &mut self,
        cx: &mut Context<'_>,
        requester: Requester,
        offset: u32,
        value: u32,
    ) {
        if offset & 4 == 0 {
            self.igu_command(cx, requester.function, offset / 8, value);
        }
    }

    /// The command register pair: control [15:0] opaque id, [27:16] command index, [31] write.
    pub(crate) fn igu_command_register(
        &mut self,
        cx: &mut Context<'_>,
        requester: Requester,
        control: u32,
    ) {
        if control & 1 << 31 == 0 {
            return;
        }
        let data = self.grc.get(&requester, IGU_COMMAND_DATA);
        let function = self.resolve(control as u16).unwrap_or(requester.function);
        self.igu_command(cx, function, control >> 16 & 0xfff, data);
    }

    fn igu_command(&mut self, cx: &mut Context<'_>, function: Function, index: u32, data: u32) {
        match index {
            ACKNOWLEDGE..ATTENTION_UPDATE => {
                let sb = (index - ACKNOWLEDGE) as u16;
                if data & 1 << 31 != 0 {
                    self.igu_cleanup(sb, data);
                } else {
                    self.igu_acknowledge(cx, function, sb, data);
                }
            }
            ATTENTION_UPDATE => self.attention_acknowledge(cx, function.pf, |_| data),
            ATTENTION_SET => self.attention_acknowledge(cx, function.pf, |ack| ack | data),
            ATTENTION_CLEAR => self.attention_acknowledge(cx, function.pf, |ack| ack & data),
            PRODUCER_UPDATE.. => {
                let sb = (index - PRODUCER_UPDATE) as u16;
                if let Some(block) = self.igu.blocks.get_mut(usize::from(sb)) {
                    block.producer = data & 0xff_ffff;
                    self.igu_evaluate(cx, sb);
                }
            }
            _ => self.bad_igu_command(
                cx,
                function,
                index,
                data,
                "IGU command that the chip does not know",
            ),
        }
    }

    fn bad_igu_command(
        &self,
        cx: &mut Context<'_>,
        function: Function,
        index: u32,
        data: u32,
        why: &'static str,
    ) {
        let cause = DmaCause::register("IGU command", index, u64::from(data));
        cx.outside
            .violation(Some(function), ViolationKind::Interrupt(why), cause);
    }

    /// Acknowledge: index 23:0, update 24, interrupt command 26:25, attention segment 27.
    fn igu_acknowledge(&mut self, cx: &mut Context<'_>, function: Function, sb: u16, data: u32) {
        let line = self.igu_line(sb);
        let owned = match function.vf {
            Some(vf) => line.vf() == Some(vf),
            None => line.pf() == Some(function.pf),
        };
        if !owned {
            self.bad_igu_command(
                cx,
                function,
                ACKNOWLEDGE + u32::from(sb),
                data,
                "acknowledge of another function's status block",
            );
            return;
        }
        let index = data & 0xff_ffff;
        let update = data & 1 << 24 != 0;
        if data & 1 << 27 != 0 {
            if let Some(attention) = self
                .attention
                .get_mut(usize::from(function.pf))
                .filter(|_| update)
            {
                attention.set_consumer(index as u16);
            }
        } else if let Some(block) = self.igu.blocks.get_mut(usize::from(sb)).filter(|_| update) {
            block.consumer = index;
        }
        let Some(block) = self.igu.blocks.get_mut(usize::from(sb)) else {
            return;
        };
        match data >> 25 & 3 {
            0 => {
                block.masked = false;
                let source = line.source();
                self.igu.single[usize::from(function.pf & 0xf)] &= !source;
                self.igu_evaluate(cx, sb);
            }
            1 => block.masked = true,
            _ => self.igu_evaluate(cx, sb),
        }
    }

    /// Cleanup: type 30:28, set 27. Drops what is pending and reflects the set flag in the status bits.
    fn igu_cleanup(&mut self, sb: u16, data: u32) {
        let Some(block) = self.igu.blocks.get_mut(usize::from(sb)) else {
            return;
        };
        *block = Block::default();
        self.cau_forget(sb);
        let (word, bit) = (usize::from(sb / 32), 1 << (sb % 32));
        let Some(status) = self
            .igu
            .cleanup
            .get_mut((data >> 28 & 7) as usize)
            .and_then(|words| words.get_mut(word))
        else {
            return;
        };
        if data & 1 << 27 != 0 {
            *status |= bit
        } else {
            *status &= !bit
        }
    }

    /// The PF's functional cleanup strobe: nothing of the PF stays pending.
    pub(crate) fn igu_functional_cleanup(&mut self, pf: u8) {
        for sb in 0..self.igu.blocks.len() as u16 {
            if self.igu_line(sb).pf() == Some(pf) {
                self.igu.blocks[usize::from(sb)] = Block::default();
                self.cau_forget(sb);
            }
        }
        self.igu.single[usize::from(pf & 0xf)] = 0;
        if let Some(table) = self.msix.get_mut(usize::from(pf)) {
            table.clear_pending();
        }
    }

    /// Registers whose value is IGU state.
    pub(crate) fn igu_register(&self, requester: Requester, address: u32) -> u32 {
        let pf = usize::from(requester.function.pf);
        match address {
            IGU_PRODUCERS..IGU_CONSUMERS => {
                self.igu_producer(((address - IGU_PRODUCERS) / 4) as u16)
            }
            IGU_CONSUMERS..IGU_MAPPING => self
                .igu
                .blocks
                .get(((address - IGU_CONSUMERS) / 4) as usize)
                .map_or(0, |block| block.consumer),
            IGU_CLEANUP_STATUS..0x18_0c00 => {
                let offset = address - IGU_CLEANUP_STATUS;
                let words = self.igu.cleanup.get((offset / 0x80) as usize);
                words
                    .and_then(|words| words.get((offset % 0x80 / 4) as usize))
                    .copied()
                    .unwrap_or(0)
            }
            IGU_PENDING_BITS..0x18_0d34 => self
                .msix
                .get(pf)
                .map_or(0, |table| table.pending((address - IGU_PENDING_BITS) / 4)),
            IGU_ATTENTION_ACK => self
                .attention
                .get(pf)
                .map_or(0, |attention| attention.ack()),
            _ => 0,
        }
    }
}
