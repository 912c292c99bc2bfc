//! A device in memory for the tests of the rings: it follows the reference's rules for indices and pages, and can be told
//! to lie.
#![allow(dead_code, unreachable_pub)]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use fastlinq_hal::dma::DmaRegion;
use fastlinq_hal::host::{AllocationError, DmaAllocator};
use fastlinq_hal::queue::QueuePairRequest;
use fastlinq_net::{PreparedQueue, QueueConfig, QueueDevice, QueuePair, Storage};
use fastlinq_pac::BusAddress;

/// Bus addresses are pointers plus this.
const SHIFT: u64 = 0x0100_0000_0000_0000;

/// Regions that exist, by bus address.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<u64, usize>>>);

pub struct Region {
    memory: Memory,
    pointer: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the region owns its memory.
unsafe impl Send for Region {}
// SAFETY: a shared region gives out its pointer only.
unsafe impl Sync for Region {}

impl Region {
    fn bus(&self) -> u64 {
        self.pointer.as_ptr() as u64 + SHIFT
    }
}

// SAFETY: heap memory of the asked alignment that lives until drop; the bus address is the pointer plus a constant.
unsafe impl DmaRegion for Region {
    fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }
    fn bus_address(&self) -> BusAddress {
        BusAddress(self.bus())
    }
    fn len(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.memory.0.lock().unwrap().remove(&self.bus());
        // SAFETY: allocated with this layout, freed here only.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) };
    }
}

impl DmaAllocator for Memory {
    type Region = Region;
    fn allocate(&mut self, size: usize, align: usize) -> Result<Region, AllocationError> {
        let layout = Layout::from_size_align(size, align.max(4096)).unwrap();
        // SAFETY: the size is not zero in these tests.
        let pointer = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
        let region = Region {
            memory: self.clone(),
            pointer,
            layout,
        };
        self.0.lock().unwrap().insert(region.bus(), size);
        Ok(region)
    }
}

impl Memory {
    pub fn live(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn check(&self, address: u64, len: usize) -> *mut u8 {
        let map = self.0.lock().unwrap();
        let (base, size) = map
            .range(..=address)
            .next_back()
            .expect("address below all regions");
        let end = address - base + len as u64;
        assert!(
            end <= *size as u64,
            "{len} bytes at {address:#x} leave the region at {base:#x}"
        );
        (address - SHIFT) as *mut u8
    }

    pub fn read<const N: usize>(&self, address: u64) -> [u8; N] {
        let mut out = [0; N];
        self.read_into(address, &mut out);
        out
    }

    pub fn read_into(&self, address: u64, out: &mut [u8]) {
        let from = self.check(address, out.len());
        // SAFETY: inside a live region.
        unsafe { from.copy_to_nonoverlapping(out.as_mut_ptr(), out.len()) };
    }

    pub fn write(&self, address: u64, data: &[u8]) {
        let to = self.check(address, data.len());
        // SAFETY: inside a live region.
        unsafe { to.copy_from_nonoverlapping(data.as_ptr(), data.len()) };
    }

    fn word(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.read(address))
    }
}

/// The receive index rule of the reference: link slots do not count.
fn usable(index: u16) -> u32 {
    (u32::from(index) >> 9) * 510 + (u32::from(index) & 511).min(510)
}

pub struct Inner {
    memory: Memory,
    request: QueuePairRequest,
    bd_prod: u16,
    cqe_prod: u16,
    bd_cons: u16,
    bd_page: u64,
    pub cq_index: u16,
    cq_page: usize,
    tx_cons: u16,
    tx_page: usize,
    tx_prod: u16,
    /// Frames sent and not yet received.
    pub wire: VecDeque<Vec<u8>>,
    /// Frames sent.
    pub sent: u64,
    pub doorbells: u64,
    pub publishes: u64,
    /// Transmit completions are held back.
    pub stall: bool,
    /// Sent frames come back.
    pub loopback: bool,
    /// Placement offset.
    pub pad: u8,
}

#[derive(Clone)]
pub struct Soft {
    inner: Rc<RefCell<Inner>>,
    pub rx_lie: Rc<Cell<Option<u16>>>,
    pub tx_lie: Rc<Cell<Option<u16>>>,
}

impl Soft {
    pub fn new(memory: &Memory, request: QueuePairRequest) -> Self {
        let inner = Inner {
            memory: memory.clone(),
            request,
            bd_prod: 0,
            cqe_prod: 0,
            bd_cons: 0,
            bd_page: request.rx_bd_base.value(),
            cq_index: 0,
            cq_page: 0,
            tx_cons: 0,
            tx_page: 0,
            tx_prod: 0,
            wire: VecDeque::new(),
            sent: 0,
            doorbells: 0,
            publishes: 0,
            stall: false,
            loopback: true,
            pad: 2,
        };
        Self {
            inner: Rc::new(RefCell::new(inner)),
            rx_lie: Rc::default(),
            tx_lie: Rc::default(),
        }
    }

    pub fn inner(&self) -> RefMut<'_, Inner> {
        self.inner.borrow_mut()
    }
}

impl Inner {
    pub fn memory(&self) -> Memory {
        self.memory.clone()
    }

    pub fn buffers_free(&self) -> u32 {
        (usable(self.bd_prod) + 65280 - usable(self.bd_cons)) % 65280
    }

    fn next_buffer(&mut self) -> u64 {
        if self.bd_cons & 511 == 510 {
            self.bd_page = self.memory.word(self.bd_page + 510 * 8);
            self.bd_cons = self.bd_cons.wrapping_add(2);
        }
        let slot = u64::from(self.bd_cons & 511);
        self.bd_cons = self.bd_cons.wrapping_add(1);
        self.memory.word(self.bd_page + slot * 8)
    }

    /// Where the next completion goes.
    pub fn completion_address(&self) -> u64 {
        let table = self.request.cqe_pbl.value();
        let page = self.memory.word(table + self.cq_page as u64 * 8);
        page + u64::from(self.cq_index % 128) * 32
    }

    /// Writes a completion as it is and moves the index.
    pub fn complete(&mut self, cqe: [u8; 32]) {
        assert!(
            self.cqe_prod.wrapping_sub(self.cq_index) > 0,
            "no completion slot was given"
        );
        self.memory.write(self.completion_address(), &cqe);
        self.cq_index = self.cq_index.wrapping_add(1);
        if self.cq_index % 128 == 0 {
            self.cq_page = (self.cq_page + 1) % usize::from(self.request.cqe_pages);
        }
    }

    pub fn completions_free(&self) -> u16 {
        self.cqe_prod.wrapping_sub(self.cq_index)
    }

    /// Uses up `count` buffers without writing to them.
    pub fn consume(&mut self, count: u32) {
        for _ in 0..count {
            self.next_buffer();
        }
    }

    /// Receives a frame; `false` when there are no buffers for it.
    pub fn deliver(&mut self, frame: &[u8]) -> bool {
        let room = usize::from(self.request.rx_buffer_bytes);
        let pad = usize::from(self.pad);
        let first = frame.len().min(room - pad);
        let needed = 1 + (frame.len() - first).div_ceil(room);
        assert!(needed <= 5);
        if self.buffers_free() < needed as u32 || self.completions_free() == 0 {
            return false;
        }
        let at = self.next_buffer();
        self.memory.write(at + pad as u64, &frame[..first]);
        for piece in frame[first..].chunks(room) {
            let at = self.next_buffer();
            self.memory.write(at, piece);
        }
        self.complete(regular(
            frame.len() as u16,
            first as u16,
            self.pad,
            needed as u8,
        ));
        true
    }

    fn transmit(&mut self) {
        while !self.stall && self.tx_cons != self.tx_prod {
            let mut frame = Vec::new();
            let first = self.descriptor();
            let count = first[12];
            assert_eq!(first[13], 1, "START flag alone in the first descriptor");
            assert!((1..=18).contains(&count));
            let total = u16::from_le_bytes([first[14], first[15]]) >> 2;
            self.gather(&first, &mut frame);
            for _ in 1..count {
                assert_ne!(self.tx_cons, self.tx_prod, "doorbells cover whole packets");
                let next = self.descriptor();
                assert_eq!(next[10..], [0; 6]);
                self.gather(&next, &mut frame);
            }
            assert_eq!(frame.len(), usize::from(total));
            assert!((14..=9672).contains(&frame.len()));
            self.sent += 1;
            if self.loopback {
                self.wire.push_back(frame);
            }
        }
    }

    fn descriptor(&mut self) -> [u8; 16] {
        let table = self.request.tx_pbl.value();
        let page = self.memory.word(table + self.tx_page as u64 * 8);
        let bd = self.memory.read(page + u64::from(self.tx_cons % 256) * 16);
        self.tx_cons = self.tx_cons.wrapping_add(1);
        if self.tx_cons % 256 == 0 {
            self.tx_page = (self.tx_page + 1) % usize::from(self.request.tx_pages);
        }
        bd
    }

    /// Takes all descriptors up to the doorbell, without looking at them.
    pub fn take_descriptors(&mut self) -> Vec<[u8; 16]> {
        let mut taken = Vec::new();
        while self.tx_cons != self.tx_prod {
            taken.push(self.descriptor());
        }
        taken
    }

    /// Receives bytes into the next buffers, one each, without a completion.
    pub fn place(&mut self, pieces: &[&[u8]]) {
        let pad = u64::from(self.pad);
        for (position, piece) in pieces.iter().enumerate() {
            let at = self.next_buffer();
            let at = if position == 0 { at + pad } else { at };
            self.memory.write(at, piece);
        }
    }

    fn gather(&self, bd: &[u8; 16], frame: &mut Vec<u8>) {
        let address = u64::from_le_bytes(bd[..8].try_into().unwrap());
        let length = u16::from_le_bytes([bd[8], bd[9]]);
        assert_ne!(length, 0);
        let start = frame.len();
        frame.resize(start + usize::from(length), 0);
        self.memory.read_into(address, &mut frame[start..]);
    }

    /// Lets held-back completions happen, and frames come back; gives the number of frames that did.
    pub fn run(&mut self) -> usize {
        self.transmit();
        let mut delivered = 0;
        while let Some(frame) = self.wire.pop_front() {
            if !self.deliver(&frame) {
                self.wire.push_front(frame);
                break;
            }
            delivered += 1;
        }
        delivered
    }
}

impl QueueDevice for Soft {
    type Region = Region;

    fn rx_index(&self) -> u16 {
        self.rx_lie.get().unwrap_or(self.inner.borrow().cq_index)
    }
    fn tx_index(&self) -> u16 {
        self.tx_lie.get().unwrap_or(self.inner.borrow().tx_cons)
    }
    fn publish_rx(&self, bd_prod: u16, cqe_prod: u16) {
        let mut inner = self.inner();
        inner.bd_prod = bd_prod;
        inner.cqe_prod = cqe_prod;
        inner.publishes += 1;
    }
    fn ring_tx(&self, bd_prod: u16) {
        let mut inner = self.inner();
        inner.tx_prod = bd_prod;
        inner.doorbells += 1;
        inner.transmit();
    }
}

/// A regular completion.
pub fn regular(length: u16, first: u16, offset: u8, buffers: u8) -> [u8; 32] {
    let mut cqe = [0; 32];
    cqe[0] = 1;
    cqe[2..4].copy_from_slice(&length.to_le_bytes());
    cqe[12..14].copy_from_slice(&first.to_le_bytes());
    cqe[14] = offset;
    cqe[16] = buffers;
    cqe
}

/// Storage of any size, for the life of the test program.
pub fn storage(config: &QueueConfig) -> Storage<'static> {
    let buffers = config.buffers as usize;
    let links: Vec<_> = (0..buffers).map(|_| Default::default()).collect();
    Storage::from_slices(
        vec![0; buffers].leak(),
        vec![0; buffers].leak(),
        links.leak(),
        vec![0; usize::from(config.receive_ring).next_power_of_two()].leak(),
        vec![0; usize::from(config.transmit_ring).next_power_of_two()].leak(),
    )
}

/// A queue pair on the device in memory.
pub fn queue(memory: &Memory, config: &QueueConfig) -> (QueuePair<'static, Soft>, Soft) {
    queue_with(memory, config, storage(config))
}

pub fn queue_with<'m>(
    memory: &Memory,
    config: &QueueConfig,
    storage: impl Into<Storage<'m>>,
) -> (QueuePair<'m, Soft>, Soft) {
    let prepared = PreparedQueue::new(&mut memory.clone(), config, storage).unwrap();
    let soft = Soft::new(memory, prepared.request());
    (prepared.start(soft.clone()), soft)
}

/// Numbers that look random.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn frame(&mut self, length: usize) -> Vec<u8> {
        let mut frame = Vec::with_capacity(length + 8);
        while frame.len() < length {
            frame.extend_from_slice(&self.next().to_le_bytes());
        }
        frame.truncate(length);
        // An Ethertype that is no VLAN tag.
        frame[12] = 0x08;
        frame[13] = 0x00;
        frame
    }
}
