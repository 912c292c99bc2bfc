//! Modes of the chip, and the expressions over them.

use bitflags::bitflags;

/// Deepest nesting of an expression; the genuine files need 6.
const MAX_DEPTH: usize = 32;
/// Most nodes of an expression.
const MAX_NODES: usize = 256;

const NOT: u8 = 0;
const OR: u8 = 1;
const AND: u8 = 2;
const FIRST_BIT: u8 = 3;

bitflags! {
    /// What the conditions of the program test. Bits that have no name here are kept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Modes: u32 {
        /// BB chip.
        const BB = 1 << 1;
        /// K2 chip.
        const K2 = 1 << 2;
        /// Silicon, as opposed to emulation.
        const ASIC = 1 << 3;
        /// Functions are told apart by an outer VLAN tag.
        const MF_SD = 1 << 9;
        /// Functions are told apart by their MAC address.
        const MF_SI = 1 << 10;
        /// One port on the engine.
        const PORTS_1 = 1 << 11;
        /// Two ports on the engine.
        const PORTS_2 = 1 << 12;
        /// Four ports on the engine.
        const PORTS_4 = 1 << 13;
        /// Both engines together at 100 Gb/s.
        const TWO_ENGINES = 1 << 14;
        const _ = !0;
    }
}

/// Evaluates the prefix expression at `offset`; `None` when it is broken.
pub(super) fn evaluate(section: &[u8], offset: u16, modes: Modes) -> Option<bool> {
    let mut at = usize::from(offset);
    let mut nodes = 0;
    node(section, &mut at, &mut nodes, MAX_DEPTH, modes)
}

fn node(
    section: &[u8],
    at: &mut usize,
    nodes: &mut usize,
    depth: usize,
    modes: Modes,
) -> Option<bool> {
    let depth = depth.checked_sub(1)?;
    *nodes += 1;
    if *nodes > MAX_NODES {
        return None;
    }
    let code = *section.get(*at)?;
    *at += 1;
    match code {
        NOT => node(section, at, nodes, depth, modes).map(|value| !value),
        OR | AND => {
            // Both operands are read: the second is found behind the first.
            let left = node(section, at, nodes, depth, modes)?;
            let right = node(section, at, nodes, depth, modes)?;
            Some(if code == OR {
                left | right
            } else {
                left & right
            })
        }
        bit => {
            let bit = 1u32.checked_shl(u32::from(bit - FIRST_BIT))?;
            Some(modes.bits() & bit != 0)
        }
    }
}
