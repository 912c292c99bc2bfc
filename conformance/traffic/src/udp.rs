//! Datagrams to the echo service, on many flows, and multicast on request.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Instant;

use crate::{Outcome, PATIENCE, patterns};

const ECHO: u16 = 7;
/// The service that sends a datagram to the multicast group that it is asked for.
const MULTICAST: u16 = 20;
/// Requests for a group's datagram.
const ATTEMPTS: u32 = 20;
/// Datagrams on their way at a time, fewer than any ring or socket on the way holds.
const WINDOW: usize = 16;

/// Sends `count` datagrams of 1 to `longest` bytes over `flows` sockets; every one must come back as it was.
pub(crate) fn echo(address: IpAddr, count: usize, longest: usize, flows: usize) -> Outcome {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let sockets = (0..flows.max(1))
        .map(|_| {
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect((address, ECHO))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket)
        })
        .collect::<Result<Vec<_>, std::io::Error>>()?;
    let started = Instant::now();
    let mut buffer = vec![0; 1 << 16];
    for first in (0..count).step_by(WINDOW) {
        let window = first..count.min(first + WINDOW);
        for number in window.clone() {
            let mut data = vec![0; length(number, longest)];
            patterns::fill(number as u64, 0, &mut data);
            sockets[number % sockets.len()].send(&data)?;
        }
        for number in window {
            let received = sockets[number % sockets.len()]
                .recv(&mut buffer)
                .map_err(|error| format!("datagram {number} of {count}: {error}"))?;
            let data = &buffer[..received];
            if received != length(number, longest) {
                return Err(format!("datagram {number} has {received} bytes").into());
            }
            if let Some(at) = patterns::mismatch(number as u64, 0, data) {
                return Err(format!("datagram {number} differs at byte {at}").into());
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(format!(
        "{count} datagrams on {flows} flows in {seconds:.2} s: {:.0} packets/s each way",
        count as f64 / seconds
    ))
}

/// Lengths spread over the whole range, the longest among them.
fn length(number: usize, longest: usize) -> usize {
    longest - number * 37 % longest
}

/// Joins a group and asks the responder to send there, again and again: a driver sets its filters some time after the
/// group was joined.
pub(crate) fn multicast(own: Ipv4Addr, responder: Ipv4Addr, group: Ipv4Addr) -> Outcome {
    let member = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    member.set_read_timeout(Some(PATIENCE / ATTEMPTS))?;
    member.join_multicast_v4(&group, &own)?;
    let asking = UdpSocket::bind((own, 0))?;
    let mut request = group.octets().to_vec();
    request.extend_from_slice(&member.local_addr()?.port().to_be_bytes());
    let mut buffer = [0; 64];
    for attempt in 1..=ATTEMPTS {
        asking.send_to(&request, (responder, MULTICAST))?;
        let Ok((length, from)) = member.recv_from(&mut buffer) else {
            continue;
        };
        if buffer[..length] != request {
            return Err("the group's datagram is not the one that was asked for".into());
        }
        return Ok(format!(
            "a datagram to {group} from {from}, request {attempt}"
        ));
    }
    Err("no datagram reaches the group".into())
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn lengths_stay_in_range_and_reach_both_ends() {
        let lengths: Vec<_> = (0..100).map(|number| length(number, 10)).collect();
        assert_eq!(lengths.iter().max(), Some(&10));
        assert_eq!(lengths.iter().min(), Some(&1));
    }
}
