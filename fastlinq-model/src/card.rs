//! The adapter as a whole.

use crate::chip::{Context, Engine, Shape, outside::Outside};
use crate::config_space::FunctionIdentity;
use crate::fabric::Function;
use crate::memory::{HostMemory, Interrupts};
use crate::mfw::{Mfw, MfwConfig, MfwEffects, Partner};
use crate::observer::{Event, Observer};
use crate::storm::Storm;
use crate::violation::{DmaCause, Violation, ViolationKind};
use crate::wire::Wire;

/// The context of an access, from the fields of a card.
macro_rules! context {
    ($card:ident) => {
        &mut Context {
            outside: &mut $card.outside,
            mfw: &mut $card.mfw,
            effects: &mut $card.effects,
        }
    };
}

mod config;
mod run;

pub use config::{Bar, CardConfig, Counters};

/// A software adapter.
///
/// Register accesses go in by [`read`](Card::read) and [`write`](Card::write) and are complete, with everything they
/// cause, when the call returns; only what takes time waits for [`advance`](Card::advance).
///
/// # Examples
///
/// ```
/// use fastlinq_model::{Bar, Card, CardConfig, Chip, HostMemory, Interrupts, Unmapped};
///
/// struct NoMemory;
/// impl HostMemory for NoMemory {
///     fn read(&mut self, address: u64, _: &mut [u8]) -> Result<(), Unmapped> {
///         Err(Unmapped { address })
///     }
///     fn write(&mut self, address: u64, _: &[u8]) -> Result<(), Unmapped> {
///         Err(Unmapped { address })
///     }
/// }
/// struct Deaf;
/// impl Interrupts for Deaf {
///     fn raise(&mut self, _: u8, _: u16) {}
/// }
///
/// let mut card = Card::new(CardConfig::new(Chip::K2), Box::new(NoMemory), Box::new(Deaf));
/// let mut concrete = [0; 4];
/// card.read(0, Bar::Registers, 0x1fc, &mut concrete);
/// assert_eq!(u32::from_le_bytes(concrete), 0);
/// ```
pub struct Card {
    config: CardConfig,
    /// One for K2; on BB a second one when it has functions.
    units: Vec<Unit>,
    mfw: Mfw,
    outside: Outside,
    effects: MfwEffects,
}

/// An engine and the storm firmware that runs on it.
struct Unit {
    engine: Engine,
    storm: Storm,
}

impl Card {
    /// Powers an adapter up. What of `config` is out of the chip's range is brought into it.
    pub fn new(
        config: CardConfig,
        memory: Box<dyn HostMemory>,
        interrupts: Box<dyn Interrupts>,
    ) -> Self {
        let config = config.in_range();
        let (units, mfw) = power_up(&config);
        let outside = Outside::new(memory, interrupts, config.port_count());
        let mut card = Self {
            units,
            mfw,
            outside,
            effects: MfwEffects::default(),
            config,
        };
        card.refresh_links();
        card
    }

    /// Configuration-space data of a function, or `None` where there is no such function.
    pub fn pci_config(&self, function: u8) -> Option<FunctionIdentity> {
        (function < self.config.functions).then(|| crate::pci::identity(&self.config, function))
    }

    /// The engine of a PCI function and its PF id there.
    fn locate(&self, function: u8) -> (usize, u8) {
        let engines = self.config.chip.limits().engines;
        (usize::from(function % engines), function / engines)
    }

    /// Bytes of a BAR; 0 when there is no such function.
    pub fn bar_size(&self, function: u8, bar: Bar) -> u64 {
        if function < self.config.functions {
            bar.size()
        } else {
            0
        }
    }

    fn is_good_access(
        &mut self,
        function: u8,
        bar: Bar,
        offset: u64,
        len: usize,
        write: bool,
    ) -> bool {
        let aligned = matches!(len, 1 | 2 | 4 | 8) && offset % len as u64 == 0;
        if function < self.config.functions
            && aligned
            && offset.saturating_add(len as u64) <= bar.size()
        {
            return true;
        }
        let kind = ViolationKind::BadAccess {
            bar: bar.index(),
            offset,
            len,
            write,
        };
        let cause = DmaCause::descriptor("access to a BAR", offset, len as u64);
        self.outside
            .violation(Some(Function::pf(function)), kind, cause);
        false
    }

    /// Reads 1, 2, 4 or 8 bytes, naturally aligned. Any other access, and one beyond the BAR, reads ones and is recorded
    /// as a violation.
    pub fn read(&mut self, function: u8, bar: Bar, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        if !self.is_good_access(function, bar, offset, data.len(), false) {
            return;
        }
        if data.len() < 4 {
            let start = (offset % 4) as usize;
            let bytes = self.read_dword(function, bar, offset & !3).to_le_bytes();
            data.copy_from_slice(&bytes[start..start + data.len()]);
        } else {
            for (index, chunk) in data.chunks_exact_mut(4).enumerate() {
                let value = self.read_dword(function, bar, offset + 4 * index as u64);
                chunk.copy_from_slice(&value.to_le_bytes());
            }
        }
        let value = little_endian(data);
        let len = data.len();
        self.outside.observe(|| Event::Bar {
            function,
            bar,
            offset,
            value,
            len,
            write: false,
        });
        self.settle();
    }

    fn read_dword(&mut self, function: u8, bar: Bar, offset: u64) -> u32 {
        let (unit, pf) = self.locate(function);
        let Some(unit) = self.units.get_mut(unit) else {
            return !0;
        };
        match bar {
            Bar::Registers => unit.engine.bar0_read32(context!(self), pf, offset as u32),
            Bar::Doorbells => 0,
            Bar::Msix => unit
                .engine
                .msix(pf)
                .map_or(!0, |table| table.read32(offset)),
        }
    }

    /// Writes 1, 2, 4 or 8 bytes, naturally aligned. Any other access, and one beyond the BAR, is dropped and recorded as
    /// a violation.
    pub fn write(&mut self, function: u8, bar: Bar, offset: u64, data: &[u8]) {
        if !self.is_good_access(function, bar, offset, data.len(), true) {
            return;
        }
        let (value, len) = (little_endian(data), data.len());
        self.outside.observe(|| Event::Bar {
            function,
            bar,
            offset,
            value,
            len,
            write: true,
        });
        if data.len() < 4 {
            self.write_narrow(function, bar, offset, data);
        } else {
            for (index, chunk) in data.chunks_exact(4).enumerate() {
                let value = little_endian(chunk) as u32;
                self.write_dword(function, bar, offset + 4 * index as u64, value);
            }
        }
        self.settle();
    }

    fn write_narrow(&mut self, function: u8, bar: Bar, offset: u64, data: &[u8]) {
        let (unit, pf) = self.locate(function);
        if let (Bar::Registers, Some(unit)) = (bar, self.units.get_mut(unit)) {
            unit.engine
                .bar0_write_narrow(context!(self), pf, offset as u32, data);
            return;
        }
        let kind = ViolationKind::BadAccess {
            bar: bar.index(),
            offset,
            len: data.len(),
            write: true,
        };
        let cause = DmaCause::descriptor("narrow write to a BAR", offset, little_endian(data));
        self.outside.violation(Some(Function::pf(pf)), kind, cause);
    }

    fn write_dword(&mut self, function: u8, bar: Bar, offset: u64, value: u32) {
        let (unit, pf) = self.locate(function);
        let Some(unit) = self.units.get_mut(unit) else {
            return;
        };
        match bar {
            Bar::Registers => unit
                .engine
                .bar0_write32(context!(self), pf, offset as u32, value),
            Bar::Doorbells => unit
                .engine
                .doorbell(context!(self), pf, offset as u32, value),
            Bar::Msix => {
                if let Some(table) = unit.engine.msix_mut(pf) {
                    table.write32(&mut self.outside, function, offset, value);
                }
            }
        }
    }

    /// Model time in nanoseconds since power-up.
    pub fn now_ns(&self) -> u64 {
        self.outside.now_ns
    }

    /// Takes the power away and gives it back: everything of the adapter is as after [`new`](Card::new). What is outside
    /// stays: wires, observer, counters, violations and model time.
    pub fn power_cycle(&mut self) {
        (self.units, self.mfw) = power_up(&self.config);
        self.effects = MfwEffects::default();
        self.mfw.advance(self.outside.now_ns, &mut self.effects);
        self.settle();
        self.refresh_links();
    }

    /// PCIe function level reset.
    pub fn flr(&mut self, function: u8) {
        let (unit, pf) = self.locate(function);
        if let Some(unit) = self
            .units
            .get_mut(unit)
            .filter(|_| function < self.config.functions)
        {
            unit.engine.reset_pf(context!(self), pf, true);
            self.mfw.function_reset(function, &mut self.effects);
            self.settle();
        }
    }

    /// Lets a function's queue of doorbells overflow, as a busy host can: from now on its doorbells are lost, until its driver
    /// answers the attention and clears the flag.
    pub fn overflow_doorbells(&mut self, function: u8) {
        let (unit, pf) = self.locate(function);
        if let Some(unit) = self
            .units
            .get_mut(unit)
            .filter(|_| function < self.config.functions)
        {
            unit.engine.overflow_doorbells(context!(self), pf);
            self.settle();
        }
    }

    /// Allows or forbids a function to master the bus: bit 2 of its PCI command register. Allowed at power-up, because a
    /// host in the same process has no such register.
    pub fn set_bus_master(&mut self, function: u8, allowed: bool) {
        let (unit, pf) = self.locate(function);
        if let Some(unit) = self.units.get_mut(unit) {
            unit.engine.set_bus_master(pf, allowed);
        }
    }

    /// Sets the function mask of the MSI-X capability.
    pub fn set_msix_mask(&mut self, function: u8, masked: bool) {
        let (unit, pf) = self.locate(function);
        if let Some(table) = self
            .units
            .get_mut(unit)
            .and_then(|unit| unit.engine.msix_mut(pf))
        {
            table.set_function_mask(&mut self.outside, function, masked);
        }
    }

    /// Plugs a port into a wire.
    pub fn set_wire(&mut self, port: u8, wire: Box<dyn Wire>) {
        if let Some(slot) = self.outside.wires.get_mut(usize::from(port)) {
            *slot = Some(wire);
        }
    }

    /// Plugs or pulls the cable of a port. Plugged at power-up.
    pub fn set_link(&mut self, port: u8, up: bool) {
        self.mfw
            .set_partner(port, up.then(Partner::default), &mut self.effects);
        self.refresh_links();
        self.settle();
    }

    /// Lets a frame (without FCS) arrive at a port. A port without link loses it.
    pub fn inject(&mut self, port: u8, frame: &[u8]) {
        self.arrive(port, frame.to_vec());
    }

    /// Lets an observer see everything from now on; `None` ends it.
    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer>>) {
        self.outside.observer = observer;
    }

    /// The broken rules so far, oldest first. Bounded: see [`Counters::violations`] for how many there were.
    pub fn violations(&self) -> &[Violation] {
        &self.outside.violations
    }

    /// Forgets the broken rules so far; the counters stay.
    pub fn clear_violations(&mut self) {
        self.outside.violations.clear();
    }

    /// Addresses without documentation that were written, and how often.
    pub fn undocumented_writes(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.outside
            .undocumented
            .iter()
            .map(|(&address, &count)| (address, count))
    }

    /// How often things happened.
    pub fn counters(&self) -> Counters {
        self.outside.counters
    }

    /// The management firmware, to look at and to provoke.
    pub fn mfw(&self) -> &Mfw {
        &self.mfw
    }

    /// Changes something in the management firmware, then carries out what it asks for.
    pub fn with_mfw<R>(&mut self, change: impl FnOnce(&mut Mfw, &mut MfwEffects) -> R) -> R {
        let result = change(&mut self.mfw, &mut self.effects);
        self.settle();
        result
    }

    /// The storm firmware of an engine, to look at.
    pub fn storm(&self, engine: u8) -> Option<&Storm> {
        self.units.get(usize::from(engine)).map(|unit| &unit.storm)
    }

    /// The configuration the card was made with, brought into range.
    pub fn config(&self) -> &CardConfig {
        &self.config
    }

    /// What of the adapter is modelled, accepted and ignored, or not modelled.
    pub fn capability_table() -> impl Iterator<Item = crate::capability::Capability> {
        crate::capability::table()
    }
}

impl core::fmt::Debug for Card {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Card")
            .field("config", &self.config)
            .field("now_ns", &self.outside.now_ns)
            .field("counters", &self.outside.counters)
            .finish_non_exhaustive()
    }
}

/// Engines and management firmware as they are after power-up.
fn power_up(config: &CardConfig) -> (Vec<Unit>, Mfw) {
    let chip = config.chip;
    let engines = chip.limits().engines;
    let units = (0..engines)
        .map(|path| Shape {
            chip,
            path,
            pfs: (config.functions + engines - 1 - path) / engines,
            ports: config.ports,
            functions: config.functions,
            coalescing: config.coalescing,
        })
        .filter(|shape| shape.pfs > 0)
        .map(|shape| Unit {
            engine: Engine::new(shape),
            storm: Storm::new(chip, shape.ports),
        })
        .collect();
    let mfw = Mfw::new(MfwConfig {
        chip,
        persona: config.persona.clone(),
        ports: config.ports,
        pfs: config.functions,
        mac_base: config.mac_base,
        seed: config.seed,
    });
    (units, mfw)
}

/// Up to eight bytes as a number.
fn little_endian(data: &[u8]) -> u64 {
    data.iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}
