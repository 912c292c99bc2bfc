//! The slow path: ramrods to the storm firmware, its events, and attentions.

mod attention;
mod builders;
mod events;
mod multicast;
mod path;
mod queue;
mod ramrod;
mod return_code;
mod statistics;
#[cfg(test)]
pub(crate) mod test_memory;

pub(crate) use attention::clear_doorbell_overflow;
pub use attention::*;
pub use builders::*;
pub use events::*;
pub use multicast::*;
pub use path::{EVENT_PROTOCOL_INDEX, RamrodError, SlowPathFaults};
pub(crate) use path::{SlowPath, SlowPathParts, WaitContext};
pub use queue::*;
pub use ramrod::*;
pub use return_code::*;
pub use statistics::{
    FunctionStatistics, PacketPathStatistics, QueueStatistics, Since, Traffic, TunnelTraffic,
    VportStatistics,
};
pub(crate) use statistics::{
    Together, clear_vport, counters, read_function, read_port, read_vport,
};
