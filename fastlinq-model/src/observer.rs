//! A look at everything that happens, for traces and comparisons.

use crate::card::Bar;
use crate::fabric::{Doorbell, Function};
use crate::violation::{DmaCause, Violation};

/// Who carried a register access to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A movable window (PTT) of BAR0, by its number.
    Movable(u8),
    /// A global window (GTT) of BAR0, by its number.
    Global(u8),
    /// The DMA engine, by its channel.
    Dmae(u8),
}

/// One thing that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The host accessed a BAR; of a write this comes before what it causes.
    Bar {
        /// PCI function.
        function: u8,
        /// The BAR.
        bar: Bar,
        /// Byte offset.
        offset: u64,
        /// The value, little-endian.
        value: u64,
        /// Bytes of the access.
        len: usize,
        /// True for a write.
        write: bool,
    },
    /// A register or memory of the chip was accessed.
    Register {
        /// The identity that selects the bank: the requester, or whom it pretends to be.
        function: Function,
        /// How the access came in.
        path: Path,
        /// Internal byte address.
        address: u32,
        /// The value.
        value: u32,
        /// True for a write.
        write: bool,
    },
    /// The device accessed host memory.
    Dma {
        /// The requester.
        function: Function,
        /// Bus address.
        address: u64,
        /// The bytes.
        data: &'a [u8],
        /// True when the device wrote.
        write: bool,
        /// What made it do so.
        cause: DmaCause,
    },
    /// DORQ accepted a doorbell.
    Doorbell(Doorbell),
    /// A driver rang the management firmware's mailbox: the header word it wrote.
    MailboxCommand {
        /// Absolute PF id of the requester.
        function: u8,
        /// Command 31:16, sequence 15:0.
        header: u32,
    },
    /// The storm firmware executed a ramrod.
    Ramrod {
        /// For whom.
        function: Function,
        /// Protocol id.
        protocol: u8,
        /// Command id.
        command: u8,
        /// Connection.
        cid: u32,
        /// Firmware return code.
        return_code: u8,
    },
    /// A message interrupt was sent.
    Interrupt {
        /// PCI function.
        function: u8,
        /// Vector.
        vector: u16,
    },
    /// A frame passed a port.
    Frame {
        /// Port of the card.
        port: u8,
        /// The bytes, without FCS.
        frame: &'a [u8],
        /// True when the adapter sent it.
        transmit: bool,
    },
    /// A rule was broken.
    Violation(&'a Violation),
}

/// Sees every event as it happens.
///
/// Without an observer no event is built.
pub trait Observer: Send {
    /// Takes an event; `at_ns` is model time.
    fn event(&mut self, at_ns: u64, event: &Event<'_>);
}
