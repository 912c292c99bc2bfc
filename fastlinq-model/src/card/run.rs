//! What the card does between accesses: carries out their consequences, lets time pass, moves frames.

use fastlinq_pac::versions::FirmwareVersion;

use super::Card;
use crate::chip::{Context, View, Work};
use crate::mfw::MfwEffect;
use crate::observer::Event;

/// Frames that one look at the wires takes from each.
const FRAMES_PER_POLL: usize = 4096;

impl Card {
    /// Carries out what an access left to do, until nothing is left.
    pub(super) fn settle(&mut self) {
        loop {
            if !self.effects.is_empty() {
                self.apply_effects();
            }
            let next = self
                .units
                .iter_mut()
                .find_map(|unit| unit.engine.work.pop_front().map(|work| (unit, work)));
            let Some((unit, work)) = next else { return };
            let cx = context!(self);
            if let Work::Receive { port, frame } = &work {
                let card_port = unit.engine.shape.card_port(*port);
                cx.outside.counters.frames_received += 1;
                cx.mfw.port_statistics(card_port).received(frame);
                cx.outside.observe(|| Event::Frame {
                    port: card_port,
                    frame,
                    transmit: false,
                });
            }
            let fabric = &mut View {
                engine: &mut unit.engine,
                cx,
            };
            match work {
                Work::Doorbell(doorbell) => unit.storm.doorbell(fabric, doorbell),
                Work::RamWritten {
                    function,
                    storm,
                    offset,
                    len,
                } => {
                    unit.storm.ram_written(fabric, function, storm, offset, len);
                }
                Work::FinalCleanup { requester, target } => {
                    unit.storm.final_cleanup(fabric, requester, target);
                }
                Work::Reset(function) => unit.storm.reset_function(fabric, function),
                Work::Receive { port, frame } => unit.storm.receive(fabric, port, &frame),
            }
        }
    }

    fn apply_effects(&mut self) {
        let effects: Vec<MfwEffect> = self.effects.drain().collect();
        for effect in effects {
            match effect {
                MfwEffect::GeneralAttention { function } => {
                    let (unit, pf) = self.locate(function);
                    if let Some(unit) = self.units.get_mut(unit) {
                        unit.engine.mfw_attention(context!(self), pf);
                    }
                }
                MfwEffect::StormFirmware { path, version } => {
                    let [major, minor, revision, engineering] = version.to_be_bytes();
                    let version = FirmwareVersion::new(major, minor, revision, engineering);
                    if let Some(unit) = self.units.get_mut(usize::from(path)) {
                        unit.storm.loaded(version);
                    }
                }
                MfwEffect::PfFlr { function } => {
                    let (unit, pf) = self.locate(function);
                    if let Some(unit) = self.units.get_mut(unit) {
                        unit.engine.reset_pf(context!(self), pf, false);
                    }
                }
                MfwEffect::VfFlr { path, vf } => {
                    if let Some(unit) = self.units.get_mut(usize::from(path)) {
                        unit.engine.reset_vf(vf);
                    }
                }
                _ => {}
            }
        }
        self.refresh_links();
    }

    pub(super) fn refresh_links(&mut self) {
        for unit in &mut self.units {
            for port in 0..unit.engine.shape.ports {
                let card_port = unit.engine.shape.card_port(port);
                if let Some(state) = unit.engine.ports.get_mut(usize::from(port)) {
                    state.link_up = self.mfw.link_is_up(card_port);
                    state.loopback = self.mfw.loopback_mode(card_port).returns_frames();
                }
            }
        }
    }

    /// Lets model time pass: slow management firmware, coalescing timers, held events; and takes frames from the wires.
    pub fn advance(&mut self, ns: u64) {
        self.advance_timers(ns);
        self.pump_wires();
    }

    /// Lets model time pass as [`advance`](Self::advance) does, without taking frames from the wires.
    pub fn advance_timers(&mut self, ns: u64) {
        let end = self.outside.now_ns.saturating_add(ns);
        loop {
            let step = self
                .next_event_ns()
                .filter(|&next| next < end)
                .unwrap_or(end);
            self.outside.now_ns = self.outside.now_ns.max(step);
            self.mfw.advance(self.outside.now_ns, &mut self.effects);
            for unit in &mut self.units {
                let cx = context!(self);
                unit.engine.cau_advance(cx);
                unit.storm.advance(&mut View {
                    engine: &mut unit.engine,
                    cx,
                });
            }
            self.settle();
            if self.outside.now_ns >= end {
                break;
            }
        }
    }

    fn pump_wires(&mut self) {
        for port in 0..self.outside.wires.len() {
            for _ in 0..FRAMES_PER_POLL {
                let frame = self.outside.wires[port]
                    .as_mut()
                    .and_then(|wire| wire.receive());
                let Some(frame) = frame else { break };
                self.arrive(port as u8, frame);
            }
        }
    }

    pub(super) fn arrive(&mut self, card_port: u8, frame: Vec<u8>) {
        let (unit, port) = self.locate(card_port);
        if let Some(unit) = self.units.get_mut(unit) {
            let state = unit.engine.ports.get(usize::from(port));
            if state.is_some_and(|state| state.link_up && !state.loopback) {
                unit.engine.work.push_back(Work::Receive { port, frame });
                self.settle();
                return;
            }
        }
        self.outside.counters.frames_dropped_link_down += 1;
    }

    /// The model time at which something is due by itself, if anything is. Never before now plus one nanosecond.
    pub fn next_event_ns(&self) -> Option<u64> {
        let timers = self
            .units
            .iter()
            .filter_map(|unit| unit.engine.cau_next_ns());
        let aggregations = self
            .units
            .iter()
            .filter_map(|unit| unit.storm.next_due_ns());
        let next = timers
            .chain(aggregations)
            .chain(self.mfw.next_due_ns())
            .min()?;
        Some(next.max(self.outside.now_ns + 1))
    }

    /// Takes frames from the wires, and does what is due; like `advance(0)`.
    pub fn poll(&mut self) {
        self.advance(0);
    }
}
