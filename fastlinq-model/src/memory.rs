//! What the adapter reaches outside itself: host memory and interrupt lines.

/// The host did not map this address for the device (or not all of the range).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmapped {
    /// First bus address that is not mapped.
    pub address: u64,
}

impl core::fmt::Display for Unmapped {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "bus address {:#x} is not mapped for the device",
            self.address
        )
    }
}

impl std::error::Error for Unmapped {}

/// The memory of the host as the device sees it: bus addresses in, bytes out.
///
/// An implementation answers only for ranges that the host mapped for this device; everything else is [`Unmapped`],
/// and the adapter records it as a [`Violation`](crate::Violation) with the register or descriptor that led there.
/// Bytes of one call become visible in address order, and calls in program order.
pub trait HostMemory: Send {
    /// Fills `out` from bus address `address`.
    ///
    /// # Errors
    ///
    /// [`Unmapped`] when any byte of the range is not mapped; `out` is then unspecified.
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), Unmapped>;

    /// Stores `data` at bus address `address`.
    ///
    /// # Errors
    ///
    /// [`Unmapped`] when any byte of the range is not mapped; nothing is then written.
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Unmapped>;

    /// Like [`read`](Self::read), by PCI function `function`: a host with an IOMMU maps memory for each function apart.
    ///
    /// # Errors
    ///
    /// As `read`.
    fn read_by(&mut self, function: u8, address: u64, out: &mut [u8]) -> Result<(), Unmapped> {
        let _ = function;
        self.read(address, out)
    }

    /// Like [`write`](Self::write), by PCI function `function`.
    ///
    /// # Errors
    ///
    /// As `write`.
    fn write_by(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Unmapped> {
        let _ = function;
        self.write(address, data)
    }
}

/// Where the adapter delivers interrupts.
pub trait Interrupts: Send {
    /// Message `vector` of PCI function `function` fires (MSI-X entry, or 0 for MSI). Edge: one call, one message.
    fn raise(&mut self, function: u8, vector: u16);

    /// The level of the INTx line of PCI function `function` changes. Only a function configured for INTx uses it.
    fn line(&mut self, function: u8, asserted: bool) {
        let _ = (function, asserted);
    }
}
