//! A host that looks and does not touch: a function without a driver, through the kernel's files alone.

use std::fmt;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fastlinq_hal::host::{AllocationError, Bar, Caching, DmaAllocator, Host, PciIdentity};
use fastlinq_pac::bar;

use crate::PciAddress;
use crate::memory::Region;
use crate::mmio::MappedBar;
use crate::sysfs::{PciFunction, Sysfs, SysfsError};
use crate::time::real_time;

/// Why a function cannot be looked at.
#[derive(Debug)]
pub enum ReadOnlyError {
    /// The kernel's files about the function.
    Sysfs(SysfsError),
    /// A driver has the function; moving its windows would disturb it.
    InUse {
        /// The function.
        address: PciAddress,
        /// The driver.
        driver: String,
    },
    /// The platform gave BAR0 no addresses.
    Unassigned(PciAddress),
    /// The function does not answer accesses to its BARs.
    MemoryOff(PciAddress),
    /// Configuration space reads as all ones.
    Gone(PciAddress),
    /// BAR0 cannot be mapped.
    Map {
        /// The file that shows it.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
}

impl fmt::Display for ReadOnlyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysfs(error) => error.fmt(f),
            Self::InUse { address, driver } => write!(
                f,
                "{driver} has {address}; to read registers, take it away first (echo {address} > /sys/bus/pci/devices/{address}/driver/unbind)"
            ),
            Self::Unassigned(address) => write!(
                f,
                "the platform gave BAR0 of {address} no addresses; boot with pci=realloc, or allow addresses above 4 GiB in the firmware setup"
            ),
            Self::MemoryOff(address) => write!(
                f,
                "memory space of {address} is off; switch it on (echo 1 > /sys/bus/pci/devices/{address}/enable)"
            ),
            Self::Gone(address) => {
                write!(
                    f,
                    "{address} has fallen off the bus: configuration space reads as all ones"
                )
            }
            Self::Map { path, error } => {
                write!(f, "{}: {error}", path.display())?;
                f.write_str(match error.kind() {
                    std::io::ErrorKind::PermissionDenied => {
                        "; this needs root, and no kernel lockdown"
                    }
                    _ => "",
                })
            }
        }
    }
}

impl std::error::Error for ReadOnlyError {}

/// BAR0 of a function that is only looked at; clones are handles to the same BAR.
///
/// Registers are read through movable windows, so to look means to move windows. Written are, and only:
///
/// | what | offsets in BAR0 |
/// |---|---|
/// | where windows 2 and 4 to 11 of this function point | [`bar::ptt_target`] |
/// | as whom they access the chip | [`bar::ptt_pretend`] |
///
/// They belong to this function alone, nothing behind them changes, and every driver sets them anew before it uses them. Any
/// other write is dropped and counted: no register, no mailbox, no doorbell is ever written.
#[derive(Clone, Debug)]
pub struct ReadOnlyBar {
    bar: Option<MappedBar>,
    refused: Arc<AtomicU64>,
}

impl ReadOnlyBar {
    fn is_window(offset: usize) -> bool {
        let windows = (bar::PTT_POOL_FIRST..bar::PTT_COUNT).chain([bar::PTT_MAIN]);
        windows.into_iter().any(|window| {
            let places = [bar::ptt_target(window), bar::ptt_pretend(window)];
            places.iter().any(|place| place.value() as usize == offset)
        })
    }

    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bar for ReadOnlyBar {
    fn len(&self) -> usize {
        self.bar.as_ref().map_or(0, Bar::len)
    }

    fn read32(&self, offset: usize) -> u32 {
        self.bar.as_ref().map_or(u32::MAX, |bar| bar.read32(offset))
    }

    fn write32(&self, offset: usize, value: u32) {
        match &self.bar {
            Some(bar) if Self::is_window(offset) => bar.write32(offset, value),
            _ => self.refuse(),
        }
    }

    fn write16(&self, _offset: usize, _value: u16) {
        self.refuse();
    }
}

/// A host that looks and does not touch; clones are handles to the same function.
///
/// It has no doorbells and no DMA memory: whoever asks for it gets an error. See [`ReadOnlyBar`] for what is written.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fastlinq_hal::core_state::Core;
/// use fastlinq_linux::readonly::ReadOnlyHost;
///
/// let mut core = Core::new(ReadOnlyHost::open("0000:3b:00.0".parse()?)?);
/// core.identify()?;
/// println!("chip revision {}", core.identity.chip_revision);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ReadOnlyHost {
    registers: ReadOnlyBar,
    identity: PciIdentity,
    started: Instant,
}

impl ReadOnlyHost {
    /// Maps BAR0 of a function that no driver has.
    ///
    /// # Errors
    ///
    /// [`ReadOnlyError`].
    pub fn open(address: PciAddress) -> Result<Self, ReadOnlyError> {
        Self::open_in(&Sysfs::default(), address)
    }

    /// The same, in a given tree of the kernel's files.
    ///
    /// # Errors
    ///
    /// [`ReadOnlyError`].
    pub fn open_in(sysfs: &Sysfs, address: PciAddress) -> Result<Self, ReadOnlyError> {
        let function = sysfs.function(address).map_err(ReadOnlyError::Sysfs)?;
        check(&function)?;
        let path = sysfs.folder(address).join("resource0");
        let size = function.bars[0].size as usize;
        let mapped = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .and_then(|file| {
                // Beyond the end of a copied file there would be a signal instead of a value.
                let whole = file.metadata()?.len() == size as u64;
                let map = || MappedBar::new(&file, 0, size, Caching::Uncached, true);
                Ok(whole.then(map).ok_or(std::io::ErrorKind::InvalidData)??)
            });
        let bar = mapped.map_err(|error| ReadOnlyError::Map { path, error })?;
        Ok(Self {
            registers: ReadOnlyBar {
                bar: Some(bar),
                refused: Arc::default(),
            },
            identity: PciIdentity {
                vendor: function.vendor,
                device: function.device,
                revision: function.revision,
                subsystem_vendor: function.subsystem_vendor,
                subsystem: function.subsystem,
            },
            started: Instant::now(),
        })
    }

    /// Writes that were asked for and not made.
    #[must_use]
    pub fn refused_writes(&self) -> u64 {
        self.registers.refused.load(Ordering::Relaxed)
    }

    fn started(&self) -> Instant {
        self.started
    }
}

fn check(function: &PciFunction) -> Result<(), ReadOnlyError> {
    let address = function.address;
    if let Some(driver) = &function.driver {
        let driver = driver.clone();
        return Err(ReadOnlyError::InUse { address, driver });
    }
    if function.gone {
        return Err(ReadOnlyError::Gone(address));
    }
    if !function.bars[0].is_assigned() {
        return Err(ReadOnlyError::Unassigned(address));
    }
    if function.memory_enabled == Some(false) {
        return Err(ReadOnlyError::MemoryOff(address));
    }
    Ok(())
}

real_time!(ReadOnlyHost);

impl DmaAllocator for ReadOnlyHost {
    type Region = Region;

    fn allocate(&mut self, size: usize, align: usize) -> Result<Region, AllocationError> {
        Err(AllocationError { size, align })
    }
}

impl Host for ReadOnlyHost {
    type Bar = ReadOnlyBar;

    fn registers(&self) -> ReadOnlyBar {
        self.registers.clone()
    }

    fn doorbells(&self) -> ReadOnlyBar {
        ReadOnlyBar {
            bar: None,
            refused: Arc::clone(&self.registers.refused),
        }
    }

    fn identity(&self) -> PciIdentity {
        self.identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_windows_move_and_everything_else_is_counted() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let size = 0x20000;
        file.as_file().set_len(size as u64).expect("long");
        let mapped = MappedBar::new(&file, 0, size, Caching::Uncached, true).expect("mapped");
        let look = ReadOnlyBar {
            bar: Some(mapped),
            refused: Arc::default(),
        };
        let mut allowed = Vec::new();
        for offset in (0..size).step_by(4) {
            let before = look.refused.load(Ordering::Relaxed);
            look.write32(offset, 0xa5a5_a5a5);
            look.write16(offset, 0xa5a5);
            if look.refused.load(Ordering::Relaxed) == before + 1 {
                allowed.push(offset);
            }
        }
        // Two words for each of windows 2 and 4 to 11, as the hardware has them.
        let target = |window: usize| bar::ptt_target(window as u32).value() as usize;
        let pretend = |window: usize| bar::ptt_pretend(window as u32).value() as usize;
        let mut expected: Vec<_> = [2, 4, 5, 6, 7, 8, 9, 10, 11]
            .into_iter()
            .flat_map(|window| [target(window), pretend(window)])
            .collect();
        expected.sort_unstable();
        assert_eq!(allowed, expected);
        let bytes = std::fs::read(file.path()).expect("read");
        let written = bytes.chunks(4).filter(|word| *word != [0; 4]).count();
        assert_eq!(written, 18);
    }

    #[test]
    fn doorbells_and_memory_are_not_there() {
        let none = ReadOnlyBar {
            bar: None,
            refused: Arc::default(),
        };
        assert!(none.is_empty());
        none.write32(0, 1);
        assert_eq!(none.read32(0), u32::MAX);
        assert_eq!(none.refused.load(Ordering::Relaxed), 1);
    }
}
