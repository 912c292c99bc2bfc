//! The receive completion parser: every 32 bytes are a frame, a counted error or a reported fault.
//!
//! Layout of the completions: known by source reading and by the model.

/// Most buffers of one frame.
pub const MAX_SEGMENTS: u8 = 5;

/// Shortest frame that a completion may report: an Ethernet header.
pub const MIN_FRAME_BYTES: u16 = 14;

/// A completion, taken apart and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Completion {
    /// A frame whose numbers agree with each other and with the size of the buffers.
    Frame(Frame),
    /// A frame whose numbers contradict each other. The device has used up `buffers` buffers (1 to 5).
    BadFrame {
        /// Buffers that the device has used up.
        buffers: u8,
        /// What is wrong.
        error: FrameError,
    },
    /// A slow-path command is complete. No buffer is used up.
    SlowPath(SlowPathCompletion),
    /// A step of a hardware aggregation (LRO).
    Aggregation(Aggregation),
    /// A frame that claims to have used up no buffer, or more than [`MAX_SEGMENTS`].
    BufferCount(u8),
    /// Not one of the five types; 0 is what unwritten memory looks like.
    UnknownType(u8),
}

/// What a completion says about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Frame {
    /// Bytes of the frame, without FCS.
    pub length: u16,
    /// Bytes of it in the first buffer.
    pub first_length: u16,
    /// Where in the first buffer they start.
    pub placement_offset: u8,
    /// Buffers that the device has used up, 1 to 5.
    pub buffers: u8,
    /// Raw parsing and error flags.
    pub flags: u16,
    /// Raw tunnel flags.
    pub tunnel: u8,
    /// Raw byte 1: hash type in bits 2:0, traffic class in bits 6:3.
    pub hash_type: u8,
    /// Tag control information that was taken off the frame; 0 when none was.
    pub vlan: u16,
    /// RSS hash.
    pub hash: u32,
}

/// Why a frame cannot be what its completion says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameError {
    /// Shorter than an Ethernet header.
    TooShort,
    /// The first buffer's part is empty or longer than the frame.
    FirstLength,
    /// The first buffer's part leaves the buffer.
    Placement,
    /// The rest of the frame does not need exactly the other buffers.
    Segments,
}

/// A slow-path command that completed on the receive queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SlowPathCompletion {
    /// Ramrod command.
    pub command: u8,
    /// Whether the firmware refused it.
    pub error: bool,
    /// Echo of the command.
    pub echo: u16,
}

/// A step of a hardware aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Aggregation {
    /// The first segment, with its headers.
    Start {
        /// Number of the aggregation.
        index: u8,
        /// Bytes of the first segment with its headers.
        segment_length: u16,
        /// Bytes of it in the first buffer.
        first_length: u16,
        /// Where in the first buffer they start.
        placement_offset: u8,
        /// Bytes of all headers.
        header_length: u8,
        /// Bytes in further buffers that were already used up; 0 ends the list.
        further: [u16; 2],
    },
    /// Further segments.
    Continue {
        /// Number of the aggregation.
        index: u8,
        /// Bytes in further buffers; 0 ends the list.
        further: [u16; 6],
    },
    /// The end.
    End {
        /// Number of the aggregation.
        index: u8,
        /// Bytes of the whole frame.
        total_length: u16,
        /// Buffers of the whole frame.
        buffers: u8,
        /// Why it ended.
        reason: u8,
        /// Segments that were joined.
        segments: u16,
        /// Bytes in further buffers; 0 ends the list.
        further: [u16; 4],
    },
}

const REGULAR: u8 = 1;
const SLOW_PATH: u8 = 2;
pub(crate) const AGGREGATION_START: u8 = 3;
const AGGREGATION_CONTINUE: u8 = 4;
const AGGREGATION_END: u8 = 5;

/// Byte `at` of a completion.
const fn byte(words: &[u64; 4], at: usize) -> u8 {
    let word = match at / 8 {
        0 => words[0],
        1 => words[1],
        2 => words[2],
        _ => words[3],
    };
    (word >> (at % 8 * 8)) as u8
}

/// The 16-bit word at byte `at` of a completion.
const fn half(words: &[u64; 4], at: usize) -> u16 {
    byte(words, at) as u16 | (byte(words, at + 1) as u16) << 8
}

impl Frame {
    /// From the three quadwords that say anything about a frame.
    #[inline]
    fn of([first, second, third]: [u64; 3]) -> Self {
        Self {
            length: (first >> 16) as u16,
            first_length: (second >> 32) as u16,
            placement_offset: (second >> 48) as u8,
            buffers: third as u8,
            flags: (first >> 32) as u16,
            tunnel: (second >> 56) as u8,
            hash_type: (first >> 8) as u8,
            vlan: (first >> 48) as u16,
            hash: second as u32,
        }
    }

    /// Bytes of the frame in buffer `segment`, counted from 0, given the bytes that the device may write into one.
    pub const fn segment_length(&self, segment: u8, buffer_bytes: u16) -> u16 {
        segment_length(self.length, self.first_length, segment, buffer_bytes)
    }

    fn check(&self, buffer_bytes: u16) -> Result<(), FrameError> {
        let first_end = u32::from(self.placement_offset) + u32::from(self.first_length);
        let rest = u32::from(self.length).wrapping_sub(u32::from(self.first_length));
        let further = u32::from(self.buffers) - 1;
        if self.length < MIN_FRAME_BYTES {
            Err(FrameError::TooShort)
        } else if self.first_length == 0 || self.first_length > self.length {
            Err(FrameError::FirstLength)
        } else if first_end > u32::from(buffer_bytes) {
            Err(FrameError::Placement)
        } else if rest.div_ceil(u32::from(buffer_bytes)) != further {
            Err(FrameError::Segments)
        } else {
            Ok(())
        }
    }
}

/// Bytes of a frame in buffer `segment`: the first holds `first_length`, the others are filled one after the other.
pub(crate) const fn segment_length(
    length: u16,
    first_length: u16,
    segment: u8,
    buffer_bytes: u16,
) -> u16 {
    if segment == 0 {
        return first_length;
    }
    let before = first_length as u32 + (segment as u32 - 1) * buffer_bytes as u32;
    let rest = (length as u32).saturating_sub(before);
    if rest < buffer_bytes as u32 {
        rest as u16
    } else {
        buffer_bytes
    }
}

/// What a frame in one buffer needs of its completion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// Quadword 0.
    pub(crate) first: u64,
    /// Quadword 1.
    pub(crate) second: u64,
    /// Byte 16.
    pub(crate) buffers: u8,
}

/// Which completions are common: what they are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common {
    /// Placement offset, shifted to where it is in the upper half of quadword 1.
    offset: u32,
    /// Longest frame behind that offset, less the shortest.
    span: u32,
}

impl Common {
    /// Frames behind a placement offset, given the bytes that the device may write into a buffer.
    ///
    /// The device puts all frames of a vport behind the same offset, so that the others may take the long way.
    pub(crate) const fn behind(offset: u8, buffer_bytes: u16) -> Self {
        Self {
            offset: (offset as u32) << 16,
            span: buffer_bytes.saturating_sub(offset as u16 + MIN_FRAME_BYTES) as u32,
        }
    }

    /// The frame's length, when the completion is common: one buffer, all of it there, the usual
    /// offset, all numbers in range.
    #[inline]
    pub(crate) fn length_of(self, head: Head) -> Option<u32> {
        let length = head.first as u32 >> 16;
        let place = (head.second >> 32) as u32;
        // The tunnel flags are above.
        let first_length = place.wrapping_sub(self.offset) & 0x00ff_ffff;
        let above = length.wrapping_sub(MIN_FRAME_BYTES.into());
        let common = head.first as u8 == REGULAR
            && head.buffers == 1
            && first_length == length
            && above <= self.span;
        common.then_some(length)
    }
}

/// Takes a completion apart, given as four quadwords, and checks it against the bytes that the device may write into a
/// buffer.
///
/// Total: every pattern has an answer, and the answer's numbers are in range.
///
/// # Examples
///
/// ```
/// use fastlinq_net::completion::{Completion, FrameError, parse};
///
/// // Type 1, 64 bytes, all in the first buffer from byte 2 on, one buffer.
/// let words = [64 << 16 | 1, 64 << 32 | 2 << 48, 1, 0];
/// let Completion::Frame(frame) = parse(words, 2048) else { panic!() };
/// assert_eq!((frame.length, frame.placement_offset, frame.buffers), (64, 2, 1));
///
/// let placement = Completion::BadFrame { buffers: 1, error: FrameError::Placement };
/// assert_eq!(parse(words, 65), placement);
/// assert_eq!(parse([0; 4], 2048), Completion::UnknownType(0));
/// ```
pub fn parse(words: [u64; 4], buffer_bytes: u16) -> Completion {
    match words[0] as u8 {
        REGULAR => {
            let [first, second, third, _] = words;
            let frame = Frame::of([first, second, third]);
            let buffers = frame.buffers;
            if buffers == 0 || buffers > MAX_SEGMENTS || buffer_bytes == 0 {
                return Completion::BufferCount(buffers);
            }
            match frame.check(buffer_bytes) {
                Ok(()) => Completion::Frame(frame),
                Err(error) => Completion::BadFrame { buffers, error },
            }
        }
        SLOW_PATH => Completion::SlowPath(SlowPathCompletion {
            command: byte(&words, 1),
            error: byte(&words, 2) != 0,
            echo: half(&words, 28),
        }),
        AGGREGATION_START => Completion::Aggregation(Aggregation::Start {
            index: byte(&words, 16),
            segment_length: half(&words, 2),
            first_length: half(&words, 12),
            placement_offset: byte(&words, 14),
            header_length: byte(&words, 17),
            further: core::array::from_fn(|n| half(&words, 18 + 2 * n)),
        }),
        AGGREGATION_CONTINUE => Completion::Aggregation(Aggregation::Continue {
            index: byte(&words, 1),
            further: core::array::from_fn(|n| half(&words, 2 + 2 * n)),
        }),
        AGGREGATION_END => Completion::Aggregation(Aggregation::End {
            index: byte(&words, 1),
            total_length: half(&words, 2),
            buffers: byte(&words, 4),
            reason: byte(&words, 5),
            segments: half(&words, 6),
            further: core::array::from_fn(|n| half(&words, 12 + 2 * n)),
        }),
        other => Completion::UnknownType(other),
    }
}
