//! Queue pairs that stop for a moment, on an adapter that is up.

use core::fmt;

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inner::Context;
use super::inventory::Inventory;
use super::queues::{CloseFailed, OpenFailed, check_request};
use super::states::Up;
use crate::host::Host;
use crate::queue::{QueuePairId, QueuePairRequest, QueuePort};
use crate::vport::{RssState, VportId};

/// The part that a queue pair has in its vport, beyond its rings.
///
/// Closing a queue pair hands it to others: [`Adapter::queue_pair_place`] notes it before, and
/// [`Adapter::restore_place`] gives it back to the queue pair that was opened under the same number.
#[derive(Clone, Copy, Debug)]
pub struct QueuePlace {
    queue: QueuePairId,
    vport: VportId,
    /// Receive-side scaling, if the queue pair takes part.
    rss: Option<RssState>,
    /// Whether it takes the frames without a hash.
    default: bool,
    /// Whether the vport receives and transmits.
    active: bool,
}

impl QueuePlace {
    /// The queue pair.
    #[must_use]
    pub const fn queue(&self) -> QueuePairId {
        self.queue
    }

    /// The vport.
    #[must_use]
    pub const fn vport(&self) -> VportId {
        self.vport
    }

    /// The state of receive-side scaling with the queue pair's entries of the table as they were: those of others stay as
    /// they are `now`. `None` when it took no part, or when scaling has ended or belongs to another vport since.
    fn rss(&self, now: Option<RssState>) -> Option<RssState> {
        let before = self.rss?;
        let Some(mut state) = now else {
            // It ended because nobody was left.
            let alone = before.table.iter().all(|entry| *entry == self.queue);
            return alone.then_some(before);
        };
        if state.vport != before.vport {
            return None;
        }
        for (entry, before) in state.table.iter_mut().zip(before.table) {
            if before == self.queue {
                *entry = before;
            }
        }
        Some(state)
    }
}

/// A queue pair that could not be restarted.
pub enum RestartFailed<H: Host> {
    /// It could not be closed, and is as it was.
    NotClosed(CloseFailed<H>),
    /// It is closed, and could not be opened again.
    NotOpened(OpenFailed),
}

impl<H: Host> RestartFailed<H> {
    /// Why.
    #[must_use]
    pub const fn cause(&self) -> &Cause {
        match self {
            Self::NotClosed(failed) => &failed.cause,
            Self::NotOpened(failed) => &failed.cause,
        }
    }
}

impl<H: Host> fmt::Debug for RestartFailed<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotClosed(failed) => f.debug_tuple("NotClosed").field(failed).finish(),
            Self::NotOpened(failed) => f.debug_tuple("NotOpened").field(failed).finish(),
        }
    }
}

impl<H: Host> fmt::Display for RestartFailed<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.cause(), f)
    }
}

impl<H: Host> core::error::Error for RestartFailed<H> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(self.cause())
    }
}

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// The part that an open queue pair has in its vport: entries of the table of receive-side scaling, frames without a
    /// hash, and whether the vport is active.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchQueuePair`].
    pub fn queue_pair_place(&mut self, queue: QueuePairId) -> Result<QueuePlace, Cause> {
        let (_, running) = self.inner.parts()?;
        let vport = running.slot(queue.index()).and_then(|slot| slot.vport);
        let vport = vport.ok_or(Misuse::NoSuchQueuePair(queue))?;
        let state = running.vport(vport);
        let rss = running.rss;
        Ok(QueuePlace {
            queue,
            vport: VportId(vport),
            rss: rss.filter(|rss| rss.vport.0 == vport && rss.names(queue)),
            default: state.is_some_and(|state| state.default_queue == Some(queue.index())),
            active: state.is_some_and(|state| state.active),
        })
    }

    /// Gives a queue pair the part in its vport back that it had: RX_QUEUE_UPDATE for the frames without a hash,
    /// VPORT_UPDATE for its entries of the table of receive-side scaling and for the vport's being active, each only when
    /// something is to change. Other queue pairs' entries stay as they are.
    ///
    /// Publish the producers before: frames come at once.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchQueuePair`] when it is not open on that vport, or a ramrod's failure; may be tried again.
    pub fn restore_place(&mut self, place: &QueuePlace) -> Result<(), Cause> {
        let (core, running) = self.inner.parts()?;
        let queue = place.queue.index();
        let open = running
            .slot(queue)
            .is_some_and(|slot| slot.vport == Some(place.vport.0) && slot.receiving);
        let state = running.vport(place.vport.0).copied();
        let (true, Some(state)) = (open, state) else {
            return Err(Misuse::NoSuchQueuePair(place.queue).into());
        };
        if place.default && state.default_queue != Some(queue) {
            running.make_default(&mut Context(core), place.vport.0, queue)?;
        }
        let rss = place.rss(running.rss);
        if let (Some(rss), Some(engine)) = (rss, running.numbers.rss_engine) {
            if running.rss != Some(rss) {
                running.start_rss(&mut Context(core), engine, &rss)?;
            }
        }
        if place.active && !state.active {
            running.set_vport_active(&mut Context(core), place.vport.0, true)?;
        }
        Ok(())
    }

    /// Whether other rings could be opened under an open queue pair's number; touches nothing.
    ///
    /// # Errors
    ///
    /// What [`open_queue_pair_at`](Self::open_queue_pair_at) would say to the request before the device hears of it.
    pub fn check_restart(
        &mut self,
        queue: QueuePairId,
        request: &QueuePairRequest,
    ) -> Result<(), Cause> {
        let (_, running) = self.inner.parts()?;
        let vport = running.slot(queue.index()).and_then(|slot| slot.vport);
        let vport = vport.ok_or(Misuse::NoSuchQueuePair(queue))?;
        Ok(check_request(
            running,
            VportId(vport),
            queue.index(),
            request,
        )?)
    }

    /// Closes a queue pair and opens it again with other rings: under the same number, with the same vector.
    ///
    /// As after [`open_queue_pair_at`](Self::open_queue_pair_at), the producers are to be published; then
    /// [`restore_place`](Self::restore_place), with what [`queue_pair_place`](Self::queue_pair_place) gave before, lets the
    /// queue pair take the part in its vport that it had.
    ///
    /// # Errors
    ///
    /// [`RestartFailed`], which tells whether the old queue pair is still there.
    pub fn restart_queue_pair(
        &mut self,
        port: QueuePort<H>,
        request: &QueuePairRequest,
    ) -> Result<QueuePort<H>, RestartFailed<H>> {
        let id = port.id();
        let vport = match self.inner.parts() {
            Ok((_, running)) => running.slot(id.index()).and_then(|slot| slot.vport),
            Err(cause) => return Err(RestartFailed::NotClosed(CloseFailed { port, cause })),
        };
        self.close_queue_pair(port)
            .map_err(RestartFailed::NotClosed)?;
        self.open_queue_pair_at(VportId(vport.unwrap_or(0)), id, request)
            .map_err(RestartFailed::NotOpened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vport::HashedHeaders;

    const fn queue(number: u16) -> QueuePairId {
        QueuePairId(number)
    }

    fn rss(of: impl Fn(usize) -> u16) -> RssState {
        RssState {
            vport: VportId(1),
            hashed: HashedHeaders::default(),
            key: [7; 40],
            table: core::array::from_fn(|entry| queue(of(entry))),
        }
    }

    fn place(rss: Option<RssState>) -> QueuePlace {
        QueuePlace {
            queue: queue(2),
            vport: VportId(1),
            rss,
            default: false,
            active: true,
        }
    }

    #[test]
    fn a_place_takes_its_own_entries_back_and_no_others() {
        let before = rss(|entry| entry as u16 % 4);
        let meanwhile = before.without(queue(2), None).expect("others are left");
        assert!(!meanwhile.names(queue(2)));
        assert_eq!(place(Some(before)).rss(Some(meanwhile)), Some(before));
        // What others changed since counts.
        let changed = rss(|_| 5);
        let after = place(Some(before)).rss(Some(changed)).expect("a table");
        for (entry, now) in after.table.iter().enumerate() {
            assert_eq!(*now, queue(if entry % 4 == 2 { 2 } else { 5 }));
        }
    }

    #[test]
    fn a_place_begins_scaling_anew_only_when_it_was_alone_in_it() {
        let alone = rss(|_| 2);
        assert_eq!(place(Some(alone)).rss(None), Some(alone));
        let several = rss(|entry| entry as u16 % 4);
        assert_eq!(place(Some(several)).rss(None), None);
        assert_eq!(place(None).rss(Some(several)), None);
        let elsewhere = RssState {
            vport: VportId(3),
            ..several
        };
        assert_eq!(place(Some(several)).rss(Some(elsewhere)), None);
    }
}
