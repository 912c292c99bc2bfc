//! Frames that the device makes of several (TPA: LRO and GRO in hardware), one state machine per aggregation index.
//!
//! | state | completion | to |
//! |---|---|---|
//! | closed | start | open, with the buffers of the first segment |
//! | open | continue | open, with the buffers of more segments |
//! | open | end, numbers agree | closed; the frame goes to the program |
//! | open | end, numbers disagree | closed; counted, buffers recycled |
//! | open | start | counted, the older one's buffers recycled; open anew |
//! | closed | continue, end | counted, buffers recycled |
//!
//! Every completion uses up as many buffers as it lists, whatever else is wrong with it, so ring and device stay in step.
//! Known by: source reading; the model.

use crate::completion::Aggregation;
use crate::memory::{Owner, Shared};
use crate::packet::RxPacket;

/// Aggregations that the device can have open at a time.
pub(crate) const AGGREGATIONS: usize = 64;

/// An aggregation that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// The first segment.
    record: RxPacket,
    /// Newest buffer.
    last: u32,
    /// Bytes so far.
    bytes: u32,
    buffers: u16,
    header: u8,
    /// The numbers contradict each other.
    broken: bool,
}

/// All aggregations of a receive queue.
pub(crate) struct Aggregations {
    open: [Option<Open>; AGGREGATIONS],
}

/// What a completion of an aggregation led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It goes on.
    Open,
    /// A frame for the program.
    Frame(RxPacket),
    /// It contradicts itself or those before it.
    Bad,
}

/// Buffers that a list of lengths stands for: those before the first zero.
fn listed(lengths: &[u16]) -> usize {
    lengths.iter().take_while(|length| **length != 0).count()
}

/// Buffers that a completion of an aggregation uses up.
pub(crate) fn buffers_of(step: &Aggregation) -> u8 {
    let count = match step {
        Aggregation::Start { further, .. } => 1 + listed(further),
        Aggregation::Continue { further, .. } => listed(further),
        Aggregation::End { further, .. } => listed(further),
    };
    count as u8
}

impl Aggregations {
    pub(crate) const fn new() -> Self {
        Self {
            open: [const { None }; AGGREGATIONS],
        }
    }

    /// Takes a completion. The caller has seen that the device had the buffers that it uses up.
    ///
    /// `words` are the completion's first two quadwords, `buffer_bytes` what the device may write into a buffer.
    pub(crate) fn step<R>(
        &mut self,
        step: &Aggregation,
        words: [u64; 2],
        (buffer_bytes, headroom): (u16, u16),
        owner: &mut Owner<'_>,
        shared: &Shared<'_, R>,
    ) -> Outcome {
        let (index, further): (u8, &[u16]) = match step {
            Aggregation::Start { index, further, .. } => (*index, further),
            Aggregation::Continue { index, further } => (*index, further),
            Aggregation::End { index, further, .. } => (*index, further),
        };
        let Some(slot) = self.open.get_mut(usize::from(index)) else {
            owner.recycle(buffers_of(step));
            return Outcome::Bad;
        };
        let mut outcome = Outcome::Open;
        if let Aggregation::Start {
            segment_length,
            first_length,
            placement_offset,
            header_length,
            ..
        } = *step
        {
            if let Some(older) = slot.take() {
                owner.end_aggregation(shared, older.record.number(), older.buffers, false);
                outcome = Outcome::Bad;
            }
            let Some(number) = owner.take_gathered() else {
                return Outcome::Bad;
            };
            let end = u32::from(placement_offset) + u32::from(first_length);
            let sum = u32::from(first_length) + sum(further);
            *slot = Some(Open {
                record: RxPacket::scattered(number, headroom, words, 1),
                last: number,
                bytes: u32::from(first_length),
                buffers: 1,
                header: header_length,
                broken: end > u32::from(buffer_bytes)
                    || first_length < u16::from(header_length)
                    || header_length < 54
                    || u32::from(segment_length) != sum,
            });
        }
        let Some(open) = slot else {
            owner.recycle(buffers_of(step));
            return Outcome::Bad;
        };
        for length in further.iter().take(listed(further)) {
            let Some(number) = owner.take_gathered() else {
                open.broken = true;
                break;
            };
            owner.link(shared, open.last, number, *length);
            open.last = number;
            open.buffers += 1;
            open.bytes += u32::from(*length);
            open.broken |= *length > buffer_bytes;
        }
        // More than a record can say.
        open.broken |= open.buffers > 255 || open.bytes > u32::from(u16::MAX);
        if let Aggregation::End {
            total_length,
            buffers,
            ..
        } = *step
        {
            let right = !open.broken
                && u32::from(total_length) == open.bytes
                && u16::from(buffers) == open.buffers;
            owner.end_aggregation(shared, open.record.number(), open.buffers, right);
            outcome = if right {
                Outcome::Frame(open.record.aggregated(open.header, total_length, buffers))
            } else {
                Outcome::Bad
            };
            *slot = None;
        }
        outcome
    }
}

fn sum(lengths: &[u16]) -> u32 {
    let listed = lengths.iter().take(listed(lengths));
    listed.map(|length| u32::from(*length)).sum()
}
