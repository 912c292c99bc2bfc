//! Rates and weights as the queue manager counts them.

/// Share of a port's bandwidth that a function may have, in percent, as the management firmware gives it.
///
/// 0 means that there is no such limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bandwidth {
    /// The least; it becomes the function's weight.
    pub min: u8,
    /// The most.
    pub max: u8,
}

/// Bit that marks an initial credit or a bound as one.
pub(super) const SIGN: u32 = 1 << 31;
/// Period of the rate limiters in cycles of 25 MHz: 5 µs.
pub(super) const PERIOD: u32 = 25 * PERIOD_US;
/// Most that a function's rate limiter or weight may save up.
pub(super) const FUNCTION_BOUND: u32 = 62_500_000;
/// A function's weight is counted in units of this.
pub(super) const FUNCTION_WEIGHT: u32 = 0x9000;
/// The weight of a vport's queue with weight 1.
pub(super) const VPORT_WEIGHT: u32 = 10_800;
/// Credit of a vport's weight below which the queue manager's bypass is closed.
pub(super) const VPORT_BYPASS: u32 = VPORT_WEIGHT - 100;
/// The fastest link, in Mbps.
pub(super) const FASTEST: u32 = 100_000;

const PERIOD_US: u32 = 5;
const TASK_COST: u32 = 9_700;

/// What a rate limiter gains in each period, for a rate in Mbps: bytes, with one percent on top.
pub(super) const fn increment(mbps: u32) -> u32 {
    let mbps = if mbps == 0 { FASTEST } else { mbps };
    let gain = (mbps as u64 * PERIOD_US as u64 * 101 / 800) as u32;
    if gain == 0 { 1 } else { gain }
}

/// Most that a global rate limiter may save up: a period, or a long packet and some.
pub(super) const fn limiter_bound(mbps: u32) -> u32 {
    let gain = (mbps as u64 * PERIOD_US as u64 * 101 / 800) as u32;
    if gain < TASK_COST + 1_000 {
        TASK_COST + 1_000
    } else {
        gain
    }
}
