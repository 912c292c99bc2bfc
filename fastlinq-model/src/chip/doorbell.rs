//! DORQ: decoding of doorbells (BAR2).

use super::address::*;
use super::{Context, Engine, Work};
use crate::fabric::{Doorbell, Function};
use crate::observer::Event;
use crate::violation::{DmaCause, ViolationKind};

/// Bytes of BAR2.
pub(crate) const BAR2_BYTES: u64 = 0x80_0000;
/// Types of connections, one range of ICIDs each.
const TYPES: u32 = 8;
/// Bit of the interrupt status: a doorbell was dropped.
const DROPPED: u32 = 1 << 1;
/// Reasons that the drop details give here; no source says what the silicon's mean.
const REASON_DISABLED: u32 = 1;
const REASON_RANGE: u32 = 2;
const REASON_DESTINATION: u32 = 4;
const REASON_OVERFLOW: u32 = 8;
/// Bit of the interrupt status: a queue of doorbells has overflowed.
const OVERFLOWN: u32 = 1 << 2;

impl Engine {
    /// A 32-bit store to the doorbell BAR.
    pub(crate) fn doorbell(&mut self, cx: &mut Context<'_>, pf: u8, offset: u32, data: u32) {
        cx.outside.counters.doorbells += 1;
        let own = self.own(pf);
        if self.grc.get(&own, DORQ_ENABLE) & 1 == 0 {
            return self.drop_doorbell(
                cx,
                pf,
                (offset, data),
                REASON_DISABLED,
                "the function's doorbells are disabled",
            );
        }
        if self.grc.get(&own, DORQ_OVERFLOW_STICKY) & 1 != 0 {
            // Silently, until the driver has cleared the flag.
            cx.outside.counters.doorbells_overflowed += 1;
            return;
        }
        // Behind the normal region lies the PWM region, which an L2 function does not use.
        if offset >= self.grc.get(&own, DORQ_MIN_ADDRESS).saturating_mul(0x1000) {
            cx.outside.counters.doorbells_pwm += 1;
            return;
        }
        let shift = self.grc.get(&own, DORQ_ICID_SHIFT).min(16);
        let cid = offset >> (2 + shift);
        let Some(connection_type) =
            (0..TYPES).find(|&t| cid >> 4 < self.grc.get(&own, DORQ_MAX_ICID + 4 * t))
        else {
            return self.drop_doorbell(
                cx,
                pf,
                (offset, data),
                REASON_RANGE,
                "no connection type has this ICID",
            );
        };
        if data & 3 == 3 {
            return self.drop_doorbell(
                cx,
                pf,
                (offset, data),
                REASON_DESTINATION,
                "its destination does not exist",
            );
        }
        let doorbell = Doorbell {
            function: Function::pf(pf),
            cid,
            connection_type: connection_type as u8,
            data,
        };
        cx.outside.observe(|| Event::Doorbell(doorbell));
        self.work.push_back(Work::Doorbell(doorbell));
    }

    /// Lets the doorbell queue of a PF overflow: from now on its doorbells are dropped, until the driver clears the flag.
    pub(crate) fn overflow_doorbells(&mut self, cx: &mut Context<'_>, pf: u8) {
        let own = self.own(pf);
        self.grc.set(&own, DORQ_OVERFLOW_STICKY, 1);
        self.raise_dorq(cx, DROPPED | OVERFLOWN, (pf, 0, REASON_OVERFLOW));
    }

    /// Sets interrupt status bits, latches the first drop's details, and raises the attention.
    fn raise_dorq(
        &mut self,
        cx: &mut Context<'_>,
        bits: u32,
        (pf, offset, reason): (u8, u32, u32),
    ) {
        let status = self.grc.common(DORQ_INT_STATUS);
        self.grc.set_common(DORQ_INT_STATUS, status | bits);
        if status & DROPPED == 0 {
            self.grc.set_common(DORQ_DROP_ADDRESS, offset);
            self.grc.set_common(DORQ_DROP_REASON, reason);
            self.grc
                .set_common(DORQ_DROP_DETAILS, u32::from(self.opaque_fid(pf)));
        }
        self.evaluate_all_attention(cx);
    }

    fn drop_doorbell(
        &mut self,
        cx: &mut Context<'_>,
        pf: u8,
        (offset, data): (u32, u32),
        reason: u32,
        why: &'static str,
    ) {
        cx.outside.counters.doorbells_dropped += 1;
        let cause = DmaCause::register("doorbell", offset, u64::from(data));
        cx.outside
            .violation(Some(Function::pf(pf)), ViolationKind::Doorbell(why), cause);
        self.raise_dorq(cx, DROPPED, (pf, offset, reason));
    }

    /// Write-one-to-clear of the interrupt status.
    pub(crate) fn dorq_clear(&mut self, cx: &mut Context<'_>, value: u32) {
        let status = self.grc.common(DORQ_INT_STATUS) & !value;
        self.grc.set_common(DORQ_INT_STATUS, status);
        self.evaluate_all_attention(cx);
    }

    /// The latched details of a dropped doorbell are released.
    pub(crate) fn dorq_release(&mut self) {
        for register in [DORQ_DROP_ADDRESS, DORQ_DROP_REASON, DORQ_DROP_DETAILS] {
            self.grc.set_common(register, 0);
        }
    }
}
