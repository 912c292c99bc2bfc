//! The last exchanges with the management firmware, for people to read.

use core::fmt;

use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};
use heapless::HistoryBuffer;

use super::response_name;

/// Exchanges that a transcript keeps.
pub const TRANSCRIPT_LENGTH: usize = 64;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// The management firmware answered.
    Answered,
    /// It did not answer in time.
    NoAnswer,
    /// It restarted while the driver waited.
    Restarted,
    /// The function fell off the bus.
    DeviceGone,
    /// The command was not sent: the mailbox is detached, or blocked after an earlier silence.
    NotSent,
}

/// One command and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Position among all exchanges of this adapter, counted from 0.
    pub number: u32,
    /// Clock of the host when the command was sent, in microseconds.
    pub started_us: u64,
    /// Microseconds until the answer, or until the driver gave up.
    pub duration_us: u32,
    /// The command.
    pub command: DriverCommand,
    /// Sequence number of the command.
    pub sequence: u16,
    /// Its parameter.
    pub param: u32,
    /// First dwords of its payload.
    pub payload: [u32; 4],
    /// The response code; 0 when there was no answer.
    pub response: FirmwareResponse,
    /// The response parameter; 0 when there was no answer.
    pub response_param: u32,
    /// How it ended.
    pub outcome: Outcome,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>4}  {} {:#06x}({:#x})",
            self.number,
            self.command.name().unwrap_or("?"),
            self.command.0,
            self.param
        )?;
        match self.outcome {
            Outcome::Answered => write!(
                f,
                " -> {} {:#06x}({:#x}) after {} us",
                response_name(self.command, self.response),
                self.response.0,
                self.response_param,
                self.duration_us
            ),
            Outcome::NoAnswer => write!(f, " -> no answer for {} us", self.duration_us),
            Outcome::Restarted => write!(
                f,
                " -> the management firmware restarted after {} us",
                self.duration_us
            ),
            Outcome::DeviceGone => {
                write!(f, " -> the device was gone after {} us", self.duration_us)
            }
            Outcome::NotSent => f.write_str(" -> not sent"),
        }
    }
}

/// The last [`TRANSCRIPT_LENGTH`] exchanges with the management firmware.
///
/// # Examples
///
/// ```
/// use fastlinq_hal::mfw::Transcript;
///
/// let transcript = Transcript::new();
/// assert_eq!(transcript.total(), 0);
/// assert_eq!(transcript.iter().count(), 0);
/// ```
pub struct Transcript {
    ring: HistoryBuffer<Exchange, TRANSCRIPT_LENGTH>,
    total: u32,
}

impl Transcript {
    /// An empty transcript.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ring: HistoryBuffer::new(),
            total: 0,
        }
    }

    /// The exchanges that are kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.ring.oldest_ordered()
    }

    /// The last exchange.
    #[must_use]
    pub fn last(&self) -> Option<&Exchange> {
        self.ring.recent()
    }

    /// Exchanges so far, those included that are no longer kept.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.total
    }

    pub(crate) fn push(&mut self, mut exchange: Exchange) {
        exchange.number = self.total;
        self.total = self.total.wrapping_add(1);
        self.ring.write(exchange);
    }
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.ring.len() as u32;
        if self.total > kept {
            writeln!(f, "      ({} earlier exchanges)", self.total - kept)?;
        }
        for exchange in self.iter() {
            writeln!(f, "{exchange}")?;
        }
        Ok(())
    }
}
