//! The vfio-user host on a device that a thread serves, and with servers that lie, stall or leave.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastlinq_hal::host::{Bar, DmaAllocator, DmaRegion, Host};
use fastlinq_linux::vfio_user::{VfioUserError, VfioUserHost};
use fastlinq_vfio_user::message::{Command, Header};
use fastlinq_vfio_user::{
    ClientError, Device, DeviceShape, Errno, GuestMemory, InterruptLines, RegionShape, Server,
    TransportError,
};
use zerocopy::{FromBytes, IntoBytes};

/// Registers are RAM. A store to doorbell 0 has the device add 1 to the dword whose address is in registers 0 and 4;
/// one to doorbell 4 fires that vector.
struct Adder {
    registers: Vec<u8>,
    config: Vec<u8>,
    memory: GuestMemory,
    interrupts: InterruptLines,
}

impl Device for Adder {
    fn shape(&self) -> DeviceShape {
        let open = |size| RegionShape {
            size,
            readable: true,
            writable: true,
        };
        let mut regions = [RegionShape::default(); 9];
        regions[0] = open(0x1000);
        regions[2] = open(0x1000);
        regions[7] = open(256);
        DeviceShape {
            regions,
            interrupts: [1, 0, 40, 0, 0],
        }
    }

    fn read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let bytes = if region == 7 {
            &self.config
        } else {
            &self.registers
        };
        data.copy_from_slice(&bytes[offset as usize..][..data.len()]);
        Ok(())
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        match (region, offset) {
            (2, 0) => {
                let address = u64::from_le_bytes(self.registers[..8].try_into().expect("8 bytes"));
                let mut value = [0; 4];
                let memory = &self.memory;
                memory.read(address, &mut value).map_err(|_| Errno::IO)?;
                let more = (u32::from_le_bytes(value) + 1).to_le_bytes();
                memory.write(address, &more).map_err(|_| Errno::IO)
            }
            (2, 4) => {
                self.interrupts.signal(InterruptLines::MSIX, data[0].into());
                Ok(())
            }
            (7, _) => {
                self.config[offset as usize..][..data.len()].copy_from_slice(data);
                Ok(())
            }
            _ => {
                self.registers[offset as usize..][..data.len()].copy_from_slice(data);
                Ok(())
            }
        }
    }

    fn reset(&mut self) {
        self.registers.fill(0);
        self.config[4..6].fill(0);
    }

    fn run(&mut self) -> Duration {
        Duration::from_millis(2)
    }
}

struct Served {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

fn serve() -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("adapter");
    let server = Server::bind(&path).expect("bound");
    let mut config = vec![0; 256];
    config[..4].copy_from_slice(&[0x77, 0x10, 0x70, 0x80]);
    config[8] = 2;
    let mut device = Adder {
        registers: vec![0; 0x1000],
        config,
        memory: server.memory(),
        interrupts: server.interrupts(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let thread = std::thread::spawn(move || server.serve(&mut device, &flag).expect("serves"));
    Served {
        path,
        stop,
        thread: Some(thread),
        _directory: directory,
    }
}

impl Served {
    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn registers_memory_interrupts_and_reset() {
    let served = serve();
    let host = VfioUserHost::options(&served.path).vectors(99).open();
    let mut host = host.expect("an adapter");
    assert_eq!(
        (host.identity().vendor, host.identity().device),
        (0x1077, 0x8070)
    );
    assert_eq!(host.interrupt_vectors(), 40, "no more than there are");
    let (registers, doorbells) = (host.registers(), host.doorbells());
    let region = host.allocate(4, 4).expect("memory");
    let address = region.bus_address().value();
    registers.write32(0, address as u32);
    registers.write32(4, (address >> 32) as u32);
    for _ in 0..3 {
        doorbells.write32(0, 0);
    }
    // SAFETY: inside the region, and the device is done.
    assert_eq!(unsafe { region.pointer().cast::<u32>().read_volatile() }, 3);
    doorbells.write32(4, 39);
    let fired = host.vectors()[39].wait(Some(Duration::from_secs(10)));
    assert_eq!(fired.expect("waited"), 1);
    registers.write16(0x10, 0xbeef);
    assert_eq!(registers.read32(0x10), 0xbeef);
    host.reset().expect("reset");
    assert_eq!(registers.read32(0x10), 0);
    assert_eq!(host.fault(), None);

    drop(region);
    assert_eq!(host.memory().mapped_bytes, 0);
    registers.write32(0, address as u32);
    registers.write32(4, (address >> 32) as u32);
    doorbells.write32(0, 0);
    let fault = host
        .fault()
        .expect("the device may not reach returned memory");
    assert!(fault.contains("REGION_WRITE"), "{fault}");
}

#[test]
fn accesses_outside_never_leave_the_process() {
    let served = serve();
    let host = VfioUserHost::open(&served.path).expect("an adapter");
    let bar = host.registers();
    for offset in [2, 0xffe, 0x1000, usize::MAX] {
        assert_eq!(bar.read32(offset), u32::MAX);
        bar.write32(offset, 0);
    }
    bar.write16(1, 0);
    assert_eq!(host.fault(), None);
}

#[test]
fn a_server_that_leaves_looks_like_an_adapter_that_was_pulled_and_says_why() {
    let mut served = serve();
    let mut host = VfioUserHost::open(&served.path).expect("an adapter");
    let region = host.allocate(4096, 4096).expect("memory");
    served.end();
    let begun = Instant::now();
    assert_eq!(host.registers().read32(0), u32::MAX);
    host.doorbells().write32(0, 1);
    assert!(host.fault().is_some());
    assert!(host.reset().is_err());
    // Nobody is there to reach it: memory is no longer what is wrong.
    drop(host.allocate(64 << 20, 4096).expect("memory"));
    drop(region);
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn nobody_at_the_path_is_said() {
    let error = VfioUserHost::open("/nonexistent/adapter").expect_err("nobody");
    assert!(
        error
            .to_string()
            .contains("/nonexistent/adapter: cannot connect"),
        "{error}"
    );
}

/// How a hostile server answers, given the command.
type Answer = fn(&Header) -> Option<Vec<u8>>;

/// Serves one peer with answers that are made up; the version is agreed on properly unless `from_start`.
fn hostile(from_start: bool, answer: Answer) -> Result<VfioUserHost, VfioUserError> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("adapter");
    let listener = UnixListener::bind(&path).expect("bound");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a peer");
        let _ = answer_all(&mut stream, from_start, answer);
    });
    let begun = Instant::now();
    let options = VfioUserHost::options(&path).patience(Duration::from_millis(300));
    let result = options.open();
    assert!(begun.elapsed() < Duration::from_secs(20), "bounded");
    // A host that was made is dropped by the caller; the server ends when its peer does.
    if result.is_err() {
        thread.join().expect("no panic");
    }
    result
}

fn answer_all(stream: &mut UnixStream, from_start: bool, answer: Answer) -> std::io::Result<()> {
    loop {
        let mut head = [0; Header::SIZE];
        stream.read_exact(&mut head)?;
        let header = Header::read_from_bytes(&head).expect("16 bytes");
        let mut body = vec![0; header.message_size.get() as usize - Header::SIZE];
        stream.read_exact(&mut body)?;
        let proper = !from_start && header.command.get() == Command::VERSION.0;
        let bytes = if proper {
            Some(reply(&header, &[0, 0, 1, 0]))
        } else {
            answer(&header)
        };
        match bytes {
            Some(bytes) => stream.write_all(&bytes)?,
            // Never answers, until the peer has had enough.
            None => {
                let _ = stream.read(&mut head)?;
                return Ok(());
            }
        }
    }
}

fn reply(to: &Header, body: &[u8]) -> Vec<u8> {
    let header = Header {
        message_size: ((Header::SIZE + body.len()) as u32).into(),
        flags: Header::REPLY.into(),
        error: 0.into(),
        ..*to
    };
    [header.as_bytes(), body].concat()
}

fn error_of(result: Result<VfioUserHost, VfioUserError>) -> ClientError {
    match result {
        Err(VfioUserError::Client { error, .. }) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn servers_that_lie_stall_or_leave_give_named_errors_in_bounded_time() {
    let never = error_of(hostile(true, |_| None));
    assert!(
        matches!(never, ClientError::Transport(TransportError::Timeout)),
        "{never}"
    );
    let never = error_of(hostile(false, |_| None));
    assert!(
        matches!(never, ClientError::Transport(TransportError::Timeout)),
        "{never}"
    );

    let version = error_of(hostile(true, |header| Some(reply(header, &[7, 0, 1, 0]))));
    assert!(
        matches!(version, ClientError::Version { major: 7, minor: 1 }),
        "{version}"
    );
    let json = error_of(hostile(true, |header| {
        Some(reply(header, b"\0\0\x01\0{\"capabilities\":[3"))
    }));
    assert!(matches!(json, ClientError::Malformed { .. }), "{json}");
    let short = error_of(hostile(true, |header| Some(reply(header, &[0]))));
    assert!(
        matches!(short, ClientError::Malformed { value: 1, .. }),
        "{short}"
    );

    let short = error_of(hostile(false, |header| Some(reply(header, &[0; 3]))));
    assert!(
        matches!(short, ClientError::Malformed { value: 3, .. }),
        "{short}"
    );
    let tiny = error_of(hostile(false, |header| {
        let mut bytes = reply(header, &[]);
        bytes[4] = 3;
        Some(bytes)
    }));
    assert!(
        matches!(tiny, ClientError::Transport(TransportError::BadSize(3))),
        "{tiny}"
    );
    let huge = error_of(hostile(false, |header| {
        let mut bytes = reply(header, &[]);
        bytes[7] = 0x7f;
        Some(bytes)
    }));
    assert!(
        matches!(huge, ClientError::Transport(TransportError::BadSize(_))),
        "{huge}"
    );
    let refused = error_of(hostile(false, |header| {
        let mut bytes = reply(header, &[]);
        bytes[8] |= Header::ERROR as u8;
        bytes[12] = 13;
        Some(bytes)
    }));
    assert!(
        matches!(refused, ClientError::Refused { errno: 13, .. }),
        "{refused}"
    );
    let other = error_of(hostile(false, |header| {
        let mut bytes = reply(header, &[0; 16]);
        bytes[2] = 77;
        Some(bytes)
    }));
    assert!(
        matches!(other, ClientError::Malformed { value: 77, .. }),
        "{other}"
    );

    // Replies that nobody waits for, without end; requests instead of replies, without end.
    let strays = error_of(hostile(false, |header| {
        let mut bytes = reply(header, &[]);
        bytes[0] ^= 0xff;
        Some(bytes.repeat(10_000))
    }));
    assert!(matches!(strays, ClientError::Transport(_)), "{strays}");
    let requests = error_of(hostile(false, |header| {
        let mut bytes = reply(header, &[0; 16]);
        bytes[2] = Command::DMA_READ.0 as u8;
        bytes[8] = Header::NO_REPLY as u8;
        Some(bytes.repeat(10_000))
    }));
    assert!(matches!(requests, ClientError::Transport(_)), "{requests}");
}

#[test]
fn a_device_that_is_no_adapter_is_refused() {
    let nothing = hostile(false, |header| Some(reply(header, &[0; 64])));
    assert!(
        matches!(nothing, Err(VfioUserError::NotAnAdapter { .. })),
        "{nothing:?}"
    );
    // Says that every region has 2^56 bytes.
    let vast = hostile(false, |header| {
        let mut body = vec![0; 32];
        match Command(header.command.get()) {
            Command::DEVICE_GET_INFO => body[4..12].copy_from_slice(&[3, 0, 0, 0, 9, 0, 0, 0]),
            Command::DEVICE_GET_REGION_INFO => {
                body[4] = 3;
                body[23] = 1;
            }
            _ => body.clear(),
        }
        Some(reply(header, &body))
    });
    assert!(
        matches!(vast, Err(VfioUserError::NotAnAdapter { .. })),
        "{vast:?}"
    );
}
