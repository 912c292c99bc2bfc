//! One engine of the chip: windows, registers, DMA engine, interrupts, doorbells.
//!
//! An engine does not call the storm firmware. What concerns it is queued as [`Work`] and carried out by the card when
//! the register access that caused it is over.

mod address;
mod attention;
mod cau;
mod dmae;
mod doorbell;
mod grc;
mod igu;
mod ilt;
mod map;
pub(crate) mod msix;
pub(crate) mod outside;
mod pglue;
mod polls;
mod registers;
mod reset;
mod view;
pub(crate) mod windows;

use std::collections::VecDeque;

use crate::Chip;
use crate::fabric::{Doorbell, Function, STORM_RAM_BYTES, StormId};
use crate::mfw::{Mfw, MfwEffects};
use outside::Outside;

pub(crate) use doorbell::BAR2_BYTES;
pub(crate) use view::View;

/// Who makes a register access: the identity selects the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requester {
    pub(crate) function: Function,
    /// Port of the engine.
    pub(crate) port: u8,
    /// True when the DMA engine makes the access.
    pub(crate) dmae: bool,
}

impl Requester {
    pub(crate) const fn pf(pf: u8, port: u8) -> Self {
        Self {
            function: Function::pf(pf),
            port,
            dmae: false,
        }
    }
}

/// What a register access needs besides the engine itself.
pub(crate) struct Context<'a> {
    pub(crate) outside: &'a mut Outside,
    pub(crate) mfw: &'a mut Mfw,
    pub(crate) effects: &'a mut MfwEffects,
}

/// Something for the storm firmware to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// DORQ accepted a doorbell.
    Doorbell(Doorbell),
    /// A driver wrote storm RAM.
    RamWritten {
        function: Function,
        storm: StormId,
        offset: u32,
        len: u32,
    },
    /// The operation generator was told to clean up.
    FinalCleanup { requester: u8, target: Function },
    /// A function was reset.
    Reset(Function),
    /// A frame arrived.
    Receive { port: u8, frame: Vec<u8> },
}

/// State of a port.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Port {
    pub(crate) link_up: bool,
    pub(crate) loopback: bool,
}

/// Which functions and ports an engine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) chip: Chip,
    /// Number of the engine: 0, or 1 on BB.
    pub(crate) path: u8,
    /// PFs of this engine.
    pub(crate) pfs: u8,
    /// Ports of this engine.
    pub(crate) ports: u8,
    /// PCI functions of the whole card.
    pub(crate) functions: u8,
    /// False to let every protocol index reach the host at once.
    pub(crate) coalescing: bool,
}

impl Shape {
    /// Absolute PF id, which is the PCI function number: on BB they alternate between the engines.
    pub(crate) fn absolute(&self, pf: u8) -> u8 {
        pf * self.chip.limits().engines + self.path
    }

    /// Number on the card of a port of this engine.
    pub(crate) fn card_port(&self, port: u8) -> u8 {
        port * self.chip.limits().engines + self.path
    }

    /// Port of the engine that a PF is on.
    pub(crate) fn port_of(&self, pf: u8) -> u8 {
        pf % self.ports.max(1)
    }
}

/// One engine.
pub(crate) struct Engine {
    pub(crate) shape: Shape,
    grc: grc::RegisterFile,
    ram: Vec<Vec<u8>>,
    windows: Vec<windows::PfWindows>,
    gtt: Vec<u32>,
    dmae: Vec<dmae::Channel>,
    igu: igu::Igu,
    cau: cau::Cau,
    attention: Vec<attention::Attention>,
    msix: Vec<msix::MsixTable>,
    bus_master: Vec<bool>,
    /// The master-enable register of each PF, at hand for every DMA.
    master_enable: Vec<bool>,
    pub(crate) ports: Vec<Port>,
    pub(crate) work: VecDeque<Work>,
}

impl Engine {
    pub(crate) fn new(shape: Shape) -> Self {
        let pfs = usize::from(shape.pfs);
        let mut engine = Self {
            shape,
            grc: grc::RegisterFile::new(shape.chip),
            ram: (0..StormId::ALL.len())
                .map(|_| vec![0; STORM_RAM_BYTES])
                .collect(),
            windows: (0..pfs).map(|_| windows::PfWindows::default()).collect(),
            gtt: windows::power_up_gtt(),
            dmae: (0..dmae::CHANNELS)
                .map(|_| dmae::Channel::default())
                .collect(),
            igu: igu::Igu::new(shape.chip),
            cau: cau::Cau::new(shape.chip),
            attention: (0..pfs).map(|_| attention::Attention::default()).collect(),
            msix: (0..pfs).map(|_| msix::MsixTable::new()).collect(),
            bus_master: vec![true; pfs],
            master_enable: vec![false; pfs],
            ports: vec![Port::default(); usize::from(shape.ports)],
            work: VecDeque::new(),
        };
        engine.power_up();
        engine
    }

    /// The requester that a PF is by itself.
    pub(crate) fn own(&self, pf: u8) -> Requester {
        Requester::pf(pf, self.shape.port_of(pf))
    }

    /// The requester that a function is by itself.
    pub(crate) fn own_function(&self, function: Function) -> Requester {
        Requester {
            function,
            ..self.own(function.pf)
        }
    }

    pub(crate) fn ram(&self, storm: StormId) -> &[u8] {
        &self.ram[storm.index()]
    }

    pub(crate) fn ram_mut(&mut self, storm: StormId) -> &mut [u8] {
        &mut self.ram[storm.index()]
    }

    pub(crate) fn msix_mut(&mut self, pf: u8) -> Option<&mut msix::MsixTable> {
        self.msix.get_mut(usize::from(pf))
    }

    pub(crate) fn msix(&self, pf: u8) -> Option<&msix::MsixTable> {
        self.msix.get(usize::from(pf))
    }

    /// Allows or forbids a PF to master the PCI bus (bit 2 of the PCI command register).
    pub(crate) fn set_bus_master(&mut self, pf: u8, allowed: bool) {
        if let Some(slot) = self.bus_master.get_mut(usize::from(pf)) {
            *slot = allowed;
        }
    }
}
