//! Checksums in software, for frames that the device did not look at.

/// What is to be done with a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// All checksums that the frame has are right, or it has none.
    Good,
    /// A checksum is wrong, or a header contradicts itself.
    Bad,
    /// A fragment: its transport checksum covers what is not here.
    Fragment,
    /// It does not lie in one buffer.
    Scattered,
}

pub(super) const VLAN_TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const IPV6_FRAGMENT: u8 = 44;
/// Hop-by-hop, routing and destination options: a next-header byte and a length.
pub(super) const IPV6_OPTIONS: [u8; 3] = [0, 43, 60];
pub(super) const MOST_OPTIONS: usize = 8;

/// Verifies the IPv4 header checksum and the TCP or UDP checksum of an Ethernet frame.
///
/// Frames of other protocols are good: the checksums of ICMP are the stack's.
///
/// ```
/// use fastlinq_net::stack::{Verdict, verify};
///
/// assert_eq!(verify(&[0; 60]), Verdict::Good, "no IP");
/// ```
#[must_use]
pub fn verify(frame: &[u8]) -> Verdict {
    check(frame).unwrap_or(Verdict::Bad)
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*bytes))
}

/// `None` when a header says more than there is.
fn check(frame: &[u8]) -> Option<Verdict> {
    let mut at = 12;
    let mut kind = word(frame, at)?;
    for _ in 0..2 {
        if VLAN_TAGS.contains(&kind) {
            at += 4;
            kind = word(frame, at)?;
        }
    }
    let packet = frame.get(at + 2..)?;
    match kind {
        IPV4 => ipv4(packet),
        IPV6 => ipv6(packet),
        _ => Some(Verdict::Good),
    }
}

fn ipv4(packet: &[u8]) -> Option<Verdict> {
    let first = *packet.first()?;
    let header = usize::from(first & 0xf) * 4;
    let total = usize::from(word(packet, 2)?);
    if first >> 4 != 4 || header < 20 || total < header {
        return Some(Verdict::Bad);
    }
    if sum(0, packet.get(..header)?) != 0xffff {
        return Some(Verdict::Bad);
    }
    // More fragments, or an offset.
    if word(packet, 6)? & 0x3fff != 0 {
        return Some(Verdict::Fragment);
    }
    let addresses = packet.get(12..20)?;
    transport(*packet.get(9)?, addresses, packet.get(header..total)?, true)
}

fn ipv6(packet: &[u8]) -> Option<Verdict> {
    let length = usize::from(word(packet, 4)?);
    let mut next = *packet.get(6)?;
    let addresses = packet.get(8..40)?;
    let mut payload = packet.get(40..40 + length)?;
    if packet.first()? >> 4 != 6 {
        return Some(Verdict::Bad);
    }
    for _ in 0..MOST_OPTIONS {
        if next == IPV6_FRAGMENT {
            return Some(Verdict::Fragment);
        }
        if !IPV6_OPTIONS.contains(&next) {
            return transport(next, addresses, payload, false);
        }
        next = *payload.first()?;
        let bytes = (usize::from(*payload.get(1)?) + 1) * 8;
        payload = payload.get(bytes..)?;
    }
    Some(Verdict::Bad)
}

fn transport(protocol: u8, addresses: &[u8], payload: &[u8], optional: bool) -> Option<Verdict> {
    let datagram = match protocol {
        TCP => payload,
        UDP => {
            if word(payload, 6)? == 0 {
                // IPv4 may go without; IPv6 must not.
                return Some(if optional {
                    Verdict::Good
                } else {
                    Verdict::Bad
                });
            }
            let length = usize::from(word(payload, 4)?);
            if length < 8 {
                return Some(Verdict::Bad);
            }
            payload.get(..length)?
        }
        _ => return Some(Verdict::Good),
    };
    let pseudo = sum(u32::from(protocol) + datagram.len() as u32, addresses);
    Some(match sum(pseudo, datagram) {
        0xffff => Verdict::Good,
        _ => Verdict::Bad,
    })
}

/// The ones' complement sum of big-endian words, folded to 16 bits.
pub(super) fn sum(start: u32, bytes: &[u8]) -> u32 {
    let (pairs, last) = words(bytes);
    let mut total = u64::from(start) + pairs;
    if let Some(byte) = last {
        total += u64::from(byte) << 8;
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u32
}

/// The sum of all whole words, and the odd byte.
fn words(bytes: &[u8]) -> (u64, Option<u8>) {
    let words = bytes.chunks_exact(2);
    let last = words.remainder().first().copied();
    let total = words.filter_map(|pair| word(pair, 0)).map(u64::from).sum();
    (total, last)
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
