//! PCI configuration space: identity, command register, and the capabilities that matter here.

use fastlinq_hal::host::PciIdentity;

const COMMAND: u16 = 0x04;
const STATUS: u16 = 0x06;
const CAPABILITIES: u16 = 0x34;
const HAS_CAPABILITIES: u16 = 1 << 4;
const MEMORY_SPACE: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;
const MSIX: u8 = 0x11;
const MSIX_ENABLE: u16 = 1 << 15;
/// Most capabilities that fit between the header and the end of the first 256 bytes.
const MAX_CAPABILITIES: usize = 48;

/// Access to the configuration space of a function.
pub(crate) trait ConfigSpace {
    type Error;
    fn read(&mut self, offset: u16, data: &mut [u8]) -> Result<(), Self::Error>;
    fn write(&mut self, offset: u16, data: &[u8]) -> Result<(), Self::Error>;
}

impl ConfigSpace for &[u8] {
    type Error = core::convert::Infallible;

    /// Bytes that are not there read as ones.
    fn read(&mut self, offset: u16, data: &mut [u8]) -> Result<(), Self::Error> {
        for (byte, place) in data.iter_mut().zip(usize::from(offset)..) {
            *byte = self.get(place).copied().unwrap_or(0xff);
        }
        Ok(())
    }

    fn write(&mut self, _offset: u16, _data: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn word<S: ConfigSpace>(space: &mut S, offset: u16) -> Result<u16, S::Error> {
    let mut data = [0; 2];
    space.read(offset, &mut data)?;
    Ok(u16::from_le_bytes(data))
}

/// Who the function is.
pub(crate) fn identity<S: ConfigSpace>(space: &mut S) -> Result<PciIdentity, S::Error> {
    let mut revision = [0];
    space.read(0x08, &mut revision)?;
    Ok(PciIdentity {
        vendor: word(space, 0x00)?,
        device: word(space, 0x02)?,
        revision: revision[0],
        subsystem_vendor: word(space, 0x2c)?,
        subsystem: word(space, 0x2e)?,
    })
}

/// The command register.
pub(crate) fn command<S: ConfigSpace>(space: &mut S) -> Result<u16, S::Error> {
    word(space, COMMAND)
}

/// Whether the function answers accesses to its BARs.
pub(crate) const fn has_memory_space(command: u16) -> bool {
    command & MEMORY_SPACE != 0
}

/// Whether the function may start DMA.
pub(crate) const fn is_bus_master(command: u16) -> bool {
    command & BUS_MASTER != 0
}

/// Lets the function answer accesses to its BARs, and start DMA or not.
pub(crate) fn enable<S: ConfigSpace>(space: &mut S, bus_master: bool) -> Result<(), S::Error> {
    let old = word(space, COMMAND)?;
    let master = if bus_master { BUS_MASTER } else { 0 };
    let new = (old & !BUS_MASTER) | MEMORY_SPACE | master;
    space.write(COMMAND, &new.to_le_bytes())
}

/// Where a capability is.
pub(crate) fn capability<S: ConfigSpace>(space: &mut S, id: u8) -> Result<Option<u16>, S::Error> {
    if word(space, STATUS)? & HAS_CAPABILITIES == 0 {
        return Ok(None);
    }
    let mut place = word(space, CAPABILITIES)? & 0xfc;
    for _ in 0..MAX_CAPABILITIES {
        if place < 0x40 {
            break;
        }
        let [found, next] = word(space, place)?.to_le_bytes();
        if found == id {
            return Ok(Some(place));
        }
        place = u16::from(next) & 0xfc;
    }
    Ok(None)
}

/// Switches MSI-X on, all vectors unmasked as a whole. A function without it is left alone.
pub(crate) fn enable_msix<S: ConfigSpace>(space: &mut S) -> Result<(), S::Error> {
    if let Some(place) = capability(space, MSIX)? {
        let control = word(space, place + 2)? & !(1 << 14);
        space.write(place + 2, &(control | MSIX_ENABLE).to_le_bytes())?;
    }
    Ok(())
}

/// Where the MSI-X table is: BAR and offset.
pub(crate) fn msix_table<S: ConfigSpace>(space: &mut S) -> Result<Option<(u32, u64)>, S::Error> {
    let Some(place) = capability(space, MSIX)? else {
        return Ok(None);
    };
    let mut data = [0; 4];
    space.read(place + 4, &mut data)?;
    let word = u32::from_le_bytes(data);
    Ok(Some((word & 7, u64::from(word & !7))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_capabilities_that_bites_its_tail_ends() {
        let mut bytes = vec![0; 256];
        bytes[6] = 0x10;
        bytes[0x34] = 0x40;
        bytes[0x40..0x42].copy_from_slice(&[1, 0x50]);
        bytes[0x50..0x52].copy_from_slice(&[5, 0x40]);
        assert_eq!(capability(&mut &bytes[..], MSIX), Ok(None));
        bytes[0x50] = MSIX;
        assert_eq!(capability(&mut &bytes[..], MSIX), Ok(Some(0x50)));
        bytes[6] = 0;
        assert_eq!(capability(&mut &bytes[..], MSIX), Ok(None));
    }

    #[test]
    fn an_empty_slot_reads_as_ones() {
        let identity = identity(&mut &[][..]).expect("infallible");
        assert_eq!((identity.vendor, identity.revision), (0xffff, 0xff));
    }
}
