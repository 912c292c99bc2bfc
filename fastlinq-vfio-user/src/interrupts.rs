//! Interrupts: eventfds that the peer gave for each vector.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::memory::locked;
use crate::message::SetIrqs;

/// How long a signal is kept for a line whose eventfd was taken away. A hypervisor takes all of a device's eventfds and
/// gives them anew when its guest begins to use one more; what falls between would be lost. On a busy machine that takes
/// long, and one signal too many does no harm.
const KEEP: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Lines {
    lines: [Vec<Line>; 5],
}

#[derive(Debug, Default)]
struct Line {
    eventfd: Option<OwnedFd>,
    /// Whether it had one before.
    taken: bool,
    missed: Option<Instant>,
}

impl Line {
    fn signal(&mut self) -> bool {
        match &self.eventfd {
            Some(eventfd) => {
                // A full counter means that the peer has not looked yet: the interrupt is not lost.
                let written = rustix::io::write(eventfd, &1u64.to_ne_bytes());
                matches!(written, Ok(_) | Err(Errno::AGAIN))
            }
            None => {
                if self.taken {
                    self.missed = Some(Instant::now());
                }
                false
            }
        }
    }

    fn assign(&mut self, eventfd: Option<OwnedFd>) {
        self.taken |= self.eventfd.is_some();
        self.eventfd = eventfd;
        let missed = self.missed.filter(|at| at.elapsed() < KEEP);
        if self.eventfd.is_some() {
            self.missed = None;
            if missed.is_some() {
                self.signal();
            }
        }
    }
}

/// The device's handle to its interrupts; clones are handles to the same lines.
#[derive(Clone, Debug, Default)]
pub struct InterruptLines {
    lines: Arc<Mutex<Lines>>,
}

impl InterruptLines {
    /// Interrupt index of INTx.
    pub const INTX: usize = 0;
    /// Interrupt index of MSI.
    pub const MSI: usize = 1;
    /// Interrupt index of MSI-X.
    pub const MSIX: usize = 2;

    /// Signals one vector; false when the peer has given no eventfd for it.
    pub fn signal(&self, index: usize, vector: usize) -> bool {
        let mut lines = locked(&self.lines);
        let line = lines.lines.get_mut(index);
        line.and_then(|line| line.get_mut(vector))
            .is_some_and(Line::signal)
    }

    pub(crate) fn clear(&self) {
        *locked(&self.lines) = Lines::default();
    }

    /// Applies a request whose index and range were checked against `available` lines.
    pub(crate) fn apply(
        &self,
        request: &SetIrqs,
        data: &[u8],
        fds: Vec<OwnedFd>,
        available: u32,
    ) -> Result<(), Errno> {
        let flags = request.flags.get();
        let index = request.index.get() as usize;
        let (start, count) = (request.start.get(), request.count.get());
        let end = start
            .checked_add(count)
            .filter(|end| *end <= available)
            .ok_or(Errno::INVAL)?;
        if flags & SetIrqs::ACTION_TRIGGER == 0 {
            // Masking goes through the MSI-X table of the device, which the peer writes as well.
            return Ok(());
        }
        if flags & SetIrqs::DATA_EVENTFD != 0 {
            return self.assign(index, start as usize, count as usize, fds);
        }
        if flags & SetIrqs::DATA_NONE != 0 && count == 0 {
            if let Some(line) = locked(&self.lines).lines.get_mut(index) {
                for line in line {
                    line.assign(None);
                }
            }
            return Ok(());
        }
        for (position, vector) in (start..end).enumerate() {
            let wanted = flags & SetIrqs::DATA_BOOL == 0
                || data.get(position).is_some_and(|byte| *byte != 0);
            if wanted {
                self.signal(index, vector as usize);
            }
        }
        Ok(())
    }

    fn assign(
        &self,
        index: usize,
        start: usize,
        count: usize,
        fds: Vec<OwnedFd>,
    ) -> Result<(), Errno> {
        if fds.len() > count {
            return Err(Errno::INVAL);
        }
        let mut lines = locked(&self.lines);
        let line = lines.lines.get_mut(index).ok_or(Errno::INVAL)?;
        if line.len() < start + count {
            line.resize_with(start + count, Line::default);
        }
        let mut fds = fds.into_iter();
        for slot in line.iter_mut().skip(start).take(count) {
            let eventfd = fds.next();
            if let Some(eventfd) = &eventfd {
                // A blocking descriptor could stop the device for ever.
                rustix::io::ioctl_fionbio(eventfd, true)?;
            }
            slot.assign(eventfd);
        }
        Ok(())
    }
}
