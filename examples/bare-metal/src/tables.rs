//! What the tables of ACPI say: where PCI's configuration space is, and a timer of known rate.

use core::ptr::NonNull;

use acpi::address::AddressSpace;
use acpi::fadt::Fadt;
use acpi::mcfg::Mcfg;
use acpi::{AcpiHandler, AcpiTables, PhysicalMapping};
use heapless::Vec;

use crate::failure::Failure;
use crate::physical::MAPPED;

/// Memory-mapped configuration space of some buses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConfigSpace {
    /// Address of bus 0, whether or not it is in the range.
    pub(crate) base: u64,
    pub(crate) segment: u16,
    pub(crate) first_bus: u8,
    pub(crate) last_bus: u8,
}

/// What is needed of the tables.
pub(crate) struct Tables {
    pub(crate) config_spaces: Vec<ConfigSpace, 8>,
    /// I/O port of the power-management timer.
    pub(crate) timer_port: Option<u16>,
}

/// The tables lie below 4 GiB, where every address is mapped to itself.
#[derive(Clone, Copy)]
struct Identity;

impl AcpiHandler for Identity {
    unsafe fn map_physical_region<T>(
        &self,
        address: usize,
        size: usize,
    ) -> PhysicalMapping<Self, T> {
        let end = address.checked_add(size);
        assert!(
            end.is_some_and(|end| end as u64 <= MAPPED),
            "a table of ACPI lies above 4 GiB"
        );
        let pointer = NonNull::new(address as *mut T).expect("a table of ACPI has an address");
        // SAFETY: mapped to itself, as just checked.
        unsafe { PhysicalMapping::new(address, pointer, size, size, *self) }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}
}

impl Tables {
    /// Reads the tables, beginning at the RSDP, which is searched for in the BIOS's memory when its address is not known.
    pub(crate) fn read(rsdp: Option<u64>) -> Result<Self, Failure> {
        // SAFETY: the loader's word for where the tables are; the BIOS's memory is mapped.
        let tables = unsafe {
            match rsdp {
                Some(address) => AcpiTables::from_rsdp(Identity, address as usize),
                None => AcpiTables::search_for_rsdp_bios(Identity),
            }
        };
        let tables = tables.map_err(|_| Failure::Platform("no tables of ACPI"))?;
        let mut config_spaces = Vec::new();
        let mcfg = tables.find_table::<Mcfg>();
        let mcfg = mcfg.map_err(|_| {
            Failure::Platform(
                "ACPI has no MCFG: this machine has no PCI Express configuration space",
            )
        })?;
        for entry in mcfg.entries() {
            // Eight host bridges are more than this program looks at.
            let _ = config_spaces.push(ConfigSpace {
                base: entry.base_address,
                segment: entry.pci_segment_group,
                first_bus: entry.bus_number_start,
                last_bus: entry.bus_number_end,
            });
        }
        let fadt = tables.find_table::<Fadt>().ok();
        let timer = fadt.and_then(|fadt| fadt.pm_timer_block().ok().flatten());
        let timer_port = timer
            .filter(|timer| timer.address_space == AddressSpace::SystemIo)
            .and_then(|timer| u16::try_from(timer.address).ok())
            .filter(|port| *port != 0);
        Ok(Self {
            config_spaces,
            timer_port,
        })
    }
}
