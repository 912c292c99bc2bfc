//! The chip as the storm firmware sees it.

use super::{Context, Engine, Work};
use crate::Chip;
use crate::fabric::{ContextError, DmaError, Fabric, Function, StormId};
use crate::observer::Event;
use crate::violation::{DmaCause, ViolationKind};

/// Shortest frame that goes out of a port, without FCS.
const MIN_FRAME: usize = 60;

/// An engine with its surroundings, for the time of one call.
pub(crate) struct View<'a, 'c> {
    pub(crate) engine: &'a mut Engine,
    pub(crate) cx: &'a mut Context<'c>,
}

impl Fabric for View<'_, '_> {
    fn chip(&self) -> Chip {
        self.engine.shape.chip
    }

    fn now_ns(&self) -> u64 {
        self.cx.outside.now_ns
    }

    fn ports(&self) -> u8 {
        self.engine.shape.ports
    }

    fn port_of(&self, pf: u8) -> u8 {
        self.engine.shape.port_of(pf)
    }

    fn pfs(&self) -> u8 {
        self.engine.shape.pfs
    }

    fn host_read(
        &mut self,
        function: Function,
        cause: DmaCause,
        address: u64,
        out: &mut [u8],
    ) -> Result<(), DmaError> {
        self.engine
            .dma_read(self.cx.outside, function, cause, address, out)
    }

    fn host_write(
        &mut self,
        function: Function,
        cause: DmaCause,
        address: u64,
        data: &[u8],
    ) -> Result<(), DmaError> {
        self.engine
            .dma_write(self.cx.outside, function, cause, address, data)
    }

    fn ram(&self, storm: StormId) -> &[u8] {
        self.engine.ram(storm)
    }

    fn ram_mut(&mut self, storm: StormId) -> &mut [u8] {
        self.engine.ram_mut(storm)
    }

    fn register(&mut self, function: Function, address: u32) -> u32 {
        self.engine
            .grc
            .get(&self.engine.own_function(function), address)
    }

    fn set_register(&mut self, function: Function, address: u32, value: u32) {
        let own = self.engine.own_function(function);
        self.engine.grc.set(&own, address, value);
    }

    fn set_protocol_index(&mut self, sb: u16, pi: u8, value: u16) {
        self.engine.set_protocol_index(self.cx, sb, pi, value);
    }

    fn protocol_index(&self, sb: u16, pi: u8) -> u16 {
        self.engine.protocol_index(sb, pi)
    }

    fn set_protocol_index_timeset(&mut self, sb: u16, pi: u8, timeset: u8) {
        self.engine.set_timeset(sb, pi, timeset);
    }

    fn reset_protocol_index(&mut self, sb: u16, pi: u8) {
        self.engine.reset_protocol_index(self.cx, sb, pi);
    }

    fn context_address(&mut self, function: Function, cid: u32) -> Result<u64, ContextError> {
        self.engine.context_address(self.cx.outside, function, cid)
    }

    fn resolve_function(&self, opaque_fid: u16) -> Option<Function> {
        self.engine.resolve(opaque_fid)
    }

    fn link_up(&self, port: u8) -> bool {
        self.engine
            .ports
            .get(usize::from(port))
            .is_some_and(|port| port.link_up || port.loopback)
    }

    fn transmit(&mut self, port: u8, frame: &[u8]) {
        let Some(state) = self.engine.ports.get_mut(usize::from(port)) else {
            return;
        };
        if !state.link_up && !state.loopback {
            self.cx.outside.counters.frames_dropped_link_down += 1;
            return;
        }
        let loopback = state.loopback;
        let mut padded = [0; MIN_FRAME];
        let frame = if frame.len() < MIN_FRAME {
            padded[..frame.len()].copy_from_slice(frame);
            &padded
        } else {
            frame
        };
        let card_port = self.engine.shape.card_port(port);
        self.cx.outside.counters.frames_sent += 1;
        self.cx.outside.observe(|| Event::Frame {
            port: card_port,
            frame,
            transmit: true,
        });
        self.cx.mfw.port_statistics(card_port).transmitted(frame);
        if loopback {
            self.engine.work.push_back(Work::Receive {
                port,
                frame: frame.to_vec(),
            });
        } else if let Some(Some(wire)) = self.cx.outside.wires.get_mut(usize::from(card_port)) {
            wire.transmit(frame);
        }
    }

    fn violation(&mut self, function: Option<Function>, kind: ViolationKind, cause: DmaCause) {
        self.cx.outside.violation(function, kind, cause);
    }

    fn firmware_assert(&mut self, function: Function, why: &'static str, cause: DmaCause) {
        self.cx
            .outside
            .violation(Some(function), ViolationKind::Assertion(why), cause);
        self.engine.firmware_attention(self.cx);
    }

    fn ramrod_executed(
        &mut self,
        function: Function,
        protocol: u8,
        command: u8,
        cid: u32,
        return_code: u8,
    ) {
        self.cx.outside.counters.ramrods += 1;
        self.cx.outside.observe(|| Event::Ramrod {
            function,
            protocol,
            command,
            cid,
            return_code,
        });
    }
}
