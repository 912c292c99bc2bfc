//! BARs of the software adapter.

use std::sync::Arc;

use fastlinq_hal::host::Bar;
use fastlinq_model as model;

use crate::fault::Faults;
use crate::host::Machine;

/// A BAR of the software adapter; clones are handles to the same BAR.
///
/// A register read takes model time, as it does on a bus.
#[derive(Clone)]
pub struct ModelBar {
    pub(crate) machine: Arc<Machine>,
    pub(crate) faults: Faults,
    pub(crate) function: u8,
    pub(crate) bar: model::Bar,
    pub(crate) len: usize,
}

impl core::fmt::Debug for ModelBar {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} of function {}", self.bar, self.function)
    }
}

impl ModelBar {
    fn number(&self) -> u8 {
        match self.bar {
            model::Bar::Registers => 0,
            model::Bar::Doorbells => 2,
            model::Bar::Msix => 4,
        }
    }

    fn write(&self, offset: usize, data: &[u8]) {
        if self.faults.on_write() {
            self.machine
                .card()
                .write(self.function, self.bar, offset as u64, data);
        }
    }
}

impl Bar for ModelBar {
    fn len(&self) -> usize {
        self.len
    }

    fn read32(&self, offset: usize) -> u32 {
        let answer = self.faults.on_read(self.number(), offset);
        let mut card = self.machine.card();
        card.advance(self.machine.read_ns);
        if let Some(value) = answer {
            return value;
        }
        let mut data = [0; 4];
        card.read(self.function, self.bar, offset as u64, &mut data);
        drop(card);
        let value = u32::from_le_bytes(data);
        self.faults.answered(self.number(), offset, value);
        value
    }

    fn write32(&self, offset: usize, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }

    fn write16(&self, offset: usize, value: u16) {
        self.write(offset, &value.to_le_bytes());
    }
}
