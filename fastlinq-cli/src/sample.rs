//! `fastlinq sample`: a capture with frames of mixed sizes.

use std::borrow::Cow;
use std::fs::File;
use std::io::BufWriter;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};

use crate::args::SampleArgs;
use crate::progress::Progress;

/// Locally administered addresses, so that the frames name no vendor.
const DESTINATION: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
const SOURCE: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Ethertype reserved for local experiments.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];
const SNAPLEN: u32 = 65_535;

pub(crate) fn run(args: &SampleArgs) -> Result<()> {
    ensure!(args.min <= args.max, "--min is larger than --max");
    let file = File::create(&args.file).with_context(|| args.file.display().to_string())?;
    let header = PcapHeader {
        snaplen: SNAPLEN,
        datalink: DataLink::ETHERNET,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(BufWriter::new(file), header)?;
    let mut random = SplitMix64(args.seed);
    let progress = Progress::new("writing frames", u64::from(args.frames));
    let span = u64::from(args.max - args.min) + 1;
    for number in 0..args.frames {
        let length = usize::from(args.min) + (random.next() % span) as usize;
        let frame = frame(number, length, &mut random);
        let time = Duration::from_micros(u64::from(number));
        let packet = PcapPacket {
            timestamp: time,
            orig_len: frame.len() as u32,
            data: Cow::Owned(frame),
        };
        writer.write_packet(&packet)?;
        progress.advance(1);
    }
    Ok(())
}

fn frame(number: u32, length: usize, random: &mut SplitMix64) -> Vec<u8> {
    let mut frame = Vec::with_capacity(length + 8);
    frame.extend_from_slice(&DESTINATION);
    frame.extend_from_slice(&SOURCE);
    frame.extend_from_slice(&ETHERTYPE);
    frame.extend_from_slice(&number.to_be_bytes());
    while frame.len() < length {
        frame.extend_from_slice(&random.next().to_le_bytes());
    }
    frame.truncate(length);
    frame
}

/// SplitMix64, a published generator: small, fast and the same everywhere.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
