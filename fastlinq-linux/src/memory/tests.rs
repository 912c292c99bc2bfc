//! The pool with a translation that keeps a list.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fastlinq_hal::host::DmaRegion;

use super::*;

#[derive(Clone, Default)]
struct List(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    mapped: BTreeMap<u64, usize>,
    refuse_map: bool,
    refuse_unmap: bool,
}

impl Translation for List {
    fn map(&self, window: Window<'_>, address: u64) -> Result<(), MapError> {
        let mut entries = self.0.lock().unwrap();
        if entries.refuse_map {
            return Err("limit".into());
        }
        assert_eq!(window.pointer as usize % (2 << 20), 0);
        assert!(entries.mapped.insert(address, window.len).is_none());
        Ok(())
    }

    fn unmap(&self, address: u64, len: u64) -> Result<(), MapError> {
        let mut entries = self.0.lock().unwrap();
        if entries.refuse_unmap {
            return Err("gone".into());
        }
        assert_eq!(entries.mapped.remove(&address), Some(len as usize));
        Ok(())
    }

    fn may_free_after_failed_unmap(&self) -> bool {
        false
    }
}

fn pool(list: &List) -> Pool {
    Pool::new(list.clone(), [(0, 0x3fff_ffff)], PageSize::Kib4)
}

#[test]
fn regions_are_aligned_on_both_sides_zeroed_and_apart() {
    let list = List::default();
    let pool = pool(&list);
    let mut regions = Vec::new();
    for round in 0..40 {
        let (size, align) = (1 << (round % 17), 1 << (round % 23));
        let region = pool.allocate(size, align).expect("memory");
        let pointer = region.pointer().as_ptr();
        assert_eq!(pointer as usize % align, 0);
        assert_eq!(region.bus_address().value() % align as u64, 0);
        for at in 0..size {
            // SAFETY: inside the region.
            unsafe {
                assert_eq!(pointer.add(at).read(), 0);
                pointer.add(at).write(0xa5);
            }
        }
        regions.push(region);
        if round % 3 == 0 {
            regions.swap_remove(0);
        }
    }
    let mut places: Vec<_> = regions
        .iter()
        .map(|region| (region.bus_address().value(), region.len() as u64))
        .collect();
    places.sort_unstable();
    assert!(places.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0));
    let mapped = list.0.lock().unwrap().mapped.clone();
    for (address, len) in places {
        let (base, size) = mapped.range(..=address).next_back().expect("mapped");
        assert!(address + len <= base + *size as u64);
    }
}

#[test]
fn an_empty_chunk_is_taken_from_the_device_and_a_leaked_region_keeps_its_chunk() {
    let list = List::default();
    let pool = pool(&list);
    let first = pool.allocate(100, 64).expect("memory");
    let second = pool.allocate(5 << 20, 4096).expect("memory");
    assert_eq!(list.0.lock().unwrap().mapped.len(), 2);
    assert_eq!(pool.report().regions, 2);
    drop(second);
    assert_eq!(list.0.lock().unwrap().mapped.len(), 1);
    std::mem::forget(first);
    drop(pool.allocate(100, 64).expect("memory"));
    assert_eq!(list.0.lock().unwrap().mapped.len(), 1);
    assert_eq!(pool.report().regions, 1);
    assert_eq!(pool.report().bytes, 100);
    drop(pool);
    assert_eq!(list.0.lock().unwrap().mapped.len(), 1);
}

#[test]
fn what_the_translation_refuses_is_an_error_with_its_reason() {
    let list = List::default();
    let pool = pool(&list);
    list.0.lock().unwrap().refuse_map = true;
    assert!(pool.allocate(4096, 4096).is_err());
    assert_eq!(pool.last_error().as_deref(), Some("limit"));
    list.0.lock().unwrap().refuse_map = false;
    for (size, align) in [(0, 1), (1, 3), (usize::MAX, 1), (1, 1 << 40), (1 << 50, 1)] {
        assert!(pool.allocate(size, align).is_err(), "{size} {align}");
    }
    assert_eq!(pool.report().regions, 0);
    // Everything that the range has room for, and then no more.
    let all: Vec<_> = std::iter::from_fn(|| pool.allocate(64 << 20, 64 << 20).ok()).collect();
    assert_eq!(all.len(), 15);
}

#[test]
fn memory_that_cannot_be_taken_back_is_kept() {
    let list = List::default();
    let pool = pool(&list);
    let region = pool.allocate(64, 64).expect("memory");
    let pointer = region.pointer();
    list.0.lock().unwrap().refuse_unmap = true;
    drop(region);
    assert_eq!(pool.report().lost_bytes, 2 << 20);
    // SAFETY: still mapped, and nobody else's.
    unsafe { pointer.write_volatile(1) };
}

#[test]
fn a_region_may_go_to_another_thread_and_outlive_the_pool() {
    let list = List::default();
    let pool = pool(&list);
    let region = pool.allocate(4096, 4096).expect("memory");
    drop(pool);
    std::thread::spawn(move || assert_eq!(region.len(), 4096))
        .join()
        .expect("no panic");
    assert!(list.0.lock().unwrap().mapped.is_empty());
}
