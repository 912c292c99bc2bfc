//! The driver mailbox: one command, one answer.

use core::fmt;

use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::mfw::{
    DriverCommand, FirmwareResponse, MailboxHeader, UNION_SIZE, public_drv_mb::offset,
};
use fastlinq_pac::registers::miscs;
use tock_registers::interfaces::Readable;

use super::attach::{Attachment, discover};
use super::{
    AttachError, Element, Exchange, HangReport, Outcome, Reply, SharedMemory, Transcript,
    response_name,
};
use crate::access::{FunctionIdentity, Windows};
use crate::host::Host;
use crate::log::{debug, info, warning};

/// Microseconds that the driver waits for an answer: 5 s, as all known drivers.
pub const ANSWER_BUDGET_US: u64 = 5_000_000;

/// Looks at 10 µs intervals before the driver slows down to 1 ms.
const QUICK_LOOKS: u32 = 1000;
const QUICK_STEP_US: u32 = 10;
const SLOW_STEP_US: u32 = 1000;
const SLOW_LOOKS: u32 = 5000;

/// Why there is no answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailboxError {
    /// The function answers every read with all ones.
    DeviceGone {
        /// The command.
        command: DriverCommand,
    },
    /// The management firmware did not answer in time ([`ANSWER_BUDGET_US`]).
    NoAnswer {
        /// The command.
        command: DriverCommand,
        /// Its parameter.
        param: u32,
        /// Response header as it stood at the end; its sequence number is another command's.
        header: u32,
        /// State of the management processor.
        hang: HangReport,
    },
    /// The management firmware restarted while the driver waited; the command may be repeated.
    Restarted {
        /// The command.
        command: DriverCommand,
        /// The restart counter before, and as it reads now.
        restarts: (u32, u32),
    },
    /// The management firmware did not answer an earlier command, so this one was not sent.
    Blocked {
        /// The command that was not sent.
        command: DriverCommand,
        /// The command that was not answered; MCP_HALT after a halt.
        since: DriverCommand,
    },
    /// The mailbox is not attached.
    Detached {
        /// The command that was not sent.
        command: DriverCommand,
    },
    /// The management firmware restarted, and attaching to it again failed.
    Lost {
        /// The command that was not sent.
        command: DriverCommand,
        /// Why.
        cause: AttachError,
    },
    /// The payload is longer than the mailbox's 32 bytes.
    PayloadTooLong {
        /// The command that was not sent.
        command: DriverCommand,
        /// Bytes of the payload.
        bytes: usize,
    },
}

impl MailboxError {
    /// The command that has no answer.
    #[must_use]
    pub const fn command(&self) -> DriverCommand {
        match *self {
            Self::DeviceGone { command }
            | Self::NoAnswer { command, .. }
            | Self::Restarted { command, .. }
            | Self::Blocked { command, .. }
            | Self::Detached { command }
            | Self::Lost { command, .. }
            | Self::PayloadTooLong { command, .. } => command,
        }
    }

    /// What the device gave instead of an answer: the response header, the restart counter, the word that is wrong after
    /// a restart, or all ones; `None` when the command was not sent.
    #[must_use]
    pub fn raw_value(&self) -> Option<u32> {
        match *self {
            Self::DeviceGone { .. } => Some(u32::MAX),
            Self::NoAnswer { header, .. } => Some(header),
            Self::Restarted { restarts, .. } => Some(restarts.1),
            Self::Lost { cause, .. } => Some(cause.raw_value()),
            Self::Blocked { .. } | Self::Detached { .. } | Self::PayloadTooLong { .. } => None,
        }
    }

    /// Whether the function is gone from the bus.
    #[must_use]
    pub const fn is_device_gone(&self) -> bool {
        matches!(
            self,
            Self::DeviceGone { .. }
                | Self::Lost {
                    cause: AttachError::DeviceGone,
                    ..
                }
        )
    }
}

impl fmt::Display for MailboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.command();
        let name = command.name().unwrap_or("an unnamed command");
        let code = command.0;
        match *self {
            Self::DeviceGone { .. } => write!(
                f,
                "the device was gone when {name} ({code:#06x}) was to be answered"
            ),
            Self::NoAnswer {
                param,
                header,
                hang,
                ..
            } => write!(
                f,
                "the management firmware did not answer {name} ({code:#06x}, parameter {param:#x}) in {} s \
                 (response header {header:#010x}; {hang})",
                ANSWER_BUDGET_US / 1_000_000
            ),
            Self::Restarted { restarts, .. } => write!(
                f,
                "the management firmware restarted during {name} ({code:#06x}): its counter went from {:#x} to {:#x}",
                restarts.0, restarts.1
            ),
            Self::Blocked { since, .. } => write!(
                f,
                "{name} ({code:#06x}) was not sent: the management firmware is silent since {} ({:#06x})",
                since.name().unwrap_or("an unnamed command"),
                since.0
            ),
            Self::Detached { .. } => {
                write!(f, "{name} ({code:#06x}) was not sent: there is no mailbox")
            }
            Self::Lost { cause, .. } => write!(
                f,
                "{name} ({code:#06x}) was not sent: the management firmware restarted, and {cause}"
            ),
            Self::PayloadTooLong { bytes, .. } => write!(
                f,
                "{name} ({code:#06x}) was not sent: a payload of {bytes} bytes does not fit"
            ),
        }
    }
}

impl core::error::Error for MailboxError {}

/// What a command needs besides the mailbox; see [`Core::command`](crate::core_state::Core::command).
pub struct MailboxContext<'a, H: Host> {
    /// Where the driver runs.
    pub host: &'a mut H,
    /// BAR0.
    pub windows: &'a Windows<H::Bar>,
    /// Where the exchange is noted.
    pub transcript: &'a mut Transcript,
    /// Who the function is.
    pub identity: &'a FunctionIdentity,
}

/// The mailbox of this function.
///
/// Detached until [`attach`](super::attach()). After a command that stays unanswered for 5 s the mailbox is
/// blocked, and further commands fail at once; LOAD_REQ and UNLOAD_REQ do not block it, since they may
/// rightly wait for another driver. [`resume`](super::resume) lifts the block.
#[derive(Debug, Default)]
pub struct Mailbox {
    attachment: Option<Attachment>,
    blocked: Option<DriverCommand>,
}

impl Mailbox {
    /// A detached mailbox.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            attachment: None,
            blocked: None,
        }
    }

    /// Whether the mailbox is attached.
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        self.attachment.is_some()
    }

    /// The command since which the management firmware is silent, if it is.
    #[must_use]
    pub const fn blocked_since(&self) -> Option<DriverCommand> {
        self.blocked
    }

    /// The section table.
    #[must_use]
    pub fn shared_memory(&self) -> Option<&SharedMemory> {
        self.attachment.as_ref().map(|found| &found.memory)
    }

    /// The global section.
    #[must_use]
    pub fn global(&self) -> Option<Element> {
        self.attachment.as_ref().map(|found| found.global)
    }

    /// This engine's element of the path section.
    #[must_use]
    pub fn path(&self) -> Option<Element> {
        self.attachment.as_ref().and_then(|found| found.path)
    }

    /// This port's element of the port section.
    #[must_use]
    pub fn port(&self) -> Option<Element> {
        self.attachment.as_ref().map(|found| found.port)
    }

    /// This function's element of the function section.
    #[must_use]
    pub fn function(&self) -> Option<Element> {
        self.attachment.as_ref().map(|found| found.function)
    }

    /// Ports of the card; 1 to 4.
    #[must_use]
    pub fn ports(&self) -> Option<u8> {
        self.attachment.as_ref().map(|found| found.ports)
    }

    /// Forgets the management firmware; nothing is sent until the mailbox is attached again.
    pub fn detach(&mut self) {
        self.attachment = None;
        self.blocked = None;
    }

    pub(crate) fn attach_to(&mut self, attachment: Attachment) {
        self.attachment = Some(attachment);
        self.blocked = None;
    }

    pub(crate) fn attachment(&self) -> Option<&Attachment> {
        self.attachment.as_ref()
    }

    pub(crate) fn attachment_mut(&mut self) -> Option<&mut Attachment> {
        self.attachment.as_mut()
    }

    pub(crate) fn block(&mut self, since: DriverCommand) {
        self.blocked = Some(since);
    }

    pub(crate) fn unblock(&mut self) {
        self.blocked = None;
    }

    /// Sends a command and waits for its answer, at most [`ANSWER_BUDGET_US`].
    ///
    /// Writes the 32 bytes of the union, always all of them, the parameter, and last the header, which starts
    /// the management firmware; then polls the response header for the sequence number. Before, it looks at
    /// the restart counter (0x96d4) and attaches anew when it moved.
    ///
    /// # Errors
    ///
    /// [`MailboxError`]. The exchange lands in the transcript either way.
    pub fn command<H: Host>(
        &mut self,
        context: &mut MailboxContext<'_, H>,
        command: DriverCommand,
        param: u32,
        payload: &[u8],
    ) -> Result<Reply, MailboxError> {
        let started_us = context.host.now_us();
        let mut exchange = Exchange {
            number: 0,
            started_us,
            duration_us: 0,
            command,
            sequence: 0,
            param,
            payload: first_dwords(payload),
            response: FirmwareResponse::UNSUPPORTED,
            response_param: 0,
            outcome: Outcome::NotSent,
        };
        let result = self.exchange(context, &mut exchange, payload);
        exchange.duration_us =
            u32::try_from(context.host.now_us().saturating_sub(started_us)).unwrap_or(u32::MAX);
        match &result {
            Ok(reply) => {
                exchange.response = reply.code;
                exchange.response_param = reply.param;
                exchange.outcome = Outcome::Answered;
                debug!(
                    "{} {:#x}({:#x}) -> {} {:#x}({:#x}) after {} us",
                    command.name().unwrap_or("?"),
                    command.0,
                    param,
                    response_name(command, reply.code),
                    reply.code.0,
                    reply.param,
                    exchange.duration_us
                );
            }
            Err(error) => {
                exchange.outcome = match error {
                    MailboxError::DeviceGone { .. } => Outcome::DeviceGone,
                    MailboxError::NoAnswer { .. } => Outcome::NoAnswer,
                    MailboxError::Restarted { .. } => Outcome::Restarted,
                    _ => Outcome::NotSent,
                };
                warning!(
                    "{} {:#x}({:#x}) has no answer after {} us",
                    command.name().unwrap_or("?"),
                    command.0,
                    param,
                    exchange.duration_us
                );
            }
        }
        context.transcript.push(exchange);
        result
    }

    fn exchange<H: Host>(
        &mut self,
        context: &mut MailboxContext<'_, H>,
        exchange: &mut Exchange,
        payload: &[u8],
    ) -> Result<Reply, MailboxError> {
        let command = exchange.command;
        if payload.len() > UNION_SIZE {
            return Err(MailboxError::PayloadTooLong {
                command,
                bytes: payload.len(),
            });
        }
        if let Some(since) = self.blocked {
            return Err(MailboxError::Blocked { command, since });
        }
        let windows = context.windows;
        let found = self.follow_restart(context, command)?;
        let restarts = found.restarts;
        let mailbox = found.mailbox;
        found.sequence = found.sequence.wrapping_add(1);
        let sequence = found.sequence;
        exchange.sequence = sequence;

        write_union(windows, mailbox, payload);
        let header = MailboxHeader::command(command, sequence);
        mailbox.write(windows, offset::DRV_MB_PARAM, exchange.param);
        mailbox.write(windows, offset::DRV_MB_HEADER, header.0);

        let gone = MailboxError::DeviceGone { command };
        let deadline = exchange.started_us.saturating_add(ANSWER_BUDGET_US);
        let mut looks = 0u32;
        let header = loop {
            let late = context.host.now_us() >= deadline;
            let header = mailbox.read_or_zero(windows, offset::FW_MB_HEADER);
            if windows.is_gone(header) {
                return Err(gone);
            }
            if MailboxHeader(header).sequence() == sequence {
                break header;
            }
            looks += 1;
            if looks > QUICK_LOOKS {
                let now = miscs::GENERIC_POR_0.on(windows).get();
                if now != restarts {
                    if windows.is_gone(now) {
                        return Err(gone);
                    }
                    return Err(MailboxError::Restarted {
                        command,
                        restarts: (restarts, now),
                    });
                }
            }
            if late || looks > QUICK_LOOKS + SLOW_LOOKS {
                let hang = HangReport::sample(windows, context.host);
                if !may_take_long(command) {
                    self.blocked = Some(command);
                }
                if windows.check().is_err() {
                    return Err(gone);
                }
                return Err(MailboxError::NoAnswer {
                    command,
                    param: exchange.param,
                    header,
                    hang,
                });
            }
            context.host.delay_us(if looks <= QUICK_LOOKS {
                QUICK_STEP_US
            } else {
                SLOW_STEP_US
            });
        };
        let param = mailbox.read_or_zero(windows, offset::FW_MB_PARAM);
        let union = read_union(windows, mailbox);
        if windows.check().is_err() {
            return Err(gone);
        }
        Ok(Reply {
            command,
            code: MailboxHeader(header).as_response(),
            param,
            union,
        })
    }

    /// The attachment, found anew when the management firmware has restarted.
    fn follow_restart<H: Host>(
        &mut self,
        context: &mut MailboxContext<'_, H>,
        command: DriverCommand,
    ) -> Result<&mut Attachment, MailboxError> {
        let Some(found) = &mut self.attachment else {
            return Err(MailboxError::Detached { command });
        };
        let restarts = miscs::GENERIC_POR_0.on(context.windows).get();
        if restarts != found.restarts {
            if context.windows.is_gone(restarts) {
                return Err(MailboxError::DeviceGone { command });
            }
            info!(
                "the management firmware restarted ({:#x} -> {:#x})",
                found.restarts, restarts
            );
            *found = discover(context.windows, context.host, context.identity)
                .map_err(|cause| MailboxError::Lost { command, cause })?;
        }
        Ok(found)
    }
}

/// Commands that may rightly stay unanswered for long, because another driver holds the load lock.
fn may_take_long(command: DriverCommand) -> bool {
    matches!(command, DriverCommand::LOAD_REQ | DriverCommand::UNLOAD_REQ)
}

fn first_dwords(payload: &[u8]) -> [u32; 4] {
    let mut dwords = [0; 4];
    for (dword, bytes) in dwords.iter_mut().zip(payload.chunks(4)) {
        *dword = little_endian(bytes);
    }
    dwords
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn write_union(bus: &impl RegisterBus, mailbox: Element, payload: &[u8]) {
    let mut chunks = payload.chunks(4);
    for index in 0..(UNION_SIZE / 4) as u32 {
        let value = chunks.next().map_or(0, little_endian);
        mailbox.write(bus, offset::UNION_DATA + index * 4, value);
    }
}

fn read_union(bus: &impl RegisterBus, mailbox: Element) -> [u8; UNION_SIZE] {
    let mut union = [0; UNION_SIZE];
    for (index, bytes) in union.chunks_mut(4).enumerate() {
        let value = mailbox.read_or_zero(bus, offset::UNION_DATA + index as u32 * 4);
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    union
}

#[cfg(test)]
#[path = "mailbox_tests.rs"]
mod tests;
