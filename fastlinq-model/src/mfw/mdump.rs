//! Crash dumps of the management firmware: configuration, trigger, retained data.

use super::codes::response;
use super::reply::{Reply, Request, payload_of};

/// A dump was triggered from outside.
pub(crate) const REASON_TRIGGER: u32 = 1 << 1;

/// State of the crash dump feature.
#[derive(Default)]
pub(crate) struct CrashDump {
    enabled: bool,
    epoch: u32,
    logs: u32,
    /// Valid, epoch, PF, status.
    retained: [u32; 4],
    reason: u32,
}

impl CrashDump {
    const LOG_SLOTS: u32 = 1;

    /// Why there is a dump: the word that GLOBAL shows.
    pub(crate) fn reason(&self) -> u32 {
        self.reason
    }

    /// Executes an operation; `function` is the PF that asks.
    pub(crate) fn execute(&mut self, function: u8, request: &Request) -> Reply {
        match request.param & 0xff {
            1 => {
                self.reason = 0;
                Reply::ok()
            }
            2 => {
                self.epoch = request.word(0);
                Reply::ok()
            }
            3 => {
                self.logs = Self::LOG_SLOTS;
                self.retained = [1, self.epoch, function.into(), 0];
                self.reason |= REASON_TRIGGER;
                Reply::ok()
            }
            4 => {
                let words = [
                    1,
                    u32::from(self.enabled),
                    self.epoch,
                    Self::LOG_SLOTS,
                    self.logs,
                ];
                Reply::ok().with_payload(payload_of(&words))
            }
            5 => {
                self.enabled = request.word(0) != 0 || request.param >> 8 & 0xf != 0;
                Reply::ok()
            }
            6 => {
                self.logs = 0;
                self.reason = 0;
                Reply::ok()
            }
            7 => Reply::ok().with_payload(payload_of(&self.retained)),
            8 => {
                self.retained = [0; 4];
                Reply::ok()
            }
            0xa | 0xc | 0xd => Reply::code(response::MDUMP_NO_IMAGE),
            0xb => Reply::ok(),
            _ => Reply::code(response::MDUMP_INVALID_COMMAND),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes::command;
    use super::super::reply::word;
    use super::*;

    fn ask(dump: &mut CrashDump, param: u32, word: u32) -> Reply {
        dump.execute(
            3,
            &Request {
                command: command::MDUMP,
                sequence: 1,
                param,
                payload: payload_of(&[word]),
            },
        )
    }

    #[test]
    fn a_triggered_dump_is_retained_until_cleared() {
        let mut dump = CrashDump::default();
        assert_eq!(word(&ask(&mut dump, 7, 0).payload.unwrap(), 0), 0);
        ask(&mut dump, 2, 0x5000);
        ask(&mut dump, 5, 1);
        ask(&mut dump, 3, 0);
        assert_eq!(dump.reason(), REASON_TRIGGER);
        let config = ask(&mut dump, 4, 0).payload.unwrap();
        assert_eq!(
            [0, 1, 2, 3, 4].map(|at| word(&config, at)),
            [1, 1, 0x5000, 1, 1]
        );
        let retained = ask(&mut dump, 7, 0).payload.unwrap();
        assert_eq!([0, 1, 2].map(|at| word(&retained, at)), [1, 0x5000, 3]);
        ask(&mut dump, 6, 0);
        ask(&mut dump, 8, 0);
        assert_eq!(
            (
                dump.reason(),
                word(&ask(&mut dump, 7, 0).payload.unwrap(), 0)
            ),
            (0, 0)
        );
    }

    #[test]
    fn unknown_operations_are_invalid() {
        let mut dump = CrashDump::default();
        for opcode in [0, 9, 0xe, 0xff] {
            assert_eq!(
                ask(&mut dump, opcode, 0).response,
                response::MDUMP_INVALID_COMMAND
            );
        }
        assert_eq!(ask(&mut dump, 0xa, 0).response, response::MDUMP_NO_IMAGE);
    }
}
