//! Received frames and frames to send, as small records by value.

use fastlinq_pac::hsi::flags::{ParsingAndErrorFlags, TunnelParsingFlags};

use crate::completion::Frame;
use crate::memory::NO_BUFFER;

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
/// A plain record; copying it copies no data. Its buffers belong to the program until the frame is transmitted, released or
/// lent. A record that is used after that is recognised and refused, so nothing else has to keep track of them.
///
/// Everything but the place is decoded when asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RxPacket {
    pub(crate) buffer: u32,
    hash: u32,
    pub(crate) length: u16,
    pub(crate) first_length: u16,
    flags: u16,
    vlan: u16,
    pub(crate) offset: u16,
    pub(crate) segments: u8,
    hash_type: u8,
    tunnel: u8,
}

impl RxPacket {
    /// A record that stands for no frame, to make arrays of.
    pub const EMPTY: Self = Self {
        buffer: NO_BUFFER,
        hash: 0,
        length: 0,
        first_length: 0,
        flags: 0,
        vlan: 0,
        offset: 0,
        segments: 0,
        hash_type: 0,
        tunnel: 0,
    };

    #[inline]
    pub(crate) fn new(buffer: u32, headroom: u16, frame: &Frame) -> Self {
        Self {
            buffer,
            hash: frame.hash,
            length: frame.length,
            first_length: frame.first_length,
            flags: frame.flags,
            vlan: frame.vlan,
            offset: headroom + u16::from(frame.placement_offset),
            segments: frame.buffers,
            hash_type: frame.hash_type,
            tunnel: frame.tunnel,
        }
    }

    /// The first (mostly the only) buffer of the frame.
    pub const fn buffer(&self) -> BufferNumber {
        BufferNumber(self.buffer)
    }

    /// Bytes of the frame, without FCS.
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether the record stands for no frame.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Where in the first buffer the frame starts.
    pub const fn offset(&self) -> usize {
        self.offset as usize
    }

    /// Buffers that the frame is in, 1 to 5; 0 for [`EMPTY`](Self::EMPTY).
    pub const fn segments(&self) -> u8 {
        self.segments
    }

    /// The parsing and error flags as the device gave them.
    pub const fn flags(&self) -> ParsingAndErrorFlags {
        ParsingAndErrorFlags::from_bits_retain(self.flags)
    }

    /// The tunnel flags as the device gave them.
    pub const fn tunnel_flags(&self) -> TunnelParsingFlags {
        TunnelParsingFlags::from_bits_retain(self.tunnel)
    }

    /// The RSS hash and what it is over; `None` when the device computed none.
    pub const fn hash(&self) -> Option<RssHash> {
        let over = match self.hash_type & 7 {
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
    pub const fn vlan(&self) -> Option<u16> {
        match self.vlan {
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
    pub const fn checksum(&self) -> Checksum {
        use ParsingAndErrorFlags as Flag;
        let flags = self.flags();
        let computed = flags.contains(Flag::L4CHKSMWASCALCULATED);
        let inner =
            flags.contains(Flag::IPHDRERROR) || (computed && flags.contains(Flag::L4CHKSMERROR));
        let outer_computed = Flag::TUNNELL4CHKSMWASCALCULATED.union(Flag::TUNNELL4CHKSMERROR);
        let outer = flags.contains(Flag::TUNNELEXIST)
            && (flags.contains(Flag::TUNNELIPHDRERROR) || flags.contains(outer_computed));
        if inner || outer {
            Checksum::Bad
        } else if computed {
            Checksum::Good
        } else {
            Checksum::Unknown
        }
    }
}

impl Default for RxPacket {
    fn default() -> Self {
        Self::EMPTY
    }
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

/// A frame to send that is in one buffer, or in the buffers that it was received in.
///
/// The buffers pass to the queue when the frame is accepted, and become free when the device has sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TxPacket {
    pub(crate) buffer: u32,
    pub(crate) length: u16,
    pub(crate) first_length: u16,
    pub(crate) offset: u16,
    pub(crate) segments: u8,
}

impl TxPacket {
    /// `length` bytes from byte `offset` of a buffer.
    pub const fn new(buffer: BufferNumber, offset: u16, length: u16) -> Self {
        Self {
            buffer: buffer.0,
            length,
            first_length: length,
            offset,
            segments: 1,
        }
    }

    /// Bytes of the frame, without FCS.
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether the frame has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl From<RxPacket> for TxPacket {
    /// Sends a received frame on as it is.
    #[inline]
    fn from(packet: RxPacket) -> Self {
        Self {
            buffer: packet.buffer,
            length: packet.length,
            first_length: packet.first_length,
            offset: packet.offset,
            segments: packet.segments,
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

/// For middleware, which handles frames on both ways alike and makes frames of its own.
impl RxPacket {
    /// Without what the device said about the frame's contents.
    pub(crate) const fn unverified(self) -> Self {
        Self {
            flags: 0,
            tunnel: 0,
            ..self
        }
    }

    /// The same place in another buffer.
    pub(crate) const fn in_buffer(self, buffer: BufferNumber) -> Self {
        Self {
            buffer: buffer.0,
            ..self
        }
    }
}

impl TxPacket {
    /// The record of a received frame in the same buffers.
    pub(crate) const fn as_received(&self) -> RxPacket {
        RxPacket {
            buffer: self.buffer,
            length: self.length,
            first_length: self.first_length,
            offset: self.offset,
            segments: self.segments,
            ..RxPacket::EMPTY
        }
    }

    /// Descriptors that the frame takes.
    pub(crate) const fn descriptors(&self) -> usize {
        self.segments as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flagged(flags: u16) -> RxPacket {
        RxPacket {
            flags,
            ..RxPacket::EMPTY
        }
    }

    #[test]
    fn the_checksum_verdict_follows_the_flags() {
        let bits = |bits: &[u16]| flagged(bits.iter().fold(0, |flags, bit| flags | 1 << bit));
        assert_eq!(bits(&[]).checksum(), Checksum::Unknown);
        assert_eq!(bits(&[6]).checksum(), Checksum::Good);
        assert_eq!(bits(&[6, 10]).checksum(), Checksum::Bad);
        assert_eq!(bits(&[10]).checksum(), Checksum::Unknown);
        assert_eq!(bits(&[6, 9]).checksum(), Checksum::Bad);
        assert_eq!(bits(&[6, 13]).checksum(), Checksum::Good);
        assert_eq!(bits(&[6, 11, 13]).checksum(), Checksum::Bad);
        assert_eq!(bits(&[6, 11, 15]).checksum(), Checksum::Good);
        assert_eq!(bits(&[6, 11, 14, 15]).checksum(), Checksum::Bad);
    }

    #[test]
    fn hash_types_that_do_not_exist_are_no_hash() {
        let hash = |hash_type| {
            RxPacket {
                hash_type,
                hash: 9,
                ..RxPacket::EMPTY
            }
            .hash()
        };
        assert_eq!(hash(0), None);
        assert_eq!(hash(7), None);
        let tcp = RssHash {
            value: 9,
            over: HashedOver::Ipv4Tcp,
        };
        assert_eq!(hash(2), Some(tcp));
        assert_eq!(hash(0xf8 | 2), Some(tcp));
    }

    #[test]
    fn records_stay_small() {
        assert!(size_of::<RxPacket>() <= 24);
        assert!(size_of::<TxPacket>() <= 12);
    }
}
