//! The link, on an adapter that is up.

use super::cause::Cause;
use super::handle::Adapter;
use super::inventory::Inventory;
use super::states::Up;
use crate::host::Host;
use crate::log::warning;
use crate::mfw::link::{self, LinkSettings, LinkState};
use crate::mfw::notify::{self, DriverState};

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// The link as the management firmware sees it; down as long as [`set_link`](Self::set_link) was not called.
    ///
    /// # Errors
    ///
    /// Only when the shared memory cannot be read.
    pub fn link(&mut self) -> Result<LinkState, Cause> {
        Ok(link::read(&self.inner.core)?)
    }

    /// Brings the link up as told: INIT_PHY. Gives the state right afterwards; negotiation may take longer, and
    /// [`poll_events`](Self::poll_events) reports its end.
    ///
    /// # Errors
    ///
    /// When the management firmware does not answer. It does not refuse in a way that known drivers look at.
    pub fn set_link(&mut self, settings: &LinkSettings) -> Result<LinkState, Cause> {
        self.inner.link = Some(*settings);
        let answer = link::bring_up(&mut self.inner.core, settings)?;
        if answer.done().is_none() {
            warning!("the management firmware did not confirm the link's settings");
        }
        let _ = notify::driver_state(&mut self.inner.core, DriverState::Active)?;
        self.link()
    }

    /// Takes the link down: LINK_RESET.
    ///
    /// # Errors
    ///
    /// When the management firmware does not answer.
    pub fn link_down(&mut self) -> Result<LinkState, Cause> {
        if let Some(settings) = self.inner.link.take() {
            let _ = link::take_down(&mut self.inner.core, &settings)?;
            let _ = notify::driver_state(&mut self.inner.core, DriverState::Disabled)?;
        }
        self.link()
    }

    /// Settings that the adapter's flash holds for the link; the default ones when it says nothing.
    #[must_use]
    pub fn flash_link_settings(&self) -> LinkSettings {
        self.inner
            .nvm
            .map_or_else(LinkSettings::default, |nvm| nvm.link)
    }
}
