use std::vec::Vec;

use super::*;

fn checksum(start: u32, bytes: &[u8]) -> u16 {
    !(sum(start, bytes) as u16)
}

/// TCP or UDP in IPv4 or IPv6, with right checksums.
fn frame(version: u8, protocol: u8, payload: usize) -> Vec<u8> {
    let header = if protocol == TCP { 20 } else { 8 };
    let mut datagram = std::vec![0x11; header + payload];
    let length = datagram.len() as u16;
    if protocol == UDP {
        datagram[4..6].copy_from_slice(&length.to_be_bytes());
        datagram[6..8].fill(0);
    } else {
        datagram[16..18].fill(0);
    }
    let mut packet = if version == 4 {
        let mut ip = std::vec![
            0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2
        ];
        ip[2..4].copy_from_slice(&(length + 20).to_be_bytes());
        let sum = checksum(0, &ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        ip
    } else {
        let mut ip = std::vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        ip[4..6].copy_from_slice(&length.to_be_bytes());
        ip.extend_from_slice(&[0xfd; 32]);
        ip
    };
    let addresses = if version == 4 {
        packet[12..20].to_vec()
    } else {
        packet[8..40].to_vec()
    };
    let pseudo = sum(u32::from(protocol) + u32::from(length), &addresses);
    let value = match checksum(pseudo, &datagram) {
        0 => 0xffff,
        value => value,
    };
    let at = if protocol == UDP { 6 } else { 16 };
    datagram[at..at + 2].copy_from_slice(&value.to_be_bytes());
    packet.extend_from_slice(&datagram);
    let mut frame = std::vec![2; 12];
    frame.extend_from_slice(if version == 4 { &[8, 0] } else { &[0x86, 0xdd] });
    frame.extend_from_slice(&packet);
    frame
}

#[test]
fn right_checksums_are_good_whatever_the_padding() {
    for version in [4, 6] {
        for protocol in [TCP, UDP] {
            for payload in [0, 1, 2, 3, 100, 1001] {
                let mut frame = frame(version, protocol, payload);
                assert_eq!(
                    verify(&frame),
                    Verdict::Good,
                    "{version} {protocol} {payload}"
                );
                frame.extend_from_slice(&[0xaa; 7]);
                assert_eq!(verify(&frame), Verdict::Good, "padded");
                // Two VLAN tags.
                frame.splice(12..12, [0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]);
                assert_eq!(verify(&frame), Verdict::Good, "tagged");
            }
        }
    }
}

#[test]
fn every_wrong_bit_behind_the_ethernet_header_is_noticed_or_makes_it_another_packet() {
    for version in [4, 6] {
        for protocol in [TCP, UDP] {
            let good = frame(version, protocol, 33);
            for bit in 14 * 8..good.len() * 8 {
                let mut wrong = good.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                let at = bit / 8 - 14;
                // IPv6 protects neither class, flow label nor hop limit, and a changed next header is another protocol.
                let free = version == 6 && matches!(at, 0..4 | 6 | 7);
                // A fragment that is none is one for us, if the header's checksum is right; it is not here.
                if !free {
                    assert_eq!(
                        verify(&wrong),
                        Verdict::Bad,
                        "{version} {protocol} byte {at}"
                    );
                }
            }
        }
    }
}

#[test]
fn fragments_are_told_apart() {
    let mut fragment = frame(4, UDP, 100);
    fragment[14 + 6] = 0x20;
    fragment[14 + 10..14 + 12].fill(0);
    let sum = checksum(0, &fragment[14..34]);
    fragment[24..26].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(verify(&fragment), Verdict::Fragment);
    let mut fragment = frame(6, UDP, 100);
    fragment[14 + 6] = IPV6_FRAGMENT;
    assert_eq!(verify(&fragment), Verdict::Fragment);
}

#[test]
fn udp_may_go_without_in_ipv4_only() {
    for (version, verdict) in [(4, Verdict::Good), (6, Verdict::Bad)] {
        let mut frame = frame(version, UDP, 10);
        let at = if version == 4 { 34 } else { 54 } + 6;
        frame[at..at + 2].fill(0);
        assert_eq!(verify(&frame), verdict);
    }
}

#[test]
fn options_of_ipv6_are_stepped_over_and_bounded() {
    let plain = frame(6, TCP, 10);
    let mut with = plain.clone();
    with.splice(54..54, [TCP, 0, 1, 4, 0, 0, 0, 0]);
    with[14 + 6] = 0;
    let length = u16::from_be_bytes([with[18], with[19]]) + 8;
    with[18..20].copy_from_slice(&length.to_be_bytes());
    assert_eq!(verify(&with), Verdict::Good);
    let mut endless = plain[..54].to_vec();
    endless[14 + 6] = 0;
    endless[18..20].copy_from_slice(&800_u16.to_be_bytes());
    endless.extend_from_slice(&[0; 800]);
    assert_eq!(verify(&endless), Verdict::Bad);
}

#[test]
fn anything_gives_a_verdict() {
    for version in [4, 6] {
        for protocol in [TCP, UDP] {
            let good = frame(version, protocol, 20);
            for length in 0..good.len() {
                assert_ne!(verify(&good[..length]), Verdict::Good, "cut to {length}");
            }
        }
    }
    let mut state = 1_u32;
    for length in 0..400 {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let _ = verify(&bytes);
        let mut ip = frame(4 + 2 * (length as u8 % 2), TCP, 0);
        ip.truncate(15);
        ip.extend_from_slice(&bytes);
        let _ = verify(&ip);
    }
}
