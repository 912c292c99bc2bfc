//! A hostile vfio-user client: any bytes, cut anywhere, with memory files that are too short, in front of a device that
//! does DMA and interrupts. Nothing may panic, hang or reach outside what was mapped.
//!
//! The input is a list of pieces: a control byte, two bytes of length, and what is sent at once.

#![no_main]

use std::io::{IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fastlinq_vfio_user::{
    Device, DeviceShape, Errno, GuestMemory, InterruptLines, RegionShape, Server,
};
use libfuzzer_sys::fuzz_target;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

const REGION: usize = 0x1000;
/// Control bits: send a descriptor along, one of a short file; begin with a proper version message.
const WITH_FILE: u8 = 1;
const SHORT_FILE: u8 = 2;
const NEGOTIATED: u8 = 0x80;
const FILE_BYTES: u64 = 0x10000;

/// RAM; a store of eight bytes copies guest memory at that address, a store of one byte signals that vector.
struct Ram {
    bytes: [u8; REGION],
    memory: GuestMemory,
    interrupts: InterruptLines,
}

impl Device for Ram {
    fn shape(&self) -> DeviceShape {
        let mut regions = [RegionShape::default(); 9];
        for index in [0, 7] {
            regions[index] = RegionShape {
                size: REGION as u64,
                readable: true,
                writable: true,
            };
        }
        DeviceShape {
            regions,
            interrupts: [1, 0, 8, 1, 1],
        }
    }

    fn read(&mut self, _: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let start = offset as usize;
        data.copy_from_slice(&self.bytes[start..start + data.len()]);
        Ok(())
    }

    fn write(&mut self, _: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let start = offset as usize;
        self.bytes[start..start + data.len()].copy_from_slice(data);
        if let Ok(address) = <[u8; 8]>::try_from(data) {
            let address = u64::from_le_bytes(address);
            let mut copy = [0; 300];
            self.memory
                .read(address, &mut copy)
                .and_then(|()| self.memory.write(address, &copy))
                .map_err(|_| Errno::IO)?;
        } else if let [vector] = data {
            self.interrupts
                .signal(InterruptLines::MSIX, usize::from(*vector));
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.bytes.fill(0);
    }

    fn run(&mut self) -> Duration {
        Duration::from_millis(1)
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let name = format!("fastlinq-fuzz-{}", std::process::id());
        Server::bind(&std::env::temp_dir().join(name)).expect("a socket")
    })
}

fn version() -> Vec<u8> {
    let text = b"{\"capabilities\":{}}\0";
    let mut message = vec![0, 0, 1, 0];
    message.extend_from_slice(&(20 + text.len() as u32).to_le_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[0, 0, 1, 0]);
    message.extend_from_slice(text);
    message
}

fn send(stream: &UnixStream, bytes: &[u8], control: u8) {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let file = (control & WITH_FILE != 0).then(|| {
        let file = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC)
            .expect("a memory file");
        let bytes = if control & SHORT_FILE != 0 {
            7
        } else {
            FILE_BYTES
        };
        rustix::fs::ftruncate(&file, bytes).expect("its size");
        file
    });
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = file.as_ref().map(|file| [file.as_fd()]);
    if let Some(fds) = &fds {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    let _ = sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, flags);
}

fuzz_target!(|data: &[u8]| {
    let (Ok((near, far)), server) = (UnixStream::pair(), server()) else {
        return;
    };
    let mut rest = data;
    if rest
        .first()
        .is_some_and(|control| control & NEGOTIATED != 0)
    {
        send(&near, &version(), 0);
    }
    while let [control, low, high, tail @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (piece, behind) = tail.split_at(length);
        if !piece.is_empty() {
            send(&near, piece, *control);
        }
        rest = behind;
    }
    near.shutdown(Shutdown::Write).expect("half closed");
    let mut reader = near;
    let drain = std::thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while matches!(reader.read(&mut buffer), Ok(1..)) {}
    });
    let mut device = Ram {
        bytes: [0; REGION],
        memory: server.memory(),
        interrupts: server.interrupts(),
    };
    server.serve_peer(far, &mut device, &AtomicBool::new(false).into());
    drain.join().expect("the reader");
});
