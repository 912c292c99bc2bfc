//! A FastLinQ adapter without an operating system: see the README.
#![no_std]
#![no_main]

mod apic;
mod boot;
mod clock;
mod dma;
mod drive;
mod failure;
mod interrupts;
mod machine;
mod network;
mod once;
mod options;
mod paging;
mod pci;
mod physical;
mod serial;
mod serve;
mod tables;

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use boot::BootInfo;
use clock::Tsc;
use dma::Pages;
use failure::{Failure, Status, exit};
use machine::Machine;
use options::Options;
use paging::Paging;
use serial::say;
use tables::Tables;

/// Port for the exit status, when it is known, plus 1 << 16.
static EXIT_PORT: AtomicU32 = AtomicU32::new(0);

/// Port for the exit status, when the command line names one.
fn exit_port() -> Option<u16> {
    match EXIT_PORT.load(Ordering::Relaxed) {
        0 => None,
        port => Some(port as u16),
    }
}

/// Called by the start code, once: who loaded the program, and where its information is.
#[unsafe(no_mangle)]
extern "C" fn rust_main(loader: u32, information: u64) -> ! {
    serial::init();
    interrupts::init();
    let ended = run(loader, information);
    let (total, used) = physical::stack_use();
    let (live, peak) = Pages::use_bytes();
    say!("measure: stack {used} of {total} bytes");
    say!("measure: DMA memory {peak} bytes at most, {live} bytes now");
    match ended {
        Ok(status) => exit(status, exit_port()),
        Err(failure) => {
            say!("failed: {failure}");
            exit(failure.status(), exit_port())
        }
    }
}

fn run(loader: u32, information: u64) -> Result<Status, Failure> {
    let info = BootInfo::read(loader, information)?;
    let options = Options::parse(info.command_line);
    if let Some(port) = options.exit_port {
        EXIT_PORT.store(u32::from(port) | 1 << 16, Ordering::Relaxed);
    }
    say!("fastlinq bare-metal, started by {}", info.loader);
    serial::start_log();
    let tables = Tables::read(info.rsdp)?;
    // SAFETY: the only call; of what lies outside `info`, nothing is read any more.
    let mut paging = unsafe { Paging::take_over(&info)? };
    let clock = Tsc::measure(tables.timer_port)?;
    say!(
        "time-stamp counter: {} kHz{}",
        clock.hz / 1000,
        if clock.invariant { "" } else { ", may vary" }
    );
    let mut function = pci::find(&tables.config_spaces, &mut paging, &options)?;
    let firmware = info.module.ok_or(Failure::Platform(
        "no storm firmware: load the file as a module (GRUB: module2, QEMU: -initrd)",
    ))?;
    // SAFETY: the only call.
    let pages = unsafe { Pages::take(&info)? };
    let registers = function.map(&mut paging, 0)?;
    let doorbells = function.map(&mut paging, 2)?;
    function.enable();
    let vectors = if drive::INTERRUPTS {
        let apic = apic::Apic::enable(&mut paging)?;
        let messages = [apic.message(serve::SLOW_PATH)?, apic.message(serve::QUEUE)?];
        let vectors = function.enable_msix(&mut paging, &messages)?;
        apic.start_timer(serve::TIMER, 10, &clock);
        x86_64::instructions::interrupts::enable();
        vectors
    } else {
        0
    };
    let machine = Machine {
        registers,
        doorbells,
        identity: function.identity,
        vectors,
        clock,
        pages,
    };
    let ended = drive::drive(machine, &mut function, firmware, &options);
    x86_64::instructions::interrupts::disable();
    function.disable();
    ended
}

#[panic_handler]
fn panic(information: &PanicInfo<'_>) -> ! {
    say!("{information}");
    exit(Status::Crash, exit_port())
}
