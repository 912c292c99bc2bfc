//! What the device is to do to a frame of a stack that left its checksums out.

use crate::offload::{Checksums, Ipv6Extensions, Offload};

use super::verify::{
    IPV4, IPV6, IPV6_FRAGMENT, IPV6_OPTIONS, MOST_OPTIONS, TCP, UDP, VLAN_TAGS, word,
};

const IPV6_HEADER: usize = 40;

/// The checksums that an Ethernet frame needs: of the IPv4 header, and of TCP or UDP if all of the datagram is in the frame.
///
/// [`Offload::NONE`] for everything that has none, and for headers that do not make sense.
#[must_use]
pub fn checksums_of(frame: &[u8]) -> Offload {
    find(frame).unwrap_or(Offload::NONE)
}

fn find(frame: &[u8]) -> Option<Offload> {
    let mut at = 12;
    let mut kind = word(frame, at)?;
    if VLAN_TAGS.contains(&kind) {
        at += 4;
        kind = word(frame, at)?;
    }
    let packet = frame.get(at + 2..)?;
    match kind {
        IPV4 => ipv4(packet),
        IPV6 => ipv6(packet, at + 2),
        _ => None,
    }
}

fn ipv4(packet: &[u8]) -> Option<Offload> {
    let fragment = word(packet, 6)? & 0x3fff != 0;
    let checksums = match packet.get(9)? {
        &(TCP | UDP) if !fragment => Checksums::IpAndTransport,
        _ => Checksums::Ip,
    };
    Some(Offload::checksums(checksums))
}

fn ipv6(packet: &[u8], start: usize) -> Option<Offload> {
    let mut next = *packet.get(6)?;
    let mut at = IPV6_HEADER;
    for _ in 0..MOST_OPTIONS {
        match next {
            TCP | UDP if at == IPV6_HEADER => {
                return Some(Offload::checksums(Checksums::Transport));
            }
            TCP => {
                let offset = u16::try_from(start + at).ok()?;
                let bytes = (packet.get(at + 12)? >> 4) * 4;
                let extensions = Ipv6Extensions::before_tcp(offset, bytes).ok()?;
                return Some(Offload::behind_extensions(extensions));
            }
            UDP => {
                let offset = u16::try_from(start + at).ok()?;
                let extensions = Ipv6Extensions::before_udp(offset).ok()?;
                return Some(Offload::behind_extensions(extensions));
            }
            IPV6_FRAGMENT => return None,
            _ if IPV6_OPTIONS.contains(&next) => {
                next = *packet.get(at)?;
                at += (usize::from(*packet.get(at + 1)?) + 1) * 8;
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn frame(kind: u16, packet: &[u8]) -> Vec<u8> {
        let mut frame = std::vec![2; 12];
        frame.extend_from_slice(&kind.to_be_bytes());
        frame.extend_from_slice(packet);
        frame
    }

    fn v4(protocol: u8, fragment: u16) -> Vec<u8> {
        let mut packet = std::vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol];
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet.resize(40, 0);
        frame(IPV4, &packet)
    }

    fn v6(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = std::vec![0x60, 0, 0, 0, 0, 0, next];
        packet.resize(40, 0);
        packet.extend_from_slice(rest);
        frame(IPV6, &packet)
    }

    #[test]
    fn each_frame_gets_what_it_needs() {
        let both = Offload::checksums(Checksums::IpAndTransport);
        assert_eq!(checksums_of(&v4(TCP, 0x4000)), both);
        assert_eq!(checksums_of(&v4(UDP, 0)), both);
        assert_eq!(checksums_of(&v4(1, 0)), Offload::checksums(Checksums::Ip));
        for fragment in [0x2000, 1] {
            assert_eq!(
                checksums_of(&v4(UDP, fragment)),
                Offload::checksums(Checksums::Ip)
            );
        }
        let mut tagged = v4(TCP, 0);
        tagged.splice(12..12, [0x81, 0, 0, 7]);
        assert_eq!(checksums_of(&tagged), both);
        assert_eq!(
            checksums_of(&v6(UDP, &[0; 8])),
            Offload::checksums(Checksums::Transport)
        );
        assert_eq!(checksums_of(&v6(58, &[0; 8])), Offload::NONE);
        assert_eq!(
            checksums_of(&v6(IPV6_FRAGMENT, &[UDP, 0, 0, 0, 0, 0, 0, 0])),
            Offload::NONE
        );
        assert_eq!(checksums_of(&frame(0x0806, &[0; 40])), Offload::NONE);
    }

    #[test]
    fn the_device_is_told_where_the_transport_is_behind_extensions() {
        let mut rest = std::vec![TCP, 0, 0, 0, 0, 0, 0, 0];
        rest.resize(28, 0);
        rest[8 + 12] = 5 << 4;
        let extensions = Ipv6Extensions::before_tcp(62, 20).expect("fits");
        assert_eq!(
            checksums_of(&v6(0, &rest)),
            Offload::behind_extensions(extensions)
        );
        let extensions = Ipv6Extensions::before_udp(62).expect("fits");
        assert_eq!(
            checksums_of(&v6(60, &[UDP, 0, 0, 0, 0, 0, 0, 0])),
            Offload::behind_extensions(extensions)
        );
    }

    #[test]
    fn cut_and_endless_headers_get_nothing() {
        let whole = v6(0, &[0; 8 * 40]);
        for length in 0..whole.len() {
            let _ = checksums_of(&whole[..length]);
        }
        assert_eq!(checksums_of(&whole), Offload::NONE);
        assert_eq!(checksums_of(&v4(TCP, 0)[..20]), Offload::NONE);
    }
}
