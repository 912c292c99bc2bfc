//! What every state carries, and how it is taken down.

use core::sync::atomic::{AtomicU32, Ordering};

use fastlinq_pac::mfw::DriverCommand;
use heapless::Deque;

use super::cause::Cause;
use super::config::AdapterConfig;
use super::leak::LeakReport;
use super::running::Running;
use crate::access::AccessError;
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{info, warning};
use crate::mfw;
use crate::mfw::features::PpfidBitmap;
use crate::mfw::function::FunctionConfig;
use crate::mfw::link::LinkSettings;
use crate::mfw::load::{self, WakeOnLan};
use crate::mfw::nvm_config::NvmConfig;
use crate::mfw::resources::Shares;
use crate::slowpath::WaitContext;

/// Parameter of NIG_DRAIN, and the time that it takes in milliseconds with a margin.
const NIG_DRAIN: u32 = 1000;
const NIG_DRAIN_MS: u32 = 1020;

/// Bring-ups whose end is remembered.
pub(super) const QUIET_ENDS: usize = 8;

/// How far a bring-up has come, for the way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// LOAD_REQ was sent: the management firmware may believe that this driver is loaded.
    pub(super) load_requested: bool,
    /// LOAD_DONE was not sent yet: the management firmware holds the load lock.
    pub(super) load_locked: bool,
    /// The function was enabled as a master on PCI, and the chip programmed.
    pub(super) master_enabled: bool,
    /// PF_START was posted.
    pub(super) function_started: bool,
}

/// What every state carries.
pub(super) struct Inner<H: Host> {
    pub(super) core: Core<H>,
    pub(super) config: AdapterConfig,
    pub(super) leaked: LeakReport,
    pub(super) progress: Progress,
    pub(super) running: Option<Running<H>>,
    /// Shares of the chip's resources.
    pub(super) shares: Shares,
    /// Classification units of the port.
    pub(super) ppfids: PpfidBitmap,
    /// What the management firmware has for the function.
    pub(super) function: Option<FunctionConfig>,
    /// What the flash has for card, port and function.
    pub(super) nvm: Option<NvmConfig>,
    /// What the link was told; `None` when it was told nothing.
    pub(super) link: Option<LinkSettings>,
    /// Number of the bring-up, so that a queue pair of another one is recognised.
    pub(super) bring_up: u32,
    /// The last bring-ups that are over and at whose end the device was quiet.
    pub(super) quiet_ends: Deque<u32, QUIET_ENDS>,
}

impl<H: Host> Inner<H> {
    pub(super) fn new(host: H, config: AdapterConfig) -> Self {
        Self {
            core: Core::new(host),
            config,
            leaked: LeakReport::default(),
            progress: Progress::default(),
            running: None,
            shares: Shares::default(),
            ppfids: PpfidBitmap {
                bitmap: 1,
                native: 0,
            },
            function: None,
            nvm: None,
            link: None,
            bring_up: 0,
            quiet_ends: Deque::new(),
        }
    }

    /// Undoes a bring-up as far as it came, in the order of the hardware reference, and releases its memory.
    ///
    /// Nothing stops it: a step that fails is remembered, and the first one is the error. It is bounded: each command to
    /// the management firmware waits its five seconds at most, and ramrods are given up with the first that has no answer.
    pub(super) fn take_down(&mut self) -> Result<(), Cause> {
        let progress = core::mem::take(&mut self.progress);
        let mut first = Ok(());
        if progress != Progress::default() {
            info!("to Reset: taking the adapter down");
        }
        if let Some(settings) = self.link.take() {
            note(
                &mut first,
                mfw::link::take_down(&mut self.core, &settings).map(drop),
            );
        }
        if let (true, Some(running)) = (progress.function_started, &mut self.running) {
            note(
                &mut first,
                running.stop_traffic(&mut Context(&mut self.core)),
            );
        }
        if progress.load_locked {
            note(&mut first, load::done(&mut self.core).map(drop));
        }
        if progress.load_requested {
            note(
                &mut first,
                load::unload_request(&mut self.core, WakeOnLan::default()).map(drop),
            );
        }
        if let (true, Some(running)) = (progress.function_started, &mut self.running) {
            note(
                &mut first,
                running.stop_function(&mut Context(&mut self.core)),
            );
        }
        if progress.master_enabled {
            note(
                &mut first,
                super::stop::stop_hardware(&mut self.core, self.running.as_mut()),
            );
        }
        if progress.load_requested {
            note(
                &mut first,
                load::unload_done(&mut self.core, WakeOnLan::default()).map(drop),
            );
        }
        let mastership = if progress.master_enabled {
            super::stop::disable_master(&mut self.core)
        } else {
            Ok(())
        };
        let quiet = mastership.is_ok();
        let mut report = LeakReport::default();
        if let Some(running) = self.running.take() {
            report = running.release(quiet);
            if quiet {
                self.remember_quiet_end();
            }
        }
        if let Some(dmae) = self.core.dmae.take() {
            // An engine that may still be at a command lets go of its memory when the function is quiet.
            let quiet = quiet || !dmae.is_poisoned();
            for buffer in dmae.into_memory() {
                report.release(buffer, quiet);
            }
        }
        self.leaked.add(report);
        if !report.is_empty() {
            warning!(
                "{} regions with {} bytes of DMA memory stay allocated: the device did not confirm that it is quiet",
                report.regions,
                report.bytes
            );
        }
        note(&mut first, mastership.map_err(Cause::NotQuiet));
        first
    }

    /// Begins a bring-up: gives it a number that no other bring-up has, of this adapter or another.
    pub(super) fn begin_bring_up(&mut self) {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        self.bring_up = NEXT.fetch_add(1, Ordering::Relaxed);
    }

    fn remember_quiet_end(&mut self) {
        if self.quiet_ends.is_full() {
            let _ = self.quiet_ends.pop_front();
        }
        let _ = self.quiet_ends.push_back(self.bring_up);
    }

    /// Whether a bring-up of this adapter is over, and the device has confirmed that it is quiet.
    pub(super) fn ended_quietly(&self, bring_up: u32) -> bool {
        self.quiet_ends.iter().any(|ended| *ended == bring_up)
    }
}

/// Remembers the first failure.
fn note<E: Into<Cause>>(first: &mut Result<(), Cause>, result: Result<(), E>) {
    if let Err(error) = result {
        let cause = error.into();
        warning!("taking down: {}", cause);
        if first.is_ok() {
            *first = Err(cause);
        }
    }
}

impl<H: Host> Drop for Inner<H> {
    fn drop(&mut self) {
        let _ = self.take_down();
    }
}

/// How the slow path waits on a real adapter.
pub(super) struct Context<'a, H: Host>(pub(super) &'a mut Core<H>);

impl<H: Host> WaitContext for Context<'_, H> {
    fn is_gone(&mut self) -> bool {
        self.0.windows.check() == Err(AccessError::DeviceGone)
    }

    fn wait_us(&mut self, us: u32) {
        self.0.host.delay_us(us);
    }

    fn drain_nig(&mut self) {
        if self
            .0
            .command(DriverCommand::NIG_DRAIN, NIG_DRAIN, &[])
            .is_ok()
        {
            self.0.host.delay_ms(NIG_DRAIN_MS);
        }
    }
}
