//! The register BAR.

use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::registers::{dmae, miscs, pglue_b};
use fastlinq_pac::{GrcAddress, bar};

use super::expect;
use super::report::{Check, Failure, Report};
use crate::access::MIN_BAR_BYTES;
use crate::core_state::Core;
use crate::host::{Bar, Host};

const PAGE: usize = 4096;
const COMMAND_DWORDS: u32 = 14;
/// Largest size code that makes sense: 1 << (16 + 15) bytes.
const LARGEST_SIZE_CODE: u32 = 16;
/// Window of the storm RAM that the event ring's consumers are in.
const USDM_WINDOW: u32 = 7;

/// Whether the function answers as it should, so that the device's checks make sense.
pub(super) fn check<H: Host>(core: &mut Core<H>, report: &mut Report) -> bool {
    let registers = core.windows.bar().clone();
    let large = report.set(Check::RegisterBar, whole_pages(&registers, MIN_BAR_BYTES));
    report.set(
        Check::DoorbellBar,
        whole_pages(&core.host.doorbells(), PAGE),
    );
    if !large {
        return false;
    }
    if !report.set(Check::Answers, answers(core, &registers)) {
        return false;
    }
    if !report.set(Check::Identity, core.identify().map_err(Failure::from)) {
        return false;
    }
    core.windows.end_pretends();
    let mut good = report.set(Check::ByteOrder, byte_order(core));
    good &= report.set(Check::Offsets, offsets(&registers));
    good &= report.set(Check::Width32, width32(core));
    good &= report.set(Check::Width16, width16(core, &registers));
    good &= report.set(Check::Order, order(core, &registers));
    // Windows were moved behind the back of their owner.
    core.windows.forget();
    good
}

fn whole_pages<B: Bar>(bar: &B, needed: usize) -> Result<(), Failure> {
    let bytes = bar.len();
    if bytes < needed || bytes % PAGE != 0 {
        return Err(Failure::BarBytes { bytes, needed });
    }
    Ok(())
}

fn answers<H: Host>(core: &Core<H>, registers: &H::Bar) -> Result<(), Failure> {
    core.windows.check()?;
    for identity in [bar::ME_OPAQUE, bar::ME_CONCRETE] {
        let at = identity.value() as usize;
        let first = registers.read32(at);
        for _ in 0..16 {
            expect(at, first, registers.read32(at))?;
        }
    }
    Ok(())
}

/// The chip number is found where it is, and the size code of BAR0 is a small number: with bytes swapped, the window is
/// elsewhere or the number is large.
fn byte_order<H: Host>(core: &Core<H>) -> Result<(), Failure> {
    let address = miscs::CHIP_NUM.address();
    let found = core.windows.read32(address);
    if found & 0xffff == 0 {
        return Err(Failure::Value {
            at: address.value() as usize,
            expected: u32::from(core.host.identity().device),
            found,
        });
    }
    let address = pglue_b::PF_BAR0_SIZE.address();
    let found = core.windows.read32(address);
    if found > LARGEST_SIZE_CODE {
        return Err(Failure::Value {
            at: address.value() as usize,
            expected: found.swap_bytes(),
            found,
        });
    }
    Ok(())
}

/// Points the main window below a constant register, at several distances, and looks for it there.
fn offsets<B: Bar>(registers: &B) -> Result<(), Failure> {
    for register in [miscs::CHIP_NUM.address(), miscs::CHIP_REV.address()] {
        let constant = look(registers, register, 0);
        for distance in [4, 8, 0x7c, 0x7fc, 0xffc] {
            let found = look(registers, register, distance);
            expect(window_offset(distance), constant, found)?;
        }
    }
    Ok(())
}

fn window_offset(distance: u32) -> usize {
    bar::ptt_window(bar::PTT_MAIN).value() as usize + distance as usize
}

fn look<B: Bar>(registers: &B, register: GrcAddress, distance: u32) -> u32 {
    let base = GrcAddress(register.value().wrapping_sub(distance));
    let target = bar::ptt_target(bar::PTT_MAIN).value() as usize;
    registers.write32(target, bar::ptt_target_word(base));
    registers.read32(window_offset(distance))
}

/// The function's own DMAE command: plain memory until it is started.
fn scratch<H: Host>(core: &Core<H>) -> GrcAddress {
    let channel = u32::from(core.identity.rel_pf);
    dmae::CMD_MEM.element_address(channel * COMMAND_DWORDS)
}

fn width32<H: Host>(core: &Core<H>) -> Result<(), Failure> {
    // `offsets` has moved the window.
    core.windows.forget();
    let base = scratch(core);
    let dword = |index: u32| base.offset(index * 4);
    let value = |index: u32| 0x0403_0201_u32.wrapping_mul(index + 1);
    for index in 0..COMMAND_DWORDS {
        core.windows.write32(dword(index), value(index));
    }
    let compare = |changed: u32, to: u32| {
        (0..COMMAND_DWORDS).rev().try_for_each(|index| {
            let expected = if index == changed { to } else { value(index) };
            let found = core.windows.read32(dword(index));
            expect(dword(index).value() as usize, expected, found)
        })
    };
    compare(0, value(0))?;
    for bit in 0..32 {
        for pattern in [1 << bit, !(1 << bit)] {
            core.windows.write32(dword(5), pattern);
            compare(5, pattern)?;
        }
    }
    Ok(())
}

/// The function's consumer of the event ring: a cell of 8 bytes in storm RAM, of which drivers write the first two.
fn width16<H: Host>(core: &Core<H>, registers: &H::Bar) -> Result<(), Failure> {
    let cell = bar::gtt_window(USDM_WINDOW).value() + 8 * u32::from(core.identity.rel_pf);
    let at = cell as usize;
    let before = registers.read32(at);
    registers.write32(at, 0x5aa5_1234);
    let wide = expect(at, 0x5aa5_1234, registers.read32(at));
    registers.write16(at, 0xc33c);
    let narrow = expect(at, 0x5aa5_c33c, registers.read32(at));
    registers.write32(at, before);
    wide.and(narrow)?;
    expect(at, before, registers.read32(at))
}

/// Moves the window and reads through it, turn and turn about; then writes one dword twice and reads it once.
fn order<H: Host>(core: &Core<H>, registers: &H::Bar) -> Result<(), Failure> {
    let constant = look(registers, miscs::CHIP_NUM.address(), 0);
    let base = scratch(core);
    for round in 0..64 {
        let marker = 0xa5a5_0000 | round;
        look(registers, base, 4);
        registers.write32(window_offset(4), !marker);
        registers.write32(window_offset(4), marker);
        expect(window_offset(4), marker, registers.read32(window_offset(4)))?;
        let found = look(registers, miscs::CHIP_NUM.address(), 0x10);
        expect(window_offset(0x10), constant, found)?;
    }
    Ok(())
}
