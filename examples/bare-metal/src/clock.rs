//! Time: the time-stamp counter, measured against a timer of known rate.

use core::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};

use x86_64::instructions::port::Port;

use crate::failure::Failure;

const PM_TIMER_HZ: u64 = 3_579_545;
const PIT_HZ: u64 = 1_193_182;
/// How long the counter is measured, in milliseconds.
const MEASURE_MS: u64 = 20;
/// Looks at the timer before it is given up; a look takes about a microsecond at least.
const PATIENCE: u32 = 10_000_000;

/// The time-stamp counter with its rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tsc {
    start: u64,
    /// Ticks per second.
    pub(crate) hz: u64,
    /// Microseconds per tick, times 2^32.
    scale: u64,
    /// Whether the counter runs at the same rate whatever the processor does.
    pub(crate) invariant: bool,
}

fn ticks() -> u64 {
    // SAFETY: every x86-64 has both instructions.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
}

impl Tsc {
    /// Measures the rate with the power-management timer, or with the PIT where there is none.
    pub(crate) fn measure(timer_port: Option<u16>) -> Result<Self, Failure> {
        let start = ticks();
        let measured = timer_port.and_then(by_pm_timer).or_else(by_pit);
        let hz = measured.filter(|hz| *hz >= 1_000_000);
        let hz = hz.ok_or(Failure::Platform("no timer to measure time with"))?;
        let leaf = __cpuid(0x8000_0000).eax;
        Ok(Self {
            start,
            hz,
            scale: ((1_000_000_u128 << 32) / u128::from(hz)) as u64,
            invariant: leaf >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0,
        })
    }

    /// Microseconds since the measurement.
    pub(crate) fn now_us(&self) -> u64 {
        let passed = ticks().wrapping_sub(self.start);
        ((u128::from(passed) * u128::from(self.scale)) >> 32) as u64
    }

    /// Waits at least `ns` nanoseconds.
    pub(crate) fn wait_ns(&self, ns: u64) {
        let wanted = (u128::from(ns) * u128::from(self.hz)).div_ceil(1_000_000_000) as u64;
        let start = ticks();
        while ticks().wrapping_sub(start) < wanted {
            core::hint::spin_loop();
        }
    }
}

/// Ticks per second, by the 24-bit counter of ACPI; `None` when it stands still.
fn by_pm_timer(port: u16) -> Option<u64> {
    let mut timer = Port::<u32>::new(port);
    // SAFETY: reading the timer has no effect.
    let mut read = || unsafe { timer.read() } & 0x00ff_ffff;
    let wanted = PM_TIMER_HZ * MEASURE_MS / 1000;
    let (first, start) = (read(), ticks());
    for _ in 0..PATIENCE {
        let passed = u64::from(read().wrapping_sub(first) & 0x00ff_ffff);
        if passed >= wanted {
            let taken = ticks().wrapping_sub(start);
            return Some((u128::from(taken) * u128::from(PM_TIMER_HZ) / u128::from(passed)) as u64);
        }
    }
    None
}

/// Ticks per second, by channel 2 of the PIT, which counts down once; `None` when it does not.
fn by_pit() -> Option<u64> {
    let count = (PIT_HZ * MEASURE_MS / 1000) as u16;
    let mut control = Port::<u8>::new(0x61);
    let (mut mode, mut data) = (Port::<u8>::new(0x43), Port::<u8>::new(0x42));
    // SAFETY: channel 2 drives the speaker only, which stays off.
    unsafe {
        let gate = control.read() & 0xfc;
        control.write(gate);
        mode.write(0b1011_0000_u8);
        data.write(count as u8);
        data.write((count >> 8) as u8);
        control.write(gate | 1);
    }
    let start = ticks();
    for _ in 0..PATIENCE {
        // SAFETY: reading the state of the channel's output has no effect.
        if unsafe { control.read() } & 1 << 5 != 0 {
            return Some(ticks().wrapping_sub(start) * 1000 / MEASURE_MS);
        }
    }
    None
}
