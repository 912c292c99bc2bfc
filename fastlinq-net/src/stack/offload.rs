//! What the device is to do to a frame of a stack that left its checksums out.

use crate::offload::{Checksums, Ipv6Extensions, Offload};

use super::verify::{
    IPV4, IPV6, IPV6_FRAGMENT, IPV6_OPTIONS, MOST_OPTIONS, TCP, UDP, VLAN_TAGS, sum, word,
};

const IPV6_HEADER: usize = 40;

/// The checksums that an Ethernet frame needs: of the IPv4 header, and of TCP or UDP if all of the datagram is in the frame.
///
/// Behind IPv6 extension headers the checksum field is made ready: it gets the sum of the pseudo header, from which the
/// device goes on. Nothing else of the frame is changed.
///
/// [`Offload::NONE`] for everything that has none, and for headers that do not make sense.
#[must_use]
pub fn checksums_of(frame: &mut [u8]) -> Offload {
    let Some(found) = find(frame) else {
        return Offload::NONE;
    };
    if let Some((at, sum)) = found.partial {
        let Some(field) = frame.get_mut(at..at + 2) else {
            return Offload::NONE;
        };
        field.copy_from_slice(&sum.to_be_bytes());
    }
    found.offload
}

/// What the device is to do, and the sum that it wants to find at an offset of the frame.
struct Found {
    offload: Offload,
    partial: Option<(usize, u16)>,
}

impl From<Checksums> for Found {
    fn from(checksums: Checksums) -> Self {
        Self {
            offload: Offload::checksums(checksums),
            partial: None,
        }
    }
}

fn find(frame: &[u8]) -> Option<Found> {
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

fn ipv4(packet: &[u8]) -> Option<Found> {
    let fragment = word(packet, 6)? & 0x3fff != 0;
    let checksums = match packet.get(9)? {
        &(TCP | UDP) if !fragment => Checksums::IpAndTransport,
        _ => Checksums::Ip,
    };
    Some(checksums.into())
}

fn ipv6(packet: &[u8], start: usize) -> Option<Found> {
    let mut next = *packet.get(6)?;
    let mut at = IPV6_HEADER;
    for _ in 0..MOST_OPTIONS {
        match next {
            TCP | UDP if at == IPV6_HEADER => return Some(Checksums::Transport.into()),
            TCP | UDP => return behind_extensions(packet, start, at, next),
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

/// The transport header is at byte `at` of an IPv6 packet, which starts at byte `start` of the frame.
fn behind_extensions(packet: &[u8], start: usize, at: usize, protocol: u8) -> Option<Found> {
    let offset = u16::try_from(start + at).ok()?;
    let (extensions, field) = if protocol == TCP {
        let bytes = (packet.get(at + 12)? >> 4) * 4;
        (Ipv6Extensions::before_tcp(offset, bytes).ok()?, 16)
    } else {
        (Ipv6Extensions::before_udp(offset).ok()?, 6)
    };
    let length = (IPV6_HEADER + usize::from(word(packet, 4)?)).checked_sub(at)?;
    let sum = sum(u32::from(protocol) + length as u32, packet.get(8..40)?);
    Some(Found {
        offload: Offload::behind_extensions(extensions),
        partial: Some((start + at + field, sum as u16)),
    })
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
        assert_eq!(checksums_of(&mut v4(TCP, 0x4000)), both);
        assert_eq!(checksums_of(&mut v4(UDP, 0)), both);
        assert_eq!(
            checksums_of(&mut v4(1, 0)),
            Offload::checksums(Checksums::Ip)
        );
        for fragment in [0x2000, 1] {
            assert_eq!(
                checksums_of(&mut v4(UDP, fragment)),
                Offload::checksums(Checksums::Ip)
            );
        }
        let mut tagged = v4(TCP, 0);
        tagged.splice(12..12, [0x81, 0, 0, 7]);
        assert_eq!(checksums_of(&mut tagged), both);
        assert_eq!(
            checksums_of(&mut v6(UDP, &[0; 8])),
            Offload::checksums(Checksums::Transport)
        );
        assert_eq!(checksums_of(&mut v6(58, &[0; 8])), Offload::NONE);
        assert_eq!(
            checksums_of(&mut v6(IPV6_FRAGMENT, &[UDP, 0, 0, 0, 0, 0, 0, 0])),
            Offload::NONE
        );
        assert_eq!(checksums_of(&mut frame(0x0806, &[0; 40])), Offload::NONE);
    }

    #[test]
    fn the_device_is_told_where_the_transport_is_behind_extensions() {
        // The lengths of the datagram and the field of the checksum, from the start of the transport header.
        for (protocol, length, field) in [(TCP, 20, 16), (UDP, 8, 6)] {
            let mut rest = std::vec![protocol, 0, 0, 0, 0, 0, 0, 0];
            rest.resize(8 + length, 0);
            let extensions = if protocol == TCP {
                rest[8 + 12] = 5 << 4;
                Ipv6Extensions::before_tcp(62, 20)
            } else {
                Ipv6Extensions::before_udp(62)
            };
            let mut frame = v6(60, &rest);
            frame[18..20].copy_from_slice(&(rest.len() as u16).to_be_bytes());
            frame[22..54].copy_from_slice(&[0x11; 32]);
            let before = frame.clone();
            let expected = Offload::behind_extensions(extensions.expect("fits"));
            assert_eq!(checksums_of(&mut frame), expected);
            // 16 words of 0x1111 fold to 0x1111.
            let sum = 0x1111 + u16::from(protocol) + length as u16;
            let at = 62 + field;
            assert_eq!(frame[at..at + 2], sum.to_be_bytes());
            frame[at..at + 2].fill(0);
            assert_eq!(frame, before, "nothing else changes");
            // Lengths that end in front of the transport header.
            frame[18..20].fill(0);
            assert_eq!(checksums_of(&mut frame), Offload::NONE);
        }
    }

    #[test]
    fn cut_and_endless_headers_get_nothing() {
        let mut whole = v6(0, &[0; 8 * 40]);
        for length in 0..whole.len() {
            let _ = checksums_of(&mut whole[..length]);
        }
        assert_eq!(checksums_of(&mut whole), Offload::NONE);
        assert_eq!(checksums_of(&mut v4(TCP, 0)[..20]), Offload::NONE);
    }
}
