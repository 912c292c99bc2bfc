//! The mailbox executor: takes a command, runs it or lets the persona decide, and writes the answer.

use super::codes::{Event, command, response};
use super::layout::Section;
use super::link::PhyConfig;
use super::load::LoadAnswer;
use super::reply::{Outcome, Reply, Request, UNION_BYTES, payload_of};
use super::scratchpad::swap_string;
use super::shared_memory::{DRIVER_PARAM, FIRMWARE_HEADER, FIRMWARE_PARAM, UNION};
use super::{
    EXCHANGES, Exchange, Mfw, MfwEffect, MfwEffects, PHY_REGISTERS, Pending, module_eeprom,
};
use crate::Chip;

/// Version string of the preboot code.
const MBA_VERSION: &[u8] = b"software adapter preboot";

impl Mfw {
    /// A driver wrote its header: take the command as it is now.
    pub(super) fn submit(&mut self, function: u8, header: u32, effects: &mut MfwEffects) {
        let mailbox = self.layout.element(Section::DriverMailbox, function.into());
        let request = Request {
            command: (header >> 16) as u16,
            sequence: header as u16,
            param: self.ram.get(mailbox + DRIVER_PARAM),
            payload: self.ram.bytes::<UNION_BYTES>(mailbox + UNION),
        };
        let directive = self.config.persona.directive(&request);
        let slot = usize::from(function & 0xf);
        if self.pending[slot].take().is_some() {
            self.overwritten = self.overwritten.wrapping_add(1);
        }
        if directive.silent || self.muted[slot] {
            self.remember(function, &request, None);
            return;
        }
        let due_ns = self.now_ns.saturating_add(directive.delay_ns);
        let pending = Pending {
            request,
            directive,
            due_ns,
        };
        if self.cpu.is_halted() || !self.booted || due_ns > self.now_ns {
            self.pending[slot] = Some(pending);
        } else {
            self.run(function, pending, effects);
        }
    }

    /// Runs commands whose time has come, and those that waited for another function.
    pub(super) fn run_due(&mut self, effects: &mut MfwEffects) {
        for function in 0..16u8 {
            if self.cpu.is_halted() || !self.booted {
                return;
            }
            let slot = &mut self.pending[usize::from(function)];
            if let Some(pending) = slot.take_if(|pending| pending.due_ns <= self.now_ns) {
                self.run(function, pending, effects);
            }
        }
    }

    fn run(&mut self, function: u8, pending: Pending, effects: &mut MfwEffects) {
        let Pending {
            request, directive, ..
        } = pending;
        let outcome = match directive.answer {
            Some((response, param)) => Reply {
                response,
                param,
                payload: directive.payload,
            }
            .into(),
            None => self.execute(function, &request, effects),
        };
        match outcome {
            Outcome::Reply(reply) => {
                let sequence = request
                    .sequence
                    .wrapping_sub(directive.stale_sequence.into());
                self.answer(function, &request, sequence, reply);
                self.muted[usize::from(function & 0xf)] |= directive.silent_afterwards;
                if request.command == command::MCP_HALT && reply.response == response::OK {
                    self.cpu.halt();
                }
            }
            Outcome::Wait => self.pending[usize::from(function & 0xf)] = Some(pending),
            Outcome::Restart => {
                self.remember(function, &request, None);
                self.restart(effects);
            }
        }
    }

    /// Writes payload, parameter and, last, the header.
    fn answer(&mut self, function: u8, request: &Request, sequence: u16, reply: Reply) {
        let mailbox = self.layout.element(Section::DriverMailbox, function.into());
        if let Some(payload) = reply.payload {
            self.ram.set_bytes(mailbox + UNION, &payload);
        }
        self.ram.set(mailbox + FIRMWARE_PARAM, reply.param);
        self.ram.set(
            mailbox + FIRMWARE_HEADER,
            u32::from(reply.response) << 16 | u32::from(sequence),
        );
        self.remember(function, request, Some((reply.response, reply.param)));
    }

    fn remember(&mut self, function: u8, request: &Request, answer: Option<(u16, u32)>) {
        if self.exchanges.len() == EXCHANGES {
            self.exchanges.pop_front();
        }
        self.exchanges.push_back(Exchange {
            time_ns: self.now_ns,
            function: self.topology.absolute(function),
            command: request.command,
            sequence: request.sequence,
            param: request.param,
            answer,
        });
    }

    fn execute(&mut self, function: u8, request: &Request, effects: &mut MfwEffects) -> Outcome {
        if let Some(reply) = self.records[usize::from(function & 0xf)].execute(request) {
            return reply.into();
        }
        match request.command {
            command::MCP_RESET => return Outcome::Restart,
            command::LOAD_REQUEST => return self.load_request(function, request, effects),
            _ => {}
        }
        self.execute_load_family(function, request, effects)
            .or_else(|| self.execute_link_family(function, request, effects))
            .or_else(|| self.execute_nvm_family(function, request))
            .or_else(|| self.execute_general(function, request, effects))
            .unwrap_or_else(Reply::unsupported)
            .into()
    }

    fn load_request(
        &mut self,
        function: u8,
        request: &Request,
        effects: &mut MfwEffects,
    ) -> Outcome {
        let mut evicted = Vec::new();
        let answer = self
            .load
            .request(function, request, self.now_ns, &mut evicted);
        for other in evicted {
            self.forget(other, effects);
            effects.push(MfwEffect::PfFlr {
                function: self.topology.absolute(other),
            });
        }
        self.write_driver_id(function);
        if let LoadAnswer::Reply(reply) = &answer {
            if reply.response == response::LOAD_ENGINE {
                effects.push(MfwEffect::StormFirmware {
                    path: self.topology.path(function),
                    version: self
                        .load
                        .driver(function)
                        .map_or(0, |driver| driver.firmware_version),
                });
            }
        }
        match answer {
            LoadAnswer::Reply(reply) => reply.into(),
            LoadAnswer::Wait => Outcome::Wait,
        }
    }

    fn execute_load_family(
        &mut self,
        function: u8,
        request: &Request,
        effects: &mut MfwEffects,
    ) -> Option<Reply> {
        let reply = match request.command {
            command::LOAD_DONE => {
                self.load.done(function);
                Reply::code(response::LOAD_DONE)
            }
            command::CANCEL_LOAD_REQUEST => {
                self.load.cancel(function);
                self.write_driver_id(function);
                Reply::ok()
            }
            command::UNLOAD_REQUEST => {
                self.records[usize::from(function & 0xf)].unload_wol = request.param;
                return Some(Reply::code(self.load.unload_request(function)));
            }
            command::UNLOAD_DONE => {
                self.records[usize::from(function & 0xf)].set_wol_mac(request);
                self.forget(function, effects);
                Reply::code(response::UNLOAD_DONE)
            }
            command::INITIATE_PF_FLR => {
                self.forget(function, effects);
                if self.topology.is_present(function) {
                    effects.push(MfwEffect::PfFlr {
                        function: self.topology.absolute(function),
                    });
                }
                Reply::code(response::FLR_ACK)
            }
            command::INITIATE_VF_FLR => {
                let vf = request.param as u8;
                effects.push(MfwEffect::VfFlr {
                    path: self.topology.path(function),
                    vf,
                });
                self.vf_reset(self.topology.absolute(function), vf, effects);
                return Some(Reply::code(response::VF_FLR_OK));
            }
            command::VF_DISABLED_DONE => {
                self.vfs_disabled_done(function, &request.payload);
                return Some(Reply::code(response::VF_DISABLED_DONE));
            }
            command::CONFIGURE_VF_VECTORS => {
                return Some(self.vf_vectors(function, request.param, effects));
            }
            command::CONFIGURE_PF_VFS_VECTORS => {
                return Some(self.all_vf_vectors(function, request.param, effects));
            }
            _ => return None,
        };
        self.run_waiting(function, effects);
        Some(reply)
    }

    /// Gives other functions the answer that the load lock held back.
    fn run_waiting(&mut self, freed_by: u8, effects: &mut MfwEffects) {
        for function in (0..16u8).filter(|function| *function != freed_by) {
            let now_ns = self.now_ns;
            let waiting = self.pending[usize::from(function)].take_if(|pending| {
                pending.request.command == command::LOAD_REQUEST && pending.due_ns <= now_ns
            });
            if let Some(pending) = waiting {
                self.run(function, pending, effects);
            }
        }
    }

    fn vf_vectors(&self, function: u8, param: u32, effects: &mut MfwEffects) -> Reply {
        if self.topology.chip != Chip::Bb {
            return Reply::unsupported();
        }
        let (vf, vectors) = (param as u8, (param >> 8) as u8);
        effects.push(MfwEffect::VfVectors {
            function: self.topology.absolute(function),
            vf: Some(vf),
            vectors,
        });
        Reply::code(response::VF_VECTORS_DONE)
    }

    fn all_vf_vectors(&self, function: u8, param: u32, effects: &mut MfwEffects) -> Reply {
        if self.topology.chip != Chip::K2 {
            return Reply::code(response::PF_VFS_VECTORS_WRONG_CHIP);
        }
        effects.push(MfwEffect::VfVectors {
            function: self.topology.absolute(function),
            vf: None,
            vectors: param as u8,
        });
        Reply::code(response::PF_VFS_VECTORS_DONE)
    }

    fn execute_link_family(
        &mut self,
        function: u8,
        request: &Request,
        effects: &mut MfwEffects,
    ) -> Option<Reply> {
        let param = request.param;
        Some(match request.command {
            command::INIT_PHY => {
                let config = PhyConfig::parse(&request.payload);
                let good = self.configure_link(function, Some(config), effects);
                Reply::code(if good {
                    response::INIT_PHY_DONE
                } else {
                    response::INIT_PHY_INVALID
                })
            }
            command::LINK_RESET => {
                self.configure_link(function, None, effects);
                Reply::code(response::LINK_RESET_DONE)
            }
            command::TRANSCEIVER_READ => match self.ports.get((param & 3) as usize) {
                Some(port) => module_eeprom::read(&port.module, param),
                None => Reply::code(response::TRANSCEIVER_NOT_PRESENT),
            },
            command::TRANSCEIVER_WRITE => match self.ports.get_mut((param & 3) as usize) {
                Some(port) => module_eeprom::write(&mut port.module, param, &request.payload),
                None => Reply::code(response::TRANSCEIVER_NOT_PRESENT),
            },
            command::SET_LED_MODE => self.sensors.set_led(self.topology.port(function), param),
            command::GET_TEMPERATURE => {
                let modules = self
                    .ports
                    .iter()
                    .filter_map(|port| port.module.module().temperature());
                self.sensors.temperatures(modules)
            }
            command::GPIO_READ => self.sensors.gpio_read(param),
            command::GPIO_WRITE => self.sensors.gpio_write(param),
            command::GPIO_INFO => self.sensors.gpio_info(param),
            command::NIG_DRAIN => {
                effects.push(MfwEffect::NigDrain {
                    function: self.topology.absolute(function),
                });
                Reply::code(command::NIG_DRAIN)
            }
            command::PHY_RAW_READ | command::PHY_CORE_READ | command::EXTERNAL_PHY_READ => {
                let value = self
                    .phy_registers
                    .get(&(request.command, param))
                    .copied()
                    .unwrap_or(0);
                Reply::code(response::PHY_OK)
                    .with_param(value)
                    .with_payload(payload_of(&[value]))
            }
            command::PHY_RAW_WRITE | command::PHY_CORE_WRITE | command::EXTERNAL_PHY_WRITE => {
                // The code of a write is that of its read plus one.
                let key = (request.command - 1, param);
                if self.phy_registers.len() >= PHY_REGISTERS
                    && !self.phy_registers.contains_key(&key)
                {
                    return Some(Reply::code(response::PHY_ERROR));
                }
                self.phy_registers.insert(key, request.word(0));
                Reply::code(response::PHY_OK)
            }
            command::EXTERNAL_PHY_UPGRADE => Reply::code(response::EXTERNAL_PHY_NOT_DETECTED),
            command::PMD_DIAG_DUMP | command::PMD_DIAG_EYE => Reply::code(response::ERROR),
            _ => return None,
        })
    }

    fn execute_nvm_family(&mut self, function: u8, request: &Request) -> Option<Reply> {
        Some(match request.command {
            command::NVM_GET_FILE_ATTRIBUTES
            | command::NVM_READ
            | command::NVM_WRITE
            | command::NVM_PUT_FILE_BEGIN
            | command::NVM_PUT_FILE_DATA
            | command::NVM_DELETE_FILE => self.flash.execute(request),
            command::BIST_TEST => self.flash.self_test(request.param),
            command::GET_NVM_CFG_OPTION | command::SET_NVM_CFG_OPTION => {
                let set = request.command == command::SET_NVM_CFG_OPTION;
                let port = self.topology.port(function);
                let (reply, committed) = self.nvm_config.execute(function, port, request, set);
                if committed {
                    self.publish_nvm_config();
                    self.flash.store_configuration(self.nvm_config.words());
                }
                reply
            }
            _ => return None,
        })
    }

    fn execute_general(
        &mut self,
        function: u8,
        request: &Request,
        effects: &mut MfwEffects,
    ) -> Option<Reply> {
        let param = request.param;
        Some(match request.command {
            command::EMPTY
            | command::OCBB_DATA
            | command::MEMORY_ECC_EVENTS
            | command::MCP_HALT => Reply::ok(),
            command::GET_MFW_FEATURE_SUPPORT => {
                Reply::ok().with_param(self.config.persona.features)
            }
            command::GET_PF_RDMA_PROTOCOL
            | command::GET_ENGINE_CONFIG
            | command::GET_MANAGEMENT_STATUS => Reply::ok(),
            command::OS_WOL => Reply::code(response::OS_WOL_SUPPORTED),
            command::GET_PPFID_BITMAP => {
                let native = match self.topology.chip {
                    Chip::Bb => self.topology.relative(function),
                    Chip::K2 => self.topology.relative(function) / self.topology.ports_per_engine(),
                };
                Reply::ok().with_param(1u32.checked_shl(native.into()).unwrap_or(0) & 0xff)
            }
            command::SET_VERSION => {
                self.records[usize::from(function & 0xf)].set_version(request);
                self.write_driver_version(function, &request.payload);
                Reply::ok()
            }
            command::GET_MBA_VERSION => {
                Reply::code(response::NVM_OK).with_payload(swap_string::<UNION_BYTES>(MBA_VERSION))
            }
            command::GET_RESOURCE_ALLOC => self.resources.execute(function, request, false),
            command::SET_RESOURCE_VALUE => self.resources.execute(function, request, true),
            command::RESOURCE_LOCK => {
                Reply::ok().with_param(self.locks.execute(function, param, self.now_ns))
            }
            command::MDUMP => {
                let reply = self.dump.execute(function, request);
                self.write_global();
                reply
            }
            command::SET_BANDWIDTH => {
                self.write_bandwidth(function, (param >> 8) as u8, param as u8);
                self.post(function, Event::BandwidthUpdate, effects);
                Reply::ok()
            }
            command::MASK_PARITIES if param > 1 => Reply::code(response::ERROR),
            command::MASK_PARITIES => {
                effects.push(MfwEffect::MaskParities { masked: param == 1 });
                Reply::ok()
            }
            command::INDUCE_FAILURE => {
                if param & 3 != 0 {
                    self.post(function, Event::FailureDetected, effects);
                }
                Reply::ok()
            }
            command::TIMESTAMP => Reply::ok().with_param((self.now_ns / 1_000_000_000) as u32),
            command::READ_WOL_REGISTER | command::WRITE_WOL_REGISTER => {
                Reply::code(response::WOL_ACCESS_OK)
            }
            command::GET_WOL_BUFFER => {
                Reply::code(response::WOL_BUFFER_OK).with_payload([0; UNION_BYTES])
            }
            command::ATTRIBUTE if param >> 24 > 3 => {
                Reply::code(response::ATTRIBUTE_INVALID_COMMAND)
            }
            command::ATTRIBUTE => Reply::code(response::ATTRIBUTE_INVALID_KEY),
            command::DEBUG_DATA_SEND => Reply::code(response::DEBUG_NOT_ENABLED),
            _ => return None,
        })
    }
}
