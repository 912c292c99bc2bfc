//! The receive ring: buffers go to the device in order, completions come back in order.

use crate::completion::{self, Completion, Frame, SlowPathCompletion};
use crate::counters::ReceiveCounters;
use crate::device::QueueDevice;
use crate::fault::Fault;
use crate::log::warning;
use crate::memory::{LINK_SLOT, Owner, RingMemory, Shared};
use crate::packet::RxPacket;
use crate::storage::NumberRing;

/// Completion slots that are never promised to the device, for completions without a buffer.
pub(crate) const COMPLETION_GAP: u16 = 32;

/// State of the receive direction.
///
/// Buffers are counted by `posted` and `returned`, which know nothing of link slots; only `descriptor` does.
pub(crate) struct ReceiveRing<'m> {
    numbers: NumberRing<'m>,
    /// Free-running count of buffers given to the device.
    posted: u16,
    /// Free-running count of buffers that came back.
    returned: u16,
    /// Descriptor producer, link slots included.
    descriptor: u16,
    /// Index of the next completion to read.
    completion: u16,
    /// Completion index at the last publication.
    published: u16,
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
    pub(crate) counters: ReceiveCounters,
    pub(crate) fault: Option<Fault>,
    pub(crate) slow_path: Option<SlowPathCompletion>,
}

impl<'m> ReceiveRing<'m> {
    pub(crate) fn new(
        numbers: NumberRing<'m>,
        size: u16,
        slots: u16,
        buffer_bytes: u16,
        headroom: u16,
    ) -> Self {
        let size = size.min(slots - COMPLETION_GAP);
        Self {
            numbers,
            posted: 0,
            returned: 0,
            descriptor: 0,
            completion: 0,
            published: 0,
            size,
            threshold: (size / 4).min(64),
            slots,
            buffer_bytes,
            headroom,
            counters: ReceiveCounters::default(),
            fault: None,
            slow_path: None,
        }
    }

    /// Buffers that the device has.
    pub(crate) fn with_device(&self) -> u16 {
        self.posted.wrapping_sub(self.returned)
    }

    pub(crate) fn buffer_bytes(&self) -> u16 {
        self.buffer_bytes
    }

    pub(crate) fn headroom(&self) -> u16 {
        self.headroom
    }

    /// Whether it is worth it to give the device buffers, or to tell it what was read.
    #[inline]
    pub(crate) fn wants_refill(&self) -> bool {
        let missing = self.size.wrapping_sub(self.with_device());
        let unread = self.completion.wrapping_sub(self.published);
        (missing >= self.threshold) | (unread > self.slots / 4)
    }

    /// Buffers that are to be given to the device now; 0 while too few are missing to be worth it.
    pub(crate) fn wanted(&self) -> u16 {
        let missing = self.size - self.with_device();
        if missing < self.threshold || self.fault.is_some() {
            0
        } else {
            missing
        }
    }

    /// Takes completions until `out` is full or there are no more; gives the number of frames.
    #[inline]
    pub(crate) fn poll<D: QueueDevice>(
        &mut self,
        rings: &RingMemory<D::Region>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, D::Region>,
        device: &D,
        out: &mut [RxPacket],
    ) -> Result<usize, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let to = device.rx_index();
        let pending = to.wrapping_sub(self.completion);
        if pending > self.slots {
            let from = self.completion;
            return self.fail(0, Fault::ReceiveIndex { from, to });
        }
        let mut taken = 0;
        let mut bytes = 0;
        // Locals, so that the loop keeps them in registers.
        let (mut completion, mut returned) = (self.completion, self.returned);
        let mut result = Ok(());
        for _ in 0..pending {
            let Some(slot) = out.get_mut(taken) else {
                break;
            };
            let words = rings.completion_head(completion);
            match completion::parse_common(&words, self.buffer_bytes) {
                Some(frame) if self.posted != returned => {
                    let number = self.numbers.get(returned);
                    returned = returned.wrapping_add(1);
                    if owner.receive(number) {
                        *slot = RxPacket::new(number, self.headroom, &frame);
                        bytes += u64::from(frame.length);
                        taken += 1;
                    }
                }
                _ => {
                    (self.completion, self.returned) = (completion, returned);
                    let packet = self.uncommon(&rings.completion(completion), owner, shared);
                    returned = self.returned;
                    match packet {
                        Ok(Some(packet)) => {
                            *slot = packet;
                            bytes += u64::from(packet.length);
                            taken += 1;
                        }
                        Ok(None) => {}
                        Err(fault) => {
                            result = Err(fault);
                            break;
                        }
                    }
                }
            }
            completion = completion.wrapping_add(1);
        }
        (self.completion, self.returned) = (completion, returned);
        self.counters.packets += taken as u64;
        self.counters.bytes += bytes;
        match result {
            Ok(()) => Ok(taken),
            Err(fault) => self.fail(taken, fault),
        }
    }

    #[cold]
    fn fail(&mut self, taken: usize, fault: Fault) -> Result<usize, Fault> {
        warning!("receiving is down: {}", fault);
        self.fault = Some(fault);
        if taken == 0 { Err(fault) } else { Ok(taken) }
    }

    /// A completion that is not a frame in one buffer.
    #[cold]
    #[inline(never)]
    fn uncommon<R>(
        &mut self,
        words: &[u64; 4],
        owner: &mut Owner<'_>,
        shared: &Shared<'_, R>,
    ) -> Result<Option<RxPacket>, Fault> {
        let index = self.completion;
        match completion::parse_uncommon(words, self.buffer_bytes) {
            Completion::Frame(frame) => {
                self.check_count(frame.buffers)?;
                Ok(self.take_frame(&frame, owner, shared))
            }
            Completion::BadFrame { buffers, error } => {
                self.check_count(buffers)?;
                self.counters.count(error);
                for _ in 0..buffers {
                    owner.push(self.numbers.get(self.returned));
                    self.returned = self.returned.wrapping_add(1);
                }
                Ok(None)
            }
            Completion::SlowPath(completion) => {
                self.counters.slow_path += 1;
                self.slow_path = Some(completion);
                Ok(None)
            }
            Completion::Aggregation(step) => Err(Fault::Aggregation { index, step }),
            Completion::BufferCount(claimed) => Err(self.count_fault(claimed)),
            Completion::UnknownType(kind) => Err(Fault::CompletionType { index, kind }),
        }
    }

    fn check_count(&self, claimed: u8) -> Result<(), Fault> {
        if u16::from(claimed) > self.with_device() {
            return Err(self.count_fault(claimed));
        }
        Ok(())
    }

    fn count_fault(&self, claimed: u8) -> Fault {
        Fault::BufferCount {
            index: self.completion,
            claimed,
            posted: self.with_device(),
        }
    }

    fn take_frame<R>(
        &mut self,
        frame: &Frame,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, R>,
    ) -> Option<RxPacket> {
        let first = self.numbers.get(self.returned);
        let mut complete = true;
        let mut before = None;
        for _ in 0..frame.buffers {
            let number = self.numbers.get(self.returned);
            self.returned = self.returned.wrapping_add(1);
            complete &= owner.receive(number);
            if let Some(before) = before {
                owner.link(shared, before, number);
            }
            before = Some(number);
        }
        if !complete {
            return None;
        }
        self.counters.scattered += u64::from(frame.buffers > 1);
        Some(RxPacket::new(first, self.headroom, frame))
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
        let wanted = self.wanted();
        let (mut descriptor, mut posted) = (self.descriptor, self.posted);
        let numbers = owner.pop_many(usize::from(wanted));
        for number in numbers {
            if descriptor % 512 == LINK_SLOT {
                descriptor = descriptor.wrapping_add(2);
            }
            let address = shared.bus_address(*number) + u64::from(self.headroom);
            rings.set_receive(descriptor, address);
            descriptor = descriptor.wrapping_add(1);
            self.numbers.set(posted, *number);
            posted = posted.wrapping_add(1);
        }
        let given = posted.wrapping_sub(self.posted);
        (self.descriptor, self.posted) = (descriptor, posted);
        self.counters.starved += u64::from(given < wanted);
        let unread = self.completion.wrapping_sub(self.published);
        if given > 0 || (unread > self.slots / 4 && self.fault.is_none()) {
            self.counters.posted += u64::from(given);
            self.publish(device);
        }
    }

    fn publish<D: QueueDevice>(&mut self, device: &D) {
        self.published = self.completion;
        self.counters.publishes += 1;
        device.publish_rx(self.descriptor, self.completion.wrapping_add(self.slots));
    }
}
