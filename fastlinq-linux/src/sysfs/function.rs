//! One PCI function, as the kernel sees it.

use std::fmt;
use std::path::Path;

use fastlinq_pac::Chip;

use super::{SysfsError, read};
use crate::PciAddress;
use crate::config_space;

/// Speed of a PCI Express lane in tenths of GT/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkSpeed(pub u32);

impl fmt::Display for LinkSpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} GT/s", self.0 / 10, self.0 % 10)
    }
}

/// A PCI Express link, and the best that the function can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciLink {
    /// Speed that was negotiated.
    pub speed: LinkSpeed,
    /// Lanes that were negotiated.
    pub width: u32,
    /// Best speed of the function.
    pub max_speed: LinkSpeed,
    /// Most lanes of the function.
    pub max_width: u32,
}

impl PciLink {
    /// Whether the link is slower or narrower than the function can do.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.speed < self.max_speed || self.width < self.max_width
    }
}

impl fmt::Display for PciLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x{}", self.speed, self.width)?;
        if self.is_degraded() {
            write!(f, " of {} x{}", self.max_speed, self.max_width)?;
        }
        Ok(())
    }
}

/// What the platform gave a BAR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BarResource {
    /// First address; 0 when the platform gave none.
    pub start: u64,
    /// Bytes; 0 when the BAR does not exist.
    pub size: u64,
    /// The kernel's flags.
    pub flags: u64,
}

impl BarResource {
    const UNSET: u64 = 0x2000_0000;
    const MEMORY: u64 = 0x200;
    const PREFETCHABLE: u64 = 0x2000;

    /// Whether the function has this BAR.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.flags != 0
    }

    /// Whether the function has this BAR, and the platform gave it addresses.
    #[must_use]
    pub const fn is_assigned(&self) -> bool {
        self.flags & Self::MEMORY != 0
            && self.flags & Self::UNSET == 0
            && self.start != 0
            && self.size != 0
    }

    /// Whether accesses to it may be combined.
    #[must_use]
    pub const fn is_prefetchable(&self) -> bool {
        self.flags & Self::PREFETCHABLE != 0
    }
}

/// One PCI function, as the kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciFunction {
    /// Where it is.
    pub address: PciAddress,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Vendor id of the board.
    pub subsystem_vendor: u16,
    /// Device id of the board.
    pub subsystem: u16,
    /// Revision id; 0xff when the function does not answer.
    pub revision: u8,
    /// Driver that has it.
    pub driver: Option<String>,
    /// Its IOMMU group; `None` when no IOMMU translates for it.
    pub iommu_group: Option<u32>,
    /// NUMA node that it is next to.
    pub numa_node: Option<u32>,
    /// Its link; `None` when the kernel does not say.
    pub link: Option<PciLink>,
    /// BARs 0 to 5.
    pub bars: [BarResource; 6],
    /// Network interfaces of its driver.
    pub interfaces: Vec<String>,
    /// Whether it answers accesses to its BARs; `None` when configuration space cannot be read.
    pub memory_enabled: Option<bool>,
    /// Whether it may start DMA; `None` when configuration space cannot be read.
    pub bus_master: Option<bool>,
    /// Whether configuration space reads as all ones.
    pub gone: bool,
    /// How the kernel can reset it, best way first.
    pub reset_methods: Vec<String>,
}

impl PciFunction {
    pub(super) fn read(address: PciAddress, folder: &Path) -> Result<Self, SysfsError> {
        let id = |name: &str| -> Result<u64, SysfsError> {
            read::hex(&folder.join(name))?.ok_or(SysfsError::NotFound(address))
        };
        let mut config: &[u8] = &read::raw(&folder.join("config"));
        let readable = config.len() >= 64;
        // Reading bytes that are there, or ones that are not, cannot fail.
        let command = config_space::command(&mut config).unwrap_or(u16::MAX);
        let gone = readable && config.iter().take(64).all(|byte| *byte == 0xff);
        let mut interfaces: Vec<_> = std::fs::read_dir(folder.join("net"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        interfaces.sort_unstable();
        let methods = read::text(&folder.join("reset_method"))?.unwrap_or_default();
        Ok(Self {
            address,
            vendor: id("vendor")? as u16,
            device: id("device")? as u16,
            subsystem_vendor: id("subsystem_vendor").unwrap_or(0) as u16,
            subsystem: id("subsystem_device").unwrap_or(0) as u16,
            revision: id("revision").unwrap_or(0) as u8,
            driver: super::driver(folder),
            iommu_group: read::link_name(&folder.join("iommu_group")).and_then(|n| n.parse().ok()),
            numa_node: read::number(&folder.join("numa_node"))?,
            link: link(folder)?,
            bars: bars(&folder.join("resource"))?,
            interfaces,
            memory_enabled: (readable && !gone).then(|| config_space::has_memory_space(command)),
            bus_master: (readable && !gone).then(|| config_space::is_bus_master(command)),
            gone,
            reset_methods: methods.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// The chip, when the function belongs to one of the family.
    #[must_use]
    pub fn chip(&self) -> Option<Chip> {
        Chip::from_device_id(self.device)
    }

    /// What the device id stands for.
    #[must_use]
    pub fn name(&self) -> &'static str {
        name(self.device).unwrap_or("unknown device")
    }

    /// Whether it is a virtual function, which these drivers do not drive.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        matches!(self.device, 0x1630 | 0x1664 | 0x8090)
    }
}

/// Names by device id. Known by: source reading (the ids that Linux and DPDK claim).
pub(super) const fn name(device: u16) -> Option<&'static str> {
    Some(match device {
        0x1629 => "FastLinQ QL45000 (BB), 57980S",
        0x1634 => "FastLinQ QL45000 (BB), 40GbE",
        0x1636 => "FastLinQ QL45000 (BB), multi-function",
        0x1644 => "FastLinQ QL45000 (BB), 100GbE",
        0x1654 => "FastLinQ QL45000 (BB), 50GbE",
        0x1656 => "FastLinQ QL45000 (BB), 25GbE",
        0x1666 => "FastLinQ QL45000 (BB), 10GbE",
        0x1630 | 0x1664 => "FastLinQ QL45000 (BB), virtual function",
        0x8070 => "FastLinQ QL41000 (K2), Ethernet",
        0x8071 => "FastLinQ QL41000 (K2), 10GbE",
        0x8072 => "FastLinQ QL41000 (K2), 40GbE",
        0x8073 => "FastLinQ QL41000 (K2), 25GbE",
        0x8090 => "FastLinQ QL41000 (K2), virtual function",
        _ => return None,
    })
}

fn link(folder: &Path) -> Result<Option<PciLink>, SysfsError> {
    let speed = |name: &str| -> Result<Option<LinkSpeed>, SysfsError> {
        Ok(read::text(&folder.join(name))?.and_then(|text| parse_speed(&text)))
    };
    let width = |name: &str| read::number(&folder.join(name));
    let found = (
        speed("current_link_speed")?,
        width("current_link_width")?,
        speed("max_link_speed")?,
        width("max_link_width")?,
    );
    Ok(match found {
        (Some(speed), Some(width), Some(max_speed), Some(max_width)) => Some(PciLink {
            speed,
            width,
            max_speed,
            max_width,
        }),
        _ => None,
    })
}

/// "8.0 GT/s PCIe"; older kernels leave the last word out, newer ones say "Unknown" where they do not know.
fn parse_speed(text: &str) -> Option<LinkSpeed> {
    let number = text.split_whitespace().next()?;
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let tenths = whole.parse::<u32>().ok()?.checked_mul(10)?;
    let tenth = tenth.get(..1)?.parse::<u32>().ok()?;
    tenths.checked_add(tenth).map(LinkSpeed)
}

/// One line for each BAR: first address, last address, flags.
fn bars(path: &Path) -> Result<[BarResource; 6], SysfsError> {
    let mut bars = [BarResource::default(); 6];
    let Some(text) = read::text(path)? else {
        return Ok(bars);
    };
    for (bar, line) in bars.iter_mut().zip(text.lines()) {
        let numbers: Option<Vec<u64>> = line.split_whitespace().map(read::parse_hex).collect();
        let Some(&[start, end, flags]) = numbers.as_deref() else {
            return Err(read::malformed(path, line.into()));
        };
        let size = match end.checked_sub(start) {
            Some(length) if flags != 0 => length.saturating_add(1),
            _ => 0,
        };
        *bar = BarResource { start, size, flags };
    }
    Ok(bars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_as_kernels_write_them() {
        for (text, tenths) in [
            ("2.5 GT/s", Some(25)),
            ("8.0 GT/s PCIe", Some(80)),
            ("16 GT/s", Some(160)),
            ("64.0 GT/s PCIe", Some(640)),
            ("Unknown", None),
            ("Unknown speed", None),
            ("", None),
            ("99999999999 GT/s", None),
            ("8. GT/s", None),
        ] {
            assert_eq!(parse_speed(text).map(|speed| speed.0), tenths, "{text}");
        }
    }
}
