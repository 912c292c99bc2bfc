use std::vec;
use std::vec::Vec;

use super::super::fake::{FakeHost, agreeable, card};
use super::*;
use crate::core_state::Core;

const ILT: GrcAddress = GrcAddress(0x26_0000);

fn with_dmae() -> Core<FakeHost> {
    let mut core = card(agreeable);
    core.card().concrete = 0x0003_0003;
    core.identify().expect("identified");
    core.allocate_dmae().expect("memory");
    core.card().raw_writes.clear();
    core.card().writes.clear();
    core
}

#[test]
fn the_command_is_the_one_of_the_reference() {
    let mut core = with_dmae();
    core.dmae_write(ILT, &[1, 2]).expect("written");
    let card = core.card();
    assert_eq!((card.value(0x26_0000), card.value(0x26_0004)), (1, 2));
    let command: Vec<_> = (0..14)
        .map(|index| card.value(0xc800 + 3 * 56 + index * 4))
        .collect();
    // Host to chip in the name of PF 3.
    assert_eq!(command[0], 0x8164 | 3 << 20 | 3 << 24);
    assert_eq!((command[3], command[4]), (0x26_0000 >> 2, 0));
    assert_eq!(command[5], 0xffff_0002);
    assert_eq!(command[8], 0xd1ae);
    assert_eq!(command[9..], [0; 5]);
    let last = card.writes.last().expect("a write");
    assert_eq!((last.1, last.2), (0xc048 + 3 * 4, 1), "go comes last");
}

#[test]
fn directions_and_options_are_in_the_opcode() {
    let host = End::Host(BusAddress(0x1_0000_1000));
    let chip = End::Chip(ILT);
    let opcode = |from, to, options| {
        build(from, to, 1, BusAddress(0x2000), (0, 0), options)
            .opcode
            .get()
    };
    let plain = DmaeOptions::default();
    assert_eq!(opcode(host, chip, plain), 0x0000_8164);
    assert_eq!(opcode(chip, host, plain), 0x0000_8163);
    assert_eq!(opcode(host, host, plain), 0x0000_8162);
    let other = DmaeOptions {
        destination_pf: Some(5),
        destination_vf: Some(9),
        port: Some(1),
        completion_by_destination: true,
    };
    assert_eq!(opcode(host, chip, other), 0x2504_81e4);
    let command = build(host, chip, 4, BusAddress(0x2000), (0, 0), other);
    assert_eq!(command.opcode_b.get(), 0x09ff);
}

#[test]
fn long_jobs_are_cut_and_come_back_whole() {
    let mut core = with_dmae();
    let data: Vec<u32> = (0..0x4001).collect();
    core.dmae_write(ILT, &data).expect("written");
    let lengths: Vec<_> = core
        .card()
        .writes
        .iter()
        .filter(|write| write.1 == 0xc800 + 3 * 56 + 20)
        .map(|write| write.2 & 0xffff)
        .collect();
    assert_eq!(lengths, vec![0x2000, 0x2000, 1]);
    let mut back = vec![0; data.len()];
    core.dmae_read(ILT, &mut back).expect("read");
    assert!(back == data);
}

#[test]
fn a_fill_repeats_its_source() {
    let mut core = with_dmae();
    core.dmae_fill(ILT, 0xabcd, 0x2003).expect("filled");
    for index in [0, 0x1fff, 0x2000, 0x2002] {
        assert_eq!(core.register(ILT.offset(index * 4)), 0xabcd);
    }
    assert_eq!(core.register(ILT.offset(0x2003 * 4)), 0);
}

#[test]
fn the_self_test_notices_a_wrong_bit() {
    let mut core = with_dmae();
    core.dmae_self_test().expect("copies");
    core.card().dmae_flip = true;
    assert!(matches!(
        core.dmae_self_test(),
        Err(DmaeError::WrongData { offset: 12, .. })
    ));
}

#[test]
fn after_a_time_out_the_engine_is_poisoned_and_its_memory_kept() {
    let mut core = with_dmae();
    core.card().dmae_silent = true;
    let before = core.card().time_us;
    assert!(matches!(
        core.dmae_write(ILT, &[1]),
        Err(DmaeError::TimedOut {
            dwords: 1,
            destination: 0x26_0000,
            ..
        })
    ));
    let waited = core.card().time_us - before;
    assert!((20_000..200_000).contains(&waited), "{waited} us");
    core.card().dmae_silent = false;
    assert_eq!(core.dmae_write(ILT, &[1]), Err(DmaeError::Poisoned));
    assert_eq!(core.dmae_fill(ILT, 1, 1), Err(DmaeError::Poisoned));
    assert_eq!(core.dmae_read(ILT, &mut [0]), Err(DmaeError::Poisoned));
    let kept = core.dmae.as_ref().map(Dmae::kept_bytes);
    assert_eq!(kept, Some(BOUNCE_BYTES + COMPLETION_BYTES));
    core.dmae = None;
    assert_eq!(core.card().freed, 0);
    core.allocate_dmae().expect("memory");
    core.dmae_write(ILT, &[1]).expect("a new one works");
    core.dmae = None;
    assert_eq!(core.card().freed, 2);
}

#[test]
fn a_lost_device_is_not_a_time_out() {
    let mut core = with_dmae();
    core.card().gone = true;
    assert_eq!(core.dmae_write(ILT, &[1]), Err(DmaeError::DeviceGone));
}

#[test]
fn null_addresses_are_refused() {
    let mut core = with_dmae();
    assert_eq!(
        core.dmae_copy_in(BusAddress(0), ILT, 1),
        Err(DmaeError::NullAddress)
    );
    assert_eq!(
        core.dmae_write(GrcAddress(0), &[1]),
        Err(DmaeError::NullAddress)
    );
    core.dmae = None;
    assert_eq!(core.dmae_write(ILT, &[1]), Err(DmaeError::Absent));
}
