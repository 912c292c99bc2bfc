//! What changes from one storm firmware build to the next: addresses of firmware variables and indexes of
//! the runtime array.
//!
//! The driver and the firmware it loads must agree on both, so a [`Layout`] is looked up by the version in
//! the init-values file ([`for_version`]). A further version is a further description file; no code changes.
//!
//! ```
//! use fastlinq_pac::versions::{self, FirmwareVersion, IroId, RuntimeId};
//!
//! let layout = versions::for_version(FirmwareVersion::new(8, 59, 1, 0)).unwrap();
//! let ack = layout.iro(IroId::USTORM_FLR_FINAL_ACK_GTT).unwrap();
//! assert_eq!(ack.bar0(3, 0).unwrap().value(), 0x14a80 + 8 * 3);
//! let range = layout.runtime(RuntimeId::CAU_REG_SB_VAR_MEMORY);
//! assert_eq!((range.index, range.len), (26, 736));
//! ```

pub use crate::generated::versions::*;
use crate::{Bar0Offset, GrcAddress, bar, registers};

use core::fmt;

/// Version of a storm firmware build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FirmwareVersion {
    /// Major number.
    pub major: u8,
    /// Minor number.
    pub minor: u8,
    /// Revision.
    pub revision: u8,
    /// Engineering number; the file of 8.59.1.0 says 1 here.
    pub engineering: u8,
}

impl FirmwareVersion {
    /// The version of these four numbers.
    pub const fn new(major: u8, minor: u8, revision: u8, engineering: u8) -> Self {
        Self {
            major,
            minor,
            revision,
            engineering,
        }
    }

    /// The version as one dword, major highest, as the management firmware takes it.
    pub const fn word(self) -> u32 {
        u32::from_be_bytes([self.major, self.minor, self.revision, self.engineering])
    }
}

impl fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}.{}",
            self.major, self.minor, self.revision, self.engineering
        )
    }
}

/// A storm processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storm {
    /// TSTORM.
    T,
    /// MSTORM.
    M,
    /// USTORM.
    U,
    /// XSTORM.
    X,
    /// YSTORM.
    Y,
    /// PSTORM.
    P,
}

impl Storm {
    /// All six, in the order of the overlay sections of the firmware file.
    pub const ALL: [Self; 6] = [Self::T, Self::M, Self::U, Self::X, Self::Y, Self::P];

    /// The storm of an overlay section's id.
    pub const fn from_overlay_id(id: u8) -> Option<Self> {
        Some(match id {
            0 => Self::T,
            1 => Self::M,
            2 => Self::U,
            3 => Self::X,
            4 => Self::Y,
            5 => Self::P,
            _ => return None,
        })
    }

    /// The storm's RAM as its DMA block shows it (256 KiB): statistics, producers, consumers.
    pub const fn ram(self) -> GrcAddress {
        match self {
            Self::T => registers::bar0_map::TSDM_RAM.address(),
            Self::M => registers::bar0_map::MSDM_RAM.address(),
            Self::U => registers::bar0_map::USDM_RAM.address(),
            Self::X => registers::bar0_map::XSDM_RAM.address(),
            Self::Y => registers::bar0_map::YSDM_RAM.address(),
            Self::P => registers::bar0_map::PSDM_RAM.address(),
        }
    }

    /// The storm's fast memory, the base of the registers in `registers::sem_fast`.
    pub const fn fast_memory(self) -> GrcAddress {
        match self {
            Self::T => registers::tsem::FAST_MEMORY.address(),
            Self::M => registers::msem::FAST_MEMORY.address(),
            Self::U => registers::usem::FAST_MEMORY.address(),
            Self::X => registers::xsem::FAST_MEMORY.address(),
            Self::Y => registers::ysem::FAST_MEMORY.address(),
            Self::P => registers::psem::FAST_MEMORY.address(),
        }
    }

    /// The storm's internal RAM as the init program addresses it.
    pub const fn internal_ram(self) -> GrcAddress {
        self.fast_memory()
            .offset(registers::sem_fast::INT_RAM.offset())
    }

    /// The global window of BAR0 at the start of [`ram`](Self::ram).
    pub const fn window(self) -> Bar0Offset {
        match self {
            Self::T => registers::gtt_bar0_map::TSDM_RAM,
            Self::M => registers::gtt_bar0_map::MSDM_RAM,
            Self::U => registers::gtt_bar0_map::USDM_RAM,
            Self::X => registers::gtt_bar0_map::XSDM_RAM,
            Self::Y => registers::gtt_bar0_map::YSDM_RAM,
            Self::P => registers::gtt_bar0_map::PSDM_RAM,
        }
    }

    /// Bytes of [`ram`](Self::ram) that the storm's windows show.
    pub const fn window_len(self) -> u32 {
        bar::WINDOW_SIZE
            * match self {
                Self::M | Self::U => 3,
                Self::X => 2,
                Self::T | Self::Y | Self::P => 1,
            }
    }
}

/// Names a firmware variable, the same in every version.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IroId(u16);

impl IroId {
    pub(crate) const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The id's place among all: 0 to [`COUNT`](Self::COUNT) - 1.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Every id.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..IRO_NAMES.len() as u16).map(Self)
    }

    /// The variable's name.
    pub fn name(self) -> &'static str {
        IRO_NAMES[self.index()]
    }
}

impl fmt::Debug for IroId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IroId::{}", self.name())
    }
}

/// Names a range of the runtime array by the register that it is written to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuntimeId(u16);

impl RuntimeId {
    pub(crate) const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The id's place among all: 0 to [`COUNT`](Self::COUNT) - 1.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Every id.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..RUNTIME_NAMES.len() as u16).map(Self)
    }

    /// The register's name.
    pub fn name(self) -> &'static str {
        RUNTIME_NAMES[self.index()]
    }

    /// The register that the range is written to.
    pub fn register(self) -> GrcAddress {
        RUNTIME_REGISTERS[self.index()]
    }
}

impl fmt::Debug for RuntimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RuntimeId::{}", self.name())
    }
}

/// Where a firmware variable lies: a base, and a step for each of up to three parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iro {
    /// Record number in the IRO section of the firmware file.
    pub record: u16,
    /// The storm whose RAM it is in.
    pub storm: Storm,
    /// Whether it is reached through a global window of BAR0.
    pub in_window: bool,
    /// Offset for parameters of 0.
    pub base: u32,
    /// Bytes for each unit of the parameters.
    pub steps: [u16; 3],
    /// Bytes of the variable.
    pub size: u16,
}

impl Iro {
    /// The offset in the storm's RAM for parameters `i` and `j`; 0 for those that the variable has not.
    pub const fn offset(&self, i: u32, j: u32) -> u32 {
        self.base
            .wrapping_add(i.wrapping_mul(self.steps[0] as u32))
            .wrapping_add(j.wrapping_mul(self.steps[1] as u32))
    }

    /// The internal address for parameters `i` and `j`, in the RAM as the storm's DMA block shows it.
    pub const fn address(&self, i: u32, j: u32) -> GrcAddress {
        self.storm.ram().offset(self.offset(i, j))
    }

    /// The internal address for parameters `i` and `j`, in the RAM as the init program addresses it.
    pub const fn internal_ram_address(&self, i: u32, j: u32) -> GrcAddress {
        self.storm.internal_ram().offset(self.offset(i, j))
    }

    /// The BAR0 offset for parameters `i` and `j`, or `None` where no global window shows it.
    pub const fn bar0(&self, i: u32, j: u32) -> Option<Bar0Offset> {
        let offset = self.offset(i, j);
        if self.in_window && offset < self.storm.window_len() {
            Some(self.storm.window().offset(offset))
        } else {
            None
        }
    }
}

/// A range of the runtime array, in dwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeRange {
    /// First entry.
    pub index: u16,
    /// Entries; 0 where the version has no such range.
    pub len: u16,
}

impl RuntimeRange {
    /// Entry `offset` of the range, or `None` behind its end.
    pub const fn entry(self, offset: u16) -> Option<u16> {
        if offset < self.len {
            Some(self.index + offset)
        } else {
            None
        }
    }

    /// Whether the version has no such range.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Everything that depends on the storm firmware's version.
#[derive(Debug)]
pub struct Layout {
    /// The version, as in the file's name.
    pub version: FirmwareVersion,
    /// Entries of the runtime array.
    pub runtime_size: u16,
    /// Records in the IRO section of the firmware file.
    pub iro_records: u16,
    pub(crate) iro: &'static [Option<Iro>; IroId::COUNT],
    pub(crate) runtime: &'static [RuntimeRange; RuntimeId::COUNT],
}

impl Layout {
    /// The firmware variable `id`, or `None` where this version has none of that name.
    pub const fn iro(&self, id: IroId) -> Option<&Iro> {
        self.iro[id.index()].as_ref()
    }

    /// The range of the runtime array that is written to the register named by `id`; empty where this
    /// version has none.
    pub const fn runtime(&self, id: RuntimeId) -> RuntimeRange {
        self.runtime[id.index()]
    }

    /// The entry of the runtime array that is written to `address`.
    pub fn runtime_index(&self, address: impl Into<GrcAddress>) -> Option<u16> {
        let address = address.into().value();
        RuntimeId::all().find_map(|id| {
            let bytes = address.checked_sub(id.register().value())?;
            self.runtime(id).entry(u16::try_from(bytes / 4).ok()?)
        })
    }
}

/// Every version that is described.
pub static ALL: &[&Layout] = LAYOUTS;

/// The layout of `version`, whatever its engineering number.
pub fn for_version(version: FirmwareVersion) -> Option<&'static Layout> {
    ALL.iter().copied().find(|layout| {
        let known = layout.version;
        (known.major, known.minor, known.revision)
            == (version.major, version.minor, version.revision)
    })
}

pub(crate) const fn iro(
    record: u16,
    storm: Storm,
    in_window: bool,
    base: u32,
    steps: [u16; 3],
    size: u16,
) -> Option<Iro> {
    Some(Iro {
        record,
        storm,
        in_window,
        base,
        steps,
        size,
    })
}

pub(crate) const fn range(index: u16, len: u16) -> RuntimeRange {
    RuntimeRange { index, len }
}

#[allow(dead_code)]
pub(crate) const fn absent() -> RuntimeRange {
    RuntimeRange { index: 0, len: 0 }
}
