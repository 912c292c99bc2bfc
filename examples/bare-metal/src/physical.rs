//! Physical memory below 4 GiB, which is mapped to its own addresses.

/// End of the memory that the start code maps.
pub(crate) const MAPPED: u64 = 1 << 32;

/// Bytes of memory; `None` beyond what is mapped.
///
/// What is read with this are the loader's data, which nobody writes to.
pub(crate) fn bytes(address: u64, length: usize) -> Option<&'static [u8]> {
    let end = address.checked_add(length as u64)?;
    if address == 0 || end > MAPPED {
        return None;
    }
    // SAFETY: inside the identity mapping, any bytes are valid, and the callers read what nobody writes to.
    Some(unsafe { core::slice::from_raw_parts(address as *const u8, length) })
}

macro_rules! symbols {
    ($($name:ident),*) => {
        unsafe extern "C" { $(static $name: u8;)* }
    };
}

symbols!(image_start, image_end, stack_guard, stack_bottom, stack_top);

/// First byte and end of this program, stack and zeroed memory included.
pub(crate) fn image() -> (u64, u64) {
    (&raw const image_start as u64, &raw const image_end as u64)
}

/// The page below the stack.
pub(crate) fn guard_page() -> u64 {
    &raw const stack_guard as u64
}

/// Bytes of the stack, and how many of them were ever used.
pub(crate) fn stack_use() -> (usize, usize) {
    let bottom = (&raw const stack_bottom).cast::<u64>();
    let top = (&raw const stack_top).cast::<u64>();
    let words = (top as usize - bottom as usize) / 8;
    let untouched = (0..words)
        // SAFETY: inside the stack, which is mapped and aligned; volatile, since the part in use changes.
        .take_while(|word| unsafe { bottom.add(*word).read_volatile() } == 0xa5a5_a5a5_a5a5_a5a5)
        .count();
    (words * 8, (words - untouched) * 8)
}
