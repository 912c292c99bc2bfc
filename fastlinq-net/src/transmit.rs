//! The transmit ring: frames go out as runs of descriptors, buffers come back when the device has read them.

use core::fmt;

use fastlinq_hal::dma::DmaRegion;

use crate::config::QueueConfig;
use crate::counters::TransmitCounters;
use crate::device::QueueDevice;
use crate::fault::Fault;
use crate::log::warning;
use crate::memory::{Owner, RingMemory, Run, Shared, Simple};
use crate::offload::Offload;
use crate::packet::{Segment, TxPacket};
use crate::pieces::{Bounds, Chain, NotPut, Put, put};
use crate::rule::{MAX_TX_BYTES, TxRule};

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

/// What a call put on the ring.
#[derive(Clone, Copy, Default)]
struct Burst {
    packets: usize,
    bytes: u64,
    refused: Option<TxRule>,
}

/// State of the transmit direction; the descriptors on their way are the [`Owner`]'s.
pub(crate) struct TransmitRing {
    /// Most descriptors on their way.
    size: u16,
    /// Look for completed ones when this many are on their way.
    threshold: u16,
    /// Longest frame without a VLAN tag.
    plain_limit: u16,
    /// Frames that take one descriptor and no second look.
    simple: Simple,
    /// Bytes of a buffer before what the device receives into.
    headroom: u16,
    counters: TransmitCounters,
    pub(crate) fault: Option<Fault>,
}

impl TransmitRing {
    pub(crate) fn new(config: &QueueConfig) -> Self {
        let size = config.transmit_ring;
        let plain_limit = config.mtu.saturating_add(HEADER).min(MAX_TX_BYTES);
        let (stride, headroom) = (config.buffer_bytes, config.headroom);
        Self {
            size,
            threshold: (size / 4).min(128),
            plain_limit,
            simple: Simple::new(plain_limit, stride, headroom),
            headroom: config.headroom,
            counters: TransmitCounters::default(),
            fault: None,
        }
    }

    /// Most descriptors on their way at a time.
    pub(crate) fn size(&self) -> u16 {
        self.size
    }

    /// Descriptors that there is room for.
    #[inline]
    pub(crate) fn room(&self, owner: &Owner<'_>) -> u16 {
        self.size.wrapping_sub(owner.in_flight())
    }

    /// Frees what the device has completed; gives the number of descriptors.
    #[inline(never)]
    pub(crate) fn reap<D: QueueDevice>(
        &mut self,
        owner: &mut Owner<'_>,
        device: &D,
    ) -> Result<u16, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let to = device.tx_index();
        let (from, _) = owner.transmit_indices();
        let done = to.wrapping_sub(from);
        if done == 0 {
            return Ok(0);
        }
        let in_flight = owner.in_flight();
        if done > in_flight {
            return self.fail(Fault::TransmitIndex {
                from,
                to,
                in_flight,
            });
        }
        if !owner.ends_before(to) {
            return self.fail(Fault::TransmitBoundary { to });
        }
        owner.reap_run(done);
        self.counters.completed += u64::from(done);
        Ok(done)
    }

    #[cold]
    fn fail(&mut self, fault: Fault) -> Result<u16, Fault> {
        warning!("sending is down: {}", fault);
        self.threshold = 0;
        self.fault = Some(fault);
        Err(fault)
    }

    /// Whether completed descriptors are to be freed: when many are on their way, or fewer than `needed` are free, or the
    /// queue is at fault.
    #[inline]
    fn is_due(&self, owner: &Owner<'_>, needed: usize) -> bool {
        let in_flight = owner.in_flight();
        let enough = usize::from(in_flight) + needed <= usize::from(self.size);
        // At fault, the threshold is 0.
        in_flight >= self.threshold || !enough
    }

    /// Puts frames onto the ring, in order, until one does not fit or breaks a rule; rings the doorbell once.
    #[inline]
    pub(crate) fn transmit<D: QueueDevice, P: Copy + Into<TxPacket>>(
        &mut self,
        rings: &mut RingMemory<D::Region>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, D::Region>,
        device: &D,
        packets: &[P],
    ) -> Result<usize, TransmitError> {
        if self.is_due(owner, packets.len()) {
            self.reap(owner, device)?;
        }
        let (_, start) = owner.transmit_indices();
        let room = self.room(owner);
        let run = owner.transmit_run(rings, shared, packets, room, self.simple);
        if run.packets == packets.len() {
            self.finish(owner, device, start, (run.packets, run.bytes.into()));
            return Ok(run.packets);
        }
        let burst = self.rest(rings, owner, shared, packets, run);
        self.finish(owner, device, start, (burst.packets, burst.bytes));
        match burst.refused {
            None => Ok(burst.packets),
            Some(rule) => Err(self.refuse(burst.packets, rule)),
        }
    }

    /// The rest of a burst: behind the end of the ring, or from a frame on that does not go by the common way.
    #[inline(never)]
    fn rest<R: DmaRegion, P: Copy + Into<TxPacket>>(
        &mut self,
        rings: &mut RingMemory<R>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, R>,
        packets: &[P],
        done: Run,
    ) -> Burst {
        let mut burst = Burst {
            packets: done.packets,
            bytes: done.bytes.into(),
            refused: None,
        };
        loop {
            let rest = packets.get(burst.packets..).unwrap_or(&[]);
            let Some(packet) = rest.first() else { break };
            let room = self.room(owner);
            let run = owner.transmit_run(rings, shared, rest, room, self.simple);
            burst.packets += run.packets;
            burst.bytes += u64::from(run.bytes);
            if run.packets > 0 {
                continue;
            }
            let packet: TxPacket = (*packet).into();
            let pieces = Chain::new(shared, packet, self.headroom);
            let bounds = self.bounds(owner);
            let result = put(&pieces, &packet.offload(), bounds, rings, owner, shared);
            if !self.took(result, &mut burst) {
                break;
            }
        }
        burst
    }

    fn bounds(&self, owner: &Owner<'_>) -> Bounds {
        Bounds {
            room: self.room(owner),
            plain_limit: self.plain_limit,
        }
    }

    /// Notes how it went with a frame; `false` when the burst ends before it.
    fn took(&mut self, result: Result<Put, NotPut>, burst: &mut Burst) -> bool {
        match result {
            Ok(put) => {
                burst.packets += 1;
                burst.bytes += u64::from(put.bytes);
                self.counters.padded += u64::from(put.padded);
                return true;
            }
            Err(NotPut::Full) => self.counters.full += 1,
            Err(NotPut::Rule(rule)) => burst.refused = Some(rule),
        }
        false
    }

    /// As [`transmit`](Self::transmit), for frames in pieces.
    pub(crate) fn gather<'f, D: QueueDevice>(
        &mut self,
        rings: &mut RingMemory<D::Region>,
        owner: &mut Owner<'_>,
        shared: &Shared<'_, D::Region>,
        device: &D,
        frames: impl Iterator<Item = (&'f [Segment], Offload)> + Clone,
    ) -> Result<usize, TransmitError> {
        let needed = frames.clone().map(|(segments, _)| segments.len() + 3).sum();
        if self.is_due(owner, needed) {
            self.reap(owner, device)?;
        }
        let (_, start) = owner.transmit_indices();
        let mut burst = Burst::default();
        for (segments, offload) in frames {
            let bounds = self.bounds(owner);
            let pieces = segments.iter().copied();
            let result = put(&pieces, &offload, bounds, rings, owner, shared);
            if !self.took(result, &mut burst) {
                break;
            }
        }
        self.finish(owner, device, start, (burst.packets, burst.bytes));
        match burst.refused {
            None => Ok(burst.packets),
            Some(rule) => Err(self.refuse(burst.packets, rule)),
        }
    }

    #[cold]
    fn refuse(&mut self, accepted: usize, rule: TxRule) -> TransmitError {
        self.counters.refused += 1;
        TransmitError::Refused { accepted, rule }
    }

    /// Counts a burst and rings the doorbell, if it put anything onto the ring.
    #[inline]
    fn finish<D: QueueDevice>(
        &mut self,
        owner: &Owner<'_>,
        device: &D,
        start: u16,
        (packets, bytes): (usize, u64),
    ) {
        let (_, producer) = owner.transmit_indices();
        if producer != start {
            self.counters.packets += packets as u64;
            self.counters.bytes += bytes;
            self.counters.doorbells += 1;
            device.ring_tx(producer);
        }
    }

    /// What was done so far.
    pub(crate) fn counters(&self, owner: &Owner<'_>) -> TransmitCounters {
        TransmitCounters {
            descriptors: self.counters.completed + u64::from(owner.in_flight()),
            ..self.counters
        }
    }

    /// Goes on counting where another ring ended, whose descriptors have all been completed.
    pub(crate) fn continue_counting(&mut self, counters: TransmitCounters) {
        self.counters = TransmitCounters {
            completed: counters.descriptors,
            ..counters
        };
    }

    /// Rings the doorbell again, with the producer as it is.
    pub(crate) fn ring_again<D: QueueDevice>(&mut self, owner: &Owner<'_>, device: &D) {
        let (_, producer) = owner.transmit_indices();
        self.counters.doorbells += 1;
        device.ring_tx(producer);
    }
}
