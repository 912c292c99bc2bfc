//! The internal translation table (ILT): which host pages hold contexts and the queue manager's queues.
//!
//! Clients of the table have ranges of its lines, one behind another; a line names a page of 64 KiB. A
//! client of which the function has nothing has no line, and nothing is stored for it.

use fastlinq_pac::BusAddress;
use fastlinq_pac::versions::RuntimeId;

use super::ConfigError;
use crate::init::{RuntimeError, RuntimeWriter};
use crate::mfw::resources::{Resource, Share};

/// Bytes of a page of the table.
pub const ILT_PAGE_BYTES: usize = 64 * 1024;
/// Most pages that a function has: contexts and queues of [`MAX_QUEUE_PAIRS`](crate::adapter::MAX_QUEUE_PAIRS), and the
/// searcher's.
pub const MAX_ILT_PAGES: usize = 9;

/// The page size as the chip takes it: log2 of the bytes, less 12.
const PAGE_SIZE: u32 = ILT_PAGE_BYTES.trailing_zeros() - 12;
/// Log2 of KiB in a block; a block is a page.
const BLOCK_FACTOR: u32 = (ILT_PAGE_BYTES / 1024).trailing_zeros();
/// Bit of a line that says that its page exists.
const VALID: u64 = 1 << 52;

/// Who looks pages up in the table. Listed in the order of their lines.
///
/// Further clients (tasks, timers, TSDM) have no lines of a function that drives Ethernet alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum IltClient {
    /// Contexts of connections (CDUC).
    Contexts,
    /// Queues of the queue manager (QM).
    QueueManager,
    /// Flows of the searcher (SRC), if the function steers flows.
    Search,
}

/// A client's lines, absolute in the engine's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IltLines {
    /// First line.
    pub first: u16,
    /// How many.
    pub count: u16,
}

impl IltLines {
    /// Last line; that before the first when there is none.
    const fn last(self) -> u16 {
        (self.first + self.count).saturating_sub(1)
    }
}

/// A function's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Translation {
    contexts: IltLines,
    queue_manager: IltLines,
    search: IltLines,
}

impl Translation {
    /// Lays the clients' pages out over the function's share of lines.
    ///
    /// # Errors
    ///
    /// [`ConfigError::TooFew`] when the share has too few lines, [`ConfigError::BeyondChip`] when the
    /// runtime array has no room for them.
    pub fn new(
        share: Share,
        context_pages: u32,
        queue_manager_pages: u32,
        search_pages: u32,
    ) -> Result<Self, ConfigError> {
        const TABLE: u32 = fastlinq_pac::Chip::K2.limits().ilt_lines as u32;
        let resource = Resource::IltLines;
        let needed = context_pages
            .saturating_add(queue_manager_pages)
            .saturating_add(search_pages);
        if needed > share.count || needed > MAX_ILT_PAGES as u32 {
            return Err(ConfigError::TooFew {
                resource,
                count: share.count.min(MAX_ILT_PAGES as u32),
                needed,
            });
        }
        if share.start.saturating_add(needed) > TABLE {
            return Err(ConfigError::BeyondChip {
                resource,
                start: share.start,
                count: needed,
            });
        }
        let contexts = IltLines {
            first: share.start as u16,
            count: context_pages as u16,
        };
        let queue_manager = IltLines {
            first: contexts.first + contexts.count,
            count: queue_manager_pages as u16,
        };
        Ok(Self {
            contexts,
            queue_manager,
            search: IltLines {
                first: queue_manager.first + queue_manager.count,
                count: search_pages as u16,
            },
        })
    }

    /// A client's lines.
    #[must_use]
    pub const fn lines(&self, client: IltClient) -> IltLines {
        match client {
            IltClient::Contexts => self.contexts,
            IltClient::QueueManager => self.queue_manager,
            IltClient::Search => self.search,
        }
    }

    /// Pages of all clients.
    #[must_use]
    pub const fn pages(&self) -> u16 {
        self.contexts.count + self.queue_manager.count + self.search.count
    }

    /// Stores the clients' ranges and the lines of all pages, which are given in the order of lines.
    pub(super) fn fill(
        &self,
        runtime: &mut RuntimeWriter<'_>,
        pages: impl Iterator<Item = BusAddress>,
    ) -> Result<(), RuntimeError> {
        use RuntimeId as R;
        let contexts = [
            (R::PSWRQ2_REG_CDUC_P_SIZE, PAGE_SIZE),
            (R::PSWRQ2_REG_CDUC_FIRST_ILT, self.contexts.first.into()),
            (R::PSWRQ2_REG_CDUC_LAST_ILT, self.contexts.last().into()),
            (R::PSWRQ2_REG_CDUC_BLOCKS_FACTOR, BLOCK_FACTOR),
            (
                R::PSWRQ2_REG_CDUC_NUMBER_OF_PF_BLOCKS,
                self.contexts.count.into(),
            ),
            (R::PSWRQ2_REG_CDUC_VF_BLOCKS, 0),
        ];
        let queue_manager = [
            (R::PSWRQ2_REG_QM_P_SIZE, PAGE_SIZE),
            (R::PSWRQ2_REG_QM_FIRST_ILT, self.queue_manager.first.into()),
            (R::PSWRQ2_REG_QM_LAST_ILT, self.queue_manager.last().into()),
        ];
        for (id, value) in contexts.into_iter().chain(queue_manager) {
            runtime.set(id, value)?;
        }
        if self.search.count > 0 {
            runtime.set(R::PSWRQ2_REG_SRC_P_SIZE, PAGE_SIZE)?;
            runtime.set(R::PSWRQ2_REG_SRC_FIRST_ILT, self.search.first.into())?;
            runtime.set(R::PSWRQ2_REG_SRC_LAST_ILT, self.search.last().into())?;
        }
        for (line, page) in (self.contexts.first..).zip(pages) {
            runtime.set_wide(R::PSWRQ2_REG_ILT_MEMORY, line, line_word(page))?;
        }
        Ok(())
    }
}

/// A line of the table.
pub(super) const fn line_word(page: BusAddress) -> u64 {
    page.value() >> 12 | VALID
}
