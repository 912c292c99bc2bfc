//! The engine's part of the queue manager: how its ports share command lines and transmit buffer, and which
//! of its schedulers work.

use fastlinq_pac::Chip;
use fastlinq_pac::hsi::qm_rf_opportunistic_mask as mask;
use fastlinq_pac::versions::RuntimeId;

use super::queue_manager::{LOOPBACK, virtual_queue};
use super::rates::{self, Bandwidth, FASTEST, FUNCTION_BOUND, PERIOD, SIGN, VPORT_BYPASS};
use crate::init::{RuntimeError, RuntimeWriter};

/// Virtual output queues of an engine.
const VIRTUAL_QUEUES: u16 = 20;
/// Traffic classes that a port has in hardware, and those of a chip with four ports.
const CLASSES: u8 = 8;
const CLASSES_4_PORTS: u8 = 4;
/// Traffic classes in use: 0 to 4 and 7; 0 to 3 of a chip with four ports.
const ACTIVE: u8 = 0x9f;
const ACTIVE_4_PORTS: u8 = 0xf;
/// Command lines of a port's loopback queue.
const LOOPBACK_LINES: u16 = 150;
/// Blocks of the transmit buffer (256 bytes each) for a jumbo frame; as many are kept free on each port.
const JUMBO_BLOCKS: u16 = 38;
/// A virtual queue's line credit counts from here, doubled, with a sign bit.
const LINES_IN_FLIGHT: u32 = 4;
const LINE_SIGN: u32 = 1 << 15;

/// How one port's queues share its part of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PortQueues {
    /// Ports of the engine.
    pub ports: u8,
    /// Traffic classes between the first queues of two ports.
    pub classes: u8,
    /// A bit for each traffic class in use.
    pub active: u8,
    /// Command lines of each class in use.
    pub lines: u16,
    /// Command lines of the loopback queue.
    pub loopback_lines: u16,
    /// Transmit-buffer blocks of each class in use.
    pub blocks: u16,
    /// Transmit-buffer blocks of the loopback queue.
    pub loopback_blocks: u16,
}

impl PortQueues {
    /// Shares an engine of `chip` among `ports` ports.
    #[must_use]
    pub fn new(chip: Chip, ports: u8) -> Self {
        let four = ports == 4;
        let classes = if four { CLASSES_4_PORTS } else { CLASSES };
        let active = if four { ACTIVE_4_PORTS } else { ACTIVE };
        let in_use = active.count_ones() as u16;
        let limits = chip.limits();
        let share = u16::from(ports.max(1));
        let lines = (limits.pbf_command_lines / share).saturating_sub(LOOPBACK_LINES) / in_use;
        let usable = (limits.btb_blocks / share).saturating_sub(JUMBO_BLOCKS);
        // Drivers mean to count loopback as 0.7 of a class and give it a tenth of that; a jumbo frame it gets
        // in any case.
        let part = usable * 10 / (in_use * 10 + 7) / 10;
        let loopback_blocks = part.max(JUMBO_BLOCKS);
        Self {
            ports,
            classes,
            active,
            lines,
            loopback_lines: LOOPBACK_LINES,
            blocks: usable.saturating_sub(loopback_blocks) / in_use,
            loopback_blocks,
        }
    }

    /// Stores the engine's part.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`].
    pub(super) fn fill(
        &self,
        runtime: &mut RuntimeWriter<'_>,
        bandwidth: Bandwidth,
    ) -> Result<(), RuntimeError> {
        let weighted = bandwidth.min != 0;
        let limited = bandwidth.max != 0;
        let opportunistic = mask::LINEVOQ.val(1)
            + mask::BYTEVOQ.val(1)
            + mask::PFWFQ.val(weighted.into())
            + mask::VPWFQ.val(1)
            + mask::PFRL.val(limited.into())
            + mask::VPQCNRL.val(1)
            + mask::QUEUEEMPTY.val(1);
        runtime.set(
            RuntimeId::QM_REG_AFULLOPRTNSTCCRDMASK,
            opportunistic.value.into(),
        )?;
        fill_function_limits(runtime, limited)?;
        fill_weights(runtime, weighted)?;
        fill_global_limits(runtime)?;
        self.fill_lines(runtime)?;
        self.fill_blocks(runtime)
    }

    fn active_classes(&self) -> impl Iterator<Item = u8> {
        let active = self.active;
        (0..self.classes).filter(move |class| active >> class & 1 == 1)
    }

    fn fill_lines(&self, runtime: &mut RuntimeWriter<'_>) -> Result<(), RuntimeError> {
        for queue in 0..VIRTUAL_QUEUES {
            set_lines(runtime, queue, 0)?;
        }
        let mut give = |queue: u8, lines| {
            set_lines(runtime, queue.into(), lines)?;
            let credit = line_credit(lines);
            runtime.set_at(RuntimeId::QM_REG_VOQCRDLINE, queue.into(), credit)?;
            runtime.set_at(RuntimeId::QM_REG_VOQINITCRDLINE, queue.into(), credit)
        };
        for port in 0..self.ports {
            for class in self.active_classes() {
                give(virtual_queue(port, class, self.classes), self.lines)?;
            }
            give(
                virtual_queue(port, LOOPBACK, self.classes),
                self.loopback_lines,
            )?;
        }
        Ok(())
    }

    fn fill_blocks(&self, runtime: &mut RuntimeWriter<'_>) -> Result<(), RuntimeError> {
        let mut give = |queue: u8, blocks: u16| {
            runtime.set_in_family(
                RuntimeId::PBF_REG_BTB_GUARANTEED_VOQ0,
                RuntimeId::PBF_REG_BTB_GUARANTEED_VOQ1,
                queue.into(),
                blocks.into(),
            )
        };
        for port in 0..self.ports {
            for class in self.active_classes() {
                give(virtual_queue(port, class, self.classes), self.blocks)?;
            }
            give(
                virtual_queue(port, LOOPBACK, self.classes),
                self.loopback_blocks,
            )?;
        }
        Ok(())
    }
}

/// A virtual queue's initial credit of command lines.
pub(super) fn line_credit(lines: u16) -> u32 {
    (u32::from(lines).saturating_sub(LINES_IN_FLIGHT) * 2) | LINE_SIGN
}

fn set_lines(runtime: &mut RuntimeWriter<'_>, queue: u16, lines: u16) -> Result<(), RuntimeError> {
    runtime.set_in_family(
        RuntimeId::PBF_REG_YCMD_QS_NUM_LINES_VOQ0,
        RuntimeId::PBF_REG_YCMD_QS_NUM_LINES_VOQ1,
        queue,
        lines.into(),
    )
}

/// Rate limiters of functions: on when the management firmware limits functions.
fn fill_function_limits(
    runtime: &mut RuntimeWriter<'_>,
    limited: bool,
) -> Result<(), RuntimeError> {
    runtime.set(RuntimeId::QM_REG_RLPFENABLE, limited.into())?;
    if !limited {
        return Ok(());
    }
    let all = (1 << VIRTUAL_QUEUES) - 1;
    runtime.set(RuntimeId::QM_REG_RLPFVOQENABLE, all)?;
    runtime.set(RuntimeId::QM_REG_RLPFPERIOD, PERIOD)?;
    runtime.set(RuntimeId::QM_REG_RLPFPERIODTIMER, PERIOD)?;
    runtime.set(RuntimeId::QM_REG_AFULLQMBYPTHRPFRL, FUNCTION_BOUND)
}

/// Weights of functions, when the management firmware gives them some, and of vports, always.
fn fill_weights(runtime: &mut RuntimeWriter<'_>, weighted: bool) -> Result<(), RuntimeError> {
    runtime.set(RuntimeId::QM_REG_WFQPFENABLE, weighted.into())?;
    if weighted {
        runtime.set(RuntimeId::QM_REG_AFULLQMBYPTHRPFWFQ, FUNCTION_BOUND)?;
    }
    runtime.set(RuntimeId::QM_REG_WFQVPENABLE, 1)?;
    runtime.set(RuntimeId::QM_REG_AFULLQMBYPTHRVPWFQ, VPORT_BYPASS)
}

/// Global rate limiters: all on, all at the speed of the fastest link.
fn fill_global_limits(runtime: &mut RuntimeWriter<'_>) -> Result<(), RuntimeError> {
    /// Speed, in Mbps, up to which the bypass stays open.
    const BYPASS: u32 = 10_000;
    const LIMITERS: u16 = Chip::K2.limits().rate_limiters;
    runtime.set(RuntimeId::QM_REG_RLGLBLENABLE, 1)?;
    runtime.set(RuntimeId::QM_REG_RLGLBLPERIOD_0, PERIOD)?;
    runtime.set(RuntimeId::QM_REG_RLGLBLPERIODTIMER_0, PERIOD)?;
    runtime.set(
        RuntimeId::QM_REG_AFULLQMBYPTHRGLBLRL,
        rates::limiter_bound(BYPASS) - 1,
    )?;
    let bound = rates::limiter_bound(FASTEST) | SIGN;
    for limiter in 0..LIMITERS {
        runtime.set_at(RuntimeId::QM_REG_RLGLBLCRD, limiter, SIGN)?;
        runtime.set_at(RuntimeId::QM_REG_RLGLBLUPPERBOUND, limiter, bound)?;
        runtime.set_at(
            RuntimeId::QM_REG_RLGLBLINCVAL,
            limiter,
            rates::increment(FASTEST),
        )?;
    }
    Ok(())
}
