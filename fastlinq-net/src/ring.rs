//! What stacks and middleware see of a queue pair: records in, records out.

use core::task::{Context, Poll};

use crate::device::QueueDevice;
use crate::fault::Fault;
use crate::frame::{RxFrame, Segments};
use crate::packet::{BufferNumber, RxPacket, TxPacket};
use crate::queue::{QueuePair, Worker};
use crate::signal::{QueueSignal, WaitFor, Wakeups};
use crate::transmit::TransmitError;

/// Something that receives and sends frames as records: a queue pair, or [middleware](crate::middleware) around one.
///
/// Stacks ([`stack`](crate::stack)) and middleware are written against this trait, so that a tap or a fault injector goes
/// between a queue pair and whatever uses it. The methods do what those of [`QueuePair`] do; ownership of buffers is
/// checked there.
pub trait Ring {
    /// DMA memory that the buffers are in.
    type Region;

    /// What is left of the ring while a frame of it is lent: all of it but the frame.
    type Rest<'a>: Ring<Region = Self::Region>
    where
        Self: 'a;

    /// Receives up to `out.len()` frames; gives their number.
    ///
    /// # Errors
    ///
    /// [`Fault`], from then on always.
    fn receive(&mut self, out: &mut [RxPacket]) -> Result<usize, Fault>;

    /// Sends frames, in order; gives the number that was taken.
    ///
    /// # Errors
    ///
    /// As [`QueuePair::transmit`].
    fn transmit(&mut self, packets: &[TxPacket]) -> Result<usize, TransmitError>;

    /// Frees the buffers of frames that the device has sent.
    ///
    /// # Errors
    ///
    /// [`Fault`], from then on always.
    fn reap(&mut self) -> Result<u16, Fault>;

    /// Descriptors that the transmit ring has room for, without looking for completed ones.
    fn transmit_room(&self) -> u16;

    /// Lends a received frame as a handle; everything else goes on with the rest. `None` when the program does not own the
    /// frame.
    fn lend(&mut self, packet: RxPacket) -> Option<(RxFrame<'_, Self::Region>, Self::Rest<'_>)>;

    /// The ring, as what [`lend`](Self::lend) leaves of it.
    fn rest(&mut self) -> Self::Rest<'_>;

    /// Takes a free buffer; `None` when there is none.
    fn take_buffer(&mut self) -> Option<BufferNumber>;

    /// Frees a buffer; `false` when the program does not own it.
    fn release_buffer(&mut self, buffer: BufferNumber) -> bool;

    /// Frees the buffers of a received frame; `false` when the program does not own them.
    fn release(&mut self, packet: &RxPacket) -> bool;

    /// All bytes of a buffer; `None` when the program does not own it.
    fn buffer(&self, buffer: BufferNumber) -> Option<&[u8]>;

    /// All bytes of a buffer, for writing; `None` when the program does not own it.
    fn buffer_mut(&mut self, buffer: BufferNumber) -> Option<&mut [u8]>;

    /// The bytes of a received frame, buffer by buffer; none when the program does not own it.
    fn segments(&self, packet: &RxPacket) -> Segments<'_, Self::Region>;

    /// The device's count of changes, to be read before the last look for work; see [`arm`](Self::arm).
    fn status(&self) -> u32;

    /// Lets the device interrupt once: at the next change after the count was `seen`, at once if there was one already.
    fn arm(&mut self, seen: u32);

    /// Receives up to `out.len()` frames; without one, has `signal` wake the task when there may be.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        signal: &QueueSignal,
        out: &mut [RxPacket],
    ) -> Poll<Result<usize, Fault>>
    where
        Self: Sized,
    {
        let wait = (WaitFor::Frames, Wakeups::Interrupt);
        signal.poll(
            cx,
            wait,
            self,
            |ring| ring,
            |ring| match ring.receive(out) {
                Ok(0) if !out.is_empty() => Poll::Pending,
                result => Poll::Ready(result),
            },
        )
    }

    /// Sends frames, in order; gives the number that was taken. While none can be, has `signal` wake the task when there
    /// may be room.
    ///
    /// # Errors
    ///
    /// As [`transmit`](Self::transmit).
    fn poll_transmit(
        &mut self,
        cx: &mut Context<'_>,
        signal: &QueueSignal,
        packets: &[TxPacket],
    ) -> Poll<Result<usize, TransmitError>>
    where
        Self: Sized,
    {
        poll_to_send(self, cx, signal, |ring| match ring.transmit(packets) {
            Ok(0) if !packets.is_empty() => Poll::Pending,
            result => Poll::Ready(result),
        })
    }
}

/// Waits for room until `look` is satisfied.
pub(crate) fn poll_to_send<R: Ring, T>(
    ring: &mut R,
    cx: &Context<'_>,
    signal: &QueueSignal,
    look: impl FnMut(&mut R) -> Poll<T>,
) -> Poll<T> {
    let wait = (WaitFor::Room, Wakeups::Interrupt);
    signal.poll(cx, wait, ring, |ring| ring, look)
}

macro_rules! forward {
    () => {
        fn receive(&mut self, out: &mut [RxPacket]) -> Result<usize, Fault> {
            (**self).receive(out)
        }
        fn transmit(&mut self, packets: &[TxPacket]) -> Result<usize, TransmitError> {
            (**self).transmit(packets)
        }
        fn reap(&mut self) -> Result<u16, Fault> {
            (**self).reap()
        }
        fn transmit_room(&self) -> u16 {
            (**self).transmit_room()
        }
        fn take_buffer(&mut self) -> Option<BufferNumber> {
            (**self).take_buffer()
        }
        fn release_buffer(&mut self, buffer: BufferNumber) -> bool {
            (**self).release_buffer(buffer)
        }
        fn release(&mut self, packet: &RxPacket) -> bool {
            (**self).release(packet)
        }
        fn buffer(&self, buffer: BufferNumber) -> Option<&[u8]> {
            (**self).buffer(buffer)
        }
        fn buffer_mut(&mut self, buffer: BufferNumber) -> Option<&mut [u8]> {
            (**self).buffer_mut(buffer)
        }
        fn segments(&self, packet: &RxPacket) -> Segments<'_, Self::Region> {
            (**self).segments(packet)
        }
        fn status(&self) -> u32 {
            (**self).status()
        }
        fn arm(&mut self, seen: u32) {
            (**self).arm(seen);
        }
    };
}

impl<R: Ring> Ring for &mut R {
    type Region = R::Region;
    type Rest<'a>
        = R::Rest<'a>
    where
        Self: 'a;

    fn lend(&mut self, packet: RxPacket) -> Option<(RxFrame<'_, R::Region>, R::Rest<'_>)> {
        (**self).lend(packet)
    }
    fn rest(&mut self) -> R::Rest<'_> {
        (**self).rest()
    }
    forward!();
}

macro_rules! inherent {
    ($queue:ident) => {
        #[inline]
        fn receive(&mut self, out: &mut [RxPacket]) -> Result<usize, Fault> {
            $queue::receive(self, out)
        }
        #[inline]
        fn transmit(&mut self, packets: &[TxPacket]) -> Result<usize, TransmitError> {
            $queue::transmit(self, packets)
        }
        fn reap(&mut self) -> Result<u16, Fault> {
            $queue::reap(self)
        }
        fn transmit_room(&self) -> u16 {
            $queue::transmit_room(self)
        }
        fn take_buffer(&mut self) -> Option<BufferNumber> {
            $queue::take_buffer(self)
        }
        fn release_buffer(&mut self, buffer: BufferNumber) -> bool {
            $queue::release_buffer(self, buffer)
        }
        fn release(&mut self, packet: &RxPacket) -> bool {
            $queue::release(self, packet)
        }
        fn buffer(&self, buffer: BufferNumber) -> Option<&[u8]> {
            $queue::buffer(self, buffer)
        }
        fn buffer_mut(&mut self, buffer: BufferNumber) -> Option<&mut [u8]> {
            $queue::buffer_mut(self, buffer)
        }
        fn segments(&self, packet: &RxPacket) -> Segments<'_, D::Region> {
            $queue::segments(self, packet)
        }
        fn status(&self) -> u32 {
            self.device().status_index()
        }
        fn arm(&mut self, seen: u32) {
            self.device().enable_interrupt(seen);
        }
    };
}

impl<'m, D: QueueDevice> Ring for QueuePair<'m, D> {
    type Region = D::Region;
    type Rest<'a>
        = Worker<'a, 'm, D>
    where
        Self: 'a;

    fn lend(&mut self, packet: RxPacket) -> Option<(RxFrame<'_, D::Region>, Worker<'_, 'm, D>)> {
        let mut worker = self.worker();
        let frame = worker.lend(packet)?;
        Some((frame, worker))
    }
    fn rest(&mut self) -> Worker<'_, 'm, D> {
        self.worker()
    }
    inherent!(QueuePair);
}

impl<'m, D: QueueDevice> Ring for Worker<'_, 'm, D> {
    type Region = D::Region;
    type Rest<'a>
        = Worker<'a, 'm, D>
    where
        Self: 'a;

    fn lend(&mut self, packet: RxPacket) -> Option<(RxFrame<'_, D::Region>, Worker<'_, 'm, D>)> {
        let mut worker = self.reborrow();
        let frame = worker.lend(packet)?;
        Some((frame, worker))
    }
    fn rest(&mut self) -> Worker<'_, 'm, D> {
        self.reborrow()
    }
    inherent!(Worker);
}
