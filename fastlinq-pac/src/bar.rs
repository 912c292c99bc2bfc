//! The map of BAR0, and the words of the windows in it.
//!
//! ```text
//! 0x00000  admin page: PTT entries, GTT entries, identity registers
//! 0x01000  12 PF windows (PTT), 4 KiB each, movable
//! 0x0d000  243 global windows (GTT), 4 KiB each, shared by the engine
//! 0x100000 end; a smaller BAR shows the first pages only
//! ```
//!
//! Known by: source reading (Linux 6.12, DPDK) and the model.

use crate::GrcAddress;
pub use crate::address::Bar0Offset;

/// Bytes of one window, movable or global.
pub const WINDOW_SIZE: u32 = 0x1000;

/// Identity: the opaque function id in bits 15:0. All ones when the chip cannot be reached.
pub const ME_OPAQUE: Bar0Offset = Bar0Offset(0x1f8);
/// Identity: the concrete function id, see [`ConcreteFid`].
pub const ME_CONCRETE: Bar0Offset = Bar0Offset(0x1fc);
/// Mask of the opaque function id; not used by drivers.
pub const ME_OPAQUE_MASK: Bar0Offset = Bar0Offset(0xf4);
/// Pretend word for the global windows; not used by drivers.
pub const GLOBAL_PRETEND: Bar0Offset = Bar0Offset(0x1f0);

/// Number of movable windows of a PF.
pub const PTT_COUNT: u32 = 12;
/// Number of global windows.
pub const GTT_COUNT: u32 = 243;
/// The movable window that drivers use for their control path.
pub const PTT_MAIN: u32 = 2;
/// The movable window that drivers use in their interrupt bottom half.
pub const PTT_DPC: u32 = 3;
/// The first movable window of the free pool (4 to 11).
pub const PTT_POOL_FIRST: u32 = 4;

/// BAR0 offset of movable window `index`.
pub const fn ptt_window(index: u32) -> Bar0Offset {
    Bar0Offset(0x1000 + index * WINDOW_SIZE)
}

/// BAR0 offset of the target entry of movable window `index`: bits 22:0 are the target in dwords.
pub const fn ptt_target(index: u32) -> Bar0Offset {
    Bar0Offset(index * 8)
}

/// BAR0 offset of the pretend entry of movable window `index`: see [`Pretend`].
pub const fn ptt_pretend(index: u32) -> Bar0Offset {
    Bar0Offset(index * 8 + 4)
}

/// The word that points a movable window at `address`.
pub const fn ptt_target_word(address: GrcAddress) -> u32 {
    address.dword() & 0x7f_ffff
}

/// BAR0 offset of global window `index`.
pub const fn gtt_window(index: u32) -> Bar0Offset {
    Bar0Offset(0xd000 + index * WINDOW_SIZE)
}

/// BAR0 offset of the entry of global window `index`: the target byte address shifted right by 12.
pub const fn gtt_entry(index: u32) -> Bar0Offset {
    Bar0Offset(0x200 + index * 4)
}

/// One line of the table that the first PF of an engine writes to the global windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalWindow {
    /// Number of the window.
    pub index: u32,
    /// Where it points.
    pub target: GrcAddress,
}

impl GlobalWindow {
    /// The word in the window's entry.
    pub const fn entry_word(self) -> u32 {
        self.target.value() >> 12
    }

    /// The BAR0 offset of the window.
    pub const fn window(self) -> Bar0Offset {
        gtt_window(self.index)
    }
}

const fn window(index: u32, target: u32) -> GlobalWindow {
    GlobalWindow {
        index,
        target: GrcAddress(target),
    }
}

/// The global windows that drivers program; all others stay unused.
pub const GLOBAL_WINDOWS: [GlobalWindow; 13] = [
    window(2, 0x1c0_2000),
    window(3, 0x1c8_0000),
    window(4, 0x1d0_0000),
    window(5, 0x1d0_1000),
    window(6, 0x1d0_2000),
    window(7, 0x1d8_0000),
    window(8, 0x1d8_1000),
    window(9, 0x1d8_2000),
    window(10, 0x1e0_0000),
    window(11, 0x1e0_1000),
    window(12, 0x1e8_0000),
    window(13, 0x1f0_0000),
    window(14, 0x1c0_8000),
];

/// A 16-bit concrete function id: pf 3:0, port 5:4, path 6, VF valid 7, VF 15:8.
///
/// The identity register has 16 more bits, of which 19:16 are the absolute PF id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConcreteFid(pub u32);

impl ConcreteFid {
    /// The id of a PF itself.
    pub const fn pf(pf: u8) -> Self {
        Self((pf & 0xf) as u32)
    }

    /// The id of VF `vf` under PF `pf`.
    pub const fn vf(pf: u8, vf: u8) -> Self {
        Self((pf & 0xf) as u32 | 1 << 7 | (vf as u32) << 8)
    }

    /// PF id relative to its engine.
    pub const fn relative_pf(self) -> u8 {
        (self.0 & 0xf) as u8
    }

    /// Port of the engine.
    pub const fn port(self) -> u8 {
        (self.0 >> 4 & 3) as u8
    }

    /// Path (engine).
    pub const fn path(self) -> u8 {
        (self.0 >> 6 & 1) as u8
    }

    /// The VF, where the id is that of one.
    pub const fn vf_id(self) -> Option<u8> {
        if self.0 & 1 << 7 != 0 {
            Some((self.0 >> 8) as u8)
        } else {
            None
        }
    }

    /// The absolute PF id; only in the identity register.
    pub const fn absolute_pf(self) -> u8 {
        (self.0 >> 16 & 0xf) as u8
    }
}

/// Words for the pretend entry of a movable window: the accesses of that window alone are made as somebody else.
///
/// The function id is in bits 15:0, the control in bits 31:16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pretend(pub u32);

impl Pretend {
    const USE_PORT: u32 = 1 << 17;
    const APPLY_PATH: u32 = 1 << 28;
    const APPLY_PORT: u32 = 1 << 29;
    const APPLY_FUNCTION: u32 = 1 << 30;
    const CONCRETE: u32 = 1 << 31;

    /// As function `fid`; undoes an earlier port pretend. To end it, pretend to your own PF.
    pub const fn function(fid: ConcreteFid) -> Self {
        let fid = if fid.vf_id().is_some() {
            fid.0 & 0xffff
        } else {
            fid.0 & 0xf
        };
        Self(fid | Self::APPLY_PORT | Self::APPLY_FUNCTION | Self::CONCRETE)
    }

    /// As port `port`. The lower half must repeat what was last written, so it is given here.
    pub const fn port(port: u8, last_fid: u16) -> Self {
        Self(last_fid as u32 | Self::APPLY_PORT | Self::USE_PORT | (port as u32 & 3) << 18)
    }

    /// Ends a port pretend.
    pub const fn no_port(last_fid: u16) -> Self {
        Self(last_fid as u32 | Self::APPLY_PORT)
    }

    /// As function `fid` on port `port`.
    pub const fn function_on_port(fid: ConcreteFid, port: u8) -> Self {
        Self(Self::function(fid).0 | Self::USE_PORT | (port as u32 & 3) << 18)
    }

    /// The function id in the word.
    pub const fn fid(self) -> ConcreteFid {
        ConcreteFid(self.0 & 0xffff)
    }

    /// Whether the word changes the function.
    pub const fn applies_function(self) -> bool {
        self.0 & Self::APPLY_FUNCTION != 0
    }

    /// Whether the word changes the port (or ends a port pretend).
    pub const fn applies_port(self) -> bool {
        self.0 & Self::APPLY_PORT != 0
    }

    /// Whether the word changes the path, and to which.
    pub const fn path_value(self) -> Option<u8> {
        if self.0 & Self::APPLY_PATH != 0 {
            Some((self.0 >> 16 & 1) as u8)
        } else {
            None
        }
    }

    /// Whether the function id is concrete.
    pub const fn is_concrete(self) -> bool {
        self.0 & Self::CONCRETE != 0
    }

    /// The port pretended to, where one is.
    pub const fn port_value(self) -> Option<u8> {
        if self.0 & Self::USE_PORT != 0 {
            Some((self.0 >> 18 & 3) as u8)
        } else {
            None
        }
    }
}

/// IGU commands, reached through global window 2.
pub mod igu {
    use super::Bar0Offset;

    /// The first command index that the window shows: acknowledge of status block 0.
    pub const INT_ACK_BASE: u16 = 0x400;

    /// BAR0 offset of command `index` (0x400 to 0x5ff): 8 bytes each.
    pub const fn command(index: u16) -> Bar0Offset {
        Bar0Offset(0xf000 + (index as u32 - INT_ACK_BASE as u32) * 8)
    }

    /// BAR0 offset of the acknowledge command of IGU status block `sb`: see [`Acknowledge`].
    pub const fn acknowledge(sb: u16) -> Bar0Offset {
        command(INT_ACK_BASE + sb)
    }

    /// Writes the attention acknowledge bits.
    pub const ATTENTION_UPDATE: Bar0Offset = command(0x5f0);
    /// Sets attention acknowledge bits: those that are 1.
    pub const ATTENTION_SET: Bar0Offset = command(0x5f1);
    /// Clears attention acknowledge bits: those that are 0.
    pub const ATTENTION_CLEAR: Bar0Offset = command(0x5f2);
    /// Single-ISR status, 64 bits, masking what it reports.
    pub const SINGLE_ISR: Bar0Offset = command(0x5f3);
    /// Single-ISR status, low dword, masking what it reports.
    pub const SINGLE_ISR_LOW: Bar0Offset = command(0x5f4);
    /// Single-ISR status, high dword, masking what it reports.
    pub const SINGLE_ISR_HIGH: Bar0Offset = command(0x5f5);
    /// Single-ISR status without masking.
    pub const SINGLE_ISR_PEEK: Bar0Offset = command(0x5f6);

    /// What an acknowledge does with the interrupt.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Interrupt {
        /// Unmasks, and fires at once when something is unacknowledged.
        Enable,
        /// Masks.
        Disable,
        /// Leaves as it is.
        Keep,
    }

    /// An acknowledge dword: index 23:0, update 24, interrupt command 26:25, attention segment 27, cleanup 31.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Acknowledge(pub u32);

    impl Acknowledge {
        /// An acknowledge of the status block's regular segment.
        pub const fn new(index: Option<u32>, interrupt: Interrupt) -> Self {
            let update = match index {
                Some(index) => index & 0xff_ffff | 1 << 24,
                None => 0,
            };
            let interrupt = match interrupt {
                Interrupt::Enable => 0,
                Interrupt::Disable => 1,
                Interrupt::Keep => 2,
            };
            Self(update | interrupt << 25)
        }

        /// An acknowledge of the attention segment; leaves the interrupt as it is.
        pub const fn attention(index: u16) -> Self {
            Self(Self::new(Some(index as u32), Interrupt::Keep).0 | 1 << 27)
        }

        /// The index acknowledged, where the word has one.
        pub const fn index(self) -> Option<u32> {
            if self.0 & 1 << 24 != 0 {
                Some(self.0 & 0xff_ffff)
            } else {
                None
            }
        }

        /// What the word does with the interrupt.
        pub const fn interrupt(self) -> Interrupt {
            match self.0 >> 25 & 3 {
                0 => Interrupt::Enable,
                1 => Interrupt::Disable,
                _ => Interrupt::Keep,
            }
        }

        /// Whether the word is for the attention segment.
        pub const fn is_attention(self) -> bool {
            self.0 & 1 << 27 != 0
        }

        /// Whether the word is a cleanup instead.
        pub const fn is_cleanup(self) -> bool {
            self.0 & 1 << 31 != 0
        }
    }
}

/// The size in bytes that a BAR-size register says: `1 << (value + 15)`, or `None` for 0 (an old MFW).
pub const fn size_from_register(value: u32) -> Option<u64> {
    if value == 0 || value > 48 {
        None
    } else {
        Some(1 << (value + 15))
    }
}

#[cfg(test)]
mod tests {
    use super::igu::{Acknowledge, Interrupt};
    use super::*;

    #[test]
    fn windows_lie_where_the_reference_says() {
        assert_eq!(ptt_window(11).value() + WINDOW_SIZE, 0xd000);
        assert_eq!(gtt_window(GTT_COUNT - 1).value() + WINDOW_SIZE, 0x10_0000);
        assert_eq!(gtt_entry(14).value(), 0x238);
        assert_eq!(ptt_pretend(2).value(), 0x14);
        assert_eq!(GLOBAL_WINDOWS[0].entry_word(), 0x1c02);
        assert_eq!(GLOBAL_WINDOWS[12].window(), Bar0Offset(0x1b000));
    }

    #[test]
    fn pretend_words() {
        assert_eq!(Pretend::function(ConcreteFid::pf(3)).0, 0xe000_0003);
        assert_eq!(Pretend::function(ConcreteFid::vf(1, 0x20)).0, 0xe000_2081);
        assert_eq!(Pretend::port(2, 0x81).0, 0x200a_0081);
        assert_eq!(Pretend::no_port(0).0, 0x2000_0000);
        assert_eq!(
            Pretend::function_on_port(ConcreteFid::pf(0), 1).0,
            0xe006_0000
        );
        assert_eq!(Pretend::port(2, 0).port_value(), Some(2));
        // A PF id with other bits set is reduced to its four bits.
        assert_eq!(Pretend::function(ConcreteFid(0x0003_0053)).0, 0xe000_0003);
    }

    #[test]
    fn acknowledge_words() {
        assert_eq!(Acknowledge::new(None, Interrupt::Disable).0, 0x0200_0000);
        assert_eq!(
            Acknowledge::new(Some(0x1234), Interrupt::Enable).0,
            0x0100_1234
        );
        assert_eq!(Acknowledge::attention(5).0, 0x0d00_0005);
        assert_eq!(igu::acknowledge(1).value(), 0xf008);
        assert_eq!(igu::ATTENTION_SET.value(), 0xff88);
        assert_eq!(igu::SINGLE_ISR_PEEK.value(), 0xffb0);
        assert_eq!(Acknowledge(0x0d00_0005).index(), Some(5));
    }

    #[test]
    fn identity() {
        let fid = ConcreteFid(0x0005_0352 | 0x80);
        assert_eq!((fid.relative_pf(), fid.port(), fid.path()), (2, 1, 1));
        assert_eq!((fid.vf_id(), fid.absolute_pf()), (Some(3), 5));
    }

    #[test]
    fn bar_sizes() {
        assert_eq!(size_from_register(0), None);
        assert_eq!(size_from_register(1), Some(0x1_0000));
        assert_eq!(size_from_register(4), Some(0x8_0000));
        assert_eq!(size_from_register(u32::MAX), None);
    }
}
