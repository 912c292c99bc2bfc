//! Attentions: general attention registers, the AEU's outputs, and the attention status block of each PF.

use super::address::*;
use super::igu::{ATTENTIONS, FUNCTION_ENABLE};
use super::{Context, Engine};
use crate::fabric::Function;
use crate::violation::DmaCause;

/// Registers of AFTER_INVERT, and of each group of enables.
const AEU_WORDS: u32 = 9;
const AEU_GROUP_BYTES: u32 = 4 * AEU_WORDS;
/// Number of general attentions.
const GENERAL: u32 = 36;
/// The line that carries the management firmware's attention.
const MFW_LINE: u32 = 1 << 8;
/// General attention that a storm assertion raises.
const FIRMWARE_ASSERT: u32 = 32;

/// Input word of the doorbell queue, and its interrupt's bit there; the bit before is its parity.
pub(crate) const DORQ_WORD: u32 = 5;
pub(crate) const DORQ_INTERRUPT: u32 = 1 << 27;

/// The attention status block of one PF.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attention {
    bits: u32,
    ack: u32,
    index: u16,
    consumer: u16,
}

impl Attention {
    pub(crate) fn is_ahead(&self) -> bool {
        self.index != self.consumer
    }

    pub(crate) fn set_consumer(&mut self, index: u16) {
        self.consumer = index;
    }

    pub(crate) fn ack(&self) -> u32 {
        self.ack
    }
}

impl Engine {
    /// The AEU's input word `index` (0 to 8): general attentions 0 to 31 in the third, the others in the fourth; the
    /// doorbell queue's interrupt in the sixth.
    pub(crate) fn aeu_after_invert(&self, index: u32) -> u32 {
        let range = match index {
            2 => 0..32,
            3 => 32..GENERAL,
            DORQ_WORD if self.grc.common(DORQ_INT_STATUS) != 0 => return DORQ_INTERRUPT,
            _ => return 0,
        };
        let first = range.start;
        range.fold(0, |word, number| {
            word | u32::from(self.grc.common(GENERAL_ATTENTION + 4 * number) != 0)
                << (number - first)
        })
    }

    /// The level of the twelve attention lines of a PF.
    fn attention_lines(&self, pf: u8) -> u32 {
        let mut lines = 0;
        let words = [2, 3, DORQ_WORD].map(|index| (index, self.aeu_after_invert(index)));
        if words.iter().any(|(_, word)| *word != 0) {
            for group in 0..8 {
                let enables = AEU_ENABLE + group * AEU_GROUP_BYTES;
                let active = words
                    .iter()
                    .any(|(index, word)| word & self.grc.common(enables + 4 * index) != 0);
                lines |= u32::from(active) << group;
            }
            lines &= self.grc.common(ATTENTION_MASK);
        }
        if self.grc.common(GENERAL_ATTENTION + 8 * u32::from(pf)) != 0 {
            lines |= MFW_LINE;
        }
        lines
    }

    /// Sets or clears a general attention.
    pub(crate) fn general_attention(&mut self, cx: &mut Context<'_>, number: u32, raised: bool) {
        if number < GENERAL {
            self.grc
                .set_common(GENERAL_ATTENTION + 4 * number, u32::from(raised));
            self.evaluate_all_attention(cx);
        }
    }

    /// The management firmware wants the attention of a PF.
    pub(crate) fn mfw_attention(&mut self, cx: &mut Context<'_>, pf: u8) {
        self.general_attention(cx, 2 * u32::from(pf), true);
    }

    /// A storm stopped with an assertion.
    pub(crate) fn firmware_attention(&mut self, cx: &mut Context<'_>) {
        self.general_attention(cx, FIRMWARE_ASSERT, true);
    }

    /// Looks at the lines of every PF again.
    pub(crate) fn evaluate_all_attention(&mut self, cx: &mut Context<'_>) {
        for pf in 0..self.shape.pfs {
            self.evaluate_attention(cx, pf);
        }
    }

    /// Compares the lines of a PF with what its attention status block shows.
    ///
    /// A line that rises is shown when it is enabled, its leading edge is latched and it is not acknowledged yet. A line
    /// that fell, or that was disabled, is taken back only after it was acknowledged. That disabling counts as falling is
    /// [inferred] from drivers: they disable a line, acknowledge it, and look for a block's interrupt, which is a level, only
    /// when the line is taken back; then they enable it again.
    pub(crate) fn evaluate_attention(&mut self, cx: &mut Context<'_>, pf: u8) {
        let own = self.own(pf);
        let configuration = self.grc.get(&own, IGU_PF_CONFIGURATION);
        if configuration & FUNCTION_ENABLE == 0 || configuration & ATTENTIONS == 0 {
            return;
        }
        let Some(&attention) = self.attention.get(usize::from(pf)) else {
            return;
        };
        let lines = self.attention_lines(pf);
        let enabled = self.grc.get(&own, IGU_ATTENTION_ENABLE);
        let rising = enabled & self.grc.get(&own, IGU_LEADING_EDGE);
        let falling = self.grc.get(&own, IGU_TRAILING_EDGE);
        let set = lines & !attention.bits & !attention.ack & rising;
        let clear = !(lines & enabled) & attention.bits & attention.ack & falling;
        if set | clear != 0 {
            self.attention[usize::from(pf)].bits = (attention.bits | set) & !clear;
            self.send_attention(cx, pf);
        }
    }

    /// The driver changes its acknowledge bits; a source that is gone by then is taken back.
    pub(crate) fn attention_acknowledge(
        &mut self,
        cx: &mut Context<'_>,
        pf: u8,
        change: impl FnOnce(u32) -> u32,
    ) {
        if let Some(attention) = self.attention.get_mut(usize::from(pf)) {
            attention.ack = change(attention.ack) & 0xfff;
            self.evaluate_attention(cx, pf);
        }
    }

    /// Writes the attention status block to the host and counts it up.
    fn send_attention(&mut self, cx: &mut Context<'_>, pf: u8) {
        let own = self.own(pf);
        let attention = &mut self.attention[usize::from(pf)];
        attention.index = attention.index.wrapping_add(1);
        let mut block = [0; 16];
        block[0..4].copy_from_slice(&attention.bits.to_le_bytes());
        block[4..8].copy_from_slice(&attention.ack.to_le_bytes());
        block[10..12].copy_from_slice(&attention.index.to_le_bytes());
        let low = self.grc.get(&own, IGU_ATTENTION_ADDRESS_LOW);
        let high = self.grc.get(&own, IGU_ATTENTION_ADDRESS_HIGH);
        let address = u64::from(low) | u64::from(high) << 32;
        let cause = DmaCause::register(
            "attention message address",
            IGU_ATTENTION_ADDRESS_LOW,
            address,
        );
        let _ = self.dma_write(cx.outside, Function::pf(pf), cause, address, &block);
        if let Some(sb) = self.default_block(pf) {
            self.igu_evaluate(cx, sb);
        }
    }

    /// Forgets the attention state of a PF.
    pub(crate) fn attention_reset(&mut self, pf: u8) {
        if let Some(attention) = self.attention.get_mut(usize::from(pf)) {
            *attention = Attention::default();
        }
    }
}
