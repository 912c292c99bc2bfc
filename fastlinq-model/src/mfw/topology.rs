//! Which functions, ports and engines a card has, and how the firmware numbers them.
//!
//! A function's number is that of its mailbox: the PF id relative to its engine, plus 8 on the second engine of BB. A
//! port's number in shared memory is the absolute PF id modulo the number of ports of the card; on BB, where absolute PF
//! ids alternate between the engines, the ports of the first engine are 0 and 2.

use crate::Chip;

/// Functions, ports and engines of a card. The software adapter has one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topology {
    pub(crate) chip: Chip,
    functions: u8,
    ports_per_engine: u8,
}

impl Topology {
    pub(crate) fn new(chip: Chip, functions: u8, ports: u8) -> Self {
        let (function_limit, port_limit) = match chip {
            Chip::Bb => (8, 2),
            Chip::K2 => (16, 4),
        };
        let ports = match ports {
            4.. => 4,
            2 | 3 => 2,
            _ => 1,
        };
        Self {
            chip,
            functions: functions.clamp(1, function_limit),
            ports_per_engine: ports.min(port_limit),
        }
    }

    fn engines(self) -> u8 {
        match self.chip {
            Chip::Bb => 2,
            Chip::K2 => 1,
        }
    }

    /// Number of engines of the chip, which is also the number of paths in shared memory.
    pub(crate) fn paths(self) -> u8 {
        self.engines()
    }

    /// Ports of the whole card: what the GLOBAL section states.
    pub(crate) fn ports(self) -> u8 {
        self.ports_per_engine * self.engines()
    }

    /// Ports of one engine.
    pub(crate) fn ports_per_engine(self) -> u8 {
        self.ports_per_engine
    }

    pub(crate) fn path(self, function: u8) -> u8 {
        match self.chip {
            Chip::Bb => function >> 3 & 1,
            Chip::K2 => 0,
        }
    }

    pub(crate) fn relative(self, function: u8) -> u8 {
        match self.chip {
            Chip::Bb => function & 7,
            Chip::K2 => function & 0xf,
        }
    }

    /// PF id as the whole chip counts.
    pub(crate) fn absolute(self, function: u8) -> u8 {
        self.relative(function) * self.engines() + self.path(function)
    }

    /// Port of a function, as shared memory counts.
    pub(crate) fn port(self, function: u8) -> u8 {
        self.absolute(function) % self.ports()
    }

    /// Port of the engine that a port of shared memory is.
    pub(crate) fn engine_port(self, port: u8) -> u8 {
        port / self.engines()
    }

    /// Port of shared memory that a port of the first engine is.
    pub(crate) fn shared_port(self, engine_port: u8) -> u8 {
        engine_port.min(self.ports_per_engine - 1) * self.engines()
    }

    pub(crate) fn is_present(self, function: u8) -> bool {
        self.path(function) == 0 && function < self.functions
    }

    /// Functions on an engine.
    pub(crate) fn functions_on(self, path: u8) -> u8 {
        if path == 0 { self.functions } else { 0 }
    }

    /// Numbers of the functions that exist.
    pub(crate) fn present(self) -> impl Iterator<Item = u8> {
        0..self.functions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_follow_the_absolute_function() {
        let k2 = Topology::new(Chip::K2, 4, 2);
        assert_eq!([0, 1, 2, 3].map(|function| k2.port(function)), [0, 1, 0, 1]);
        assert_eq!(k2.ports(), 2);
        let bb = Topology::new(Chip::Bb, 4, 2);
        assert_eq!([0, 1, 2, 3].map(|function| bb.port(function)), [0, 2, 0, 2]);
        assert_eq!(
            [0, 1, 2, 3].map(|function| bb.absolute(function)),
            [0, 2, 4, 6]
        );
        assert_eq!((bb.ports(), bb.absolute(8), bb.path(8)), (4, 1, 1));
        for port in 0..2 {
            assert_eq!(bb.engine_port(bb.shared_port(port)), port);
            assert_eq!(k2.engine_port(k2.shared_port(port)), port);
        }
    }

    #[test]
    fn strange_configurations_are_brought_into_range() {
        let small = Topology::new(Chip::K2, 0, 0);
        assert_eq!((small.functions, small.ports()), (1, 1));
        let large = Topology::new(Chip::K2, 200, 200);
        assert_eq!((large.functions, large.ports()), (16, 4));
        let bb = Topology::new(Chip::Bb, 200, 200);
        assert_eq!((bb.functions, bb.ports()), (8, 4));
    }
}
