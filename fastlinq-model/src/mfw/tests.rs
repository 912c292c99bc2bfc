//! The management firmware seen through its registers, as a driver sees it.

mod personas;
mod witness;

use super::codes::{command, response};
use super::reply::{payload_of, word};
use super::*;

const MILLISECOND: u64 = 1_000_000;

/// A driver of one function that knows only the reference.
struct Driver {
    mfw: Mfw,
    effects: MfwEffects,
    function: u8,
    sequence: u16,
}

/// An answer as the driver sees it.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    response: u16,
    param: u32,
    payload: [u8; 32],
}

fn config(persona: Persona) -> MfwConfig {
    MfwConfig {
        chip: Chip::K2,
        persona,
        ports: 2,
        pfs: 4,
        mac_base: [0x02, 0x0e, 0x1e, 0x11, 0x22, 0xfe],
        seed: 0xfffe,
    }
}

fn named(name: &str) -> Driver {
    Driver::new(config(Persona::by_name(name).unwrap()))
}

impl Driver {
    fn new(config: MfwConfig) -> Self {
        let mut driver = Self {
            mfw: Mfw::new(config),
            effects: MfwEffects::new(),
            function: 0,
            sequence: 0,
        };
        driver.attach(0);
        driver
    }

    /// Becomes the driver of another function of the same card.
    fn attach(&mut self, function: u8) {
        self.function = function;
        let mailbox = self.element(0, function.into());
        self.sequence = self.read(mailbox) as u16;
    }

    fn read(&mut self, address: u32) -> u32 {
        self.mfw.read32(self.function, address)
    }

    fn write(&mut self, address: u32, value: u32) {
        self.mfw
            .write32(self.function, address, value, &mut self.effects);
    }

    /// Address of an element, found through the section table alone.
    fn element(&mut self, section: u32, index: u32) -> u32 {
        let base = self.read(0x8c20) | 0xe0_0000;
        let offsize = self.read(base + 4 + 4 * section);
        SCRATCH_BASE + 4 * (offsize & 0xffff) + 4 * (offsize >> 16) * index
    }

    fn start(&mut self, code: u16, param: u32, words: &[u32]) {
        let mailbox = self.element(0, self.function.into());
        let payload = payload_of(words);
        for index in 0..8 {
            self.write(mailbox + 0x18 + 4 * index as u32, word(&payload, index));
        }
        self.write(mailbox + 4, param);
        self.sequence = self.sequence.wrapping_add(1);
        self.write(mailbox, u32::from(code) << 16 | u32::from(self.sequence));
    }

    fn poll(&mut self) -> Option<Answer> {
        let mailbox = self.element(0, self.function.into());
        let header = self.read(mailbox + 8);
        if header as u16 != self.sequence {
            return None;
        }
        let words: Vec<u32> = (0..8)
            .map(|index| self.read(mailbox + 0x18 + 4 * index))
            .collect();
        let param = self.read(mailbox + 0xc);
        Some(Answer {
            response: (header >> 16) as u16,
            param,
            payload: payload_of(&words),
        })
    }

    fn ask(&mut self, code: u16, param: u32, words: &[u32]) -> Answer {
        self.start(code, param, words);
        self.poll().expect("no answer")
    }

    fn code(&mut self, code: u16, param: u32, words: &[u32]) -> u16 {
        self.ask(code, param, words).response
    }

    fn load(&mut self) -> u16 {
        let response = self.code(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0x083b_0100, 2]);
        self.code(command::LOAD_DONE, 0, &[]);
        response
    }

    fn autonegotiate(&mut self) -> u16 {
        self.code(command::INIT_PHY, 0, &[0, 7, 0x7f, 0, 0, 0, 7, 0])
    }

    fn drain(&mut self) -> Vec<MfwEffect> {
        self.effects.drain().collect()
    }
}

#[test]
fn a_driver_finds_everything_by_itself() {
    let mut driver = named("modern");
    let base = driver.read(0x8c20) | 0xe0_0000;
    assert_eq!(driver.read(base), 6);
    let events = driver.element(1, 0);
    assert_eq!(driver.read(events) & 0xffff, 27);
    let global = driver.element(2, 0);
    assert_eq!(driver.read(global + 4), 2);
    assert_eq!(driver.read(global + 0x18), 0x083b_1400);
    let config = driver.read(0x8c80);
    let block = SCRATCH_BASE + driver.read(config + 4);
    assert_eq!(driver.read(block + 0x88), 1);
    let function = driver.element(5, 3);
    assert_eq!(driver.read(function + 0x30), 0x020e);
    assert_eq!(driver.read(function + 0x34), 0x1e11_2301);
    assert_eq!(
        driver.mfw.mac_address(3),
        [0x02, 0x0e, 0x1e, 0x11, 0x23, 0x01]
    );
    assert_eq!(driver.read(function + 0x48), 0xffff);
    assert_eq!(driver.read(0xe0_642c) & 7, 4);
}

#[test]
fn every_command_code_is_answered() {
    for name in ["modern", "bist-unsupported", "bare"] {
        let mut driver = named(name);
        for code in 0..=u16::MAX {
            if [command::MCP_RESET, command::MCP_HALT].contains(&code) {
                continue;
            }
            let answer = driver.ask(code, 0, &[]);
            if answer.response == response::UNSUPPORTED {
                assert_eq!((answer.param, answer.payload), (0, [0; 32]), "{code:#x}");
            }
        }
    }
}

#[test]
fn hostile_commands_do_no_harm() {
    let mut driver = named("modern");
    for code in 0..0x4400u16 {
        for pattern in [u32::MAX, 0x8000_0000, 0x0001_0001, 0x5555_5555] {
            if ![command::MCP_RESET, command::MCP_HALT].contains(&code) {
                driver.start(code, pattern, &[pattern; 8]);
            }
        }
    }
    driver.mfw.advance(u64::MAX, &mut driver.effects);
}

#[test]
fn hostile_words_anywhere_in_the_scratchpad_do_no_harm() {
    let mut driver = named("modern");
    let mut state = 1u32;
    for address in (SCRATCH_BASE..SCRATCH_BASE + 0x3_8000).step_by(4) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        driver.write(address, state);
    }
    driver.mfw.advance(u64::MAX, &mut driver.effects);
    for port in 0..=255 {
        driver.mfw.port_statistics(port).received(&[0; 60]);
    }
    driver.mfw.start_recovery(&mut driver.effects);
    assert_eq!(driver.read(SCRATCH_BASE + 0x3_0000), 0);
}

#[test]
fn the_probe_order_of_the_reference_succeeds() {
    let mut driver = named("modern");
    assert_eq!(
        driver.code(command::GET_MFW_FEATURE_SUPPORT, 0, &[]),
        response::OK
    );
    assert_eq!(driver.ask(command::GET_PF_RDMA_PROTOCOL, 0, &[]).param, 0);
    assert_eq!(
        driver.code(command::OS_WOL, 0, &[]),
        response::OS_WOL_SUPPORTED
    );
    assert_eq!(driver.ask(command::RESOURCE_LOCK, 0x3f, &[]).param, 1 << 8);
    assert_eq!(driver.mfw.lock_owner(31), Some(0));
    let queues = driver.ask(command::GET_RESOURCE_ALLOC, 0x0002_0000, &[1]);
    assert_eq!(
        (queues.response, queues.param, word(&queues.payload, 1)),
        (0x3400, 0x0002_0000, 80)
    );
    assert_eq!(
        driver.ask(command::RESOURCE_LOCK, 31 | 4 << 5, &[]).param,
        3 << 8
    );
    assert_eq!(driver.ask(command::GET_PPFID_BITMAP, 0, &[]).param, 1);
    assert_eq!(
        driver.code(command::GET_ENGINE_CONFIG, 0, &[]),
        response::OK
    );
    assert_eq!(
        driver.code(command::INITIATE_PF_FLR, 0, &[]),
        response::FLR_ACK
    );
    assert_eq!(driver.drain(), [MfwEffect::PfFlr { function: 0 }]);
    assert_eq!(driver.ask(command::BIST_TEST, 3, &[]).param, 13);
    assert_eq!(driver.load(), response::LOAD_ENGINE);
    assert_eq!(driver.mfw.load_state(0), LoadState::Loaded);
    let function = driver.element(5, 0);
    assert_eq!(driver.read(function + 0x70), 0x0102_0a0a);
    assert_eq!(
        driver.code(command::FEATURE_SUPPORT, 0x10006, &[]),
        response::OK
    );
    for code in [0x2500, 0x4100, 0x2900, 0x3100, 0x3900] {
        assert_eq!(driver.code(code, 4, &[]), code);
    }
    let name = u32::from_be_bytes(*b"mine");
    assert_eq!(
        driver.code(command::SET_VERSION, 0, &[1, name]),
        response::OK
    );
    assert_eq!(driver.mfw.record(0).driver_version, (1, "mine".to_owned()));
    assert_eq!(driver.read(function + 0x7c), name);
    assert_eq!(
        driver.code(command::NIG_DRAIN, 1000, &[]),
        command::NIG_DRAIN
    );
    let storm_firmware = MfwEffect::StormFirmware {
        path: 0,
        version: 0x083b_0100,
    };
    let drain = MfwEffect::NigDrain { function: 0 };
    assert_eq!(driver.drain(), [storm_firmware, drain]);
    assert_eq!(
        driver.code(command::UNLOAD_REQUEST, 2, &[]),
        response::UNLOAD_ENGINE
    );
    assert_eq!(
        driver.code(command::UNLOAD_DONE, 0, &[]),
        response::UNLOAD_DONE
    );
    assert_eq!(driver.mfw.load_state(0), LoadState::Unloaded);
    assert_eq!(driver.read(function + 0x70), 0);
}

#[test]
fn sequence_numbers_wrap_and_are_echoed() {
    let mut driver = named("modern");
    assert_eq!(driver.sequence, 0xfffe);
    for _ in 0..5 {
        driver.ask(command::EMPTY, 0, &[]);
    }
    assert_eq!(driver.sequence, 3);
}

#[test]
fn mailboxes_are_independent() {
    let mut driver = named("modern");
    driver.ask(command::UPDATE_MTU, 9000, &[]);
    driver.attach(3);
    driver.ask(command::UPDATE_MTU, 1400, &[]);
    assert_eq!(
        (driver.mfw.record(0).mtu, driver.mfw.record(3).mtu),
        (9000, 1400)
    );
    assert!(
        driver
            .mfw
            .exchanges()
            .any(|one| one.function == 3 && one.answer == Some((0x3300, 0)))
    );
}

#[test]
fn loads_of_several_functions_are_arbitrated_through_mailboxes() {
    let mut driver = named("modern");
    assert_eq!(driver.load(), response::LOAD_ENGINE);
    driver.attach(1);
    assert_eq!(driver.load(), response::LOAD_PORT);
    driver.attach(2);
    assert_eq!(driver.load(), response::LOAD_FUNCTION);
    driver.mfw.function_reset(2, &mut driver.effects);
    assert_eq!(driver.mfw.load_state(2), LoadState::Unloaded);
}

#[test]
fn a_load_waits_for_the_lock_of_another_function() {
    let mut driver = named("modern");
    driver.ask(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2]);
    let first = driver.sequence;
    driver.attach(1);
    driver.start(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2]);
    assert_eq!(driver.poll(), None);
    let second = driver.sequence;
    (driver.function, driver.sequence) = (0, first);
    driver.ask(command::LOAD_DONE, 0, &[]);
    (driver.function, driver.sequence) = (1, second);
    assert_eq!(driver.poll().unwrap().response, response::LOAD_PORT);
}

#[test]
fn a_dead_lock_holder_is_overcome_by_time() {
    let mut driver = named("modern");
    driver.ask(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2]);
    driver.attach(1);
    driver.start(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2]);
    driver.mfw.advance(4_999 * MILLISECOND, &mut driver.effects);
    assert_eq!(driver.poll(), None);
    driver.mfw.advance(5_000 * MILLISECOND, &mut driver.effects);
    assert_eq!(driver.poll().unwrap().response, response::LOAD_PORT);
}

#[test]
fn the_next_event_is_never_in_the_past() {
    let mut driver = named("modern");
    assert_eq!(driver.mfw.next_due_ns(), None);
    driver.ask(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2]);
    driver.attach(1);
    driver.start(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 2]);
    driver.mfw.advance(MILLISECOND, &mut driver.effects);
    assert_eq!(driver.mfw.next_due_ns(), Some(5_000 * MILLISECOND));
    driver.write(CPU_MODE, SOFT_HALT);
    assert_eq!(driver.mfw.next_due_ns(), None);
    driver.mfw.set_link_training_ns(MILLISECOND);
    driver.write(CPU_MODE, 0);
    driver.mfw.advance(5_000 * MILLISECOND, &mut driver.effects);
    driver.autonegotiate();
    assert_eq!(driver.mfw.next_due_ns(), Some(5_001 * MILLISECOND));
    driver.mfw.advance(5_001 * MILLISECOND, &mut driver.effects);
    assert_eq!(driver.mfw.next_due_ns(), None);
    let mut booting = named("booting");
    booting.start(command::EMPTY, 0, &[]);
    assert_eq!(booting.mfw.next_due_ns(), Some(400 * MILLISECOND));
    let mut never = named("never-boots");
    never.start(command::EMPTY, 0, &[]);
    assert_eq!(never.mfw.next_due_ns(), None);
}

#[test]
fn forced_loads_evict_and_tell_the_chip() {
    let mut driver = named("modern");
    driver.load();
    driver.attach(1);
    driver.load();
    driver.autonegotiate();
    driver.attach(0);
    driver.drain();
    let refused = driver.ask(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 3]);
    assert_eq!(
        (refused.response, word(&refused.payload, 3)),
        (0x1030, 2 | 2 << 8 | 1 << 16)
    );
    assert_eq!(
        driver.code(command::CANCEL_LOAD_REQUEST, 0, &[]),
        response::OK
    );
    let forced = driver.code(command::LOAD_REQUEST, 0x0102_0a0a, &[0, 1, 0, 3 | 2 << 16]);
    assert_eq!(forced, response::LOAD_ENGINE);
    assert!(driver.drain().contains(&MfwEffect::PfFlr { function: 1 }));
    assert!(!driver.mfw.link_is_up(1));
}

#[test]
fn link_status_is_there_before_the_answer_and_an_event_follows() {
    let mut driver = named("modern");
    driver.attach(1);
    driver.load();
    driver.drain();
    let port = driver.element(4, 1);
    assert_eq!(driver.read(port + 4) & 1, 0);
    assert_eq!(driver.autonegotiate(), response::INIT_PHY_DONE);
    let status = driver.read(port + 4);
    assert_eq!((status & 1, status >> 1 & 0xf, status >> 27 & 7), (1, 8, 2));
    assert_eq!(driver.read(port + 0x218), 1);
    let function = driver.element(5, 1);
    assert_eq!(driver.read(function + 0x2c) & 1, 1);
    let up = MfwEffect::LinkChanged {
        port: 1,
        up: true,
        speed_mbps: 25_000,
    };
    assert_eq!(
        driver.drain(),
        [up, MfwEffect::GeneralAttention { function: 1 }]
    );
    let events = driver.element(1, 1);
    assert_eq!(driver.read(events + 4) >> 24, 1);
    assert_eq!(
        driver.code(command::LINK_RESET, 0, &[]),
        response::LINK_RESET_DONE
    );
    assert_eq!(driver.read(port + 4) & 1, 0);
    assert_eq!(driver.mfw.event_count(1, Event::LinkChange), 2);
    assert_eq!(driver.mfw.event_count(0, Event::LinkChange), 0);
    assert_eq!(
        driver.code(command::INIT_PHY, 0, &[77]),
        response::INIT_PHY_INVALID
    );
}

#[test]
fn pulling_the_cable_and_training_show() {
    let mut driver = named("modern");
    driver.load();
    driver.mfw.set_link_training_ns(10 * MILLISECOND);
    driver.autonegotiate();
    assert!(!driver.mfw.link_is_up(0));
    driver.mfw.advance(10 * MILLISECOND, &mut driver.effects);
    assert!(driver.mfw.link_is_up(0));
    driver.drain();
    driver.mfw.set_partner(0, None, &mut driver.effects);
    let down = MfwEffect::LinkChanged {
        port: 0,
        up: false,
        speed_mbps: 0,
    };
    assert_eq!(
        driver.drain(),
        [down, MfwEffect::GeneralAttention { function: 0 }]
    );
    assert_eq!(driver.mfw.partner(0), None);
}

#[test]
fn loopback_is_an_effect() {
    let mut driver = named("modern");
    driver.load();
    driver.mfw.set_partner(0, None, &mut driver.effects);
    driver.drain();
    driver.code(command::INIT_PHY, 0, &[0, 0, 0x7f, 4]);
    let effects = driver.drain();
    assert_eq!(
        effects[0],
        MfwEffect::Loopback {
            port: 0,
            mode: LoopbackMode::Mac
        }
    );
    assert_eq!(driver.mfw.loopback_mode(0), LoopbackMode::Mac);
    driver.code(command::LINK_RESET, 0, &[]);
    assert!(driver.drain().contains(&MfwEffect::Loopback {
        port: 0,
        mode: LoopbackMode::None
    }));
}

#[test]
fn modules_and_sensors_answer() {
    let mut driver = named("modern");
    let read = driver.ask(
        command::TRANSCEIVER_READ,
        16 << 2 | 0xa0 << 8 | 20 << 16,
        &[],
    );
    assert_eq!((read.response, read.param), (response::OK, 16));
    assert_eq!(&read.payload[..14], b"FASTLINQ MODEL");
    driver.load();
    driver.drain();
    driver
        .mfw
        .set_module(0, Module::Absent, &mut driver.effects);
    assert_eq!(
        driver.drain(),
        [MfwEffect::GeneralAttention { function: 0 }]
    );
    assert_eq!(
        driver.code(command::TRANSCEIVER_READ, 16 << 2 | 0xa0 << 8, &[]),
        response::TRANSCEIVER_NOT_PRESENT
    );
    assert_eq!(
        driver.code(command::TRANSCEIVER_READ, 3 | 16 << 2 | 0xa0 << 8, &[]),
        response::TRANSCEIVER_NOT_PRESENT
    );
    let port = driver.element(4, 0);
    assert_eq!(
        (driver.read(port + 0x210), driver.read(port + 0x598)),
        (0xff, 0)
    );
    let sensors = driver.ask(command::GET_TEMPERATURE, 0, &[]);
    assert_eq!(word(&sensors.payload, 0), 3);
    driver.mfw.set_temperatures(90, 60);
    let global = driver.element(2, 0);
    assert_eq!(
        (driver.read(global + 0x14), driver.read(global + 0x20)),
        (90, 60)
    );
    assert_eq!(driver.code(command::SET_LED_MODE, 1, &[]), response::OK);
    assert_eq!(driver.mfw.led_mode(0), 1);
    assert_eq!(
        driver.code(command::GPIO_READ, 99, &[]),
        response::GPIO_INVALID
    );
}

#[test]
fn tools_read_back_what_they_wrote_to_a_phy() {
    let mut driver = named("modern");
    for (write, read) in [(0x0c, 0x0b), (0x0e, 0x0d), (0x29, 0x28)] {
        assert_eq!(driver.code(write, 0x1234, &[0xabcd]), response::PHY_OK);
        assert_eq!(driver.ask(read, 0x1234, &[]).param, 0xabcd);
    }
    for address in 0..2_000 {
        driver.ask(command::PHY_RAW_WRITE, address, &[1]);
    }
    assert_eq!(
        driver.code(command::PHY_RAW_WRITE, 5_000, &[1]),
        response::PHY_ERROR
    );
}

#[test]
fn a_committed_option_reaches_scratchpad_and_flash() {
    let mut driver = named("modern");
    let set = 0x1d | 1 << 17 | 1 << 18 | 1 << 19;
    assert_eq!(
        driver.code(command::SET_NVM_CFG_OPTION, set, &[4]),
        response::OK
    );
    let config = driver.read(0x8c80);
    let block = SCRATCH_BASE + driver.read(config + 4);
    assert_eq!(driver.read(block + 0x230 + 0x18) & 0xf, 4);
    let one = *driver
        .mfw
        .images()
        .iter()
        .find(|one| one.image_type == image::NVM_CFG1)
        .unwrap();
    let stored = &driver.mfw.flash()[one.start as usize..(one.start + one.length) as usize];
    assert_eq!(!crc32(stored), 0xdebb_20e3);
    let speed = 8 + 0x230 + 0x18;
    assert_eq!(
        u32::from_be_bytes(stored[speed..speed + 4].try_into().unwrap()) & 0xf,
        4
    );
}

#[test]
fn virtual_functions_are_reset_and_acknowledged() {
    let mut driver = named("modern");
    assert_eq!(
        driver.code(command::INITIATE_VF_FLR, 37, &[]),
        response::VF_FLR_OK
    );
    assert!(
        driver
            .drain()
            .contains(&MfwEffect::VfFlr { path: 0, vf: 37 })
    );
    let path = driver.element(3, 0);
    assert_eq!(driver.read(path + 0x10), 1 << 5);
    assert_eq!(driver.mfw.event_count(0, Event::VfDisabled), 1);
    assert_eq!(
        driver.code(command::VF_DISABLED_DONE, 0, &[0, 1 << 5]),
        response::VF_DISABLED_DONE
    );
    assert_eq!(driver.read(path + 0x10), 0);
    let function = driver.element(5, 0);
    assert_eq!(driver.read(function + 0x5c), 1 << 5);
    driver.drain();
    assert_eq!(
        driver.code(command::CONFIGURE_PF_VFS_VECTORS, 9, &[]),
        response::PF_VFS_VECTORS_DONE
    );
    assert_eq!(
        driver.drain(),
        [MfwEffect::VfVectors {
            function: 0,
            vf: None,
            vectors: 9
        }]
    );
    assert_eq!(
        driver.code(command::CONFIGURE_VF_VECTORS, 0x901, &[]),
        response::UNSUPPORTED
    );
    let mut bb = Driver::new(MfwConfig {
        chip: Chip::Bb,
        ..config(Persona::default())
    });
    assert_eq!(
        bb.code(command::CONFIGURE_VF_VECTORS, 0x901, &[]),
        response::VF_VECTORS_DONE
    );
    assert_eq!(
        bb.code(command::CONFIGURE_PF_VFS_VECTORS, 9, &[]),
        response::PF_VFS_VECTORS_WRONG_CHIP
    );
}

#[test]
fn the_processor_can_be_halted_and_resumed() {
    let mut driver = named("modern");
    assert_eq!(driver.code(command::MCP_HALT, 0, &[]), response::OK);
    assert_ne!(driver.read(CPU_STATE) & SOFT_HALT, 0);
    let stopped = driver.read(CPU_PROGRAM_COUNTER);
    assert_eq!(driver.read(CPU_PROGRAM_COUNTER), stopped);
    driver.start(command::EMPTY, 0, &[]);
    assert_eq!(driver.poll(), None);
    driver.write(CPU_STATE, u32::MAX);
    let mode = driver.read(CPU_MODE);
    driver.write(CPU_MODE, mode & !SOFT_HALT);
    assert_eq!(driver.read(CPU_STATE) & SOFT_HALT, 0);
    assert_eq!(driver.poll().unwrap().response, response::OK);
    assert_ne!(
        driver.read(CPU_PROGRAM_COUNTER),
        driver.read(CPU_PROGRAM_COUNTER)
    );
}

#[test]
fn a_restart_moves_the_shared_memory_and_counts() {
    let mut driver = named("modern");
    driver.load();
    let (base, restarts) = (driver.read(0x8c20), driver.read(0x96d4));
    driver.start(command::MCP_RESET, 0, &[]);
    assert_ne!(driver.read(0x96d4), restarts);
    assert_ne!(driver.read(0x8c20), base);
    assert!(driver.drain().contains(&MfwEffect::Restarted));
    driver.attach(0);
    assert_eq!(driver.sequence, 0);
    assert_eq!(driver.code(command::EMPTY, 0, &[]), response::OK);
    assert_eq!(driver.mfw.load_state(0), LoadState::Loaded);
    driver.start(command::MCP_RESET, 0, &[]);
    assert_eq!(driver.read(0x8c20), base);
}

#[test]
fn the_pulse_is_answered_and_never_times_out() {
    let mut driver = named("modern");
    let mailbox = driver.element(0, 0);
    driver.write(mailbox + 0x10, 0xffff_0005);
    assert_eq!(driver.read(mailbox + 0x14), 5);
    assert_eq!(driver.mfw.record(0).pulses, 1);
    driver.load();
    driver.mfw.advance(u64::MAX, &mut driver.effects);
    assert_eq!(driver.mfw.load_state(0), LoadState::Loaded);
}

#[test]
fn an_unanswered_command_can_be_overwritten() {
    let mut driver = named("slow");
    driver.start(command::EMPTY, 0, &[]);
    driver.start(command::OS_WOL, 0, &[]);
    driver.mfw.advance(150 * MILLISECOND, &mut driver.effects);
    assert_eq!(driver.poll().unwrap().response, response::OS_WOL_SUPPORTED);
    assert_eq!(driver.mfw.overwritten_commands(), 1);
}

#[test]
fn management_requests_reach_the_driver() {
    let mut driver = named("modern");
    driver.mfw.set_bandwidth(0, 20, 60, &mut driver.effects);
    driver.mfw.set_outer_vlan(0, 100, &mut driver.effects);
    driver
        .mfw
        .request_tlvs(0, &[1, 2, 3, 4, 5], &mut driver.effects);
    let function = driver.element(5, 0);
    assert_eq!(driver.read(function + 0x28), 0x003c_1400);
    assert_eq!(driver.read(function + 0x48), 100);
    let global = driver.element(2, 0);
    let (pointer, size) = (driver.read(global + 0x30), driver.read(global + 0x34));
    assert_eq!(
        (driver.read(pointer), driver.read(pointer + 4), size),
        (0x0102_0304, 0x0500_0000, 5)
    );
    assert_eq!(driver.mfw.event_count(0, Event::GetTlvRequest), 1);
    assert_eq!(
        driver.code(command::SET_BANDWIDTH, 0x0a32, &[]),
        response::OK
    );
    assert_eq!(driver.read(function + 0x28), 0x0032_0a00);
    driver.load();
    driver.mfw.start_recovery(&mut driver.effects);
    let path = driver.element(3, 0);
    assert_eq!(driver.read(path + 0x24), 1);
    assert_eq!(driver.mfw.event_count(0, Event::ErrorRecovery), 1);
}

#[test]
fn a_crash_dump_shows_in_global() {
    let mut driver = named("modern");
    driver.ask(command::MDUMP, 3, &[]);
    let global = driver.element(2, 0);
    assert_eq!(driver.read(global + 0x24), 2);
    assert_eq!(
        driver.code(command::MDUMP, 0xff, &[]),
        response::MDUMP_INVALID_COMMAND
    );
}

#[test]
fn statistics_are_where_drivers_read_them() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut driver = Driver::new(MfwConfig {
            chip,
            ..config(Persona::default())
        });
        driver.mfw.port_statistics(1).received(&[0xff; 100]);
        let port = driver.mfw.port_of(1).into();
        let port = driver.element(4, port);
        assert_eq!(driver.read(port + 0xa8 + 0x08), 1);
        assert_eq!(driver.read(port + 0xa8 + 0x118), 104);
        assert_eq!(driver.read(port + 0xa8 + 0x130), 1);
    }
}

#[test]
fn bb_numbers_ports_over_both_engines() {
    let mut driver = Driver::new(MfwConfig {
        chip: Chip::Bb,
        ..config(Persona::default())
    });
    let global = driver.element(2, 0);
    assert_eq!((driver.read(global), driver.read(global + 4)), (2, 4));
    driver.attach(1);
    assert_eq!(driver.load(), response::LOAD_ENGINE);
    driver.drain();
    driver.autonegotiate();
    assert_eq!(driver.mfw.port_of(2), 2);
    let port = driver.element(4, 2);
    assert_eq!(driver.read(port + 4) & 1, 1);
    let up = MfwEffect::LinkChanged {
        port: 2,
        up: true,
        speed_mbps: 25_000,
    };
    assert_eq!(
        driver.drain(),
        [up, MfwEffect::GeneralAttention { function: 2 }]
    );
    assert_eq!(driver.ask(command::GET_PPFID_BITMAP, 0, &[]).param, 2);
    assert_eq!(driver.mfw.load_state(2), LoadState::Loaded);
    driver.attach(8);
    assert_eq!(driver.load(), response::LOAD_ENGINE);
    assert_eq!(driver.mfw.load_state(1), LoadState::Loaded);
    let function = driver.element(5, 8);
    assert_eq!(driver.read(function + 0x34) as u8, 0xff);
    driver.attach(9);
    assert_eq!(driver.load(), response::LOAD_PORT);
    for function in 0..16 {
        let (path, pf) = driver.mfw.pf_of(function);
        assert_eq!(driver.mfw.function_of(path, pf), function);
    }
    assert_eq!(driver.mfw.pf_of(3), (1, 1));
}
