use std::vec;
use std::vec::Vec;

use fastlinq_pac::Bar0Offset;
use fastlinq_pac::bar::igu::{Acknowledge, Interrupt};

use super::super::fake::{agreeable, card};
use super::*;

const A: GrcAddress = GrcAddress(0x9770);
const B: GrcAddress = GrcAddress(0x1f_0400);

#[test]
fn a_window_moves_only_when_it_must() {
    let core = card(agreeable);
    core.windows.write32(A, 1);
    core.windows.write32(A.offset(0xffc), 2);
    core.windows.write32(A.offset(0x1000), 3);
    core.windows.write32(A.offset(0xffc), 4);
    let card = core.card();
    let moves = card.raw_writes.iter().filter(|(at, _)| *at == 0x10).count();
    assert_eq!(moves, 3);
    assert_eq!(card.value(0x9770), 1);
    assert_eq!(card.value(0x9770 + 0xffc), 4);
    assert_eq!(card.value(0x9770 + 0x1000), 3);
}

#[test]
fn the_last_dword_of_the_space_is_reached() {
    let core = card(agreeable);
    let last = GrcAddress(0x1ff_fffc);
    core.windows.write32(last, 9);
    assert_eq!(core.windows.read32(last), 9);
    // Addresses are rounded down to a dword.
    assert_eq!(core.windows.read32(GrcAddress(0x1ff_ffff)), 9);
}

#[test]
fn a_pretend_has_its_own_window_and_ends() {
    let core = card(agreeable);
    core.windows.set_function(3);
    core.windows.write32(A, 1);
    {
        let as_vf = core
            .windows
            .pretend(PretendAs::Function(ConcreteFid::vf(3, 0x20)))
            .expect("a window");
        as_vf.write32(B, 2);
        // The function's own accesses are not affected meanwhile.
        core.windows.write32(B, 3);
    }
    core.windows.write32(B, 4);
    let card = core.card();
    assert_eq!(
        card.writes,
        vec![
            (0, 0x9770, 1),
            (0xe000_2083, 0x1f_0400, 2),
            (0, 0x1f_0400, 3),
            (0, 0x1f_0400, 4)
        ]
    );
    assert_eq!(card.pretends[4], 0xe000_0003, "back to the function itself");
}

#[test]
fn nested_pretends_restore_what_was_before() {
    let core = card(agreeable);
    core.windows.set_function(1);
    let mut outer = core
        .windows
        .pretend(PretendAs::Function(ConcreteFid::pf(5)))
        .expect("a window");
    outer.write32(B, 1);
    {
        let mut inner = outer.pretend(PretendAs::Port(1));
        inner.write32(B, 2);
        inner
            .pretend(PretendAs::Function(ConcreteFid::pf(6)))
            .write32(B, 3);
        inner.write32(B, 4);
    }
    outer.write32(B, 5);
    drop(outer);
    let card = core.card();
    let as_whom: Vec<_> = card.writes.iter().map(|write| (write.0, write.2)).collect();
    assert_eq!(
        as_whom,
        vec![
            (0xe000_0005, 1),
            (0xe006_0005, 2),
            (0xe000_0006, 3),
            (0xe006_0005, 4),
            (0xe000_0005, 5)
        ]
    );
    assert_eq!(card.pretends[4], 0xe000_0001);
}

#[test]
fn two_pretends_end_in_any_order() {
    let core = card(agreeable);
    let one = core.windows.pretend(PretendAs::Port(1)).expect("one");
    let two = core
        .windows
        .pretend(PretendAs::Function(ConcreteFid::pf(2)))
        .expect("two");
    drop(one);
    two.write32(B, 7);
    assert_eq!(core.card().writes, vec![(0xe000_0002, 0x1f_0400, 7)]);
}

#[test]
fn the_pool_ends_and_a_forgotten_window_stays_taken() {
    let core = card(agreeable);
    core::mem::forget(core.windows.pretend(PretendAs::Port(1)));
    let held: Vec<_> = (0..7)
        .map(|_| core.windows.acquire().expect("free"))
        .collect();
    assert!(matches!(
        core.windows.acquire(),
        Err(AccessError::NoFreeWindow)
    ));
    drop(held);
    core.windows.acquire().expect("free again").write32(B, 1);
    assert_eq!(core.card().writes, vec![(0, 0x1f_0400, 1)]);
}

#[test]
fn a_small_bar_is_never_left() {
    let core = card(agreeable);
    core.card().bar_bytes = 0x1_0000;
    let windows = Windows::new(core.windows.bar().clone());
    assert_eq!(
        windows.check(),
        Err(AccessError::RegisterBarTooSmall {
            bytes: 0x1_0000,
            needed: MIN_BAR_BYTES
        })
    );
    windows.write32(A, 1);
    windows.write16(A, 1);
    windows.set_up_global_windows();
    assert_eq!(windows.read32(A), u32::MAX);
    assert!(core.card().raw_writes.is_empty());
    assert!(windows.global_write32(Bar0Offset(0x1_4000), 1).is_err());
    assert!(windows.global_read32(Bar0Offset(0x200)).is_err());
}

#[test]
fn global_accesses_are_checked() {
    let core = card(agreeable);
    let windows = &core.windows;
    windows
        .global_write16(Bar0Offset(0x1_4a82), 5)
        .expect("inside");
    assert!(
        windows.global_write32(Bar0Offset(0x1_4a82), 5).is_err(),
        "not aligned"
    );
    assert!(windows.global_write32(Bar0Offset(0x2_0000), 5).is_err());
    assert!(windows.global_write32(Bar0Offset(u32::MAX), 5).is_err());
    windows
        .acknowledge(0x1ef, Acknowledge::new(Some(4), Interrupt::Enable))
        .expect("inside");
    assert!(windows.acknowledge(0x1f0, Acknowledge(0)).is_err());
    windows.attention_set(0x100).expect("inside");
    windows.attention_clear(!0x100).expect("inside");
    assert_eq!(
        core.card().raw_writes,
        vec![
            (0x1_4a82, 5),
            (0xff78, 0x0100_0004),
            (0xff88, 0x100),
            (0xff90, !0x100)
        ]
    );
}

#[test]
fn a_lost_device_is_told_from_a_register_of_all_ones() {
    let core = card(agreeable);
    core.card().set(0x9770, u32::MAX);
    let value = core.windows.read32(A);
    assert!(!core.windows.is_gone(value));
    core.card().gone = true;
    assert_eq!(core.windows.check(), Err(AccessError::DeviceGone));
    assert!(core.windows.is_gone(u32::MAX));
    assert!(!core.windows.is_gone(0));
}
