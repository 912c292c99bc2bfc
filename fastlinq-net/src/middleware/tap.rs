//! Showing every frame to somebody.

use crate::fault::Fault;
use crate::frame::{RxFrame, Segments};
use crate::packet::{BufferNumber, RxPacket, TxPacket};
use crate::ring::Ring;
use crate::transmit::TransmitError;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Direction {
    /// From the wire.
    Received,
    /// To the wire.
    Sent,
}

/// Sees the frames that go through a [`Tap`].
///
/// ```
/// use fastlinq_net::middleware::{Direction, Observer};
///
/// #[derive(Default)]
/// struct Counter {
///     received_bytes: usize,
/// }
///
/// impl Observer for Counter {
///     fn frame(&mut self, direction: Direction, length: usize, _: &mut dyn Iterator<Item = &[u8]>) {
///         if direction == Direction::Received {
///             self.received_bytes += length;
///         }
///     }
/// }
/// ```
pub trait Observer {
    /// A frame of `length` bytes, in pieces.
    fn frame(
        &mut self,
        direction: Direction,
        length: usize,
        pieces: &mut dyn Iterator<Item = &[u8]>,
    );
}

impl<O: Observer> Observer for &mut O {
    fn frame(
        &mut self,
        direction: Direction,
        length: usize,
        pieces: &mut dyn Iterator<Item = &[u8]>,
    ) {
        (**self).frame(direction, length, pieces);
    }
}

/// Shows every frame that goes through a ring to an observer.
///
/// Received frames are shown as they are handed out, frames to send when the ring has room for them, just before they are
/// handed in: one that the ring then refuses has been shown, too.
#[derive(Debug)]
pub struct Tap<R, O> {
    ring: R,
    observer: O,
}

impl<R: Ring, O: Observer> Tap<R, O> {
    /// Puts an observer in front of a ring.
    pub const fn new(ring: R, observer: O) -> Self {
        Self { ring, observer }
    }

    /// The observer.
    pub const fn observer(&self) -> &O {
        &self.observer
    }

    /// The observer, for changes.
    pub const fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// The ring.
    pub const fn ring(&self) -> &R {
        &self.ring
    }

    /// The ring, past the tap.
    pub const fn ring_mut(&mut self) -> &mut R {
        &mut self.ring
    }

    /// Takes the two apart.
    pub fn into_parts(self) -> (R, O) {
        (self.ring, self.observer)
    }

    fn show(&mut self, direction: Direction, packet: &RxPacket) {
        let mut pieces = self.ring.segments(packet);
        self.observer.frame(direction, packet.len(), &mut pieces);
    }
}

impl<R: Ring, O: Observer> Ring for Tap<R, O> {
    type Region = R::Region;
    type Rest<'a>
        = Tap<R::Rest<'a>, &'a mut O>
    where
        Self: 'a;

    fn receive(&mut self, out: &mut [RxPacket]) -> Result<usize, Fault> {
        let taken = self.ring.receive(out)?;
        for packet in out.iter().take(taken) {
            self.show(Direction::Received, packet);
        }
        Ok(taken)
    }

    fn transmit(&mut self, packets: &[TxPacket]) -> Result<usize, TransmitError> {
        let fitting = fitting(&mut self.ring, packets).map_err(TransmitError::Fault)?;
        for packet in fitting {
            self.show(Direction::Sent, &packet.as_received());
        }
        self.ring.transmit(fitting)
    }

    fn lend(&mut self, packet: RxPacket) -> Option<(RxFrame<'_, R::Region>, Self::Rest<'_>)> {
        let (frame, rest) = self.ring.lend(packet)?;
        Some((frame, Tap::new(rest, &mut self.observer)))
    }

    fn rest(&mut self) -> Self::Rest<'_> {
        Tap::new(self.ring.rest(), &mut self.observer)
    }

    passed_on!();
}

/// The packets from the first on that the transmit ring has room for now.
pub(super) fn fitting<'p, R: Ring>(
    ring: &mut R,
    packets: &'p [TxPacket],
) -> Result<&'p [TxPacket], Fault> {
    let wanted: usize = packets.iter().map(TxPacket::descriptors).sum();
    if wanted > usize::from(ring.transmit_room()) {
        ring.reap()?;
    }
    let mut room = usize::from(ring.transmit_room());
    let mut count = 0;
    for packet in packets {
        match room.checked_sub(packet.descriptors()) {
            Some(left) => room = left,
            None => break,
        }
        count += 1;
    }
    Ok(packets.get(..count).unwrap_or(&[]))
}
