//! Steering of flows, on an adapter that is up.

use fastlinq_pac::hsi::gft_cam_line_mapped as cam;
use fastlinq_pac::registers::prs;
use tock_registers::interfaces::Writeable;

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inner::Context;
use super::inventory::Inventory;
use super::running::Running;
use super::states::Up;
use crate::core_state::Core;
use crate::host::Host;
use crate::log::debug;
use crate::queue::QueuePairId;
use crate::slowpath::{DROP_VPORT, FlowFilter, RamrodError};
use crate::steering::{
    FLOWS, FlowAction, FlowHandle, FlowMatch, FlowProfile, Flows, Place, SAMPLE_BYTES,
};
use crate::vport::VportId;

/// Event that the parser gives a frame of a flow.
const MATCH_EVENT: u32 = 25;
/// Line of the masks that stands for "no profile".
const NO_MATCH_LINE: u32 = 31;
const NO_MATCH_MASK: [u32; 2] = [0xffff_ffff, 0x3ff];

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Steers a flow: RX_UPDATE_GFT_FILTER; before the first flow, the parser's profile is set.
    ///
    /// A frame that vport classification lets through is compared with the flows before receive-side scaling.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSteering`] without [`flow_steering`](super::AdapterConfig::flow_steering),
    /// [`Misuse::TooManyFlows`], [`Misuse::FlowProfile`] when flows of another profile are there,
    /// [`Misuse::NoSuchQueuePair`], [`Misuse::NoSuchVport`], a failed DMAE operation, or the ramrod's failure: a flow that
    /// exists already is refused with [`FlowFilterUpdateFailed`](crate::slowpath::EthReturnCode::FlowFilterUpdateFailed).
    pub fn add_flow(
        &mut self,
        matching: FlowMatch,
        action: FlowAction,
    ) -> Result<FlowHandle, Cause> {
        let bring_up = self.inner.bring_up;
        let (core, running) = self.inner.parts()?;
        let filter = target(running, action)?;
        let wanted = matching.profile();
        let flows = running.flows.as_ref().ok_or(Misuse::NoSteering)?;
        let (number, serial) = flows.free().ok_or(Misuse::TooManyFlows)?;
        match flows.profile {
            Some(profile) if profile == wanted => {}
            Some(_) if flows.count() > 0 => return Err(Misuse::FlowProfile.into()),
            _ => set_profile(core, running, Some(wanted))?,
        }
        let mut sample = [0; SAMPLE_BYTES];
        let sample_bytes = matching.sample(&mut sample) as u8;
        running.write_sample(number, &sample)?;
        let place = Place {
            action: Some(action),
            serial,
            sample_bytes,
            uncertain: false,
        };
        let result = running.update_flow(&mut Context(core), filter, number, sample_bytes);
        match result {
            Ok(()) => note(running, |flows| flows.set(number, place)),
            // It may be there.
            Err(RamrodError::TimedOut { .. } | RamrodError::DeviceGone { .. }) => {
                let uncertain = Place {
                    uncertain: true,
                    ..place
                };
                note(running, |flows| flows.set(number, uncertain));
            }
            Err(_) => {}
        }
        result?;
        debug!("flow {} is steered", number);
        Ok(FlowHandle {
            place: number,
            serial,
            bring_up,
            matching,
            action,
        })
    }

    /// Ends the steering of a flow: RX_UPDATE_GFT_FILTER. With the last one the parser stops looking for flows.
    ///
    /// # Errors
    ///
    /// The handle comes back. [`Misuse::NoSuchFlow`] for one of an earlier bring-up or of a flow that
    /// [`reclaim_flows`](Self::reclaim_flows) removed, or the ramrod's failure.
    pub fn remove_flow(&mut self, flow: FlowHandle) -> Result<(), (FlowHandle, Cause)> {
        match self.try_remove(&flow) {
            Ok(()) => Ok(()),
            Err(cause) => Err((flow, cause)),
        }
    }

    fn try_remove(&mut self, flow: &FlowHandle) -> Result<(), Cause> {
        let bring_up = self.inner.bring_up;
        let (core, running) = self.inner.parts()?;
        let place = held_place(running, bring_up, flow)?;
        remove(core, running, flow.place, place)?;
        stop_looking(core, running)
    }

    /// Ends the steering of every flow but those whose handles are `held`: RX_UPDATE_GFT_FILTER for each; says how many.
    ///
    /// For flows whose handles were dropped, and for those of which the firmware did not say whether they are there, because
    /// it gave no answer when they were added. With no handle at all, all flows end.
    ///
    /// A handle that is not shown here is of no use afterwards: [`remove_flow`](Self::remove_flow) says so, even when the
    /// flow's number was given to another.
    ///
    /// # Examples
    ///
    /// ```
    /// use fastlinq_hal::adapter::{Adapter, Cause, Inventory, Up};
    /// use fastlinq_hal::host::Host;
    /// use fastlinq_hal::steering::FlowHandle;
    ///
    /// /// Removes what a program's lost tasks had steered.
    /// fn tidy<I: Inventory, H: Host>(
    ///     adapter: &mut Adapter<Up<I>, H>,
    ///     alive: &[FlowHandle],
    /// ) -> Result<usize, Cause> {
    ///     adapter.reclaim_flows(alive)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSteering`], [`Misuse::NoSuchFlow`] when one of the handles is of an earlier bring-up or was not shown
    /// before (then nothing is removed), or the ramrod's failure: what was removed before it stays removed, and the call may
    /// be made again.
    pub fn reclaim_flows<'h>(
        &mut self,
        held: impl IntoIterator<Item = &'h FlowHandle>,
    ) -> Result<usize, Cause> {
        let bring_up = self.inner.bring_up;
        let (core, running) = self.inner.parts()?;
        let mut kept = [false; FLOWS];
        running.flows.as_ref().ok_or(Misuse::NoSteering)?;
        for flow in held {
            held_place(running, bring_up, flow)?;
            if let Some(kept) = kept.get_mut(usize::from(flow.place)) {
                *kept = true;
            }
        }
        let mut removed = 0;
        for (number, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
            let number = number as u16;
            let flows = running.flows.as_ref();
            let place = flows.and_then(|flows| flows.place(number));
            let Some(place) = place.filter(|place| place.action.is_some()) else {
                continue;
            };
            removed += usize::from(remove(core, running, number, place)?);
        }
        stop_looking(core, running)?;
        debug!("{} flows without a handle are removed", removed);
        Ok(removed)
    }

    /// Flows that are steered, of [`FLOWS`](crate::steering::FLOWS) at most.
    #[must_use]
    pub fn flows(&self) -> usize {
        let running = self.inner.running.as_ref();
        running
            .and_then(|running| running.flows.as_ref())
            .map_or(0, Flows::count)
    }
}

fn note<H: Host>(running: &mut Running<H>, change: impl FnOnce(&mut Flows)) {
    if let Some(flows) = &mut running.flows {
        change(flows);
    }
}

/// The place of a handle's flow.
fn held_place<H: Host>(
    running: &Running<H>,
    bring_up: u32,
    flow: &FlowHandle,
) -> Result<Place, Misuse> {
    let flows = running.flows.as_ref().ok_or(Misuse::NoSteering)?;
    let place = flows.place(flow.place);
    place
        .filter(|place| place.action.is_some() && place.serial == flow.serial)
        .filter(|_| flow.bring_up == bring_up)
        .ok_or(Misuse::NoSuchFlow(flow.place))
}

/// Removes the flow of a place, and says whether it was there. One that is uncertain may be refused, since it may not be there.
fn remove<H: Host>(
    core: &mut Core<H>,
    running: &mut Running<H>,
    number: u16,
    place: Place,
) -> Result<bool, Cause> {
    let Some(action) = place.action else {
        return Ok(false);
    };
    let filter = FlowFilter {
        add: false,
        ..target(running, action)?
    };
    let result = running.update_flow(&mut Context(core), filter, number, place.sample_bytes);
    let was_there = match result {
        Ok(()) => true,
        Err(RamrodError::Refused { .. }) if place.uncertain => false,
        Err(error) => {
            if matches!(
                error,
                RamrodError::TimedOut { .. } | RamrodError::DeviceGone { .. }
            ) {
                let uncertain = Place {
                    uncertain: true,
                    ..place
                };
                note(running, |flows| flows.set(number, uncertain));
            }
            return Err(error.into());
        }
    };
    note(running, |flows| flows.clear(number));
    Ok(was_there)
}

/// Has the parser look for no flows when there are none.
fn stop_looking<H: Host>(core: &mut Core<H>, running: &mut Running<H>) -> Result<(), Cause> {
    match &running.flows {
        Some(flows) if flows.count() == 0 && flows.profile.is_some() => {
            set_profile(core, running, None)
        }
        _ => Ok(()),
    }
}

/// The filter without its sample and number.
fn target<H: Host>(running: &Running<H>, action: FlowAction) -> Result<FlowFilter, Misuse> {
    let nowhere = FlowFilter {
        sample: fastlinq_pac::BusAddress(0),
        sample_bytes: 0,
        add: true,
        vport: DROP_VPORT,
        queue: None,
        flow: None,
    };
    match action {
        FlowAction::Drop => Ok(nowhere),
        FlowAction::Vport(VportId(vport)) => {
            let state = running.vport(vport);
            state.ok_or(Misuse::NoSuchVport(VportId(vport)))?;
            Ok(FlowFilter {
                vport: running.absolute_vport(vport).into(),
                ..nowhere
            })
        }
        FlowAction::Queue(QueuePairId(queue)) => {
            let slot = running.slot(queue).filter(|slot| slot.receiving);
            let vport = slot.and_then(|slot| slot.vport);
            let vport = vport.ok_or(Misuse::NoSuchQueuePair(QueuePairId(queue)))?;
            Ok(FlowFilter {
                vport: running.absolute_vport(vport).into(),
                queue: Some(running.absolute_queue(queue)),
                ..nowhere
            })
        }
    }
}

/// Tells the parser which fields decide, or to look for no flows.
fn set_profile<H: Host>(
    core: &mut Core<H>,
    running: &mut Running<H>,
    profile: Option<FlowProfile>,
) -> Result<(), Cause> {
    let function = u32::from(running.numbers.relative_pf);
    let bus = &core.windows;
    prs::SEARCH_GFT.on(bus).set(0);
    let line = prs::GFT_CAM.address().offset(4 * function);
    let masks = prs::GFT_PROFILE_MASK_RAM.address();
    let Some(wanted) = profile else {
        fastlinq_pac::access::RegisterBus::write32(bus, line, 0);
        core.dmae_write(masks.offset(8 * function), &[0, 0])?;
        note_profile(running, None);
        return Ok(());
    };
    prs::CM_HDR_GFT.on(bus).set(MATCH_EVENT);
    prs::LOAD_L2_FILTER.on(bus).set(0);
    prs::SEARCH_TENANT_ID.on(bus).set(0);
    let cam = cam::VALID.val(1) + cam::PF_ID.val(function) + cam::PF_ID_MASK.val(0xf);
    fastlinq_pac::access::RegisterBus::write32(bus, line, cam.value);
    let (low, high) = wanted.mask();
    core.dmae_write(masks.offset(8 * function), &[low, high])?;
    core.dmae_write(masks.offset(8 * NO_MATCH_LINE), &NO_MATCH_MASK)?;
    prs::SEARCH_GFT.on(&core.windows).set(1);
    note_profile(running, Some(wanted));
    Ok(())
}

fn note_profile<H: Host>(running: &mut Running<H>, profile: Option<FlowProfile>) {
    if let Some(flows) = &mut running.flows {
        flows.profile = profile;
    }
}
