//! The software adapter as all its functions and the control socket share it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastlinq_model::{Bar, Card, CardConfig, HostMemory, Interrupts, Unmapped, Wire};
use fastlinq_trace::Recorder;
use fastlinq_vfio_user::{GuestMemory, InterruptLines};
use log::{debug, warn};

use super::timing::Timing;

/// How long a server may wait for its peer: frames from outside are looked for this often.
const INTERVAL: Duration = Duration::from_millis(1);

/// How long an interrupt that an access causes is under way. On a card it comes long after the processor has gone on from
/// the access that caused it; here the access itself takes this long, and a driver that enables an interrupt just before
/// it is ready for it, as Linux does after its self-test, would lose it.
const TRAVEL: Duration = Duration::from_micros(150);

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

/// Interrupts on their way.
#[derive(Default)]
struct Travelling {
    /// True during an access.
    hold: bool,
    waiting: VecDeque<(Instant, u8, u16)>,
}

/// Delivers interrupts; those that an access causes arrive some time after the access is over.
#[derive(Clone)]
struct Lines {
    peers: Vec<Peer>,
    travelling: Arc<Mutex<Travelling>>,
}

impl Lines {
    fn travelling(&self) -> MutexGuard<'_, Travelling> {
        self.travelling
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, hold: bool) {
        self.travelling().hold = hold;
    }

    fn signal(&self, function: u8, vector: u16) {
        if let Some(peer) = self.peers.get(usize::from(function)) {
            peer.interrupts.signal(InterruptLines::MSIX, vector.into());
        }
    }

    /// Delivers what has arrived; how long until the next does.
    fn arrive(&self) -> Option<Duration> {
        let mut travelling = self.travelling();
        let now = Instant::now();
        while let Some(&(due, function, vector)) = travelling.waiting.front() {
            if due > now {
                return Some(due - now);
            }
            self.signal(function, vector);
            travelling.waiting.pop_front();
        }
        None
    }
}

impl Interrupts for Lines {
    fn raise(&mut self, function: u8, vector: u16) {
        let mut travelling = self.travelling();
        if travelling.hold {
            let due = Instant::now() + TRAVEL;
            travelling.waiting.push_back((due, function, vector));
        } else {
            self.signal(function, vector);
        }
    }
}

/// A write to the doorbell BAR.
struct Doorbell {
    function: u8,
    offset: u64,
    data: [u8; 8],
    length: usize,
}

/// Doorbells that wait at most; the next one has to wait for them.
const MOST_RUNG: usize = 64;

/// A card whose time is real time: it passes between two accesses as it does for the peer.
pub(super) struct Running {
    pub(super) card: Card,
    pub(super) timing: Timing,
    lines: Lines,
    recorder: Option<Recorder>,
    started: Instant,
    /// Functions that were accessed since their reset.
    used: u16,
    /// Doorbells that were rung and not heard: a write to one is over when it has arrived, as on a card, and what it causes
    /// (frames are fetched, segmented and sent) follows.
    rung: VecDeque<Doorbell>,
    /// Rules broken before the last power cycle, and of those since, how many were reported.
    reported: usize,
    /// The card was pulled out of its slot.
    unplugged: bool,
}

impl Running {
    /// Lets the card's time come up to the clock, and takes what the wires have.
    pub(super) fn catch_up(&mut self) {
        self.hear();
        self.pass_time();
        self.card.poll();
    }

    /// Lets the card's time come up to the clock. The wires have to wait: what comes in by them is no part of an access.
    fn pass_time(&mut self) {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let behind = now.saturating_sub(self.card.now_ns());
        if behind > 0 {
            self.card.advance_timers(behind);
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

    /// Pulls the card out of its slot: it does nothing any more, and nobody answers.
    pub(super) fn unplug(&mut self) {
        self.unplugged = true;
        self.rung.clear();
    }

    /// Puts the card back; it comes up as new.
    pub(super) fn plug(&mut self) {
        if self.unplugged {
            self.unplugged = false;
            self.catch_up();
            self.mark("power-up");
            self.card.power_cycle();
        }
    }

    /// Whether the card was pulled out.
    pub(super) fn is_unplugged(&self) -> bool {
        self.unplugged
    }

    /// A write to the doorbell BAR, measured. Every later access, and [`Adapter::run`], does first what it causes.
    pub(super) fn ring(&mut self, function: u8, offset: u64, data: &[u8]) {
        let begun = Instant::now();
        self.used |= 1 << (function & 15);
        if self.rung.len() >= MOST_RUNG {
            self.hear();
        }
        let mut bytes = [0; 8];
        let length = data.len().min(bytes.len());
        bytes[..length].copy_from_slice(&data[..length]);
        self.rung.push_back(Doorbell {
            function,
            offset,
            data: bytes,
            length,
        });
        self.timing.add(begun.elapsed());
    }

    fn hear(&mut self) {
        while let Some(bell) = self.rung.pop_front() {
            self.lines.hold(true);
            let data = &bell.data[..bell.length];
            self.card
                .write(bell.function, Bar::Doorbells, bell.offset, data);
            self.lines.hold(false);
        }
    }

    /// One access to a BAR, measured.
    pub(super) fn access<R>(&mut self, function: u8, access: impl FnOnce(&mut Card) -> R) -> R {
        let begun = Instant::now();
        self.used |= 1 << (function & 15);
        self.hear();
        self.pass_time();
        self.lines.hold(true);
        let result = access(&mut self.card);
        self.lines.hold(false);
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
        let lines = Lines {
            peers: peers.clone(),
            travelling: Arc::default(),
        };
        let mut card = Card::new(config, Box::new(Peers(peers)), Box::new(lines.clone()));
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
                lines,
                recorder,
                timing: Timing::default(),
                started: Instant::now(),
                used: 0,
                rung: VecDeque::new(),
                reported: 0,
                unplugged: false,
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
        running.hear();
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
        if running.unplugged {
            return INTERVAL;
        }
        running.catch_up();
        running.report_violations();
        let now = running.card.now_ns();
        let due = running.card.next_event_ns();
        let event = due.map(|at| Duration::from_nanos(at.saturating_sub(now)));
        let interrupt = running.lines.arrive();
        [event, interrupt]
            .into_iter()
            .flatten()
            .fold(INTERVAL, Duration::min)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_of_an_access_arrive_after_it_and_others_at_once() {
        let mut lines = Lines {
            peers: Vec::new(),
            travelling: Arc::default(),
        };
        lines.raise(0, 1);
        assert_eq!(lines.arrive(), None);
        lines.hold(true);
        lines.raise(0, 2);
        lines.hold(false);
        assert!(lines.arrive().is_none_or(|left| left <= TRAVEL));
        std::thread::sleep(TRAVEL);
        assert_eq!(lines.arrive(), None);
        assert!(lines.travelling().waiting.is_empty());
    }
}
