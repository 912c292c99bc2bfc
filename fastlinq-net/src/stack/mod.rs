//! Queue pairs under network stacks.
//!
//! A stack sees one [`Phy`] per queue pair. Received frames are handed to it where the device has put them; frames to send
//! are written by it into the buffer that the device reads. Nothing is copied and nothing is allocated.
//!
//! | feature | module | stack |
//! |---|---|---|
//! | `smoltcp-0_12` (and `smoltcp`) | [`smoltcp_v0_12`] | smoltcp 0.12 |
//! | `embassy-net-driver-0_2` (and `embassy`) | [`embassy_net_v0_2`] | embassy-net, by `embassy-net-driver` 0.2 |
//!
//! Each version of a stack's interface has a feature and a module of its own, so that a new one never breaks who uses an
//! old one.
//!
//! # Checksums
//!
//! A stack is told to leave checksums to the device only where the device really does them, frame by frame:
//!
//! | [`RxChecksums`] | who verifies received frames |
//! |---|---|
//! | `Stack` (default) | the stack, every one; frames that the device found bad are dropped before |
//! | `Device` | the device; what it did not look at is verified here, and fragments are dropped, since nobody could verify them |
//!
//! | [`TxChecksums`] | who fills in those of frames to send |
//! |---|---|
//! | `Stack` (default) | the stack |
//! | `Device` | the device: IPv4 headers, TCP and UDP, behind IPv6 extension headers too; not those of fragments |
//!
//! # What stacks cannot use
//!
//! Neither interface has a way to ask for segmentation, or to take a frame in pieces: do not let the device aggregate
//! segments on the vport of such a queue pair; frames in several buffers are dropped and counted. Tags that the device took
//! off do not reach the stack either.
#![cfg_attr(
    not(all(feature = "smoltcp-0_12", feature = "embassy-net-driver-0_2")),
    allow(rustdoc::broken_intra_doc_links)
)]

mod offload;
mod phy;
mod smoltcp;
mod verify;

pub use offload::checksums_of;
pub use phy::{Exchange, Phy, PhyCounters, RxChecksums, TxChecksums, TxSlot};
pub use verify::{Verdict, verify};

#[cfg(feature = "smoltcp-0_12")]
pub use smoltcp::v0_12 as smoltcp_v0_12;

#[cfg(feature = "embassy-net-driver-0_2")]
pub mod embassy_net_v0_2;
