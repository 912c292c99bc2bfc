//! Received frames as handles, and the bytes of frames.

use core::ops::{Deref, DerefMut, Range};

use crate::memory::{Lease, Owner, Shared};
use crate::packet::RxPacket;

/// Bytes of a frame's first buffer that are the frame's.
pub(crate) fn first_range(packet: &RxPacket) -> Range<usize> {
    let start = packet.offset();
    start..start + usize::from(packet.first_length())
}

/// Bytes of a further buffer that are the frame's.
pub(crate) fn further_range(headroom: u16, length: u16) -> Range<usize> {
    let start = usize::from(headroom);
    start..start + usize::from(length)
}

/// The bytes of a received frame, buffer by buffer.
pub struct Segments<'a, R> {
    owner: &'a Owner<'a>,
    shared: &'a Shared<'a, R>,
    headroom: u16,
    packet: RxPacket,
    number: u32,
    segment: u8,
}

impl<'a, R> Segments<'a, R> {
    pub(crate) fn new(
        owner: &'a Owner<'_>,
        shared: &'a Shared<'_, R>,
        headroom: u16,
        packet: &RxPacket,
    ) -> Self {
        Self {
            owner,
            shared,
            headroom,
            packet: *packet,
            number: packet.number(),
            segment: 0,
        }
    }
}

impl<'a, R> Iterator for Segments<'a, R> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.segment >= self.packet.segments() {
            return None;
        }
        let range = match self.segment {
            0 => first_range(&self.packet),
            _ => further_range(self.headroom, self.shared.length(self.number)),
        };
        let bytes = self.owner.bytes(self.shared, self.number)?.get(range);
        self.number = self.shared.next(self.number);
        self.segment += 1;
        bytes
    }
}

/// A received frame as a handle: derefs to its bytes, returns its buffers when dropped, on any core.
///
/// Deref gives the bytes in the first buffer, which is the whole frame unless [`RxPacket::segments`] is above 1; see
/// [`segments`](Self::segments). A handle that is forgotten keeps its buffers, and nothing worse.
pub struct RxFrame<'q, R> {
    lease: Lease<'q, R>,
    packet: RxPacket,
    headroom: u16,
}

impl<'q, R> RxFrame<'q, R> {
    pub(crate) fn new(lease: Lease<'q, R>, packet: RxPacket, headroom: u16) -> Self {
        Self {
            lease,
            packet,
            headroom,
        }
    }

    pub(crate) fn into_lease(self) -> (Lease<'q, R>, RxPacket, u16) {
        (self.lease, self.packet, self.headroom)
    }

    /// What the device said about the frame.
    pub fn packet(&self) -> &RxPacket {
        &self.packet
    }

    /// The frame's bytes, buffer by buffer.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let buffers = self.lease.buffers().enumerate();
        buffers.filter_map(|(position, (bytes, length))| {
            bytes.get(match position {
                0 => first_range(&self.packet),
                _ => further_range(self.headroom, length),
            })
        })
    }

    /// Copies the frame to the start of `target`; gives the number of bytes, less than the frame's if `target` is short.
    pub fn copy_to(&self, target: &mut [u8]) -> usize {
        copy(self.segments(), target)
    }
}

impl<R> Deref for RxFrame<'_, R> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.segments().next().unwrap_or(&[])
    }
}

impl<R> DerefMut for RxFrame<'_, R> {
    fn deref_mut(&mut self) -> &mut [u8] {
        let range = first_range(&self.packet);
        let bytes = self.lease.first_mut();
        bytes
            .and_then(|bytes| bytes.get_mut(range))
            .unwrap_or(&mut [])
    }
}

impl<R> core::fmt::Debug for RxFrame<'_, R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("RxFrame").field(&self.packet).finish()
    }
}

/// Copies pieces one behind the other; gives the number of bytes.
pub(crate) fn copy<'a>(pieces: impl Iterator<Item = &'a [u8]>, target: &mut [u8]) -> usize {
    let mut filled = 0;
    for piece in pieces {
        let rest = target.get_mut(filled..).unwrap_or(&mut []);
        let length = piece.len().min(rest.len());
        if let (Some(into), Some(from)) = (rest.get_mut(..length), piece.get(..length)) {
            into.copy_from_slice(from);
        }
        filled += length;
    }
    filled
}
