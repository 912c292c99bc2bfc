//! Vports and their filters, on an adapter that is up.

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inner::Context;
use super::inventory::Inventory;
use super::running::Running;
use super::states::Up;
use super::{MAX_MTU, MIN_MTU};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::debug;
use crate::slowpath::{
    self, FilterCommand, MulticastBins, PacketPathStatistics, RssUpdate, VportStatistics,
    VportUpdate,
};
use crate::vport::{ReceiveMode, RssConfig, VportConfig, VportId};

/// Most multicast addresses before all multicast frames are received instead.
pub const MULTICAST_ADDRESSES: usize = 64;

const MULTICAST_BIT: u8 = 1;

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Starts a vport: VPORT_START. It is inactive, receives nothing and has no filters.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoFreeVport`] and [`Misuse::Mtu`], or the ramrod's failure.
    pub fn start_vport(&mut self, config: VportConfig) -> Result<VportId, Cause> {
        check_mtu(config.mtu)?;
        let (core, running) = self.inner.parts()?;
        let free = running.vports.iter().position(Option::is_none);
        let vport = free.ok_or(Misuse::NoFreeVport)? as u8;
        let absolute = u32::from(running.absolute_vport(vport));
        running.start_vport(&mut Context(core), vport, config)?;
        slowpath::clear_vport(&core.windows, running.numbers.layout, absolute);
        debug!("vport {} started", absolute);
        Ok(VportId(vport))
    }

    /// Makes a vport receive and transmit: VPORT_UPDATE.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], or the ramrod's failure.
    pub fn activate_vport(&mut self, vport: VportId) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        Ok(running.set_vport_active(&mut Context(core), vport.0, true)?)
    }

    /// Makes a vport neither receive nor transmit: VPORT_UPDATE.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], or the ramrod's failure.
    pub fn deactivate_vport(&mut self, vport: VportId) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        Ok(running.set_vport_active(&mut Context(core), vport.0, false)?)
    }

    /// Stops a vport: VPORT_STOP. The device forgets its filters and modes. All its queue pairs must be closed.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], [`Misuse::VportInUse`], or the ramrod's failure.
    pub fn stop_vport(&mut self, vport: VportId) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        if running
            .queues
            .iter()
            .any(|slot| slot.vport == Some(vport.0))
        {
            return Err(Misuse::VportInUse(vport).into());
        }
        if running.vport(vport.0).is_some_and(|state| state.active) {
            running.set_vport_active(&mut Context(core), vport.0, false)?;
        }
        Ok(running.stop_vport(&mut Context(core), vport.0)?)
    }

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

    /// Changes the MTU of a vport in bytes: VPORT_UPDATE. An active vport is inactive for that moment.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], [`Misuse::Mtu`], or the ramrod's failure.
    pub fn set_mtu(&mut self, vport: VportId, mtu: u16) -> Result<(), Cause> {
        check_mtu(Some(mtu))?;
        let (core, running) = self.inner.vport(vport)?;
        let active = running.vport(vport.0).is_some_and(|state| state.active);
        let context = &mut Context(core);
        if active {
            running.set_vport_active(context, vport.0, false)?;
        }
        let update = VportUpdate {
            mtu: Some(mtu),
            ..VportUpdate::default()
        };
        let result = running.update_vport(context, vport.0, &update);
        if active {
            running.set_vport_active(context, vport.0, true)?;
        }
        Ok(result?)
    }

    /// Spreads a vport's frames over its queue pairs by a hash of their headers: VPORT_UPDATE.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], [`Misuse::NoRssEngine`], [`Misuse::EmptyRssTable`], [`Misuse::NoSuchQueuePair`] for a table
    /// entry that is not open on this vport, or the ramrod's failure.
    pub fn set_rss(&mut self, vport: VportId, config: &RssConfig<'_>) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        let engine = running.numbers.rss_engine.ok_or(Misuse::NoRssEngine)?;
        if config.queues.is_empty() {
            return Err(Misuse::EmptyRssTable.into());
        }
        let mut table = [0; 128];
        for (entry, queue) in table.iter_mut().zip(config.queues.iter().cycle()) {
            let open = running
                .slot(queue.0)
                .is_some_and(|slot| slot.vport == Some(vport.0));
            if !open {
                return Err(Misuse::NoSuchQueuePair(*queue).into());
            }
            *entry = running.absolute_queue(queue.0);
        }
        let rss = RssUpdate {
            engine,
            enabled: true,
            capabilities: config.hashed.bits(),
            table,
            key: *config.key,
        };
        let update = VportUpdate {
            rss: Some(rss),
            ..VportUpdate::default()
        };
        Ok(running.update_vport(&mut Context(core), vport.0, &update)?)
    }

    /// Counters of a vport since it was started.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`].
    pub fn vport_statistics(&mut self, vport: VportId) -> Result<VportStatistics, Cause> {
        let (core, running) = self.inner.vport(vport)?;
        let id = u32::from(running.absolute_vport(vport.0));
        let statistics = slowpath::read_vport(&core.windows, running.numbers.layout, id);
        core.windows.check()?;
        Ok(statistics)
    }

    /// Counters of the port's packet path that belong to no vport.
    ///
    /// # Errors
    ///
    /// Only when the device is gone.
    pub fn packet_path_statistics(&mut self) -> Result<PacketPathStatistics, Cause> {
        let (core, running) = self.inner.parts()?;
        let port = u32::from(running.numbers.statistics_port);
        let statistics = slowpath::read_port(&core.windows, running.numbers.layout, port);
        core.windows.check()?;
        Ok(statistics)
    }

    fn filters(&mut self, vport: VportId, commands: &[FilterCommand]) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        Ok(running.update_filters(&mut Context(core), vport.0, commands)?)
    }
}

fn unicast(address: [u8; 6]) -> Result<(), Cause> {
    let [first, ..] = address;
    if first & MULTICAST_BIT != 0 || address == [0; 6] {
        return Err(Misuse::NotUnicast(address).into());
    }
    Ok(())
}

pub(super) fn check_mtu(mtu: Option<u16>) -> Result<(), Cause> {
    match mtu {
        Some(mtu) if !(MIN_MTU..=MAX_MTU).contains(&mtu) => Err(Misuse::Mtu(mtu).into()),
        _ => Ok(()),
    }
}

impl<H: Host> super::inner::Inner<H> {
    /// The parts of an adapter that is up.
    pub(super) fn parts(&mut self) -> Result<(&mut Core<H>, &mut Running<H>), Cause> {
        match &mut self.running {
            Some(running) => Ok((&mut self.core, running)),
            None => Err(Misuse::NotUp.into()),
        }
    }

    /// The parts of an adapter on which a vport is started.
    pub(super) fn vport(
        &mut self,
        vport: VportId,
    ) -> Result<(&mut Core<H>, &mut Running<H>), Cause> {
        let (core, running) = self.parts()?;
        if running.vport(vport.0).is_none() {
            return Err(Misuse::NoSuchVport(vport).into());
        }
        Ok((core, running))
    }
}
