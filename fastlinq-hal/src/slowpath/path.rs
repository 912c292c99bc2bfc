//! The slow path as a whole: post a ramrod, drain the events, wait for the one that completes it.

use core::fmt;

use fastlinq_pac::BusAddress;
use fastlinq_pac::bar::igu::{self, Acknowledge, Interrupt};
use fastlinq_pac::doorbell::Doorbell;
use fastlinq_pac::words::StatusBlockWords;
use heapless::Deque;

use super::{
    AsynchronousEvent, CompletionFault, Echo, EventQueue, FirmwareReturnCode, PostFault, Progress,
    Ramrod, SlowPathQueue,
};
use crate::dma::{DmaBuffer, read_barrier};
use crate::host::{Bar, Host};
use crate::log::{debug, warning};

/// Protocol index of the event queue in the default status block.
pub const EVENT_PROTOCOL_INDEX: u8 = 0;

/// Waits of a ramrod: first 10 times 10 µs, then 100 times 100 µs, then 998 times 5 ms; 5 seconds in all.
const WAITS: [(u32, u32); 3] = [(10, 10), (100, 100), (998, 5_000)];

/// After a wait of so many microseconds, a register is read to see whether anybody is there.
const LONG_US: u32 = 1_000;

/// Why a ramrod did not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RamrodError {
    /// The firmware completed the ramrod and refused it.
    Refused {
        /// The ramrod.
        ramrod: Ramrod,
        /// What the firmware answered.
        code: FirmwareReturnCode,
    },
    /// The firmware did not complete the ramrod, also not after the management firmware had drained the NIG.
    TimedOut {
        /// The ramrod.
        ramrod: Ramrod,
        /// Time waited in milliseconds.
        waited_ms: u32,
    },
    /// The function disappeared from the bus before it completed the ramrod.
    DeviceGone {
        /// The ramrod.
        ramrod: Ramrod,
    },
    /// An earlier ramrod is still outstanding, so this one was not posted.
    Stuck {
        /// The ramrod that was not posted.
        ramrod: Ramrod,
        /// Number of outstanding ramrods.
        outstanding: u16,
    },
    /// The ramrod could not be written to its DMA memory.
    Memory {
        /// The ramrod.
        ramrod: Ramrod,
    },
}

impl RamrodError {
    /// The ramrod that failed.
    #[must_use]
    pub const fn ramrod(&self) -> Ramrod {
        match self {
            Self::Refused { ramrod, .. }
            | Self::TimedOut { ramrod, .. }
            | Self::DeviceGone { ramrod }
            | Self::Stuck { ramrod, .. }
            | Self::Memory { ramrod } => *ramrod,
        }
    }
}

impl fmt::Display for RamrodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { ramrod, code } => write!(f, "refused {ramrod}: {code}"),
            Self::TimedOut { ramrod, waited_ms } => {
                write!(f, "did not complete {ramrod} within {waited_ms} ms")
            }
            Self::DeviceGone { ramrod } => write!(f, "was gone when {ramrod} was to be completed"),
            Self::Stuck {
                ramrod,
                outstanding,
            } => write!(
                f,
                "was not given {ramrod} because {outstanding} earlier ramrods are not completed"
            ),
            Self::Memory { ramrod } => {
                write!(f, "was not given {ramrod}: its DMA memory is too small")
            }
        }
    }
}

impl core::error::Error for RamrodError {}

/// What the device did on the event queue that it should not do; counted, never acted upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SlowPathFaults {
    /// Completions whose echo belongs to no outstanding ramrod.
    pub unknown_echo: u32,
    /// Completions whose protocol or opcode does not belong to the ramrod with this echo.
    pub wrong_event: u32,
    /// Producer indices more than a ring ahead.
    pub producer_jump: u32,
    /// Asynchronous events that were lost because nobody polled for them.
    pub events_lost: u32,
}

/// What the slow path needs while it waits.
pub(crate) trait WaitContext {
    /// Waits at least so long.
    fn wait_us(&mut self, us: u32);
    /// Has the management firmware drain the NIG, and waits until that is done.
    fn drain_nig(&mut self);
    /// Whether the function is gone from the bus.
    fn is_gone(&mut self) -> bool;
}

/// The pieces of a slow path, for [`SlowPath::new`].
pub(crate) struct SlowPathParts<H: Host> {
    pub(crate) queue: SlowPathQueue<H::Region>,
    pub(crate) events: EventQueue<H::Region>,
    pub(crate) status_block: DmaBuffer<H::Region>,
    pub(crate) registers: H::Bar,
    pub(crate) doorbells: H::Bar,
    pub(crate) opaque_fid: u16,
    pub(crate) cid: u16,
    pub(crate) igu_status_block: u16,
    pub(crate) event_consumer: usize,
}

/// The slow path of a function: slow-path queue, event queue and default status block.
pub(crate) struct SlowPath<H: Host> {
    parts: SlowPathParts<H>,
    asynchronous: Deque<AsynchronousEvent, 16>,
    faults: SlowPathFaults,
}

impl<H: Host> SlowPath<H> {
    pub(crate) fn new(parts: SlowPathParts<H>) -> Self {
        Self {
            parts,
            asynchronous: Deque::new(),
            faults: SlowPathFaults::default(),
        }
    }

    /// Connection of the slow-path queue.
    pub(crate) fn cid(&self) -> u16 {
        self.parts.cid
    }

    /// Bus address of the default status block.
    pub(crate) fn status_block_address(&self) -> BusAddress {
        self.parts.status_block.bus_address()
    }

    /// IGU number of the default status block.
    pub(crate) fn igu_status_block(&self) -> u16 {
        self.parts.igu_status_block
    }

    pub(crate) fn faults(&self) -> SlowPathFaults {
        self.faults
    }

    pub(crate) fn outstanding(&self) -> u16 {
        self.parts.queue.outstanding()
    }

    pub(crate) fn event_page_table(&self) -> &DmaBuffer<H::Region> {
        self.parts.events.page_table()
    }

    /// The oldest asynchronous event that was not taken yet.
    pub(crate) fn next_asynchronous(&mut self) -> Option<AsynchronousEvent> {
        self.asynchronous.pop_front()
    }

    /// All DMA memory: queue, ramrod data, event ring, its table, default status block.
    pub(crate) fn into_memory(self) -> [DmaBuffer<H::Region>; 5] {
        let [queue, data] = self.parts.queue.into_memory();
        let [ring, table] = self.parts.events.into_memory();
        [queue, data, ring, table, self.parts.status_block]
    }

    /// Tells the device how many events were taken: at the start none.
    pub(crate) fn publish_consumer(&self) {
        self.parts
            .registers
            .write16(self.parts.event_consumer, self.parts.events.consumer());
    }

    /// Posts a ramrod on a connection and waits until the firmware has completed it.
    ///
    /// The wait is 5 seconds; then the management firmware drains the NIG, the doorbell is rung once more, and the
    /// firmware gets another 5 seconds. A function that is gone from the bus is not waited for. While an earlier ramrod is outstanding nothing is posted; its doorbell is rung again
    /// first, because a lost doorbell is one reason for it.
    pub(crate) fn execute(
        &mut self,
        context: &mut impl WaitContext,
        ramrod: Ramrod,
        cid: u16,
        data: &[u8],
    ) -> Result<(), RamrodError> {
        self.drain();
        self.hurry(context);
        if self.outstanding() > 0 {
            return Err(RamrodError::Stuck {
                ramrod,
                outstanding: self.outstanding(),
            });
        }
        let echo = self
            .parts
            .queue
            .post(ramrod, self.parts.opaque_fid, cid, data)
            .map_err(|fault| match fault {
                PostFault::Full => RamrodError::Stuck {
                    ramrod,
                    outstanding: self.outstanding(),
                },
                PostFault::Memory => RamrodError::Memory { ramrod },
            })?;
        debug!("slow path: {} posted on connection {}", ramrod.name(), cid);
        self.ring_doorbell();
        let mut progress = self.wait(context, echo);
        if progress == Progress::Outstanding {
            if context.is_gone() {
                return Err(RamrodError::DeviceGone { ramrod });
            }
            warning!("slow path: {} is overdue, draining the NIG", ramrod.name());
            context.drain_nig();
            self.ring_doorbell();
            progress = self.wait(context, echo);
        }
        if progress == Progress::Outstanding && context.is_gone() {
            return Err(RamrodError::DeviceGone { ramrod });
        }
        match progress {
            Progress::Done => Ok(()),
            Progress::Refused(code) => Err(RamrodError::Refused { ramrod, code }),
            Progress::Outstanding | Progress::Unknown => {
                let waited: u32 = WAITS.iter().map(|(times, us)| times * us / 1000).sum();
                Err(RamrodError::TimedOut {
                    ramrod,
                    waited_ms: 2 * waited,
                })
            }
        }
    }

    /// Gives a ramrod that is still outstanding one more, short chance: its doorbell may have been lost.
    fn hurry(&mut self, context: &mut impl WaitContext) {
        if self.outstanding() == 0 {
            return;
        }
        self.ring_doorbell();
        let [(times, us), ..] = WAITS;
        for _ in 0..times {
            context.wait_us(us);
            self.drain();
            if self.outstanding() == 0 {
                return;
            }
        }
    }

    fn wait(&mut self, context: &mut impl WaitContext, echo: Echo) -> Progress {
        for (times, us) in WAITS {
            for _ in 0..times {
                self.drain();
                let progress = self.parts.queue.progress(echo);
                if progress != Progress::Outstanding {
                    return progress;
                }
                context.wait_us(us);
                if us >= LONG_US && context.is_gone() {
                    return progress;
                }
            }
        }
        self.drain();
        self.parts.queue.progress(echo)
    }

    /// Rings the doorbell with the present producer; ringing it again does no harm.
    pub(crate) fn ring_doorbell(&self) {
        let doorbell = Doorbell::slow_path(self.parts.queue.producer());
        let offset = doorbell.address(u32::from(self.parts.cid)) as usize;
        self.parts.doorbells.write_barrier();
        self.parts.doorbells.write32(offset, doorbell.word());
        self.parts.doorbells.write_barrier();
    }

    /// Takes all events the device has written, completes ramrods, keeps asynchronous events.
    ///
    /// At most one ring of elements is taken in one call, whatever the device writes meanwhile.
    pub(crate) fn drain(&mut self) {
        let Some(words) = self.parts.status_block.words::<StatusBlockWords>(0) else {
            return;
        };
        let Some(producer) = words.pi.get(usize::from(EVENT_PROTOCOL_INDEX)) else {
            return;
        };
        let producer = u16::from_le(producer.read());
        read_barrier();
        let before = self.parts.events.consumer();
        loop {
            match self.parts.events.next(producer) {
                Ok(Some(element)) if element.asynchronous => {
                    let event = AsynchronousEvent::from_element(&element);
                    if self.asynchronous.push_back(event).is_err() {
                        self.faults.events_lost = self.faults.events_lost.saturating_add(1);
                    }
                }
                Ok(Some(element)) => self.complete(&element),
                Ok(None) => break,
                Err(_) => {
                    self.faults.producer_jump = self.faults.producer_jump.saturating_add(1);
                    break;
                }
            }
        }
        if self.parts.events.consumer() != before {
            self.publish_consumer();
        }
    }

    fn complete(&mut self, element: &super::EventElement) {
        match self.parts.queue.complete(
            element.echo,
            element.protocol,
            element.opcode,
            element.return_code,
        ) {
            Ok(ramrod) => debug!(
                "slow path: {} completed with return code {}",
                ramrod.name(),
                element.return_code
            ),
            Err(CompletionFault::UnknownEcho(echo)) => {
                warning!("slow path: completion with unknown echo {} ignored", echo);
                self.faults.unknown_echo = self.faults.unknown_echo.saturating_add(1);
            }
            Err(CompletionFault::WrongEvent { echo, .. }) => {
                warning!(
                    "slow path: completion of echo {} by a wrong event ignored",
                    echo
                );
                self.faults.wrong_event = self.faults.wrong_event.saturating_add(1);
            }
        }
    }

    /// Counter of the default status block.
    pub(crate) fn status_index(&self) -> u32 {
        let index = self
            .parts
            .status_block
            .words::<StatusBlockWords>(0)
            .map_or(0, |words| {
                u32::from_le(words.prod_index.read()) & 0x00ff_ffff
            });
        read_barrier();
        index
    }

    /// Keeps the default status block from interrupting.
    pub(crate) fn mask_interrupt(&self) {
        self.acknowledge(Acknowledge::new(None, Interrupt::Disable));
    }

    /// Acknowledges the attention block up to `attention` and the default status block up to `status`; the block may
    /// interrupt again only when `unmask` is set.
    pub(crate) fn acknowledge_service(&self, status: u32, attention: Option<u16>, unmask: bool) {
        if let Some(index) = attention {
            self.acknowledge(Acknowledge::attention(index));
        }
        let interrupt = if unmask {
            Interrupt::Enable
        } else {
            Interrupt::Disable
        };
        self.acknowledge(Acknowledge::new(Some(status), interrupt));
    }

    fn acknowledge(&self, acknowledge: Acknowledge) {
        let offset = igu::acknowledge(self.parts.igu_status_block).value() as usize;
        self.parts.registers.write32(offset, acknowledge.0);
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
