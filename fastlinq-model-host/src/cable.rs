//! A cable between two software adapters.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use fastlinq_model::Wire;

use crate::host::ModelHost;

/// Frames that a direction of the cable holds before it loses further ones.
const DEPTH: usize = 1 << 16;

type Direction = Arc<Mutex<VecDeque<Vec<u8>>>>;

struct End {
    out: Direction,
    into: Direction,
}

impl Wire for End {
    fn transmit(&mut self, frame: &[u8]) {
        let mut queue = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() < DEPTH {
            queue.push_back(frame.to_vec());
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        self.into
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}

/// Joins a port of one adapter with a port of another one (or of the same) by a cable.
///
/// Each adapter takes what arrived when its own time passes or it is [polled](ModelHost::poll). A direction of the cable
/// holds 65,536 frames and loses those beyond.
pub fn join(a: &ModelHost, port_a: u8, b: &ModelHost, port_b: u8) {
    let there = Direction::default();
    let back = Direction::default();
    a.set_wire(
        port_a,
        Box::new(End {
            out: Arc::clone(&there),
            into: Arc::clone(&back),
        }),
    );
    b.set_wire(
        port_b,
        Box::new(End {
            out: back,
            into: there,
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_here_comes_out_there_in_order_and_nothing_grows_without_end() {
        let there = Direction::default();
        let back = Direction::default();
        let mut a = End {
            out: Arc::clone(&there),
            into: Arc::clone(&back),
        };
        let mut b = End {
            out: back,
            into: there,
        };
        for n in 0..DEPTH as u32 + 3 {
            a.transmit(&n.to_le_bytes());
        }
        b.transmit(b"hello");
        for n in 0..DEPTH as u32 {
            assert_eq!(b.receive().unwrap(), n.to_le_bytes());
        }
        assert_eq!(b.receive(), None);
        assert_eq!(a.receive().unwrap(), b"hello");
        assert_eq!(a.receive(), None);
    }
}
