//! What the rest of the card and its tests do to the management firmware, and what they can see of it.
//!
//! Functions are absolute PF ids here, ports those of the whole card (see [`Mfw::port_of`]).

use super::codes::Event;
use super::layout::{DATA_BUFFER_BYTES, DATA_BUFFER_OFFSET, FUNCTIONS, PUBLIC_BASES, Section};
use super::link::{LoopbackMode, PhyConfig};
use super::reply::{UNION_BYTES, word};
use super::scratchpad::{SCRATCH_BASE, SCRATCH_BYTES, swap_string};
use super::shared_memory::{self as field, UNION};
use super::statistics::{PortStatistics, STATISTICS_OFFSET};
use super::{
    DriverIdentity, EventCounters, Exchange, FunctionRecord, LoadState, Mfw, MfwEffect, MfwEffects,
    Module, ModuleMemory, NvmImage, Partner, Pending, Processor, Resource, ResourceLocks,
    ResourceRange, mac_of,
};

impl Mfw {
    /// Where the driver of a function is.
    pub fn load_state(&self, function: u8) -> LoadState {
        self.load.state(self.topology.mailbox(function))
    }

    /// What the loaded driver of a function said about itself.
    pub fn driver(&self, function: u8) -> Option<DriverIdentity> {
        self.load.driver(self.topology.mailbox(function))
    }

    /// What drivers reported about a function.
    pub fn record(&self, function: u8) -> &FunctionRecord {
        &self.records[usize::from(self.topology.mailbox(function))]
    }

    /// A function's share of a resource.
    pub fn resource(&self, function: u8, resource: Resource) -> ResourceRange {
        self.resources
            .range(self.topology.mailbox(function), resource)
    }

    /// Who holds an arbitrated lock: 0 to 15 a mailbox, 16 the firmware itself.
    pub fn lock_owner(&mut self, lock: u8) -> Option<u8> {
        self.locks.owner(lock, self.now_ns)
    }

    /// Lets somebody outside the mailboxes hold a lock (16 is the firmware itself), or frees it.
    pub fn set_lock_owner(&mut self, lock: u8, owner: Option<u8>) {
        self.locks.set_owner(lock, owner);
    }

    /// The MAC address of a function.
    pub fn mac_address(&self, function: u8) -> [u8; 6] {
        mac_of(self.config.mac_base, function)
    }

    /// The directory of the flash.
    pub fn images(&self) -> &[NvmImage] {
        self.flash.images()
    }

    /// The bytes of the flash.
    pub fn flash(&self) -> &[u8] {
        self.flash.bytes()
    }

    /// The last file that a driver sent completely: 1 firmware, 2 image, 3 bundle.
    pub fn finished_upload(&self) -> Option<(u32, &[u8])> {
        self.flash.finished_upload()
    }

    /// LED mode of a port: 0 operational, 1 on, 2 off.
    pub fn led_mode(&self, port: u8) -> u32 {
        self.sensors.led(port)
    }

    /// Sets what the temperature sensors of chip and board read, in degrees Celsius.
    pub fn set_temperatures(&mut self, internal_c: u8, external_c: u8) {
        self.sensors.internal_c = internal_c.into();
        self.sensors.external_c = external_c.into();
        self.write_global();
    }

    /// The latest exchanges, oldest first.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.exchanges.iter()
    }

    /// How many commands were overwritten by the next one before they were answered.
    pub fn overwritten_commands(&self) -> u64 {
        self.overwritten
    }

    /// How often an event was posted to a function, modulo 256.
    pub fn event_count(&self, function: u8, event: Event) -> u8 {
        self.events.count(self.topology.mailbox(function), event)
    }

    /// GRC address of an element of a section, for tests and tools.
    pub fn section_address(&self, section: Section, index: u32) -> u32 {
        SCRATCH_BASE + self.layout.element(section, index)
    }

    /// Absolute PF id of a PF of an engine (path).
    pub fn function_of(&self, path: u8, pf: u8) -> u8 {
        let engines = self.topology.engines();
        (pf & 0xf)
            .wrapping_mul(engines)
            .wrapping_add(path % engines)
            & 0xf
    }

    /// Engine (path) of a function and its PF id there.
    pub fn pf_of(&self, function: u8) -> (u8, u8) {
        let mailbox = self.topology.mailbox(function);
        (self.topology.path(mailbox), self.topology.relative(mailbox))
    }

    /// The port of a function: absolute PF id modulo the number of ports of the card.
    pub fn port_of(&self, function: u8) -> u8 {
        self.topology.port(self.topology.mailbox(function))
    }

    /// DW `index` of the payload of a function's mailbox as it is now, for tests and tools.
    pub fn mailbox_payload_word(&self, function: u8, index: usize) -> u32 {
        let mailbox = self.layout.element(
            Section::DriverMailbox,
            self.topology.mailbox(function).into(),
        );
        word(&self.ram.bytes::<UNION_BYTES>(mailbox + UNION), index)
    }

    /// Posts an event to a function and raises its general attention.
    pub fn post_event(&mut self, function: u8, event: Event, effects: &mut MfwEffects) {
        self.post(self.topology.mailbox(function), event, effects);
    }

    /// How long a link needs to come up after INIT_PHY, in ns of model time. 0 at power-up.
    pub fn set_link_training_ns(&mut self, duration_ns: u64) {
        self.link_training_ns = duration_ns;
    }

    /// Plugs or pulls the cable of a port.
    pub fn set_partner(&mut self, port: u8, partner: Option<Partner>, effects: &mut MfwEffects) {
        let index = usize::from(port);
        if let Some(port) = self.ports.get_mut(index) {
            port.link.set_partner(partner);
        }
        self.refresh_link(index, effects);
    }

    /// What the other end of the cable of a port can do.
    pub fn partner(&self, port: u8) -> Option<Partner> {
        self.ports
            .get(usize::from(port))
            .and_then(|port| port.link.partner())
    }

    /// True while frames pass through a port.
    pub fn link_is_up(&self, port: u8) -> bool {
        self.ports
            .get(usize::from(port))
            .is_some_and(|port| port.link.resolved().is_up())
    }

    /// Where a port loops frames back.
    pub fn loopback_mode(&self, port: u8) -> LoopbackMode {
        self.ports
            .get(usize::from(port))
            .map_or(LoopbackMode::None, |port| port.link.resolved().loopback)
    }

    /// The PHY configuration that drivers asked for on a port.
    pub fn phy_config(&self, port: u8) -> PhyConfig {
        self.ports
            .get(usize::from(port))
            .map_or_else(PhyConfig::default, |port| port.link.config())
    }

    /// Plugs another module into a port.
    pub fn set_module(&mut self, port: u8, module: Module, effects: &mut MfwEffects) {
        let index = usize::from(port);
        if let Some(port) = self.ports.get_mut(index) {
            port.module = ModuleMemory::new(module);
        }
        self.write_module(index);
        self.post_to_port(index, Event::TransceiverStateChange, effects);
    }

    /// Lets the firmware hang: it answers no driver any more until it is restarted or the function is reset. Links and what
    /// is in shared memory stay as they are.
    pub fn fall_silent(&mut self) {
        self.pending = [None::<Pending>; FUNCTIONS as usize];
        self.muted = [true; FUNCTIONS as usize];
    }

    /// Gives a function other bandwidth limits, in percent, and tells its driver.
    pub fn set_bandwidth(
        &mut self,
        function: u8,
        minimum: u8,
        maximum: u8,
        effects: &mut MfwEffects,
    ) {
        self.write_bandwidth(self.topology.mailbox(function), minimum, maximum);
        self.post_event(function, Event::BandwidthUpdate, effects);
    }

    /// Gives a function another outer VLAN (0xffff for none) and tells its driver.
    pub fn set_outer_vlan(&mut self, function: u8, tag: u16, effects: &mut MfwEffects) {
        self.put(
            Section::Function,
            self.topology.mailbox(function).into(),
            field::function::OUTER_VLAN,
            tag.into(),
        );
        self.post_event(function, Event::STagUpdate, effects);
    }

    /// Asks a driver to fill the TLV buffer with answers to `requests`.
    pub fn request_tlvs(&mut self, function: u8, requests: &[u8], effects: &mut MfwEffects) {
        let bytes = &requests[..requests.len().min(DATA_BUFFER_BYTES as usize)];
        self.ram.clear(DATA_BUFFER_OFFSET, DATA_BUFFER_BYTES);
        for (index, chunk) in bytes.chunks(4).enumerate() {
            let swapped = swap_string::<4>(chunk);
            self.ram
                .set_bytes(DATA_BUFFER_OFFSET + 4 * index as u32, &swapped);
        }
        self.put(
            Section::Global,
            0,
            field::global::DATA_POINTER,
            SCRATCH_BASE + DATA_BUFFER_OFFSET,
        );
        self.put(
            Section::Global,
            0,
            field::global::DATA_SIZE,
            bytes.len() as u32,
        );
        self.post_event(function, Event::GetTlvRequest, effects);
    }

    /// Starts a recovery ("process kill") on the functions that are loaded.
    pub fn start_recovery(&mut self, effects: &mut MfwEffects) {
        let counter = self
            .get(Section::Path, 0, field::path::PROCESS_KILL)
            .wrapping_add(1)
            & 0xffff;
        self.put(Section::Path, 0, field::path::PROCESS_KILL, counter);
        for index in 0..self.ports.len() {
            self.post_to_port(index, Event::ErrorRecovery, effects);
        }
    }

    /// A VF was reset: its bit is shown to the PF, which cleans up and acknowledges.
    pub fn vf_reset(&mut self, function: u8, vf: u8, effects: &mut MfwEffects) {
        let path = self.topology.path(self.topology.mailbox(function));
        let field = field::path::VF_DISABLED + u32::from(vf / 32) * 4;
        if vf < 192 {
            let word = self.get(Section::Path, path.into(), field) | 1 << (vf % 32);
            self.put(Section::Path, path.into(), field, word);
            self.post_event(function, Event::VfDisabled, effects);
        }
    }

    /// The statistics of a port, as drivers read them.
    pub fn port_statistics(&mut self, port: u8) -> PortStatistics<'_> {
        let index = port.into();
        PortStatistics {
            base: self.layout.element(Section::Port, index) + STATISTICS_OFFSET,
            ram: &mut self.ram,
            chip: self.topology.chip,
        }
    }

    /// Restarts the management processor: shared memory is laid out again, somewhere else.
    pub fn restart(&mut self, effects: &mut MfwEffects) {
        self.cpu.restarts = self.cpu.restarts.wrapping_add(1);
        self.cpu.mode = 0;
        self.cpu.state = 0;
        self.booted = false;
        self.pending = [None::<Pending>; FUNCTIONS as usize];
        self.muted = [false; FUNCTIONS as usize];
        self.sequences = [0; FUNCTIONS as usize];
        self.locks = ResourceLocks::default();
        let next = PUBLIC_BASES
            .iter()
            .position(|base| *base != self.layout.base)
            .unwrap_or(0);
        self.layout.base = PUBLIC_BASES[next];
        self.ram.clear(0, SCRATCH_BYTES);
        self.events = EventCounters::new(self.layout.generation.event_capacity().min(27));
        self.write_shared_memory();
        if self.config.persona.processor != Processor::Booting(u64::MAX) {
            self.finish_boot();
        }
        effects.push(MfwEffect::Restarted);
    }
}
