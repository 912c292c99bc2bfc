//! Exceptions and interrupts: each arrives on a stack of its own.

use core::arch::global_asm;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use x86_64::VirtAddr;
use x86_64::instructions::port::Port;
use x86_64::instructions::segmentation::{CS, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::registers::control::Cr2;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::structures::tss::TaskStateSegment;

use crate::failure::{Status, exit};
use crate::once::Once;
use crate::serial::say;

global_asm!(include_str!("interrupts.s"), options(att_syntax));

/// First of the vectors that `PENDING` has bits for.
pub(crate) const FIRST_VECTOR: u8 = 0x40;
/// Their number.
pub(crate) const LINES: usize = 8;
/// Where the interrupt controller reports interrupts that are gone.
pub(crate) const SPURIOUS_VECTOR: u8 = 0xff;

const STUB_BYTES: u64 = 16;
const EXCEPTION_STACK: u16 = 0;
const DEVICE_STACK: u16 = 1;
/// For what may come at any time: NMI, double fault, machine check.
const CRITICAL_STACK: u16 = 2;
const STACK_BYTES: usize = 8192;

/// A bit for each line that has fired since it was last taken.
#[unsafe(no_mangle)]
static PENDING: AtomicU32 = AtomicU32::new(0);
/// How often each line has fired.
#[unsafe(no_mangle)]
static COUNTS: [AtomicU32; LINES] = [const { AtomicU32::new(0) }; LINES];
/// The interrupt controller's end-of-interrupt register; null when it is a model-specific register.
#[unsafe(no_mangle)]
static END_OF_INTERRUPT: AtomicPtr<u32> = AtomicPtr::new(core::ptr::null_mut());

#[repr(align(16))]
struct Stacks(#[allow(dead_code, reason = "reached by address")] [[u8; STACK_BYTES]; 3]);

static mut STACKS: Stacks = Stacks([[0; STACK_BYTES]; 3]);
static TSS: Once<TaskStateSegment> = Once::new(TaskStateSegment::new());
static GDT: Once<GlobalDescriptorTable> = Once::new(GlobalDescriptorTable::new());
static IDT: Once<InterruptDescriptorTable> = Once::new(InterruptDescriptorTable::new());

unsafe extern "C" {
    static exception_stubs: u8;
    static device_stubs: u8;
    static ignored_stub: u8;
}

/// Sets up the tables of the processor, and silences the old interrupt controllers.
///
/// Called with interrupts off; a second call does nothing.
pub(crate) fn init() {
    let (Some(tss), Some(gdt), Some(idt)) = (TSS.take(), GDT.take(), IDT.take()) else {
        return;
    };
    let mut stacks = tss.interrupt_stack_table;
    for (number, stack) in (1..).zip(stacks.iter_mut().take(3)) {
        let bottom = &raw const STACKS as u64;
        *stack = VirtAddr::new(bottom + number * STACK_BYTES as u64);
    }
    tss.interrupt_stack_table = stacks;
    let code = gdt.append(Descriptor::kernel_code_segment());
    let data = gdt.append(Descriptor::kernel_data_segment());
    let task = gdt.append(Descriptor::tss_segment(tss));
    gdt.load();
    // SAFETY: the selectors are of the table that was just loaded.
    unsafe {
        CS::set_reg(code);
        SS::set_reg(data);
        load_tss(task);
    }
    fill(idt);
    idt.load();
    mask_old_controllers();
}

fn fill(idt: &mut InterruptDescriptorTable) {
    let exceptions = &raw const exception_stubs as u64;
    let devices = &raw const device_stubs as u64;
    let ignored = VirtAddr::new(&raw const ignored_stub as u64);
    let stub = |first: u64, number: u64| VirtAddr::new(first + number * STUB_BYTES);
    macro_rules! set {
        ($($field:ident $number:literal $stack:ident,)*) => {
            // SAFETY: each stub pushes what its exception does not, and leaves to a function that does not return.
            unsafe {
                $(idt.$field
                    .set_handler_addr(stub(exceptions, $number))
                    .set_stack_index($stack);)*
            }
        };
    }
    set! {
        divide_error 0 EXCEPTION_STACK,
        debug 1 EXCEPTION_STACK,
        non_maskable_interrupt 2 CRITICAL_STACK,
        breakpoint 3 EXCEPTION_STACK,
        overflow 4 EXCEPTION_STACK,
        bound_range_exceeded 5 EXCEPTION_STACK,
        invalid_opcode 6 EXCEPTION_STACK,
        device_not_available 7 EXCEPTION_STACK,
        double_fault 8 CRITICAL_STACK,
        invalid_tss 10 EXCEPTION_STACK,
        segment_not_present 11 EXCEPTION_STACK,
        stack_segment_fault 12 EXCEPTION_STACK,
        general_protection_fault 13 EXCEPTION_STACK,
        page_fault 14 EXCEPTION_STACK,
        x87_floating_point 16 EXCEPTION_STACK,
        alignment_check 17 EXCEPTION_STACK,
        machine_check 18 CRITICAL_STACK,
        simd_floating_point 19 EXCEPTION_STACK,
        virtualization 20 EXCEPTION_STACK,
        cp_protection_exception 21 EXCEPTION_STACK,
    }
    for vector in 32..=255_u8 {
        let line = u64::from(vector.wrapping_sub(FIRST_VECTOR));
        let handler = if line < LINES as u64 {
            stub(devices, line)
        } else {
            ignored
        };
        // SAFETY: the stubs keep all registers and return.
        unsafe {
            idt[vector]
                .set_handler_addr(handler)
                .set_stack_index(DEVICE_STACK);
        }
    }
}

/// The pair of 8259: out of the way of the exceptions, and masked.
fn mask_old_controllers() {
    let sequence: [(u16, u8); 10] = [
        (0x20, 0x11),
        (0xa0, 0x11),
        (0x21, 0x20),
        (0xa1, 0x28),
        (0x21, 4),
        (0xa1, 2),
        (0x21, 1),
        (0xa1, 1),
        (0x21, 0xff),
        (0xa1, 0xff),
    ];
    for (port, value) in sequence {
        // SAFETY: the fixed ports of the controllers; without them the writes go nowhere.
        unsafe { Port::new(port).write(value) }
    }
}

/// Where interrupts are acknowledged from now on.
pub(crate) fn set_end_of_interrupt(register: *mut u32) {
    END_OF_INTERRUPT.store(register, Ordering::Relaxed);
}

/// The lines that have fired since the last call, a bit each.
pub(crate) fn take() -> u32 {
    PENDING.swap(0, Ordering::Acquire)
}

/// How often a line has fired.
pub(crate) fn count(line: usize) -> u32 {
    COUNTS[line].load(Ordering::Relaxed)
}

/// Sleeps until an interrupt, unless one came since the last [`take`].
pub(crate) fn wait() {
    x86_64::instructions::interrupts::disable();
    if PENDING.load(Ordering::Relaxed) == 0 {
        // Interrupts are let in only after the next instruction, which is the one that sleeps.
        x86_64::instructions::interrupts::enable_and_hlt();
    } else {
        x86_64::instructions::interrupts::enable();
    }
}

#[unsafe(no_mangle)]
extern "C" fn exception(number: u64, code: u64, instruction: u64, stack: u64) -> ! {
    let address = Cr2::read_raw();
    say!(
        "exception {number}, code {code:#x}, at {instruction:#x}, stack {stack:#x}, address {address:#x}"
    );
    exit(Status::Crash, crate::exit_port())
}
