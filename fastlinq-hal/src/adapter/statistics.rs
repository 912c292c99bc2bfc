//! Counters, on an adapter that is up.

use super::cause::Cause;
use super::handle::Adapter;
use super::inventory::Inventory;
use super::states::Up;
use crate::host::Host;
use crate::slowpath::{self, PacketPathStatistics, VportStatistics};
use crate::vport::VportId;

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
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
}
