//! One mailbox command and its answer.

use super::codes::response;

/// Bytes of the payload that both directions share.
pub(crate) const UNION_BYTES: usize = 32;

/// A command, taken from the mailbox at the moment the driver wrote its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) command: u16,
    pub(crate) sequence: u16,
    pub(crate) param: u32,
    pub(crate) payload: [u8; UNION_BYTES],
}

impl Request {
    /// DW `index` of the payload, 0 beyond its end.
    pub(crate) fn word(&self, index: usize) -> u32 {
        word(&self.payload, index)
    }
}

/// DW `index` of a payload, 0 beyond its end.
pub(crate) fn word(payload: &[u8], index: usize) -> u32 {
    payload.get(4 * index..4 * index + 4).map_or(0, |bytes| {
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    })
}

/// Builds a payload from DWs.
pub(crate) fn payload_of(words: &[u32]) -> [u8; UNION_BYTES] {
    let mut payload = [0; UNION_BYTES];
    for (slot, word) in payload.chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    payload
}

/// Builds a payload from bytes; what does not fit is dropped.
pub(crate) fn payload_of_bytes(bytes: &[u8]) -> [u8; UNION_BYTES] {
    let mut payload = [0; UNION_BYTES];
    for (slot, byte) in payload.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    payload
}

/// An answer. Without a payload the driver's own payload stays in the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) response: u16,
    pub(crate) param: u32,
    pub(crate) payload: Option<[u8; UNION_BYTES]>,
}

impl Reply {
    pub(crate) fn code(response: u16) -> Self {
        Self {
            response,
            param: 0,
            payload: None,
        }
    }

    pub(crate) fn ok() -> Self {
        Self::code(response::OK)
    }

    /// The answer to a command that this firmware does not know: parameter 0 and a zeroed payload.
    pub(crate) fn unsupported() -> Self {
        Self {
            response: response::UNSUPPORTED,
            param: 0,
            payload: Some([0; UNION_BYTES]),
        }
    }

    pub(crate) fn with_param(self, param: u32) -> Self {
        Self { param, ..self }
    }

    pub(crate) fn with_payload(self, payload: [u8; UNION_BYTES]) -> Self {
        Self {
            payload: Some(payload),
            ..self
        }
    }
}

/// What executing a command led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Reply(Reply),
    /// The answer has to wait for another function.
    Wait,
    /// There is no answer: the processor restarts.
    Restart,
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Outcome::Reply(reply)
    }
}
