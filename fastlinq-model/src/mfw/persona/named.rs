//! The table of named personas.

use super::super::codes::{command, response};
use super::super::layout::Generation;
use super::super::load::HsiPolicy;
use super::super::reply::UNION_BYTES;
use super::{Persona, Processor, Rule};

const MILLISECOND: u64 = 1_000_000;

/// The load response about a driver that is there: storm firmware 8.0, role 1 (pre-boot), HSI 2, driver exists.
const EXISTING_PREBOOT_DRIVER: [u8; UNION_BYTES] = {
    let mut payload = [0; UNION_BYTES];
    payload[11] = 8;
    payload[12] = 1;
    payload[13] = 2;
    payload[14] = 1;
    payload
};

/// A row of the table of named personas.
pub(super) struct Named {
    pub(super) name: &'static str,
    description: &'static str,
    age: &'static Age,
    processor: Processor,
    hsi: HsiPolicy,
    max_ports: Option<u32>,
    rules: &'static [Rule],
}

/// What makes a firmware old or new. The rules of the age come before those of the persona.
struct Age {
    generation: Generation,
    version: u32,
    features: u32,
    rules: &'static [Rule],
}

mod feature {
    pub(super) const EEE: u32 = 1 << 1;
    pub(super) const LOAD_LOCK_TIMEOUT: u32 = 1 << 2;
    pub(super) const FEC: u32 = 1 << 5;
    pub(super) const IGU_CLEANUP: u32 = 1 << 7;
    pub(super) const VIRTUAL_LINK: u32 = 1 << 16;
    pub(super) const SYSTEM_LOCKDOWN: u32 = 1 << 18;
}

static MODERN: Age = Age {
    generation: Generation::Modern,
    version: 0x083b_1400,
    features: feature::EEE
        | feature::LOAD_LOCK_TIMEOUT
        | feature::FEC
        | feature::IGU_CLEANUP
        | feature::VIRTUAL_LINK
        | feature::SYSTEM_LOCKDOWN,
    rules: &[],
};

/// Older than the commands it does not know. Which version knew which command is not documented; the set is plausible.
static OLD: Age = Age {
    generation: Generation::Old,
    version: 0x080a_0c00,
    features: 0,
    rules: &[
        Rule::on(command::BIST_TEST).unsupported(),
        Rule::on(command::RESOURCE_LOCK).unsupported(),
        Rule::on(command::SET_RESOURCE_VALUE).unsupported(),
        Rule::on(command::GET_PF_RDMA_PROTOCOL).unsupported(),
        Rule::on(command::OS_WOL).unsupported(),
        Rule::on(command::GET_TLV_DONE).unsupported(),
        Rule::on(command::FEATURE_SUPPORT).unsupported(),
        Rule::on(command::GET_MFW_FEATURE_SUPPORT).unsupported(),
        Rule::on(command::ATTRIBUTE).unsupported(),
        Rule::on(command::ENCRYPT_PASSWORD).unsupported(),
        Rule::on(command::GET_ENGINE_CONFIG).unsupported(),
        Rule::on(command::GET_NVM_CFG_OPTION).unsupported(),
        Rule::on(command::SET_NVM_CFG_OPTION).unsupported(),
        Rule::on(command::S_TAG_UPDATE_ACK).unsupported(),
        Rule::on(command::GET_OEM_UPDATES).unsupported(),
        Rule::on(command::GET_PPFID_BITMAP).unsupported(),
        Rule::on(command::DEBUG_DATA_SEND).unsupported(),
        Rule::on(command::GET_MANAGEMENT_STATUS).unsupported(),
    ],
};

/// Knows nothing that a driver can do without.
static BARE: Age = Age {
    generation: Generation::Old,
    version: 0x0804_0200,
    features: 0,
    rules: &[
        Rule::on_any().unsupported(),
        Rule::on(command::LOAD_REQUEST).executed(),
        Rule::on(command::LOAD_DONE).executed(),
        Rule::on(command::CANCEL_LOAD_REQUEST).executed(),
        Rule::on(command::UNLOAD_REQUEST).executed(),
        Rule::on(command::UNLOAD_DONE).executed(),
        Rule::on(command::INIT_PHY).executed(),
        Rule::on(command::LINK_RESET).executed(),
    ],
};

pub(super) const PLAIN: Named = Named {
    name: "modern",
    description: "a current firmware that knows every command and answers at once",
    age: &MODERN,
    processor: Processor::Running,
    hsi: HsiPolicy::Current,
    max_ports: None,
    rules: &[],
};

pub(super) static NAMED: [Named; 21] = [
    PLAIN,
    Named {
        name: "bist-unsupported",
        description: "an old firmware that answers 0x0000, parameter 0, to BIST_TEST and to everything newer than itself",
        age: &OLD,
        ..PLAIN
    },
    Named {
        name: "bist-unsupported-nonzero",
        description: "like bist-unsupported, but the answer to BIST_TEST carries parameter 5",
        age: &OLD,
        rules: &[Rule::on(command::BIST_TEST)
            .answer(response::UNSUPPORTED, 5)
            .payload([0; UNION_BYTES])],
        ..PLAIN
    },
    Named {
        name: "bist-error",
        description: "answers 0x0017 (error) to BIST_TEST",
        rules: &[Rule::on(command::BIST_TEST).answer(response::ERROR, 0)],
        ..PLAIN
    },
    Named {
        name: "zero-images",
        description: "answers OK and 0 when asked for the number of NVM images",
        rules: &[Rule::on(command::BIST_TEST)
            .matching(0xff, 3)
            .answer(response::OK, 0)],
        ..PLAIN
    },
    Named {
        name: "absurd-images",
        description: "claims four thousand million NVM images",
        rules: &[Rule::on(command::BIST_TEST)
            .matching(0xff, 3)
            .answer(response::OK, u32::MAX)],
        ..PLAIN
    },
    Named {
        name: "load-refused",
        description: "rejects every LOAD_REQ with 0x1031",
        rules: &[Rule::on(command::LOAD_REQUEST)
            .answer(response::LOAD_REJECTED, 0)
            .payload([0; UNION_BYTES])],
        ..PLAIN
    },
    Named {
        name: "load-requires-force",
        description: "says that a pre-boot driver is loaded until a LOAD_REQ uses force",
        rules: &[Rule::on(command::LOAD_REQUEST)
            .matching_payload(3, FORCE, 0)
            .answer(response::LOAD_REQUIRES_FORCE, 0)
            .payload(EXISTING_PREBOOT_DRIVER)],
        ..PLAIN
    },
    Named {
        name: "load-already-loaded",
        description: "grants the load, but says that a driver is loaded on this function already",
        rules: &[Rule::on(command::LOAD_REQUEST)
            .answer(response::LOAD_ENGINE, 0)
            .payload(EXISTING_PREBOOT_DRIVER)],
        ..PLAIN
    },
    Named {
        name: "load-hsi-1",
        description: "an old firmware that accepts LOAD_REQ only with interface version 1",
        age: &OLD,
        hsi: HsiPolicy::OnlyVersion1,
        ..PLAIN
    },
    Named {
        name: "bare",
        description: "answers 0x0000 to everything but load, unload and link commands",
        age: &BARE,
        ..PLAIN
    },
    Named {
        name: "lock-busy",
        description: "the resource allocation lock is always held by the firmware itself",
        rules: &[Rule::on(command::RESOURCE_LOCK)
            .matching(0x1f, 31)
            .answer(response::OK, 2 << 8 | 16)],
        ..PLAIN
    },
    Named {
        name: "silent",
        description: "shared memory is there, but no command is ever answered",
        rules: &[Rule::on_any().silent()],
        ..PLAIN
    },
    Named {
        name: "silent-after-load",
        description: "answers until LOAD_REQ, and never again",
        rules: &[Rule::on(command::LOAD_REQUEST).silent_afterwards()],
        ..PLAIN
    },
    Named {
        name: "halted",
        description: "the management processor is halted until a driver resumes it",
        processor: Processor::Halted,
        ..PLAIN
    },
    Named {
        name: "absent",
        description: "the management processor never started: the shared-memory address is 0",
        processor: Processor::Absent,
        ..PLAIN
    },
    Named {
        name: "booting",
        description: "needs 400 ms of model time until it supports its first event",
        processor: Processor::Booting(400 * MILLISECOND),
        ..PLAIN
    },
    Named {
        name: "never-boots",
        description: "shared memory is there, but the number of event messages stays 0",
        processor: Processor::Booting(u64::MAX),
        ..PLAIN
    },
    Named {
        name: "stale-sequence",
        description: "answers every command with the sequence number of the one before",
        rules: &[Rule::on_any().stale_sequence()],
        ..PLAIN
    },
    Named {
        name: "slow",
        description: "takes 150 ms for a command, 2.5 s to load, 1 s for a self-test (model time)",
        rules: &[
            Rule::on_any().delay_ns(150 * MILLISECOND),
            Rule::on(command::LOAD_REQUEST).delay_ns(2_500 * MILLISECOND),
            Rule::on(command::BIST_TEST).delay_ns(1_000 * MILLISECOND),
        ],
        ..PLAIN
    },
    Named {
        name: "no-ports",
        description: "states 0 as the number of ports, by which careless drivers divide",
        max_ports: Some(0),
        ..PLAIN
    },
];

/// The force field in DW 3 of a LOAD_REQ's payload.
const FORCE: u32 = 0xf << 16;

impl Named {
    pub(super) fn persona(&self) -> Persona {
        let rules: Vec<Rule> = self.age.rules.iter().chain(self.rules).cloned().collect();
        Persona {
            name: self.name.into(),
            description: self.description.into(),
            generation: self.age.generation,
            version: self.age.version,
            features: self.age.features,
            processor: self.processor,
            hsi: self.hsi,
            max_ports: self.max_ports,
            rules: rules.into(),
        }
    }
}
