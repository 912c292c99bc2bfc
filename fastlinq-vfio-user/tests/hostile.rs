//! Peers that do not keep to the protocol: an error reply or a closed connection, and the next peer is served.

mod bench;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bench::{Bench, OFFSET_COPY, OFFSET_SIGNAL, REGION_SIZE, memory_file};
use fastlinq_vfio_user::message::{Command, DmaMap, DmaUnmap, Header, RegionAccess, SetIrqs};
use zerocopy::IntoBytes;

#[test]
fn refused_messages_leave_the_stream_in_step() {
    let bench = Bench::start("refused");
    let mut peer = bench.negotiated();
    let payload = [0xa5; 300];
    assert_eq!(peer.call(Command(77), &[&payload]), Err(95));
    assert_eq!(peer.write(42, 0, &payload), Err(22), "no such region");
    assert_eq!(
        peer.write(7, 0, &payload[..4]),
        Err(22),
        "a read-only region"
    );
    assert_eq!(
        peer.write(0, REGION_SIZE - 2, &payload[..4]),
        Err(22),
        "past the end"
    );
    assert_eq!(peer.read(0, u64::MAX, 4), Err(22), "wraps");
    assert_eq!(peer.read(0, 0, u32::MAX), Err(22), "too long");
    assert_eq!(
        peer.call(Command::REGION_READ, &[&[1, 2, 3]]),
        Err(22),
        "cut short"
    );
    let access = RegionAccess {
        offset: 0.into(),
        region: 0.into(),
        count: 64.into(),
    };
    assert_eq!(
        peer.call(Command::REGION_WRITE, &[access.as_bytes(), &[0; 8]]),
        Err(22),
        "less data than said"
    );
    assert_eq!(peer.map(0, 0, None), Err(22));
    assert_eq!(peer.map(u64::MAX - 4, 64, None), Err(22));
    peer.map(0x1000, 0x1000, None).expect("mapped");
    assert_eq!(peer.map(0x1800, 0x1000, None), Err(17), "overlaps");
    let unmap = DmaUnmap {
        argsz: 24.into(),
        flags: 0.into(),
        address: 0x1000.into(),
        size: 8.into(),
    };
    assert_eq!(
        peer.call(Command::DMA_UNMAP, &[unmap.as_bytes()]),
        Err(22),
        "cuts a window in two"
    );
    peer.write(0, 0, &[5]).expect("the stream is still in step");
    assert_eq!(peer.read(0, 0, 1), Ok(vec![5]));
}

#[test]
fn interrupt_requests_outside_the_device_are_refused() {
    let bench = Bench::start("irqs");
    let mut peer = bench.negotiated();
    for (index, start, count) in [(9, 0, 1), (2, 4, 1), (2, u32::MAX, 2), (1, 0, 1)] {
        let request = SetIrqs {
            argsz: 20.into(),
            flags: (SetIrqs::DATA_EVENTFD | SetIrqs::ACTION_TRIGGER).into(),
            index: index.into(),
            start: start.into(),
            count: count.into(),
        };
        assert_eq!(
            peer.call(Command::DEVICE_SET_IRQS, &[request.as_bytes()]),
            Err(22)
        );
    }
}

#[test]
fn sizes_that_cannot_be_close_the_connection_only() {
    let bench = Bench::start("sizes");
    for size in [0u32, 15, u32::MAX, 3 << 20] {
        let mut peer = bench.connect();
        let header = Header {
            message_size: size.into(),
            ..Header::default()
        };
        peer.stream.write_all(header.as_bytes()).expect("sends");
        assert!(peer.receive().is_none(), "closed");
    }
    bench
        .negotiated()
        .write(0, 0, &[1])
        .expect("the next peer is served");
}

#[test]
fn too_many_descriptors_close_the_connection_only() {
    let bench = Bench::start("descriptors");
    let mut peer = bench.negotiated();
    let file = memory_file(0x1000);
    let many = vec![&file; 100];
    peer.send_with(Command::DMA_MAP, &[&[0; 32]], &many);
    assert!(peer.receive().is_none(), "closed");
    bench
        .negotiated()
        .write(0, 0, &[1])
        .expect("the next peer is served");
}

#[test]
fn a_memory_file_that_shrinks_is_an_error_for_one_access() {
    let bench = Bench::start("shrinks");
    let mut peer = bench.negotiated();
    let guest = memory_file(0x2000);
    peer.map(0, 0x2000, Some(&guest)).expect("mapped");
    rustix::fs::ftruncate(&guest, 0x1000).expect("shrinks");
    assert_eq!(peer.write(0, OFFSET_COPY, &0x1800u64.to_le_bytes()), Err(5));
    peer.write(0, OFFSET_COPY, &0x800u64.to_le_bytes())
        .expect("what is left still works");
}

#[test]
fn random_bytes_never_stop_the_server() {
    let bench = Bench::start("random");
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..400 {
        let mut peer = if round % 2 == 0 {
            bench.connect()
        } else {
            bench.negotiated()
        };
        for _ in 0..8 {
            let length = (random() % 64) as usize;
            let body: Vec<u8> = (0..length)
                .map(|_| {
                    if random() % 3 == 0 {
                        random() as u8
                    } else {
                        (random() % 4) as u8
                    }
                })
                .collect();
            let bytes = peer.message(
                Command((random() % 17) as u16),
                (random() % 64) as u32,
                &[&body],
            );
            if peer.stream.write_all(&bytes).is_err() {
                break;
            }
        }
    }
    bench
        .negotiated()
        .write(0, 0, &[1])
        .expect("the server still serves");
}

#[test]
fn a_peer_that_never_reads_is_given_up() {
    let bench = Bench::start("deaf");
    let mut peer = bench.negotiated();
    let access = RegionAccess {
        offset: 0.into(),
        region: 0.into(),
        count: (REGION_SIZE as u32).into(),
    };
    peer.stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .expect("a time-out");
    let closed = (0..100_000).any(|_| {
        let bytes = peer.message(Command::REGION_READ, 0, &[access.as_bytes()]);
        peer.stream.write_all(&bytes).is_err()
    });
    assert!(closed, "the server takes requests without end");
    bench
        .negotiated()
        .write(0, 0, &[1])
        .expect("the next peer is served");
}

#[test]
fn half_a_message_does_not_keep_the_server_from_stopping() {
    let bench = Bench::start("half");
    let mut peer = bench.negotiated();
    let bytes = peer.message(Command::REGION_READ, 0, &[&[0; 16]]);
    peer.stream.write_all(&bytes[..21]).expect("sends");
    std::thread::sleep(Duration::from_millis(50));
    drop(bench);
    assert!(peer.receive().is_none());
}

#[test]
fn descriptors_that_are_no_memory_are_errors_of_single_accesses() {
    let bench = Bench::start("no-memory");
    let mut peer = bench.negotiated();
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    let directory: OwnedFd = std::fs::File::open("/").expect("a directory").into();
    let read_only: OwnedFd = std::fs::File::open("/dev/zero").expect("zeros").into();
    for (index, file) in (0u64..).zip([&reader, &writer, &directory, &read_only]) {
        let address = 0x10_0000 * index;
        peer.map(address, 0x1000, Some(file)).expect("mapped");
        assert_eq!(peer.write(0, OFFSET_COPY, &address.to_le_bytes()), Err(5));
    }
    peer.write(0, 0, &[1]).expect("the peer is still served");
}

#[test]
fn windows_come_and_go_while_the_device_uses_them() {
    let bench = Bench::start("churn");
    let mut peer = bench.negotiated();
    let guest = memory_file(0x4000);
    for round in 0..200u64 {
        let address = 0x1000 * (round % 7);
        peer.map(address, 0x1000, Some(&guest)).expect("mapped");
        assert_eq!(
            peer.map(address + 0x800, 0x1000, Some(&guest)),
            Err(17),
            "overlap"
        );
        peer.write(0, OFFSET_COPY, &address.to_le_bytes())
            .expect("mapped");
        let request = DmaUnmap {
            argsz: 24.into(),
            flags: 0.into(),
            address: address.into(),
            size: 0x1000.into(),
        };
        peer.call(Command::DMA_UNMAP, &[request.as_bytes()])
            .expect("unmapped");
        assert_eq!(
            peer.write(0, OFFSET_COPY, &address.to_le_bytes()),
            Err(5),
            "what is unmapped is out of reach"
        );
    }
}

#[test]
fn descriptors_that_are_missing_or_too_many_for_their_message_are_refused() {
    let bench = Bench::start("wrong-fds");
    let mut peer = bench.negotiated();
    let file = memory_file(0x1000);
    let map = DmaMap {
        argsz: 32.into(),
        flags: 3.into(),
        offset: 0.into(),
        address: 0.into(),
        size: 0x1000.into(),
    };
    peer.send_with(Command::DMA_MAP, &[map.as_bytes()], &[&file, &file]);
    assert_eq!(peer.answer(), Err(22), "two files for one window");
    let irqs = |start: u32, count: u32| SetIrqs {
        argsz: 20.into(),
        flags: (SetIrqs::DATA_EVENTFD | SetIrqs::ACTION_TRIGGER).into(),
        index: 2.into(),
        start: start.into(),
        count: count.into(),
    };
    peer.send_with(
        Command::DEVICE_SET_IRQS,
        &[irqs(0, 1).as_bytes()],
        &[&file, &file],
    );
    assert_eq!(peer.answer(), Err(22), "two eventfds for one vector");
    peer.call(Command::DEVICE_SET_IRQS, &[irqs(0, 4).as_bytes()])
        .expect("no eventfd at all takes them away");
    assert_eq!(peer.write(0, OFFSET_SIGNAL, &[0]), Err(22));
    // A message that takes none, with one: it must not be the next one's.
    let access = RegionAccess {
        offset: 0.into(),
        region: 0.into(),
        count: 4.into(),
    };
    peer.send_with(Command::REGION_READ, &[access.as_bytes()], &[&file]);
    peer.answer().expect("read all the same");
    peer.map(0x5000, 0x1000, None).expect("mapped");
    let bytes = peer.message(
        Command::REGION_WRITE,
        0,
        &[
            RegionAccess {
                offset: OFFSET_COPY.into(),
                region: 0.into(),
                count: 8.into(),
            }
            .as_bytes(),
            &0x5000u64.to_le_bytes(),
        ],
    );
    peer.stream.write_all(&bytes).expect("sends");
    let (header, _) = peer.receive().expect("a DMA request by message");
    assert_eq!(header.command.get(), Command::DMA_READ.0);
}

#[test]
fn a_header_in_two_pieces_with_its_descriptor_in_the_first_is_taken() {
    let bench = Bench::start("cut-header");
    for cut in [1, 8, 15, 16, 17, 40] {
        let mut peer = bench.negotiated();
        let file = memory_file(0x1000);
        let map = DmaMap {
            argsz: 32.into(),
            flags: 3.into(),
            offset: 0.into(),
            address: 0.into(),
            size: 0x1000.into(),
        };
        let bytes = peer.message(Command::DMA_MAP, 0, &[map.as_bytes()]);
        peer.send_bytes(&bytes[..cut], &[&file]);
        std::thread::sleep(Duration::from_millis(5));
        peer.stream.write_all(&bytes[cut..]).expect("sends");
        peer.answer().expect("mapped");
        peer.write(0, OFFSET_COPY, &0u64.to_le_bytes())
            .expect("its file is there");
    }
}

#[test]
fn peers_that_leave_at_any_point_do_no_harm() {
    let bench = Bench::start("many");
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("a list").count();
    let mut before = 0;
    for round in 0..300usize {
        let mut peer = bench.negotiated();
        let file = memory_file(0x1000);
        peer.map(0, 0x1000, Some(&file)).expect("mapped");
        let bytes = peer.message(Command::REGION_READ, 0, &[&[0; 16]]);
        peer.stream
            .write_all(&bytes[..round % bytes.len()])
            .expect("sends");
        if round == 10 {
            before = descriptors();
        }
    }
    bench
        .negotiated()
        .write(0, 0, &[1])
        .expect("the next peer is served");
    // Other tests of this process have descriptors of their own.
    assert!(descriptors() < before + 150, "descriptors are given back");
}
