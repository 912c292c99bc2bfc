//! Personas: scripted management firmware, as data.
//!
//! A persona says how old the firmware is, which commands it does not know, and how single commands deviate from the
//! normal answer. [`Persona::all`] lists the named ones; [`Persona::custom`] starts a new one from the modern one.
//!
//! ```
//! use fastlinq_model::mfw::{Persona, Rule};
//! assert!(Persona::by_name("bist-unsupported").is_some());
//! let grumpy = Persona::custom("grumpy", "refuses to read the temperature").rule(Rule::on(0x001f).answer(0x0017, 0));
//! assert_eq!(grumpy.name, "grumpy");
//! ```

use super::codes::{command, response};
use super::layout::Generation;
use super::load::HsiPolicy;
use super::reply::{Request, UNION_BYTES};
use std::borrow::Cow;

const MILLISECOND: u64 = 1_000_000;

/// State of the management processor at power-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processor {
    /// It runs and has booted.
    #[default]
    Running,
    /// It was halted; shared memory is there but nobody answers until a driver resumes it.
    Halted,
    /// It never started: the shared-memory address reads 0.
    Absent,
    /// The number of event messages stays 0 for this long (model time in ns).
    Booting(u64),
}

/// How commands deviate. All rules that match a command apply; what a later one says replaces what an earlier one said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    command: Option<u16>,
    param_mask: u32,
    param_value: u32,
    request_word: Option<(usize, u32, u32)>,
    answer: Option<(u16, u32)>,
    payload: Option<[u8; UNION_BYTES]>,
    delay_ns: Option<u64>,
    silent: bool,
    stale_sequence: bool,
    silent_afterwards: bool,
}

impl Rule {
    /// A rule for one command code.
    pub const fn on(command: u16) -> Self {
        Self {
            command: Some(command),
            ..Self::on_any()
        }
    }

    /// A rule for every command.
    pub const fn on_any() -> Self {
        Self {
            command: None,
            param_mask: 0,
            param_value: 0,
            request_word: None,
            answer: None,
            payload: None,
            delay_ns: None,
            silent: false,
            stale_sequence: false,
            silent_afterwards: false,
        }
    }

    /// Restricts the rule to commands whose parameter has `value` in the bits of `mask`.
    pub const fn matching(self, mask: u32, value: u32) -> Self {
        Self {
            param_mask: mask,
            param_value: value,
            ..self
        }
    }

    /// Restricts the rule to commands whose payload has `value` in the bits of `mask` of DW `index`.
    pub const fn matching_payload(self, index: usize, mask: u32, value: u32) -> Self {
        Self {
            request_word: Some((index, mask, value)),
            ..self
        }
    }

    /// Answers with this response code and parameter, without executing the command.
    pub const fn answer(self, response: u16, param: u32) -> Self {
        Self {
            answer: Some((response, param)),
            ..self
        }
    }

    /// Answers as a firmware that does not know the command: code, parameter and payload are 0.
    pub const fn unsupported(self) -> Self {
        Self {
            payload: Some([0; UNION_BYTES]),
            ..self.answer(response::UNSUPPORTED, 0)
        }
    }

    /// The payload of a scripted answer.
    pub const fn payload(self, payload: [u8; UNION_BYTES]) -> Self {
        Self {
            payload: Some(payload),
            ..self
        }
    }

    /// Executes and answers this much later, in model time.
    pub const fn delay_ns(self, delay_ns: u64) -> Self {
        Self {
            delay_ns: Some(delay_ns),
            ..self
        }
    }

    /// Never answers.
    pub const fn silent(self) -> Self {
        Self {
            silent: true,
            ..self
        }
    }

    /// Answers with the sequence number of the command before.
    pub const fn stale_sequence(self) -> Self {
        Self {
            stale_sequence: true,
            ..self
        }
    }

    /// Answers, and is silent from then on.
    pub const fn silent_afterwards(self) -> Self {
        Self {
            silent_afterwards: true,
            ..self
        }
    }

    fn matches(&self, request: &Request) -> bool {
        self.command.is_none_or(|own| own == request.command)
            && request.param & self.param_mask == self.param_value
            && self
                .request_word
                .is_none_or(|(index, mask, value)| request.word(index) & mask == value)
    }
}

/// What all rules together say about one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) answer: Option<(u16, u32)>,
    pub(crate) payload: Option<[u8; UNION_BYTES]>,
    pub(crate) delay_ns: u64,
    pub(crate) silent: bool,
    pub(crate) stale_sequence: bool,
    pub(crate) silent_afterwards: bool,
}

/// A scripted management firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persona {
    /// Name, as used on a command line.
    pub name: Cow<'static, str>,
    /// One line for people.
    pub description: Cow<'static, str>,
    /// Age of the shared-memory structures.
    pub generation: Generation,
    /// Version word of the firmware, major in bits 31:24.
    pub version: u32,
    /// Feature bits that GET_MFW_FEATURE_SUPPORT answers with.
    pub features: u32,
    /// State of the processor at power-up.
    pub processor: Processor,
    /// Which mailbox interface versions a LOAD_REQ may have.
    pub hsi: HsiPolicy,
    /// Number of ports that GLOBAL states, when it is not the true one.
    pub max_ports: Option<u32>,
    /// Deviations from normal answers.
    pub rules: Cow<'static, [Rule]>,
}

/// A row of the table of named personas.
struct Named {
    name: &'static str,
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

impl Rule {
    /// Takes an earlier rule's scripted answer away again. Kept as a payload-less answer marker.
    const fn executed(self) -> Self {
        Self {
            answer: Some((EXECUTE, 0)),
            ..self
        }
    }
}

/// Response value that no firmware uses, meaning "execute the command".
const EXECUTE: u16 = 0xffff;

const PLAIN: Named = Named {
    name: "modern",
    description: "a current firmware that knows every command and answers at once",
    age: &MODERN,
    processor: Processor::Running,
    hsi: HsiPolicy::Current,
    max_ports: None,
    rules: &[],
};

static NAMED: [Named; 20] = [
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
        rules: &[
            // load_rsp: versions, then role 1 (pre-boot), HSI 2, driver exists.
            Rule::on(command::LOAD_REQUEST)
                .matching_payload(3, FORCE, 0)
                .answer(response::LOAD_REQUIRES_FORCE, 0)
                .payload([
                    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                    0, 0, 0, 0, 0, 0,
                ]),
        ],
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
    fn persona(&self) -> Persona {
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

impl Default for Persona {
    fn default() -> Self {
        PLAIN.persona()
    }
}

impl Persona {
    /// The persona of this name, such as `modern` or `bist-unsupported`.
    pub fn by_name(name: &str) -> Option<Self> {
        NAMED
            .iter()
            .find(|row| row.name == name)
            .map(Named::persona)
    }

    /// All named personas.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMED.iter().map(Named::persona)
    }

    /// A new persona that starts as the modern one.
    pub fn custom(
        name: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            ..Self::default()
        }
    }

    /// Adds a rule behind the others.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.to_mut().push(rule);
        self
    }

    /// Changes the age of the shared-memory structures.
    pub fn generation(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    /// Changes the version word.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Changes the feature bits.
    pub fn features(mut self, features: u32) -> Self {
        self.features = features;
        self
    }

    /// Changes the state of the processor at power-up.
    pub fn processor(mut self, processor: Processor) -> Self {
        self.processor = processor;
        self
    }

    /// Changes which interface versions a LOAD_REQ may have.
    pub fn hsi(mut self, hsi: HsiPolicy) -> Self {
        self.hsi = hsi;
        self
    }

    /// States this number of ports, true or not.
    pub fn max_ports(mut self, ports: u32) -> Self {
        self.max_ports = Some(ports);
        self
    }

    /// What the rules say about a command.
    pub(crate) fn directive(&self, request: &Request) -> Directive {
        let mut directive = Directive::default();
        for rule in self.rules.iter().filter(|rule| rule.matches(request)) {
            if let Some(answer) = rule.answer {
                directive.answer = (answer.0 != EXECUTE).then_some(answer);
                directive.payload = rule.payload;
            }
            directive.delay_ns = rule.delay_ns.unwrap_or(directive.delay_ns);
            directive.silent |= rule.silent;
            directive.stale_sequence |= rule.stale_sequence;
            directive.silent_afterwards |= rule.silent_afterwards;
        }
        directive
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::payload_of;
    use super::*;

    fn ask(persona: &Persona, command: u16, param: u32) -> Directive {
        persona.directive(&Request {
            command,
            sequence: 1,
            param,
            payload: [0; UNION_BYTES],
        })
    }

    #[test]
    fn the_required_names_exist_once_and_are_described() {
        for name in [
            "modern",
            "bist-unsupported",
            "bist-unsupported-nonzero",
            "bist-error",
            "zero-images",
            "absurd-images",
            "load-refused",
            "silent",
            "halted",
            "stale-sequence",
            "slow",
            "no-ports",
        ] {
            assert_eq!(
                Persona::all()
                    .filter(|persona| persona.name == name)
                    .count(),
                1,
                "{name}"
            );
        }
        for persona in Persona::all() {
            assert_eq!(Persona::by_name(&persona.name), Some(persona.clone()));
            assert!(!persona.description.is_empty() && !persona.description.contains('\n'));
        }
        assert_eq!(Persona::by_name("polite"), None);
        assert_eq!(Persona::default().name, "modern");
    }

    #[test]
    fn later_rules_win() {
        let persona = Persona::by_name("bist-unsupported-nonzero").unwrap();
        assert_eq!(ask(&persona, command::BIST_TEST, 3).answer, Some((0, 5)));
        let persona = Persona::by_name("slow").unwrap();
        assert_eq!(ask(&persona, command::EMPTY, 0).delay_ns, 150 * MILLISECOND);
        assert_eq!(
            ask(&persona, command::LOAD_REQUEST, 0).delay_ns,
            2_500 * MILLISECOND
        );
        let persona = Persona::by_name("bare").unwrap();
        assert_eq!(ask(&persona, command::EMPTY, 0).answer, Some((0, 0)));
        assert_eq!(ask(&persona, command::LOAD_REQUEST, 0).answer, None);
    }

    #[test]
    fn rules_can_look_at_the_parameter() {
        let persona = Persona::by_name("zero-images").unwrap();
        assert_eq!(
            ask(&persona, command::BIST_TEST, 3).answer,
            Some((response::OK, 0))
        );
        assert_eq!(ask(&persona, command::BIST_TEST, 1).answer, None);
    }

    #[test]
    fn rules_can_look_at_the_payload() {
        let persona = Persona::by_name("load-requires-force").unwrap();
        let code = command::LOAD_REQUEST;
        let forced = Request {
            command: code,
            sequence: 1,
            param: 0,
            payload: payload_of(&[0, 0, 0, 2 | 2 << 16]),
        };
        assert_eq!(persona.directive(&forced).answer, None);
        assert_eq!(
            ask(&persona, code, 0).answer,
            Some((response::LOAD_REQUIRES_FORCE, 0))
        );
    }

    #[test]
    fn slow_stays_within_the_time_that_drivers_allow() {
        const BUDGET_NS: u64 = 5_000 * MILLISECOND;
        let persona = Persona::by_name("slow").unwrap();
        for code in 0..=u16::MAX {
            assert!(ask(&persona, code, 0).delay_ns < BUDGET_NS);
        }
    }

    #[test]
    fn own_personas_are_built_from_the_modern_one() {
        let persona = Persona::custom("mine", "one deviation")
            .rule(Rule::on(command::OS_WOL).answer(0x80, 1).delay_ns(5))
            .max_ports(9)
            .version(1)
            .features(0);
        let directive = ask(&persona, command::OS_WOL, 0);
        assert_eq!((directive.answer, directive.delay_ns), (Some((0x80, 1)), 5));
        assert_eq!((persona.max_ports, persona.version), (Some(9), 1));
    }
}
