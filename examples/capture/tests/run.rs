//! The program as a user runs it.

use std::fs::File;
use std::process::Command;

use pcap_file::pcap::PcapReader;

#[test]
fn the_file_has_every_frame_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.pcap");
    let output = Command::new(env!("CARGO_BIN_EXE_example-capture"))
        .args(["--count", "300", "--output"])
        .arg(&path)
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.starts_with("300 frames"), "{text}");
    let mut reader = PcapReader::new(File::open(path).expect("there")).expect("a capture");
    let mut number = 0_u32;
    while let Some(packet) = reader.next_packet() {
        let packet = packet.expect("whole");
        assert_eq!(packet.data.len(), 60 + number as usize * 41 % 1_455);
        assert_eq!(packet.data[14..18], number.to_be_bytes());
        assert_eq!(packet.orig_len as usize, packet.data.len());
        number += 1;
    }
    assert_eq!(number, 300);
}
