//! Frames, built and verified by a library that knows nothing of the model.

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};

pub(super) const OURS: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub(super) const THEIRS: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
pub(super) const BROADCAST: [u8; 6] = [0xff; 6];

/// A frame that is no IP packet.
pub(super) fn plain(destination: [u8; 6], bytes: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend_from_slice(&destination);
    frame.extend_from_slice(&THEIRS);
    frame.extend_from_slice(&[0x88, 0xb5]);
    frame.extend((frame.len()..bytes).map(|index| index as u8));
    frame
}

pub(super) fn tagged(destination: [u8; 6], tci: u16, bytes: usize) -> Vec<u8> {
    let mut frame = plain(destination, bytes - 4);
    let [a, b] = tci.to_be_bytes();
    frame.splice(12..12, [0x81, 0x00, a, b]);
    frame
}

pub(super) fn udp4(ports: (u16, u16), payload: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(THEIRS, OURS)
        .ipv4([66, 9, 149, 187], [161, 142, 100, 80], 64)
        .udp(ports.0, ports.1);
    write(builder, payload)
}

pub(super) fn tcp4(sequence: u32, flags: &str, payload: usize) -> Vec<u8> {
    let mut builder = PacketBuilder::ethernet2(THEIRS, OURS)
        .ipv4([66, 9, 149, 187], [161, 142, 100, 80], 64)
        .tcp(2794, 1766, sequence, 1000)
        .ack(77);
    if flags.contains('P') {
        builder = builder.psh();
    }
    if flags.contains('F') {
        builder = builder.fin();
    }
    write_tcp(builder, payload)
}

pub(super) fn tcp6(sequence: u32, payload: usize) -> Vec<u8> {
    let source = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let destination = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let builder = PacketBuilder::ethernet2(THEIRS, OURS)
        .ipv6(source, destination, 64)
        .tcp(2794, 1766, sequence, 1000)
        .ack(77);
    write_tcp(builder, payload)
}

fn write(builder: etherparse::PacketBuilderStep<etherparse::UdpHeader>, payload: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..payload).map(|index| (index * 7) as u8).collect();
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, &payload).unwrap();
    frame
}

fn write_tcp(
    builder: etherparse::PacketBuilderStep<etherparse::TcpHeader>,
    payload: usize,
) -> Vec<u8> {
    let payload: Vec<u8> = (0..payload).map(|index| (index * 7) as u8).collect();
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, &payload).unwrap();
    frame
}

/// `inner` in VXLAN to UDP port 4789, outer checksum zero.
pub(super) fn vxlan(vni: u32, inner: &[u8]) -> Vec<u8> {
    let mut payload = vec![8, 0, 0, 0];
    payload.extend_from_slice(&(vni << 8).to_be_bytes());
    payload.extend_from_slice(inner);
    let builder = PacketBuilder::ethernet2(THEIRS, OURS)
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(50_000, 4789);
    let mut frame = Vec::new();
    builder.write(&mut frame, &payload).unwrap();
    frame[40..42].fill(0);
    frame
}

/// Panics unless every checksum of the frame's own IP and TCP or UDP headers is right.
pub(super) fn assert_checksums(frame: &[u8]) {
    let packet = SlicedPacket::from_ethernet(frame).expect("the frame parses");
    let net = packet.net.expect("an IP header");
    let (source, destination) = match &net {
        etherparse::NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            assert_eq!(
                header.header_checksum,
                header.calc_header_checksum(),
                "IPv4 header checksum"
            );
            (
                ip.header().source().to_vec(),
                ip.header().destination().to_vec(),
            )
        }
        etherparse::NetSlice::Ipv6(ip) => (
            ip.header().source().to_vec(),
            ip.header().destination().to_vec(),
        ),
        etherparse::NetSlice::Arp(_) => panic!("not IP"),
    };
    let four = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).unwrap();
    let sixteen = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).unwrap();
    match packet.transport.expect("a transport header") {
        TransportSlice::Tcp(tcp) => {
            let header = tcp.to_header();
            let right = if source.len() == 4 {
                header
                    .calc_checksum_ipv4_raw(four(&source), four(&destination), tcp.payload())
                    .unwrap()
            } else {
                header
                    .calc_checksum_ipv6_raw(sixteen(&source), sixteen(&destination), tcp.payload())
                    .unwrap()
            };
            assert_eq!(header.checksum, right, "TCP checksum");
        }
        TransportSlice::Udp(udp) => {
            let header = udp.to_header();
            let right = if source.len() == 4 {
                header
                    .calc_checksum_ipv4_raw(four(&source), four(&destination), udp.payload())
                    .unwrap()
            } else {
                header
                    .calc_checksum_ipv6_raw(sixteen(&source), sixteen(&destination), udp.payload())
                    .unwrap()
            };
            assert_eq!(header.checksum, right, "UDP checksum");
        }
        _ => panic!("neither TCP nor UDP"),
    }
}

/// The TCP header and payload of a frame.
pub(super) fn tcp_of(frame: &[u8]) -> (etherparse::TcpHeader, Vec<u8>) {
    match SlicedPacket::from_ethernet(frame)
        .unwrap()
        .transport
        .unwrap()
    {
        TransportSlice::Tcp(tcp) => (tcp.to_header(), tcp.payload().to_vec()),
        _ => panic!("not TCP"),
    }
}

/// The identification of a frame's IPv4 header.
pub(super) fn ipv4_id(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[18], frame[19]])
}
