//! How big a queue pair is.

use core::fmt;

use fastlinq_hal::host::AllocationError;
use fastlinq_hal::queue::Coalescing;

use crate::completion::MAX_SEGMENTS;

/// Smallest receive or transmit ring.
pub const MIN_RING: u16 = 128;
/// Largest receive or transmit ring.
pub const MAX_RING: u16 = 8191;
/// Largest MTU.
pub const MAX_MTU: u16 = 9600;

/// How big a queue pair is.
///
/// # Examples
///
/// ```
/// use fastlinq_net::QueueConfig;
///
/// let jumbo = QueueConfig { mtu: 9000, buffers: 4096, ..QueueConfig::default() };
/// assert!(jumbo.check().is_ok());
///
/// let tight = QueueConfig { buffer_bytes: 512, ..jumbo };
/// assert!(tight.check().is_err(), "5 buffers of 512 bytes do not hold a frame of 9,014");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct QueueConfig {
    /// Receive descriptors, [`MIN_RING`] to [`MAX_RING`]. Default 512.
    pub receive_ring: u16,
    /// Transmit descriptors, [`MIN_RING`] to [`MAX_RING`]. Default 512.
    pub transmit_ring: u16,
    /// Packet buffers; more than `receive_ring`. Default 2048.
    pub buffers: u32,
    /// Bytes of a packet buffer, a multiple of 64 from 256 to 16,384. Default 2048.
    pub buffer_bytes: u16,
    /// Bytes at the start of a buffer that the device leaves alone, a multiple of 2. Default 64.
    pub headroom: u16,
    /// Largest Ethernet payload in bytes, 68 to [`MAX_MTU`]. Default 1500.
    pub mtu: u16,
    /// Interrupt coalescing.
    pub coalescing: Coalescing,
    /// Whether the device may make one frame of several (TPA, LRO); the vport has to be set up for it, too. Completions of
    /// aggregations are faults otherwise. Default `false`.
    pub aggregation: bool,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            receive_ring: 512,
            transmit_ring: 512,
            buffers: 2048,
            buffer_bytes: 2048,
            headroom: 64,
            mtu: 1500,
            coalescing: Coalescing::default(),
            aggregation: false,
        }
    }
}

impl QueueConfig {
    /// Bytes that the device may write into a buffer.
    pub const fn receive_bytes(&self) -> u16 {
        self.buffer_bytes.saturating_sub(self.headroom)
    }

    /// Checks all bounds.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] found.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.receive_ring < MIN_RING || self.receive_ring > MAX_RING {
            return Err(ConfigError::ReceiveRing(self.receive_ring));
        }
        if self.transmit_ring < MIN_RING || self.transmit_ring > MAX_RING {
            return Err(ConfigError::TransmitRing(self.transmit_ring));
        }
        if self.buffers <= self.receive_ring as u32 || self.buffers > 1 << 24 {
            return Err(ConfigError::Buffers(self.buffers));
        }
        if self.buffer_bytes % 64 != 0 || self.buffer_bytes < 256 || self.buffer_bytes > 16_384 {
            return Err(ConfigError::BufferBytes(self.buffer_bytes));
        }
        if self.headroom % 2 != 0 || self.receive_bytes() < 128 {
            return Err(ConfigError::Headroom(self.headroom));
        }
        if self.mtu < 68 || self.mtu > MAX_MTU {
            return Err(ConfigError::Mtu(self.mtu));
        }
        // Ethernet header, two VLAN tags, and the two bytes that align the IP header.
        let frame = self.mtu as u32 + 14 + 8 + 2;
        if frame > MAX_SEGMENTS as u32 * self.receive_bytes() as u32 {
            return Err(ConfigError::FrameDoesNotFit {
                mtu: self.mtu,
                receive_bytes: self.receive_bytes(),
            });
        }
        Ok(())
    }
}

/// What is wrong with a [`QueueConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConfigError {
    /// Receive ring out of bounds.
    ReceiveRing(u16),
    /// Transmit ring out of bounds.
    TransmitRing(u16),
    /// Not more buffers than receive descriptors, or more than 2^24.
    Buffers(u32),
    /// Buffer size out of bounds or not a multiple of 64.
    BufferBytes(u16),
    /// Headroom is odd or leaves the device less than 128 bytes.
    Headroom(u16),
    /// MTU out of bounds.
    Mtu(u16),
    /// A frame of the MTU needs more than [`MAX_SEGMENTS`] buffers.
    FrameDoesNotFit {
        /// The MTU.
        mtu: u16,
        /// Bytes that the device may write into a buffer.
        receive_bytes: u16,
    },
    /// The storage has no room for the notes about the buffers.
    StorageBuffers {
        /// Buffers that there is room for.
        room: usize,
    },
    /// The storage has no room for the notes about a ring.
    StorageRings,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReceiveRing(size) => write!(f, "a receive ring of {size} is not 128 to 8191"),
            Self::TransmitRing(size) => write!(f, "a transmit ring of {size} is not 128 to 8191"),
            Self::Buffers(count) => write!(
                f,
                "{count} packet buffers are not more than the receive ring, or more than 16,777,216"
            ),
            Self::BufferBytes(bytes) => write!(
                f,
                "packet buffers of {bytes} bytes are not a multiple of 64 from 256 to 16,384"
            ),
            Self::Headroom(bytes) => write!(
                f,
                "a headroom of {bytes} bytes is odd or leaves the device less than 128"
            ),
            Self::Mtu(mtu) => write!(f, "an MTU of {mtu} is not 68 to 9600"),
            Self::FrameDoesNotFit { mtu, receive_bytes } => write!(
                f,
                "a frame of MTU {mtu} does not fit into 5 buffers of {receive_bytes} bytes"
            ),
            Self::StorageBuffers { room } => {
                write!(f, "the storage has room for {room} buffers only")
            }
            Self::StorageRings => write!(
                f,
                "the storage has no power of two of slots as large as a ring"
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

/// Why a queue pair could not be prepared. Nothing is allocated any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PrepareError {
    /// The configuration.
    Config(ConfigError),
    /// The host has no memory.
    Memory(AllocationError),
    /// The host's memory is smaller than asked for, or not aligned to 4 KiB.
    Region {
        /// Bytes asked for.
        size: usize,
    },
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::Region { size } => write!(
                f,
                "the host gave a region that is smaller than {size} bytes or not aligned to 4,096"
            ),
        }
    }
}

impl core::error::Error for PrepareError {}

impl From<ConfigError> for PrepareError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<AllocationError> for PrepareError {
    fn from(error: AllocationError) -> Self {
        Self::Memory(error)
    }
}
