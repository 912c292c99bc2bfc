//! The processor's interrupt controller: switched on, its timer, and the messages that reach it.

use x86_64::registers::model_specific::Msr;

use crate::clock::Tsc;
use crate::failure::Failure;
use crate::interrupts::{self, FIRST_VECTOR, SPURIOUS_VECTOR};
use crate::paging::Paging;

const BASE: u32 = 0x1b;
const ENABLED: u64 = 1 << 11;
const X2: u64 = 1 << 10;
/// Registers by their number: the offset in memory divided by 16, the MSR less 0x800.
const ID: u32 = 0x02;
const TASK_PRIORITY: u32 = 0x08;
const END_OF_INTERRUPT: u32 = 0x0b;
const SPURIOUS: u32 = 0x0f;
const TIMER: u32 = 0x32;
const INITIAL_COUNT: u32 = 0x38;
const CURRENT_COUNT: u32 = 0x39;
const DIVIDE: u32 = 0x3e;
const MASKED: u32 = 1 << 16;
const PERIODIC: u32 = 1 << 17;
/// How long the timer is measured, in milliseconds.
const MEASURE_MS: u32 = 10;

enum Registers {
    Memory(*mut u32),
    /// Model-specific registers (x2APIC), when the firmware has switched to them.
    Msr,
}

/// The local APIC.
pub(crate) struct Apic {
    registers: Registers,
}

impl Apic {
    /// Switches the controller on, in the mode that the firmware left.
    pub(crate) fn enable(paging: &mut Paging) -> Result<Self, Failure> {
        let mut base = Msr::new(BASE);
        // SAFETY: every x86-64 has this register.
        let value = unsafe { base.read() };
        let registers = if value & X2 != 0 {
            Registers::Msr
        } else {
            // SAFETY: only the enabling bit changes.
            unsafe { base.write(value | ENABLED) };
            let address = value & 0x000f_ffff_ffff_f000;
            Registers::Memory(paging.map_device(address, 4096)?.cast())
        };
        let apic = Self { registers };
        interrupts::set_end_of_interrupt(match apic.registers {
            Registers::Memory(base) => base.wrapping_add(END_OF_INTERRUPT as usize * 4),
            Registers::Msr => core::ptr::null_mut(),
        });
        apic.write(TASK_PRIORITY, 0);
        apic.write(SPURIOUS, 0x100 | u32::from(SPURIOUS_VECTOR));
        Ok(apic)
    }

    fn read(&self, register: u32) -> u32 {
        match self.registers {
            // SAFETY: the page of the controller is mapped, and the register lies in it.
            Registers::Memory(base) => unsafe {
                base.wrapping_add(register as usize * 4).read_volatile()
            },
            // SAFETY: the registers named here exist in this mode.
            Registers::Msr => unsafe { Msr::new(0x800 + register).read() as u32 },
        }
    }

    fn write(&self, register: u32, value: u32) {
        match self.registers {
            // SAFETY: as for reading; what is written sends nothing to other processors.
            Registers::Memory(base) => unsafe {
                base.wrapping_add(register as usize * 4)
                    .write_volatile(value)
            },
            // SAFETY: as above.
            Registers::Msr => unsafe { Msr::new(0x800 + register).write(value.into()) },
        }
    }

    /// Address and data of the message that fires a line here.
    pub(crate) fn message(&self, line: usize) -> Result<(u64, u32), Failure> {
        let id = match self.registers {
            Registers::Memory(_) => self.read(ID) >> 24,
            Registers::Msr => self.read(ID),
        };
        if id > 0xff {
            return Err(Failure::Platform(
                "this processor's number needs interrupt remapping",
            ));
        }
        Ok((
            0xfee0_0000 | u64::from(id) << 12,
            u32::from(FIRST_VECTOR) + line as u32,
        ))
    }

    /// Fires a line again and again.
    pub(crate) fn start_timer(&self, line: usize, period_ms: u32, clock: &Tsc) {
        self.write(DIVIDE, 3); // by 16
        self.write(TIMER, MASKED);
        self.write(INITIAL_COUNT, u32::MAX);
        clock.wait_ns(u64::from(MEASURE_MS) * 1_000_000);
        let passed = u32::MAX - self.read(CURRENT_COUNT);
        self.write(TIMER, PERIODIC | (u32::from(FIRST_VECTOR) + line as u32));
        self.write(
            INITIAL_COUNT,
            (passed / MEASURE_MS).max(1).saturating_mul(period_ms),
        );
    }
}
