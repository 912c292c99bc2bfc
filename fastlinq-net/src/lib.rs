#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

#[cfg(test)]
extern crate std;

mod aggregate;
pub mod completion;
mod config;
mod counters;
mod device;
mod engine;
mod fault;
mod frame;
mod kind;
mod log;
mod memory;
pub mod middleware;
mod offload;
mod open;
mod packet;
mod pieces;
mod queue;
mod receive;
mod resize;
mod ring;
mod rule;
mod signal;
pub mod stack;
mod storage;
mod transmit;

pub use config::{ConfigError, MAX_MTU, MAX_RING, MIN_RING, PrepareError, QueueConfig};
pub use counters::{Counters, ReceiveCounters, TransmitCounters};
pub use device::QueueDevice;
pub use engine::{SendError, Usage};
pub use fault::Fault;
pub use frame::{RxFrame, Segments};
pub use kind::{Network, PacketKind, Transport, TunnelKind};
pub use offload::{
    Checksums, Ipv6Extensions, MAX_SEGMENT_HEADER_BYTES, MAX_SEGMENT_PAYLOAD,
    MAX_TUNNEL_HEADER_BYTES, Offload, Segmentation, Tunnel,
};
pub use open::{AdapterQueue, OpenError};
pub use packet::{
    Aggregate, BufferNumber, Checksum, HashedOver, RssHash, RxPacket, Segment, TxPacket,
};
pub use pieces::TxFrame;
pub use queue::{NotStopped, PreparedQueue, QueuePair, Worker};
pub use resize::ResizeFailed;
pub use ring::Ring;
pub use rule::{
    MAX_SEGMENTED_BYTES, MAX_SEGMENTED_DESCRIPTORS, MAX_TX_BYTES, MAX_TX_SEGMENTS, MIN_TX_BYTES,
    TxRule,
};
pub use signal::{QueueSignal, Wakeups};
pub use storage::{BufferLink, QueueStorage, Storage};
pub use transmit::TransmitError;
