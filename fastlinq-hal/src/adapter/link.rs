//! The link, on an adapter that is up.

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inventory::Inventory;
use super::states::Up;
use crate::host::Host;
use crate::log::warning;
use crate::mfw::board::{self, Led};
use crate::mfw::link::{self, LinkSettings, LinkState};
use crate::mfw::link_report::{self, LinkReport};
use crate::mfw::notify::{self, DriverState};

/// Longest time until the transmitter idles, in microseconds: 28 bits.
const MAX_IDLE_US: u32 = (1 << 28) - 1;

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
    /// [`Misuse::IdleTimer`], [`Misuse::NoExtendedLink`], or when the management firmware does not answer. It does not refuse in a way that known
    /// drivers look at; [`link_report`](Self::link_report) finds out what became of the wish.
    pub fn set_link(&mut self, settings: &LinkSettings) -> Result<LinkState, Cause> {
        if let Some(energy) = settings
            .energy
            .filter(|energy| energy.timer_us > MAX_IDLE_US)
        {
            return Err(Misuse::IdleTimer(energy.timer_us).into());
        }
        if settings.extended.is_some() && !self.inner.core.mfw.features.extended_speed() {
            return Err(Misuse::NoExtendedLink.into());
        }
        self.inner.link = Some(*settings);
        let answer = link::bring_up(&mut self.inner.core, settings)?;
        if answer.done().is_none() {
            warning!("the management firmware did not confirm the link's settings");
        }
        let _ = notify::driver_state(&mut self.inner.core, DriverState::Active)?;
        self.link()
    }

    /// What was asked for, what is, and who is the reason for each difference: flash, management firmware, module, cable
    /// or partner.
    ///
    /// Touches link status, transceiver data, media type and EEE status of the port section.
    ///
    /// # Errors
    ///
    /// Only when the shared memory cannot be read.
    pub fn link_report(&mut self) -> Result<LinkReport, Cause> {
        let inner = &self.inner;
        let speeds = inner.nvm.map(|nvm| nvm.speeds);
        Ok(link_report::read(&inner.core, inner.link, speeds)?)
    }

    /// Negotiates anew with the settings given last: LINK_RESET, then INIT_PHY. The link goes down for that time.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoLink`] when the link was not asked for, or when the management firmware does not answer.
    pub fn restart_negotiation(&mut self) -> Result<LinkState, Cause> {
        let settings = self.inner.link.ok_or(Misuse::NoLink)?;
        let _ = link::take_down(&mut self.inner.core, &settings)?;
        self.set_link(&settings)
    }

    /// Switches the port's light on or off so that it can be found, or gives it back: SET_LED_MODE. Whether the management
    /// firmware did it.
    ///
    /// # Errors
    ///
    /// When the management firmware does not answer.
    pub fn set_led(&mut self, led: Led) -> Result<bool, Cause> {
        Ok(board::set_led(&mut self.inner.core, led)?.done().is_some())
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
