//! RSS and flow steering.

use fastlinq_pac::hsi::{EthRamrodCmdId, RxUpdateGftFilterRamrodData, VportUpdateRamrodData};

use super::frames::{OURS, plain, tcp4, udp4};
use super::harness::{Bench, Driver, RxRing, pair};
use crate::fabric::{Fabric, Function, StormId};

const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

fn ready(bench: &mut Bench, queues: u16) -> (Driver, Vec<RxRing>) {
    let mut driver = Driver::started(bench, 0);
    driver.start_vport(bench, 0);
    driver.add_mac(bench, 0, OURS);
    let rings = (0..queues)
        .map(|id| {
            let mut ring = driver.start_rx(bench, id, 0, 1536, 1, 1);
            ring.fill(bench, 100);
            ring
        })
        .collect();
    (driver, rings)
}

fn rss(capabilities: u16) -> VportUpdateRamrodData {
    let mut update = VportUpdateRamrodData::default();
    update.common.update_rss_flg = 1;
    let config = &mut update.rss_config;
    config.rss_mode = 1;
    config.update_rss_capabilities = 1;
    config.capabilities = capabilities.into();
    config.tbl_size = 7;
    config.update_rss_key = 1;
    for (dword, bytes) in config.rss_key.iter_mut().zip(KEY.chunks_exact(4)) {
        *dword = u32::from_le_bytes(bytes.try_into().unwrap()).into();
    }
    config.update_rss_ind_table = 1;
    for (index, entry) in config.indirection_table.iter_mut().enumerate() {
        *entry = (index as u16 % 4).into();
    }
    update
}

#[test]
fn hashes_choose_queues() {
    let mut bench = Bench::new();
    let (mut driver, mut rings) = ready(&mut bench, 4);
    driver.update_vport(&mut bench, &rss(0x0f));
    bench.receive(&tcp4(1, "", 10));
    // The published vector: 0x51ccc178 for addresses and ports, entry 0x78, queue 0.
    let (cqe, _) = rings[0].packet(&bench).unwrap();
    assert_eq!((cqe.rss_hash.get(), cqe.bitfields), (0x51cc_c178, 2));
    bench.receive(&udp4((2794, 1766), 10));
    // UDP hashes addresses only: 0x323e8fc2, entry 0x42, queue 2.
    let (cqe, _) = rings[2].packet(&bench).unwrap();
    assert_eq!((cqe.rss_hash.get(), cqe.bitfields), (0x323e_8fc2, 1));
    driver.update_vport(&mut bench, &rss(0x3f));
    bench.receive(&udp4((2794, 1766), 10));
    let (cqe, _) = rings[0].packet(&bench).unwrap();
    assert_eq!((cqe.rss_hash.get(), cqe.bitfields), (0x51cc_c178, 5));
    bench.receive(&plain(OURS, 60));
    let (cqe, _) = rings[0].packet(&bench).unwrap();
    assert_eq!(
        (cqe.rss_hash.get(), cqe.bitfields),
        (0, 0),
        "the default queue"
    );
    bench.assert_quiet();
}

#[test]
fn a_single_entry_changes_through_storm_ram() {
    let mut bench = Bench::new();
    let (mut driver, mut rings) = ready(&mut bench, 4);
    driver.update_vport(&mut bench, &rss(0x0f));
    bench
        .fabric
        .set_ram(StormId::T, 0x1c0, &[0, 0x78, 3, 0, 0, 0, 0, 1]);
    bench
        .storm
        .ram_written(&mut bench.fabric, Function::pf(0), StormId::T, 0x1c0, 8);
    assert_eq!(bench.fabric.ram8(StormId::T, 0x1c7), 0, "taken");
    bench.receive(&tcp4(1, "", 10));
    assert!(rings[3].packet(&bench).is_some());
    bench
        .fabric
        .set_ram(StormId::T, 0x1c0, &[9, 0x78, 3, 0, 0, 0, 0, 1]);
    bench
        .storm
        .ram_written(&mut bench.fabric, Function::pf(0), StormId::T, 0x1c0, 8);
    assert!(bench.fabric.violations[0].contains("unknown vport or entry"));
}

#[test]
fn a_table_entry_without_queue_discards() {
    let mut bench = Bench::new();
    let (mut driver, mut rings) = ready(&mut bench, 1);
    let mut update = rss(0x0f);
    update.rss_config.indirection_table = [200.into(); 128];
    driver.update_vport(&mut bench, &update);
    bench.receive(&tcp4(1, "", 10));
    assert!(rings[0].packet(&bench).is_none());
    assert_eq!(bench.counter(StormId::M, 0x3d20 + 24), 1);
}

fn gft(
    bench: &mut Bench,
    driver: &mut Driver,
    sample: &[u8],
    delete: bool,
    vport: u16,
    queue: u16,
) -> u8 {
    let address = bench.allocate(sample.len() as u64);
    bench.fabric.write(address, sample);
    let data = RxUpdateGftFilterRamrodData {
        pkt_hdr_addr: pair(address),
        pkt_hdr_length: (sample.len() as u16).into(),
        rx_qid: queue.into(),
        rx_qid_valid: 1,
        flow_id: 0x77.into(),
        flow_id_valid: 1,
        vport_id: vport.into(),
        filter_action: delete.into(),
        ..Default::default()
    };
    driver.eth(bench, EthRamrodCmdId::RX_UPDATE_GFT_FILTER, 0, &data)
}

#[test]
fn flows_are_steered_and_dropped() {
    let mut bench = Bench::new();
    let (mut driver, mut rings) = ready(&mut bench, 3);
    let mut sample = tcp4(0, "", 0);
    sample[16..18].fill(0);
    assert_eq!(
        gft(&mut bench, &mut driver, &sample, false, 0, 2),
        21,
        "no profile"
    );
    let function = Function::pf(0);
    bench.fabric.set_register(function, 0x1f_1100, 1);
    bench.fabric.set_register(function, 0x1f_11bc, 1);
    bench
        .fabric
        .set_register(function, 0x1f_1000, 1 << 31 | 1 << 30 | 1 << 19);
    bench.fabric.set_register(function, 0x1f_1004, 0b1110);
    assert_eq!(
        gft(&mut bench, &mut driver, &sample, false, 0, 2),
        21,
        "no memory for the searcher"
    );
    bench.fabric.set_register(function, 0x23_8540, 1);
    assert_eq!(gft(&mut bench, &mut driver, &sample, false, 0, 2), 0);
    assert_eq!(
        gft(&mut bench, &mut driver, &sample, false, 0, 1),
        21,
        "the same flow"
    );
    let mut second = sample.clone();
    second[34] ^= 1;
    assert_eq!(
        gft(&mut bench, &mut driver, &second, false, 0, 1),
        21,
        "one free element"
    );
    bench.receive(&tcp4(5, "", 100));
    let (cqe, _) = rings[2].packet(&bench).unwrap();
    assert_eq!(cqe.flow_id_or_resource_id.get(), 0x77);
    bench.receive(&udp4((2794, 1766), 100));
    assert!(rings[0].packet(&bench).is_some(), "another protocol");
    // A CAM line that wants something else: IPv6, UDP, a tunnel, another PF.
    for line in [
        1 << 1 | 1 << 15,
        10 << 3 | 0xf << 17,
        1 << 7 | 0xf << 21,
        3 << 11 | 0xf << 25,
    ] {
        bench.fabric.set_register(function, 0x1f_1100, 1 | line);
        bench.receive(&tcp4(5, "", 100));
        assert!(rings[0].packet(&bench).is_some(), "CAM line {line:#x}");
    }
    // And one that wants just this.
    let line = 1 << 15 | 7 << 3 | 0xf << 17 | 0xf << 21 | 0xf << 25;
    bench.fabric.set_register(function, 0x1f_1100, 1 | line);
    bench.receive(&tcp4(5, "", 100));
    assert!(rings[2].packet(&bench).is_some());
    assert_eq!(gft(&mut bench, &mut driver, &sample, true, 0, 2), 0);
    assert_eq!(
        gft(&mut bench, &mut driver, &sample, true, 0, 2),
        21,
        "gone"
    );
    assert_eq!(gft(&mut bench, &mut driver, &sample, false, 0x1ff, 0), 0);
    bench.receive(&tcp4(5, "", 100));
    assert!(rings.iter_mut().all(|ring| ring.packet(&bench).is_none()));
    assert_eq!(bench.counter(StormId::T, 0x3288 + 128), 1);
}
