//! DMA memory as the device sees it: its DMA engine copies inside host memory.

use fastlinq_pac::BusAddress;
use fastlinq_pac::registers::pglue_b;
use tock_registers::interfaces::{Readable, Writeable};

use super::expect;
use super::memory::{pattern, read, write};
use super::report::{Check, Failure, Report};
use crate::access::{Dmae, DmaeError, Patience};
use crate::core_state::Core;
use crate::dma::{DmaBuffer, DmaRegion};
use crate::host::Host;

const PAGE: usize = 4096;
const LARGE: usize = 0x8_0000;
const PIECE: usize = 64;
const ROUNDS: usize = 8;

pub(super) fn check<H: Host>(core: &mut Core<H>, report: &mut Report) {
    let enable = pglue_b::INTERNAL_PFID_ENABLE_MASTER;
    let before = enable.on(&core.windows).get();
    pglue_b::WAS_ERROR_PF_31_0_CLR
        .on(&core.windows)
        .set(1 << u32::from(core.identity.abs_pf));
    pglue_b::INTERNAL_PFID_ENABLE_TARGET_READ
        .on(&core.windows)
        .set(1);
    enable.on(&core.windows).set(1);
    let patience = Patience::new(20_000, 50);
    let enabled = core.poll_register(enable.address(), patience, |value| value == 1);
    match enabled {
        Ok(_) => copies(core, report),
        Err(value) => {
            report.set(Check::Mastership, Err(Failure::NoMastership { value }));
        }
    }
    enable.on(&core.windows).set(before);
}

/// The copying side: an engine, a region that it reads and one that it writes.
struct Bench<R: DmaRegion> {
    dmae: Dmae<R>,
    large: DmaBuffer<R>,
    small: DmaBuffer<R>,
}

fn copies<H: Host>(core: &mut Core<H>, report: &mut Report) {
    let mut bench = match Bench::new(core) {
        Ok(bench) => bench,
        Err(failure) => {
            report.set(Check::Mastership, Err(failure));
            return;
        }
    };
    let first = bench.dmae.self_test(&core.windows, &mut core.host);
    let mut alive = match first {
        // Wrong data means that the device moves something.
        Ok(()) | Err(DmaeError::WrongData { .. }) => report.set(Check::Mastership, Ok(())),
        Err(error) => report.set(Check::Mastership, Err(error.into())),
    };
    if alive {
        let result = bench.device_reads(core);
        alive = !bench.dmae.is_poisoned();
        report.set(Check::DeviceReads, result);
    }
    if alive {
        let result = bench.device_writes(core);
        report.set(Check::DeviceWrites, result);
    }
    if bench.dmae.is_poisoned() {
        // The engine may still be at work; `Dmae` keeps its own memory for the same reason.
        let _ = bench.large.leak() + bench.small.leak();
    }
}

impl<R: DmaRegion> Bench<R> {
    fn new<H: Host<Region = R>>(core: &mut Core<H>) -> Result<Self, Failure> {
        Ok(Self {
            dmae: Dmae::new(&mut core.host, &core.identity)?,
            large: DmaBuffer::new(core.host.allocate(LARGE, PAGE)?),
            small: DmaBuffer::new(core.host.allocate(PIECE, PIECE)?),
        })
    }

    fn copy<H: Host<Region = R>>(
        &mut self,
        core: &mut Core<H>,
        from: BusAddress,
        to: BusAddress,
    ) -> Result<(), Failure> {
        let dwords = (PIECE / 4) as u32;
        let copied = self
            .dmae
            .copy_in_host(&core.windows, &mut core.host, from, to, dwords);
        copied.map_err(Failure::from)
    }

    /// Places in the large region: the start of every page, across every 64 KiB boundary, and the end.
    fn places() -> impl Iterator<Item = usize> {
        let pages = (0..LARGE / PAGE).map(|page| page * PAGE);
        let across = (1..LARGE / 0x1_0000).map(|number| number * 0x1_0000 - PIECE / 2);
        pages.chain(across).chain([LARGE - PIECE])
    }

    /// The CPU fills a place, the device copies it to the small region. Again, with other bytes at the same places.
    fn device_reads<H: Host<Region = R>>(&mut self, core: &mut Core<H>) -> Result<(), Failure> {
        for round in 0..ROUNDS {
            for place in Self::places() {
                for at in (place..place + PIECE).step_by(4) {
                    write(&mut self.large, at, pattern(round, at));
                }
                let from = self.large.bus_address().offset(place as u64);
                self.copy(core, from, self.small.bus_address())?;
                for at in (0..PIECE).step_by(4) {
                    let expected = pattern(round, place + at);
                    expect(place + at, expected, read(&self.small, at))?;
                }
            }
        }
        Ok(())
    }

    /// The device copies from the small region to a place, with guards before and behind it.
    fn device_writes<H: Host<Region = R>>(&mut self, core: &mut Core<H>) -> Result<(), Failure> {
        self.large.zero();
        for round in ROUNDS..2 * ROUNDS {
            for place in Self::places() {
                for at in (0..PIECE).step_by(4) {
                    write(&mut self.small, at, pattern(round, place + at));
                }
                let guards = [place.wrapping_sub(4), place + PIECE];
                let before = guards.map(|guard| read(&self.large, guard));
                let to = self.large.bus_address().offset(place as u64);
                self.copy(core, self.small.bus_address(), to)?;
                for at in (place..place + PIECE).step_by(4) {
                    expect(at, pattern(round, at), read(&self.large, at))?;
                }
                for (guard, before) in guards.into_iter().zip(before) {
                    expect(guard, before, read(&self.large, guard))?;
                }
            }
        }
        Ok(())
    }
}
