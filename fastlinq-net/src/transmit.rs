//! The transmit ring: frames go out as runs of descriptors, buffers come back when the device has read them.

use core::fmt;

use fastlinq_pac::hsi::flags::FirstBdFlags;

use crate::completion::segment_length;
use crate::counters::TransmitCounters;
use crate::device::QueueDevice;
use crate::fault::Fault;
use crate::log::warning;
use crate::memory::{NO_BUFFER, Owner, RingMemory, Shared};
use crate::packet::{Segment, TxPacket};
use crate::rule::{MAX_TX_BYTES, MAX_TX_SEGMENTS, MIN_TX_BYTES, TxRule};
use crate::storage::NumberRing;

/// Marks the last descriptor of a frame in the ring's notes.
const LAST: u32 = 1 << 31;

/// Bytes of an Ethernet header.
const HEADER: u16 = 14;

/// Why a burst was not taken as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TransmitError {
    /// Frame number `accepted` of the burst breaks a rule. Those before it are on their way; it and those behind it are
    /// still the caller's.
    Refused {
        /// Frames before the one that was refused.
        accepted: usize,
        /// The rule.
        rule: TxRule,
    },
    /// The queue is unusable; nothing was sent.
    Fault(Fault),
}

impl fmt::Display for TransmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { rule, .. } => rule.fmt(f),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for TransmitError {}

impl From<Fault> for TransmitError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A frame as it goes onto the ring: its pieces, and the buffer that each piece frees.
struct Pieces {
    count: usize,
    total: u16,
    pieces: [(u32, u64, u16); MAX_TX_SEGMENTS],
}

/// State of the transmit direction.
pub(crate) struct TransmitRing<'m> {
    /// For each descriptor the buffer that it frees, or [`NO_BUFFER`]; with [`LAST`] at the end of a frame.
    numbers: NumberRing<'m>,
    producer: u16,
    consumer: u16,
    /// Most descriptors on their way.
    size: u16,
    /// Look for completed ones when this many are on their way.
    threshold: u16,
    /// Longest frame without a VLAN tag.
    plain_limit: u16,
    pub(crate) counters: TransmitCounters,
    pub(crate) fault: Option<Fault>,
}

impl<'m> TransmitRing<'m> {
    pub(crate) fn new(numbers: NumberRing<'m>, size: u16, mtu: u16) -> Self {
        Self {
            numbers,
            producer: 0,
            consumer: 0,
            size,
            threshold: (size / 4).min(64),
            plain_limit: mtu.saturating_add(HEADER).min(MAX_TX_BYTES),
            counters: TransmitCounters::default(),
            fault: None,
        }
    }

    /// Descriptors on their way.
    #[inline]
    pub(crate) fn in_flight(&self) -> u16 {
        self.producer.wrapping_sub(self.consumer)
    }

    /// Descriptors that there is room for.
    #[inline]
    pub(crate) fn room(&self) -> u16 {
        self.size.saturating_sub(self.in_flight())
    }

    /// Buffers on their way.
    pub(crate) fn buffers_in_flight(&self) -> usize {
        (0..self.in_flight())
            .map(|n| self.numbers.get(self.consumer.wrapping_add(n)) & !LAST)
            .filter(|number| *number != NO_BUFFER)
            .count()
    }

    /// Frees what the device has completed; gives the number of descriptors.
    #[inline]
    pub(crate) fn reap<D: QueueDevice>(
        &mut self,
        owner: &mut Owner<'_>,
        device: &D,
    ) -> Result<u16, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let to = device.tx_index();
        let done = to.wrapping_sub(self.consumer);
        if done == 0 {
            return Ok(0);
        }
        let in_flight = self.in_flight();
        if done > in_flight {
            let from = self.consumer;
            return self.fail(Fault::TransmitIndex {
                from,
                to,
                in_flight,
            });
        }
        if self.numbers.get(to.wrapping_sub(1)) & LAST == 0 {
            return self.fail(Fault::TransmitBoundary { to });
        }
        let mut consumer = self.consumer;
        for _ in 0..done {
            let number = self.numbers.get(consumer) & !LAST;
            if number != NO_BUFFER {
                owner.push(number);
            }
            consumer = consumer.wrapping_add(1);
        }
        self.consumer = consumer;
        self.counters.completed += u64::from(done);
        Ok(done)
    }

    #[cold]
    fn fail(&mut self, fault: Fault) -> Result<u16, Fault> {
        warning!("sending is down: {}", fault);
        self.fault = Some(fault);
        Err(fault)
    }

    /// Frees completed descriptors when many are on their way, or fewer than `needed` are free.
    #[inline]
    fn make_room<D: QueueDevice>(
        &mut self,
        owner: &mut Owner<'_>,
        device: &D,
        needed: usize,
    ) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.in_flight() >= self.threshold || usize::from(self.room()) < needed {
            self.reap(owner, device)?;
        }
        Ok(())
    }

    /// Puts frames onto the ring, in order, until one does not fit or breaks a rule; rings the doorbell once.
    #[inline]
    pub(crate) fn transmit<D: QueueDevice, P: Copy + Into<TxPacket>>(
        &mut self,
        rings: &mut RingMemory<D::Region>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, D::Region>,
        device: &D,
        (buffer_bytes, headroom): (u16, u16),
        packets: &[P],
    ) -> Result<usize, TransmitError> {
        self.make_room(owner, device, packets.len())?;
        let start = self.producer;
        let mut room = self.room();
        let mut bytes = 0;
        let mut accepted = 0;
        let mut refused = None;
        // A local, so that the loop keeps it in a register.
        let mut producer = start;
        for packet in packets {
            let packet: TxPacket = (*packet).into();
            if u16::from(packet.segments) > room || room == 0 {
                self.counters.full += 1;
                break;
            }
            let end = u32::from(packet.offset) + u32::from(packet.length);
            let common = (packet.segments == 1)
                & (packet.length >= MIN_TX_BYTES)
                & (packet.length <= self.plain_limit)
                & (end <= shared.stride());
            if common && owner.claim(packet.buffer) {
                let address = shared.bus_address(packet.buffer) + u64::from(packet.offset);
                let words = [address, first_word(packet.length, packet.length, 1)];
                rings.set_transmit(producer, words);
                self.numbers.set(producer, packet.buffer | LAST);
                producer = producer.wrapping_add(1);
                room -= 1;
            } else {
                self.producer = producer;
                let pieces = chain(&packet, owner, shared, buffer_bytes, headroom);
                match pieces.and_then(|pieces| self.put(pieces, rings, owner, shared)) {
                    Ok(used) => room -= used,
                    Err(rule) => {
                        refused = Some(rule);
                        break;
                    }
                }
                producer = self.producer;
            }
            bytes += u64::from(packet.length);
            accepted += 1;
        }
        self.producer = producer;
        self.finish(device, start, accepted, bytes, refused)
    }

    /// As [`transmit`](Self::transmit), for frames in pieces.
    pub(crate) fn gather<D: QueueDevice, F: AsRef<[Segment]>>(
        &mut self,
        rings: &mut RingMemory<D::Region>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, D::Region>,
        device: &D,
        frames: &[F],
    ) -> Result<usize, TransmitError> {
        let needed = frames.iter().map(|frame| frame.as_ref().len()).sum();
        self.make_room(owner, device, needed)?;
        let start = self.producer;
        let mut bytes = 0;
        let mut accepted = 0;
        let mut refused = None;
        for frame in frames {
            let segments = frame.as_ref();
            if segments.len() <= MAX_TX_SEGMENTS && segments.len() > usize::from(self.room()) {
                self.counters.full += 1;
                break;
            }
            let pieces = gathered(segments, owner, shared);
            let total = pieces.as_ref().map_or(0, |pieces| u64::from(pieces.total));
            if let Err(rule) = pieces.and_then(|pieces| self.put(pieces, rings, owner, shared)) {
                refused = Some(rule);
                break;
            }
            bytes += total;
            accepted += 1;
        }
        self.finish(device, start, accepted, bytes, refused)
    }

    fn finish<D: QueueDevice>(
        &mut self,
        device: &D,
        start: u16,
        accepted: usize,
        bytes: u64,
        refused: Option<TxRule>,
    ) -> Result<usize, TransmitError> {
        if self.producer != start {
            self.counters.packets += accepted as u64;
            self.counters.bytes += bytes;
            self.counters.descriptors += u64::from(self.producer.wrapping_sub(start));
            self.counters.doorbells += 1;
            device.ring_tx(self.producer);
        }
        match refused {
            None => Ok(accepted),
            Some(rule) => {
                self.counters.refused += 1;
                Err(TransmitError::Refused { accepted, rule })
            }
        }
    }

    fn note(&mut self, entry: u32) {
        self.numbers.set(self.producer, entry);
        self.producer = self.producer.wrapping_add(1);
    }

    /// Checks the rules about the whole frame, takes its buffers and writes its descriptors.
    #[inline(never)]
    fn put<R: fastlinq_hal::dma::DmaRegion>(
        &mut self,
        frame: Pieces,
        rings: &mut RingMemory<R>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, R>,
    ) -> Result<u16, TxRule> {
        let pieces = frame.pieces.get(..frame.count).unwrap_or(&[]);
        if frame.total < MIN_TX_BYTES {
            return Err(TxRule::TooShort);
        }
        if frame.total > self.plain_limit {
            self.check_long(&frame, owner, shared)?;
        }
        // `gathered` has seen that all of them are the program's.
        for (number, _, _) in pieces {
            owner.claim(*number);
        }
        for (position, (number, address, bytes)) in pieces.iter().enumerate() {
            let word = match position {
                0 => first_word(*bytes, frame.total, frame.count as u8),
                _ => u64::from(*bytes),
            };
            rings.set_transmit(self.producer, [*address, word]);
            let last = if position + 1 == frame.count { LAST } else { 0 };
            self.note(*number | last);
        }
        Ok(frame.count as u16)
    }

    /// A frame that is longer than the MTU with an Ethernet header: VLAN tags make room for more.
    #[cold]
    fn check_long<R>(
        &self,
        frame: &Pieces,
        owner: &Owner<'_>,
        shared: &Shared<'_, R>,
    ) -> Result<(), TxRule> {
        if frame.total > MAX_TX_BYTES {
            return Err(TxRule::TooLong);
        }
        let mut head = [0; 18];
        let mut filled = 0;
        for (_, address, bytes) in frame.pieces.iter().take(frame.count) {
            let (number, offset) = shared.locate(*address).ok_or(TxRule::NotOwned)?;
            let data = owner.bytes(shared, number).ok_or(TxRule::NotOwned)?;
            let piece = data.get(offset..offset + usize::from(*bytes));
            for byte in piece.ok_or(TxRule::OutsideBuffer)? {
                if let Some(place) = head.get_mut(filled) {
                    *place = *byte;
                    filled += 1;
                }
            }
        }
        let tag = |at: usize| {
            let kind = head.get(at..at + 2);
            kind == Some(&[0x81, 0x00]) || kind == Some(&[0x88, 0xa8])
        };
        let tags = if !tag(12) {
            0
        } else if !tag(16) {
            4
        } else {
            8
        };
        if frame.total > self.plain_limit.saturating_add(tags) {
            return Err(TxRule::AboveMtu);
        }
        Ok(())
    }
}

/// The second quadword of a frame's first descriptor.
#[inline]
const fn first_word(bytes: u16, total: u16, count: u8) -> u64 {
    let flags = FirstBdFlags::START_BD.bits() as u64;
    bytes as u64 | (count as u64) << 32 | flags << 40 | ((total << 2) as u64) << 48
}

/// The pieces of a frame that is in the buffers it was received in.
#[inline(never)]
fn chain<R>(
    packet: &TxPacket,
    owner: &Owner<'_>,
    shared: &Shared<'_, R>,
    buffer_bytes: u16,
    headroom: u16,
) -> Result<Pieces, TxRule> {
    let mut segments = [Segment {
        buffer: crate::packet::BufferNumber(NO_BUFFER),
        offset: headroom,
        length: 0,
    }; MAX_TX_SEGMENTS];
    let count = usize::from(packet.segments);
    let mut number = packet.buffer;
    for (position, segment) in (0..packet.segments).zip(segments.iter_mut()) {
        segment.buffer = crate::packet::BufferNumber(number);
        segment.length = segment_length(packet.length, packet.first_length, position, buffer_bytes);
        if position == 0 {
            segment.offset = packet.offset;
        }
        number = shared.next(number);
    }
    match segments.get(..count) {
        Some(segments) => gathered(segments, owner, shared),
        None => Err(TxRule::TooManySegments),
    }
}

/// Checks the rules about the pieces of a frame, and that the program owns their buffers.
fn gathered<R>(
    segments: &[Segment],
    owner: &Owner<'_>,
    shared: &Shared<'_, R>,
) -> Result<Pieces, TxRule> {
    if segments.is_empty() {
        return Err(TxRule::NoSegments);
    }
    if segments.len() > MAX_TX_SEGMENTS {
        return Err(TxRule::TooManySegments);
    }
    let mut frame = Pieces {
        count: segments.len(),
        total: 0,
        pieces: [(NO_BUFFER, 0, 0); MAX_TX_SEGMENTS],
    };
    let mut total = 0_u32;
    for (position, (segment, piece)) in segments.iter().zip(frame.pieces.iter_mut()).enumerate() {
        let number = segment.buffer.0;
        if segment.length == 0 {
            return Err(TxRule::EmptySegment);
        }
        if u32::from(segment.offset) + u32::from(segment.length) > shared.stride() {
            return Err(TxRule::OutsideBuffer);
        }
        if !owner.owns(number) {
            return Err(TxRule::NotOwned);
        }
        let address = shared.bus_address(number) + u64::from(segment.offset);
        let mut before = segments.iter().take(position);
        let freed_before = before.any(|other| other.buffer == segment.buffer);
        let frees = if freed_before { NO_BUFFER } else { number };
        *piece = (frees, address, segment.length);
        total += u32::from(segment.length);
    }
    frame.total = u16::try_from(total).map_err(|_| TxRule::TooLong)?;
    if frame.total > MAX_TX_BYTES {
        return Err(TxRule::TooLong);
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastlinq_pac::hsi::EthTx1stBd;
    use zerocopy::FromBytes;

    #[test]
    fn the_first_descriptor_is_laid_out_as_the_chip_reads_it() {
        let words: [u64; 2] = [0x1234_5678_9abc_def0, first_word(60, 9018, 5)];
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&words[0].to_le_bytes());
        bytes[8..].copy_from_slice(&words[1].to_le_bytes());
        let bd = EthTx1stBd::read_from_bytes(&bytes).unwrap();
        assert_eq!(bd.addr.lo.get(), 0x9abc_def0);
        assert_eq!(bd.addr.hi.get(), 0x1234_5678);
        assert_eq!(bd.nbytes.get(), 60);
        assert_eq!(bd.data.vlan.get(), 0);
        assert_eq!(bd.data.nbds, 5);
        assert_eq!(bd.data.bd_flags.bitfields, 1);
        assert_eq!(bd.data.bitfields.get(), 9018 << 2);
    }
}
