//! Frames that the device makes of several: start, continue, end, and everything that a device may get wrong with them.

mod common;

use common::{Memory, Random, Soft, queue};
use fastlinq_net::{Fault, QueueConfig, QueuePair, RxPacket, TransmitError, TxRule};

const HEADERS: usize = 66;

fn config() -> QueueConfig {
    QueueConfig {
        receive_ring: 256,
        transmit_ring: 128,
        buffers: 600,
        aggregation: true,
        ..QueueConfig::default()
    }
}

fn start(index: u8, first: u16, segment: u16, further: [u16; 2]) -> [u8; 32] {
    let mut cqe = [0; 32];
    cqe[0] = 3;
    cqe[1] = 2;
    cqe[2..4].copy_from_slice(&segment.to_le_bytes());
    cqe[4] = 1 | 1 << 2 | 1 << 6;
    cqe[6] = 9;
    cqe[8] = 0x77;
    cqe[12..14].copy_from_slice(&first.to_le_bytes());
    cqe[14] = 2;
    cqe[16] = index;
    cqe[17] = HEADERS as u8;
    list(&mut cqe[18..], &further);
    cqe
}

fn list(bytes: &mut [u8], lengths: &[u16]) {
    for (bytes, length) in bytes.chunks_mut(2).zip(lengths) {
        bytes.copy_from_slice(&length.to_le_bytes());
    }
}

fn go_on(index: u8, further: &[u16]) -> [u8; 32] {
    let mut cqe = [0; 32];
    cqe[0] = 4;
    cqe[1] = index;
    list(&mut cqe[2..14], further);
    cqe
}

fn end(index: u8, total: u16, buffers: u8, further: &[u16]) -> [u8; 32] {
    let mut cqe = [0; 32];
    cqe[0] = 5;
    cqe[1] = index;
    cqe[2..4].copy_from_slice(&total.to_le_bytes());
    cqe[4] = buffers;
    cqe[5] = 3;
    list(&mut cqe[12..20], further);
    cqe
}

fn one(queue: &mut QueuePair<'_, Soft>) -> Option<RxPacket> {
    let mut out = [RxPacket::EMPTY; 4];
    match queue.receive(&mut out).unwrap() {
        0 => None,
        1 => Some(out[0]),
        _ => panic!("one at most"),
    }
}

#[test]
fn segments_of_interleaved_aggregations_come_out_whole_and_in_order() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &config());
    let mut random = Random(5);
    for round in 0..2000 {
        let mut frames = [Vec::new(), Vec::new()];
        let indices = [round as u8 % 64, (round + 31) as u8 % 64];
        for (frame, index) in frames.iter_mut().zip(indices) {
            *frame = random.frame(HEADERS + 1000);
            soft.inner().place(&[frame]);
            let length = frame.len() as u16;
            soft.inner().complete(start(index, length, length, [0; 2]));
        }
        assert_eq!(one(&mut queue), None);
        let usage = queue.usage();
        assert_eq!((usage.aggregating, usage.missing()), (2, 0));
        let more = 1 + random.below(9);
        for _ in 0..more {
            for (frame, index) in frames.iter_mut().zip(indices) {
                let payload = random.frame(1000);
                soft.inner().pad = 0;
                soft.inner().place(&[&payload]);
                soft.inner().pad = 2;
                soft.inner().complete(go_on(index, &[1000]));
                frame.extend_from_slice(&payload);
            }
            assert_eq!(one(&mut queue), None);
        }
        let mut got = Vec::new();
        for (frame, index) in frames.iter().zip(indices).rev() {
            soft.inner()
                .complete(end(index, frame.len() as u16, more as u8 + 1, &[]));
            let packet = one(&mut queue).expect("a frame");
            assert_eq!(
                (packet.len(), packet.segments()),
                (frame.len(), more as u8 + 1)
            );
            let joined = packet.aggregate().unwrap();
            assert_eq!(usize::from(joined.header_bytes), HEADERS);
            assert_eq!(joined.segment_payload, 1000);
            assert_eq!(
                (packet.vlan(), packet.hash().unwrap().value),
                (Some(9), 0x77)
            );
            let bytes: Vec<u8> = queue.segments(&packet).flatten().copied().collect();
            assert_eq!(bytes, *frame);
            got.push(packet);
        }
        // As handle, as record, and never as one frame to the wire.
        let handle = queue.worker().lend(got[0]).unwrap();
        assert_eq!(
            handle.segments().map(<[u8]>::len).sum::<usize>(),
            got[0].len()
        );
        drop(handle);
        if got[1].len() > 1514 {
            assert!(matches!(
                queue.transmit(&got[1..]),
                Err(TransmitError::Refused {
                    accepted: 0,
                    rule: TxRule::AboveMtu | TxRule::TooLong
                })
            ));
        }
        assert!(queue.release(&got[1]));
        let usage = queue.usage();
        assert_eq!((usage.aggregating, usage.owned, usage.missing()), (0, 0, 0));
    }
    let counters = queue.counters().receive;
    assert_eq!((counters.aggregated, counters.bad_aggregations), (4000, 0));
    assert_eq!(counters.packets, 4000);
}

#[test]
fn a_single_segment_and_lists_in_start_and_end_are_fine() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &config());
    soft.inner().place(&[&[1; 100]]);
    soft.inner().complete(start(0, 100, 100, [0; 2]));
    soft.inner().complete(end(0, 100, 1, &[]));
    let packet = one(&mut queue).unwrap();
    assert_eq!(queue.bytes(&packet).unwrap(), [1; 100]);
    assert!(queue.release(&packet));
    soft.inner()
        .place(&[&[1; 1982], &[2; 500], &[3; 20], &[4; 30], &[5; 40]]);
    soft.inner().complete(start(63, 1982, 2482, [500, 0]));
    soft.inner().complete(go_on(63, &[20]));
    soft.inner().complete(end(63, 2572, 5, &[30, 40, 0]));
    let packet = one(&mut queue).unwrap();
    let lengths: Vec<_> = queue.segments(&packet).map(<[u8]>::len).collect();
    assert_eq!(lengths, [1982, 500, 20, 30, 40]);
    assert!(queue.release(&packet));
    assert_eq!(queue.usage().missing(), 0);
}

#[test]
fn whatever_contradicts_itself_is_counted_and_recycled() {
    let memory = Memory::default();
    let good = || start(7, 500, 500, [0; 2]);
    let mut few_headers = good();
    few_headers[17] = 53;
    let mut many_headers = good();
    many_headers[17] = 255;
    many_headers[12..14].copy_from_slice(&200_u16.to_le_bytes());
    many_headers[2..4].copy_from_slice(&200_u16.to_le_bytes());
    // Completions, the buffers that they take, and how often they are counted.
    let cases: Vec<(Vec<[u8; 32]>, u32, u64)> = vec![
        (vec![go_on(7, &[100])], 1, 1),
        (vec![go_on(7, &[])], 0, 1),
        (vec![end(7, 0, 0, &[])], 0, 1),
        (vec![end(7, 500, 1, &[9; 4])], 4, 1),
        (vec![start(64, 500, 500, [0; 2])], 1, 1),
        (vec![start(255, 500, 500, [3, 4])], 3, 1),
        (vec![go_on(200, &[1; 6])], 6, 1),
        (vec![good(), end(7, 501, 1, &[])], 1, 1),
        (vec![good(), end(7, 500, 2, &[])], 1, 1),
        (vec![good(), end(7, 500, 1, &[100])], 2, 1),
        (vec![good(), go_on(7, &[1985]), end(7, 2485, 2, &[])], 2, 1),
        (vec![good(), good(), end(7, 500, 1, &[])], 2, 1),
        (vec![start(7, 500, 501, [0; 2]), end(7, 500, 1, &[])], 1, 1),
        (
            vec![start(7, 1983, 1983, [0; 2]), end(7, 1983, 1, &[])],
            1,
            1,
        ),
        (vec![few_headers, end(7, 500, 1, &[])], 1, 1),
        (vec![many_headers, end(7, 200, 1, &[])], 1, 1),
    ];
    for (position, (cqes, buffers, bad)) in cases.iter().enumerate() {
        let (mut queue, soft) = queue(&memory, &config());
        soft.inner().consume(*buffers);
        let mut frames = 0;
        for cqe in cqes {
            soft.inner().complete(*cqe);
            frames += usize::from(one(&mut queue).is_some());
        }
        let expected = usize::from(position == 11);
        assert_eq!(frames, expected, "case {position}");
        let counters = queue.counters().receive;
        assert_eq!(counters.bad_aggregations, *bad, "case {position}");
        let usage = queue.usage();
        assert_eq!(
            (usage.missing(), usage.aggregating),
            (0, 0),
            "case {position}"
        );
        assert!(soft.inner().deliver(&[8; 80]));
        let packet = one(&mut queue).unwrap();
        assert_eq!(queue.bytes(&packet).unwrap(), [8; 80], "in step");
    }
}

#[test]
fn an_aggregation_never_takes_more_than_the_device_had_or_a_record_can_say() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &config());
    // 300 buffers are too many for one frame, and none is lost.
    soft.inner().consume(1);
    soft.inner().complete(start(1, 100, 100, [0; 2]));
    for _ in 0..50 {
        soft.inner().consume(6);
        soft.inner().complete(go_on(1, &[10; 6]));
        assert_eq!(one(&mut queue), None);
    }
    assert_eq!(queue.usage().aggregating, 301);
    soft.inner().complete(end(1, 3100, 45, &[]));
    assert_eq!(one(&mut queue), None);
    assert_eq!(queue.counters().receive.bad_aggregations, 1);
    assert_eq!(queue.usage().missing(), 0);
    // More than the device has.
    soft.inner().complete(start(1, 100, 100, [0; 2]));
    let mut out = [RxPacket::EMPTY; 1];
    let fault = loop {
        soft.inner().complete(go_on(1, &[10; 6]));
        match queue.receive(&mut out) {
            Ok(_) => {}
            Err(fault) => break fault,
        }
    };
    assert!(
        matches!(fault, Fault::BufferCount { claimed: 6, .. }),
        "{fault}"
    );
    let usage = queue.usage();
    assert_eq!(usage.missing(), 0);
    assert!(usage.aggregating > 200);
    queue.close_with(|_| Ok::<(), (_, ())>(())).unwrap();
    assert_eq!(memory.live(), 0);
}

#[test]
fn half_a_million_random_steps_lose_no_buffer() {
    let memory = Memory::default();
    let mut random = Random(0xa99);
    let mut steps = 0;
    let mut aggregated = 0;
    while steps < 500_000 {
        let (mut queue, soft) = queue(&memory, &config());
        let mut totals = [(0_u32, 0_u32); 64];
        for _ in 0..20_000 {
            steps += 1;
            let index = random.below(66) as u8;
            let n = random.below(7) as usize;
            let lengths: Vec<u16> = (0..n).map(|_| random.below(1500) as u16).collect();
            let lie = random.below(50) == 0;
            let used = lengths.iter().take_while(|length| **length != 0);
            let used: Vec<u32> = used.map(|length| u32::from(*length)).collect();
            let total = &mut totals[usize::from(index) % 64];
            let cqe = match random.below(4) {
                0 => {
                    *total = (600, 1);
                    start(index, 600, 600 + u16::from(lie), [0; 2])
                }
                1 | 2 => {
                    let used = &used[..used.len().min(6)];
                    total.0 += used.iter().sum::<u32>();
                    total.1 += used.len() as u32;
                    go_on(index, &lengths[..n.min(6)])
                }
                _ => {
                    let used = &used[..used.len().min(4)];
                    let bytes = total.0 + used.iter().sum::<u32>();
                    let buffers = total.1 + used.len() as u32 + u32::from(lie);
                    end(index, bytes as u16, buffers as u8, &lengths[..n.min(4)])
                }
            };
            if soft.inner().completions_free() > 0 {
                soft.inner().complete(cqe);
            }
            let mut out = [RxPacket::EMPTY; 2];
            match queue.receive(&mut out) {
                Ok(taken) => {
                    for packet in &out[..taken] {
                        let bytes = queue.segments(packet).map(<[u8]>::len).sum::<usize>();
                        assert_eq!(bytes, packet.len());
                        assert!(queue.release(packet));
                    }
                }
                Err(fault) => {
                    assert!(matches!(fault, Fault::BufferCount { .. }), "{fault}");
                    break;
                }
            }
        }
        aggregated += queue.counters().receive.aggregated;
        let usage = queue.usage();
        assert_eq!((usage.missing(), usage.owned), (0, 0), "{usage:?}");
        queue.close_with(|_| Ok::<(), (_, ())>(())).unwrap();
        assert_eq!(memory.live(), 0);
    }
    assert!(aggregated > 1000, "{aggregated}");
}
