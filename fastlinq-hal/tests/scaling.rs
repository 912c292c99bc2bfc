//! Receive-side scaling and queue pairs that come and go, with traffic.

mod rig;

use std::collections::HashSet;

use fastlinq_hal::adapter::{AdapterConfig, Cause, InterruptMode, Misuse};
use fastlinq_hal::queue::{Coalescing, QueuePairId};
use fastlinq_hal::vport::{HashedHeaders, RSS_TABLE_ENTRIES, RssConfig, VportConfig};
use fastlinq_model_host::model::Chip;
use rig::frames::{Flow, ethernet};
use rig::{Memory, Queue, RSS_KEY, Rig, Setup};

/// Source, destination, ports, hash of the addresses, hash with the ports of TCP.
type Vector = (&'static str, &'static str, (u16, u16), u32, u32);
const VECTORS: [Vector; 8] = [
    (
        "66.9.149.187",
        "161.142.100.80",
        (2794, 1766),
        0x323e_8fc2,
        0x51cc_c178,
    ),
    (
        "199.92.111.2",
        "65.69.140.83",
        (14230, 4739),
        0xd718_262a,
        0xc626_b0ea,
    ),
    (
        "24.19.198.95",
        "12.22.207.184",
        (12898, 38024),
        0xd2d0_a5de,
        0x5c2b_394a,
    ),
    (
        "38.27.205.30",
        "209.142.163.6",
        (48228, 2217),
        0x8298_9176,
        0xafc7_327f,
    ),
    (
        "153.39.163.191",
        "202.188.127.2",
        (44251, 1303),
        0x5d18_09c5,
        0x10e8_28a2,
    ),
    (
        "3ffe:2501:200:1fff::7",
        "3ffe:2501:200:3::1",
        (2794, 1766),
        0x2cc1_8cd5,
        0x4020_7d3d,
    ),
    (
        "3ffe:501:8::260:97ff:fe40:efab",
        "ff02::1",
        (14230, 4739),
        0x0f0c_461c,
        0xdde5_1bbf,
    ),
    (
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
        "fe80::200:f8ff:fe21:67cf",
        (44251, 38024),
        0x4b61_e985,
        0x02d1_feef,
    ),
];

/// Many flows, one frame each.
fn flows(rig: &Rig, count: u16) -> Vec<Vec<u8>> {
    (0..count)
        .map(|port| Flow::new(rig.mac, "10.1.2.3", "10.1.2.4", (1000 + port, 80)).frame(&[7; 100]))
        .collect()
}

#[test]
fn the_published_vectors_choose_the_queue_and_are_reported() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = Rig::new(Setup {
            chip,
            ..Setup::default()
        });
        rig.scale(HashedHeaders::default());
        for (source, destination, ports, two, four) in VECTORS {
            let v4 = source.parse::<std::net::Ipv4Addr>().is_ok();
            let tcp = Flow::new(rig.mac, source, destination, ports);
            let (types, cases) = if v4 {
                ([2, 1], [tcp, tcp.udp()])
            } else {
                ([4, 3], [tcp, tcp.udp()])
            };
            for ((flow, hash), hash_type) in cases.into_iter().zip([four, two]).zip(types) {
                let (queue, packet) = rig.arrival(&flow.frame(&[1; 50])).unwrap();
                assert_eq!(packet.hash(), hash, "{source} {hash_type}");
                assert_eq!(packet.hash_type(), hash_type);
                assert_eq!(queue, (hash % 128 % 4) as usize);
            }
        }
        // UDP ports, on request.
        rig.scale(HashedHeaders::all());
        let (source, destination, ports, _, four) = VECTORS[0];
        let udp = Flow::new(rig.mac, source, destination, ports).udp();
        let (_, packet) = rig.arrival(&udp.frame(&[1; 50])).unwrap();
        assert_eq!((packet.hash(), packet.hash_type()), (four, 5));
        // Without a hash: the first queue.
        let other = ethernet(rig.mac, 0x88b5, &[3; 60]);
        let (queue, packet) = rig.arrival(&other).unwrap();
        assert_eq!((queue, packet.hash_type(), packet.hash()), (0, 0, 0));
        rig.finish();
    }
}

#[test]
fn a_table_of_128_entries_is_taken_as_it_is_and_scaling_ends_on_request() {
    let mut rig = Rig::new(Setup::default());
    let queues = rig.queue_ids();
    let table: Vec<_> = (0..RSS_TABLE_ENTRIES)
        .map(|entry| queues[if entry < 100 { 1 } else { 3 }])
        .collect();
    rig.scale(HashedHeaders::default());
    rig.adapter.set_rss_table(rig.vport, &table).unwrap();
    for frame in flows(&rig, 60) {
        let (queue, packet) = rig.arrival(&frame).unwrap();
        let expected = if packet.hash() % 128 < 100 { 1 } else { 3 };
        assert_eq!(queue, expected);
    }
    assert_eq!(
        rig.adapter.rss(rig.vport).unwrap().unwrap().table[..],
        table[..]
    );
    rig.adapter.disable_rss(rig.vport).unwrap();
    assert_eq!(rig.adapter.rss(rig.vport).unwrap(), None);
    for frame in flows(&rig, 10) {
        let (queue, packet) = rig.arrival(&frame).unwrap();
        assert_eq!((queue, packet.hash_type()), (0, 0));
    }
    rig.finish();
}

#[test]
fn what_scaling_cannot_be_is_named() {
    let mut rig = Rig::new(Setup::default());
    let queues = rig.queue_ids();
    let other = rig.adapter.start_vport(VportConfig::default()).unwrap();
    let mut set = |vport, queues: &[QueuePairId]| {
        let config = RssConfig {
            queues,
            hashed: HashedHeaders::default(),
            key: &RSS_KEY,
        };
        match rig.adapter.set_rss(vport, &config) {
            Err(Cause::Misuse(misuse)) => Some(misuse),
            Ok(()) => None,
            Err(other) => panic!("{other}"),
        }
    };
    let vport = rig.vport;
    assert_eq!(set(vport, &[]), Some(Misuse::RssTable { queues: 0 }));
    let many = vec![queues[0]; 129];
    assert_eq!(set(vport, &many), Some(Misuse::RssTable { queues: 129 }));
    assert_eq!(
        set(other, &queues),
        Some(Misuse::NoSuchQueuePair(queues[0]))
    );
    assert_eq!(set(vport, &queues), None);
    assert_eq!(set(other, &queues), Some(Misuse::RssEngineTaken(vport)));
    assert!(matches!(
        rig.adapter.set_rss_table(other, &queues),
        Err(Cause::Misuse(Misuse::NoRss(_)))
    ));
    rig.adapter.stop_vport(other).unwrap();
    rig.finish();
}

#[test]
fn queue_pairs_close_one_by_one_and_no_flow_is_lost() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = Rig::new(Setup {
            chip,
            queues: 5,
            ..Setup::default()
        });
        rig.scale(HashedHeaders::default());
        let frames = flows(&rig, 100);
        let spread =
            |rig: &mut Rig| -> Vec<usize> { rig.arrive(&frames).iter().map(Vec::len).collect() };
        let all = spread(&mut rig);
        assert_eq!(all.iter().sum::<usize>(), 100);
        assert!(all.iter().all(|count| *count > 5), "{all:?}");
        // The first one also takes what has no hash.
        let plain = ethernet(rig.mac, 0x88b5, &[3; 60]);
        while rig.queues.len() > 1 {
            let id = rig.queues[0].port.id();
            rig.close(0);
            let rss = rig.adapter.rss(rig.vport).unwrap().unwrap();
            assert!(!rss.names(id));
            let left = spread(&mut rig);
            assert_eq!(left.iter().sum::<usize>(), 100, "after {id:?}");
            assert!(left.iter().all(|count| *count > 5), "{left:?}");
            assert!(rig.arrival(&plain).is_some(), "after {id:?}");
            // The others send on.
            rig.queues[0].send(&plain);
            rig.settle();
            assert_eq!(rig.sent(), std::slice::from_ref(&plain));
        }
        rig.close(0);
        assert_eq!(rig.adapter.rss(rig.vport).unwrap(), None);
        assert_eq!(rig.adapter.default_queue_pair(rig.vport).unwrap(), None);
        rig.finish();
    }
}

#[test]
fn a_queue_pair_restarts_with_other_buffers_under_traffic_of_the_others() {
    let mut rig = Rig::new(Setup::default());
    rig.scale(HashedHeaders::default());
    let frames = flows(&rig, 100);
    for round in 0..6u16 {
        let index = usize::from(round % 4);
        let Queue { port, memory, .. } = rig.queues.remove(index);
        let (id, vector) = (port.id(), port.vector());
        let fresh = Memory::new(&rig.host, if round % 2 == 0 { 4096 } else { 2048 });
        let port = rig
            .adapter
            .restart_queue_pair(port, &fresh.request())
            .unwrap();
        drop(memory);
        assert_eq!((port.id(), port.vector()), (id, vector));
        rig.queues.insert(index, Queue::new(port, fresh));
        // Before it takes part again, the others have its flows.
        let counts: Vec<_> = rig.arrive(&frames).iter().map(Vec::len).collect();
        assert_eq!((counts.iter().sum::<usize>(), counts[index]), (100, 0));
        let queues = rig.queue_ids();
        rig.adapter.set_rss_table(rig.vport, &queues).unwrap();
        let counts: Vec<_> = rig.arrive(&frames).iter().map(Vec::len).collect();
        assert_eq!(counts.iter().sum::<usize>(), 100);
        assert!(counts[index] > 5);
    }
    rig.finish();
}

#[test]
fn a_certain_queue_pair_can_be_opened_and_one_that_is_open_cannot() {
    let mut rig = Rig::new(Setup::default());
    let spare = Memory::new(&rig.host, 2048);
    let taken = rig.queues[2].port.id();
    let refused = rig
        .adapter
        .open_queue_pair_at(rig.vport, taken, &spare.request())
        .unwrap_err();
    assert_eq!(refused.cause, Cause::Misuse(Misuse::QueuePairOpen(taken)));
    rig.close(2);
    let port = rig
        .adapter
        .open_queue_pair_at(rig.vport, taken, &spare.request())
        .unwrap();
    assert_eq!(port.id(), taken);
    rig.queues.insert(2, Queue::new(port, spare));
    rig.finish();
}

#[test]
fn coalescing_is_each_queue_pairs_own_and_is_read_back() {
    let host = fastlinq_model_host::ModelHost::builder()
        .interrupt_vectors(8)
        .build();
    let config = AdapterConfig {
        queue_pairs: 3,
        interrupts: InterruptMode::MsiX,
        ..AdapterConfig::default()
    };
    let mut adapter = rig::bring_up(fastlinq_hal::adapter::Adapter::new(host.clone(), config));
    let vport = adapter.start_vport(VportConfig::default()).unwrap();
    let memories: Vec<_> = (0..3).map(|_| Memory::new(&host, 2048)).collect();
    let ports: Vec<_> = memories
        .iter()
        .map(|memory| adapter.open_queue_pair(vport, &memory.request()).unwrap())
        .collect();
    let vectors: HashSet<_> = ports.iter().map(|port| port.vector()).collect();
    assert_eq!(vectors.len(), 3);
    // Beyond 127 µs the device counts in steps of 2 µs, beyond 255 µs in steps of 4.
    let times = [
        ((0, 0), (0, 0)),
        ((100, 301), (100, 300)),
        ((511, 129), (508, 128)),
    ];
    let coalescing = |(receive_us, transmit_us)| Coalescing {
        receive_us,
        transmit_us,
    };
    for (port, (wish, _)) in ports.iter().zip(times) {
        adapter.set_coalescing(port.id(), coalescing(wish)).unwrap();
    }
    for (port, (_, kept)) in ports.iter().zip(times) {
        assert_eq!(adapter.coalescing(port.id()).unwrap(), coalescing(kept));
    }
    // A queue pair that is opened anew has what its request says, not what the last one had.
    for port in ports {
        adapter.close_queue_pair(port).unwrap();
    }
    let port = adapter
        .open_queue_pair(vport, &memories[0].request())
        .unwrap();
    assert_eq!(
        adapter.coalescing(port.id()).unwrap(),
        Coalescing::IMMEDIATE
    );
    adapter.close_queue_pair(port).unwrap();
    adapter.down().unwrap();
    assert_eq!(host.violations(), []);
}

#[test]
fn fragments_and_tags_and_unhashed_headers_fall_back_as_the_specification_says() {
    let mut rig = Rig::new(Setup::default());
    rig.scale(HashedHeaders::default());
    let (source, destination, ports, two, four) = VECTORS[0];
    let flow = Flow::new(rig.mac, source, destination, ports);
    let frame = flow.frame(&[1; 64]);
    // A tag in front changes nothing.
    let (_, packet) = rig.arrival(&rig::frames::tagged(&frame, 9)).unwrap();
    assert_eq!((packet.hash(), packet.hash_type()), (four, 2));
    // A fragment has no ports, not even the first one.
    for fragment in [0x2000u16, 0x2008, 0x0010] {
        let mut frame = frame.clone();
        frame[20..22].copy_from_slice(&fragment.to_be_bytes());
        frame[24..26].fill(0);
        let checksum = rig::frames::fold(rig::frames::sum(&frame[14..34]));
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        let (queue, packet) = rig.arrival(&frame).unwrap();
        assert_eq!((packet.hash(), packet.hash_type()), (two, 1));
        assert_eq!(queue, (two % 128 % 4) as usize);
    }
    // With addresses off, what has no ports has no hash.
    rig.scale(HashedHeaders::IPV4_TCP);
    let (_, packet) = rig.arrival(&frame).unwrap();
    assert_eq!((packet.hash(), packet.hash_type()), (four, 2));
    let (queue, packet) = rig.arrival(&flow.udp().frame(&[1; 64])).unwrap();
    assert_eq!((queue, packet.hash(), packet.hash_type()), (0, 0, 0));
    rig.finish();
}

#[test]
fn a_queue_pair_that_could_not_be_closed_is_closed_later() {
    let mut rig = Rig::new(Setup::default());
    rig.scale(HashedHeaders::default());
    let Queue { port, memory, .. } = rig.queues.remove(1);
    rig.host.faults().vanish();
    let failed = rig.adapter.close_queue_pair(port).unwrap_err();
    assert!(matches!(failed.cause, Cause::Ramrod(_)), "{failed}");
    rig.host.faults().clear();
    rig.adapter.close_queue_pair(failed.port).unwrap();
    drop(memory);
    let frames = flows(&rig, 50);
    let counts: Vec<_> = rig.arrive(&frames).iter().map(Vec::len).collect();
    assert_eq!(counts.iter().sum::<usize>(), 50);
    rig.finish();
}
