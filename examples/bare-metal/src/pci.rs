//! PCI by memory-mapped configuration space (ECAM): finds the adapter, and readies it.

use core::ptr::NonNull;

use fastlinq_hal::host::{Bar as _, Caching, MmioBar, PciIdentity};
use pci_types::capability::{MsixCapability, PciCapability};
use pci_types::{
    Bar, CommandRegister, ConfigRegionAccess, EndpointHeader, HeaderType, PciAddress, PciHeader,
};

use crate::failure::Failure;
use crate::options::Options;
use crate::paging::Paging;
use crate::serial::say;
use crate::tables::ConfigSpace;

const VENDOR: u16 = 0x1077;
/// High bytes of the device ids: BB, K2.
const CHIPS: [u16; 2] = [0x16, 0x80];
const BUS_BYTES: u64 = 1 << 20;
/// A list of capabilities that is longer goes round in circles.
const CAPABILITIES: usize = 48;
const MSIX_ENTRY_BYTES: usize = 16;

/// Configuration space of a segment's buses.
#[derive(Clone, Copy)]
struct Ecam {
    base: *mut u8,
    first_bus: u8,
    last_bus: u8,
}

impl Ecam {
    fn register(&self, address: PciAddress, offset: u16) -> Option<*mut u32> {
        if !(self.first_bus..=self.last_bus).contains(&address.bus()) || offset >= 4096 {
            return None;
        }
        let function = usize::from(address.bus() - self.first_bus) << 20
            | usize::from(address.device()) << 15
            | usize::from(address.function()) << 12;
        Some(
            self.base
                .wrapping_add(function + usize::from(offset & !3))
                .cast(),
        )
    }
}

impl ConfigRegionAccess for Ecam {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        match self.register(address, offset) {
            // SAFETY: inside the mapping, aligned.
            Some(register) => unsafe { register.read_volatile() },
            None => u32::MAX,
        }
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        if let Some(register) = self.register(address, offset) {
            // SAFETY: inside the mapping, aligned; the caller knows what the write does.
            unsafe { register.write_volatile(value) }
        }
    }
}

/// The adapter's PCI function.
pub(crate) struct Function {
    ecam: Ecam,
    address: PciAddress,
    header: EndpointHeader,
    pub(crate) identity: PciIdentity,
}

/// Finds the function that the options name, or the first of an adapter.
pub(crate) fn find(
    spaces: &[ConfigSpace],
    paging: &mut Paging,
    options: &Options,
) -> Result<Function, Failure> {
    let mut functions = 0;
    for space in spaces {
        let buses = u64::from(space.last_bus.saturating_sub(space.first_bus)) + 1;
        let first = space.base + u64::from(space.first_bus) * BUS_BYTES;
        let ecam = Ecam {
            base: paging.map_device(first, buses * BUS_BYTES)?,
            first_bus: space.first_bus,
            last_bus: space.last_bus,
        };
        for address in present(ecam, space) {
            functions += 1;
            let (vendor, device) = PciHeader::new(address).id(ecam);
            let wanted = options.device.is_none_or(|wanted| {
                wanted == (address.bus(), address.device(), address.function())
            });
            if wanted && vendor == VENDOR && CHIPS.contains(&(device >> 8)) {
                return Function::new(ecam, address, vendor, device);
            }
        }
    }
    Err(Failure::NoAdapter { functions })
}

/// All functions that answer.
fn present(ecam: Ecam, space: &ConfigSpace) -> impl Iterator<Item = PciAddress> {
    let segment = space.segment;
    let devices =
        (space.first_bus..=space.last_bus).flat_map(|bus| (0..32).map(move |device| (bus, device)));
    devices.flat_map(move |(bus, device)| {
        let first = PciHeader::new(PciAddress::new(segment, bus, device, 0));
        let functions = match first.id(ecam) {
            (0xffff, _) => 0,
            _ if first.has_multiple_functions(ecam) => 8,
            _ => 1,
        };
        (0..functions)
            .map(move |function| PciAddress::new(segment, bus, device, function))
            .filter(move |address| PciHeader::new(*address).id(ecam).0 != 0xffff)
    })
}

impl Function {
    fn new(ecam: Ecam, address: PciAddress, vendor: u16, device: u16) -> Result<Self, Failure> {
        let header = PciHeader::new(address);
        let (revision, ..) = header.revision_and_class(ecam);
        if header.header_type(ecam) != HeaderType::Endpoint {
            return Err(Failure::Platform(
                "the adapter's PCI header is not that of a device",
            ));
        }
        let header = EndpointHeader::from_header(header, ecam)
            .ok_or(Failure::Platform("the adapter's PCI header cannot be read"))?;
        let (subsystem, subsystem_vendor) = header.subsystem(ecam);
        say!("adapter {vendor:04x}:{device:04x} revision {revision:#04x} at {address}");
        Ok(Self {
            ecam,
            address,
            header,
            identity: PciIdentity {
                vendor,
                device,
                revision,
                subsystem_vendor,
                subsystem,
            },
        })
    }

    /// Whether the function still answers.
    pub(crate) fn answers(&self) -> bool {
        PciHeader::new(self.address).id(self.ecam).0 == VENDOR
    }

    /// Maps a memory BAR uncached. Memory decoding is off while its size is found out.
    pub(crate) fn map(&mut self, paging: &mut Paging, bar: u8) -> Result<MmioBar, Failure> {
        self.header.update_command(self.ecam, |command| {
            command - CommandRegister::MEMORY_ENABLE
        });
        let (address, size) = match self.header.bar(bar, self.ecam) {
            Some(Bar::Memory32 { address, size, .. }) => (u64::from(address), u64::from(size)),
            Some(Bar::Memory64 { address, size, .. }) => (address, size),
            _ => return Err(Failure::Platform("the adapter lacks a memory BAR")),
        };
        if address == 0 {
            return Err(Failure::Platform(
                "the firmware of this machine gave a BAR of the adapter no address",
            ));
        }
        say!("BAR{bar}: {} KiB at {address:#x}", size >> 10);
        let base = NonNull::new(paging.map_device(address, size)?)
            .ok_or(Failure::Platform("a BAR was mapped at nothing"))?;
        // SAFETY: mapped just now, as a whole and uncached, for as long as the program runs; nothing makes a reference to it.
        Ok(unsafe { MmioBar::new(base, size as usize, Caching::Uncached) })
    }

    /// Lets the function answer to its BARs, and do DMA.
    pub(crate) fn enable(&mut self) {
        self.header.update_command(self.ecam, |command| {
            command
                | CommandRegister::MEMORY_ENABLE
                | CommandRegister::BUS_MASTER_ENABLE
                | CommandRegister::INTERRUPT_DISABLE
        });
    }

    /// Ends DMA and interrupts of the function.
    pub(crate) fn disable(&mut self) {
        self.header.update_command(self.ecam, |command| {
            command - CommandRegister::BUS_MASTER_ENABLE
        });
        if let Some(mut msix) = self.msix() {
            msix.set_enabled(false, self.ecam);
        }
    }

    fn msix(&self) -> Option<MsixCapability> {
        let mut capabilities = self.header.capabilities(self.ecam).take(CAPABILITIES);
        capabilities.find_map(|capability| match capability {
            PciCapability::MsiX(msix) => Some(msix),
            _ => None,
        })
    }

    /// Programs the first entries of the MSI-X table with messages (address and data), and turns MSI-X on; gives the
    /// number of entries programmed.
    pub(crate) fn enable_msix(
        &mut self,
        paging: &mut Paging,
        messages: &[(u64, u32)],
    ) -> Result<u16, Failure> {
        let none = Failure::Platform("the adapter has no MSI-X table");
        let mut msix = self.msix().ok_or(none)?;
        let table = self.map(paging, msix.table_bar())?;
        self.enable();
        msix.set_function_mask(true, self.ecam);
        msix.set_enabled(true, self.ecam);
        let mut programmed = 0;
        for (number, (address, data)) in messages.iter().enumerate() {
            if number >= usize::from(msix.table_size()) {
                break;
            }
            let entry = msix.table_offset() as usize + number * MSIX_ENTRY_BYTES;
            let words = [*address as u32, (*address >> 32) as u32, *data, 0];
            for (index, word) in words.into_iter().enumerate() {
                table.write32(entry + 4 * index, word);
            }
            programmed += 1;
        }
        msix.set_function_mask(false, self.ecam);
        Ok(programmed)
    }
}
