//! The interrupt generation unit (IGU): which of its status blocks are the function's.
//!
//! The unit has a line for each status block of the engine that says to whom it belongs and which vector it
//! raises. The management firmware fills the lines; the first of a function's is its default status block.

use fastlinq_pac::registers::igu::{self, mapping_memory as line};
use heapless::Vec;
use tock_registers::interfaces::{Readable, Writeable};

use super::ConfigError;
use crate::access::AccessError;
use crate::adapter::{InterruptMode, MAX_QUEUE_PAIRS};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{debug, info};
use crate::mfw::resources::{Resource, Shares};

/// Status blocks of the larger chip.
const LINES: usize = fastlinq_pac::Chip::K2.limits().status_blocks as usize;

/// The lines of the IGU that belong to the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusBlockLines {
    mine: [u32; LINES.div_ceil(32)],
}

impl StatusBlockLines {
    /// Reads all lines of the engine (MAPPING_MEMORY).
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoStatusBlock`]; [`ConfigError::Access`] when the function is gone.
    pub fn scan<H: Host>(core: &Core<H>) -> Result<Self, ConfigError> {
        let mut mine = [0; LINES.div_ceil(32)];
        let mut first_line = 0;
        let count = u32::from(core.identity.chip.limits().status_blocks);
        for index in 0..count {
            let Some(register) = igu::MAPPING_MEMORY.at(index) else {
                break;
            };
            let handle = register.on(&core.windows);
            let word = handle.extract();
            if index == 0 {
                first_line = word.get();
            }
            if core.windows.is_gone(word.get()) {
                return Err(AccessError::DeviceGone.into());
            }
            let own = word.is_set(line::PF_VALID)
                && word.read(line::FUNCTION_NUMBER) == u32::from(core.identity.rel_pf);
            if let (true, Some(dword)) = (own, mine.get_mut(index as usize / 32)) {
                *dword |= 1 << (index % 32);
            }
        }
        let lines = Self { mine };
        if lines.is_empty() {
            return Err(ConfigError::NoStatusBlock { first_line });
        }
        debug!("{} IGU lines belong to the function", lines.len());
        Ok(lines)
    }

    /// How many lines the function has, its default status block's included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mine
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lines, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..LINES as u16).filter(|index| {
            let word = self.mine.get(usize::from(*index) / 32);
            word.is_some_and(|word| word >> (index % 32) & 1 == 1)
        })
    }
}

/// The function's status blocks, by the numbers of their IGU lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusBlocks {
    /// The default one: events, attentions; vector 0.
    pub default: u16,
    /// One for each queue pair; queue pair k raises vector k + 1.
    pub queues: Vec<u16, MAX_QUEUE_PAIRS>,
}

impl StatusBlocks {
    /// Numbers the function's lines and writes those that are otherwise: the first is the default status block
    /// with vector 0, the next have vectors from 1 on, as many as the management firmware grants or, when
    /// it grants none, as there are; the rest are emptied.
    ///
    /// No line is given to virtual functions.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoStatusBlock`]; [`ConfigError::TooFew`] when there is none for a queue pair.
    pub fn assign<H: Host>(
        core: &Core<H>,
        lines: &StatusBlockLines,
        shares: &Shares,
    ) -> Result<Self, ConfigError> {
        let share = shares.get(Resource::StatusBlocks);
        let granted = if share.granted && share.count > 0 {
            share.count as usize
        } else {
            lines.len()
        };
        let mut default = None;
        let mut queues = Vec::new();
        for (vector, index) in lines.iter().enumerate() {
            if default.is_none() {
                default = Some(index);
            } else if vector < granted {
                // Those beyond what the driver keeps track of have their vectors all the same.
                let _ = queues.push(index);
            }
            let word = if vector < granted.max(1) {
                line::VALID.val(1)
                    + line::VECTOR_NUMBER.val(vector as u32 & 0xff)
                    + line::FUNCTION_NUMBER.val(core.identity.rel_pf.into())
                    + line::PF_VALID.val(1)
            } else {
                line::VALID.val(0)
            };
            let Some(register) = igu::MAPPING_MEMORY.at(index.into()) else {
                continue;
            };
            let handle = register.on(&core.windows);
            if handle.get() != word.value {
                handle.set(word.value);
            }
        }
        let default = default.ok_or(ConfigError::NoStatusBlock { first_line: 0 })?;
        if queues.is_empty() {
            return Err(ConfigError::TooFew {
                resource: Resource::StatusBlocks,
                count: 1,
                needed: 2,
            });
        }
        info!(
            "default status block {}, {} for queue pairs",
            default,
            queues.len()
        );
        Ok(Self { default, queues })
    }

    /// All of them: those of queue pairs, then the default one, the order in which they are cleaned.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.queues.iter().copied().chain([self.default])
    }
}

/// The function's configuration of the IGU for a way of delivering interrupts.
///
/// Attentions are always on, because the attention block is written whether anybody is interrupted or not.
#[must_use]
pub fn interrupt_configuration(mode: InterruptMode) -> u32 {
    use igu::pf_configuration as bits;
    let word = bits::FUNC_EN.val(1) + bits::ATTN_BIT_EN.val(1);
    match mode {
        InterruptMode::Polling => word.value,
        InterruptMode::MsiX => (word + bits::MSI_MSIX_EN.val(1)).value,
    }
}

/// Lets the IGU deliver to the function.
pub fn enable_interrupts<H: Host>(core: &Core<H>, mode: InterruptMode) {
    igu::PF_CONFIGURATION
        .on(&core.windows)
        .set(interrupt_configuration(mode));
}
