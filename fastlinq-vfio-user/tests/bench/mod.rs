//! A server with a memory-like device, and peers of it that say what they like.
#![allow(dead_code, unreachable_pub)]

use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fastlinq_vfio_user::message::{Command, DmaMap, Header, RegionAccess, Version};
use fastlinq_vfio_user::{
    Device, DeviceShape, Errno, GuestMemory, InterruptLines, RegionShape, Server, StopFlag,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use zerocopy::{FromBytes, IntoBytes};

pub const REGION_SIZE: u64 = 0x1000;
pub const OFFSET_COPY: u64 = 0x800;
pub const OFFSET_SIGNAL: u64 = 0x808;

/// RAM, except that a store to `OFFSET_COPY` makes the device invert the guest dword at that
/// address, and one to `OFFSET_SIGNAL` signals an MSI-X vector.
pub struct Ram {
    pub bytes: Vec<u8>,
    memory: GuestMemory,
    interrupts: InterruptLines,
    resets: Arc<AtomicU32>,
}

impl Device for Ram {
    fn shape(&self) -> DeviceShape {
        let mut regions = [RegionShape::default(); 9];
        regions[0] = RegionShape {
            size: REGION_SIZE,
            readable: true,
            writable: true,
        };
        regions[7] = RegionShape {
            size: 256,
            readable: true,
            writable: false,
        };
        DeviceShape {
            regions,
            interrupts: [1, 0, 4, 0, 0],
        }
    }

    fn read(&mut self, _region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let start = offset as usize;
        data.copy_from_slice(&self.bytes[start..start + data.len()]);
        Ok(())
    }

    fn write(&mut self, _region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let start = offset as usize;
        self.bytes[start..start + data.len()].copy_from_slice(data);
        if let (OFFSET_COPY, Ok(address)) = (offset, data.try_into()) {
            let address = u64::from_le_bytes(address);
            let mut value = [0; 4];
            self.memory
                .read(address, &mut value)
                .map_err(|_| Errno::IO)?;
            let inverted = (!u32::from_le_bytes(value)).to_le_bytes();
            self.memory
                .write(address, &inverted)
                .map_err(|_| Errno::IO)?;
        }
        if offset == OFFSET_SIGNAL && !self.interrupts.signal(InterruptLines::MSIX, data[0].into())
        {
            return Err(Errno::INVALID);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.bytes.fill(0);
        self.resets.fetch_add(1, Ordering::Relaxed);
    }

    fn run(&mut self) -> Duration {
        Duration::from_millis(5)
    }
}

pub struct Bench {
    pub path: PathBuf,
    stop: StopFlag,
    pub resets: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    pub fn start(name: &str) -> Self {
        Self::with_busy_poll(name, Duration::ZERO)
    }

    pub fn with_busy_poll(name: &str, busy_poll: Duration) -> Self {
        let path = std::env::temp_dir().join(format!("vfio-user-{}-{name}", std::process::id()));
        let server = Server::bind(&path)
            .expect("the socket")
            .with_busy_poll(busy_poll);
        let stop: StopFlag = Arc::new(AtomicBool::new(false));
        let resets = Arc::new(AtomicU32::new(0));
        let mut device = Ram {
            bytes: vec![0; REGION_SIZE as usize],
            memory: server.memory(),
            interrupts: server.interrupts(),
            resets: resets.clone(),
        };
        let flag = stop.clone();
        let thread = std::thread::spawn(move || server.serve(&mut device, &flag).expect("serves"));
        Self {
            path,
            stop,
            resets,
            thread: Some(thread),
        }
    }

    pub fn connect(&self) -> Peer {
        let stream = UnixStream::connect(&self.path).expect("connects");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a time-out");
        Peer { stream, next: 1 }
    }

    pub fn negotiated(&self) -> Peer {
        let mut peer = self.connect();
        let version = Version {
            major: 0.into(),
            minor: 1.into(),
        };
        peer.call(
            Command::VERSION,
            &[version.as_bytes(), b"{\"capabilities\":{}}\0"],
        )
        .expect("a version");
        peer
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().expect("started").join();
        assert!(!self.path.exists(), "the socket is removed");
        if !std::thread::panicking() {
            ended.expect("the server did not panic");
        }
    }
}

pub struct Peer {
    pub stream: UnixStream,
    next: u16,
}

impl Peer {
    pub fn message(&mut self, command: Command, flags: u32, parts: &[&[u8]]) -> Vec<u8> {
        let id = self.next;
        self.next += 1;
        let body = parts.concat();
        let header = Header {
            message_id: id.into(),
            command: command.0.into(),
            message_size: ((Header::SIZE + body.len()) as u32).into(),
            flags: flags.into(),
            error: 0.into(),
        };
        [header.as_bytes(), &body].concat()
    }

    pub fn send_with(&mut self, command: Command, parts: &[&[u8]], fds: &[&OwnedFd]) {
        let bytes = self.message(command, 0, parts);
        self.send_bytes(&bytes, fds);
    }

    pub fn send_bytes(&mut self, bytes: &[u8], fds: &[&OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(128))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        let sent = sendmsg(
            &self.stream,
            &[IoSlice::new(bytes)],
            &mut ancillary,
            SendFlags::empty(),
        )
        .expect("sends");
        assert_eq!(sent, bytes.len());
    }

    pub fn receive(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut head = [0; Header::SIZE];
        self.stream.read_exact(&mut head).ok()?;
        let header = Header::read_from_bytes(&head).expect("a header");
        let mut body = vec![0; header.message_size.get() as usize - Header::SIZE];
        self.stream.read_exact(&mut body).ok()?;
        Some((header, body))
    }

    pub fn answer(&mut self) -> Result<Vec<u8>, u32> {
        let (header, body) = self.receive().expect("an answer");
        assert_eq!(
            header.message_id.get(),
            self.next - 1,
            "answers come in order"
        );
        assert_eq!(header.flags.get() & Header::TYPE_MASK, Header::REPLY);
        if header.flags.get() & Header::ERROR == 0 {
            Ok(body)
        } else {
            Err(header.error.get())
        }
    }

    pub fn call(&mut self, command: Command, parts: &[&[u8]]) -> Result<Vec<u8>, u32> {
        let bytes = self.message(command, 0, parts);
        self.stream.write_all(&bytes).expect("sends");
        self.answer()
    }

    pub fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), u32> {
        let access = RegionAccess {
            offset: offset.into(),
            region: region.into(),
            count: (data.len() as u32).into(),
        };
        self.call(Command::REGION_WRITE, &[access.as_bytes(), data])
            .map(|_| ())
    }

    pub fn read(&mut self, region: u32, offset: u64, count: u32) -> Result<Vec<u8>, u32> {
        let access = RegionAccess {
            offset: offset.into(),
            region: region.into(),
            count: count.into(),
        };
        let body = self.call(Command::REGION_READ, &[access.as_bytes()])?;
        Ok(body[size_of::<RegionAccess>()..].to_vec())
    }

    pub fn map(&mut self, address: u64, size: u64, file: Option<&OwnedFd>) -> Result<(), u32> {
        let request = DmaMap {
            argsz: 32.into(),
            flags: 3.into(),
            offset: 0.into(),
            address: address.into(),
            size: size.into(),
        };
        match file {
            Some(file) => {
                self.send_with(Command::DMA_MAP, &[request.as_bytes()], &[file]);
                self.answer().map(|_| ())
            }
            None => self
                .call(Command::DMA_MAP, &[request.as_bytes()])
                .map(|_| ()),
        }
    }
}

pub fn memory_file(size: u64) -> OwnedFd {
    let file = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).expect("a file");
    rustix::fs::ftruncate(&file, size).expect("its size");
    file
}
