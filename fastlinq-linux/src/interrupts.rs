//! Interrupts: one eventfd per MSI-X vector, to wait on alone, several at a time, or in somebody else's event loop.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use rustix::io::Errno;

/// An MSI-X vector of the adapter.
///
/// Its descriptor becomes readable when the interrupt fires; [`AsFd`] and [`AsRawFd`] are what an event loop registers
/// (`mio::unix::SourceFd`, `tokio::io::unix::AsyncFd`). Clones are handles to the same vector.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use fastlinq_linux::vfio_user::VfioUserHost;
///
/// let host = VfioUserHost::options("/tmp/adapter").vectors(2).open()?;
/// let vector = &host.vectors()[1];
/// if vector.wait(Some(Duration::from_millis(100)))? > 0 {
///     // look at the queue, then enable its interrupt again
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Vector {
    eventfd: Arc<OwnedFd>,
    number: u16,
}

impl Vector {
    pub(crate) fn new(number: u16) -> io::Result<Self> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            eventfd: Arc::new(eventfd),
            number,
        })
    }

    pub(crate) fn all(count: u16) -> io::Result<Vec<Self>> {
        (0..count).map(Self::new).collect()
    }

    /// Number of the vector.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// How often the interrupt fired since the last look; does not wait.
    ///
    /// # Errors
    ///
    /// What the operating system says when the descriptor cannot be read.
    pub fn take(&self) -> io::Result<u64> {
        let mut count = [0; 8];
        loop {
            match rustix::io::read(&self.eventfd, &mut count) {
                Ok(8) => return Ok(u64::from_ne_bytes(count)),
                Ok(_) | Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits until the interrupt has fired and takes it; 0 when the time is over first. `None` waits for ever.
    ///
    /// # Errors
    ///
    /// What the operating system says when the descriptor cannot be waited on.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<u64> {
        let timeout = timeout.map(timespec).transpose()?;
        match poll(
            &mut [PollFd::new(&*self.eventfd, PollFlags::IN)],
            timeout.as_ref(),
        ) {
            Ok(0) | Err(Errno::INTR) => Ok(0),
            Ok(_) => self.take(),
            Err(errno) => Err(errno.into()),
        }
    }

    #[cfg(test)]
    fn fire(&self) {
        let written = rustix::io::write(&*self.eventfd, &1u64.to_ne_bytes());
        assert_eq!(written, Ok(8));
    }
}

impl AsFd for Vector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

impl AsRawFd for Vector {
    fn as_raw_fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }
}

/// Waits for any of several vectors (epoll).
#[derive(Debug)]
pub struct VectorSet {
    epoll: OwnedFd,
    vectors: Vec<Vector>,
}

impl VectorSet {
    /// Watches these vectors.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn new(vectors: impl IntoIterator<Item = Vector>) -> io::Result<Self> {
        let set = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            vectors: vectors.into_iter().collect(),
        };
        for (index, vector) in (0..).zip(&set.vectors) {
            let data = epoll::EventData::new_u64(index);
            epoll::add(&set.epoll, vector, data, epoll::EventFlags::IN)?;
        }
        Ok(set)
    }

    /// Waits until at least one vector has fired, takes what fired, and calls `fired` with each vector and how often it did.
    /// Returns how many vectors that were; 0 when the time is over first. `None` waits for ever.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn wait(
        &self,
        timeout: Option<Duration>,
        mut fired: impl FnMut(&Vector, u64),
    ) -> io::Result<usize> {
        let timeout = timeout.map(timespec).transpose()?;
        let mut events = Vec::with_capacity(self.vectors.len().max(1));
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            timeout.as_ref(),
        ) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(0),
            Err(errno) => return Err(errno.into()),
        }
        let mut count = 0;
        for event in events {
            let index = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            if let Some(vector) = self.vectors.get(index) {
                let times = vector.take()?;
                if times > 0 {
                    fired(vector, times);
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

impl AsFd for VectorSet {
    /// Readable when any of the vectors has fired.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn timespec(duration: Duration) -> io::Result<Timespec> {
    Timespec::try_from(duration).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_counts_and_waits() {
        let vector = Vector::new(3).expect("an eventfd");
        assert_eq!(vector.take().expect("read"), 0);
        assert_eq!(
            vector.wait(Some(Duration::from_millis(1))).expect("waited"),
            0
        );
        vector.fire();
        vector.fire();
        assert_eq!(vector.wait(None).expect("waited"), 2);
        assert_eq!(vector.take().expect("read"), 0);
    }

    #[test]
    fn a_set_tells_which_vectors_fired() {
        let vectors = Vector::all(4).expect("eventfds");
        let set = VectorSet::new(vectors.clone()).expect("an epoll");
        let mut seen = Vec::new();
        let soon = Some(Duration::from_millis(1));
        assert_eq!(set.wait(soon, |_, _| unreachable!()).expect("waited"), 0);
        vectors[1].fire();
        vectors[3].fire();
        vectors[3].fire();
        let count = set.wait(None, |vector, times| seen.push((vector.number(), times)));
        assert_eq!(count.expect("waited"), 2);
        seen.sort_unstable();
        assert_eq!(seen, [(1, 1), (3, 2)]);
        assert_eq!(set.wait(soon, |_, _| unreachable!()).expect("waited"), 0);
    }

    #[test]
    fn an_event_loop_of_somebody_else_takes_a_vector() {
        let vector = Vector::new(0).expect("an eventfd");
        let mut poll = mio::Poll::new().expect("a poll");
        let raw = vector.as_raw_fd();
        let mut source = mio::unix::SourceFd(&raw);
        poll.registry()
            .register(&mut source, mio::Token(7), mio::Interest::READABLE)
            .expect("registered");
        let mut events = mio::Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::from_millis(1)))
            .expect("polled");
        assert!(events.is_empty());
        let from = vector.clone();
        let thread = std::thread::spawn(move || from.fire());
        poll.poll(&mut events, Some(Duration::from_secs(10)))
            .expect("polled");
        assert!(events.iter().any(|event| event.token() == mio::Token(7)));
        thread.join().expect("no panic");
        assert_eq!(vector.take().expect("read"), 1);
    }
}
