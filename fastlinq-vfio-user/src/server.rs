//! The server: takes one peer after the other and turns its messages into device accesses.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno as OsErrno;
use serde::Deserialize;
use zerocopy::{FromBytes, IntoBytes};

use crate::connection::{Connection, Message, TransportError};
use crate::device::{Device, DeviceShape};
use crate::interrupts::InterruptLines;
use crate::memory::{GuestMemory, locked};
use crate::message::{
    Command, DeviceInfo, DmaMap, DmaUnmap, Header, IrqInfo, MAX_DATA_TRANSFER, RegionAccess,
    RegionInfo, SetIrqs, SmallWrite, Version,
};

/// How often a waiting server looks at its stop flag.
const STOP_INTERVAL: Duration = Duration::from_millis(100);
/// Messages handled in a row before the device gets its turn.
const BURST: usize = 256;
/// Descriptors offered to be taken with one message: some clients refuse a server that offers more.
const OFFERED_FDS: usize = 16;
/// Minor version spoken; a peer that speaks an older one is answered in that.
const MINOR: u16 = 1;
/// Largest number of writes in one multiple-write message.
const MAX_MULTI_WRITES: u64 = 4096;

/// Ends [`Server::serve`] from a signal handler or another thread.
pub type StopFlag = Arc<AtomicBool>;

/// Why the server could not go on. What a peer does is never among the reasons.
#[derive(Debug)]
pub enum ServeError {
    /// The path exists and is no socket.
    NotASocket(PathBuf),
    /// Another process serves this socket.
    InUse(PathBuf),
    /// The operating system refused.
    Io(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASocket(path) => write!(f, "{} exists and is no socket", path.display()),
            Self::InUse(path) => write!(f, "{} is served by another process", path.display()),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<io::Error> for ServeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<OsErrno> for ServeError {
    fn from(errno: OsErrno) -> Self {
        Self::Io(errno.into())
    }
}

/// What a peer may say of itself when it connects; what is unknown is skipped.
#[derive(Debug, Default, Deserialize)]
struct Offer {
    #[serde(default)]
    #[allow(dead_code)]
    capabilities: serde_json::Map<String, serde_json::Value>,
}

/// A listening socket with the guest memory and the interrupt lines of whoever connects to it.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    memory: GuestMemory,
    interrupts: InterruptLines,
    busy_poll: Duration,
}

enum Outcome {
    Reply(Vec<u8>),
    Error(OsErrno),
}

impl Server {
    /// Listens at `path`. A socket that nobody serves any more is replaced.
    ///
    /// # Errors
    ///
    /// [`ServeError`].
    pub fn bind(path: &Path) -> Result<Self, ServeError> {
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            if !metadata.file_type().is_socket() {
                return Err(ServeError::NotASocket(path.into()));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(ServeError::InUse(path.into()));
            }
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            path: path.into(),
            memory: GuestMemory::default(),
            interrupts: InterruptLines::default(),
            busy_poll: Duration::ZERO,
        })
    }

    /// Looks for the next message for this long before it sleeps. A peer that makes one access after the other then need
    /// not wake the server for each, which takes longer than the access. Zero at first.
    #[must_use]
    pub fn with_busy_poll(mut self, busy_poll: Duration) -> Self {
        self.busy_poll = busy_poll;
        self
    }

    /// The memory of the connected peer.
    #[must_use]
    pub fn memory(&self) -> GuestMemory {
        self.memory.clone()
    }

    /// The interrupts of the connected peer.
    #[must_use]
    pub fn interrupts(&self) -> InterruptLines {
        self.interrupts.clone()
    }

    /// Serves peers, one at a time, until `stop` is set. The device is reset after each.
    ///
    /// # Errors
    ///
    /// [`ServeError`] when the listening socket fails.
    pub fn serve(&self, device: &mut impl Device, stop: &StopFlag) -> Result<(), ServeError> {
        while !stop.load(Ordering::Relaxed) {
            let pause = device.run().min(STOP_INTERVAL);
            if !wait(&self.listener, pause)? {
                continue;
            }
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            info!("a peer connected");
            self.serve_peer(stream, device, stop);
        }
        Ok(())
    }

    /// Serves one peer that is connected already, until it leaves, breaks the protocol, or `stop` is set. Its memory and
    /// interrupts are forgotten then, and the device is reset.
    ///
    /// One peer at a time: a call while another peer is served would take that one's memory away.
    pub fn serve_peer(&self, stream: UnixStream, device: &mut impl Device, stop: &StopFlag) {
        match Connection::new(stream) {
            Ok(connection) => {
                *locked(&self.memory.shared.connection) = Some(connection);
                match self.session(device, stop) {
                    Ok(()) => info!("stopped"),
                    Err(TransportError::Closed) => info!("the peer closed the connection"),
                    Err(error) => warn!("connection closed: {error}"),
                }
            }
            Err(error) => warn!("connection refused: {error}"),
        }
        *locked(&self.memory.shared.connection) = None;
        locked(&self.memory.shared.table).clear();
        self.interrupts.clear();
        device.reset();
    }

    fn session(&self, device: &mut impl Device, stop: &StopFlag) -> Result<(), TransportError> {
        let shape = device.shape();
        let mut negotiated = false;
        let mut active = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let mut handled = 0;
            while handled < BURST {
                let Some(message) = self.receive()? else {
                    break;
                };
                handled += 1;
                self.handle(device, &shape, &mut negotiated, message)?;
            }
            let pause = device.run().min(STOP_INTERVAL);
            if self.busy_poll > Duration::ZERO {
                if handled > 0 {
                    active = Instant::now();
                }
                if active.elapsed() < self.busy_poll {
                    std::thread::yield_now();
                    continue;
                }
            }
            if handled < BURST {
                self.wait_for_peer(pause)?;
            }
        }
        Ok(())
    }

    fn receive(&self) -> Result<Option<Message>, TransportError> {
        match locked(&self.memory.shared.connection).as_mut() {
            Some(connection) => connection.receive(),
            None => Err(TransportError::Closed),
        }
    }

    fn wait_for_peer(&self, pause: Duration) -> Result<(), TransportError> {
        let guard = locked(&self.memory.shared.connection);
        let connection = guard.as_ref().ok_or(TransportError::Closed)?;
        if !connection.has_waiting() {
            wait(connection, pause).map_err(TransportError::Os)?;
        }
        Ok(())
    }

    fn handle(
        &self,
        device: &mut impl Device,
        shape: &DeviceShape,
        negotiated: &mut bool,
        mut message: Message,
    ) -> Result<(), TransportError> {
        let header = message.header;
        let flags = header.flags.get();
        if flags & Header::TYPE_MASK != 0 {
            debug!("a reply that nobody waits for is dropped");
            return Ok(());
        }
        let fds = std::mem::take(&mut message.fds);
        let command = Command(header.command.get());
        let outcome = if command != Command::VERSION && !*negotiated {
            Outcome::Error(OsErrno::INVAL)
        } else {
            self.execute(device, shape, command, &message.body, fds)
        };
        if command == Command::VERSION && matches!(outcome, Outcome::Reply(_)) {
            *negotiated = true;
        }
        if let Outcome::Error(errno) = &outcome {
            debug!("command {} refused: {errno}", command.0);
        }
        if flags & Header::NO_REPLY != 0 {
            return Ok(());
        }
        let mut guard = locked(&self.memory.shared.connection);
        let connection = guard.as_mut().ok_or(TransportError::Closed)?;
        match outcome {
            Outcome::Reply(body) => connection.reply(&header, &[&body]),
            Outcome::Error(errno) => {
                connection.reply_error(&header, errno.raw_os_error().unsigned_abs())
            }
        }
    }

    fn execute(
        &self,
        device: &mut impl Device,
        shape: &DeviceShape,
        command: Command,
        body: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Outcome {
        let result = match command {
            Command::VERSION => version(body),
            Command::DMA_MAP => self.dma_map(body, fds),
            Command::DMA_UNMAP => self.dma_unmap(body),
            Command::DEVICE_GET_INFO => device_info(body, shape),
            Command::DEVICE_GET_REGION_INFO => region_info(body, shape),
            Command::DEVICE_GET_IRQ_INFO => irq_info(body, shape),
            Command::DEVICE_SET_IRQS => self.set_irqs(body, fds, shape),
            Command::REGION_READ => region_read(device, shape, body),
            Command::REGION_WRITE => region_write(device, shape, body),
            Command::REGION_WRITE_MULTI => region_write_multi(device, shape, body),
            Command::DEVICE_RESET => {
                device.reset();
                Ok(Vec::new())
            }
            _ => Err(OsErrno::NOTSUP),
        };
        match result {
            Ok(body) => Outcome::Reply(body),
            Err(errno) => Outcome::Error(errno),
        }
    }

    fn dma_map(&self, body: &[u8], mut fds: Vec<OwnedFd>) -> Result<Vec<u8>, OsErrno> {
        let (request, _) = prefix::<DmaMap>(body)?;
        if fds.len() > 1 {
            return Err(OsErrno::INVAL);
        }
        locked(&self.memory.shared.table).map(
            request.address.get(),
            request.size.get(),
            request.offset.get(),
            request.flags.get(),
            fds.pop(),
        )?;
        Ok(Vec::new())
    }

    fn dma_unmap(&self, body: &[u8]) -> Result<Vec<u8>, OsErrno> {
        const DIRTY_PAGES: u32 = 1 << 1;
        const ALL: u32 = 1 << 2;
        let (request, _) = prefix::<DmaUnmap>(body)?;
        let (address, size) = (request.address.get(), request.size.get());
        let mut table = locked(&self.memory.shared.table);
        match request.flags.get() {
            0 => table.unmap(address, size)?,
            ALL if address == 0 && size == 0 => table.clear(),
            flags if flags & DIRTY_PAGES != 0 => return Err(OsErrno::NOTSUP),
            _ => return Err(OsErrno::INVAL),
        }
        Ok(request.as_bytes().to_vec())
    }

    fn set_irqs(
        &self,
        body: &[u8],
        fds: Vec<OwnedFd>,
        shape: &DeviceShape,
    ) -> Result<Vec<u8>, OsErrno> {
        let (request, data) = prefix::<SetIrqs>(body)?;
        let available = *shape
            .interrupts
            .get(request.index.get() as usize)
            .ok_or(OsErrno::INVAL)?;
        self.interrupts.apply(&request, data, fds, available)?;
        Ok(Vec::new())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            debug!("{}: {error}", self.path.display());
        }
    }
}

fn prefix<T: FromBytes>(body: &[u8]) -> Result<(T, &[u8]), OsErrno> {
    T::read_from_prefix(body).map_err(|_| OsErrno::INVAL)
}

/// Waits until `on` is readable; false when `pause` is over first.
fn wait(on: &impl Waitable, pause: Duration) -> Result<bool, OsErrno> {
    let timeout = Timespec::try_from(pause).map_err(|_| OsErrno::INVAL)?;
    match poll(
        &mut [PollFd::from_borrowed_fd(on.descriptor(), PollFlags::IN)],
        Some(&timeout),
    ) {
        Ok(ready) => Ok(ready > 0),
        Err(OsErrno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

trait Waitable {
    fn descriptor(&self) -> std::os::fd::BorrowedFd<'_>;
}

impl Waitable for UnixListener {
    fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Waitable for Connection {
    fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.as_fd()
    }
}

fn version(body: &[u8]) -> Result<Vec<u8>, OsErrno> {
    let (request, text) = prefix::<Version>(body)?;
    if request.major.get() != 0 {
        return Err(OsErrno::NOTSUP);
    }
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if !text.is_empty() {
        serde_json::from_slice::<Offer>(text).map_err(|_| OsErrno::INVAL)?;
    }
    let answer = Version {
        major: 0.into(),
        minor: request.minor.get().min(MINOR).into(),
    };
    let capabilities = serde_json::json!({
        "capabilities": {
            "max_msg_fds": OFFERED_FDS,
            "max_data_xfer_size": MAX_DATA_TRANSFER,
            "write_multiple": true,
        }
    });
    let mut reply = answer.as_bytes().to_vec();
    reply.extend_from_slice(capabilities.to_string().as_bytes());
    reply.push(0);
    Ok(reply)
}

fn device_info(body: &[u8], shape: &DeviceShape) -> Result<Vec<u8>, OsErrno> {
    const RESET: u32 = 1;
    const PCI: u32 = 2;
    let (request, _) = prefix::<DeviceInfo>(body)?;
    if (request.argsz.get() as usize) < size_of::<DeviceInfo>() {
        return Err(OsErrno::INVAL);
    }
    let info = DeviceInfo {
        argsz: (size_of::<DeviceInfo>() as u32).into(),
        flags: (RESET | PCI).into(),
        num_regions: (shape.regions.len() as u32).into(),
        num_irqs: (shape.interrupts.len() as u32).into(),
    };
    Ok(info.as_bytes().to_vec())
}

fn region_info(body: &[u8], shape: &DeviceShape) -> Result<Vec<u8>, OsErrno> {
    let (request, _) = prefix::<RegionInfo>(body)?;
    let region = shape
        .regions
        .get(request.index.get() as usize)
        .ok_or(OsErrno::INVAL)?;
    let info = RegionInfo {
        argsz: (size_of::<RegionInfo>() as u32).into(),
        flags: (u32::from(region.readable) | u32::from(region.writable) << 1).into(),
        index: request.index,
        cap_offset: 0.into(),
        size: region.size.into(),
        offset: 0.into(),
    };
    Ok(info.as_bytes().to_vec())
}

fn irq_info(body: &[u8], shape: &DeviceShape) -> Result<Vec<u8>, OsErrno> {
    const EVENTFD: u32 = 1;
    const NO_RESIZE: u32 = 8;
    let (request, _) = prefix::<IrqInfo>(body)?;
    let count = *shape
        .interrupts
        .get(request.index.get() as usize)
        .ok_or(OsErrno::INVAL)?;
    let info = IrqInfo {
        argsz: (size_of::<IrqInfo>() as u32).into(),
        flags: (EVENTFD | NO_RESIZE).into(),
        index: request.index,
        count: count.into(),
    };
    Ok(info.as_bytes().to_vec())
}

/// Checks an access against the region that it names.
fn bounds(
    shape: &DeviceShape,
    region: u32,
    offset: u64,
    count: u64,
    write: bool,
) -> Result<(), OsErrno> {
    let region = shape.regions.get(region as usize).ok_or(OsErrno::INVAL)?;
    let permitted = if write {
        region.writable
    } else {
        region.readable
    };
    let end = offset.checked_add(count).ok_or(OsErrno::INVAL)?;
    if permitted && end <= region.size && count <= MAX_DATA_TRANSFER as u64 {
        Ok(())
    } else {
        Err(OsErrno::INVAL)
    }
}

fn refused(errno: crate::Errno) -> OsErrno {
    OsErrno::from_raw_os_error(errno.0 as i32)
}

fn region_read(
    device: &mut impl Device,
    shape: &DeviceShape,
    body: &[u8],
) -> Result<Vec<u8>, OsErrno> {
    let (request, _) = prefix::<RegionAccess>(body)?;
    let (region, offset) = (request.region.get(), request.offset.get());
    let count = request.count.get();
    bounds(shape, region, offset, u64::from(count), false)?;
    let mut reply = request.as_bytes().to_vec();
    let head = reply.len();
    reply.resize(head + count as usize, 0);
    device
        .read(region, offset, &mut reply[head..])
        .map_err(refused)?;
    Ok(reply)
}

fn region_write(
    device: &mut impl Device,
    shape: &DeviceShape,
    body: &[u8],
) -> Result<Vec<u8>, OsErrno> {
    let (request, data) = prefix::<RegionAccess>(body)?;
    let (region, offset) = (request.region.get(), request.offset.get());
    bounds(shape, region, offset, u64::from(request.count.get()), true)?;
    if data.len() != request.count.get() as usize {
        return Err(OsErrno::INVAL);
    }
    device.write(region, offset, data).map_err(refused)?;
    Ok(request.as_bytes().to_vec())
}

fn region_write_multi(
    device: &mut impl Device,
    shape: &DeviceShape,
    body: &[u8],
) -> Result<Vec<u8>, OsErrno> {
    let (count, mut rest) = prefix::<zerocopy::little_endian::U64>(body)?;
    let count = count.get();
    if count > MAX_MULTI_WRITES {
        return Err(OsErrno::INVAL);
    }
    for _ in 0..count {
        let (write, behind) = prefix::<SmallWrite>(rest)?;
        rest = behind;
        let (region, offset) = (write.region.get(), write.offset.get());
        let data = write
            .data
            .get(..write.count.get() as usize)
            .ok_or(OsErrno::INVAL)?;
        bounds(shape, region, offset, data.len() as u64, true)?;
        device.write(region, offset, data).map_err(refused)?;
    }
    Ok(count.to_le_bytes().to_vec())
}
