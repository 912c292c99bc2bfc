//! Filters of a vport one at a time, on an adapter that is up.

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inner::Context;
use super::inventory::Inventory;
use super::states::Up;
use crate::host::Host;
use crate::slowpath::{FilterCommand, MulticastBins, VportUpdate};
use crate::vport::{ReceiveMode, VportId};

/// Most multicast addresses before all multicast frames are received instead.
pub const MULTICAST_ADDRESSES: usize = 64;

const MULTICAST_BIT: u8 = 1;

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Sets which frames a vport receives besides those that its filters name: VPORT_UPDATE.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], or the ramrod's failure.
    pub fn set_receive_mode(&mut self, vport: VportId, mode: ReceiveMode) -> Result<(), Cause> {
        let (_, running) = self.inner.vport(vport)?;
        let before = running
            .vport_mut(vport.0)
            .map(|state| core::mem::replace(&mut state.mode, mode));
        let result = self.apply_receive_mode(vport);
        if let (Err(_), Some(before)) = (&result, before) {
            let (_, running) = self.inner.vport(vport)?;
            if let Some(state) = running.vport_mut(vport.0) {
                state.mode = before;
            }
        }
        result
    }

    fn apply_receive_mode(&mut self, vport: VportId) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        running.forget_declared_filters(vport.0);
        let Some(state) = running.vport(vport.0) else {
            return Err(Misuse::NoSuchVport(vport).into());
        };
        let mode = ReceiveMode {
            all_multicast: state.mode.all_multicast
                || (state.mode.multicast && state.multicast_overflow),
            ..state.mode
        };
        let update = VportUpdate {
            receive_mode: Some(mode.receive_bits()),
            transmit_mode: Some(mode.transmit_bits()),
            accept_any_vlan: Some(mode.promiscuous || !state.vlan_filtering),
            ..VportUpdate::default()
        };
        Ok(running.update_vport(&mut Context(core), vport.0, &update)?)
    }

    /// Makes this the only unicast address of a vport: FILTERS_UPDATE with "remove all" and "add".
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], [`Misuse::NotUnicast`], or the ramrod's failure.
    pub fn set_mac_filter(&mut self, vport: VportId, address: [u8; 6]) -> Result<(), Cause> {
        unicast(address)?;
        self.filters(
            vport,
            &[FilterCommand::RemoveAllMacs, FilterCommand::AddMac(address)],
        )
    }

    /// Adds a unicast address to a vport: FILTERS_UPDATE.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], [`Misuse::NotUnicast`], or the ramrod's failure.
    pub fn add_mac_filter(&mut self, vport: VportId, address: [u8; 6]) -> Result<(), Cause> {
        unicast(address)?;
        self.filters(vport, &[FilterCommand::AddMac(address)])
    }

    /// Removes a unicast address from a vport: FILTERS_UPDATE.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], or the ramrod's failure.
    pub fn remove_mac_filter(&mut self, vport: VportId, address: [u8; 6]) -> Result<(), Cause> {
        self.filters(vport, &[FilterCommand::RemoveMac(address)])
    }

    /// Lets frames of a VLAN (0 to 4095, 0 being untagged) pass to a vport: FILTERS_UPDATE. From the first one on, others
    /// do not pass any more.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], [`Misuse::Vlan`], or the ramrod's failure.
    pub fn add_vlan_filter(&mut self, vport: VportId, vlan: u16) -> Result<(), Cause> {
        if vlan > 4095 {
            return Err(Misuse::Vlan(vlan).into());
        }
        self.filters(vport, &[FilterCommand::AddVlan(vlan)])?;
        let (_, running) = self.inner.vport(vport)?;
        let first = running
            .vport_mut(vport.0)
            .is_some_and(|state| !core::mem::replace(&mut state.vlan_filtering, true));
        if first {
            self.apply_receive_mode(vport)?;
        }
        Ok(())
    }

    /// Removes a VLAN from a vport: FILTERS_UPDATE.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], or the ramrod's failure.
    pub fn remove_vlan_filter(&mut self, vport: VportId, vlan: u16) -> Result<(), Cause> {
        self.filters(vport, &[FilterCommand::RemoveVlan(vlan)])
    }

    /// Sets the multicast addresses of a vport: VPORT_UPDATE with empty bins, then with those of the addresses.
    ///
    /// Other addresses may share a bin, so some unwanted frames pass. More than [`MULTICAST_ADDRESSES`] make the vport
    /// receive all multicast frames until the next call.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], or the ramrod's failure.
    pub fn set_multicast(&mut self, vport: VportId, addresses: &[[u8; 6]]) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        running.forget_declared_filters(vport.0);
        let too_many = addresses.len() > MULTICAST_ADDRESSES;
        let bins = if too_many {
            MulticastBins::empty()
        } else {
            MulticastBins::from_addresses(addresses)
        };
        for multicast in [MulticastBins::empty(), bins] {
            let update = VportUpdate {
                multicast: Some(multicast),
                ..VportUpdate::default()
            };
            running.update_vport(&mut Context(core), vport.0, &update)?;
        }
        let changed = running.vport_mut(vport.0).is_some_and(|state| {
            core::mem::replace(&mut state.multicast_overflow, too_many) != too_many
        });
        if changed {
            self.apply_receive_mode(vport)?;
        }
        Ok(())
    }

    fn filters(&mut self, vport: VportId, commands: &[FilterCommand]) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        running.forget_declared_filters(vport.0);
        Ok(running.update_filters(&mut Context(core), vport.0, commands)?)
    }
}

pub(super) fn unicast(address: [u8; 6]) -> Result<(), Cause> {
    let [first, ..] = address;
    if first & MULTICAST_BIT != 0 || address == [0; 6] {
        return Err(Misuse::NotUnicast(address).into());
    }
    Ok(())
}
