//! Which share of the chip's resources the function has.

use core::fmt;

use fastlinq_pac::Chip;
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse, ResourceId, ResourceInfo};
use zerocopy::{FromZeros, IntoBytes};

use super::lock::{self, Lock, LockOwner, LockState};
use super::{Answer, MailboxError, Reply};
use crate::access::FunctionIdentity;
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{debug, info, warning};

/// Version 2.0 of the allocation protocol.
const PROTOCOL: u32 = 2 << 16;

/// Granularity of transmit queues of the queue manager.
const TX_PQ_STEP: u32 = 8;

/// A kind of resource that functions share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Resource {
    /// Status blocks, the slow path's own included.
    StatusBlocks,
    /// L2 queues.
    L2Queues,
    /// Vports.
    Vports,
    /// RSS engines.
    RssEngines,
    /// Transmit queues of the queue manager.
    TxPqs,
    /// Rate limiters.
    RateLimiters,
    /// MAC and VLAN filters.
    Filters,
    /// Lines of the internal translation table.
    IltLines,
    /// Light-L2 queues whose rings are in storm RAM.
    LightL2Queues,
    /// Light-L2 queues whose rings are in contexts.
    LightL2Contexts,
    /// Command and completion-notification queues.
    CompletionQueues,
    /// RDMA statistics.
    RdmaStatistics,
    /// Buffer-descriptor queues of storage.
    BufferQueues,
}

impl Resource {
    /// All of them, in the order in which drivers ask.
    pub const ALL: [Self; 13] = [
        Self::StatusBlocks,
        Self::L2Queues,
        Self::Vports,
        Self::RssEngines,
        Self::TxPqs,
        Self::RateLimiters,
        Self::Filters,
        Self::IltLines,
        Self::LightL2Queues,
        Self::LightL2Contexts,
        Self::CompletionQueues,
        Self::RdmaStatistics,
        Self::BufferQueues,
    ];

    /// The management firmware's number of the resource.
    #[must_use]
    pub const fn id(self) -> ResourceId {
        match self {
            Self::StatusBlocks => ResourceId::NUM_SB_E,
            Self::L2Queues => ResourceId::NUM_L2_QUEUE_E,
            Self::Vports => ResourceId::NUM_VPORT_E,
            Self::RssEngines => ResourceId::NUM_RSS_ENGINES_E,
            Self::TxPqs => ResourceId::NUM_PQ_E,
            Self::RateLimiters => ResourceId::NUM_RL_E,
            Self::Filters => ResourceId::VFC_FILTER_E,
            Self::IltLines => ResourceId::ILT_E,
            Self::LightL2Queues => ResourceId::LL2_QUEUE_E,
            Self::LightL2Contexts => ResourceId::LL2_CQS_E,
            Self::CompletionQueues => ResourceId::CQS_E,
            Self::RdmaStatistics => ResourceId::RDMA_STATS_QUEUE_E,
            Self::BufferQueues => ResourceId::BDQ_E,
        }
    }

    /// How many of it one engine of `chip` has; for light L2, RDMA and storage, how many a driver asks for.
    #[must_use]
    pub const fn engine_total(self, chip: Chip) -> u32 {
        let limits = chip.limits();
        match self {
            Self::StatusBlocks => limits.status_blocks as u32,
            Self::L2Queues => limits.l2_queues as u32,
            Self::Vports => limits.vports as u32,
            Self::RssEngines => limits.rss_engines as u32,
            Self::TxPqs => limits.tx_pqs as u32,
            Self::RateLimiters => limits.rate_limiters as u32,
            Self::Filters => limits.mac_filters as u32,
            Self::IltLines => limits.ilt_lines as u32,
            Self::LightL2Queues => 32,
            Self::LightL2Contexts => 208,
            Self::CompletionQueues => 128,
            Self::RdmaStatistics => match chip {
                Chip::Bb => 160,
                Chip::K2 => 208,
            },
            Self::BufferQueues => 4,
        }
    }
}

/// Resources of which the driver states its own maximum before it asks.
const STATED: [Resource; 5] = [
    Resource::LightL2Queues,
    Resource::LightL2Contexts,
    Resource::CompletionQueues,
    Resource::RdmaStatistics,
    Resource::BufferQueues,
];

/// A share of a resource: `count` of it from number `start` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Share {
    /// First number, engine-absolute.
    pub start: u32,
    /// How many.
    pub count: u32,
    /// Whether the management firmware gave it; otherwise it is an even part of the chip's total.
    pub granted: bool,
}

/// The function's shares of all resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shares {
    shares: [Share; Resource::ALL.len()],
}

impl Shares {
    /// The function's share of `resource`.
    #[must_use]
    pub fn get(&self, resource: Resource) -> Share {
        self.shares
            .get(resource as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn set(&mut self, resource: Resource, share: Share) {
        if let Some(place) = self.shares.get_mut(resource as usize) {
            *place = share;
        }
    }
}

/// Why the function has no resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResourceError {
    /// A command has no answer.
    Mailbox(MailboxError),
    /// Somebody else kept the allocation lock.
    LockBusy {
        /// Who.
        owner: LockOwner,
        /// Parameter of the last answer, whose code was OK.
        param: u32,
    },
    /// The management firmware refused the allocation lock.
    LockRefused {
        /// The response code.
        code: FirmwareResponse,
        /// The response parameter.
        param: u32,
    },
    /// A share begins behind the last of the chip, or ILT lines end there.
    BeyondChip {
        /// Resource.
        resource: Resource,
        /// First number.
        start: u32,
        /// How many.
        count: u32,
        /// How many the engine has.
        total: u32,
        /// Code of the answer that said so.
        code: FirmwareResponse,
        /// Its parameter.
        param: u32,
    },
}

impl fmt::Display for ResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox(error) => error.fmt(f),
            Self::LockBusy { owner, param } => write!(
                f,
                "the management firmware's allocation lock stayed with {owner} (RESOURCE_CMD answered with parameter \
                 {param:#x})"
            ),
            Self::LockRefused { code, param } => write!(
                f,
                "the management firmware refused the allocation lock: {:#06x}, parameter {param:#x}",
                code.0
            ),
            Self::BeyondChip {
                resource,
                start,
                count,
                total,
                ..
            } => write!(
                f,
                "the management firmware gives {count} {resource:?} from {start} on, of {total}"
            ),
        }
    }
}

impl core::error::Error for ResourceError {}

impl From<MailboxError> for ResourceError {
    fn from(error: MailboxError) -> Self {
        Self::Mailbox(error)
    }
}

/// Settles the function's shares.
///
/// | management firmware | driver |
/// |---|---|
/// | grants the allocation lock | states its maxima (SET_RESOURCE_VALUE), asks for each (GET_RESOURCE_ALLOC), releases the lock |
/// | does not know the lock | asks for each, without lock |
/// | does not know SET_RESOURCE_VALUE | releases the lock, asks for each |
/// | keeps the lock busy for 100 ms | gives up |
/// | does not give a resource | takes an even part of the chip's total |
///
/// # Errors
///
/// [`ResourceError`].
pub fn settle<H: Host>(core: &mut Core<H>) -> Result<Shares, ResourceError> {
    let mut locked = match lock::acquire(core, Lock::ResourceAllocation)? {
        Answer::Done(LockState::Granted) => true,
        Answer::Done(LockState::Busy { owner, param }) => {
            return Err(ResourceError::LockBusy { owner, param });
        }
        Answer::Unsupported { .. } => false,
        Answer::Refused { code, param, .. } => {
            return Err(ResourceError::LockRefused { code, param });
        }
    };
    if locked && !state_maxima(core)? {
        release(core)?;
        locked = false;
    }
    let shares = ask_for_all(core);
    if locked {
        release(core)?;
    }
    shares
}

fn release<H: Host>(core: &mut Core<H>) -> Result<(), MailboxError> {
    if lock::release(core, Lock::ResourceAllocation)?
        .done()
        .is_none()
    {
        warning!("the allocation lock was not released");
    }
    Ok(())
}

/// Whether the management firmware knows the command.
fn state_maxima<H: Host>(core: &mut Core<H>) -> Result<bool, MailboxError> {
    for resource in STATED {
        let mut info = ResourceInfo::new_zeroed();
        info.res_id.set(resource.id().0);
        info.size.set(resource.engine_total(core.identity.chip));
        let reply = core.command(DriverCommand::SET_RESOURCE_VALUE, PROTOCOL, info.as_bytes())?;
        if reply.is_unsupported() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn ask_for_all<H: Host>(core: &mut Core<H>) -> Result<Shares, ResourceError> {
    let mut shares = Shares::default();
    for resource in Resource::ALL {
        let mut info = ResourceInfo::new_zeroed();
        info.res_id.set(resource.id().0);
        let reply = core.command(DriverCommand::GET_RESOURCE_ALLOC, PROTOCOL, info.as_bytes())?;
        let answer = reply.judge(&[FirmwareResponse::RESOURCE_ALLOC_OK], |reply| {
            reply.data().resource()
        });
        let default = even_part(resource, &core.identity);
        let share = match answer {
            Answer::Done(info) => Share {
                start: info.offset.get(),
                count: info.size.get(),
                granted: true,
            },
            _ => default,
        };
        shares.set(
            resource,
            bounded(resource, share, core.identity.chip, &reply)?,
        );
    }
    for resource in Resource::ALL {
        let share = shares.get(resource);
        debug!(
            "{:?}: {} from {}, granted: {}",
            resource, share.count, share.start, share.granted
        );
    }
    info!(
        "{} status blocks, {} queues, {} vports, {} ILT lines",
        shares.get(Resource::StatusBlocks).count,
        shares.get(Resource::L2Queues).count,
        shares.get(Resource::Vports).count,
        shares.get(Resource::IltLines).count
    );
    Ok(shares)
}

/// An even part of the chip's total.
fn even_part(resource: Resource, identity: &FunctionIdentity) -> Share {
    let count = resource.engine_total(identity.chip) / u32::from(identity.functions.max(1));
    Share {
        start: count * u32::from(identity.function_index),
        count,
        granted: false,
    }
}

/// `share`, cut so that it ends with the chip's last.
///
/// `reply` is the answer that the share came with, for the error.
fn bounded(
    resource: Resource,
    mut share: Share,
    chip: Chip,
    reply: &Reply,
) -> Result<Share, ResourceError> {
    // Of the resources of other protocols the driver knows only what it asks for, not what the chip has.
    if STATED.contains(&resource) {
        return Ok(share);
    }
    let total = resource.engine_total(chip);
    let beyond = ResourceError::BeyondChip {
        resource,
        start: share.start,
        count: share.count,
        total,
        code: reply.code,
        param: reply.param,
    };
    if resource == Resource::TxPqs {
        share.start -= share.start % TX_PQ_STEP;
        share.count -= share.count % TX_PQ_STEP;
    }
    let left = total.checked_sub(share.start).ok_or(beyond)?;
    if share.count > left {
        if resource == Resource::IltLines {
            return Err(beyond);
        }
        warning!(
            "{:?}: only {} of {} are on the chip",
            resource,
            left,
            share.count
        );
        share.count = left;
    }
    Ok(share)
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
