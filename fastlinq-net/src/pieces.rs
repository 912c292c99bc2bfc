//! Frames in pieces: checked against the chip's rules as a whole, then written as a run of descriptors.

use fastlinq_hal::dma::DmaRegion;

use crate::memory::{NO_BUFFER, Owner, RingMemory, Shared};
use crate::offload::Offload;
use crate::packet::{BufferNumber, Segment, TxPacket};
use crate::rule::{
    MAX_SEGMENTED_BYTES, MAX_SEGMENTED_DESCRIPTORS, MAX_TX_BYTES, MAX_TX_SEGMENTS, MIN_TX_BYTES,
    PADDED_BYTES, TxRule,
};

/// A frame to send that is in pieces, with work for the device to do on it.
#[derive(Clone, Copy, Debug)]
pub struct TxFrame<'a> {
    /// The pieces: up to 18, or up to 255 of a frame to be segmented.
    pub segments: &'a [Segment],
    /// What the device is to do.
    pub offload: Offload,
}

/// Descriptors that the chip looks at to find a segment.
const WINDOW: usize = 17;
/// Bytes that there must be in them.
const WINDOW_BYTES: u32 = 9700;
/// Most pieces of headers.
const MAX_HEADER_PIECES: u8 = 4;

/// Why a frame is not on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPut {
    /// It has no room there now.
    Full,
    /// It breaks a rule.
    Rule(TxRule),
}

impl From<TxRule> for NotPut {
    fn from(rule: TxRule) -> Self {
        Self::Rule(rule)
    }
}

/// The bounds that a frame has to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Descriptors that there is room for.
    pub(crate) room: u16,
    /// Longest frame without a VLAN tag.
    pub(crate) plain_limit: u16,
}

/// What was put on the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put {
    pub(crate) bytes: u32,
    pub(crate) padded: bool,
}

/// The pieces of a frame that is in the buffers it was received in.
pub(crate) struct Chain<'a, R> {
    shared: &'a Shared<'a, R>,
    packet: TxPacket,
    headroom: u16,
    number: u32,
    position: u8,
}

impl<R> Clone for Chain<'_, R> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, R> Chain<'a, R> {
    pub(crate) fn new(shared: &'a Shared<'a, R>, packet: TxPacket, headroom: u16) -> Self {
        Self {
            shared,
            packet,
            headroom,
            number: packet.number(),
            position: 0,
        }
    }
}

impl<R> Iterator for Chain<'_, R> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        if self.position >= self.packet.segments() {
            return None;
        }
        let first = self.position == 0;
        let segment = Segment {
            buffer: BufferNumber(self.number),
            offset: if first {
                u16::try_from(self.packet.offset()).unwrap_or(u16::MAX)
            } else {
                self.headroom
            },
            length: if first {
                self.packet.first_length()
            } else {
                self.shared.length(self.number)
            },
        };
        self.number = self.shared.next(self.number);
        self.position += 1;
        Some(segment)
    }
}

/// Pieces, cut where the headers end.
#[derive(Clone)]
struct Cut<I> {
    segments: I,
    headers_left: u16,
    rest: Option<Segment>,
}

impl<I: Iterator<Item = Segment>> Iterator for Cut<I> {
    /// A piece, and whether it is of the headers.
    type Item = (Segment, bool);

    fn next(&mut self) -> Option<(Segment, bool)> {
        let segment = self.rest.take().or_else(|| self.segments.next())?;
        let left = self.headers_left;
        if left > 0 && segment.length > left {
            self.headers_left = 0;
            self.rest = Some(Segment {
                offset: segment.offset.saturating_add(left),
                length: segment.length - left,
                ..segment
            });
            let head = Segment {
                length: left,
                ..segment
            };
            return Some((head, true));
        }
        self.headers_left -= left.min(segment.length);
        Some((segment, left > 0))
    }
}

/// What the pieces of a frame add up to.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    pieces: usize,
    bytes: u32,
    header_pieces: u8,
}

fn cut<I: Iterator<Item = Segment>>(segments: I, offload: &Offload) -> Cut<I> {
    Cut {
        segments,
        headers_left: offload.header_bytes(),
        rest: None,
    }
}

/// Most pieces of a frame.
fn most(offload: &Offload) -> usize {
    if offload.is_segmentation() {
        MAX_SEGMENTED_DESCRIPTORS
    } else {
        MAX_TX_SEGMENTS
    }
}

fn check_count(
    segments: &(impl Iterator<Item = Segment> + Clone),
    offload: &Offload,
) -> Result<(), TxRule> {
    let most = most(offload);
    match segments.clone().take(most + 1).count() {
        0 => Err(TxRule::NoSegments),
        count if count > most => Err(TxRule::TooManySegments),
        _ => Ok(()),
    }
}

/// Checks everything that can be seen without looking at bytes or owners.
fn examine<I: Iterator<Item = Segment> + Clone>(
    segments: &I,
    offload: &Offload,
    stride: u32,
) -> Result<Shape, TxRule> {
    let mut shape = Shape::default();
    for (segment, of_headers) in cut(segments.clone(), offload) {
        if segment.length == 0 {
            return Err(TxRule::EmptySegment);
        }
        if u32::from(segment.offset) + u32::from(segment.length) > stride {
            return Err(TxRule::OutsideBuffer);
        }
        shape.pieces += 1;
        shape.bytes += u32::from(segment.length);
        shape.header_pieces += u8::from(of_headers && shape.header_pieces < u8::MAX);
    }
    if offload.is_segmentation() {
        examine_segmented(cut(segments.clone(), offload), offload, &shape)?;
    } else if shape.bytes > u32::from(MAX_TX_BYTES) {
        return Err(TxRule::TooLong);
    } else if shape.bytes < u32::from(MIN_TX_BYTES) {
        return Err(TxRule::TooShort);
    }
    Ok(shape)
}

fn examine_segmented<I: Iterator<Item = Segment> + Clone>(
    pieces: Cut<I>,
    offload: &Offload,
    shape: &Shape,
) -> Result<(), TxRule> {
    if shape.pieces > most(offload) {
        return Err(TxRule::TooManySegments);
    }
    if shape.header_pieces > MAX_HEADER_PIECES {
        return Err(TxRule::SegmentHeaders);
    }
    let payload = shape.bytes.saturating_sub(offload.header_bytes().into());
    if payload == 0 || payload > MAX_SEGMENTED_BYTES {
        return Err(TxRule::SegmentedBytes);
    }
    let window = WINDOW - usize::from(shape.header_pieces);
    let lengths = pieces.skip(shape.header_pieces.into());
    let lengths = lengths.map(|(segment, _)| u32::from(segment.length));
    // The window moves on by a piece at a time; it may be short only where the frame ends in it.
    let mut inside: u32 = lengths.clone().take(window).sum();
    let data = shape.pieces - usize::from(shape.header_pieces);
    let moves = data.saturating_sub(window);
    for (leaving, entering) in lengths.clone().zip(lengths.skip(window)).take(moves) {
        if inside < WINDOW_BYTES {
            return Err(TxRule::SegmentWindow);
        }
        inside = inside - leaving + entering;
    }
    Ok(())
}

/// Claims the buffers of all pieces, or none.
fn claim<I: Iterator<Item = Segment> + Clone>(
    segments: &I,
    owner: &mut Owner<'_>,
) -> Result<(), TxRule> {
    for (position, segment) in segments.clone().enumerate() {
        if !owner.claim(segment.buffer.0) {
            unclaim(segments.clone().take(position), owner);
            return Err(TxRule::NotOwned);
        }
    }
    Ok(())
}

fn unclaim(segments: impl Iterator<Item = Segment>, owner: &mut Owner<'_>) {
    for segment in segments {
        owner.unclaim(segment.buffer.0);
    }
}

/// Bytes by which the VLAN tags in front of a frame may exceed the MTU.
fn tag_bytes<R>(
    segments: impl Iterator<Item = Segment>,
    owner: &Owner<'_>,
    shared: &Shared<'_, R>,
) -> u16 {
    let mut head = [0; 18];
    let bytes = segments.flat_map(|segment| {
        let start = usize::from(segment.offset);
        let bytes = owner.bytes(shared, segment.buffer.0);
        let piece = bytes.and_then(|bytes| bytes.get(start..start + usize::from(segment.length)));
        piece.unwrap_or(&[]).iter()
    });
    for (place, byte) in head.iter_mut().zip(bytes) {
        *place = *byte;
    }
    let tag = |at: usize| {
        let kind = head.get(at..at + 2);
        kind == Some(&[0x81, 0x00]) || kind == Some(&[0x88, 0xa8])
    };
    match (tag(12), tag(16)) {
        (false, _) => 0,
        (true, false) => 4,
        (true, true) => 8,
    }
}

/// Checks that what goes on the wire fits into the MTU; VLAN tags make room for more.
fn check_mtu<I: Iterator<Item = Segment> + Clone, R>(
    segments: &I,
    offload: &Offload,
    shape: &Shape,
    plain_limit: u16,
    owner: &Owner<'_>,
    shared: &Shared<'_, R>,
) -> Result<(), TxRule> {
    let headers = u32::from(offload.header_bytes());
    let (longest, rule) = if offload.is_segmentation() {
        let payload = u32::from(offload.payload()).min(shape.bytes - headers);
        (headers + payload, TxRule::SegmentPayload)
    } else {
        (shape.bytes, TxRule::AboveMtu)
    };
    let limit = u32::from(plain_limit);
    if longest <= limit || longest <= limit + u32::from(tag_bytes(segments.clone(), owner, shared))
    {
        Ok(())
    } else {
        Err(rule)
    }
}

/// Zeros behind a frame that is too short for Ethernet, where its last piece has a buffer of its own with room for them;
/// gives their number. Elsewhere the device fills up.
fn pad<I: Iterator<Item = Segment> + Clone, R>(
    segments: &I,
    shape: &Shape,
    owner: &mut Owner<'_>,
    shared: &Shared<'_, R>,
) -> u16 {
    let missing = u32::from(PADDED_BYTES).saturating_sub(shape.bytes) as u16;
    let Some(last) = segments.clone().last() else {
        return 0;
    };
    let in_it = segments
        .clone()
        .filter(|segment| segment.buffer == last.buffer);
    if missing == 0 || in_it.count() > 1 {
        return 0;
    }
    let end = usize::from(last.offset) + usize::from(last.length);
    let bytes = owner.bytes_mut(shared, last.buffer.0);
    let behind = bytes.and_then(|bytes| bytes.get_mut(end..end + usize::from(missing)));
    behind.map_or(0, |behind| {
        behind.fill(0);
        missing
    })
}

/// Checks a frame whose buffers are claimed; gives its shape and the number of its descriptors.
fn check<I: Iterator<Item = Segment> + Clone, R>(
    segments: &I,
    offload: &Offload,
    bounds: Bounds,
    owner: &Owner<'_>,
    shared: &Shared<'_, R>,
) -> Result<(Shape, usize), NotPut> {
    let shape = examine(segments, offload, shared.stride())?;
    check_mtu(segments, offload, &shape, bounds.plain_limit, owner, shared)?;
    let count = shape.pieces.max(offload.descriptors().into());
    if count > usize::from(bounds.room) {
        return Err(NotPut::Full);
    }
    Ok((shape, count))
}

/// Checks a frame, takes its buffers, and writes its descriptors.
pub(crate) fn put<I: Iterator<Item = Segment> + Clone, R: DmaRegion>(
    segments: &I,
    offload: &Offload,
    bounds: Bounds,
    rings: &mut RingMemory<R>,
    owner: &mut Owner<'_>,
    shared: &Shared<'_, R>,
) -> Result<Put, NotPut> {
    check_count(segments, offload)?;
    claim(segments, owner)?;
    let (shape, count) = match check(segments, offload, bounds, owner, shared) {
        Ok(checked) => checked,
        Err(error) => {
            unclaim(segments.clone(), owner);
            return Err(error);
        }
    };
    let padding = if offload.is_segmentation() {
        0
    } else {
        pad(segments, &shape, owner, shared)
    };
    let bytes = shape.bytes + u32::from(padding);
    let mut position = 0;
    for (segment, _) in cut(segments.clone(), offload) {
        let last = position + 1 == shape.pieces;
        let length = segment.length + if last { padding } else { 0 };
        let number = segment.buffer.0;
        let address = shared.bus_address(number) + u64::from(segment.offset);
        let words = match position {
            0 => offload.first_words(length, count as u8, bytes),
            _ => offload.later_words(position, length, shape.header_pieces),
        };
        let (_, index) = owner.transmit_indices();
        rings.set_transmit(index, address, words);
        owner.note_sent(number, position + 1 == count);
        position += 1;
    }
    // Descriptors that only say more about the frame have no bytes.
    while position < count {
        let (_, index) = owner.transmit_indices();
        let words = offload.later_words(position, 0, shape.header_pieces);
        rings.set_transmit(index, 0, words);
        owner.note_sent(NO_BUFFER, position + 1 == count);
        position += 1;
    }
    Ok(Put {
        bytes: shape.bytes,
        padded: padding > 0,
    })
}
