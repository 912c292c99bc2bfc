//! PGLUE_B: the gate of chip-initiated DMA and its latched errors.

use super::address::*;
use super::outside::Outside;
use super::{Engine, Requester};
use crate::fabric::{DmaError, Function};
use crate::observer::Event;
use crate::violation::{DmaCause, ViolationKind};

/// Valid bit and cause bits of the latched details.
const WRITE_VALID: u32 = 1 << 29;
const READ_VALID: u32 = 1 << 26;
const BUS_MASTER_OFF: u32 = 1 << 22;
const FID_ENABLE_OFF: u32 = 1 << 23;

impl Engine {
    /// Why a function may not master the bus: the bit of the details word, or 0.
    fn dma_blocked(&self, function: Function) -> u32 {
        if !self
            .bus_master
            .get(usize::from(function.pf))
            .copied()
            .unwrap_or(false)
        {
            return BUS_MASTER_OFF;
        }
        if !self.master_enable[usize::from(function.pf)] {
            return FID_ENABLE_OFF;
        }
        0
    }

    fn latch_error(&mut self, function: Function, address: u64, write: bool, why: u32) {
        let (low, high, details, details2, valid) = if write {
            (
                WRITE_ERROR_ADDRESS_LOW,
                WRITE_ERROR_ADDRESS_HIGH,
                WRITE_ERROR_DETAILS,
                WRITE_ERROR_DETAILS2,
                WRITE_VALID,
            )
        } else {
            (
                READ_ERROR_ADDRESS_LOW,
                READ_ERROR_ADDRESS_HIGH,
                READ_ERROR_DETAILS,
                READ_ERROR_DETAILS2,
                READ_VALID,
            )
        };
        if self.grc.common(details2) & valid != 0 {
            return;
        }
        let vf = function.vf.map_or(0, |vf| 1 << 19 | u32::from(vf) << 24);
        self.grc.set_common(low, address as u32);
        self.grc.set_common(high, (address >> 32) as u32);
        self.grc
            .set_common(details, u32::from(function.pf) << 20 | vf);
        self.grc.set_common(details2, valid | why);
    }

    /// Reads host memory for `function`.
    pub(crate) fn dma_read(
        &mut self,
        outside: &mut Outside,
        function: Function,
        cause: DmaCause,
        address: u64,
        out: &mut [u8],
    ) -> Result<(), DmaError> {
        let why = self.dma_blocked(function);
        if why != 0 {
            return Err(self.blocked(outside, function, cause, (address, out.len()), (false, why)));
        }
        outside.counters.dma_reads += 1;
        outside.counters.dma_read_bytes += out.len() as u64;
        let requester = self.shape.absolute(function.pf);
        if outside.memory.read_by(requester, address, out).is_err() {
            let kind = ViolationKind::UnmappedRead {
                address,
                len: out.len(),
            };
            outside.violation(Some(function), kind, cause);
            self.latch_error(function, address, false, 0);
            return Err(DmaError::Unmapped);
        }
        outside.observe(|| Event::Dma {
            function,
            address,
            data: out,
            write: false,
            cause,
        });
        Ok(())
    }

    /// Writes host memory for `function`.
    pub(crate) fn dma_write(
        &mut self,
        outside: &mut Outside,
        function: Function,
        cause: DmaCause,
        address: u64,
        data: &[u8],
    ) -> Result<(), DmaError> {
        let why = self.dma_blocked(function);
        if why != 0 {
            return Err(self.blocked(outside, function, cause, (address, data.len()), (true, why)));
        }
        outside.counters.dma_writes += 1;
        outside.counters.dma_written_bytes += data.len() as u64;
        outside.observe(|| Event::Dma {
            function,
            address,
            data,
            write: true,
            cause,
        });
        let requester = self.shape.absolute(function.pf);
        if outside.memory.write_by(requester, address, data).is_err() {
            let kind = ViolationKind::UnmappedWrite {
                address,
                len: data.len(),
            };
            outside.violation(Some(function), kind, cause);
            self.latch_error(function, address, true, 0);
            return Err(DmaError::Unmapped);
        }
        Ok(())
    }

    fn blocked(
        &mut self,
        outside: &mut Outside,
        function: Function,
        cause: DmaCause,
        (address, len): (u64, usize),
        (write, why): (bool, u32),
    ) -> DmaError {
        outside.violation(
            Some(function),
            ViolationKind::BlockedDma {
                address,
                len,
                write,
            },
            cause,
        );
        self.latch_error(function, address, write, why);
        DmaError::Blocked
    }

    /// The master-enable register of a PF was written.
    pub(crate) fn set_master_enable(&mut self, pf: u8, enabled: bool) {
        if let Some(slot) = self.master_enable.get_mut(usize::from(pf)) {
            *slot = enabled;
        }
    }

    /// The two registers that clear errors.
    pub(crate) fn pglue_write(&mut self, _requester: Requester, address: u32, value: u32) {
        if address == LATCHED_ERRORS_CLEAR && value & 4 != 0 {
            for register in [
                WRITE_ERROR_ADDRESS_LOW,
                WRITE_ERROR_ADDRESS_HIGH,
                WRITE_ERROR_DETAILS,
                WRITE_ERROR_DETAILS2,
                READ_ERROR_ADDRESS_LOW,
                READ_ERROR_ADDRESS_HIGH,
                READ_ERROR_DETAILS,
                READ_ERROR_DETAILS2,
            ] {
                self.grc.set_common(register, 0);
            }
        }
    }
}
