//! Writes what a port receives to a capture file, for Wireshark and tcpdump.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::Parser;
use example_support::{AdapterArgs, Visitor, bring_up, idle, stop_flag};
use fastlinq_net::middleware::{Direction, PcapWriter, Tap};
use fastlinq_net::{QueueConfig, Ring, RxPacket};

/// Writes what a port receives to a capture file.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// The file.
    #[arg(long, short)]
    output: PathBuf,
    /// Ends after so many frames; Ctrl-C ends it, too.
    #[arg(long)]
    count: Option<u64>,
    /// Bytes of a frame that are kept.
    #[arg(long, default_value_t = 65_535)]
    snap_length: u32,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let stop = stop_flag()?;
    let host = args.adapter.open()?;
    let mut visitor = Visitor::join(&args.adapter, &host)?;
    let mut running = bring_up(host.clone(), Default::default(), &args.adapter.firmware()?)?;
    let queue = running.queue(&QueueConfig::default())?;
    running.go(&host)?;
    if let Some(visitor) = &mut visitor {
        visitor.ready()?;
    }

    let file = File::create(&args.output).with_context(|| args.output.display().to_string())?;
    let mut file = BufWriter::new(file);
    let capture = PcapWriter::new(
        |bytes: &[u8]| file.write_all(bytes),
        || {
            SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(0, |time| time.as_nanos() as u64)
        },
        args.snap_length,
    );
    // The tap sees what goes through; the queue pair behind it works as ever.
    let mut tap = Tap::new(queue, capture.only(Direction::Received));
    let limit = args.count.unwrap_or(u64::MAX);
    let mut burst = [RxPacket::EMPTY; 32];
    let mut number = 0_u32;
    while tap.observer().frames() < limit && !stop.load(Ordering::Relaxed) {
        if let Some(visitor) = &mut visitor {
            if visitor.send(&frame(visitor.mac(), running.mac, number))? {
                number += 1;
            }
            visitor.receive(|_| {})?;
        }
        let wanted = usize::try_from(limit - tap.observer().frames())
            .unwrap_or(32)
            .min(32);
        let taken = tap.receive(&mut burst[..wanted])?;
        for packet in &burst[..taken] {
            tap.release(packet);
        }
        if taken == 0 {
            idle(&host);
        }
    }

    let (queue, capture) = tap.into_parts();
    let frames = capture.finish()?;
    file.flush()?;
    println!("{frames} frames in {}", args.output.display());
    running.down(vec![queue])?;
    if let Some(visitor) = visitor {
        visitor.leave()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A frame of the visitor's: numbered, of a protocol of its own, 60 to 1,514 bytes.
fn frame(from: [u8; 6], to: [u8; 6], number: u32) -> Vec<u8> {
    let mut frame = [&to[..], &from[..], &[0x88, 0xb5], &number.to_be_bytes()].concat();
    frame.resize(60 + number as usize * 41 % 1_455, number as u8);
    frame
}
