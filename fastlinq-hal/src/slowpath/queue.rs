//! The slow-path queue (SPQ): one page of 256 elements through which ramrods reach the storm firmware.

use fastlinq_pac::BusAddress;
use fastlinq_pac::hsi::SlowPathElement;
use zerocopy::FromZeros;
use zerocopy::little_endian::{U16, U32};

use super::{FirmwareReturnCode, Ramrod};
use crate::dma::DmaBuffer;
use crate::host::DmaRegion;

/// Number of elements in the ring: one 4 KiB page of 16-byte elements.
pub const SPQ_ELEMENTS: u16 = 256;

/// Bytes of the ring.
pub const SPQ_RING_BYTES: usize = 4096;

/// Ramrods that may be outstanding at once; each has its own data buffer until it completes.
pub const RAMRODS_IN_FLIGHT: u16 = 32;

/// Bytes reserved for the data of one ramrod; the largest Ethernet ramrod (VPORT_UPDATE) takes 440.
pub const RAMROD_DATA_BYTES: usize = 512;

/// Bytes of DMA memory for the data of all ramrods in flight.
pub const RAMROD_AREA_BYTES: usize = RAMROD_DATA_BYTES * RAMRODS_IN_FLIGHT as usize;

const ELEMENT_BYTES: usize = 16;

/// Identifies one posted ramrod until its slot is used again: the producer index at posting time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Echo(pub u16);

/// Where a posted ramrod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Progress {
    /// The firmware has not completed it.
    Outstanding,
    /// Completed with success.
    Done,
    /// Completed, and the firmware refused it.
    Refused(FirmwareReturnCode),
    /// Never posted, or its slot has been used again.
    Unknown,
}

/// A completion that belongs to no outstanding ramrod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CompletionFault {
    /// No ramrod with this echo is outstanding.
    UnknownEcho(u16),
    /// The ramrod with this echo is completed by another event.
    WrongEvent {
        /// Echo of the event.
        echo: u16,
        /// The ramrod that was posted with it.
        ramrod: Ramrod,
        /// Protocol in the event.
        protocol: u8,
        /// Opcode in the event.
        opcode: u8,
    },
}

/// Why a ramrod cannot be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PostFault {
    /// [`RAMRODS_IN_FLIGHT`] ramrods are outstanding.
    Full,
    /// The data is larger than [`RAMROD_DATA_BYTES`], or the DMA memory is smaller than the queue needs.
    Memory,
}

#[derive(Clone, Copy)]
struct Slot {
    ramrod: Ramrod,
    completed: Option<u8>,
}

/// Driver side of the slow-path queue.
///
/// The device shows no consumer index: a slot is free again when the event with its echo has arrived and all earlier
/// slots are free. Completions may arrive in any order; a set of completed slots keeps a late early one from being
/// overwritten. Data of a ramrod stays untouched until its completion, also after a time-out.
///
/// # Invariants
///
/// `producer - consumer <= RAMRODS_IN_FLIGHT`; the slots in between hold `Some`.
///
/// Known by: source reading.
pub struct SlowPathQueue<R: DmaRegion> {
    ring: DmaBuffer<R>,
    data: DmaBuffer<R>,
    producer: u16,
    consumer: u16,
    slots: [Option<Slot>; RAMRODS_IN_FLIGHT as usize],
}

impl<R: DmaRegion> SlowPathQueue<R> {
    /// An empty queue over a zeroed ring of [`SPQ_RING_BYTES`] and a data area of [`RAMROD_AREA_BYTES`].
    pub fn new(ring: DmaBuffer<R>, data: DmaBuffer<R>) -> Self {
        Self {
            ring,
            data,
            producer: 0,
            consumer: 0,
            slots: [None; RAMRODS_IN_FLIGHT as usize],
        }
    }

    /// The ring's memory; its bus address goes into the connection context.
    pub fn ring(&self) -> &DmaBuffer<R> {
        &self.ring
    }

    /// Number of ramrods that the firmware has not completed.
    #[must_use]
    pub fn outstanding(&self) -> u16 {
        (self.consumer..)
            .take(usize::from(self.in_window()))
            .filter(|echo| {
                matches!(
                    self.slot(*echo),
                    Some(Slot {
                        completed: None,
                        ..
                    })
                )
            })
            .count() as u16
    }

    /// Producer index that the next doorbell carries.
    #[must_use]
    pub fn producer(&self) -> u16 {
        self.producer
    }

    /// Writes one element and its data; the caller rings the doorbell with [`Self::producer`] afterwards.
    ///
    /// `opaque_fid` is the function the ramrod acts for and `cid` the connection on which it executes. A ramrod without
    /// `data` gets a null pointer.
    ///
    /// # Errors
    ///
    /// [`PostFault`]; nothing has been written that the device would look at.
    pub fn post(
        &mut self,
        ramrod: Ramrod,
        opaque_fid: u16,
        cid: u16,
        data: &[u8],
    ) -> Result<Echo, PostFault> {
        if self.in_window() >= RAMRODS_IN_FLIGHT {
            return Err(PostFault::Full);
        }
        let echo = self.producer;
        let index = usize::from(echo % RAMRODS_IN_FLIGHT);
        let offset = index * RAMROD_DATA_BYTES;
        let address = if data.is_empty() {
            BusAddress(0)
        } else if data.len() > RAMROD_DATA_BYTES {
            return Err(PostFault::Memory);
        } else {
            self.data
                .copy_from(offset, data)
                .map_err(|_| PostFault::Memory)?;
            self.data.bus_address().offset(offset as u64)
        };
        let mut element = SlowPathElement::new_zeroed();
        element.hdr.cid = U32::new(u32::from(opaque_fid) << 16 | u32::from(cid));
        element.hdr.cmd_id = ramrod.command();
        element.hdr.protocol_id = ramrod.protocol().0;
        element.hdr.echo = U16::new(echo);
        element.data_ptr.lo = U32::new(address.low());
        element.data_ptr.hi = U32::new(address.high());
        let position = usize::from(echo % SPQ_ELEMENTS) * ELEMENT_BYTES;
        self.ring
            .write(position, &element)
            .map_err(|_| PostFault::Memory)?;
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Slot {
                ramrod,
                completed: None,
            });
        }
        self.producer = self.producer.wrapping_add(1);
        Ok(Echo(echo))
    }

    /// Takes the completion with this echo.
    ///
    /// # Errors
    ///
    /// [`CompletionFault`] when no outstanding ramrod fits; the queue is unchanged then.
    pub fn complete(
        &mut self,
        echo: u16,
        protocol: u8,
        opcode: u8,
        return_code: u8,
    ) -> Result<Ramrod, CompletionFault> {
        let Some(slot) = self.slot(echo).filter(|slot| slot.completed.is_none()) else {
            return Err(CompletionFault::UnknownEcho(echo));
        };
        let ramrod = slot.ramrod;
        if protocol != ramrod.protocol().0 || opcode != ramrod.completing_event() {
            return Err(CompletionFault::WrongEvent {
                echo,
                ramrod,
                protocol,
                opcode,
            });
        }
        if let Some(slot) = self.slots.get_mut(usize::from(echo % RAMRODS_IN_FLIGHT)) {
            *slot = Some(Slot {
                ramrod,
                completed: Some(return_code),
            });
        }
        while self.in_window() > 0
            && self
                .slot(self.consumer)
                .is_some_and(|slot| slot.completed.is_some())
        {
            self.consumer = self.consumer.wrapping_add(1);
        }
        Ok(ramrod)
    }

    /// Where the ramrod with this echo is. A completed one is known until its slot is used again.
    #[must_use]
    pub fn progress(&self, echo: Echo) -> Progress {
        // Completed slots below the consumer keep their result; anything older than one window is gone.
        let age = self.producer.wrapping_sub(echo.0);
        if age == 0 || age > RAMRODS_IN_FLIGHT {
            return Progress::Unknown;
        }
        match self.slots.get(usize::from(echo.0 % RAMRODS_IN_FLIGHT)) {
            Some(Some(Slot {
                completed: None, ..
            })) => Progress::Outstanding,
            Some(Some(Slot {
                ramrod,
                completed: Some(code),
            })) => ramrod
                .failure(*code)
                .map_or(Progress::Done, Progress::Refused),
            _ => Progress::Unknown,
        }
    }

    /// Gives the memory up: ring and data area.
    pub fn into_memory(self) -> [DmaBuffer<R>; 2] {
        [self.ring, self.data]
    }

    fn in_window(&self) -> u16 {
        self.producer.wrapping_sub(self.consumer)
    }

    fn slot(&self, echo: u16) -> Option<Slot> {
        if echo.wrapping_sub(self.consumer) >= self.in_window() {
            return None;
        }
        self.slots
            .get(usize::from(echo % RAMRODS_IN_FLIGHT))
            .copied()
            .flatten()
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
