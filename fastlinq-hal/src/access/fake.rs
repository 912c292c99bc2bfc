//! A card for unit tests: windows, registers that remember, DMAE, and a management firmware by script.

use core::cell::RefCell;
use core::ptr::NonNull;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec::Vec;

use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse, MailboxHeader, SectionWord};
use fastlinq_pac::{BusAddress, GrcAddress};

use crate::core_state::Core;
use crate::host::{AllocationError, Bar, Clock, DmaAllocator, DmaRegion, Host, PciIdentity};

pub(crate) const SCRATCH: u32 = 0xe2_0000;
pub(crate) const TABLE: u32 = SCRATCH + 0x1000;
pub(crate) const MAILBOX: u32 = SCRATCH + 0x1100;
pub(crate) const EVENTS: u32 = SCRATCH + 0x1600;
pub(crate) const GLOBAL: u32 = SCRATCH + 0x1a00;
pub(crate) const PATH: u32 = SCRATCH + 0x1b00;
pub(crate) const PORT: u32 = SCRATCH + 0x2000;
pub(crate) const FUNCTION: u32 = SCRATCH + 0x6000;
pub(crate) const RESTARTS: u32 = 0x96d4;
pub(crate) const CPU_STATE: u32 = 0xe0_5004;

/// What the scripted management firmware does with a command.
pub(crate) enum Act {
    Answer(u16, u32, Vec<u32>),
    Silence,
    StaleSequence,
    Restart,
    Die,
}

pub(crate) struct Request {
    pub(crate) command: DriverCommand,
    pub(crate) param: u32,
    pub(crate) union: [u32; 8],
}

type Script = Box<dyn FnMut(&Request) -> Act>;

pub(crate) struct Card {
    pub(crate) registers: BTreeMap<u32, u32>,
    /// Pretend word, address and value of each register write.
    pub(crate) writes: Vec<(u32, u32, u32)>,
    pub(crate) targets: [u32; 12],
    pub(crate) pretends: [u32; 12],
    pub(crate) raw_writes: Vec<(usize, u32)>,
    pub(crate) gone: bool,
    pub(crate) reads_left: Option<u32>,
    pub(crate) opaque: u32,
    pub(crate) concrete: u32,
    pub(crate) bar_bytes: usize,
    pub(crate) time_us: u64,
    pub(crate) stuck: bool,
    pub(crate) dmae_silent: bool,
    pub(crate) dmae_flip: bool,
    pub(crate) regions: Vec<(u64, usize)>,
    pub(crate) freed: usize,
    pub(crate) script: Option<Script>,
    pub(crate) requests: Vec<(DriverCommand, u32)>,
}

impl Card {
    fn read(&mut self, offset: usize) -> u32 {
        if let Some(left) = &mut self.reads_left {
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => self.gone = true,
            }
        }
        if self.gone {
            return u32::MAX;
        }
        match offset {
            0x1f8 => self.opaque,
            0x1fc => self.concrete,
            0x1000..0xd000 => {
                let window = offset / 0x1000 - 1;
                let address = (self.targets[window] << 2) + (offset % 0x1000) as u32;
                self.registers.get(&address).copied().unwrap_or(0)
            }
            _ => 0,
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        if self.gone {
            return;
        }
        self.raw_writes.push((offset, value));
        match offset {
            0..0x60 if offset % 8 == 0 => self.targets[offset / 8] = value & 0x7f_ffff,
            0..0x60 => self.pretends[offset / 8] = value,
            0x1000..0xd000 => {
                let window = offset / 0x1000 - 1;
                let address = (self.targets[window] << 2) + (offset % 0x1000) as u32;
                self.writes.push((self.pretends[window], address, value));
                self.registers.insert(address, value);
                self.react(address, value);
            }
            _ => {}
        }
    }

    fn react(&mut self, address: u32, value: u32) {
        if address == MAILBOX {
            self.answer(MailboxHeader(value));
        }
        if address == CPU_STATE {
            // Ones clear, unless the processor is stuck.
            let state = if self.stuck { 1 << 10 } else { 0 };
            self.set(CPU_STATE, state);
        }
        if (0xc048..0xc0c8).contains(&address) && value == 1 {
            self.run_dmae((address - 0xc048) / 4);
        }
    }

    pub(crate) fn value(&self, address: u32) -> u32 {
        self.registers.get(&address).copied().unwrap_or(0)
    }

    pub(crate) fn set(&mut self, address: u32, value: u32) {
        self.registers.insert(address, value);
    }

    fn answer(&mut self, header: MailboxHeader) {
        let mut union = [0; 8];
        for (index, dword) in union.iter_mut().enumerate() {
            *dword = self.value(MAILBOX + 0x18 + index as u32 * 4);
        }
        let request = Request {
            command: header.as_command(),
            param: self.value(MAILBOX + 4),
            union,
        };
        self.requests.push((request.command, request.param));
        let Some(mut script) = self.script.take() else {
            return;
        };
        let act = script(&request);
        self.script = Some(script);
        match act {
            Act::Answer(code, param, data) => {
                for index in 0..8 {
                    let value = data.get(index).copied().unwrap_or(0);
                    self.set(MAILBOX + 0x18 + index as u32 * 4, value);
                }
                self.set(MAILBOX + 0xc, param);
                let reply = MailboxHeader::response(FirmwareResponse(code), header.sequence());
                self.set(MAILBOX + 8, reply.0);
            }
            Act::Silence => {}
            Act::StaleSequence => {
                let stale = header.sequence().wrapping_sub(1);
                let reply = MailboxHeader::response(FirmwareResponse::OK, stale);
                self.set(MAILBOX + 8, reply.0);
            }
            Act::Restart => {
                let restarts = self.value(RESTARTS);
                self.set(RESTARTS, restarts + 1);
                self.set(MAILBOX, 0x10);
                self.set(MAILBOX + 8, 0);
            }
            Act::Die => self.gone = true,
        }
    }

    #[allow(unsafe_code)]
    fn memory(&mut self, address: u64, bytes: usize) -> &mut [u8] {
        let inside = self
            .regions
            .iter()
            .any(|(base, len)| address >= *base && address + bytes as u64 <= base + *len as u64);
        assert!(inside, "DMA at {address:#x} leaves all regions");
        // SAFETY: inside a region, which a test never frees.
        unsafe { core::slice::from_raw_parts_mut(address as usize as *mut u8, bytes) }
    }

    fn run_dmae(&mut self, channel: u32) {
        let word = |index: u32| self.value(0xc800 + channel * 56 + index * 4);
        let opcode = word(0);
        let source = u64::from(word(1)) | u64::from(word(2)) << 32;
        let target = u64::from(word(3)) | u64::from(word(4)) << 32;
        let dwords = word(5) & 0xffff;
        let completion = u64::from(word(6)) | u64::from(word(7)) << 32;
        let value = word(8);
        if self.dmae_silent {
            return;
        }
        for index in 0..dwords {
            let mut dword = if opcode & 1 == 0 {
                let bytes = self.memory(source + u64::from(index) * 4, 4);
                u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
            } else {
                self.value(((source as u32) + index) << 2)
            };
            if self.dmae_flip && index == 3 {
                dword ^= 1;
            }
            match opcode >> 1 & 3 {
                1 => self
                    .memory(target + u64::from(index) * 4, 4)
                    .copy_from_slice(&dword.to_le_bytes()),
                _ => self.set(((target as u32) + index) << 2, dword),
            }
        }
        self.memory(completion, 4)
            .copy_from_slice(&value.to_le_bytes());
    }
}

/// BAR0 of the card; clones are the same card.
#[derive(Clone)]
pub(crate) struct FakeBar(pub(crate) Rc<RefCell<Card>>);

impl Bar for FakeBar {
    fn len(&self) -> usize {
        self.0.borrow().bar_bytes
    }
    fn read32(&self, offset: usize) -> u32 {
        self.0.borrow_mut().read(offset)
    }
    fn write32(&self, offset: usize, value: u32) {
        self.0.borrow_mut().write(offset, value);
    }
    fn write16(&self, offset: usize, value: u16) {
        self.0.borrow_mut().write(offset, value.into());
    }
}

/// A region that says when it is freed, and then stays all the same.
pub(crate) struct FakeRegion {
    pointer: NonNull<u64>,
    len: usize,
    card: Rc<RefCell<Card>>,
}

#[allow(unsafe_code)]
// SAFETY: the leaked slice is this region's alone, stays in place for good and covers `len` bytes.
unsafe impl DmaRegion for FakeRegion {
    fn pointer(&self) -> NonNull<u8> {
        self.pointer.cast()
    }
    fn bus_address(&self) -> BusAddress {
        BusAddress(self.pointer.as_ptr() as usize as u64)
    }
    fn len(&self) -> usize {
        self.len
    }
}

impl Drop for FakeRegion {
    fn drop(&mut self) {
        self.card.borrow_mut().freed += 1;
    }
}

pub(crate) struct FakeHost {
    pub(crate) card: Rc<RefCell<Card>>,
    pub(crate) identity: PciIdentity,
}

impl DmaAllocator for FakeHost {
    type Region = FakeRegion;
    fn allocate(&mut self, size: usize, _: usize) -> Result<FakeRegion, AllocationError> {
        let words: Box<[u64]> = std::vec![0; size.div_ceil(8)].into_boxed_slice();
        let pointer: NonNull<u64> = NonNull::from(Box::leak(words)).cast();
        let base = pointer.as_ptr() as usize as u64;
        self.card.borrow_mut().regions.push((base, size));
        Ok(FakeRegion {
            pointer,
            len: size,
            card: self.card.clone(),
        })
    }
}

impl Clock for FakeHost {
    fn now_us(&self) -> u64 {
        self.card.borrow().time_us
    }
}

impl embedded_hal::delay::DelayNs for FakeHost {
    fn delay_ns(&mut self, ns: u32) {
        self.card.borrow_mut().time_us += u64::from(ns) / 1000;
    }
}

impl Host for FakeHost {
    type Bar = FakeBar;
    fn registers(&self) -> FakeBar {
        FakeBar(self.card.clone())
    }
    fn doorbells(&self) -> FakeBar {
        FakeBar(self.card.clone())
    }
    fn identity(&self) -> PciIdentity {
        self.identity
    }
}

/// K2, function 0 on port 0 of a card with two ports and a management firmware that answers by `script`.
pub(crate) fn card(script: impl FnMut(&Request) -> Act + 'static) -> Core<FakeHost> {
    let mut card = Card {
        registers: BTreeMap::new(),
        writes: Vec::new(),
        targets: [0; 12],
        pretends: [0; 12],
        raw_writes: Vec::new(),
        gone: false,
        reads_left: None,
        opaque: 0,
        concrete: 0,
        bar_bytes: 0x2_0000,
        time_us: 1_000,
        stuck: false,
        dmae_silent: false,
        dmae_flip: false,
        regions: Vec::new(),
        freed: 0,
        script: Some(Box::new(script)),
        requests: Vec::new(),
    };
    card.set(0x8c20, 0x2_1000);
    card.set(0x8c00, 1);
    card.set(RESTARTS, 7);
    card.set(TABLE, 6);
    let sections = [
        (MAILBOX, 0x38),
        (EVENTS, 0x3c),
        (GLOBAL, 0x68),
        (PATH, 0x28),
        (PORT, 0xda0),
        (FUNCTION, 0x88),
    ];
    for (index, (address, bytes)) in sections.into_iter().enumerate() {
        let word = SectionWord::new(address - SCRATCH, bytes);
        card.set(TABLE + 4 + index as u32 * 4, word.0);
    }
    card.set(EVENTS, 27);
    card.set(GLOBAL + 4, 2);
    card.set(GLOBAL + 0x18, 0x083b_1400);
    card.set(MAILBOX, 0x1000_0041);
    Core::new(FakeHost {
        card: Rc::new(RefCell::new(card)),
        identity: PciIdentity {
            vendor: 0x1077,
            device: 0x8070,
            revision: 2,
            subsystem_vendor: 0x1077,
            subsystem: 1,
        },
    })
}

/// [`card`], identified and attached.
pub(crate) fn attached(script: impl FnMut(&Request) -> Act + 'static) -> Core<FakeHost> {
    let mut core = card(script);
    core.identify().expect("identified");
    crate::mfw::attach(&mut core).expect("attached");
    core
}

/// Answers everything with OK.
pub(crate) fn agreeable(_: &Request) -> Act {
    Act::Answer(0x16, 0, Vec::new())
}

impl Core<FakeHost> {
    pub(crate) fn card(&self) -> core::cell::RefMut<'_, Card> {
        self.host.card.borrow_mut()
    }

    pub(crate) fn register(&self, address: GrcAddress) -> u32 {
        self.card().value(address.value())
    }
}
