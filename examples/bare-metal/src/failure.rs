//! Why the program ends, and the status that it ends with.

use core::fmt;

use fastlinq_hal::adapter::Cause;
use fastlinq_net::{Fault, OpenError};
use x86_64::instructions::{hlt, interrupts, port::Port};

use crate::serial::say;

/// How the program ended. QEMU's exit code is twice the number, plus 1.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Status {
    /// The other side asked for the end.
    Done = 0,
    /// `seconds` are over.
    TimeIsUp = 1,
    /// There is no adapter.
    NoAdapter = 2,
    /// The platform or the loader did not give what is needed.
    Platform = 3,
    /// The adapter did not come up.
    BringUp = 4,
    /// The adapter failed under way, or is gone.
    Lost = 5,
    /// An exception of the processor, or a panic.
    Crash = 6,
}

/// Why the program ends before it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What platform or loader lack.
    Platform(&'static str),
    /// No FastLinQ adapter among so many functions.
    NoAdapter { functions: u32 },
    /// The adapter did not come up.
    BringUp(Cause),
    /// The queue pair could not be opened.
    Open(OpenError),
    /// The link did not come up; seconds waited.
    NoLink(u64),
    /// The device said something impossible.
    Fault(Fault),
    /// The adapter failed while it was up.
    Lost(Cause),
    /// The function does not answer on the bus any more.
    Gone,
}

impl Failure {
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Platform(_) => Status::Platform,
            Self::NoAdapter { .. } => Status::NoAdapter,
            Self::BringUp(_) | Self::Open(_) | Self::NoLink(_) => Status::BringUp,
            Self::Fault(_) | Self::Lost(_) | Self::Gone => Status::Lost,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform(what) => f.write_str(what),
            Self::NoAdapter { functions } => write!(
                f,
                "no FastLinQ adapter (vendor 0x1077) among the {functions} PCI functions of this machine"
            ),
            Self::BringUp(cause) => write!(f, "the adapter did not come up: {cause}"),
            Self::Open(error) => write!(f, "no queue pair: {error}"),
            Self::NoLink(seconds) => write!(f, "no link after {seconds} s"),
            Self::Fault(fault) => write!(f, "the queue pair is down: {fault}"),
            Self::Lost(cause) => write!(f, "the adapter failed: {cause}"),
            Self::Gone => f.write_str("the adapter is gone from the bus"),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Ends: tells QEMU's `isa-debug-exit` where there is one, and stops the processor.
pub(crate) fn exit(status: Status, port: Option<u16>) -> ! {
    say!("end: {status:?}, status {}", status as u8);
    if let Some(port) = port {
        // SAFETY: whoever started the program said that this port takes an exit status.
        unsafe { Port::new(port).write(u32::from(status as u8)) }
    }
    interrupts::disable();
    loop {
        hlt();
    }
}
