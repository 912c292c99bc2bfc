//! Content of the shared memory: what the firmware writes for drivers to read, and how it keeps that up to date.

use super::codes::Event;
use super::layout::{
    DATA_BUFFER_BYTES, DATA_BUFFER_OFFSET, FUNCTIONS, NVM_CFG_OFFSET, PATHS, PORTS, PUBLIC_BASES,
    Section, TRACE_BYTES, TRACE_OFFSET,
};
use super::link::{LinkFeatures, PhyConfig};
use super::{LoadState, Mfw, MfwEffect, MfwEffects};

/// Offsets inside a driver mailbox.
pub(crate) const DRIVER_HEADER: u32 = 0x00;
pub(crate) const DRIVER_PARAM: u32 = 0x04;
pub(crate) const FIRMWARE_HEADER: u32 = 0x08;
pub(crate) const FIRMWARE_PARAM: u32 = 0x0c;
pub(crate) const DRIVER_PULSE: u32 = 0x10;
const FIRMWARE_PULSE: u32 = 0x14;
pub(crate) const UNION: u32 = 0x18;

pub(super) mod global {
    pub(in crate::mfw) const MAX_PATH: u32 = 0x00;
    pub(in crate::mfw) const MAX_PORTS: u32 = 0x04;
    pub(in crate::mfw) const INTERNAL_TEMPERATURE: u32 = 0x14;
    pub(in crate::mfw) const VERSION: u32 = 0x18;
    pub(in crate::mfw) const EXTERNAL_TEMPERATURE: u32 = 0x20;
    pub(in crate::mfw) const MDUMP_REASON: u32 = 0x24;
    pub(in crate::mfw) const DATA_POINTER: u32 = 0x30;
    pub(in crate::mfw) const DATA_SIZE: u32 = 0x34;
}

pub(super) mod path {
    pub(in crate::mfw) const VF_DISABLED: u32 = 0x0c;
    pub(in crate::mfw) const PROCESS_KILL: u32 = 0x24;
}

pub(super) mod port {
    pub(in crate::mfw) const LINK_STATUS: u32 = 0x04;
    pub(in crate::mfw) const MF_CONFIG: u32 = 0x1c;
    pub(in crate::mfw) const MEDIA_TYPE: u32 = 0x210;
    pub(in crate::mfw) const LINK_CHANGE_COUNT: u32 = 0x218;
    pub(in crate::mfw) const TRANSCEIVER_DATA: u32 = 0x598;
    pub(in crate::mfw) const EEE_STATUS: u32 = 0x5cc;
    pub(in crate::mfw) const MODULE_TEMPERATURE: u32 = 0xc80;
}

pub(super) mod function {
    pub(in crate::mfw) const MTU: u32 = 0x08;
    pub(in crate::mfw) const MSIX_VECTORS: u32 = 0x24;
    pub(in crate::mfw) const CONFIG: u32 = 0x28;
    pub(in crate::mfw) const STATUS: u32 = 0x2c;
    pub(in crate::mfw) const MAC_UPPER: u32 = 0x30;
    pub(in crate::mfw) const MAC_LOWER: u32 = 0x34;
    pub(in crate::mfw) const OUTER_VLAN: u32 = 0x48;
    pub(in crate::mfw) const VF_DISABLED_ACK: u32 = 0x58;
    pub(in crate::mfw) const DRIVER_ID: u32 = 0x70;
    pub(in crate::mfw) const DRIVER_VERSION: u32 = 0x78;
}

const TRACE_SIGNATURE: u32 = 0x2507_1946;
const TRACE_HEADER_BYTES: u32 = 28;
const NO_OUTER_VLAN: u32 = 0xffff;
const DEFAULT_MTU: u32 = 1500;
const VIRTUAL_LINK_UP: u32 = 1;

/// Link features that a set of firmware feature bits stands for.
pub(crate) fn link_features(features: u32) -> LinkFeatures {
    LinkFeatures {
        eee: features & 1 << 1 != 0,
        fec: features & 1 << 5 != 0,
        extended: features & 1 << 6 != 0,
    }
}

impl Mfw {
    /// Writes a field, unless this firmware's element is too small to have it.
    pub(super) fn put(&mut self, section: Section, index: u32, field: u32, value: u32) {
        if let Some(at) = self.layout.field(section, index, field) {
            self.ram.set(at, value);
        }
    }

    pub(super) fn get(&self, section: Section, index: u32, field: u32) -> u32 {
        self.layout
            .field(section, index, field)
            .map_or(0, |at| self.ram.get(at))
    }

    /// Lays out everything except the number of events, which tells that the firmware has booted.
    pub(super) fn write_shared_memory(&mut self) {
        self.write_static_table();
        self.publish_nvm_config();
        self.layout.write_table(&mut self.ram);
        for mailbox in 0..FUNCTIONS {
            let sequence = u32::from(self.sequences[mailbox as usize]);
            self.put(Section::DriverMailbox, mailbox, DRIVER_HEADER, sequence);
            self.put(Section::DriverMailbox, mailbox, FIRMWARE_HEADER, sequence);
        }
        self.write_global();
        for path in 0..PATHS {
            self.put(Section::Path, path, path::PROCESS_KILL, 0);
        }
        for port in 0..PORTS {
            self.put(Section::Port, port, port::MF_CONFIG, NO_OUTER_VLAN);
        }
        for index in 0..self.ports.len() {
            self.write_link(index);
            self.write_module(index);
        }
        for function in 0..FUNCTIONS {
            self.write_function(function);
        }
    }

    /// Tells drivers that the firmware runs.
    pub(super) fn finish_boot(&mut self) {
        self.booted = true;
        self.events.announce(&mut self.ram, self.layout);
    }

    fn write_static_table(&mut self) {
        let public = PUBLIC_BASES
            .iter()
            .position(|base| *base == self.layout.base)
            .unwrap_or(0);
        let areas = [
            (TRACE_OFFSET, TRACE_HEADER_BYTES + TRACE_BYTES),
            (NVM_CFG_OFFSET, 8 + super::nvm_config::BLOCK_BYTES),
            (PUBLIC_BASES[public], self.layout.end() - self.layout.base),
            (DATA_BUFFER_OFFSET, DATA_BUFFER_BYTES),
        ];
        self.ram.set(0, areas.len() as u32);
        for (index, (offset, bytes)) in areas.into_iter().enumerate() {
            self.ram
                .set(4 + 4 * index as u32, (offset / 4) | ((bytes / 4) << 16));
        }
        let header = [TRACE_SIGNATURE, TRACE_BYTES, 2, u32::MAX, u32::MAX, 0, 0];
        for (index, word) in header.into_iter().enumerate() {
            self.ram.set(TRACE_OFFSET + 4 * index as u32, word);
        }
        // The running bundle: 0 means that image 8 holds the format strings.
        self.ram
            .set(TRACE_OFFSET + TRACE_HEADER_BYTES + TRACE_BYTES, 0);
    }

    /// Copies the committed configuration to the scratchpad.
    pub(super) fn publish_nvm_config(&mut self) {
        self.ram.set(NVM_CFG_OFFSET, 1);
        self.ram.set(NVM_CFG_OFFSET + 4, NVM_CFG_OFFSET + 8);
        for (index, word) in self.nvm_config.words().iter().enumerate() {
            self.ram.set(NVM_CFG_OFFSET + 8 + 4 * index as u32, *word);
        }
    }

    pub(super) fn write_global(&mut self) {
        let ports = self
            .config
            .persona
            .max_ports
            .unwrap_or_else(|| self.topology.ports().into());
        for (field, value) in [
            (global::MAX_PATH, u32::from(self.topology.engines())),
            (global::MAX_PORTS, ports),
            (global::INTERNAL_TEMPERATURE, self.sensors.internal_c),
            (global::VERSION, self.config.persona.version),
            (global::EXTERNAL_TEMPERATURE, self.sensors.external_c),
            (global::MDUMP_REASON, self.dump.reason()),
        ] {
            self.put(Section::Global, 0, field, value);
        }
    }

    fn write_function(&mut self, index: u32) {
        let number = index as u8;
        let mac = self.mac_address(self.topology.absolute(number));
        let vectors = self
            .resources
            .range(number, super::Resource::StatusBlocks)
            .count;
        let upper = u32::from(mac[0]) << 8 | u32::from(mac[1]);
        let present = self.topology.is_present(number);
        for (field, value) in [
            (function::MTU, DEFAULT_MTU),
            (function::MSIX_VECTORS, vectors),
            (function::CONFIG, 1 << 8 | 100 << 16 | u32::from(!present)),
            (function::MAC_UPPER, upper),
            (
                function::MAC_LOWER,
                u32::from_be_bytes([mac[2], mac[3], mac[4], mac[5]]),
            ),
            (function::OUTER_VLAN, NO_OUTER_VLAN),
        ] {
            self.put(Section::Function, index, field, value);
        }
        self.write_driver_id(number);
    }

    /// Shows which driver holds a function.
    pub(super) fn write_driver_id(&mut self, number: u8) {
        let id = self.load.driver(number).map_or(0, |driver| {
            u32::from(driver.pda)
                | u32::from(driver.hsi) << 16
                | u32::from(driver.driver_type & 0x7f) << 24
        });
        self.put(Section::Function, number.into(), function::DRIVER_ID, id);
    }

    /// Shows the version that a driver reported, as it came.
    pub(super) fn write_driver_version(&mut self, number: u8, payload: &[u8; 32]) {
        for (index, chunk) in payload.chunks_exact(4).take(4).enumerate() {
            let word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
            self.put(
                Section::Function,
                number.into(),
                function::DRIVER_VERSION + 4 * index as u32,
                word,
            );
        }
    }

    /// Sets minimum and maximum bandwidth of a function in percent.
    pub(super) fn write_bandwidth(&mut self, number: u8, minimum: u8, maximum: u8) {
        let config = self.get(Section::Function, number.into(), function::CONFIG) & 0xff;
        let value = config | u32::from(minimum) << 8 | u32::from(maximum) << 16;
        self.put(Section::Function, number.into(), function::CONFIG, value);
    }

    /// A driver shows that it is alive; the firmware answers with the same count.
    pub(super) fn pulse(&mut self, number: u8, value: u32) {
        let record = &mut self.records[usize::from(number & 0xf)];
        record.pulses = record.pulses.wrapping_add(1);
        if !self.cpu.is_halted() {
            self.put(
                Section::DriverMailbox,
                number.into(),
                FIRMWARE_PULSE,
                value & 0x7fff,
            );
        }
    }

    fn write_link(&mut self, index: usize) {
        let Some(port) = self.ports.get(index) else {
            return;
        };
        let resolved = port.link.resolved();
        self.put(
            Section::Port,
            index as u32,
            port::LINK_STATUS,
            resolved.status,
        );
        self.put(
            Section::Port,
            index as u32,
            port::EEE_STATUS,
            resolved.eee_status,
        );
        for number in 0..FUNCTIONS as u8 {
            if usize::from(self.topology.port(number)) == index {
                let status = u32::from(resolved.is_up()) * VIRTUAL_LINK_UP;
                self.put(Section::Function, number.into(), function::STATUS, status);
            }
        }
    }

    pub(super) fn write_module(&mut self, index: usize) {
        let Some(module) = self.ports.get(index).map(|port| port.module.module()) else {
            return;
        };
        self.put(
            Section::Port,
            index as u32,
            port::MEDIA_TYPE,
            module.media_type(),
        );
        self.put(
            Section::Port,
            index as u32,
            port::TRANSCEIVER_DATA,
            module.transceiver_data(),
        );
        self.put(
            Section::Port,
            index as u32,
            port::MODULE_TEMPERATURE,
            module.temperature().unwrap_or(0),
        );
    }

    /// Renegotiates a port and tells everybody who has to know.
    pub(super) fn refresh_link(&mut self, index: usize, effects: &mut MfwEffects) {
        let now_ns = self.now_ns;
        let Some(port) = self.ports.get_mut(index) else {
            return;
        };
        let Some(previous) = port.link.update(now_ns) else {
            return;
        };
        let resolved = port.link.resolved();
        self.write_link(index);
        let number = index as u8;
        if previous.loopback != resolved.loopback {
            effects.push(MfwEffect::Loopback {
                port: number,
                mode: resolved.loopback,
            });
        }
        if previous.is_up() != resolved.is_up() || previous.speed_mbps != resolved.speed_mbps {
            let (up, speed_mbps) = (resolved.is_up(), resolved.speed_mbps);
            effects.push(MfwEffect::LinkChanged {
                port: number,
                up,
                speed_mbps,
            });
            let count = self
                .get(Section::Port, index as u32, port::LINK_CHANGE_COUNT)
                .wrapping_add(1);
            self.put(Section::Port, index as u32, port::LINK_CHANGE_COUNT, count);
        }
        self.post_to_port(index, Event::LinkChange, effects);
        if previous.eee_status & 1 == 0 && resolved.eee_status & 1 == 1 {
            self.post_to_port(index, Event::EeeNegotiationComplete, effects);
        }
    }

    pub(super) fn post_to_port(&mut self, index: usize, event: Event, effects: &mut MfwEffects) {
        for number in self.topology.present() {
            if usize::from(self.topology.port(number)) == index
                && self.load.state(number) != LoadState::Unloaded
            {
                self.post(number, event, effects);
            }
        }
    }

    /// Posts an event to the function of a mailbox and raises its general attention.
    pub(super) fn post(&mut self, number: u8, event: Event, effects: &mut MfwEffects) {
        let posted = self.events.post(&mut self.ram, self.layout, number, event);
        if posted && self.topology.is_present(number) {
            let function = self.topology.absolute(number);
            effects.push(MfwEffect::GeneralAttention { function });
        }
    }

    /// INIT_PHY or LINK_RESET of a function; the flag says that the arguments were good.
    pub(super) fn configure_link(
        &mut self,
        number: u8,
        config: Option<PhyConfig>,
        effects: &mut MfwEffects,
    ) -> bool {
        let index = usize::from(self.topology.port(number));
        let training_until_ns = self.now_ns.saturating_add(self.link_training_ns);
        let Some(port) = self.ports.get_mut(index) else {
            return false;
        };
        match config {
            Some(config) => {
                if port.link.config() != config && self.link_training_ns != 0 {
                    port.link.set_training(training_until_ns);
                }
                if port.link.configure(number, config).is_err() {
                    return false;
                }
            }
            None => port.link.release(number),
        }
        self.refresh_link(index, effects);
        true
    }

    /// VF_DISABLED_DONE: the PF has cleaned up these VFs.
    pub(super) fn vfs_disabled_done(&mut self, number: u8, payload: &[u8; 32]) {
        let path = u32::from(self.topology.path(number));
        for index in 0..6 {
            let done = super::reply::word(payload, index as usize);
            let field = path::VF_DISABLED + 4 * index;
            let left = self.get(Section::Path, path, field) & !done;
            self.put(Section::Path, path, field, left);
            self.put(
                Section::Function,
                number.into(),
                function::VF_DISABLED_ACK + 4 * index,
                done,
            );
        }
    }

    /// Forgets everything about the driver of a function.
    pub(super) fn forget(&mut self, number: u8, effects: &mut MfwEffects) {
        self.load.reset(number);
        self.locks.release_all(number);
        self.nvm_config.abandon(number);
        self.write_driver_id(number);
        self.configure_link(number, None, effects);
    }
}
