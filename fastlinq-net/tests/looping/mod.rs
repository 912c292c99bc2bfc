//! Frames out of the software adapter's port and back.
#![allow(dead_code, unreachable_pub)]

use std::collections::VecDeque;

use fastlinq_model_host::ModelHost;
use fastlinq_net::{QueueConfig, QueueDevice, QueuePair, RxPacket, SendError, Storage};

/// Takes what arrived, and lets pass longer than any interrupt coalescing waits.
pub fn pass(host: &ModelHost) {
    host.poll();
    host.advance(100_000);
}

/// Frames on their way at a time: so few that the smallest ring has buffers for all of them.
const AT_ONCE: usize = 20;

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

pub fn no_violations(host: &ModelHost) {
    let violations = host.violations();
    assert!(violations.is_empty(), "{}", violations[0]);
    assert_eq!(host.memory().late_count, 0);
}

pub fn numbered(length: usize, number: u32) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9) | 1;
    let mut frame: Vec<u8> = (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect();
    // From and to unicast addresses, of a protocol of its own.
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5]);
    frame
}

/// Sends frames in bursts and compares what comes back, in order.
pub fn loop_frames<D: QueueDevice>(
    host: &ModelHost,
    queue: &mut QueuePair<'_, D>,
    lengths: impl Iterator<Item = usize>,
) -> u32 {
    let mut lengths = lengths.peekable();
    let mut expected = VecDeque::new();
    let mut number = 0;
    let mut out = [RxPacket::EMPTY; 32];
    let mut bytes = vec![0; 10_000];
    let mut idle = 0;
    while lengths.peek().is_some() || !expected.is_empty() {
        while let (Some(length), true) = (lengths.peek(), expected.len() < AT_ONCE) {
            let frame = numbered(*length, number);
            match queue.send(&frame) {
                Ok(()) => {}
                Err(SendError::Full) => break,
                Err(error) => panic!("{error}"),
            }
            lengths.next();
            expected.push_back(frame);
            number += 1;
        }
        pass(host);
        let taken = queue.receive(&mut out).expect("no fault");
        for packet in &out[..taken] {
            let frame: Vec<u8> = expected.pop_front().expect("a frame that was sent");
            assert_eq!(packet.len(), frame.len().max(60), "short frames are padded");
            let copied = queue.copy_to(packet, &mut bytes);
            assert_eq!(bytes[..frame.len()], frame);
            assert!(bytes[frame.len()..copied].iter().all(|byte| *byte == 0));
            assert!(queue.release(packet));
        }
        idle = if taken == 0 { idle + 1 } else { 0 };
        assert!(idle < 1000, "{} frames did not come back", expected.len());
    }
    number
}
