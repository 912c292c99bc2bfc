//! Clock and delays.

use super::report::{Check, Failure, Report};
use crate::host::Host;

const LOOKS: u32 = 1_000;
/// A wait may take this many times as long before the clock is thought to count something else.
const SLACK: u64 = 500;

/// Microseconds, and the call that waits for so long.
type Wait<H> = (u32, fn(&mut H));

pub(super) fn check<H: Host>(host: &mut H, report: &mut Report) {
    report.set(Check::ClockMonotonic, monotonic(host));
    let waits: [Wait<H>; 4] = [
        (0, |host| host.delay_ns(0)),
        (1_000, |host| host.delay_ns(1_000_000)),
        (2_500, |host| host.delay_us(2_500)),
        (3_000, |host| host.delay_ms(3)),
    ];
    let mut unit = Ok(());
    let mut long_enough = Ok(());
    for (asked_us, wait) in waits {
        let before = host.now_us();
        wait(host);
        let passed_us = host.now_us().saturating_sub(before);
        let failure = Err(Failure::Wait {
            asked_us,
            passed_us,
        });
        // The clock may have been looked at just before it ticked.
        if passed_us + 1 < u64::from(asked_us) {
            long_enough = long_enough.and(failure);
        }
        if asked_us > 0 && passed_us > u64::from(asked_us) * SLACK {
            unit = unit.and(failure);
        }
    }
    report.set(Check::ClockUnit, unit);
    report.set(Check::Delay, long_enough);
}

fn monotonic<H: Host>(host: &H) -> Result<(), Failure> {
    let mut from_us = host.now_us();
    for _ in 0..LOOKS {
        let to_us = host.now_us();
        if to_us < from_us {
            return Err(Failure::ClockWentBack { from_us, to_us });
        }
        from_us = to_us;
    }
    Ok(())
}
