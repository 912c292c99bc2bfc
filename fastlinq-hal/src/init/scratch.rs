//! Memory that the caller lends for bringing an adapter up.

use core::fmt;

use super::RuntimeArray;
use crate::firmware::Inflater;

/// Bytes of a [`Scratch`].
pub const SCRATCH_SIZE: usize = size_of::<Scratch>();

/// Working memory for running the init program: the runtime array and the inflater with its buffer.
///
/// About 220 KiB, so it belongs in a `static` or on a heap, not on a stack. It is needed while the adapter
/// comes up, not afterwards, and one serves any number of adapters one after another.
///
/// # Examples
///
/// ```
/// use fastlinq_hal::init::{SCRATCH_SIZE, Scratch};
///
/// static SCRATCH: std::sync::Mutex<Scratch> = std::sync::Mutex::new(Scratch::new());
/// assert!(SCRATCH_SIZE < 256 * 1024);
/// assert_eq!(SCRATCH.lock().unwrap().runtime.waiting(), 0);
/// ```
pub struct Scratch {
    /// Values that the driver computes and the program writes.
    pub runtime: RuntimeArray,
    pub(crate) inflater: Inflater,
}

impl Scratch {
    /// Empty scratch memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            runtime: RuntimeArray::new(),
            inflater: Inflater::new(),
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("runtime", &self.runtime)
            .finish_non_exhaustive()
    }
}
