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

mod named;

use super::codes::response;
use super::layout::Generation;
use super::load::HsiPolicy;
use super::reply::{Request, UNION_BYTES};
use named::{NAMED, Named, PLAIN};
use std::borrow::Cow;

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

impl Rule {
    /// Takes an earlier rule's scripted answer away again. Kept as a payload-less answer marker.
    pub(super) const fn executed(self) -> Self {
        Self {
            answer: Some((EXECUTE, 0)),
            ..self
        }
    }
}

/// Response value that no firmware uses, meaning "execute the command".
const EXECUTE: u16 = 0xffff;

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
    use super::super::codes::command;
    use super::super::reply::payload_of;
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

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
