//! Things to put between a queue pair and whoever uses it.
//!
//! Each wraps a [`Ring`](crate::Ring) and is one, so they stack: a [`Tap`] around a [`FaultInjector`] shows what the user
//! sees, the other way round what the wire saw.
//!
//! | middleware | does |
//! |---|---|
//! | [`Tap`] | shows every frame to an [`Observer`], such as [`PcapWriter`], which writes a capture |
//! | [`FaultInjector`] | drops, duplicates, corrupts and delays frames, repeatably, by a seed |
//!
//! Neither allocates, and neither changes what is not said here.

/// What a middleware leaves to its `ring`.
macro_rules! passed_on {
    () => {
        fn reap(&mut self) -> Result<u16, Fault> {
            self.ring.reap()
        }
        fn transmit_room(&self) -> u16 {
            self.ring.transmit_room()
        }
        fn take_buffer(&mut self) -> Option<BufferNumber> {
            self.ring.take_buffer()
        }
        fn release_buffer(&mut self, buffer: BufferNumber) -> bool {
            self.ring.release_buffer(buffer)
        }
        fn release(&mut self, packet: &RxPacket) -> bool {
            self.ring.release(packet)
        }
        fn buffer(&self, buffer: BufferNumber) -> Option<&[u8]> {
            self.ring.buffer(buffer)
        }
        fn buffer_mut(&mut self, buffer: BufferNumber) -> Option<&mut [u8]> {
            self.ring.buffer_mut(buffer)
        }
        fn segments(&self, packet: &RxPacket) -> Segments<'_, R::Region> {
            self.ring.segments(packet)
        }
        fn status(&self) -> u32 {
            self.ring.status()
        }
        fn arm(&mut self, seen: u32) {
            self.ring.arm(seen);
        }
    };
}

mod fault_injector;
mod pcap;
mod tap;

pub use fault_injector::{FaultCounters, FaultInjector, FaultState, FaultsOf, MAX_HELD, Rates};
pub use pcap::{PcapError, PcapWriter};
pub use tap::{Direction, Observer, Tap};
