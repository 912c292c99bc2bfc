//! What an adapter is made of, and what it counts.

use fastlinq_pac::Chip;

use crate::chip::{BAR2_BYTES, msix, windows};
use crate::mfw::Persona;

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

impl Bar {
    /// The BAR with this index in configuration space; all are 64 bits wide, so only even ones exist.
    pub const fn from_index(index: u8) -> Option<Self> {
        match index {
            0 => Some(Self::Registers),
            2 => Some(Self::Doorbells),
            4 => Some(Self::Msix),
            _ => None,
        }
    }

    /// The BAR's index in configuration space.
    pub const fn index(self) -> u8 {
        match self {
            Self::Registers => 0,
            Self::Doorbells => 2,
            Self::Msix => 4,
        }
    }

    /// Bytes of the BAR.
    pub const fn size(self) -> u64 {
        match self {
            Self::Registers => windows::BAR0_BYTES,
            Self::Doorbells => BAR2_BYTES,
            Self::Msix => msix::BAR4_BYTES,
        }
    }
}

/// What kind of adapter to make.
///
/// # Examples
///
/// ```
/// use fastlinq_model::{CardConfig, Chip};
///
/// let config = CardConfig::new(Chip::K2).ports(2).functions(2).seed(7);
/// assert_eq!(config.chip(), Chip::K2);
/// ```
#[derive(Clone, Debug)]
pub struct CardConfig {
    pub(crate) chip: Chip,
    pub(crate) persona: Persona,
    pub(crate) ports: u8,
    pub(crate) functions: u8,
    pub(crate) mac_base: [u8; 6],
    pub(crate) seed: u64,
    pub(crate) coalescing: bool,
}

impl CardConfig {
    /// A one-port, one-function adapter with a modern management firmware.
    pub fn new(chip: Chip) -> Self {
        let mac_base = [0x02, 0x0e, 0x1e, 0x11, 0x22, 0x30];
        Self {
            chip,
            persona: Persona::default(),
            ports: 1,
            functions: 1,
            mac_base,
            seed: 0,
            coalescing: true,
        }
    }

    /// Management firmware persona.
    pub fn persona(mut self, persona: Persona) -> Self {
        self.persona = persona;
        self
    }

    /// Ports of each engine: 1, 2, or on K2 4. Other numbers are brought into range. BB has two engines and so twice as
    /// many ports on the card.
    pub fn ports(mut self, ports: u8) -> Self {
        self.ports = ports;
        self
    }

    /// Number of PCI functions, 1 to 16. On BB they alternate between the engines. Function n is on the card's port n
    /// modulo the number of ports.
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

    /// Whether interrupt coalescing takes model time (the default). Without it every status block is written at once,
    /// whatever timers the driver programs: for hosts that do not let model time pass.
    pub fn coalescing(mut self, coalescing: bool) -> Self {
        self.coalescing = coalescing;
        self
    }

    /// The chip family.
    pub fn chip(&self) -> Chip {
        self.chip
    }

    /// MAC address of PF 0.
    pub fn mac_base_address(&self) -> [u8; 6] {
        self.mac_base
    }

    /// Number of PCI functions.
    pub fn function_count(&self) -> u8 {
        self.functions
    }

    /// Number of ports of the whole card.
    pub fn port_count(&self) -> u8 {
        self.ports * self.chip.limits().engines
    }

    /// The configuration with everything brought into the chip's range.
    pub(crate) fn in_range(mut self) -> Self {
        let limits = self.chip.limits();
        self.functions = self.functions.clamp(1, 16);
        self.ports = match self.ports.min(limits.ports_per_engine) {
            4.. => 4,
            2 | 3 => 2,
            _ => 1,
        };
        self
    }
}

/// How often things happened since power-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Register reads through windows.
    pub register_reads: u64,
    /// Register writes through windows.
    pub register_writes: u64,
    /// Writes to addresses of which nothing is known.
    pub undocumented_writes: u64,
    /// Accesses that no block answered.
    pub no_completer: u64,
    /// Device reads of host memory.
    pub dma_reads: u64,
    /// Bytes of them.
    pub dma_read_bytes: u64,
    /// Device writes of host memory.
    pub dma_writes: u64,
    /// Bytes of them.
    pub dma_written_bytes: u64,
    /// Commands of the register DMA engine.
    pub dmae_commands: u64,
    /// Stores to the doorbell BAR.
    pub doorbells: u64,
    /// Doorbells that were dropped.
    pub doorbells_dropped: u64,
    /// Doorbells that were lost silently because the function's queue of them had overflowed.
    pub doorbells_overflowed: u64,
    /// Doorbells in the PWM region, which are ignored.
    pub doorbells_pwm: u64,
    /// Status blocks written to the host.
    pub status_block_writes: u64,
    /// Message interrupts.
    pub interrupts: u64,
    /// Ramrods that the storm firmware executed.
    pub ramrods: u64,
    /// Frames sent out of a port.
    pub frames_sent: u64,
    /// Frames that arrived at a port.
    pub frames_received: u64,
    /// Frames lost because the link was down.
    pub frames_dropped_link_down: u64,
    /// Broken rules, those no longer in the log included.
    pub violations: u64,
}
