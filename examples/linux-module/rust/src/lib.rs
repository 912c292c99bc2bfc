//! The driver crates as a static library for `fastlinq.ko`.
//!
//! | module | what | unsafe |
//! |---|---|---|
//! | [`abi`] | what C calls: pointers become references, results become numbers | yes |
//! | [`kernel`] | what C supplies: BARs, DMA memory, time, log; the [`Host`](fastlinq_hal::host::Host) | yes |
//! | [`device`] | the adapter, from the first look to down again | no |
//! | [`queue`] | one queue pair and the frames that wait in it | no |
//!
//! The contracts between both languages (context, locks, what may sleep) are stated in `shim/fastlinq.h`.
#![no_std]

pub mod abi;
pub mod device;
pub mod kernel;
pub mod queue;

/// A panic means that this library is wrong, and that nobody knows what its data means any more: the kernel is told where
/// it happened, and stops what it was doing as it does for a BUG. There is no unwinding.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log::error!("{info}");
    kernel::bug()
}
