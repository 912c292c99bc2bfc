//! Host memory as the software adapter sees it: fake bus addresses that lead to pieces of the heap.
//!
//! This module holds all unsafe code of the crate. Memory that the driver and the adapter share is touched with
//! volatile accesses only, as a driver would touch memory that hardware writes.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastlinq_hal::dma::DmaRegion;
use fastlinq_hal::host::AllocationError;
use fastlinq_model::{HostMemory, Unmapped};
use fastlinq_pac::BusAddress;

/// Bytes of a page: regions start on a page of their own, on both sides.
const PAGE: u64 = 4096;
/// What freed memory is filled with before it goes back to the heap.
const POISON: u8 = 0xdd;
/// First bus address below 4 GiB that is handed out.
const LOW_START: u64 = 0x0010_0000;
/// End of the bus addresses below 4 GiB.
const LOW_END: u64 = 0xf000_0000;
/// First bus address above 4 GiB that is handed out.
const HIGH_START: u64 = 0x12_3400_0000;
/// End of the bus addresses that scrambling uses; heap pointers are beyond.
const SCRAMBLE_END: u64 = 1 << 45;
/// Largest region that may get an address below 4 GiB.
const LOW_LARGEST: u64 = 1 << 20;
/// Late accesses that are kept; the others are counted.
const LATE_KEPT: usize = 64;

/// An access of the device to memory that the driver had given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateAccess {
    /// Bus address of the access.
    pub address: u64,
    /// Bytes of the access.
    pub len: usize,
    /// True for a write.
    pub write: bool,
    /// Bus address of the freed region.
    pub region: u64,
}

/// What the host's DMA memory is used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryReport {
    /// Regions that are allocated, leaked ones included.
    pub live_regions: usize,
    /// Bytes that are allocated, leaked ones included.
    pub live_bytes: usize,
    /// Largest value that `live_bytes` ever had.
    pub peak_bytes: usize,
    /// Allocations so far.
    pub allocations: u64,
    /// Accesses of the device to freed regions so far.
    pub late_count: u64,
    /// The first of them.
    pub late_accesses: Vec<LateAccess>,
}

struct Slot {
    pointer: NonNull<u8>,
    len: usize,
}

// SAFETY: the pointer leads to heap memory that stays valid while the slot is in the map, and every access through it
// happens under the map's lock with volatile accesses.
unsafe impl Send for Slot {}

struct Map {
    slots: BTreeMap<u64, Slot>,
    freed: BTreeMap<u64, usize>,
    report: MemoryReport,
    low: u64,
    high: u64,
    random: u64,
    scramble: bool,
    refuse_at: Option<u64>,
}

impl Map {
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        crate::mix(self.random)
    }

    /// A bus address that was never used before, at least one page away from all others.
    fn pick_address(&mut self, size: u64, align: u64) -> Option<u64> {
        let align = align.max(PAGE);
        let gap = (1 + self.next_random() % 15) * PAGE;
        if self.scramble {
            for _ in 0..64 {
                let span = SCRAMBLE_END - HIGH_START;
                let address = align_up(HIGH_START + self.next_random() % span, align)?;
                let end = address.checked_add(size)?.checked_add(PAGE)?;
                let live = self.slots.range(..end).next_back();
                let dead = self.freed.range(..end).next_back();
                let clear = |base: u64, len: usize| base + len as u64 + PAGE <= address;
                if live.is_none_or(|(base, slot)| clear(*base, slot.len))
                    && dead.is_none_or(|(base, len)| clear(*base, *len))
                {
                    return Some(address);
                }
            }
            return None;
        }
        if size <= LOW_LARGEST && self.report.allocations % 4 == 1 {
            let address = align_up(self.low.checked_add(gap)?, align)?;
            if address.checked_add(size)? <= LOW_END {
                self.low = address + size;
                return Some(address);
            }
        }
        let address = align_up(self.high.checked_add(gap)?, align)?;
        self.high = address.checked_add(size)?;
        Some(address)
    }

    fn find(&self, address: u64, len: usize) -> Option<NonNull<u8>> {
        let (base, slot) = self.slots.range(..=address).next_back()?;
        let offset = usize::try_from(address - base).ok()?;
        let end = offset.checked_add(len)?;
        if end > slot.len {
            return None;
        }
        // SAFETY: `offset` is at most `slot.len`, and the slot's memory has that many bytes.
        Some(unsafe { slot.pointer.add(offset) })
    }

    fn miss(&mut self, address: u64, len: usize, write: bool) -> Unmapped {
        let inside = |(base, size): (&u64, &usize)| {
            let end = address.saturating_add(len as u64);
            (end > *base && address < base + *size as u64).then_some(*base)
        };
        let end = address.saturating_add(len.max(1) as u64);
        if let Some(region) = self.freed.range(..end).next_back().and_then(inside) {
            self.report.late_count += 1;
            if self.report.late_accesses.len() < LATE_KEPT {
                self.report.late_accesses.push(LateAccess {
                    address,
                    len,
                    write,
                    region,
                });
            }
        }
        Unmapped { address }
    }
}

fn align_up(value: u64, align: u64) -> Option<u64> {
    value
        .checked_add(align - 1)
        .map(|value| value & !(align - 1))
}

/// All DMA memory of a host.
pub(crate) struct HostMap(Mutex<Map>);

impl HostMap {
    pub(crate) fn new(seed: u64, scramble: bool) -> Self {
        Self(Mutex::new(Map {
            slots: BTreeMap::new(),
            freed: BTreeMap::new(),
            report: MemoryReport::default(),
            low: LOW_START,
            high: HIGH_START,
            random: seed,
            scramble,
            refuse_at: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn report(&self) -> MemoryReport {
        self.lock().report.clone()
    }

    /// Refuses the allocation with this number (counted from 0 since power-up), and all later ones.
    pub(crate) fn refuse_from(&self, allocation: Option<u64>) {
        self.lock().refuse_at = allocation;
    }

    pub(crate) fn allocate(
        self: &Arc<Self>,
        size: usize,
        align: usize,
    ) -> Result<ModelRegion, AllocationError> {
        let refused = AllocationError { size, align };
        let layout = size
            .max(1)
            .checked_next_multiple_of(PAGE as usize)
            .filter(|_| align.is_power_of_two())
            .and_then(|bytes| Layout::from_size_align(bytes, align.max(PAGE as usize)).ok())
            .ok_or(refused)?;
        let mut map = self.lock();
        let number = map.report.allocations;
        if map.refuse_at.is_some_and(|first| number >= first) {
            return Err(refused);
        }
        map.report.allocations += 1;
        let address = map.pick_address(size as u64, align as u64).ok_or(refused)?;
        // SAFETY: the layout has at least one page of bytes.
        let pointer = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(refused)?;
        map.slots.insert(address, Slot { pointer, len: size });
        map.report.live_regions += 1;
        map.report.live_bytes += size;
        map.report.peak_bytes = map.report.peak_bytes.max(map.report.live_bytes);
        Ok(ModelRegion {
            map: Arc::clone(self),
            pointer,
            address,
            len: size,
            layout,
        })
    }
}

/// A piece of DMA memory of a [`ModelHost`](crate::ModelHost).
///
/// Dropping it unmaps it for the device, fills it with 0xdd and returns it to the heap. Its bus address is never used
/// again, so that a late access of the device is noticed.
pub struct ModelRegion {
    map: Arc<HostMap>,
    pointer: NonNull<u8>,
    address: u64,
    len: usize,
    layout: Layout,
}

// SAFETY: the region owns its memory; the device side touches it under the map's lock, whatever thread it runs on.
unsafe impl Send for ModelRegion {}
// SAFETY: a shared region gives out its pointer and numbers only, and does nothing with them itself.
unsafe impl Sync for ModelRegion {}

impl core::fmt::Debug for ModelRegion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes at bus address {:#x}", self.len, self.address)
    }
}

// SAFETY: the memory comes from the heap with the alignment asked for, is freed in `drop` only and belongs to this region
// alone; the map leads the device's accesses at `address` to it until then.
unsafe impl DmaRegion for ModelRegion {
    fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }

    fn bus_address(&self) -> BusAddress {
        BusAddress(self.address)
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl Drop for ModelRegion {
    fn drop(&mut self) {
        let mut map = self.map.lock();
        map.slots.remove(&self.address);
        map.freed.insert(self.address, self.len);
        map.report.live_regions -= 1;
        map.report.live_bytes -= self.len;
        drop(map);
        // SAFETY: the memory has `layout.size()` bytes, and the device cannot reach it any more.
        unsafe { self.pointer.write_bytes(POISON, self.layout.size()) };
        // SAFETY: allocated with this layout, and freed here only.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) };
    }
}

/// The adapter's view of the host's memory.
pub(crate) struct DeviceView(pub(crate) Arc<HostMap>);

impl HostMemory for DeviceView {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), Unmapped> {
        let mut map = self.0.lock();
        let Some(source) = map.find(address, out.len()) else {
            return Err(map.miss(address, out.len(), false));
        };
        let (head, words, _) = split(source, out.len());
        let mut place = source.as_ptr().cast_const();
        let (first, rest) = out.split_at_mut(head);
        let (middle, last) = rest.split_at_mut(words * 8);
        for byte in first {
            // SAFETY: `find` checked `out.len()` bytes from `source`; the three loops together step over exactly those.
            *byte = unsafe { place.read_volatile() };
            place = place.wrapping_add(1);
        }
        for chunk in middle.chunks_exact_mut(8) {
            // SAFETY: in bounds as above; `place` is aligned to 8 behind the head.
            let word = unsafe { place.cast::<u64>().read_volatile() };
            chunk.copy_from_slice(&word.to_ne_bytes());
            place = place.wrapping_add(8);
        }
        for byte in last {
            // SAFETY: in bounds as above.
            *byte = unsafe { place.read_volatile() };
            place = place.wrapping_add(1);
        }
        Ok(())
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Unmapped> {
        let mut map = self.0.lock();
        let Some(target) = map.find(address, data.len()) else {
            return Err(map.miss(address, data.len(), true));
        };
        let (head, words, _) = split(target, data.len());
        let mut place = target.as_ptr();
        let (first, rest) = data.split_at(head);
        let (middle, last) = rest.split_at(words * 8);
        for byte in first {
            // SAFETY: `find` checked `data.len()` bytes from `target`; the three loops together step over exactly those.
            unsafe { place.write_volatile(*byte) };
            place = place.wrapping_add(1);
        }
        for chunk in middle.chunks_exact(8) {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            // SAFETY: in bounds as above; `place` is aligned to 8 behind the head.
            unsafe { place.cast::<u64>().write_volatile(u64::from_ne_bytes(word)) };
            place = place.wrapping_add(8);
        }
        for byte in last {
            // SAFETY: in bounds as above.
            unsafe { place.write_volatile(*byte) };
            place = place.wrapping_add(1);
        }
        Ok(())
    }
}

/// Bytes before the first aligned quadword, number of quadwords, and bytes behind the last.
fn split(pointer: NonNull<u8>, len: usize) -> (usize, usize, usize) {
    let head = (pointer.as_ptr() as usize).wrapping_neg() % 8;
    let head = head.min(len);
    let words = (len - head) / 8;
    (head, words, len - head - words * 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Arc<HostMap> {
        Arc::new(HostMap::new(1, false))
    }

    #[test]
    fn bytes_go_through_in_both_directions_at_any_alignment() {
        let map = map();
        let region = map.allocate(100, 1).unwrap();
        let mut device = DeviceView(Arc::clone(&map));
        for offset in 0..20 {
            for len in 0..40_u8 {
                let data: Vec<u8> = (0..len).map(|n| n ^ 0x5a ^ offset).collect();
                let address = region.bus_address().value() + u64::from(offset);
                device.write(address, &data).unwrap();
                let mut back = vec![0; data.len()];
                device.read(address, &mut back).unwrap();
                assert_eq!(back, data);
                // SAFETY: inside the region of 100 bytes.
                let cpu = unsafe { region.pointer().add(usize::from(offset)) };
                for (n, byte) in data.iter().enumerate() {
                    // SAFETY: inside the region of 100 bytes.
                    assert_eq!(unsafe { cpu.add(n).read() }, *byte);
                }
            }
        }
    }

    #[test]
    fn the_edges_of_a_region_are_guarded() {
        let map = map();
        let region = map.allocate(100, 8).unwrap();
        let mut device = DeviceView(Arc::clone(&map));
        let base = region.bus_address().value();
        assert!(device.write(base + 99, &[1]).is_ok());
        assert!(device.write(base + 99, &[1, 2]).is_err());
        assert!(device.write(base - 1, &[1]).is_err());
        assert!(device.read(u64::MAX, &mut [0; 8]).is_err());
        assert_eq!(map.report().late_count, 0);
    }

    #[test]
    fn freed_memory_is_unmapped_and_late_accesses_are_noticed() {
        let map = map();
        let mut device = DeviceView(Arc::clone(&map));
        let region = map.allocate(4096, 4096).unwrap();
        let base = region.bus_address().value();
        assert_eq!(map.report().live_bytes, 4096);
        drop(region);
        assert_eq!(map.report().live_regions, 0);
        assert_eq!(
            device.write(base + 8, &[0; 4]),
            Err(Unmapped { address: base + 8 })
        );
        let report = map.report();
        assert_eq!(report.late_count, 1);
        let late = LateAccess {
            address: base + 8,
            len: 4,
            write: true,
            region: base,
        };
        assert_eq!(report.late_accesses, [late]);
        let again = map.allocate(4096, 4096).unwrap();
        assert_ne!(again.bus_address().value(), base);
    }

    #[test]
    fn addresses_are_aligned_sparse_on_both_sides_of_4_gib_and_repeatable() {
        for scramble in [false, true] {
            let addresses = |seed| {
                let map = Arc::new(HostMap::new(seed, scramble));
                let regions: Vec<_> = (0..64)
                    .map(|n| map.allocate(1 << (n % 20), 1 << (n % 22)).unwrap())
                    .collect();
                for (n, region) in regions.iter().enumerate() {
                    let address = region.bus_address().value();
                    assert_eq!(address % (1 << (n % 22)), 0);
                    assert_eq!(region.pointer().as_ptr() as usize % (1 << (n % 22)), 0);
                    assert_ne!(address, region.pointer().as_ptr() as u64);
                }
                let all: Vec<u64> = regions.iter().map(|r| r.bus_address().value()).collect();
                let mut sorted: Vec<_> = regions
                    .iter()
                    .map(|r| (r.bus_address().value(), r.len() as u64))
                    .collect();
                sorted.sort_unstable();
                assert!(sorted.windows(2).all(|w| w[0].0 + w[0].1 + PAGE <= w[1].0));
                all
            };
            assert_eq!(addresses(7), addresses(7));
            assert_ne!(addresses(7), addresses(8));
            let low = addresses(7).iter().filter(|a| **a < 1 << 32).count();
            assert_eq!(low > 0, !scramble);
        }
    }

    #[test]
    fn refuses_when_told_to_and_what_cannot_be() {
        let map = map();
        assert!(map.allocate(8, 3).is_err());
        assert!(map.allocate(usize::MAX, 1).is_err());
        map.refuse_from(Some(1));
        let kept = map.allocate(8, 1);
        assert!(kept.is_ok());
        assert_eq!(
            map.allocate(8, 1).unwrap_err(),
            AllocationError { size: 8, align: 1 }
        );
        map.refuse_from(None);
        assert!(map.allocate(8, 1).is_ok());
    }
}
