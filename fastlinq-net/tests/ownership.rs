//! Who has a buffer: records used twice, handles on other threads, frames that break rules, memory at the end.

mod common;

use std::sync::mpsc;

use common::{Memory, Random, Region, Soft, queue};
use fastlinq_hal::host::{AllocationError, DmaAllocator};
use fastlinq_net::{
    BufferNumber, ConfigError, PrepareError, PreparedQueue, QueueConfig, QueuePair, QueueStorage,
    RxFrame, RxPacket, Segment, SendError, Storage, TransmitError, TxPacket, TxRule,
};

fn small() -> QueueConfig {
    QueueConfig {
        receive_ring: 128,
        transmit_ring: 128,
        buffers: 300,
        ..QueueConfig::default()
    }
}

fn receive_one(queue: &mut QueuePair<'_, Soft>, soft: &Soft, frame: &[u8]) -> RxPacket {
    assert!(soft.inner().deliver(frame));
    let mut out = [RxPacket::EMPTY];
    assert_eq!(queue.receive(&mut out), Ok(1));
    out[0]
}

fn refused<T: core::fmt::Debug>(result: Result<T, TransmitError>) -> TxRule {
    match result {
        Err(TransmitError::Refused { accepted: 0, rule }) => rule,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_is_good_for_one_use() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &small());
    type Use = fn(&mut QueuePair<'_, Soft>, RxPacket);
    let uses: [Use; 3] = [
        |queue, packet| assert!(queue.release(&packet)),
        |queue, packet| assert_eq!(queue.transmit(&[packet]), Ok(1)),
        |queue, packet| drop(queue.worker().lend(packet).unwrap()),
    ];
    for length in [60, 4000] {
        for once in uses {
            let config = QueueConfig {
                mtu: 4000,
                ..small()
            };
            let (mut queue, soft) = common::queue(&memory, &config);
            soft.inner().loopback = false;
            let packet = receive_one(&mut queue, &soft, &vec![3; length]);
            once(&mut queue, packet);
            assert!(!queue.release(&packet));
            assert_eq!(refused(queue.transmit(&[packet])), TxRule::NotOwned);
            assert!(queue.worker().lend(packet).is_none());
            assert_eq!(queue.bytes(&packet), None);
            assert_eq!(queue.bytes_mut(&packet), None);
            assert_eq!(queue.copy_to(&packet, &mut [0; 100]), 0);
            assert_eq!(queue.segments(&packet).count(), 0);
            assert!(!queue.release_buffer(packet.buffer()));
            queue.reap().unwrap();
            let usage = queue.usage();
            assert_eq!((usage.missing(), usage.owned, usage.lent), (0, 0, 0));
        }
    }
    assert!(!queue.release(&RxPacket::EMPTY));
    assert!(queue.worker().lend(RxPacket::EMPTY).is_none());
    assert_eq!(queue.transmit(&[RxPacket::EMPTY; 0]), Ok(0));
    assert!(queue.transmit(&[RxPacket::EMPTY]).is_err());
    let packet = receive_one(&mut queue, &soft, &[5; 60]);
    queue.bytes_mut(&packet).unwrap()[0] = 6;
    assert_eq!(queue.bytes(&packet).unwrap()[..2], [6, 5]);
}

#[test]
fn a_record_of_another_queue_pair_reaches_nothing_it_should_not() {
    let memory = Memory::default();
    let (mut first, soft) = queue(
        &memory,
        &QueueConfig {
            mtu: 4000,
            ..small()
        },
    );
    let config = QueueConfig {
        buffer_bytes: 256,
        headroom: 0,
        mtu: 900,
        ..small()
    };
    let (mut second, _) = queue(&memory, &config);
    let packet = receive_one(&mut first, &soft, &[7; 4000]);
    assert!(!second.release(&packet));
    let mut mine = Vec::new();
    while let Some(buffer) = second.take_buffer() {
        mine.push(buffer);
    }
    // Now the number may well be a buffer of the program's there; what the record says about it does not fit.
    assert_eq!(second.bytes(&packet), None);
    assert!(second.transmit(&[packet]).is_err());
    assert_eq!(second.usage().missing(), 0);
    let frame = first.worker().lend(packet).unwrap();
    let frame = second.worker().reclaim(frame).unwrap_err();
    drop(frame);
    assert_eq!(first.usage().lent, 0);
}

#[test]
fn frames_that_break_a_rule_never_reach_the_ring() {
    let memory = Memory::default();
    let config = QueueConfig {
        mtu: 9600,
        buffer_bytes: 2560,
        headroom: 0,
        ..small()
    };
    let (mut queue, soft) = queue(&memory, &config);
    let buffers: Vec<_> = (0..20).map(|_| queue.take_buffer().unwrap()).collect();
    let doorbells = soft.inner().doorbells;
    let single = |offset, length| [TxPacket::new(buffers[0], offset, length)];
    let piece = |n: usize, offset, length| Segment {
        buffer: buffers[n],
        offset,
        length,
    };

    assert_eq!(refused(queue.transmit(&single(0, 0))), TxRule::EmptySegment);
    assert_eq!(refused(queue.transmit(&single(0, 13))), TxRule::TooShort);
    assert_eq!(
        refused(queue.transmit(&single(2548, 14))),
        TxRule::OutsideBuffer
    );
    assert_eq!(
        refused(queue.transmit(&single(u16::MAX, u16::MAX))),
        TxRule::OutsideBuffer
    );
    let stranger = [TxPacket::new(BufferNumber::clone(&buffers[0]), 0, 60)];
    assert!(queue.release_buffer(buffers[0]));
    assert_eq!(refused(queue.transmit(&stranger)), TxRule::NotOwned);

    let none: [Segment; 0] = [];
    assert_eq!(refused(queue.transmit_gather(&[none])), TxRule::NoSegments);
    let many: Vec<_> = (1..20).map(|n| piece(n, 0, 60)).collect();
    assert_eq!(
        refused(queue.transmit_gather(&[many])),
        TxRule::TooManySegments
    );
    let empty = [piece(1, 0, 60), piece(2, 0, 0)];
    assert_eq!(
        refused(queue.transmit_gather(&[empty])),
        TxRule::EmptySegment
    );
    let short = [piece(1, 0, 6), piece(2, 0, 7)];
    assert_eq!(refused(queue.transmit_gather(&[short])), TxRule::TooShort);
    let outside = [piece(1, 0, 60), piece(2, 2500, 61)];
    assert_eq!(
        refused(queue.transmit_gather(&[outside])),
        TxRule::OutsideBuffer
    );
    let freed = [piece(1, 0, 60), piece(0, 0, 60)];
    assert_eq!(refused(queue.transmit_gather(&[freed])), TxRule::NotOwned);
    for long in [9673, 65_535, 100_000_u32] {
        let pieces: Vec<_> = (1..=18)
            .map(|n| piece(n, 0, ((long + n as u32 - 1) / 18).min(2560) as u16))
            .collect();
        assert_eq!(refused(queue.transmit_gather(&[pieces])), TxRule::TooLong);
    }

    assert_eq!(soft.inner().doorbells, doorbells);
    assert_eq!(queue.counters().transmit.packets, 0);
    assert_eq!(queue.counters().transmit.refused, 14);
    assert_eq!(
        queue.usage().owned,
        19,
        "what was refused is still the program's"
    );
    assert_eq!(
        queue.send(&[0; 13]),
        Err(SendError::Refused(TxRule::TooShort))
    );
    assert_eq!(
        queue.send(&[0; 9673]),
        Err(SendError::Refused(TxRule::TooLong))
    );
    assert_eq!(
        queue.send(&[0; 100_000]),
        Err(SendError::Refused(TxRule::TooLong))
    );
    assert_eq!(queue.send(&[]), Err(SendError::Refused(TxRule::NoSegments)));
    assert_eq!(queue.usage().owned, 19);
    assert_eq!(soft.inner().doorbells, doorbells);
}

#[test]
fn a_burst_stops_at_the_frame_that_is_refused() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &small());
    let mut packets: Vec<_> = (0..5)
        .map(|_| TxPacket::new(queue.take_buffer().unwrap(), 0, 60))
        .collect();
    packets[3] = packets[1];
    let result = queue.transmit(&packets);
    assert_eq!(
        result,
        Err(TransmitError::Refused {
            accepted: 3,
            rule: TxRule::NotOwned
        })
    );
    assert_eq!(soft.inner().sent, 3);
    assert_eq!(soft.inner().doorbells, 1);
    assert_eq!(queue.transmit(&packets[4..]), Ok(1));
    assert_eq!(queue.usage().missing(), 0);
}

#[test]
fn the_mtu_counts_behind_vlan_tags() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &small());
    soft.inner().loopback = false;
    let mut random = Random(2);
    let cases: [(&[u8], usize); 4] = [
        (&[0x08, 0x00], 1514),
        (&[0x81, 0x00, 0, 1, 0x08, 0x00], 1518),
        (&[0x88, 0xa8, 0, 1, 0x08, 0x00], 1518),
        (&[0x88, 0xa8, 0, 1, 0x81, 0x00, 0, 2, 0x08, 0x00], 1522),
    ];
    for (tags, limit) in cases {
        for length in [limit, limit + 1] {
            let mut frame = random.frame(length);
            frame[12..12 + tags.len()].copy_from_slice(tags);
            let result = queue.send(&frame);
            if length == limit {
                assert_eq!(result, Ok(()));
            } else {
                assert_eq!(result, Err(SendError::Refused(TxRule::AboveMtu)));
            }
        }
    }
    // The tag may be in another piece than the addresses.
    let buffer = queue.take_buffer().unwrap();
    let bytes = queue.buffer_mut(buffer).unwrap();
    bytes[..1518].copy_from_slice(&random.frame(1518));
    bytes[12..18].copy_from_slice(&[0x81, 0x00, 0, 1, 0x08, 0x00]);
    let pieces = [
        Segment {
            buffer,
            offset: 0,
            length: 13,
        },
        Segment {
            buffer,
            offset: 13,
            length: 1505,
        },
    ];
    assert_eq!(queue.transmit_gather(&[pieces]), Ok(1));
}

#[test]
fn handles_return_their_buffers_from_other_threads() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(
        &memory,
        &QueueConfig {
            mtu: 4000,
            ..small()
        },
    );
    let mut random = Random(11);
    let frames: Vec<Vec<u8>> = (0..20_000).map(|n| random.frame(60 + n % 3000)).collect();
    std::thread::scope(|scope| {
        let mut worker = queue.worker();
        let mut senders: Vec<mpsc::SyncSender<(usize, RxFrame<'_, Region>)>> = Vec::new();
        for _ in 0..3 {
            let (sender, receiver) = mpsc::sync_channel(16);
            senders.push(sender);
            let frames = &frames;
            scope.spawn(move || {
                for (n, mut frame) in receiver {
                    let mut bytes = vec![0; 4000];
                    let length = frame.copy_to(&mut bytes);
                    assert_eq!(bytes[..length], frames[n]);
                    assert_eq!(frame.len(), frame.packet().len().min(1982));
                    frame[0] ^= 1;
                }
            });
        }
        let mut next = 0;
        let mut sent = 0;
        while next < frames.len() {
            if sent < frames.len() && soft.inner().deliver(&frames[sent]) {
                sent += 1;
            }
            match worker.receive_frame().unwrap() {
                Some(frame) => {
                    senders[next % 3].send((next, frame)).unwrap();
                    next += 1;
                }
                None => {
                    worker.refill();
                    std::thread::yield_now();
                }
            }
        }
    });
    let usage = queue.usage();
    assert_eq!((usage.missing(), usage.lent, usage.owned), (0, 0, 0));
    assert_eq!(queue.counters().receive.packets, 20_000);
}

#[test]
fn a_forgotten_handle_costs_its_buffers_and_nothing_else() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &small());
    for _ in 0..100 {
        let packet = receive_one(&mut queue, &soft, &[4; 100]);
        core::mem::forget(queue.worker().lend(packet).unwrap());
    }
    let usage = queue.usage();
    assert_eq!((usage.missing(), usage.lent), (0, 100));
    for _ in 0..10_000 {
        let packet = receive_one(&mut queue, &soft, &[4; 100]);
        assert!(queue.release(&packet));
    }
    queue.close_with(|_| Ok::<(), (_, ())>(())).unwrap();
    assert_eq!(memory.live(), 0);
}

#[test]
fn a_handle_becomes_a_record_again() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(
        &memory,
        &QueueConfig {
            mtu: 4000,
            ..small()
        },
    );
    let frame = Random(4).frame(3000);
    let packet = receive_one(&mut queue, &soft, &frame);
    let mut worker = queue.worker();
    let handle = worker.lend(packet).unwrap();
    assert!(worker.lend(packet).is_none(), "one handle at a time");
    let packet = worker.reclaim(handle).unwrap();
    assert_eq!(worker.transmit(&[packet]), Ok(1));
    assert_eq!(soft.inner().wire.pop_front().unwrap(), frame);
    worker.reap().unwrap();
    assert_eq!(worker.usage().missing(), 0);
}

#[test]
fn a_handle_is_reclaimed_by_its_own_queue_pair_only() {
    let memory = Memory::default();
    let (mut first, first_soft) = queue(&memory, &small());
    let (mut second, second_soft) = queue(&memory, &small());
    let mine = receive_one(&mut first, &first_soft, &[1; 60]);
    let other = receive_one(&mut second, &second_soft, &[2; 60]);
    assert_eq!(mine.buffer(), other.buffer());
    let (mut first, mut second) = (first.worker(), second.worker());
    let mine = first.lend(mine).unwrap();
    let other = second.lend(other).unwrap();
    let mine = second.reclaim(mine).unwrap_err();
    assert_eq!(*mine, [1; 60]);
    assert!(second.reclaim(other).is_ok());
    assert!(first.reclaim(mine).is_ok());
}

#[test]
fn a_stale_record_of_which_one_buffer_is_the_programs_again_takes_nothing() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(
        &memory,
        &QueueConfig {
            mtu: 4000,
            ..small()
        },
    );
    let stale = receive_one(&mut queue, &soft, &[1; 3000]);
    assert_eq!(stale.segments(), 2);
    assert!(queue.release(&stale));
    let second = queue.take_buffer().unwrap();
    let first = queue.take_buffer().unwrap();
    // Both are the program's again, as single buffers; the record still reads them.
    assert_eq!(first, stale.buffer());
    assert!(queue.release_buffer(second));
    assert!(!queue.release(&stale));
    assert!(queue.worker().lend(stale).is_none());
    assert_eq!(refused(queue.transmit(&[stale])), TxRule::NotOwned);
    assert!(
        queue.release_buffer(first),
        "the first buffer stayed where it was"
    );
    assert_eq!(queue.usage().missing(), 0);
}

#[test]
fn memory_is_freed_only_when_the_device_confirms() {
    for outcome in ["closed", "refused", "dropped"] {
        let memory = Memory::default();
        let (queue, _soft) = queue(&memory, &small());
        assert_eq!(memory.live(), 2);
        match outcome {
            "closed" => {
                let value = queue.close_with(|_| Ok::<_, (_, ())>("done")).unwrap();
                assert_eq!((value, memory.live()), ("done", 0));
            }
            "refused" => {
                let refuse = |device| Err::<(), _>((device, "no answer"));
                let failed = queue.close_with(refuse).unwrap_err();
                assert_eq!(failed.cause, "no answer");
                let failed = failed.queue.close_with(refuse).unwrap_err();
                let (_, bytes) = failed.leak();
                assert!(bytes > 300 * 2048);
                assert_eq!(memory.live(), 2);
            }
            _ => {
                drop(queue);
                assert_eq!(memory.live(), 2);
            }
        }
    }
}

#[test]
fn what_was_prepared_and_never_started_is_freed() {
    let memory = Memory::default();
    let mut storage = QueueStorage::<300, 128, 128>::new();
    let prepared: PreparedQueue<'_, Soft> =
        PreparedQueue::new(&mut memory.clone(), &small(), &mut storage).unwrap();
    assert_eq!(memory.live(), 2);
    let request = prepared.request();
    assert_eq!(
        (request.rx_buffer_bytes, request.cqe_pages, request.tx_pages),
        (1984, 1, 1)
    );
    assert_ne!(request.cqe_pbl, request.tx_pbl);
    drop(prepared);
    assert_eq!(memory.live(), 0);
}

#[test]
fn configurations_that_cannot_work_are_refused_by_name() {
    let memory = Memory::default();
    let prepare = |config: QueueConfig| -> PrepareError {
        let mut storage = QueueStorage::<300, 128, 128>::new();
        PreparedQueue::<Soft>::new(&mut memory.clone(), &config, &mut storage).unwrap_err()
    };
    let base = small();
    let cases = [
        (
            QueueConfig {
                receive_ring: 127,
                ..base
            },
            ConfigError::ReceiveRing(127),
        ),
        (
            QueueConfig {
                receive_ring: 8192,
                ..base
            },
            ConfigError::ReceiveRing(8192),
        ),
        (
            QueueConfig {
                transmit_ring: 0,
                ..base
            },
            ConfigError::TransmitRing(0),
        ),
        (
            QueueConfig {
                buffers: 128,
                ..base
            },
            ConfigError::Buffers(128),
        ),
        (
            QueueConfig {
                buffers: u32::MAX,
                ..base
            },
            ConfigError::Buffers(u32::MAX),
        ),
        (
            QueueConfig {
                buffer_bytes: 2049,
                ..base
            },
            ConfigError::BufferBytes(2049),
        ),
        (
            QueueConfig {
                buffer_bytes: 0,
                ..base
            },
            ConfigError::BufferBytes(0),
        ),
        (
            QueueConfig {
                headroom: 2000,
                ..base
            },
            ConfigError::Headroom(2000),
        ),
        (
            QueueConfig {
                headroom: 3,
                ..base
            },
            ConfigError::Headroom(3),
        ),
        (QueueConfig { mtu: 9601, ..base }, ConfigError::Mtu(9601)),
        (QueueConfig { mtu: 67, ..base }, ConfigError::Mtu(67)),
        (
            QueueConfig {
                mtu: 9000,
                buffer_bytes: 1024,
                ..base
            },
            ConfigError::FrameDoesNotFit {
                mtu: 9000,
                receive_bytes: 960,
            },
        ),
        (
            QueueConfig {
                buffers: 301,
                ..base
            },
            ConfigError::StorageBuffers { room: 300 },
        ),
        (
            QueueConfig {
                receive_ring: 129,
                ..base
            },
            ConfigError::StorageRings,
        ),
        (
            QueueConfig {
                transmit_ring: 129,
                ..base
            },
            ConfigError::StorageRings,
        ),
    ];
    for (config, error) in cases {
        assert_eq!(prepare(config), PrepareError::Config(error));
        assert_eq!(memory.live(), 0);
    }
}

#[test]
fn a_host_without_memory_is_reported_and_nothing_stays() {
    struct Poor(Memory, usize);
    impl DmaAllocator for Poor {
        type Region = Region;
        fn allocate(&mut self, size: usize, align: usize) -> Result<Region, AllocationError> {
            match self.1.checked_sub(1) {
                Some(left) => {
                    self.1 = left;
                    self.0.allocate(size, align)
                }
                None => Err(AllocationError { size, align }),
            }
        }
    }
    for allowed in 0..2 {
        let memory = Memory::default();
        let mut storage = QueueStorage::<300, 128, 128>::new();
        let mut poor = Poor(memory.clone(), allowed);
        let result = PreparedQueue::<Soft>::new(&mut poor, &small(), &mut storage);
        assert!(matches!(result.unwrap_err(), PrepareError::Memory(_)));
        assert_eq!(memory.live(), 0);
    }
}

#[test]
fn storage_too_small_in_any_slice_is_refused() {
    let memory = Memory::default();
    let config = small();
    for short in 0..5 {
        let length = |n: usize, wanted: usize| if n == short { wanted - 1 } else { wanted };
        let links: Vec<_> = (0..length(2, 300)).map(|_| Default::default()).collect();
        let storage = Storage::from_slices(
            vec![0; length(0, 300)].leak(),
            vec![0; length(1, 300)].leak(),
            links.leak(),
            vec![0; length(3, 128)].leak(),
            vec![0; length(4, 128)].leak(),
        );
        let result = PreparedQueue::<Soft>::new(&mut memory.clone(), &config, storage);
        assert!(matches!(result.unwrap_err(), PrepareError::Config(_)));
    }
}
