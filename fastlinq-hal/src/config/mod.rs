//! What the driver computes before it programs the chip, and the steps of programming it.
//!
//! A [`Plan`] has all numbers of a function: which connections it uses, where their contexts lie, which
//! queues of the queue manager it sends on, how the doorbell BAR is cut. [`FunctionMemory`] is the host
//! memory behind it. The steps then are, in this order:
//!
//! | step | who | what |
//! |---|---|---|
//! | [`StatusBlockLines::scan`], [`StatusBlocks::assign`] | every function, before it loads | finds and numbers its status blocks |
//! | [`final_cleanup`] | all but the first function of an engine | has the firmware forget what was before |
//! | [`initialize_engine`] | the first function of an engine | the engine phase |
//! | [`initialize_port`] | the first function of a port | the port phase |
//! | [`initialize_function`] | every function | the PF phases, overlays, doorbells |
//! | [`MacFilters::add`] | every function | tells the port which frames are for this function |
//! | [`enable_interrupts`] | every function | the IGU delivers |
//!
//! Which step a function has to do is in the management firmware's answer to its load request.
//!
//! Known by: source reading (Linux 6.12, DPDK), unless a page says otherwise.

mod cau;
mod classification;
mod cleanup;
mod connections;
mod doorbells;
mod engine;
mod error;
mod function;
mod igu;
mod memory;
mod modes;
mod plan;
mod port_queues;
mod queue_manager;
mod rates;
mod search;
mod translation;
mod tunnels;

pub use classification::{MAC_FILTERS, MacFilters};
pub use cleanup::final_cleanup;
pub use connections::{
    CONTEXT_BYTES, CONTEXTS_PER_PAGE, Connections, cid_parameters, task_parameters,
};
pub use doorbells::{DoorbellLayout, write_doorbell_layout};
pub use engine::{initialize_engine, initialize_port};
pub use error::ConfigError;
pub use function::{FunctionReports, function_runtime, initialize_function};
pub use igu::{StatusBlockLines, StatusBlocks, enable_interrupts, interrupt_configuration};
pub use memory::{FunctionMemory, MAX_OVERLAY_BYTES};
pub use modes::modes;
pub use plan::{Plan, PlanRequest};
pub use port_queues::PortQueues;
pub use queue_manager::{FunctionQueues, PQ_GROUP, TRAFFIC_CLASSES, TxPq, virtual_queue};
pub use rates::Bandwidth;
pub use search::SEARCH_ELEMENTS;
pub use translation::{ILT_PAGE_BYTES, IltClient, IltLines, MAX_ILT_PAGES, Translation};
pub use tunnels::{TunnelPorts, Tunnels, configure_tunnels};

#[cfg(test)]
mod tests;
