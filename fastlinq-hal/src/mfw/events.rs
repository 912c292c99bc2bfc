//! The event mailbox: what the management firmware has to say on its own.

/// Most dwords of event counters that the driver keeps; four events each.
pub const MAX_EVENT_DWORDS: usize = 16;
