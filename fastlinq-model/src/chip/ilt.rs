//! From a connection id to its context in host memory: CDU parameters and the internal translation table.

use super::Engine;
use super::address::*;
use super::outside::Outside;
use crate::fabric::{ContextError, Function};
use crate::violation::{DmaCause, ViolationKind};

/// Bit of an ILT entry that makes it valid; below it lies the address in 4-KiB units.
const VALID: u64 = 1 << 52;

impl Engine {
    /// Host address of the context of connection `cid` of `function`.
    pub(crate) fn context_address(
        &mut self,
        outside: &mut Outside,
        function: Function,
        cid: u32,
    ) -> Result<u64, ContextError> {
        self.find_context(function, cid)
            .map_err(|(error, register, value)| {
                let why = match error {
                    ContextError::NoParameters => "the CDU parameters are not programmed",
                    ContextError::OutOfRange { .. } => {
                        "its ILT line lies outside the function's lines"
                    }
                    ContextError::InvalidLine { .. } => "its ILT line is not valid",
                    ContextError::Dma(_) => "the host refused the access",
                };
                let cause = DmaCause::register("context of a connection", register, value);
                outside.violation(Some(function), ViolationKind::Context(why), cause);
                error
            })
    }

    fn find_context(&self, function: Function, cid: u32) -> Result<u64, (ContextError, u32, u64)> {
        let own = self.own(function.pf);
        let parameters = self.grc.get(&own, CDU_PARAMETERS);
        let (size, count) = (parameters & 0xfff, parameters >> 24);
        if size == 0 || count == 0 {
            return Err((
                ContextError::NoParameters,
                CDU_PARAMETERS,
                u64::from(parameters),
            ));
        }
        let first = self.grc.get(&own, CDUC_FIRST);
        let last = self.grc.get(&own, CDUC_LAST);
        let mut line = first.wrapping_add(cid / count);
        if let Some(vf) = function.vf {
            let blocks = self.grc.get(&own, CDUC_VF_BLOCKS);
            let relative = u32::from(vf).wrapping_sub(self.grc.get(&own, VF_BASE));
            let behind_pf = self
                .grc
                .get(&own, CDUC_PF_BLOCKS)
                .wrapping_add(blocks.wrapping_mul(relative));
            line = line.wrapping_add(behind_pf);
        }
        let lines = u32::from(self.shape.chip.limits().ilt_lines);
        if line < first || line > last || line >= lines {
            return Err((
                ContextError::OutOfRange { line },
                CDUC_FIRST,
                u64::from(first) | u64::from(last) << 32,
            ));
        }
        let register = ILT + 8 * line;
        let entry = self.grc.common64(register);
        if entry & VALID == 0 {
            return Err((ContextError::InvalidLine { line }, register, entry));
        }
        let page = (entry & (VALID - 1)) << 12;
        let offset = u64::from(cid % count) * u64::from(size);
        let page_bytes = 1u64 << (12 + self.grc.get(&own, CDUC_PAGE_SIZE).min(20));
        if offset + u64::from(size) > page_bytes {
            return Err((
                ContextError::OutOfRange { line },
                CDU_PARAMETERS,
                u64::from(parameters),
            ));
        }
        Ok(page + offset)
    }
}
