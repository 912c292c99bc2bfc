//! The receive ring: buffers go to the device in order, completions come back in order.

use fastlinq_hal::dma::DmaRegion;

use crate::aggregate::{Aggregations, Outcome, buffers_of};
use crate::completion::{self, Aggregation, Common, Completion, Frame, SlowPathCompletion};
use crate::config::QueueConfig;
use crate::counters::ReceiveCounters;
use crate::device::QueueDevice;
use crate::fault::Fault;
use crate::log::warning;
use crate::memory::{Owner, RingMemory, Shared};
use crate::packet::RxPacket;

/// Completion slots that are never promised to the device, for completions without a buffer.
pub(crate) const COMPLETION_GAP: u16 = 32;

/// State of the receive direction.
pub(crate) struct ReceiveRing {
    /// Descriptor producer, link slots included.
    descriptor: u16,
    /// Index of the next completion to read.
    completion: u16,
    /// Completion index at the last publication.
    published: u16,
    /// Refill when so many buffers have come back (a free-running count).
    due: u16,
    /// Most buffers that the device has at a time.
    size: u16,
    /// Refill when this many are missing.
    threshold: u16,
    /// Completion slots.
    slots: u16,
    /// Bytes that the device may write into a buffer.
    buffer_bytes: u16,
    /// Bytes of a buffer before those.
    headroom: u16,
    /// Completions that need no second look.
    common: Common,
    pub(crate) counters: ReceiveCounters,
    pub(crate) fault: Option<Fault>,
    pub(crate) slow_path: Option<SlowPathCompletion>,
    /// Open aggregations, if the device may aggregate.
    aggregations: Option<Aggregations>,
}

impl ReceiveRing {
    /// A ring for a configuration with this many completion slots.
    pub(crate) fn new(config: &QueueConfig, slots: u16) -> Self {
        let size = config.receive_ring.min(slots - COMPLETION_GAP);
        Self {
            descriptor: 0,
            completion: 0,
            published: 0,
            due: 0,
            size,
            threshold: (size / 4).min(128),
            slots,
            buffer_bytes: config.receive_bytes(),
            headroom: config.headroom,
            common: Common::behind(2, config.receive_bytes()),
            counters: ReceiveCounters::default(),
            fault: None,
            slow_path: None,
            aggregations: config.aggregation.then(Aggregations::new),
        }
    }

    pub(crate) fn buffer_bytes(&self) -> u16 {
        self.buffer_bytes
    }

    pub(crate) fn headroom(&self) -> u16 {
        self.headroom
    }

    /// Whether it is worth it to give the device buffers, or to tell it what was read.
    #[inline]
    pub(crate) fn wants_refill(&self, owner: &Owner<'_>) -> bool {
        owner.returned().wrapping_sub(self.due) < 0x8000
    }

    /// Buffers that are to be given to the device now; 0 while too few are missing to be worth it.
    pub(crate) fn wanted(&self, owner: &Owner<'_>) -> u16 {
        let missing = self.size.saturating_sub(owner.receiving());
        if missing < self.threshold || self.fault.is_some() {
            0
        } else {
            missing
        }
    }

    /// Takes completions until `out` is full, there are no more, or [`fault`](Self::fault) is set; gives the number of
    /// frames.
    #[inline]
    pub(crate) fn poll<D: QueueDevice>(
        &mut self,
        rings: &RingMemory<D::Region>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, D::Region>,
        device: &D,
        out: &mut [RxPacket],
    ) -> usize {
        let to = device.rx_index();
        let pending = to.wrapping_sub(self.completion);
        // At fault, there are no slots.
        if pending > self.slots {
            return self.down(to);
        }
        let pending = usize::from(pending);
        let run = owner.receive_run(
            rings,
            self.completion,
            pending,
            out,
            self.common,
            self.headroom,
        );
        self.completion = self.completion.wrapping_add(run.packets as u16);
        self.counters.packets += run.packets as u64;
        self.counters.bytes += u64::from(run.bytes);
        if run.packets == pending || run.packets == out.len() {
            return run.packets;
        }
        let rest = out.get_mut(run.packets..).unwrap_or(&mut []);
        run.packets + self.rest(rings, owner, shared, pending - run.packets, rest)
    }

    /// The rest of a burst: behind the end of a ring, or from a completion on that is not common.
    #[inline(never)]
    fn rest<R: DmaRegion>(
        &mut self,
        rings: &RingMemory<R>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, R>,
        mut pending: usize,
        out: &mut [RxPacket],
    ) -> usize {
        let mut taken = 0;
        let mut bytes = 0;
        while pending > 0 {
            let rest = out.get_mut(taken..).unwrap_or(&mut []);
            if rest.is_empty() {
                break;
            }
            let run = owner.receive_run(
                rings,
                self.completion,
                pending,
                rest,
                self.common,
                self.headroom,
            );
            taken += run.packets;
            bytes += u64::from(run.bytes);
            pending -= run.packets;
            self.completion = self.completion.wrapping_add(run.packets as u16);
            if run.packets > 0 {
                continue;
            }
            match self.one(rings, owner, shared) {
                Ok(packet) => {
                    self.completion = self.completion.wrapping_add(1);
                    pending -= 1;
                    if let (Some(packet), Some(slot)) = (packet, out.get_mut(taken)) {
                        bytes += packet.len() as u64;
                        *slot = packet;
                        taken += 1;
                    }
                }
                Err(fault) => {
                    self.fail(fault);
                    break;
                }
            }
        }
        self.counters.packets += taken as u64;
        self.counters.bytes += bytes;
        // Completions without buffers, of which the common way has none.
        if self.completion.wrapping_sub(self.published) > self.slots / 4 {
            self.due = owner.returned();
        }
        taken
    }

    /// Receiving is at fault, or the index is.
    #[cold]
    fn down(&mut self, to: u16) -> usize {
        let from = self.completion;
        if self.fault.is_none() {
            self.fail(Fault::ReceiveIndex { from, to });
        }
        0
    }

    #[cold]
    fn fail(&mut self, fault: Fault) {
        warning!("receiving is down: {}", fault);
        self.slots = 0;
        self.fault = Some(fault);
    }

    /// The next completion, whatever it is.
    #[cold]
    #[inline(never)]
    fn one<R: DmaRegion>(
        &mut self,
        rings: &RingMemory<R>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, R>,
    ) -> Result<Option<RxPacket>, Fault> {
        let index = self.completion;
        let words = rings.completion(index);
        match completion::parse(words, self.buffer_bytes) {
            Completion::Frame(frame) => {
                self.check_count(frame.buffers, owner)?;
                self.common = Common::behind(frame.placement_offset, self.buffer_bytes);
                Ok(self.take_frame(&frame, [words[0], words[1]], owner, shared))
            }
            Completion::BadFrame { buffers, error } => {
                self.check_count(buffers, owner)?;
                self.counters.count(error);
                owner.recycle(buffers);
                Ok(None)
            }
            Completion::SlowPath(completion) => {
                self.counters.slow_path += 1;
                self.slow_path = Some(completion);
                Ok(None)
            }
            Completion::Aggregation(step) => self.aggregate(&step, words, owner, shared),
            Completion::BufferCount(claimed) => Err(self.count_fault(claimed, owner)),
            Completion::UnknownType(kind) => Err(Fault::CompletionType { index, kind }),
        }
    }

    fn aggregate<R>(
        &mut self,
        step: &Aggregation,
        words: [u64; 4],
        owner: &mut Owner<'_>,
        shared: &Shared<'_, R>,
    ) -> Result<Option<RxPacket>, Fault> {
        let index = self.completion;
        self.check_count(buffers_of(step), owner)?;
        let Some(aggregations) = &mut self.aggregations else {
            return Err(Fault::Aggregation { index, step: *step });
        };
        let place = (self.buffer_bytes, self.headroom);
        let [first, second, ..] = words;
        match aggregations.step(step, [first, second], place, owner, shared) {
            Outcome::Open => Ok(None),
            Outcome::Bad => {
                self.counters.bad_aggregations += 1;
                Ok(None)
            }
            Outcome::Frame(packet) => {
                self.counters.aggregated += 1;
                self.counters.scattered += u64::from(packet.segments() > 1);
                Ok(Some(packet))
            }
        }
    }

    fn check_count(&self, claimed: u8, owner: &Owner<'_>) -> Result<(), Fault> {
        if u16::from(claimed) > owner.receiving() {
            return Err(self.count_fault(claimed, owner));
        }
        Ok(())
    }

    fn count_fault(&self, claimed: u8, owner: &Owner<'_>) -> Fault {
        Fault::BufferCount {
            index: self.completion,
            claimed,
            posted: owner.receiving(),
        }
    }

    fn take_frame<R>(
        &mut self,
        frame: &Frame,
        words: [u64; 2],
        owner: &mut Owner<'_>,
        shared: &Shared<'_, R>,
    ) -> Option<RxPacket> {
        let first = owner.take_received()?;
        let mut before = first;
        for segment in 1..frame.buffers {
            let number = owner.take_received()?;
            let length = frame.segment_length(segment, self.buffer_bytes);
            owner.link(shared, before, number, length);
            before = number;
        }
        self.counters.scattered += u64::from(frame.buffers > 1);
        Some(RxPacket::scattered(
            first,
            self.headroom,
            words,
            frame.buffers,
        ))
    }

    /// Gives the device as many free buffers as are wanted and there, and tells it when that is worth it.
    #[inline(never)]
    pub(crate) fn refill<D: QueueDevice>(
        &mut self,
        rings: &mut RingMemory<D::Region>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, D::Region>,
        device: &D,
    ) {
        let wanted = self.wanted(owner);
        let (given, descriptor) =
            owner.post_run(rings, shared, self.descriptor, self.headroom, wanted);
        self.descriptor = descriptor;
        let starved = given < wanted;
        self.counters.starved += u64::from(starved);
        let unread = self.completion.wrapping_sub(self.published);
        if given > 0 || (unread > self.slots / 4 && self.fault.is_none()) {
            self.counters.posted += u64::from(given);
            self.publish(device);
        }
        // When there were too few, the next call tries again.
        let wait = if starved { 0 } else { self.threshold };
        let missing = self.size.saturating_sub(owner.receiving());
        self.due = owner.returned().wrapping_add(wait.saturating_sub(missing));
    }

    fn publish<D: QueueDevice>(&mut self, device: &D) {
        self.published = self.completion;
        self.counters.publishes += 1;
        device.publish_rx(self.descriptor, self.completion.wrapping_add(self.slots));
    }
}
