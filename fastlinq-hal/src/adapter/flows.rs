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
use crate::steering::{FlowAction, FlowHandle, FlowMatch, FlowProfile, Flows, Place};
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
        let (filter, place) = target(running, action)?;
        let wanted = matching.profile();
        let flows = running.flows.as_ref().ok_or(Misuse::NoSteering)?;
        let number = flows.free().ok_or(Misuse::TooManyFlows)?;
        match flows.profile {
            Some(profile) if profile == wanted => {}
            Some(_) if flows.count() > 0 => return Err(Misuse::FlowProfile.into()),
            _ => set_profile(core, running, Some(wanted))?,
        }
        let filter = FlowFilter {
            flow: Some(number),
            ..filter
        };
        let result = running.update_flow(&mut Context(core), filter, &matching);
        match result {
            Ok(()) => note(running, number, place),
            // It may be there.
            Err(RamrodError::TimedOut { .. } | RamrodError::DeviceGone { .. }) => {
                note(running, number, Place::Unknown);
            }
            Err(_) => {}
        }
        result?;
        debug!("flow {} is steered", number);
        Ok(FlowHandle {
            place: number,
            bring_up,
            matching,
            action,
        })
    }

    /// Ends the steering of a flow: RX_UPDATE_GFT_FILTER. With the last one the parser stops looking for flows.
    ///
    /// # Errors
    ///
    /// The handle comes back. [`Misuse::NoSuchFlow`] for one of an earlier bring-up, or the ramrod's failure.
    pub fn remove_flow(&mut self, flow: FlowHandle) -> Result<(), (FlowHandle, Cause)> {
        match self.try_remove(&flow) {
            Ok(()) => Ok(()),
            Err(cause) => Err((flow, cause)),
        }
    }

    fn try_remove(&mut self, flow: &FlowHandle) -> Result<(), Cause> {
        let bring_up = self.inner.bring_up;
        let (core, running) = self.inner.parts()?;
        let flows = running.flows.as_ref().ok_or(Misuse::NoSteering)?;
        if flow.bring_up != bring_up {
            return Err(Misuse::NoSuchFlow(flow.place).into());
        }
        let used = flows.places.get(usize::from(flow.place));
        if used.is_none_or(|place| *place == Place::Free) {
            return Err(Misuse::NoSuchFlow(flow.place).into());
        }
        let (filter, _) = target(running, flow.action)?;
        let filter = FlowFilter {
            add: false,
            flow: Some(flow.place),
            ..filter
        };
        running.update_flow(&mut Context(core), filter, &flow.matching)?;
        note(running, flow.place, Place::Free);
        if running
            .flows
            .as_ref()
            .is_some_and(|flows| flows.count() == 0)
        {
            set_profile(core, running, None)?;
        }
        Ok(())
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

fn note<H: Host>(running: &mut Running<H>, number: u16, place: Place) {
    if let Some(flows) = &mut running.flows {
        flows.set(number, place);
    }
}

/// The filter without its sample and number, and what its place is used for.
fn target<H: Host>(
    running: &Running<H>,
    action: FlowAction,
) -> Result<(FlowFilter, Place), Misuse> {
    let nowhere = FlowFilter {
        sample: fastlinq_pac::BusAddress(0),
        sample_bytes: 0,
        add: true,
        vport: DROP_VPORT,
        queue: None,
        flow: None,
    };
    match action {
        FlowAction::Drop => Ok((nowhere, Place::Drop)),
        FlowAction::Vport(VportId(vport)) => {
            let state = running.vport(vport);
            state.ok_or(Misuse::NoSuchVport(VportId(vport)))?;
            let filter = FlowFilter {
                vport: running.absolute_vport(vport).into(),
                ..nowhere
            };
            Ok((filter, Place::Vport(vport)))
        }
        FlowAction::Queue(QueuePairId(queue)) => {
            let slot = running.slot(queue).filter(|slot| slot.receiving);
            let vport = slot.and_then(|slot| slot.vport);
            let vport = vport.ok_or(Misuse::NoSuchQueuePair(QueuePairId(queue)))?;
            let filter = FlowFilter {
                vport: running.absolute_vport(vport).into(),
                queue: Some(running.absolute_queue(queue)),
                ..nowhere
            };
            Ok((filter, Place::Queue(queue)))
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
