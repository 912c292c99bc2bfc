//! Mailbox exchanges and ramrods, put together from the accesses that make them.

use std::collections::BTreeMap;

use fastlinq_pac::Chip;
use fastlinq_pac::hsi::{EthRamrodCmdId, ProtocolId};
use fastlinq_pac::mfw::{DriverCommand, ResourceId};

use crate::names;
use crate::names::structures::{self, Field};
use crate::record::{Record, Timed, Words};

/// The management firmware's scratchpad.
pub(crate) const SCRATCHPAD: core::ops::Range<u32> = 0xe2_0000..0xe4_8000;
/// Offsets in a function's mailbox: answer and its parameter; the union, and its bytes.
const ANSWER: u32 = 8;
const ANSWER_PARAMETER: u32 = 12;
const PARAMETER: u32 = 4;
const UNION: u32 = 24;
const UNION_BYTES: u32 = 32;
/// Words of the scratchpad that are remembered between two commands.
const MAX_WORDS: usize = 4096;

/// A command to the management firmware and its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Absolute PF id.
    pub function: u8,
    /// Command code.
    pub command: u16,
    /// Parameter.
    pub parameter: u32,
    /// What the driver wrote into the union for it, by offset.
    pub payload: BTreeMap<u32, u32>,
    /// Answer and its parameter; `None` when the driver saw none.
    pub answer: Option<(u16, u32)>,
}

impl Exchange {
    /// The name of the command; with the resource, where it is about one.
    pub fn name(&self) -> String {
        let command = names::command(self.command);
        match self.resource() {
            Some(resource) => match ResourceId(resource).name() {
                Some(name) => format!("{command} {name}"),
                None => format!("{command} {resource:#x}"),
            },
            None => command,
        }
    }

    /// The resource that the command is about.
    fn resource(&self) -> Option<u32> {
        let about_resources = [
            DriverCommand::GET_RESOURCE_ALLOC,
            DriverCommand::SET_RESOURCE_VALUE,
        ];
        about_resources
            .contains(&DriverCommand(self.command))
            .then(|| self.payload.get(&0).copied())
            .flatten()
    }

    /// What has to be equal for two commands to be the same request.
    pub(crate) fn key(&self) -> (u16, Option<u32>, u32) {
        // Locks and tests are told apart by their parameter.
        let by_parameter = [DriverCommand::RESOURCE_CMD, DriverCommand::BIST_TEST];
        let parameter = if by_parameter.contains(&DriverCommand(self.command)) {
            self.parameter
        } else {
            0
        };
        (self.command, self.resource(), parameter)
    }

    /// The payload by fields, or by words where its structure has no name.
    pub fn fields(&self) -> Vec<Field> {
        let load_request = DriverCommand::LOAD_REQ.value();
        if self.command == load_request {
            let mut bytes = [0; UNION_BYTES as usize];
            for (&offset, word) in &self.payload {
                let start = offset as usize;
                if let Some(place) = bytes.get_mut(start..start + 4) {
                    place.copy_from_slice(&word.to_le_bytes());
                }
            }
            return structures::fields("LoadReq", &bytes);
        }
        self.payload
            .iter()
            .map(|(offset, &word)| Field {
                name: format!("union[{offset:#x}]"),
                value: word.into(),
                address: false,
            })
            .collect()
    }
}

/// A ramrod that the storm firmware executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Protocol id.
    pub protocol: u8,
    /// Command id.
    pub command: u8,
    /// Connection.
    pub cid: u32,
    /// Return code of the firmware.
    pub return_code: u8,
    /// Its data as the firmware read it.
    pub data: Vec<u8>,
}

impl Call {
    /// The name of the ramrod; of an update of a vport with what it is mostly about.
    pub fn name(&self) -> String {
        let ramrod = names::ramrod(self.protocol, self.command);
        match self.subject() {
            Some((_, subject)) => format!("{ramrod} ({subject})"),
            None => ramrod,
        }
    }

    /// What has to be equal for two ramrods to be the same request.
    pub(crate) fn key(&self) -> (u8, u8, Option<usize>) {
        let subject = self.subject().map(|(number, _)| number);
        (self.protocol, self.command, subject)
    }

    /// What an update of a vport is mostly about, and its number.
    fn subject(&self) -> Option<(usize, &'static str)> {
        let update = EthRamrodCmdId::VPORT_UPDATE.value();
        if (self.protocol, self.command) != (ProtocolId::ETH.value(), update) {
            return None;
        }
        let fields = self.fields();
        UPDATES
            .iter()
            .enumerate()
            .find_map(|(number, (flag, subject))| {
                let set = |field: &Field| field.name == *flag && field.value != 0;
                fields.iter().any(set).then_some((number, *subject))
            })
    }

    /// The data by fields, or by bytes where its structure has no name.
    pub fn fields(&self) -> Vec<Field> {
        match names::ramrod_structure(self.protocol, self.command) {
            Some(name) => structures::fields(name, &self.data),
            None => self
                .data
                .iter()
                .enumerate()
                .map(|(offset, &byte)| Field {
                    name: format!("[{offset}]"),
                    value: byte.into(),
                    address: false,
                })
                .collect(),
        }
    }
}

/// Flags of VPORT_UPDATE, and what an update with them is about.
const UPDATES: [(&str, &str); 5] = [
    ("common.update_rx_active_flg", "activity"),
    ("common.update_rx_mode_flg", "receive mode"),
    ("common.update_approx_mcast_flg", "multicast"),
    ("common.update_rss_flg", "RSS"),
    ("common.update_tpa_flg", "aggregation"),
];

/// What became complete with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whole {
    /// A mailbox exchange.
    Exchange(Exchange),
    /// A ramrod.
    Call(Call),
}

/// Follows a trace, record by record.
#[derive(Clone, Debug)]
pub struct Follower {
    chip: Chip,
    last_write: u32,
    words: BTreeMap<u32, u32>,
    /// Base of the mailbox, sequence number, what is known so far.
    open: Option<(u32, u16, Exchange)>,
    data: Vec<u8>,
}

impl Follower {
    /// Follows a trace of `chip` from its beginning.
    pub fn new(chip: Chip) -> Self {
        Self {
            chip,
            last_write: 0,
            words: BTreeMap::new(),
            open: None,
            data: Vec::new(),
        }
    }

    /// The chip.
    pub fn chip(&self) -> Chip {
        self.chip
    }

    /// Takes the next record; gives what it completes.
    pub fn take(&mut self, timed: &Timed) -> Option<Whole> {
        match &timed.record {
            Record::Burst {
                address,
                words: Words::Values(values),
                write,
                ..
            } => {
                let mut complete = None;
                for (index, &value) in values.iter().enumerate() {
                    let at = address.wrapping_add(4 * index as u32);
                    if *write {
                        self.written(at, value);
                    } else if let Some(exchange) = self.read(at, value) {
                        complete = Some(Whole::Exchange(exchange));
                    }
                }
                complete
            }
            Record::Mailbox { function, header } => {
                let before = self.finish();
                self.rung(*function, *header);
                before
            }
            Record::Dma { cause, quote, .. } if cause.starts_with("ramrod ") => {
                self.data.clone_from(quote);
                None
            }
            Record::Ramrod {
                protocol,
                command,
                cid,
                return_code,
                ..
            } => Some(Whole::Call(Call {
                protocol: *protocol,
                command: *command,
                cid: *cid,
                return_code: *return_code,
                data: core::mem::take(&mut self.data),
            })),
            _ => None,
        }
    }

    /// The command that waits for its answer when the trace ends.
    pub fn finish(&mut self) -> Option<Whole> {
        self.open
            .take()
            .map(|(_, _, exchange)| Whole::Exchange(exchange))
    }

    fn written(&mut self, address: u32, value: u32) {
        self.last_write = address;
        if SCRATCHPAD.contains(&address) && self.words.len() < MAX_WORDS {
            self.words.insert(address, value);
        }
    }

    fn rung(&mut self, function: u8, header: u32) {
        let base = self.last_write;
        let words = core::mem::take(&mut self.words);
        let start = base.saturating_add(UNION);
        let payload = words
            .range(start..start.saturating_add(UNION_BYTES))
            .map(|(address, &word)| (address - start, word))
            .collect();
        let exchange = Exchange {
            function,
            command: (header >> 16) as u16,
            parameter: words
                .get(&base.wrapping_add(PARAMETER))
                .copied()
                .unwrap_or(0),
            payload,
            answer: None,
        };
        self.open = Some((base, header as u16, exchange));
    }

    fn read(&mut self, address: u32, value: u32) -> Option<Exchange> {
        let (base, sequence, exchange) = self.open.as_mut()?;
        match address.checked_sub(*base)? {
            ANSWER if value as u16 == *sequence => {
                exchange.answer = Some(((value >> 16) as u16, 0));
                None
            }
            ANSWER_PARAMETER if exchange.answer.is_some() => {
                let (_, _, mut exchange) = self.open.take()?;
                exchange.answer = exchange.answer.map(|(code, _)| (code, value));
                Some(exchange)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastlinq_model::Function;
    use fastlinq_model::observer::Path;

    fn burst(address: u32, values: &[u32], write: bool) -> Timed {
        Timed {
            at_ns: 0,
            record: Record::Burst {
                function: Function::pf(0),
                path: Path::Movable(2),
                address,
                words: Words::Values(values.to_vec()),
                write,
            },
        }
    }

    fn timed(record: Record) -> Timed {
        Timed { at_ns: 0, record }
    }

    #[test]
    fn an_exchange_is_put_together_from_its_accesses() {
        let base = SCRATCHPAD.start + 0x400;
        let mut follower = Follower::new(Chip::K2);
        let header = 0x1000_0007;
        assert_eq!(follower.take(&burst(base + 24, &[1, 2], true)), None);
        assert_eq!(follower.take(&burst(base + 4, &[9], true)), None);
        assert_eq!(follower.take(&burst(base, &[header], true)), None);
        let rung = Record::Mailbox {
            function: 0,
            header,
        };
        assert_eq!(follower.take(&timed(rung)), None);
        let stale = burst(base + 8, &[0x1001_0006], false);
        assert_eq!(follower.take(&stale), None);
        let answer = burst(base + 8, &[0x1013_0007], false);
        assert_eq!(follower.take(&answer), None);
        let Some(Whole::Exchange(exchange)) = follower.take(&burst(base + 12, &[5], false)) else {
            panic!("no exchange");
        };
        assert_eq!(exchange.name(), "LOAD_REQ");
        assert_eq!(exchange.parameter, 9);
        assert_eq!(exchange.answer, Some((0x1013, 5)));
        assert_eq!(exchange.payload.len(), 2);
        assert!(!exchange.fields().is_empty());
    }

    #[test]
    fn a_command_without_answer_is_not_lost() {
        let mut follower = Follower::new(Chip::K2);
        let rung = timed(Record::Mailbox {
            function: 0,
            header: 0x0031_0001,
        });
        assert_eq!(follower.take(&rung), None);
        assert!(matches!(
            follower.take(&rung),
            Some(Whole::Exchange(Exchange { answer: None, .. }))
        ));
        assert!(follower.finish().is_some());
        assert!(follower.finish().is_none());
    }
}
