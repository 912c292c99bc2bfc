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

use zerocopy::{FromBytes, Immutable, IntoBytes};

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

/// A structure in host memory that firmware reads or writes; the crate's types have the layout of 8.59.1.0.
pub trait HostStructure: FromBytes + IntoBytes + Immutable {
    /// The type's name.
    const NAME: &'static str;
}

/// Where a firmware version has the members of a structure that it lays out differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StructureLayout {
    /// Name of the crate's type.
    pub name: &'static str,
    /// Bytes in this version.
    pub size: u16,
    /// Offset here, offset in this version, bytes.
    pub(crate) moves: &'static [(u16, u16, u16)],
    /// Byte in this version, bits here, how many further left they are in this version.
    pub(crate) bits: &'static [(u16, u8, u8)],
}

impl StructureLayout {
    fn encode(&self, ours: &[u8], theirs: &mut [u8]) -> Option<()> {
        theirs.fill(0);
        for (from, to, len) in self.moves.iter().map(usizes) {
            theirs
                .get_mut(to..to + len)?
                .copy_from_slice(ours.get(from..from + len)?);
        }
        for (byte, mask, left) in self.bits {
            let byte = theirs.get_mut(usize::from(*byte))?;
            *byte = *byte & !mask | (*byte & mask) << left;
        }
        Some(())
    }

    fn decode(&self, theirs: &[u8], ours: &mut [u8]) -> Option<()> {
        for (from, to, len) in self.moves.iter().map(usizes) {
            ours.get_mut(from..from + len)?
                .copy_from_slice(theirs.get(to..to + len)?);
        }
        for (byte, mask, left) in self.bits {
            let moved = self.moves.iter().map(usizes).find_map(|(from, to, len)| {
                let inside = usize::from(*byte).checked_sub(to)?;
                (inside < len).then_some(from + inside)
            });
            let byte = ours.get_mut(moved?)?;
            let old = *byte;
            *byte = old & !(mask | mask << left) | old >> left & mask;
        }
        Some(())
    }
}

fn usizes(step: &(u16, u16, u16)) -> (usize, usize, usize) {
    (step.0.into(), step.1.into(), step.2.into())
}

/// Everything that depends on the storm firmware's version.
///
/// # Examples
///
/// A ramrod's data as firmware 8.40.33.0 has it:
///
/// ```
/// use fastlinq_pac::hsi::VportStartRamrodData;
/// use fastlinq_pac::versions::{self, V8_40_33, V8_59_1};
///
/// let data = VportStartRamrodData { vport_id: 7, wipe_inner_vlan_pri_en: 1, ..Default::default() };
/// let mut bytes = [0xff; 80];
/// assert_eq!(V8_59_1.encode(&data, &mut bytes), Some(72));
/// assert_eq!((bytes[0], bytes[45]), (7, 1));
/// assert_eq!(V8_40_33.encode(&data, &mut bytes), Some(64));
/// assert_eq!((bytes[0], bytes[39]), (7, 1));
/// assert_eq!(V8_40_33.decode::<VportStartRamrodData>(&bytes), Some(data));
/// ```
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
    /// Whether the layout of structures is taken over from the nearest version with public headers, because
    /// this version has none. Nobody has checked it against this firmware.
    pub structures_inferred: bool,
    pub(crate) structures: &'static [StructureLayout],
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

    /// How this version lays out a structure, or `None` where it is the crate's own layout.
    pub fn structure<T: HostStructure>(&self) -> Option<&'static StructureLayout> {
        self.structures.iter().find(|s| s.name == T::NAME)
    }

    /// Every structure that this version lays out differently from the crate's types.
    pub const fn structures(&self) -> &'static [StructureLayout] {
        self.structures
    }

    /// Bytes of a structure in this version.
    pub fn size_of<T: HostStructure>(&self) -> usize {
        self.structure::<T>()
            .map_or(size_of::<T>(), |s| s.size.into())
    }

    /// Writes a structure as this version has it to the start of `out`, and returns its size.
    ///
    /// Members that this version has not are dropped. `None` where `out` is too short.
    pub fn encode<T: HostStructure>(&self, value: &T, out: &mut [u8]) -> Option<usize> {
        let size = self.size_of::<T>();
        let out = out.get_mut(..size)?;
        match self.structure::<T>() {
            Some(structure) => structure.encode(value.as_bytes(), out)?,
            None => out.copy_from_slice(value.as_bytes()),
        }
        Some(size)
    }

    /// Reads a structure as this version has it from the start of `bytes`.
    ///
    /// Members that this version has not are zero. `None` where `bytes` is too short.
    pub fn decode<T: HostStructure>(&self, bytes: &[u8]) -> Option<T> {
        let bytes = bytes.get(..self.size_of::<T>())?;
        match self.structure::<T>() {
            Some(structure) => {
                let mut value = T::new_zeroed();
                structure.decode(bytes, value.as_mut_bytes())?;
                Some(value)
            }
            None => T::read_from_bytes(bytes).ok(),
        }
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

/// Entries of the largest runtime array among all described versions.
pub const LARGEST_RUNTIME: usize = {
    let mut largest = 0;
    let mut index = 0;
    while index < LAYOUTS.len() {
        let size = LAYOUTS[index].runtime_size as usize;
        if size > largest {
            largest = size;
        }
        index += 1;
    }
    largest
};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hsi::{TxQueueStartRamrodData, VportUpdateRamrodData};

    #[test]
    fn versions_are_found_whatever_their_engineering_number() {
        let found = for_version(FirmwareVersion::new(8, 59, 1, 1)).unwrap();
        assert_eq!(found.version, FirmwareVersion::new(8, 59, 1, 0));
        assert_eq!(found.version.word(), 0x083b_0100);
        assert!(for_version(FirmwareVersion::new(8, 37, 2, 0)).is_none());
    }

    #[test]
    fn runtime_indexes_move_between_versions() {
        let register = registers::qm::WFQVPCRD.address();
        let (new, old) = (
            V8_59_1.runtime_index(register),
            V8_42_2.runtime_index(register),
        );
        assert_eq!(new.unwrap(), old.unwrap() + 512);
        assert!(
            V8_42_2
                .runtime(RuntimeId::QM_REG_WFQVPUPPERBOUND)
                .is_empty()
        );
        assert_eq!(V8_59_1.runtime_index(registers::misc::PORT_MODE), None);
        let sb = V8_59_1.runtime(RuntimeId::CAU_REG_SB_VAR_MEMORY);
        assert_eq!((sb.entry(735), sb.entry(736)), (Some(26 + 735), None));
    }

    #[test]
    fn flags_of_a_transmit_queue_are_one_bit_further_left_in_old_firmware() {
        let data = TxQueueStartRamrodData {
            flags: 0b0001_0101,
            ..Default::default()
        };
        let mut bytes = [0; 48];
        let at = core::mem::offset_of!(TxQueueStartRamrodData, flags);
        assert_eq!(V8_40_33.encode(&data, &mut bytes), Some(48));
        assert_eq!(bytes[at], 0b0010_1001);
        assert_eq!(
            V8_40_33.decode::<TxQueueStartRamrodData>(&bytes),
            Some(data)
        );
    }

    #[test]
    fn a_structure_that_does_not_fit_is_refused() {
        let data = VportUpdateRamrodData::default();
        assert_eq!(V8_59_1.encode(&data, &mut [0; 439]), None);
        assert_eq!(V8_40_33.encode(&data, &mut [0; 432]), Some(432));
        assert_eq!(V8_40_33.decode::<VportUpdateRamrodData>(&[0; 431]), None);
    }

    #[test]
    fn storm_memory() {
        assert_eq!(Storm::X.internal_ram(), GrcAddress(0x146_0000));
        assert_eq!(Storm::T.ram(), GrcAddress(0x1c8_0000));
        let overlay = V8_59_1.iro(IroId::TSTORM_OVERLAY_BUF_ADDR).unwrap();
        assert_eq!(
            overlay.internal_ram_address(0, 0),
            GrcAddress(0x176_0000 + 0x4398)
        );
        assert_eq!(overlay.bar0(0, 0), None);
    }
}
