//! The host on its own, before any driver runs on it.

use embedded_hal::delay::DelayNs;
use fastlinq_hal::dma::DmaBuffer;
use fastlinq_hal::host::{Bar, Clock, DmaAllocator, Host};
use fastlinq_model_host::model::{Chip, Wire};
use fastlinq_model_host::{Fault, ModelHost};

fn is_send<T: Send>() {}
fn is_sync<T: Sync>() {}

#[test]
fn handles_can_go_to_other_threads() {
    is_send::<ModelHost>();
    is_sync::<ModelHost>();
    is_send::<<ModelHost as Host>::Bar>();
    is_send::<<ModelHost as DmaAllocator>::Region>();
    is_sync::<<ModelHost as DmaAllocator>::Region>();
}

#[test]
fn long_waits_take_no_real_time() {
    let mut host = ModelHost::builder().build();
    let real = std::time::Instant::now();
    let before = host.now_us();
    for _ in 0..100 {
        host.delay_ms(5_000);
    }
    assert!(host.now_us() - before >= 500_000_000);
    assert!(real.elapsed().as_secs() < 5);
}

#[test]
fn reading_registers_and_looking_at_the_clock_takes_model_time() {
    let host = ModelHost::builder().read_ns(2_000).build();
    let before = host.now_us();
    let registers = host.registers();
    for _ in 0..10 {
        let _ = registers.read32(0);
    }
    assert!(host.now_us() - before >= 20);
    let before = host.now_us();
    assert!((0..100).any(|_| host.now_us() > before));
}

#[test]
fn functions_of_one_adapter_share_time_and_memory_but_not_faults() {
    let mut hosts = ModelHost::builder().functions(2).build_all();
    let second = hosts.pop().unwrap();
    let mut first = hosts.pop().unwrap();
    assert_eq!((first.function(), second.function()), (0, 1));
    first.faults().from_read(0, Fault::AllOnes);
    assert_eq!(first.registers().read32(0), u32::MAX);
    assert_eq!(second.faults().reads(), 0);
    first.delay_ms(1);
    assert!(second.now_us() >= 1_000);
    let region = first.allocate(64, 64).unwrap();
    assert_eq!(second.memory().live_bytes, 64);
    drop(region);
}

#[test]
fn a_dropped_buffer_goes_back_and_a_leaked_one_stays_counted() {
    let mut host = ModelHost::builder()
        .seed(3)
        .scramble_addresses(true)
        .build();
    let buffer = DmaBuffer::new(host.allocate(4096, 4096).unwrap());
    drop(buffer);
    assert_eq!(host.memory().live_regions, 0);
    let buffer = DmaBuffer::new(host.allocate(4096, 4096).unwrap());
    assert_eq!(buffer.leak(), 4096);
    let report = host.memory();
    assert_eq!(
        (report.live_regions, report.live_bytes, report.peak_bytes),
        (1, 4096, 4096)
    );
    assert_eq!(report.allocations, 2);
}

#[test]
fn chips_have_their_own_identity() {
    for chip in [Chip::Bb, Chip::K2] {
        let identity = ModelHost::builder().chip(chip).build().identity();
        assert_eq!(identity.vendor, 0x1077);
        assert_eq!(Chip::from_device_id(identity.device), Some(chip));
        assert_ne!(identity.revision, 0xff);
    }
}

#[test]
fn wires_can_be_plugged() {
    struct Nothing;
    impl Wire for Nothing {
        fn transmit(&mut self, _: &[u8]) {}
        fn receive(&mut self) -> Option<Vec<u8>> {
            None
        }
    }
    let host = ModelHost::builder().build();
    host.set_wire(0, Box::new(Nothing));
    host.poll();
    assert!(host.violations().is_empty());
    let other = ModelHost::builder().build();
    fastlinq_model_host::join(&host, 0, &other, 0);
}
