//! What a device offers the server.

use std::time::Duration;

/// Error number that a refused access is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub u32);

impl Errno {
    /// Input/output error.
    pub const IO: Self = Self(5);
    /// Invalid argument.
    pub const INVALID: Self = Self(22);
}

/// One region: a BAR, or configuration space at index 7.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RegionShape {
    /// Bytes; 0 for a region that does not exist.
    pub size: u64,
    /// Whether reads are allowed.
    pub readable: bool,
    /// Whether writes are allowed.
    pub writable: bool,
}

/// Regions and interrupts of a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceShape {
    /// BAR 0 to 5, expansion ROM, configuration space, VGA.
    pub regions: [RegionShape; 9],
    /// Number of INTx, MSI, MSI-X, error and request interrupts.
    pub interrupts: [u32; 5],
}

/// A software PCI device.
///
/// The server calls every method from one thread. A device reaches guest memory through
/// [`GuestMemory`](crate::GuestMemory) and interrupts through
/// [`InterruptLines`](crate::InterruptLines), which it got from the server before.
pub trait Device {
    /// Regions and interrupts; must not change while a peer is connected.
    fn shape(&self) -> DeviceShape;

    /// Reads `data.len()` bytes. The server has checked the region, its bounds and its permission.
    ///
    /// # Errors
    ///
    /// The error number for the peer.
    fn read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno>;

    /// Writes `data`. The server has checked the region, its bounds and its permission.
    ///
    /// # Errors
    ///
    /// The error number for the peer.
    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno>;

    /// Puts the device back to power-up: the peer asked for it, or a peer is gone.
    fn reset(&mut self);

    /// Does what is due by now (timers, frames from outside); returns how long the server may wait.
    fn run(&mut self) -> Duration;
}
