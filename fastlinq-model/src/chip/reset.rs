//! Power-up values, and what a function level reset takes back.

use super::address::*;
use super::attention::{DORQ_INTERRUPT, DORQ_WORD};
use super::igu::Line;
use super::{Context, Engine, Work};
use crate::Chip;
use crate::fabric::Function;

/// log2 of the BAR sizes less 15, as the size registers have them.
const BAR0_SIZE: u32 = super::windows::BAR0_BYTES.trailing_zeros() - 15;
const BAR1_SIZE: u32 = super::doorbell::BAR2_BYTES.trailing_zeros() - 15;
/// Vectors of a PF that the CAM's power-up partition does not exceed.
const MAX_VECTORS: u16 = super::msix::VECTORS;

impl Engine {
    /// Sets what the silicon and the management firmware have set before a driver comes.
    pub(crate) fn power_up(&mut self) {
        let shape = self.shape;
        let (number, revision) = match shape.chip {
            // BB needs revision 1 ("B0"): drivers refuse another.
            Chip::Bb => (0x1634, 1),
            Chip::K2 => (0x8070, 0),
        };
        let port_mode = match shape.ports {
            4 => 2,
            2 => 1,
            _ => 0,
        };
        // Bit 0: the other bits count; bit n: function n is hidden.
        let hide = match shape.functions {
            16.. => 0,
            functions => (!0u32 << functions) & 0xfffe | 1,
        };
        for (address, value) in [
            (CHIP_NUM, number),
            (CHIP_REV, revision),
            (PORT_MODE, port_mode),
            (FUNCTION_HIDE, hide),
            (WRITE_BURST, 2),
            (TIMEOUT_ENABLE, 1),
            // Storm assertion, and the other general attentions behind it, go to the first attention line.
            (AEU_ENABLE + 12, 0xf),
            // So does the doorbell queue's interrupt.
            (AEU_ENABLE + 4 * DORQ_WORD, DORQ_INTERRUPT),
        ] {
            self.grc.set_common(address, value);
        }
        let lines = self.lines_of_pf();
        for pf in 0..shape.pfs {
            self.bar_sizes(pf);
            for vector in 0..lines {
                let sb = u32::from(pf) * u32::from(lines) + u32::from(vector);
                self.grc
                    .set_common(IGU_MAPPING + 4 * sb, Line::new(pf, vector as u8).0);
            }
        }
    }

    /// Status blocks of each PF at power-up: an equal share of what is left after one for each VF.
    pub(crate) fn lines_of_pf(&self) -> u16 {
        let limits = self.shape.chip.limits();
        let left = limits.status_blocks - limits.vfs;
        (left / u16::from(self.shape.pfs.max(1))).min(MAX_VECTORS)
    }

    fn bar_sizes(&mut self, pf: u8) {
        let own = self.own(pf);
        self.grc.set(&own, PF_BAR0_SIZE, BAR0_SIZE);
        self.grc.set(&own, PF_BAR1_SIZE, BAR1_SIZE);
    }

    /// Resets a PF: its banked registers, interrupts and, through the storm firmware, its queues.
    ///
    /// Its windows stay when a mailbox command asked for the reset (`windows` false): the driver goes on using them.
    pub(crate) fn reset_pf(&mut self, cx: &mut Context<'_>, pf: u8, windows: bool) {
        self.igu_line_down(cx, pf);
        self.grc.clear_pf(pf);
        self.bar_sizes(pf);
        self.set_master_enable(pf, false);
        self.attention_reset(pf);
        self.igu_functional_cleanup(pf);
        if windows {
            if let Some(slot) = self.windows.get_mut(usize::from(pf)) {
                *slot = super::windows::PfWindows::default();
            }
        }
        self.work.push_back(Work::Reset(Function::pf(pf)));
    }

    /// Resets a VF. Which PF it belongs to is known to the storm firmware alone.
    pub(crate) fn reset_vf(&mut self, vf: u8) {
        self.grc.clear_vf(vf);
        for pf in 0..self.shape.pfs {
            self.work.push_back(Work::Reset(Function::vf(pf, vf)));
        }
    }

    /// The function that an opaque function id stands for.
    pub(crate) fn resolve(&self, opaque_fid: u16) -> Option<Function> {
        let pf = (opaque_fid & 0xf) as u8;
        let vf = (opaque_fid & 0x80 != 0).then_some((opaque_fid >> 8) as u8);
        let limits = self.shape.chip.limits();
        let exists = pf < self.shape.pfs && vf.is_none_or(|vf| u16::from(vf) < limits.vfs);
        exists.then_some(Function { pf, vf })
    }
}
