//! The 26 behaviours of a PF's bring-up that are more than storage, one test each, in the order of the hardware
//! reference (A3, section 14). The storm firmware's part of 22 and 23 has tests beside its code.

mod bench;

use bench::{
    Bench,
    slow_path::{ILT, doorbells_on, slow_path_on},
};
use fastlinq_model::{Bar, CardConfig, Chip, ViolationKind, mfw};

#[test]
fn behaviour_01_movable_windows_translate() {
    let mut bench = Bench::k2();
    // Two windows on the same register; the base need not be page aligned.
    bench.bar_write(0, 3 * 8, 0x2a_ae30 >> 2);
    bench.bar_write(0, 0x4000, 7);
    bench.bar_write(0, 4 * 8, 0x2a_a000 >> 2);
    assert_eq!(bench.bar_read(0, 0x5000 + 0xe30), 7);
    assert_eq!(
        bench.bar_read(0, 3 * 8),
        0x2a_ae30 >> 2,
        "an entry reads back"
    );
    // Every window has a target of its own.
    bench.bar_write(0, 4 * 8, 0x976c >> 2);
    assert_eq!(
        (bench.bar_read(0, 0x4000), bench.bar_read(0, 0x5000)),
        (7, 0x8070)
    );
    bench.assert_clean();
}

#[test]
fn behaviour_02_global_windows_translate_from_power_up() {
    let mut bench = Bench::k2();
    bench.bar_write(0, 0x1_4a80, 0xabcd);
    assert_eq!(bench.read(0x1d8_0a80), 0xabcd, "window 7 is USDM RAM");
    bench.bar_write(0, 0x200 + 4 * 16, 0x1d80);
    assert_eq!(
        bench.bar_read(0, 0xd000 + 16 * 0x1000 + 0xa80),
        0xabcd,
        "a window that a driver programs"
    );
    // 16-bit stores reach storm RAM as they are.
    bench.card.write(0, Bar::Registers, 0x1_4a82, &[0x11, 0x22]);
    assert_eq!(bench.read(0x1d8_0a80), 0x2211_abcd);
    assert_eq!(
        bench.read(0x196_0a80),
        0x2211_abcd,
        "the storm's own block shows the same RAM"
    );
    bench.assert_clean();
}

#[test]
fn behaviour_03_pretend_selects_the_bank() {
    let mut bench = Bench::new(CardConfig::new(Chip::K2).functions(3).ports(2));
    bench.write(0x1f_0400, 1);
    bench.pretend(0xe000_0000 | 2);
    bench.write(0x1f_0400, 5);
    assert_eq!(bench.read(0x1f_0400), 5);
    bench.pretend(0xe000_0000);
    assert_eq!(bench.read(0x1f_0400), 1, "the own bank kept its value");
    assert_eq!(
        bench.read_as(2, 0x1f_0400),
        5,
        "PF 2 finds what was written in its name"
    );
    // VF 3: CCFC enables.
    bench.pretend(0xe000_0000 | 3 << 8 | 0x80);
    bench.write(0x2e_070c, 1);
    bench.pretend(0xe000_0000 | 4 << 8 | 0x80);
    assert_eq!(bench.read(0x2e_070c), 0);
    // Port: a pretend without function; then none.
    bench.pretend(0xe000_0000);
    bench.pretend(0x2000_0000 | 1 << 18 | 1 << 17);
    bench.write(0x1f_0730, 9);
    bench.pretend(0x2000_0000);
    assert_eq!(bench.read(0x1f_0730), 0, "port 0 has another");
    assert_eq!(bench.read_as(1, 0x1f_0730), 9, "PF 1 is on port 1");
    // A pretend belongs to its window alone.
    bench.pretend(0xe000_0000 | 2);
    bench.bar_write(0, 5 * 8, 0x1f_0400 >> 2);
    assert_eq!(bench.bar_read(0, 0x6000), 1);
    bench.assert_clean();
}

#[test]
fn behaviour_04_identity_registers() {
    let mut bench = Bench::new(CardConfig::new(Chip::K2).ports(4).functions(4));
    assert_eq!(bench.bar_read(3, 0x1fc), 3 << 16 | 3 << 4 | 3);
    assert_ne!(bench.bar_read(3, 0x1f8), !0);
    assert_eq!(bench.read(0x976c), 0x8070);
    assert_eq!(bench.read(0x8c00), 2, "four ports per engine");
    assert_eq!(bench.read(0x96f0), 0xfff1, "functions 0 to 3 are visible");
    assert_eq!(
        1u64 << (bench.read(0x2a_ae60) + 15),
        bench.card.bar_size(0, Bar::Registers)
    );
    assert_eq!(
        1u64 << (bench.read(0x2a_ae64) + 15),
        bench.card.bar_size(0, Bar::Doorbells)
    );
    bench.write(0x976c, 0);
    assert_eq!(
        bench.read(0x976c),
        0x8070,
        "the chip number is not writable"
    );

    let mut bench = Bench::new(CardConfig::new(Chip::Bb).functions(2));
    assert_eq!(bench.read(0x9770), 1, "BB is revision B0");
    assert_eq!(bench.bar_read(0, 0x1fc), 0);
    assert_eq!(
        bench.bar_read(1, 0x1fc),
        1 << 16 | 1 << 6,
        "PF 1 is the first of the second engine"
    );
    bench.write_as(1, 0x18_4000, 0x1234);
    assert_ne!(
        bench.read(0x18_4000),
        0x1234,
        "each engine has its own registers"
    );
}

#[test]
fn behaviour_05_dmae_moves_in_all_directions() {
    let mut bench = Bench::k2();
    let (source, destination) = (bench.allocate(0x1000), bench.allocate(0x1000));
    let pattern: Vec<u8> = (0..2048u32).map(|byte| (byte * 7) as u8).collect();
    bench.store(source, &pattern);
    assert_eq!(
        bench.dmae(0x8162, source, destination, 512),
        0xd1ae,
        "host to host"
    );
    assert_eq!(bench.load::<2048>(destination)[..], pattern[..]);
    assert_eq!(
        bench.dmae(0x8164, source, u64::from(ILT >> 2), 4),
        0xd1ae,
        "host to GRC"
    );
    assert_eq!(bench.read(ILT + 4), u32::from_le_bytes([28, 35, 42, 49]));
    bench.store(destination, &[0; 16]);
    assert_eq!(
        bench.dmae(0x8163, u64::from(ILT >> 2), destination, 4),
        0xd1ae,
        "GRC to host"
    );
    assert_eq!(bench.load::<16>(destination)[..], pattern[..16]);
    bench.assert_clean();
    // The destination PF of the opcode selects the bank.
    assert_eq!(
        bench.dmae(0x8164 | 1 << 24, source, u64::from(0x50_1a00u32 >> 2), 2),
        0xd1ae
    );
    assert_eq!(bench.read(0x50_1a00), 0);
}

#[test]
fn behaviour_05_dmae_reports_unmapped_memory() {
    let mut bench = Bench::k2();
    let host = bench.allocate(0x1000);
    bench.dmae(0x8162, 0xdead_0000, host, 4);
    let violation = &bench.card.violations()[0];
    assert_eq!(
        violation.kind,
        ViolationKind::UnmappedRead {
            address: 0xdead_0000,
            len: 16
        }
    );
    assert_eq!(violation.cause.place, 0xc800);
    assert!(
        violation.to_string().contains("DMAE command"),
        "{violation}"
    );
    assert_eq!(bench.read(0x2a_a160) & 1 << 26, 1 << 26, "latched");
    assert_eq!(bench.read(0x2a_a154), 0xdead_0000);
    assert_eq!(
        bench.read(0xc800 + 48) >> 16 & 1,
        1,
        "error bit of the result"
    );
    bench.write(0x2a_a3bc, 4);
    assert_eq!(bench.read(0x2a_a160), 0);
    // Error handling 2: no completion after an error.
    assert_eq!(bench.dmae(0x8162 | 2 << 16, 0xdead_0000, host, 4), 0);
}

#[test]
fn behaviour_06_mailbox_executes_commands() {
    let mut bench = Bench::k2();
    let sections = 0xe0_0000 | bench.read(0x8c20);
    let offsize = bench.read(sections + 4);
    let mailbox = 0xe2_0000 + 4 * (offsize & 0xffff);
    let sequence = (bench.read(mailbox) + 1) & 0xffff;
    bench.write(mailbox + 4, 0);
    bench.write(mailbox, 0x0031 << 16 | sequence);
    assert_eq!(bench.read(mailbox + 8), 0x0016 << 16 | sequence);
    bench.assert_clean();
}

#[test]
fn behaviour_07_shared_memory_and_nvm_configuration_are_there() {
    let mut bench = Bench::k2();
    assert_ne!(bench.read(0x8c20), 0);
    let sections = 0xe0_0000 | bench.read(0x8c20);
    assert_eq!(bench.read(sections), 6, "sections");
    assert_ne!(bench.read(0x8c80), 0);
}

#[test]
fn behaviour_08_events_raise_the_general_attention() {
    let mut bench = Bench::k2();
    let (_, attention) = bench.interrupts_on();
    bench
        .card
        .with_mfw(|mfw, effects| mfw.post_event(0, mfw::Event::LinkChange, effects));
    assert_eq!(bench.load32(attention), 0x100, "attention bit 8");
    assert_eq!(
        bench.signals.take(),
        [(0, 0)],
        "the default status block's vector"
    );
    assert_ne!(bench.read(0x8400), 0);
}

#[test]
fn behaviour_09_init_polls_are_answered_after_their_triggers() {
    let mut bench = Bench::k2();
    let polls: [(u32, u32, &[u32], u32); 13] = [
        (0x2a_0000, 1, &[0x2a_0004], 1),
        (0x29_d000, 1, &[0x29_d004], 1),
        (0x56_0000, 1, &[0x56_0004], 1),
        (0x100_0004, 1, &[0x100_0008], 1),
        (0x2f_5d7c, 1, &[0x2f_5d80], 1),
        (0x34_0004, 3, &[0x34_0008], 3),
        (0x1f_0004, 1, &[0x1f_0008], 1),
        (0xdb_0004, 3, &[0xdb_0008], 3),
        (
            0x2e_0000,
            0x1e7f,
            &[0x2e_0004, 0x2e_0008, 0x2e_000c, 0x2e_0010],
            1,
        ),
        (
            0x2d_0000,
            0x1e7f,
            &[0x2d_0004, 0x2d_0008, 0x2d_000c, 0x2d_0010],
            1,
        ),
        (0x56_0080, 1, &[0x56_0084], 1),
        (0x174_a00c, 0xc000_ffff, &[0x174_a03c], 7),
        (0x164_a00c, 0xc000_ffff, &[0x164_a03c], 7),
    ];
    for (trigger, value, done, expected) in polls {
        for &register in done {
            assert_ne!(
                bench.read(register),
                expected,
                "{register:#x} before its trigger"
            );
        }
        bench.write(trigger, value);
        for &register in done {
            assert_eq!(bench.read(register), expected, "{register:#x}");
        }
    }
    for idle in [
        0x2c_0010, 0x100_0ac0, 0x108_0ab8, 0x110_0ab0, 0x118_0ab8, 0x120_0abc, 0x128_0acc,
    ] {
        assert_eq!(bench.read(idle), 1, "{idle:#x}");
    }
    for storm in [
        0x144_065c, 0x154_065c, 0x164_065c, 0x174_065c, 0x184_065c, 0x194_065c,
    ] {
        assert_eq!(bench.read(storm), 0, "{storm:#x}");
    }
    bench.assert_clean();
}

#[test]
fn behaviour_10_init_commands_clear_themselves() {
    let mut bench = Bench::k2();
    for (register, value) in [(0x23_8804, 1), (0x1c_0410, 0x1f), (0x18_0000, 0x76)] {
        bench.write(register, value);
        assert_eq!(bench.read(register), 0, "{register:#x}");
    }
}

#[test]
fn behaviour_11_write_burst_is_one_that_drivers_know() {
    for chip in [Chip::Bb, Chip::K2] {
        assert!(Bench::new(CardConfig::new(chip)).read(0x24_0400) <= 2);
    }
}

#[test]
fn behaviour_12_master_enable_reads_back_and_gates_dma() {
    let mut bench = Bench::new(CardConfig::new(Chip::K2).functions(2));
    assert_eq!(bench.read(0x2a_a16c), 0);
    let host = bench.allocate(0x1000);
    assert_eq!(
        bench.dmae(0x8162, host, host + 64, 4),
        0,
        "neither data nor completion"
    );
    assert!(matches!(
        bench.card.violations()[0].kind,
        ViolationKind::BlockedDma { write: false, .. }
    ));
    assert_eq!(bench.read(0x2a_a160), 1 << 26 | 1 << 23, "FID enable off");
    assert_eq!(
        bench.read(0x2a_a150),
        1 << 29 | 1 << 23,
        "the completion was blocked, too"
    );
    bench.write(0x2a_a16c, 1);
    assert_eq!(bench.read(0x2a_a16c), 1);
    assert_eq!(bench.read_as(1, 0x2a_a16c), 0, "per PF");
    assert_eq!(bench.dmae(0x8162, host, host + 64, 4), 0xd1ae);
    bench.card.set_bus_master(0, false);
    assert_eq!(bench.dmae(0x8162, host, host + 64, 4), 0);
}

#[test]
fn behaviour_13_final_cleanup_acknowledges() {
    let mut bench = Bench::k2();
    assert_eq!(bench.bar_read(0, 0x1_4a80), 0);
    bench.write(0xf8_0408, 0x0002_0041);
    assert_ne!(bench.bar_read(0, 0x1_4a80), 0);
    bench.assert_clean();
    bench.write(0xf8_0408, 0x0001_0041);
    assert_eq!(
        bench.card.violations().len(),
        1,
        "another operation is reported"
    );
}

#[test]
fn behaviour_14_cam_gives_every_pf_a_run_of_lines() {
    for (chip, functions, lines) in [(Chip::K2, 1, 128), (Chip::K2, 16, 11), (Chip::Bb, 2, 128)] {
        let mut bench = Bench::new(CardConfig::new(chip).functions(functions));
        let total = u32::from(chip.limits().status_blocks);
        let own: Vec<u32> = (0..total)
            .filter(|sb| bench.read(0x18_4000 + 4 * sb) & (1 | 0xf << 9 | 1 << 17) == 1 | 1 << 17)
            .collect();
        assert_eq!(own, (0..lines).collect::<Vec<_>>());
        assert_eq!(
            bench.read(0x18_4000),
            0x0002_0001,
            "the default status block has vector 0"
        );
        assert_eq!(bench.read(0x18_4004), 0x0002_0003);
    }
}

#[test]
fn behaviour_15_cleanup_reflects_its_set_flag() {
    let mut bench = Bench::k2();
    for (set, expected) in [(1u32, 1u32 << 5), (0, 0)] {
        bench.write(0x18_0840, set << 27 | 1 << 31);
        let opaque = bench.bar_read(0, 0x1f8);
        bench.write(0x18_0848, opaque | (0x400 + 37) << 16 | 1 << 31);
        assert_eq!(bench.read(0x18_0984), expected);
        assert_eq!(bench.read(0x18_0904), 0, "nothing pends");
    }
    bench.assert_clean();
}

/// Makes the model write status block 0 by a mailbox-independent path: the producer-update command.
fn bump(bench: &mut Bench, sb: u32, producer: u32) {
    let opaque = bench.bar_read(0, 0x1f8);
    bench.write(0x18_0840, producer);
    bench.write(0x18_0848, opaque | (0x600 + sb) << 16 | 1 << 31);
}

#[test]
fn behaviour_16_acknowledge_masks_and_fires() {
    let mut bench = Bench::k2();
    bump(&mut bench, 3, 1);
    assert_eq!(bench.signals.take(), [], "the function is not enabled");
    bench.interrupts_on();
    assert_eq!(bench.signals.take(), [(0, 3)]);
    bump(&mut bench, 3, 2);
    assert_eq!(bench.signals.take(), [], "masked by its own message");
    // Enable with an old index: fires at once. With the new one: does not.
    bench.bar_write(0, 0xf000 + 8 * 3, 1 << 24 | 1);
    assert_eq!(bench.signals.take(), [(0, 3)]);
    bench.bar_write(0, 0xf000 + 8 * 3, 1 << 24 | 2);
    assert_eq!(bench.signals.take(), []);
    assert_eq!(
        (bench.read(0x18_200c), bench.read(0x18_300c)),
        (2, 2),
        "producer and consumer memory"
    );
    // Disable without update; then nothing fires until it is enabled.
    bench.bar_write(0, 0xf000 + 8 * 3, 1 << 25);
    bump(&mut bench, 3, 3);
    assert_eq!(bench.signals.take(), []);
    bench.bar_write(0, 0xf000 + 8 * 3, 1 << 24 | 3 | 2 << 25);
    bench.bar_write(0, 0xf000 + 8 * 3, 0);
    assert_eq!(bench.signals.take(), []);
    bench.assert_clean();
    // Another function's status block is not to be touched.
    bench.bar_write(0, 0xf000 + 8 * 200, 1 << 24);
    assert!(matches!(
        bench.card.violations()[0].kind,
        ViolationKind::Interrupt(_)
    ));
}

#[test]
fn behaviour_16_msix_table_masks_messages() {
    let mut bench = Bench::k2();
    bench.interrupts_on();
    bench
        .card
        .write(0, Bar::Msix, 16 * 2 + 12, &1u32.to_le_bytes());
    bench
        .card
        .write(0, Bar::Msix, 16 * 3 + 12, &0u32.to_le_bytes());
    bump(&mut bench, 2, 1);
    bump(&mut bench, 3, 1);
    assert_eq!(bench.signals.take(), [(0, 3)]);
    let mut pending = [0; 4];
    bench.card.read(0, Bar::Msix, 0x4000, &mut pending);
    assert_eq!(u32::from_le_bytes(pending), 1 << 2);
    assert_eq!(bench.read(0x18_0d20), 1 << 2, "the IGU shows them, too");
    bench
        .card
        .write(0, Bar::Msix, 16 * 2 + 12, &0u32.to_le_bytes());
    assert_eq!(bench.signals.take(), [(0, 2)], "sent when unmasked");
    bench.card.set_msix_mask(0, true);
    bench.bar_write(0, 0xf000 + 8 * 2, 0);
    assert_eq!(bench.signals.take(), []);
    bench.card.set_msix_mask(0, false);
    assert_eq!(bench.signals.take(), [(0, 2)]);
}

#[test]
fn behaviour_17_single_isr_status() {
    let mut bench = Bench::k2();
    bench.interrupts_on();
    bench.write(0x18_0800, 0x1d);
    bump(&mut bench, 0, 1);
    bump(&mut bench, 35, 1);
    assert_eq!(*bench.signals.lines.lock().unwrap(), [(0, true)]);
    assert_eq!(bench.bar_read(0, 0xffb0), 1, "a look without masking");
    assert_eq!(bench.bar_read(0, 0xffa0), 1);
    assert_eq!(
        *bench.signals.lines.lock().unwrap(),
        [(0, true)],
        "a source is left"
    );
    assert_eq!(bench.bar_read(0, 0xffa8), 1 << 3);
    assert_eq!(
        *bench.signals.lines.lock().unwrap(),
        [(0, true), (0, false)]
    );
    bench.bar_write(0, 0xf000, 1 << 24);
    assert_eq!(
        bench.signals.lines.lock().unwrap().last(),
        Some(&(0, true)),
        "enabled with an old index"
    );

    let mut bench = Bench::k2();
    bench.interrupts_on();
    bench.write(0x18_0800, 0x1b);
    bump(&mut bench, 0, 1);
    bump(&mut bench, 1, 1);
    assert_eq!(
        bench.signals.take(),
        [(0, 0)],
        "one MSI for all until it is read"
    );
    let mut both = [0; 8];
    bench.card.read(0, Bar::Registers, 0xff98, &mut both);
    assert_eq!(u64::from_le_bytes(both), 3);
    bench.assert_clean();
}

#[test]
fn behaviour_19_attention_block_follows_its_line() {
    let mut bench = Bench::k2();
    let (_, attention) = bench.interrupts_on();
    let index = |bench: &Bench| u16::from_le_bytes(bench.load(attention + 10));
    bench.write(0x8400, 1);
    assert_eq!(
        (
            bench.load32(attention),
            bench.load32(attention + 4),
            index(&bench)
        ),
        (0x100, 0, 1)
    );
    assert_eq!(bench.signals.take(), [(0, 0)]);
    // The driver's service: mask, clear the source, acknowledge.
    bench.write(0x18_083c, 0xfff & !0x100);
    bench.write(0x8400, 0);
    assert_eq!(index(&bench), 1, "not before it is acknowledged");
    bench.bar_write(0, 0xff88, 0x100);
    assert_eq!(
        (
            bench.load32(attention),
            bench.load32(attention + 4),
            index(&bench)
        ),
        (0, 0x100, 2)
    );
    // Deassertion: clear the acknowledge, unmask; the message of index 2 waits behind the mask.
    bench.bar_write(0, 0xff90, !0x100);
    bench.write(0x18_083c, 0xfff);
    assert_eq!(
        (bench.read(0x18_0838), index(&bench)),
        (0, 2),
        "no further write"
    );
    bench.bar_write(0, 0xf000, 0x0d00_0000 | 2);
    bench.bar_write(0, 0xf000, 0x0100_0000);
    assert_eq!(bench.signals.take(), []);
    // Once more.
    bench.write(0x8400, 1);
    assert_eq!((bench.load32(attention), index(&bench)), (0x100, 3));
    assert_eq!(bench.signals.take(), [(0, 0)]);
    assert_eq!(bench.read(0x87b4), 0, "no block asks for attention");
    bench.assert_clean();
}

#[test]
fn behaviour_19_general_attentions_reach_their_line_through_the_aeu() {
    let mut bench = Bench::k2();
    let (_, attention) = bench.interrupts_on();
    bench.write(0x8480, 1);
    assert_eq!(bench.read(0x87b4 + 12), 1, "general attention 32");
    assert_eq!(bench.load32(attention), 1);
    bench.write(0x8480, 0);
    bench.bar_write(0, 0xff88, 1);
    assert_eq!(bench.load32(attention), 0);
}

#[test]
fn behaviour_20_doorbells_are_decoded() {
    use fastlinq_model::{Event, Observer};
    use std::sync::{Arc, Mutex};
    struct Seen(Arc<Mutex<Vec<(u32, u8, u32)>>>);
    impl Observer for Seen {
        fn event(&mut self, _: u64, event: &Event<'_>) {
            if let Event::Doorbell(doorbell) = event {
                self.0.lock().unwrap().push((
                    doorbell.cid,
                    doorbell.connection_type,
                    doorbell.data,
                ));
            }
        }
    }
    let mut bench = Bench::k2();
    let seen = Arc::new(Mutex::new(Vec::new()));
    bench.card.set_observer(Some(Box::new(Seen(seen.clone()))));
    bench.doorbell(0, 0x0001_108c);
    assert_eq!(seen.lock().unwrap().len(), 0, "disabled");
    assert_eq!(bench.read(0x10_0180), 2, "doorbell drop");
    bench.write(0x10_0188, 2);
    assert_eq!(bench.read(0x10_0180), 0);
    doorbells_on(&mut bench);
    // CORE 15 and ETH 16 are not started, so the firmware ignores them.
    bench.doorbell(4 * 15, 0x0001_108c);
    bench.doorbell(4 * 16, 0x0002_008c);
    assert_eq!(
        *seen.lock().unwrap(),
        [(15, 3, 0x0001_108c), (16, 4, 0x0002_008c)]
    );
    bench.doorbell(4 * 48, 1);
    bench.doorbell(4 * 16, 3);
    assert_eq!(
        seen.lock().unwrap().len(),
        2,
        "ICID and destination out of range"
    );
    bench.doorbell(0x1000, 1);
    let counters = bench.card.counters();
    assert_eq!(
        (
            counters.doorbells,
            counters.doorbells_dropped,
            counters.doorbells_pwm
        ),
        (6, 3, 1)
    );
}

#[test]
fn behaviour_26_an_overflow_swallows_doorbells_until_it_is_cleared() {
    let mut bench = Bench::k2();
    let slow = slow_path_on(&mut bench);
    let (_, attention) = bench.interrupts_on();
    slow.post_common(&mut bench, 0, 1, slow.data);
    bench.card.overflow_doorbells(0);
    // Status, details, the flag, and the attention of the doorbell queue.
    assert_eq!(bench.read(0x10_0180), 0b110);
    assert_eq!(bench.read(0x10_09d0), 1);
    assert_eq!(bench.read(0x87b4 + 4 * 5), 1 << 27);
    assert_eq!(bench.load32(attention), 1);
    bench.doorbell(0, 0x0001_108c);
    let counters = bench.card.counters();
    assert_eq!((counters.doorbells_overflowed, counters.ramrods), (1, 0));
    // The driver's way: abort, wait for the queue to be empty, clear the flag, clear the status, ring again.
    bench.write(0x10_09d8, 1);
    assert_eq!(bench.read(0x10_09c0), 0);
    bench.write(0x10_09d0, 0);
    bench.write(0x10_0188, 0b110);
    assert_eq!(bench.read(0x87b4 + 4 * 5), 0);
    bench.bar_write(0, 0xff88, 1);
    assert_eq!(bench.load32(attention), 0);
    bench.doorbell(0, 0x0001_108c);
    assert_eq!(bench.card.counters().ramrods, 1);
    // A reset takes the flag with it.
    bench.card.overflow_doorbells(0);
    bench.card.flr(0);
    assert_eq!(bench.read(0x10_09d0), 0);
}

#[test]
fn behaviour_18_status_blocks_are_written_whole_and_coalesced() {
    let mut bench = Bench::k2();
    let slow = slow_path_on(&mut bench);
    // Index 0 of the block: timeset 6 at resolution 2, so 24 us.
    bench.write(0x1d_0000, 6 << 16);
    bench.write(0x1c_6004, 2 << 14);
    slow.post_common(&mut bench, 0, 1, slow.data);
    slow.post_common(&mut bench, 1, 7, 0);
    bench.doorbell(0, 0x0001_108c);
    bench.doorbell(0, 0x0002_108c);
    assert_eq!(bench.read(0x1d_0000) & 0xffff, 2, "the live index");
    assert_eq!(bench.load32(slow.block), 0, "the host waits");
    bench.card.advance(23_999);
    assert_eq!(bench.load32(slow.block), 0);
    assert_eq!(bench.card.next_event_ns(), Some(24_000));
    bench.card.advance(1);
    assert_eq!(bench.load32(slow.block), 2, "both events in one write");
    assert_eq!(
        (bench.load32(slow.block + 24), bench.load32(slow.block + 28)),
        (0, 1)
    );
    assert_eq!(bench.signals.take(), [(0, 0)]);
    assert_eq!(bench.card.counters().status_block_writes, 1);
    // The producer shows in SB_VAR, and a driver's read-modify-write does not set it back.
    assert_eq!(bench.read(0x1c_6000) & 0xff_ffff, 1);
    bench.write(0x1c_6000, 4 << 24);
    assert_eq!(bench.read(0x1c_6000), 4 << 24 | 1);
    // State 4 disables coalescing.
    slow.post_common(&mut bench, 2, 7, 0);
    bench.doorbell(0, 0x0003_108c);
    assert_eq!(
        (bench.load32(slow.block), bench.load32(slow.block + 28)),
        (3, 2)
    );
    bench.assert_clean();
}

#[test]
fn behaviour_18_a_block_without_memory_is_reported() {
    let mut bench = Bench::k2();
    let slow = slow_path_on(&mut bench);
    bench.write(0x1c_8000, 0xbad_0000);
    bench.write(0x1c_8004, 0);
    slow.post_common(&mut bench, 0, 1, slow.data);
    bench.doorbell(0, 0x0001_108c);
    let violation = bench.card.violations().last().unwrap();
    assert_eq!(
        violation.kind,
        ViolationKind::UnmappedWrite {
            address: 0xbad_0000,
            len: 32
        }
    );
    assert_eq!(violation.cause.place, 0x1c_8000);
}

#[test]
fn behaviour_21_contexts_are_found_by_ilt_and_cdu_parameters() {
    let mut bench = Bench::k2();
    let slow = slow_path_on(&mut bench);
    slow.post_common(&mut bench, 0, 1, slow.data);
    // Not with an invalid line, not outside the function's lines, not without parameters.
    for (address, bad, good, why) in [
        (
            ILT + 8 * 100 + 4,
            0,
            1 << 20 | (slow.context >> 44) as u32,
            "not valid",
        ),
        (0x24_004c, 99, 101, "outside"),
        (0x58_0900, 0, 0x3310_0500, "parameters"),
    ] {
        bench.write(address, bad);
        bench.doorbell(0, 0x0001_108c);
        let violation = bench.card.violations().last().unwrap();
        assert!(
            matches!(violation.kind, ViolationKind::Context(_)),
            "{violation}"
        );
        assert!(violation.to_string().contains(why), "{violation}");
        assert_eq!(bench.load32(slow.block), 0);
        bench.write(address, good);
    }
    bench.card.clear_violations();
    bench.doorbell(0, 0x0001_108c);
    assert_eq!(bench.load32(slow.block), 1);
    bench.assert_clean();
}

#[test]
fn behaviour_22_ramrods_complete_on_the_event_queue() {
    let mut bench = Bench::k2();
    let slow = slow_path_on(&mut bench);
    slow.post_common(&mut bench, 0, 1, slow.data);
    bench.doorbell(0, 0x0001_108c);
    assert_eq!(
        bench.load::<8>(slow.events),
        [8, 0, 0, 0xff, 0, 0, 0, 0],
        "PF_START done"
    );
    assert_eq!(
        (bench.load32(slow.block), bench.load32(slow.block + 28)),
        (1, 1)
    );
    assert_eq!(bench.signals.take(), [(0, 0)]);
    slow.post_common(&mut bench, 1, 7, 0);
    bench.doorbell(0, 0x0002_108c);
    assert_eq!(
        bench.load::<8>(slow.events + 16),
        [8, 9, 0, 0xff, 1, 0, 0, 0],
        "EMPTY done"
    );
    assert_eq!(bench.card.counters().ramrods, 2);
    bench.assert_clean();
}

#[test]
fn behaviour_23_producers_are_plain_ram() {
    let mut bench = Bench::k2();
    bench.bar_write(0, 0x1_11f8, 0x0010_0020);
    assert_eq!(bench.read(0x1d0_01f8), 0x0010_0020);
    bench
        .card
        .write(0, Bar::Registers, 0x1_4000, &5u16.to_le_bytes());
    assert_eq!(bench.read(0x1d8_0000), 5);
    bench.assert_clean();
}

#[test]
fn behaviour_24_queue_manager_is_ready() {
    let mut bench = Bench::k2();
    assert_eq!(bench.read(0x2f_1e10), 1);
    bench.write(0x2f_1e14, 1);
    bench.write(0x2f_1e14, 0);
    assert_eq!(bench.read(0x2f_1e10), 1);
}

#[test]
fn behaviour_25_no_timer_scan_is_active() {
    let mut bench = Bench::k2();
    assert_eq!((bench.read(0x2c_04fc), bench.read(0x2c_0500)), (0, 0));
}

#[test]
fn behaviour_26_error_and_overflow_registers_read_zero() {
    let mut bench = Bench::k2();
    for register in [
        0x2a_a150, 0x2a_a160, 0x2a_a164, 0x2a_a54c, 0x2a_ae80, 0x10_0180, 0x10_09c0, 0x10_09d0,
        0x10_09d8, 0x10_0a1c, 0x10_0a20, 0x10_0a24, 0x10_0a2c, 0x05_0054, 0x2a_0070,
    ] {
        assert_eq!(bench.read(register), 0, "{register:#x}");
    }
}

#[test]
fn an_address_without_completer_is_latched() {
    let mut bench = Bench::k2();
    assert_eq!(bench.read(0x94_0000), 0);
    assert_eq!(bench.read(0x05_0054), 1);
    assert_eq!(bench.read(0x05_004c), 0x94_0000 >> 2 | 1 << 24);
    bench.write(0x94_0004, 1);
    assert_eq!(
        bench.read(0x05_004c),
        0x94_0000 >> 2 | 1 << 24,
        "the first stays"
    );
    bench.write(0x05_0054, 0);
    bench.write(0x94_0004, 1);
    assert_eq!(bench.read(0x05_004c), 0x94_0004 >> 2 | 1 << 23 | 1 << 24);
    assert_eq!(bench.card.counters().no_completer, 3);
    assert!(
        bench
            .card
            .violations()
            .iter()
            .all(|v| matches!(v.kind, ViolationKind::NoCompleter { .. }))
    );
}

#[test]
fn undocumented_writes_are_listed_once_and_counted() {
    let mut bench = Bench::k2();
    for _ in 0..3 {
        bench.write(0x10_1ffc, 5);
    }
    assert_eq!(
        bench.card.undocumented_writes().collect::<Vec<_>>(),
        [(0x10_1ffc, 3)]
    );
    assert_eq!(bench.card.violations().len(), 1);
    assert_eq!(bench.read(0x10_1ffc), 5, "stored all the same");
}

#[test]
fn function_level_reset_takes_everything_back() {
    let mut bench = Bench::new(CardConfig::new(Chip::K2).functions(2));
    for function in 0..2 {
        bench.write_as(function, 0x2a_a16c, 1);
        bench.write_as(function, 0x18_0800, 0xb);
    }
    bump(&mut bench, 3, 1);
    bench.card.flr(0);
    assert_eq!(
        (
            bench.read(0x2a_a16c),
            bench.read(0x18_0800),
            bench.read(0x18_200c)
        ),
        (0, 0, 0)
    );
    assert_eq!(bench.read_as(1, 0x2a_a16c), 1);
    assert_ne!(bench.read(0x2a_ae60), 0, "the BAR sizes stay");
}

#[test]
fn a_power_cycle_forgets_everything() {
    fn is_send(_: &impl Send) {}
    let mut bench = Bench::k2();
    is_send(&bench.card);
    bench.bar_write(0, 0x1_4a80, 5);
    bench.card.power_cycle();
    assert_eq!((bench.read(0x2a_a16c), bench.bar_read(0, 0x1_4a80)), (0, 0));
    assert_eq!(bench.bar_read(0, 0), 0);
}

#[test]
fn bad_accesses_do_no_harm() {
    let mut bench = Bench::k2();
    let mut data = [0; 4];
    bench.card.read(0, Bar::Registers, 0x1f9, &mut data);
    assert_eq!(data, [0xff; 4]);
    bench.card.read(0, Bar::Registers, 0x1f_fffc, &mut data);
    bench.card.read(9, Bar::Registers, 0x1f8, &mut data);
    bench.card.write(0, Bar::Doorbells, !3, &data);
    bench.card.write(0, Bar::Doorbells, 0, &[1, 2]);
    bench.card.read(0, Bar::Registers, 0, &mut [0; 3]);
    assert_eq!(bench.card.violations().len(), 6);
}
