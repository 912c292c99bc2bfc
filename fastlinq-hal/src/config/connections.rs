//! Connections, their contexts, and where the context unit (CDU) and the doorbell queue (DORQ) look for them.

use fastlinq_pac::Chip;
use fastlinq_pac::registers::cdu;
use fastlinq_pac::versions::RuntimeId;

use super::translation::ILT_PAGE_BYTES;
use crate::init::{RuntimeError, RuntimeWriter};

/// Bytes of a connection's context: the largest of all protocols, rounded up to 128.
pub const CONTEXT_BYTES: u32 = 1280;
/// Contexts in a page of 64 KiB.
pub const CONTEXTS_PER_PAGE: u32 = ILT_PAGE_BYTES as u32 / CONTEXT_BYTES;

/// Bytes of a task's context, types 0 and 1.
const TASK_BYTES: [u32; 2] = [640, 320];
/// Connections are handed out to a type in multiples of this.
const RANGE: u16 = 16;
/// Connections of the CORE type: the slow-path queue's.
const CORE: u16 = 1;
/// Connections of a queue pair: one for each direction.
const PER_QUEUE_PAIR: u16 = 2;
/// L2 queues of the larger chip.
const MOST_QUEUE_PAIRS: u16 = Chip::K2.limits().l2_queues;

/// A function's connections, in the order of the connection types: CORE, then ETH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Connections of the CORE type, from 0.
    pub core: u16,
    /// Connections of the ETH type, behind them.
    pub eth: u16,
}

impl Connections {
    /// Connections for a number of queue pairs, which is at most the chip's number of L2 queues.
    #[must_use]
    pub const fn new(queue_pairs: u16) -> Self {
        let queue_pairs = if queue_pairs > MOST_QUEUE_PAIRS {
            MOST_QUEUE_PAIRS
        } else {
            queue_pairs
        };
        Self {
            core: CORE.next_multiple_of(RANGE),
            eth: (queue_pairs * PER_QUEUE_PAIR).next_multiple_of(RANGE),
        }
    }

    /// Connection of the slow-path queue.
    #[must_use]
    pub const fn slow_path(self) -> u16 {
        0
    }

    /// First connection of the ETH type.
    #[must_use]
    pub const fn first_eth(self) -> u16 {
        self.core
    }

    /// All connections.
    #[must_use]
    pub const fn total(self) -> u16 {
        self.core + self.eth
    }

    /// Pages that their contexts need.
    #[must_use]
    pub const fn context_pages(self) -> u32 {
        (self.total() as u32).div_ceil(CONTEXTS_PER_PAGE)
    }

    /// The last range of each of the eight connection types, as the doorbell queue wants them: where the
    /// type's connections end, in units of 16. A type without connections ends where the one before does.
    #[must_use]
    pub const fn last_ranges(self) -> [u32; 8] {
        let core = (self.core / RANGE) as u32;
        let all = (self.total() / RANGE) as u32;
        // TCP, FCoE, RoCE, CORE, ETH, iWARP, and two that are not in use.
        [0, 0, 0, core, all, all, all, all]
    }

    /// Stores where the types end; no virtual function has connections.
    pub(super) fn fill_doorbell_ranges(
        self,
        runtime: &mut RuntimeWriter<'_>,
    ) -> Result<(), RuntimeError> {
        const PF: [RuntimeId; 8] = [
            RuntimeId::DORQ_REG_PF_MAX_ICID_0,
            RuntimeId::DORQ_REG_PF_MAX_ICID_1,
            RuntimeId::DORQ_REG_PF_MAX_ICID_2,
            RuntimeId::DORQ_REG_PF_MAX_ICID_3,
            RuntimeId::DORQ_REG_PF_MAX_ICID_4,
            RuntimeId::DORQ_REG_PF_MAX_ICID_5,
            RuntimeId::DORQ_REG_PF_MAX_ICID_6,
            RuntimeId::DORQ_REG_PF_MAX_ICID_7,
        ];
        const VF: [RuntimeId; 8] = [
            RuntimeId::DORQ_REG_VF_MAX_ICID_0,
            RuntimeId::DORQ_REG_VF_MAX_ICID_1,
            RuntimeId::DORQ_REG_VF_MAX_ICID_2,
            RuntimeId::DORQ_REG_VF_MAX_ICID_3,
            RuntimeId::DORQ_REG_VF_MAX_ICID_4,
            RuntimeId::DORQ_REG_VF_MAX_ICID_5,
            RuntimeId::DORQ_REG_VF_MAX_ICID_6,
            RuntimeId::DORQ_REG_VF_MAX_ICID_7,
        ];
        for ((pf, vf), last) in PF.into_iter().zip(VF).zip(self.last_ranges()) {
            runtime.set(pf, last)?;
            runtime.set(vf, 0)?;
        }
        Ok(())
    }
}

/// How the CDU finds a connection's context: size, waste at the end of a page, contexts in a page.
#[must_use]
pub const fn cid_parameters() -> u32 {
    let waste = ILT_PAGE_BYTES as u32 - CONTEXTS_PER_PAGE * CONTEXT_BYTES;
    CONTEXT_BYTES << cdu::cid_addr_params::CONTEXT_SIZE.shift
        | waste << cdu::cid_addr_params::BLOCK_WASTE.shift
        | CONTEXTS_PER_PAGE << cdu::cid_addr_params::NCIB.shift
}

/// How the CDU finds the context of a task of type 0 or 1; sizes in units of 8 bytes.
///
/// Both types have the same fields at the same places.
#[must_use]
pub const fn task_parameters() -> [u32; 2] {
    let [zero, one] = TASK_BYTES;
    [task(zero), task(one)]
}

const fn task(bytes: u32) -> u32 {
    let page = ILT_PAGE_BYTES as u32;
    let in_page = page / bytes;
    let waste = page - in_page * bytes;
    in_page << cdu::segment0_params::T0_NUM_TIDS_IN_BLOCK.shift
        | (waste / 8) << cdu::segment0_params::T0_TID_BLOCK_WASTE.shift
        | (bytes / 8) << cdu::segment0_params::T0_TID_SIZE.shift
}

/// Stores the CDU's parameters for the engine.
pub(super) fn fill_context_parameters(runtime: &mut RuntimeWriter<'_>) -> Result<(), RuntimeError> {
    let [zero, one] = task_parameters();
    runtime.set(RuntimeId::CDU_REG_CID_ADDR_PARAMS, cid_parameters())?;
    runtime.set(RuntimeId::CDU_REG_SEGMENT0_PARAMS, zero)?;
    runtime.set(RuntimeId::CDU_REG_SEGMENT1_PARAMS, one)
}
