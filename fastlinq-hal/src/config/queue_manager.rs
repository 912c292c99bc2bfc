//! A function's part of the queue manager (QM): which physical queues (PQs) it sends on.
//!
//! A PQ is a list of connections that have something to send, in host memory. Each PQ feeds a virtual output
//! queue, which stands for a traffic class of a port. A function has one PQ for each traffic class and one
//! for loopback, which the slow path uses; and four *other* PQs, for everything that is not transmission.

use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::hsi::qm_rf_pq_map as map;
use fastlinq_pac::versions::{IroId, RuntimeId};
use heapless::Vec;

use super::rates::{self, Bandwidth, FASTEST, FUNCTION_BOUND, FUNCTION_WEIGHT, SIGN, VPORT_WEIGHT};
use super::{ConfigError, PortQueues};
use crate::access::FunctionIdentity;
use crate::init::{RuntimeError, RuntimeWriter};
use crate::mfw::resources::{Resource, Share};

/// PQs in a group; a group belongs to one function.
pub const PQ_GROUP: u16 = 8;
/// Traffic classes that a function has a PQ for.
pub const TRAFFIC_CLASSES: u8 = 4;

/// The traffic class that stands for loopback.
pub(super) const LOOPBACK: u8 = 8;
/// Virtual queues in front of those for loopback, of all ports.
const LOOPBACK_QUEUES: u8 = 16;
const TX_PQS: usize = TRAFFIC_CLASSES as usize + 1;
const OTHER_PQS: u16 = 4;
/// Bytes of a PQ's element.
const ELEMENT: u32 = 4;
/// Bytes of the unit in which PQs lie in memory.
const UNIT: u32 = 4096;
/// Weight group of all PQs.
const WEIGHT_GROUP: u32 = 1;
/// Functions whose weights' credits are in the first of two arrays.
const FUNCTIONS_IN_ARRAY: u16 = 8;

/// The virtual output queue of a port's traffic class; `classes` are those between two ports' first.
#[must_use]
pub const fn virtual_queue(port: u8, class: u8, classes: u8) -> u8 {
    if class == LOOPBACK {
        LOOPBACK_QUEUES + port
    } else {
        port * classes + class
    }
}

/// Units of 4 KiB that a PQ for `connections` connections takes.
pub(super) const fn pq_units(connections: u32) -> u32 {
    if connections == 0 {
        return 0;
    }
    ((connections + 1) * ELEMENT).div_ceil(UNIT)
}

/// A PQ's size as the queue manager takes it: units of 256 connections, less one.
pub(super) const fn pq_size(connections: u32) -> u32 {
    if connections == 0 {
        return 0;
    }
    connections.div_ceil(256) - 1
}

/// A PQ for transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TxPq {
    /// Number in the engine.
    pub id: u16,
    /// Traffic class; 8 for loopback.
    pub class: u8,
    /// Virtual output queue that it feeds.
    pub virtual_queue: u8,
}

impl TxPq {
    /// The PQ's line in the queue manager's map. It is the first, and only, PQ of its vport and class.
    #[must_use]
    pub fn map_word(&self) -> u32 {
        let word = map::PQ_VALID.val(1)
            + map::VP_PQ_ID.val(self.id.into())
            + map::VOQ.val(self.virtual_queue.into())
            + map::WRR_WEIGHT_GROUP.val(WEIGHT_GROUP);
        word.value
    }

    /// What XSTORM wants to know of the PQ.
    #[must_use]
    pub fn info_word(&self, function: u8, port: u8) -> u32 {
        u32::from(self.id)
            | u32::from(function) << 12
            | u32::from(self.class) << 16
            | u32::from(port) << 20
    }
}

/// A function's PQs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionQueues {
    function: u8,
    port: u8,
    connections: u32,
    bandwidth: Bandwidth,
    pqs: Vec<TxPq, TX_PQS>,
}

impl FunctionQueues {
    /// PQs out of the function's share: one for each traffic class, then loopback.
    ///
    /// # Errors
    ///
    /// [`ConfigError::TooFew`]; [`ConfigError::BeyondChip`].
    pub fn new(
        identity: &FunctionIdentity,
        ports: &PortQueues,
        share: Share,
        connections: u16,
        bandwidth: Bandwidth,
    ) -> Result<Self, ConfigError> {
        let resource = Resource::TxPqs;
        let group = u32::from(PQ_GROUP);
        let (start, count) = (share.start / group * group, share.count / group * group);
        if (count as usize) < TX_PQS {
            return Err(ConfigError::TooFew {
                resource,
                count,
                needed: TX_PQS as u32,
            });
        }
        if start.saturating_add(count) > identity.chip.limits().tx_pqs.into() {
            return Err(ConfigError::BeyondChip {
                resource,
                start,
                count,
            });
        }
        let classes = (0..TRAFFIC_CLASSES).chain([LOOPBACK]);
        let pqs = (start as u16..)
            .zip(classes)
            .map(|(id, class)| TxPq {
                id,
                class,
                virtual_queue: virtual_queue(identity.port, class, ports.classes),
            })
            .collect();
        Ok(Self {
            function: identity.rel_pf,
            port: identity.port,
            connections: connections.into(),
            bandwidth,
            pqs,
        })
    }

    /// The PQs for transmission.
    #[must_use]
    pub fn pqs(&self) -> &[TxPq] {
        &self.pqs
    }

    /// Number of the PQ of a traffic class, 8 for loopback.
    #[must_use]
    pub fn pq(&self, class: u8) -> Option<u16> {
        let mut pqs = self.pqs.iter();
        pqs.find(|pq| pq.class == class).map(|pq| pq.id)
    }

    /// Bytes of memory for all PQs.
    #[must_use]
    pub fn memory_bytes(&self) -> u32 {
        let queues = self.pqs.len() as u32 + u32::from(OTHER_PQS);
        queues * pq_units(self.connections) * UNIT
    }

    /// Stores the PQs' places and parameters.
    pub(super) fn fill(&self, runtime: &mut RuntimeWriter<'_>) -> Result<(), RuntimeError> {
        use RuntimeId as R;
        let units = pq_units(self.connections);
        let size = pq_size(self.connections);
        let function = u16::from(self.function);
        // Other PQs lie first in memory.
        runtime.set_in_family(
            R::QM_REG_PQOTHER2PF_0,
            R::QM_REG_PQOTHER2PF_1,
            function,
            function.into(),
        )?;
        runtime.set(R::QM_REG_MAXPQSIZE_2, size)?;
        for number in 0..OTHER_PQS {
            let pq = function * PQ_GROUP + number;
            let place = u32::from(number) * units;
            runtime.set_at(R::QM_REG_BASEADDROTHERPQ, pq, place)?;
            runtime.set_wide(R::QM_REG_PTRTBLOTHER, pq, 0)?;
        }
        runtime.set(R::QM_REG_MAXPQSIZE_0, size)?;
        runtime.set(R::QM_REG_MAXPQSIZE_1, 0)?;
        for (place, pq) in (u32::from(OTHER_PQS)..).zip(&self.pqs) {
            runtime.set_in_family(
                R::QM_REG_PQTX2PF_0,
                R::QM_REG_PQTX2PF_1,
                pq.id / PQ_GROUP,
                function.into(),
            )?;
            let queue_of_function = u32::from(pq.virtual_queue) | u32::from(function) << 5;
            runtime.set_at(R::QM_REG_WFQVPMAP, pq.id, queue_of_function)?;
            runtime.set_at(R::QM_REG_TXPQMAP, pq.id, pq.map_word())?;
            runtime.set_at(R::QM_REG_BASEADDRTXPQ, pq.id, place * units)?;
            runtime.set_wide(R::QM_REG_PTRTBLTX, pq.id, 0)?;
        }
        self.fill_weight(runtime)?;
        self.fill_limit(runtime)?;
        for pq in &self.pqs {
            runtime.set_at(R::QM_REG_WFQVPCRD, pq.id, SIGN)?;
            runtime.set_at(R::QM_REG_WFQVPUPPERBOUND, pq.id, VPORT_WEIGHT | SIGN)?;
            runtime.set_at(R::QM_REG_WFQVPWEIGHT, pq.id, VPORT_WEIGHT)?;
        }
        Ok(())
    }

    fn fill_weight(&self, runtime: &mut RuntimeWriter<'_>) -> Result<(), RuntimeError> {
        use RuntimeId as R;
        if self.bandwidth.min == 0 {
            return Ok(());
        }
        let function = u16::from(self.function);
        let credits = if function < FUNCTIONS_IN_ARRAY {
            R::QM_REG_WFQPFCRD
        } else {
            R::QM_REG_WFQPFCRD_MSB
        };
        for pq in &self.pqs {
            let row = u16::from(pq.virtual_queue) * FUNCTIONS_IN_ARRAY;
            runtime.set_at(credits, row + function % FUNCTIONS_IN_ARRAY, SIGN)?;
        }
        let weight = u32::from(self.bandwidth.min.min(100)) * FUNCTION_WEIGHT;
        runtime.set_at(R::QM_REG_WFQPFUPPERBOUND, function, FUNCTION_BOUND | SIGN)?;
        runtime.set_at(R::QM_REG_WFQPFWEIGHT, function, weight)
    }

    /// The function's rate: the fastest link's, until there is a link.
    fn fill_limit(&self, runtime: &mut RuntimeWriter<'_>) -> Result<(), RuntimeError> {
        use RuntimeId as R;
        let function = self.function.into();
        runtime.set_at(R::QM_REG_RLPFCRD, function, SIGN)?;
        runtime.set_at(R::QM_REG_RLPFUPPERBOUND, function, FUNCTION_BOUND | SIGN)?;
        runtime.set_at(R::QM_REG_RLPFINCVAL, function, rates::increment(FASTEST))
    }

    /// Tells XSTORM about the PQs, in its RAM.
    pub(super) fn write_info(
        &self,
        bus: &impl RegisterBus,
        layout: &fastlinq_pac::versions::Layout,
    ) -> Result<(), ConfigError> {
        let id = IroId::XSTORM_PQ_INFO;
        let variable = layout.iro(id).ok_or(ConfigError::NoVariable(id))?;
        for pq in &self.pqs {
            let address = variable.internal_ram_address(pq.id.into(), 0);
            bus.write32(address, pq.info_word(self.function, self.port));
        }
        Ok(())
    }
}
