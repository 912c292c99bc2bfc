//! A host for the adapter: memory that knows what it mapped, interrupts that are written down, and register helpers.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod slow_path;

use std::sync::{Arc, Mutex};

use fastlinq_model::{Bar, Card, CardConfig, Chip, HostMemory, Interrupts, Unmapped};

/// Where the host's memory starts.
pub const MEMORY: u64 = 0x40_0000_0000;
const MEMORY_BYTES: usize = 0x100_0000;

#[derive(Clone)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn range(address: u64, len: usize) -> Result<std::ops::Range<usize>, Unmapped> {
        let start = address.checked_sub(MEMORY).ok_or(Unmapped { address })? as usize;
        if start + len > MEMORY_BYTES {
            return Err(Unmapped { address });
        }
        Ok(start..start + len)
    }
}

impl HostMemory for Shared {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), Unmapped> {
        out.copy_from_slice(&self.0.lock().unwrap()[Self::range(address, out.len())?]);
        Ok(())
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Unmapped> {
        self.0.lock().unwrap()[Self::range(address, data.len())?].copy_from_slice(data);
        Ok(())
    }
}

/// What the adapter told the interrupt controller.
#[derive(Clone, Default)]
pub struct Signals {
    /// Messages: function and vector.
    pub messages: Arc<Mutex<Vec<(u8, u16)>>>,
    /// Line changes.
    pub lines: Arc<Mutex<Vec<(u8, bool)>>>,
}

impl Interrupts for Signals {
    fn raise(&mut self, function: u8, vector: u16) {
        self.messages.lock().unwrap().push((function, vector));
    }

    fn line(&mut self, function: u8, asserted: bool) {
        self.lines.lock().unwrap().push((function, asserted));
    }
}

impl Signals {
    /// Takes the messages so far.
    pub fn take(&self) -> Vec<(u8, u16)> {
        std::mem::take(&mut self.messages.lock().unwrap())
    }
}

/// An adapter on the bench. Registers are reached as function 0 does, through movable window 2.
pub struct Bench {
    pub card: Card,
    pub signals: Signals,
    memory: Shared,
    next: u64,
}

impl Bench {
    pub fn new(config: CardConfig) -> Self {
        let memory = Shared(Arc::new(Mutex::new(vec![0; MEMORY_BYTES])));
        let signals = Signals::default();
        let card = Card::new(config, Box::new(memory.clone()), Box::new(signals.clone()));
        Self {
            card,
            signals,
            memory,
            next: MEMORY,
        }
    }

    /// A K2 with one function and one port, allowed to do DMA.
    pub fn k2() -> Self {
        let mut bench = Self::new(CardConfig::new(Chip::K2));
        bench.write(0x2a_a16c, 1);
        bench
    }

    /// Host memory for the device, on a page of its own.
    pub fn allocate(&mut self, bytes: u64) -> u64 {
        let address = self.next;
        self.next += bytes.div_ceil(0x1000) * 0x1000;
        address
    }

    pub fn store(&self, address: u64, data: &[u8]) {
        self.memory.clone().write(address, data).unwrap();
    }

    pub fn load<const N: usize>(&self, address: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.memory.clone().read(address, &mut bytes).unwrap();
        bytes
    }

    pub fn load32(&self, address: u64) -> u32 {
        u32::from_le_bytes(self.load(address))
    }

    pub fn bar_read(&mut self, function: u8, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        self.card.read(function, Bar::Registers, offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub fn bar_write(&mut self, function: u8, offset: u64, value: u32) {
        self.card
            .write(function, Bar::Registers, offset, &value.to_le_bytes());
    }

    pub fn doorbell(&mut self, offset: u64, data: u32) {
        self.card
            .write(0, Bar::Doorbells, offset, &data.to_le_bytes());
    }

    pub fn read_as(&mut self, function: u8, address: u32) -> u32 {
        self.bar_write(function, 16, address >> 2);
        self.bar_read(function, 0x3000)
    }

    pub fn write_as(&mut self, function: u8, address: u32, value: u32) {
        self.bar_write(function, 16, address >> 2);
        self.bar_write(function, 0x3000, value);
    }

    pub fn read(&mut self, address: u32) -> u32 {
        self.read_as(0, address)
    }

    pub fn write(&mut self, address: u32, value: u32) {
        self.write_as(0, address, value);
    }

    /// Writes the pretend word of function 0's movable window 2.
    pub fn pretend(&mut self, word: u32) {
        self.bar_write(0, 20, word);
    }

    /// Runs a DMAE command on channel 0; gives back the completion word.
    pub fn dmae(&mut self, opcode: u32, source: u64, destination: u64, dwords: u32) -> u32 {
        let completion = MEMORY + MEMORY_BYTES as u64 - 8;
        self.store(completion, &[0; 4]);
        let words = [
            opcode,
            source as u32,
            (source >> 32) as u32,
            destination as u32,
            (destination >> 32) as u32,
            dwords,
            completion as u32,
            (completion >> 32) as u32,
            0xd1ae,
        ];
        for index in 0..14 {
            let word = words.get(index).copied().unwrap_or(0);
            self.write(0xc800 + 4 * index as u32, word);
        }
        self.write(0xc048, 1);
        self.load32(completion)
    }

    /// Gives status block 0 (the default one of PF 0) and its attentions memory, MSI-X mode, everything enabled.
    pub fn interrupts_on(&mut self) -> (u64, u64) {
        let block = self.allocate(32);
        let attention = self.allocate(16);
        self.write(0x1c_8000, block as u32);
        self.write(0x1c_8004, (block >> 32) as u32);
        self.write(0x18_0820, attention as u32);
        self.write(0x18_0824, (attention >> 32) as u32);
        self.write(0x18_0800, 0x0b);
        for (address, value) in [
            (0x18_083c, 0),
            (0x18_082c, 0xfff),
            (0x18_0830, 0xfff),
            (0x18_083c, 0xfff),
            (0x8494, 0xff),
        ] {
            self.write(address, value);
        }
        (block, attention)
    }

    /// A broken rule has no place in the bench's own set-up.
    pub fn assert_clean(&self) {
        assert!(
            self.card.violations().is_empty(),
            "{:#?}",
            self.card.violations()
        );
    }
}
