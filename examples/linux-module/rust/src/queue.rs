//! One queue pair, and the frames that were received but not taken yet.

use fastlinq_hal::adapter::{Adapter, Cause, Inventory, Up};
use fastlinq_hal::host::AllocationError;
use fastlinq_hal::queue::QueuePairId;
use fastlinq_hal::vport::VportId;
use fastlinq_net::{
    AdapterQueue, Checksum, Checksums, Counters, Fault, HashedOver, Offload, OpenError,
    QueueConfig, QueueStorage, RxPacket, Segment, Segmentation, SendError, TransmitError, TxFrame,
    TxRule,
};
use heapless::{Deque, Vec};

use crate::device::Wanted;
use crate::kernel::{Frame, KernelBox, KernelHost};

/// Receive descriptors at most. With the packet buffers and their size below there are enough buffers for both rings full and
/// a batch with the kernel, so that a ring with room always finds a buffer. 2 MiB for each queue pair.
pub const RECEIVE_RING: u16 = 512;
/// Transmit descriptors at most.
pub const TRANSMIT_RING: u16 = 256;
const BUFFERS: usize = 1024;
const BUFFER_BYTES: u16 = 2048;

/// Frames that are taken from the ring at once.
pub const BATCH: usize = 64;

/// Most descriptors of a frame; the kernel's longest, 64 KiB and headers to be segmented, takes 34.
pub const MOST_DESCRIPTORS: usize = 40;

/// Bookkeeping of the rings and buffers.
type Notes = QueueStorage<BUFFERS, 512, 256>;

/// What is known of a received frame.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes of the frame.
    pub length: usize,
    /// The device has found the transport checksum right.
    pub checksum_good: bool,
    /// The device's hash, and whether it is over ports, too.
    pub hash: Option<(u32, bool)>,
}

/// What the device is to do to a frame.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Send it as it is.
    Nothing,
    /// Fill in the checksum of TCP or UDP.
    Checksum,
    /// Send the TCP payload behind the headers as segments, with all checksums.
    Segments {
        /// Bytes of headers.
        headers: u16,
        /// Most bytes of payload in a segment.
        payload: u16,
    },
}

impl Work {
    fn offload(self) -> Result<Offload, TxRule> {
        Ok(match self {
            Self::Nothing => Offload::NONE,
            Self::Checksum => Offload::checksums(Checksums::Transport),
            Self::Segments { headers, payload } => {
                Offload::segmentation(Segmentation::new(headers, payload)?)
            }
        })
    }
}

/// Frames that the device has read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Their number.
    pub frames: u32,
    /// Their bytes, as the kernel counts them.
    pub bytes: u32,
}

/// Which frames are on their way, so that the kernel can be told how much that is.
#[derive(Default)]
struct OnTheWay {
    /// For each frame the descriptors that had been used with it, and its bytes. A frame has at least one descriptor.
    frames: Deque<(u64, u32), { TRANSMIT_RING as usize }>,
    /// Read by the device, and not told yet.
    sent: Sent,
}

impl OnTheWay {
    /// The device has read so many descriptors.
    fn settle(&mut self, completed: u64) {
        while let Some((end, bytes)) = self.frames.front().copied() {
            if end > completed {
                break;
            }
            self.frames.pop_front();
            self.sent.frames += 1;
            self.sent.bytes = self.sent.bytes.wrapping_add(bytes);
        }
    }
}

/// Buffers that are filled with a frame. One descriptor is left for headers, which get their own.
type Pieces = Vec<Segment, { MOST_DESCRIPTORS - 1 }>;

/// A queue pair.
pub struct Queue {
    pair: AdapterQueue<'static, KernelHost>,
    batch: [RxPacket; BATCH],
    /// Beside it, because a queue pair moves by value.
    on_the_way: KernelBox<OnTheWay>,
    /// Declared behind the queue pair that uses it, so that it is freed after it.
    notes: KernelBox<Notes>,
}

/// Why a queue pair could not be opened.
pub enum OpenFailure {
    /// There is no memory for the bookkeeping.
    Memory(AllocationError),
    /// The driver crates say no.
    Open(OpenError),
}

impl Queue {
    /// Opens the next free queue pair on `vport`.
    ///
    /// # Errors
    ///
    /// [`OpenFailure`].
    pub fn open<I: Inventory>(
        adapter: &mut Adapter<Up<I>, KernelHost>,
        vport: VportId,
        wanted: &Wanted<'_>,
    ) -> Result<Self, OpenFailure> {
        let config = QueueConfig {
            receive_ring: wanted.receive_ring.min(RECEIVE_RING),
            transmit_ring: wanted.transmit_ring.min(TRANSMIT_RING),
            buffers: BUFFERS as u32,
            buffer_bytes: BUFFER_BYTES,
            mtu: wanted.mtu,
            coalescing: wanted.coalescing,
            ..QueueConfig::default()
        };
        let notes = KernelBox::new(Notes::new()).map_err(OpenFailure::Memory)?;
        let on_the_way = KernelBox::new(OnTheWay::default()).map_err(OpenFailure::Memory)?;
        #[allow(unsafe_code)]
        // SAFETY: `notes` lives in this function and then beside the queue pair, and is touched by nobody else; it is
        // freed after the queue pair is gone (`close`, and the order of the fields), and does not move when the box does.
        let lent = unsafe { &mut *notes.as_ptr() };
        let pair = AdapterQueue::open(adapter, vport, &config, lent).map_err(OpenFailure::Open)?;
        Ok(Self {
            pair,
            batch: [RxPacket::EMPTY; BATCH],
            on_the_way,
            notes,
        })
    }

    /// Closes the queue pair.
    ///
    /// # Errors
    ///
    /// The cause, and the bytes of DMA memory that stay allocated for good because the device did not confirm.
    pub fn close<I: Inventory>(
        self,
        adapter: &mut Adapter<Up<I>, KernelHost>,
    ) -> Result<(), (Cause, usize)> {
        let Self { pair, notes, .. } = self;
        let closed = pair
            .close(adapter)
            .map_err(|not_stopped| not_stopped.leak());
        drop(notes);
        closed
    }

    /// Number inside the function.
    pub fn id(&self) -> QueuePairId {
        self.pair.id()
    }

    /// Keeps the device from interrupting for this queue pair.
    pub fn mask(&self) {
        self.pair.device().disable_interrupt();
    }

    /// The counter to acknowledge with [`unmask`](Self::unmask); read it before looking for work.
    pub fn status(&self) -> u32 {
        self.pair.device().status_index()
    }

    /// Lets the device interrupt again; at once if there is work newer than `status`.
    pub fn unmask(&self, status: u32) {
        self.pair.device().enable_interrupt(status);
    }

    /// Takes up to `limit` frames from the ring, to be looked at with [`frame`](Self::frame) and taken with
    /// [`take`](Self::take). Frames that were not taken are released.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub fn receive(&mut self, limit: usize) -> Result<usize, Fault> {
        for packet in &mut self.batch {
            if !packet.is_empty() {
                self.pair.release(packet);
                *packet = RxPacket::EMPTY;
            }
        }
        let batch = self.batch.get_mut(..limit.min(BATCH)).unwrap_or(&mut []);
        self.pair.receive(batch)
    }

    /// What is known of a frame of the batch.
    pub fn frame(&self, slot: usize) -> Option<Received> {
        let packet = self.batch.get(slot).filter(|packet| !packet.is_empty())?;
        Some(Received {
            length: packet.len(),
            checksum_good: packet.checksum() == Checksum::Good,
            hash: packet.hash().map(|hash| {
                let ports = !matches!(hash.over, HashedOver::Ipv4 | HashedOver::Ipv6);
                (hash.value, ports)
            }),
        })
    }

    /// Copies a frame of the batch to `target` and gives its buffers back; gives the bytes copied.
    pub fn take(&mut self, slot: usize, target: &mut [u8]) -> usize {
        let Some(packet) = self.batch.get_mut(slot) else {
            return 0;
        };
        let copied = self.pair.copy_to(packet, target);
        self.pair.release(packet);
        *packet = RxPacket::EMPTY;
        copied
    }

    /// Copies a frame into the queue and sends it, with a VLAN tag or as it is.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn send(
        &mut self,
        frame: &Frame<'_>,
        work: Work,
        tag: Option<u16>,
    ) -> Result<(), SendError> {
        let mut offload = work.offload().map_err(SendError::Refused)?;
        if let Some(tag) = tag {
            offload = offload.with_vlan(tag);
        }
        let mut pieces = Pieces::new();
        let result = self
            .fill(frame, &mut pieces)
            .and_then(|()| self.put(&pieces, offload));
        if result.is_err() {
            for piece in &pieces {
                self.pair.release_buffer(piece.buffer);
            }
            return result;
        }
        let transmit = self.pair.counters().transmit;
        self.on_the_way.settle(transmit.completed);
        // There is room: no more frames are on their way than the ring has descriptors.
        let _ = self
            .on_the_way
            .frames
            .push_back((transmit.descriptors, frame.len() as u32));
        Ok(())
    }

    /// Copies a frame into buffers of the queue; what was taken stands in `pieces`, whatever happens.
    fn fill(&mut self, frame: &Frame<'_>, pieces: &mut Pieces) -> Result<(), SendError> {
        let stride = usize::from(BUFFER_BYTES);
        if frame.len() > pieces.capacity() * stride {
            return Err(SendError::Refused(TxRule::TooLong));
        }
        for start in (0..frame.len()).step_by(stride) {
            let length = (frame.len() - start).min(stride);
            let buffer = self.pair.take_buffer().ok_or(SendError::Full)?;
            // There is room: the length was checked.
            let _ = pieces.push(Segment {
                buffer,
                offset: 0,
                length: length as u16,
            });
            let bytes = self.pair.buffer_mut(buffer);
            let target = bytes.and_then(|bytes| bytes.get_mut(..length));
            if !target.is_some_and(|target| frame.copy(start, target)) {
                return Err(SendError::Refused(TxRule::OutsideBuffer));
            }
        }
        Ok(())
    }

    fn put(&mut self, segments: &[Segment], offload: Offload) -> Result<(), SendError> {
        match self.pair.transmit_frames(&[TxFrame { segments, offload }]) {
            Ok(0) => Err(SendError::Full),
            Ok(_) => Ok(()),
            Err(TransmitError::Refused { rule, .. }) => Err(SendError::Refused(rule)),
            Err(TransmitError::Fault(fault)) => Err(SendError::Fault(fault)),
        }
    }

    /// Descriptors that there is room for.
    pub fn room(&self) -> u16 {
        self.pair.transmit_room()
    }

    /// Frees what was sent; gives the descriptors that there is room for then.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub fn reap(&mut self) -> Result<u16, Fault> {
        self.pair.reap()?;
        Ok(self.room())
    }

    /// What the device has read since this was last asked.
    pub fn take_sent(&mut self) -> Sent {
        let completed = self.pair.counters().transmit.completed;
        self.on_the_way.settle(completed);
        core::mem::take(&mut self.on_the_way.sent)
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.pair.counters()
    }
}
