//! The slow-path queue: fetches elements, executes ramrods, completes them.

use fastlinq_pac::doorbell::{Aggregation, Destination, Doorbell as DoorbellWord};
use fastlinq_pac::hsi::{EventRingEntry, ProtocolId, Regpair, SlowPathElement};
use zerocopy::IntoBytes;

use super::Storm;
use super::ramrod::{Refusal, Request, event_opcode};
use crate::fabric::{Doorbell, Fabric, Function};
use crate::violation::{DmaCause, ViolationKind};

const RING_ELEMENTS: u16 = 256;
const ELEMENT_BYTES: u64 = 16;
/// Offset in the CORE context of the address of the ring.
const CONTEXT_BASE: u32 = 128;
/// Offsets in the CORE context of flag bytes, and the bits without which a doorbell never starts the connection.
const CONTEXT_FLAGS: [(u32, u8); 3] = [(371, 1 << 7), (379, 1 << 6), (380, 1 << 0)];

/// The slow-path queue of a PF.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spq {
    cid: u32,
    base: u64,
    producer: u16,
    consumer: u16,
    halted: bool,
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
