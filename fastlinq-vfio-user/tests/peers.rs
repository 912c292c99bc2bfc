//! Peers that keep to the protocol, against a server with a memory-like device.

mod bench;

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bench::{Bench, OFFSET_COPY, OFFSET_SIGNAL, Peer, REGION_SIZE, memory_file};
use fastlinq_vfio_user::Server;
use fastlinq_vfio_user::message::{
    Command, DeviceInfo, DmaAccess, DmaMap, Header, RegionAccess, SetIrqs, SmallWrite, Version,
};
use zerocopy::{FromBytes, IntoBytes};

#[test]
fn registers_dma_and_interrupts_work() {
    let bench = Bench::start("works");
    let mut peer = bench.negotiated();
    let info = DeviceInfo {
        argsz: 16.into(),
        ..DeviceInfo::default()
    };
    let info = peer
        .call(Command::DEVICE_GET_INFO, &[info.as_bytes()])
        .expect("information");
    assert_eq!(
        DeviceInfo::read_from_bytes(&info)
            .expect("its size")
            .num_regions
            .get(),
        9
    );

    peer.write(0, 0x10, &[1, 2, 3, 4]).expect("a register");
    assert_eq!(peer.read(0, 0x10, 4), Ok(vec![1, 2, 3, 4]));

    let guest = memory_file(0x1000);
    rustix::io::pwrite(&guest, &0x1234_5678u32.to_le_bytes(), 0x20).expect("guest memory");
    peer.map(0x8000_0000, 0x1000, Some(&guest)).expect("mapped");
    peer.write(0, OFFSET_COPY, &0x8000_0020u64.to_le_bytes())
        .expect("DMA");
    let mut value = [0; 4];
    rustix::io::pread(&guest, &mut value, 0x20).expect("guest memory");
    assert_eq!(u32::from_le_bytes(value), !0x1234_5678);

    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    let request = SetIrqs {
        argsz: 20.into(),
        flags: (SetIrqs::DATA_EVENTFD | SetIrqs::ACTION_TRIGGER).into(),
        index: 2.into(),
        start: 1.into(),
        count: 1.into(),
    };
    peer.send_with(Command::DEVICE_SET_IRQS, &[request.as_bytes()], &[&writer]);
    peer.answer().expect("a vector");
    assert_eq!(
        peer.write(0, OFFSET_SIGNAL, &[0]),
        Err(22),
        "vector 0 has no eventfd"
    );
    peer.write(0, OFFSET_SIGNAL, &[1]).expect("signals");
    let mut count = [0; 8];
    rustix::io::read(&reader, &mut count).expect("signalled");
    assert_eq!(u64::from_ne_bytes(count), 1);
}

#[test]
fn memory_without_a_descriptor_is_reached_by_messages() {
    let bench = Bench::start("messages");
    let mut peer = bench.negotiated();
    peer.map(0x1000, 0x1000, None).expect("mapped");
    let access = RegionAccess {
        offset: OFFSET_COPY.into(),
        region: 0.into(),
        count: 8.into(),
    };
    let bytes = peer.message(
        Command::REGION_WRITE,
        0,
        &[access.as_bytes(), &0x1010u64.to_le_bytes()],
    );
    // A second command is already under way when the device asks for memory.
    let queued = RegionAccess {
        offset: 0x40.into(),
        region: 0.into(),
        count: 1.into(),
    };
    let queued = peer.message(Command::REGION_WRITE, 0, &[queued.as_bytes(), &[9]]);
    peer.stream
        .write_all(&[bytes, queued].concat())
        .expect("sends");

    let reply = |peer: &mut Peer, header: &Header, body: &[u8]| {
        let header = Header {
            message_size: ((Header::SIZE + body.len()) as u32).into(),
            flags: Header::REPLY.into(),
            ..*header
        };
        peer.stream
            .write_all(&[header.as_bytes(), body].concat())
            .expect("answers");
    };
    let (header, body) = peer.receive().expect("a read");
    assert_eq!(header.command.get(), Command::DMA_READ.0);
    let request = DmaAccess::read_from_bytes(&body).expect("its size");
    assert_eq!((request.address.get(), request.count.get()), (0x1010, 4));
    reply(&mut peer, &header, &[&body[..], &[0xf0, 0, 0, 0]].concat());
    let (header, body) = peer.receive().expect("a write");
    assert_eq!(header.command.get(), Command::DMA_WRITE.0);
    assert_eq!(body[16..], [0x0f, 0xff, 0xff, 0xff]);
    reply(&mut peer, &header, &body[..16]);
    for _ in 0..2 {
        let (header, _) = peer.receive().expect("both commands are answered");
        assert_eq!(header.error.get(), 0);
    }
    assert_eq!(peer.read(0, 0x40, 1), Ok(vec![9]));
}

#[test]
fn a_message_may_arrive_byte_by_byte() {
    let bench = Bench::start("pieces");
    let mut peer = bench.negotiated();
    let access = RegionAccess {
        offset: 8.into(),
        region: 0.into(),
        count: 2.into(),
    };
    for byte in peer.message(Command::REGION_WRITE, 0, &[access.as_bytes(), &[7, 8]]) {
        peer.stream.write_all(&[byte]).expect("sends");
    }
    peer.answer().expect("written");
    assert_eq!(peer.read(0, 8, 2), Ok(vec![7, 8]));
}

#[test]
fn versions_are_taken_with_and_without_text_and_refused_when_wrong() {
    let bench = Bench::start("versions");
    for (text, expected) in [
        (&b"{}\0"[..], Ok(())),
        (b"", Ok(())),
        (b"{\"capabilities\":{\"max_msg_fds\":8}}", Ok(())),
        (b"{\"capabilities\":", Err(22)),
        (b"\xff\xfe\0", Err(22)),
    ] {
        let mut peer = bench.connect();
        let version = Version {
            major: 0.into(),
            minor: 0.into(),
        };
        assert_eq!(
            peer.call(Command::VERSION, &[version.as_bytes(), text])
                .map(|_| ()),
            expected
        );
    }
    let mut peer = bench.connect();
    assert_eq!(peer.read(0, 0, 4), Err(22), "nothing before the version");
    let version = Version {
        major: 1.into(),
        minor: 0.into(),
    };
    assert_eq!(peer.call(Command::VERSION, &[version.as_bytes()]), Err(95));
}

#[test]
fn a_peer_that_leaves_takes_its_memory_along_and_resets_the_device() {
    let bench = Bench::start("leaves");
    let mut peer = bench.negotiated();
    let guest = memory_file(0x1000);
    peer.map(0x1000, 0x1000, Some(&guest)).expect("mapped");
    peer.write(0, 0, &[1]).expect("a register");
    drop(peer);
    let mut peer = bench.negotiated();
    assert_eq!(bench.resets.load(Ordering::Relaxed), 1);
    assert_eq!(peer.read(0, 0, 1), Ok(vec![0]));
    assert_eq!(
        peer.write(0, OFFSET_COPY, &0x1000u64.to_le_bytes()),
        Err(5),
        "the window is gone"
    );
}

#[test]
fn a_path_that_is_no_socket_or_in_use_is_refused() {
    let bench = Bench::start("in-use");
    assert!(Server::bind(&bench.path).is_err());
    let file = std::env::temp_dir().join(format!("vfio-user-{}-file", std::process::id()));
    std::fs::write(&file, b"keep me").expect("a file");
    assert!(Server::bind(&file).is_err());
    assert_eq!(std::fs::read(&file).expect("still there"), b"keep me");
    std::fs::remove_file(&file).expect("removed");
}

#[test]
fn a_signal_between_two_eventfds_of_a_vector_is_kept_for_a_moment() {
    let bench = Bench::start("missed");
    let mut peer = bench.negotiated();
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&reader, true).expect("non-blocking");
    let request = |data: u32, count: u32| SetIrqs {
        argsz: 20.into(),
        flags: (data | SetIrqs::ACTION_TRIGGER).into(),
        index: 2.into(),
        start: 0.into(),
        count: count.into(),
    };
    let give = |peer: &mut Peer| {
        let request = request(SetIrqs::DATA_EVENTFD, 1);
        peer.send_with(Command::DEVICE_SET_IRQS, &[request.as_bytes()], &[&writer]);
        peer.answer().expect("a vector");
    };
    let take_all = |peer: &mut Peer| {
        let request = request(SetIrqs::DATA_NONE, 0);
        peer.call(Command::DEVICE_SET_IRQS, &[request.as_bytes()])
            .expect("taken");
    };
    let mut count = [0; 8];
    assert_eq!(peer.write(0, OFFSET_SIGNAL, &[0]), Err(22));
    give(&mut peer);
    assert!(
        rustix::io::read(&reader, &mut count).is_err(),
        "signalled before there ever was an eventfd"
    );
    take_all(&mut peer);
    assert_eq!(peer.write(0, OFFSET_SIGNAL, &[0]), Err(22));
    give(&mut peer);
    assert_eq!(rustix::io::read(&reader, &mut count), Ok(8), "kept");
    take_all(&mut peer);
    assert_eq!(peer.write(0, OFFSET_SIGNAL, &[0]), Err(22));
    std::thread::sleep(Duration::from_millis(1100));
    give(&mut peer);
    assert!(
        rustix::io::read(&reader, &mut count).is_err(),
        "too late: whoever comes now is somebody else"
    );
}

#[test]
fn several_messages_may_arrive_at_once_each_with_its_descriptors() {
    let bench = Bench::start("together");
    let mut peer = bench.negotiated();
    let access = RegionAccess {
        offset: 0x20.into(),
        region: 0.into(),
        count: 1.into(),
    };
    let (first, second) = (memory_file(0x1000), memory_file(0x1000));
    rustix::io::pwrite(&first, &[1; 4], 0).expect("guest memory");
    rustix::io::pwrite(&second, &[2; 4], 0).expect("guest memory");
    // The server does not read while it waits for the answer to its DMA request, so that all of this is there at once.
    peer.map(0x9000, 0x1000, None).expect("mapped");
    let copy = RegionAccess {
        offset: OFFSET_COPY.into(),
        region: 0.into(),
        count: 8.into(),
    };
    let held = peer.message(
        Command::REGION_WRITE,
        0,
        &[copy.as_bytes(), &0x9000u64.to_le_bytes()],
    );
    peer.stream.write_all(&held).expect("sends");
    let (request, _) = peer.receive().expect("a DMA request");
    let writes: Vec<u8> = (0..100)
        .flat_map(|value| peer.message(Command::REGION_WRITE, 0x10, &[access.as_bytes(), &[value]]))
        .collect();
    peer.stream.write_all(&writes).expect("sends");
    for (address, file) in [(0x1000u64, &first), (0x2000, &second)] {
        let map = DmaMap {
            argsz: 32.into(),
            flags: 3.into(),
            offset: 0.into(),
            address: address.into(),
            size: 0x1000.into(),
        };
        peer.send_with(Command::DMA_MAP, &[map.as_bytes()], &[file]);
    }
    let refusal = Header {
        message_size: (Header::SIZE as u32).into(),
        flags: (Header::REPLY | Header::ERROR).into(),
        error: 5.into(),
        ..request
    };
    peer.stream.write_all(refusal.as_bytes()).expect("answers");
    let (held, _) = peer.receive().expect("an answer");
    assert_eq!(held.error.get(), 5, "the device could not reach memory");
    for _ in 0..2 {
        let (mapped, _) = peer.receive().expect("an answer");
        assert_eq!((mapped.command.get(), mapped.error.get()), (2, 0));
    }
    assert_eq!(peer.read(0, 0x20, 1), Ok(vec![99]), "in order, none lost");
    for (address, file, inverted) in [(0x1000u64, &first, !1u8), (0x2000, &second, !2)] {
        peer.write(0, OFFSET_COPY, &address.to_le_bytes())
            .expect("DMA");
        let mut value = [0; 4];
        rustix::io::pread(file, &mut value, 0).expect("guest memory");
        assert_eq!(value, [inverted; 4], "each window has its own file");
    }
}

#[test]
fn writes_without_reply_are_done_before_a_later_read() {
    for (name, busy_poll) in [("posted", 0), ("posted-busy", 200)] {
        let bench = Bench::with_busy_poll(name, Duration::from_micros(busy_poll));
        let mut peer = bench.negotiated();
        for value in 0..5000u32 {
            let access = RegionAccess {
                offset: u64::from(value % 256 * 4).into(),
                region: 0.into(),
                count: 4.into(),
            };
            let bytes = peer.message(
                Command::REGION_WRITE,
                Header::NO_REPLY,
                &[access.as_bytes(), &value.to_le_bytes()],
            );
            peer.stream.write_all(&bytes).expect("sends");
        }
        for value in 5000 - 256..5000u32 {
            let at = u64::from(value % 256 * 4);
            assert_eq!(peer.read(0, at, 4), Ok(value.to_le_bytes().to_vec()));
        }
    }
}

#[test]
fn one_message_may_carry_many_writes() {
    let bench = Bench::start("multi");
    let mut peer = bench.negotiated();
    let write = |offset: u64, count: u32| SmallWrite {
        offset: offset.into(),
        region: 0.into(),
        count: count.into(),
        data: [offset as u8; 8],
    };
    let writes: Vec<u8> = (0..200)
        .flat_map(|at| write(8 * at, 8).as_bytes().to_vec())
        .collect();
    let answer = peer.call(
        Command::REGION_WRITE_MULTI,
        &[&200u64.to_le_bytes(), &writes],
    );
    assert_eq!(answer, Ok(200u64.to_le_bytes().to_vec()));
    assert_eq!(peer.read(0, 8 * 199, 8), Ok(vec![(8 * 199) as u8; 8]));
    for (count, body, why) in [
        (1 << 40, &writes[..], "more than can be"),
        (201, &writes[..], "more than there are"),
        (1, write(REGION_SIZE - 4, 8).as_bytes(), "past the end"),
        (1, write(0, 9).as_bytes(), "more than eight bytes"),
        (1, &writes[..20], "cut short"),
    ] {
        let answer = peer.call(
            Command::REGION_WRITE_MULTI,
            &[&u64::to_le_bytes(count), body],
        );
        assert_eq!(answer, Err(22), "{why}");
    }
    peer.write(0, 0, &[1]).expect("still in step");
}
