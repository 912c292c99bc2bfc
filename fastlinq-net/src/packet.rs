//! Received frames and frames to send, as small records by value.

use core::fmt;

use fastlinq_pac::hsi::flags::{ParsingAndErrorFlags, TunnelParsingFlags};

use crate::completion::{AGGREGATION_START, Head};
use crate::kind::PacketKind;
use crate::memory::NO_BUFFER;

mod sent;

pub use sent::{Segment, TxPacket};

/// Number of a packet buffer of a queue pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BufferNumber(pub(crate) u32);

impl BufferNumber {
    /// The number, counted from 0.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A received frame: where it is, and what the device said about it.
///
/// A plain record of 24 bytes; copying it copies no data. Its buffers belong to the program until the frame is
/// transmitted, released or lent. A record that is used after that is recognised and refused, so nothing else has to keep
/// track of them.
///
/// Everything but the place is decoded when asked for: two quadwords are the device's, as its completion had them.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RxPacket {
    /// Dword 0 of the completion: type, hash type and traffic class, length (31:16).
    kind: u32,
    /// Dword 1: flags (15:0), VLAN tag (31:16).
    flags: u32,
    /// Dword 2.
    hash: u32,
    /// Dword 3: bytes in the first buffer (15:0), placement offset (23:16), tunnel flags (31:24).
    first: u32,
    /// Buffer number.
    number: u32,
    /// Headroom (15:0), bytes of headers of an aggregation (23:16), buffers behind the first (31:24).
    shape: u32,
}

impl RxPacket {
    /// A record that stands for no frame, to make arrays of.
    pub const EMPTY: Self = Self {
        kind: 0,
        flags: 0,
        hash: 0,
        first: 0,
        number: NO_BUFFER,
        shape: further(0),
    };

    /// The shape of frames in one buffer.
    #[inline]
    pub(crate) const fn shape_of(headroom: u16) -> u32 {
        headroom as u32
    }

    /// A frame in one buffer.
    #[inline]
    pub(crate) const fn common(number: u32, shape: u32, head: Head) -> Self {
        Self {
            kind: head.first as u32,
            flags: (head.first >> 32) as u32,
            hash: head.second as u32,
            first: (head.second >> 32) as u32,
            number,
            shape,
        }
    }

    /// A frame in any number of buffers.
    pub(crate) const fn scattered(
        number: u32,
        headroom: u16,
        words: [u64; 2],
        buffers: u8,
    ) -> Self {
        Self {
            kind: words[0] as u32,
            flags: (words[0] >> 32) as u32,
            hash: words[1] as u32,
            first: (words[1] >> 32) as u32,
            number,
            shape: further(buffers) | headroom as u32,
        }
    }

    /// A frame that the device made of several, given the first completion of it.
    pub(crate) const fn aggregated(self, header: u8, length: u16, buffers: u8) -> Self {
        Self {
            kind: self.kind & 0xffff | (length as u32) << 16,
            shape: self.shape & 0xffff | (header as u32) << 16 | further(buffers),
            ..self
        }
    }

    #[inline]
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }

    /// Bytes of the frame in its first buffer.
    #[inline]
    pub(crate) const fn first_length(&self) -> u16 {
        self.first as u16
    }

    #[inline]
    const fn start(&self) -> u32 {
        (self.shape as u16) as u32 + self.placement() as u32
    }

    #[inline]
    const fn placement(&self) -> u8 {
        (self.first >> 16) as u8
    }

    /// The first (mostly the only) buffer of the frame.
    #[inline]
    pub const fn buffer(&self) -> BufferNumber {
        BufferNumber(self.number())
    }

    /// Bytes of the frame, without FCS.
    #[inline]
    pub const fn len(&self) -> usize {
        (self.kind >> 16) as usize
    }

    /// Whether the record stands for no frame.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where in the first buffer the frame starts.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.start() as usize
    }

    /// Buffers that the frame is in: 1 to 5, up to 255 for a frame that the device aggregated, 0 for
    /// [`EMPTY`](Self::EMPTY).
    #[inline]
    pub const fn segments(&self) -> u8 {
        ((self.shape >> 24) as u8).wrapping_add(1)
    }

    /// What the device joined, when it made this frame of several (LRO); `None` for a frame as it came.
    ///
    /// The first buffer has the headers and the first segment's payload, every other buffer the payload of one more.
    /// Lengths in the headers are the whole frame's; the TCP checksum is the first segment's, and was checked.
    pub const fn aggregate(&self) -> Option<Aggregate> {
        if self.kind as u8 != AGGREGATION_START {
            return None;
        }
        let header_bytes = (self.shape >> 16) as u8;
        Some(Aggregate {
            header_bytes,
            segment_payload: self.first_length().saturating_sub(header_bytes as u16),
        })
    }

    /// Traffic class of the frame, 0 to 15.
    pub const fn traffic_class(&self) -> u8 {
        (self.kind >> 11) as u8 & 0xf
    }

    /// The kinds of the frame's headers, as the device parsed them.
    pub const fn kind(&self) -> PacketKind {
        PacketKind::of(self.flags as u16, (self.first >> 24) as u8)
    }

    /// Whether the device recognised a PTP packet and recorded the time at which it came.
    pub const fn has_timestamp(&self) -> bool {
        self.flags()
            .contains(ParsingAndErrorFlags::TIMESTAMPRECORDED)
    }

    /// The parsing and error flags as the device gave them.
    #[inline]
    pub const fn flags(&self) -> ParsingAndErrorFlags {
        ParsingAndErrorFlags::from_bits_retain(self.flags as u16)
    }

    /// The tunnel flags as the device gave them.
    pub const fn tunnel_flags(&self) -> TunnelParsingFlags {
        TunnelParsingFlags::from_bits_retain((self.first >> 24) as u8)
    }

    /// The RSS hash and what it is over; `None` when the device computed none.
    #[inline]
    pub const fn hash(&self) -> Option<RssHash> {
        let over = match (self.kind >> 8) as u8 & 7 {
            1 => HashedOver::Ipv4,
            2 => HashedOver::Ipv4Tcp,
            3 => HashedOver::Ipv6,
            4 => HashedOver::Ipv6Tcp,
            5 => HashedOver::Ipv4Udp,
            6 => HashedOver::Ipv6Udp,
            _ => return None,
        };
        Some(RssHash {
            value: self.hash,
            over,
        })
    }

    /// Tag control information that the device took off the frame; `None` when it took none (or one that is all zero).
    #[inline]
    pub const fn vlan(&self) -> Option<u16> {
        match (self.flags >> 16) as u16 {
            0 => None,
            tag => Some(tag),
        }
    }

    /// What the device found out about the checksums of a frame that is not in a tunnel, and of the inner headers of one
    /// that is.
    ///
    /// | flags | verdict |
    /// |---|---|
    /// | IP header error, or transport checksum computed and wrong; in a tunnel also the outer ones | `Bad` |
    /// | transport checksum computed, no error | `Good` |
    /// | otherwise | `Unknown` |
    #[inline]
    pub const fn checksum(&self) -> Checksum {
        use ParsingAndErrorFlags as Flag;
        let flags = self.flags();
        let computed = flags.contains(Flag::L4CHKSMWASCALCULATED);
        let inner =
            flags.contains(Flag::IPHDRERROR) || (computed && flags.contains(Flag::L4CHKSMERROR));
        if inner || matches!(self.outer_checksum(), Some(Checksum::Bad)) {
            Checksum::Bad
        } else if computed {
            Checksum::Good
        } else {
            Checksum::Unknown
        }
    }

    /// What the device found out about the outer headers of a frame in a tunnel; `None` for one that is in none.
    #[inline]
    pub const fn outer_checksum(&self) -> Option<Checksum> {
        use ParsingAndErrorFlags as Flag;
        let flags = self.flags();
        if !flags.contains(Flag::TUNNELEXIST) {
            return None;
        }
        let computed = flags.contains(Flag::TUNNELL4CHKSMWASCALCULATED);
        let wrong = computed && flags.contains(Flag::TUNNELL4CHKSMERROR);
        Some(if wrong || flags.contains(Flag::TUNNELIPHDRERROR) {
            Checksum::Bad
        } else if computed {
            Checksum::Good
        } else {
            Checksum::Unknown
        })
    }
}

impl fmt::Debug for RxPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RxPacket")
            .field("buffer", &self.number())
            .field("offset", &self.offset())
            .field("len", &self.len())
            .field("segments", &self.segments())
            .field("flags", &self.flags())
            .field("hash", &self.hash())
            .field("vlan", &self.vlan())
            .finish_non_exhaustive()
    }
}

impl Default for RxPacket {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// What the device joined into one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Aggregate {
    /// Bytes of the Ethernet, IP and TCP headers.
    pub header_bytes: u8,
    /// Bytes of payload in the first segment, which is the sender's segment size unless there is only one.
    pub segment_payload: u16,
}

/// A hash that chose the queue of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RssHash {
    /// The hash.
    pub value: u32,
    /// What it was computed over.
    pub over: HashedOver,
}

/// What an RSS hash was computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HashedOver {
    /// IPv4 addresses.
    Ipv4,
    /// IPv4 addresses and TCP ports.
    Ipv4Tcp,
    /// IPv6 addresses.
    Ipv6,
    /// IPv6 addresses and TCP ports.
    Ipv6Tcp,
    /// IPv4 addresses and UDP ports.
    Ipv4Udp,
    /// IPv6 addresses and UDP ports.
    Ipv6Udp,
}

/// What the device found out about checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Checksum {
    /// The transport checksum is right, and no header is wrong.
    Good,
    /// A header or a checksum is wrong.
    Bad,
    /// Not looked at: no TCP or UDP, or a fragment.
    Unknown,
}

/// A shape's part for a number of buffers.
const fn further(buffers: u8) -> u32 {
    (buffers.wrapping_sub(1) as u32) << 24
}

/// For middleware, which handles frames on both ways alike and makes frames of its own.
impl RxPacket {
    /// Without what the device said about the frame's contents.
    pub(crate) const fn unverified(self) -> Self {
        Self {
            flags: self.flags & 0xffff_0000,
            first: self.first & 0x00ff_ffff,
            ..self
        }
    }

    /// The same place in another buffer.
    pub(crate) const fn in_buffer(self, buffer: BufferNumber) -> Self {
        Self {
            number: buffer.0,
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
