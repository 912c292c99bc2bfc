//! embassy-net: `Driver` of `embassy-net-driver` 0.2 for [`Phy`].
//!
//! No executor and no timer is needed here. Who notices that something happened, an interrupt handler or a task that looks
//! now and then, calls [`Signals::wake`], and the stack's task looks again.
//!
//! | [`Wakeups`] | the stack's task is woken |
//! |---|---|
//! | `Interrupt` | by the queue pair's interrupt: its handler calls [`Signals::wake`]; the driver arms it before the task sleeps |
//! | `Signal` | whenever the program calls [`Signals::wake`], after a timer for instance |
//! | `Busy` | at once: the task never sleeps, and the executor's other tasks run in between |

use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};

use atomic_waker::AtomicWaker;
use embassy_net_driver_0_2::{
    Capabilities, Checksum, ChecksumCapabilities, Driver, HardwareAddress, LinkState, RxToken,
    TxToken,
};

use crate::frame::RxFrame;
use crate::ring::Ring;
use crate::signal::{QueueSignal, WaitFor};

pub use crate::signal::Wakeups;

use super::phy::{Phy, RxChecksums, TxChecksums, TxSlot};

/// What interrupt handlers and the control task tell a driver; lives longer than both.
#[derive(Debug)]
pub struct Signals {
    queue: QueueSignal,
    waits_for_link: AtomicWaker,
    link: AtomicBool,
}

impl Signals {
    /// Nobody waits, and the link is down.
    pub const fn new() -> Self {
        Self {
            queue: QueueSignal::new(),
            waits_for_link: AtomicWaker::new(),
            link: AtomicBool::new(false),
        }
    }

    /// Wakes the stack's task. May be called from an interrupt handler.
    pub fn wake(&self) {
        self.queue.wake();
    }

    /// Tells whether the link is up, as [`Event::Link`](fastlinq_hal::adapter::Event) says.
    pub fn set_link(&self, up: bool) {
        if self.link.swap(up, Ordering::AcqRel) != up {
            self.waits_for_link.wake();
        }
    }

    /// Whether the link is up.
    pub fn link(&self) -> bool {
        self.link.load(Ordering::Acquire)
    }
}

impl Default for Signals {
    fn default() -> Self {
        Self::new()
    }
}

/// A queue pair as embassy-net wants it.
#[derive(Debug)]
pub struct EmbassyDriver<'s, R> {
    phy: Phy<R>,
    signals: &'s Signals,
    wakeups: Wakeups,
    address: [u8; 6],
}

impl<'s, R: Ring> EmbassyDriver<'s, R> {
    /// Makes a driver with the MAC address of the interface.
    pub const fn new(
        phy: Phy<R>,
        address: [u8; 6],
        signals: &'s Signals,
        wakeups: Wakeups,
    ) -> Self {
        Self {
            phy,
            signals,
            wakeups,
            address,
        }
    }

    /// The phy.
    pub const fn phy(&self) -> &Phy<R> {
        &self.phy
    }

    /// The phy, for everything that a stack does not do.
    pub const fn phy_mut(&mut self) -> &mut Phy<R> {
        &mut self.phy
    }

    /// Gives the phy back.
    pub fn into_phy(self) -> Phy<R> {
        self.phy
    }

    /// Whether `there` says so, now or after the waker was registered.
    fn wait_for(
        &mut self,
        cx: &Context<'_>,
        what: WaitFor,
        there: impl Fn(&mut Phy<R>) -> bool,
    ) -> bool {
        let wait = (what, self.wakeups);
        let queue = &self.signals.queue;
        let found = queue.poll(cx, wait, &mut self.phy, Phy::ring_mut, |phy| {
            if there(phy) {
                return Poll::Ready(());
            }
            Poll::Pending
        });
        found.is_ready()
    }
}

/// A received frame.
#[derive(Debug)]
pub struct Received<'a, M>(RxFrame<'a, M>);

impl<M> RxToken for Received<'_, M> {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(mut self, read: F) -> T {
        read(&mut self.0)
    }
}

/// Room for a frame to send.
#[derive(Debug)]
pub struct Room<'a, R: Ring>(TxSlot<'a, R>);

impl<R: Ring> TxToken for Room<'_, R> {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, length: usize, fill: F) -> T {
        self.0.send(length, fill)
    }
}

impl<R: Ring> Driver for EmbassyDriver<'_, R> {
    type RxToken<'a>
        = Received<'a, R::Region>
    where
        Self: 'a;
    type TxToken<'a>
        = Room<'a, R::Rest<'a>>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        if !self.wait_for(cx, WaitFor::Frames, Phy::poll_frame) {
            return None;
        }
        let (frame, slot) = self.phy.receive()?;
        Some((Received(frame), Room(slot)))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        if !self.wait_for(cx, WaitFor::Room, Phy::poll_room) {
            return None;
        }
        self.phy.transmit().map(Room)
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.signals.waits_for_link.register(cx.waker());
        if self.signals.link() {
            LinkState::Up
        } else {
            LinkState::Down
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut checksum = ChecksumCapabilities::default();
        let transport = match (self.phy.checksums(), self.phy.sent_checksums()) {
            (RxChecksums::Stack, TxChecksums::Stack) => Checksum::Both,
            (RxChecksums::Device, TxChecksums::Stack) => Checksum::Tx,
            (RxChecksums::Stack, TxChecksums::Device) => Checksum::Rx,
            (RxChecksums::Device, TxChecksums::Device) => Checksum::None,
        };
        checksum.ipv4 = transport;
        checksum.tcp = transport;
        checksum.udp = transport;
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = self.phy.frame_bytes();
        capabilities.checksum = checksum;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}
