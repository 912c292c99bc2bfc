//! A TAP interface of this machine as the other end of the cable.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

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

/// An open TAP interface.
pub(super) struct Tap {
    device: File,
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
        Ok(Self { device })
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
        if let Err(error) = self.device.write(frame) {
            debug!("the TAP interface takes no frame: {error}");
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut frame = vec![0; FRAME_LIMIT];
        let length = self.device.read(&mut frame).ok()?;
        frame.truncate(length);
        (length > 0).then_some(frame)
    }
}
