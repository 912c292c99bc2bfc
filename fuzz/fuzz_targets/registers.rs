//! Any answers to register reads, mailbox and shared memory included: a bring-up ends, within the documented
//! times, with an adapter or a named cause.
//!
//! The first byte says where the lies begin; until then a software adapter answers, so that lies reach every
//! step. Behind the lies the true answers go on.
#![no_main]

use std::cell::RefCell;
use std::rc::Rc;

use embedded_hal::delay::DelayNs;
use fastlinq_hal::adapter::{Adapter, AdapterConfig, AnyAdapter, Populated};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::{AllocationError, Bar, Clock, DmaAllocator, Host, PciIdentity};
use fastlinq_hal::init::Scratch;
use fastlinq_model_host::ModelHost;
use libfuzzer_sys::fuzz_target;

/// Longest that a bring-up may take, in microseconds of the host's clock: every mailbox exchange may time out.
const LIMIT_US: u64 = 600_000_000;

struct Lies {
    /// True answers before the first lie.
    honest: usize,
    bytes: Vec<u8>,
    next: usize,
}

impl Lies {
    fn answer(&mut self, truth: u32) -> u32 {
        if self.honest > 0 {
            self.honest -= 1;
            return truth;
        }
        let Some([kind, word @ ..]) = self.bytes.get(self.next..self.next + 5) else {
            return truth;
        };
        self.next += 5;
        let word = word.try_into().map_or(0, u32::from_le_bytes);
        match kind % 4 {
            0 => truth,
            1 => truth ^ word,
            2 => word,
            _ => u32::MAX,
        }
    }
}

#[derive(Clone)]
struct LyingBar<B> {
    bar: B,
    lies: Rc<RefCell<Lies>>,
}

impl<B: Bar> Bar for LyingBar<B> {
    fn len(&self) -> usize {
        self.bar.len()
    }

    fn read32(&self, offset: usize) -> u32 {
        let truth = self.bar.read32(offset);
        self.lies.borrow_mut().answer(truth)
    }

    fn write32(&self, offset: usize, value: u32) {
        self.bar.write32(offset, value);
    }

    fn write16(&self, offset: usize, value: u16) {
        self.bar.write16(offset, value);
    }
}

struct LyingHost {
    host: ModelHost,
    lies: Rc<RefCell<Lies>>,
}

impl DmaAllocator for LyingHost {
    type Region = <ModelHost as DmaAllocator>::Region;

    fn allocate(&mut self, size: usize, align: usize) -> Result<Self::Region, AllocationError> {
        self.host.allocate(size, align)
    }
}

impl Clock for LyingHost {
    fn now_us(&self) -> u64 {
        self.host.now_us()
    }
}

impl DelayNs for LyingHost {
    fn delay_ns(&mut self, ns: u32) {
        self.host.delay_ns(ns);
    }
}

impl Host for LyingHost {
    type Bar = LyingBar<<ModelHost as Host>::Bar>;

    fn registers(&self) -> Self::Bar {
        LyingBar {
            bar: self.host.registers(),
            lies: self.lies.clone(),
        }
    }

    fn doorbells(&self) -> Self::Bar {
        LyingBar {
            bar: self.host.doorbells(),
            lies: self.lies.clone(),
        }
    }

    fn identity(&self) -> PciIdentity {
        self.host.identity()
    }
}

thread_local! {
    static IMAGE: Vec<u8> = fastlinq_model::firmware_image::synthetic_image();
    static SCRATCH: RefCell<Box<Scratch>> = RefCell::new(Box::new(Scratch::new()));
}

fn bring_up(host: LyingHost) {
    let Ok(adapter) = Adapter::new(host, AdapterConfig::default()).connect() else {
        return;
    };
    let populated = match adapter.populate() {
        Ok(Populated::Images(adapter)) => AnyAdapter::from(adapter),
        Ok(Populated::Unsupported(adapter)) => adapter.into(),
        Err(failed) => failed.adapter.without_inventory().into(),
    };
    IMAGE.with(|bytes| {
        SCRATCH.with(|scratch| {
            let Ok(image) = FirmwareImage::parse(bytes) else {
                return;
            };
            let scratch = &mut scratch.borrow_mut();
            match populated {
                AnyAdapter::Images(adapter) => drop(adapter.up(&image, scratch).map(|up| up.down())),
                AnyAdapter::BistUnsupported(adapter) => {
                    drop(adapter.up(&image, scratch).map(|up| up.down()));
                }
                AnyAdapter::Skipped(adapter) => drop(adapter.up(&image, scratch).map(|up| up.down())),
                _ => {}
            }
        });
    });
}

fuzz_target!(|data: &[u8]| {
    let [low, high, bytes @ ..] = data else {
        return;
    };
    let host = ModelHost::builder().build();
    let lies = Rc::new(RefCell::new(Lies {
        honest: usize::from(u16::from_le_bytes([*low, *high])) % 4096,
        bytes: bytes.to_vec(),
        next: 0,
    }));
    bring_up(LyingHost {
        host: host.clone(),
        lies,
    });
    assert!(host.now_us() < LIMIT_US, "{} s", host.now_us() / 1_000_000);
});
