//! The slow-path queue: fetches elements, executes ramrods, completes them.

use fastlinq_pac::doorbell::{Aggregation, Destination, Doorbell as DoorbellWord};
use fastlinq_pac::hsi::{
    CommonEventOpcode, CommonRamrodCmdId, EthEventOpcode, EthRamrodCmdId, EventRingEntry,
    ProtocolId, Regpair, SlowPathElement,
};
use zerocopy::{FromBytes, IntoBytes};

use super::Storm;
use crate::fabric::{Doorbell, Fabric, Function};
use crate::violation::{DmaCause, ViolationKind};

const RING_ELEMENTS: u16 = 256;
const ELEMENT_BYTES: u64 = 16;
/// Offset in the CORE context of the address of the ring.
const CONTEXT_BASE: u32 = 128;
/// Offsets in the CORE context of flag bytes, and the bits without which a doorbell never starts the connection.
const CONTEXT_FLAGS: [(u32, u8); 3] = [(371, 1 << 7), (379, 1 << 6), (380, 1 << 0)];
/// The return code of every error that has no code of its own.
pub(super) const CODE_ERROR: u8 = 1;

/// The slow-path queue of a PF.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spq {
    cid: u32,
    base: u64,
    producer: u16,
    consumer: u16,
    halted: bool,
}

/// One ramrod on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// The function that the ramrod acts for.
    pub(super) function: Function,
    /// The connection it acts on.
    pub(super) cid: u32,
    pub(super) protocol: ProtocolId,
    pub(super) command: u8,
    pub(super) echo: u16,
    pub(super) data: u64,
}

impl Request {
    fn cause(&self) -> DmaCause {
        let header = u64::from(self.cid) << 32
            | u64::from(self.echo) << 16
            | u64::from(self.protocol.value()) << 8
            | u64::from(self.command);
        DmaCause::descriptor(
            "ramrod (cid, echo, protocol, command) with data",
            self.data,
            header,
        )
    }
}

/// A ramrod that was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    code: u8,
    event: bool,
}

impl Done {
    /// Completes with an event.
    pub(super) const fn event() -> Self {
        Self::event_with(0)
    }

    /// Completes with an event that carries a return code.
    pub(super) const fn event_with(code: u8) -> Self {
        Self { code, event: true }
    }

    /// Completes with an event only if the ramrod asked for one.
    pub(super) const fn event_if(asked: bool) -> Self {
        Self {
            code: 0,
            event: asked,
        }
    }
}

/// A ramrod that was not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    why: &'static str,
    code: u8,
    assertion: bool,
}

impl Refusal {
    /// The ramrod completes with the general error code.
    pub(super) const fn error(why: &'static str) -> Self {
        Self::code(why, CODE_ERROR)
    }

    /// The ramrod completes with `code`.
    pub(super) const fn code(why: &'static str, code: u8) -> Self {
        Self {
            why,
            code,
            assertion: false,
        }
    }

    /// The ramrod completes with `code`, and the firmware stops with an assertion.
    pub(super) const fn assertion(why: &'static str, code: u8) -> Self {
        Self {
            why,
            code,
            assertion: true,
        }
    }
}

/// What a doorbell's aggregation command makes of the producer.
///
/// Returns `None`, after reporting it, for a doorbell that is not one of a producer.
pub(super) fn aggregate(
    fabric: &mut dyn Fabric,
    doorbell: &Doorbell,
    producer: u16,
) -> Option<u16> {
    let word = DoorbellWord::from_word(doorbell.data);
    let cause = DmaCause::descriptor(
        "doorbell of connection",
        u64::from(doorbell.cid),
        u64::from(doorbell.data),
    );
    if word.destination() != Some(Destination::Xcm) {
        fabric.violation(
            Some(doorbell.function),
            ViolationKind::Doorbell("the destination is not XCM"),
            cause,
        );
        return None;
    }
    if word.select() != DoorbellWord::SELECT_PRODUCER {
        fabric.violation(
            Some(doorbell.function),
            ViolationKind::Doorbell("the value is not the producer"),
            cause,
        );
        return None;
    }
    let value = word.value();
    Some(match word.aggregation() {
        Aggregation::Nop => producer,
        Aggregation::Set => value,
        Aggregation::Add => producer.wrapping_add(value),
        Aggregation::Max if value.wrapping_sub(producer) as i16 > 0 => value,
        Aggregation::Max => producer,
    })
}

/// True when a doorbell also wakes the connection.
pub(super) fn wakes(doorbell: &Doorbell) -> bool {
    DoorbellWord::from_word(doorbell.data).flags() & DoorbellWord::FLAG_DQ_CF != 0
}

pub(super) fn address_of(pair: &Regpair) -> u64 {
    u64::from(pair.hi.get()) << 32 | u64::from(pair.lo.get())
}

impl Storm {
    /// A doorbell of a CORE connection: the first that rings is the slow-path queue.
    pub(super) fn slow_path_doorbell(&mut self, fabric: &mut dyn Fabric, doorbell: &Doorbell) {
        let pf = usize::from(doorbell.function.pf);
        let Some(state) = self.pfs.get(pf) else {
            return;
        };
        let mut spq = match state.spq {
            Some(spq) if spq.cid == doorbell.cid => spq,
            Some(_) => return,
            None => match open(fabric, doorbell) {
                Some(spq) => spq,
                None => return,
            },
        };
        let Some(producer) = aggregate(fabric, doorbell, spq.producer) else {
            return;
        };
        spq.producer = producer;
        if producer.wrapping_sub(spq.consumer) > RING_ELEMENTS && !spq.halted {
            spq.halted = true;
            let cause = DmaCause::descriptor(
                "slow-path queue producer",
                spq.consumer.into(),
                producer.into(),
            );
            let why = ViolationKind::Firmware("slow-path queue producer is beyond the ring");
            fabric.violation(Some(doorbell.function), why, cause);
        }
        if let Some(state) = self.pfs.get_mut(pf) {
            state.spq = Some(spq);
        }
        if wakes(doorbell) {
            self.run_slow_path(fabric, doorbell.function.pf);
        }
    }

    /// Executes posted ramrods until the queue is empty or the event queue has no room.
    pub(super) fn run_slow_path(&mut self, fabric: &mut dyn Fabric, pf: u8) {
        while let Some(request) = self.next_request(fabric, pf) {
            let outcome = self.execute(fabric, &request);
            let code = match outcome {
                Ok(done) => done.code,
                Err(refusal) => refusal.code,
            };
            fabric.ramrod_executed(
                request.function,
                request.protocol.value(),
                request.command,
                request.cid,
                code,
            );
            let event = match outcome {
                Ok(done) => done.event,
                Err(refusal) => {
                    self.report(fabric, &request, &refusal);
                    true
                }
            };
            if event {
                self.complete(fabric, pf, &request, code);
            }
            self.finish_stop(pf);
        }
    }

    fn next_request(&mut self, fabric: &mut dyn Fabric, pf: u8) -> Option<Request> {
        let state = self.pfs.get_mut(usize::from(pf))?;
        if state.events.as_ref().is_some_and(|events| events.is_full()) {
            return None;
        }
        let spq = state.spq.as_mut()?;
        if spq.halted || spq.consumer == spq.producer {
            return None;
        }
        let address = spq
            .base
            .wrapping_add(u64::from(spq.consumer % RING_ELEMENTS) * ELEMENT_BYTES);
        let cause = DmaCause::descriptor(
            "slow-path queue element",
            spq.consumer.into(),
            spq.producer.into(),
        );
        let mut element = SlowPathElement::default();
        let function = Function::pf(pf);
        if fabric
            .host_read(function, cause, address, element.as_mut_bytes())
            .is_err()
        {
            spq.halted = true;
            return None;
        }
        spq.consumer = spq.consumer.wrapping_add(1);
        let cid = element.hdr.cid.get();
        let opaque = (cid >> 16) as u16;
        let Some(function) = fabric
            .resolve_function(opaque)
            .filter(|function| function.pf == pf)
        else {
            spq.halted = true;
            let cause = DmaCause::descriptor("slow-path queue element", address, cid.into());
            fabric.firmware_assert(
                function,
                "ramrod for a function that is not of this PF",
                cause,
            );
            return None;
        };
        Some(Request {
            function,
            cid: cid & 0xffff,
            protocol: ProtocolId(element.hdr.protocol_id),
            command: element.hdr.cmd_id,
            echo: element.hdr.echo.get(),
            data: address_of(&element.data_ptr),
        })
    }

    fn execute(&mut self, fabric: &mut dyn Fabric, request: &Request) -> Result<Done, Refusal> {
        let started = self
            .pfs
            .get(usize::from(request.function.pf))
            .is_some_and(|state| state.started.is_some());
        let is_pf_start = request.protocol == ProtocolId::COMMON
            && request.command == CommonRamrodCmdId::PF_START.value();
        if !started && !is_pf_start {
            return Err(Refusal::assertion("ramrod before PF_START", CODE_ERROR));
        }
        match request.protocol {
            ProtocolId::COMMON => self.execute_common(fabric, request),
            ProtocolId::ETH => self.execute_eth(fabric, request),
            _ => Err(Refusal::assertion(
                "ramrod of a protocol that is not modelled",
                CODE_ERROR,
            )),
        }
    }

    fn execute_common(
        &mut self,
        fabric: &mut dyn Fabric,
        request: &Request,
    ) -> Result<Done, Refusal> {
        match CommonRamrodCmdId(request.command) {
            CommonRamrodCmdId::PF_START => self.pf_start(fabric, request),
            CommonRamrodCmdId::PF_STOP => self.pf_stop(request.function),
            CommonRamrodCmdId::PF_UPDATE => {
                let data = read(fabric, request)?;
                self.pf_update(request.function, &data)
            }
            CommonRamrodCmdId::VF_START => Err(Refusal::error("VF_START is not modelled")),
            CommonRamrodCmdId::VF_STOP => Err(Refusal::error("VF_STOP is not modelled")),
            CommonRamrodCmdId::RL_UPDATE | CommonRamrodCmdId::EMPTY => Ok(Done::event()),
            _ => Err(Refusal::assertion("unknown COMMON ramrod", CODE_ERROR)),
        }
    }

    fn execute_eth(&mut self, fabric: &mut dyn Fabric, request: &Request) -> Result<Done, Refusal> {
        let function = request.function;
        match EthRamrodCmdId(request.command) {
            EthRamrodCmdId::VPORT_START => {
                let bytes = read_bytes(fabric, request, self.layout.vport_start_size())?;
                let data = parsed(self.layout.vport_start::<72>(&bytes))?;
                self.vport_start(function, &data)
            }
            EthRamrodCmdId::VPORT_UPDATE => {
                let bytes = read_bytes(fabric, request, self.layout.vport_update_size())?;
                let data = parsed(self.layout.vport_update::<440>(&bytes))?;
                self.vport_update(fabric, function, &data)
            }
            EthRamrodCmdId::VPORT_STOP => {
                let data = read(fabric, request)?;
                self.vport_stop(function, &data)
            }
            EthRamrodCmdId::RX_QUEUE_START => {
                let data = read(fabric, request)?;
                self.rx_queue_start(fabric, request, &data)
            }
            EthRamrodCmdId::RX_QUEUE_STOP => {
                let data = read(fabric, request)?;
                self.rx_queue_stop(fabric, request, &data)
            }
            EthRamrodCmdId::RX_QUEUE_UPDATE => {
                let data = read(fabric, request)?;
                self.rx_queue_update(fabric, request, &data)
            }
            EthRamrodCmdId::TX_QUEUE_START => {
                let data = read(fabric, request)?;
                self.tx_queue_start(fabric, request, &data)
            }
            EthRamrodCmdId::TX_QUEUE_STOP => self.tx_queue_stop(fabric, request),
            EthRamrodCmdId::TX_QUEUE_UPDATE => {
                let data = read(fabric, request)?;
                self.tx_queue_update(request, &data)
            }
            EthRamrodCmdId::FILTERS_UPDATE => {
                let data = read(fabric, request)?;
                self.filters_update(function, &data)
            }
            EthRamrodCmdId::RX_UPDATE_GFT_FILTER => {
                let data = read(fabric, request)?;
                self.update_gft_filter(fabric, function, &data)
            }
            command if event_opcode(ProtocolId::ETH, command.value()).is_some() => {
                Err(Refusal::error("ETH ramrod that is not modelled"))
            }
            _ => Err(Refusal::assertion("unknown ETH ramrod", CODE_ERROR)),
        }
    }

    fn report(&mut self, fabric: &mut dyn Fabric, request: &Request, refusal: &Refusal) {
        if refusal.assertion {
            fabric.firmware_assert(request.function, refusal.why, request.cause());
            if let Some(spq) = self
                .pfs
                .get_mut(usize::from(request.function.pf))
                .and_then(|state| state.spq.as_mut())
            {
                spq.halted = true;
            }
        } else {
            fabric.violation(
                Some(request.function),
                ViolationKind::Firmware(refusal.why),
                request.cause(),
            );
        }
    }

    fn complete(&mut self, fabric: &mut dyn Fabric, pf: u8, request: &Request, code: u8) {
        let Some(opcode) = event_opcode(request.protocol, request.command) else {
            return;
        };
        let entry = EventRingEntry {
            protocol_id: request.protocol.value(),
            opcode,
            vf_id: request.function.vf.unwrap_or(0xff),
            echo: request.echo.into(),
            fw_return_code: code,
            ..Default::default()
        };
        self.post_event(fabric, pf, entry);
    }

    /// Posts an event to a PF, if it has an event queue.
    pub(super) fn post_event(&mut self, fabric: &mut dyn Fabric, pf: u8, entry: EventRingEntry) {
        if let Some(events) = self
            .pfs
            .get_mut(usize::from(pf))
            .and_then(|state| state.events.as_mut())
        {
            events.post(fabric, &self.layout, entry);
        }
    }
}

fn open(fabric: &mut dyn Fabric, doorbell: &Doorbell) -> Option<Spq> {
    let function = doorbell.function;
    let mut base = [0; 8];
    fabric
        .context_read(function, doorbell.cid, CONTEXT_BASE, &mut base)
        .ok()?;
    let base = u64::from_le_bytes(base);
    let cause = DmaCause::descriptor(
        "context of the slow-path queue, connection",
        doorbell.cid.into(),
        base,
    );
    for (offset, bits) in CONTEXT_FLAGS {
        let mut byte = [0];
        fabric
            .context_read(function, doorbell.cid, offset, &mut byte)
            .ok()?;
        if byte[0] & bits != bits {
            let why = ViolationKind::Firmware(
                "slow-path doorbell while its context does not enable the doorbell flags",
            );
            fabric.violation(Some(function), why, cause);
            return None;
        }
    }
    if base == 0 {
        let why =
            ViolationKind::Firmware("slow-path doorbell while the context has no queue address");
        fabric.violation(Some(function), why, cause);
        return None;
    }
    Some(Spq {
        cid: doorbell.cid,
        base,
        producer: 0,
        consumer: 0,
        halted: false,
    })
}

fn read_bytes(fabric: &mut dyn Fabric, request: &Request, size: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![0; size];
    // The data of a ramrod is the PF's, whomever it acts for.
    let owner = Function::pf(request.function.pf);
    fabric
        .host_read(owner, request.cause(), request.data, &mut bytes)
        .map_err(|_| Refusal::error("ramrod data cannot be read"))?;
    Ok(bytes)
}

fn read<T: FromBytes>(fabric: &mut dyn Fabric, request: &Request) -> Result<T, Refusal> {
    parsed_slice(&read_bytes(fabric, request, size_of::<T>())?)
}

fn parsed<T: FromBytes, const N: usize>(bytes: [u8; N]) -> Result<T, Refusal> {
    parsed_slice(&bytes)
}

fn parsed_slice<T: FromBytes>(bytes: &[u8]) -> Result<T, Refusal> {
    T::read_from_bytes(bytes).map_err(|_| Refusal::error("ramrod data of the wrong size"))
}

impl Storm {
    fn pf_start(&mut self, fabric: &mut dyn Fabric, request: &Request) -> Result<Done, Refusal> {
        let bytes = read_bytes(fabric, request, self.layout.pf_start_size())?;
        let data = parsed(self.layout.pf_start::<80>(&bytes))?;
        self.start_function(fabric, request.function, &data)
    }
}

/// The event that completes a ramrod; the numbers of commands and events differ.
fn event_opcode(protocol: ProtocolId, command: u8) -> Option<u8> {
    match protocol {
        ProtocolId::COMMON => Some(
            match CommonRamrodCmdId(command) {
                CommonRamrodCmdId::PF_START => CommonEventOpcode::PF_START,
                CommonRamrodCmdId::PF_STOP => CommonEventOpcode::PF_STOP,
                CommonRamrodCmdId::VF_START => CommonEventOpcode::VF_START,
                CommonRamrodCmdId::VF_STOP => CommonEventOpcode::VF_STOP,
                CommonRamrodCmdId::PF_UPDATE => CommonEventOpcode::PF_UPDATE,
                CommonRamrodCmdId::RL_UPDATE => CommonEventOpcode::RL_UPDATE,
                CommonRamrodCmdId::EMPTY => CommonEventOpcode::EMPTY,
                _ => return None,
            }
            .value(),
        ),
        ProtocolId::ETH => Some(
            match EthRamrodCmdId(command) {
                EthRamrodCmdId::VPORT_START => EthEventOpcode::VPORT_START,
                EthRamrodCmdId::VPORT_UPDATE => EthEventOpcode::VPORT_UPDATE,
                EthRamrodCmdId::VPORT_STOP => EthEventOpcode::VPORT_STOP,
                EthRamrodCmdId::RX_QUEUE_START => EthEventOpcode::RX_QUEUE_START,
                EthRamrodCmdId::RX_QUEUE_STOP => EthEventOpcode::RX_QUEUE_STOP,
                EthRamrodCmdId::TX_QUEUE_START => EthEventOpcode::TX_QUEUE_START,
                EthRamrodCmdId::TX_QUEUE_STOP => EthEventOpcode::TX_QUEUE_STOP,
                EthRamrodCmdId::FILTERS_UPDATE => EthEventOpcode::FILTERS_UPDATE,
                EthRamrodCmdId::RX_QUEUE_UPDATE => EthEventOpcode::RX_QUEUE_UPDATE,
                EthRamrodCmdId::RX_CREATE_OPENFLOW_ACTION => {
                    EthEventOpcode::RX_CREATE_OPENFLOW_ACTION
                }
                EthRamrodCmdId::RX_ADD_OPENFLOW_FILTER => EthEventOpcode::RX_ADD_OPENFLOW_FILTER,
                EthRamrodCmdId::RX_DELETE_OPENFLOW_FILTER => {
                    EthEventOpcode::RX_DELETE_OPENFLOW_FILTER
                }
                EthRamrodCmdId::RX_ADD_UDP_FILTER => EthEventOpcode::RX_ADD_UDP_FILTER,
                EthRamrodCmdId::RX_DELETE_UDP_FILTER => EthEventOpcode::RX_DELETE_UDP_FILTER,
                EthRamrodCmdId::RX_CREATE_GFT_ACTION => EthEventOpcode::RX_CREATE_GFT_ACTION,
                EthRamrodCmdId::RX_UPDATE_GFT_FILTER => EthEventOpcode::RX_GFT_UPDATE_FILTER,
                EthRamrodCmdId::TX_QUEUE_UPDATE => EthEventOpcode::TX_QUEUE_UPDATE,
                EthRamrodCmdId::RGFS_FILTER_ADD => EthEventOpcode::RGFS_ADD_FILTER,
                EthRamrodCmdId::RGFS_FILTER_DEL => EthEventOpcode::RGFS_DEL_FILTER,
                EthRamrodCmdId::TGFS_FILTER_ADD => EthEventOpcode::TGFS_ADD_FILTER,
                EthRamrodCmdId::TGFS_FILTER_DEL => EthEventOpcode::TGFS_DEL_FILTER,
                EthRamrodCmdId::GFS_COUNTERS_REPORT_REQUEST => {
                    EthEventOpcode::GFS_COUNTERS_REPORT_REQUEST
                }
                _ => return None,
            }
            .value(),
        ),
        _ => None,
    }
}
