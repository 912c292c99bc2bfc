//! Framing: whole messages with their descriptors over a stream socket.

use std::collections::VecDeque;
use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::message::{Command, DmaAccess, Header, MAX_FDS, MAX_MESSAGE};

/// Commands that may wait while the device waits for a DMA reply.
const MAX_DEFERRED: usize = 256;
/// Bytes taken from the socket at a time.
const CHUNK: usize = 16 << 10;
/// How long a peer may take to answer a DMA request, or to take a reply from us.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection ended.
#[derive(Debug)]
pub enum TransportError {
    /// The peer closed its end.
    Closed,
    /// The operating system refused.
    Os(Errno),
    /// A message says that it is shorter than its header or longer than [`MAX_MESSAGE`].
    BadSize(u32),
    /// More than [`MAX_FDS`] descriptors came with one message, or some were lost on the way.
    TooManyDescriptors,
    /// The peer did not answer or did not take data in time.
    Timeout,
    /// More commands arrived during one device access than are kept.
    Flooded,
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "the peer closed the connection"),
            Self::Os(errno) => write!(f, "socket: {errno}"),
            Self::BadSize(size) => write!(f, "a message claims to be {size} bytes long"),
            Self::TooManyDescriptors => write!(f, "more than {MAX_FDS} descriptors in a message"),
            Self::Timeout => write!(f, "the peer did not react in time"),
            Self::Flooded => write!(f, "more than {MAX_DEFERRED} commands during one access"),
        }
    }
}

impl std::error::Error for TransportError {}

/// A complete message.
#[derive(Debug)]
pub struct Message {
    /// Its header.
    pub header: Header,
    /// What follows the header.
    pub body: Vec<u8>,
    /// Descriptors that came with it.
    pub fds: Vec<OwnedFd>,
}

/// A stream socket that carries vfio-user messages.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    incoming: Incoming,
    deferred: VecDeque<Message>,
    next_id: u16,
}

/// What was read and not yet taken.
#[derive(Debug)]
struct Incoming {
    /// Bytes `start..end` are valid.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Descriptors, each with the position in `buffer` behind the last byte that came with it. The kernel ends a read after
    /// the bytes that carried descriptors, so that byte is one of their message.
    fds: VecDeque<(usize, OwnedFd)>,
}

impl Incoming {
    fn new() -> Self {
        Self {
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            fds: VecDeque::new(),
        }
    }

    /// Header and length of the message at the front, if its header is there.
    fn front(&self) -> Result<Option<(Header, usize)>, TransportError> {
        let Ok((header, _)) = Header::read_from_prefix(&self.buffer[self.start..self.end]) else {
            return Ok(None);
        };
        let size = header.message_size.get();
        let length = size as usize;
        if (Header::SIZE..=MAX_MESSAGE).contains(&length) {
            Ok(Some((header, length)))
        } else {
            Err(TransportError::BadSize(size))
        }
    }

    fn has_message(&self) -> bool {
        match self.front() {
            Ok(Some((_, length))) => self.end - self.start >= length,
            Ok(None) => false,
            // The next read says so.
            Err(_) => true,
        }
    }

    fn take(&mut self) -> Result<Option<Message>, TransportError> {
        let Some((header, length)) = self.front()? else {
            return Ok(None);
        };
        if self.end - self.start < length {
            return Ok(None);
        }
        let end = self.start + length;
        let body = self.buffer[self.start + Header::SIZE..end].to_vec();
        let own = self.fds.iter().take_while(|(at, _)| *at <= end).count();
        let fds = self.fds.drain(..own).map(|(_, fd)| fd).collect();
        self.start = end;
        Ok(Some(Message { header, body, fds }))
    }

    /// Makes room behind what is there. Grown as data comes in, so that a header alone cannot make us reserve a megabyte.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        for (at, _) in &mut self.fds {
            *at -= self.start;
        }
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        } else if self.end == 0 {
            self.buffer.truncate(4 * CHUNK);
            self.buffer.shrink_to(4 * CHUNK);
        }
    }

    /// Reads what is there; false when the socket is empty.
    fn fill(&mut self, stream: &UnixStream) -> Result<bool, TransportError> {
        self.make_room();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let result = recvmsg(
            stream,
            &mut [IoSliceMut::new(&mut self.buffer[self.end..])],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
        );
        let received = match result {
            Ok(message) => {
                if message.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
                    return Err(TransportError::TooManyDescriptors);
                }
                message.bytes
            }
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(errno) => return Err(TransportError::Os(errno)),
        };
        self.end += received;
        for item in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = item {
                self.fds.extend(fds.map(|fd| (self.end, fd)));
            }
        }
        if self.fds.len() > MAX_FDS {
            return Err(TransportError::TooManyDescriptors);
        }
        if received == 0 {
            return Err(TransportError::Closed);
        }
        Ok(true)
    }
}

impl Connection {
    /// Takes a connected socket.
    ///
    /// # Errors
    ///
    /// [`TransportError::Os`] when the socket cannot be made non-blocking.
    pub fn new(stream: UnixStream) -> Result<Self, TransportError> {
        rustix::io::ioctl_fionbio(&stream, true).map_err(TransportError::Os)?;
        Ok(Self {
            stream,
            incoming: Incoming::new(),
            deferred: VecDeque::new(),
            next_id: 0,
        })
    }

    /// The descriptor to wait on.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Whether [`receive`](Self::receive) has something to say without anything more from the socket.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.deferred.is_empty() || self.incoming.has_message()
    }

    /// Returns the next whole message, or `None` when its bytes have not all arrived.
    ///
    /// # Errors
    ///
    /// Any [`TransportError`]; the connection is of no use afterwards.
    pub fn receive(&mut self) -> Result<Option<Message>, TransportError> {
        match self.deferred.pop_front() {
            Some(message) => Ok(Some(message)),
            None => self.receive_fresh(),
        }
    }

    pub(crate) fn receive_fresh(&mut self) -> Result<Option<Message>, TransportError> {
        loop {
            if let Some(message) = self.incoming.take()? {
                return Ok(Some(message));
            }
            if !self.incoming.fill(&self.stream)? {
                return Ok(None);
            }
        }
    }

    /// Sends a reply to `to` that carries `parts` as its body.
    ///
    /// # Errors
    ///
    /// Any [`TransportError`].
    pub fn reply(&mut self, to: &Header, parts: &[&[u8]]) -> Result<(), TransportError> {
        self.send(
            to.message_id.get(),
            to.command.get(),
            Header::REPLY,
            0,
            parts,
        )
    }

    /// Sends an error reply.
    ///
    /// # Errors
    ///
    /// Any [`TransportError`].
    pub fn reply_error(&mut self, to: &Header, errno: u32) -> Result<(), TransportError> {
        self.send(
            to.message_id.get(),
            to.command.get(),
            Header::REPLY | Header::ERROR,
            errno,
            &[],
        )
    }

    fn send(
        &mut self,
        message_id: u16,
        command: u16,
        flags: u32,
        error: u32,
        parts: &[&[u8]],
    ) -> Result<(), TransportError> {
        let deadline = Instant::now() + PEER_TIMEOUT;
        self.send_with(message_id, command, flags, error, parts, &[], deadline)
    }

    /// Sends a message whose descriptors, if any, go with its first byte.
    #[allow(clippy::too_many_arguments)] // the header's fields, and what follows it
    pub(crate) fn send_with(
        &mut self,
        message_id: u16,
        command: u16,
        flags: u32,
        error: u32,
        parts: &[&[u8]],
        fds: &[BorrowedFd<'_>],
        deadline: Instant,
    ) -> Result<(), TransportError> {
        let length = Header::SIZE + parts.iter().map(|part| part.len()).sum::<usize>();
        let header = Header {
            message_id: message_id.into(),
            command: command.into(),
            message_size: (length as u32).into(),
            flags: flags.into(),
            error: error.into(),
        };
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(header.as_bytes());
        for part in parts {
            bytes.extend_from_slice(part);
        }
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let first = rest.len() == bytes.len();
            if first && !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
                return Err(TransportError::TooManyDescriptors);
            }
            let sent = sendmsg(
                &self.stream,
                &[IoSlice::new(rest)],
                &mut ancillary,
                SendFlags::NOSIGNAL,
            );
            match sent {
                Ok(count) => rest = &rest[count..],
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, deadline)?,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(TransportError::Closed),
                Err(errno) => return Err(TransportError::Os(errno)),
            }
        }
        Ok(())
    }

    pub(crate) fn wait(&self, flags: PollFlags, deadline: Instant) -> Result<(), TransportError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| TransportError::Timeout)?;
        match poll(&mut [PollFd::new(&self.stream, flags)], Some(&timeout)) {
            Ok(0) => Err(TransportError::Timeout),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(TransportError::Os(errno)),
        }
    }

    /// Asks the peer for guest memory that came without a descriptor.
    ///
    /// `Ok(false)`: the peer refused.
    ///
    /// # Errors
    ///
    /// Any [`TransportError`].
    pub fn dma_read(&mut self, address: u64, out: &mut [u8]) -> Result<bool, TransportError> {
        let access = DmaAccess {
            address: address.into(),
            count: (out.len() as u64).into(),
        };
        let Some(body) = self.request(Command::DMA_READ, &[access.as_bytes()])? else {
            return Ok(false);
        };
        match body.get(size_of::<DmaAccess>()..) {
            Some(data) if data.len() == out.len() => {
                out.copy_from_slice(data);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Gives the peer data for guest memory that came without a descriptor.
    ///
    /// `Ok(false)`: the peer refused.
    ///
    /// # Errors
    ///
    /// Any [`TransportError`].
    pub fn dma_write(&mut self, address: u64, data: &[u8]) -> Result<bool, TransportError> {
        let access = DmaAccess {
            address: address.into(),
            count: (data.len() as u64).into(),
        };
        let body = self.request(Command::DMA_WRITE, &[access.as_bytes(), data])?;
        Ok(body.is_some())
    }

    fn request(
        &mut self,
        command: Command,
        parts: &[&[u8]],
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.send(id, command.0, 0, 0, parts)?;
        let deadline = Instant::now() + PEER_TIMEOUT;
        loop {
            let Some(message) = self.receive_fresh()? else {
                self.wait(PollFlags::IN, deadline)?;
                continue;
            };
            let flags = message.header.flags.get();
            if flags & Header::TYPE_MASK != Header::REPLY {
                if self.deferred.len() == MAX_DEFERRED {
                    return Err(TransportError::Flooded);
                }
                self.deferred.push_back(message);
            } else if message.header.message_id.get() == id {
                return Ok((flags & Header::ERROR == 0).then_some(message.body));
            }
        }
    }
}
