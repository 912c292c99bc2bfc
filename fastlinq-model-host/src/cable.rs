//! A cable between two software adapters.

use fastlinq_model::wire::cable;

use crate::host::ModelHost;

/// Joins a port of one adapter with a port of another one (or of the same) by a cable.
///
/// Each adapter takes what arrived when its own time passes or it is [polled](ModelHost::poll).
pub fn join(a: &ModelHost, port_a: u8, b: &ModelHost, port_b: u8) {
    let (end_a, end_b) = cable();
    a.set_wire(port_a, Box::new(end_a));
    b.set_wire(port_b, Box::new(end_b));
}
