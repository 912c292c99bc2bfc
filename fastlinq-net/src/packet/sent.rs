//! Frames to send.

use super::{BufferNumber, RxPacket};
use crate::offload::Offload;

/// A frame to send that is in one buffer, or in the buffers that it was received in.
///
/// The buffers pass to the queue when the frame is accepted, and become free when the device has sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TxPacket {
    buffer: u32,
    /// As that of [`RxPacket`].
    shape: u32,
    length: u16,
    first_length: u16,
    /// Bytes between headroom and frame.
    placement: u8,
    offload: Offload,
}

impl TxPacket {
    /// `length` bytes from byte `offset` of a buffer.
    #[inline]
    pub const fn new(buffer: BufferNumber, offset: u16, length: u16) -> Self {
        Self {
            buffer: buffer.0,
            length,
            first_length: length,
            shape: offset as u32,
            placement: 0,
            offload: Offload::NONE,
        }
    }

    /// The same frame, with work for the device to do on it.
    #[must_use]
    #[inline]
    pub const fn with(self, offload: Offload) -> Self {
        Self { offload, ..self }
    }

    /// Bytes of the frame, without FCS.
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether the frame has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What the device is to do to the frame.
    #[inline]
    pub const fn offload(&self) -> Offload {
        self.offload
    }

    #[inline]
    pub(crate) const fn number(&self) -> u32 {
        self.buffer
    }

    #[inline]
    pub(crate) const fn length(&self) -> u16 {
        self.length
    }

    #[inline]
    pub(crate) const fn first_length(&self) -> u16 {
        self.first_length
    }

    #[inline]
    pub(crate) const fn offset(&self) -> u32 {
        (self.shape as u16) as u32 + self.placement as u32
    }

    #[inline]
    pub(crate) const fn segments(&self) -> u8 {
        ((self.shape >> 24) as u8).wrapping_add(1)
    }

    /// Where the frame starts, if it is in one buffer; more than any buffer has bytes, if not. No sum wraps: the highest
    /// shape is that of no buffers, without anything else.
    #[inline]
    pub(crate) const fn offset_if_single(&self) -> u32 {
        self.shape.wrapping_add(self.placement as u32)
    }

    /// Dwords 2 and 3 of the one descriptor.
    #[inline]
    pub(crate) const fn words(&self) -> [u32; 2] {
        self.offload.first_words(self.length, 1, self.length as u32)
    }
}

impl From<RxPacket> for TxPacket {
    /// Sends a received frame on as it is.
    #[inline]
    fn from(packet: RxPacket) -> Self {
        Self {
            buffer: packet.number(),
            shape: packet.shape,
            length: (packet.kind >> 16) as u16,
            first_length: packet.first_length(),
            placement: packet.placement(),
            offload: Offload::NONE,
        }
    }
}

/// A piece of a frame to send: `length` bytes from byte `offset` of a buffer.
///
/// Pieces of one frame may come from the same buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Segment {
    /// The buffer.
    pub buffer: BufferNumber,
    /// First byte.
    pub offset: u16,
    /// Number of bytes.
    pub length: u16,
}

impl TxPacket {
    /// The record of a received frame in the same buffers.
    pub(crate) const fn as_received(&self) -> RxPacket {
        RxPacket {
            kind: (self.length as u32) << 16,
            first: self.first_length as u32 | (self.placement as u32) << 16,
            number: self.buffer,
            shape: self.shape & 0xff00_ffff,
            ..RxPacket::EMPTY
        }
    }

    /// Descriptors that the frame takes.
    pub(crate) const fn descriptors(&self) -> usize {
        // One more where headers get one of their own.
        let pieces = self.segments() as usize + self.offload.is_segmentation() as usize;
        let least = self.offload.descriptors() as usize;
        if pieces > least { pieces } else { least }
    }
}
