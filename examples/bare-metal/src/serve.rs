//! Traffic, by looking again and again or by interrupts.

use crate::clock::Tsc;
use crate::drive::{INTERRUPTS, UpAdapter};
use crate::failure::{Failure, Status};
use crate::interrupts;
use crate::network::{Port, Services};
use crate::pci::Function;
use crate::serial::say;

/// Lines of the interrupt controller: vector 0 of the adapter, vector 1, the timer.
pub(crate) const SLOW_PATH: usize = 0;
pub(crate) const QUEUE: usize = 1;
pub(crate) const TIMER: usize = 2;

/// How often the events of a polled adapter are looked at.
const EVENTS_US: u64 = 10_000;
/// How often the adapter is asked whether it lives.
const ALIVE_US: u64 = 1_000_000;

/// What serving needs beside the adapter.
pub(crate) struct Serving<'a> {
    pub(crate) function: &'a Function,
    pub(crate) clock: &'a Tsc,
    /// After so many the time is over; 0: never.
    pub(crate) seconds: u64,
}

impl Serving<'_> {
    /// Serves until the other side has had enough, the time is over, or the adapter is.
    pub(crate) fn run(
        &self,
        adapter: &mut UpAdapter,
        port: &mut Port<'_>,
        services: &mut Services,
    ) -> Result<Status, Failure> {
        let begun = self.clock.now_us();
        let mut events_at = begun;
        let mut alive_at = begun + ALIVE_US;
        if INTERRUPTS {
            let device = port.ring().device();
            device.enable_interrupt(device.status_index());
        }
        let ended = loop {
            let now = self.clock.now_us();
            let fired = if INTERRUPTS {
                interrupts::take()
            } else {
                u32::MAX
            };
            if traffic(fired & 1 << QUEUE != 0, now, port, services)? {
                break Status::Done;
            }
            let events = if INTERRUPTS {
                fired & 1 << SLOW_PATH != 0
            } else {
                now >= events_at
            };
            if events {
                events_at = now + EVENTS_US;
                let polled = adapter.poll_events(|event| say!("event: {event:?}"));
                polled.map_err(Failure::Lost)?;
            }
            if now >= alive_at {
                if !self.function.answers() {
                    return Err(Failure::Gone);
                }
                adapter.heartbeat().map_err(Failure::Lost)?;
                alive_at = self.clock.now_us() + ALIVE_US;
            }
            if self.seconds != 0 && now - begun > self.seconds * 1_000_000 {
                break Status::TimeIsUp;
            }
            if INTERRUPTS {
                interrupts::wait();
            }
        };
        if INTERRUPTS {
            let [slow_path, queue, timer] = [SLOW_PATH, QUEUE, TIMER].map(interrupts::count);
            say!("interrupts: {slow_path} slow path, {queue} queue, {timer} timer");
        }
        Ok(ended)
    }
}

/// One look at the queue pair, if it `fired`, else at the timers of the stack alone; whether the other side asked for the
/// end.
fn traffic(
    fired: bool,
    now: u64,
    port: &mut Port<'_>,
    services: &mut Services,
) -> Result<bool, Failure> {
    let mut quit = false;
    if !fired {
        services.poll_timers(now, port);
    } else if INTERRUPTS {
        port.ring().device().disable_interrupt();
        // What comes after this count was read fires again.
        let status = port.ring().device().status_index();
        quit = services.poll(now, port);
        port.ring_mut().reap()?;
        port.ring().device().enable_interrupt(status);
    } else {
        quit = services.poll(now, port);
    }
    match port.fault() {
        Some(fault) => Err(fault.into()),
        None => Ok(quit),
    }
}
