//! Faults on the way of frames, by a seed.

use core::borrow::BorrowMut;
use core::fmt;

use heapless::Deque;

use super::tap::fitting;
use crate::fault::Fault;
use crate::frame::{RxFrame, Segments};
use crate::offload::Offload;
use crate::packet::{BufferNumber, RxPacket, TxPacket};
use crate::ring::Ring;
use crate::transmit::TransmitError;

/// Most frames that are held back at a time, in each direction.
pub const MAX_HELD: usize = 32;

/// How often faults happen in one direction, in thousandths of the frames.
///
/// One frame meets one of them at most, so their sum counts up to 1,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rates {
    /// Frames that vanish.
    pub drop: u16,
    /// Frames that come twice, the second one right behind the first.
    pub duplicate: u16,
    /// Frames with one wrong bit.
    pub corrupt: u16,
    /// Frames that are held back for some calls, so that others overtake them. A task that sleeps until the device interrupts
    /// makes none meanwhile: wake it now and then.
    pub delay: u16,
    /// Most calls that a frame is held back for. 0 counts as 1.
    pub delay_calls: u8,
}

/// What happened to the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FaultsOf {
    /// Frames that came.
    pub frames: u64,
    /// Frames that vanished.
    pub dropped: u64,
    /// Frames that were doubled.
    pub duplicated: u64,
    /// Frames that were to be doubled, for which there was no buffer.
    pub not_duplicated: u64,
    /// Frames with a wrong bit.
    pub corrupted: u64,
    /// Frames that were held back.
    pub delayed: u64,
}

/// What a [`FaultInjector`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FaultCounters {
    /// To frames from the wire.
    pub received: FaultsOf,
    /// To frames to the wire.
    pub sent: FaultsOf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Drop,
    Duplicate,
    Corrupt,
    Delay,
}

/// A frame that is held back, and for how many calls still.
#[derive(Clone, Copy)]
struct Held {
    packet: RxPacket,
    /// What the device is to do to it, if it is to be sent.
    offload: Offload,
    calls: u8,
}

impl Held {
    /// A frame whose time has come.
    const fn now(packet: RxPacket, offload: Offload) -> Self {
        Self {
            packet,
            offload,
            calls: 0,
        }
    }
}

/// One direction of an injector.
struct Side {
    rates: Rates,
    held: Deque<Held, MAX_HELD>,
    /// Second frames that had no place in the caller's slice.
    second: Option<Held>,
    counters: FaultsOf,
}

impl Side {
    const fn new(rates: Rates) -> Self {
        Self {
            rates,
            held: Deque::new(),
            second: None,
            counters: FaultsOf {
                frames: 0,
                dropped: 0,
                duplicated: 0,
                not_duplicated: 0,
                corrupted: 0,
                delayed: 0,
            },
        }
    }

    fn fate(&mut self, random: &mut u64) -> Fate {
        self.counters.frames += 1;
        let mut dice = (step(random) % 1_000) as u16;
        let chances = [
            (self.rates.drop, Fate::Drop),
            (self.rates.duplicate, Fate::Duplicate),
            (self.rates.corrupt, Fate::Corrupt),
            (self.rates.delay, Fate::Delay),
        ];
        for (chance, fate) in chances {
            match dice.checked_sub(chance) {
                Some(left) => dice = left,
                None => return fate,
            }
        }
        Fate::Pass
    }

    /// Holds a frame back; `false` when there is no place for it.
    fn hold(&mut self, packet: RxPacket, offload: Offload, random: &mut u64) -> bool {
        let most = u64::from(self.rates.delay_calls.max(1));
        let calls = 1 + (step(random) % most) as u8;
        let held = self.held.push_back(Held {
            packet,
            offload,
            calls,
        });
        let held = held.is_ok();
        self.counters.delayed += u64::from(held);
        held
    }

    fn age(&mut self) {
        for held in self.held.iter_mut() {
            held.calls = held.calls.saturating_sub(1);
        }
    }

    /// A frame whose time has come.
    fn due(&mut self) -> Option<Held> {
        for _ in 0..self.held.len() {
            match self.held.pop_front() {
                Some(held) if held.calls == 0 => return Some(held),
                Some(held) => {
                    // It was just taken out.
                    let _ = self.held.push_back(held);
                }
                None => break,
            }
        }
        None
    }
}

/// What a [`FaultInjector`] remembers.
pub struct FaultState {
    random: u64,
    received: Side,
    sent: Side,
}

impl FaultState {
    /// Faults by a seed; the same seed, rates and traffic give the same faults.
    pub const fn new(seed: u64, received: Rates, sent: Rates) -> Self {
        Self {
            random: seed ^ 0x9e37_79b9_7f4a_7c15 | 1,
            received: Side::new(received),
            sent: Side::new(sent),
        }
    }

    /// What happened so far.
    pub const fn counters(&self) -> FaultCounters {
        FaultCounters {
            received: self.received.counters,
            sent: self.sent.counters,
        }
    }

    /// Changes the rates from now on.
    pub const fn set_rates(&mut self, received: Rates, sent: Rates) {
        self.received.rates = received;
        self.sent.rates = sent;
    }
}

impl fmt::Debug for FaultState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultState")
            .field("counters", &self.counters())
            .field("received_held", &self.received.held.len())
            .field("sent_held", &self.sent.held.len())
            .finish_non_exhaustive()
    }
}

/// Drops, duplicates, corrupts and delays frames of a ring, repeatably, by a seed.
///
/// A received frame that is corrupted or doubled loses what the device said about it: its verdict on the checksums was about
/// other bytes. Frames that lie in several buffers are not doubled. Frames to send whose checksums the device fills in are not
/// corrupted, since it would make them right.
///
/// Take the injector apart with [`into_parts`](Self::into_parts), which frees the buffers of frames that are held back; a
/// dropped one keeps them from use until the queue pair is closed.
#[derive(Debug)]
pub struct FaultInjector<R, S = FaultState> {
    ring: R,
    state: S,
}

impl<R: Ring> FaultInjector<R> {
    /// Puts faults in front of a ring.
    pub const fn new(ring: R, state: FaultState) -> Self {
        Self { ring, state }
    }
}

impl<R: Ring, S: BorrowMut<FaultState>> FaultInjector<R, S> {
    /// What happened so far.
    pub fn counters(&self) -> FaultCounters {
        self.state.borrow().counters()
    }

    /// Changes the rates from now on.
    pub fn set_rates(&mut self, received: Rates, sent: Rates) {
        self.state.borrow_mut().set_rates(received, sent);
    }

    /// The ring, past the faults.
    pub const fn ring_mut(&mut self) -> &mut R {
        &mut self.ring
    }

    /// Takes the two apart. Frames that are held back vanish, and their buffers are free again.
    pub fn into_parts(mut self) -> (R, S) {
        let state = self.state.borrow_mut();
        for side in [&mut state.received, &mut state.sent] {
            let second = side.second.take();
            let held = core::iter::from_fn(|| side.held.pop_front());
            for held in held.chain(second) {
                self.ring.release(&held.packet);
            }
        }
        (self.ring, self.state)
    }

    /// Sends what is held back and due, as far as there is room.
    fn send_due(&mut self) -> Result<(), TransmitError> {
        let state = self.state.borrow_mut();
        while let Some(held) = state.sent.second.take().or_else(|| state.sent.due()) {
            let packet = TxPacket::from(held.packet).with(held.offload);
            match self.ring.transmit(&[packet]) {
                Ok(0) => {
                    state.sent.second = Some(held);
                    break;
                }
                Ok(_) => {}
                Err(error) => {
                    self.ring.release(&held.packet);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl<R: Ring, S: BorrowMut<FaultState>> Ring for FaultInjector<R, S> {
    type Region = R::Region;
    type Rest<'a>
        = FaultInjector<R::Rest<'a>, &'a mut FaultState>
    where
        Self: 'a;

    fn receive(&mut self, out: &mut [RxPacket]) -> Result<usize, Fault> {
        self.state.borrow_mut().sent.age();
        // An error stays and shows at the next call of `transmit`.
        let _ = self.send_due();
        let FaultState {
            random,
            received: side,
            ..
        } = self.state.borrow_mut();
        side.age();
        let mut filled = 0;
        while let Some(slot) = out.get_mut(filled) {
            let waiting = side.second.take().or_else(|| side.due());
            if let Some(held) = waiting {
                *slot = held.packet;
                filled += 1;
                continue;
            }
            match self.ring.receive(core::slice::from_mut(slot)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(fault) if filled == 0 => return Err(fault),
                // It stays and shows at the next call.
                Err(_) => break,
            }
            match side.fate(random) {
                Fate::Drop => {
                    self.ring.release(slot);
                    side.counters.dropped += 1;
                    continue;
                }
                Fate::Delay if side.hold(*slot, Offload::NONE, random) => continue,
                Fate::Corrupt => {
                    let wrong = corrupt(&mut self.ring, slot, random);
                    side.counters.corrupted += u64::from(wrong);
                    *slot = slot.unverified();
                }
                Fate::Duplicate => match duplicate(&mut self.ring, slot) {
                    Some(second) => {
                        side.counters.duplicated += 1;
                        side.second = Some(Held::now(second, Offload::NONE));
                    }
                    None => side.counters.not_duplicated += 1,
                },
                Fate::Pass | Fate::Delay => {}
            }
            filled += 1;
        }
        Ok(filled)
    }

    fn transmit(&mut self, packets: &[TxPacket]) -> Result<usize, TransmitError> {
        self.state.borrow_mut().sent.age();
        self.send_due()?;
        let mut taken = 0;
        for packet in packets {
            if fitting(&mut self.ring, core::slice::from_ref(packet))
                .map_err(TransmitError::Fault)?
                .is_empty()
            {
                break;
            }
            let record = packet.as_received();
            let FaultState {
                random, sent: side, ..
            } = self.state.borrow_mut();
            let fate = side.fate(random);
            // A frame that is not the program's passes, so that the ring refuses it by name.
            let passes = match fate {
                Fate::Drop => {
                    let dropped = self.ring.release(&record);
                    side.counters.dropped += u64::from(dropped);
                    !dropped
                }
                Fate::Delay => {
                    let owned = self.ring.segments(&record).next().is_some();
                    !(owned && side.hold(record, packet.offload(), random))
                }
                // The device would compute a right checksum over wrong bytes, which nobody could notice.
                Fate::Corrupt if packet.offload() != Offload::NONE => true,
                Fate::Corrupt => {
                    let wrong = corrupt(&mut self.ring, &record, random);
                    side.counters.corrupted += u64::from(wrong);
                    true
                }
                Fate::Duplicate => {
                    match duplicate(&mut self.ring, &record) {
                        Some(second) => {
                            side.counters.duplicated += 1;
                            side.second = Some(Held::now(second, packet.offload()));
                        }
                        None => side.counters.not_duplicated += 1,
                    }
                    true
                }
                Fate::Pass => true,
            };
            if passes {
                match self.ring.transmit(core::slice::from_ref(packet)) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(TransmitError::Refused { rule, .. }) => {
                        return Err(TransmitError::Refused {
                            accepted: taken,
                            rule,
                        });
                    }
                    Err(error) => return Err(error),
                }
            }
            taken += 1;
            self.send_due()?;
        }
        Ok(taken)
    }

    fn lend(&mut self, packet: RxPacket) -> Option<(RxFrame<'_, R::Region>, Self::Rest<'_>)> {
        let (frame, ring) = self.ring.lend(packet)?;
        let state = self.state.borrow_mut();
        Some((frame, FaultInjector { ring, state }))
    }

    fn rest(&mut self) -> Self::Rest<'_> {
        FaultInjector {
            ring: self.ring.rest(),
            state: self.state.borrow_mut(),
        }
    }

    passed_on!();
}

/// Turns one bit of the frame's first buffer over; `false` when the program does not own it.
fn corrupt<R: Ring>(ring: &mut R, packet: &RxPacket, random: &mut u64) -> bool {
    let dice = step(random);
    let start = packet.offset();
    let length = usize::from(packet.first_length()).max(1);
    let at = start + (dice >> 8) as usize % length;
    let buffer = ring.buffer_mut(packet.buffer());
    match buffer.and_then(|bytes| bytes.get_mut(at)) {
        Some(byte) => {
            *byte ^= 1 << (dice & 7);
            true
        }
        None => false,
    }
}

/// A copy of the frame in a buffer of its own.
fn duplicate<R: Ring>(ring: &mut R, packet: &RxPacket) -> Option<RxPacket> {
    if packet.segments() != 1 {
        return None;
    }
    let mut bytes = [0; 64];
    ring.buffer(packet.buffer())?;
    let copy = ring.take_buffer()?;
    let mut at = packet.offset();
    let end = at + packet.len();
    while at < end {
        let length = (end - at).min(bytes.len());
        let range = at..at + length;
        let piece = bytes.get_mut(..length)?;
        let whole = match ring
            .buffer(packet.buffer())
            .and_then(|from| from.get(range.clone()))
        {
            Some(from) => {
                piece.copy_from_slice(from);
                true
            }
            None => false,
        };
        match ring.buffer_mut(copy).and_then(|to| to.get_mut(range)) {
            Some(to) if whole => to.copy_from_slice(piece),
            _ => {
                ring.release_buffer(copy);
                return None;
            }
        }
        at += length;
    }
    Some(packet.in_buffer(copy).unverified())
}

/// The next number that looks random (xorshift64*).
fn step(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
}
