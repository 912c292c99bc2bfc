//! Port statistics in shared memory: MAC counters that the firmware collects for all functions of a port.

use super::scratchpad::Scratchpad;
use crate::Chip;

/// Offset of the statistics inside the port section.
pub(crate) const STATISTICS_OFFSET: u32 = 0x28;
const FCS_BYTES: u64 = 4;
const MINIMUM_BYTES: u64 = 64;

/// A counter of the port, by its offset behind the start of the statistics. Counters are 64-bit, low DW first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum PortCounter {
    BrbTruncate0 = 0x00,
    BrbDiscard0 = 0x40,
    Rx64 = 0x80,
    Rx65To127 = 0x88,
    Rx128To255 = 0x90,
    Rx256To511 = 0x98,
    Rx512To1023 = 0xa0,
    Rx1024To1518 = 0xa8,
    /// BB only.
    Rx1519To1522 = 0xb0,
    /// BB: 1519 to 2047; K2: 1519 to the maximum.
    Rx1519Up = 0xb8,
    /// BB only.
    Rx2048To4095 = 0xc0,
    /// BB only.
    Rx4096To9216 = 0xc8,
    /// BB only.
    Rx9217To16383 = 0xd0,
    RxFcsErrors = 0xd8,
    RxControlFrames = 0xe0,
    RxPause = 0xe8,
    RxPfc = 0xf0,
    RxAlignErrors = 0xf8,
    RxFalseCarrier = 0x100,
    RxOversize = 0x108,
    RxJabber = 0x110,
    RxUndersize = 0x118,
    RxFragments = 0x120,
    Tx64 = 0x128,
    Tx65To127 = 0x130,
    Tx128To255 = 0x138,
    Tx256To511 = 0x140,
    Tx512To1023 = 0x148,
    Tx1024To1518 = 0x150,
    /// BB: 1519 to 2047; K2: 1519 to the maximum.
    Tx1519Up = 0x158,
    /// BB only.
    Tx2048To4095 = 0x160,
    /// BB only.
    Tx4096To9216 = 0x168,
    /// BB only.
    Tx9217To16383 = 0x170,
    TxPause = 0x178,
    TxPfc = 0x180,
    /// BB only.
    TxLpiEntries = 0x188,
    /// BB only.
    TxCollisions = 0x190,
    RxBytes = 0x198,
    RxUnicast = 0x1a0,
    RxMulticast = 0x1a8,
    RxBroadcast = 0x1b0,
    RxOk = 0x1b8,
    TxBytes = 0x1c0,
    TxUnicast = 0x1c8,
    TxMulticast = 0x1d0,
    TxBroadcast = 0x1d8,
    TxControlFrames = 0x1e0,
}

impl PortCounter {
    fn received_size(chip: Chip, bytes: u64) -> Self {
        match (bytes, chip) {
            (..=64, _) => Self::Rx64,
            (..=127, _) => Self::Rx65To127,
            (..=255, _) => Self::Rx128To255,
            (..=511, _) => Self::Rx256To511,
            (..=1023, _) => Self::Rx512To1023,
            (..=1518, _) => Self::Rx1024To1518,
            (..=1522, Chip::Bb) => Self::Rx1519To1522,
            (..=2047, _) | (_, Chip::K2) => Self::Rx1519Up,
            (..=4095, _) => Self::Rx2048To4095,
            (..=9216, _) => Self::Rx4096To9216,
            _ => Self::Rx9217To16383,
        }
    }

    fn transmitted_size(chip: Chip, bytes: u64) -> Self {
        match (bytes, chip) {
            (..=64, _) => Self::Tx64,
            (..=127, _) => Self::Tx65To127,
            (..=255, _) => Self::Tx128To255,
            (..=511, _) => Self::Tx256To511,
            (..=1023, _) => Self::Tx512To1023,
            (..=1518, _) => Self::Tx1024To1518,
            (..=2047, _) | (_, Chip::K2) => Self::Tx1519Up,
            (..=4095, _) => Self::Tx2048To4095,
            (..=9216, _) => Self::Tx4096To9216,
            _ => Self::Tx9217To16383,
        }
    }
}

/// The statistics of one port. They live in the RAM that drivers can write, so they are what a driver reads.
pub struct PortStatistics<'a> {
    pub(crate) ram: &'a mut Scratchpad,
    pub(crate) base: u32,
    pub(crate) chip: Chip,
}

impl PortStatistics<'_> {
    /// Adds to a counter; it wraps.
    pub fn add(&mut self, counter: PortCounter, amount: u64) {
        let at = self.base + counter as u32;
        let value = self.ram.get64(at).wrapping_add(amount);
        self.ram.set64(at, value);
    }

    /// Value of a counter.
    pub fn get(&self, counter: PortCounter) -> u64 {
        self.ram.get64(self.base + counter as u32)
    }

    /// Counts a good frame that arrived at the port, given without FCS.
    pub fn received(&mut self, frame: &[u8]) {
        let bytes = on_the_line(frame);
        self.add(PortCounter::received_size(self.chip, bytes), 1);
        self.add(PortCounter::RxBytes, bytes);
        self.add(PortCounter::RxOk, 1);
        self.add(
            match cast(frame) {
                Cast::Unicast => PortCounter::RxUnicast,
                Cast::Multicast => PortCounter::RxMulticast,
                Cast::Broadcast => PortCounter::RxBroadcast,
            },
            1,
        );
    }

    /// Counts a frame that left through the port, given without FCS.
    pub fn transmitted(&mut self, frame: &[u8]) {
        let bytes = on_the_line(frame);
        self.add(PortCounter::transmitted_size(self.chip, bytes), 1);
        self.add(PortCounter::TxBytes, bytes);
        self.add(
            match cast(frame) {
                Cast::Unicast => PortCounter::TxUnicast,
                Cast::Multicast => PortCounter::TxMulticast,
                Cast::Broadcast => PortCounter::TxBroadcast,
            },
            1,
        );
    }
}

/// Bytes of a frame with FCS and padding.
fn on_the_line(frame: &[u8]) -> u64 {
    (frame.len() as u64 + FCS_BYTES).max(MINIMUM_BYTES)
}

enum Cast {
    Unicast,
    Multicast,
    Broadcast,
}

fn cast(frame: &[u8]) -> Cast {
    match frame.get(..6) {
        Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => Cast::Broadcast,
        Some([first, ..]) if first & 1 == 1 => Cast::Multicast,
        _ => Cast::Unicast,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<R>(chip: Chip, work: impl FnOnce(&mut PortStatistics<'_>) -> R) -> R {
        let mut ram = Scratchpad::new();
        work(&mut PortStatistics {
            ram: &mut ram,
            base: 0x5000,
            chip,
        })
    }

    const STATISTICS_BYTES: u32 = 0x1e8;

    #[test]
    fn offsets_match_the_known_positions() {
        assert_eq!(PortCounter::TxControlFrames as u32 + 8, STATISTICS_BYTES);
        assert_eq!(PortCounter::Rx64 as u32 + STATISTICS_OFFSET, 0xa8);
        assert_eq!(PortCounter::RxFcsErrors as u32 - 0x80, 0x58);
        assert_eq!(PortCounter::Tx64 as u32 - 0x80, 0xa8);
        assert_eq!(PortCounter::RxBytes as u32 - 0x80, 0x118);
        assert_eq!(PortCounter::TxBytes as u32 - 0x80, 0x140);
    }

    #[test]
    fn every_frame_falls_into_exactly_one_bucket() {
        for chip in [Chip::Bb, Chip::K2] {
            with(chip, |statistics| {
                for len in 0..9700 {
                    statistics.received(&vec![2; len]);
                    statistics.transmitted(&vec![2; len]);
                }
                let sum = |from: u32, to: u32, statistics: &PortStatistics<'_>| -> u64 {
                    (from..to)
                        .step_by(8)
                        .map(|at| statistics.ram.get64(statistics.base + at))
                        .sum()
                };
                assert_eq!(sum(0x80, 0xd8, statistics), 9700);
                assert_eq!(sum(0x128, 0x178, statistics), 9700);
                assert_eq!(statistics.get(PortCounter::RxOk), 9700);
            });
        }
    }

    #[test]
    fn large_frames_are_bucketed_by_chip() {
        with(Chip::K2, |statistics| {
            statistics.received(&[2; 9000]);
            assert_eq!(statistics.get(PortCounter::Rx1519Up), 1);
        });
        with(Chip::Bb, |statistics| {
            statistics.received(&[2; 9000]);
            statistics.received(&[2; 1518]);
            assert_eq!(statistics.get(PortCounter::Rx4096To9216), 1);
            assert_eq!(statistics.get(PortCounter::Rx1519To1522), 1);
        });
    }

    #[test]
    fn casts_are_told_apart() {
        with(Chip::K2, |statistics| {
            statistics.received(&[0xff; 60]);
            statistics.received(&[0x01; 60]);
            statistics.transmitted(&[0x02; 60]);
            statistics.transmitted(&[]);
            assert_eq!(statistics.get(PortCounter::RxBroadcast), 1);
            assert_eq!(statistics.get(PortCounter::RxMulticast), 1);
            assert_eq!(statistics.get(PortCounter::TxUnicast), 2);
            assert_eq!(statistics.get(PortCounter::TxBytes), 128);
        });
    }

    #[test]
    fn a_scribbled_counter_wraps_without_harm() {
        with(Chip::K2, |statistics| {
            statistics
                .ram
                .set64(statistics.base + PortCounter::RxOk as u32, u64::MAX);
            statistics.received(&[0; 60]);
            assert_eq!(statistics.get(PortCounter::RxOk), 0);
        });
    }
}
