//! What lies outside the chip: host memory, interrupts, wires, and the book of what happened.

use std::collections::BTreeMap;

use crate::card::Counters;
use crate::fabric::Function;
use crate::memory::{HostMemory, Interrupts};
use crate::observer::{Event, Observer};
use crate::violation::{DmaCause, Violation, ViolationKind};
use crate::wire::Wire;

/// Violations that are kept; more are only counted.
const MAX_VIOLATIONS: usize = 1024;
/// Undocumented addresses that are kept; more are only counted.
const MAX_UNDOCUMENTED: usize = 4096;

/// The surroundings of the chip.
pub(crate) struct Outside {
    pub(crate) memory: Box<dyn HostMemory>,
    pub(crate) interrupts: Box<dyn Interrupts>,
    pub(crate) wires: Vec<Option<Box<dyn Wire>>>,
    pub(crate) observer: Option<Box<dyn Observer>>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) undocumented: BTreeMap<u32, u64>,
    pub(crate) counters: Counters,
    pub(crate) now_ns: u64,
}

impl Outside {
    pub(crate) fn new(
        memory: Box<dyn HostMemory>,
        interrupts: Box<dyn Interrupts>,
        ports: u8,
    ) -> Self {
        Self {
            memory,
            interrupts,
            wires: (0..ports).map(|_| None).collect(),
            observer: None,
            violations: Vec::new(),
            undocumented: BTreeMap::new(),
            counters: Counters::default(),
            now_ns: 0,
        }
    }

    /// Shows an event to the observer, if there is one.
    pub(crate) fn observe<'a>(&mut self, event: impl FnOnce() -> Event<'a>) {
        if let Some(observer) = &mut self.observer {
            observer.event(self.now_ns, &event());
        }
    }

    /// Writes a broken rule into the book.
    pub(crate) fn violation(
        &mut self,
        function: Option<Function>,
        kind: ViolationKind,
        cause: DmaCause,
    ) {
        self.counters.violations += 1;
        let violation = Violation {
            at_ns: self.now_ns,
            function,
            kind,
            cause,
        };
        if let Some(observer) = &mut self.observer {
            observer.event(self.now_ns, &Event::Violation(&violation));
        }
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }

    /// Counts a write to an address of which nothing is known; only the first per address is a violation of its own.
    pub(crate) fn undocumented_write(&mut self, function: Function, address: u32, value: u32) {
        self.counters.undocumented_writes += 1;
        if let Some(count) = self.undocumented.get_mut(&address) {
            *count += 1;
            return;
        }
        if self.undocumented.len() < MAX_UNDOCUMENTED {
            self.undocumented.insert(address, 1);
            let cause = DmaCause::register("register write", address, u64::from(value));
            self.violation(
                Some(function),
                ViolationKind::UndocumentedWrite { address, value },
                cause,
            );
        }
    }

    /// Sends a message interrupt.
    pub(crate) fn interrupt(&mut self, function: u8, vector: u16) {
        self.counters.interrupts += 1;
        self.observe(|| Event::Interrupt { function, vector });
        self.interrupts.raise(function, vector);
    }
}
