//! A TAP interface of this machine as the other end of the cable.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::{SyncSender, sync_channel};

use fastlinq_model::Wire;
use fastlinq_model::wire::FRAME_LIMIT;
use log::debug;
use rustix::io::Errno;
use rustix::ioctl::{Setter, ioctl, opcode};

const CLONE_DEVICE: &str = "/dev/net/tun";
/// TAP mode, and no extra bytes before each frame.
const TAP_WITHOUT_HEADER: u16 = 0x0002 | 0x1000;
const NAME_BYTES: usize = 16;

/// The kernel's request for an interface by name (`struct ifreq`).
#[repr(C)]
struct Request {
    name: [u8; NAME_BYTES],
    flags: u16,
    rest: [u8; 22],
}

/// Frames that wait for the interface at most; what comes beyond is lost, as in a switch.
const QUEUE: usize = 2048;

/// An open TAP interface. Frames go out by a thread of their own: each is a system call with the host's whole network stack
/// behind it, which an access to a doorbell must not wait for.
pub(super) struct Tap {
    device: File,
    outgoing: SyncSender<Vec<u8>>,
}

impl Tap {
    /// Attaches to the interface, made before or made now; needs the permission to do so.
    pub(super) fn open(name: &str) -> Result<Self, Errno> {
        let io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        if name.len() >= NAME_BYTES {
            return Err(Errno::NAMETOOLONG);
        }
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(CLONE_DEVICE)
            .map_err(io)?;
        let mut request = Request {
            name: [0; NAME_BYTES],
            flags: TAP_WITHOUT_HEADER,
            rest: [0; 22],
        };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        attach(&device, request)?;
        let mut sink = device.try_clone().map_err(io)?;
        let (outgoing, frames) = sync_channel::<Vec<u8>>(QUEUE);
        std::thread::Builder::new()
            .name("tap".into())
            .spawn(move || {
                for frame in frames {
                    if let Err(error) = sink.write(&frame) {
                        debug!("the TAP interface takes no frame: {error}");
                    }
                }
            })
            .map_err(io)?;
        Ok(Self { device, outgoing })
    }
}

#[allow(unsafe_code)]
fn attach(device: &File, request: Request) -> Result<(), Errno> {
    const SET_INTERFACE: u32 = opcode::write::<i32>(b'T', 202);
    // SAFETY: TUNSETIFF reads a `struct ifreq`, whose layout and size (40 bytes) `Request` has, and keeps no pointer.
    unsafe {
        let setter = Setter::<SET_INTERFACE, Request>::new(request);
        ioctl(device, setter)
    }
}

impl Wire for Tap {
    fn transmit(&mut self, frame: &[u8]) {
        if self.outgoing.try_send(frame.to_vec()).is_err() {
            debug!("a frame is lost before the TAP interface");
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut frame = vec![0; FRAME_LIMIT];
        let length = self.device.read(&mut frame).ok()?;
        frame.truncate(length);
        (length > 0).then_some(frame)
    }
}
