//! Each named persona, seen through the registers.

use super::*;

#[test]
fn modern_answers_the_self_tests() {
    let mut driver = named("modern");
    assert_eq!(driver.ask(command::BIST_TEST, 1, &[]).param, 1);
    let count = driver.ask(command::BIST_TEST, 3, &[]).param;
    let last = driver.ask(command::BIST_TEST, 4 | (count - 1) << 8, &[]);
    assert_eq!(
        (last.param, word(&last.payload, 0), word(&last.payload, 1)),
        (16, 1, image::DIR1)
    );
}

#[test]
fn bist_unsupported_looks_old() {
    for (name, param) in [("bist-unsupported", 0), ("bist-unsupported-nonzero", 5)] {
        let mut driver = named(name);
        for test in 1..=4 {
            let answer = driver.ask(command::BIST_TEST, test, &[0xffff_ffff]);
            assert_eq!((answer.response, answer.param), (0, param));
            assert_eq!(answer.payload, [0; 32]);
        }
        assert_eq!(driver.code(command::GET_MFW_FEATURE_SUPPORT, 0, &[]), 0);
        assert_eq!(driver.code(command::RESOURCE_LOCK, 0x3f, &[]), 0);
        let base = driver.read(0x8c20) | 0xe0_0000;
        let sizes: Vec<u32> = (0..6)
            .map(|section| (driver.read(base + 4 + 4 * section) >> 16) * 4)
            .collect();
        assert_eq!(sizes, [0x38, 0x2c, 0x2c, 0x30, 0xc80, 0x78]);
        let global = driver.element(2, 0);
        assert!(driver.read(global + 0x18) < 0x083b_0000);
        assert_eq!(driver.load(), response::LOAD_ENGINE);
        assert_eq!(driver.autonegotiate(), response::INIT_PHY_DONE);
        assert!(driver.mfw.link_is_up(0));
        assert_eq!(
            driver.code(command::GET_RESOURCE_ALLOC, 0x0002_0000, &[0]),
            response::RESOURCE_OK
        );
    }
}

#[test]
fn bist_error_and_strange_counts() {
    assert_eq!(
        named("bist-error").code(command::BIST_TEST, 3, &[]),
        response::ERROR
    );
    let zero = named("zero-images").ask(command::BIST_TEST, 3, &[]);
    assert_eq!((zero.response, zero.param), (response::OK, 0));
    let absurd = named("absurd-images").ask(command::BIST_TEST, 3, &[]);
    assert_eq!((absurd.response, absurd.param), (response::OK, u32::MAX));
    let beyond = named("absurd-images").ask(command::BIST_TEST, 4 | 200 << 8, &[]);
    assert_eq!((beyond.param, word(&beyond.payload, 0)), (16, 3));
}

#[test]
fn loads_are_refused() {
    let mut driver = named("load-refused");
    assert_eq!(driver.load(), response::LOAD_REJECTED);
    assert_eq!(driver.mfw.load_state(0), LoadState::Unloaded);
    let mut driver = named("load-requires-force");
    let answer = driver.ask(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2]);
    assert_eq!(
        (answer.response, word(&answer.payload, 3)),
        (0x1030, 1 | 2 << 8 | 1 << 16)
    );
    let forced = driver.code(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2 | 2 << 16]);
    assert_eq!(forced, response::LOAD_ENGINE);
    let mut driver = named("load-already-loaded");
    let answer = driver.ask(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2]);
    assert_eq!(
        (answer.response, word(&answer.payload, 3)),
        (0x1010, 1 | 2 << 8 | 1 << 16)
    );
    let mut driver = named("load-hsi-1");
    assert_eq!(driver.load(), response::LOAD_REFUSED_HSI_1);
    assert_eq!(
        driver.code(command::LOAD_REQUEST, 0x0101_0a0a, &[]),
        response::LOAD_ENGINE
    );
}

#[test]
fn bare_knows_only_load_and_link() {
    let mut driver = named("bare");
    assert_eq!(
        driver.code(command::GET_RESOURCE_ALLOC, 0x0002_0000, &[0]),
        0
    );
    assert_eq!(driver.code(command::UPDATE_MTU, 9000, &[]), 0);
    assert_eq!(driver.mfw.record(0).mtu, 0);
    assert_eq!(driver.load(), response::LOAD_ENGINE);
    assert_eq!(driver.autonegotiate(), response::INIT_PHY_DONE);
    assert_eq!(
        driver.code(command::UNLOAD_DONE, 0, &[]),
        response::UNLOAD_DONE
    );
}

#[test]
fn a_busy_lock_names_its_owner() {
    assert_eq!(
        named("lock-busy")
            .ask(command::RESOURCE_LOCK, 0x3f, &[])
            .param,
        2 << 8 | 16
    );
    assert_eq!(
        named("lock-busy")
            .ask(command::RESOURCE_LOCK, 1 | 2 << 5, &[])
            .param,
        1 << 8
    );
}

#[test]
fn silence_is_complete_or_begins_at_load() {
    let mut driver = named("silent");
    driver.start(command::GET_MFW_FEATURE_SUPPORT, 0, &[]);
    driver.mfw.advance(u64::MAX, &mut driver.effects);
    assert_eq!(driver.poll(), None);
    assert_eq!(driver.mfw.exchanges().next().unwrap().answer, None);
    let mut driver = named("silent-after-load");
    assert_eq!(
        driver.code(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2]),
        response::LOAD_ENGINE
    );
    driver.start(command::LOAD_DONE, 0, &[]);
    driver.mfw.advance(u64::MAX, &mut driver.effects);
    assert_eq!(driver.poll(), None);
    driver.mfw.function_reset(0, &mut driver.effects);
    assert_eq!(driver.code(command::EMPTY, 0, &[]), response::OK);
}

#[test]
fn firmware_that_hangs_later_answers_nobody_until_a_reset() {
    let mut driver = named("modern");
    assert_eq!(driver.code(command::EMPTY, 0, &[]), response::OK);
    driver.mfw.fall_silent();
    driver.start(command::EMPTY, 0, &[]);
    driver.mfw.advance(u64::MAX, &mut driver.effects);
    assert_eq!(driver.poll(), None);
    driver.mfw.function_reset(0, &mut driver.effects);
    assert_eq!(driver.code(command::EMPTY, 0, &[]), response::OK);
}

#[test]
fn halted_shows_it_and_can_be_resumed() {
    let mut driver = named("halted");
    driver.start(command::EMPTY, 0, &[]);
    driver.mfw.advance(u64::MAX, &mut driver.effects);
    assert_eq!(driver.poll(), None);
    assert_eq!(driver.read(CPU_STATE) & SOFT_HALT, SOFT_HALT);
    driver.write(CPU_STATE, u32::MAX);
    driver.write(CPU_MODE, 0);
    assert_eq!(driver.poll().unwrap().response, response::OK);
}

#[test]
fn absent_and_booting_differ() {
    let mut driver = Driver {
        mfw: Mfw::new(config(Persona::by_name("absent").unwrap())),
        effects: MfwEffects::new(),
        function: 0,
        sequence: 0,
    };
    assert_eq!((driver.read(0x8c20), driver.read(0x8c80)), (0, 0));
    for (name, boots) in [("booting", true), ("never-boots", false)] {
        let mut driver = named(name);
        let events = driver.element(1, 0);
        assert_eq!(driver.read(events), 0);
        driver.start(command::EMPTY, 0, &[]);
        driver.mfw.advance(399 * MILLISECOND, &mut driver.effects);
        assert_eq!((driver.read(events), driver.poll()), (0, None));
        driver.mfw.advance(400 * MILLISECOND, &mut driver.effects);
        assert_eq!(
            (driver.read(events) != 0, driver.poll().is_some()),
            (boots, boots)
        );
    }
}

#[test]
fn stale_sequence_is_one_behind() {
    let mut driver = named("stale-sequence");
    driver.start(command::EMPTY, 0, &[]);
    assert_eq!(driver.poll(), None);
    let mailbox = driver.element(0, 0);
    assert_eq!(
        driver.read(mailbox + 8),
        0x0016_0000 | u32::from(driver.sequence.wrapping_sub(1))
    );
}

#[test]
fn slow_answers_when_its_time_has_come() {
    let mut driver = named("slow");
    driver.start(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2]);
    assert_eq!(driver.mfw.load_state(0), LoadState::Unloaded);
    assert_eq!(driver.mfw.next_due_ns(), Some(2_500 * MILLISECOND));
    driver.mfw.advance(2_499 * MILLISECOND, &mut driver.effects);
    assert_eq!(driver.poll(), None);
    driver.mfw.advance(2_500 * MILLISECOND, &mut driver.effects);
    assert_eq!(driver.poll().unwrap().response, response::LOAD_ENGINE);
    assert_eq!(driver.mfw.next_due_ns(), None);
}

#[test]
fn no_ports_states_zero() {
    let mut driver = named("no-ports");
    let global = driver.element(2, 0);
    assert_eq!(driver.read(global + 4), 0);
    assert_eq!(driver.load(), response::LOAD_ENGINE);
    driver.autonegotiate();
    assert!(driver.mfw.link_is_up(0));
}

#[test]
fn an_own_persona_overrides_single_commands() {
    let persona = Persona::custom("odd", "odd")
        .rule(Rule::on(command::OS_WOL).answer(0x1234, 9).payload([7; 32]))
        .rule(Rule::on(command::EMPTY).silent())
        .generation(Generation::Old)
        .features(0xff);
    let mut driver = Driver::new(config(persona));
    let odd = driver.ask(command::OS_WOL, 0, &[]);
    assert_eq!(
        odd,
        Answer {
            response: 0x1234,
            param: 9,
            payload: [7; 32]
        }
    );
    assert_eq!(
        driver.ask(command::GET_MFW_FEATURE_SUPPORT, 0, &[]).param,
        0xff
    );
    driver.start(command::EMPTY, 0, &[]);
    assert_eq!(driver.poll(), None);
}
