//! One frame in, one frame out: what all stacks have in common.

use crate::config::QueueConfig;
use crate::fault::Fault;
use crate::frame::RxFrame;
use crate::log::warning;
use crate::offload::Offload;
use crate::packet::{BufferNumber, Checksum, RxPacket, TxPacket};
use crate::ring::Ring;
use crate::transmit::TransmitError;

use super::offload::checksums_of;
use super::verify::{Verdict, verify};

/// Shortest frame on the wire, without FCS.
const SHORTEST: usize = 60;
/// Bytes before the payload of a frame without tags.
const ETHERNET_HEADER: usize = 14;
/// The device may move a frame by this much to align its IP header.
const PLACEMENT: usize = 2;
/// Frames that one call may drop before it says that none is there.
const LOOKS: usize = 256;

/// Who verifies the checksums of received frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RxChecksums {
    /// The stack.
    #[default]
    Stack,
    /// The device; the stack is told not to.
    Device,
}

/// Who fills in the checksums of frames to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TxChecksums {
    /// The stack.
    #[default]
    Stack,
    /// The device; the stack is told not to.
    Device,
}

/// What a [`Phy`] did, beyond what the ring counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PhyCounters {
    /// Frames handed to the stack.
    pub received: u64,
    /// Frames of the stack that the ring took.
    pub sent: u64,
    /// Received frames with a wrong checksum, dropped.
    pub bad_checksum: u64,
    /// Received fragments that nobody could verify, dropped.
    pub fragments: u64,
    /// Received frames in several buffers, dropped: stacks want one piece.
    pub scattered: u64,
    /// Frames of the stack that the ring did not take.
    pub refused: u64,
    /// Times that the stack wanted to send and there was no room.
    pub no_room: u64,
}

/// A ring as stacks want it: one frame at a time, each in one piece.
///
/// Frames of at most [`frame_bytes`](Self::frame_bytes) go in and out: the MTU and the Ethernet header, and never more than
/// a buffer holds. So for jumbo frames, choose [`buffer_bytes`](QueueConfig::buffer_bytes) as large as they are.
///
/// A [`Fault`] ends the direction that it hit, as for the ring itself: the phy then has no frames, or no room. See
/// [`fault`](Self::fault).
#[derive(Debug)]
pub struct Phy<R> {
    ring: R,
    frame_bytes: usize,
    checksums: RxChecksums,
    sent_checksums: TxChecksums,
    counters: PhyCounters,
    fault: Option<Fault>,
    /// A frame that was looked for and not taken yet.
    pending: Option<RxPacket>,
}

impl<R: Ring> Phy<R> {
    /// Makes a phy of a ring whose queue pair was opened with `config`.
    pub fn new(ring: R, config: &QueueConfig) -> Self {
        let mtu = usize::from(config.mtu) + ETHERNET_HEADER;
        let buffer = usize::from(config.receive_bytes()).saturating_sub(PLACEMENT);
        Self {
            ring,
            frame_bytes: mtu.min(buffer),
            checksums: RxChecksums::Stack,
            sent_checksums: TxChecksums::Stack,
            counters: PhyCounters::default(),
            fault: None,
            pending: None,
        }
    }

    /// Chooses who verifies received checksums.
    #[must_use]
    pub fn with_checksums(mut self, checksums: RxChecksums) -> Self {
        self.checksums = checksums;
        self
    }

    /// Who verifies received checksums.
    pub const fn checksums(&self) -> RxChecksums {
        self.checksums
    }

    /// Chooses who fills in the checksums of frames to send.
    #[must_use]
    pub fn with_sent_checksums(mut self, checksums: TxChecksums) -> Self {
        self.sent_checksums = checksums;
        self
    }

    /// Who fills in the checksums of frames to send.
    pub const fn sent_checksums(&self) -> TxChecksums {
        self.sent_checksums
    }

    /// Most bytes of a frame, Ethernet header included, FCS not.
    pub const fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// What was done so far.
    pub const fn counters(&self) -> PhyCounters {
        self.counters
    }

    /// What ended receiving or sending, if something did.
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The ring.
    pub const fn ring(&self) -> &R {
        &self.ring
    }

    /// The ring, for everything that a stack does not do.
    pub const fn ring_mut(&mut self) -> &mut R {
        &mut self.ring
    }

    /// Gives the ring back. A frame that [`poll_frame`](Self::poll_frame) has seen and nobody took is dropped; its buffer
    /// would stay out of use if the phy were dropped instead.
    pub fn into_ring(mut self) -> R {
        if let Some(packet) = self.pending.take() {
            self.ring.release(&packet);
        }
        self.ring
    }

    /// Whether [`receive`](Self::receive) has a frame.
    pub fn poll_frame(&mut self) -> bool {
        if self.pending.is_none() {
            self.pending = self.next();
        }
        self.pending.is_some() && self.poll_room()
    }

    /// Whether [`transmit`](Self::transmit) has room.
    pub fn poll_room(&mut self) -> bool {
        match self.room() {
            Some(buffer) => self.ring.release_buffer(buffer),
            None => false,
        }
    }

    /// Takes a frame, and room for an answer to it. `None` when there is no frame, or no room for an answer.
    pub fn receive(&mut self) -> Option<Exchange<'_, R>> {
        let buffer = self.room()?;
        let pending = self.pending.take();
        let Some(packet) = pending.or_else(|| self.next()) else {
            self.ring.release_buffer(buffer);
            return None;
        };
        self.counters.received += 1;
        let (frame, ring) = self.ring.lend(packet)?;
        let slot = TxSlot {
            ring,
            buffer: Some(buffer),
            checksums: self.sent_checksums,
            counters: &mut self.counters,
            fault: &mut self.fault,
        };
        Some((frame, slot))
    }

    /// Takes room for a frame. `None` when there is none; it comes when the device has sent something.
    pub fn transmit(&mut self) -> Option<TxSlot<'_, R::Rest<'_>>> {
        let buffer = self.room();
        self.counters.no_room += u64::from(buffer.is_none());
        Some(TxSlot {
            buffer: Some(buffer?),
            ring: self.ring.rest(),
            checksums: self.sent_checksums,
            counters: &mut self.counters,
            fault: &mut self.fault,
        })
    }

    fn room(&mut self) -> Option<BufferNumber> {
        if self.ring.transmit_room() == 0 {
            if let Err(fault) = self.ring.reap() {
                self.note(fault);
            }
            if self.ring.transmit_room() == 0 {
                return None;
            }
        }
        self.ring.take_buffer()
    }

    /// The next frame that is fit for a stack.
    fn next(&mut self) -> Option<RxPacket> {
        for _ in 0..LOOKS {
            let mut packet = [RxPacket::EMPTY];
            match self.ring.receive(&mut packet) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(fault) => {
                    self.note(fault);
                    return None;
                }
            }
            let [packet] = packet;
            match self.judge(&packet) {
                Verdict::Good => return Some(packet),
                Verdict::Bad => self.counters.bad_checksum += 1,
                Verdict::Fragment => self.counters.fragments += 1,
                Verdict::Scattered => self.counters.scattered += 1,
            }
            self.ring.release(&packet);
        }
        None
    }

    fn judge(&self, packet: &RxPacket) -> Verdict {
        if packet.segments() != 1 {
            return Verdict::Scattered;
        }
        match (packet.checksum(), self.checksums) {
            (Checksum::Bad, _) => Verdict::Bad,
            (Checksum::Good, _) | (_, RxChecksums::Stack) => Verdict::Good,
            (Checksum::Unknown, RxChecksums::Device) => {
                let bytes = self.ring.segments(packet).next();
                bytes.map_or(Verdict::Scattered, verify)
            }
        }
    }

    fn note(&mut self, fault: Fault) {
        if self.fault.is_none() {
            warning!("a stack lost its queue: {}", fault);
            self.fault = Some(fault);
        }
    }
}

/// A received frame, and room for an answer.
pub type Exchange<'a, R> = (
    RxFrame<'a, <R as Ring>::Region>,
    TxSlot<'a, <R as Ring>::Rest<'a>>,
);

/// Room for one frame: a buffer, and a place in the transmit ring. Dropping it gives both back.
#[derive(Debug)]
pub struct TxSlot<'a, R: Ring> {
    ring: R,
    buffer: Option<BufferNumber>,
    checksums: TxChecksums,
    counters: &'a mut PhyCounters,
    fault: &'a mut Option<Fault>,
}

impl<R: Ring> TxSlot<'_, R> {
    /// Has `fill` write a frame of `length` bytes, and sends it. Frames below 60 bytes are padded with zeros.
    ///
    /// `fill` gets fewer bytes than `length` when it is more than a buffer holds; such a frame is not sent, and counted as
    /// refused. [`Phy::frame_bytes`] is always less.
    pub fn send<T>(mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> T) -> T {
        let Some(buffer) = self.buffer else {
            return fill(&mut []);
        };
        let padded = length.max(SHORTEST);
        let bytes = self.ring.buffer_mut(buffer).unwrap_or(&mut []);
        let fits = bytes.len() >= padded;
        let end = length.min(bytes.len());
        let (frame, rest) = bytes.split_at_mut_checked(end).unwrap_or_default();
        let result = fill(frame);
        let offload = match self.checksums {
            TxChecksums::Stack => Offload::NONE,
            TxChecksums::Device => checksums_of(frame),
        };
        if !fits {
            self.counters.refused += 1;
            return result;
        }
        for byte in rest.iter_mut().take(padded - length) {
            *byte = 0;
        }
        let packet = TxPacket::new(buffer, 0, padded as u16).with(offload);
        match self.ring.transmit(&[packet]) {
            Ok(1..) => {
                self.counters.sent += 1;
                self.buffer = None;
            }
            Ok(0) | Err(TransmitError::Refused { .. }) => self.counters.refused += 1,
            Err(TransmitError::Fault(fault)) => {
                self.counters.refused += 1;
                self.fault.get_or_insert(fault);
            }
        }
        result
    }
}

impl<R: Ring> Drop for TxSlot<'_, R> {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer {
            self.ring.release_buffer(buffer);
        }
    }
}
