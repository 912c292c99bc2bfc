use std::vec::Vec;

use super::*;
use crate::slowpath::test_memory::{HeapRegion, RecordingBar, TestHost, buffer};
use crate::slowpath::{EQ_RING_BYTES, RAMROD_AREA_BYTES, SPQ_RING_BYTES};

const CONSUMER: usize = 0x14008;

/// Writes event-queue memory and status block as a device would.
struct Device {
    ring: *mut u8,
    status: *mut u8,
    written: u16,
}

#[allow(unsafe_code)]
impl Device {
    fn event(&mut self, bytes: [u8; 16]) {
        let slot = usize::from(self.written % 256) * 16;
        // SAFETY: the ring has 256 elements of 16 bytes and lives as long as the test.
        unsafe { self.ring.add(slot).cast::<[u8; 16]>().write_volatile(bytes) };
        self.written = self.written.wrapping_add(1);
        self.producer(self.written);
    }

    fn complete(&mut self, ramrod: Ramrod, echo: u16, code: u8) {
        let [low, high] = echo.to_le_bytes();
        self.event([
            ramrod.protocol().0,
            ramrod.completing_event(),
            0,
            0xff,
            low,
            high,
            code,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
    }

    fn producer(&mut self, producer: u16) {
        // SAFETY: the status block is larger than its first index and lives as long as the test.
        unsafe { self.status.cast::<u16>().write_volatile(producer.to_le()) };
    }
}

type Script<'a> = &'a mut dyn FnMut(&mut Device, u64);

/// Runs a script at each wait and counts virtual time and NIG drains.
struct Bench<'a> {
    device: Device,
    now_us: u64,
    drains: u32,
    gone: bool,
    script: Script<'a>,
}

impl WaitContext for Bench<'_> {
    fn wait_us(&mut self, us: u32) {
        self.now_us += u64::from(us);
        (self.script)(&mut self.device, self.now_us);
    }
    fn drain_nig(&mut self) {
        self.drains += 1;
        self.now_us += 1_020_000;
        (self.script)(&mut self.device, self.now_us);
    }
    fn is_gone(&mut self) -> bool {
        self.gone
    }
}

fn slow_path() -> (SlowPath<TestHost>, Device, RecordingBar, RecordingBar) {
    let region = |buffer: &DmaBuffer<HeapRegion>| buffer.bus_address().0 as usize as *mut u8;
    let ring = buffer(EQ_RING_BYTES);
    let status_block = buffer(128);
    let device = Device {
        ring: region(&ring),
        status: region(&status_block),
        written: 0,
    };
    let registers = RecordingBar::default();
    let doorbells = RecordingBar::default();
    let path = SlowPath::new(SlowPathParts {
        queue: SlowPathQueue::new(buffer(SPQ_RING_BYTES), buffer(RAMROD_AREA_BYTES)),
        events: EventQueue::new(ring, buffer(8)).ok().unwrap(),
        status_block,
        registers: registers.clone(),
        doorbells: doorbells.clone(),
        opaque_fid: 1,
        cid: 0,
        igu_status_block: 2,
        event_consumer: CONSUMER,
    });
    (path, device, registers, doorbells)
}

fn run(
    path: &mut SlowPath<TestHost>,
    bench: &mut Bench<'_>,
    ramrod: Ramrod,
) -> Result<(), RamrodError> {
    path.execute(bench, ramrod, 0, &[])
}

#[test]
fn a_completed_ramrod_publishes_the_consumer() {
    let (mut path, device, registers, doorbells) = slow_path();
    let mut script = |device: &mut Device, now: u64| {
        if now == 20 {
            device.complete(Ramrod::PfStart, 0, 0);
        }
    };
    let mut bench = Bench {
        device,
        now_us: 0,
        drains: 0,
        gone: false,
        script: &mut script,
    };
    assert_eq!(run(&mut path, &mut bench, Ramrod::PfStart), Ok(()));
    assert_eq!(doorbells.0.take(), [(0, 0x0001_108c)]);
    assert_eq!(registers.0.take(), [(CONSUMER, 1)]);
    assert_eq!((bench.now_us, bench.drains), (20, 0));
}

#[test]
fn a_refusal_names_the_return_code() {
    let (mut path, device, ..) = slow_path();
    let mut script = |device: &mut Device, now: u64| {
        if now == 10 {
            device.complete(Ramrod::FiltersUpdate, 0, 8);
        }
    };
    let mut bench = Bench {
        device,
        now_us: 0,
        drains: 0,
        gone: false,
        script: &mut script,
    };
    let error = run(&mut path, &mut bench, Ramrod::FiltersUpdate).unwrap_err();
    assert!(
        matches!(error, RamrodError::Refused { ramrod: Ramrod::FiltersUpdate, code } if code.raw() == 8)
    );
}

#[test]
fn a_silent_firmware_is_given_a_second_chance_and_then_given_up() {
    let (mut path, device, _, doorbells) = slow_path();
    let mut script = |_: &mut Device, _: u64| {};
    let mut bench = Bench {
        device,
        now_us: 0,
        drains: 0,
        gone: false,
        script: &mut script,
    };
    let error = run(&mut path, &mut bench, Ramrod::VportStart).unwrap_err();
    assert_eq!(
        error,
        RamrodError::TimedOut {
            ramrod: Ramrod::VportStart,
            waited_ms: 10_000
        }
    );
    assert_eq!(bench.drains, 1);
    assert!(
        (11_000_000..11_100_000).contains(&bench.now_us),
        "{}",
        bench.now_us
    );
    assert_eq!(doorbells.0.take().len(), 2);
    let now = bench.now_us;
    assert_eq!(
        run(&mut path, &mut bench, Ramrod::PfStop),
        Err(RamrodError::Stuck {
            ramrod: Ramrod::PfStop,
            outstanding: 1
        })
    );
    assert_eq!(
        bench.now_us - now,
        100,
        "the first one gets 100 µs more, the second is not posted"
    );
    assert_eq!(doorbells.0.take().len(), 1, "its doorbell is rung again");
}

#[test]
fn the_nig_drain_frees_a_ramrod_and_late_completions_free_the_queue() {
    let (mut path, device, ..) = slow_path();
    let mut completed = false;
    let mut script = |device: &mut Device, now: u64| {
        if now > 5_100_000 && !completed {
            completed = true;
            device.complete(Ramrod::VportStop, 0, 0);
        }
    };
    let mut bench = Bench {
        device,
        now_us: 0,
        drains: 0,
        gone: false,
        script: &mut script,
    };
    assert_eq!(run(&mut path, &mut bench, Ramrod::VportStop), Ok(()));
    assert_eq!(bench.drains, 1);
    assert_eq!(path.outstanding(), 0);
}

#[test]
fn hostile_events_are_counted_and_the_right_one_still_counts() {
    let (mut path, device, ..) = slow_path();
    let mut script = |device: &mut Device, now: u64| match now {
        10 => device.complete(Ramrod::PfStart, 77, 0),
        20 => device.complete(Ramrod::PfStop, 0, 0),
        30 => device.producer(0x4000),
        40 => device.producer(2),
        50 => device.event([8, 7, 0, 0xff, 0, 0, 1, 1, 5, 1, 2, 0, 0, 0, 0, 0]),
        60 => device.complete(Ramrod::PfStart, 0, 0),
        _ => {}
    };
    let mut bench = Bench {
        device,
        now_us: 0,
        drains: 0,
        gone: false,
        script: &mut script,
    };
    assert_eq!(run(&mut path, &mut bench, Ramrod::PfStart), Ok(()));
    assert_eq!(
        path.faults(),
        SlowPathFaults {
            unknown_echo: 1,
            wrong_event: 1,
            producer_jump: 1,
            events_lost: 0
        }
    );
    assert!(
        matches!(path.next_asynchronous(), Some(AsynchronousEvent::FirmwareError(error)) if error.scope == 5)
    );
    assert_eq!(path.next_asynchronous(), None);
}

#[test]
fn events_that_nobody_takes_are_counted() {
    let (mut path, mut device, ..) = slow_path();
    for _ in 0..20 {
        device.event([8, 5, 0, 3, 0, 0, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0]);
        path.drain();
    }
    assert_eq!(path.faults().events_lost, 4);
}

#[test]
fn acknowledging_follows_the_order_of_the_reference() {
    let (path, _, registers, _) = slow_path();
    path.acknowledge_service(0x1234, Some(7), true);
    path.mask_interrupt();
    let expected: Vec<(usize, u32)> = std::vec![
        (0xf010, 0x0d00_0007),
        (0xf010, 0x0100_1234),
        (0xf010, 0x0200_0000)
    ];
    assert_eq!(registers.0.take(), expected);
}

#[test]
fn a_function_that_is_gone_is_not_waited_for() {
    let (mut path, device, _, doorbells) = slow_path();
    let mut script = |_: &mut Device, _: u64| {};
    let mut bench = Bench {
        device,
        now_us: 0,
        drains: 0,
        gone: true,
        script: &mut script,
    };
    let ramrod = Ramrod::VportUpdate;
    let error = run(&mut path, &mut bench, ramrod).unwrap_err();
    assert_eq!(error, RamrodError::DeviceGone { ramrod });
    assert_eq!(bench.drains, 0);
    assert!(bench.now_us < 20_000, "{}", bench.now_us);
    assert_eq!(doorbells.0.take().len(), 1);
}
