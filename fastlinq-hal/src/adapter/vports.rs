//! Vports, on an adapter that is up.

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inner::Context;
use super::inventory::Inventory;
use super::queues::check_buffers;
use super::running::Running;
use super::states::Up;
use super::{MAX_MTU, MIN_MTU};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::debug;
use crate::mfw::notify;
use crate::queue::QueuePairId;
use crate::slowpath::{self, AggregationUpdate, VportUpdate};
use crate::steering::FlowAction;
use crate::vport::{Aggregation, VportConfig, VportId};

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Starts a vport: VPORT_START. It is inactive, receives nothing and has no filters.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoFreeVport`], [`Misuse::Mtu`], [`Misuse::Aggregation`], or the ramrod's failure.
    pub fn start_vport(&mut self, config: VportConfig) -> Result<VportId, Cause> {
        check_mtu(config.mtu)?;
        let (core, running) = self.inner.parts()?;
        let mtu = config.mtu.unwrap_or(running.numbers.mtu);
        if config.aggregation.is_some_and(|wish| !wish.fits(mtu)) {
            return Err(Misuse::Aggregation.into());
        }
        let mut places = running.vports.iter().enumerate();
        let free = places
            .find(|(place, state)| state.is_none() && !running.counts_for_queue(*place as u8));
        let vport = free.ok_or(Misuse::NoFreeVport)?.0 as u8;
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
    /// [`Misuse::NoSuchVport`], [`Misuse::VportInUse`], [`Misuse::VportSteered`] when flows go to it, or the ramrod's failure.
    pub fn stop_vport(&mut self, vport: VportId) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        if running
            .queues
            .iter()
            .any(|slot| slot.vport == Some(vport.0))
        {
            return Err(Misuse::VportInUse(vport).into());
        }
        let flows = running.flows.as_ref();
        if flows.is_some_and(|flows| flows.count_to(FlowAction::Vport(vport)) > 0) {
            return Err(Misuse::VportSteered(vport).into());
        }
        if running.vport(vport.0).is_some_and(|state| state.active) {
            running.set_vport_active(&mut Context(core), vport.0, false)?;
        }
        Ok(running.stop_vport(&mut Context(core), vport.0)?)
    }

    /// Changes the MTU of a vport in bytes: VPORT_UPDATE. An active vport is inactive for that moment, in both directions;
    /// frames that arrive or are posted then are lost. The management firmware is told when it is the first vport's.
    ///
    /// Queue pairs keep their buffers. Close and open them again with other ones where they are too small; see
    /// [`restart_queue_pair`](Self::restart_queue_pair).
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], [`Misuse::Mtu`], [`Misuse::SmallBuffers`] when an open queue pair could not receive such
    /// frames, [`Misuse::Aggregation`], or the ramrod's failure.
    pub fn set_mtu(&mut self, vport: VportId, mtu: u16) -> Result<(), Cause> {
        check_mtu(Some(mtu))?;
        let (core, running) = self.inner.vport(vport)?;
        let Some(state) = running.vport(vport.0) else {
            return Err(Misuse::NoSuchVport(vport).into());
        };
        let (active, aggregation) = (state.active, state.aggregation);
        check_vport_buffers(running, vport, mtu, aggregation)?;
        let context = &mut Context(core);
        if active {
            running.set_vport_active(context, vport.0, false)?;
        }
        let update = VportUpdate {
            mtu: Some(mtu),
            ..VportUpdate::default()
        };
        let result = running.update_vport(context, vport.0, &update);
        if let (Ok(()), Some(state)) = (&result, running.vport_mut(vport.0)) {
            state.mtu = mtu;
        }
        if active {
            running.set_vport_active(context, vport.0, true)?;
        }
        result?;
        if vport.0 == 0 {
            let _ = notify::mtu(core, mtu)?;
        }
        Ok(())
    }

    /// Takes 802.1Q tags off received frames and reports them in the completion, or leaves them in the frames:
    /// VPORT_UPDATE.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], or the ramrod's failure.
    pub fn set_vlan_stripping(&mut self, vport: VportId, strip: bool) -> Result<(), Cause> {
        self.update(
            vport,
            &VportUpdate {
                strip_vlan: Some(strip),
                ..VportUpdate::default()
            },
        )
    }

    /// Switches frames to other vports inside the chip, or sends all of them out of the port: VPORT_UPDATE.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], or the ramrod's failure.
    pub fn set_transmit_switching(&mut self, vport: VportId, switching: bool) -> Result<(), Cause> {
        self.update(
            vport,
            &VportUpdate {
                transmit_switching: Some(switching),
                ..VportUpdate::default()
            },
        )
    }

    /// Changes how TCP segments are aggregated, or ends it: VPORT_UPDATE; a change while it is on takes two, because the
    /// parameters may change only while it is off. Open aggregations end, with their completions.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], [`Misuse::Aggregation`], [`Misuse::SmallBuffers`] when a queue pair's buffers do not hold a
    /// whole frame, or the ramrod's failure.
    pub fn set_aggregation(
        &mut self,
        vport: VportId,
        aggregation: Option<Aggregation>,
    ) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        let Some(state) = running.vport(vport.0) else {
            return Err(Misuse::NoSuchVport(vport).into());
        };
        let (mtu, before) = (state.mtu, state.aggregation);
        check_vport_buffers(running, vport, mtu, aggregation)?;
        let off = before.is_some().then_some((AggregationUpdate::Off, None));
        let on = aggregation.map(|wish| (AggregationUpdate::On(wish), Some(wish)));
        for (update, after) in off.into_iter().chain(on) {
            let update = VportUpdate {
                aggregation: Some(update),
                ..VportUpdate::default()
            };
            running.update_vport(&mut Context(core), vport.0, &update)?;
            if let Some(state) = running.vport_mut(vport.0) {
                state.aggregation = after;
            }
        }
        Ok(())
    }

    pub(super) fn update(&mut self, vport: VportId, update: &VportUpdate) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        Ok(running.update_vport(&mut Context(core), vport.0, update)?)
    }
}

/// Whether the open queue pairs of a vport can do with an MTU and an aggregation.
fn check_vport_buffers<H: Host>(
    running: &Running<H>,
    vport: VportId,
    mtu: u16,
    aggregation: Option<Aggregation>,
) -> Result<(), Misuse> {
    if aggregation.is_some_and(|wish| !wish.fits(mtu)) {
        return Err(Misuse::Aggregation);
    }
    for (queue, slot) in running.queues.iter().enumerate() {
        if slot.vport == Some(vport.0) && slot.receiving {
            let held = (slot.buffer_bytes, slot.completion_pages);
            check_buffers(QueuePairId(queue as u16), held, mtu, aggregation)?;
        }
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
