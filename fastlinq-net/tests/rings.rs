//! The rings against a device in memory that follows the rules.

mod common;

use common::{Memory, Random, queue, queue_with};
use fastlinq_net::{QueueConfig, QueueStorage, RxPacket, Segment, TxPacket};

fn small() -> QueueConfig {
    QueueConfig {
        receive_ring: 128,
        transmit_ring: 128,
        buffers: 512,
        ..QueueConfig::default()
    }
}

#[test]
fn frames_of_every_size_loop_unchanged() {
    let memory = Memory::default();
    for (buffer_bytes, headroom, pad) in [(2048, 64, 2), (2560, 0, 0), (16_384, 128, 2)] {
        let config = QueueConfig {
            mtu: 9600,
            buffer_bytes,
            headroom,
            transmit_ring: 300,
            buffers: 600,
            ..QueueConfig::default()
        };
        let (mut queue, soft) = queue(&memory, &config);
        soft.inner().pad = pad;
        let mut random = Random(1);
        let mut back = vec![0; 10_000];
        for length in (14..=9600).chain(9601..=9614) {
            let frame = random.frame(length);
            queue.send(&frame).unwrap();
            assert_eq!(soft.inner().run(), 1);
            let mut out = [RxPacket::EMPTY; 2];
            assert_eq!(queue.receive(&mut out).unwrap(), 1);
            let mut frame = frame;
            frame.resize(length.max(60), 0);
            assert_eq!(
                out[0].len(),
                frame.len(),
                "short frames are filled up with zeros"
            );
            let copied = queue.copy_to(&out[0], &mut back);
            assert_eq!(back[..copied], frame);
            let first = queue.bytes(&out[0]).unwrap();
            assert_eq!(first, &frame[..first.len()]);
            assert!(queue.release(&out[0]));
        }
        let usage = queue.usage();
        assert_eq!((usage.missing(), usage.owned, usage.lent), (0, 0, 0));
        assert!(queue.counters().receive.scattered > 0 || buffer_bytes == 16_384);
        queue.close_with(|_| Ok::<(), (_, ())>(())).unwrap();
    }
    assert_eq!(memory.live(), 0);
}

#[test]
fn indices_wrap_many_times_in_rings_of_all_shapes() {
    let memory = Memory::default();
    for (receive_ring, transmit_ring, burst) in [
        (128, 128, 1),
        (512, 512, 32),
        (511, 1000, 7),
        (1021, 129, 64),
        (8191, 8191, 256),
    ] {
        let config = QueueConfig {
            receive_ring,
            transmit_ring,
            buffers: u32::from(receive_ring) * 2 + 600,
            buffer_bytes: 512,
            headroom: 0,
            mtu: 1500,
            ..QueueConfig::default()
        };
        let (mut queue, soft) = queue(&memory, &config);
        let mut random = Random(u64::from(receive_ring));
        let mut out = vec![RxPacket::EMPTY; burst];
        let mut tag = 0_u64;
        let mut expected = 0_u64;
        while expected < 150_000 {
            for _ in 0..burst {
                let mut frame = random.frame(22 + random.0 as usize % 1400);
                frame[14..22].copy_from_slice(&tag.to_le_bytes());
                if queue.send(&frame).is_err() {
                    break;
                }
                tag += 1;
            }
            soft.inner().run();
            let taken = queue.receive(&mut out).unwrap();
            for packet in &out[..taken] {
                let head = &queue.bytes(packet).unwrap()[14..22];
                assert_eq!(head, expected.to_le_bytes());
                expected += 1;
                assert!(queue.release(packet));
            }
        }
        assert_eq!(queue.usage().missing(), 0);
        assert!(queue.counters().receive.posted > 65_536);
        assert!(queue.counters().transmit.descriptors > 65_536);
        queue.close_with(|_| Ok::<(), (_, ())>(())).unwrap();
    }
}

#[test]
fn forwarding_sends_received_frames_without_copying() {
    let memory = Memory::default();
    let config = QueueConfig {
        mtu: 9000,
        ..small()
    };
    let (mut queue, soft) = queue(&memory, &config);
    let mut random = Random(3);
    let mut out = [RxPacket::EMPTY; 32];
    for length in [60, 1500, 1984, 1985, 4000, 9000, 9014] {
        let frame = random.frame(length);
        soft.inner().wire.push_back(frame.clone());
        for _ in 0..300 {
            assert_eq!(soft.inner().run(), 1);
            assert_eq!(queue.receive(&mut out).unwrap(), 1);
            assert_eq!(queue.transmit(&out[..1]).unwrap(), 1);
        }
        let mut inner = soft.inner();
        assert_eq!(inner.wire.pop_front().unwrap(), frame);
        assert!(inner.wire.is_empty());
    }
    let usage = queue.usage();
    assert_eq!((usage.missing(), usage.owned), (0, 0));
}

#[test]
fn a_burst_is_one_doorbell_and_one_publication_covers_many_frames() {
    let memory = Memory::default();
    let (mut queue, soft) = queue(&memory, &QueueConfig::default());
    let mut packets = Vec::new();
    for _ in 0..32 {
        let buffer = queue.take_buffer().unwrap();
        queue.buffer_mut(buffer).unwrap()[64..124].fill(0x55);
        packets.push(TxPacket::new(buffer, 64, 60));
    }
    assert_eq!(queue.transmit(&packets).unwrap(), 32);
    assert_eq!(soft.inner().doorbells, 1);
    assert_eq!(queue.transmit(&packets[..0]).unwrap(), 0);
    assert_eq!(soft.inner().doorbells, 1);
    soft.inner().run();
    let publishes = soft.inner().publishes;
    let mut out = [RxPacket::EMPTY; 32];
    assert_eq!(queue.receive(&mut out).unwrap(), 32);
    assert!(
        out.iter()
            .all(|packet| queue.bytes(packet).unwrap() == [0x55; 60])
    );
    assert_eq!(soft.inner().publishes, publishes);
    assert_eq!(queue.receive(&mut out).unwrap(), 0);
}

#[test]
fn frames_of_many_pieces_arrive_whole() {
    let memory = Memory::default();
    let config = QueueConfig {
        buffer_bytes: 1024,
        headroom: 0,
        ..small()
    };
    let (mut queue, soft) = queue(&memory, &config);
    let mut random = Random(9);
    for count in 1..=18_usize {
        for shared_buffer in [false, true] {
            let mut frame = Vec::new();
            let mut segments = Vec::new();
            let mut buffer = queue.take_buffer().unwrap();
            for n in 0..count {
                if !shared_buffer && n > 0 {
                    buffer = queue.take_buffer().unwrap();
                }
                let offset = if shared_buffer {
                    n * 50
                } else {
                    random.below(900) as usize
                };
                let length = 14 + random.below(30) as usize;
                let piece = random.frame(length);
                queue.buffer_mut(buffer).unwrap()[offset..offset + length].copy_from_slice(&piece);
                frame.extend_from_slice(&piece);
                segments.push(Segment {
                    buffer,
                    offset: offset as u16,
                    length: length as u16,
                });
            }
            assert_eq!(queue.transmit_gather(&[&segments]).unwrap(), 1);
            let mut sent = soft.inner().wire.pop_front().unwrap();
            if frame.len() < 60 && sent.len() == 60 {
                // Zeros where the last piece has its buffer for itself.
                assert!(count == 1 || !shared_buffer);
                assert_eq!(sent.split_off(frame.len()), vec![0; 60 - frame.len()]);
            }
            assert_eq!(sent, frame);
            queue.reap().unwrap();
            let usage = queue.usage();
            assert_eq!(
                (usage.missing(), usage.owned, usage.transmitting),
                (0, 0, 0)
            );
        }
    }
    assert_eq!(queue.counters().transmit.packets, 36);
}

#[test]
fn a_stalled_transmitter_holds_nothing_for_ever() {
    let memory = Memory::default();
    // So few buffers that the transmit ring can have all that the receive ring does not.
    let config = QueueConfig {
        buffers: 200,
        ..small()
    };
    let (mut queue, soft) = queue(&memory, &config);
    soft.inner().stall = true;
    let frame = Random(5).frame(60);
    let mut waiting = Vec::new();
    let mut out = [RxPacket::EMPTY; 16];
    for _ in 0..1000 {
        soft.inner().deliver(&frame);
        let taken = queue.receive(&mut out).unwrap();
        waiting.extend_from_slice(&out[..taken]);
        let sent = queue.transmit(&waiting).unwrap();
        waiting.drain(..sent);
    }
    let usage = queue.usage();
    assert_eq!(usage.transmitting, 128, "the transmit ring is full");
    assert_eq!(usage.missing(), 0);
    assert!(queue.counters().transmit.full > 0);
    assert!(queue.counters().receive.starved > 0);
    soft.inner().stall = false;
    soft.inner().loopback = false;
    soft.inner().run();
    for _ in 0..1000 {
        soft.inner().deliver(&frame);
        let taken = queue.receive(&mut out).unwrap();
        waiting.extend_from_slice(&out[..taken]);
        let sent = queue.transmit(&waiting).unwrap();
        waiting.drain(..sent);
    }
    assert!(waiting.is_empty());
    assert!(soft.inner().sent >= 1000);
    assert_eq!(queue.usage().missing(), 0);
}

#[test]
fn the_device_always_has_the_buffers_that_the_firmware_wants() {
    let memory = Memory::default();
    for receive_ring in [128, 129, 512, 1000, 8191] {
        let config = QueueConfig {
            receive_ring,
            buffers: 20_000,
            buffer_bytes: 512,
            headroom: 0,
            ..small()
        };
        let (mut queue, soft) = queue(&memory, &config);
        let frame = [7; 60];
        let mut out = [RxPacket::EMPTY; 1];
        for _ in 0..3 * u32::from(receive_ring) {
            assert!(soft.inner().buffers_free() >= 32);
            assert!(soft.inner().buffers_free() <= u32::from(receive_ring));
            assert!(soft.inner().deliver(&frame));
            assert_eq!(queue.receive(&mut out).unwrap(), 1);
            queue.release(&out[0]);
        }
        queue.close_with(|_| Ok::<(), (_, ())>(())).unwrap();
    }
}

#[test]
fn storage_on_the_stack_works_too_and_is_reused() {
    let memory = Memory::default();
    let mut storage = QueueStorage::<512, 128, 128>::new();
    for _ in 0..3 {
        let (mut queue, soft) = queue_with(&memory, &small(), &mut storage);
        queue.send(&[1; 64]).unwrap();
        soft.inner().run();
        let mut out = [RxPacket::EMPTY; 4];
        assert_eq!(queue.receive(&mut out).unwrap(), 1);
        assert_eq!(queue.usage().owned, 1);
        queue.close_with(|_| Ok::<(), (_, ())>(())).unwrap();
    }
    assert_eq!(memory.live(), 0);
}
