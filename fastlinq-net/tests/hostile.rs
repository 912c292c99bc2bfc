//! A device that lies: whatever it writes, nothing panics, nothing leaves its bounds, no buffer gets lost.

mod common;

use common::{Memory, Random, Soft, queue, queue_with, regular};
use fastlinq_net::completion::{Aggregation, Completion, MAX_SEGMENTS, MIN_FRAME_BYTES, parse};
use fastlinq_net::{Fault, QueueConfig, QueuePair, QueueStorage, RxPacket, TransmitError};

fn small() -> QueueConfig {
    QueueConfig {
        receive_ring: 128,
        transmit_ring: 128,
        buffers: 200,
        buffer_bytes: 512,
        headroom: 0,
        ..QueueConfig::default()
    }
}

/// What the parser says holds for any completion.
fn check(words: [u64; 4], buffer_bytes: u16) -> Completion {
    let answer = parse(words, buffer_bytes);
    if let Completion::Frame(frame) = &answer {
        assert!(frame.length >= MIN_FRAME_BYTES);
        assert!((1..=MAX_SEGMENTS).contains(&frame.buffers));
        let first_end = u32::from(frame.placement_offset) + u32::from(frame.first_length);
        assert!(first_end <= u32::from(buffer_bytes));
        let mut total = 0;
        for segment in 0..frame.buffers {
            let length = frame.segment_length(segment, buffer_bytes);
            assert!(length > 0 && length <= buffer_bytes);
            total += u32::from(length);
        }
        assert_eq!(total, u32::from(frame.length));
        assert_eq!(frame.segment_length(frame.buffers, buffer_bytes), 0);
    }
    if let Completion::BadFrame { buffers, .. } = answer {
        assert!((1..=MAX_SEGMENTS).contains(&buffers));
    }
    answer
}

#[test]
fn every_pattern_has_an_answer_whose_numbers_are_in_range() {
    let mut random = Random(0x1234_5678);
    let mut seen = [0_u64; 6];
    for round in 0..4_000_000_u64 {
        let mut words = [random.next(), random.next(), random.next(), random.next()];
        if round % 4 != 0 {
            // Mostly of a known type, with numbers of a plausible size.
            words[0] = (words[0] & !0xff) | (round % 6);
            words[0] &= !0xc000_0000;
            words[1] &= !0xffe0_c000_0000_0000;
            words[2] = (words[2] & !0xff) | (words[2] % 7);
        }
        let buffer_bytes = match round % 3 {
            0 => 1984,
            1 => random.next() as u16,
            _ => 512,
        };
        let kind = match check(words, buffer_bytes) {
            Completion::Frame(_) => 0,
            Completion::BadFrame { .. } => 1,
            Completion::SlowPath(_) => 2,
            Completion::Aggregation(_) => 3,
            Completion::BufferCount(_) => 4,
            Completion::UnknownType(_) => 5,
        };
        seen[kind] += 1;
    }
    assert!(seen.iter().all(|count| *count > 1000), "{seen:?}");
}

#[test]
fn every_length_and_buffer_count_of_a_frame_is_judged_as_the_reference_says() {
    for buffer_bytes in [128_u16, 512, 1984] {
        for offset in [0_u16, 2, 255] {
            for length in (0..=u16::MAX).step_by(97).chain(0..40) {
                let first = length.min(buffer_bytes.saturating_sub(offset));
                let rest = u32::from(length - first).div_ceil(u32::from(buffer_bytes));
                for buffers in 0..=7_u8 {
                    let cqe = regular(length, first, offset as u8, buffers);
                    let words = core::array::from_fn(|n| {
                        u64::from_le_bytes(cqe[n * 8..][..8].try_into().unwrap())
                    });
                    let right = u32::from(buffers) == 1 + rest;
                    let answer = check(words, buffer_bytes);
                    match answer {
                        Completion::Frame(_) => assert!(right && length >= 14 && first > 0),
                        Completion::BadFrame { .. } => assert!(!right || length < 14 || first == 0),
                        Completion::BufferCount(_) => assert!(buffers == 0 || buffers > 5),
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }
}

fn one_fault(cqe: [u8; 32]) -> Fault {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &small());
    soft.inner().deliver(&[1; 60]);
    soft.inner().complete(cqe);
    soft.inner().deliver(&[1; 60]);
    let mut out = [RxPacket::EMPTY; 8];
    assert_eq!(
        queue.receive(&mut out),
        Ok(1),
        "the frame before the fault arrives"
    );
    let fault = queue.receive(&mut out).unwrap_err();
    assert_eq!(queue.receive_fault(), Some(fault));
    assert_eq!(queue.receive(&mut out), Err(fault));
    let publishes = soft.inner().publishes;
    queue.refill();
    assert_eq!(
        soft.inner().publishes,
        publishes,
        "a queue at fault gets no more buffers"
    );
    assert_eq!(queue.usage().missing(), 0);
    queue.send(&[1; 60]).unwrap();
    queue.close_with(|_| Ok::<(), (_, ())>(())).unwrap();
    assert_eq!(memory.live(), 0);
    fault
}

#[test]
fn completions_that_cannot_be_are_reported_faults() {
    let mut cqe = [0; 32];
    assert_eq!(one_fault(cqe), Fault::CompletionType { index: 1, kind: 0 });
    cqe[0] = 6;
    assert_eq!(one_fault(cqe), Fault::CompletionType { index: 1, kind: 6 });
    cqe[0] = 255;
    assert_eq!(
        one_fault(cqe),
        Fault::CompletionType {
            index: 1,
            kind: 255
        }
    );
    for claimed in [0, 6, 255] {
        let fault = one_fault(regular(60, 60, 2, claimed));
        assert!(matches!(fault, Fault::BufferCount { index: 1, claimed: c, .. } if c == claimed));
    }
}

#[test]
fn aggregations_are_taken_apart_and_reported_since_they_are_not_switched_on() {
    let mut cqe: [u8; 32] = core::array::from_fn(|n| n as u8);
    cqe[0] = 3;
    let step = Aggregation::Start {
        index: 16,
        segment_length: 0x0302,
        first_length: 0x0d0c,
        placement_offset: 14,
        header_length: 17,
        further: [0x1312, 0x1514],
    };
    assert_eq!(one_fault(cqe), Fault::Aggregation { index: 1, step });
    cqe[0] = 4;
    let further = [0x0302, 0x0504, 0x0706, 0x0908, 0x0b0a, 0x0d0c];
    let step = Aggregation::Continue { index: 1, further };
    assert_eq!(one_fault(cqe), Fault::Aggregation { index: 1, step });
    cqe[0] = 5;
    let step = Aggregation::End {
        index: 1,
        total_length: 0x0302,
        buffers: 4,
        reason: 5,
        segments: 0x0706,
        further: [0x0d0c, 0x0f0e, 0x1110, 0x1312],
    };
    assert_eq!(one_fault(cqe), Fault::Aggregation { index: 1, step });
}

#[test]
fn more_buffers_than_the_device_has_are_a_fault_and_all_of_them_are_not() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &small());
    let posted = queue.usage().receiving as u32;
    let mut out = [RxPacket::EMPTY; 200];
    // A program that keeps what it gets: no refill beyond the 200 buffers.
    let mut got = 0;
    for _ in 0..150 {
        soft.inner().deliver(&[1; 60]);
        got += queue.receive(&mut out).unwrap();
    }
    assert!(got > posted as usize);
    while soft.inner().deliver(&[1; 60]) {}
    let with_device = queue.usage().receiving;
    assert_eq!(queue.receive(&mut out).unwrap(), with_device);
    assert_eq!(queue.usage().free, 0);
    soft.inner().complete(regular(60, 60, 2, 1));
    let fault = Fault::BufferCount {
        index: 200,
        claimed: 1,
        posted: 0,
    };
    assert_eq!(queue.receive(&mut out), Err(fault));
}

#[test]
fn slow_path_completions_use_up_no_buffer() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &small());
    let mut cqe = [0; 32];
    cqe[0] = 2;
    cqe[1] = 9;
    cqe[28] = 0x34;
    cqe[29] = 0x12;
    let before = queue.usage();
    let mut out = [RxPacket::EMPTY; 4];
    for _ in 0..1000 {
        soft.inner().complete(cqe);
        assert_eq!(queue.receive(&mut out), Ok(0));
    }
    let last = queue.slow_path().unwrap();
    assert_eq!((last.command, last.error, last.echo), (9, false, 0x1234));
    assert_eq!(queue.usage(), before);
    assert_eq!(queue.counters().receive.slow_path, 1000);
}

#[test]
fn contradicting_frames_are_counted_and_their_buffers_recycled() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &small());
    let bad = [
        regular(13, 13, 2, 1),
        regular(60, 61, 2, 1),
        regular(60, 0, 2, 2),
        regular(511, 511, 2, 1),
        regular(60, 50, 2, 1),
        regular(1000, 510, 2, 3),
    ];
    let consumed = [1, 1, 2, 1, 1, 3];
    let mut out = [RxPacket::EMPTY; 4];
    for _ in 0..500 {
        for (cqe, count) in bad.iter().zip(consumed) {
            soft.inner().consume(count);
            soft.inner().complete(*cqe);
        }
        soft.inner().deliver(&[7; 64]);
        assert_eq!(queue.receive(&mut out), Ok(1));
        assert_eq!(
            queue.bytes(&out[0]).unwrap(),
            [7; 64],
            "still in step with the device"
        );
        queue.release(&out[0]);
    }
    let counters = queue.counters().receive;
    assert_eq!(counters.too_short, 500);
    assert_eq!(counters.bad_first_length, 1000);
    assert_eq!(counters.bad_placement, 500);
    assert_eq!(counters.bad_segments, 1000);
    assert_eq!(counters.errors(), 3000);
    assert_eq!(queue.usage().missing(), 0);
}

#[test]
fn receive_indices_that_jump_are_faults() {
    for (lie, fatal) in [(128, false), (129, true), (0x8000, true), (0xffff, true)] {
        let memory = Memory::default();
        let (mut queue, soft) = queue(&memory, &small());
        soft.rx_lie.set(Some(lie));
        let mut out = [RxPacket::EMPTY; 4];
        let fault = queue.receive(&mut out).unwrap_err();
        // Within the ring there is only unwritten memory.
        let unwritten = Fault::CompletionType { index: 0, kind: 0 };
        let jump = Fault::ReceiveIndex { from: 0, to: lie };
        assert_eq!(fault, if fatal { jump } else { unwritten });
        assert_eq!(queue.usage().missing(), 0);
    }
}

#[test]
fn transmit_indices_that_jump_or_split_a_packet_are_faults() {
    for lie in [5_u16, 7, 0x8000, 0xffff] {
        let memory = Memory::default();
        let config = QueueConfig {
            mtu: 1500,
            ..small()
        };
        let (mut queue, soft) = queue(&memory, &config);
        soft.inner().stall = true;
        queue.send(&[2; 1200]).unwrap();
        queue.send(&[2; 1200]).unwrap();
        assert_eq!(queue.usage().transmitting, 6);
        soft.tx_lie.set(Some(3));
        assert_eq!(queue.reap(), Ok(3));
        soft.tx_lie.set(Some(lie));
        let fault = match lie {
            5 => Fault::TransmitBoundary { to: 5 },
            _ => Fault::TransmitIndex {
                from: 3,
                to: lie,
                in_flight: 3,
            },
        };
        assert_eq!(queue.reap(), Err(fault));
        assert_eq!(queue.transmit_fault(), Some(fault));
        soft.tx_lie.set(None);
        let none: [RxPacket; 0] = [];
        assert_eq!(queue.transmit(&none), Err(TransmitError::Fault(fault)));
        let doorbells = soft.inner().doorbells;
        assert!(queue.send(&[2; 60]).is_err());
        assert_eq!(soft.inner().doorbells, doorbells);
        assert_eq!(queue.usage().missing(), 0);
        // Receiving goes on.
        soft.inner().deliver(&[1; 60]);
        assert_eq!(queue.receive(&mut [RxPacket::EMPTY; 2]), Ok(1));
    }
}

/// One queue pair, worked until it is at fault, with a device that mostly behaves.
fn soak(
    queue: &mut QueuePair<'_, Soft>,
    soft: &Soft,
    random: &mut Random,
    budget: &mut u64,
) -> Option<Fault> {
    let mut out = [RxPacket::EMPTY; 16];
    let mut kept: Vec<RxPacket> = Vec::new();
    let mut scratch = [0; 70_000];
    while *budget > 0 {
        for _ in 0..random.below(20) {
            *budget = budget.saturating_sub(1);
            let mut inner = soft.inner();
            if inner.completions_free() == 0 || inner.buffers_free() < 5 {
                break;
            }
            let roll = random.next();
            if roll % 8 == 0 {
                // A frame that is right, then anything done to its completion.
                let length = 14 + random.below(2500) as usize;
                let before = inner.completion_address();
                if inner.deliver(&vec![roll as u8; length]) && roll % 64 != 0 {
                    let mut cqe: [u8; 32] = memory_of(&inner).read(before);
                    for _ in 0..random.below(3) {
                        cqe[random.below(32) as usize] = random.next() as u8;
                    }
                    memory_of(&inner).write(before, &cqe);
                }
            } else if roll % 200 == 1 {
                let words: [u64; 4] = core::array::from_fn(|_| random.next());
                let mut cqe = [0; 32];
                for (bytes, word) in cqe.chunks_mut(8).zip(words) {
                    bytes.copy_from_slice(&word.to_le_bytes());
                }
                inner.complete(cqe);
            } else {
                // Known type and plausible numbers, not always fitting each other.
                let length = random.below(2700) as u16;
                let first = length.min(random.below(520) as u16);
                let first = if roll & 0x100 == 0 {
                    length.min(510)
                } else {
                    first
                };
                let right = 1 + (length - first).div_ceil(512);
                let buffers = if roll & 0x600 == 0 {
                    1 + random.below(5) as u16
                } else {
                    right
                };
                let buffers = buffers.min(5) as u8;
                inner.consume(u32::from(buffers));
                let mut cqe = regular(length, first, (roll >> 32) as u8 & 3, buffers);
                for at in [1, 4, 5, 6, 7, 8, 9, 10, 11, 15, 20] {
                    cqe[at] = random.next() as u8;
                }
                inner.complete(cqe);
            }
        }
        match random.below(4000) {
            0 => soft.rx_lie.set(Some(random.next() as u16)),
            1 => soft.tx_lie.set(Some(random.next() as u16)),
            _ => {}
        }
        let room = random.below(17) as usize;
        match queue.receive(&mut out[..room]) {
            Ok(taken) => kept.extend_from_slice(&out[..taken]),
            Err(fault) => return Some(fault),
        }
        while kept.len() > random.below(30) as usize {
            let packet = kept.swap_remove(random.below(kept.len() as u64) as usize);
            match packet.vlan().map_or(0, |tag| tag % 4) {
                0 => {
                    let copied = queue.copy_to(&packet, &mut scratch);
                    assert_eq!(copied, packet.len());
                    assert!(queue.release(&packet));
                    assert!(!queue.release(&packet));
                }
                1 => match queue.transmit(&[packet]) {
                    Ok(1) => assert!(!queue.release(&packet)),
                    Ok(_) => assert!(queue.release(&packet)),
                    Err(TransmitError::Refused { accepted: 0, .. }) => {
                        assert!(queue.release(&packet));
                    }
                    Err(_) => return queue.transmit_fault(),
                },
                2 => {
                    let frame = queue.worker().lend(packet).unwrap();
                    assert_eq!(
                        frame.segments().map(<[u8]>::len).sum::<usize>(),
                        packet.len()
                    );
                    drop(frame);
                    assert!(!queue.release(&packet));
                }
                _ => {
                    let _ = (packet.hash(), packet.checksum(), packet.flags());
                    assert!(queue.release(&packet));
                }
            }
        }
        soft.inner().loopback = false;
        soft.inner().run();
    }
    None
}

fn memory_of(inner: &common::Inner) -> Memory {
    inner.memory()
}

#[test]
fn two_million_completions_of_a_lying_device_lose_no_buffer() {
    let memory = Memory::default();
    let mut storage = QueueStorage::<200, 128, 128>::new();
    let mut random = Random(0xfeed_5eed);
    let mut budget = 2_000_000;
    let mut faults = [0_u64; 6];
    let mut packets = 0;
    while budget > 0 {
        let config = QueueConfig {
            mtu: 2000,
            ..small()
        };
        let (mut queue, soft) = queue_with(&memory, &config, &mut storage);
        let fault = soak(&mut queue, &soft, &mut random, &mut budget);
        let usage = queue.usage();
        assert_eq!(usage.missing(), 0, "{usage:?} after {fault:?}");
        packets += queue.counters().receive.packets;
        match fault {
            Some(Fault::ReceiveIndex { .. }) => faults[0] += 1,
            Some(Fault::CompletionType { .. }) => faults[1] += 1,
            Some(Fault::Aggregation { .. }) => faults[2] += 1,
            Some(Fault::BufferCount { .. }) => faults[3] += 1,
            Some(Fault::TransmitIndex { .. } | Fault::TransmitBoundary { .. }) => faults[4] += 1,
            None => faults[5] += 1,
        }
        queue.close_with(|_| Ok::<(), (_, ())>(())).unwrap();
        assert_eq!(memory.live(), 0);
    }
    assert!(faults[..5].iter().all(|count| *count > 10), "{faults:?}");
    assert!(packets > 100_000, "{packets}");
}
