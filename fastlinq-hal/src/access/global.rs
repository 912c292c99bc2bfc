//! The global windows (GTT): IGU commands and firmware variables without moving anything.
//!
//! They are fixed for the whole engine and so the fast way to what every function uses all the time. The
//! management firmware has set them up by power-up; the first function of an engine sets them again.

use fastlinq_pac::Bar0Offset;
use fastlinq_pac::bar::igu::{self, Acknowledge};
use fastlinq_pac::bar::{self, GLOBAL_WINDOWS};

use super::{AccessError, Windows};
use crate::host::Bar;

impl<B: Bar> Windows<B> {
    /// Points the global windows where drivers expect them, as the first function of an engine does.
    pub fn set_up_global_windows(&self) {
        for window in GLOBAL_WINDOWS {
            self.admin_write(bar::gtt_entry(window.index).value(), window.entry_word());
        }
    }

    /// Reads a firmware variable that a global window shows; see `Iro::bar0`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutsideBar`] also for offsets in front of the global windows.
    pub fn global_read32(&self, at: Bar0Offset) -> Result<u32, AccessError> {
        Ok(self.bar().read32(self.global(at, 4)?))
    }

    /// Writes 32 bits of a firmware variable that a global window shows.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutsideBar`].
    pub fn global_write32(&self, at: Bar0Offset, value: u32) -> Result<(), AccessError> {
        self.bar().write32(self.global(at, 4)?, value);
        Ok(())
    }

    /// Writes 16 bits of a firmware variable that a global window shows, such as the event queue's consumer.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutsideBar`].
    pub fn global_write16(&self, at: Bar0Offset, value: u16) -> Result<(), AccessError> {
        self.bar().write16(self.global(at, 2)?, value);
        Ok(())
    }

    /// Acknowledges IGU status block `status_block`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutsideBar`] for a number that the command window does not have.
    pub fn acknowledge(&self, status_block: u16, word: Acknowledge) -> Result<(), AccessError> {
        if status_block >= ACKNOWLEDGES {
            return Err(self.outside(bar::gtt_window(2).offset(u32::from(status_block) * 8)));
        }
        self.global_write32(igu::acknowledge(status_block), word.0)
    }

    /// Sets attention acknowledge bits: those that are 1.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutsideBar`] where BAR0 is too small.
    pub fn attention_set(&self, bits: u32) -> Result<(), AccessError> {
        self.global_write32(igu::ATTENTION_SET, bits)
    }

    /// Clears attention acknowledge bits: those that are 0.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutsideBar`] where BAR0 is too small.
    pub fn attention_clear(&self, bits: u32) -> Result<(), AccessError> {
        self.global_write32(igu::ATTENTION_CLEAR, bits)
    }

    fn global(&self, at: Bar0Offset, width: u32) -> Result<usize, AccessError> {
        let first = bar::gtt_window(0).value();
        let end = at.value().checked_add(width);
        match end {
            Some(end)
                if at.value() >= first
                    && at.value() % width == 0
                    && end as usize <= self.bar().len() =>
            {
                Ok(at.value() as usize)
            }
            _ => Err(self.outside(at)),
        }
    }

    fn outside(&self, at: Bar0Offset) -> AccessError {
        AccessError::OutsideBar {
            offset: at.value(),
            bytes: self.bar().len(),
        }
    }
}

/// Acknowledge commands in the IGU's window: 0x400 to 0x5ef.
const ACKNOWLEDGES: u16 = 0x1f0;
