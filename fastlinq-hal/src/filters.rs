//! Filters of a vport as a declared set: what is wanted, what the device has, and the difference.
//!
//! The caller says the whole set, as often as it likes; [`apply_filters`](crate::adapter::Adapter::apply_filters) finds out
//! what differs from what the device has, and sends only that: ten changes of MAC and VLAN filters in a FILTERS_UPDATE,
//! and one VPORT_UPDATE for multicast bins, modes and "any VLAN".
//!
//! What the device has is written down in an [`AppliedFilters`], which the caller keeps beside its set. After a failure it
//! says exactly what the device has, or that it does not know; the next call starts from there.
//!
//! # Examples
//!
//! ```
//! use fastlinq_hal::filters::{FilterSet, FilterSetError, WhenFull};
//! use fastlinq_hal::vport::ReceiveMode;
//!
//! let mut wanted = FilterSet::new(ReceiveMode::NORMAL);
//! wanted.add_mac([2, 0, 0, 0, 0, 1])?;
//! wanted.add_multicast([0x01, 0x00, 0x5e, 0, 0, 1])?;
//! wanted.add_vlan(0)?; // untagged frames
//! wanted.add_vlan(100)?;
//! wanted.when_full = WhenFull::Widen;
//! assert_eq!(wanted.add_vlan(4096), Err(FilterSetError::Vlan(4096)));
//! # Ok::<(), FilterSetError>(())
//! ```

use core::fmt;

use heapless::Vec;

use crate::slowpath::{FilterCommand, MulticastBins};
use crate::vport::{ReceiveMode, VportId};

/// Most MAC addresses in a set.
pub const MAC_ADDRESSES: usize = 64;

const VLANS: u16 = 4096;
const MULTICAST_BIT: u8 = 1;

/// A set of VLANs, 0 to 4095; 0 stands for untagged frames and those with a priority only.
#[derive(Clone, PartialEq, Eq)]
pub struct VlanSet([u64; VLANS as usize / 64]);

impl VlanSet {
    /// No VLAN.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; VLANS as usize / 64])
    }

    /// Whether the VLAN is in the set.
    #[must_use]
    pub fn contains(&self, vlan: u16) -> bool {
        let word = self.0.get(usize::from(vlan / 64));
        word.is_some_and(|word| word >> (vlan % 64) & 1 == 1)
    }

    /// Number of VLANs in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The VLANs, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.outside(None)
    }

    /// Those that are not in `other`, lowest first.
    fn outside<'a>(&'a self, other: Option<&'a Self>) -> impl Iterator<Item = u16> + 'a {
        let others = other.map(|other| &other.0);
        self.0.iter().enumerate().flat_map(move |(index, word)| {
            let there = others.and_then(|words| words.get(index)).copied();
            let mut left = word & !there.unwrap_or(0);
            core::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some((index as u32 * 64 + bit) as u16)
            })
        })
    }

    /// Puts a VLAN in or takes it out; numbers from 4096 on are not there.
    fn set(&mut self, vlan: u16, there: bool) {
        if let Some(word) = self.0.get_mut(usize::from(vlan / 64)) {
            let bit = 1 << (vlan % 64);
            *word = if there { *word | bit } else { *word & !bit };
        }
    }
}

impl Default for VlanSet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VlanSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What happens when the device has no room for a filter of the set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WhenFull {
    /// The set fails, with the filter's name.
    #[default]
    Refuse,
    /// The vport receives more than was asked for: unicast frames that no filter names where a MAC address has no room,
    /// frames of any VLAN where a VLAN has none. The report says so, and the next call tries again.
    Widen,
}

/// What a vport is to receive.
///
/// A set without VLANs lets frames of any VLAN pass. With the first VLAN, only those in the set pass; 0 is the untagged
/// ones. More than 64 multicast addresses receive all multicast frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterSet {
    /// Which frames are received besides.
    pub mode: ReceiveMode,
    /// What happens when the device is full.
    pub when_full: WhenFull,
    macs: Vec<[u8; 6], MAC_ADDRESSES>,
    vlans: VlanSet,
    bins: MulticastBins,
    multicast: u32,
}

/// Why something cannot be in a [`FilterSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FilterSetError {
    /// The address is a multicast address or zero.
    NotUnicast([u8; 6]),
    /// The address is that of one station.
    NotMulticast([u8; 6]),
    /// The VLAN is not 0 to 4095.
    Vlan(u16),
    /// [`MAC_ADDRESSES`] are in the set already.
    TooManyMacs,
}

impl fmt::Display for FilterSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUnicast(address) => {
                write!(f, "{address:02x?} is not the address of a station")
            }
            Self::NotMulticast(address) => write!(f, "{address:02x?} is not a multicast address"),
            Self::Vlan(vlan) => write!(f, "VLAN {vlan} is out of range"),
            Self::TooManyMacs => write!(f, "a set has {MAC_ADDRESSES} MAC addresses at most"),
        }
    }
}

impl core::error::Error for FilterSetError {}

impl FilterSet {
    /// No address and no VLAN.
    #[must_use]
    pub const fn new(mode: ReceiveMode) -> Self {
        Self {
            mode,
            when_full: WhenFull::Refuse,
            macs: Vec::new(),
            vlans: VlanSet::new(),
            bins: MulticastBins::empty(),
            multicast: 0,
        }
    }

    /// Adds the address of a station; one that is there already is no error.
    ///
    /// # Errors
    ///
    /// [`FilterSetError::NotUnicast`], [`FilterSetError::TooManyMacs`].
    pub fn add_mac(&mut self, address: [u8; 6]) -> Result<(), FilterSetError> {
        let [first, ..] = address;
        if first & MULTICAST_BIT != 0 || address == [0; 6] {
            return Err(FilterSetError::NotUnicast(address));
        }
        if !self.macs.contains(&address) {
            let pushed = self.macs.push(address);
            pushed.map_err(|_| FilterSetError::TooManyMacs)?;
        }
        Ok(())
    }

    /// Takes the address of a station out; whether it was there.
    pub fn remove_mac(&mut self, address: [u8; 6]) -> bool {
        let place = self.macs.iter().position(|mac| *mac == address);
        place.map(|place| self.macs.swap_remove(place)).is_some()
    }

    /// Adds a VLAN, 0 being untagged frames.
    ///
    /// # Errors
    ///
    /// [`FilterSetError::Vlan`].
    pub fn add_vlan(&mut self, vlan: u16) -> Result<(), FilterSetError> {
        if vlan >= VLANS {
            return Err(FilterSetError::Vlan(vlan));
        }
        self.vlans.set(vlan, true);
        Ok(())
    }

    /// Takes a VLAN out; whether it was there.
    pub fn remove_vlan(&mut self, vlan: u16) -> bool {
        let there = self.vlans.contains(vlan);
        self.vlans.set(vlan, false);
        there
    }

    /// Adds a multicast address. The device knows bins of addresses, so others may pass, too.
    ///
    /// # Errors
    ///
    /// [`FilterSetError::NotMulticast`].
    pub fn add_multicast(&mut self, address: [u8; 6]) -> Result<(), FilterSetError> {
        let [first, ..] = address;
        if first & MULTICAST_BIT == 0 {
            return Err(FilterSetError::NotMulticast(address));
        }
        if !self.bins.contains(address) {
            self.bins.insert(address);
        }
        self.multicast = self.multicast.saturating_add(1);
        Ok(())
    }

    /// Takes all multicast addresses out.
    pub fn clear_multicast(&mut self) {
        self.bins = MulticastBins::empty();
        self.multicast = 0;
    }

    /// The addresses of stations.
    #[must_use]
    pub fn macs(&self) -> &[[u8; 6]] {
        &self.macs
    }

    /// The VLANs; none lets any pass.
    #[must_use]
    pub fn vlans(&self) -> &VlanSet {
        &self.vlans
    }

    /// Whether there are so many multicast addresses that all are received.
    #[must_use]
    pub const fn multicast_overflows(&self) -> bool {
        self.multicast > crate::adapter::MULTICAST_ADDRESSES as u32
    }

    /// Modes, bins and "any VLAN" as the device is to have them.
    pub(crate) fn modes(&self, widened: Widened) -> Modes {
        let overflow = self.multicast_overflows();
        let mode = ReceiveMode {
            promiscuous: self.mode.promiscuous || widened.macs,
            all_multicast: self.mode.all_multicast || (self.mode.multicast && overflow),
            ..self.mode
        };
        Modes {
            receive: mode.receive_bits(),
            transmit: mode.transmit_bits(),
            any_vlan: self.mode.promiscuous || self.vlans.is_empty() || widened.vlans,
            bins: if overflow {
                MulticastBins::empty()
            } else {
                self.bins
            },
        }
    }
}

/// In what a vport receives more than its set says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Widened {
    /// Unicast frames that no filter names, because a MAC address had no room.
    pub macs: bool,
    /// Frames of any VLAN, because a VLAN had no room.
    pub vlans: bool,
}

/// What VPORT_UPDATE says of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Modes {
    pub(crate) receive: u16,
    pub(crate) transmit: u16,
    pub(crate) any_vlan: bool,
    pub(crate) bins: MulticastBins,
}

/// What the device has of a vport's filters, as far as is known.
///
/// From [`claim_filters`](crate::adapter::Adapter::claim_filters). It is forgotten when the vport's filters are changed in
/// another way; the next call then begins with an empty table.
#[derive(Clone, Debug)]
pub struct AppliedFilters {
    pub(crate) vport: VportId,
    pub(crate) bring_up: u32,
    pub(crate) epoch: u32,
    /// `macs` and `vlans` are what the device has.
    pub(crate) certain: bool,
    pub(crate) macs: Vec<[u8; 6], MAC_ADDRESSES>,
    pub(crate) vlans: VlanSet,
    pub(crate) modes: Option<Modes>,
}

impl AppliedFilters {
    pub(crate) const fn unknown(vport: VportId, bring_up: u32, epoch: u32) -> Self {
        Self {
            vport,
            bring_up,
            epoch,
            certain: false,
            macs: Vec::new(),
            vlans: VlanSet::new(),
            modes: None,
        }
    }

    /// The vport.
    #[must_use]
    pub const fn vport(&self) -> VportId {
        self.vport
    }

    /// Whether it is known what the device has; otherwise the next call empties the tables first.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        self.certain
    }

    /// Addresses that the device has.
    #[must_use]
    pub fn macs(&self) -> &[[u8; 6]] {
        &self.macs
    }

    /// VLANs that the device has.
    #[must_use]
    pub const fn vlans(&self) -> &VlanSet {
        &self.vlans
    }

    /// The next changes towards `wanted`, at most as many as fit into a ramrod: what goes first, then what comes. What is
    /// in `skip` is left alone.
    pub(crate) fn next_changes<const N: usize>(
        &self,
        wanted: &FilterSet,
        skip: Widened,
    ) -> Vec<FilterCommand, N> {
        let gone = self.macs.iter().filter(|mac| !wanted.macs.contains(mac));
        let old = self.vlans.outside(Some(&wanted.vlans));
        let new = wanted.macs.iter().filter(|mac| !self.macs.contains(mac));
        let fresh = wanted.vlans.outside(Some(&self.vlans));
        let removals = gone
            .map(|mac| FilterCommand::RemoveMac(*mac))
            .chain(old.map(FilterCommand::RemoveVlan));
        let additions = new
            .map(|mac| FilterCommand::AddMac(*mac))
            .filter(|_| !skip.macs)
            .chain(fresh.map(FilterCommand::AddVlan).filter(|_| !skip.vlans));
        removals.chain(additions).take(N).collect()
    }

    /// Writes down that the device has carried a command out.
    pub(crate) fn note(&mut self, command: FilterCommand) {
        match command {
            FilterCommand::AddMac(mac) if !self.macs.contains(&mac) => {
                // A set has no more addresses than there are places.
                let _ = self.macs.push(mac);
            }
            FilterCommand::AddMac(_) => {}
            FilterCommand::RemoveMac(mac) => self.macs.retain(|known| *known != mac),
            FilterCommand::RemoveAllMacs => self.macs.clear(),
            FilterCommand::AddVlan(vlan) => self.vlans.set(vlan, true),
            FilterCommand::RemoveVlan(vlan) => self.vlans.set(vlan, false),
            FilterCommand::RemoveAllVlans => self.vlans = VlanSet::new(),
        }
    }
}

/// What a call changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FilterReport {
    /// Ramrods that it took; none when the device had everything already.
    pub ramrods: u32,
    /// Filters added.
    pub added: u32,
    /// Filters removed, without those that were removed unseen at the start.
    pub removed: u32,
    /// In what the vport receives more than was asked for.
    pub widened: Widened,
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const B: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn applied(macs: &[[u8; 6]], vlans: &[u16]) -> AppliedFilters {
        let mut applied = AppliedFilters::unknown(VportId(0), 0, 0);
        applied.certain = true;
        for mac in macs {
            applied.note(FilterCommand::AddMac(*mac));
        }
        for vlan in vlans {
            applied.note(FilterCommand::AddVlan(*vlan));
        }
        applied
    }

    #[test]
    fn only_differences_are_sent_and_removals_go_first() {
        let mut wanted = FilterSet::new(ReceiveMode::NORMAL);
        wanted.add_mac(B).unwrap();
        wanted.add_vlan(0).unwrap();
        wanted.add_vlan(4095).unwrap();
        let mut device = applied(&[A, B], &[0, 7]);
        let changes: Vec<_, 10> = device.next_changes(&wanted, Widened::default());
        let expected = [
            FilterCommand::RemoveMac(A),
            FilterCommand::RemoveVlan(7),
            FilterCommand::AddVlan(4095),
        ];
        assert_eq!(changes, expected);
        let first: Vec<_, 2> = device.next_changes(&wanted, Widened::default());
        assert_eq!(first, expected[..2]);
        for change in changes {
            device.note(change);
        }
        let none: Vec<_, 10> = device.next_changes(&wanted, Widened::default());
        assert!(none.is_empty());
        assert_eq!(
            device.vlans().iter().collect::<std::vec::Vec<_>>(),
            [0, 4095]
        );
    }

    #[test]
    fn what_is_widened_is_not_asked_for_again() {
        let mut wanted = FilterSet::new(ReceiveMode::NORMAL);
        wanted.add_mac(A).unwrap();
        wanted.add_vlan(3).unwrap();
        let device = applied(&[], &[]);
        let skip = Widened {
            macs: true,
            vlans: false,
        };
        let changes: Vec<_, 10> = device.next_changes(&wanted, skip);
        assert_eq!(changes, [FilterCommand::AddVlan(3)]);
        let modes = wanted.modes(skip);
        assert_eq!((modes.receive, modes.any_vlan), (0x24, false));
    }

    #[test]
    fn modes_follow_the_set() {
        let mut wanted = FilterSet::new(ReceiveMode::NORMAL);
        assert!(wanted.modes(Widened::default()).any_vlan);
        wanted.add_vlan(1).unwrap();
        assert!(!wanted.modes(Widened::default()).any_vlan);
        for last in 0..64 {
            wanted.add_multicast([1, 0, 0x5e, 0, 0, last]).unwrap();
        }
        assert_eq!(wanted.modes(Widened::default()).receive, 0x20);
        wanted.add_multicast([1, 0, 0x5e, 0, 1, 0]).unwrap();
        let modes = wanted.modes(Widened::default());
        assert_eq!((modes.receive, modes.bins), (0x30, MulticastBins::empty()));
        wanted.mode = ReceiveMode::PROMISCUOUS;
        assert!(wanted.modes(Widened::default()).any_vlan);
        wanted.clear_multicast();
        assert!(!wanted.multicast_overflows());
    }

    #[test]
    fn what_cannot_be_in_a_set_is_named() {
        let mut set = FilterSet::new(ReceiveMode::NORMAL);
        let group = [1, 0, 0x5e, 0, 0, 1];
        assert_eq!(set.add_mac(group), Err(FilterSetError::NotUnicast(group)));
        assert_eq!(set.add_mac([0; 6]), Err(FilterSetError::NotUnicast([0; 6])));
        assert_eq!(set.add_multicast(A), Err(FilterSetError::NotMulticast(A)));
        assert_eq!(set.add_vlan(4096), Err(FilterSetError::Vlan(4096)));
        for last in 0..64 {
            set.add_mac([2, 0, 0, 0, 1, last]).unwrap();
        }
        assert_eq!(set.add_mac([2, 0, 0, 0, 1, 0]), Ok(()));
        assert_eq!(set.add_mac(A), Err(FilterSetError::TooManyMacs));
        assert!(set.remove_mac([2, 0, 0, 0, 1, 0]) && !set.remove_mac(A));
        assert!(!set.remove_vlan(9));
    }
}
