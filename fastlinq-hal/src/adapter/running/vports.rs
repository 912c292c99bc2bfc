//! The ramrods that start, change and stop vports.

use super::Running;
use crate::host::Host;
use crate::queue::QueuePairId;
use crate::slowpath::{
    self, FilterCommand, Ramrod, RamrodError, RssUpdate, VportUpdate, WaitContext,
};
use crate::vport::{ReceiveMode, RssState, VportConfig, VportState};

impl<H: Host> Running<H> {
    /// VPORT_START for the vport in a free place.
    pub(crate) fn start_vport(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        config: VportConfig,
    ) -> Result<(), RamrodError> {
        let mtu = config.mtu.unwrap_or(self.numbers.mtu);
        let data = slowpath::vport_start(&slowpath::VportStart {
            vport: self.absolute_vport(vport),
            function: self.numbers.relative_pf,
            mtu,
            strip_vlan: config.strip_vlan,
            only_untagged: config.only_untagged,
            zero_placement_offset: config.zero_placement_offset,
            aggregation: config.aggregation,
            transmit_switching: config.transmit_switching,
        });
        self.on_own_queue(context, Ramrod::VportStart, &data)?;
        let filter_epoch = self.next_filter_epoch();
        if let Some(place) = self.vports.get_mut(usize::from(vport)) {
            *place = Some(VportState {
                active: false,
                mode: ReceiveMode::NOTHING,
                multicast_overflow: false,
                vlan_filtering: config.only_untagged,
                mtu,
                aggregation: config.aggregation,
                default_queue: None,
                filter_epoch,
            });
        }
        Ok(())
    }

    /// VPORT_UPDATE.
    pub(crate) fn update_vport(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        update: &VportUpdate,
    ) -> Result<(), RamrodError> {
        let data = slowpath::vport_update(self.absolute_vport(vport), update);
        self.on_own_queue(context, Ramrod::VportUpdate, &data)
    }

    /// VPORT_UPDATE of both active flags.
    pub(crate) fn set_vport_active(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        active: bool,
    ) -> Result<(), RamrodError> {
        let update = VportUpdate {
            receive_active: Some(active),
            transmit_active: Some(active),
            ..VportUpdate::default()
        };
        self.update_vport(context, vport, &update)?;
        if let Some(state) = self.vport_mut(vport) {
            state.active = active;
        }
        Ok(())
    }

    /// VPORT_STOP; the vport's place is free afterwards.
    pub(crate) fn stop_vport(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
    ) -> Result<(), RamrodError> {
        let data = slowpath::vport_stop(self.absolute_vport(vport));
        self.on_own_queue(context, Ramrod::VportStop, &data)?;
        if let Some(place) = self.vports.get_mut(usize::from(vport)) {
            *place = None;
            self.counted.retain(|(of, _)| *of != vport);
        }
        if self.rss.is_some_and(|rss| rss.vport.0 == vport) {
            self.rss = None;
        }
        Ok(())
    }

    /// FILTERS_UPDATE.
    pub(crate) fn update_filters(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        commands: &[FilterCommand],
    ) -> Result<(), RamrodError> {
        let data = slowpath::filters_update(self.absolute_vport(vport), commands);
        self.on_own_queue(context, Ramrod::FiltersUpdate, &data)
    }

    /// A number that no vport's filters had before.
    pub(crate) fn next_filter_epoch(&mut self) -> u32 {
        self.filter_epochs = self.filter_epochs.wrapping_add(1);
        self.filter_epochs
    }

    /// Something else than a declared set changes a vport's filters: the set no longer knows what the device has.
    pub(crate) fn forget_declared_filters(&mut self, vport: u8) {
        let epoch = self.next_filter_epoch();
        if let Some(state) = self.vport_mut(vport) {
            state.filter_epoch = epoch;
        }
    }

    /// VPORT_UPDATE with all of receive-side scaling.
    pub(crate) fn start_rss(
        &mut self,
        context: &mut impl WaitContext,
        engine: u8,
        state: &RssState,
    ) -> Result<(), RamrodError> {
        let first = self.absolute_queue(0);
        let rss = RssUpdate {
            engine,
            enabled: true,
            capabilities: state.hashed.bits(),
            table: state.table.map(|queue| first.wrapping_add(queue.0)),
            key: state.key,
        };
        self.update_rss(context, state.vport.0, rss)?;
        self.rss = Some(*state);
        Ok(())
    }

    /// VPORT_UPDATE that ends receive-side scaling.
    pub(crate) fn stop_rss(
        &mut self,
        context: &mut impl WaitContext,
        engine: u8,
        state: &RssState,
    ) -> Result<(), RamrodError> {
        let rss = RssUpdate {
            engine,
            enabled: false,
            capabilities: 0,
            table: [0; crate::vport::RSS_TABLE_ENTRIES],
            key: state.key,
        };
        self.update_rss(context, state.vport.0, rss)?;
        self.rss = None;
        Ok(())
    }

    fn update_rss(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        rss: RssUpdate,
    ) -> Result<(), RamrodError> {
        let update = VportUpdate {
            rss: Some(rss),
            ..VportUpdate::default()
        };
        self.update_vport(context, vport, &update)
    }

    /// Gives a queue pair's entries of the table to the others in it, or to `heir`.
    pub(super) fn leave_rss(
        &mut self,
        context: &mut impl WaitContext,
        vport: u8,
        queue: QueuePairId,
        heir: Option<QueuePairId>,
    ) -> Result<(), RamrodError> {
        let (Some(state), Some(engine)) = (self.rss, self.numbers.rss_engine) else {
            return Ok(());
        };
        if state.vport.0 != vport || !state.names(queue) {
            return Ok(());
        }
        match state.without(queue, heir) {
            Some(after) => self.start_rss(context, engine, &after),
            None => self.stop_rss(context, engine, &state),
        }
    }
}
