//! PCI configuration space of one function: header, capabilities and what writes to them cause.
//!
//! The software adapter in the same process needs none of this; a PCI device behind a socket does.
//! Known by: the PCI specifications for the layout; which capabilities a FastLinQ driver demands by
//! source reading (PCI Express is mandatory, power management is wanted).

mod layout;
mod vpd;

use layout::{Bar, Fields};
pub use vpd::VitalProductData;

/// Bytes of configuration space.
pub const CONFIG_SPACE_SIZE: usize = 4096;

/// What makes one function different from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionIdentity {
    /// Device id; the vendor is always 0x1077.
    pub device_id: u16,
    /// Revision id.
    pub revision: u8,
    /// Subsystem vendor and device.
    pub subsystem: (u16, u16),
    /// Sizes of BAR 0, 2 and 4 in bytes; powers of two.
    pub bar_sizes: [u64; 3],
    /// Number of MSI-X vectors, 1 to 2048; the table is at the start of BAR 4.
    pub msix_vectors: u16,
    /// Offset of the pending-bit array in BAR 4.
    pub msix_pba_offset: u32,
    /// Whether other functions share the slot.
    pub multi_function: bool,
    /// Serial number of the card, for the device-serial-number capability.
    pub serial: u64,
    /// Vital product data.
    pub vpd: VitalProductData,
}

/// What a write to configuration space asks the adapter to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigEffect {
    /// Function level reset: the space is already back to its defaults.
    FunctionReset,
    /// The function may, or may no longer, start DMA.
    BusMaster(bool),
    /// MSI-X was switched, or masked as a whole.
    Msix {
        /// MSI-X enable bit.
        enabled: bool,
        /// Function mask bit.
        masked: bool,
    },
    /// INTx was allowed or forbidden.
    IntxDisabled(bool),
    /// Power state 0 to 3.
    PowerState(u8),
}

/// Configuration space with its writable bits.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    identity: FunctionIdentity,
    fields: Fields,
    vpd_image: Vec<u8>,
}

impl ConfigSpace {
    /// Builds the power-up content for a function.
    #[must_use]
    pub fn new(identity: FunctionIdentity) -> Self {
        let fields = layout::power_up(&identity);
        let vpd_image = identity.vpd.encode();
        Self {
            identity,
            fields,
            vpd_image,
        }
    }

    /// Reads `data.len()` bytes; what lies past the end reads as zero.
    pub fn read(&self, offset: usize, data: &mut [u8]) {
        data.fill(0);
        if let Some(source) = self.fields.bytes.get(offset..) {
            let length = source.len().min(data.len());
            data[..length].copy_from_slice(&source[..length]);
        }
    }

    /// Writes, keeping read-only bits, and returns what follows from it.
    pub fn write(&mut self, offset: usize, data: &[u8]) -> Vec<ConfigEffect> {
        let before = self.state();
        for (position, &byte) in data.iter().enumerate() {
            if let Some(at) = offset.checked_add(position) {
                self.fields.write_byte(at, byte);
            }
        }
        let touches = |at: usize, length: usize| {
            offset < at + length && at < offset.saturating_add(data.len())
        };
        if touches(layout::PCIE + layout::DEVICE_CONTROL, 2) && self.fields.take_reset_request() {
            self.reset();
            return vec![ConfigEffect::FunctionReset];
        }
        if touches(layout::VPD + layout::VPD_ADDRESS, 2) {
            self.vpd_access();
        }
        self.effects(before)
    }

    /// Puts everything but the identity back to power-up.
    pub fn reset(&mut self) {
        self.fields = layout::power_up(&self.identity);
    }

    /// Address that the host gave BAR 0, 2 or 4; none before it did, or with memory decoding off.
    #[must_use]
    pub fn bar_address(&self, bar: usize) -> Option<u64> {
        let bar = Bar::from_index(bar)?;
        let enabled = self.fields.word(layout::COMMAND) & layout::COMMAND_MEMORY != 0;
        let address = self.fields.dword(bar.offset()) & !0xf;
        let high = self.fields.dword(bar.offset() + 4);
        let address = u64::from(address) | u64::from(high) << 32;
        (enabled && address != 0).then_some(address)
    }

    fn state(&self) -> [u16; 3] {
        [
            self.fields.word(layout::COMMAND),
            self.fields.word(layout::MSIX + layout::MSIX_CONTROL),
            self.fields.word(layout::POWER + layout::POWER_CONTROL) & 3,
        ]
    }

    fn effects(&self, before: [u16; 3]) -> Vec<ConfigEffect> {
        let [command, msix, power] = self.state();
        let changed = |index: usize, now: u16, bit: u16| (before[index] ^ now) & bit != 0;
        let mut effects = Vec::new();
        if changed(0, command, layout::COMMAND_MASTER) {
            effects.push(ConfigEffect::BusMaster(
                command & layout::COMMAND_MASTER != 0,
            ));
        }
        if changed(0, command, layout::COMMAND_INTX_DISABLE) {
            effects.push(ConfigEffect::IntxDisabled(
                command & layout::COMMAND_INTX_DISABLE != 0,
            ));
        }
        if changed(1, msix, layout::MSIX_ENABLE | layout::MSIX_MASK_ALL) {
            effects.push(ConfigEffect::Msix {
                enabled: msix & layout::MSIX_ENABLE != 0,
                masked: msix & layout::MSIX_MASK_ALL != 0,
            });
        }
        if before[2] != power {
            effects.push(ConfigEffect::PowerState(power as u8));
        }
        effects
    }

    /// A VPD access was started: bit 15 says which direction, and flips when it is done.
    fn vpd_access(&mut self) {
        const DONE: u16 = 1 << 15;
        let address = self.fields.word(layout::VPD + layout::VPD_ADDRESS);
        if address & DONE != 0 {
            // Everything here is read-only: the write completes without effect.
            self.fields
                .set_word(layout::VPD + layout::VPD_ADDRESS, address & !DONE);
            return;
        }
        let start = usize::from(address & !3);
        let mut dword = [0; 4];
        for (position, byte) in dword.iter_mut().enumerate() {
            *byte = self.vpd_image.get(start + position).copied().unwrap_or(0);
        }
        self.fields
            .set_dword(layout::VPD + layout::VPD_DATA, u32::from_le_bytes(dword));
        self.fields
            .set_word(layout::VPD + layout::VPD_ADDRESS, address | DONE);
    }
}

#[cfg(test)]
mod tests;
