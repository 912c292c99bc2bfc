//! The management firmware: mailboxes, shared memory, NVM, link, personas.
//!
//! [`Mfw`] answers the scratchpad and the registers around the management processor. A driver writes its mailbox header,
//! the firmware executes the command and writes payload, parameter and, last, the answer header. What concerns the rest
//! of the chip comes out as [`MfwEffect`]s. Everything that takes time does so in model time, see [`Mfw::advance`].
//!
//! Drivers may write anything anywhere in the scratchpad: the firmware keeps its own state outside and never follows an
//! offset that it reads there.

pub mod codes;
mod control;
mod effects;
mod events;
mod executor;
mod layout;
mod link;
mod load;
mod locks;
mod management;
mod mdump;
mod module_eeprom;
mod nvm;
mod nvm_config;
mod persona;
mod reply;
mod resources;
mod scratchpad;
mod sensors;
mod shared_memory;
mod statistics;
#[cfg(test)]
mod tests;
mod topology;

pub use codes::Event;
pub use effects::{MfwEffect, MfwEffects};
pub use layout::{Generation, Section};
pub use link::{Fec, LoopbackMode, Partner, PhyConfig, speed};
pub use load::{DriverIdentity, HsiPolicy, LoadState};
pub use locks::RESOURCE_ALLOCATION_LOCK;
pub use management::FunctionRecord;
pub use module_eeprom::Module;
use module_eeprom::ModuleMemory;
pub use nvm::{FLASH_BYTES, NvmImage, crc32, image};
pub use persona::{Persona, Processor, Rule};
pub use resources::{Resource, ResourceRange};
pub use scratchpad::{SCRATCH_BASE, SCRATCH_BYTES};
pub use statistics::{PortCounter, PortStatistics};

use crate::Chip;
use events::EventCounters;
use layout::{FUNCTIONS, Layout, PUBLIC_BASES};
use link::PortLink;
use load::LoadArbiter;
use locks::ResourceLocks;
use mdump::CrashDump;
use nvm::Flash;
use nvm_config::{NvmConfig, NvmConfigSource};
use persona::Directive;
use reply::Request;
use resources::Resources;
use scratchpad::{SCRATCH_RESERVED_BYTES, Scratchpad};
use sensors::Sensors;
use std::collections::{BTreeMap, VecDeque};
use topology::Topology;

/// MISC_REG_SHARED_MEM_ADDR: the public base, or 0 while the firmware does not run.
const SHARED_MEMORY_ADDRESS: u32 = 0x8c20;
/// MISC_REG_GEN_PURP_CR0: GRC address of the NVM configuration block.
const NVM_CONFIG_ADDRESS: u32 = 0x8c80;
/// MISCS_REG_GENERIC_POR_0: changes with each restart of the firmware.
const RESTART_COUNTER: u32 = 0x96d4;
/// MCP_REG_CPU_MODE, bit 10 requests a halt.
const CPU_MODE: u32 = 0xe0_5000;
/// MCP_REG_CPU_STATE, bit 10 shows a halt; cleared by writing ones.
const CPU_STATE: u32 = 0xe0_5004;
/// MCP_REG_CPU_EVENT_MASK.
const CPU_EVENT_MASK: u32 = 0xe0_5008;
/// MCP_REG_CPU_PROGRAM_COUNTER.
const CPU_PROGRAM_COUNTER: u32 = 0xe0_501c;
/// MCP_REG_NVM_CFG4, [2:0] the size of the flash.
const FLASH_SIZE: u32 = 0xe0_642c;
const SOFT_HALT: u32 = 1 << 10;

/// Exchanges that [`Mfw::exchanges`] remembers.
const EXCHANGES: usize = 256;
/// PHY registers that tools can write before the firmware refuses more.
const PHY_REGISTERS: usize = 1024;

/// What the management firmware has to know about the card.
#[derive(Clone, Debug)]
pub struct MfwConfig {
    /// The chip family.
    pub chip: Chip,
    /// How the firmware behaves.
    pub persona: Persona,
    /// Ports of one engine: 1, 2 or 4 (4 on K2 only).
    pub ports: u8,
    /// PCI functions of the card, which are absolute PF ids. On BB they alternate between the engines.
    pub pfs: u8,
    /// MAC address of PF 0; PF n has this plus n.
    pub mac_base: [u8; 6],
    /// Seed of everything that looks random.
    pub seed: u64,
}

/// One command that the firmware dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Model time of the answer, or of the command when there was none.
    pub time_ns: u64,
    /// Absolute PF id.
    pub function: u8,
    /// Command code.
    pub command: u16,
    /// Sequence number of the command.
    pub sequence: u16,
    /// Parameter of the command.
    pub param: u32,
    /// Response code and parameter; `None` when the persona stayed silent.
    pub answer: Option<(u16, u32)>,
}

/// A command whose answer is due later.
#[derive(Clone, Copy)]
struct Pending {
    request: Request,
    directive: Directive,
    due_ns: u64,
}

/// State of the management processor.
#[derive(Default)]
struct Cpu {
    mode: u32,
    state: u32,
    event_mask: u32,
    program_counter: u32,
    restarts: u32,
}

impl Cpu {
    fn is_halted(&self) -> bool {
        self.mode & SOFT_HALT != 0
    }

    fn halt(&mut self) {
        self.mode |= SOFT_HALT;
        self.state |= SOFT_HALT;
    }

    fn sample_program_counter(&mut self) -> u32 {
        if !self.is_halted() {
            self.program_counter = (self.program_counter + 4) & 0xfff;
        }
        0x0800_0000 | self.program_counter
    }
}

/// A port: its link and its module.
struct Port {
    link: PortLink,
    module: ModuleMemory,
}

/// The management firmware.
pub struct Mfw {
    config: MfwConfig,
    topology: Topology,
    layout: Layout,
    ram: Scratchpad,
    cpu: Cpu,
    now_ns: u64,
    booted: bool,
    link_training_ns: u64,
    pending: [Option<Pending>; FUNCTIONS as usize],
    muted: [bool; FUNCTIONS as usize],
    sequences: [u16; FUNCTIONS as usize],
    records: Vec<FunctionRecord>,
    load: LoadArbiter,
    locks: ResourceLocks,
    resources: Resources,
    events: EventCounters,
    ports: Vec<Port>,
    sensors: Sensors,
    nvm_config: NvmConfig,
    flash: Flash,
    dump: CrashDump,
    phy_registers: BTreeMap<(u16, u32), u32>,
    exchanges: VecDeque<Exchange>,
    overwritten: u64,
}

impl core::fmt::Debug for Mfw {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Mfw")
            .field("config", &self.config)
            .field("now_ns", &self.now_ns)
            .field("halted", &self.cpu.is_halted())
            .finish_non_exhaustive()
    }
}

/// The address of the PF with this number: the base plus the number, as 48-bit arithmetic.
fn mac_of(base: [u8; 6], function: u8) -> [u8; 6] {
    let [a, b, c, d, e, f] = base;
    let sum = u64::from_be_bytes([0, 0, a, b, c, d, e, f]).wrapping_add(function.into());
    let [_, _, mac @ ..] = sum.to_be_bytes();
    mac
}

impl Mfw {
    /// A freshly powered-up management firmware.
    pub fn new(config: MfwConfig) -> Self {
        let topology = Topology::new(config.chip, config.pfs, config.ports);
        let persona = &config.persona;
        let macs = std::array::from_fn(|mailbox| {
            mac_of(config.mac_base, topology.absolute(mailbox as u8))
        });
        let speeds = speed::G1 | speed::G10 | speed::G25;
        let nvm_config = NvmConfig::new(&NvmConfigSource {
            topology,
            macs,
            speeds,
            mbi_version: persona.version >> 8,
        });
        let flash = Flash::new(nvm_config.words(), persona.version, config.seed);
        let features = shared_memory::link_features(persona.features);
        let ports = (0..topology.ports())
            .map(|_| Port {
                link: PortLink::new(speeds, features, Some(Partner::default())),
                module: ModuleMemory::new(Module::default()),
            })
            .collect();
        let layout = Layout {
            base: PUBLIC_BASES[0],
            generation: persona.generation,
        };
        let events = EventCounters::new(layout.generation.event_capacity().min(27));
        let mut mfw = Self {
            topology,
            layout,
            ram: Scratchpad::new(),
            cpu: Cpu::default(),
            now_ns: 0,
            booted: false,
            link_training_ns: 0,
            pending: [None; FUNCTIONS as usize],
            muted: [false; FUNCTIONS as usize],
            sequences: [config.seed as u16; FUNCTIONS as usize],
            records: vec![FunctionRecord::default(); FUNCTIONS as usize],
            load: LoadArbiter::new(topology, persona.hsi),
            locks: ResourceLocks::default(),
            resources: Resources::new(topology),
            events,
            ports,
            sensors: Sensors::new(),
            nvm_config,
            flash,
            dump: CrashDump::default(),
            phy_registers: BTreeMap::new(),
            exchanges: VecDeque::new(),
            overwritten: 0,
            config,
        };
        mfw.write_shared_memory();
        match mfw.config.persona.processor {
            Processor::Running => mfw.finish_boot(),
            Processor::Halted => {
                mfw.finish_boot();
                mfw.cpu.halt();
            }
            Processor::Absent | Processor::Booting(_) => {}
        }
        mfw
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &MfwConfig {
        &self.config
    }

    /// True for registers and memories that the management firmware answers: its block (0xe00000 to 0xe7ffff) and the
    /// scattered registers that it fills (0x8c20, 0x8c80, 0x96d4).
    pub fn owns(&self, address: u32) -> bool {
        matches!(
            address,
            0xe0_0000..=0xe7_ffff | SHARED_MEMORY_ADDRESS | NVM_CONFIG_ADDRESS | RESTART_COUNTER
        )
    }

    fn scratch_offset(address: u32) -> Option<u32> {
        address
            .checked_sub(SCRATCH_BASE)
            .filter(|offset| *offset < SCRATCH_RESERVED_BYTES)
    }

    /// Reads a dword; what does not exist reads as 0.
    pub fn read32(&mut self, requester_pf: u8, address: u32) -> u32 {
        let _ = requester_pf;
        let absent = self.config.persona.processor == Processor::Absent;
        match address {
            SHARED_MEMORY_ADDRESS | NVM_CONFIG_ADDRESS if absent => 0,
            SHARED_MEMORY_ADDRESS => 0x2_0000 + self.layout.base,
            NVM_CONFIG_ADDRESS => SCRATCH_BASE + layout::NVM_CFG_OFFSET,
            RESTART_COUNTER => self.cpu.restarts,
            CPU_MODE => self.cpu.mode,
            CPU_STATE => self.cpu.state,
            CPU_EVENT_MASK => self.cpu.event_mask,
            CPU_PROGRAM_COUNTER => self.cpu.sample_program_counter(),
            FLASH_SIZE => nvm::SIZE_CODE,
            _ => Self::scratch_offset(address).map_or(0, |offset| self.ram.get(offset)),
        }
    }

    /// Writes a dword. Writing a mailbox header executes its command.
    pub fn write32(
        &mut self,
        requester_pf: u8,
        address: u32,
        value: u32,
        effects: &mut MfwEffects,
    ) {
        let _ = requester_pf;
        match address {
            CPU_MODE => {
                let was_halted = self.cpu.is_halted();
                self.cpu.mode = value;
                if self.cpu.is_halted() {
                    self.cpu.halt();
                } else if was_halted {
                    self.run_due(effects);
                }
            }
            CPU_STATE => self.cpu.state &= !value,
            CPU_EVENT_MASK => self.cpu.event_mask = value,
            _ => {
                if let Some(offset) = Self::scratch_offset(address) {
                    self.ram.set(offset, value);
                    self.observe(offset, value, effects);
                }
            }
        }
    }

    /// Looks whether a write to the scratchpad means something.
    fn observe(&mut self, offset: u32, value: u32, effects: &mut MfwEffects) {
        match self.layout.mailbox_at(offset) {
            Some((function, shared_memory::DRIVER_HEADER)) => {
                self.submit(function as u8, value, effects)
            }
            Some((function, shared_memory::DRIVER_PULSE)) => self.pulse(function as u8, value),
            _ => {}
        }
    }

    /// Lets time pass until `now_ns`: answers what is due, finishes booting and link training.
    pub fn advance(&mut self, now_ns: u64, effects: &mut MfwEffects) {
        self.now_ns = self.now_ns.max(now_ns);
        if let Processor::Booting(time_ns) = self.config.persona.processor {
            if !self.booted && self.now_ns >= time_ns {
                self.finish_boot();
            }
        }
        for port in 0..self.ports.len() {
            self.refresh_link(port, effects);
        }
        self.run_due(effects);
    }

    /// The next model time, later than now, at which [`Self::advance`] has something to do: an answer is due, a load lock
    /// times out while somebody waits for it, booting or link training ends.
    pub fn next_due_ns(&self) -> Option<u64> {
        let boots = match self.config.persona.processor {
            Processor::Booting(time_ns) if !self.booted => Some(time_ns),
            _ => None,
        };
        let runs = self.booted && !self.cpu.is_halted();
        let answers = (0..).zip(&self.pending).filter_map(|(function, slot)| {
            let pending = slot.as_ref().filter(|_| runs)?;
            if pending.due_ns > self.now_ns {
                Some(pending.due_ns)
            } else {
                self.load.lock_expires_ns(function)
            }
        });
        let training = self.ports.iter().map(|port| port.link.training_until_ns());
        answers
            .chain(training)
            .chain(boots)
            .filter(|time_ns| *time_ns > self.now_ns && *time_ns != u64::MAX)
            .min()
    }

    /// Tells the firmware that a function was reset (PCIe FLR): its driver, locks and link request are gone.
    ///
    /// Not to be called for a [`MfwEffect::PfFlr`]: there the firmware has already done its part.
    pub fn function_reset(&mut self, function: u8, effects: &mut MfwEffects) {
        let function = self.topology.mailbox(function);
        self.pending[usize::from(function)] = None;
        self.muted[usize::from(function)] = false;
        self.forget(function, effects);
        self.run_due(effects);
    }
}
