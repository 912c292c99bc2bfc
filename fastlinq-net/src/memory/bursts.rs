//! The four runs that every packet goes through: posted, received, sent, reaped. Each is one loop over memory that lies in
//! one piece, so the bounds are checked once for a run.

use fastlinq_hal::dma::DmaRegion;

use super::owner::{AWAY, OWNED};
use super::rings::LINK_SLOT;
use super::{NO_BUFFER, Owner, RingMemory, Shared};
use crate::completion::Common;
use crate::packet::{RxPacket, TxPacket};
use crate::rule::PADDED_BYTES;

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// Packets.
    pub(crate) packets: usize,
    /// Their bytes.
    pub(crate) bytes: u32,
}

/// Which frames to send are simple: bounds that need no look at the buffer's size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Simple {
    span: u32,
    latest: u32,
}

impl Simple {
    /// Frames of 60 to `longest` bytes that start where received ones do, in buffers of `stride` bytes. What is
    /// longer, or starts later, takes the long way.
    pub(crate) fn new(longest: u16, stride: u16, headroom: u16) -> Self {
        let room = stride.saturating_sub(headroom.saturating_add(USUAL_OFFSET));
        let longest = longest.min(room).max(PADDED_BYTES);
        Self {
            span: u32::from(longest - PADDED_BYTES),
            latest: u32::from(stride.saturating_sub(longest)),
        }
    }
}

/// Bytes that the device leaves in front of a frame, so that the IP header is aligned.
const USUAL_OFFSET: u16 = 2;

impl Owner<'_> {
    /// Takes the frames of common completions from `completion` on, until one is not common, `out` is full, `pending` are
    /// taken, or one of the rings has come to its end.
    #[inline]
    pub(crate) fn receive_run<R: DmaRegion>(
        &mut self,
        rings: &RingMemory<R>,
        completion: u16,
        pending: usize,
        out: &mut [RxPacket],
        common: Common,
        headroom: u16,
    ) -> Run {
        let (completions, in_one_piece) = rings.completions_from(completion);
        let (numbers, posted) = self.posted.front();
        let count = pending.min(in_one_piece).min(posted).min(out.len());
        let out = out.as_mut_ptr();
        let state = self.state.as_mut_ptr();
        let shape = RxPacket::shape_of(headroom);
        let mut bytes = 0;
        let mut packets = 0;
        let mut receive = |packets: usize| {
            // SAFETY: `packets` is below `count`, so the completion is one of the ring, the number a posted one, and the
            // record in `out`.
            let (head, number, record) = unsafe {
                (
                    RingMemory::<R>::head_at(completions.add(packets)),
                    numbers.add(packets).read(),
                    &mut *out.add(packets),
                )
            };
            let Some(length) = common.length_of(head) else {
                return false;
            };
            // SAFETY: posted numbers are below the number of states; see the invariants of `Owner`.
            unsafe {
                debug_assert_eq!(state.add(number as usize).read(), AWAY);
                state.add(number as usize).write(OWNED);
            }
            *record = RxPacket::common(number, shape, head);
            bytes += length;
            true
        };
        // By twos: a loop costs as much as a check. What is refused is looked at again behind it, and refused again.
        while packets + 1 < count {
            if !receive(packets) {
                break;
            }
            packets += 1;
            if !receive(packets) {
                break;
            }
            packets += 1;
        }
        if packets < count && receive(packets) {
            packets += 1;
        }
        self.posted.advance(packets);
        Run { packets, bytes }
    }

    /// Sends frames that take one descriptor each, from `packets` on, until one does not, breaks a rule, `room` is used
    /// up, or the ring has come to its end.
    #[inline]
    pub(crate) fn transmit_run<R: DmaRegion, P: Copy + Into<TxPacket>>(
        &mut self,
        rings: &mut RingMemory<R>,
        shared: &Shared<'_, R>,
        packets: &[P],
        room: u16,
        simple: Simple,
    ) -> Run {
        let (descriptors, in_one_piece) = rings.descriptors_from(self.sent.tail());
        let (notes, room) = self.sent.back(room);
        let count = packets.len().min(in_one_piece).min(room);
        let packets = packets.as_ptr();
        let state = self.state.as_mut_ptr();
        let states = self.state.len() as u32;
        let (base, stride) = (shared.bus_address(0), u64::from(shared.stride()));
        let mut bytes = 0;
        let mut sent = 0;
        while sent < count {
            // SAFETY: `sent` is below `count`, so the packet is one of the slice.
            let packet: TxPacket = unsafe { *packets.add(sent) }.into();
            let length = u32::from(packet.length());
            // One compare for three questions: one buffer, no headers of an aggregation, and early enough in it.
            let offset = packet.offset_if_single();
            let number = packet.number();
            if !packet.offload().is_simple()
                || length.wrapping_sub(PADDED_BYTES.into()) > simple.span
                || offset > simple.latest
                || number >= states
            {
                break;
            }
            // SAFETY: the number is below the number of states.
            let state = unsafe { &mut *state.add(number as usize) };
            if *state != OWNED {
                break;
            }
            *state = AWAY;
            // SAFETY: `sent` is below `count`, so the note is behind the tail.
            unsafe { notes.add(sent).write(number) };
            let address = base + u64::from(number) * stride + u64::from(offset);
            // SAFETY: `sent` is below `count`, so the descriptor is one of the ring.
            unsafe { RingMemory::<R>::write_at(descriptors.add(sent), address, packet.words()) };
            bytes += length;
            sent += 1;
        }
        self.sent.extend(sent);
        Run {
            packets: sent,
            bytes,
        }
    }

    /// Frees the buffers of the oldest `count` descriptors on their way.
    #[inline]
    pub(crate) fn reap_run(&mut self, count: u16) {
        if self.mixed {
            return self.reap_mixed(count);
        }
        let mut left = usize::from(count);
        // Twice when the run goes round the end of the ring.
        for _ in 0..2 {
            let run = self.sent.front_slice();
            let run = run.get(..left).unwrap_or(run);
            let end = self.free_count + run.len();
            if let Some(free) = self.free.get_mut(self.free_count..end) {
                free.copy_from_slice(run);
                self.free_count = end;
            }
            let done = run.len();
            self.sent.advance(done);
            left -= done;
        }
    }

    /// As [`reap_run`](Self::reap_run), when some of the frames took several descriptors.
    #[cold]
    fn reap_mixed(&mut self, count: u16) {
        for _ in 0..count {
            let Some(note) = self.sent.pop() else { break };
            let number = note & !super::MORE;
            if number != NO_BUFFER {
                self.free_one(number);
            }
        }
        // Nothing mixed is left when the end of it was reached.
        let (head, tail) = self.transmit_indices();
        let left = self.mixed_end.wrapping_sub(head);
        self.mixed = left != 0 && left <= tail.wrapping_sub(head);
    }

    fn free_one(&mut self, number: u32) {
        if let Some(entry) = self.free.get_mut(self.free_count) {
            *entry = number;
            self.free_count += 1;
        }
    }

    /// Posts up to `wanted` free buffers as receive descriptors from `descriptor` on; gives their number and the index
    /// behind them.
    #[inline]
    pub(crate) fn post_run<R: DmaRegion>(
        &mut self,
        rings: &mut RingMemory<R>,
        shared: &Shared<'_, R>,
        mut descriptor: u16,
        headroom: u16,
        wanted: u16,
    ) -> (u16, u16) {
        let wanted = usize::from(wanted).min(self.free_count);
        let first = shared.bus_address(0) + u64::from(headroom);
        let stride = u64::from(shared.stride());
        let mut given = 0;
        while given < wanted {
            if descriptor % 512 >= LINK_SLOT {
                descriptor = (descriptor | 511).wrapping_add(1);
            }
            let in_page = usize::from(LINK_SLOT - descriptor % 512);
            let notes = self.posted.back_slice();
            let count = in_page.min(notes.len()).min(wanted - given);
            let rest = self.free_count - count;
            let (Some(notes), Some(numbers)) =
                (notes.get_mut(..count), self.free.get(rest..self.free_count))
            else {
                break;
            };
            if count == 0 {
                break;
            }
            notes.copy_from_slice(numbers);
            let descriptors = rings.receive_from(descriptor);
            let write = |position: usize, number: u32| {
                let address = first + u64::from(number) * stride;
                // SAFETY: fewer than `in_page` steps stay in the page, of which the ring has whole ones.
                unsafe { descriptors.add(position).write_volatile(address.to_le()) };
            };
            // By eights, so that a descriptor costs little more than four instructions.
            let mut eights = numbers.chunks_exact(8);
            let mut position = 0;
            for eight in &mut eights {
                for (inside, number) in eight.iter().enumerate() {
                    write(position + inside, *number);
                }
                position += 8;
            }
            for number in eights.remainder() {
                write(position, *number);
                position += 1;
            }
            self.posted.extend(count);
            self.free_count = rest;
            given += count;
            descriptor = descriptor.wrapping_add(count as u16);
        }
        (given as u16, descriptor)
    }
}
