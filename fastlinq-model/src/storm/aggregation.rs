//! Segments of TCP flows and what is known of an open aggregation of them.

use fastlinq_pac::hsi::EthVportTpaParam;
use fastlinq_pac::hsi::flags::ParsingAndErrorFlags;

use super::checksum::{Sum, fill};
use super::parse::{IpVersion, TransportKind};
use super::receive::Arrival;

/// Aggregations that a queue can hold open.
const AGGREGATIONS: usize = 64;
const TCP_ACK: u8 = 0x10;
/// The TCP flag that ends an aggregation.
pub(super) const TCP_PSH: u8 = 0x08;
/// NOP, NOP, timestamp of 10 bytes: the only option layout that is aggregated.
const TIMESTAMP_OPTION: [u8; 4] = [1, 1, 8, 10];

/// A segment that may be aggregated, by the bytes that are placed (the tag already removed).
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) frame: &'a [u8],
    pub(super) version: IpVersion,
    pub(super) network: usize,
    pub(super) tcp: usize,
    pub(super) payload: usize,
    pub(super) end: usize,
}

impl<'a> Segment<'a> {
    pub(super) fn of(
        arrival: &Arrival<'_>,
        frame: &'a [u8],
        tpa: &EthVportTpaParam,
    ) -> Option<Self> {
        if arrival.parsed.tunnel.is_some() {
            return None;
        }
        let layer = arrival.parsed.innermost();
        let network = layer.network?;
        let transport = layer
            .transport
            .filter(|transport| transport.kind == TransportKind::Tcp)?;
        let enabled = match network.version {
            IpVersion::V4 => tpa.tpa_ipv4_en_flg != 0,
            IpVersion::V6 => tpa.tpa_ipv6_en_flg != 0,
        };
        let errors = ParsingAndErrorFlags::IPHDRERROR | ParsingAndErrorFlags::L4CHKSMERROR;
        let verified = arrival
            .flags
            .contains(ParsingAndErrorFlags::L4CHKSMWASCALCULATED)
            && !arrival.flags.intersects(errors);
        if !enabled
            || tpa.tpa_pkt_split_flg == 0
            || !verified
            || network.options
            || network.extensions
        {
            return None;
        }
        let stripped = arrival.frame.len() - frame.len();
        let segment = Self {
            frame,
            version: network.version,
            network: network.offset - stripped,
            tcp: transport.offset - stripped,
            payload: transport.offset + transport.length - stripped,
            end: network.end - stripped,
        };
        let options = frame.get(segment.tcp + 20..segment.payload)?;
        let plain =
            options.is_empty() || (options.len() == 12 && options.starts_with(&TIMESTAMP_OPTION));
        (plain && segment.flags() & !TCP_PSH == TCP_ACK && segment.payload_bytes() > 0)
            .then_some(segment)
    }

    pub(super) fn bytes(&self, at: usize, length: usize) -> &'a [u8] {
        self.frame.get(at..at + length).unwrap_or(&[])
    }

    pub(super) fn flags(&self) -> u8 {
        self.bytes(self.tcp + 13, 1).first().copied().unwrap_or(0)
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.end.saturating_sub(self.payload)
    }

    pub(super) fn sequence(&self) -> u32 {
        self.bytes(self.tcp + 4, 4)
            .iter()
            .fold(0, |value, byte| value << 8 | u32::from(*byte))
    }

    /// Addresses and ports.
    pub(super) fn flow(&self) -> (&'a [u8], &'a [u8]) {
        let addresses = match self.version {
            IpVersion::V4 => self.bytes(self.network + 12, 8),
            IpVersion::V6 => self.bytes(self.network + 8, 32),
        };
        (addresses, self.bytes(self.tcp, 4))
    }

    /// What a strict aggregation wants the same in every segment: addresses, acknowledgment, window, timestamp.
    pub(super) fn consistency(&self) -> [&'a [u8]; 4] {
        [
            self.bytes(0, 12),
            self.bytes(self.tcp + 8, 4),
            self.bytes(self.tcp + 14, 2),
            self.frame.get(self.tcp + 20..self.payload).unwrap_or(&[]),
        ]
    }
}

/// An open aggregation.
#[derive(Debug)]
pub(super) struct Aggregation {
    /// The headers of the first segment, as placed.
    pub(super) header: Vec<u8>,
    pub(super) version: IpVersion,
    pub(super) network: usize,
    pub(super) tcp: usize,
    /// Host address of the first header byte.
    pub(super) address: u64,
    pub(super) vlan: u16,
    pub(super) next_sequence: u32,
    pub(super) total: usize,
    pub(super) buffers: u8,
    pub(super) segments: u16,
    /// Model time at which it ends by itself.
    pub(super) deadline_ns: u64,
}

impl Aggregation {
    pub(super) fn first(&self) -> Segment<'_> {
        Segment {
            frame: &self.header,
            version: self.version,
            network: self.network,
            tcp: self.tcp,
            payload: self.header.len(),
            end: self.header.len(),
        }
    }

    /// Brings the first header up to date: lengths, and what the last segment acknowledged.
    pub(super) fn absorb(&mut self, segment: &Segment<'_>) {
        let length = self.total - self.network;
        let (at, length) = match self.version {
            IpVersion::V4 => (self.network + 2, length),
            IpVersion::V6 => (self.network + 4, length.saturating_sub(40)),
        };
        overwrite(&mut self.header, at, &(length as u16).to_be_bytes());
        if self.version == IpVersion::V4 {
            if let Some(header) = self.header.get_mut(self.network..self.network + 20) {
                fill(header, 10, Sum::default());
            }
        }
        overwrite(
            &mut self.header,
            self.tcp + 8,
            segment.bytes(segment.tcp + 8, 8),
        );
    }
}

fn overwrite(header: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(target) = header.get_mut(at..at + bytes.len()) {
        target.copy_from_slice(bytes);
    }
}

/// The aggregations of a queue, by index.
#[derive(Debug, Default)]
pub(super) struct Aggregations {
    pub(super) open: Vec<Option<Aggregation>>,
}

impl Aggregations {
    pub(super) fn count(&self) -> usize {
        self.open.iter().flatten().count()
    }

    /// When the first of them ends by itself.
    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        self.open
            .iter()
            .flatten()
            .map(|open| open.deadline_ns)
            .min()
    }

    pub(super) fn find(&self, segment: &Segment<'_>) -> Option<usize> {
        self.open.iter().position(|slot| {
            slot.as_ref()
                .is_some_and(|open| open.first().flow() == segment.flow())
        })
    }

    pub(super) fn free(&mut self, most: usize) -> Option<usize> {
        let most = most.min(AGGREGATIONS);
        if let Some(index) = self.open.iter().take(most).position(Option::is_none) {
            return Some(index);
        }
        (self.open.len() < most).then(|| {
            self.open.push(None);
            self.open.len() - 1
        })
    }
}
