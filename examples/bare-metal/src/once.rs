//! Static memory that is lent once, for good.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// Static memory that is lent once, for good.
pub(crate) struct Once<T> {
    lent: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by the one reference that `take` gives.
unsafe impl<T: Send> Sync for Once<T> {}

impl<T> Once<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            lent: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// The memory; `None` when it was taken before.
    #[allow(clippy::mut_from_ref, reason = "once")]
    pub(crate) fn take(&'static self) -> Option<&'static mut T> {
        if self.lent.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: the first and only reference.
        Some(unsafe { &mut *self.value.get() })
    }
}
