//! The client: drives a PCI device that another process serves.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use log::debug;
use rustix::event::PollFlags;
use serde::Deserialize;
use zerocopy::{FromBytes, IntoBytes};

use crate::connection::{Connection, Message, PEER_TIMEOUT, TransportError};
use crate::message::{
    Command, DeviceInfo, DmaMap, DmaUnmap, Header, IrqInfo, MAX_DATA_TRANSFER, MAX_FDS,
    RegionAccess, RegionInfo, SetIrqs, Version,
};

/// Descriptors that a peer takes with one message when it does not say otherwise.
const DEFAULT_FDS: usize = 1;
/// Requests of the device, and replies that nobody waits for, that are tolerated while one reply is awaited.
const MAX_STRAY: u32 = 4096;
/// Number that means "not supported" in an error reply.
const ENOTSUP: u32 = 95;

/// Why a request to the device has no good answer.
#[derive(Debug)]
pub enum ClientError {
    /// There is no server at the path.
    Connect(io::Error),
    /// The connection broke down, or the server does not answer in time.
    Transport(TransportError),
    /// An earlier request broke the connection.
    GivenUp,
    /// The server speaks another version of the protocol.
    Version {
        /// Its incompatible number; 0 is spoken here.
        major: u16,
        /// Its compatible number.
        minor: u16,
    },
    /// The server refused a command.
    Refused {
        /// The command.
        command: Command,
        /// The error number that it gave.
        errno: u32,
    },
    /// The server's reply to a command makes no sense.
    Malformed {
        /// The command.
        command: Command,
        /// What is wrong.
        what: &'static str,
        /// The value that is wrong.
        value: u64,
    },
    /// The caller asked for something that the protocol has no room for.
    TooLong {
        /// Bytes or descriptors asked for.
        wanted: usize,
        /// As many as there may be.
        limit: usize,
    },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Transport(error) => error.fmt(f),
            Self::GivenUp => f.write_str("an earlier request broke the connection"),
            Self::Version { major, minor } => {
                write!(f, "the server speaks version {major}.{minor}, not 0.x")
            }
            Self::Refused { command, errno } => {
                let reason = io::Error::from_raw_os_error(*errno as i32);
                write!(f, "the server refused {}: {reason}", command.name())
            }
            Self::Malformed {
                command,
                what,
                value,
            } => write!(
                f,
                "the reply to {} makes no sense: {what} ({value:#x})",
                command.name()
            ),
            Self::TooLong { wanted, limit } => {
                write!(f, "{wanted} do not fit into a message that holds {limit}")
            }
        }
    }
}

impl std::error::Error for ClientError {}

impl From<TransportError> for ClientError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

/// What the device says about itself as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceFeatures {
    /// Whether it can be reset by request.
    pub reset: bool,
    /// Whether it is a PCI device.
    pub pci: bool,
    /// Number of regions.
    pub regions: u32,
    /// Number of interrupt indexes.
    pub interrupts: u32,
}

/// A region that may be mapped into this process.
#[derive(Debug)]
pub struct Mapping {
    /// The file to map.
    pub file: OwnedFd,
    /// Where the region begins in it.
    pub offset: u64,
}

/// A region of the device: a BAR, or configuration space at index 7.
#[derive(Debug)]
pub struct Region {
    /// Bytes; 0 when there is no such region.
    pub size: u64,
    /// Whether reads are allowed.
    pub readable: bool,
    /// Whether writes are allowed.
    pub writable: bool,
    /// How to map it, when the server offers the whole of it. The file is the server's: it may be shortened
    /// at any time unless it is sealed.
    pub mapping: Option<Mapping>,
}

#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Debug, Default, Deserialize)]
struct Capabilities {
    max_msg_fds: Option<u64>,
    max_data_xfer_size: Option<u64>,
}

struct Reply {
    body: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// A connection to a device in another process.
///
/// Every request waits for its reply, no longer than the patience given at the start. The server is not trusted: a
/// reply that is too short, too long, of another command or never comes is an error. After an error of the transport
/// the connection is given up, and all later requests fail at once.
#[derive(Debug)]
pub struct Client {
    connection: Option<Connection>,
    patience: Duration,
    next_id: u16,
    max_fds: usize,
    max_data: usize,
}

impl Client {
    /// How long a request waits for its reply when nobody says otherwise.
    pub const PATIENCE: Duration = PEER_TIMEOUT;

    /// Connects to the server at a path and agrees on the version.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn connect(path: &Path, patience: Duration) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(ClientError::Connect)?;
        Self::new(stream, patience)
    }

    /// Takes a connected socket and agrees on the version.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn new(stream: UnixStream, patience: Duration) -> Result<Self, ClientError> {
        let mut client = Self {
            connection: Some(Connection::new(stream)?),
            patience,
            next_id: 0,
            max_fds: DEFAULT_FDS,
            max_data: MAX_DATA_TRANSFER,
        };
        client.negotiate()?;
        Ok(client)
    }

    fn negotiate(&mut self) -> Result<(), ClientError> {
        let command = Command::VERSION;
        let version = Version {
            major: 0.into(),
            minor: 1.into(),
        };
        let offer = serde_json::json!({
            "capabilities": { "max_msg_fds": MAX_FDS, "max_data_xfer_size": MAX_DATA_TRANSFER }
        });
        let mut text = offer.to_string().into_bytes();
        text.push(0);
        let reply = self.request(command, &[version.as_bytes(), &text], &[])?;
        let (version, text) = head::<Version>(command, &reply.body)?;
        if version.major.get() != 0 {
            return Err(ClientError::Version {
                major: version.major.get(),
                minor: version.minor.get(),
            });
        }
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let answer = if text.is_empty() {
            Answer::default()
        } else {
            serde_json::from_slice(text).map_err(|error| ClientError::Malformed {
                command,
                what: "its capabilities cannot be read",
                value: error.column() as u64,
            })?
        };
        let limit = |asked: Option<u64>, default: usize, most: usize| {
            asked.map_or(default, |asked| {
                usize::try_from(asked).unwrap_or(most).min(most)
            })
        };
        self.max_fds = limit(answer.capabilities.max_msg_fds, DEFAULT_FDS, MAX_FDS);
        self.max_data = limit(
            answer.capabilities.max_data_xfer_size,
            MAX_DATA_TRANSFER,
            MAX_DATA_TRANSFER,
        );
        Ok(())
    }

    /// Whether an error of the transport ended the connection.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.connection.is_none()
    }

    /// Asks what the device is.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn features(&mut self) -> Result<DeviceFeatures, ClientError> {
        const RESET: u32 = 1;
        const PCI: u32 = 2;
        let command = Command::DEVICE_GET_INFO;
        let request = DeviceInfo {
            argsz: (size_of::<DeviceInfo>() as u32).into(),
            ..DeviceInfo::default()
        };
        let reply = self.request(command, &[request.as_bytes()], &[])?;
        let (info, _) = head::<DeviceInfo>(command, &reply.body)?;
        let flags = info.flags.get();
        Ok(DeviceFeatures {
            reset: flags & RESET != 0,
            pci: flags & PCI != 0,
            regions: info.num_regions.get(),
            interrupts: info.num_irqs.get(),
        })
    }

    /// Asks what a region is.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn region(&mut self, index: u32) -> Result<Region, ClientError> {
        const CAPABILITIES: u32 = 1 << 3;
        const MAPPABLE: u32 = 1 << 2;
        let command = Command::DEVICE_GET_REGION_INFO;
        let request = RegionInfo {
            argsz: (size_of::<RegionInfo>() as u32).into(),
            index: index.into(),
            ..RegionInfo::default()
        };
        let mut reply = self.request(command, &[request.as_bytes()], &[])?;
        let (info, _) = head::<RegionInfo>(command, &reply.body)?;
        expect(command, "another region", info.index.get(), index)?;
        let flags = info.flags.get();
        let whole = flags & MAPPABLE != 0 && flags & CAPABILITIES == 0;
        let file = reply.fds.pop().filter(|_| whole);
        Ok(Region {
            size: info.size.get(),
            readable: flags & 1 != 0,
            writable: flags & 2 != 0,
            mapping: file.map(|file| Mapping {
                file,
                offset: info.offset.get(),
            }),
        })
    }

    /// Asks how many interrupts an index has; 0 when they cannot be delivered by eventfd.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn interrupts(&mut self, index: u32) -> Result<u32, ClientError> {
        const EVENTFD: u32 = 1;
        let command = Command::DEVICE_GET_IRQ_INFO;
        let request = IrqInfo {
            argsz: (size_of::<IrqInfo>() as u32).into(),
            index: index.into(),
            ..IrqInfo::default()
        };
        let reply = self.request(command, &[request.as_bytes()], &[])?;
        let (info, _) = head::<IrqInfo>(command, &reply.body)?;
        expect(command, "another index", info.index.get(), index)?;
        let usable = info.flags.get() & EVENTFD != 0;
        Ok(if usable { info.count.get() } else { 0 })
    }

    /// Has interrupts `start` and following of an index signal these eventfds.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn set_eventfds(
        &mut self,
        index: u32,
        start: u32,
        eventfds: &[BorrowedFd<'_>],
    ) -> Result<(), ClientError> {
        let flags = SetIrqs::DATA_EVENTFD | SetIrqs::ACTION_TRIGGER;
        let at_once = self.max_fds.max(1);
        for (part, fds) in (0..).zip(eventfds.chunks(at_once)) {
            let first = start + part * at_once as u32;
            self.set_irqs(index, flags, first, fds)?;
        }
        Ok(())
    }

    /// Takes all eventfds of an index away.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn disable_interrupts(&mut self, index: u32) -> Result<(), ClientError> {
        let flags = SetIrqs::DATA_NONE | SetIrqs::ACTION_TRIGGER;
        self.set_irqs(index, flags, 0, &[])
    }

    fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), ClientError> {
        let request = SetIrqs {
            argsz: (size_of::<SetIrqs>() as u32).into(),
            flags: flags.into(),
            index: index.into(),
            start: start.into(),
            count: (fds.len() as u32).into(),
        };
        self.request(Command::DEVICE_SET_IRQS, &[request.as_bytes()], fds)?;
        Ok(())
    }

    /// Lets the device read and write `size` bytes of a file from `offset` on, at a bus address.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn map(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        address: u64,
        size: u64,
    ) -> Result<(), ClientError> {
        const READ_WRITE: u32 = 3;
        let request = DmaMap {
            argsz: (size_of::<DmaMap>() as u32).into(),
            flags: READ_WRITE.into(),
            offset: offset.into(),
            address: address.into(),
            size: size.into(),
        };
        self.request(Command::DMA_MAP, &[request.as_bytes()], &[file])?;
        Ok(())
    }

    /// Takes memory away from the device. When this returns without error, the device does not reach it any more.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn unmap(&mut self, address: u64, size: u64) -> Result<(), ClientError> {
        let request = DmaUnmap {
            argsz: (size_of::<DmaUnmap>() as u32).into(),
            flags: 0.into(),
            address: address.into(),
            size: size.into(),
        };
        self.request(Command::DMA_UNMAP, &[request.as_bytes()], &[])?;
        Ok(())
    }

    /// Reads from a region.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), ClientError> {
        let command = Command::REGION_READ;
        let request = self.access(region, offset, data.len())?;
        let reply = self.request(command, &[request.as_bytes()], &[])?;
        let (answer, read) = head::<RegionAccess>(command, &reply.body)?;
        expect(command, "another region", answer.region.get(), region)?;
        expect(command, "another offset", answer.offset.get(), offset)?;
        expect(
            command,
            "another count",
            answer.count.get() as usize,
            data.len(),
        )?;
        expect(command, "data of another length", read.len(), data.len())?;
        data.copy_from_slice(read);
        Ok(())
    }

    /// Writes to a region, and waits until the device has taken it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), ClientError> {
        let command = Command::REGION_WRITE;
        let request = self.access(region, offset, data.len())?;
        let reply = self.request(command, &[request.as_bytes(), data], &[])?;
        let (answer, _) = head::<RegionAccess>(command, &reply.body)?;
        expect(
            command,
            "another count",
            answer.count.get() as usize,
            data.len(),
        )
    }

    fn access(&self, region: u32, offset: u64, count: usize) -> Result<RegionAccess, ClientError> {
        if count > self.max_data {
            return Err(ClientError::TooLong {
                wanted: count,
                limit: self.max_data,
            });
        }
        Ok(RegionAccess {
            offset: offset.into(),
            region: region.into(),
            count: (count as u32).into(),
        })
    }

    /// Puts the device back to power-up.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn reset(&mut self) -> Result<(), ClientError> {
        self.request(Command::DEVICE_RESET, &[], &[])?;
        Ok(())
    }

    fn request(
        &mut self,
        command: Command,
        parts: &[&[u8]],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Reply, ClientError> {
        if fds.len() > self.max_fds.max(DEFAULT_FDS) {
            return Err(ClientError::TooLong {
                wanted: fds.len(),
                limit: self.max_fds,
            });
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let deadline = Instant::now() + self.patience;
        let connection = self.connection.as_mut().ok_or(ClientError::GivenUp)?;
        match exchange(connection, id, command, parts, fds, deadline) {
            Ok(message) => answer(command, message),
            Err(error) => {
                self.connection = None;
                Err(error.into())
            }
        }
    }
}

/// Sends a command and waits for its reply, whatever that says.
fn exchange(
    connection: &mut Connection,
    id: u16,
    command: Command,
    parts: &[&[u8]],
    fds: &[BorrowedFd<'_>],
    deadline: Instant,
) -> Result<Message, TransportError> {
    connection.send_with(id, command.0, 0, 0, parts, fds, deadline)?;
    let mut strays = 0;
    while strays < MAX_STRAY {
        let Some(message) = connection.receive_fresh()? else {
            connection.wait(PollFlags::IN, deadline)?;
            continue;
        };
        let flags = message.header.flags.get();
        let is_reply = flags & Header::TYPE_MASK == Header::REPLY;
        if is_reply && message.header.message_id.get() == id {
            return Ok(message);
        }
        strays += 1;
        if Instant::now() >= deadline {
            return Err(TransportError::Timeout);
        }
        // All memory goes to the device with its descriptor, so it has no reason to ask for any.
        debug!("message {:?} of the server is refused", message.header);
        if !is_reply && flags & Header::NO_REPLY == 0 {
            connection.reply_error(&message.header, ENOTSUP)?;
        }
    }
    Err(TransportError::Flooded)
}

fn answer(command: Command, message: Message) -> Result<Reply, ClientError> {
    let header = message.header;
    if header.flags.get() & Header::ERROR != 0 {
        return Err(ClientError::Refused {
            command,
            errno: header.error.get(),
        });
    }
    expect(
        command,
        "a reply to another command",
        header.command.get(),
        command.0,
    )?;
    Ok(Reply {
        body: message.body,
        fds: message.fds,
    })
}

fn head<T: FromBytes>(command: Command, body: &[u8]) -> Result<(T, &[u8]), ClientError> {
    T::read_from_prefix(body).map_err(|_| ClientError::Malformed {
        command,
        what: "it is too short",
        value: body.len() as u64,
    })
}

fn expect<T: PartialEq + TryInto<u64>>(
    command: Command,
    what: &'static str,
    value: T,
    wanted: T,
) -> Result<(), ClientError> {
    if value == wanted {
        return Ok(());
    }
    Err(ClientError::Malformed {
        command,
        what,
        value: value.try_into().unwrap_or(u64::MAX),
    })
}
