//! The queue pair: prepared, started, worked, closed.

use core::fmt;
use core::task::{Context, Poll};

use crate::completion::SlowPathCompletion;
use crate::config::QueueConfig;
use crate::counters::Counters;
use crate::device::QueueDevice;
use crate::engine::{Engine, SendError, Usage};
use crate::fault::Fault;
use crate::frame::{RxFrame, Segments};
use crate::log::debug;
use crate::memory::{Held, Shared};
use crate::packet::{BufferNumber, RxPacket, Segment, TxPacket};
use crate::pieces::TxFrame;
use crate::ring::{Ring, poll_to_send};
use crate::signal::QueueSignal;
use crate::transmit::TransmitError;

mod not_stopped;
mod prepared;

pub use not_stopped::NotStopped;
pub use prepared::PreparedQueue;

/// A receive and a transmit queue with the buffers that they work on.
///
/// | who has a buffer | how it got there |
/// |---|---|
/// | nobody (free) | at the start, after sending, [`release`](Self::release), a dropped [`RxFrame`] |
/// | the device, to receive into | from free, by [`receive`](Self::receive) |
/// | the program | [`receive`](Self::receive), [`take_buffer`](Self::take_buffer) |
/// | the device, to be sent | [`transmit`](Self::transmit) and its kin |
/// | a handle | [`Worker::lend`] |
///
/// The table is kept here and checked on every step, so a record that is used twice is refused, and bytes can be reached
/// only while the device does not have them.
///
/// Nothing waits and nothing allocates. Everything the device says is checked; after a [`Fault`] the direction that is hit
/// stays down, and [`close`](Self::close_with) still returns all memory.
///
/// A queue pair that is dropped instead of closed leaves its memory allocated for good, because the device may still write
/// to it.
pub struct QueuePair<'m, D: QueueDevice> {
    engine: Engine<'m, D>,
    shared: Shared<'m, D::Region>,
    device: D,
    buffers: Held<D::Region>,
    config: QueueConfig,
}

/// The working side of a queue pair whose frames are lent as handles.
///
/// Handles can go to other threads and outlive the worker, but not the borrow of the queue pair: it cannot be closed while
/// one of them is alive.
///
/// ```compile_fail,E0505
/// use fastlinq_net::{QueueDevice, QueuePair};
///
/// fn too_early<D: QueueDevice>(mut queue: QueuePair<'_, D>) {
///     let frame = queue.worker().receive_frame();
///     let _ = queue.close_with(|_| Ok::<(), (_, ())>(()));
///     drop(frame);
/// }
/// ```
pub struct Worker<'q, 'm, D: QueueDevice> {
    engine: &'q mut Engine<'m, D>,
    shared: &'q Shared<'m, D::Region>,
    device: &'q D,
}

macro_rules! data_path {
    () => {
        /// Receives up to `out.len()` frames; gives their number, 0 when none is there. Refills the receive ring.
        ///
        /// The frames' buffers belong to the program from now on.
        ///
        /// # Errors
        ///
        /// [`Fault`] when the device said something impossible, from then on always. Frames before the fault are given first.
        #[inline]
        pub fn receive(&mut self, out: &mut [RxPacket]) -> Result<usize, Fault> {
            self.engine.receive(&self.shared, &self.device, out)
        }

        /// Sends frames, in order, until the ring is full; gives the number that was taken. Rings the doorbell once.
        ///
        /// Takes received frames as they are, and [`TxPacket`]s. What was not taken is still the caller's.
        ///
        /// # Errors
        ///
        /// [`TransmitError::Refused`] names the rule that a frame breaks, and how many before it were taken;
        /// [`TransmitError::Fault`] when the device said something impossible.
        #[inline]
        pub fn transmit<P: Copy + Into<TxPacket>>(
            &mut self,
            packets: &[P],
        ) -> Result<usize, TransmitError> {
            self.engine.transmit(&self.shared, &self.device, packets)
        }

        /// Sends frames that are in pieces, up to 18 each; otherwise as [`transmit`](Self::transmit).
        ///
        /// # Errors
        ///
        /// As [`transmit`](Self::transmit).
        pub fn transmit_gather<F: AsRef<[Segment]>>(
            &mut self,
            frames: &[F],
        ) -> Result<usize, TransmitError> {
            self.engine
                .transmit_gather(&self.shared, &self.device, frames)
        }

        /// Sends frames that are in pieces, with work for the device on each: up to 18 pieces, or up to 255 of a frame to be
        /// segmented; otherwise as [`transmit`](Self::transmit).
        ///
        /// # Errors
        ///
        /// As [`transmit`](Self::transmit).
        pub fn transmit_frames(&mut self, frames: &[TxFrame<'_>]) -> Result<usize, TransmitError> {
            self.engine
                .transmit_frames(&self.shared, &self.device, frames)
        }

        /// Receives up to `out.len()` frames, as [`receive`](Self::receive) does; without one, has `signal` wake the task
        /// when there may be. Ready at once when `out` is empty.
        ///
        /// Arms the queue pair's interrupt before it says that there is nothing; see [`QueueSignal`].
        ///
        /// # Errors
        ///
        /// As [`receive`](Self::receive).
        pub fn poll_receive(
            &mut self,
            cx: &mut Context<'_>,
            signal: &QueueSignal,
            out: &mut [RxPacket],
        ) -> Poll<Result<usize, Fault>> {
            Ring::poll_receive(self, cx, signal, out)
        }

        /// Sends frames, as [`transmit`](Self::transmit) does; while none can be taken, has `signal` wake the task when
        /// there may be room. Ready at once when there is nothing to send.
        ///
        /// Arms the queue pair's interrupt before it says that there is no room; see [`QueueSignal`].
        ///
        /// # Errors
        ///
        /// As [`transmit`](Self::transmit).
        pub fn poll_transmit<P: Copy + Into<TxPacket>>(
            &mut self,
            cx: &mut Context<'_>,
            signal: &QueueSignal,
            packets: &[P],
        ) -> Poll<Result<usize, TransmitError>> {
            poll_to_send(self, cx, signal, |queue| match queue.transmit(packets) {
                Ok(0) if !packets.is_empty() => Poll::Pending,
                result => Poll::Ready(result),
            })
        }

        /// Waits until the transmit ring has room for this many descriptors, or for all that it can have if that is less;
        /// gives how many there is room for. For frames in pieces, which take a descriptor for each piece and one or two
        /// more with some offloads.
        ///
        /// Arms the queue pair's interrupt before it says that there is no room; see [`QueueSignal`].
        ///
        /// # Errors
        ///
        /// As [`reap`](Self::reap).
        pub fn poll_transmit_room(
            &mut self,
            cx: &mut Context<'_>,
            signal: &QueueSignal,
            descriptors: u16,
        ) -> Poll<Result<u16, Fault>> {
            let wanted = descriptors.min(self.engine.transmit.size());
            poll_to_send(self, cx, signal, |queue| {
                let mut room = queue.transmit_room();
                if room < wanted {
                    if let Err(fault) = queue.reap() {
                        return Poll::Ready(Err(fault));
                    }
                    room = queue.transmit_room();
                }
                if room < wanted {
                    return Poll::Pending;
                }
                Poll::Ready(Ok(room))
            })
        }

        /// Rings the doorbell again with the producer as it is, as after doorbells that the device dropped (an overflow of
        /// its doorbell queue). Producers are absolute, so ringing once too often does no harm.
        pub fn ring_again(&mut self) {
            self.engine.ring_again(&self.device);
        }

        /// Copies a frame into buffers and sends it.
        ///
        /// # Errors
        ///
        /// [`SendError`]; nothing was sent.
        pub fn send(&mut self, frame: &[u8]) -> Result<(), SendError> {
            self.engine.send(&self.shared, &self.device, frame)
        }

        /// Frees the buffers of frames that the device has sent; gives the number of descriptors. Receiving and sending do
        /// this on their own when it is worth it.
        ///
        /// # Errors
        ///
        /// [`Fault`] when the device said something impossible, from then on always.
        pub fn reap(&mut self) -> Result<u16, Fault> {
            self.engine.reap(&self.device)
        }

        /// Gives the device free buffers to receive into, as [`receive`](Self::receive) does.
        pub fn refill(&mut self) {
            self.engine.refill(&self.shared, &self.device);
        }

        /// Takes a free buffer for the program; `None` when there is none.
        pub fn take_buffer(&mut self) -> Option<BufferNumber> {
            self.engine.take_buffer(&self.shared, &self.device)
        }

        /// Frees the buffers of a received frame; `false` when the program does not own them.
        #[inline]
        pub fn release(&mut self, packet: &RxPacket) -> bool {
            self.engine.release(&self.shared, packet)
        }

        /// Frees a buffer; `false` when the program does not own it.
        pub fn release_buffer(&mut self, buffer: BufferNumber) -> bool {
            self.engine.release_buffer(buffer)
        }

        /// The bytes of a received frame in its first buffer; `None` when the program does not own it.
        pub fn bytes(&self, packet: &RxPacket) -> Option<&[u8]> {
            self.segments(packet).next()
        }

        /// The bytes of a received frame in its first buffer, for writing; `None` when the program does not own it.
        pub fn bytes_mut(&mut self, packet: &RxPacket) -> Option<&mut [u8]> {
            self.engine.bytes_mut(&self.shared, packet)
        }

        /// The bytes of a received frame, buffer by buffer; none when the program does not own it.
        pub fn segments(&self, packet: &RxPacket) -> Segments<'_, D::Region> {
            self.engine.segments(&self.shared, packet)
        }

        /// Copies a received frame to the start of `target`; gives the number of bytes, less than the frame's if `target`
        /// is short.
        pub fn copy_to(&self, packet: &RxPacket, target: &mut [u8]) -> usize {
            self.engine.copy_to(&self.shared, packet, target)
        }

        /// All bytes of a buffer; `None` when the program does not own it.
        pub fn buffer(&self, buffer: BufferNumber) -> Option<&[u8]> {
            self.engine.owner.bytes(&self.shared, buffer.0)
        }

        /// All bytes of a buffer, for writing; `None` when the program does not own it.
        pub fn buffer_mut(&mut self, buffer: BufferNumber) -> Option<&mut [u8]> {
            self.engine.owner.bytes_mut(&self.shared, buffer.0)
        }

        /// Descriptors that the transmit ring has room for, without looking for completed ones.
        pub fn transmit_room(&self) -> u16 {
            self.engine.transmit.room(&self.engine.owner)
        }

        /// What was done so far.
        pub fn counters(&self) -> Counters {
            self.engine.counters()
        }

        /// Where the buffers are; looks at every one of them.
        pub fn usage(&mut self) -> Usage {
            self.engine.usage(&self.shared)
        }

        /// Why receiving is down for good, if it is.
        pub fn receive_fault(&self) -> Option<Fault> {
            self.engine.receive.fault
        }

        /// Why sending is down for good, if it is.
        pub fn transmit_fault(&self) -> Option<Fault> {
            self.engine.transmit.fault
        }

        /// The last slow-path completion that came by the receive queue.
        pub fn slow_path(&self) -> Option<SlowPathCompletion> {
            self.engine.receive.slow_path
        }

        /// The device.
        pub fn device(&self) -> &D {
            &self.device
        }
    };
}

impl<'m, D: QueueDevice> QueuePair<'m, D> {
    data_path!();

    /// Borrows the queue pair as a worker that can lend received frames as handles.
    pub fn worker(&mut self) -> Worker<'_, 'm, D> {
        Worker {
            engine: &mut self.engine,
            shared: &self.shared,
            device: &self.device,
        }
    }

    /// Bytes of rings and buffers.
    pub fn memory_bytes(&self) -> usize {
        self.engine.rings.held().len() + self.buffers.len()
    }

    /// How big it is.
    pub fn config(&self) -> &QueueConfig {
        &self.config
    }

    /// Ends the work. `stop` makes the device let go of rings and buffers; their memory is freed only when it succeeds.
    ///
    /// # Errors
    ///
    /// [`NotStopped`]: what `stop` said, and the queue pair as it was.
    #[allow(clippy::result_large_err)]
    pub fn close_with<T, E>(
        self,
        stop: impl FnOnce(D) -> Result<T, (D, E)>,
    ) -> Result<T, NotStopped<'m, D, E>> {
        let (prepared, value) = self.stop_with(stop)?;
        let bytes = prepared.engine.rings.held().len() + prepared.buffers.len();
        debug!("{} bytes of rings and buffers are free again", bytes);
        Ok(value)
    }

    /// Stops the work and keeps rings and buffers, to start again with the same device or another. `stop` makes the device
    /// let go of them.
    ///
    /// All buffers are free afterwards. Frames that the device had received and nobody took are gone, and records that the
    /// program has mean nothing any more. Counters go on; what was on its way to be sent counts as completed. Faults are
    /// forgotten.
    ///
    /// # Errors
    ///
    /// [`NotStopped`]: what `stop` said, and the queue pair as it was.
    #[allow(clippy::result_large_err)]
    pub fn stop_with<T, E>(
        self,
        stop: impl FnOnce(D) -> Result<T, (D, E)>,
    ) -> Result<(PreparedQueue<'m, D>, T), NotStopped<'m, D, E>> {
        let Self {
            mut engine,
            shared,
            device,
            mut buffers,
            config,
        } = self;
        match stop(device) {
            Ok(value) => {
                engine.rings.held_mut().take_from_device();
                buffers.take_from_device();
                engine.renew(&shared, &config);
                let prepared = PreparedQueue {
                    engine,
                    shared,
                    buffers,
                    config,
                };
                Ok((prepared, value))
            }
            Err((device, cause)) => Err(NotStopped {
                queue: Self {
                    engine,
                    shared,
                    device,
                    buffers,
                    config,
                },
                cause,
            }),
        }
    }
}

impl<'q, 'm, D: QueueDevice> Worker<'q, 'm, D> {
    data_path!();

    /// The same worker for a shorter time.
    pub fn reborrow(&mut self) -> Worker<'_, 'm, D> {
        Worker {
            engine: self.engine,
            shared: self.shared,
            device: self.device,
        }
    }

    /// Lends a received frame as a handle that returns its buffers when dropped; `None` when the program does not own it.
    pub fn lend(&mut self, packet: RxPacket) -> Option<RxFrame<'q, D::Region>> {
        self.engine.lend(self.shared, packet)
    }

    /// Receives one frame as a handle.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn receive_frame(&mut self) -> Result<Option<RxFrame<'q, D::Region>>, Fault> {
        let mut packet = [RxPacket::EMPTY];
        self.receive(&mut packet)?;
        let [packet] = packet;
        Ok(self.lend(packet))
    }

    /// Turns a handle back into a record that the program owns, to send or release it.
    ///
    /// # Errors
    ///
    /// Gives the handle back when it is of another queue pair.
    pub fn reclaim<'f>(
        &mut self,
        frame: RxFrame<'f, D::Region>,
    ) -> Result<RxPacket, RxFrame<'f, D::Region>> {
        self.engine.reclaim(self.shared, frame)
    }
}

impl<D: QueueDevice> fmt::Debug for QueuePair<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuePair")
            .field("counters", &self.counters())
            .field("receive_fault", &self.receive_fault())
            .field("transmit_fault", &self.transmit_fault())
            .finish_non_exhaustive()
    }
}

impl<D: QueueDevice> fmt::Debug for Worker<'_, '_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
