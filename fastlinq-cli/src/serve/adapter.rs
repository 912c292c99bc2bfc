//! The software adapter as all its functions and the control socket share it.

use std::collections::{HashMap, VecDeque};
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
/// it is ready for it would lose it.
const TRAVEL: Duration = Duration::from_micros(150);

/// The same for a message that no other has preceded for [`SILENCE`], and that a register access causes: a driver is just
/// beginning to listen, as Linux is after its self-test, and the processor that does so may be taken from it for some
/// milliseconds on a busy machine. Nobody waits for such a message: traffic comes by doorbells.
const LONG_TRAVEL: Duration = Duration::from_millis(20);
const SILENCE: Duration = Duration::from_millis(100);

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

/// During what an interrupt is raised.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum During {
    /// Something of the adapter's own: a frame from outside, a timer.
    #[default]
    Nothing,
    Doorbell,
    RegisterAccess,
}

/// Interrupts on their way.
#[derive(Default)]
struct Travelling {
    during: During,
    waiting: Vec<(Instant, u8, u16)>,
    /// When a message was last raised.
    raised: HashMap<(u8, u16), Instant>,
}

impl Travelling {
    /// How long a message is under way.
    fn duration(&mut self, now: Instant, message: (u8, u16)) -> Duration {
        let last = self.raised.insert(message, now);
        match self.during {
            During::Nothing => Duration::ZERO,
            During::Doorbell => TRAVEL,
            During::RegisterAccess => match last {
                Some(last) if now - last < SILENCE => TRAVEL,
                _ => LONG_TRAVEL,
            },
        }
    }
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

    fn during(&self, what: During) {
        self.travelling().during = what;
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
        travelling.waiting.retain(|&(due, function, vector)| {
            if due <= now {
                self.signal(function, vector);
            }
            due > now
        });
        let next = travelling.waiting.iter().map(|&(due, ..)| due).min()?;
        Some(next - now)
    }
}

impl Interrupts for Lines {
    fn raise(&mut self, function: u8, vector: u16) {
        let mut travelling = self.travelling();
        let now = Instant::now();
        let duration = travelling.duration(now, (function, vector));
        if duration.is_zero() {
            self.signal(function, vector);
        } else {
            let message = (now + duration, function, vector);
            travelling.waiting.push(message);
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
            self.lines.during(During::Doorbell);
            let data = &bell.data[..bell.length];
            self.card
                .write(bell.function, Bar::Doorbells, bell.offset, data);
            self.lines.during(During::Nothing);
        }
    }

    /// One access to a BAR, measured.
    pub(super) fn access<R>(&mut self, function: u8, access: impl FnOnce(&mut Card) -> R) -> R {
        let begun = Instant::now();
        self.used |= 1 << (function & 15);
        self.hear();
        self.pass_time();
        self.lines.during(During::RegisterAccess);
        let result = access(&mut self.card);
        self.lines.during(During::Nothing);
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

    fn lines() -> Lines {
        Lines {
            peers: Vec::new(),
            travelling: Arc::default(),
        }
    }

    #[test]
    fn interrupts_of_an_access_arrive_after_it_and_others_at_once() {
        let mut lines = lines();
        lines.raise(0, 1);
        assert_eq!(lines.arrive(), None);
        for during in [During::Doorbell, During::RegisterAccess] {
            lines.during(during);
            lines.raise(0, 1);
            lines.during(During::Nothing);
            assert!(lines.arrive().is_none_or(|left| left <= TRAVEL));
            std::thread::sleep(TRAVEL);
            assert_eq!(lines.arrive(), None);
            assert!(lines.travelling().waiting.is_empty());
        }
    }

    #[test]
    fn the_first_interrupt_for_long_is_longer_under_way_and_holds_up_no_other() {
        let mut travelling = Travelling {
            during: During::RegisterAccess,
            ..Travelling::default()
        };
        let begun = Instant::now();
        let mut after = |wait| travelling.duration(begun + wait, (0, 3));
        assert_eq!(after(Duration::ZERO), LONG_TRAVEL);
        assert_eq!(after(SILENCE / 2), TRAVEL);
        assert_eq!(after(SILENCE), TRAVEL);
        assert_eq!(after(SILENCE * 2), LONG_TRAVEL);

        let mut lines = lines();
        lines.raise(0, 2);
        lines.during(During::RegisterAccess);
        lines.raise(0, 1);
        lines.raise(0, 2);
        lines.during(During::Nothing);
        std::thread::sleep(TRAVEL);
        assert!(lines.arrive().is_some_and(|left| left > TRAVEL));
        assert_eq!(lines.travelling().waiting.len(), 1);
    }
}
