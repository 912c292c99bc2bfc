//! The software adapter with configuration space, behind the server's device trait.

use std::time::{Duration, Instant};

use fastlinq_model::config_space::{CONFIG_SPACE_SIZE, ConfigEffect, ConfigSpace};
use fastlinq_model::{Bar, Card, CardConfig, HostMemory, Interrupts, Unmapped, Wire};
use fastlinq_trace::Recorder;
use fastlinq_vfio_user::{Device, DeviceShape, Errno, GuestMemory, InterruptLines, RegionShape};
use log::{debug, warn};

const CONFIG_REGION: u32 = 7;
const FUNCTION: u8 = 0;
const BARS: [(u32, Bar); 3] = [(0, Bar::Registers), (2, Bar::Doorbells), (4, Bar::Msix)];
/// How long the server may wait for its peer: frames from outside are looked for this often.
const INTERVAL: Duration = Duration::from_millis(1);

struct Memory(GuestMemory);

impl HostMemory for Memory {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), Unmapped> {
        self.0.read(address, out).map_err(|error| {
            debug!("DMA read: {error}");
            Unmapped { address }
        })
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Unmapped> {
        self.0.write(address, data).map_err(|error| {
            debug!("DMA write: {error}");
            Unmapped { address }
        })
    }
}

struct Lines(InterruptLines);

impl Interrupts for Lines {
    fn raise(&mut self, _function: u8, vector: u16) {
        self.0.signal(InterruptLines::MSIX, vector.into());
    }
}

type Plug = Box<dyn Fn() -> Option<Box<dyn Wire>>>;

/// One function of a software adapter as a PCI device.
///
/// Model time is real time here: it passes between two accesses as it does for the peer.
pub(super) struct PciCard {
    template: CardConfig,
    memory: GuestMemory,
    interrupts: InterruptLines,
    plug: Plug,
    recorder: Option<Recorder>,
    card: Card,
    space: ConfigSpace,
    vectors: u32,
    started: Instant,
    violations: usize,
}

impl PciCard {
    pub(super) fn new(
        config: CardConfig,
        memory: GuestMemory,
        interrupts: InterruptLines,
        plug: impl Fn() -> Option<Box<dyn Wire>> + 'static,
        recorder: Option<Recorder>,
    ) -> Self {
        let plug: Plug = Box::new(plug);
        let card = power_up(&config, &memory, &interrupts, &plug, recorder.as_ref());
        let identity = card
            .pci_config(FUNCTION)
            .expect("an adapter has a first function");
        let vectors = identity.msix_vectors.into();
        let space = ConfigSpace::new(identity);
        Self {
            template: config,
            memory,
            interrupts,
            plug,
            recorder,
            card,
            space,
            vectors,
            started: Instant::now(),
            violations: 0,
        }
    }

    fn catch_up(&mut self) {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let behind = now.saturating_sub(self.card.now_ns());
        if behind > 0 {
            self.card.advance(behind);
        }
    }

    fn report_violations(&mut self) {
        let all = self.card.violations();
        for violation in all.get(self.violations..).unwrap_or_default() {
            warn!("the driver broke a rule: {violation}");
        }
        self.violations = all.len();
    }

    fn configured(&mut self, effects: Vec<ConfigEffect>) {
        for effect in effects {
            match effect {
                ConfigEffect::FunctionReset => {
                    if let Some(recorder) = &self.recorder {
                        recorder.mark("function level reset");
                    }
                    self.card.flr(FUNCTION);
                }
                ConfigEffect::BusMaster(allowed) => self.card.set_bus_master(FUNCTION, allowed),
                ConfigEffect::Msix { masked, .. } => self.card.set_msix_mask(FUNCTION, masked),
                ConfigEffect::IntxDisabled(_) | ConfigEffect::PowerState(_) => {}
            }
        }
    }
}

fn power_up(
    config: &CardConfig,
    memory: &GuestMemory,
    interrupts: &InterruptLines,
    plug: &Plug,
    recorder: Option<&Recorder>,
) -> Card {
    let mut card = Card::new(
        config.clone(),
        Box::new(Memory(memory.clone())),
        Box::new(Lines(interrupts.clone())),
    );
    if let Some(wire) = plug() {
        card.set_wire(0, wire);
    }
    if let Some(recorder) = recorder {
        recorder.mark("power-up");
        card.set_observer(Some(recorder.observer()));
    }
    card
}

fn bar(region: u32) -> Option<Bar> {
    BARS.into_iter()
        .find(|(index, _)| *index == region)
        .map(|(_, bar)| bar)
}

/// The model takes naturally aligned accesses of 1, 2, 4 or 8 bytes; anything else is cut into such.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = length - at;
        if left == 0 {
            return None;
        }
        let aligned = 1usize << (offset as usize + at).trailing_zeros().min(3);
        let size = aligned.min(1 << left.ilog2());
        let piece = at..at + size;
        at += size;
        Some(piece)
    })
}

impl Device for PciCard {
    fn shape(&self) -> DeviceShape {
        let mut regions = [RegionShape::default(); 9];
        let open = |size| RegionShape {
            size,
            readable: true,
            writable: true,
        };
        for (index, bar) in BARS {
            regions[index as usize] = open(self.card.bar_size(FUNCTION, bar));
        }
        regions[CONFIG_REGION as usize] = open(CONFIG_SPACE_SIZE as u64);
        DeviceShape {
            regions,
            interrupts: [1, 0, self.vectors, 1, 1],
        }
    }

    fn read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        if region == CONFIG_REGION {
            self.space.read(offset as usize, data);
            return Ok(());
        }
        let bar = bar(region).ok_or(Errno::INVALID)?;
        self.catch_up();
        for piece in pieces(offset, data.len()) {
            let at = offset + piece.start as u64;
            self.card.read(FUNCTION, bar, at, &mut data[piece]);
        }
        Ok(())
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if region == CONFIG_REGION {
            let effects = self.space.write(offset as usize, data);
            self.configured(effects);
            return Ok(());
        }
        let bar = bar(region).ok_or(Errno::INVALID)?;
        self.catch_up();
        for piece in pieces(offset, data.len()) {
            let at = offset + piece.start as u64;
            self.card.write(FUNCTION, bar, at, &data[piece]);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.report_violations();
        self.card = power_up(
            &self.template,
            &self.memory,
            &self.interrupts,
            &self.plug,
            self.recorder.as_ref(),
        );
        self.space.reset();
        self.started = Instant::now();
        self.violations = 0;
    }

    fn run(&mut self) -> Duration {
        self.catch_up();
        self.card.poll();
        self.report_violations();
        let due = self
            .card
            .next_event_ns()
            .map(|at| at.saturating_sub(self.card.now_ns()));
        due.map_or(INTERVAL, |ns| Duration::from_nanos(ns).min(INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)]
    use super::pieces;

    #[test]
    fn accesses_are_cut_at_their_alignment() {
        let cut = |offset, length| pieces(offset, length).collect::<Vec<_>>();
        assert_eq!(cut(8, 8), vec![0..8]);
        assert_eq!(cut(4, 8), [0..4, 4..8]);
        assert_eq!(cut(1, 4), [0..1, 1..3, 3..4]);
        assert_eq!(cut(2, 2), vec![0..2]);
        assert_eq!(cut(0, 0), []);
    }
}
