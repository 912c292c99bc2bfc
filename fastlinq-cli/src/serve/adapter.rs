//! The software adapter as all its functions and the control socket share it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastlinq_model::{Bar, Card, CardConfig, HostMemory, Interrupts, Unmapped, Wire};
use fastlinq_trace::Recorder;
use fastlinq_vfio_user::{GuestMemory, InterruptLines};
use log::{debug, warn};

use super::timing::Timing;

/// How long a server may wait for its peer: frames from outside are looked for this often.
const INTERVAL: Duration = Duration::from_millis(1);

/// Memory and interrupts of whoever uses a function.
#[derive(Clone)]
pub(super) struct Peer {
    memory: GuestMemory,
    interrupts: InterruptLines,
}

impl Peer {
    pub(super) fn new(memory: GuestMemory, interrupts: InterruptLines) -> Self {
        Self { memory, interrupts }
    }
}

/// The functions' peers, by function number.
struct Peers(Vec<Peer>);

impl Peers {
    fn memory(&self, function: u8, address: u64) -> Result<&GuestMemory, Unmapped> {
        self.0
            .get(usize::from(function))
            .map(|peer| &peer.memory)
            .ok_or(Unmapped { address })
    }
}

impl HostMemory for Peers {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), Unmapped> {
        self.read_by(0, address, out)
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Unmapped> {
        self.write_by(0, address, data)
    }

    fn read_by(&mut self, function: u8, address: u64, out: &mut [u8]) -> Result<(), Unmapped> {
        let memory = self.memory(function, address)?;
        memory.read(address, out).map_err(|error| {
            debug!("DMA read: {error}");
            Unmapped { address }
        })
    }

    fn write_by(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Unmapped> {
        let memory = self.memory(function, address)?;
        memory.write(address, data).map_err(|error| {
            debug!("DMA write: {error}");
            Unmapped { address }
        })
    }
}

impl Interrupts for Peers {
    fn raise(&mut self, function: u8, vector: u16) {
        if let Some(peer) = self.0.get(usize::from(function)) {
            peer.interrupts.signal(InterruptLines::MSIX, vector.into());
        }
    }
}

/// A card whose time is real time: it passes between two accesses as it does for the peer.
pub(super) struct Running {
    pub(super) card: Card,
    pub(super) timing: Timing,
    recorder: Option<Recorder>,
    started: Instant,
    /// Functions that were accessed since their reset.
    used: u16,
    /// Rules broken before the last power cycle, and of those since, how many were reported.
    reported: usize,
}

impl Running {
    pub(super) fn catch_up(&mut self) {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let behind = now.saturating_sub(self.card.now_ns());
        if behind > 0 {
            self.card.advance(behind);
        }
    }

    fn mark(&self, phase: &str) {
        if let Some(recorder) = &self.recorder {
            recorder.mark(phase);
        }
    }

    /// A function level reset, by configuration space or because its peer is gone.
    pub(super) fn function_reset(&mut self, function: u8) {
        self.mark("function level reset");
        self.card.flr(function);
    }

    fn report_violations(&mut self) {
        let all = self.card.violations();
        for violation in all.get(self.reported..).unwrap_or_default() {
            warn!("the driver broke a rule: {violation}");
        }
        self.reported = all.len();
    }

    /// One access to a BAR, measured.
    pub(super) fn access<R>(&mut self, function: u8, access: impl FnOnce(&mut Card) -> R) -> R {
        let begun = Instant::now();
        self.used |= 1 << (function & 15);
        self.catch_up();
        let result = access(&mut self.card);
        self.timing.add(begun.elapsed());
        result
    }
}

/// The adapter; every method locks it.
pub(super) struct Adapter {
    running: Mutex<Running>,
}

impl Adapter {
    pub(super) fn new(
        config: CardConfig,
        peers: Vec<Peer>,
        wires: Vec<Option<Box<dyn Wire>>>,
        recorder: Option<Recorder>,
    ) -> Self {
        let mut card = Card::new(
            config,
            Box::new(Peers(peers.clone())),
            Box::new(Peers(peers)),
        );
        for (port, wire) in (0..).zip(wires) {
            if let Some(wire) = wire {
                card.set_wire(port, wire);
            }
        }
        if let Some(recorder) = &recorder {
            recorder.mark("power-up");
            card.set_observer(Some(recorder.observer()));
        }
        Self {
            running: Mutex::new(Running {
                card,
                recorder,
                timing: Timing::default(),
                started: Instant::now(),
                used: 0,
                reported: 0,
            }),
        }
    }

    /// A panic in another thread ends the process soon; until then the card answers as well as it can.
    pub(super) fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets a function whose peer is gone or asks for it. When no other function is in use, the power is cycled, so
    /// that every peer finds the card as new.
    pub(super) fn reset(&self, function: u8) {
        let mut running = self.lock();
        running.report_violations();
        running.used &= !(1 << (function & 15));
        if running.used == 0 {
            running.catch_up();
            running.mark("power-up");
            running.card.power_cycle();
        } else {
            running.function_reset(function);
        }
    }

    /// Does what is due; returns how long a server may wait.
    pub(super) fn run(&self) -> Duration {
        let mut running = self.lock();
        running.catch_up();
        running.card.poll();
        running.report_violations();
        let now = running.card.now_ns();
        let due = running.card.next_event_ns();
        due.map_or(INTERVAL, |at| {
            Duration::from_nanos(at.saturating_sub(now)).min(INTERVAL)
        })
    }

    /// The BAR's size for a function.
    pub(super) fn bar_size(&self, function: u8, bar: Bar) -> u64 {
        self.lock().card.bar_size(function, bar)
    }

    /// Says on standard error what was measured.
    pub(super) fn report(&self) {
        let mut running = self.lock();
        running.report_violations();
        if let Some(summary) = running.timing.summary() {
            anstream::eprintln!("measure: accesses {summary}");
        }
    }
}
