//! The host: an adapter, its memory, its interrupts and its time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use embedded_hal::delay::DelayNs;
use fastlinq_hal::host::{AllocationError, Clock, DmaAllocator, Host, PciIdentity};
use fastlinq_model::mfw::Persona;
use fastlinq_model::wire::Loopback;
use fastlinq_model::{self as model, Bar, Card, CardConfig, Chip, Violation, Wire};

use crate::bar::ModelBar;
use crate::fault::Faults;
use crate::interrupts::{Lines, Mailroom};
use crate::memory::{DeviceView, HostMap, MemoryReport, ModelRegion};

/// Model time that a look at the clock takes; who waits by looking at the clock alone gets on, too.
const CLOCK_NS: u64 = 100;

/// What all functions of one adapter share.
pub(crate) struct Machine {
    card: Mutex<Card>,
    memory: Arc<HostMap>,
    mail: Arc<Mailroom>,
    chip: Chip,
    pub(crate) read_ns: u64,
}

impl Machine {
    pub(crate) fn card(&self) -> MutexGuard<'_, Card> {
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a [`ModelHost`] is made of.
///
/// # Examples
///
/// ```
/// use fastlinq_hal::host::Host;
/// use fastlinq_model_host::{ModelHost, model::Chip};
///
/// let hosts = ModelHost::builder().chip(Chip::Bb).functions(2).build_all();
/// assert_eq!(hosts.len(), 2);
/// assert_eq!(hosts[1].identity().vendor, 0x1077);
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    card: Option<CardConfig>,
    chip: Chip,
    persona: Option<Persona>,
    ports: u8,
    functions: u8,
    mac_base: Option<[u8; 6]>,
    seed: u64,
    scramble: bool,
    vectors: u16,
    read_ns: u64,
    loopback: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            card: None,
            chip: Chip::K2,
            persona: None,
            ports: 1,
            functions: 1,
            mac_base: None,
            seed: 0,
            scramble: false,
            vectors: 0,
            read_ns: 1_000,
            loopback: false,
        }
    }
}

impl Builder {
    /// The chip family; K2 when not given.
    pub fn chip(mut self, chip: Chip) -> Self {
        self.chip = chip;
        self
    }

    /// Behaviour of the management firmware; modern when not given.
    pub fn persona(mut self, persona: Persona) -> Self {
        self.persona = Some(persona);
        self
    }

    /// Ports of each engine: 1, 2, or on K2 4.
    pub fn ports(mut self, ports: u8) -> Self {
        self.ports = ports;
        self
    }

    /// PCI functions of the adapter; each becomes a host of its own.
    pub fn functions(mut self, functions: u8) -> Self {
        self.functions = functions;
        self
    }

    /// MAC address of function 0; the others follow.
    pub fn mac_base(mut self, mac: [u8; 6]) -> Self {
        self.mac_base = Some(mac);
        self
    }

    /// Seed of everything that looks random: the adapter's numbers and the bus addresses.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Spreads bus addresses at random over 45 bits instead of handing them out in rising order.
    pub fn scramble_addresses(mut self, scramble: bool) -> Self {
        self.scramble = scramble;
        self
    }

    /// MSI-X vectors that the host offers to the driver; 0 (polling) when not given.
    pub fn interrupt_vectors(mut self, vectors: u16) -> Self {
        self.vectors = vectors;
        self
    }

    /// Model time that a register read takes, in nanoseconds; 1,000 when not given.
    pub fn read_ns(mut self, ns: u64) -> Self {
        self.read_ns = ns;
        self
    }

    /// Plugs all ports into a wire that returns every frame to its sender.
    pub fn loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Uses this configuration for the adapter, whatever the other methods said about it.
    pub fn card(mut self, card: CardConfig) -> Self {
        self.card = Some(card);
        self
    }

    /// Powers the adapter up and gives the host of function 0.
    pub fn build(self) -> ModelHost {
        self.machine().host(0)
    }

    /// Powers the adapter up and gives one host per function.
    pub fn build_all(self) -> Vec<ModelHost> {
        let functions = self.functions;
        let machine = self.machine();
        (0..functions)
            .map(|function| machine.host(function))
            .collect()
    }

    fn machine(self) -> Powered {
        let config = self.card.unwrap_or_else(|| {
            let mut config = CardConfig::new(self.chip)
                .ports(self.ports)
                .functions(self.functions)
                .seed(self.seed);
            if let Some(persona) = self.persona {
                config = config.persona(persona);
            }
            if let Some(mac) = self.mac_base {
                config = config.mac_base(mac);
            }
            config
        });
        let memory = Arc::new(HostMap::new(self.seed, self.scramble));
        let mail = Arc::new(Mailroom::default());
        let ports = config.port_count();
        let chip = config.chip();
        let mut card = Card::new(
            config,
            Box::new(DeviceView(Arc::clone(&memory))),
            Box::new(Lines(Arc::clone(&mail))),
        );
        if self.loopback {
            for port in 0..ports {
                card.set_wire(port, Box::new(Loopback::new()));
            }
        }
        Powered {
            machine: Arc::new(Machine {
                card: Mutex::new(card),
                memory,
                mail,
                chip,
                read_ns: self.read_ns,
            }),
            vectors: self.vectors,
        }
    }
}

struct Powered {
    machine: Arc<Machine>,
    vectors: u16,
}

impl Powered {
    fn host(&self, function: u8) -> ModelHost {
        ModelHost {
            machine: Arc::clone(&self.machine),
            faults: Faults::default(),
            function,
            vectors: self.vectors,
        }
    }
}

/// A host with a software adapter plugged in; clones are handles to the same function.
///
/// The driver gets one clone, the test keeps another one to look behind the scenes. Everything is deterministic for one
/// thread: time passes only when the driver waits, reads a register or looks at the clock, or when [`advance`] says so.
///
/// [`advance`]: Self::advance
#[derive(Clone)]
pub struct ModelHost {
    machine: Arc<Machine>,
    faults: Faults,
    function: u8,
    vectors: u16,
}

impl core::fmt::Debug for ModelHost {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "function {} of a {:?} software adapter",
            self.function, self.machine.chip
        )
    }
}

impl ModelHost {
    /// Starts with a one-port, one-function K2 adapter with a modern management firmware.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Number of this PCI function on its adapter.
    pub fn function(&self) -> u8 {
        self.function
    }

    /// Faults of this function's register accesses, and their counts.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Refuses DMA memory from the allocation with this number on, counted from 0 since power-up; `None` stops that.
    pub fn refuse_memory_from(&self, allocation: Option<u64>) {
        self.machine.memory.refuse_from(allocation);
    }

    /// What the DMA memory of the adapter's functions is used for.
    pub fn memory(&self) -> MemoryReport {
        self.machine.memory.report()
    }

    /// The rules that were broken so far, as the adapter saw it.
    pub fn violations(&self) -> Vec<Violation> {
        self.machine.card().violations().to_vec()
    }

    /// Takes the messages of an interrupt vector; 0 when there were none.
    pub fn take_interrupts(&self, vector: u16) -> u64 {
        self.machine.mail.take(self.function, vector)
    }

    /// Vectors with messages that were not taken yet.
    pub fn pending_interrupts(&self) -> Vec<u16> {
        self.machine.mail.pending(self.function)
    }

    /// Lets model time pass.
    pub fn advance(&self, ns: u64) {
        self.machine.card().advance(ns);
    }

    /// Lets the adapter take frames from its wires; no time passes.
    pub fn poll(&self) {
        self.machine.card().poll();
    }

    /// Plugs a port into a wire.
    pub fn set_wire(&self, port: u8, wire: Box<dyn Wire>) {
        self.machine.card().set_wire(port, wire);
    }

    /// Plugs or pulls the cable of a port.
    pub fn set_link(&self, port: u8, up: bool) {
        self.machine.card().set_link(port, up);
    }

    /// Lets a frame (without FCS) arrive at a port.
    pub fn inject(&self, port: u8, frame: &[u8]) {
        self.machine.card().inject(port, frame);
    }

    /// PCIe function level reset of this function.
    pub fn function_level_reset(&self) {
        self.machine.card().flr(self.function);
    }

    /// The adapter itself, locked while `look` runs; `look` must not use this host or its BARs.
    pub fn with_card<T>(&self, look: impl FnOnce(&mut Card) -> T) -> T {
        look(&mut self.machine.card())
    }

    fn bar(&self, bar: Bar) -> ModelBar {
        let len = self.machine.card().bar_size(self.function, bar);
        ModelBar {
            machine: Arc::clone(&self.machine),
            faults: self.faults.clone(),
            function: self.function,
            bar,
            len: usize::try_from(len).unwrap_or(usize::MAX),
        }
    }
}

impl DmaAllocator for ModelHost {
    type Region = ModelRegion;

    fn allocate(&mut self, size: usize, align: usize) -> Result<ModelRegion, AllocationError> {
        self.machine.memory.allocate(size, align)
    }
}

impl Clock for ModelHost {
    fn now_us(&self) -> u64 {
        let mut card = self.machine.card();
        card.advance(CLOCK_NS);
        card.now_ns() / 1_000
    }
}

impl DelayNs for ModelHost {
    fn delay_ns(&mut self, ns: u32) {
        self.advance(u64::from(ns));
    }

    fn delay_us(&mut self, us: u32) {
        self.advance(u64::from(us) * 1_000);
    }

    fn delay_ms(&mut self, ms: u32) {
        self.advance(u64::from(ms) * 1_000_000);
    }
}

impl Host for ModelHost {
    type Bar = ModelBar;

    fn registers(&self) -> ModelBar {
        self.bar(Bar::Registers)
    }

    fn doorbells(&self) -> ModelBar {
        self.bar(Bar::Doorbells)
    }

    fn identity(&self) -> PciIdentity {
        let card = self.machine.card().pci_config(self.function);
        card.map_or_else(PciIdentity::default, |identity| PciIdentity {
            vendor: model::pci::VENDOR,
            device: identity.device_id,
            revision: identity.revision,
            subsystem_vendor: identity.subsystem.0,
            subsystem: identity.subsystem.1,
        })
    }

    fn interrupt_vectors(&self) -> u16 {
        self.vectors
    }
}
