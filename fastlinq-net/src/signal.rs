//! Waiting for a queue pair instead of polling it: what interrupt handlers tell, and whom.

use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll};

use atomic_waker::AtomicWaker;

use crate::ring::Ring;

/// What wakes a task that waits for frames, or for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Wakeups {
    /// The queue pair's interrupt, which is armed before the task sleeps.
    Interrupt,
    /// [`QueueSignal::wake`] alone, from a timer for instance.
    Signal,
    /// Nothing has to: the task wakes itself.
    Busy,
}

/// Wakes the tasks that wait for a queue pair; lives longer than both. No executor and no timer is needed for it.
///
/// One task can wait for frames ([`QueuePair::poll_receive`]) and one for room ([`QueuePair::poll_transmit`]); they may be
/// the same. Each queue pair has a signal of its own.
///
/// | host | who calls [`wake`](Self::wake) |
/// |---|---|
/// | bare metal, a kernel | the handler of the queue pair's vector; it does nothing else |
/// | Linux userspace | whoever waits for the vector's eventfd: a thread, or the event loop (`epoll`, an async runtime) |
/// | without interrupts | a timer; the device is armed all the same, which does no harm |
///
/// | a task that finds nothing | so that |
/// |---|---|
/// | registers its waker | a call of `wake` from now on wakes it |
/// | reads the device's count of changes, and looks again | what came in between is seen |
/// | arms the interrupt with that count | the device fires at once when it has moved on since |
///
/// Frames that are lent as handles come back without an interrupt. Where handles can take all buffers, so that the device
/// has none to receive into, call [`wake`](Self::wake) after dropping them.
///
/// Known by: the model, with a change at every step of the above.
///
/// # Examples
///
/// ```
/// use core::future::poll_fn;
/// use fastlinq_net::{Fault, QueueDevice, QueuePair, QueueSignal, RxPacket};
///
/// static SIGNAL: QueueSignal = QueueSignal::new();
///
/// // What the interrupt handler does.
/// fn on_interrupt() {
///     SIGNAL.wake();
/// }
///
/// /// Sends everything back, for ever, and sleeps while there is nothing to do.
/// async fn echo<D: QueueDevice>(queue: &mut QueuePair<'_, D>) -> Result<(), Fault> {
///     let mut burst = [RxPacket::EMPTY; 32];
///     loop {
///         let taken = poll_fn(|cx| queue.poll_receive(cx, &SIGNAL, &mut burst)).await?;
///         let mut rest = &burst[..taken];
///         while !rest.is_empty() {
///             match poll_fn(|cx| queue.poll_transmit(cx, &SIGNAL, rest)).await {
///                 Ok(sent) => rest = &rest[sent..],
///                 Err(error) => panic!("{error}"),
///             }
///         }
///     }
/// }
/// # on_interrupt();
/// ```
///
/// [`QueuePair::poll_receive`]: crate::QueuePair::poll_receive
/// [`QueuePair::poll_transmit`]: crate::QueuePair::poll_transmit
#[derive(Debug)]
pub struct QueueSignal {
    receiver: AtomicWaker,
    sender: AtomicWaker,
    /// The device's count of changes when the interrupt was armed last.
    armed: AtomicU32,
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitFor {
    Frames,
    Room,
}

impl QueueSignal {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self {
            receiver: AtomicWaker::new(),
            sender: AtomicWaker::new(),
            armed: AtomicU32::new(0),
        }
    }

    /// Wakes who waits. May be called from an interrupt handler, and once too often.
    pub fn wake(&self) {
        self.receiver.wake();
        self.sender.wake();
    }

    /// Looks; if there is nothing, sees to it that the task is woken when there is, and looks again, since it may have come
    /// in between.
    pub(crate) fn poll<S, R: Ring, T>(
        &self,
        cx: &Context<'_>,
        (what, wakeups): (WaitFor, Wakeups),
        on: &mut S,
        ring: impl Fn(&mut S) -> &mut R,
        mut look: impl FnMut(&mut S) -> Poll<T>,
    ) -> Poll<T> {
        let found = look(on);
        if found.is_ready() {
            return found;
        }
        if wakeups == Wakeups::Busy {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (own, other) = match what {
            WaitFor::Frames => (&self.receiver, &self.sender),
            WaitFor::Room => (&self.sender, &self.receiver),
        };
        own.register(cx.waker());
        let seen = ring(on).status();
        let found = look(on);
        if found.is_ready() || wakeups == Wakeups::Signal {
            return found;
        }
        // Both directions have one count. What it counted since may be what the other task waits for, and arming
        // acknowledges it.
        if self.armed.swap(seen, Ordering::Relaxed) != seen {
            other.wake();
        }
        // Fires at once when the device has moved on since `seen`.
        ring(on).arm(seen);
        Poll::Pending
    }
}

impl Default for QueueSignal {
    fn default() -> Self {
        Self::new()
    }
}
