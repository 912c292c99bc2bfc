//! Which functions, ports and engines a card has, and how the firmware numbers them.
//!
//! Outside the firmware a function goes by its absolute PF id, which is its PCI function number. Mailboxes are numbered
//! differently: by the PF id relative to the engine, plus 8 on the second engine of BB. On BB absolute PF ids alternate
//! between the engines. A port's number is the absolute PF id of its functions modulo the number of ports of the card, so
//! the ports of BB alternate as well.

use crate::Chip;

/// Functions, ports and engines of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topology {
    pub(crate) chip: Chip,
    functions: u8,
    ports_per_engine: u8,
}

impl Topology {
    /// `functions` are those of the whole card, `ports` those of one engine.
    pub(crate) fn new(chip: Chip, functions: u8, ports: u8) -> Self {
        let port_limit = match chip {
            Chip::Bb => 2,
            Chip::K2 => 4,
        };
        let ports = match ports {
            4.. => 4,
            2 | 3 => 2,
            _ => 1,
        };
        Self {
            chip,
            functions: functions.clamp(1, 16),
            ports_per_engine: ports.min(port_limit),
        }
    }

    /// Number of engines of the chip, which is also the number of paths in shared memory.
    pub(crate) fn engines(self) -> u8 {
        match self.chip {
            Chip::Bb => 2,
            Chip::K2 => 1,
        }
    }

    /// Ports of the whole card: what the GLOBAL section states.
    pub(crate) fn ports(self) -> u8 {
        self.ports_per_engine * self.engines()
    }

    /// Ports of one engine.
    pub(crate) fn ports_per_engine(self) -> u8 {
        self.ports_per_engine
    }

    /// Mailbox of an absolute PF id.
    pub(crate) fn mailbox(self, absolute: u8) -> u8 {
        let absolute = absolute & 0xf;
        match self.chip {
            Chip::Bb => (absolute >> 1) | ((absolute & 1) << 3),
            Chip::K2 => absolute,
        }
    }

    /// Absolute PF id of a mailbox.
    pub(crate) fn absolute(self, mailbox: u8) -> u8 {
        self.relative(mailbox) * self.engines() + self.path(mailbox)
    }

    /// Engine of a mailbox.
    pub(crate) fn path(self, mailbox: u8) -> u8 {
        match self.chip {
            Chip::Bb => (mailbox >> 3) & 1,
            Chip::K2 => 0,
        }
    }

    /// PF id relative to the engine, of a mailbox.
    pub(crate) fn relative(self, mailbox: u8) -> u8 {
        match self.chip {
            Chip::Bb => mailbox & 7,
            Chip::K2 => mailbox & 0xf,
        }
    }

    /// Port of a mailbox.
    pub(crate) fn port(self, mailbox: u8) -> u8 {
        self.absolute(mailbox) % self.ports()
    }

    /// True when the card has the function of a mailbox.
    pub(crate) fn is_present(self, mailbox: u8) -> bool {
        self.absolute(mailbox) < self.functions
    }

    /// Mailboxes of the functions that exist.
    pub(crate) fn present(self) -> impl Iterator<Item = u8> {
        (0..16).filter(move |mailbox| self.is_present(*mailbox))
    }

    /// Functions on an engine.
    pub(crate) fn functions_on(self, path: u8) -> u8 {
        self.present()
            .filter(|mailbox| self.path(*mailbox) == path)
            .count() as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_and_functions_map_both_ways() {
        for chip in [Chip::Bb, Chip::K2] {
            let topology = Topology::new(chip, 16, 2);
            for absolute in 0..16 {
                assert_eq!(topology.absolute(topology.mailbox(absolute)), absolute);
            }
        }
    }

    #[test]
    fn bb_alternates_between_the_engines() {
        let bb = Topology::new(Chip::Bb, 4, 1);
        assert_eq!(
            [0, 1, 2, 3].map(|absolute| bb.mailbox(absolute)),
            [0, 8, 1, 9]
        );
        assert_eq!(
            (bb.functions_on(0), bb.functions_on(1), bb.ports()),
            (2, 2, 2)
        );
        assert_eq!((bb.path(8), bb.port(8), bb.port(9)), (1, 1, 1));
        assert!(!bb.is_present(2));
        let bb = Topology::new(Chip::Bb, 4, 2);
        assert_eq!([0, 8, 1, 9].map(|mailbox| bb.port(mailbox)), [0, 1, 2, 3]);
    }

    #[test]
    fn k2_has_one_engine() {
        let k2 = Topology::new(Chip::K2, 4, 2);
        assert_eq!([0, 1, 2, 3].map(|mailbox| k2.port(mailbox)), [0, 1, 0, 1]);
        assert_eq!(
            (k2.functions_on(0), k2.functions_on(1), k2.ports()),
            (4, 0, 2)
        );
    }

    #[test]
    fn strange_configurations_are_brought_into_range() {
        let small = Topology::new(Chip::K2, 0, 0);
        assert_eq!((small.functions, small.ports()), (1, 1));
        let large = Topology::new(Chip::K2, 200, 200);
        assert_eq!((large.functions, large.ports()), (16, 4));
        let bb = Topology::new(Chip::Bb, 200, 200);
        assert_eq!((bb.functions, bb.ports()), (16, 4));
    }
}
