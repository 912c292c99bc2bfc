//! A test of hosts: does one keep the promises that the driver builds on?
//!
//! No allocator and no standard library, so it runs wherever a host runs. Three calls, for three situations:
//!
//! | call | the adapter is | checks |
//! |---|---|---|
//! | [`check`] | idle: nobody drives this function | BARs, time, DMA memory, the device's access to it |
//! | [`check_interrupts`] | Up, with interrupts | a ramrod's completion arrives at the program |
//! | [`check_gone`] | gone: unplugged, or memory space off | reads give all ones, writes are swallowed |
//!
//! What it cannot see from inside: whether an access was split, merged or repeated on the bus (the software adapter
//! reports narrow accesses), whether doorbells are pushed in time, and whether memory stays mapped after a drop that
//! never happens. The traffic of a queue pair shows those.
//!
//! # What it touches on the device
//!
//! | register | how |
//! |---|---|
//! | identity (BAR0 0x1f8, 0x1fc), chip number and revision, PGLUE_B_REG_PF_BAR0_SIZE | read |
//! | movable window 2 and its pretend | moved about, as every driver does |
//! | the function's own DMAE channel | its command memory is the scratch memory of the checks; then real commands |
//! | the function's own event-ring consumer in USDM RAM (BAR0 0x14000 + 8 * PF) | written and restored |
//! | PGLUE_B: sticky error, target read, master enable of the function | cleared, set, set and put back |
//!
//! All of these are the function's own, and a bring-up sets them anyway. Other functions of the adapter may be in use.
//!
//! Known by: source reading and the model; on hardware nobody has run it yet.
//!
//! # Examples
//!
//! ```
//! use fastlinq_hal::host::conformance;
//! use fastlinq_model_host::ModelHost;
//!
//! let host = ModelHost::builder().build();
//! let (report, _host) = conformance::check(host.clone());
//! assert!(report.passed(), "{report}");
//!
//! host.faults().vanish();
//! let mut host = host;
//! let report = conformance::check_gone(&mut host);
//! assert!(report.passed(), "{report}");
//! ```

mod device;
mod memory;
mod registers;
mod report;
mod time;

pub use report::{Check, Failure, Outcome, Report};

use crate::access::AccessError;
use crate::adapter::{Adapter, Inventory, Up};
use crate::core_state::Core;
use crate::host::{Bar, Host};

/// Runs every check that an idle function allows, and gives the host back.
///
/// A check whose ground is missing is not run; the report says so. Nothing of the host's memory is in use afterwards,
/// unless the device did not complete a copy: then that memory stays allocated on purpose, and
/// [`Check::Mastership`] has failed.
pub fn check<H: Host>(host: H) -> (Report, H) {
    let mut report = Report::new();
    let mut core = Core::new(host);
    time::check(&mut core.host, &mut report);
    let memory = memory::check(&mut core.host, &mut report);
    if registers::check(&mut core, &mut report) && memory {
        device::check(&mut core, &mut report);
    }
    let Core { host, .. } = core;
    (report, host)
}

/// Checks that interrupts of an adapter arrive: vector 0, which slow path and attentions use.
///
/// `fired` says whether the vector has fired since it was asked last; it must not block. The adapter must have been
/// brought up with [`InterruptMode::MsiX`](crate::adapter::InterruptMode). Waits up to a second. Events that were pending
/// are dropped.
pub fn check_interrupts<I: Inventory, H: Host>(
    adapter: &mut Adapter<Up<I>, H>,
    mut fired: impl FnMut(u16) -> bool,
) -> Report {
    let mut report = Report::new();
    let mut round = || -> Result<(), Failure> {
        adapter
            .poll_events(|_| {})
            .map_err(|_| Failure::Provoking)?;
        fired(0);
        adapter.heartbeat().map_err(|_| Failure::Provoking)?;
        let mut left = 1_000;
        while !fired(0) {
            left -= 1;
            if left == 0 {
                return Err(Failure::NoInterrupt { vector: 0 });
            }
            adapter.core_mut().host.delay_ms(1);
        }
        Ok(())
    };
    // A vector that fires once and never again was not armed a second time.
    let result = (0..3).try_for_each(|_| round());
    report.set(Check::Interrupt, result);
    report
}

/// Checks how the host behaves when the function does not answer any more.
///
/// Call it after the function was unplugged, or after its memory space was switched off. Time and memory must still work.
pub fn check_gone<H: Host>(host: &mut H) -> Report {
    let mut report = Report::new();
    let bars = [host.registers(), host.doorbells()];
    report.set(Check::AllOnes, bars.iter().try_for_each(all_ones));
    for bar in &bars {
        for offset in [0, bar.len().saturating_sub(4) & !3] {
            if offset + 4 <= bar.len() {
                bar.write32(offset, 0);
                bar.write16(offset, 0);
            }
        }
        bar.write_barrier();
    }
    report.set(Check::LostWrites, bars.iter().try_for_each(all_ones));
    time::check(host, &mut report);
    let mut core = Core::new(&mut *host);
    if let Ok(()) = core.identify() {
        let alive = Failure::Access(AccessError::DeviceGone);
        report.set(Check::AllOnes, Err(alive));
    }
    drop(core);
    memory::check(host, &mut report);
    report
}

fn all_ones<B: Bar>(bar: &B) -> Result<(), Failure> {
    let last = bar.len().saturating_sub(4) & !3;
    for at in [0, 0x1f8, 0x1000, last] {
        if at + 4 <= bar.len() {
            expect(at, u32::MAX, bar.read32(at))?;
        }
    }
    Ok(())
}

fn expect(at: usize, expected: u32, found: u32) -> Result<(), Failure> {
    if expected == found {
        Ok(())
    } else {
        Err(Failure::Value {
            at,
            expected,
            found,
        })
    }
}
