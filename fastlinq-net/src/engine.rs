//! Both directions of a queue pair and their buffers, without the device.

use core::fmt;

use crate::config::QueueConfig;
use crate::counters::Counters;
use crate::device::QueueDevice;
use crate::fault::Fault;
use crate::frame::{RxFrame, Segments, copy, first_range};
use crate::memory::{Owner, RingMemory, Shared};
use crate::offload::Offload;
use crate::packet::{BufferNumber, RxPacket, Segment, TxPacket};
use crate::pieces::TxFrame;
use crate::receive::ReceiveRing;
use crate::rule::{MAX_TX_SEGMENTS, TxRule};
use crate::transmit::{TransmitError, TransmitRing};

/// Where the buffers of a queue pair are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Usage {
    /// Free.
    pub free: usize,
    /// With the device, to receive into.
    pub receiving: usize,
    /// With the device, in aggregations that it has not ended.
    pub aggregating: usize,
    /// With the device, to be sent.
    pub transmitting: usize,
    /// With the program.
    pub owned: usize,
    /// In handles, or handles that were forgotten.
    pub lent: usize,
    /// All of them.
    pub total: usize,
}

impl Usage {
    /// Buffers that nobody has; always 0 unless this crate has an error.
    pub const fn missing(&self) -> usize {
        let known = self.free
            + self.receiving
            + self.aggregating
            + self.transmitting
            + self.owned
            + self.lent;
        self.total.abs_diff(known)
    }
}

/// Why a frame could not be sent from a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SendError {
    /// The ring or the pool has no room now; later it has.
    Full,
    /// The frame breaks a rule of the chip.
    Refused(TxRule),
    /// The queue is unusable.
    Fault(Fault),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the transmit ring has no room"),
            Self::Refused(rule) => rule.fmt(f),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}

#[repr(align(64))]
pub(crate) struct Engine<'m, D: QueueDevice> {
    pub(crate) receive: ReceiveRing,
    pub(crate) transmit: TransmitRing,
    pub(crate) rings: RingMemory<D::Region>,
    pub(crate) owner: Owner<'m>,
}

impl<D: QueueDevice> Engine<'_, D> {
    #[inline]
    pub(crate) fn receive(
        &mut self,
        shared: &Shared<'_, D::Region>,
        device: &D,
        out: &mut [RxPacket],
    ) -> Result<usize, Fault> {
        let taken = self
            .receive
            .poll(&self.rings, &mut self.owner, shared, device, out);
        if taken == 0 {
            // Frames before a fault are given first.
            if let Some(fault) = self.receive.fault {
                return Err(fault);
            }
        }
        if self.receive.wants_refill(&self.owner) {
            self.refill(shared, device);
        }
        Ok(taken)
    }

    #[inline(never)]
    pub(crate) fn refill(&mut self, shared: &Shared<'_, D::Region>, device: &D) {
        let wanted = usize::from(self.receive.wanted(&self.owner));
        if wanted > self.owner.free() {
            self.gather_free(shared, device, wanted);
        }
        self.receive
            .refill(&mut self.rings, &mut self.owner, shared, device);
    }

    /// Takes back what handles returned and what was sent, so that a full transmit ring cannot keep the receive ring empty.
    #[cold]
    fn gather_free(&mut self, shared: &Shared<'_, D::Region>, device: &D, wanted: usize) {
        self.owner.collect(shared);
        if wanted > self.owner.free() {
            // A fault of the transmit direction is reported there.
            let _ = self.transmit.reap(&mut self.owner, device);
        }
    }

    #[inline]
    pub(crate) fn transmit<P: Copy + Into<TxPacket>>(
        &mut self,
        shared: &Shared<'_, D::Region>,
        device: &D,
        packets: &[P],
    ) -> Result<usize, TransmitError> {
        self.transmit
            .transmit(&mut self.rings, &mut self.owner, shared, device, packets)
    }

    pub(crate) fn transmit_gather<F: AsRef<[Segment]>>(
        &mut self,
        shared: &Shared<'_, D::Region>,
        device: &D,
        frames: &[F],
    ) -> Result<usize, TransmitError> {
        let frames = frames.iter().map(|frame| (frame.as_ref(), Offload::NONE));
        self.transmit
            .gather(&mut self.rings, &mut self.owner, shared, device, frames)
    }

    pub(crate) fn transmit_frames(
        &mut self,
        shared: &Shared<'_, D::Region>,
        device: &D,
        frames: &[TxFrame<'_>],
    ) -> Result<usize, TransmitError> {
        let frames = frames.iter().map(|frame| (frame.segments, frame.offload));
        self.transmit
            .gather(&mut self.rings, &mut self.owner, shared, device, frames)
    }

    pub(crate) fn send(
        &mut self,
        shared: &Shared<'_, D::Region>,
        device: &D,
        frame: &[u8],
    ) -> Result<(), SendError> {
        let headroom = self.receive.headroom();
        let room = usize::from(self.receive.buffer_bytes());
        let mut segments = [Segment {
            buffer: BufferNumber(0),
            offset: headroom,
            length: 0,
        }; MAX_TX_SEGMENTS];
        let count = frame.len().div_ceil(room);
        if count > MAX_TX_SEGMENTS {
            return Err(SendError::Refused(TxRule::TooLong));
        }
        let mut used = 0;
        for (segment, piece) in segments.iter_mut().zip(frame.chunks(room)) {
            let Some(buffer) = self.take_buffer(shared, device) else {
                break;
            };
            segment.buffer = buffer;
            segment.length = piece.len() as u16;
            used += 1;
            let start = usize::from(headroom);
            let bytes = self.owner.bytes_mut(shared, buffer.0);
            if let Some(into) = bytes.and_then(|bytes| bytes.get_mut(start..start + piece.len())) {
                into.copy_from_slice(piece);
            }
        }
        let segments = segments.get(..used).unwrap_or(&[]);
        let result = if used < count {
            Err(SendError::Full)
        } else {
            match self.transmit_gather(shared, device, &[segments]) {
                Ok(0) => Err(SendError::Full),
                Ok(_) => Ok(()),
                Err(TransmitError::Refused { rule, .. }) => Err(SendError::Refused(rule)),
                Err(TransmitError::Fault(fault)) => Err(SendError::Fault(fault)),
            }
        };
        if result.is_err() {
            for segment in segments {
                self.owner.release_one(segment.buffer.0);
            }
        }
        result
    }

    pub(crate) fn ring_again(&mut self, device: &D) {
        self.transmit.ring_again(&self.owner, device);
    }

    pub(crate) fn reap(&mut self, device: &D) -> Result<u16, Fault> {
        self.transmit.reap(&mut self.owner, device)
    }

    pub(crate) fn take_buffer(
        &mut self,
        shared: &Shared<'_, D::Region>,
        device: &D,
    ) -> Option<BufferNumber> {
        if self.owner.free() == 0 {
            self.gather_free(shared, device, 1);
        }
        self.owner.take_free().map(BufferNumber)
    }

    #[inline]
    pub(crate) fn release(&mut self, shared: &Shared<'_, D::Region>, packet: &RxPacket) -> bool {
        if packet.segments() == 1 {
            return self.owner.release_one(packet.number());
        }
        let (first, segments) = (packet.number(), packet.segments());
        self.owner.release(shared, first, segments)
    }

    pub(crate) fn release_buffer(&mut self, buffer: BufferNumber) -> bool {
        self.owner.release_one(buffer.0)
    }

    pub(crate) fn segments<'a>(
        &'a self,
        shared: &'a Shared<'_, D::Region>,
        packet: &RxPacket,
    ) -> Segments<'a, D::Region> {
        Segments::new(&self.owner, shared, self.receive.headroom(), packet)
    }

    pub(crate) fn copy_to(
        &self,
        shared: &Shared<'_, D::Region>,
        packet: &RxPacket,
        target: &mut [u8],
    ) -> usize {
        copy(self.segments(shared, packet), target)
    }

    pub(crate) fn bytes_mut<'a>(
        &'a mut self,
        shared: &'a Shared<'_, D::Region>,
        packet: &RxPacket,
    ) -> Option<&'a mut [u8]> {
        let bytes = self.owner.bytes_mut(shared, packet.number())?;
        bytes.get_mut(first_range(packet))
    }

    pub(crate) fn lend<'q>(
        &mut self,
        shared: &'q Shared<'_, D::Region>,
        packet: RxPacket,
    ) -> Option<RxFrame<'q, D::Region>> {
        let lease = self
            .owner
            .lend(shared, packet.number(), packet.segments())?;
        Some(RxFrame::new(lease, packet, self.receive.headroom()))
    }

    pub(crate) fn reclaim<'q>(
        &mut self,
        shared: &Shared<'_, D::Region>,
        frame: RxFrame<'q, D::Region>,
    ) -> Result<RxPacket, RxFrame<'q, D::Region>> {
        let (lease, packet, headroom) = frame.into_lease();
        match self.owner.reclaim(shared, lease) {
            Ok(()) => Ok(packet),
            Err(lease) => Err(RxFrame::new(lease, packet, headroom)),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            receive: self.receive.counters,
            transmit: self.transmit.counters(&self.owner),
        }
    }

    /// As it was at the start, but for the counters: the device has let go of everything.
    pub(crate) fn renew(&mut self, shared: &Shared<'_, D::Region>, config: &QueueConfig) {
        let counters = self.counters();
        self.owner.free_all(shared);
        self.receive = ReceiveRing::new(config, self.rings.completion_slots());
        self.transmit = TransmitRing::new(config);
        self.continue_counting(counters);
    }

    /// Goes on counting where another engine ended.
    pub(crate) fn continue_counting(&mut self, counters: Counters) {
        self.receive.counters = counters.receive;
        self.transmit.continue_counting(counters.transmit);
    }

    pub(crate) fn usage(&mut self, shared: &Shared<'_, D::Region>) -> Usage {
        self.owner.collect(shared);
        let (owned, lent, aggregating) = self.owner.count_states();
        Usage {
            free: self.owner.free(),
            receiving: usize::from(self.owner.receiving()),
            aggregating,
            transmitting: self.owner.transmitting(),
            owned,
            lent,
            total: shared.count() as usize,
        }
    }
}
