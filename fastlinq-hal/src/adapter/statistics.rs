//! Counters, on an adapter that is up.

use super::cause::Cause;
use super::handle::Adapter;
use super::inventory::Inventory;
use super::states::Up;
use crate::host::Host;
use crate::mfw::port_statistics::{self, PortStatistics};
use crate::slowpath::{self, FunctionStatistics, PacketPathStatistics, VportStatistics};
use crate::vport::VportId;

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Counters of a vport since it was started.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`](super::Misuse::NoSuchVport).
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

    /// Sets the counters of a vport to 0. Frames that are counted while this runs may be in some of them and not in others;
    /// where that matters, take the difference of two readings with [`Since`](crate::slowpath::Since) instead.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchVport`](super::Misuse::NoSuchVport).
    pub fn clear_vport_statistics(&mut self, vport: VportId) -> Result<(), Cause> {
        let (core, running) = self.inner.vport(vport)?;
        let id = u32::from(running.absolute_vport(vport.0));
        slowpath::clear_vport(&core.windows, running.numbers.layout, id);
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
