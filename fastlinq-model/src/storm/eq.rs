//! The event queue: where ramrods complete and the firmware reports.

use std::collections::VecDeque;

use fastlinq_pac::hsi::flags::EventRingFlags;
use fastlinq_pac::hsi::{
    CommonEventOpcode, EventRingData, EventRingEntry, FwErrData, FwErrRecoveryScope, ProtocolId,
};
use zerocopy::IntoBytes;

use super::layout::StormLayout;
use crate::fabric::{Fabric, Function};
use crate::violation::{DmaCause, ViolationKind};

const ELEMENT_BYTES: u64 = 16;
const ELEMENTS_PER_PAGE: u32 = 256;
/// Events that wait for room; asynchronous ones beyond are lost, and that is reported.
const HELD_EVENTS: usize = 64;
/// The code of every asynchronous error event.
const ERROR_CODE: u8 = 1;

/// The event queue of a PF.
#[derive(Debug)]
pub(super) struct EventRing {
    function: Function,
    pages: Vec<u64>,
    sb: u16,
    pi: u8,
    producer: u16,
    /// The producer's place in the ring; the ring's size need not divide 65,536.
    slot: u32,
    held: VecDeque<EventRingEntry>,
    broken: bool,
}

impl EventRing {
    /// The ring whose page table is at `table`.
    ///
    /// # Errors
    ///
    /// A sentence, when there is no page or the table cannot be read.
    pub(super) fn open(
        fabric: &mut dyn Fabric,
        function: Function,
        table: u64,
        pages: u8,
        sb: u16,
        pi: u8,
    ) -> Result<Self, &'static str> {
        if pages == 0 {
            return Err("event queue without pages");
        }
        let mut bytes = vec![0; usize::from(pages) * 8];
        let cause = DmaCause::descriptor("event queue page table", table, u64::from(pages));
        fabric
            .host_read(function, cause, table, &mut bytes)
            .map_err(|_| "event queue page table cannot be read")?;
        let pages = bytes.chunks_exact(8).map(|page| {
            page.iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte))
        });
        fabric.reset_protocol_index(sb, pi);
        Ok(Self {
            function,
            pages: pages.collect(),
            sb,
            pi,
            producer: 0,
            slot: 0,
            held: VecDeque::new(),
            broken: false,
        })
    }

    /// True while an event waits for room.
    pub(super) fn is_full(&self) -> bool {
        !self.held.is_empty()
    }

    /// Posts an event, or holds it until the driver makes room.
    pub(super) fn post(
        &mut self,
        fabric: &mut dyn Fabric,
        layout: &StormLayout,
        entry: EventRingEntry,
    ) {
        if self.held.len() >= HELD_EVENTS {
            let cause = DmaCause::descriptor(
                "event queue element",
                u64::from(self.producer),
                u64::from(entry.opcode),
            );
            fabric.violation(
                Some(self.function),
                ViolationKind::Firmware("event lost, the event queue is full"),
                cause,
            );
            return;
        }
        self.held.push_back(entry);
        self.flush(fabric, layout);
    }

    /// Writes held events as far as there is room.
    pub(super) fn flush(&mut self, fabric: &mut dyn Fabric, layout: &StormLayout) {
        let mut wrote = false;
        while !self.broken && self.has_room(fabric, layout) {
            let Some(entry) = self.held.pop_front() else {
                break;
            };
            if !self.write(fabric, &entry) {
                self.broken = true;
                break;
            }
            wrote = true;
        }
        if wrote {
            fabric.set_protocol_index(self.sb, self.pi, self.producer);
        }
    }

    fn has_room(&mut self, fabric: &mut dyn Fabric, layout: &StormLayout) -> bool {
        let consumer = fabric.ram16(
            layout.eqe_consumer.storm,
            layout.eqe_consumer.offset(self.function.pf.into()),
        );
        let used = u32::from(self.producer.wrapping_sub(consumer));
        if used > self.capacity() {
            let cause = DmaCause::descriptor(
                "event queue consumer",
                u64::from(self.producer),
                u64::from(consumer),
            );
            let why = ViolationKind::Firmware("event queue consumer is ahead of the producer");
            fabric.violation(Some(self.function), why, cause);
            self.broken = true;
        }
        used < self.capacity()
    }

    fn capacity(&self) -> u32 {
        self.pages.len() as u32 * ELEMENTS_PER_PAGE
    }

    fn write(&mut self, fabric: &mut dyn Fabric, entry: &EventRingEntry) -> bool {
        let Some(page) = self.pages.get((self.slot / ELEMENTS_PER_PAGE) as usize) else {
            return false;
        };
        let address = page.wrapping_add(u64::from(self.slot % ELEMENTS_PER_PAGE) * ELEMENT_BYTES);
        let cause = DmaCause::descriptor(
            "event queue element",
            u64::from(self.producer),
            u64::from(entry.opcode),
        );
        if fabric
            .host_write(self.function, cause, address, entry.as_bytes())
            .is_err()
        {
            return false;
        }
        self.producer = self.producer.wrapping_add(1);
        self.slot = (self.slot + 1) % self.capacity();
        true
    }
}

/// The asynchronous event that reports an error of `culprit` to its PF.
pub(super) fn error_event(culprit: Function, error: u8) -> EventRingEntry {
    let entity = match culprit.vf {
        Some(vf) => 16 + u16::from(vf),
        None => u16::from(culprit.pf),
    };
    let data = FwErrData {
        recovery_scope: FwErrRecoveryScope::FUNC.value(),
        err_id: error,
        entity_id: entity.into(),
        reserved: [0; 4],
    };
    EventRingEntry {
        protocol_id: ProtocolId::COMMON.value(),
        opcode: CommonEventOpcode::FW_ERROR.value(),
        reserved0: 0,
        vf_id: culprit.vf.unwrap_or(0xff),
        echo: 0.into(),
        fw_return_code: ERROR_CODE,
        flags: EventRingFlags::ASYNC.bits(),
        data: EventRingData::from_err_data(&data),
    }
}
