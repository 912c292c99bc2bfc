//! Any completions and any indices: the queue pair gives frames, counts errors or reports a fault, and every
//! buffer is accounted for at the end.
//!
//! Each 32-byte chunk is a completion. A chunk that begins with 0xff moves the index by the next two bytes
//! instead.
#![no_main]

#[path = "../../fastlinq-net/tests/common/mod.rs"]
mod common;

use common::{Memory, queue_with};
use fastlinq_net::completion::parse;
use fastlinq_net::{QueueConfig, QueueStorage, RxPacket};
use libfuzzer_sys::fuzz_target;

const JUMP: u8 = 0xff;

fuzz_target!(|data: &[u8]| {
    let config = QueueConfig {
        receive_ring: 128,
        transmit_ring: 128,
        buffers: 200,
        buffer_bytes: 512,
        headroom: 0,
        ..QueueConfig::default()
    };
    let memory = Memory::default();
    let mut storage = Box::new(QueueStorage::<200, 128, 128>::new());
    let (mut queue, device) = queue_with(&memory, &config, &mut *storage);
    let mut packets = [RxPacket::EMPTY; 16];
    let mut held = Vec::new();
    for chunk in data.chunks_exact(32) {
        let Ok(cqe) = <[u8; 32]>::try_from(chunk) else {
            continue;
        };
        let words = std::array::from_fn(|index| {
            cqe.get(index * 8..index * 8 + 8)
                .and_then(|bytes| bytes.try_into().ok())
                .map_or(0, u64::from_le_bytes)
        });
        let _ = parse(words, u16::from_le_bytes([cqe[30], cqe[31]]));
        if cqe[0] == JUMP {
            let jump = u16::from_le_bytes([cqe[1], cqe[2]]);
            let mut inner = device.inner();
            inner.cq_index = inner.cq_index.wrapping_add(jump);
        } else if device.inner().completions_free() > 0 {
            device.inner().complete(cqe);
        }
        if let Ok(count) = queue.receive(&mut packets) {
            for packet in packets.iter().take(count) {
                let mut frame = vec![0; packet.len()];
                queue.copy_to(packet, &mut frame);
                held.push(*packet);
            }
        }
        if held.len() > 20 {
            for packet in held.drain(..) {
                assert!(queue.release(&packet), "a frame that was given can be given back");
            }
        }
    }
    for packet in held {
        assert!(queue.release(&packet), "a frame that was given can be given back");
    }
    let usage = queue.usage();
    assert_eq!(usage.missing(), 0, "no buffer is lost: {usage:?}");
    let closed = queue.close_with(|_| Ok::<_, (_, ())>(()));
    assert!(closed.is_ok());
    assert_eq!(memory.live(), 0, "all memory is back");
});
