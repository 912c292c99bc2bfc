//! Which part of the system an error belongs to.
//!
//! Every layer has its own error enum, with the raw value that the device gave:
//!
//! | layer | errors |
//! |---|---|
//! | reaching the chip | [`AccessError`](crate::access::AccessError), [`DmaeError`](crate::access::DmaeError) |
//! | management firmware | [`AttachError`](crate::mfw::AttachError), [`MailboxError`](crate::mfw::MailboxError), and those of the single commands |

use core::fmt;

/// The part of the system at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Layer {
    /// The host: no memory, a BAR too small.
    Platform,
    /// The PCI function: wrong device, or gone from the bus.
    Pci,
    /// The chip's own blocks: windows, DMAE, IGU.
    Chip,
    /// The management firmware (MFW).
    ManagementFirmware,
    /// The storm firmware, in the file or running.
    StormFirmware,
    /// This driver, or what its caller asked for.
    Driver,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Platform => "platform",
            Self::Pci => "PCI",
            Self::Chip => "chip",
            Self::ManagementFirmware => "management firmware",
            Self::StormFirmware => "storm firmware",
            Self::Driver => "driver",
        })
    }
}
