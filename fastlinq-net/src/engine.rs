//! Both directions of a queue pair and their buffers, without the device.

use core::fmt;

use crate::counters::Counters;
use crate::device::QueueDevice;
use crate::fault::Fault;
use crate::frame::{Placement, RxFrame, Segments, copy};
use crate::memory::{Owner, RingMemory, Shared};
use crate::packet::{BufferNumber, RxPacket, Segment, TxPacket};
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
        let known = self.free + self.receiving + self.transmitting + self.owned + self.lent;
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

pub(crate) struct Engine<'m, D: QueueDevice> {
    pub(crate) receive: ReceiveRing<'m>,
    pub(crate) transmit: TransmitRing<'m>,
    pub(crate) rings: RingMemory<D::Region>,
    pub(crate) owner: Owner<'m>,
}

impl<D: QueueDevice> Engine<'_, D> {
    pub(crate) fn placement(&self) -> Placement {
        Placement {
            buffer_bytes: self.receive.buffer_bytes(),
            headroom: self.receive.headroom(),
        }
    }

    #[inline]
    pub(crate) fn receive(
        &mut self,
        shared: &Shared<'_, D::Region>,
        device: &D,
        out: &mut [RxPacket],
    ) -> Result<usize, Fault> {
        let taken = self
            .receive
            .poll(&self.rings, &mut self.owner, shared, device, out)?;
        if self.receive.wants_refill() {
            self.refill(shared, device);
        }
        Ok(taken)
    }

    pub(crate) fn refill(&mut self, shared: &Shared<'_, D::Region>, device: &D) {
        let wanted = usize::from(self.receive.wanted());
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
        let placement = (self.receive.buffer_bytes(), self.receive.headroom());
        self.transmit.transmit(
            &mut self.rings,
            &mut self.owner,
            shared,
            device,
            placement,
            packets,
        )
    }

    pub(crate) fn transmit_gather<F: AsRef<[Segment]>>(
        &mut self,
        shared: &Shared<'_, D::Region>,
        device: &D,
        frames: &[F],
    ) -> Result<usize, TransmitError> {
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
                self.owner.release(shared, segment.buffer.0, 1);
            }
        }
        result
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
        let number = self.owner.pop()?;
        self.owner.receive(number).then_some(BufferNumber(number))
    }

    #[inline]
    pub(crate) fn release(&mut self, shared: &Shared<'_, D::Region>, packet: &RxPacket) -> bool {
        if packet.segments == 1 {
            let owned = self.owner.claim(packet.buffer);
            if owned {
                self.owner.push(packet.buffer);
            }
            return owned;
        }
        self.owner.release(shared, packet.buffer, packet.segments)
    }

    pub(crate) fn release_buffer(
        &mut self,
        shared: &Shared<'_, D::Region>,
        buffer: BufferNumber,
    ) -> bool {
        self.owner.release(shared, buffer.0, 1)
    }

    pub(crate) fn segments<'a>(
        &'a self,
        shared: &'a Shared<'_, D::Region>,
        packet: &RxPacket,
    ) -> Segments<'a, D::Region> {
        Segments::new(&self.owner, shared, self.placement(), packet)
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
        let range = self.placement().range(packet, 0);
        self.owner.bytes_mut(shared, packet.buffer)?.get_mut(range)
    }

    pub(crate) fn lend<'q>(
        &mut self,
        shared: &'q Shared<'_, D::Region>,
        packet: RxPacket,
    ) -> Option<RxFrame<'q, D::Region>> {
        let lease = self.owner.lend(shared, packet.buffer, packet.segments)?;
        Some(RxFrame::new(lease, packet, self.placement()))
    }

    pub(crate) fn reclaim<'q>(
        &mut self,
        shared: &Shared<'_, D::Region>,
        frame: RxFrame<'q, D::Region>,
    ) -> Result<RxPacket, RxFrame<'q, D::Region>> {
        let (lease, packet, placement) = frame.into_lease();
        match self.owner.reclaim(shared, lease) {
            Ok(()) => Ok(packet),
            Err(lease) => Err(RxFrame::new(lease, packet, placement)),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            receive: self.receive.counters,
            transmit: self.transmit.counters,
        }
    }

    pub(crate) fn usage(&mut self, shared: &Shared<'_, D::Region>) -> Usage {
        self.owner.collect(shared);
        Usage {
            free: self.owner.free(),
            receiving: usize::from(self.receive.with_device()),
            transmitting: self.transmit.buffers_in_flight(),
            owned: self.owner.count_owned(),
            lent: self.owner.count_lent(),
            total: shared.count() as usize,
        }
    }
}
