//! Large-send offload: one header and a long payload become many frames.

use super::explicit::{ExplicitTransport, PseudoHeader};
use super::offload::{Offloads, insert_checksums};
use super::parse::{IpVersion, Layer, Parsed, TransportKind, TunnelConfig};

/// Fewest bytes of a TCP header.
const TCP_HEADER: usize = 20;
const TCP_FLAGS: usize = 13;
const TCP_FIN: u8 = 0x01;
const TCP_PSH: u8 = 0x08;
const TCP_CWR: u8 = 0x80;

/// The frames of a packet to segment, in order.
#[derive(Debug)]
pub(super) struct Segments<'a> {
    header: &'a [u8],
    payload: core::iter::Peekable<core::slice::Chunks<'a, u8>>,
    mss: usize,
    index: u32,
    parsed: Parsed,
    tcp: usize,
    offloads: &'a Offloads,
    tunnels: &'a TunnelConfig,
}

impl<'a> Segments<'a> {
    /// Segments of at most `mss` payload bytes, or `None` when `header` is not exactly the headers of a TCP segment.
    ///
    /// The device finds TCP's header by itself, or, where the descriptors announce extension headers, believes them.
    pub(super) fn new(
        header: &'a [u8],
        payload: &'a [u8],
        mss: usize,
        offloads: &'a Offloads,
        tunnels: &'a TunnelConfig,
    ) -> Option<Self> {
        let parsed = Parsed::headers(header, tunnels)?;
        let (tcp, tcp_bytes) = match &offloads.explicit {
            Some(told) => {
                let base = parsed.tunnel.map_or(0, |tunnel| tunnel.inner);
                (base + told.offset, told.tcp_bytes)
            }
            None => parsed
                .innermost()
                .transport
                .filter(|transport| transport.kind == TransportKind::Tcp)
                .map(|transport| (transport.offset, transport.length))?,
        };
        if mss == 0 || tcp_bytes < TCP_HEADER || tcp + tcp_bytes != header.len() {
            return None;
        }
        let payload = payload.chunks(mss).peekable();
        Some(Self {
            header,
            payload,
            mss,
            index: 0,
            parsed,
            tcp,
            offloads,
            tunnels,
        })
    }

    fn build(&self, chunk: &[u8], last: bool) -> Vec<u8> {
        let mut frame = Vec::with_capacity(self.header.len() + chunk.len() + 4);
        frame.extend_from_slice(self.header);
        frame.extend_from_slice(chunk);
        self.number_ip(&mut frame, &self.parsed.outer);
        if let Some(inner) = &self.parsed.inner {
            self.number_ip(&mut frame, inner);
            if let Some(udp) = self.parsed.outer.transport {
                let length = (frame.len() - udp.offset) as u16;
                put(&mut frame, udp.offset + 4, &length.to_be_bytes());
            }
        }
        self.number_tcp(&mut frame, last);
        // A checksum of a segment must not start from what the driver left for the whole packet.
        let explicit = self.offloads.explicit.map(|told| ExplicitTransport {
            udp: false,
            pseudo: PseudoHeader::Computed,
            ..told
        });
        let offloads = Offloads {
            explicit,
            ..*self.offloads
        };
        insert_checksums(&mut frame, &offloads, self.tunnels);
        frame
    }

    fn number_ip(&self, frame: &mut [u8], layer: &Layer) {
        let Some(network) = layer.network else { return };
        let length = frame.len() - network.offset;
        match network.version {
            IpVersion::V4 => {
                put(frame, network.offset + 2, &(length as u16).to_be_bytes());
                let id = get16(frame, network.offset + 4).wrapping_add(self.index as u16);
                put(frame, network.offset + 4, &id.to_be_bytes());
            }
            IpVersion::V6 => put(
                frame,
                network.offset + 4,
                &(length.saturating_sub(40) as u16).to_be_bytes(),
            ),
        }
    }

    fn number_tcp(&self, frame: &mut [u8], last: bool) {
        let high = u32::from(get16(frame, self.tcp + 4));
        let sequence = high << 16 | u32::from(get16(frame, self.tcp + 6));
        let sequence = sequence.wrapping_add(self.index.wrapping_mul(self.mss as u32));
        put(frame, self.tcp + 4, &sequence.to_be_bytes());
        if let Some(flags) = frame.get_mut(self.tcp + TCP_FLAGS) {
            if !last {
                *flags &= !(TCP_FIN | TCP_PSH);
            }
            if self.index != 0 {
                *flags &= !TCP_CWR;
            }
        }
    }
}

impl Iterator for Segments<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let chunk = self.payload.next()?;
        let last = self.payload.peek().is_none();
        let frame = self.build(chunk, last);
        self.index += 1;
        Some(frame)
    }
}

fn get16(frame: &[u8], at: usize) -> u16 {
    frame
        .get(at..at + 2)
        .map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(target) = frame.get_mut(at..at + bytes.len()) {
        target.copy_from_slice(bytes);
    }
}
