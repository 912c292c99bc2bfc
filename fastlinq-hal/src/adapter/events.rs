//! Events: what the device reports on its own.

use fastlinq_pac::Bar0Offset;

use super::cause::Cause;
use super::config::InterruptMode;
use super::handle::Adapter;
use super::inventory::Inventory;
use super::states::Up;
use crate::host::{Bar, Host};
use crate::log::warning;
use crate::mfw::events::MfwEvent;
use crate::mfw::link::LinkState;
use crate::slowpath::{AsynchronousEvent, HardwareAttention, SlowPathFaults};

/// Something that the device reports on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// The link changed; this is its state now.
    Link(LinkState),
    /// The management firmware reports something else.
    Management(MfwEvent),
    /// The storm firmware reports something.
    Firmware(AsynchronousEvent),
    /// The hardware reports something.
    Hardware(HardwareAttention),
}

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Looks for events and hands each to `handle`, in the order in which the layers are asked: management firmware,
    /// hardware, storm firmware.
    ///
    /// Reads the default status block and the attention block in host memory, so a call without events costs no register
    /// read in polling mode. With interrupts, call it when vector 0 fires; it lets the vector fire again.
    ///
    /// # Errors
    ///
    /// Only when the management firmware's events cannot be read; other events of the call are handled all the same.
    ///
    /// # Examples
    ///
    /// ```
    /// use fastlinq_hal::adapter::{Adapter, Event, Inventory, Up};
    /// use fastlinq_hal::host::Host;
    ///
    /// fn link_is_up<I: Inventory, H: Host>(adapter: &mut Adapter<Up<I>, H>) -> Option<bool> {
    ///     let mut up = None;
    ///     let polled = adapter.poll_events(|event| {
    ///         if let Event::Link(link) = event {
    ///             up = Some(link.up);
    ///         }
    ///     });
    ///     polled.ok().and(up)
    /// }
    /// ```
    pub fn poll_events(&mut self, mut handle: impl FnMut(Event)) -> Result<(), Cause> {
        let interrupts = self.inner.config.interrupts == InterruptMode::MsiX;
        let (core, running) = self.inner.parts()?;
        if interrupts {
            running.slow_path.mask_interrupt();
        }
        let status = running.slow_path.status_index();
        running.slow_path.drain();
        let changed = running.attentions.look(&core.windows);
        let mut result = Ok(());
        if changed.management() {
            match crate::mfw::events::poll(core) {
                Ok(events) => {
                    for event in events {
                        match event {
                            MfwEvent::LinkChange => match crate::mfw::link::read(core) {
                                Ok(link) => handle(Event::Link(link)),
                                Err(error) => result = Err(error.into()),
                            },
                            other => handle(Event::Management(other)),
                        }
                    }
                }
                Err(error) => result = Err(error.into()),
            }
        }
        let registers = core.windows.bar();
        let command = |offset: Bar0Offset, value| registers.write32(offset.value() as usize, value);
        let report =
            running
                .attentions
                .acknowledge(&core.windows, changed, core.identity.rel_pf, command);
        if report.dropped > 0 {
            warning!("{} hardware attentions were lost", report.dropped);
        }
        for attention in report.hardware {
            if matches!(attention, HardwareAttention::DoorbellsDropped { .. }) {
                running.slow_path.ring_doorbell();
            }
            handle(Event::Hardware(attention));
        }
        if interrupts || running.acknowledged != status || report.acknowledge.is_some() {
            running
                .slow_path
                .acknowledge_service(status, report.acknowledge, interrupts);
            running.acknowledged = status;
        }
        while let Some(event) = running.slow_path.next_asynchronous() {
            handle(Event::Firmware(event));
        }
        result
    }

    /// What the device did on the event queue that it should not do, so far.
    #[must_use]
    pub fn slow_path_faults(&self) -> SlowPathFaults {
        self.inner
            .running
            .as_ref()
            .map(|running| running.slow_path.faults())
            .unwrap_or_default()
    }

    /// Posts a ramrod that does nothing and waits for it: whether the storm firmware is alive.
    ///
    /// # Errors
    ///
    /// The ramrod's failure.
    pub fn heartbeat(&mut self) -> Result<(), Cause> {
        let (core, running) = self.inner.parts()?;
        Ok(running.heartbeat(&mut super::inner::Context(core))?)
    }
}
