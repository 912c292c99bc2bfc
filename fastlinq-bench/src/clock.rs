//! The clock around a measured pass: the time-stamp counter where there is one.

/// What a difference of two readings counts.
pub(crate) const UNIT: &str = if cfg!(target_arch = "x86_64") {
    "TSC cycles"
} else {
    "ns"
};

/// A reading before the pass; nothing of the pass runs before it.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn before() -> u64 {
    use core::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: both instructions exist on every x86-64 and touch no memory.
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}

/// A reading after the pass; all of the pass ran before it.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn after() -> u64 {
    use core::arch::x86_64::{__rdtscp, _mm_lfence};
    let mut core = 0;
    // SAFETY: both instructions exist on every x86-64 that Rust's std runs on today; `core` is written.
    unsafe {
        let now = __rdtscp(&mut core);
        _mm_lfence();
        now
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn nanoseconds() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn before() -> u64 {
    nanoseconds()
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn after() -> u64 {
    nanoseconds()
}

/// What an empty bracket costs.
pub(crate) fn bracket() -> u64 {
    let empty = || {
        let start = before();
        after().wrapping_sub(start)
    };
    (0..2000).map(|_| empty()).min().unwrap_or(0)
}

/// Counts of the clock in one cycle of the core, by a chain of additions that depend on each other.
#[cfg(target_arch = "x86_64")]
pub(crate) fn per_core_cycle() -> f64 {
    const ADDITIONS: u64 = 200_000;
    let chain = || {
        let mut value = 1_u64;
        let start = before();
        for _ in 0..ADDITIONS / 8 {
            // SAFETY: arithmetic on one register.
            unsafe {
                core::arch::asm!(
                    "add {0}, 1", "add {0}, 1", "add {0}, 1", "add {0}, 1",
                    "add {0}, 1", "add {0}, 1", "add {0}, 1", "add {0}, 1",
                    inout(reg) value, options(nomem, nostack)
                );
            }
        }
        let counts = after() - start;
        std::hint::black_box(value);
        counts
    };
    let least = (0..50).map(|_| chain()).min().unwrap_or(0);
    least as f64 / ADDITIONS as f64
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn per_core_cycle() -> f64 {
    f64::NAN
}
