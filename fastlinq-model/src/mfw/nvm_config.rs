//! The NVM configuration (nvm_cfg1): global, port and function settings, and access to them by option number.
//!
//! The firmware keeps a copy in the scratchpad, where drivers read it, and the original in the flash.

use super::codes::response;
use super::reply::{Reply, Request, payload_of_bytes, word};
use super::topology::Topology;
use crate::Chip;

/// Bytes of nvm_cfg1.
pub(crate) const BLOCK_BYTES: u32 = 4240;
const PORT_OFFSET: u32 = 0x230;
const PORT_BYTES: u32 = 0x258;
const FUNCTION_OFFSET: u32 = 0xb90;
const FUNCTION_BYTES: u32 = 0x50;

const ALL: u32 = 1 << 16;
const INIT: u32 = 1 << 17;
const COMMIT: u32 = 1 << 18;
const FREE: u32 = 1 << 19;
const SELECT_ENTITY: u32 = 1 << 20;
const RESTORE_DEFAULTS: u32 = 1 << 21;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entity {
    Global,
    Port,
    Function,
}

/// One option that can be read and written by number.
struct Setting {
    id: u16,
    entity: Entity,
    offset: u32,
    shape: Shape,
    user: bool,
}

#[derive(Clone, Copy)]
enum Shape {
    /// Bits of one DW.
    Bits { shift: u32, width: u32 },
    /// A MAC address in two DWs.
    Mac,
    /// A byte string.
    Text { bytes: u32 },
}

const fn bits(id: u16, entity: Entity, offset: u32, shift: u32, width: u32) -> Setting {
    Setting {
        id,
        entity,
        offset,
        shape: Shape::Bits { shift, width },
        user: true,
    }
}

/// The options this firmware knows. Numbers and positions are known by source reading.
const SETTINGS: [Setting; 18] = [
    Setting {
        id: 0x01,
        entity: Entity::Function,
        offset: 0x00,
        shape: Shape::Mac,
        user: true,
    },
    bits(0x09, Entity::Global, 0x00, 4, 8),
    Setting {
        id: 0x0e,
        entity: Entity::Global,
        offset: 0x14,
        shape: Shape::Text { bytes: 16 },
        user: false,
    },
    bits(0x1a, Entity::Port, 0x08, 16, 4),
    bits(0x1b, Entity::Port, 0x14, 0, 16),
    bits(0x1d, Entity::Port, 0x18, 0, 4),
    bits(0x1e, Entity::Port, 0x18, 4, 3),
    bits(0x1f, Entity::Port, 0x18, 7, 4),
    bits(0x20, Entity::Port, 0x18, 11, 3),
    bits(0x26, Entity::Global, 0x2c, 0, 8),
    Setting {
        user: false,
        ..bits(0x4c, Entity::Global, 0x50, 0, 16)
    },
    Setting {
        user: false,
        ..bits(0x6b, Entity::Global, 0x7c, 0, 24)
    },
    Setting {
        user: false,
        ..bits(0x6c, Entity::Global, 0x80, 0, 32)
    },
    bits(0x75, Entity::Global, 0x88, 0, 5),
    bits(0x7e, Entity::Port, 0x48, 0, 8),
    bits(0x91, Entity::Port, 0x18, 17, 3),
    bits(0xc1, Entity::Port, 0x24, 16, 8),
    Setting {
        user: false,
        ..bits(0xc5, Entity::Global, 0x9c, 0, 32)
    },
];

/// What a card's configuration is made from.
pub(crate) struct NvmConfigSource {
    pub(crate) topology: Topology,
    pub(crate) macs: [[u8; 6]; 16],
    pub(crate) speeds: u32,
    pub(crate) mbi_version: u32,
}

/// The configuration block and the session in which options are changed.
pub(crate) struct NvmConfig {
    defaults: Vec<u32>,
    stored: Vec<u32>,
    staged: Option<Session>,
}

struct Session {
    owner: u8,
    words: Vec<u32>,
}

fn fill(source: &NvmConfigSource) -> Vec<u32> {
    let mut words = vec![0; (BLOCK_BYTES / 4) as usize];
    let mut put = |offset: u32, value: u32| {
        if let Some(word) = words.get_mut((offset / 4) as usize) {
            *word = value;
        }
    };
    put(0x00, 1 << 4); // default multi-function mode: one function per port
    for (index, chunk) in b"SW-0000000000000".chunks_exact(4).enumerate() {
        put(
            0x14 + 4 * index as u32,
            u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]),
        );
    }
    put(0x2c, port_mode(source.topology));
    put(
        0x50,
        match source.topology.chip {
            Chip::Bb => 0x1656_1077,
            Chip::K2 => 0x8070_1077,
        },
    );
    put(0x7c, source.mbi_version);
    put(0x80, 0x2026_0101);
    put(0x88, 1); // Ethernet
    put(0x9c, 0x0008_4500);
    for port in 0..4 {
        let base = PORT_OFFSET + PORT_BYTES * port;
        put(base + 0x08, 1 << 20);
        put(base + 0x14, source.speeds | source.speeds << 16);
        put(base + 0x18, 7 << 4 | 7 << 11 | 7 << 17); // negotiate speed, pause and error correction
        put(base + 0x24, 1 << 16); // energy saving: balanced
        put(base + 0x48, 1); // pluggable module
    }
    for (function, mac) in source.macs.iter().enumerate() {
        let base = FUNCTION_OFFSET + FUNCTION_BYTES * function as u32;
        put(base, u32::from(mac[0]) << 8 | u32::from(mac[1]));
        put(
            base + 4,
            u32::from_be_bytes([mac[2], mac[3], mac[4], mac[5]]),
        );
    }
    words
}

fn port_mode(topology: Topology) -> u32 {
    match topology.ports() {
        1 => 0xd,
        2 => 0xc,
        _ => 0xe,
    }
}

impl NvmConfig {
    pub(crate) fn new(source: &NvmConfigSource) -> Self {
        let words = fill(source);
        Self {
            defaults: words.clone(),
            stored: words,
            staged: None,
        }
    }

    /// The committed block.
    pub(crate) fn words(&self) -> &[u32] {
        &self.stored
    }

    /// GET_NVM_CFG_OPTION and SET_NVM_CFG_OPTION. The flag says that the block was committed and has to be published.
    pub(crate) fn execute(
        &mut self,
        function: u8,
        port: u8,
        request: &Request,
        set: bool,
    ) -> (Reply, bool) {
        let param = request.param;
        if param & INIT != 0 {
            if self
                .staged
                .as_ref()
                .is_some_and(|session| session.owner != function)
            {
                return (Reply::code(response::OPTION_BUSY), false);
            }
            if self.staged.is_none() {
                self.staged = Some(Session {
                    owner: function,
                    words: self.stored.clone(),
                });
            }
        }
        let Some(session) = self
            .staged
            .as_mut()
            .filter(|session| session.owner == function)
        else {
            return (Reply::code(response::OPTION_NOT_ALLOCATED), false);
        };
        let reply = if param & RESTORE_DEFAULTS != 0 {
            if set {
                session.words.clone_from(&self.defaults);
            }
            Reply::ok()
        } else if param & ALL != 0 {
            Reply::code(response::OPTION_UNKNOWN)
        } else {
            one_option(&mut session.words, function, port, request, set)
        };
        let mut committed = false;
        if param & COMMIT != 0 && set {
            self.stored.clone_from(&session.words);
            committed = true;
        }
        if param & FREE != 0 {
            self.staged = None;
        }
        (reply, committed)
    }

    /// Forgets what a function staged when it is reset.
    pub(crate) fn abandon(&mut self, function: u8) {
        if self
            .staged
            .as_ref()
            .is_some_and(|session| session.owner == function)
        {
            self.staged = None;
        }
    }
}

fn one_option(words: &mut [u32], function: u8, port: u8, request: &Request, set: bool) -> Reply {
    let Some(setting) = SETTINGS
        .iter()
        .find(|setting| u32::from(setting.id) == request.param & 0xffff)
    else {
        return Reply::code(response::OPTION_UNKNOWN);
    };
    if set && !setting.user {
        return Reply::code(response::OPTION_NON_USER);
    }
    let selected = (request.param & SELECT_ENTITY != 0).then_some(request.param >> 24 & 0xf);
    let base = match setting.entity {
        Entity::Global => 0,
        Entity::Port => PORT_OFFSET + PORT_BYTES * (selected.unwrap_or(port.into()) & 3),
        Entity::Function => {
            FUNCTION_OFFSET + FUNCTION_BYTES * (selected.unwrap_or(function.into()) & 0xf)
        }
    };
    let index = ((base + setting.offset) / 4) as usize;
    if set {
        write_option(words, index, setting.shape, &request.payload);
        return Reply::ok();
    }
    let (bytes, length) = read_option(words, index, setting.shape);
    Reply::ok()
        .with_param(length)
        .with_payload(payload_of_bytes(&bytes))
}

fn mask(shift: u32, width: u32) -> u32 {
    (u32::MAX >> (32 - width)) << shift
}

fn read_option(words: &[u32], index: usize, shape: Shape) -> (Vec<u8>, u32) {
    let at = |offset: usize| words.get(index + offset).copied().unwrap_or(0);
    match shape {
        Shape::Bits { shift, width } => {
            let value = (at(0) & mask(shift, width)) >> shift;
            (value.to_le_bytes().to_vec(), width.div_ceil(8))
        }
        Shape::Mac => {
            let mut bytes = at(0).to_be_bytes()[2..].to_vec();
            bytes.extend_from_slice(&at(1).to_be_bytes());
            (bytes, 6)
        }
        Shape::Text { bytes } => {
            let text = (0..bytes as usize / 4)
                .flat_map(|offset| at(offset).to_be_bytes())
                .collect();
            (text, bytes)
        }
    }
}

fn write_option(words: &mut [u32], index: usize, shape: Shape, payload: &[u8]) {
    let mut put = |offset: usize, mask: u32, value: u32| {
        if let Some(word) = words.get_mut(index + offset) {
            *word = *word & !mask | value & mask;
        }
    };
    match shape {
        Shape::Bits { shift, width } => put(0, mask(shift, width), word(payload, 0) << shift),
        Shape::Mac => {
            put(0, 0xffff, word(payload, 0).swap_bytes() >> 16);
            put(
                1,
                u32::MAX,
                (word(payload, 0) >> 16 | word(payload, 1) << 16).swap_bytes(),
            );
        }
        Shape::Text { bytes } => {
            for offset in 0..bytes as usize / 4 {
                put(offset, u32::MAX, word(payload, offset).swap_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes::command;
    use super::*;

    fn config() -> NvmConfig {
        let mut macs = [[0; 6]; 16];
        for (function, mac) in macs.iter_mut().enumerate() {
            *mac = [2, 0x0e, 0x1e, 0x11, 0x22, function as u8];
        }
        let topology = Topology::new(Chip::K2, 2, 2);
        NvmConfig::new(&NvmConfigSource {
            topology,
            macs,
            speeds: 0xb,
            mbi_version: 0x0008_1e05,
        })
    }

    fn request(param: u32, payload: &[u8]) -> Request {
        let command = command::GET_NVM_CFG_OPTION;
        Request {
            command,
            sequence: 1,
            param,
            payload: payload_of_bytes(payload),
        }
    }

    fn get(config: &mut NvmConfig, id: u32) -> Reply {
        config
            .execute(1, 1, &request(id | INIT | FREE, &[]), false)
            .0
    }

    #[test]
    fn blocks_lie_where_drivers_look() {
        let config = config();
        let at = |offset: u32| config.words()[(offset / 4) as usize];
        assert_eq!(at(0) >> 4 & 0xff, 1);
        assert_eq!(at(0x2c), 0xc);
        assert_eq!(at(0x88), 1);
        assert_eq!(at(0x230 + 0x258 + 0x14) & 0xffff, 0xb);
        assert_eq!(at(0xb90 + 0x50), 0x020e);
        assert_eq!(at(0xb90 + 0x54), 0x1e11_2201);
        assert_eq!(config.words().len() * 4, 4240);
    }

    #[test]
    fn options_are_read_by_number() {
        let mut config = config();
        let mac = get(&mut config, 0x01);
        assert_eq!((mac.response, mac.param), (response::OK, 6));
        assert_eq!(mac.payload.unwrap()[..6], [2, 0x0e, 0x1e, 0x11, 0x22, 1]);
        assert_eq!(get(&mut config, 0x26).payload.unwrap()[0], 0xc);
        assert_eq!(get(&mut config, 0x0e).payload.unwrap()[..3], *b"SW-");
        assert_eq!(get(&mut config, 0x2ff).response, response::OPTION_UNKNOWN);
        let other = config
            .execute(
                1,
                1,
                &request(0x01 | INIT | FREE | SELECT_ENTITY | 5 << 24, &[]),
                false,
            )
            .0;
        assert_eq!(other.payload.unwrap()[5], 5);
    }

    #[test]
    fn changes_wait_for_their_commit() {
        let mut config = config();
        let speed =
            |config: &NvmConfig| config.words()[((0x230 + 0x258 + 0x18) / 4) as usize] & 0xf;
        let (reply, committed) = config.execute(1, 1, &request(0x1d | INIT, &[4]), true);
        assert_eq!(
            (reply.response, committed, speed(&config)),
            (response::OK, false, 0)
        );
        assert_eq!(
            config
                .execute(0, 0, &request(0x1d | INIT, &[4]), true)
                .0
                .response,
            response::OPTION_BUSY
        );
        assert_eq!(
            config.execute(0, 0, &request(0x1d, &[4]), true).0.response,
            response::OPTION_NOT_ALLOCATED
        );
        let new_mac = request(0x01 | COMMIT | FREE, &[0xa, 0xb, 0xc, 0xd, 0xe, 0xf]);
        let (reply, committed) = config.execute(1, 1, &new_mac, true);
        assert_eq!(
            (reply.response, committed, speed(&config)),
            (response::OK, true, 4)
        );
        assert_eq!(
            get(&mut config, 0x01).payload.unwrap()[..6],
            [0xa, 0xb, 0xc, 0xd, 0xe, 0xf]
        );
        let restore = request(0xffff | INIT | COMMIT | FREE | RESTORE_DEFAULTS, &[]);
        assert!(config.execute(1, 1, &restore, true).1);
        assert_eq!(speed(&config), 0);
    }

    #[test]
    fn a_reset_abandons_the_session() {
        let mut config = config();
        config.execute(1, 1, &request(0x1d | INIT, &[4]), true);
        config.abandon(1);
        assert_eq!(
            config.execute(1, 1, &request(0x1d, &[4]), true).0.response,
            response::OPTION_NOT_ALLOCATED
        );
    }

    #[test]
    fn identity_cannot_be_set() {
        let mut config = config();
        let reply = config
            .execute(0, 0, &request(0x6b | INIT | FREE, &[1]), true)
            .0;
        assert_eq!(reply.response, response::OPTION_NON_USER);
    }
}
