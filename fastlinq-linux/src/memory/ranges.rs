//! Ranges of addresses that are handed out and taken back: I/O virtual addresses, and pieces of a chunk.

use std::collections::BTreeMap;

/// Free ranges by first address, with the address behind each; none of them touch.
///
/// Addresses are handed out in rising order, starting again at the bottom when the top is reached, so that one that was
/// given back is not used again soon: a late access of the device to it is refused, not served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    free: BTreeMap<u64, u64>,
    next: u64,
}

impl Ranges {
    /// Takes ranges given by first and last address. Overlapping ones are joined, reversed ones skipped.
    pub(crate) fn new(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut sorted: Vec<_> = ranges
            .into_iter()
            .filter(|(first, last)| first <= last)
            // The very last address has no address behind it.
            .map(|(first, last)| (first, last.saturating_add(1)))
            .collect();
        sorted.sort_unstable();
        let mut free = BTreeMap::new();
        let mut open: Option<(u64, u64)> = None;
        for (first, end) in sorted {
            open = match open {
                Some((start, reach)) if first <= reach => Some((start, reach.max(end))),
                Some((start, reach)) => {
                    free.insert(start, reach);
                    Some((first, end))
                }
                None => Some((first, end)),
            };
        }
        free.extend(open);
        Self { free, next: 0 }
    }

    /// Takes `size` addresses whose first is a multiple of `align`, a power of two.
    pub(crate) fn take(&mut self, size: u64, align: u64) -> Option<u64> {
        if size == 0 || !align.is_power_of_two() {
            return None;
        }
        let fits = |first: u64, end: u64, from: u64| {
            let at = align_up(first.max(from), align)?;
            (at.checked_add(size)? <= end).then_some((first, end, at))
        };
        let next = self.next;
        let above = |(&first, &end): (&u64, &u64)| fits(first, end, next);
        let anywhere = |(&first, &end): (&u64, &u64)| fits(first, end, 0);
        let (first, end, at) = self
            .free
            .iter()
            .find_map(above)
            .or_else(|| self.free.iter().find_map(anywhere))?;
        self.free.remove(&first);
        if first < at {
            self.free.insert(first, at);
        }
        if at + size < end {
            self.free.insert(at + size, end);
        }
        self.next = at + size;
        Some(at)
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&mut self, at: u64, size: u64) {
        let (mut start, mut end) = (at, at + size);
        if let Some((&first, &reach)) = self.free.range(..at).next_back() {
            if reach == at {
                self.free.remove(&first);
                start = first;
            }
        }
        if let Some(reach) = self.free.remove(&end) {
            end = reach;
        }
        self.free.insert(start, end);
    }

    #[cfg(test)]
    fn free(&self) -> Vec<(u64, u64)> {
        self.free.iter().map(|(&a, &b)| (a, b)).collect()
    }
}

pub(crate) fn align_up(value: u64, align: u64) -> Option<u64> {
    Some(value.checked_add(align - 1)? & !(align - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_of_the_kernel_are_respected() {
        // As x86 reports them: the window of the interrupt controller is missing.
        let mut ranges =
            Ranges::new([(0x1000, 0xfedf_ffff), (0xfef0_0000, 0x7f_ffff_ffff), (9, 3)]);
        let mut taken = Vec::new();
        while let Some(at) = ranges.take(1 << 30, 1 << 21) {
            assert_eq!(at % (1 << 21), 0);
            assert!(at + (1 << 30) <= 0xfee0_0000 || at >= 0xfef0_0000);
            taken.push(at);
        }
        assert_eq!(taken.len(), 3 + 508);
        for at in taken {
            ranges.give_back(at, 1 << 30);
        }
        assert_eq!(
            ranges.free(),
            [(0x1000, 0xfee0_0000), (0xfef0_0000, 0x80_0000_0000)]
        );
    }

    #[test]
    fn what_was_given_back_is_used_last() {
        let mut ranges = Ranges::new([(0, 0xff)]);
        let first = ranges.take(0x40, 0x40).unwrap();
        ranges.give_back(first, 0x40);
        let more: Vec<_> = (0..4).map(|_| ranges.take(0x40, 0x40).unwrap()).collect();
        assert_eq!(more, [0x40, 0x80, 0xc0, 0]);
        assert_eq!(ranges.take(1, 1), None);
    }

    #[test]
    fn the_ends_of_the_address_space_do_no_harm() {
        let mut ranges = Ranges::new([(u64::MAX - 0xfff, u64::MAX), (0, 0)]);
        assert_eq!(ranges.take(0x1000, 0x1000), None, "the last byte is lost");
        assert_eq!(ranges.take(0x800, 0x800), Some(u64::MAX - 0xfff));
        assert_eq!(ranges.take(u64::MAX, 1), None);
        assert_eq!(ranges.take(0, 1), None);
        assert_eq!(ranges.take(1, 3), None);
    }

    #[test]
    fn a_random_history_never_overlaps_and_nothing_is_lost() {
        let mut ranges = Ranges::new([(0x100, 0x7fff), (0x9000, 0xffff)]);
        let whole = ranges.free();
        let mut held: Vec<(u64, u64)> = Vec::new();
        let mut seed = 7u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let draw = seed >> 33;
            if draw % 3 == 0 && !held.is_empty() {
                let (at, size) = held.swap_remove(draw as usize % held.len());
                ranges.give_back(at, size);
            } else if let Some(at) = ranges.take(1 + draw % 700, 1 << (draw % 9)) {
                let size = 1 + draw % 700;
                assert!(held.iter().all(|(a, s)| at + size <= *a || a + s <= at));
                assert!(at >= 0x100 && at + size <= 0x10000);
                held.push((at, size));
            }
        }
        for (at, size) in held {
            ranges.give_back(at, size);
        }
        assert_eq!(ranges.free(), whole);
    }
}
