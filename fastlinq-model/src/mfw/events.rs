//! Event counters: how the management firmware tells a driver that something happened.
//!
//! Message i is an 8-bit counter in bits [31-8*(i%4) : 24-8*(i%4)] of DW i/4. The firmware increments it and raises the
//! general attention of the function. It keeps its own counters, so a driver that scribbles over the array only
//! confuses itself.

use super::codes::Event;
use super::layout::{FUNCTIONS, Layout, Section};
use super::scratchpad::Scratchpad;

const MESSAGES: usize = 28;

/// Counters of all functions.
pub(crate) struct EventCounters {
    counters: [[u8; MESSAGES]; FUNCTIONS as usize],
    supported: u16,
}

impl EventCounters {
    pub(crate) fn new(supported: u16) -> Self {
        Self {
            counters: [[0; MESSAGES]; FUNCTIONS as usize],
            supported,
        }
    }

    /// Writes the number of messages, which tells drivers that the firmware has booted.
    pub(crate) fn announce(&self, ram: &mut Scratchpad, layout: Layout) {
        for function in 0..FUNCTIONS {
            ram.set(
                layout.element(Section::EventMailbox, function),
                u32::from(self.supported),
            );
        }
    }

    /// Counts an event; false when this firmware is too old to have it.
    pub(crate) fn post(
        &mut self,
        ram: &mut Scratchpad,
        layout: Layout,
        function: u8,
        event: Event,
    ) -> bool {
        let index = usize::from(event as u8);
        if index >= usize::from(self.supported) {
            return false;
        }
        let Some(counter) = self
            .counters
            .get_mut(usize::from(function))
            .and_then(|all| all.get_mut(index))
        else {
            return false;
        };
        *counter = counter.wrapping_add(1);
        let shift = 24 - 8 * (index as u32 % 4);
        let Some(at) = layout.field(
            Section::EventMailbox,
            function.into(),
            4 + index as u32 / 4 * 4,
        ) else {
            return false;
        };
        ram.replace(at, 0xff << shift, u32::from(*counter) << shift);
        true
    }

    pub(crate) fn count(&self, function: u8, event: Event) -> u8 {
        self.counters
            .get(usize::from(function))
            .and_then(|all| all.get(usize::from(event as u8)))
            .copied()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Generation, PUBLIC_BASES};
    use super::*;

    fn fixture(generation: Generation) -> (Scratchpad, Layout, EventCounters) {
        let layout = Layout {
            base: PUBLIC_BASES[0],
            generation,
        };
        let events = EventCounters::new(generation.event_capacity().min(27));
        let mut ram = Scratchpad::new();
        events.announce(&mut ram, layout);
        (ram, layout, events)
    }

    #[test]
    fn counters_sit_in_the_right_byte_and_wrap() {
        let (mut ram, layout, mut events) = fixture(Generation::Modern);
        let array = layout.element(Section::EventMailbox, 3) + 4;
        assert!(events.post(&mut ram, layout, 3, Event::LinkChange));
        assert_eq!(ram.get(array), 0x0100_0000);
        assert!(events.post(&mut ram, layout, 3, Event::BandwidthUpdate));
        assert_eq!(ram.get(array + 4), 1);
        for _ in 0..256 {
            events.post(&mut ram, layout, 3, Event::LinkChange);
        }
        assert_eq!(ram.get(array), 0x0100_0000);
        assert_eq!(events.count(3, Event::LinkChange), 1);
        assert_eq!(ram.get(layout.element(Section::EventMailbox, 2) + 4), 0);
    }

    #[test]
    fn an_old_firmware_lacks_the_late_events() {
        let (mut ram, layout, mut events) = fixture(Generation::Old);
        assert_eq!(ram.get(layout.element(Section::EventMailbox, 15)), 20);
        assert!(!events.post(&mut ram, layout, 0, Event::GenericIdc));
        assert!(events.post(&mut ram, layout, 0, Event::LldpReceivedTlvsUpdated));
    }

    #[test]
    fn a_scribbled_array_does_not_matter() {
        let (mut ram, layout, mut events) = fixture(Generation::Modern);
        ram.set(layout.element(Section::EventMailbox, 0) + 4, 0xffff_ffff);
        events.post(&mut ram, layout, 0, Event::LinkChange);
        assert_eq!(
            ram.get(layout.element(Section::EventMailbox, 0) + 4),
            0x01ff_ffff
        );
        assert!(!events.post(&mut ram, layout, 200, Event::LinkChange));
    }
}
