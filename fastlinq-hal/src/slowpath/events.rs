//! The event queue (EQ): what the storm firmware reports to the slow path.

use core::fmt;

use fastlinq_pac::hsi::EventRingEntry;

use crate::dma::DmaBuffer;
use crate::host::DmaRegion;

/// Number of elements in the ring: one 4 KiB page of 16-byte elements.
pub const EQ_ELEMENTS: u16 = 256;

/// Bytes of the ring.
pub const EQ_RING_BYTES: usize = 4096;

const ELEMENT_BYTES: usize = 16;
const FLAG_ASYNC: u8 = 1;

/// One element of the event queue, as the firmware wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EventElement {
    /// Protocol of the event.
    pub protocol: u8,
    /// Opcode inside the protocol.
    pub opcode: u8,
    /// Virtual function the event is about, 0xff for the physical function.
    pub vf: u8,
    /// Echo of the ramrod that the event completes.
    pub echo: u16,
    /// Return code of that ramrod.
    pub return_code: u8,
    /// Whether the event completes no ramrod.
    pub asynchronous: bool,
    /// Event-specific data.
    pub data: [u8; 8],
}

impl EventElement {
    /// Reads an element from its 16 bytes; every pattern of bytes is an element.
    #[must_use]
    pub fn decode(bytes: &[u8; ELEMENT_BYTES]) -> Self {
        let [
            protocol,
            opcode,
            _,
            vf,
            e0,
            e1,
            return_code,
            flags,
            d0,
            d1,
            d2,
            d3,
            d4,
            d5,
            d6,
            d7,
        ] = *bytes;
        Self {
            protocol,
            opcode,
            vf,
            echo: u16::from_le_bytes([e0, e1]),
            return_code,
            asynchronous: flags & FLAG_ASYNC != 0,
            data: [d0, d1, d2, d3, d4, d5, d6, d7],
        }
    }
}

const _: () = assert!(size_of::<EventRingEntry>() == ELEMENT_BYTES);

/// The device's producer index cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ProducerJump {
    /// Elements consumed so far.
    pub consumer: u16,
    /// Index the device wrote, more than [`EQ_ELEMENTS`] ahead.
    pub producer: u16,
}

impl fmt::Display for ProducerJump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "event-queue producer {} is more than a ring ahead of the consumer {}",
            self.producer, self.consumer
        )
    }
}

/// Driver side of the event queue.
///
/// The device's producer is a protocol index of the default status block; the driver's consumer is a 16-bit word in
/// USTORM memory. Both count elements and run freely.
///
/// Known by: source reading.
pub struct EventQueue<R: DmaRegion> {
    ring: DmaBuffer<R>,
    table: DmaBuffer<R>,
    consumer: u16,
    jumps: u32,
}

impl<R: DmaRegion> EventQueue<R> {
    /// An empty queue over a zeroed ring of [`EQ_RING_BYTES`] and a page table of at least 8 bytes, which this function
    /// fills.
    ///
    /// `None` when the memory is too small.
    pub fn new(ring: DmaBuffer<R>, mut table: DmaBuffer<R>) -> Result<Self, [DmaBuffer<R>; 2]> {
        let address = ring.bus_address().0.to_le_bytes();
        if ring.len() < EQ_RING_BYTES || table.write(0, &address).is_err() {
            return Err([ring, table]);
        }
        Ok(Self {
            ring,
            table,
            consumer: 0,
            jumps: 0,
        })
    }

    /// The page table's memory; its bus address goes into PF_START.
    pub fn page_table(&self) -> &DmaBuffer<R> {
        &self.table
    }

    /// Number of elements consumed so far, modulo 2^16.
    #[must_use]
    pub fn consumer(&self) -> u16 {
        self.consumer
    }

    /// How often the device's producer was out of range.
    #[must_use]
    pub fn producer_jumps(&self) -> u32 {
        self.jumps
    }

    /// Takes the next element before `producer`, the value that the status block holds.
    ///
    /// `Ok(None)` when there is none.
    ///
    /// # Errors
    ///
    /// [`ProducerJump`] when the producer is out of range; nothing is consumed then.
    pub fn next(&mut self, producer: u16) -> Result<Option<EventElement>, ProducerJump> {
        let waiting = producer.wrapping_sub(self.consumer);
        if waiting > EQ_ELEMENTS {
            self.jumps = self.jumps.saturating_add(1);
            return Err(ProducerJump {
                consumer: self.consumer,
                producer,
            });
        }
        if waiting == 0 {
            return Ok(None);
        }
        let position = usize::from(self.consumer % EQ_ELEMENTS) * ELEMENT_BYTES;
        let Ok(bytes) = self.ring.read::<[u8; ELEMENT_BYTES]>(position) else {
            return Ok(None);
        };
        self.consumer = self.consumer.wrapping_add(1);
        Ok(Some(EventElement::decode(&bytes)))
    }

    /// Gives the memory up: ring and page table.
    pub fn into_memory(self) -> [DmaBuffer<R>; 2] {
        [self.ring, self.table]
    }
}

/// An event of the storm firmware that completes no ramrod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AsynchronousEvent {
    /// A virtual function sent a request.
    VfRequest {
        /// Absolute virtual function.
        vf: u16,
        /// Guest-physical address of the request.
        address: u64,
    },
    /// A virtual function was reset.
    VfReset {
        /// Virtual function as the firmware gave it.
        vf: u8,
    },
    /// The firmware reports an error of a queue, vport or function.
    FirmwareError(FirmwareError),
    /// An event that this crate does not know.
    Unknown {
        /// Protocol of the event.
        protocol: u8,
        /// Opcode of the event.
        opcode: u8,
    },
}

/// An error that the storm firmware reports by an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FirmwareError {
    /// What has to be recovered: 1 transmit queue, 2 receive queue, 3 queue pair, 4 vport, 5 function, 6 port, 7 engine.
    pub scope: u8,
    /// Which rule was broken.
    pub error: u8,
    /// Number of the queue, vport or function.
    pub entity: u16,
}

impl AsynchronousEvent {
    /// Classifies an element whose asynchronous flag is set.
    #[must_use]
    pub fn from_element(element: &EventElement) -> Self {
        const COMMON: u8 = 8;
        const VF_PF_CHANNEL: u8 = 4;
        const VF_FLR: u8 = 5;
        const FIRMWARE_ERROR: u8 = 7;
        let [d0, d1, d2, d3, ..] = element.data;
        match (element.protocol, element.opcode) {
            (COMMON, VF_PF_CHANNEL) => Self::VfRequest {
                vf: element.echo,
                address: u64::from_le_bytes(element.data),
            },
            (COMMON, VF_FLR) => Self::VfReset { vf: d0 },
            (COMMON, FIRMWARE_ERROR) => Self::FirmwareError(FirmwareError {
                scope: d0,
                error: d1,
                entity: u16::from_le_bytes([d2, d3]),
            }),
            (protocol, opcode) => Self::Unknown { protocol, opcode },
        }
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
