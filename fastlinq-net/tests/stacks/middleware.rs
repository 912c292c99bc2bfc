//! Tap and fault injector on plain queue pairs.

use std::collections::HashMap;

use fastlinq_net::middleware::{
    Direction, FaultInjector, FaultState, FaultsOf, Observer, PcapWriter, Rates, Tap,
};
use fastlinq_net::{QueueConfig, Ring, RxPacket, TxPacket};

use crate::station::{pair, pass};

fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![2, 0x0e, 0x1e, 0, 2, 0, 2, 0x0e, 0x1e, 0, 1, 0, 0x88, 0xb5];
    frame.extend_from_slice(&number.to_be_bytes());
    frame.resize(length, number as u8);
    frame
}

fn send<R: Ring>(ring: &mut R, frame: &[u8]) -> usize {
    let Some(buffer) = ring.take_buffer() else {
        return 0;
    };
    ring.buffer_mut(buffer).unwrap()[..frame.len()].copy_from_slice(frame);
    let packet = TxPacket::new(buffer, 0, frame.len() as u16);
    let taken = ring.transmit(&[packet]).unwrap();
    if taken == 0 {
        ring.release_buffer(buffer);
    }
    taken
}

fn receive<R: Ring>(ring: &mut R) -> Vec<Vec<u8>> {
    let mut out = [RxPacket::EMPTY; 16];
    let taken = ring.receive(&mut out).unwrap();
    let frames = out[..taken].iter().map(|packet| {
        let bytes = ring.segments(packet).collect::<Vec<_>>().concat();
        assert!(ring.release(packet));
        bytes
    });
    frames.collect()
}

#[test]
fn a_tap_writes_what_goes_through() {
    let config = QueueConfig::default();
    let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
    let mut files = [Vec::new(), Vec::new()];
    let [sent_file, received_file] = &mut files;
    let mut clock = 0_u64;
    let sent = PcapWriter::new(
        |bytes: &[u8]| {
            sent_file.extend_from_slice(bytes);
            Ok::<(), ()>(())
        },
        || {
            clock += 1_500_000_000;
            clock
        },
        65_535,
    );
    let received = PcapWriter::new(
        |bytes: &[u8]| {
            received_file.extend_from_slice(bytes);
            Ok::<(), ()>(())
        },
        || 0,
        100,
    )
    .only(Direction::Received);
    let mut a = Tap::new(left_queue, sent);
    let mut b = Tap::new(right_queue, received);
    let frames: Vec<_> = (0..200).map(|n| frame(n, 60 + n as usize * 7)).collect();
    let mut arrived = Vec::new();
    for frame in &frames {
        assert_eq!(send(&mut a, frame), 1);
        pass([&left.host, &right.host], 100_000);
        arrived.extend(receive(&mut b));
        // What the other side sends is not in its capture.
        assert_eq!(send(&mut b, frame), 1);
        pass([&left.host, &right.host], 100_000);
        receive(a.ring_mut());
    }
    assert_eq!(arrived, frames);
    let (left_queue, sent) = a.into_parts();
    let (right_queue, received) = b.into_parts();
    assert_eq!((sent.finish(), received.finish()), (Ok(200), Ok(200)));
    left.close(left_queue);
    right.close(right_queue);
    for (file, snap) in files.iter().zip([65_535, 100]) {
        let mut reader = pcap_file::pcap::PcapReader::new(&file[..]).unwrap();
        let mut number = 0;
        while let Some(packet) = reader.next_packet() {
            let packet = packet.unwrap();
            let frame = &frames[number];
            assert_eq!(packet.orig_len as usize, frame.len());
            assert_eq!(packet.data[..], frame[..frame.len().min(snap)]);
            if snap > 100 {
                assert_eq!(packet.timestamp.as_millis(), 1_500 * (number as u128 + 1));
            }
            number += 1;
        }
        assert_eq!(number, 200);
    }
}

#[test]
fn a_full_disk_ends_the_capture_and_not_the_traffic() {
    let config = QueueConfig::default();
    let [(left, left_queue), (right, mut right_queue)] = pair(&config, 0);
    let mut room = 24 + 3 * (16 + 60);
    let capture = PcapWriter::new(
        |bytes: &[u8]| {
            room -= bytes.len() as i64;
            if room < 0 { Err("disk full") } else { Ok(()) }
        },
        || 0,
        65_535,
    );
    let mut a = Tap::new(left_queue, capture);
    for number in 0..10 {
        assert_eq!(send(&mut a, &frame(number, 60)), 1);
        pass([&left.host, &right.host], 100_000);
        assert_eq!(receive(&mut right_queue).len(), 1);
    }
    let (queue, capture) = a.into_parts();
    let error = capture.finish().unwrap_err();
    assert_eq!((error.cause, error.frames), ("disk full", 3));
    left.close(queue);
    right.close(right_queue);
}

/// Counts frames and bytes.
#[derive(Default)]
struct Count(HashMap<Direction, (u64, usize)>);

impl Observer for Count {
    fn frame(
        &mut self,
        direction: Direction,
        length: usize,
        pieces: &mut dyn Iterator<Item = &[u8]>,
    ) {
        let entry = self.0.entry(direction).or_default();
        entry.0 += 1;
        entry.1 += length;
        assert_eq!(pieces.map(<[u8]>::len).sum::<usize>(), length);
    }
}

#[test]
fn a_tap_shows_only_what_the_ring_takes() {
    let config = QueueConfig {
        transmit_ring: 128,
        ..QueueConfig::default()
    };
    let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
    let mut a = Tap::new(left_queue, Count::default());
    let mut packets = Vec::new();
    for number in 0..200 {
        let buffer = a.take_buffer().unwrap();
        a.buffer_mut(buffer).unwrap()[..60].copy_from_slice(&frame(number, 60));
        packets.push(TxPacket::new(buffer, 0, 60));
    }
    let mut taken = 0;
    while taken < packets.len() {
        let now = a.transmit(&packets[taken..]).unwrap();
        assert!(now < 200, "the ring has 128 descriptors");
        taken += now;
        assert_eq!(a.observer().0[&Direction::Sent].0, taken as u64);
        pass([&left.host, &right.host], 100_000);
    }
    let (queue, _) = a.into_parts();
    let mut other = right_queue;
    for _ in 0..50 {
        pass([&left.host, &right.host], 100_000);
        receive(&mut other);
    }
    left.close(queue);
    right.close(other);
}

fn one(rates: Rates, on_receive: bool) -> (FaultsOf, Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let config = QueueConfig::default();
    let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
    let none = Rates::default();
    let (sent, received) = if on_receive {
        (none, rates)
    } else {
        (rates, none)
    };
    let mut a = FaultInjector::new(left_queue, FaultState::new(7, none, sent));
    let mut b = FaultInjector::new(right_queue, FaultState::new(9, received, none));
    let frames: Vec<_> = (0..1_000)
        .map(|n| frame(n, 60 + n as usize % 1_400))
        .collect();
    let mut arrived = Vec::new();
    for frame in &frames {
        assert_eq!(send(&mut a, frame), 1);
        pass([&left.host, &right.host], 100_000);
        arrived.extend(receive(&mut b));
    }
    // What is held back comes out by and by.
    for _ in 0..300 {
        receive(&mut a);
        pass([&left.host, &right.host], 100_000);
        arrived.extend(receive(&mut b));
    }
    let (left_queue, state) = a.into_parts();
    let sent = state.counters().sent;
    let (right_queue, state) = b.into_parts();
    let counters = if on_receive {
        state.counters().received
    } else {
        sent
    };
    left.close(left_queue);
    right.close(right_queue);
    (counters, frames, arrived)
}

#[test]
fn each_fault_does_what_its_name_says() {
    for on_receive in [false, true] {
        let (counters, frames, arrived) = one(Rates::default(), on_receive);
        assert_eq!(arrived, frames);
        assert_eq!(
            counters,
            FaultsOf {
                frames: 1_000,
                ..FaultsOf::default()
            }
        );

        let rates = Rates {
            drop: 100,
            ..Rates::default()
        };
        let (counters, frames, arrived) = one(rates, on_receive);
        assert!((50..200).contains(&counters.dropped), "{counters:?}");
        assert_eq!(arrived.len() as u64, 1_000 - counters.dropped);
        assert!(arrived.iter().all(|frame| frames.contains(frame)));

        let rates = Rates {
            duplicate: 100,
            ..Rates::default()
        };
        let (counters, frames, arrived) = one(rates, on_receive);
        assert!((50..200).contains(&counters.duplicated), "{counters:?}");
        assert_eq!(arrived.len() as u64, 1_000 + counters.duplicated);
        let mut once = arrived.clone();
        once.dedup();
        assert_eq!(once, frames, "a double comes right behind the first");

        let rates = Rates {
            corrupt: 100,
            ..Rates::default()
        };
        let (counters, frames, arrived) = one(rates, on_receive);
        assert!((50..200).contains(&counters.corrupted), "{counters:?}");
        let mut changed = 0;
        // A changed address may keep a frame from arriving only if the mode is not promiscuous; it is.
        assert_eq!(arrived.len(), frames.len());
        for (frame, arrived) in frames.iter().zip(&arrived) {
            let bits: u32 = frame
                .iter()
                .zip(arrived)
                .map(|(a, b)| (a ^ b).count_ones())
                .sum();
            assert!(bits <= 1 && frame.len() == arrived.len());
            changed += u64::from(bits);
        }
        assert_eq!(changed, counters.corrupted);

        let rates = Rates {
            delay: 100,
            delay_calls: 5,
            ..Rates::default()
        };
        let (counters, mut frames, mut arrived) = one(rates, on_receive);
        assert!((50..200).contains(&counters.delayed), "{counters:?}");
        assert_ne!(arrived, frames, "some are overtaken");
        arrived.sort();
        frames.sort();
        assert_eq!(arrived, frames, "none is lost");
    }
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let rates = Rates {
        drop: 50,
        duplicate: 50,
        corrupt: 50,
        delay: 50,
        delay_calls: 4,
    };
    let (first, _, arrived) = one(rates, true);
    let (second, _, again) = one(rates, true);
    assert_eq!(first, second);
    assert_eq!(arrived, again);
}

#[test]
fn frames_that_are_not_the_programs_are_refused_by_name() {
    let config = QueueConfig::default();
    let [(left, left_queue), (right, right_queue)] = pair(&config, 0);
    let rates = Rates {
        drop: 250,
        duplicate: 250,
        corrupt: 250,
        delay: 250,
        delay_calls: 3,
    };
    let mut a = FaultInjector::new(left_queue, FaultState::new(1, rates, rates));
    let buffer = a.take_buffer().unwrap();
    assert!(a.release_buffer(buffer));
    for _ in 0..50 {
        let error = a.transmit(&[TxPacket::new(buffer, 0, 60)]).unwrap_err();
        assert!(error.to_string().contains("not the program's"), "{error}");
    }
    left.close(a.into_parts().0);
    right.close(right_queue);
}
