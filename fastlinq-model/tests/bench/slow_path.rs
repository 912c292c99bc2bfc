//! What a driver sets up for its first ramrod.

use super::Bench;

/// The internal translation table.
pub const ILT: u32 = 0x26_0000;

/// Programs the normal doorbell region: 16 CORE connections, then 32 ETH ones.
pub fn doorbells_on(bench: &mut Bench) {
    bench.write(0x10_0400, 1);
    for kind in 0..8 {
        let bound = [0, 0, 0, 1, 3, 3, 3, 3][kind as usize];
        bench.write(0x10_0408 + 4 * kind, bound);
    }
    bench.write(0x10_0508, 1);
}

/// Where a slow path lives in host memory.
pub struct SlowPath {
    pub queue: u64,
    pub events: u64,
    pub data: u64,
    pub block: u64,
    pub context: u64,
}

/// What a driver sets up before PF_START: contexts, slow-path queue, event queue, default status block, doorbells.
pub fn slow_path_on(bench: &mut Bench) -> SlowPath {
    let (block, _) = bench.interrupts_on();
    let page = bench.allocate(0x1_0000);
    // 51 contexts of 1280 bytes per 64-KiB page; ILT lines 100 to 101 are this PF's CDUC.
    bench.write(0x58_0900, 0x3310_0500);
    bench.write(0x24_0010, 4);
    bench.write(0x24_0048, 100);
    bench.write(0x24_004c, 101);
    bench.write(ILT + 8 * 100, (page >> 12) as u32);
    bench.write(ILT + 8 * 100 + 4, 1 << 20 | (page >> 44) as u32);
    let [queue, pbl, events, data] = [(); 4].map(|()| bench.allocate(0x1000));
    bench.store(page + 128, &queue.to_le_bytes());
    // Doorbell flags active and enabled, consolidation producer enabled, physical queue.
    for (offset, byte) in [(371, 1 << 7), (379, 1 << 6), (380, 1), (386, 4), (387, 2)] {
        bench.store(page + offset, &[byte]);
    }
    bench.store(pbl, &events.to_le_bytes());
    // PF_START: event ring, one page, status block 0 index 0; HSI 3.11; personality ETH.
    let mut start = [0; 80];
    start[0..8].copy_from_slice(&pbl.to_le_bytes());
    start[40] = 1;
    start[45] = 6;
    start[48] = 2;
    start[52] = 11;
    start[54] = 3;
    bench.store(data, &start);
    doorbells_on(bench);
    SlowPath {
        queue,
        events,
        data,
        block,
        context: page,
    }
}

impl SlowPath {
    /// Puts a COMMON ramrod into the queue, without ringing.
    pub fn post_common(&self, bench: &mut Bench, index: u64, command: u8, data: u64) {
        self.post(bench, index, (8, command, 0), data);
    }

    fn post(
        &self,
        bench: &mut Bench,
        index: u64,
        (protocol, command, cid): (u8, u8, u32),
        data: u64,
    ) {
        let opaque = bench.bar_read(0, 0x1f8);
        let mut element = [0; 16];
        element[0..4].copy_from_slice(&(opaque << 16 | cid).to_le_bytes());
        element[4] = command;
        element[5] = protocol;
        element[6..8].copy_from_slice(&(index as u16).to_le_bytes());
        element[8..16].copy_from_slice(&data.to_le_bytes());
        bench.store(self.queue + 16 * (index & 0xff), &element);
    }

    /// Runs ETH ramrod number `index` of the queue, and demands its event with return code 0.
    pub fn eth(
        &self,
        bench: &mut Bench,
        index: u16,
        (command, event): (u8, u8),
        cid: u32,
        data: &[u8],
    ) {
        let place = bench.allocate(0x1000);
        bench.store(place, data);
        self.post(bench, index.into(), (4, command, cid), place);
        bench.doorbell(0, 0x108c | u32::from(index + 1) << 16);
        let [low, high] = index.to_le_bytes();
        let element: [u8; 8] = bench.load(self.events + 16 * u64::from(index));
        assert_eq!(
            element,
            [4, event, 0, 0xff, low, high, 0, 0],
            "ramrod {command}"
        );
        bench.card.write(
            0,
            fastlinq_model::Bar::Registers,
            0x1_4000,
            &(index + 1).to_le_bytes(),
        );
    }
}
