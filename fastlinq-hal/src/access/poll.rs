//! Waiting with a bound.

use embedded_hal::delay::DelayNs;

/// How long to wait for something: a number of looks and the time between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Patience {
    /// Looks at most; there is always at least one.
    pub looks: u32,
    /// Microseconds between two looks.
    pub step_us: u32,
}

impl Patience {
    /// Patience of `looks` looks, `step_us` microseconds apart.
    #[must_use]
    pub const fn new(looks: u32, step_us: u32) -> Self {
        Self { looks, step_us }
    }

    /// Microseconds that a host with exact delays waits in vain.
    #[must_use]
    pub const fn total_us(self) -> u64 {
        self.looks.saturating_sub(1) as u64 * self.step_us as u64
    }
}

/// Looks until `look` gives something, at most as often as `patience` allows; `None` when it never did.
///
/// # Examples
///
/// ```
/// use fastlinq_hal::access::{Patience, poll};
///
/// struct NoDelay;
/// impl embedded_hal::delay::DelayNs for NoDelay {
///     fn delay_ns(&mut self, _: u32) {}
/// }
///
/// let mut left = 3;
/// let found = poll(&mut NoDelay, Patience::new(10, 50), || {
///     left -= 1;
///     (left == 0).then_some("there")
/// });
/// assert_eq!(found, Some("there"));
/// ```
pub fn poll<T>(
    delay: &mut impl DelayNs,
    patience: Patience,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    let mut looks = 1;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if looks >= patience.looks {
            return None;
        }
        looks += 1;
        delay.delay_us(patience.step_us);
    }
}
