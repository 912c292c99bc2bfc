//! Well-behaved and hostile peers against a server with a memory-like device.

use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fastlinq_vfio_user::message::{
    Command, DeviceInfo, DmaAccess, DmaMap, DmaUnmap, Header, RegionAccess, SetIrqs, Version,
};
use fastlinq_vfio_user::{
    Device, DeviceShape, Errno, GuestMemory, InterruptLines, RegionShape, Server, StopFlag,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use zerocopy::{FromBytes, IntoBytes};

const REGION_SIZE: u64 = 0x1000;
const OFFSET_COPY: u64 = 0x800;
const OFFSET_SIGNAL: u64 = 0x808;

/// RAM, except that a store to `OFFSET_COPY` makes the device invert the guest dword at that
/// address, and one to `OFFSET_SIGNAL` signals an MSI-X vector.
struct Ram {
    bytes: Vec<u8>,
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

struct Bench {
    path: PathBuf,
    stop: StopFlag,
    resets: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    fn start(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vfio-user-{}-{name}", std::process::id()));
        let server = Server::bind(&path).expect("the socket");
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

    fn connect(&self) -> Peer {
        let stream = UnixStream::connect(&self.path).expect("connects");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a time-out");
        Peer { stream, next: 1 }
    }

    fn negotiated(&self) -> Peer {
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

struct Peer {
    stream: UnixStream,
    next: u16,
}

impl Peer {
    fn message(&mut self, command: Command, flags: u32, parts: &[&[u8]]) -> Vec<u8> {
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

    fn send_with(&mut self, command: Command, parts: &[&[u8]], fds: &[&OwnedFd]) {
        let bytes = self.message(command, 0, parts);
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(128))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        let sent = sendmsg(
            &self.stream,
            &[IoSlice::new(&bytes)],
            &mut ancillary,
            SendFlags::empty(),
        )
        .expect("sends");
        assert_eq!(sent, bytes.len());
    }

    fn receive(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut head = [0; Header::SIZE];
        self.stream.read_exact(&mut head).ok()?;
        let header = Header::read_from_bytes(&head).expect("a header");
        let mut body = vec![0; header.message_size.get() as usize - Header::SIZE];
        self.stream.read_exact(&mut body).ok()?;
        Some((header, body))
    }

    fn answer(&mut self) -> Result<Vec<u8>, u32> {
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

    fn call(&mut self, command: Command, parts: &[&[u8]]) -> Result<Vec<u8>, u32> {
        let bytes = self.message(command, 0, parts);
        self.stream.write_all(&bytes).expect("sends");
        self.answer()
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), u32> {
        let access = RegionAccess {
            offset: offset.into(),
            region: region.into(),
            count: (data.len() as u32).into(),
        };
        self.call(Command::REGION_WRITE, &[access.as_bytes(), data])
            .map(|_| ())
    }

    fn read(&mut self, region: u32, offset: u64, count: u32) -> Result<Vec<u8>, u32> {
        let access = RegionAccess {
            offset: offset.into(),
            region: region.into(),
            count: count.into(),
        };
        let body = self.call(Command::REGION_READ, &[access.as_bytes()])?;
        Ok(body[size_of::<RegionAccess>()..].to_vec())
    }

    fn map(&mut self, address: u64, size: u64, file: Option<&OwnedFd>) -> Result<(), u32> {
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

fn memory_file(size: u64) -> OwnedFd {
    let file = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).expect("a file");
    rustix::fs::ftruncate(&file, size).expect("its size");
    file
}

#[test]
fn registers_dma_and_interrupts_work() {
    let bench = Bench::start("works");
    let mut peer = bench.negotiated();
    let info = DeviceInfo {
        argsz: 16.into(),
        ..DeviceInfo::default()
    };
    let info = peer
        .call(Command::DEVICE_GET_INFO, &[info.as_bytes()])
        .expect("information");
    assert_eq!(
        DeviceInfo::read_from_bytes(&info)
            .expect("its size")
            .num_regions
            .get(),
        9
    );

    peer.write(0, 0x10, &[1, 2, 3, 4]).expect("a register");
    assert_eq!(peer.read(0, 0x10, 4), Ok(vec![1, 2, 3, 4]));

    let guest = memory_file(0x1000);
    rustix::io::pwrite(&guest, &0x1234_5678u32.to_le_bytes(), 0x20).expect("guest memory");
    peer.map(0x8000_0000, 0x1000, Some(&guest)).expect("mapped");
    peer.write(0, OFFSET_COPY, &0x8000_0020u64.to_le_bytes())
        .expect("DMA");
    let mut value = [0; 4];
    rustix::io::pread(&guest, &mut value, 0x20).expect("guest memory");
    assert_eq!(u32::from_le_bytes(value), !0x1234_5678);

    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    let request = SetIrqs {
        argsz: 20.into(),
        flags: (SetIrqs::DATA_EVENTFD | SetIrqs::ACTION_TRIGGER).into(),
        index: 2.into(),
        start: 1.into(),
        count: 1.into(),
    };
    peer.send_with(Command::DEVICE_SET_IRQS, &[request.as_bytes()], &[&writer]);
    peer.answer().expect("a vector");
    assert_eq!(
        peer.write(0, OFFSET_SIGNAL, &[0]),
        Err(22),
        "vector 0 has no eventfd"
    );
    peer.write(0, OFFSET_SIGNAL, &[1]).expect("signals");
    let mut count = [0; 8];
    rustix::io::read(&reader, &mut count).expect("signalled");
    assert_eq!(u64::from_ne_bytes(count), 1);
}

#[test]
fn memory_without_a_descriptor_is_reached_by_messages() {
    let bench = Bench::start("messages");
    let mut peer = bench.negotiated();
    peer.map(0x1000, 0x1000, None).expect("mapped");
    let access = RegionAccess {
        offset: OFFSET_COPY.into(),
        region: 0.into(),
        count: 8.into(),
    };
    let bytes = peer.message(
        Command::REGION_WRITE,
        0,
        &[access.as_bytes(), &0x1010u64.to_le_bytes()],
    );
    // A second command is already under way when the device asks for memory.
    let queued = RegionAccess {
        offset: 0x40.into(),
        region: 0.into(),
        count: 1.into(),
    };
    let queued = peer.message(Command::REGION_WRITE, 0, &[queued.as_bytes(), &[9]]);
    peer.stream
        .write_all(&[bytes, queued].concat())
        .expect("sends");

    let reply = |peer: &mut Peer, header: &Header, body: &[u8]| {
        let header = Header {
            message_size: ((Header::SIZE + body.len()) as u32).into(),
            flags: Header::REPLY.into(),
            ..*header
        };
        peer.stream
            .write_all(&[header.as_bytes(), body].concat())
            .expect("answers");
    };
    let (header, body) = peer.receive().expect("a read");
    assert_eq!(header.command.get(), Command::DMA_READ.0);
    let request = DmaAccess::read_from_bytes(&body).expect("its size");
    assert_eq!((request.address.get(), request.count.get()), (0x1010, 4));
    reply(&mut peer, &header, &[&body[..], &[0xf0, 0, 0, 0]].concat());
    let (header, body) = peer.receive().expect("a write");
    assert_eq!(header.command.get(), Command::DMA_WRITE.0);
    assert_eq!(body[16..], [0x0f, 0xff, 0xff, 0xff]);
    reply(&mut peer, &header, &body[..16]);
    for _ in 0..2 {
        let (header, _) = peer.receive().expect("both commands are answered");
        assert_eq!(header.error.get(), 0);
    }
    assert_eq!(peer.read(0, 0x40, 1), Ok(vec![9]));
}

#[test]
fn refused_messages_leave_the_stream_in_step() {
    let bench = Bench::start("refused");
    let mut peer = bench.negotiated();
    let payload = [0xa5; 300];
    assert_eq!(peer.call(Command(77), &[&payload]), Err(95));
    assert_eq!(peer.write(42, 0, &payload), Err(22), "no such region");
    assert_eq!(
        peer.write(7, 0, &payload[..4]),
        Err(22),
        "a read-only region"
    );
    assert_eq!(
        peer.write(0, REGION_SIZE - 2, &payload[..4]),
        Err(22),
        "past the end"
    );
    assert_eq!(peer.read(0, u64::MAX, 4), Err(22), "wraps");
    assert_eq!(peer.read(0, 0, u32::MAX), Err(22), "too long");
    assert_eq!(
        peer.call(Command::REGION_READ, &[&[1, 2, 3]]),
        Err(22),
        "cut short"
    );
    let access = RegionAccess {
        offset: 0.into(),
        region: 0.into(),
        count: 64.into(),
    };
    assert_eq!(
        peer.call(Command::REGION_WRITE, &[access.as_bytes(), &[0; 8]]),
        Err(22),
        "less data than said"
    );
    assert_eq!(peer.map(0, 0, None), Err(22));
    assert_eq!(peer.map(u64::MAX - 4, 64, None), Err(22));
    peer.map(0x1000, 0x1000, None).expect("mapped");
    assert_eq!(peer.map(0x1800, 0x1000, None), Err(17), "overlaps");
    let unmap = DmaUnmap {
        argsz: 24.into(),
        flags: 0.into(),
        address: 0x1000.into(),
        size: 8.into(),
    };
    assert_eq!(
        peer.call(Command::DMA_UNMAP, &[unmap.as_bytes()]),
        Err(22),
        "cuts a window in two"
    );
    peer.write(0, 0, &[5]).expect("the stream is still in step");
    assert_eq!(peer.read(0, 0, 1), Ok(vec![5]));
}

#[test]
fn interrupt_requests_outside_the_device_are_refused() {
    let bench = Bench::start("irqs");
    let mut peer = bench.negotiated();
    for (index, start, count) in [(9, 0, 1), (2, 4, 1), (2, u32::MAX, 2), (1, 0, 1)] {
        let request = SetIrqs {
            argsz: 20.into(),
            flags: (SetIrqs::DATA_EVENTFD | SetIrqs::ACTION_TRIGGER).into(),
            index: index.into(),
            start: start.into(),
            count: count.into(),
        };
        assert_eq!(
            peer.call(Command::DEVICE_SET_IRQS, &[request.as_bytes()]),
            Err(22)
        );
    }
}

#[test]
fn a_message_may_arrive_byte_by_byte() {
    let bench = Bench::start("pieces");
    let mut peer = bench.negotiated();
    let access = RegionAccess {
        offset: 8.into(),
        region: 0.into(),
        count: 2.into(),
    };
    for byte in peer.message(Command::REGION_WRITE, 0, &[access.as_bytes(), &[7, 8]]) {
        peer.stream.write_all(&[byte]).expect("sends");
    }
    peer.answer().expect("written");
    assert_eq!(peer.read(0, 8, 2), Ok(vec![7, 8]));
}

#[test]
fn versions_are_taken_with_and_without_text_and_refused_when_wrong() {
    let bench = Bench::start("versions");
    for (text, expected) in [
        (&b"{}\0"[..], Ok(())),
        (b"", Ok(())),
        (b"{\"capabilities\":{\"max_msg_fds\":8}}", Ok(())),
        (b"{\"capabilities\":", Err(22)),
        (b"\xff\xfe\0", Err(22)),
    ] {
        let mut peer = bench.connect();
        let version = Version {
            major: 0.into(),
            minor: 0.into(),
        };
        assert_eq!(
            peer.call(Command::VERSION, &[version.as_bytes(), text])
                .map(|_| ()),
            expected
        );
    }
    let mut peer = bench.connect();
    assert_eq!(peer.read(0, 0, 4), Err(22), "nothing before the version");
    let version = Version {
        major: 1.into(),
        minor: 0.into(),
    };
    assert_eq!(peer.call(Command::VERSION, &[version.as_bytes()]), Err(95));
}

#[test]
fn sizes_that_cannot_be_close_the_connection_only() {
    let bench = Bench::start("sizes");
    for size in [0u32, 15, u32::MAX, 3 << 20] {
        let mut peer = bench.connect();
        let header = Header {
            message_size: size.into(),
            ..Header::default()
        };
        peer.stream.write_all(header.as_bytes()).expect("sends");
        assert!(peer.receive().is_none(), "closed");
    }
    bench
        .negotiated()
        .write(0, 0, &[1])
        .expect("the next peer is served");
}

#[test]
fn too_many_descriptors_close_the_connection_only() {
    let bench = Bench::start("descriptors");
    let mut peer = bench.negotiated();
    let file = memory_file(0x1000);
    let many = vec![&file; 100];
    peer.send_with(Command::DMA_MAP, &[&[0; 32]], &many);
    assert!(peer.receive().is_none(), "closed");
    bench
        .negotiated()
        .write(0, 0, &[1])
        .expect("the next peer is served");
}

#[test]
fn a_peer_that_leaves_takes_its_memory_along_and_resets_the_device() {
    let bench = Bench::start("leaves");
    let mut peer = bench.negotiated();
    let guest = memory_file(0x1000);
    peer.map(0x1000, 0x1000, Some(&guest)).expect("mapped");
    peer.write(0, 0, &[1]).expect("a register");
    drop(peer);
    let mut peer = bench.negotiated();
    assert_eq!(bench.resets.load(Ordering::Relaxed), 1);
    assert_eq!(peer.read(0, 0, 1), Ok(vec![0]));
    assert_eq!(
        peer.write(0, OFFSET_COPY, &0x1000u64.to_le_bytes()),
        Err(5),
        "the window is gone"
    );
}

#[test]
fn a_memory_file_that_shrinks_is_an_error_for_one_access() {
    let bench = Bench::start("shrinks");
    let mut peer = bench.negotiated();
    let guest = memory_file(0x2000);
    peer.map(0, 0x2000, Some(&guest)).expect("mapped");
    rustix::fs::ftruncate(&guest, 0x1000).expect("shrinks");
    assert_eq!(peer.write(0, OFFSET_COPY, &0x1800u64.to_le_bytes()), Err(5));
    peer.write(0, OFFSET_COPY, &0x800u64.to_le_bytes())
        .expect("what is left still works");
}

#[test]
fn random_bytes_never_stop_the_server() {
    let bench = Bench::start("random");
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..400 {
        let mut peer = if round % 2 == 0 {
            bench.connect()
        } else {
            bench.negotiated()
        };
        for _ in 0..8 {
            let length = (random() % 64) as usize;
            let body: Vec<u8> = (0..length)
                .map(|_| {
                    if random() % 3 == 0 {
                        random() as u8
                    } else {
                        (random() % 4) as u8
                    }
                })
                .collect();
            let bytes = peer.message(
                Command((random() % 17) as u16),
                (random() % 64) as u32,
                &[&body],
            );
            if peer.stream.write_all(&bytes).is_err() {
                break;
            }
        }
    }
    bench
        .negotiated()
        .write(0, 0, &[1])
        .expect("the server still serves");
}

#[test]
fn a_path_that_is_no_socket_or_in_use_is_refused() {
    let bench = Bench::start("in-use");
    assert!(Server::bind(&bench.path).is_err());
    let file = std::env::temp_dir().join(format!("vfio-user-{}-file", std::process::id()));
    std::fs::write(&file, b"keep me").expect("a file");
    assert!(Server::bind(&file).is_err());
    assert_eq!(std::fs::read(&file).expect("still there"), b"keep me");
    std::fs::remove_file(&file).expect("removed");
}

#[test]
fn a_peer_that_never_reads_is_given_up() {
    let bench = Bench::start("deaf");
    let mut peer = bench.negotiated();
    let access = RegionAccess {
        offset: 0.into(),
        region: 0.into(),
        count: (REGION_SIZE as u32).into(),
    };
    peer.stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .expect("a time-out");
    let closed = (0..100_000).any(|_| {
        let bytes = peer.message(Command::REGION_READ, 0, &[access.as_bytes()]);
        peer.stream.write_all(&bytes).is_err()
    });
    assert!(closed, "the server takes requests without end");
    bench
        .negotiated()
        .write(0, 0, &[1])
        .expect("the next peer is served");
}

#[test]
fn half_a_message_does_not_keep_the_server_from_stopping() {
    let bench = Bench::start("half");
    let mut peer = bench.negotiated();
    let bytes = peer.message(Command::REGION_READ, 0, &[&[0; 16]]);
    peer.stream.write_all(&bytes[..21]).expect("sends");
    std::thread::sleep(Duration::from_millis(50));
    drop(bench);
    assert!(peer.receive().is_none());
}

#[test]
fn descriptors_that_are_no_memory_are_errors_of_single_accesses() {
    let bench = Bench::start("no-memory");
    let mut peer = bench.negotiated();
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    let directory: OwnedFd = std::fs::File::open("/").expect("a directory").into();
    let read_only: OwnedFd = std::fs::File::open("/dev/zero").expect("zeros").into();
    for (index, file) in (0u64..).zip([&reader, &writer, &directory, &read_only]) {
        let address = 0x10_0000 * index;
        peer.map(address, 0x1000, Some(file)).expect("mapped");
        assert_eq!(peer.write(0, OFFSET_COPY, &address.to_le_bytes()), Err(5));
    }
    peer.write(0, 0, &[1]).expect("the peer is still served");
}

#[test]
fn windows_come_and_go_while_the_device_uses_them() {
    let bench = Bench::start("churn");
    let mut peer = bench.negotiated();
    let guest = memory_file(0x4000);
    for round in 0..200u64 {
        let address = 0x1000 * (round % 7);
        peer.map(address, 0x1000, Some(&guest)).expect("mapped");
        assert_eq!(
            peer.map(address + 0x800, 0x1000, Some(&guest)),
            Err(17),
            "overlap"
        );
        peer.write(0, OFFSET_COPY, &address.to_le_bytes())
            .expect("mapped");
        let request = DmaUnmap {
            argsz: 24.into(),
            flags: 0.into(),
            address: address.into(),
            size: 0x1000.into(),
        };
        peer.call(Command::DMA_UNMAP, &[request.as_bytes()])
            .expect("unmapped");
        assert_eq!(
            peer.write(0, OFFSET_COPY, &address.to_le_bytes()),
            Err(5),
            "what is unmapped is out of reach"
        );
    }
}
