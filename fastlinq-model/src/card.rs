//! The adapter as a whole.

use crate::Chip;
use crate::memory::{HostMemory, Interrupts};
use crate::mfw::Persona;
use crate::violation::Violation;
use crate::wire::Wire;

/// A PCI BAR of the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bar {
    /// BAR0: register windows.
    Registers,
    /// BAR2: doorbells.
    Doorbells,
    /// BAR4: MSI-X table and pending bits.
    Msix,
}

/// What kind of adapter to make.
#[derive(Clone, Debug)]
pub struct CardConfig {
    pub(crate) chip: Chip,
    pub(crate) persona: Persona,
    pub(crate) ports: u8,
    pub(crate) functions: u8,
    pub(crate) mac_base: [u8; 6],
    pub(crate) seed: u64,
}

impl CardConfig {
    /// A one-port, one-function adapter with a modern management firmware.
    pub fn new(chip: Chip) -> Self {
        Self {
            chip,
            persona: Persona::default(),
            ports: 1,
            functions: 1,
            mac_base: [0x02, 0x0e, 0x1e, 0x11, 0x22, 0x30],
            seed: 0,
        }
    }

    /// Management firmware persona.
    pub fn persona(mut self, persona: Persona) -> Self {
        self.persona = persona;
        self
    }

    /// Ports of the engine: 1, 2 or 4 (4 on K2 only).
    pub fn ports(mut self, ports: u8) -> Self {
        self.ports = ports;
        self
    }

    /// Number of PCI functions. PF n is on port n modulo ports.
    pub fn functions(mut self, functions: u8) -> Self {
        self.functions = functions;
        self
    }

    /// MAC address of PF 0; PF n has this plus n.
    pub fn mac_base(mut self, mac: [u8; 6]) -> Self {
        self.mac_base = mac;
        self
    }

    /// Seed of everything that looks random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// A software adapter.
pub struct Card {
    config: CardConfig,
    memory: Box<dyn HostMemory>,
    interrupts: Box<dyn Interrupts>,
    wires: Vec<Option<Box<dyn Wire>>>,
    violations: Vec<Violation>,
    now_ns: u64,
}

impl Card {
    /// Powers an adapter up.
    pub fn new(
        config: CardConfig,
        memory: Box<dyn HostMemory>,
        interrupts: Box<dyn Interrupts>,
    ) -> Self {
        let wires = (0..config.ports).map(|_| None).collect();
        Self {
            config,
            memory,
            interrupts,
            wires,
            violations: Vec::new(),
            now_ns: 0,
        }
    }

    /// Bytes of a BAR; 0 when the function has none.
    pub fn bar_size(&self, function: u8, bar: Bar) -> u64 {
        let _ = function;
        match bar {
            Bar::Registers => 0x10_0000,
            Bar::Doorbells => 0x80_0000,
            Bar::Msix => 0x1_0000,
        }
    }

    /// Reads 1, 2, 4 or 8 bytes, naturally aligned.
    pub fn read(&mut self, function: u8, bar: Bar, offset: u64, data: &mut [u8]) {
        let _ = (function, bar, offset);
        data.fill(0);
    }

    /// Writes 1, 2, 4 or 8 bytes, naturally aligned.
    pub fn write(&mut self, function: u8, bar: Bar, offset: u64, data: &[u8]) {
        let _ = (
            function,
            bar,
            offset,
            data,
            &mut self.memory,
            &mut self.interrupts,
        );
    }

    /// Lets model time pass: slow management firmware, coalescing timers; pumps the wires.
    pub fn advance(&mut self, ns: u64) {
        self.now_ns = self.now_ns.saturating_add(ns);
    }

    /// Model time in nanoseconds since power-up.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Takes frames from the wires; like `advance(0)`.
    pub fn poll(&mut self) {
        self.advance(0);
    }

    /// PCIe function level reset.
    pub fn flr(&mut self, function: u8) {
        let _ = function;
    }

    /// Plugs a port into a wire.
    pub fn set_wire(&mut self, port: u8, wire: Box<dyn Wire>) {
        if let Some(slot) = self.wires.get_mut(usize::from(port)) {
            *slot = Some(wire);
        }
    }

    /// Plugs or pulls the cable of a port.
    pub fn set_link(&mut self, port: u8, up: bool) {
        let _ = (port, up);
    }

    /// Lets a frame (without FCS) arrive at a port.
    pub fn inject(&mut self, port: u8, frame: &[u8]) {
        let _ = (port, frame);
    }

    /// The broken rules so far, oldest first; bounded.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The configuration the card was made with.
    pub fn config(&self) -> &CardConfig {
        &self.config
    }
}
