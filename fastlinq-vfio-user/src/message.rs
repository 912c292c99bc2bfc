//! Messages of the vfio-user protocol, version 0.1: header, commands and bodies.
//!
//! All fields are little-endian on the wire. Known by: the protocol's public specification.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Largest number of data bytes in one region or DMA access.
pub const MAX_DATA_TRANSFER: usize = 1 << 20;
/// Largest message accepted; anything longer closes the connection.
pub const MAX_MESSAGE: usize = MAX_DATA_TRANSFER + 4096;
/// Largest number of file descriptors accepted with one message.
pub const MAX_FDS: usize = 64;

/// Command numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Command(pub u16);

#[allow(missing_docs)]
impl Command {
    pub const VERSION: Self = Self(1);
    pub const DMA_MAP: Self = Self(2);
    pub const DMA_UNMAP: Self = Self(3);
    pub const DEVICE_GET_INFO: Self = Self(4);
    pub const DEVICE_GET_REGION_INFO: Self = Self(5);
    pub const DEVICE_GET_REGION_IO_FDS: Self = Self(6);
    pub const DEVICE_GET_IRQ_INFO: Self = Self(7);
    pub const DEVICE_SET_IRQS: Self = Self(8);
    pub const REGION_READ: Self = Self(9);
    pub const REGION_WRITE: Self = Self(10);
    pub const DMA_READ: Self = Self(11);
    pub const DMA_WRITE: Self = Self(12);
    pub const DEVICE_RESET: Self = Self(13);
    pub const REGION_WRITE_MULTI: Self = Self(15);

    /// The specification's name; "?" for a command that is not known here.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VERSION => "VERSION",
            Self::DMA_MAP => "DMA_MAP",
            Self::DMA_UNMAP => "DMA_UNMAP",
            Self::DEVICE_GET_INFO => "DEVICE_GET_INFO",
            Self::DEVICE_GET_REGION_INFO => "DEVICE_GET_REGION_INFO",
            Self::DEVICE_GET_REGION_IO_FDS => "DEVICE_GET_REGION_IO_FDS",
            Self::DEVICE_GET_IRQ_INFO => "DEVICE_GET_IRQ_INFO",
            Self::DEVICE_SET_IRQS => "DEVICE_SET_IRQS",
            Self::REGION_READ => "REGION_READ",
            Self::REGION_WRITE => "REGION_WRITE",
            Self::DMA_READ => "DMA_READ",
            Self::DMA_WRITE => "DMA_WRITE",
            Self::DEVICE_RESET => "DEVICE_RESET",
            Self::REGION_WRITE_MULTI => "REGION_WRITE_MULTI",
            _ => "?",
        }
    }
}

/// The 16 bytes in front of every message.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Chosen by the sender of a command, repeated in its reply.
    pub message_id: U16,
    /// See [`Command`].
    pub command: U16,
    /// Bytes of the whole message, this header included.
    pub message_size: U32,
    /// Message type and the bits below.
    pub flags: U32,
    /// Error number of a failed reply.
    pub error: U32,
}

impl Header {
    /// Mask of the message type in `flags`.
    pub const TYPE_MASK: u32 = 0xf;
    /// Message type: reply.
    pub const REPLY: u32 = 1;
    /// The sender wants no reply.
    pub const NO_REPLY: u32 = 1 << 4;
    /// The reply reports an error.
    pub const ERROR: u32 = 1 << 5;
    /// Bytes of a header.
    pub const SIZE: usize = size_of::<Self>();
}

/// Body of a version message, in front of the JSON text.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Version {
    /// Incompatible changes.
    pub major: U16,
    /// Compatible changes.
    pub minor: U16,
}

/// Body of a request to map guest memory; the descriptor of the memory travels beside it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DmaMap {
    /// Bytes of this body.
    pub argsz: U32,
    /// Bit 0 readable, bit 1 writable.
    pub flags: U32,
    /// Offset in the file.
    pub offset: U64,
    /// First bus address.
    pub address: U64,
    /// Bytes.
    pub size: U64,
}

/// Body of a request to unmap guest memory, and of its reply.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DmaUnmap {
    /// Bytes of this body.
    pub argsz: U32,
    /// Bit 1 dirty pages wanted, bit 2 everything.
    pub flags: U32,
    /// First bus address.
    pub address: U64,
    /// Bytes.
    pub size: U64,
}

/// Body of a device-information message.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DeviceInfo {
    /// Bytes of this body.
    pub argsz: U32,
    /// Bit 0 reset supported, bit 1 PCI.
    pub flags: U32,
    /// Number of regions.
    pub num_regions: U32,
    /// Number of interrupt indexes.
    pub num_irqs: U32,
}

/// Body of a region-information message.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RegionInfo {
    /// Bytes of this body.
    pub argsz: U32,
    /// Bit 0 readable, bit 1 writable, bit 2 mappable.
    pub flags: U32,
    /// Region asked for.
    pub index: U32,
    /// Offset of capabilities; none here.
    pub cap_offset: U32,
    /// Bytes of the region.
    pub size: U64,
    /// File offset for mapping.
    pub offset: U64,
}

/// Body of an interrupt-information message.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IrqInfo {
    /// Bytes of this body.
    pub argsz: U32,
    /// Bit 0 eventfd, bit 1 maskable, bit 2 automasked, bit 3 not resizable.
    pub flags: U32,
    /// Interrupt index asked for.
    pub index: U32,
    /// Number of interrupts.
    pub count: U32,
}

/// Body of a request to set interrupts up; descriptors travel beside it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SetIrqs {
    /// Bytes of this body.
    pub argsz: U32,
    /// Kind of data (bits 0 to 2) and action (bits 3 to 5).
    pub flags: U32,
    /// Interrupt index.
    pub index: U32,
    /// First interrupt.
    pub start: U32,
    /// Number of interrupts.
    pub count: U32,
}

#[allow(missing_docs)]
impl SetIrqs {
    pub const DATA_NONE: u32 = 1 << 0;
    pub const DATA_BOOL: u32 = 1 << 1;
    pub const DATA_EVENTFD: u32 = 1 << 2;
    pub const ACTION_MASK: u32 = 1 << 3;
    pub const ACTION_UNMASK: u32 = 1 << 4;
    pub const ACTION_TRIGGER: u32 = 1 << 5;
}

/// Body in front of the data of a region access, and its reply.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RegionAccess {
    /// Offset in the region.
    pub offset: U64,
    /// Region index.
    pub region: U32,
    /// Bytes.
    pub count: U32,
}

/// Body in front of the data of a DMA access that the device asks its peer for.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DmaAccess {
    /// Bus address.
    pub address: U64,
    /// Bytes.
    pub count: U64,
}

/// One write of a multiple-write message.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SmallWrite {
    /// Offset in the region.
    pub offset: U64,
    /// Region index.
    pub region: U32,
    /// Bytes used of `data`.
    pub count: U32,
    /// The value.
    pub data: [u8; 8],
}
