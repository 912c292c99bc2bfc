//! A frame's way through the whole card: doorbell, transmit, wire, receive, completion, status block, interrupt.

mod bench;

use std::collections::VecDeque;

use bench::{Bench, slow_path::slow_path_on};
use fastlinq_model::Wire;

/// A plug that connects a port with itself.
#[derive(Default)]
struct Plug(VecDeque<Vec<u8>>);

impl Wire for Plug {
    fn transmit(&mut self, frame: &[u8]) {
        self.0.push_back(frame.to_vec());
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        self.0.pop_front()
    }
}

const RX_CID: u32 = 16;
const TX_CID: u32 = 17;

/// Sends a mailbox command with a union, and gives the response code.
fn mailbox(bench: &mut Bench, command: u32, union: &[u32]) -> u32 {
    let sections = 0xe0_0000 | bench.read(0x8c20);
    let address = 0xe2_0000 + 4 * (bench.read(sections + 4) & 0xffff);
    let sequence = bench.read(address).wrapping_add(1) & 0xffff;
    for index in 0..8 {
        bench.write(
            address + 0x18 + 4 * index as u32,
            union.get(index).copied().unwrap_or(0),
        );
    }
    bench.write(address + 4, 0);
    bench.write(address, command << 16 | sequence);
    bench.read(address + 8) >> 16
}

#[test]
fn a_frame_comes_back_through_a_loopback_plug() {
    let mut bench = Bench::k2();
    bench.card.set_wire(0, Box::new(Plug::default()));
    let slow = slow_path_on(&mut bench);
    // INIT_PHY: negotiate, offering every speed.
    assert_eq!(mailbox(&mut bench, 0x2200, &[0, 0, 0x7f]), 0x2120);
    slow.post_common(&mut bench, 0, 1, slow.data);
    bench.doorbell(0, 0x0001_108c);

    // Status block 1 for the queue pair.
    let block = bench.allocate(32);
    bench.write(0x1c_8008, block as u32);
    bench.write(0x1c_800c, (block >> 32) as u32);

    let mut vport = [0; 72];
    vport[2..4].copy_from_slice(&1500u16.to_le_bytes());
    vport[6] = 0x09;
    slow.eth(&mut bench, 1, (1, 1), 0, &vport);

    let [cq_pbl, cq, bds, tx_pbl, tx] = [(); 5].map(|()| bench.allocate(0x1000));
    bench.store(cq_pbl, &cq.to_le_bytes());
    bench.store(tx_pbl, &tx.to_le_bytes());
    bench.store(bds + 510 * 8, &bds.to_le_bytes());
    let mut rx_start = [0; 56];
    rx_start[2] = 1;
    rx_start[4..6].copy_from_slice(&2048u16.to_le_bytes());
    rx_start[6] = 1;
    rx_start[12] = 1;
    rx_start[32..40].copy_from_slice(&cq_pbl.to_le_bytes());
    rx_start[40..48].copy_from_slice(&bds.to_le_bytes());
    bench.bar_write(0, 0x1_11f8, 0);
    slow.eth(&mut bench, 2, (4, 6), RX_CID, &rx_start);
    let mut tx_start = [0; 48];
    tx_start[0] = 1;
    tx_start[2] = 1;
    tx_start[7] = 2;
    tx_start[20] = 1;
    tx_start[24..26].copy_from_slice(&0xffffu16.to_le_bytes());
    tx_start[32..40].copy_from_slice(&tx_pbl.to_le_bytes());
    slow.eth(&mut bench, 3, (6, 4), TX_CID, &tx_start);
    // Active in both directions, promiscuous.
    let mut update = [0; 440];
    update[1..6].copy_from_slice(&[1, 1, 1, 1, 1]);
    update[48] = 0x34;
    slow.eth(&mut bench, 4, (2, 2), 0, &update);
    bench.signals.take();

    let buffers = bench.allocate(0x1_0000);
    for slot in 0..32 {
        bench.store(bds + 8 * slot, &(buffers + 2048 * slot).to_le_bytes());
    }
    bench.bar_write(0, 0x1_11f8, 128 << 16 | 32);

    let frame: Vec<u8> = (0..200)
        .map(|byte| if byte < 12 { 2 } else { byte as u8 })
        .collect();
    let data = bench.allocate(0x1000);
    bench.store(data, &frame);
    let mut bd = [0; 16];
    bd[0..8].copy_from_slice(&data.to_le_bytes());
    bd[8] = 200;
    bd[12] = 1;
    bd[13] = 1;
    bd[14..16].copy_from_slice(&(200u16 << 2).to_le_bytes());
    bench.store(tx, &bd);
    bench.doorbell(4 * u64::from(TX_CID), 1 << 16 | 0x1084);
    assert_eq!(
        bench.load::<4>(block),
        [0, 0, 1, 0],
        "the transmit consumer is index 1"
    );
    assert_eq!(bench.signals.take(), [(0, 1)]);

    bench.card.poll();
    assert_eq!(bench.load::<4>(block), [1, 0, 1, 0], "one completion");
    assert_eq!(bench.signals.take(), [], "masked since the first message");
    bench.bar_write(0, 0xf008, 1 << 24 | 1);
    assert_eq!(bench.signals.take(), [(0, 1)]);
    let cqe: [u8; 32] = bench.load(cq);
    assert_eq!(
        (cqe[0], u16::from_le_bytes([cqe[2], cqe[3]]), cqe[14]),
        (1, 200, 2)
    );
    assert_eq!(bench.load::<200>(buffers + 2)[..], frame[..]);
    let counters = bench.card.counters();
    assert_eq!((counters.frames_sent, counters.frames_received), (1, 1));
    bench.assert_clean();
}
