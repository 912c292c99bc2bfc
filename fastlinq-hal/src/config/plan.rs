//! All numbers of a function, computed before anything is programmed.

use fastlinq_pac::versions::Layout;

use super::{
    Bandwidth, ConfigError, Connections, DoorbellLayout, FunctionQueues, PortQueues, StatusBlocks,
    Translation, modes,
};
use crate::access::FunctionIdentity;
use crate::adapter::MAX_QUEUE_PAIRS;
use crate::firmware::Modes;
use crate::host::Bar;
use crate::log::info;
use crate::mfw::nvm_config::MultiFunctionMode;
use crate::mfw::resources::{Resource, Shares};

/// What a [`Plan`] is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PlanRequest {
    /// Queue pairs wanted; the plan has as many as the resources allow.
    pub queue_pairs: u16,
    /// How the functions of a port are told apart.
    pub multi_function: MultiFunctionMode,
    /// Outer VLAN of the function, where functions are told apart by it.
    pub outer_vlan: Option<u16>,
    /// The function's part of the port's bandwidth.
    pub bandwidth: Bandwidth,
    /// Have memory for flows that are steered.
    pub flow_steering: bool,
}

/// All numbers of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Who the function is.
    pub identity: FunctionIdentity,
    /// Modes of the init program.
    pub modes: Modes,
    /// How the functions of a port are told apart.
    pub multi_function: MultiFunctionMode,
    /// Outer VLAN of the function, where functions are told apart by it.
    pub outer_vlan: Option<u16>,
    /// The function's part of the port's bandwidth.
    pub bandwidth: Bandwidth,
    /// Queue pairs.
    pub queue_pairs: u16,
    /// Status blocks.
    pub status_blocks: StatusBlocks,
    /// Connections.
    pub connections: Connections,
    /// How ports share the engine's queues.
    pub ports: PortQueues,
    /// Physical queues.
    pub queues: FunctionQueues,
    /// Lines of the internal translation table.
    pub translation: Translation,
    /// How the doorbell BAR is cut.
    pub doorbells: DoorbellLayout,
    /// First L2 queue, engine-absolute.
    pub first_queue: u16,
    /// First vport, engine-absolute.
    pub first_vport: u8,
    /// Vports.
    pub vports: u16,
    /// First RSS engine, engine-absolute, if the function has one.
    pub rss_engine: Option<u8>,
    /// Whether there is memory for flows that are steered.
    pub flow_steering: bool,
}

impl Plan {
    /// Makes the plan; does not touch the device.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: a chip or a number of ports that nobody supports, too few resources for one queue pair, a
    /// doorbell BAR that is too small.
    pub fn new(
        identity: &FunctionIdentity,
        shares: &Shares,
        status_blocks: StatusBlocks,
        doorbell_bar: &impl Bar,
        request: &PlanRequest,
    ) -> Result<Self, ConfigError> {
        Self::check_engines(identity)?;
        let modes = modes(identity, request.multi_function)?;
        let limits = identity.chip.limits();
        let l2_queues = within(shares, Resource::L2Queues, limits.l2_queues)?;
        let vports = within(shares, Resource::Vports, limits.vports)?;
        let rss_engine = within(shares, Resource::RssEngines, limits.rss_engines).ok();
        let queue_pairs = request
            .queue_pairs
            .max(1)
            .min(MAX_QUEUE_PAIRS as u16)
            .min(l2_queues.count)
            .min(status_blocks.queues.len() as u16);
        if queue_pairs == 0 {
            return Err(ConfigError::TooFew {
                resource: Resource::StatusBlocks,
                count: 1,
                needed: 2,
            });
        }
        let connections = Connections::new(queue_pairs);
        let ports = PortQueues::new(identity.chip, identity.ports_per_engine);
        let queues = FunctionQueues::new(
            identity,
            &ports,
            shares.get(Resource::TxPqs),
            connections.total(),
            request.bandwidth,
        )?;
        let translation = Translation::new(
            shares.get(Resource::IltLines),
            connections.context_pages(),
            queues.memory_bytes().div_ceil(super::ILT_PAGE_BYTES as u32),
            if request.flow_steering {
                super::search::TABLE_BYTES.div_ceil(super::ILT_PAGE_BYTES as u32)
            } else {
                0
            },
        )?;
        let doorbells = DoorbellLayout::of_function(identity, connections, doorbell_bar)?;
        info!(
            "{} queue pairs, {} connections, {} pages, first queue {}, first vport {}",
            queue_pairs,
            connections.total(),
            translation.pages(),
            l2_queues.start,
            vports.start
        );
        Ok(Self {
            identity: *identity,
            modes,
            multi_function: request.multi_function,
            outer_vlan: request.outer_vlan,
            bandwidth: request.bandwidth,
            queue_pairs,
            status_blocks,
            connections,
            ports,
            queues,
            translation,
            doorbells,
            first_queue: l2_queues.start,
            first_vport: vports.start as u8,
            vports: vports.count,
            rss_engine: rss_engine.map(|share| share.start as u8),
            flow_steering: request.flow_steering,
        })
    }

    /// Engine-absolute number of the PQ that a queue pair's frames of a traffic class go through; without the
    /// connection manager's base of 0x200.
    #[must_use]
    pub fn transmit_pq(&self, class: u8) -> Option<u16> {
        self.queues
            .pq(class)
            .filter(|_| class < super::TRAFFIC_CLASSES)
    }

    /// Engine-absolute number of the loopback PQ, which the slow path goes through.
    #[must_use]
    pub fn loopback_pq(&self) -> u16 {
        self.queues
            .pq(super::queue_manager::LOOPBACK)
            .unwrap_or_default()
    }

    /// Whether the port delivers frames by [`MacFilters`](super::MacFilters).
    #[must_use]
    pub const fn classifies_by_mac(&self) -> bool {
        matches!(
            self.multi_function,
            MultiFunctionMode::Default | MultiFunctionMode::Npar
        )
    }

    /// Whether the function is one that this driver drives: on one engine.
    ///
    /// A BB function that drives both engines (100G) would need everything twice, and frames that are spread over both
    /// would be lost with one of them idle; see `docs/confidence.md`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::TwoEngines`].
    pub fn check_engines(identity: &FunctionIdentity) -> Result<(), ConfigError> {
        if identity.coupled {
            let pairs = identity.engine_pairs;
            return Err(ConfigError::TwoEngines { pairs });
        }
        Ok(())
    }

    /// Whether the plan can be carried out with a firmware version: it has every variable that is needed.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoVariable`].
    pub fn check_layout(layout: &Layout) -> Result<(), ConfigError> {
        use fastlinq_pac::versions::IroId;
        for id in [
            IroId::USTORM_FLR_FINAL_ACK_GTT,
            IroId::XSTORM_PQ_INFO,
            IroId::USTORM_EQE_CONS_GTT,
            IroId::MSTORM_ETH_PF_PRODS_GTT,
        ] {
            layout.iro(id).ok_or(ConfigError::NoVariable(id))?;
        }
        Ok(())
    }
}

struct Range {
    start: u16,
    count: u16,
}

/// A share that has at least one, and lies on the chip.
fn within(shares: &Shares, resource: Resource, limit: u16) -> Result<Range, ConfigError> {
    let share = shares.get(resource);
    if share.count == 0 {
        return Err(ConfigError::TooFew {
            resource,
            count: 0,
            needed: 1,
        });
    }
    if share.start.saturating_add(share.count) > limit.into() {
        return Err(ConfigError::BeyondChip {
            resource,
            start: share.start,
            count: share.count,
        });
    }
    Ok(Range {
        start: share.start as u16,
        count: share.count as u16,
    })
}
