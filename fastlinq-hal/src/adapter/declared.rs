//! Filters as a declared set, on an adapter that is up.

use core::fmt;

use heapless::Vec;

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inner::Context;
use super::inventory::Inventory;
use super::running::Running;
use super::states::Up;
use crate::core_state::Core;
use crate::filters::{AppliedFilters, FilterReport, FilterSet, Modes, WhenFull, Widened};
use crate::host::Host;
use crate::log::{debug, warning};
use crate::mfw::resources::Resource;
use crate::slowpath::{
    EthReturnCode, FILTER_COMMANDS, FilterCommand, FirmwareReturnCode, RamrodError, VportUpdate,
};
use crate::vport::VportId;

/// A declared set that the device does not have in full.
///
/// The [`AppliedFilters`] say what it has; calling again goes on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiltersFailed {
    /// Why.
    pub cause: Cause,
    /// The filter that was refused, where it was one.
    pub at: Option<FilterCommand>,
    /// What was changed before.
    pub report: FilterReport,
}

impl fmt::Display for FiltersFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            None => fmt::Display::fmt(&self.cause, f),
            Some(command) => write!(f, "{}; at {command:?}", self.cause),
        }
    }
}

impl core::error::Error for FiltersFailed {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Begins a declared set of filters for a vport. The device is not asked; the first
    /// [`apply_filters`](Self::apply_filters) empties its tables.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`].
    pub fn claim_filters(&mut self, vport: VportId) -> Result<AppliedFilters, Cause> {
        let bring_up = self.inner.bring_up;
        let (_, running) = self.inner.vport(vport)?;
        let epoch = running.vport(vport.0).map_or(0, |state| state.filter_epoch);
        Ok(AppliedFilters::unknown(vport, bring_up, epoch))
    }

    /// Makes a vport's filters those of `wanted`: FILTERS_UPDATE for the MAC addresses and VLANs that differ, ten in each,
    /// VPORT_UPDATE for modes, multicast and "any VLAN" when they differ.
    ///
    /// Removals go before additions. A vport that is to receive more VLANs than before does so before filters go, one that
    /// is to receive fewer after filters came, so that no frame that both sets want is lost on the way.
    ///
    /// | the firmware | `applied` afterwards |
    /// |---|---|
    /// | carries a batch out | has all of it |
    /// | refuses a batch | each command of it was repeated alone, so it is exact; a filter that was there already counts as added |
    /// | does not answer | uncertain: the next call empties the tables first |
    ///
    /// # Errors
    ///
    /// [`FiltersFailed`], with [`Misuse::NoSuchVport`], [`Misuse::TooManyFilters`] when the set alone exceeds the
    /// function's share, or the ramrod's failure; a table that is full is a refusal by
    /// [`EthReturnCode::MacAddCamFull`], [`EthReturnCode::MacAddSecondTableFull`] or [`EthReturnCode::VlanAddFull`], or with
    /// [`WhenFull::Widen`] no error.
    pub fn apply_filters(
        &mut self,
        applied: &mut AppliedFilters,
        wanted: &FilterSet,
    ) -> Result<FilterReport, FiltersFailed> {
        let mut report = FilterReport::default();
        let fail = |cause: Cause| FiltersFailed {
            cause,
            at: None,
            report: FilterReport::default(),
        };
        let (vport, bring_up) = (applied.vport, self.inner.bring_up);
        let share = self.inner.shares.get(Resource::Filters);
        let (core, running) = self.inner.vport(vport).map_err(fail)?;
        if applied.bring_up != bring_up {
            return Err(fail(Misuse::NoSuchVport(vport).into()));
        }
        let room = usize::try_from(share.count).unwrap_or(usize::MAX);
        let mut widened = Widened {
            macs: wanted.macs().len() > room,
            vlans: wanted.vlans().len() > room,
        };
        if widened != Widened::default() && wanted.when_full == WhenFull::Refuse {
            return Err(fail(Misuse::TooManyFilters { share: share.count }.into()));
        }
        let epoch = running.vport(vport.0).map_or(0, |state| state.filter_epoch);
        if applied.epoch != epoch {
            *applied = AppliedFilters::unknown(vport, bring_up, epoch);
        }
        let mut work = Work {
            core,
            running,
            applied,
            report: &mut report,
        };
        let result = work.run(wanted, &mut widened);
        report.widened = widened;
        match result {
            Ok(()) => {
                if let Some(state) = running.vport_mut(vport.0) {
                    state.mode = wanted.mode;
                    state.multicast_overflow = wanted.multicast_overflows();
                    state.vlan_filtering = !wanted.vlans().is_empty();
                }
                debug!(
                    "vport {}: {} ramrods for its filters",
                    vport.0, report.ramrods
                );
                Ok(report)
            }
            Err((error, at)) => Err(FiltersFailed {
                cause: error.into(),
                at,
                report,
            }),
        }
    }
}

type Stopped = (RamrodError, Option<FilterCommand>);

struct Work<'a, H: Host> {
    core: &'a mut Core<H>,
    running: &'a mut Running<H>,
    applied: &'a mut AppliedFilters,
    report: &'a mut FilterReport,
}

impl<H: Host> Work<'_, H> {
    fn run(&mut self, wanted: &FilterSet, widened: &mut Widened) -> Result<(), Stopped> {
        if !self.applied.certain {
            let all = [FilterCommand::RemoveAllMacs, FilterCommand::RemoveAllVlans];
            self.send(&all).map_err(|error| (error, None))?;
            all.into_iter()
                .for_each(|command| self.applied.note(command));
            self.applied.certain = true;
        }
        let opens = |modes: &Modes| !modes.any_vlan;
        if self.applied.modes.as_ref().is_some_and(opens) && wanted.modes(*widened).any_vlan {
            self.set_modes(wanted.modes(*widened))?;
        }
        // Each round changes something, or fails, or widens; a set and a table have so many entries at most.
        loop {
            let batch: Vec<_, FILTER_COMMANDS> = self.applied.next_changes(wanted, *widened);
            if batch.is_empty() {
                break;
            }
            match self.send(&batch) {
                Ok(()) => batch.into_iter().for_each(|command| self.done(command)),
                Err(RamrodError::Refused { .. }) => self.one_by_one(&batch, wanted, widened)?,
                Err(error) => return Err((error, None)),
            }
        }
        self.set_modes(wanted.modes(*widened))
    }

    /// Repeats the commands of a refused batch alone. Those before the one that was refused have been carried out already;
    /// the firmware says so, and that counts as done.
    fn one_by_one(
        &mut self,
        batch: &[FilterCommand],
        wanted: &FilterSet,
        widened: &mut Widened,
    ) -> Result<(), Stopped> {
        for command in batch {
            let refused = match self.send(&[*command]) {
                Ok(()) => {
                    self.done(*command);
                    continue;
                }
                Err(refused @ RamrodError::Refused { .. }) => refused,
                Err(error) => return Err((error, Some(*command))),
            };
            match verdict(&refused) {
                Verdict::AsWanted => self.done(*command),
                Verdict::Full if wanted.when_full == WhenFull::Widen => {
                    self.undo(*command)?;
                    match command {
                        FilterCommand::AddVlan(_) => widened.vlans = true,
                        _ => widened.macs = true,
                    }
                    warning!("a filter table is full, the vport receives more than it should");
                    return Ok(());
                }
                Verdict::Full | Verdict::Refused => {
                    self.undo(*command)?;
                    return Err((refused, Some(*command)));
                }
            }
        }
        Ok(())
    }

    /// Takes a filter back that one of the two tables may have taken before the other refused it.
    fn undo(&mut self, command: FilterCommand) -> Result<(), Stopped> {
        let back = match command {
            FilterCommand::AddMac(mac) => FilterCommand::RemoveMac(mac),
            FilterCommand::AddVlan(vlan) => FilterCommand::RemoveVlan(vlan),
            _ => return Ok(()),
        };
        match self.send(&[back]) {
            Ok(()) | Err(RamrodError::Refused { .. }) => Ok(()),
            Err(error) => Err((error, Some(back))),
        }
    }

    fn done(&mut self, command: FilterCommand) {
        self.applied.note(command);
        match command {
            FilterCommand::AddMac(_) | FilterCommand::AddVlan(_) => self.report.added += 1,
            _ => self.report.removed += 1,
        }
    }

    fn send(&mut self, commands: &[FilterCommand]) -> Result<(), RamrodError> {
        let vport = self.applied.vport.0;
        self.report.ramrods += 1;
        let result = self
            .running
            .update_filters(&mut Context(self.core), vport, commands);
        if matches!(
            result,
            Err(RamrodError::TimedOut { .. } | RamrodError::DeviceGone { .. })
        ) {
            self.applied.certain = false;
        }
        result
    }

    fn set_modes(&mut self, modes: Modes) -> Result<(), Stopped> {
        let before = self.applied.modes;
        if before == Some(modes) {
            return Ok(());
        }
        let same =
            |field: fn(&Modes) -> u16| before.is_some_and(|old| field(&old) == field(&modes));
        let update = VportUpdate {
            receive_mode: (!same(|modes| modes.receive)).then_some(modes.receive),
            transmit_mode: (!same(|modes| modes.transmit)).then_some(modes.transmit),
            accept_any_vlan: (before.map(|old| old.any_vlan) != Some(modes.any_vlan))
                .then_some(modes.any_vlan),
            multicast: (before.map(|old| old.bins) != Some(modes.bins)).then_some(modes.bins),
            ..VportUpdate::default()
        };
        // Until the firmware has answered, nobody knows.
        self.applied.modes = None;
        self.report.ramrods += 1;
        let vport = self.applied.vport.0;
        self.running
            .update_vport(&mut Context(self.core), vport, &update)
            .map_err(|error| (error, None))?;
        self.applied.modes = Some(modes);
        Ok(())
    }
}

/// What a refusal means for the filter.
enum Verdict {
    /// The table is as it should be.
    AsWanted,
    /// The table has no room.
    Full,
    /// Something else.
    Refused,
}

fn verdict(error: &RamrodError) -> Verdict {
    let RamrodError::Refused {
        code: FirmwareReturnCode::Eth { code, .. },
        ..
    } = error
    else {
        return Verdict::Refused;
    };
    match code {
        EthReturnCode::MacAddDuplicate
        | EthReturnCode::MacAddDuplicateSecondTable
        | EthReturnCode::VlanAddDuplicate
        | EthReturnCode::MacDeleteNotFound
        | EthReturnCode::MacDeleteNotFoundSecondTable
        | EthReturnCode::MacDeleteNotFoundThirdTable
        | EthReturnCode::VlanDeleteNotFound
        | EthReturnCode::VlanDeleteNotFoundSecondTable => Verdict::AsWanted,
        EthReturnCode::MacAddCamFull
        | EthReturnCode::MacAddSecondTableFull
        | EthReturnCode::VlanAddFull => Verdict::Full,
        _ => Verdict::Refused,
    }
}
