//! An end of the cable that `fastlinq model serve --wire cable:PATH` plugs in: a UNIX socket that keeps the bounds of frames.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// An Ethernet frame without FCS.
const FRAME: usize = 1514;

/// An end of a cable.
pub(crate) struct Cable {
    stream: OwnedFd,
    /// Whether the other end is gone.
    pub(crate) pulled: bool,
}

impl Cable {
    /// Connects to the end that the adapter made; `None` when there is none yet.
    pub(crate) fn connect(path: &Path) -> Result<Option<Self>, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let stream = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        match connect(&stream, &SocketAddrUnix::new(path)?) {
            Ok(()) => Ok(Some(Self {
                stream,
                pulled: false,
            })),
            Err(Errno::NOENT | Errno::CONNREFUSED | Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Waits for a frame, at most so long.
    pub(crate) fn wait(&self, time: Duration) {
        let mut waiting = [PollFd::new(&self.stream, PollFlags::IN)];
        let time = Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: time.subsec_nanos().into(),
        };
        // A wait that is cut short is a shorter wait.
        let _ = poll(&mut waiting, Some(&time));
    }
}

pub(crate) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub(crate) struct Transmit<'a>(&'a Cable);

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        // A frame that the cable has no room for is lost, as on any cable.
        let _ = send(
            &self.0.stream,
            &frame,
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        );
        result
    }
}

impl Device for Cable {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Transmit<'_>)> {
        let mut frame = vec![0; 16 * 1024];
        match recv(&self.stream, frame.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.pulled = true,
            Ok((length, _)) => {
                frame.truncate(length);
                return Some((Received(frame), Transmit(self)));
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.pulled = true,
        }
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Transmit<'_>> {
        Some(Transmit(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}
