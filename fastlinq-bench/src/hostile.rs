//! A device that writes any completion: nothing panics, nothing leaves its bounds, no buffer gets lost.

use std::sync::atomic::{AtomicU64, Ordering};

use fastlinq_net::completion::{Completion, MAX_SEGMENTS, MIN_FRAME_BYTES, parse};
use fastlinq_net::{PreparedQueue, QueueConfig, QueueStorage, RxPacket};

use crate::null::{Memory, NullDevice};

/// Numbers that look random (xorshift64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const BUFFER_BYTES: u16 = 512;

/// Makes completions: random ones, right ones, and right ones with some bits turned over.
struct Source {
    random: Random,
    /// Bytes and buffers of aggregations that go on.
    open: [(u64, u64); 4],
}

impl Source {
    fn next(&mut self) -> [u64; 4] {
        let dice = self.random.next();
        if dice.is_multiple_of(2048) {
            let mut random = || self.random.next();
            let mut words = [random(), random(), random(), random()];
            if dice & 0x1000 != 0 {
                words[0] = words[0] & !0xff | dice >> 32 & 7;
            }
            return words;
        }
        let mut words = match dice >> 11 & 15 {
            0..3 => self.aggregation(dice >> 16),
            _ => self.frame(dice >> 16),
        };
        if dice % 64 == 1 {
            for _ in 0..=dice >> 62 {
                let bit = self.random.next() as usize % 256;
                words[bit / 64] ^= 1 << (bit % 64);
            }
        }
        words
    }

    fn frame(&mut self, dice: u64) -> [u64; 4] {
        let length = 14 + dice % 1500;
        let first = length.min(u64::from(BUFFER_BYTES) - 2);
        let buffers = 1 + (length - first).div_ceil(BUFFER_BYTES.into());
        let said = self.random.next();
        [
            1 | length << 16 | said & !0xffff_00ff,
            said & 0xffff_ffff | first << 32 | 2 << 48,
            buffers,
            0,
        ]
    }

    /// A step of an aggregation that fits those before it.
    fn aggregation(&mut self, dice: u64) -> [u64; 4] {
        let index = dice & 3;
        let (bytes, buffers) = &mut self.open[index as usize];
        let length = 60 + (dice >> 2) % 400;
        if *buffers == 0 {
            (*bytes, *buffers) = (length, 1);
            return [3 | length << 16, length << 32 | 2 << 48, index | 54 << 8, 0];
        }
        if dice >> 20 & 3 != 0 && *buffers < 20 {
            *bytes += length;
            *buffers += 1;
            return [4 | index << 8 | length << 16, 0, 0, 0];
        }
        let words = [5 | index << 8 | *bytes << 16 | *buffers << 32, 0, 0, 0];
        (*bytes, *buffers) = (0, 0);
        words
    }
}

/// What holds for every answer of the parser.
fn check(words: [u64; 4], buffer_bytes: u16) {
    match parse(words, buffer_bytes) {
        Completion::Frame(frame) => {
            assert!(frame.length >= MIN_FRAME_BYTES);
            assert!((1..=MAX_SEGMENTS).contains(&frame.buffers));
            let end = u32::from(frame.placement_offset) + u32::from(frame.first_length);
            assert!(end <= u32::from(buffer_bytes));
            let lengths = (0..frame.buffers).map(|n| frame.segment_length(n, buffer_bytes));
            let total: u32 = lengths.map(u32::from).sum();
            assert_eq!(total, u32::from(frame.length));
        }
        Completion::BadFrame { buffers, .. } => assert!((1..=MAX_SEGMENTS).contains(&buffers)),
        _ => {}
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) completions: u64,
    pub(crate) packets: u64,
    pub(crate) aggregated: u64,
    pub(crate) errors: u64,
    pub(crate) faults: u64,
}

/// Gives `count` completions to queue pairs, one after the other as they fall into a fault.
pub(crate) fn run(count: u64, seed: u64, progress: &AtomicU64) -> Tally {
    let config = QueueConfig {
        receive_ring: 128,
        transmit_ring: 128,
        buffers: 300,
        buffer_bytes: BUFFER_BYTES,
        headroom: 0,
        mtu: 1500,
        aggregation: true,
        ..QueueConfig::default()
    };
    let mut source = Source {
        random: Random(seed | 1),
        open: [(0, 0); 4],
    };
    let mut tally = Tally::default();
    let mut storage = Box::new(QueueStorage::<300, 128, 128>::new());
    let mut out = [RxPacket::EMPTY; 64];
    let mut memory = Memory::default();
    while tally.completions < count {
        let prepared = PreparedQueue::new(&mut memory, &config, &mut *storage)
            .expect("memory for a small queue pair");
        let (mut device, port) = NullDevice::new(prepared.request(), 64, (0, u64::MAX));
        let mut queue = prepared.start(port);
        source.open = [(0, 0); 4];
        'queue: while tally.completions < count {
            let burst = 1 + source.random.next() % 16;
            for _ in 0..burst {
                let words = source.next();
                check(words, source.random.next() as u16);
                device.complete(words);
            }
            device.publish();
            tally.completions += burst;
            loop {
                match queue.receive(&mut out) {
                    Ok(0) => break,
                    Ok(taken) => {
                        for packet in &out[..taken] {
                            let bytes: usize = queue.segments(packet).map(<[u8]>::len).sum();
                            assert_eq!(bytes, packet.len(), "{packet:?}");
                            let _ = (packet.hash(), packet.checksum(), packet.kind());
                            assert!(queue.release(packet), "{packet:?}");
                        }
                    }
                    Err(_) => {
                        tally.faults += 1;
                        break 'queue;
                    }
                }
            }
        }
        let counters = queue.counters().receive;
        tally.packets += counters.packets;
        tally.aggregated += counters.aggregated;
        tally.errors += counters.errors();
        let usage = queue.usage();
        assert_eq!((usage.missing(), usage.owned), (0, 0), "{usage:?}");
        let closed = queue.close_with(Ok::<_, (_, ())>);
        let _port = closed.expect("nothing to refuse");
        device.free();
        progress.store(tally.completions, Ordering::Relaxed);
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_million_completions_lose_no_buffer() {
        let tally = run(2_000_000, 0x5eed, &AtomicU64::new(0));
        assert!(tally.packets > 500_000, "{tally:?}");
        assert!(tally.aggregated > 1000, "{tally:?}");
        assert!(tally.errors > 5_000, "{tally:?}");
        assert!(tally.faults > 500, "{tally:?}");
    }
}
