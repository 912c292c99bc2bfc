//! The runtime array: values that the driver computes and the init program writes.

use core::fmt;

use fastlinq_pac::versions::{LARGEST_RUNTIME, Layout, RuntimeId};

/// Entries of the array: as many as the largest known firmware version has.
pub const RUNTIME_ENTRIES: usize = LARGEST_RUNTIME;

const MASKS: usize = RUNTIME_ENTRIES.div_ceil(32);

/// Values for registers, each with a mark that says whether it has been stored since it was last written.
///
/// The init program's runtime operations write only marked values and clear the marks, so a value reaches
/// the chip once.
pub struct RuntimeArray {
    values: [u32; RUNTIME_ENTRIES],
    stored: [u32; MASKS],
}

/// A value that has no place in the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeError {
    /// The index is behind the end of the array.
    Index(u16),
    /// The register's range in this firmware version has fewer entries.
    Range {
        /// The register.
        id: RuntimeId,
        /// Entry inside the range.
        offset: u16,
    },
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "the runtime array has no entry {index}"),
            Self::Range { id, offset } => {
                write!(
                    f,
                    "{} has no entry {offset} in the runtime array",
                    id.name()
                )
            }
        }
    }
}

impl core::error::Error for RuntimeError {}

impl RuntimeArray {
    /// An array without values.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            values: [0; RUNTIME_ENTRIES],
            stored: [0; MASKS],
        }
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.stored.fill(0);
    }

    /// Stores a value; the next runtime operation over `index` writes it.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Index`].
    pub fn set(&mut self, index: u16, value: u32) -> Result<(), RuntimeError> {
        let entry = self.values.get_mut(usize::from(index));
        *entry.ok_or(RuntimeError::Index(index))? = value;
        self.mark(index, true);
        Ok(())
    }

    /// The value at `index`, if one is waiting to be written.
    #[must_use]
    pub fn get(&self, index: u16) -> Option<u32> {
        let word = self.stored.get(usize::from(index) / 32)?;
        let waiting = word >> (index % 32) & 1 != 0;
        waiting.then(|| self.values.get(usize::from(index)).copied())?
    }

    /// Number of values that are waiting to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let marks = self.stored.iter();
        marks.map(|word| word.count_ones() as usize).sum()
    }

    /// The array with the indexes of a firmware version.
    pub fn writer<'a>(&'a mut self, layout: &'static Layout) -> RuntimeWriter<'a> {
        RuntimeWriter {
            array: self,
            layout,
        }
    }

    /// Takes the first run of waiting values at or behind `from` and before `end` off the array: its first
    /// index and the values.
    pub(super) fn take_run(&mut self, from: u16, end: u16) -> Option<(u16, &[u32])> {
        let first = (from..end).find(|index| self.get(*index).is_some())?;
        let behind = (first..end)
            .find(|index| self.get(*index).is_none())
            .unwrap_or(end);
        for index in first..behind {
            self.mark(index, false);
        }
        let values = self.values.get(usize::from(first)..usize::from(behind))?;
        Some((first, values))
    }

    fn mark(&mut self, index: u16, waiting: bool) {
        if let Some(word) = self.stored.get_mut(usize::from(index) / 32) {
            let bit = 1 << (index % 32);
            *word = if waiting { *word | bit } else { *word & !bit };
        }
    }
}

impl Default for RuntimeArray {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RuntimeArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeArray")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// Stores values under the names of their registers.
///
/// A register that the firmware version does not have is skipped: a version without it needs no value.
#[derive(Debug)]
pub struct RuntimeWriter<'a> {
    array: &'a mut RuntimeArray,
    layout: &'static Layout,
}

impl RuntimeWriter<'_> {
    /// The firmware version's layout.
    #[must_use]
    pub fn layout(&self) -> &'static Layout {
        self.layout
    }

    /// Stores the value of a register.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`].
    pub fn set(&mut self, id: RuntimeId, value: u32) -> Result<(), RuntimeError> {
        self.set_at(id, 0, value)
    }

    /// Stores entry `offset` of a register array.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`].
    pub fn set_at(&mut self, id: RuntimeId, offset: u16, value: u32) -> Result<(), RuntimeError> {
        let range = self.layout.runtime(id);
        if range.is_empty() {
            return Ok(());
        }
        let index = range
            .entry(offset)
            .ok_or(RuntimeError::Range { id, offset })?;
        self.array.set(index, value)
    }

    /// Stores element `element` of an array of 64-bit registers, low half first.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`].
    pub fn set_wide(
        &mut self,
        id: RuntimeId,
        element: u16,
        value: u64,
    ) -> Result<(), RuntimeError> {
        let offset = element.checked_mul(2).ok_or(RuntimeError::Range {
            id,
            offset: element,
        })?;
        self.set_at(id, offset, value as u32)?;
        self.set_at(id, offset.saturating_add(1), (value >> 32) as u32)
    }

    /// Stores register number `number` of a family whose first two registers are named and whose others
    /// follow at the same distance, such as one per virtual queue.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`].
    pub fn set_in_family(
        &mut self,
        first: RuntimeId,
        second: RuntimeId,
        number: u16,
        value: u32,
    ) -> Result<(), RuntimeError> {
        let (start, next) = (self.layout.runtime(first), self.layout.runtime(second));
        if start.is_empty() || next.is_empty() {
            return Ok(());
        }
        let index = next
            .index
            .checked_sub(start.index)
            .and_then(|step| step.checked_mul(number))
            .and_then(|offset| start.index.checked_add(offset))
            .ok_or(RuntimeError::Range {
                id: first,
                offset: number,
            })?;
        self.array.set(index, value)
    }
}
