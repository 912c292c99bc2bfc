//! Receive-side scaling, on an adapter that is up.

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inner::Context;
use super::inventory::Inventory;
use super::running::Running;
use super::states::Up;
use crate::host::Host;
use crate::queue::QueuePairId;
use crate::vport::{RSS_TABLE_ENTRIES, RssConfig, RssState, VportId};

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Spreads a vport's frames over its queue pairs by a hash of their headers: VPORT_UPDATE.
    ///
    /// The hash is Toeplitz over the addresses, and the ports of TCP and UDP as far as `hashed` has them; a frame without
    /// a hash goes to the vport's default queue pair. Of a recognised tunnel the inner headers are hashed.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], [`Misuse::NoRssEngine`], [`Misuse::RssEngineTaken`], [`Misuse::RssTable`],
    /// [`Misuse::NoSuchQueuePair`] for a table entry that is not open on this vport, or the ramrod's failure, after which
    /// the old setting counts.
    pub fn set_rss(&mut self, vport: VportId, config: &RssConfig<'_>) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        let engine = running.numbers.rss_engine.ok_or(Misuse::NoRssEngine)?;
        match running.rss {
            Some(rss) if rss.vport != vport => return Err(Misuse::RssEngineTaken(rss.vport).into()),
            _ => {}
        }
        let state = RssState {
            vport,
            hashed: config.hashed,
            key: *config.key,
            table: table(running, vport, config.queues)?,
        };
        Ok(running.start_rss(&mut Context(core), engine, &state)?)
    }

    /// Changes the table of receive-side scaling and leaves key and hashed headers: VPORT_UPDATE.
    ///
    /// # Errors
    ///
    /// Those of [`set_rss`](Self::set_rss), and [`Misuse::NoRss`].
    pub fn set_rss_table(&mut self, vport: VportId, queues: &[QueuePairId]) -> Result<(), Cause> {
        let state = self.rss(vport)?.ok_or(Misuse::NoRss(vport))?;
        let config = RssConfig {
            queues,
            hashed: state.hashed,
            key: &state.key,
        };
        self.set_rss(vport, &config)
    }

    /// Ends receive-side scaling: VPORT_UPDATE. All frames go to the vport's default queue pair.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`], or the ramrod's failure.
    pub fn disable_rss(&mut self, vport: VportId) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        match (running.rss, running.numbers.rss_engine) {
            (Some(rss), Some(engine)) if rss.vport == vport => {
                Ok(running.stop_rss(&mut Context(core), engine, &rss)?)
            }
            _ => Ok(()),
        }
    }

    /// What receive-side scaling of a vport is set to; `None` when it is off.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`].
    pub fn rss(&mut self, vport: VportId) -> Result<Option<RssState>, Cause> {
        let (_, running) = self.inner.vport(vport)?;
        Ok(running.rss.filter(|rss| rss.vport == vport))
    }

    /// The queue pair that takes a vport's frames without a hash; `None` when none is open.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`].
    pub fn default_queue_pair(&mut self, vport: VportId) -> Result<Option<QueuePairId>, Cause> {
        let (_, running) = self.inner.vport(vport)?;
        let state = running.vport(vport.0);
        Ok(state.and_then(|state| state.default_queue).map(QueuePairId))
    }
}

/// The table that repeats queue pairs in order, all of which must be open on the vport.
fn table<H: Host>(
    running: &Running<H>,
    vport: VportId,
    queues: &[QueuePairId],
) -> Result<[QueuePairId; RSS_TABLE_ENTRIES], Misuse> {
    if queues.is_empty() || queues.len() > RSS_TABLE_ENTRIES {
        return Err(Misuse::RssTable {
            queues: queues.len(),
        });
    }
    let closed = |queue: &&QueuePairId| {
        let slot = running.slot(queue.0);
        !slot.is_some_and(|slot| slot.vport == Some(vport.0) && slot.receiving)
    };
    if let Some(queue) = queues.iter().find(closed) {
        return Err(Misuse::NoSuchQueuePair(*queue));
    }
    let mut table = [QueuePairId(0); RSS_TABLE_ENTRIES];
    for (entry, queue) in table.iter_mut().zip(queues.iter().cycle()) {
        *entry = *queue;
    }
    Ok(table)
}
