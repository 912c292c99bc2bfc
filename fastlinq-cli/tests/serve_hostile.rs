//! Clients of `fastlinq model serve` that die in the middle, or do to the adapter's regions what no client should.

mod served;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use served::{PATIENCE, Served, negotiate};

const READ: u16 = 9;
const WRITE: u16 = 10;
const CONFIG: u32 = 7;

fn fastlinq() -> Command {
    Command::new(env!("CARGO_BIN_EXE_fastlinq"))
}

/// An `up` on a served adapter, with the firmware that is always there.
fn up(served: &Served) -> Command {
    let mut command = fastlinq();
    command
        .args(["up", "--firmware", "synthetic", "--adapter"])
        .arg(format!("vfio-user:{}", served.path("0").display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn message(command: u16, region: u32, offset: u64, count: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![7, 0];
    bytes.extend_from_slice(&command.to_le_bytes());
    bytes.extend_from_slice(&(32 + data.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(&region.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// Error number of the answer, 0 for none, and its data.
fn ask(stream: &mut UnixStream, request: &[u8]) -> (u32, Vec<u8>) {
    stream.write_all(request).expect("sent");
    let mut head = [0; 16];
    stream.read_exact(&mut head).expect("an answer");
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let mut body = vec![0; word(4) as usize - 16];
    stream.read_exact(&mut body).expect("its body");
    (word(12), body.split_off(body.len().min(16)))
}

#[test]
fn a_client_that_dies_in_the_middle_leaves_a_fresh_adapter_and_a_readable_trace() {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("trace");
    let path = trace.to_str().expect("text");
    let served = Served::start(&["--trace", path], 1);
    for milliseconds in [1, 5, 15, 40, 90, 200] {
        let mut client = up(&served).spawn().expect("a process");
        std::thread::sleep(Duration::from_millis(milliseconds));
        client.kill().expect("killed");
        client.wait().expect("gone");
    }
    let whole = up(&served).status().expect("a process");
    assert!(whole.success(), "the adapter comes up after all of them");
    // Stopped while a client is half way.
    let mut last = up(&served).spawn().expect("a process");
    std::thread::sleep(Duration::from_millis(30));
    let (status, said, _) = served.end();
    assert!(status.success(), "{status}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    last.kill().expect("killed");
    last.wait().expect("gone");
    let shown = fastlinq()
        .args(["trace", "show", "--only", "mailbox", path])
        .output()
        .expect("the tool runs");
    assert!(shown.status.success(), "{shown:?}");
    let text = String::from_utf8(shown.stdout).expect("text");
    assert!(text.contains("LOAD_DONE"), "the whole bring-up is in it");
}

#[test]
fn accesses_beyond_the_regions_are_refused_and_odd_ones_do_no_harm() {
    let served = Served::start(&[], 1);
    let mut peer = served.connect("0");
    negotiate(&mut peer);
    for (region, size) in [
        (0u32, 0x2_0000u64),
        (2, 0x80_0000),
        (4, 0x8000),
        (CONFIG, 4096),
    ] {
        let last = message(WRITE, region, size - 4, 4, &[0xff; 4]);
        assert_eq!(ask(&mut peer, &last).0, 0, "the last dword of {region}");
        for (offset, count) in [
            (size, 4u32),
            (size - 2, 4),
            (u64::MAX - 1, 4),
            (0, 0x20_0000),
        ] {
            let data = vec![0xff; (count as usize).min(64)];
            let write = message(WRITE, region, offset, count, &data);
            assert_eq!(ask(&mut peer, &write).0, 22, "{region} {offset:#x} {count}");
            let read = message(READ, region, offset, count, &[]);
            assert_eq!(ask(&mut peer, &read).0, 22, "{region} {offset:#x} {count}");
        }
        // Any size and alignment inside.
        for (offset, count) in [(1u64, 1u32), (3, 7), (5, 8), (size / 2 - 1, 17), (0, 4096)] {
            let data = vec![0xa5; count as usize];
            let write = message(WRITE, region, offset, count, &data);
            assert_eq!(ask(&mut peer, &write).0, 0, "{region} {offset:#x} {count}");
            let read = message(READ, region, offset, count, &[]);
            let (error, data) = ask(&mut peer, &read);
            assert_eq!((error, data.len()), (0, count as usize));
        }
    }
    for region in [1u32, 3, 5, 6, 8, 9, u32::MAX] {
        assert_eq!(ask(&mut peer, &message(READ, region, 0, 4, &[])).0, 22);
    }
    drop(peer);
    assert!(up(&served).status().expect("a process").success());
    let (status, said, _) = served.end();
    assert!(status.success() && !said.contains("panicked"), "{said}");
}

/// Vectors 0 to 127 are there; behind the table and in its gaps nothing may happen, whatever is written.
#[test]
fn the_interrupt_table_takes_anything() {
    let served = Served::start(&[], 1);
    let mut peer = served.connect("0");
    negotiate(&mut peer);
    for value in [[0xff; 16], [0; 16]] {
        for entry in 0..0x8000u64 / 16 {
            let write = message(WRITE, 4, 16 * entry, 16, &value);
            assert_eq!(ask(&mut peer, &write).0, 0);
        }
    }
    let (_, entry) = ask(&mut peer, &message(READ, 4, 16 * 127, 16, &[]));
    assert_eq!(entry, [0; 16]);
    drop(peer);
    assert!(up(&served).status().expect("a process").success());
    assert!(served.end().0.success());
}

#[test]
fn sigterm_ends_it_while_a_client_sends_without_reading() {
    let served = Served::start(&[], 1);
    let mut peer = served.connect("0");
    negotiate(&mut peer);
    let flood = std::thread::spawn(move || {
        let request = message(READ, 0, 0, 4096, &[]);
        while peer.write_all(&request).is_ok() {}
    });
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    let (status, said, _) = served.end();
    assert!(status.success(), "{status}: {said}");
    assert!(begun.elapsed() < PATIENCE);
    flood.join().expect("the flood ends with the connection");
}
