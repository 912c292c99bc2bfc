//! Counters, on an adapter that is up.

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inventory::Inventory;
use super::running::Running;
use super::states::Up;
use crate::core_state::Core;
use crate::host::Host;
use crate::mfw::port_statistics::{self, PortStatistics};
use crate::queue::QueuePairId;
use crate::slowpath::{
    self, FunctionStatistics, PacketPathStatistics, QueueStatistics, Together, VportStatistics,
};
use crate::vport::VportId;

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Counters of a vport since it was started, all of its queue pairs together.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`](super::Misuse::NoSuchVport).
    pub fn vport_statistics(&mut self, vport: VportId) -> Result<VportStatistics, Cause> {
        let (core, running) = self.inner.vport(vport)?;
        let layout = running.numbers.layout;
        let counted = running.counted.iter().find(|(of, _)| *of == vport.0);
        let closed = counted.map(|(_, closed)| *closed).unwrap_or_default();
        let sum = ids_of(running, vport.0).fold(closed, |sum, id| {
            sum.and(&slowpath::read_vport(&core.windows, layout, id))
        });
        core.windows.check()?;
        Ok(sum)
    }

    /// Counters of an open queue pair since it was opened, as the storm firmware keeps them.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchQueuePair`], or [`Misuse::NoQueueStatistics`] without
    /// [`queue_statistics`](super::AdapterConfig::queue_statistics) or when no id was left for the queue pair; queue
    /// pairs of up to four vports can have one.
    pub fn queue_statistics(&mut self, queue: QueuePairId) -> Result<QueueStatistics, Cause> {
        let (core, running) = self.inner.parts()?;
        let slot = running.slot(queue.index());
        let slot = slot.filter(|slot| slot.vport.is_some());
        let own = slot.ok_or(Misuse::NoSuchQueuePair(queue))?.statistics;
        let id = running.absolute_vport(own.ok_or(Misuse::NoQueueStatistics(queue))?);
        let layout = running.numbers.layout;
        let statistics = slowpath::read_vport(&core.windows, layout, id.into());
        core.windows.check()?;
        Ok(statistics.into())
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

    /// Sets the counters of a vport, and of its queue pairs, to 0. Frames that are counted while this runs may be in some of them and not in others;
    /// where that matters, take the difference of two readings with [`Since`](crate::slowpath::Since) instead.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`](super::Misuse::NoSuchVport).
    pub fn clear_vport_statistics(&mut self, vport: VportId) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        let layout = running.numbers.layout;
        for id in ids_of(running, vport.0) {
            slowpath::clear_vport(&core.windows, layout, id);
        }
        for (_, closed) in counted_of(running, vport.0) {
            *closed = VportStatistics::default();
        }
        Ok(core.windows.check()?)
    }

    /// Counters of the function: switched frames and tunnels.
    ///
    /// # Errors
    ///
    /// Only when the device is gone.
    pub fn function_statistics(&mut self) -> Result<FunctionStatistics, Cause> {
        let (core, running) = self.inner.parts()?;
        let function = u32::from(running.numbers.relative_pf);
        let layout = running.numbers.layout;
        let statistics = slowpath::read_function(&core.windows, layout, function);
        core.windows.check()?;
        Ok(statistics)
    }

    /// Counters of the port's MAC, for all functions of the port together.
    ///
    /// # Errors
    ///
    /// Only when the shared memory cannot be read.
    pub fn port_statistics(&mut self) -> Result<PortStatistics, Cause> {
        Ok(port_statistics::read(&self.inner.core)?)
    }
}

/// The statistics ids under which a vport's frames are counted.
fn ids_of<H: Host>(running: &Running<H>, vport: u8) -> impl Iterator<Item = u32> {
    let slots = running.queues.iter();
    let of_queues = slots
        .filter(move |slot| slot.vport == Some(vport))
        .filter_map(|slot| slot.statistics);
    core::iter::once(vport)
        .chain(of_queues)
        .map(|id| running.absolute_vport(id).into())
}

/// Where it is kept what a vport's closed queue pairs counted: in one place at most.
fn counted_of<H: Host>(
    running: &mut Running<H>,
    vport: u8,
) -> impl Iterator<Item = &mut (u8, VportStatistics)> {
    let all = running.counted.iter_mut();
    all.filter(move |(of, _)| *of == vport)
}

/// Gives a queue pair that is to be opened a statistics id of its own, if it is to have one, one is left, and there is a
/// place for what it will have counted when it is closed.
pub(super) fn give_id<H: Host>(core: &Core<H>, running: &mut Running<H>, queue: u16, vport: u8) {
    if !running.numbers.queue_statistics {
        return;
    }
    let place = (vport, VportStatistics::default());
    let has_place =
        counted_of(running, vport).next().is_some() || running.counted.push(place).is_ok();
    let id = running.free_statistics_id().filter(|_| has_place);
    if let Some(id) = id {
        let absolute = running.absolute_vport(id).into();
        slowpath::clear_vport(&core.windows, running.numbers.layout, absolute);
    }
    running.mark(queue, |slot| slot.statistics = id);
}

/// Takes the statistics id of a queue pair that was closed; what it counted stays with its vport.
pub(super) fn take_id<H: Host>(
    core: &Core<H>,
    running: &mut Running<H>,
    queue: u16,
    vport: Option<u8>,
) {
    let Some(id) = running.slot(queue).and_then(|slot| slot.statistics) else {
        return;
    };
    let absolute = running.absolute_vport(id).into();
    let counted = slowpath::read_vport(&core.windows, running.numbers.layout, absolute);
    let kept = vport.and_then(|vport| counted_of(running, vport).next());
    if let Some((_, closed)) = kept {
        *closed = closed.and(&counted);
    }
    running.mark(queue, |slot| slot.statistics = None);
}
